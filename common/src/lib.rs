//! The words that hub, agent and proxy share: ids, units, resources, time.
//!
//! Nothing here does I/O or reads a clock, so the pure core may depend on it.

pub mod farm;
pub mod id;
pub mod link;
pub mod reason;
pub mod resources;
pub mod time;
pub mod unit;

pub use id::{
    BootId, DecisionId, Epoch, Generation, GpuId, HostId, Incarnation, Revision, ServerId,
    ServerName, Username,
};
pub use reason::Reason;
pub use resources::{GpuPart, Resources};
pub use time::{Seconds, Timestamp};
pub use unit::ByteCount;
