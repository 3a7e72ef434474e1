//! Emptying hosts, from outside: small fleets in, plans out, compared with what an exhaustive
//! search finds.

mod consolidating;
mod one_host;
mod random;
mod rolling;
mod steps;
