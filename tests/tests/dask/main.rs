//! Dask from the first cell, from outside: real Slurm, real Dask Gateway, real containers. `tests/run
//! dask` starts the site and says where it is; by hand:
//!
//! ```text
//! export BERTH_PORT=8320 BERTH_STATE=/var/tmp/berth-dask
//! examples/dask/up && cargo test --release -p berth-tests --test dask -- --test-threads=1
//! ```

#[allow(dead_code)]
#[path = "../site/browser.rs"]
mod browser;
mod dashboards;
mod ends;
mod farm;
mod journey;
#[allow(dead_code)]
#[path = "../site/kernel.rs"]
mod kernel;
mod owner;
mod quota;
mod reach;
mod rights;
mod seen;
#[allow(dead_code)]
#[path = "../site/site.rs"]
mod site;
mod trouble;
mod work;
