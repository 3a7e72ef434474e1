//! The hub: pages and API for people, decisions for the fleet, the link to the hosts.
//!
//! Assembly only; each part is a module with one job.

pub mod actions;
pub mod ca;
pub mod config;
pub mod driver;
pub mod keys;
pub mod site;
pub mod storage;
