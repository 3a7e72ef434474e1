//! A whole site, from outside: real hub, proxy, three agents, real Docker, real JupyterLab, real
//! Chromium. `tests/run site` starts it and says where it is; by hand:
//!
//! ```text
//! BERTH_PORT=8100 examples/laptop/up && BERTH_PORT=8100 cargo test --release -p berth-tests --test site -- --test-threads=1
//! ```

mod actions;
mod browser;
mod commands;
mod contract;
mod course;
mod endurance;
mod journey;
mod kernel;
mod kernels;
mod refusals;
mod secrets;
mod site;
mod visit;
