//! Lives of running servers: takes signs of activity in, warns, and stops what has run out of time.
//!
//! What is due is kept in the order of its moments (`Fleet::look_at_life`) and done before the event
//! that comes. Everything that is told or promised lies in the server's record and is saved in the
//! same transaction.

use std::sync::Arc;

use berth_common::{Generation, Reason, Seconds, ServerId, Timestamp};

use crate::event::{Answer, Effect, ReplyTo, Row};
use crate::fleet::{End, Fleet, HostState, Intent, Phase, Placement, Server};
use crate::life::{Clock, Evidence, Life, Plan, Told, Use, last_sign, limits, plan, unused_since};
use crate::settings::{GpuAction, GpuRule, Settings};
use crate::step::stop::order_stop;
use crate::step::{reply, save_and_show};

/// While a host is silent its servers are looked at again after this long.
const SILENT_AGAIN: Seconds = Seconds(5);
/// While the proxy's activity is not known up to a stop, it is looked at again after this long.
const UNTOLD_AGAIN: Seconds = Seconds(1);
/// Measurements of a GPU with more than this between them say nothing about the time between.
const GPU_GAP: Seconds = Seconds(600);

/// Does everything that has become due.
pub fn carry_out(fleet: &mut Fleet, now: Timestamp, out: &mut Vec<Effect>) {
    while let Some(id) = fleet.next_life(now) {
        look(fleet, now, &id, out);
    }
}

/// After new files every server is looked at again.
pub fn look_at_all(fleet: &mut Fleet) {
    let placed = fleet.servers.values().filter(|server| server.placement().is_some());
    let placed: Vec<_> = placed.map(|server| server.id.clone()).collect();
    for id in placed {
        fleet.look_at_life(&id, Timestamp::default());
    }
}

/// Everything that the proxy saw until a moment is known: what waits for that goes on.
pub fn activity_told(fleet: &mut Fleet, now: Timestamp, until: Timestamp) {
    fleet.activity_told = fleet.activity_told.max(until.min(now));
    let mut waiting = Vec::new();
    while let Some(id) = fleet.next_life(now.plus(UNTOLD_AGAIN)) {
        waiting.push(id);
    }
    for id in waiting {
        fleet.look_at_life(&id, now);
    }
}

/// Looks at one server: at most one warning, question or stop comes of it.
fn look(fleet: &mut Fleet, now: Timestamp, id: &ServerId, out: &mut Vec<Effect>) {
    let Some(server) = fleet.servers.get(id).filter(|server| server.is_ready()).cloned() else {
        return;
    };
    let Some(placement) = server.placement() else { return };
    let settings = Arc::clone(&fleet.settings);
    let state = fleet.hosts.get(&placement.host).map(|host| fleet.host_state(host, now));
    let reports = state.is_some_and(HostState::is_reporting);
    let mut life = Life::clone(&placement.life);
    renew(&mut life, &settings, &server, now);
    let mut next = None;
    if reports {
        if std::mem::take(&mut life.unseen) {
            // What happened on the host meanwhile is not known: its owner is warned anew.
            life.told.clear();
        }
        next = earliest(next, ask(&mut life, &settings, &server, now));
    }
    let with = |life: &Life| Placement { life: Box::new(life.clone()), ..placement.clone() };
    let planned = plan(&settings, &server, &with(&life), now);
    if let Some(planned) = &planned {
        if life.told_of != planned.target {
            life.told.clear();
            life.told_of = planned.target;
        }
        if life.kept_until.is_some_and(|kept| planned.natural >= kept) {
            // Activity has carried it further than was promised: the budget is whole again. The
            // promise stays, since files may make the limit shorter.
            life.extended = 0;
        }
        let due = planned.schedule.stop.min(warning_at(planned)) <= now;
        if due && !reports {
            // A host that has not reported yet in this reign is soon heard; of one that fell silent
            // nobody knows what happens there.
            life.unseen |= state != Some(HostState::Joining);
            next = earliest(next, Some(now.plus(SILENT_AGAIN)));
        } else if let Some((lead, _)) = planned.schedule.warning.filter(|(_, at)| *at <= now) {
            // Before the proxy was read in this reign nobody knows who is at work.
            if planned.reason == Reason::StoppedIdle && fleet.activity_told == Timestamp::default()
            {
                next = earliest(next, Some(now.plus(UNTOLD_AGAIN)));
            } else {
                let stop = planned.schedule.stop;
                life.told.push(Told { lead, at: now, stop, mailed: false });
            }
        }
    } else {
        life.told.clear();
    }
    let planned = plan(&settings, &server, &with(&life), now);
    let changed = life != *placement.life;
    let due = planned.filter(|planned| planned.schedule.stop <= now && reports);
    life.due_at = due.map(|_| life.due_at.unwrap_or(now));
    let due_at = life.due_at;
    if let Some(placement) = fleet.server_mut(id).and_then(Server::placement_mut) {
        *placement.life = life;
    }
    if changed {
        save_and_show(fleet, id, out);
    }
    if let Some((planned, due_at)) = due.zip(due_at) {
        let known = planned.reason != Reason::StoppedIdle || fleet.activity_told >= due_at;
        if known {
            let end = End { reason: planned.reason, detail: why(fleet, id, &planned), at: now };
            return order_stop(fleet, id, end, out);
        }
        next = earliest(next, Some(now.plus(UNTOLD_AGAIN)));
    } else if let Some(planned) = planned {
        let at = planned.schedule.stop.min(warning_at(&planned));
        if reports || at > now {
            next = earliest(next, Some(at.max(now.plus(UNTOLD_AGAIN))));
        }
    }
    if let Some(at) = next {
        fleet.look_at_life(id, at);
    }
}

fn earliest(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    a.into_iter().chain(b).min()
}

fn warning_at(plan: &Plan) -> Timestamp {
    plan.schedule.warning.map_or(Timestamp(i64::MAX), |(_, at)| at)
}

/// Brings the clocks in line with the files.
fn renew(life: &mut Life, settings: &Settings, server: &Server, now: Timestamp) {
    let limits = limits(settings, server);
    let begun = server.placement().and_then(|placement| placement.ready_at);
    life.idle = Clock::under(life.idle, limits.idle, now);
    // Its age counts from its start, unless the limit came later.
    let age = Clock::under(life.age, limits.age, now);
    life.age = age.map(|clock| match (life.age, begun) {
        (None, Some(begun)) if begun == now => Clock { since: begun, ..clock },
        _ => clock,
    });
}

/// Asks the owner of a GPU that was not used for too long; forgets the question once it is used.
/// Returns when to look again.
fn ask(life: &mut Life, settings: &Settings, server: &Server, now: Timestamp) -> Option<Timestamp> {
    let rule = limits(settings, server).gpu;
    let Some((rule, unused)) = rule.zip(unused_since(life)) else {
        life.gpu.asked = None;
        return None;
    };
    let due = unused.plus(rule.after);
    let open = settings.lifecycle.warn.quiet.as_ref().map_or(now, |quiet| quiet.end(now));
    if now < due || rule.action == GpuAction::Report {
        life.gpu.asked = None;
        return (now < due).then_some(due);
    }
    if life.gpu.asked.is_some() {
        return None;
    }
    if open > now {
        return Some(open);
    }
    life.gpu.asked = Some(question(rule, now));
    None
}

fn question(rule: &GpuRule, now: Timestamp) -> Told {
    let lead = rule.then_stop_after.unwrap_or_default();
    Told { lead, at: now, stop: now.plus(lead), mailed: false }
}

/// Why a server ends, with the evidence.
fn why(fleet: &Fleet, id: &ServerId, plan: &Plan) -> String {
    let Some(placement) = fleet.servers.get(id).and_then(|server| server.placement()) else {
        return String::new();
    };
    let life = &placement.life;
    match plan.reason {
        Reason::StoppedAge => {
            format!(
                "It ran since {}, and may run for {}.",
                placement.placed_at.to_minute(),
                plan.limit
            )
        }
        Reason::StoppedTraining => format!("Servers go on for {} after it.", plan.limit),
        Reason::StoppedGpuUnused => {
            let since = unused_since(life).unwrap_or(placement.placed_at);
            let asked = life.gpu.asked.map_or(since, |told| told.at);
            format!(
                "Its GPU was not used since {}; asked {}.",
                since.to_minute(),
                asked.to_minute()
            )
        }
        _ => {
            let last = match last_sign(&fleet.settings.lifecycle, life) {
                Some((kind, at)) => format!("{kind}, {}", at.to_minute()),
                None => format!("its start, {}", placement.placed_at.to_minute()),
            };
            format!("No activity for {}; last: {last}.", plan.limit)
        }
    }
}

/// Takes a sign of activity in.
pub fn sign(
    fleet: &mut Fleet,
    now: Timestamp,
    id: &ServerId,
    kind: Evidence,
    at: Timestamp,
    out: &mut Vec<Effect>,
) {
    let Some(server) = fleet.servers.get(id) else { return };
    let counts = fleet.settings.lifecycle.activity.counts(kind);
    // What JupyterHub's clients read moves with what they report themselves, whatever counts here.
    let shown = counts || matches!(kind, Evidence::Notebook | Evidence::Browser);
    let known = server.placement().is_none_or(|placement| {
        placement.life.signs.get(&kind).is_some_and(|newest| at <= *newest)
    });
    // Reports move only forward, and most repeat what is known: no copy for those.
    if known && (!shown || at <= server.last_activity) {
        return;
    }
    let tabs_count = fleet.settings.lifecycle.activity.open_tab_alone;
    let Some(server) = fleet.server_mut(id) else { return };
    if shown {
        server.last_activity = server.last_activity.max(at);
    }
    let Some(placement) = server.placement_mut() else { return };
    if kind == Evidence::Notebook && !tabs_count && placement.life.is_seen_inside(now) {
        return;
    }
    let news = placement.life.sign(kind, at);
    let was_told = !placement.life.told.is_empty() || placement.life.gpu.asked.is_some();
    if news && counts && was_told {
        // People who were warned should see at once that it goes on.
        fleet.look_at_life(id, now);
        out.push(Effect::Changed(id.clone()));
    }
}

/// Takes a measurement of a start in.
pub fn measured(
    fleet: &mut Fleet,
    now: Timestamp,
    id: &ServerId,
    generation: Generation,
    used: Use,
    out: &mut Vec<Effect>,
) {
    let settings = Arc::clone(&fleet.settings);
    let current = |server: &&mut Server| server.generation == generation;
    let Some(server) = fleet.server_mut(id).filter(current) else { return };
    let has_rule = limits(&settings, server).gpu.is_some();
    let Some(placement) = server.placement_mut() else { return };
    let life = &mut placement.life;
    let signs = life.meter.take(now, used, &settings.lifecycle.activity);
    let busy_before = life.kernel_busy;
    life.kernel_busy = used.kernel_busy.or(busy_before);
    if used.kernel_busy.is_some() {
        life.kernels_told = Some(now);
    }
    let mut look = life.kernel_busy != busy_before && life.gpu.asked.is_some();
    let mut begins = false;
    if used.gpu_percent.is_some() && has_rule {
        let before = life.gpu.measured.replace(now);
        let gap = before.is_some_and(|before| now > before.plus(GPU_GAP));
        if gap || life.gpu.since.is_none() {
            life.gpu.since = Some(now);
            begins = true;
        }
    }
    look |= begins;
    if begins {
        save_and_show(fleet, id, out);
    }
    if look {
        fleet.look_at_life(id, now);
    }
    for kind in signs {
        sign(fleet, now, id, kind, now, out);
    }
}

/// Puts the stop of a server off.
pub fn extend(
    fleet: &mut Fleet,
    now: Timestamp,
    id: &ServerId,
    steps: u32,
    beyond: bool,
    to: Option<ReplyTo>,
    out: &mut Vec<Effect>,
) {
    let Some(server) = fleet.servers.get(id) else { return reply(to, Answer::NoSuchServer, out) };
    let placement = server.placement().filter(|_| server.is_ready());
    let Some(placement) = placement else { return reply(to, Answer::NotRunning, out) };
    let Some(planned) = plan(&fleet.settings, server, placement, now) else {
        return reply(to, Answer::StopsForNothing, out);
    };
    let rules = &fleet.settings.lifecycle.extend;
    let of = rules.max_times.of(&server.ask.profile);
    let spent = placement.life.spent(planned.natural);
    let left = of.saturating_sub(spent);
    if steps > left && !beyond {
        return reply(to, Answer::ExtensionsUsedUp { left, of }, out);
    }
    let longer = Seconds(rules.step.0.saturating_mul(u64::from(steps)));
    let until = planned.schedule.stop.plus(longer);
    // What an administrator gives is not taken from the owner's budget.
    let spent = spent.saturating_add(if beyond { 0 } else { steps });
    if let Some(placement) = fleet.server_mut(id).and_then(Server::placement_mut) {
        let life = &mut placement.life;
        life.kept_until = Some(until);
        life.extended = spent;
    }
    fleet.look_at_life(id, now);
    save_and_show(fleet, id, out);
    let left = of.saturating_sub(spent);
    reply(to, Answer::Extended { stop: until, left }, out);
}

/// An owner who was asked about an unused GPU stops the server: a place in the queue is kept.
pub fn gives_gpu_back(fleet: &mut Fleet, now: Timestamp, id: &ServerId) {
    let Some(server) = fleet.server_mut(id) else { return };
    if server.placement().is_some_and(|placement| placement.life.gpu.asked.is_some()) {
        server.gpu_turn = Some(now);
    }
}

/// A server was placed: if it has GPUs, the place that was kept for its owner is used.
pub fn takes_its_turn(fleet: &mut Fleet, id: &ServerId, out: &mut Vec<Effect>) {
    let Some(server) =
        fleet.servers.get(id).filter(|server| server.ask.gpus > 0 && !server.is_rehearsal())
    else {
        return;
    };
    let owner = server.owner.clone();
    let kept = fleet.servers_of(&owner).filter(|server| server.gpu_turn.is_some());
    let kept: Vec<_> = kept.map(|server| server.id.clone()).collect();
    for id in kept {
        if let Some(server) = fleet.server_mut(&id) {
            server.gpu_turn = None;
        }
        save_and_show(fleet, &id, out);
    }
}

/// The same for the mail that tells of a host that is emptied: the host's record has it.
fn mailed_of_drain(fleet: &mut Fleet, id: &ServerId, told_at: Timestamp, out: &mut Vec<Effect>) {
    let placement = fleet.servers.get(id).and_then(|server| server.placement());
    let Some(host) = placement.map(|placement| placement.host.clone()) else { return };
    let Some(host) = fleet.hosts.get_mut(&host) else { return };
    let Intent::Draining { plan, .. } = &host.intent else { return };
    if !plan.told.get(id).is_some_and(|told| told.newest == told_at && !told.mailed) {
        return;
    }
    if let Intent::Draining { plan, .. } = &mut Arc::make_mut(host).intent
        && let Some(told) = plan.told.get_mut(id)
    {
        told.mailed = true;
    }
    out.push(Effect::Save(Row::Host(Arc::clone(host))));
}

/// Notes that a mail has left.
pub fn mailed(
    fleet: &mut Fleet,
    id: &ServerId,
    generation: Generation,
    told_at: Timestamp,
    out: &mut Vec<Effect>,
) {
    let current = |server: &&mut Server| server.generation == generation;
    let Some(server) = fleet.server_mut(id).filter(current) else { return };
    if let Phase::Waiting { place: Some(place), .. } = &mut server.phase {
        if place.until == told_at && !std::mem::replace(&mut place.mailed, true) {
            save_and_show(fleet, id, out);
        }
        return;
    }
    let Some(placement) = server.placement_mut() else { return };
    let told = placement.life.told.iter_mut().chain(&mut placement.life.gpu.asked);
    let owed: Vec<_> = told.filter(|told| told.at == told_at && !told.mailed).collect();
    if owed.is_empty() {
        return mailed_of_drain(fleet, id, told_at, out);
    }
    for told in owed {
        told.mailed = true;
    }
    save_and_show(fleet, id, out);
}
