//! What every Berth binary shares at start-up: the wall clock, logging, signals, systemd, safe
//! files, mistakes in configuration files, and crash points.
//!
//! The pure core never sees this crate: time, ids and chance reach it as parameters.

pub mod clock;
pub mod crash;
pub mod file;
pub mod logging;
pub mod mistake;
pub mod signal;
pub mod systemd;

#[doc(hidden)]
pub use linkme;
