//! `berth-agent gpu-check` and `berth-agent gpu-clear`.

use std::path::Path;
use std::time::Duration;

use berth_common::GpuId;

use super::CommandError;
use crate::config;
use crate::gpu::memo::Memos;
use crate::gpu::probe;

/// Says what the driver answers, or for a time what changes.
///
/// # Errors
/// When there is nothing to watch.
pub fn check(watch: Option<u64>) -> Result<(), CommandError> {
    match watch {
        Some(seconds) => probe::watch(Duration::from_secs(seconds))?,
        None => println!("{:#}", probe::ask()),
    }
    Ok(())
}

/// Clears a GPU. A running agent notices within a second.
///
/// # Errors
/// When nothing is remembered of it.
pub fn clear(file: &Path, gpu: &GpuId) -> Result<(), CommandError> {
    let state = config::read(file)?.agent.state;
    Memos::new(&state).clear(gpu).map_err(|source| CommandError::NoGpu {
        gpu: gpu.clone(),
        folder: state.join("gpus").display().to_string(),
        source,
    })
}
