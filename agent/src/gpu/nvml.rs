//! NVML through `nvml-wrapper`: drivers from 470 on, Kepler to Hopper.
//!
//! A symbol that the library lacks, or a call that the device does not support, makes one value
//! absent and hides no other. Handles live for one round: they are looked up by index each time,
//! which costs microseconds and leaves nothing that could go stale.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use berth_common::link::{RemappedRows, RetiredPages};
use berth_common::{ByteCount, GpuId};
use nvml_wrapper::bitmasks::device::ThrottleReasons;
use nvml_wrapper::enum_wrappers::device::{
    Clock, EccCounter, MemoryError, RetirementCause, TemperatureSensor, TemperatureThreshold,
};
use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::struct_wrappers::device::ProcessInfo;
use nvml_wrapper::{Device, Nvml};

use super::raw;
use super::reading::{
    Absence, Events, Fault, Found, Memory, Place, Process, Reading, Round, Source,
};

mod events;

/// What a call said.
#[derive(Debug)]
pub enum Answer {
    /// Neither the device nor the library knows this value.
    Unsupported,
    /// The GPU is gone, or needs a reset.
    Lost,
    /// The driver was replaced and the former one is still loaded.
    Mismatch,
    /// The library was shut down, or the driver unloaded.
    Closed,
    /// Anything else.
    Other(NvmlError),
}

/// Classifies an error: the one place that knows codes. `UnexpectedVariant` carries the codes of
/// newer drivers that the wrapper has no name for: 25 another version of a struct, 26 deprecated.
pub fn classify(error: NvmlError) -> Answer {
    match error {
        NvmlError::NotSupported
        | NvmlError::FailedToLoadSymbol(_)
        | NvmlError::FunctionNotFound
        | NvmlError::UnexpectedVariant(25 | 26) => Answer::Unsupported,
        NvmlError::GpuLost | NvmlError::ResetRequired => Answer::Lost,
        NvmlError::LibRmVersionMismatch => Answer::Mismatch,
        NvmlError::Uninitialized | NvmlError::DriverNotLoaded => Answer::Closed,
        other => Answer::Other(other),
    }
}

/// A value if the device has it; a lost device is an error, all else is no value.
fn optional<T>(answer: Result<T, NvmlError>) -> Result<Option<T>, Fault> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(error) => match classify(error) {
            Answer::Lost => Err(Fault::Lost),
            _ => Ok(None),
        },
    }
}

/// A value without which nothing can be said of a GPU.
fn needed<T>(answer: Result<T, NvmlError>) -> Result<T, Fault> {
    answer.map_err(|error| match classify(error) {
        Answer::Lost => Fault::Lost,
        Answer::Unsupported => Fault::Other("it tells no name or no memory".into()),
        Answer::Mismatch => Fault::Other("the driver was replaced".into()),
        Answer::Closed => Fault::Other("the driver is not loaded".into()),
        Answer::Other(error) => Fault::Other(error.to_string()),
    })
}

/// The library of this host.
#[derive(Debug, Default)]
pub struct Library {
    /// Where it is; by default where the loader finds it.
    path: Option<PathBuf>,
    open: Option<Open>,
    /// The library as it was before it was closed, while the thread of events still holds it.
    closing: Weak<Nvml>,
}

#[derive(Debug)]
struct Open {
    nvml: Arc<Nvml>,
    driver: String,
    count: u32,
    /// Told to the thread of events.
    closed: Arc<AtomicBool>,
    /// Names by index, from the last time each told its own: a lost GPU tells none.
    names: BTreeMap<u32, GpuId>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::Relaxed);
    }
}

impl Source for Library {
    fn round(&mut self) -> Result<Round, Absence> {
        let open = match &mut self.open {
            Some(open) => open,
            None => {
                if self.closing.strong_count() > 0 {
                    return Err(Absence::Other("it is being opened anew".into()));
                }
                self.open.insert(Open::new(self.path.as_deref())?)
            }
        };
        let asked = open.ask();
        if asked.is_err() {
            self.close();
        }
        asked
    }

    fn events(&mut self) -> Option<Box<dyn Events>> {
        let open = self.open.as_ref()?;
        Some(Box::new(events::Waiter::new(open.nvml.clone(), open.closed.clone())))
    }
}

impl Library {
    /// The library at a path, or where the loader finds it. Nothing is opened yet.
    pub fn new(path: Option<PathBuf>) -> Self {
        Self { path, ..Self::default() }
    }

    /// Shuts NVML down, as soon as the thread of events has let go of it.
    fn close(&mut self) {
        if let Some(open) = self.open.take() {
            self.closing = Arc::downgrade(&open.nvml);
        }
    }
}

/// Why the library cannot be opened.
fn absence(error: NvmlError) -> Absence {
    match error {
        NvmlError::LibloadingError(_) | NvmlError::LibraryNotFound => {
            Absence::None("there is no NVML library (libnvidia-ml.so.1)".into())
        }
        NvmlError::DriverNotLoaded => Absence::None("the NVIDIA driver is not loaded".into()),
        NvmlError::LibRmVersionMismatch => Absence::Mismatch,
        other => Absence::Other(other.to_string()),
    }
}

impl Open {
    fn new(path: Option<&Path>) -> Result<Self, Absence> {
        let nvml = match path {
            Some(path) => Nvml::builder().lib_path(path.as_os_str()).init(),
            None => Nvml::init(),
        };
        let nvml = nvml.map_err(absence)?;
        let driver = nvml.sys_driver_version().unwrap_or_default();
        let count = nvml.device_count().map_err(absence)?;
        Ok(Self {
            nvml: Arc::new(nvml),
            driver,
            count,
            closed: Arc::default(),
            names: BTreeMap::new(),
        })
    }

    fn ask(&mut self) -> Result<Round, Absence> {
        if self.nvml.device_count().map_err(absence)? != self.count {
            return Err(Absence::Other("the number of GPUs has changed".into()));
        }
        let nvml = self.nvml.clone();
        let mut places = Vec::new();
        for index in 0..self.count {
            let found = self.place(&nvml, index);
            places.push(Place { index, gpu: self.names.get(&index).cloned(), found });
        }
        Ok(Round { driver: self.driver.clone(), places })
    }

    fn place(&mut self, nvml: &Nvml, index: u32) -> Result<Found, Fault> {
        let device = needed(nvml.device_by_index(index))?;
        let gpu: GpuId = named(&device)?;
        self.names.insert(index, gpu.clone());
        let mut whole = read(nvml, &device, gpu, index)?;
        let split = optional(device.mig_mode())?.is_some_and(|mode| mode.current == 1);
        let instances = if split { Some(instances(nvml, &device, &mut whole)?) } else { None };
        Ok(Found { device: whole, instances })
    }
}

fn named(device: &Device<'_>) -> Result<GpuId, Fault> {
    let uuid = needed(device.uuid())?;
    uuid.parse().map_err(|error| Fault::Other(format!("its UUID {uuid:?}: {error}")))
}

/// All that is asked of a GPU, or of one instance of it.
fn read(nvml: &Nvml, device: &Device<'_>, gpu: GpuId, index: u32) -> Result<Reading, Fault> {
    let celsius = TemperatureThreshold::Slowdown;
    let throttled = optional(device.current_throttle_reasons())?.unwrap_or(ThrottleReasons::NONE);
    let board = match optional(device.is_multi_gpu_board())? {
        Some(true) => optional(device.board_id())?,
        _ => None,
    };
    let capability = optional(device.cuda_compute_capability())?;
    let capability = capability
        .and_then(|it| Some((u32::try_from(it.major).ok()?, u32::try_from(it.minor).ok()?)));
    Ok(Reading {
        gpu,
        model: needed(device.name())?,
        bus: optional(device.pci_info())?.map(|pci| pci.bus_id).unwrap_or_default(),
        index,
        minor: optional(device.minor_number())?,
        board,
        capability,
        memory: memory(nvml, device)?,
        busy: optional(device.utilization_rates())?.map(|rates| rates.gpu),
        temperature: optional(device.temperature(TemperatureSensor::Gpu))?,
        slowdown_at: optional(device.temperature_threshold(celsius))?,
        slowed_down: throttled.contains(ThrottleReasons::HW_SLOWDOWN),
        power: optional(device.power_usage())?,
        clock: optional(device.clock_info(Clock::SM))?,
        ecc_uncorrected: optional(
            device.total_ecc_errors(MemoryError::Uncorrected, EccCounter::Volatile),
        )?,
        retired: retired(device)?,
        remapped: optional(raw::remapped_rows(nvml, device))?.map(
            |[correctable, uncorrectable, pending, failed]| RemappedRows {
                correctable,
                uncorrectable,
                pending: pending != 0,
                failed: failed != 0,
            },
        ),
        processes: processes(device)?,
    })
}

/// The wrapper asks by the second version of the call only, which drivers before 510 lack.
fn memory(nvml: &Nvml, device: &Device<'_>) -> Result<Memory, Fault> {
    if let Some(memory) = optional(device.memory_info())? {
        return Ok(Memory {
            total: ByteCount(memory.total),
            reserved: Some(ByteCount(memory.reserved)),
            free: ByteCount(memory.free),
        });
    }
    let (total, free) = needed(raw::memory_v1(nvml, device))?;
    Ok(Memory { total: ByteCount(total), reserved: None, free: ByteCount(free) })
}

fn retired(device: &Device<'_>) -> Result<Option<RetiredPages>, Fault> {
    let single = optional(device.retired_pages(RetirementCause::MultipleSingleBitEccErrors))?;
    let double = optional(device.retired_pages(RetirementCause::DoubleBitEccError))?;
    let pending = optional(device.are_pages_pending_retired())?;
    let (Some(single), Some(double)) = (single, double) else { return Ok(None) };
    Ok(Some(RetiredPages {
        single_bit: u32::try_from(single.len()).unwrap_or(u32::MAX),
        double_bit: u32::try_from(double.len()).unwrap_or(u32::MAX),
        pending: pending.unwrap_or(false),
    }))
}

/// Compute and graphics processes. Every driver from 470 on has the second version of the calls,
/// with entries of one size; the third had another size in three drivers of the 535 series.
fn processes(device: &Device<'_>) -> Result<Vec<Process>, Fault> {
    let mut all = listed(|| device.running_compute_processes_v2())?;
    all.extend(listed(|| device.running_graphics_processes_v2())?);
    all.sort_by_key(|process| process.pid);
    all.dedup_by_key(|process| (process.pid, process.instance));
    Ok(all)
}

fn listed(ask: impl Fn() -> Result<Vec<ProcessInfo>, NvmlError>) -> Result<Vec<Process>, Fault> {
    // The list grows between the two calls that the wrapper makes when many begin at once.
    const TRIES: usize = 3;
    let mut found = Vec::new();
    for _ in 0..TRIES {
        match ask() {
            Err(NvmlError::InsufficientSize(_)) => {}
            answer => {
                found = optional(answer)?.unwrap_or_default();
                break;
            }
        }
    }
    let process = |info: ProcessInfo| Process {
        pid: info.pid,
        memory: match info.used_gpu_memory {
            UsedGpuMemory::Used(bytes) => Some(ByteCount(bytes)),
            UsedGpuMemory::Unavailable => None,
        },
        instance: info.gpu_instance_id.zip(info.compute_instance_id),
    };
    Ok(found.into_iter().map(process).collect())
}

/// The instances of a split GPU. Use, heat and power are the whole GPU's; processes are listed
/// with the whole and belong to the instance that they name.
fn instances(nvml: &Nvml, device: &Device<'_>, whole: &mut Reading) -> Result<Vec<Reading>, Fault> {
    let mut all = Vec::new();
    for index in 0..optional(device.mig_device_count())?.unwrap_or(0) {
        // The count is of places; an empty one answers "not found".
        let Ok(part) = device.mig_device_by_index(index) else { continue };
        let gpu = named(&part)?;
        let place = optional(raw::instance(nvml, &part))?;
        let mut processes = listed(|| part.running_compute_processes_v2())?;
        let is_here = |process: &Process| place.is_some() && process.instance == place;
        processes.extend(whole.processes.iter().copied().filter(is_here));
        processes.sort_by_key(|process| process.pid);
        processes.dedup_by_key(|process| process.pid);
        all.push(Reading {
            gpu,
            model: needed(part.name())?,
            memory: memory(nvml, &part)?,
            busy: None,
            processes,
            ..whole.clone()
        });
    }
    whole.processes.clear();
    Ok(all)
}
