//! The proxy seen from outside: real sockets on every side, no port and no moment fixed.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod access;
mod api;
mod chp;
mod ends;
mod faults;
mod forward;
mod fuzz;
mod gates;
mod grammar;
mod handshakes;
mod hub_away;
mod hub_kills;
mod limits;
mod mutation;
mod options;
mod program;
mod rest;
mod restart;
mod revocation;
mod secure;
mod series;
mod smuggling;
mod soak;
mod systemd;
mod tunnel;
mod upgrade;
mod websocket;
mod world;
