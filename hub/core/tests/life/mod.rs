//! The life of running servers, from outside: events in, what is saved and shown out.

mod bench;
mod emptied;
mod gpu;
mod idle;
mod random;
mod scenarios;
mod schedules;
