//! What is the case at the moment of a scrape: hosts, pools, servers, people.

use std::collections::BTreeMap;

use berth_common::{ByteCount, Seconds, Timestamp};
use berth_core::largest::largest_start;
use berth_core::{Fleet, Host, Phase, ServerState};
use prometheus::proto::MetricFamily;
use prometheus::{Gauge, GaugeVec};

use super::each::Each;
use super::gpus;
use super::shelf::{Series, Shelf};
use crate::keys;
use crate::site::Hub;
use crate::web::api::berth::usage::{self, By, MONTH_MICROS, Sum};

const DAY: Seconds = Seconds(86_400);

/// Series that are filled anew for each scrape: what is gone leaves no last value behind.
#[derive(Debug)]
pub struct Present {
    shelf: Shelf,
    running: Gauge,
    people: Gauge,
    active: GaugeVec,
    host_state: GaugeVec,
    host_memory: GaugeVec,
    report_age: GaugeVec,
    load: GaugeVec,
    agent: GaugeVec,
    largest: GaugeVec,
    oversubscription: GaugeVec,
    queue: GaugeVec,
    queue_wait: GaugeVec,
    servers: GaugeVec,
    spaces: GaugeVec,
    looks: GaugeVec,
    participants: GaugeVec,
    memory_used: GaugeVec,
    gpu_time: GaugeVec,
    gpus: GaugeVec,
    images: GaugeVec,
    config: GaugeVec,
    each: Each,
}

impl Present {
    /// With nothing in it.
    pub fn new() -> Result<Self, prometheus::Error> {
        let mut shelf = Shelf::new()?;
        Ok(Self {
            running: shelf.amount("jupyterhub_running_servers", "Servers that answer")?,
            people: shelf.amount("jupyterhub_total_users", "People with an account")?,
            active: shelf.amounts(
                "jupyterhub_active_users",
                "People of whom there was a sign within the period",
                &["period"],
            )?,
            host_state: shelf.amounts(
                "berth_host_state",
                "1 for the state in which the host is",
                &["host", "pool", "state"],
            )?,
            host_memory: shelf.amounts(
                "berth_host_memory_bytes",
                "Memory of a host: total, usable by servers, reserved by their limits, guaranteed \
                 (their peaks), used by them, promised to people who wait, free by the kernel's \
                 count",
                &["host", "kind"],
            )?,
            report_age: shelf.amounts(
                "berth_host_report_age_seconds",
                "Age of the host's newest report",
                &["host"],
            )?,
            load: shelf.amounts(
                "berth_host_load",
                "The host's load average of the last minute",
                &["host"],
            )?,
            agent: shelf.amounts(
                "berth_agent_info",
                "1 for the agent that runs on the host",
                &["host", "version", "docker", "nvml", "driver"],
            )?,
            largest: shelf.amounts(
                "berth_pool_largest_start_bytes",
                "The largest memory limit with which a server would start in the pool now: the one \
                 number to alert on",
                &["pool"],
            )?,
            oversubscription: shelf.amounts(
                "berth_pool_oversubscription_ratio",
                "Limits of the pool's servers over the usable memory of its hosts",
                &["pool"],
            )?,
            queue: shelf.amounts("berth_queue_length", "Servers that wait", &["profile"])?,
            queue_wait: shelf.amounts(
                "berth_queue_wait_seconds",
                "For how long the first of those who wait has waited",
                &["profile"],
            )?,
            servers: shelf.amounts(
                "berth_servers",
                "Servers that are not ended, by state; the group is the owner's main one",
                &["profile", "pool", "group", "state"],
            )?,
            spaces: shelf.amounts(
                "berth_host_mount_ok",
                "1 if the watched space answers on the host, else 0",
                &["host", "mount"],
            )?,
            looks: shelf.amounts(
                "berth_host_mount_stat_seconds",
                "How long the newest look at the watched space took on the host, an answer or not",
                &["host", "mount"],
            )?,
            participants: shelf.amounts(
                "berth_training_participants",
                "People of a training whose hours are not over: expected, and connected now",
                &["training", "kind"],
            )?,
            memory_used: shelf.amounts(
                "berth_usage_gibibyte_hours",
                "Memory of the last 30 days by main group: reserved by limits, and used",
                &["group", "kind"],
            )?,
            gpu_time: shelf.amounts(
                "berth_usage_gpu_hours",
                "GPUs held in the last 30 days by main group",
                &["group"],
            )?,
            gpus: shelf.amounts(
                "berth_host_gpus",
                "GPUs of a host: free, used, idle_held (a server has it and it computes nothing \
                 now), promised to somebody who waits, or broken (set aside)",
                &["host", "model", "state"],
            )?,
            images: shelf.amounts(
                "berth_image_present",
                "1 if an image of images.toml is on the host, else 0",
                &["host", "image"],
            )?,
            config: shelf.amounts(
                "berth_config_info",
                "1 for the files in force: the beginning of their hash",
                &["commit"],
            )?,
            each: Each::new(&mut shelf)?,
            shelf,
        })
    }

    /// What is the case now.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn of(hub: &Hub, now: Timestamp) -> anyhow::Result<Self> {
        let present = Self::new()?;
        let fleet = hub.fleet.fleet();
        let people = hub.storage.read(berth_store::Reader::users)?;
        let last_seen: Vec<Timestamp> = people
            .iter()
            .map(|user| {
                let servers = fleet.servers_of(&user.account.name);
                servers.map(|server| server.last_activity).fold(user.last_activity, Ord::max)
            })
            .collect();
        present.people(&last_seen, now);
        present.servers(&fleet, now);
        fleet.hosts.values().for_each(|host| present.host(&fleet, host, now));
        present.pools(&fleet);
        present.trainings(&fleet, now);
        present.groups(&fleet, now);
        present.each.look(&fleet, &people, hub.config().hub.per_user, now);
        let files = hub.configuration.in_force().files;
        let texts = files.0.iter().fold(String::new(), |all, (name, text)| all + name + text);
        let digits = keys::hash(&texts).map(|byte| format!("{byte:02x}")).concat();
        set(&present.config, &[digits.get(..12).unwrap_or_default()], 1.0);
        Ok(present)
    }

    fn people(&self, last_seen: &[Timestamp], now: Timestamp) {
        self.people.set(last_seen.len() as f64);
        for (period, days) in [("24h", 1), ("7d", 7), ("30d", 30)] {
            let span = Seconds(DAY.0 * days);
            let active = last_seen.iter().filter(|seen| seen.plus(span) >= now).count();
            set(&self.active, &[period], active as f64);
        }
    }

    fn servers(&self, fleet: &Fleet, now: Timestamp) {
        let mut states: BTreeMap<(&str, &str, &str, String), u32> = BTreeMap::new();
        let mut waiting: BTreeMap<&str, (u32, u64)> =
            fleet.settings.profiles.keys().map(|name| (name.as_str(), (0, 0))).collect();
        let mut running = 0_u32;
        for server in fleet.servers.values().filter(|server| server.is_active()) {
            let state = fleet.server_state(server, now);
            running += u32::from(state == ServerState::Running);
            let profile = server.ask.profile.as_str();
            let known = fleet.settings.profiles.get(profile);
            let pool = known.map_or("", |profile| profile.pool.as_str());
            let labels = (profile, pool, server.main_group(), state.to_string());
            *states.entry(labels).or_default() += 1;
            if let Phase::Waiting { since, .. } = &server.phase {
                let (length, longest) = waiting.entry(profile).or_default();
                *length += 1;
                *longest = (*longest).max(now.millis_since(*since));
            }
        }
        self.running.set(f64::from(running));
        for ((profile, pool, group, state), count) in states {
            set(&self.servers, &[profile, pool, group, &state], f64::from(count));
        }
        for (profile, (length, longest)) in waiting {
            set(&self.queue, &[profile], f64::from(length));
            set(&self.queue_wait, &[profile], longest as f64 / 1e3);
        }
    }

    fn host(&self, fleet: &Fleet, host: &Host, now: Timestamp) {
        let name = host.id.as_str();
        let pool = fleet.host_settings(&host.id).map_or("", |settings| settings.pool.as_str());
        let state = fleet.host_state(host, now).to_string();
        set(&self.host_state, &[name, pool, &state], 1.0);
        let Some(heard) = &host.heard else { return };
        set(&self.report_age, &[name], now.millis_since(heard.at) as f64 / 1e3);
        if let Some(load) = heard.load() {
            set(&self.load, &[name], load);
        }
        let facts = &heard.facts;
        let nvml = match (facts.gpus.driver.is_empty(), facts.gpus.trouble.is_empty()) {
            (true, true) => "none",
            (_, false) => "trouble",
            (false, true) => "ok",
        };
        let driver = facts.gpus.driver.as_str();
        let labels = [name, &facts.agent_version, &facts.engine_version, nvml, driver];
        set(&self.agent, &labels, 1.0);
        for image in fleet.settings.images.values() {
            let is_there = facts.images.contains(&image.reference);
            set(&self.images, &[name, &image.reference], f64::from(u8::from(is_there)));
        }
        let promised: u64 = fleet
            .waiting()
            .filter(|server| server.holds_on() == Some(&host.id))
            .map(|server| server.ask.memory.0)
            .sum();
        let peaks: u64 = heard.observed.values().map(|one| one.usage.memory_highest.0).sum();
        let used: u64 = heard.observed.values().map(|one| one.memory_used.0).sum();
        for (kind, amount) in [
            ("total", heard.capacity.memory_total),
            ("usable", fleet.usable_on(host).memory),
            ("reserved", fleet.reserved_on(&host.id).memory),
            ("used", ByteCount(used)),
            ("guaranteed", ByteCount(peaks)),
            ("promised", ByteCount(promised)),
            ("free", heard.capacity.memory_free),
        ] {
            set(&self.host_memory, &[name, kind], amount.0 as f64);
        }
        for space in &heard.spaces {
            set(&self.spaces, &[name, &space.name], f64::from(u8::from(space.trouble.is_none())));
            if let Some(took) = space.took {
                set(&self.looks, &[name, &space.name], took.as_secs_f64());
            }
        }
        gpus::count(&self.gpus, fleet, host, heard);
    }

    fn pools(&self, fleet: &Fleet) {
        for pool in fleet.settings.pools.keys() {
            set(&self.largest, &[pool], largest_start(fleet, pool).0 as f64);
            let in_pool = |host: &&std::sync::Arc<Host>| {
                fleet.host_settings(&host.id).is_some_and(|settings| settings.pool == *pool)
            };
            let (mut reserved, mut usable) = (0.0, 0.0);
            for host in fleet.hosts.values().filter(in_pool) {
                reserved += fleet.reserved_on(&host.id).memory.0 as f64;
                usable += fleet.usable_on(host).memory.0 as f64;
            }
            if usable > 0.0 {
                set(&self.oversubscription, &[pool], reserved / usable);
            }
        }
    }

    fn trainings(&self, fleet: &Fleet, now: Timestamp) {
        for (name, training) in &fleet.settings.trainings {
            if training.windows.iter().all(|window| window.to < now) {
                continue;
            }
            let of_it = fleet.servers.values().filter(|server| server.ask.profile == *name);
            let connected = of_it.filter(|server| server.is_ready()).count();
            set(&self.participants, &[name, "connected"], connected as f64);
            set(&self.participants, &[name, "expected"], f64::from(training.expected));
        }
    }

    fn groups(&self, fleet: &Fleet, now: Timestamp) {
        let from = Timestamp(now.0.saturating_sub(MONTH_MICROS));
        for Sum { name, amount, .. } in usage::sums(fleet, By::Group, from, now, now, |_| true) {
            let gib_hours = |mib_s: u64| mib_s as f64 / 1024.0 / 3600.0;
            set(&self.memory_used, &[&name, "reserved"], gib_hours(amount.mib_s));
            set(&self.memory_used, &[&name, "used"], gib_hours(amount.used_mib_s));
            set(&self.gpu_time, &[&name], amount.gpu_milli_s as f64 / 1000.0 / 3600.0);
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

/// Sets the one series with these labels.
pub(super) fn set(gauges: &GaugeVec, labels: &[&str], value: f64) {
    if let Ok(gauge) = gauges.get_metric_with_label_values(labels) {
        gauge.set(value);
    }
}
