//! `berth-agent gpu-check`: what this host's driver says to everything the agent asks, and how
//! long it takes. Changes nothing. For administrators, and to find out how a new driver behaves.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use nvml_wrapper::bitmasks::event::EventTypes;
use nvml_wrapper::enum_wrappers::device::{
    Clock, EccCounter, MemoryError, PcieUtilCounter, RetirementCause, TemperatureSensor,
    TemperatureThreshold,
};
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::structs::device::FieldId;
use nvml_wrapper::sys_exports::field_id;
use nvml_wrapper::{Device, Nvml};
use serde_json::{Map, Value, json};

use super::ledger::{Ledger, Moment};
use super::nvml::Library;
use super::owner::Owner;
use super::picture::Holders;
use super::raw;
use super::reading::Source;

/// Rounds that are timed.
const ROUNDS: u32 = 20;

/// Between two looks while watching.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// So many looks, so far apart: a stranger is told after a moment's patience.
const LOOKS: u32 = 3;
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// The time a wait for an event is asked to end after.
const WAIT_MS: u32 = 300;

/// Asks everything once.
pub fn ask() -> Value {
    let begun = Instant::now();
    let nvml = match Nvml::init() {
        Ok(nvml) => nvml,
        Err(error) => {
            return json!({ "init": said::<()>(Err(error)), "init_ms": millis(begun.elapsed()) });
        }
    };
    let init_ms = millis(begun.elapsed());
    let count = nvml.device_count().unwrap_or(0);
    let gpus = (0..count).filter_map(|index| {
        let device = nvml.device_by_index(index).ok()?;
        Some(Value::Object(device_answers(&nvml, &device)))
    });
    json!({
        "init_ms": init_ms,
        "driver": said(nvml.sys_driver_version()),
        "nvml": said(nvml.sys_nvml_version()),
        "cuda": said(nvml.sys_cuda_driver_version()),
        "field_id_scheme": format!("{:?}", nvml.field_id_scheme()),
        "count": count,
        "gpus": gpus.collect::<Vec<_>>(),
        "event_wait": event_wait(&nvml),
        "agent_round_ms": rounds(),
        "agent_says": verdicts(),
        "symbols": symbols(&nvml),
    })
}

/// The agent's own round: the first, which opens the library, and the middle one of the others.
fn rounds() -> Value {
    let mut library = Library::default();
    let mut time = || {
        let begun = Instant::now();
        let answer = library.round().map(|round| round.places.len());
        (millis(begun.elapsed()), format!("{answer:?}"))
    };
    let (first, answer) = time();
    let mut others: Vec<f64> = (0..ROUNDS).map(|_| time().0).collect();
    others.sort_by(f64::total_cmp);
    json!({
        "first": first,
        "answer": answer,
        "median": others.get(others.len() / 2),
        "worst": others.last(),
    })
}

/// What the agent would report: without servers, everybody on a GPU is a stranger.
fn verdicts() -> Value {
    let (mut library, nobody) = (Library::default(), Holders::new());
    let Ok(boot) = "now".parse() else { return Value::Null };
    let mut ledger = Ledger::new(boot, Default::default(), Moment::now());
    for _ in 0..LOOKS {
        ledger.round(library.round(), Owner::of, Moment::now());
        std::thread::sleep(BETWEEN_LOOKS);
    }
    let (picture, now) = (ledger.picture(), Moment::now().steady);
    json!({ "gpus": picture.devices(&nobody, now), "facts": picture.facts(&nobody, now) })
}

/// Everything that the agent asks of a device, and a few things more.
fn device_answers(nvml: &Nvml, device: &Device<'_>) -> Map<String, Value> {
    let mut all = Map::new();
    let mut tell = |name: &str, value: Value| drop(all.insert(name.to_owned(), value));
    tell("uuid", said(device.uuid()));
    tell("name", said(device.name()));
    tell("serial", said(device.serial()));
    tell("index", said(device.index()));
    tell("minor_number", said(device.minor_number()));
    tell("pci_info", said(device.pci_info()));
    tell("board_id", said(device.board_id()));
    tell("is_multi_gpu_board", said(device.is_multi_gpu_board()));
    tell("architecture", said(device.architecture()));
    tell("cuda_compute_capability", said(device.cuda_compute_capability()));
    tell("memory_info (v2)", said(device.memory_info()));
    tell("memory v1 (total, free)", said(raw::memory_v1(nvml, device)));
    tell("utilization_rates", said(device.utilization_rates()));
    tell("temperature", said(device.temperature(TemperatureSensor::Gpu)));
    for limit in [
        TemperatureThreshold::Shutdown,
        TemperatureThreshold::Slowdown,
        TemperatureThreshold::GpuMax,
        TemperatureThreshold::MemoryMax,
    ] {
        tell(
            &format!("temperature_threshold {limit:?}"),
            said(device.temperature_threshold(limit)),
        );
    }
    tell("current_throttle_reasons", said(device.current_throttle_reasons()));
    tell("power_usage", said(device.power_usage()));
    tell("enforced_power_limit", said(device.enforced_power_limit()));
    tell("total_energy_consumption", said(device.total_energy_consumption()));
    for clock in [Clock::SM, Clock::Memory, Clock::Graphics] {
        tell(&format!("clock_info {clock:?}"), said(device.clock_info(clock)));
    }
    tell("is_ecc_enabled", said(device.is_ecc_enabled()));
    for kind in [MemoryError::Corrected, MemoryError::Uncorrected] {
        for span in [EccCounter::Volatile, EccCounter::Aggregate] {
            let name = format!("total_ecc_errors {kind:?} {span:?}");
            tell(&name, said(device.total_ecc_errors(kind, span)));
        }
    }
    for cause in [RetirementCause::MultipleSingleBitEccErrors, RetirementCause::DoubleBitEccError] {
        let name = format!("retired_pages {cause:?}");
        tell(&name, said(device.retired_pages(cause).map(|pages| pages.len())));
    }
    tell("are_pages_pending_retired", said(device.are_pages_pending_retired()));
    tell("remapped rows", said(raw::remapped_rows(nvml, device)));
    tell("pcie_replay_counter", said(device.pcie_replay_counter()));
    tell("pcie_throughput", said(device.pcie_throughput(PcieUtilCounter::Send)));
    tell("compute_mode", said(device.compute_mode()));
    tell("is_in_persistent_mode", said(device.is_in_persistent_mode()));
    tell("performance_state", said(device.performance_state()));
    tell("mig_mode", said(device.mig_mode()));
    tell("mig_device_count", said(device.mig_device_count()));
    tell("attributes", said(device.attributes()));
    tell("nvlink 0", said(device.link_wrapper_for(0).is_active()));
    tell("num_fans", said(device.num_fans()));
    tell("accounting", said(device.is_accounting_enabled()));
    tell("encoder_utilization", said(device.encoder_utilization()));
    tell("process_utilization_stats", said(device.process_utilization_stats(None)));
    tell("supported_event_types", said(device.supported_event_types()));
    let fields =
        [field_id::NVML_FI_DEV_MEMORY_TEMP, field_id::NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION];
    tell("field memory temperature, energy", said(device.field_values_for(&fields.map(FieldId))));
    for (name, value) in process_lists(nvml, device) {
        tell(name, value);
    }
    tell("ms of calls", call_times(nvml, device));
    all
}

/// The middle time of each call that a round makes.
fn call_times(nvml: &Nvml, device: &Device<'_>) -> Value {
    type Call<'a> = (&'a str, &'a dyn Fn() -> bool);
    let calls: [Call<'_>; 16] = [
        ("device_by_index", &|| nvml.device_by_index(0).is_ok()),
        ("uuid", &|| device.uuid().is_ok()),
        ("name", &|| device.name().is_ok()),
        ("pci_info", &|| device.pci_info().is_ok()),
        ("memory_info", &|| device.memory_info().is_ok()),
        ("utilization_rates", &|| device.utilization_rates().is_ok()),
        ("temperature", &|| device.temperature(TemperatureSensor::Gpu).is_ok()),
        ("threshold", &|| device.temperature_threshold(TemperatureThreshold::Slowdown).is_ok()),
        ("throttle", &|| device.current_throttle_reasons().is_ok()),
        ("power_usage", &|| device.power_usage().is_ok()),
        ("energy", &|| device.total_energy_consumption().is_ok()),
        ("clock_info", &|| device.clock_info(Clock::SM).is_ok()),
        ("total_ecc_errors", &|| {
            device.total_ecc_errors(MemoryError::Uncorrected, EccCounter::Volatile).is_ok()
        }),
        ("remapped rows", &|| raw::remapped_rows(nvml, device).is_ok()),
        ("mig_mode", &|| device.mig_mode().is_ok()),
        ("processes", &|| device.running_compute_processes_v2().is_ok()),
    ];
    let time = |call: &dyn Fn() -> bool| {
        let mut times: Vec<f64> = (0..ROUNDS)
            .map(|_| {
                let begun = Instant::now();
                call();
                millis(begun.elapsed())
            })
            .collect();
        times.sort_by(f64::total_cmp);
        times.get(times.len() / 2).copied()
    };
    calls.iter().map(|(name, call)| ((*name).to_owned(), json!(time(*call)))).collect()
}

fn process_lists(nvml: &Nvml, device: &Device<'_>) -> [(&'static str, Value); 6] {
    [
        ("compute processes v1", said(raw::processes_v1(nvml, device))),
        ("compute processes v2", said(device.running_compute_processes_v2())),
        ("compute processes v3", said(device.running_compute_processes())),
        ("graphics processes v2", said(device.running_graphics_processes_v2())),
        ("graphics processes v3", said(device.running_graphics_processes())),
        ("mps processes v3", said(device.mps_running_compute_processes())),
    ]
}

/// Registers for what the first GPU supports, and waits.
fn event_wait(nvml: &Nvml) -> Value {
    let wait = || -> Result<Value, NvmlError> {
        let device = nvml.device_by_index(0)?;
        let wanted = device.supported_event_types()?
            & (EventTypes::CRITICAL_XID_ERROR | EventTypes::DOUBLE_BIT_ECC_ERROR);
        let set = device
            .register_events(wanted, nvml.create_event_set()?)
            .map_err(|refused| refused.error)?;
        let begun = Instant::now();
        let answer = set.wait(WAIT_MS).map(|data| format!("{data:?}"));
        Ok(json!({
            "registered": format!("{wanted:?}"),
            "asked_ms": WAIT_MS,
            "took_ms": millis(begun.elapsed()),
            "answer": said(answer),
        }))
    };
    wait().unwrap_or_else(|error| said::<()>(Err(error)))
}

/// How many of the symbols that the wrapper knows this library has, of those that matter.
fn symbols(nvml: &Nvml) -> Value {
    let lib = nvml.lib();
    json!({
        "nvmlDeviceGetMemoryInfo": lib.nvmlDeviceGetMemoryInfo.is_ok(),
        "nvmlDeviceGetMemoryInfo_v2": lib.nvmlDeviceGetMemoryInfo_v2.is_ok(),
        "nvmlDeviceGetComputeRunningProcesses": lib.nvmlDeviceGetComputeRunningProcesses.is_ok(),
        "nvmlDeviceGetComputeRunningProcesses_v2":
            lib.nvmlDeviceGetComputeRunningProcesses_v2.is_ok(),
        "nvmlDeviceGetComputeRunningProcesses_v3":
            lib.nvmlDeviceGetComputeRunningProcesses_v3.is_ok(),
        "nvmlDeviceGetRemappedRows": lib.nvmlDeviceGetRemappedRows.is_ok(),
        "nvmlDeviceGetTemperature": lib.nvmlDeviceGetTemperature.is_ok(),
        "nvmlDeviceGetTemperatureV": lib.nvmlDeviceGetTemperatureV.is_ok(),
        "nvmlEventSetWait_v2": lib.nvmlEventSetWait_v2.is_ok(),
    })
}

/// Writes a line whenever use, memory or processes of a GPU have changed, for a time.
///
/// # Errors
/// The library's.
pub fn watch(span: Duration) -> Result<(), NvmlError> {
    let nvml = Nvml::init()?;
    let begun = Instant::now();
    let mut last = Vec::new();
    while begun.elapsed() < span {
        let mut now = Vec::new();
        for index in 0..nvml.device_count()? {
            let device = nvml.device_by_index(index)?;
            let memory = device.memory_info().map(|it| (it.used >> 20, it.free >> 20));
            now.push(json!({
                "index": index,
                "busy": said(device.utilization_rates().map(|rates| rates.gpu)),
                "used, free (MiB)": said(memory),
                "v2": said(device.running_compute_processes_v2()),
            }));
        }
        if now != last {
            // The date, so that another program's log can be laid beside it.
            let date = berth_process::clock::now();
            println!("{}", json!({ "at": date.to_string(), "ms": date.as_millis(), "gpus": now }));
            last = now;
        }
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(())
}

/// An answer in words.
fn said<T: Debug>(answer: Result<T, NvmlError>) -> Value {
    match answer {
        Ok(value) => json!(format!("{value:?}")),
        Err(error) => json!({ "error": format!("{error:?}") }),
    }
}

fn millis(span: Duration) -> f64 {
    (span.as_secs_f64() * 1e6).round() / 1e3
}
