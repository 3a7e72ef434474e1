//! The picture as a whole: sums, pools as boxes, and what the colours stand for.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use berth_common::{ByteCount, HostId};
use berth_core::Fleet;
use berth_core::floor::FloorHost;
use berth_core::largest::largest_start;
use berth_core::nearest::kept_in;
use berth_core::placement::Need;

use super::draw::{self, HostBar};
use super::{Sight, words};
use crate::web::pages::words as common;
use crate::web::say;

/// Everything but the side panel.
pub struct Scene {
    pub totals: Totals,
    pub pools: Vec<PoolBox>,
    pub legend: Vec<Entry>,
    /// No host was recorded by then.
    pub empty: bool,
}

/// The top line.
#[derive(Template)]
#[template(path = "floor-totals.html")]
pub struct Totals {
    reserved: String,
    usable: String,
    used: String,
    total: String,
    free: String,
    /// The largest server that would start now without a GPU, and in which pool.
    cpu: Option<(String, String)>,
    gpu: Option<(String, String)>,
    gpus_free: usize,
    gpus: usize,
    /// Those that wait; not known of the past.
    waiting: Option<usize>,
    servers: String,
}

/// A pool.
pub struct PoolBox {
    pub name: String,
    pub sum: String,
    pub hosts: Vec<HostBar>,
}

/// What a colour stands for.
pub struct Entry {
    pub class: String,
    pub name: String,
    pub sum: String,
}

impl Scene {
    /// The picture of what is in sight.
    pub fn of(sight: &Sight) -> Self {
        let pools = by_pool(sight).into_iter().map(|(name, hosts)| PoolBox {
            name: if name.is_empty() {
                say::t(words::NO_POOL).to_string()
            } else {
                name.to_owned()
            },
            sum: pool_sum(&hosts),
            hosts: hosts.iter().map(|host| HostBar::of(sight, host, longest(&hosts))).collect(),
        });
        let entries = sight.shades.names.iter().zip(&sight.shades.sums).enumerate();
        let legend = entries.filter(|(_, (_, (count, _)))| *count > 0);
        Self {
            totals: Totals::of(sight),
            pools: pools.collect(),
            legend: legend
                .map(|(number, (name, (count, reserved)))| Entry {
                    class: sight.shades.class(number),
                    name: name.clone(),
                    sum: format!("{count}, {}", words::short(*reserved)),
                })
                .collect(),
            empty: sight.floor.hosts.is_empty(),
        }
    }
}

fn by_pool<'a>(sight: &'a Sight) -> BTreeMap<&'a str, Vec<&'a Arc<FloorHost>>> {
    let mut pools: BTreeMap<&str, Vec<&Arc<FloorHost>>> = BTreeMap::new();
    for host in &sight.floor.hosts {
        let declared = sight.fleet.host_settings(&host.host);
        let pool = declared.map_or("", |declared| declared.pool.as_str());
        pools.entry(pool).or_default().push(host);
    }
    pools
}

/// All bars, each beside the longest of its pool.
pub fn bars<'a>(sight: &'a Sight) -> impl Iterator<Item = (&'a HostId, HostBar)> {
    by_pool(sight).into_values().flat_map(move |hosts| {
        let longest = longest(&hosts);
        hosts.into_iter().map(move |host| (&host.host, HostBar::of(sight, host, longest)))
    })
}

/// The length of a pool's longest bar, which is as wide as the box: the others are drawn beside it.
fn longest(hosts: &[&Arc<FloorHost>]) -> u64 {
    hosts.iter().map(|host| draw::extent(host)).max().unwrap_or(1)
}

fn pool_sum(hosts: &[&Arc<FloorHost>]) -> String {
    let servers: usize = hosts.iter().map(|host| host.servers.len()).sum();
    let total = hosts.iter().filter_map(|host| host.memory);
    let total = total.fold(ByteCount::ZERO, |sum, memory| sum.plus(memory.total));
    let held = hosts.iter().flat_map(|host| &host.servers);
    let (reserved, used) = held.fold((ByteCount::ZERO, ByteCount::ZERO), |(a, b), held| {
        (a.plus(held.memory.limit), b.plus(held.memory.used))
    });
    format!(
        "{}, {}; {}",
        say::t("hosts-count").with("count", hosts.len()),
        common::servers(servers),
        words::sum(reserved, used, total)
    )
}

impl Totals {
    /// The sums over all that is in sight.
    pub fn of(sight: &Sight) -> Self {
        let Sight { fleet, floor, .. } = sight;
        let mut sums = [ByteCount::ZERO; 5];
        let [reserved, usable, used, total, free] = &mut sums;
        let (mut gpus, mut gpus_free, mut servers) = (0, 0, 0);
        for host in &floor.hosts {
            let memory = host.memory;
            let all = memory.map_or(ByteCount::ZERO, |memory| memory.total);
            let kept = fleet.host_settings(&host.host).map_or(ByteCount::ZERO, |it| it.keep_free);
            *total = total.plus(all);
            *usable = usable.plus(all.minus(kept));
            *free = free.plus(memory.map_or(ByteCount::ZERO, |memory| memory.free));
            for held in &host.servers {
                *reserved = reserved.plus(held.memory.limit);
                *used = used.plus(held.memory.used);
            }
            servers += host.servers.len();
            gpus += host.gpus.len();
            let is_free = |gpu: &&berth_common::link::GpuDevice| {
                let mut held = host.servers.iter().flat_map(|held| &held.gpus);
                gpu.trouble.is_none() && !held.any(|part| part.gpu == gpu.gpu)
            };
            gpus_free += host.gpus.iter().filter(is_free).count();
        }
        let [reserved, usable, used, total, free] = sums.map(words::short);
        let largest = |with_gpu| sight.is_now().then(|| largest(fleet, with_gpu)).flatten();
        Self {
            reserved,
            usable,
            used,
            total,
            free,
            cpu: largest(false),
            gpu: largest(true),
            gpus_free,
            gpus,
            waiting: sight.is_now().then(|| fleet.waiting().count()),
            servers: common::servers(servers),
        }
    }
}

/// The largest server that would start now in any pool, for a person that nobody knows.
fn largest(fleet: &Fleet, with_gpu: bool) -> Option<(String, String)> {
    let of_pool = |pool: &String| match with_gpu {
        false => largest_start(fleet, pool),
        true => largest_with_gpu(fleet, pool),
    };
    let pools = fleet.settings.pools.keys().map(|pool| (of_pool(pool), pool));
    let (most, pool) = pools.max_by_key(|(most, _)| *most)?;
    (most > ByteCount::ZERO).then(|| (words::short(most), pool.clone()))
}

fn largest_with_gpu(fleet: &Fleet, pool: &str) -> ByteCount {
    let rows = fleet.rows();
    let Some(kept) = kept_in(fleet, rows, pool, None) else { return ByteCount::ZERO };
    let most = fleet.hosts.values().map(|host| fleet.usable_on(host).memory).max();
    let most = most.unwrap_or_default();
    let need = Need {
        pool: pool.to_owned(),
        limit: most,
        peak: most,
        gpus: 1,
        gpu_milli: 1000,
        ..Need::default()
    };
    rows.largest_limit(&need, kept).map_or(ByteCount::ZERO, |(_, limit)| limit)
}
