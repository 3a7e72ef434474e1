//! The agent of a host.

pub mod config;
pub mod reconcile;
pub mod account;
pub mod mem;
pub mod mounts;
pub mod policy;
pub mod readiness;
pub mod runtime;
