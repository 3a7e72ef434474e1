//! Carries a rolling reboot out. When a host's turn comes it is emptied as one host is
//! ([`super::drain`]); once it is empty its reboot is waited for; then it takes servers again, and
//! the next begins. Whoever was stopped starts again on a host that is done or was never to be
//! rebooted, since placement takes those whose turn is still to come last: so nobody is stopped
//! twice while there is room.
//!
//! The plan and the host's intent are saved in one transaction. Whatever an administrator does with
//! a host meanwhile counts: one that was opened again is done, one that is cordoned is waited for.

use std::sync::Arc;

use berth_common::{HostId, Timestamp};

use crate::drain::intent::{self, Emptying, State};
use crate::drain::next::Step;
use crate::event::{Answer, Effect, ReplyTo, Row};
use crate::fleet::{Fleet, Intent, Rolling};
use crate::step::drain::plan as drain_plan;
use crate::step::reply;

/// Begins a plan, or takes back the one under way: the host whose turn it is stays as it is.
pub fn roll(
    fleet: &mut Fleet,
    rolling: Option<Rolling>,
    to: Option<ReplyTo>,
    out: &mut Vec<Effect>,
) {
    let under_way = fleet.rolling().is_some_and(|rolling| !rolling.plan.is_done());
    if under_way && rolling.is_some() {
        return reply(to, Answer::AnotherPlan, out);
    }
    let turns = rolling.iter().flat_map(|rolling| &rolling.plan.turns);
    if turns.clone().any(|turn| !fleet.hosts.contains_key(&turn.host)) {
        return reply(to, Answer::NoSuchHost, out);
    }
    let former = fleet.rolling.take();
    fleet.rolling = rolling.map(Arc::new);
    let both = former.iter().chain(&fleet.rolling);
    let hosts: Vec<HostId> =
        both.flat_map(|rolling| &rolling.plan.turns).map(|turn| turn.host.clone()).collect();
    hosts.iter().for_each(|host| fleet.changed(host));
    out.push(Effect::Save(Row::Rolling(fleet.rolling.clone())));
    reply(to, Answer::Intended, out);
}

/// Takes all steps that are due.
pub fn carry_out(fleet: &mut Fleet, now: Timestamp, out: &mut Vec<Effect>) {
    while let Some(step) = next(fleet, now) {
        take(fleet, now, &step, out);
    }
}

/// The next step, if one can be taken now.
fn next(fleet: &Fleet, now: Timestamp) -> Option<Step> {
    let plan = &fleet.rolling()?.plan;
    let turn = plan.turns.iter().find(|turn| turn.state != State::Done)?;
    let id = &turn.host;
    let Some(host) = fleet.hosts.get(id) else { return Some(Step::Finish { host: id.clone() }) };
    let draining = matches!(host.intent, Intent::Draining { .. });
    match &turn.state {
        State::Waiting => (host.intent == Intent::Open).then(|| Step::Begin {
            host: id.clone(),
            emptying: Emptying {
                since: now,
                deadline: plan.goal.deadline(now),
                boot: host.boot_id.clone(),
                moves: Vec::new(),
            },
        }),
        State::Emptying(_) | State::Empty { .. } if !draining => {
            Some(Step::Finish { host: id.clone() })
        }
        State::Emptying(emptying) => fleet
            .holding_on(id)
            .next()
            .is_none()
            .then(|| Step::Empty { host: id.clone(), boot: emptying.boot.clone() }),
        State::Empty { boot } => {
            let rebooted = host.boot_id.is_some() && host.boot_id != *boot;
            let back = rebooted && fleet.host_state(host, now).is_reporting();
            back.then(|| Step::Finish { host: id.clone() })
        }
        State::Done => None,
    }
}

/// Takes a step and writes it down.
fn take(fleet: &mut Fleet, now: Timestamp, step: &Step, out: &mut Vec<Effect>) {
    let Some(rolling) = &mut fleet.rolling else { return };
    let rolling = Arc::make_mut(rolling);
    rolling.plan.record(step, now);
    let order = rolling.order.clone();
    let at_deadline = rolling.plan.at_deadline;
    out.push(Effect::Save(Row::Rolling(fleet.rolling.clone())));
    let (id, intent) = match step {
        Step::Begin { host, emptying } => {
            let by = emptying.deadline;
            let leads = fleet.settings.lifecycle.drain.leads.clone();
            let plan = intent::Intent { leads, ..drain_plan(host, by, at_deadline) };
            (host, Some(Intent::Draining { order, by, plan }))
        }
        Step::Finish { host } => (host, Some(Intent::Open)),
        Step::Empty { host, .. } => (host, None),
        Step::Tell { .. } | Step::Restart(_) | Step::Stop { .. } => return,
    };
    // One that an administrator cordoned meanwhile stays so.
    let host = fleet.hosts.get(id);
    let ours = host.is_some_and(|host| !matches!(host.intent, Intent::Cordoned(_)));
    if let Some(intent) = intent.filter(|_| ours) {
        fleet.intend(id, intent, now, out);
    }
    fleet.changed(id);
}
