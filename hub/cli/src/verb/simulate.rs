//! `berth simulate`: replays of traces through the scheduling code that runs in the hub. No hub is
//! asked.
//!
//! The same input and seed give the same output, except for keys that end in `_s` or `_us`.

use clap::Subcommand;

use crate::args::Common;
use crate::problem::{Exit, Problem};

mod drain;
mod memory;
mod openb;
mod queue;
mod random;
mod report;
mod scale;
mod table;

/// The replays.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// GPU sharing tasks of the public openb trace on its nodes
    Openb(openb::Args),
    /// Memory admitted on what servers really use
    Memory(memory::Args),
    /// A rolling reboot of a fleet
    Drain(drain::Args),
    /// Weeks of a busy site: whether people wait as long as they were told
    Queue(queue::Args),
    /// Decisions on a large fleet, with or without the durable write
    Scale(scale::Args),
}

/// Does what the verb says.
///
/// # Errors
/// When the arguments or the input are wrong: nothing is on standard output then.
pub fn run(verb: &Verb, common: &Common) -> Result<Exit, Problem> {
    let report = match verb {
        Verb::Openb(args) => openb::run(args),
        Verb::Memory(args) => memory::run(args),
        Verb::Drain(args) => drain::run(args),
        Verb::Queue(args) => queue::run(args),
        Verb::Scale(args) => scale::run(args),
    }?;
    report.print(&common.style())?;
    Ok(Exit::Done)
}
