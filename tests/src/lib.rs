//! What the tests of the whole share.

pub mod slips;
pub mod world;
