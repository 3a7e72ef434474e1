//! What a server asks for and a host has: the only capacity arithmetic.

use serde::{Deserialize, Serialize};

use crate::ByteCount;

/// An amount of everything that is reserved. Today memory; GPUs and ports join here, so that no
/// other place ever adds or compares capacities.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// Memory, as the container's hard limit.
    pub memory: ByteCount,
}

impl Resources {
    /// Whether this much fits into `room`.
    pub fn fits(&self, room: &Self) -> bool {
        self.memory <= room.memory
    }

    /// Both together.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self { memory: self.memory.plus(other.memory) }
    }

    /// What is left when `other` is taken away; nothing is ever negative.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        Self { memory: self.memory.minus(other.memory) }
    }
}

impl std::iter::Sum for Resources {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::default(), |sum, part| sum.plus(&part))
    }
}
