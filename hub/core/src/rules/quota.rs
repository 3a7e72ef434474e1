//! How much one person may hold at a time, over all their servers.

use berth_common::{ByteCount, Reason, ServerId, Timestamp};

use super::{Notes, Person, counted};
use crate::decision::Looked;
use crate::fleet::{Ask, Fleet, Server};
use crate::settings::{Cite, Merge, Profile, Quota, Quotas};

/// A limit with the line that gave it.
type Limit<T> = Option<(T, Cite)>;

/// A person's limits, number by number; `None`: no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// Servers.
    pub servers: Limit<u32>,
    /// Sum of memory limits.
    pub memory: Limit<ByteCount>,
    /// Sum of GPUs.
    pub gpus: Limit<u32>,
    /// Processors of Dask clusters on the compute farm.
    pub farm_cores: Limit<u32>,
    /// Memory of Dask clusters there.
    pub farm_memory: Limit<ByteCount>,
}

/// A person's limits now. An entry of their own beats those of groups; what nobody says comes from
/// the default.
pub fn quota_of(quotas: &Quotas, person: Person<'_>, now: Timestamp) -> Limits {
    let holds = |quota: &&Quota| quota.until.is_none_or(|until| now < until);
    let own = quotas.users.get(person.name).filter(holds);
    let groups: Vec<&Quota> = quotas
        .groups
        .iter()
        .filter(|(name, _)| person.groups.contains(&name.as_str()))
        .map(|(_, quota)| quota)
        .filter(holds)
        .collect();
    let layers = Layers { own, groups, default: &quotas.default, merge: quotas.merge };
    Limits {
        servers: layers.limit(|quota| quota.servers, u32::saturating_add),
        memory: layers.limit(|quota| quota.memory, ByteCount::plus),
        gpus: layers.limit(|quota| quota.gpus, u32::saturating_add),
        farm_cores: layers.limit(|quota| quota.farm_cores, u32::saturating_add),
        farm_memory: layers.limit(|quota| quota.farm_memory, ByteCount::plus),
    }
}

struct Layers<'a> {
    own: Option<&'a Quota>,
    groups: Vec<&'a Quota>,
    default: &'a Quota,
    merge: Merge,
}

impl Layers<'_> {
    fn limit<T: Copy + Ord>(
        &self,
        of: impl Fn(&Quota) -> Option<T>,
        sum: impl Fn(T, T) -> T,
    ) -> Limit<T> {
        let said = |quota: &Quota| of(quota).map(|limit| (limit, quota.cite.clone()));
        if let Some(own) = self.own.and_then(said) {
            return Some(own);
        }
        let merged =
            self.groups.iter().filter_map(|quota| said(quota)).reduce(|a, b| match self.merge {
                Merge::Max => {
                    if b.0 > a.0 {
                        b
                    } else {
                        a
                    }
                }
                Merge::Min => {
                    if b.0 < a.0 {
                        b
                    } else {
                        a
                    }
                }
                Merge::Sum => (sum(a.0, b.0), a.1),
            });
        merged.or_else(|| said(self.default))
    }
}

/// Notes the three quotas. A training's servers count apart, against its own quota.
pub fn check(
    fleet: &Fleet,
    person: Person<'_>,
    profile: &Profile,
    ask: &Ask,
    without: Option<&ServerId>,
    now: Timestamp,
    notes: &mut Notes,
) {
    let limits = limits(fleet, person, profile, now);
    let held = held(fleet, person, profile, without);
    if let Some((limit, cite)) = limits.servers {
        let count = held.servers;
        let fails = (count >= limit).then(|| {
            (
                Reason::RefusedServers,
                format!("You have {count} servers and may have {limit}. Stop one of them first."),
            )
        });
        notes.add(Looked::QuotaServers { held: count, limit }, fails, Some(&cite));
    }
    if let Some((limit, cite)) = limits.memory {
        let (asked, sum) = (ask.memory, held.memory.plus(ask.memory));
        let fails = (sum > limit)
            .then(|| (Reason::RefusedMemory, too_much(asked, sum, limit, held.memory)));
        notes.add(Looked::QuotaMemory { held: held.memory, asked, limit }, fails, Some(&cite));
    }
    if let Some((limit, cite)) = limits.gpus.filter(|_| ask.gpus > 0) {
        let (asked, sum) = (ask.gpus, held.gpus.saturating_add(ask.gpus));
        let fails = (sum > limit).then(|| {
            let detail = format!("You asked for {asked} GPUs; with your running servers that makes {sum}, your limit is {limit}.");
            (Reason::RefusedGpus, detail)
        });
        notes.add(Looked::QuotaGpus { held: held.gpus, asked, limit }, fails, Some(&cite));
    }
}

/// Memory that a person's quota still has for a profile; `None`: there is no limit.
pub fn memory_left(
    fleet: &Fleet,
    person: Person<'_>,
    profile: &Profile,
    without: Option<&ServerId>,
    now: Timestamp,
) -> Option<ByteCount> {
    let (limit, _) = limits(fleet, person, profile, now).memory?;
    Some(limit.minus(held(fleet, person, profile, without).memory))
}

/// The most GPUs that a request of this profile may still ask for; `None`: no limit.
pub fn gpus_left(
    fleet: &Fleet,
    person: Person<'_>,
    profile: &Profile,
    without: Option<&ServerId>,
    now: Timestamp,
) -> Option<u32> {
    let (limit, _) = limits(fleet, person, profile, now).gpus?;
    Some(limit.saturating_sub(held(fleet, person, profile, without).gpus))
}

fn limits(fleet: &Fleet, person: Person<'_>, profile: &Profile, now: Timestamp) -> Limits {
    match fleet.settings.trainings.get(profile.training.as_deref().unwrap_or_default()) {
        Some(training) => of_training(&training.quota),
        None => quota_of(&fleet.settings.quotas, person, now),
    }
}

/// What a person holds that counts against the same quota as this profile.
fn held(fleet: &Fleet, person: Person<'_>, profile: &Profile, without: Option<&ServerId>) -> Held {
    let training = |server: &Server| {
        let profile = fleet.settings.profiles.get(&server.ask.profile);
        profile.and_then(|profile| profile.training.as_deref())
    };
    let mut held = Held::default();
    let same = counted(fleet, person.name, without)
        .filter(|server| training(server) == profile.training.as_deref());
    same.for_each(|server| held.add(server));
    held
}

fn too_much(asked: ByteCount, sum: ByteCount, limit: ByteCount, held: ByteCount) -> String {
    let left = limit.minus(held);
    let mut text = format!(
        "You asked for {asked}; with your running servers that makes {sum}, your limit is {limit}."
    );
    if left > ByteCount::ZERO {
        text.push_str(&format!(" Ask for {left} or less, or stop a server."));
    }
    text
}

fn of_training(quota: &Quota) -> Limits {
    let cite = &quota.cite;
    Limits {
        servers: quota.servers.map(|limit| (limit, cite.clone())),
        memory: quota.memory.map(|limit| (limit, cite.clone())),
        gpus: quota.gpus.map(|limit| (limit, cite.clone())),
        ..Limits::default()
    }
}

/// What a person's servers hold.
#[derive(Debug, Default)]
struct Held {
    servers: u32,
    memory: ByteCount,
    gpus: u32,
}

impl Held {
    fn add(&mut self, server: &Server) {
        self.servers = self.servers.saturating_add(1);
        self.memory = self.memory.plus(
            server.placement().map_or(server.ask.memory, |placement| placement.reservation.memory),
        );
        self.gpus = self.gpus.saturating_add(server.ask.gpus);
    }
}
