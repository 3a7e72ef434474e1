//! The hub's thought: a value (the fleet), events that change it, and effects that leave it.
//!
//! Pure by construction: this crate depends on nothing that can do I/O. Time, ids and chance come
//! in with the events, so the same events give the same fleet, bit for bit, in production and in
//! simulation.

pub mod agenda;
pub mod check;
pub mod decision;
pub mod drain;
pub mod event;
#[cfg(test)]
mod example;
pub mod farm;
pub mod fleet;
pub mod floor;
pub mod largest;
pub mod life;
pub mod memory;
pub mod nearest;
pub mod packing;
pub mod placement;
pub mod queue;
pub mod reconcile;
pub mod route;
pub mod rules;
pub mod settings;
pub mod step;
pub mod store;
pub mod usage;

pub use berth_common::Reason;
pub use decision::{Decision, Outcome};
pub use event::{Answer, Effect, Event, StartRequest};
pub use fleet::{Fleet, Host, HostState, Phase, Placement, Server, ServerState};
pub use settings::Settings;
pub use step::step;
