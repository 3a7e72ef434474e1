//! What one round of questions finds, in words that are no library's.

use std::fmt;

use berth_common::link::{RemappedRows, RetiredPages};
use berth_common::{ByteCount, GpuId};

/// Asks about the GPUs of this host. Every call may block for ever, when the driver hangs: only
/// the thread of [`super::sampler`] makes them.
pub trait Source: Send + 'static {
    /// Asks about all GPUs; opens the library first when it is not open.
    ///
    /// # Errors
    /// Why nothing is known of any GPU of this host.
    fn round(&mut self) -> Result<Round, Absence>;

    /// What waits for events, for a thread of its own; `None` while the source is not open. It is
    /// to be asked for again after each time that it ended.
    fn events(&mut self) -> Option<Box<dyn Events>>;
}

/// Events of GPUs, for one thread.
pub trait Events: Send {
    /// Hands each event over, until the source closes or when it reports none at all.
    fn run(self: Box<Self>, take: &mut dyn FnMut(Event));
}

/// Something happened to a GPU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The driver reports an XID error.
    Xid {
        /// Of which GPU; `None` if the driver could not say.
        gpu: Option<GpuId>,
        /// The number, as in NVIDIA's catalogue.
        xid: u64,
    },
    /// A GPU is gone, without saying which: a round tells.
    Lost,
}

/// Why nothing is known of any GPU of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Absence {
    /// No NVML library, or no driver: a host without GPUs.
    None(String),
    /// The driver was replaced while the former one is still loaded.
    Mismatch,
    /// Anything else that the library says.
    Other(String),
}

impl fmt::Display for Absence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None(why) => write!(f, "no GPUs: {why}"),
            Self::Mismatch => f.write_str(
                "the NVIDIA driver was replaced and the former one is still loaded: \
                 reboot the host, until then its GPUs cannot be used",
            ),
            Self::Other(why) => write!(f, "NVML does not tell about the GPUs: {why}"),
        }
    }
}

/// One round over all GPUs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Round {
    /// The driver's version, e.g. `580.159.04`.
    pub driver: String,
    /// What was found at each place, in NVML's order.
    pub places: Vec<Place>,
}

/// One place in NVML's order: a GPU, or what became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    /// NVML's index. It may be another one after a reboot.
    pub index: u32,
    /// The GPU there, as far as it ever told its name.
    pub gpu: Option<GpuId>,
    /// The GPU and, where it is split, its instances; or why it does not tell.
    pub found: Result<Found, Fault>,
}

/// A GPU that answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The GPU as a whole.
    pub device: Reading,
    /// Its MIG instances; `None` when it is not split.
    pub instances: Option<Vec<Reading>>,
}

/// Why a GPU does not tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It fell off the bus, or needs a reset.
    Lost,
    /// Anything else that the library says.
    Other(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost => f.write_str("it fell off the bus or needs a reset"),
            Self::Other(why) => write!(f, "NVML answers: {why}"),
        }
    }
}

/// What is known of one GPU, or of one instance of a split one. A value that the device or the
/// driver does not support is `None`.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// Its name for ever.
    pub gpu: GpuId,
    /// The model, e.g. `Tesla K80`.
    pub model: String,
    /// Its place on the PCI bus, e.g. `00000000:05:00.0`.
    pub bus: String,
    /// NVML's index. It may be another one after a reboot.
    pub index: u32,
    /// The number in the name of its device node, `/dev/nvidia0`.
    pub minor: Option<u32>,
    /// What the GPUs of one board have in common, where a board has several.
    pub board: Option<u32>,
    /// Compute capability, major and minor.
    pub capability: Option<(u32, u32)>,
    /// Its memory.
    pub memory: Memory,
    /// Share of the last moments in which a kernel ran, in percent.
    pub busy: Option<u32>,
    /// In °C.
    pub temperature: Option<u32>,
    /// Where the hardware begins to slow down, in °C.
    pub slowdown_at: Option<u32>,
    /// Whether the hardware slows it down now: heat, or a power brake.
    pub slowed_down: bool,
    /// In mW.
    pub power: Option<u32>,
    /// Clock of the processors, in MHz.
    pub clock: Option<u32>,
    /// Memory errors that could not be corrected, since the driver was loaded.
    pub ecc_uncorrected: Option<u64>,
    /// Memory pages taken out of use.
    pub retired: Option<RetiredPages>,
    /// Memory rows replaced by spare ones.
    pub remapped: Option<RemappedRows>,
    /// Processes with a context on it.
    pub processes: Vec<Process>,
}

/// Memory of a GPU.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Memory {
    /// All of it.
    pub total: ByteCount,
    /// Kept by the driver and the hardware, where the driver tells it apart.
    pub reserved: Option<ByteCount>,
    /// Free.
    pub free: ByteCount,
}

impl Memory {
    /// What processes hold. `free` is the truth: what drivers mean by *used* differs. Where the
    /// driver does not tell the reserved memory apart, it is in here.
    pub fn used(&self) -> ByteCount {
        self.total.minus(self.reserved.unwrap_or_default()).minus(self.free)
    }
}

/// A process with a context on a GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    /// Its number on the host.
    pub pid: u32,
    /// What it holds there.
    pub memory: Option<ByteCount>,
    /// The GPU and compute instance, on a split GPU.
    pub instance: Option<(u32, u32)>,
}
