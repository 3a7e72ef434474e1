//! GPUs under the names of NVIDIA's dcgm-exporter, so that boards and alerts made for it work
//! unchanged. A value that a GPU does not tell has no series. Processes and use come from the hosts'
//! reports, so this is as old as those: five seconds.

use berth_common::link::{GpuDevice, GpuUse, HostFacts};
use berth_core::{Fleet, Host};
use prometheus::GaugeVec;
use prometheus::proto::MetricFamily;

use super::present::set;
use super::shelf::{Series, Shelf};

/// The labels of dcgm-exporter, in both spellings of the host's name that its versions have, and
/// `instance`, by which boards tell the hosts apart: Prometheus keeps it with `honor_labels`.
const LABELS: [&str; 9] = [
    "gpu",
    "UUID",
    "pci_bus_id",
    "device",
    "modelName",
    "Hostname",
    "hostname",
    "instance",
    "DCGM_FI_DRIVER_VERSION",
];

/// A series: its name, its meaning, and its value where the GPU tells one.
type Field = (&'static str, &'static str, fn(&GpuUse) -> Option<f64>);

const MIB: f64 = 1_048_576.0;

const FIELDS: [Field; 13] = [
    ("DCGM_FI_DEV_GPU_UTIL", "Time in which a kernel ran, in percent", |it| it.busy.map(f64::from)),
    ("DCGM_FI_DEV_FB_USED", "Memory that programs hold, in MiB", |it| {
        it.memory_used.map(|memory| memory.0 as f64 / MIB)
    }),
    ("DCGM_FI_DEV_FB_FREE", "Free memory, in MiB", |it| {
        it.memory_free.map(|memory| memory.0 as f64 / MIB)
    }),
    ("DCGM_FI_DEV_GPU_TEMP", "Temperature, in °C", |it| it.temperature.map(f64::from)),
    ("DCGM_FI_DEV_POWER_USAGE", "Power, in W", |it| {
        it.power_mw.map(|power| f64::from(power) / 1e3)
    }),
    ("DCGM_FI_DEV_SM_CLOCK", "Clock of the processors, in MHz", |it| it.clock_mhz.map(f64::from)),
    ("DCGM_FI_DEV_XID_ERRORS", "The last XID error, 0 for none", |it| {
        Some(it.last_xid.unwrap_or_default() as f64)
    }),
    (
        "DCGM_FI_DEV_ECC_DBE_VOL_TOTAL",
        "Memory errors that could not be corrected, since the driver was loaded",
        |it| it.ecc_uncorrected.map(|errors| errors as f64),
    ),
    ("DCGM_FI_DEV_RETIRED_SBE", "Memory pages retired after single bit errors", |it| {
        it.retired.map(|pages| f64::from(pages.single_bit))
    }),
    ("DCGM_FI_DEV_RETIRED_DBE", "Memory pages retired after a double bit error", |it| {
        it.retired.map(|pages| f64::from(pages.double_bit))
    }),
    ("DCGM_FI_DEV_RETIRED_PENDING", "1 if pages wait to be retired", |it| {
        it.retired.map(|pages| f64::from(u8::from(pages.pending)))
    }),
    ("DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS", "Memory rows replaced after such errors", |it| {
        it.remapped.map(|rows| f64::from(rows.uncorrectable))
    }),
    ("DCGM_FI_DEV_ROW_REMAP_FAILURE", "1 if no spare row was left", |it| {
        it.remapped.map(|rows| f64::from(u8::from(rows.failed)))
    }),
];

/// All GPUs of all hosts.
#[derive(Debug)]
pub struct Gpus {
    shelf: Shelf,
    fields: Vec<GaugeVec>,
}

impl Gpus {
    /// With nothing in it.
    pub fn new() -> Result<Self, prometheus::Error> {
        let mut shelf = Shelf::new()?;
        let fields = FIELDS.iter().map(|(name, meaning, _)| shelf.amounts(name, meaning, &LABELS));
        let fields = fields.collect::<Result<_, _>>()?;
        Ok(Self { shelf, fields })
    }

    /// As the hosts reported last.
    pub fn of(fleet: &Fleet) -> Result<Self, prometheus::Error> {
        let gpus = Self::new()?;
        fleet.hosts.values().for_each(|host| gpus.host(host));
        Ok(gpus)
    }

    fn host(&self, host: &Host) {
        let Some(heard) = &host.heard else { return };
        for used in &heard.facts.gpus.used {
            let device = heard.gpus.iter().find(|device| device.gpu == used.gpu);
            self.gpu(host.id.as_str(), &heard.facts, device, used);
        }
    }

    fn gpu(&self, host: &str, facts: &HostFacts, device: Option<&GpuDevice>, used: &GpuUse) {
        let index = used.index.map(|index| index.to_string()).unwrap_or_default();
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let (bus, node) = (text(&used.bus), text(&used.device));
        let model = device.map_or("", |device| device.model.as_str());
        let driver = facts.gpus.driver.as_str();
        let labels: [&str; 9] =
            [&index, used.gpu.as_str(), &bus, &node, model, host, host, host, driver];
        for ((_, _, value), gauges) in FIELDS.iter().zip(&self.fields) {
            if let Some(value) = value(used) {
                set(gauges, &labels, value);
            }
        }
    }

    /// All values as they are.
    pub fn gather(&self) -> Vec<MetricFamily> {
        self.shelf.gather()
    }

    /// The descriptions.
    pub fn series(&self) -> Vec<Series> {
        self.shelf.series()
    }
}
