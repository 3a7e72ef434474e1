//! All hosts at once: one row of costs per kind of request, renewed where a host has changed.
//!
//! Hosts of the same shape cost the same, so costs are kept by shape. The scan is over all hosts,
//! none is sampled.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::prices::NANO;
use super::worth::{ClassId, Now, consolidation};
use super::{Cost, Kind, Prices, Shape, Used, Valuation, Worth};

/// Rows kept at most: kinds beyond are rare, and their row is made anew.
const ROWS_MOST: usize = 512;

/// The hosts of a fleet, in a fixed order, with what placing each kind of request on them costs.
#[derive(Debug)]
pub struct Rows {
    valuation: Arc<Valuation>,
    hosts: Vec<Host>,
    slots: Vec<Slot>,
    /// The slot of every shape that some host has.
    slot_of: BTreeMap<Shape, usize>,
    /// Slots whose shape no host has any more.
    unused: Vec<usize>,
    rows: BTreeMap<Kind, Known>,
}

/// What is known of the costs of one kind, by slot.
#[derive(Debug, Default)]
pub struct Known(Vec<Entry>);

/// What one kind costs, host by host.
#[derive(Debug)]
pub struct Costs<'a> {
    valuation: &'a Valuation,
    hosts: &'a [Host],
    slots: &'a [Slot],
    kind: &'a Kind,
    known: &'a mut [Entry],
}

/// One host.
#[derive(Debug, Clone, Copy)]
struct Host {
    slot: usize,
    class: ClassId,
    /// The part of its class that is filled before it, in billionths.
    part: i64,
}

/// One shape, which some hosts have.
#[derive(Debug, Clone)]
struct Slot {
    shape: Shape,
    class: ClassId,
    now: Now,
    hosts: usize,
    /// Rises when the slot gets another shape.
    version: u32,
}

/// The cost of one kind on one slot, as of a version; a slot's first version is 1.
#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    version: u32,
    worth: Option<(i64, Used)>,
}

/// The host with the least cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// Its position.
    pub host: usize,
    /// What it costs there.
    pub cost: Cost,
    /// The devices to use.
    pub used: Used,
}

impl Clone for Rows {
    /// The same hosts at the same costs. What is only there to find things sooner stays behind.
    fn clone(&self) -> Self {
        Self {
            valuation: Arc::clone(&self.valuation),
            hosts: self.hosts.clone(),
            slots: self.slots.clone(),
            slot_of: BTreeMap::new(),
            unused: self.unused.clone(),
            rows: BTreeMap::new(),
        }
    }
}

impl<'a> Costs<'a> {
    fn of(
        valuation: &'a Valuation,
        hosts: &'a [Host],
        slots: &'a [Slot],
        kind: &'a Kind,
        known: &'a mut Known,
    ) -> Self {
        known.0.resize(slots.len(), Entry::default());
        Self { valuation, hosts, slots, kind, known: &mut known.0 }
    }

    /// The cost on a host and the devices to use; `None` if it has no room.
    pub fn at(&mut self, position: usize) -> Option<(Cost, Used)> {
        let host = &self.hosts[position];
        let slot = &self.slots[host.slot];
        let entry = &mut self.known[host.slot];
        if entry.version != slot.version {
            let worth = self.valuation.place(slot.class, &slot.shape, slot.now, self.kind);
            let worth = worth.map(|worth| (worth.cost().0, worth.used));
            *entry = Entry { version: slot.version, worth };
        }
        let (cost, used) = entry.worth?;
        Some((Cost(cost + consolidation(&slot.shape, host.part, self.kind).0), used))
    }
}

impl Rows {
    /// Of hosts in a fixed order.
    pub fn new(prices: Prices, shapes: impl IntoIterator<Item = Shape>) -> Self {
        let mut rows = Self {
            valuation: Arc::new(Valuation::new(prices)),
            hosts: Vec::new(),
            slots: Vec::new(),
            slot_of: BTreeMap::new(),
            unused: Vec::new(),
            rows: BTreeMap::new(),
        };
        for shape in shapes {
            let class = rows.class(&shape);
            let slot = rows.enter(class, shape);
            rows.hosts.push(Host { slot, class, part: 0 });
        }
        rows.order();
        rows
    }

    /// Takes other prices.
    pub fn set_prices(&mut self, prices: Prices) {
        let shapes: Vec<Shape> = (0..self.hosts.len()).map(|host| *self.shape(host)).collect();
        *self = Self::new(prices, shapes);
    }

    /// The prices.
    pub fn prices(&self) -> &Prices {
        self.valuation.prices()
    }

    /// Adds a host behind all others.
    pub fn push(&mut self, shape: Shape) {
        let class = self.class(&shape);
        let slot = self.enter(class, shape);
        self.hosts.push(Host { slot, class, part: 0 });
        self.order();
    }

    /// What a host has left.
    ///
    /// # Panics
    /// When there is no such host; so do all functions that take one.
    pub fn shape(&self, host: usize) -> &Shape {
        &self.slots[self.hosts[host].slot].shape
    }

    /// The host with the least cost among those that have room and that `may` be used; among
    /// equals the first.
    pub fn best(&mut self, kind: &Kind, mut may: impl FnMut(usize) -> bool) -> Option<Choice> {
        let mut best: Option<Choice> = None;
        self.each(kind, |host, cost, used| {
            if best.is_none_or(|best| cost < best.cost) && may(host) {
                best = Some(Choice { host, cost, used });
            }
        });
        best
    }

    /// Tells the cost and the devices of every host that has room, in order.
    pub fn each(&mut self, kind: &Kind, mut tell: impl FnMut(usize, Cost, Used)) {
        let hosts = self.hosts.len();
        let mut costs = self.costs(kind);
        for position in 0..hosts {
            if let Some((cost, used)) = costs.at(position) {
                tell(position, cost, used);
            }
        }
    }

    /// What a kind costs on the hosts that will be asked for; kept for the next time.
    pub fn costs<'a>(&'a mut self, kind: &'a Kind) -> Costs<'a> {
        if self.rows.len() >= ROWS_MOST && !self.rows.contains_key(kind) {
            self.rows.clear();
        }
        let row = self.rows.entry(*kind).or_default();
        Costs::of(&self.valuation, &self.hosts, &self.slots, kind, row)
    }

    /// The same of hosts that are only looked at: it is kept in `row`, for this kind alone.
    pub fn costs_once<'a>(&'a self, kind: &'a Kind, row: &'a mut Known) -> Costs<'a> {
        Costs::of(&self.valuation, &self.hosts, &self.slots, kind, row)
    }

    /// The terms of the cost on one host; `None` if it has no room.
    pub fn worth(&self, host: usize, kind: &Kind) -> Option<Worth> {
        let Host { slot, part, .. } = self.hosts[host];
        let Slot { shape, class, now, .. } = &self.slots[slot];
        let worth = self.valuation.place(*class, shape, *now, kind)?;
        Some(Worth { consolidation: consolidation(shape, part, kind), ..worth })
    }

    /// Places a request; false if the devices have no such room, and then nothing has changed.
    pub fn place(&mut self, host: usize, kind: &Kind, used: Used) -> bool {
        self.replace(host, self.shape(host).after(kind, used))
    }

    /// Ends what was placed; false if it was not, and then nothing has changed.
    pub fn release(&mut self, host: usize, kind: &Kind, used: Used) -> bool {
        self.replace(host, self.shape(host).before(kind, used))
    }

    /// Gives a host what it has left, as told from outside.
    pub fn set(&mut self, host: usize, shape: Shape) {
        let class = self.class(&shape);
        let other = class != self.hosts[host].class;
        self.hosts[host].class = class;
        self.replace(host, Some(shape));
        if other {
            self.order();
        }
    }

    /// The class of a host. One of a new size is rare.
    fn class(&mut self, shape: &Shape) -> ClassId {
        let known = self.valuation.known_class(shape);
        known.unwrap_or_else(|| Arc::make_mut(&mut self.valuation).class(shape))
    }

    fn replace(&mut self, host: usize, shape: Option<Shape>) -> bool {
        let Some(shape) = shape else { return false };
        let Host { slot: old, class, .. } = self.hosts[host];
        self.slots[old].hosts -= 1;
        if self.slots[old].hosts == 0 {
            self.slot_of.remove(&self.slots[old].shape);
            self.unused.push(old);
        }
        self.hosts[host].slot = self.enter(class, shape);
        true
    }

    /// The slot of a shape, with one more host.
    fn enter(&mut self, class: ClassId, shape: Shape) -> usize {
        if let Some(slot) = self.slot_of.get(&shape) {
            self.slots[*slot].hosts += 1;
            return *slot;
        }
        let now = self.valuation.now(class, &shape);
        let new = |version| Slot { shape, class, now, hosts: 1, version };
        let slot = match self.unused.pop() {
            Some(slot) => {
                self.slots[slot] = new(self.slots[slot].version + 1);
                slot
            }
            None => {
                self.slots.push(new(1));
                self.slots.len() - 1
            }
        };
        self.slot_of.insert(shape, slot);
        slot
    }

    /// Gives every host its place in its class. Classes fill side by side: a fleet sorted by type
    /// would else fill one type first, and those who need that type would find it full.
    fn order(&mut self) {
        let mut sizes: BTreeMap<ClassId, i64> = BTreeMap::new();
        self.hosts.iter().for_each(|host| *sizes.entry(host.class).or_default() += 1);
        let mut seen: BTreeMap<ClassId, i64> = BTreeMap::new();
        for host in &mut self.hosts {
            let before = seen.entry(host.class).or_default();
            host.part = *before * NANO / sizes[&host.class];
            *before += 1;
        }
    }
}
