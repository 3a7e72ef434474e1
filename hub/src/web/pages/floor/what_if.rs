//! What if a host went, hosts came, or the limits of a pool might add up to something else: where
//! servers would find room, by the rules that place them.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::http::Uri;
use berth_common::{ByteCount, HostId, ServerId, Timestamp};
use berth_core::floor::{Floor, FloorHost, FloorServer};
use berth_core::{Fleet, HostState, Settings};

use super::words;
use crate::auth::form::query_value;
use crate::auth::next::escape;
use crate::plan::{self, added};
use crate::web::say;

/// New hosts in one thought: more nobody can see side by side.
const MOST_NEW: usize = 50;
/// The most that limits may add up to, in thousandths of the usable memory.
const MOST_MILLI: u32 = 10_000;

/// What is thought; of the present only.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Thought {
    /// Without this host.
    pub without: Option<HostId>,
    /// With so many more like this host, or like the first of this pool.
    pub more: Option<(String, usize)>,
    /// With limits in this pool up to so many thousandths of the usable memory.
    pub limits: Option<(String, u32)>,
}

impl Thought {
    /// From the address; empty fields of the form say nothing.
    pub fn of(uri: &Uri) -> Self {
        let value = |name| query_value(uri, name).filter(|text| !text.is_empty());
        let count: Option<usize> = value("count").and_then(|text| text.parse().ok());
        let count = count.filter(|count| *count > 0).map(|count| count.min(MOST_NEW));
        let milli = value("times").and_then(|text| milli(&text));
        Self {
            without: value("without").and_then(|text| text.parse().ok()),
            more: value("like").zip(count),
            limits: value("pool").zip(milli),
        }
    }

    /// Whether everything is as it is.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// The fields of an address that say it.
    pub fn query(&self) -> Vec<String> {
        let without = self.without.as_ref().map(|host| format!("without={host}"));
        let more = self.more.as_ref();
        let more = more.map(|(like, count)| format!("like={}&count={count}", escape(like)));
        let limits = self
            .limits
            .as_ref()
            .map(|(pool, milli)| format!("pool={}&times={}", escape(pool), times(*milli)));
        [without, more, limits].into_iter().flatten().collect()
    }
}

/// `1.5` as thousandths.
fn milli(text: &str) -> Option<u32> {
    let times: f64 = text.replace(',', ".").parse().ok()?;
    let is_meant = times > 0.0 && times <= f64::from(MOST_MILLI) / 1000.0;
    // In range, and whole after rounding.
    is_meant.then(|| (times * 1000.0).round() as u32).filter(|milli| *milli > 0)
}

/// Thousandths as people write them.
pub fn times(milli: u32) -> String {
    (f64::from(milli) / 1000.0).to_string()
}

/// The outcome.
pub struct WhatIf {
    /// What was thought, a sentence each.
    pub said: Vec<String>,
    /// What there is not; empty: all is known.
    pub mistake: String,
    /// Of the servers that would have to go, how many would find room elsewhere.
    pub fit: usize,
    /// How many would have to go.
    pub of: usize,
    /// The servers, those that fit nowhere first.
    pub movers: Vec<Moved>,
    /// Of those who wait: all, who would start now, and who would start then.
    pub queue: Option<(usize, usize, usize)>,
    /// The largest server that could start in each pool that changes, now and then.
    pub pools: Vec<(String, String, String)>,
    nowhere: BTreeSet<ServerId>,
    /// The hosts that are not there, with what would start on them.
    added: Vec<Arc<FloorHost>>,
    settings: Arc<Settings>,
}

/// A server that would have to go.
pub struct Moved {
    pub id: String,
    pub owner: String,
    pub memory: String,
    pub gpus: usize,
    /// Where it would go; `None`: nowhere.
    pub to: Option<String>,
}

impl WhatIf {
    /// The fleet as it is thought.
    pub fn of(fleet: &Fleet, thought: &Thought, now: Timestamp) -> Self {
        let removed: BTreeSet<HostId> = thought.without.iter().cloned().collect();
        let mut mistake = String::new();
        if removed.iter().any(|host| fleet.floor.host(host).is_none()) {
            mistake = say::t("no-such-host").to_string();
        }
        let made = thought
            .more
            .as_ref()
            .map(|(like, count)| added::like(fleet, like, None, None, 1..count.saturating_add(1)));
        let new = made.unwrap_or_else(|| Ok(Vec::new())).unwrap_or_else(|_| {
            mistake = say::t("no-such-host").to_string();
            Vec::new()
        });
        let mut settings = Settings::clone(&fleet.settings);
        let mut over = BTreeSet::new();
        if let Some((pool, milli)) = &thought.limits {
            match settings.pools.get_mut(pool) {
                Some(rules) => rules.oversubscribe_milli = *milli,
                None => mistake = say::t("no-such-pool").to_string(),
            }
            over = beyond(fleet, pool, *milli);
        }
        // Who has to go: all of a host that goes, and what a smaller limit has no room for.
        let touched = fleet.floor.hosts.iter().map(|host| host.host.clone()).collect();
        let mut movers = plan::movers(fleet, &touched, now);
        movers.retain(|it| removed.contains(&it.from) || over.contains(&it.held.server));
        let rest = plan::without_servers(&plan::without(&fleet.floor, &removed), &over);
        let (mut after, settings) = plan::with(&rest, &settings, &new);
        let settings = Arc::new(settings);
        let needs = movers.iter().map(|mover| (&mover.need, &mover.held));
        let places = plan::place_all(&mut after, &settings, &fleet.prices, needs);
        let (then, waiting) = plan::would_start(fleet, &mut after, &settings, now);
        let pools = pools(fleet, &after, &settings, thought);
        let (today, _) = plan::would_start(fleet, &mut fleet.floor.clone(), &fleet.settings, now);
        let lost = movers.iter().zip(&places).filter(|(_, place)| place.is_none());
        let nowhere = lost.map(|(mover, _)| mover.held.server.clone()).collect();
        let moved = movers.iter().zip(&places).map(|(mover, place)| Moved {
            id: mover.held.server.to_string(),
            owner: mover.held.owner.to_string(),
            memory: words::short(mover.held.memory.limit),
            gpus: mover.held.gpus.len(),
            to: place.as_ref().map(ToString::to_string),
        });
        let mut moved: Vec<_> = moved.collect();
        moved.sort_by_key(|moved| moved.to.is_some());
        let is_new = |host: &&Arc<FloorHost>| new.iter().any(|it| it.name == host.host);
        Self {
            said: said(thought),
            mistake,
            fit: places.iter().flatten().count(),
            of: places.len(),
            movers: moved,
            queue: (waiting > 0).then_some((waiting, today, then)),
            pools,
            nowhere,
            added: after.hosts.iter().filter(is_new).cloned().collect(),
            settings,
        }
    }

    /// Those that fit nowhere.
    pub fn nowhere(&self) -> BTreeSet<ServerId> {
        self.nowhere.clone()
    }

    /// The fleet and its floor with what is thought, to be drawn: who would have to go still stands
    /// where it is.
    pub fn drawn(&self, fleet: &Fleet) -> (Fleet, Floor) {
        let mut floor = fleet.floor.clone();
        floor.hosts.extend(self.added.iter().cloned());
        floor.hosts.sort_by(|a, b| a.host.cmp(&b.host));
        let mut thought = fleet.clone();
        thought.settings = Arc::clone(&self.settings);
        (thought, floor)
    }
}

/// What a smaller limit has no room for: on each ready host of the pool those placed last.
fn beyond(fleet: &Fleet, pool: &str, milli: u32) -> BTreeSet<ServerId> {
    let mut over = BTreeSet::new();
    for host in fleet.floor.hosts.iter().filter(|host| host.state == HostState::Ready) {
        let Some(declared) = fleet.host_settings(&host.host).filter(|it| it.pool == pool) else {
            continue;
        };
        let total = host.memory.map_or(ByteCount::ZERO, |memory| memory.total);
        let usable = declared.memory.map_or(total, |it| it.min(total)).minus(declared.keep_free);
        let most = u128::from(usable.0) * u128::from(milli) / 1000;
        let mut servers: Vec<&FloorServer> = host.servers.iter().collect();
        let placed = |held: &FloorServer| {
            fleet.servers.get(&held.server)?.placement().map(|placement| placement.placed_at)
        };
        servers.sort_by_key(|held| (placed(held), held.server.clone()));
        let mut sum = 0;
        for held in servers {
            sum += u128::from(held.memory.limit.0);
            if sum > most {
                sum -= u128::from(held.memory.limit.0);
                over.insert(held.server.clone());
            }
        }
    }
    over
}

fn pools(
    fleet: &Fleet,
    after: &Floor,
    settings: &Arc<Settings>,
    thought: &Thought,
) -> Vec<(String, String, String)> {
    let of_host = |host: &HostId| Some(settings.hosts.get(host)?.pool.clone());
    let like = thought.more.as_ref().map(|(like, _)| like);
    let of_like = like.map(|like| {
        like.parse().ok().and_then(|host| of_host(&host)).unwrap_or_else(|| like.clone())
    });
    let touched: BTreeSet<String> = [
        thought.without.as_ref().and_then(of_host),
        of_like,
        thought.limits.as_ref().map(|(pool, _)| pool.clone()),
    ]
    .into_iter()
    .flatten()
    .filter(|pool| settings.pools.contains_key(pool))
    .collect();
    let largest = |floor: &Floor, settings: &Arc<Settings>, pool: &str| {
        let found = plan::largest_in(floor, settings, pool, 0);
        words::short(found.map_or(ByteCount::ZERO, |(_, memory)| memory))
    };
    let both = |pool: String| {
        let now = largest(&fleet.floor, &fleet.settings, &pool);
        let then = largest(after, settings, &pool);
        (pool, now, then)
    };
    touched.into_iter().map(both).collect()
}

fn said(thought: &Thought) -> Vec<String> {
    let without =
        thought.without.as_ref().map(|host| say::t("without-host").with("host", host.as_str()));
    let more = thought
        .more
        .as_ref()
        .map(|(like, count)| say::t("with-hosts").with("count", *count).with("like", like));
    let limits = thought
        .limits
        .as_ref()
        .map(|(pool, milli)| say::t("with-limits").with("pool", pool).with("times", times(*milli)));
    [without, more, limits].into_iter().flatten().map(|it| it.to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Thought {
        Thought::of(&format!("/hub/admin/floor?{query}").parse().unwrap())
    }

    #[test]
    fn an_address_says_what_is_thought_and_is_read_as_it_was_written() {
        let thought = read("without=wn1&like=cpu&count=2&pool=cpu&times=1.25");
        assert_eq!(thought.limits, Some(("cpu".into(), 1_250)));
        assert_eq!(thought.more, Some(("cpu".into(), 2)));
        assert_eq!(read(&thought.query().join("&")), thought);
    }

    #[test]
    fn empty_fields_and_nonsense_say_nothing() {
        for nothing in [
            "",
            "without=&like=cpu&count=0&pool=cpu&times=",
            "count=3",
            "times=2",
            "like=cpu&count=-1",
            "pool=cpu&times=0",
            "pool=cpu&times=NaN",
            "pool=cpu&times=1e9",
        ] {
            assert!(read(nothing).is_nothing(), "{nothing}");
        }
        assert_eq!(read("like=cpu&count=9999").more, Some(("cpu".into(), MOST_NEW)));
    }
}
