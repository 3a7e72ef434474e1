//! Which host wastes least: the value of what placements leave behind, over several resources.
//!
//! Three questions decide, in units of one GPU ([`Cost`]):
//!
//! 1. **Value lost.** [`Prices`] know what each kind of request earns per use of a GPU, from a
//!    configuration linear program over the mix of requests. A host's value is what its leftovers
//!    can still earn; a placement costs the value that it takes away ([`value`]).
//! 2. **Fragmentation.** How much idle GPU the mix cannot use, after against before
//!    ([`fragmentation`]): it keeps GPUs of a model free for those who may use no other.
//! 3. **Scarcity and consolidation.** What is asked for most is entered last; and among equals
//!    the hosts of each class fill in one fixed order ([`rows`]).
//!
//! Prices are data, computed off the path and versioned. All decisions are integer arithmetic on
//! them, so a replay with the same prices decides the same, bit for bit. The program and the
//! figures that it reaches are in ARCHITECTURE.md.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

mod filling;
mod fragmentation;
mod linear;
mod prices;
mod rows;
mod value;
mod worth;

pub use prices::{Numbering, Priced, Prices};
pub use rows::{Choice, Costs, Known, Rows};
pub use worth::{Cost, Valuation, Worth};

/// The most devices of one host: eight boards with two each.
pub const DEVICES_MOST: usize = 16;

/// A whole device, in thousandths.
pub const WHOLE_MILLI: u16 = 1000;

/// What requests may be limited to: hosts of one GPU model, one pool, one whitelist, or any other
/// distinction among hosts. The caller numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Group(u8);

impl Group {
    /// How many there can be.
    pub const MOST: u8 = 64;

    /// The group of this number, if there can be so many.
    pub fn new(number: u8) -> Option<Self> {
        (number < Self::MOST).then_some(Self(number))
    }
}

/// A set of groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Groups(u64);

impl Groups {
    /// Every group.
    pub const ALL: Self = Self(u64::MAX);
    /// No group.
    pub const NONE: Self = Self(0);

    /// Whether the group is one of them.
    pub fn contains(self, group: Group) -> bool {
        self.0 >> group.0 & 1 == 1
    }

    /// With one more.
    #[must_use]
    pub fn with(self, group: Group) -> Self {
        Self(self.0 | 1 << group.0)
    }
}

/// What a request needs of a host's devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Gpu {
    count: u8,
    each_milli: u16,
}

impl Gpu {
    /// Nothing.
    pub const NONE: Self = Self { count: 0, each_milli: 0 };

    /// A part of one device, 1 to 999 thousandths.
    pub fn share(milli: u16) -> Option<Self> {
        (1..WHOLE_MILLI).contains(&milli).then_some(Self { count: 1, each_milli: milli })
    }

    /// Whole devices of one host, 1 to [`DEVICES_MOST`].
    pub fn whole(count: u8) -> Option<Self> {
        (1..=DEVICES_MOST)
            .contains(&usize::from(count))
            .then_some(Self { count, each_milli: WHOLE_MILLI })
    }

    /// How many devices.
    pub fn count(self) -> u8 {
        self.count
    }

    /// How much of each, in thousandths.
    pub fn each_milli(self) -> u16 {
        self.each_milli
    }

    /// How much in all, in thousandths of a device.
    pub fn total_milli(self) -> i64 {
        i64::from(self.count) * i64::from(self.each_milli)
    }

    /// Whether it is a part of one device.
    pub fn is_share(self) -> bool {
        self.count == 1 && self.each_milli < WHOLE_MILLI
    }
}

/// A kind of request: all requests of one kind are placed alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Kind {
    /// Its devices.
    pub gpu: Gpu,
    /// Thousandths of a CPU.
    pub cpu_milli: u32,
    /// Memory, rounded up.
    pub memory_mib: u32,
    /// The hosts that it may use.
    pub groups: Groups,
}

/// What a host has left, of what it has in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shape {
    /// What requests may be limited to.
    pub group: Group,
    /// All of its CPUs, in thousandths.
    pub cpu_total_milli: u32,
    /// All of its memory, rounded down.
    pub memory_total_mib: u32,
    /// The CPU left, in thousandths.
    pub cpu_milli: u32,
    /// The memory left, rounded down.
    pub memory_mib: u32,
    /// What is left of each device.
    pub devices: Devices,
}

/// What is left of a host's devices, in thousandths. One that is sick or used by others has
/// nothing left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Devices {
    count: u8,
    left_milli: [u16; DEVICES_MOST],
}

impl Devices {
    /// So many free ones, at most [`DEVICES_MOST`].
    pub fn free(count: u8) -> Option<Self> {
        Self::of(&[WHOLE_MILLI; DEVICES_MOST][..usize::from(count).min(DEVICES_MOST)])
            .filter(|devices| devices.count == count)
    }

    /// What is left of each, at most a whole device of at most [`DEVICES_MOST`].
    pub fn of(left_milli: &[u16]) -> Option<Self> {
        let mut devices =
            Self { count: u8::try_from(left_milli.len()).ok()?, left_milli: [0; DEVICES_MOST] };
        devices.left_milli.get_mut(..left_milli.len())?.copy_from_slice(left_milli);
        left_milli.iter().all(|left| *left <= WHOLE_MILLI).then_some(devices)
    }

    /// What is left of each, in thousandths.
    pub fn left_milli(&self) -> &[u16] {
        &self.left_milli[..usize::from(self.count)]
    }

    /// What is left in all, in thousandths of a device.
    pub fn idle_milli(&self) -> i64 {
        self.left_milli().iter().map(|left| i64::from(*left)).sum()
    }
}

/// Which devices of a host a request uses: bit `n` is device `n`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Used(u16);

impl Used {
    /// One device.
    pub fn one(device: usize) -> Self {
        Self(1 << device)
    }

    /// With one more.
    #[must_use]
    pub fn and(self, device: usize) -> Self {
        Self(self.0 | 1 << device)
    }

    /// The devices' numbers, rising.
    pub fn devices(self) -> impl Iterator<Item = usize> {
        (0..DEVICES_MOST).filter(move |device| self.0 >> device & 1 == 1)
    }
}

impl Shape {
    /// A host that has nothing.
    pub const fn nothing() -> Self {
        Self {
            group: Group(Group::MOST - 1),
            cpu_total_milli: 0,
            memory_total_mib: 0,
            cpu_milli: 0,
            memory_mib: 0,
            devices: Devices { count: 0, left_milli: [0; DEVICES_MOST] },
        }
    }

    /// Whether a host of this shape has room for a request, and may be used by it.
    pub fn fits(&self, kind: &Kind) -> bool {
        kind.cpu_milli <= self.cpu_milli
            && kind.memory_mib <= self.memory_mib
            && kind.groups.contains(self.group)
            && self.choices(kind).count() >= usize::from(kind.gpu.count)
    }

    /// The devices with enough left for a request.
    pub fn choices(&self, kind: &Kind) -> impl Iterator<Item = usize> {
        let each = kind.gpu.each_milli;
        self.devices
            .left_milli()
            .iter()
            .enumerate()
            .filter(move |(_, left)| **left >= each)
            .map(|(device, _)| device)
    }

    /// The shape once a request uses these devices; `None` if that does not fit.
    #[must_use]
    pub fn after(&self, kind: &Kind, used: Used) -> Option<Self> {
        let mut after = *self;
        after.cpu_milli = self.cpu_milli.checked_sub(kind.cpu_milli)?;
        after.memory_mib = self.memory_mib.checked_sub(kind.memory_mib)?;
        for device in used.devices() {
            let left =
                after.devices.left_milli[..usize::from(self.devices.count)].get_mut(device)?;
            *left = left.checked_sub(kind.gpu.each_milli)?;
        }
        Some(after)
    }

    /// The shape once a request that uses these devices has left; `None` if it was not here.
    #[must_use]
    pub fn before(&self, kind: &Kind, used: Used) -> Option<Self> {
        let mut before = *self;
        let within = |sum: u32, total| (sum <= total).then_some(sum);
        before.cpu_milli =
            within(self.cpu_milli.checked_add(kind.cpu_milli)?, self.cpu_total_milli)?;
        before.memory_mib =
            within(self.memory_mib.checked_add(kind.memory_mib)?, self.memory_total_mib)?;
        for device in used.devices() {
            let left =
                before.devices.left_milli[..usize::from(self.devices.count)].get_mut(device)?;
            *left = Some(*left + kind.gpu.each_milli).filter(|left| *left <= WHOLE_MILLI)?;
        }
        Some(before)
    }

    /// The shape of the same host with nothing on it.
    fn empty(&self) -> Self {
        let mut empty = *self;
        (empty.cpu_milli, empty.memory_mib) = (self.cpu_total_milli, self.memory_total_mib);
        empty.devices.left_milli[..usize::from(self.devices.count)].fill(WHOLE_MILLI);
        empty
    }

    /// How large a request is on this host, in thousandths of a device: what it takes of the
    /// devices, or of CPU or memory with the devices that it leaves without them, whichever is more.
    fn size_milli(&self, kind: &Kind) -> i64 {
        let part = |asked: u32, total: u32| 1000 * i64::from(asked) / i64::from(total.max(1));
        let share = part(kind.cpu_milli, self.cpu_total_milli)
            .max(part(kind.memory_mib, self.memory_total_mib));
        kind.gpu.total_milli().max(share * i64::from(self.devices.count))
    }
}

/// How often requests of each kind are asked for: the history that stands for what is to come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mix(BTreeMap<Kind, u64>);

impl Mix {
    /// Counts one more request.
    pub fn add(&mut self, kind: Kind) {
        *self.0.entry(kind).or_default() += 1;
    }

    /// The kinds with their counts.
    pub fn iter(&self) -> impl Iterator<Item = (&Kind, u64)> {
        self.0.iter().map(|(kind, count)| (kind, *count))
    }
}

impl FromIterator<Kind> for Mix {
    fn from_iter<I: IntoIterator<Item = Kind>>(kinds: I) -> Self {
        let mut mix = Self::default();
        kinds.into_iter().for_each(|kind| mix.add(kind));
        mix
    }
}

#[cfg(test)]
mod tests;
