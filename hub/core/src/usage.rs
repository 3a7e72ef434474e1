//! What people used over time: hours of GPUs and of memory, held and really used, by day. Budgets
//! and the fair order of the queue are counted from it.

use std::collections::BTreeMap;
use std::sync::Arc;

use berth_common::{Seconds, Timestamp, Username};
use serde::{Deserialize, Serialize};

use crate::fleet::{Fleet, Placement, Server};
use crate::settings::Metered;

const DAY_S: u64 = 86_400;

/// Amounts held, integrated over time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    /// Thousandths of a GPU times seconds.
    pub gpu_milli_s: u64,
    /// MiB of memory limit times seconds.
    pub mib_s: u64,
    /// MiB of memory really used times seconds.
    #[serde(default)]
    pub used_mib_s: u64,
    /// Thousandths of a GPU that was at work times seconds.
    #[serde(default)]
    pub used_gpu_milli_s: u64,
    /// Servers times seconds.
    #[serde(default)]
    pub server_s: u64,
}

impl Amount {
    /// Adds another amount.
    pub fn add(&mut self, other: Self) {
        self.server_s = self.server_s.saturating_add(other.server_s);
        self.gpu_milli_s = self.gpu_milli_s.saturating_add(other.gpu_milli_s);
        self.mib_s = self.mib_s.saturating_add(other.mib_s);
        self.used_mib_s = self.used_mib_s.saturating_add(other.used_mib_s);
        self.used_gpu_milli_s = self.used_gpu_milli_s.saturating_add(other.used_gpu_milli_s);
    }

    /// Whole hours of a resource that was held, rounded down.
    pub fn hours(&self, resource: Metered) -> u64 {
        match resource {
            Metered::GpuHours => self.gpu_milli_s / 1000 / 3600,
            Metered::GibHours => self.mib_s / 1024 / 3600,
        }
    }

    /// Whole hours of a resource that was really used, rounded down.
    pub fn used_hours(&self, resource: Metered) -> u64 {
        match resource {
            Metered::GpuHours => self.used_gpu_milli_s / 1000 / 3600,
            Metered::GibHours => self.used_mib_s / 1024 / 3600,
        }
    }

    /// One number to compare people by: a GPU weighs like the 32 GiB of memory that a host has for
    /// each of its GPUs.
    pub fn weight(&self) -> u64 {
        self.mib_s.saturating_add(self.gpu_milli_s.saturating_mul(32 * 1024 / 1000))
    }
}

/// One day of one person, numbered from 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageDay {
    /// Who.
    pub user: Username,
    /// The day.
    pub day: u32,
    /// The person's main group on that day.
    pub group: String,
    /// What was held on it by servers that have ended.
    pub amount: Amount,
}

/// All of it, as far as it is over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    days: Arc<BTreeMap<(Username, u32), Booked>>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Booked {
    group: String,
    amount: Amount,
}

impl Usage {
    /// As the store holds it.
    pub fn of(days: impl IntoIterator<Item = UsageDay>) -> Self {
        let days = days
            .into_iter()
            .map(|day| ((day.user, day.day), Booked { group: day.group, amount: day.amount }))
            .collect();
        Self { days: Arc::new(days) }
    }

    /// Books what a server held until now; the days that changed.
    pub fn book(&mut self, server: &Server, now: Timestamp) -> Vec<UsageDay> {
        let mut changed = Vec::new();
        let Some(placement) = counted(server) else { return changed };
        let (user, group) = (&server.owner, server.main_group());
        for (day, amount) in by_day(placement, held_since(placement), now) {
            let days = Arc::make_mut(&mut self.days);
            let booked = days.entry((user.clone(), day)).or_default();
            booked.amount.add(amount);
            booked.group = group.to_owned();
            changed.push(UsageDay {
                user: user.clone(),
                day,
                group: group.to_owned(),
                amount: booked.amount,
            });
        }
        changed
    }

    /// What a person used in the window that ends now, running servers included. Days count whole.
    pub fn of_person(fleet: &Fleet, user: &Username, window: Seconds, now: Timestamp) -> Amount {
        let first = day_of(Timestamp(now.0.saturating_sub(micros(window))));
        let mut sum = Amount::default();
        let days = fleet.usage.days.range((user.clone(), first)..=(user.clone(), u32::MAX));
        days.for_each(|(_, booked)| sum.add(booked.amount));
        for server in fleet.servers_of(user) {
            let Some(placement) = counted(server) else { continue };
            let from = held_since(placement).max(Timestamp(now.0.saturating_sub(micros(window))));
            by_day(placement, from, now).for_each(|(_, amount)| sum.add(amount));
        }
        sum
    }
}

/// What was used on whole days, from the day of one moment to that of another; of today what was
/// used until now, running servers included.
pub fn days(fleet: &Fleet, from: Timestamp, to: Timestamp, now: Timestamp) -> Vec<UsageDay> {
    // A day that has only just begun at the end does not count.
    let window = day_of(from)..=day_of(Timestamp(to.0.saturating_sub(1)));
    let mut days: BTreeMap<(Username, u32), UsageDay> = BTreeMap::new();
    let mut add = |user: &Username, day: u32, group: &str, amount: Amount| {
        if window.contains(&day) {
            let key = (user.clone(), day);
            let empty = || UsageDay {
                user: user.clone(),
                day,
                group: group.to_owned(),
                amount: Amount::default(),
            };
            days.entry(key).or_insert_with(empty).amount.add(amount);
        }
    };
    for ((user, day), booked) in fleet.usage.days.iter() {
        add(user, *day, &booked.group, booked.amount);
    }
    for server in fleet.servers.values() {
        let Some(placement) = counted(server) else { continue };
        for (day, amount) in by_day(placement, held_since(placement), now) {
            add(&server.owner, day, server.main_group(), amount);
        }
    }
    days.into_values().collect()
}

/// What each group used in the window that ends now, as [`Amount::weight`].
pub fn by_group(fleet: &Fleet, window: Seconds, now: Timestamp) -> BTreeMap<&str, u64> {
    let start = Timestamp(now.0.saturating_sub(micros(window)));
    let first = day_of(start);
    let mut groups: BTreeMap<&str, u64> = BTreeMap::new();
    let mut add = |group, amount: Amount| {
        let sum = groups.entry(group).or_default();
        *sum = sum.saturating_add(amount.weight());
    };
    for ((_, day), booked) in fleet.usage.days.iter() {
        if *day >= first {
            add(booked.group.as_str(), booked.amount);
        }
    }
    for server in fleet.servers.values() {
        let Some(placement) = counted(server) else { continue };
        for (_, amount) in by_day(placement, held_since(placement).max(start), now) {
            add(server.main_group(), amount);
        }
    }
    groups
}

/// Where a server is, if it is on its owner's account: one of a rehearsal is not.
fn counted(server: &Server) -> Option<&Placement> {
    server.placement().filter(|_| !server.is_rehearsal())
}

fn held_since(placement: &Placement) -> Timestamp {
    placement.held_since.unwrap_or(placement.placed_at)
}

fn micros(span: Seconds) -> i64 {
    i64::try_from(span.0).unwrap_or(i64::MAX).saturating_mul(1_000_000)
}

fn day_of(moment: Timestamp) -> u32 {
    let second = u64::try_from(moment.0 / 1_000_000).unwrap_or(0);
    u32::try_from(second / DAY_S).unwrap_or(u32::MAX)
}

/// What a placement holds between two moments, day by day. What it used is spread evenly over the
/// time for which it was added up.
fn by_day(
    placement: &Placement,
    from: Timestamp,
    to: Timestamp,
) -> impl Iterator<Item = (u32, Amount)> {
    let second = |moment: Timestamp| u64::try_from(moment.0 / 1_000_000).unwrap_or(0);
    let (from, to) = (second(from), second(to));
    let milli: u64 = placement.gpus.iter().map(|part| u64::from(part.milli)).sum();
    let mib = placement.reservation.memory.mebibytes();
    let used = placement.used;
    let held = to.saturating_sub(second(held_since(placement))).max(1);
    let days = from / DAY_S..=to.max(from) / DAY_S;
    days.filter_map(move |day| {
        let seconds = to.min((day + 1) * DAY_S).saturating_sub(from.max(day * DAY_S));
        let amount = Amount {
            gpu_milli_s: milli * seconds,
            mib_s: mib * seconds,
            used_mib_s: used.mib_s.saturating_mul(seconds) / held,
            used_gpu_milli_s: used.gpu_milli_s.saturating_mul(seconds) / held,
            server_s: seconds,
        };
        (seconds > 0).then_some((u32::try_from(day).unwrap_or(u32::MAX), amount))
    })
}
