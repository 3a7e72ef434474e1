//! The proxy seen from outside: real sockets on every side, no port and no moment fixed.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod api;
mod chp;
mod forward;
mod hub_away;
mod program;
mod restart;
mod secure;
mod smuggling;
mod tunnel;
mod upgrade;
mod websocket;
mod world;
