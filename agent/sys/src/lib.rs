//! What the agent asks of the system below the standard library: accounts of the host (NSS),
//! sockets that a parent process leaves to it, and giving up root.
//!
//! The one place of `unsafe`: [`socket::inherited`] takes over file descriptors by number.

pub mod account;
pub mod machine;
pub mod socket;
