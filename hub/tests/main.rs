//! The hub from outside: what people, programs and administrators see of it. One program, since each
//! program of tests is linked anew.

mod advisories;
mod api;
mod backup;
mod bookmarks;
mod contract;
mod directory;
mod doctor;
mod drain;
mod explanations;
mod front;
mod gpus;
mod import;
mod life;
mod login;
mod memory;
mod metrics;
mod oauth;
mod oidc;
mod openapi;
mod pages;
mod programs;
mod provider;
mod reasons;
mod rehearsal;
mod rights;
mod roles;
mod services;
mod shapes;
mod site;
mod trainings;
mod usage;
mod venv;
mod visits;
mod wish;
