//! The queue: who comes next, what is kept for the first of each pool, and when a place may come.
//!
//! In the fair order a request is served as if it had come later, by a part of an hour that is its
//! group's part of all use in the last week. So whoever has waited an hour longer than another comes
//! before them, whatever they used: nobody starves. Requests beyond a budget come after all others.
//!
//! The first of a pool that finds no room has the host where the least is missing kept for it;
//! others may take the rest meanwhile. Once it has waited longer than [`PATIENCE`] the whole pool is
//! kept, so that small requests cannot pass a large one for ever.

use std::collections::BTreeMap;
use std::sync::Arc;

use berth_common::{HostId, Seconds, ServerId, Timestamp, Username};

use crate::event::Wish;
use crate::fleet::{Ask, Fleet, Moved, Phase, Server};
use crate::placement::{Need, Rows};
use crate::rules;
use crate::settings::Order;
use crate::usage;

mod estimate;
mod lives;
mod waits;

pub use estimate::estimate;
pub use lives::{Curve, Life, Lives, REMEMBERED};
pub use waits::{REMEMBERED_WAITS, Wait, Waits};

/// How long others may pass the first of a pool on hosts that are not kept for it.
pub const PATIENCE: Seconds = Seconds(900);
/// By how much the use of a week can move a request back.
const MOST_PENALTY: Seconds = Seconds(3600);
/// The use that counts.
const WINDOW: Seconds = Seconds(7 * 86_400);
/// What a used-up budget moves a request back: behind everybody who waits as long as sites allow.
const BEYOND_BUDGET: Seconds = Seconds(30 * 86_400);

/// How far a request goes that an administrator lets come first or last: beyond everything else.
const MOVED: Seconds = Seconds(10 * 365 * 86_400);

/// What is kept for the first in the queue of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptFor {
    /// The first.
    pub server: ServerId,
    /// The host; `None`: all of the pool.
    pub host: Option<HostId>,
}

/// A place in the queue: the lower comes first.
pub type Turn = (Timestamp, ServerId);

/// How far each group's requests are moved back.
#[derive(Debug, Default)]
pub struct Penalties<'a> {
    groups: BTreeMap<&'a str, u64>,
    all: u64,
}

impl<'a> Penalties<'a> {
    /// From the use of the last week.
    pub fn of(fleet: &'a Fleet, now: Timestamp) -> Self {
        if fleet.settings.queue.order == Order::Fifo {
            return Self::default();
        }
        let groups = match &fleet.used {
            Some(used) => used.iter().map(|(group, weight)| (group.as_str(), *weight)).collect(),
            None => usage::by_group(fleet, WINDOW, now),
        };
        let all = groups.values().fold(0, |sum: u64, weight| sum.saturating_add(*weight));
        Self { groups, all }
    }

    fn of_group(&self, group: &str) -> Seconds {
        let part = u128::from(self.groups.get(group).copied().unwrap_or(0));
        let seconds = part * u128::from(MOST_PENALTY.0) / u128::from(self.all.max(1));
        Seconds(u64::try_from(seconds).unwrap_or(MOST_PENALTY.0))
    }

    /// The turn of a request.
    pub fn turn(&self, since: Timestamp, group: &str, beyond_budget: bool, id: &ServerId) -> Turn {
        let turn = since.plus(self.of_group(group));
        (if beyond_budget { turn.plus(BEYOND_BUDGET) } else { turn }, id.clone())
    }
}

/// A waiting server, gone through the rules anew.
#[derive(Debug)]
pub struct Waiter<'a> {
    /// The server.
    pub server: &'a Server,
    /// Its turn.
    pub turn: Turn,
    /// What it needs now, or why it may not wait any more.
    pub checked: Result<Need, rules::Refusal>,
}

/// All that wait without a place, in the order of their turns.
pub fn waiters(fleet: &Fleet, now: Timestamp) -> Vec<Waiter<'_>> {
    let waiting = || fleet.waiting().filter(|server| !has_place(server));
    if waiting().next().is_none() {
        return Vec::new();
    }
    let penalties = Penalties::of(fleet, now);
    let waiter = |server: &'_ std::sync::Arc<Server>| {
        let server: &Server = fleet.servers.get(&server.id)?;
        let account = server.account.as_ref()?;
        let since = asked_at(fleet, &server.owner, server.ask.gpus, server.waiting_since()?);
        let checked = rules::check(fleet, now, account, &again(&server.ask), Some(&server.id));
        let beyond = checked.verdict.as_ref().is_ok_and(|passed| passed.last_in_queue);
        let turn = penalties.turn(since, server.main_group(), beyond, &server.id);
        let turn = moved(turn, server.moved());
        Some(Waiter { server, turn, checked: checked.verdict.map(|passed| passed.need) })
    };
    let mut waiters: Vec<_> = waiting().filter_map(waiter).collect();
    waiters.sort_by(|a, b| a.turn.cmp(&b.turn));
    waiters
}

/// A turn as an administrator has changed it. Those who were moved keep their order among each other.
fn moved((at, id): Turn, to: Option<Moved>) -> Turn {
    let years = i64::try_from(MOVED.0).unwrap_or(i64::MAX).saturating_mul(1_000_000);
    match to {
        None => (at, id),
        Some(Moved::First) => (Timestamp(at.0.saturating_sub(years)), id),
        Some(Moved::Last) => (at.plus(MOVED), id),
    }
}

/// When a request counts as made: one for a GPU of a person who gave an unused one back when asked,
/// as of then. That lasts for as long as a request may wait.
pub fn asked_at(fleet: &Fleet, owner: &Username, gpus: u32, since: Timestamp) -> Timestamp {
    let kept = fleet.settings.queue.max_wait;
    let turns = fleet.servers_of(owner).filter_map(|server| server.gpu_turn);
    let turn = turns.filter(|turn| gpus > 0 && since <= turn.plus(kept)).min();
    turn.map_or(since, |turn| turn.min(since))
}

/// The wish that asks for the same again.
pub fn again(ask: &Ask) -> Wish {
    Wish {
        profile: Some(ask.profile.clone()),
        memory: Some(ask.memory),
        image: Some(ask.image.clone()),
        gpus: Some(ask.gpus),
        gpu_model: ask.gpu_model.clone(),
        as_before: false,
        rehearsal: ask.rehearsal,
    }
}

fn has_place(server: &Server) -> bool {
    matches!(server.phase, Phase::Waiting { place: Some(_), .. })
}

/// How many wait for the same pool with an earlier turn.
pub fn ahead(fleet: &Fleet, pool: &str, turn: &Turn, now: Timestamp) -> u32 {
    let earlier = |waiter: &&Waiter<'_>| {
        let same = waiter.checked.as_ref().is_ok_and(|need| need.pool == pool);
        same && waiter.turn < *turn && waiter.server.id != turn.1
    };
    u32::try_from(waiters(fleet, now).iter().filter(earlier).count()).unwrap_or(u32::MAX)
}

/// The place of a waiting server in its pool's queue, from 1.
pub fn place_of(fleet: &Fleet, server: &Server, now: Timestamp) -> Option<u32> {
    let waiters = waiters(fleet, now);
    let own = waiters.iter().find(|waiter| waiter.server.id == server.id)?;
    let pool = &own.checked.as_ref().ok()?.pool;
    let earlier = waiters.iter().filter(|waiter| {
        waiter.turn < own.turn && waiter.checked.as_ref().is_ok_and(|need| need.pool == *pool)
    });
    u32::try_from(earlier.count()).ok().map(|ahead| ahead.saturating_add(1))
}

/// What is kept for the first of a pool that finds no room: the host where the least is missing, the
/// one kept before if it still could do; all of the pool once it has waited long.
pub fn keep_for(
    rows: &Rows,
    first: &Waiter<'_>,
    need: &Need,
    before: Option<&KeptFor>,
    now: Timestamp,
) -> KeptFor {
    let server = first.server.id.clone();
    let since = first.server.waiting_since().unwrap_or(now);
    if now >= since.plus(PATIENCE) {
        return KeptFor { server, host: None };
    }
    let still = before.filter(|kept| kept.server == server).and_then(|kept| kept.host.clone());
    let host =
        still.filter(|host| rows.could_take(need, host)).or_else(|| rows.least_missing(need));
    KeptFor { server, host }
}

/// Adds up anew what each group used.
pub fn look_at_use(fleet: &mut Fleet, now: Timestamp) {
    let groups = usage::by_group(fleet, WINDOW, now);
    let used = groups.into_iter().map(|(group, weight)| (group.to_owned(), weight)).collect();
    fleet.used = Some(Arc::new(used));
}

/// Makes the curves of all pools anew: how long servers live there.
pub fn look_at_lives(fleet: &mut Fleet, now: Timestamp) {
    let mut running: BTreeMap<&str, Vec<Timestamp>> = BTreeMap::new();
    for placement in fleet.servers.values().filter_map(|server| server.placement()) {
        if let Some(declared) = fleet.settings.hosts.get(&placement.host) {
            running.entry(declared.pool.as_str()).or_default().push(placement.placed_at);
        }
    }
    let pools = fleet.settings.pools.keys();
    let curves = pools.filter_map(|pool| {
        let running = running.get(pool.as_str()).into_iter().flatten().copied();
        Some((pool.clone(), fleet.lives.curve(pool, running, now)?))
    });
    fleet.curves = Arc::new(curves.collect());
}
