//! The core as a black box: a script of events goes in, the fleet and what leaves it come out as
//! text, and the text is reviewed like code.

mod bench;
mod containers;
mod hosts;
mod images;
mod laid;
mod moments;
mod queue;
mod reports;
mod starts;
