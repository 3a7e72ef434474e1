//! What placing a request on a host costs, term by term.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::fragmentation::Usability;
use super::prices::NANO;
use super::value::Value;
use super::{Group, Kind, Priced, Prices, Shape, Used, WHOLE_MILLI};

/// Value lost counts this much more than fragmentation. Value is what the mix pays for, a loss is
/// a loss in every future; fragmentation is weighted by the chance of each kind, so it only orders
/// what loses nothing. From 20 to 1000 the replays reach the same.
const VALUE_WEIGHT: i64 = 100;

/// The last host of a class costs this many devices more than the first: more than fragmentation
/// among equal hosts, so that these fill one after the other. Between classes it lets the one that
/// is better by the other terms fill ahead, but only so far. From 1 to 10 the replays reach the
/// same.
const CONSOLIDATION: i64 = 2 * NANO;

/// The part of pressure that is paid for: enough to order hosts that are equal otherwise, and too
/// little to strand value. From 0.1 to 0.5 the replays reach the same.
const SCARCITY_DIVISOR: i64 = 5;

/// A cost, in billionths of a device.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Cost(pub i64);

impl fmt::Display for Cost {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milli = (self.0 + (NANO / 2000) * self.0.signum()) / (NANO / 1000);
        let sign = if milli < 0 { "-" } else { "" };
        write!(formatter, "{sign}{}.{:03} GPU", milli.abs() / 1000, milli.abs() % 1000)
    }
}

/// What placing one request on one host costs; the least wins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worth {
    /// What the host's leftovers could have earned and no longer can, weighted.
    pub value_lost: Cost,
    /// How much more idle GPU the mix cannot use.
    pub fragmentation: Cost,
    /// What is asked for most is entered last.
    pub scarcity: Cost,
    /// Hosts of one class fill in a fixed order.
    pub consolidation: Cost,
    /// The devices that it would use.
    pub used: Used,
}

impl Worth {
    /// The sum.
    pub fn cost(&self) -> Cost {
        Cost(self.value_lost.0 + self.fragmentation.0 + self.scarcity.0 + self.consolidation.0)
    }
}

/// Hosts for which all prices mean the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ClassId(usize);

/// Prices, made ready for decisions.
#[derive(Debug, Clone)]
pub struct Valuation {
    prices: Prices,
    classes: Vec<Class>,
    /// By group, number of devices, and which kinds fit on the empty host.
    ids: BTreeMap<(Group, usize, Vec<bool>), ClassId>,
    /// By the empty host, which is most of them at once: hosts come in few sizes.
    sizes: BTreeMap<Shape, ClassId>,
}

#[derive(Debug, Clone)]
struct Class {
    value: Value,
    usability: Usability,
    pressure_ppm: i64,
}

/// What the terms need of a host as it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    value_nano: i64,
    unusable_nano: i64,
}

impl Valuation {
    /// Of these prices.
    pub fn new(prices: Prices) -> Self {
        Self { prices, classes: Vec::new(), ids: BTreeMap::new(), sizes: BTreeMap::new() }
    }

    /// The prices.
    pub fn prices(&self) -> &Prices {
        &self.prices
    }

    /// What placing a request on a host of this shape costs, `part` (in billionths) of its class
    /// being filled before it; `None` if it does not fit.
    pub fn worth(&mut self, shape: &Shape, part: i64, kind: &Kind) -> Option<Worth> {
        let class = self.class(shape);
        let now = self.now(class, shape);
        let worth = self.place(class, shape, now, kind)?;
        Some(Worth { consolidation: consolidation(shape, part, kind), ..worth })
    }

    /// The class of a host, if one of its size has been seen.
    pub(super) fn known_class(&self, shape: &Shape) -> Option<ClassId> {
        self.sizes.get(&shape.empty()).copied()
    }

    /// The class of a host.
    pub(super) fn class(&mut self, shape: &Shape) -> ClassId {
        let empty = shape.empty();
        if let Some(id) = self.sizes.get(&empty) {
            return *id;
        }
        let id = self.class_of(&empty);
        self.sizes.insert(empty, id);
        id
    }

    fn class_of(&mut self, empty: &Shape) -> ClassId {
        let fits: Vec<bool> =
            self.prices.kinds.iter().map(|priced| empty.fits(&priced.kind)).collect();
        let devices = empty.devices.left_milli().len();
        let key = (empty.group, devices, fits);
        if let Some(id) = self.ids.get(&key) {
            return *id;
        }
        let kinds: Vec<&Priced> = self
            .prices
            .kinds
            .iter()
            .zip(&key.2)
            .filter(|(_, fits)| **fits)
            .map(|(priced, _)| priced)
            .collect();
        let class = Class {
            value: Value::of(&self.prices, &kinds, devices),
            usability: Usability::of(&kinds, &self.prices.kinds),
            pressure_ppm: self.prices.pressure_ppm.get(&empty.group).copied().unwrap_or_default(),
        };
        let id = ClassId(self.classes.len());
        self.classes.push(class);
        self.ids.insert(key, id);
        id
    }

    /// How a host of this shape is before anything is placed.
    pub(super) fn now(&self, class: ClassId, shape: &Shape) -> Now {
        let Class { value, usability, .. } = &self.classes[class.0];
        let fitting = usability.fitting(shape.cpu_milli, shape.memory_mib);
        Now {
            value_nano: value.left_nano(shape),
            unusable_nano: usability.unusable_nano(&fitting, &shape.devices),
        }
    }

    /// What placing a request costs but for consolidation; `None` if it does not fit.
    pub(super) fn place(
        &self,
        class: ClassId,
        shape: &Shape,
        now: Now,
        kind: &Kind,
    ) -> Option<Worth> {
        if !shape.fits(kind) {
            return None;
        }
        // Without devices there is nothing to earn, to break up or to be short of: no term counts.
        if shape.devices.left_milli().is_empty() {
            return Some(Worth::default());
        }
        let Class { value, usability, pressure_ppm } = &self.classes[class.0];
        let fitting =
            usability.fitting(shape.cpu_milli - kind.cpu_milli, shape.memory_mib - kind.memory_mib);
        // A thousandth of a device times a millionth is a billionth.
        let scarcity = Cost(pressure_ppm * shape.size_milli(kind) / SCARCITY_DIVISOR);
        let of = |used: Used| {
            let after = shape.after(kind, used)?;
            Some(Worth {
                value_lost: Cost(VALUE_WEIGHT * (now.value_nano - value.left_nano(&after))),
                fragmentation: Cost(
                    usability.unusable_nano(&fitting, &after.devices) - now.unusable_nano,
                ),
                scarcity,
                consolidation: Cost(0),
                used,
            })
        };
        if !kind.gpu.is_share() {
            return of(shape
                .choices(kind)
                .take(usize::from(kind.gpu.count()))
                .fold(Used::default(), Used::and));
        }
        // Devices with the same left are the same: the first of them stands for all.
        let left = shape.devices.left_milli();
        let mut seen = [false; WHOLE_MILLI as usize + 1];
        shape
            .choices(kind)
            .filter(|device| !std::mem::replace(&mut seen[usize::from(left[*device])], true))
            .filter_map(|device| of(Used::one(device)))
            // The first of the least: the lowest device.
            .min_by_key(Worth::cost)
    }
}

/// What it costs that `part` (in billionths) of a host's class is filled before it. A request
/// without GPU fills all hosts without devices before any host with devices.
pub(super) fn consolidation(shape: &Shape, part: i64, kind: &Kind) -> Cost {
    let taken = i64::from(kind.gpu.count() == 0 && !shape.devices.left_milli().is_empty());
    Cost(CONSOLIDATION / NANO * part + CONSOLIDATION * taken)
}
