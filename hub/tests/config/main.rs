//! The configuration's loader from outside: a site's files in, rules or messages out.

mod candidate;
mod farm;
mod fits;
mod folder;
mod meaning;
mod mistakes;
mod mutants;
mod mutations;
mod people;
mod services;
#[path = "../../../tests/src/slips.rs"]
mod slips;
