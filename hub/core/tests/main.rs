//! The pure core from outside: states and wishes in, decisions out. One program, so that its tests run
//! side by side.

mod calendar;
mod course;
mod drain;
mod farm;
mod life;
mod memory;
mod packing;
mod placement;
mod relief;
mod resize;
mod restored;
mod rolling;
mod rules;
mod running;
mod settings;
mod spaces;
mod steps;
mod usage;
mod waiting;
