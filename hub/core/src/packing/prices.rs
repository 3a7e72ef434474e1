//! What requests earn, what leftovers are asked for, and which hosts are scarce: from the mix of
//! requests and the hosts that are there, by a configuration linear program.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::filling::{Filling, unit};
use super::linear::Program;
use super::{Gpu, Group, Groups, Kind, Mix, Shape};

/// The demand that prices are made for, as a part of what the fleet has. A fleet that is asked for
/// less than it has needs no prices; a little above it, everything that is short shows as short.
/// From 1.0 to 1.1 the replays reach the same.
const LOAD: f64 = 1.05;

/// Kinds beyond the most frequent ones decide nothing, and each costs time in every decision.
const KINDS_MOST: usize = 512;

/// Rounds of new columns after which prices are good enough: the replays need up to 60.
const ROUNDS_MOST: usize = 400;

/// A column earns something new if it earns more than this part of a device.
const NEW_NANO: i64 = 1000;

/// The least part counted, of a device or of all requests: one device is 1e9 nano.
pub(super) const NANO: i64 = 1_000_000_000;

/// All requests, in the unit of [`Priced::often_ppm`].
const ALL_PPM: u64 = 1_000_000;

/// Prices: data for decisions, to be stored with their version.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prices {
    /// Their version, as the caller counts.
    pub version: u64,
    /// The kinds of requests that they know.
    pub kinds: Vec<Priced>,
    /// How much is asked of the devices of each group, in millionths of what they have, if every
    /// request spreads evenly over the devices that it may use.
    pub pressure_ppm: BTreeMap<Group, i64>,
    /// What one thousandth of a CPU is worth if all CPUs are worth as much as all devices, in
    /// billionths of a device.
    pub cpu_nano: i64,
    /// The same of one MiB of memory.
    pub memory_nano: i64,
    /// What the numbers of groups stand for, as the caller says.
    #[serde(default)]
    pub numbering: Numbering,
}

/// The caller's numbers of groups. They depend on what was seen first, so prices mean nothing
/// without them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbering {
    /// The names of the models, by number.
    pub models: Vec<String>,
    /// Number of the pool and number of the model of each group.
    pub groups: Vec<(Option<u16>, u16)>,
}

/// What is known of one kind of requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Priced {
    /// The kind.
    pub kind: Kind,
    /// How many of all requests are of it, in millionths.
    pub often_ppm: i64,
    /// What one more place for it would earn, in billionths of a device: its devices, less what
    /// its place is worth because there are fewer such requests than places for them.
    pub earns_nano: i64,
}

impl Prices {
    /// The prices for a mix of requests on hosts, whatever these have left now.
    pub fn of<'a>(version: u64, mix: &Mix, hosts: impl Iterator<Item = &'a Shape>) -> Self {
        let mut supply = BTreeMap::new();
        for host in hosts {
            *supply.entry(host.empty()).or_insert(0i64) += 1;
        }
        let kinds = most_frequent(mix);
        let total: u64 = kinds.iter().map(|(_, count)| count).sum();
        let earns = Market::of(&kinds, &supply).earns();
        let (devices, cpu, memory) =
            supply.iter().fold((0, 0, 0), |(devices, cpu, memory), (host, hosts)| {
                (
                    devices + hosts * host.devices.left_milli().len() as i64,
                    cpu + hosts * i64::from(host.cpu_total_milli),
                    memory + hosts * i64::from(host.memory_total_mib),
                )
            });
        Self {
            version,
            pressure_ppm: pressure(&kinds, &supply),
            cpu_nano: NANO * devices / cpu.max(1),
            memory_nano: NANO * devices / memory.max(1),
            numbering: Numbering::default(),
            kinds: kinds
                .into_iter()
                .zip(earns)
                .map(|((kind, count), earns_nano)| Priced {
                    kind,
                    often_ppm: (count * ALL_PPM / total) as i64,
                    earns_nano,
                })
                .collect(),
        }
    }
}

/// The kinds that are asked for most, in a fixed order.
fn most_frequent(mix: &Mix) -> Vec<(Kind, u64)> {
    let mut kinds: Vec<(Kind, u64)> = mix.iter().map(|(kind, count)| (*kind, count)).collect();
    kinds.sort_by_key(|(kind, count)| (std::cmp::Reverse(*count), *kind));
    kinds.truncate(KINDS_MOST);
    kinds
}

/// The groups of hosts on which a request has room when they are empty.
fn places(kind: &Kind, supply: &BTreeMap<Shape, i64>) -> Groups {
    supply
        .keys()
        .filter(|host| host.fits(kind))
        .fold(Groups::NONE, |groups, host| groups.with(host.group))
}

/// The devices of each group.
fn devices(supply: &BTreeMap<Shape, i64>) -> BTreeMap<Group, i64> {
    let mut devices = BTreeMap::new();
    for (host, hosts) in supply {
        *devices.entry(host.group).or_default() += hosts * host.devices.left_milli().len() as i64;
    }
    devices.retain(|_, count| *count > 0);
    devices
}

/// How much is asked of each group's devices, as [`Prices::pressure_ppm`] has it.
fn pressure(kinds: &[(Kind, u64)], supply: &BTreeMap<Shape, i64>) -> BTreeMap<Group, i64> {
    let devices = devices(supply);
    let all: i64 = devices.values().sum();
    let demand: i64 =
        kinds.iter().map(|(kind, count)| kind.gpu.total_milli() * *count as i64).sum();
    // Each request asks of a group its part of the devices that it may use, and the group has its
    // part of those: what is left is the request over all devices that it may use.
    let mut pressure: BTreeMap<Group, i64> = devices.keys().map(|group| (*group, 0)).collect();
    for (kind, count) in kinds.iter().filter(|(kind, _)| kind.gpu.count() > 0) {
        let open = places(kind, supply);
        let usable: i64 = devices
            .iter()
            .filter(|(group, _)| open.contains(**group))
            .map(|(_, count)| count)
            .sum();
        if usable == 0 {
            continue;
        }
        let asked = i128::from(kind.gpu.total_milli()) * i128::from(*count) * i128::from(all);
        let part = asked * i128::from(ALL_PPM) / i128::from(demand.max(1)) / i128::from(usable);
        for (_, sum) in pressure.iter_mut().filter(|(group, _)| open.contains(**group)) {
            *sum += part as i64;
        }
    }
    pressure
}

/// Requests that want the same devices of the same groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Want {
    gpu: Gpu,
    places: Groups,
}

/// The program: every device holds shares that fit on it together, or serves one request for whole
/// devices; no more of a kind than is asked for, no more devices than there are; and as much of
/// the devices as possible is used. CPU, memory and the borders of hosts are left to the value of
/// each host, where they bind or do not.
struct Market {
    /// What each kind wants, if any host can serve it.
    wants: Vec<Option<Want>>,
    /// The row of each want.
    rows: BTreeMap<Want, usize>,
    /// The row of each group's devices.
    groups: Vec<(Group, usize)>,
    program: Program,
}

impl Market {
    fn of(kinds: &[(Kind, u64)], supply: &BTreeMap<Shape, i64>) -> Self {
        let devices = devices(supply);
        let wants: Vec<Option<Want>> = kinds
            .iter()
            .map(|(kind, _)| Want { gpu: kind.gpu, places: places(kind, supply) })
            .map(|want| (want.gpu.count() > 0 && want.places != Groups::NONE).then_some(want))
            .collect();
        let mut asked: BTreeMap<Want, u64> = BTreeMap::new();
        for (want, (_, count)) in wants.iter().zip(kinds) {
            want.iter().for_each(|want| *asked.entry(*want).or_default() += count);
        }
        let all = devices.values().sum::<i64>() as f64;
        let demand: i64 =
            asked.iter().map(|(want, count)| want.gpu.total_milli() * *count as i64).sum();
        let scale = LOAD * 1000.0 * all / demand.max(1) as f64;
        // Limits that differ a little more than they would keep the simplex method from steps that
        // earn nothing, of which it could walk in a circle.
        let apart = |row: usize| 1.0 + 1e-5 * (row as f64 * 0.618).fract();
        let mut limits: Vec<f64> = asked
            .values()
            .enumerate()
            .map(|(row, count)| *count as f64 * scale * apart(row))
            .collect();
        let groups: Vec<(Group, usize)> = devices
            .keys()
            .enumerate()
            .map(|(index, group)| (*group, limits.len() + index))
            .collect();
        limits.extend(devices.values().map(|count| *count as f64));
        let rows = asked.keys().enumerate().map(|(row, want)| (*want, row)).collect();
        Self { wants, rows, groups, program: Program::new(limits) }
    }

    /// What one more place for each kind would earn, in billionths of a device.
    fn earns(mut self) -> Vec<i64> {
        self.add_wholes();
        for _ in 0..ROUNDS_MOST {
            self.program.solve();
            if !self.add_fillings() {
                break;
            }
        }
        self.wants.iter().map(|want| want.map_or(0, |want| self.earns_nano(&want).max(0))).collect()
    }

    fn add_wholes(&mut self) {
        for (want, row) in self.rows.iter().filter(|(want, _)| !want.gpu.is_share()) {
            let count = f64::from(want.gpu.count());
            for (_, devices) in self.groups.iter().filter(|(group, _)| want.places.contains(*group))
            {
                self.program.add(vec![(*row, 1.0), (*devices, count)], count);
            }
        }
    }

    /// Adds the best filling of a device of each group; false if none earns more than before.
    fn add_fillings(&mut self) -> bool {
        let shares = || self.rows.iter().filter(|(want, _)| want.gpu.is_share());
        let unit = unit(shares().map(|(want, _)| want.gpu.each_milli()));
        let mut found = Vec::new();
        for (group, devices) in &self.groups {
            let mut best: BTreeMap<u16, (i64, usize)> = BTreeMap::new();
            for (want, row) in shares().filter(|(want, _)| want.places.contains(*group)) {
                let earns = self.earns_nano(want);
                let most = best.entry(want.gpu.each_milli()).or_insert((earns, *row));
                if earns > most.0 {
                    *most = (earns, *row);
                }
            }
            let filling =
                Filling::of(best.iter().map(|(milli, (earns, _))| (*milli, *earns)), unit);
            let price = self.program.prices()[*devices] * NANO as f64;
            if filling
                .earned()
                .last()
                .is_some_and(|earned| *earned as f64 > price + NEW_NANO as f64)
            {
                let pattern = filling.best();
                let mut uses: BTreeMap<usize, f64> = BTreeMap::from([(*devices, 1.0)]);
                pattern.iter().for_each(|milli| *uses.entry(best[milli].1).or_default() += 1.0);
                let profit = pattern.iter().map(|milli| f64::from(*milli) / 1000.0).sum();
                found.push((uses.into_iter().collect(), profit));
            }
        }
        let more = !found.is_empty();
        found.into_iter().for_each(|(uses, profit)| self.program.add(uses, profit));
        more
    }

    /// The devices of a want, less the price of its row.
    fn earns_nano(&self, want: &Want) -> i64 {
        let price = self.rows.get(want).map_or(0.0, |row| self.program.prices()[*row]);
        // Within a host's devices, so far inside the range of an integer.
        ((want.gpu.total_milli() as f64 / 1000.0 - price) * NANO as f64).round() as i64
    }
}
