//! The agent of a host: runs the servers that the hub asks for, within the host's own limits, and
//! the tunnel through which users reach them.
//!
//! `main` reads the command line; [`command`] assembles the parts of each command; [`driver`] is
//! the agent's one task, [`reconcile`] its whole thought.

pub mod account;
pub mod activity;
pub mod cgroup;
pub mod command;
pub mod config;
pub mod driver;
pub mod ends;
pub mod fake;
pub mod farm;
pub mod firewall;
pub mod floors;
pub mod gpu;
pub mod health;
pub mod helper;
pub mod identity;
pub mod images;
pub mod kernels;
pub mod link;
pub mod load;
pub mod mem;
pub mod meter;
pub mod mounts;
pub mod perform;
pub mod policy;
pub mod questions;
pub mod readiness;
pub mod reconcile;
pub mod registries;
pub mod report;
pub mod resize;
pub mod runtime;
pub mod status;
pub mod tunnel;
pub mod victims;
