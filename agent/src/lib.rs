//! The agent of a host.

pub mod config;
pub mod reconcile;
