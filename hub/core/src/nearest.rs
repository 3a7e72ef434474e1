//! What would have to change for a request to start: found by going through rules and placement
//! again with the change made, never by guessing.

use berth_common::link::Account;
use berth_common::{ByteCount, HostId, Reason, ServerId, Timestamp};

use crate::decision::Nearest;
use crate::event::Wish;
use crate::fleet::{Ask, Fleet, Intent, Server};
use crate::placement::{Kept, Need, Rows, has_place};
use crate::queue::KeptFor;
use crate::rules::{self, Checked, Refusal};

/// Less memory than this starts no notebook worth having.
const LEAST_MEMORY: ByteCount = ByteCount(256 << 20);
/// Other profiles that are tried.
const MOST_PROFILES: usize = 32;

/// A request that does not start now.
#[derive(Debug, Clone, Copy)]
pub struct Stuck<'a> {
    /// Who asks.
    pub account: &'a Account,
    /// For what.
    pub ask: &'a Ask,
    /// The waiting or stopped server itself: it does not count against its own quota.
    pub own: Option<&'a ServerId>,
    /// The moment.
    pub now: Timestamp,
}

/// Everything that would help, best first.
pub fn nearest(fleet: &Fleet, rows: &Rows, stuck: Stuck<'_>, checked: &Checked) -> Vec<Nearest> {
    let mut found = Vec::new();
    let less = less_memory(fleet, rows, stuck, checked);
    let try_wish = |wish: &Wish| starts(fleet, rows, stuck, wish);
    if let Some(memory) =
        less.filter(|memory| try_wish(&Wish { memory: Some(*memory), ..wish_of(stuck.ask) }))
    {
        found.push(Nearest::Memory(memory));
    }
    let fewer = (1..stuck.ask.gpus)
        .rev()
        .find(|gpus| try_wish(&Wish { gpus: Some(*gpus), ..wish_of(stuck.ask) }));
    found.extend(fewer.map(Nearest::Gpus));
    let mut others = fleet
        .settings
        .profiles
        .keys()
        .filter(|name| **name != stuck.ask.profile)
        .take(MOST_PROFILES);
    let other =
        others.find(|name| try_wish(&Wish { profile: Some((*name).clone()), ..Wish::default() }));
    found.extend(other.cloned().map(Nearest::Profile));
    found.extend(stop_one(fleet, rows, stuck).map(Nearest::Stop));
    match &checked.verdict {
        Ok(passed) => found.extend(host_back(fleet, rows, &passed.need, stuck.own)),
        Err(Refusal { from: Some(from), .. }) if passes_at(fleet, rows, stuck, *from) => {
            found.push(Nearest::From(*from))
        }
        Err(_) => {}
    }
    found
}

fn wish_of(ask: &Ask) -> Wish {
    crate::queue::again(ask)
}

/// Whether a wish would start now.
fn starts(fleet: &Fleet, rows: &Rows, stuck: Stuck<'_>, wish: &Wish) -> bool {
    let checked = rules::check(fleet, stuck.now, stuck.account, wish, stuck.own);
    let Ok(passed) = checked.verdict else { return false };
    let Some(kept) = kept_in(fleet, rows, &passed.need.pool, stuck.own) else {
        return false;
    };
    !passed.last_in_queue && has_place(rows, &passed.need, kept)
}

/// What is kept in a pool for others than this server, as a position; `None`: all of it.
pub fn kept_in(fleet: &Fleet, rows: &Rows, pool: &str, own: Option<&ServerId>) -> Option<Kept> {
    match fleet.index.kept.get(pool).filter(|kept| Some(&kept.server) != own) {
        None => Some(None),
        Some(KeptFor { host: Some(host), .. }) => Some(rows.hosts().binary_search(host).ok()),
        Some(KeptFor { host: None, .. }) => None,
    }
}

/// The largest amount below what is asked that quota and hosts have now, in whole MiB.
fn less_memory(
    fleet: &Fleet,
    rows: &Rows,
    stuck: Stuck<'_>,
    checked: &Checked,
) -> Option<ByteCount> {
    let profile = fleet.settings.profiles.get(&stuck.ask.profile)?;
    let groups: Vec<&str> = stuck.account.groups.iter().map(|group| group.name.as_str()).collect();
    let person = rules::Person { name: &stuck.account.name, groups: &groups };
    let left = rules::memory_left(fleet, person, profile, stuck.own, stuck.now)
        .unwrap_or(stuck.ask.memory);
    let most = left.min(profile.memory_max).min(stuck.ask.memory);
    let need = match &checked.verdict {
        Ok(passed) => passed.need.with_limit(most),
        Err(_) => {
            rules::check(
                fleet,
                stuck.now,
                stuck.account,
                &Wish { memory: Some(most), ..wish_of(stuck.ask) },
                stuck.own,
            )
            .verdict
            .ok()?
            .need
        }
    };
    let kept = kept_in(fleet, rows, &need.pool, stuck.own)?;
    let (_, largest) = rows.largest_limit(&need, kept)?;
    let whole = ByteCount(largest.0 >> 20 << 20);
    (whole >= LEAST_MEMORY && whole < stuck.ask.memory).then_some(whole)
}

/// The smallest of the person's own servers whose end would let the request start.
fn stop_one(fleet: &Fleet, rows: &Rows, stuck: Stuck<'_>) -> Option<ServerId> {
    let mut own: Vec<_> = fleet
        .servers_of(&stuck.account.name)
        .filter(|server| Some(&server.id) != stuck.own && can_end(fleet, server, stuck.now))
        .collect();
    own.sort_by_key(|server| server.ask.memory);
    let found = own.into_iter().find(|server| {
        let wish = wish_of(stuck.ask);
        let checked = rules::check(fleet, stuck.now, stuck.account, &wish, Some(&server.id));
        let Ok(passed) = checked.verdict else { return false };
        // Who waits for the pool would take the room first.
        if passed.last_in_queue || somebody_waits(fleet, &passed.need.pool, stuck.own) {
            return false;
        }
        // What it used tells what the next one will use.
        let (peak, peak_known) = fleet.expected_after(server, stuck.now, stuck.ask);
        let need = Need { peak, peak_known, ..passed.need };
        has_place(rows, &need, None) || takes_its_place(fleet, rows, &server.id, &need)
    });
    found.map(|server| server.id.clone())
}

/// Whether a server runs on a host that would obey.
fn can_end(fleet: &Fleet, server: &Server, now: Timestamp) -> bool {
    let placement = server.placement().filter(|placement| placement.stop.is_none());
    let host = placement.and_then(|placement| fleet.hosts.get(&placement.host));
    host.is_some_and(|host| fleet.host_state(host, now).is_reporting())
}

/// Whether somebody else finds no room in a pool.
pub fn somebody_waits(fleet: &Fleet, pool: &str, own: Option<&ServerId>) -> bool {
    fleet.index.kept.get(pool).is_some_and(|kept| Some(&kept.server) != own)
}

/// Whether the host of a server would take a need in its place.
fn takes_its_place(fleet: &Fleet, rows: &Rows, server: &ServerId, need: &Need) -> bool {
    let Some(host) = fleet.servers.get(server).and_then(|server| server.holds_on()) else {
        return false;
    };
    let Some(position) = fleet.floor.position(host) else { return false };
    let Some(entry) = fleet.floor.hosts.get(position) else { return false };
    rows.would_take(need, position, &entry.without(server))
}

/// A host of the pool that would take it if it were back, unless somebody comes first.
fn host_back(fleet: &Fleet, rows: &Rows, need: &Need, own: Option<&ServerId>) -> Option<Nearest> {
    if somebody_waits(fleet, &need.pool, own) {
        return None;
    }
    // A silent host that is also cordoned needs more than to come back; and one whose servers are
    // ending will say more than that it is there.
    let is_ending =
        |host: &HostId| fleet.placed_on(host).any(|(_, placement)| placement.stop.is_some());
    let one_cause = |host: &HostId, reason: Reason| {
        let open = fleet.hosts.get(host).is_some_and(|host| host.intent == Intent::Open);
        match reason {
            Reason::HostUndeclared | Reason::HostJoining => false,
            Reason::HostCordoned | Reason::HostDraining | Reason::HostDrained => true,
            _ => open && !is_ending(host),
        }
    };
    let (host, reason) = rows.if_it_were_back(need, one_cause)?;
    Some(Nearest::HostBack { host, reason })
}

fn passes_at(fleet: &Fleet, rows: &Rows, stuck: Stuck<'_>, from: Timestamp) -> bool {
    let then = Stuck { now: from, ..stuck };
    let pool = fleet.settings.profiles.get(&stuck.ask.profile).map(|profile| &profile.pool);
    !pool.is_some_and(|pool| somebody_waits(fleet, pool, stuck.own))
        && starts(fleet, rows, then, &wish_of(stuck.ask))
}
