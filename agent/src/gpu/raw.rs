//! The NVML calls that `nvml-wrapper` has no method for. The one place of `unsafe` for GPUs.
//!
//! Each takes a device that the wrapper has handed out, so its handle is valid for as long as the
//! borrow, and writes into memory of the exact type of the C header.

#![allow(unsafe_code)]

use nvml_wrapper::error::{NvmlError, nvml_try};
use nvml_wrapper::{Device, Nvml};
use nvml_wrapper_sys::bindings::{nvmlMemory_t, nvmlProcessInfo_v1_t};

/// A symbol that the library does not have, as the wrapper says it.
fn absent(error: &impl ToString) -> NvmlError {
    NvmlError::FailedToLoadSymbol(error.to_string())
}

/// Total and free memory in bytes by the first version of the call, the only one before driver
/// 510. Its third number, *used*, contains what the driver reserves.
///
/// # Errors
/// The library's.
pub fn memory_v1(nvml: &Nvml, device: &Device<'_>) -> Result<(u64, u64), NvmlError> {
    let call = nvml.lib().nvmlDeviceGetMemoryInfo.as_ref().map_err(absent)?;
    let mut memory = nvmlMemory_t { total: 0, free: 0, used: 0 };
    // SAFETY: the handle is valid (see above) and the struct is the call's own.
    nvml_try(unsafe { call(device.handle(), &mut memory) })?;
    Ok((memory.total, memory.free))
}

/// Remapped rows: correctable, uncorrectable, pending, failed. GPUs since Ampere.
///
/// # Errors
/// The library's; not supported on a split GPU.
pub fn remapped_rows(nvml: &Nvml, device: &Device<'_>) -> Result<[u32; 4], NvmlError> {
    let call = nvml.lib().nvmlDeviceGetRemappedRows.as_ref().map_err(absent)?;
    let mut rows = [0; 4];
    let [correctable, uncorrectable, pending, failed] = &mut rows;
    // SAFETY: the handle is valid (see above) and the call writes four numbers.
    nvml_try(unsafe { call(device.handle(), correctable, uncorrectable, pending, failed) })?;
    Ok(rows)
}

/// The GPU and compute instance that a MIG device's handle stands for.
///
/// # Errors
/// The library's; not supported on a whole GPU.
pub fn instance(nvml: &Nvml, device: &Device<'_>) -> Result<(u32, u32), NvmlError> {
    let gpu = nvml.lib().nvmlDeviceGetGpuInstanceId.as_ref().map_err(absent)?;
    let compute = nvml.lib().nvmlDeviceGetComputeInstanceId.as_ref().map_err(absent)?;
    let (mut gpu_id, mut compute_id) = (0, 0);
    // SAFETY: the handle is valid (see above) and each call writes one number.
    nvml_try(unsafe { gpu(device.handle(), &mut gpu_id) })?;
    // SAFETY: as above.
    nvml_try(unsafe { compute(device.handle(), &mut compute_id) })?;
    Ok((gpu_id, compute_id))
}

/// Compute processes by the first version of the call, entries of 16 bytes: only to compare.
///
/// # Errors
/// The library's.
pub fn processes_v1(nvml: &Nvml, device: &Device<'_>) -> Result<Vec<(u32, u64)>, NvmlError> {
    const ROOM: u32 = 64;
    let call = nvml.lib().nvmlDeviceGetComputeRunningProcesses.as_ref().map_err(absent)?;
    let mut count = ROOM;
    let empty = nvmlProcessInfo_v1_t { pid: 0, usedGpuMemory: 0 };
    let mut entries = vec![empty; ROOM as usize];
    // SAFETY: the handle is valid (see above) and there is room for as many entries as said.
    nvml_try(unsafe { call(device.handle(), &mut count, entries.as_mut_ptr()) })?;
    entries.truncate(count as usize);
    Ok(entries.iter().map(|entry| (entry.pid, entry.usedGpuMemory)).collect())
}
