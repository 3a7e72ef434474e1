//! Login and accounts with real parts: a certified OpenID Connect provider and a real slapd. The
//! hub is the real program. `tests/run people` installs what they need and runs them.

mod browser;
mod directory;
mod login;
mod parts;
