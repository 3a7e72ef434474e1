//! What a server asks for and a host has: the only capacity arithmetic.

use serde::{Deserialize, Serialize};

use crate::{ByteCount, GpuId};

/// An amount of everything that is counted. GPUs are not amounts but devices: see [`GpuPart`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// Memory, as the container's hard limit.
    pub memory: ByteCount,
    /// Processor time in thousandths of a core, where a profile counts it.
    #[serde(default)]
    pub cpu_milli: u32,
}

/// A GPU, or a part of one, that a server holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct GpuPart {
    /// The device.
    pub gpu: GpuId,
    /// Thousandths of it; 1000 = all of it.
    pub milli: u32,
}

impl Resources {
    /// Whether this much fits into `room`.
    pub fn fits(&self, room: &Self) -> bool {
        self.memory <= room.memory && self.cpu_milli <= room.cpu_milli
    }

    /// Both together.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            memory: self.memory.plus(other.memory),
            cpu_milli: self.cpu_milli.saturating_add(other.cpu_milli),
        }
    }

    /// What is left when `other` is taken away; nothing is ever negative.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        Self {
            memory: self.memory.minus(other.memory),
            cpu_milli: self.cpu_milli.saturating_sub(other.cpu_milli),
        }
    }
}

impl std::iter::Sum for Resources {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::default(), |sum, part| sum.plus(&part))
    }
}
