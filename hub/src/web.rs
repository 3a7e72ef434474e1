//! Pages and API for people and programs: the whole route table.

pub mod error;
