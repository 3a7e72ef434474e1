//! Events: `event = GPU:XID` lines that tests append to the state. Each set has its own cursor,
//! which stands at the end of the file when the set is made.

use std::collections::BTreeMap;
use std::ffi::{c_uint, c_ulonglong};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::call::{
    Code, Device, INVALID, LOST, NOT_SUPPORTED, OK, TIMEOUT, call, on_gpu, put, whole,
};
use crate::state::{LOOK, State, is_modern, text};

const XID: c_ulonglong = 8;

/// `nvmlEventData_t`.
#[repr(C)]
pub struct EventData {
    device: Device,
    kind: c_ulonglong,
    data: c_ulonglong,
    gpu_instance: c_uint,
    compute_instance: c_uint,
}

struct Set {
    /// Events already told.
    told: usize,
    gpus: Vec<u32>,
}

static SETS: Mutex<(usize, BTreeMap<usize, Set>)> = Mutex::new((0, BTreeMap::new()));

fn with<T>(use_them: impl FnOnce(&mut (usize, BTreeMap<usize, Set>)) -> T) -> T {
    use_them(&mut SETS.lock().unwrap_or_else(PoisonError::into_inner))
}

/// All events of the file: GPU and XID.
fn events() -> Vec<(u32, u64)> {
    let text = text().unwrap_or_default();
    let event = |line: &str| {
        let (key, value) = line.split_once('=')?;
        let (gpu, xid) = value.trim().split_once(':')?;
        (key.trim() == "event").then_some((gpu.trim().parse().ok()?, xid.trim().parse().ok()?))
    };
    text.lines().filter_map(event).collect()
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetSupportedEventTypes(device: Device, types: *mut c_ulonglong) -> Code {
    on_gpu(device, |gpu| {
        if gpu.is_set("no_events") {
            return Err(NOT_SUPPORTED);
        }
        // As an H200 on 580 answers; on a K80 the five of the header.
        put(types, if is_modern() { 0x19f } else { 0x1f })
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlEventSetCreate(set: *mut usize) -> Code {
    call(|_| {
        let number = with(|(last, sets)| {
            *last += 1;
            sets.insert(*last, Set { told: events().len(), gpus: Vec::new() });
            *last
        });
        put(set, number)
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlEventSetFree(set: usize) -> Code {
    with(|(_, sets)| if sets.remove(&set).is_some() { OK } else { INVALID })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceRegisterEvents(device: Device, types: c_ulonglong, set: usize) -> Code {
    on_gpu(device, |gpu| {
        if gpu.is_set("no_events") {
            return Err(NOT_SUPPORTED);
        }
        with(|(_, sets)| {
            let set = sets.get_mut(&set).ok_or(INVALID)?;
            if types & XID != 0 {
                set.gpus.push(gpu.index);
            }
            Ok(())
        })
    })
}

/// Blocks for the time it is given, as the real one does: an immediate answer would burn a core.
#[unsafe(no_mangle)]
extern "C" fn nvmlEventSetWait_v2(set: usize, data: *mut EventData, timeout_ms: c_uint) -> Code {
    let end = Instant::now() + Duration::from_millis(timeout_ms.into());
    loop {
        let code = call(|state| next(state, set, data));
        if code != TIMEOUT || Instant::now() >= end {
            return code;
        }
        std::thread::sleep(LOOK);
    }
}

fn next(state: &State, set: usize, data: *mut EventData) -> Result<(), Code> {
    let all = events();
    let found = with(|(_, sets)| -> Result<_, Code> {
        let set = sets.get_mut(&set).ok_or(INVALID)?;
        while let Some((gpu, xid)) = all.get(set.told) {
            set.told += 1;
            if set.gpus.contains(gpu) {
                return Ok(Some((*gpu, *xid)));
            }
        }
        Ok(None)
    })?;
    match found {
        Some((gpu, xid)) => put(
            data,
            EventData {
                device: whole(gpu),
                kind: XID,
                data: xid,
                gpu_instance: u32::MAX,
                compute_instance: u32::MAX,
            },
        ),
        None if state.is_set("wait_lost") => Err(LOST),
        None => Err(TIMEOUT),
    }
}
