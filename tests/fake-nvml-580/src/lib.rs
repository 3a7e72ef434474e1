//! Tests only: what driver 580 has beside the calls of 470, and one H200 instead of two K80
//! boards. Its answers are those that an H200 on 580.159.04 gave (`agent/src/gpu/OBSERVED.md`).
#![allow(non_snake_case, missing_docs)]

use std::ffi::{c_uint, c_ulonglong};
use std::sync::atomic::Ordering;

use fake_nvml::call::{Code, Device, INVALID, OTHER_VERSION, on_any, on_gpu, put, put_list};
use fake_nvml::state::MODERN;
use fake_nvml::{ProcessV2, compute_processes, memory_of};

/// Runs when the library is loaded, before any call.
#[used]
#[unsafe(link_section = ".init_array")]
static AT_LOAD: extern "C" fn() = be_modern;

extern "C" fn be_modern() {
    MODERN.store(true, Ordering::Relaxed);
}

/// `nvmlMemory_v2_t`: 40 bytes. The version is the size and a 2 in the highest byte.
#[repr(C)]
pub struct MemoryV2 {
    version: c_uint,
    total: c_ulonglong,
    reserved: c_ulonglong,
    free: c_ulonglong,
    used: c_ulonglong,
}

const MEMORY_V2: c_uint = 0x0200_0028;

/// total = reserved + used + free, as seen on an H200.
#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetMemoryInfo_v2(device: Device, to: *mut MemoryV2) -> Code {
    on_any(device, |gpu, instance| {
        if to.is_null() {
            return Err(INVALID);
        }
        // SAFETY: the caller gives the address of a struct whose version it has set.
        if unsafe { (*to).version } != MEMORY_V2 {
            return Err(OTHER_VERSION);
        }
        let (total, free, used) = memory_of(gpu, instance);
        put(to, MemoryV2 { version: MEMORY_V2, total, reserved: total - free - used, free, used })
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetComputeRunningProcesses_v3(
    device: Device,
    count: *mut c_uint,
    to: *mut ProcessV2,
) -> Code {
    compute_processes(device, count, to)
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetGraphicsRunningProcesses_v3(
    device: Device,
    count: *mut c_uint,
    to: *mut ProcessV2,
) -> Code {
    on_any(device, |_, _| put_list(count, to, &[]))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetNumFans(device: Device, to: *mut c_uint) -> Code {
    on_gpu(device, |_| put(to, 0))
}
