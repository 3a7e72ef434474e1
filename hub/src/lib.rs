//! The hub: pages and API for people, decisions for the fleet, the link to the hosts.
//!
//! Assembly only; each part is a module with one job.

pub mod actions;
pub mod admin_socket;
pub mod agenda;
pub mod audit;
pub mod auth;
pub mod backup;
pub mod ca;
pub mod config;
pub mod directory;
pub mod doctor;
pub mod driver;
pub mod explanation;
pub mod farm;
pub mod housekeeping;
pub mod keys;
pub mod link;
pub mod mail;
pub mod metrics;
pub mod outgoing;
pub mod plan;
pub mod reload;
pub mod routes;
pub mod samples;
pub mod serve;
pub mod services;
pub mod site;
pub mod spec;
pub mod storage;
pub mod trainings;
pub mod visits;
pub mod web;
