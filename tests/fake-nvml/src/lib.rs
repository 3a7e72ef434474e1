//! Tests only: the NVIDIA management library of a host that is not there. See the README for the
//! state file. Layouts and codes are those of the public header `nvml.h`.
#![allow(non_snake_case, missing_docs)]

pub mod call;
pub mod events;
pub mod state;

use std::ffi::{CStr, c_char, c_int, c_uint, c_ulonglong};
use std::sync::atomic::Ordering;

use call::{
    Code, Device, INVALID, LOST, MISMATCH, NO_DRIVER, NOT_FOUND, NOT_SUPPORTED, OK, OPENED, call,
    on_any, on_gpu, part, put, put_list, put_text, whole,
};
use state::{State, is_modern, number};

const NO_INSTANCE: c_uint = u32::MAX;

// --- the library ----------------------------------------------------------------------------------

#[unsafe(no_mangle)]
extern "C" fn nvmlInit_v2() -> Code {
    match State::read() {
        None => NO_DRIVER,
        Some(state) if state.is_set("mismatch") => MISMATCH,
        Some(_) => {
            OPENED.fetch_add(1, Ordering::SeqCst);
            OK
        }
    }
}

#[unsafe(no_mangle)]
extern "C" fn nvmlInitWithFlags(_flags: c_uint) -> Code {
    nvmlInit_v2()
}

#[unsafe(no_mangle)]
extern "C" fn nvmlShutdown() -> Code {
    OPENED.fetch_sub(1, Ordering::SeqCst);
    OK
}

#[unsafe(no_mangle)]
extern "C" fn nvmlErrorString(_code: Code) -> *const c_char {
    c"an error of the fake library".as_ptr()
}

#[unsafe(no_mangle)]
extern "C" fn nvmlSystemGetDriverVersion(to: *mut c_char, room: c_uint) -> Code {
    call(|state| put_text(to, room, &state.driver()))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlSystemGetNVMLVersion(to: *mut c_char, room: c_uint) -> Code {
    let major = if is_modern() { 13 } else { 11 };
    call(|state| put_text(to, room, &format!("{major}.{}", state.driver())))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlSystemGetCudaDriverVersion_v2(version: *mut c_int) -> Code {
    call(|_| put(version, if is_modern() { 13_000 } else { 11_040 }))
}

// --- which GPU ------------------------------------------------------------------------------------

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetCount_v2(count: *mut c_uint) -> Code {
    call(|state| put(count, state.count()))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetHandleByIndex_v2(index: c_uint, device: *mut Device) -> Code {
    call(|state| match index {
        index if index >= state.count() => Err(INVALID),
        index if state.gpu(index).is_set("lost") => Err(LOST),
        index => put(device, whole(index)),
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetHandleByUUID(uuid: *const c_char, device: *mut Device) -> Code {
    call(|state| {
        if uuid.is_null() {
            return Err(INVALID);
        }
        // SAFETY: the caller gives a text that ends with a zero.
        let wanted = unsafe { CStr::from_ptr(uuid) }.to_string_lossy();
        let mut all = (0..state.count()).filter(|index| state.gpu(*index).uuid() == wanted);
        let index = all.next().ok_or(NOT_FOUND)?;
        if state.gpu(index).is_set("lost") { Err(LOST) } else { put(device, whole(index)) }
    })
}

/// Calls that write a text about a GPU or an instance.
macro_rules! texts {
    ($($name:ident: |$gpu:ident, $instance:ident| $text:expr;)*) => {$(
        #[unsafe(no_mangle)]
        extern "C" fn $name(device: Device, to: *mut c_char, room: c_uint) -> Code {
            on_any(device, |$gpu, $instance| put_text(to, room, &$text))
        }
    )*};
}

texts! {
    nvmlDeviceGetName: |gpu, instance| match instance {
        Some(it) => format!("{} MIG 1g.{}gb", gpu.name(), it.total >> 30),
        None => gpu.name(),
    };
    nvmlDeviceGetUUID: |gpu, instance| instance.map_or_else(|| gpu.uuid(), |it| it.uuid.clone());
    nvmlDeviceGetSerial: |gpu, _instance| gpu.serial();
}

/// Calls that write one number about a whole GPU.
macro_rules! numbers {
    ($($name:ident($type:ty): |$gpu:ident| $value:expr;)*) => {$(
        #[unsafe(no_mangle)]
        extern "C" fn $name(device: Device, to: *mut $type) -> Code {
            on_gpu(device, |$gpu| put(to, $value))
        }
    )*};
}

/// What only newer GPUs know.
fn modern<T>(value: T) -> Result<T, Code> {
    if is_modern() { Ok(value) } else { Err(NOT_SUPPORTED) }
}

/// What only older GPUs know.
fn before_ampere<T>(value: T) -> Result<T, Code> {
    if is_modern() { Err(NOT_SUPPORTED) } else { Ok(value) }
}

numbers! {
    nvmlDeviceGetIndex(c_uint): |gpu| gpu.index;
    nvmlDeviceGetMinorNumber(c_uint): |gpu| number(gpu.number("minor", gpu.index.into()));
    nvmlDeviceGetBoardId(c_uint): |gpu| gpu.board();
    nvmlDeviceGetMultiGpuBoard(c_uint): |_gpu| u32::from(!is_modern());
    nvmlDeviceGetArchitecture(c_uint): |_gpu| if is_modern() { 9 } else { 2 };
    nvmlDeviceGetPowerUsage(c_uint): |gpu| number(gpu.number("power", 62_000));
    nvmlDeviceGetComputeMode(c_uint): |gpu| number(gpu.number("mode", 0));
    nvmlDeviceGetPersistenceMode(c_uint): |gpu| number(gpu.number("persistence", 1));
    nvmlDeviceGetCurrentClocksThrottleReasons(c_ulonglong): |gpu| gpu.number("throttle", 1);
    nvmlDeviceGetTotalEnergyConsumption(c_ulonglong): |gpu| modern(gpu.number("energy", 1_000))?;
    nvmlDeviceGetRetiredPagesPendingStatus(c_uint): |gpu|
        before_ampere(u32::from(gpu.is_set("retire_pending")))?;
    nvmlDeviceGetMaxMigDeviceCount(c_uint): |gpu| if gpu.is_set("mig") { 7 } else { 0 };
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetCudaComputeCapability(
    device: Device,
    major: *mut c_int,
    minor: *mut c_int,
) -> Code {
    on_gpu(device, |_| {
        let (first, second) = if is_modern() { (9, 0) } else { (3, 7) };
        put(major, first)?;
        put(minor, second)
    })
}

/// `nvmlPciInfo_t`: 68 bytes.
#[repr(C)]
struct PciInfo {
    legacy: [c_char; 16],
    domain: c_uint,
    bus: c_uint,
    device: c_uint,
    ids: c_uint,
    subsystem: c_uint,
    bus_id: [c_char; 32],
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetPciInfo_v3(device: Device, to: *mut PciInfo) -> Code {
    on_gpu(device, |gpu| {
        let (bus, device) = gpu.place();
        let mut pci = PciInfo {
            legacy: [0; 16],
            domain: 0,
            bus,
            device,
            ids: if is_modern() { 0x2335_10de } else { 0x102d_10de },
            subsystem: if is_modern() { 0x18bf_10de } else { 0x106c_10de },
            bus_id: [0; 32],
        };
        put_text(pci.legacy.as_mut_ptr(), 16, &format!("0000:{bus:02X}:{device:02X}.0"))?;
        put_text(pci.bus_id.as_mut_ptr(), 32, &format!("00000000:{bus:02X}:{device:02X}.0"))?;
        put(to, pci)
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceOnSameBoard(one: Device, other: Device, same: *mut c_int) -> Code {
    on_gpu(one, |first| {
        let mut board = 0;
        let code = on_gpu(other, |second| put(&mut board, second.board()));
        if code == OK { put(same, c_int::from(first.board() == board)) } else { Err(code) }
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetTopologyCommonAncestor(
    one: Device,
    other: Device,
    level: *mut c_uint,
) -> Code {
    on_gpu(one, |first| {
        let mut board = 0;
        let code = on_gpu(other, |second| put(&mut board, second.board()));
        // One switch, or through the host bridge.
        if code == OK {
            put(level, if first.board() == board { 10 } else { 30 })
        } else {
            Err(code)
        }
    })
}

// --- how it is ------------------------------------------------------------------------------------

/// `nvmlMemory_t`.
#[repr(C)]
pub struct Memory {
    total: c_ulonglong,
    free: c_ulonglong,
    used: c_ulonglong,
}

/// Total and free memory of a GPU or an instance, and what its processes hold.
pub fn memory_of(gpu: state::Gpu<'_>, instance: Option<&state::Instance>) -> (u64, u64, u64) {
    match instance {
        None => (gpu.total(), gpu.free(), gpu.used()),
        Some(it) => {
            let here = |process: &state::Process| process.instance == Some(it.place);
            let used = gpu.processes().iter().filter(|p| here(p)).map(|p| p.memory).sum();
            (it.total, it.total.saturating_sub(used), used)
        }
    }
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetMemoryInfo(device: Device, to: *mut Memory) -> Code {
    on_any(device, |gpu, instance| {
        let (total, free, _) = memory_of(gpu, instance);
        put(to, Memory { total, free, used: total - free })
    })
}

/// `nvmlUtilization_t`.
#[repr(C)]
struct Utilization {
    gpu: c_uint,
    memory: c_uint,
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetUtilizationRates(device: Device, to: *mut Utilization) -> Code {
    on_gpu(device, |gpu| {
        let (busy, memory) = (number(gpu.number("util", 0)), number(gpu.number("memutil", 0)));
        put(to, Utilization { gpu: busy, memory })
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetTemperature(device: Device, _sensor: c_uint, to: *mut c_uint) -> Code {
    on_gpu(device, |gpu| put(to, number(gpu.number("temp", 38))))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetTemperatureThreshold(
    device: Device,
    kind: c_uint,
    to: *mut c_uint,
) -> Code {
    on_gpu(device, |_| match kind {
        0 => put(to, if is_modern() { 95 } else { 93 }),
        1 => put(to, if is_modern() { 89 } else { 88 }),
        _ => Err(NOT_SUPPORTED),
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetClockInfo(device: Device, kind: c_uint, to: *mut c_uint) -> Code {
    on_gpu(device, |gpu| put(to, number(gpu.number("clock", if kind == 2 { 2_505 } else { 562 }))))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetEccMode(device: Device, now: *mut c_uint, then: *mut c_uint) -> Code {
    on_gpu(device, |_| {
        put(now, 1)?;
        put(then, 1)
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetTotalEccErrors(
    device: Device,
    kind: c_uint,
    _counter: c_uint,
    to: *mut c_ulonglong,
) -> Code {
    on_gpu(device, |gpu| put(to, gpu.number(if kind == 0 { "ecc_sbe" } else { "ecc_dbe" }, 0)))
}

/// All retired pages count as retired after single bit errors, unless `retired_dbe` says more.
fn retired(gpu: state::Gpu<'_>, cause: c_uint) -> Result<Vec<c_ulonglong>, Code> {
    let key = if cause == 0 { "retired" } else { "retired_dbe" };
    before_ampere((0..gpu.number(key, 0)).collect())
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetRetiredPages(
    device: Device,
    cause: c_uint,
    count: *mut c_uint,
    pages: *mut c_ulonglong,
) -> Code {
    on_gpu(device, |gpu| put_list(count, pages, &retired(gpu, cause)?))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetRetiredPages_v2(
    device: Device,
    cause: c_uint,
    count: *mut c_uint,
    pages: *mut c_ulonglong,
    times: *mut c_ulonglong,
) -> Code {
    on_gpu(device, |gpu| {
        let list = retired(gpu, cause)?;
        put_list(count, pages, &list)?;
        put_list(count, times, &list)
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetRemappedRows(
    device: Device,
    correctable: *mut c_uint,
    uncorrectable: *mut c_uint,
    pending: *mut c_uint,
    failed: *mut c_uint,
) -> Code {
    on_gpu(device, |gpu| {
        put(correctable, modern(number(gpu.number("rows_correctable", 0)))?)?;
        put(uncorrectable, number(gpu.number("rows_uncorrectable", 0)))?;
        put(pending, u32::from(gpu.is_set("rows_pending")))?;
        put(failed, u32::from(gpu.is_set("rows_failed")))
    })
}

// --- what it does not support ---------------------------------------------------------------------

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetNvLinkState(device: Device, _link: c_uint, _to: *mut c_uint) -> Code {
    on_gpu(device, |_| Err(NOT_SUPPORTED))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetFanSpeed_v2(device: Device, _fan: c_uint, _to: *mut c_uint) -> Code {
    on_gpu(device, |_| Err(NOT_SUPPORTED))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetProcessUtilization(
    device: Device,
    _samples: *mut std::ffi::c_void,
    _count: *mut c_uint,
    _since: c_ulonglong,
) -> Code {
    on_gpu(device, |_| Err(if is_modern() { NOT_FOUND } else { NOT_SUPPORTED }))
}

// --- instances of a split GPU ---------------------------------------------------------------------

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetMigMode(device: Device, now: *mut c_uint, then: *mut c_uint) -> Code {
    on_gpu(device, |gpu| {
        let mode = modern(u32::from(gpu.is_set("mig")))?;
        put(now, mode)?;
        put(then, mode)
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetMigDeviceHandleByIndex(
    device: Device,
    index: c_uint,
    to: *mut Device,
) -> Code {
    on_gpu(device, |gpu| match gpu.instances().get(index as usize) {
        Some(_) if gpu.is_set("mig") => put(to, part(gpu.index, index as usize)),
        _ => Err(NOT_FOUND),
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetGpuInstanceId(device: Device, to: *mut c_uint) -> Code {
    on_any(device, |_, instance| put(to, instance.ok_or(NOT_SUPPORTED)?.place.0))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetComputeInstanceId(device: Device, to: *mut c_uint) -> Code {
    on_any(device, |_, instance| put(to, instance.ok_or(NOT_SUPPORTED)?.place.1))
}

// --- who is on it ---------------------------------------------------------------------------------

/// `nvmlProcessInfo_v1_t`: 16 bytes.
#[repr(C)]
#[derive(Clone, Copy)]
struct ProcessV1 {
    pid: c_uint,
    memory: c_ulonglong,
}

/// `nvmlProcessInfo_v2_t`, also the third version's but for three drivers: 24 bytes.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ProcessV2 {
    pid: c_uint,
    memory: c_ulonglong,
    gpu_instance: c_uint,
    compute_instance: c_uint,
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetComputeRunningProcesses(
    device: Device,
    count: *mut c_uint,
    to: *mut ProcessV1,
) -> Code {
    on_gpu(device, |gpu| {
        let entry = |it: &state::Process| ProcessV1 { pid: it.pid, memory: it.memory };
        put_list(count, to, &gpu.processes().iter().map(entry).collect::<Vec<_>>())
    })
}

/// The list in the newer layout.
pub fn compute_processes(device: Device, count: *mut c_uint, to: *mut ProcessV2) -> Code {
    on_any(device, |gpu, instance| {
        let place = instance.map(|it| it.place);
        let all = gpu.processes();
        let here = all.iter().filter(|it| place.is_none() || it.instance == place);
        let entry = |it: &state::Process| {
            let (gpu_instance, compute_instance) =
                it.instance.unwrap_or((NO_INSTANCE, NO_INSTANCE));
            ProcessV2 { pid: it.pid, memory: it.memory, gpu_instance, compute_instance }
        };
        put_list(count, to, &here.map(entry).collect::<Vec<_>>())
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetComputeRunningProcesses_v2(
    device: Device,
    count: *mut c_uint,
    to: *mut ProcessV2,
) -> Code {
    compute_processes(device, count, to)
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetGraphicsRunningProcesses_v2(
    device: Device,
    count: *mut c_uint,
    to: *mut ProcessV2,
) -> Code {
    on_any(device, |_, _| put_list(count, to, &[]))
}
