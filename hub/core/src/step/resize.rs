//! Another memory limit for a server that runs: within its profile, its owner's quota, and the room
//! of its host. Saved before the host is told; the reservation follows what is proven, so a host is
//! never promised twice: growth is reserved with the order, and what a smaller limit frees is free
//! once a report shows that limit.

use berth_common::link::{Limit, Observed};
use berth_common::{ByteCount, HostId, Reason, Revision, ServerId, Timestamp};

use crate::event::{Answer, Effect, ReplyTo, ResizeRefusal, Row};
use crate::fleet::{End, Fleet, HostState, Placement, Resize, ResizeState, Server};
use crate::floor::FloorHost;
use crate::memory::Peaks;
use crate::nearest::kept_in;
use crate::placement::{Need, detail};
use crate::rules::{self, Person};
use crate::step::{loan, reply, save_and_show};

/// Handles the wish for another limit.
pub fn resize(
    fleet: &mut Fleet,
    now: Timestamp,
    id: &ServerId,
    memory: ByteCount,
    to: Option<ReplyTo>,
    out: &mut Vec<Effect>,
) {
    let answer = match verdict(fleet, now, id, memory) {
        None => Answer::NoSuchServer,
        Some(Err(refusal)) => Answer::ResizeRefused(Box::new(refusal)),
        Some(Ok(())) => {
            order(fleet, now, id, Limit::of(memory), out);
            Answer::Resizing
        }
    };
    reply(to, answer, out);
}

/// What would come of such a wish at this moment; `None`: there is no such server. Changes nothing.
pub fn verdict(
    fleet: &Fleet,
    now: Timestamp,
    id: &ServerId,
    memory: ByteCount,
) -> Option<Result<(), ResizeRefusal>> {
    let server = fleet.servers.get(id)?;
    let Some(asked) = Asked::of(fleet, now, server) else {
        let detail = "It does not run, or not yet.".to_owned();
        let reason = Reason::RefusedNotRunning;
        return Some(Err(ResizeRefusal { reason, detail, nearest: None }));
    };
    Some(asked.check(memory).map_err(|(reason, detail)| {
        let nearest = asked.nearest(memory, reason);
        ResizeRefusal { reason, detail, nearest }
    }))
}

/// A server that runs, of which another limit is asked.
struct Asked<'a> {
    fleet: &'a Fleet,
    now: Timestamp,
    server: &'a Server,
    placement: &'a Placement,
    used: ByteCount,
}

type Verdict = Result<(), (Reason, String)>;

impl<'a> Asked<'a> {
    fn of(fleet: &'a Fleet, now: Timestamp, server: &'a Server) -> Option<Self> {
        let placement = server.placement().filter(|_| server.is_ready())?;
        let heard = fleet.hosts.get(&placement.host).and_then(|host| host.heard.as_ref());
        let seen = heard.and_then(|heard| heard.observed.get(&server.id));
        let used = seen.map_or(ByteCount::ZERO, |seen| seen.memory_used);
        Some(Self { fleet, now, server, placement, used })
    }

    fn check(&self, memory: ByteCount) -> Verdict {
        let under_way = |resize: &Resize| resize.state == ResizeState::UnderWay;
        if let Some(resize) = self.placement.resize.as_deref().filter(|resize| under_way(resize)) {
            let detail = format!("It is being given {} already.", resize.limit.memory);
            return Err((Reason::RefusedResizing, detail));
        }
        let host = &self.placement.host;
        let state = self.fleet.hosts.get(host).map(|host| self.fleet.host_state(host, self.now));
        if !state.is_some_and(HostState::is_reporting) {
            return Err((Reason::HostLost, format!("{host} does not report.")));
        }
        let limit = self.placement.limit();
        let least = Limit::least(self.used);
        if memory < limit && memory < least {
            let detail = format!("It uses {} now. Ask for {least} or more.", self.used);
            return Err((Reason::RefusedInUse, detail));
        }
        // What is lent is no amount that was ever asked for.
        if memory > self.placement.own_limit() {
            self.rules(memory)?;
        }
        if memory > limit {
            self.room(memory)?;
        }
        Ok(())
    }

    /// The site's rules about amounts.
    fn rules(&self, memory: ByteCount) -> Verdict {
        let (server, settings) = (self.server, &self.fleet.settings);
        let Some(profile) = settings.profiles.get(&server.ask.profile) else {
            let detail = format!("There is no profile \"{}\" any more.", server.ask.profile);
            return Err((Reason::RefusedProfile, detail));
        };
        let most = profile.memory_max;
        if memory > most {
            let name = &server.ask.profile;
            let detail = format!("You asked for {memory}; profile {name} gives {most} at most.");
            return Err((Reason::RefusedTooBig, detail));
        }
        let account = server.account.as_ref();
        let groups: Vec<&str> = account
            .iter()
            .flat_map(|account| &account.groups)
            .map(|group| group.name.as_str())
            .collect();
        let person = Person { name: &server.owner, groups: &groups };
        let left = rules::memory_left(self.fleet, person, profile, Some(&server.id), self.now);
        match left.filter(|left| memory > *left) {
            Some(left) => {
                let detail = format!(
                    "You asked for {memory}; your other servers leave {left} of your limit."
                );
                Err((Reason::RefusedMemory, detail))
            }
            None => Ok(()),
        }
    }

    /// The gates that a new server meets, for its host as it would be without this one.
    fn room(&self, memory: ByteCount) -> Verdict {
        let (fleet, host) = (self.fleet, &self.placement.host);
        // What is reserved is there already.
        if memory <= self.placement.reservation.memory {
            return Ok(());
        }
        let declared = fleet.settings.hosts.get(host);
        let (Some(declared), Some(position)) = (declared, fleet.floor.position(host)) else {
            return Err((Reason::HostUndeclared, format!("No file declares {host}.")));
        };
        let kept = kept_in(fleet, &fleet.rows, &declared.pool, Some(&self.server.id));
        if kept.is_none_or(|kept| kept == Some(position)) {
            let detail = format!("What is left on {host} is kept for who waits first.");
            return Err((Reason::WaitOrder, detail));
        }
        let Some(entry) = fleet.floor.hosts.get(position) else { return Ok(()) };
        // It is there whatever is wanted with the host, so a host that takes nothing new will do.
        let entry = FloorHost { state: HostState::Ready, ..entry.without(&self.server.id) };
        let need = self.need(memory, &declared.pool);
        match fleet.rows.first_fail_if(&need, position, &entry) {
            None => Ok(()),
            Some(fail) => {
                let why = detail(fail, &entry, &fleet.settings, &need, self.now);
                Err((Reason::RefusedNoRoom, format!("{host} has no room for {memory}: {why}.")))
            }
        }
    }

    fn need(&self, memory: ByteCount, pool: &str) -> Need {
        let member = self.server.member(self.now, memory);
        let gpus = &self.placement.gpus;
        Need {
            pool: pool.to_owned(),
            limit: memory,
            peak: member.peak,
            peak_known: !member.young,
            cpu_milli: self.placement.reservation.cpu_milli,
            gpus: u32::try_from(gpus.len()).unwrap_or(u32::MAX),
            gpu_milli: gpus.first().map_or(0, |part| part.milli),
            ..Need::default()
        }
    }

    /// The amount nearest to a refused one that works, in whole MiB, between it and the present
    /// limit. Larger ones meet no rule that smaller ones do not.
    fn nearest(&self, asked: ByteCount, reason: Reason) -> Option<ByteCount> {
        let limit = self.placement.limit();
        if reason == Reason::RefusedInUse {
            return Some(Limit::least(self.used)).filter(|least| *least < limit);
        }
        let works = |mib: u64| self.check(ByteCount(mib << 20)).is_ok();
        let (mut least, mut most) = (limit.mebibytes(), asked.mebibytes());
        if asked <= limit || !works(least.saturating_add(1)) {
            return None;
        }
        while least < most {
            let middle = least + (most - least).div_ceil(2);
            if works(middle) { least = middle } else { most = middle - 1 }
        }
        Some(ByteCount(least << 20))
    }
}

/// Whether the host of a server that runs has room for it with another limit.
pub(super) fn has_room(fleet: &Fleet, now: Timestamp, id: &ServerId, memory: ByteCount) -> bool {
    let asked = fleet.servers.get(id).and_then(|server| Asked::of(fleet, now, server));
    asked.is_some_and(|asked| asked.room(memory).is_ok())
}

/// Orders a limit; it gets the next number.
pub(super) fn order(
    fleet: &mut Fleet,
    now: Timestamp,
    id: &ServerId,
    limit: Limit,
    out: &mut Vec<Effect>,
) {
    let memory = limit.memory;
    let Some(server) = fleet.servers.get(id).cloned() else { return };
    let Some(placement) = server.placement() else { return };
    let (host, before) = (placement.host.clone(), placement.limit());
    if memory == before && limit.lent == placement.is_lent() {
        return;
    }
    if memory > placement.reservation.memory {
        reserve(fleet, now, id, memory, out);
        begin_peaks_anew(fleet, now, id, &host);
    }
    let number = placement.resize.as_ref().map_or(0, |resize| resize.limit.number);
    let limit = Limit { number: number.saturating_add(1), ..limit };
    let said = fleet.bump(&host);
    let state = ResizeState::UnderWay;
    tell(fleet, id, Resize { limit, before, at: now, state, said }, out);
}

/// Has the host told of a limit, once that is saved.
fn tell(fleet: &mut Fleet, id: &ServerId, resize: Resize, out: &mut Vec<Effect>) {
    let Some(server) = fleet.server_mut(id) else { return };
    let Some(placement) = server.placement_mut() else { return };
    placement.resize = Some(Box::new(resize));
    let (host, own) = (placement.host.clone(), placement.own_limit());
    server.ask.memory = own;
    save_and_show(fleet, id, out);
    out.push(Effect::Tell(host));
}

/// Changes what is reserved; what was held until now is booked as it was.
fn reserve(
    fleet: &mut Fleet,
    now: Timestamp,
    id: &ServerId,
    memory: ByteCount,
    out: &mut Vec<Effect>,
) {
    let Some(server) = fleet.servers.get(id).cloned() else { return };
    let days = fleet.usage.book(&server, now);
    out.extend(days.into_iter().map(|day| Effect::Save(Row::Usage(day))));
    let Some(placement) = fleet.server_mut(id).and_then(Server::placement_mut) else { return };
    placement.reservation.memory = memory;
    placement.held_since = Some(now);
    (placement.used.mib_s, placement.used.gpu_milli_s) = (0, 0);
}

/// What was measured under a smaller limit says little about a larger one: the server counts as a
/// new one whose least expected use is the highest seen.
fn begin_peaks_anew(fleet: &mut Fleet, now: Timestamp, id: &ServerId, host: &HostId) {
    let window = fleet.peak_window(host);
    let Some(server) = fleet.server_mut(id) else { return };
    let highest = server.peaks.as_ref().map(|peaks| peaks.highest(now)).unwrap_or_default();
    server.peaks = Some(Peaks::begin(now, window));
    if let Some(placement) = server.placement_mut() {
        placement.expected = placement.expected.max(highest);
        placement.expected_known = false;
    }
}

/// Compares an order with what the host shows.
pub fn follow(
    fleet: &mut Fleet,
    now: Timestamp,
    host: &HostId,
    applied: Revision,
    seen: &Observed,
    out: &mut Vec<Effect>,
) {
    let Some(server) = fleet.servers.get(&seen.server) else { return };
    let Some(placement) = server.placement().filter(|it| it.stop.is_none()) else { return };
    let Some(resize) = placement.resize.clone() else { return };
    let (reserved, limit) = (placement.reservation.memory, resize.limit);
    let refused = seen.resize_refused.as_ref().filter(|refused| refused.number == limit.number);
    if let (Some(refused), ResizeState::UnderWay) = (refused, &resize.state) {
        let end =
            End { reason: refused.ending.reason, detail: refused.ending.detail.clone(), at: now };
        // The limit before is ordered under a new number, so that whatever the host has done of
        // this order is undone, and proven to be.
        let lent = placement.loan().is_some_and(|loan| resize.before > loan.own);
        let number = limit.number.saturating_add(1);
        let back = Limit { memory: resize.before, number, lent };
        let said = fleet.bump(host);
        let state = ResizeState::Refused { end };
        if !lent {
            loan::end(fleet, now, &seen.server);
        }
        return tell(fleet, &seen.server, Resize { limit: back, state, said, ..*resize }, out);
    }
    let has = seen.limit.is_some_and(|seen| limit.is(seen));
    let proven = has && applied >= resize.said && applied.epoch == fleet.epoch;
    let done = resize.state == ResizeState::UnderWay;
    if !proven || !done && reserved == limit.memory {
        return;
    }
    if reserved != limit.memory {
        reserve(fleet, now, &seen.server, limit.memory, out);
        fleet.changed(host);
    }
    if done
        && let Some(placement) = fleet.server_mut(&seen.server).and_then(Server::placement_mut)
        && let Some(resize) = &mut placement.resize
    {
        resize.state = ResizeState::Done;
    }
    if !limit.lent {
        loan::end(fleet, now, &seen.server);
    }
    save_and_show(fleet, &seen.server, out);
}
