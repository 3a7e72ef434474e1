//! Login and accounts with real parts: a certified OpenID Connect provider, a real slapd, and
//! services of JupyterHub's own. The hub is the real program. `tests/run people` installs what they need and runs them.

mod browser;
mod directory;
mod login;
mod parts;
mod services;
