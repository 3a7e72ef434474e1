//! One host emptied before a deadline: what happens to each server there, when, and where its next
//! start goes.
//!
//! What counts is that no busy kernel is interrupted. A server that will be busy at the deadline
//! is restarted elsewhere in a quiet moment before, if its owner lets us and some host has room by
//! then; so room that is scarce goes to those. All others stay until they end by themselves, at
//! their own idle limit or by their owner, and at the latest until the deadline.

use berth_common::{Resources, Seconds, Timestamp};
use serde::{Deserialize, Serialize};

use super::Kind;

mod seats;

/// What is to be emptied, and what is known about it.
#[derive(Debug, Clone)]
pub struct Request {
    /// The present.
    pub now: Timestamp,
    /// Since when people know; the present if nobody was told yet.
    pub told: Timestamp,
    /// When the host must be empty; `None`: when it happens to be.
    pub deadline: Option<Timestamp>,
    /// How long before the deadline people are told, besides at once.
    pub leads: Vec<Seconds>,
    /// What happens then to those who are left.
    pub at_deadline: AtDeadline,
    /// The servers on the host.
    pub servers: Vec<Occupant>,
    /// The hosts where they could go: those that take new servers and are not to be emptied.
    pub openings: Vec<Opening>,
}

/// What happens to servers that are left at the deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AtDeadline {
    /// They are stopped.
    Stop,
    /// They stay, and the host is not empty.
    Hold,
}

/// A server on the host.
#[derive(Debug, Clone)]
pub struct Occupant {
    /// What it holds, and its next start will.
    pub need: Resources,
    /// Where its next start may go.
    pub kind: Kind,
    /// When its kernels were and will be busy, as far as known; in order, apart from each other. A
    /// kernel that is busy now without a known end is busy for ever.
    pub busy: Vec<Span>,
    /// Since when it is idle, if it is.
    pub idle_since: Option<Timestamp>,
    /// How long it may be idle before it is stopped, anyway.
    pub idle_limit: Option<Seconds>,
    /// Whether its owner lets us restart it elsewhere in a quiet moment.
    pub may_restart: bool,
}

/// From a moment to another, the second not included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// The first moment.
    pub from: Timestamp,
    /// The first moment after.
    pub until: Timestamp,
}

/// Room on another host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// What is free now.
    pub free: Resources,
    /// What becomes free later, in order of time: servers there that end.
    pub later: Vec<(Timestamp, Resources)>,
    /// The kinds of servers it may take.
    pub takes: Vec<Kind>,
}

/// What will happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// To each server, in the order of the request.
    pub fates: Vec<Fate>,
    /// What the hub does, in order of time.
    pub actions: Vec<Action>,
}

/// What happens to one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fate {
    /// How it leaves the host.
    pub end: End,
    /// The opening where its next start has a place; `None`: nowhere, say so before starting.
    pub place: Option<usize>,
}

/// How a server leaves the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Stopped at its own idle limit.
    Idle(Timestamp),
    /// Restarted elsewhere in a quiet moment.
    Restarted(Timestamp),
    /// Stopped at the deadline, idle.
    Stopped(Timestamp),
    /// Stopped at the deadline in the middle of its work.
    Interrupted(Timestamp),
    /// Stays.
    Held,
}

/// One thing that the hub does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Action {
    /// When.
    pub at: Timestamp,
    /// To which server, by its position in the request.
    pub server: usize,
    /// What.
    pub what: What,
}

/// What is done to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// Its owner is told, this long before the deadline; `None`: at once.
    Tell(Option<Seconds>),
    /// It is stopped at its own idle limit.
    StopIdle,
    /// It is restarted on the opening.
    Restart(usize),
    /// It is stopped: the deadline.
    Stop,
}

impl Plan {
    /// How many busy kernels are interrupted.
    pub fn interrupted(&self) -> usize {
        self.fates.iter().filter(|fate| matches!(fate.end, End::Interrupted(_))).count()
    }

    /// Servers whose next start has no place, by position.
    pub fn stuck(&self) -> impl Iterator<Item = usize> {
        let fates = self.fates.iter().enumerate();
        fates.filter(|(_, fate)| fate.place.is_none()).map(|(server, _)| server)
    }

    /// When the host is empty; `None` if somebody stays.
    pub fn empty_at(&self, now: Timestamp) -> Option<Timestamp> {
        self.fates.iter().try_fold(now, |last, fate| match fate.end {
            End::Idle(at) | End::Restarted(at) | End::Stopped(at) | End::Interrupted(at) => {
                Some(last.max(at))
            }
            End::Held => None,
        })
    }
}

/// Plans the emptying of one host.
pub fn plan(request: &Request) -> Plan {
    let seats = seats::assign(request);
    let fates: Vec<Fate> = request
        .servers
        .iter()
        .zip(seats)
        .map(|(server, seat)| {
            let end = match seat.restart_at {
                Some(at) => End::Restarted(at),
                None => left_alone(request, server),
            };
            Fate { end, place: seat.opening }
        })
        .collect();
    let actions = actions(request, &fates);
    Plan { fates, actions }
}

/// How a server leaves that is not restarted before.
fn left_alone(request: &Request, server: &Occupant) -> End {
    match (server.idle_end(request.now), request.deadline) {
        (Some(at), None) => End::Idle(at),
        (Some(at), Some(deadline)) if at <= deadline => End::Idle(at),
        (_, Some(deadline)) if request.at_deadline == AtDeadline::Stop => {
            if server.is_busy(deadline) {
                End::Interrupted(deadline)
            } else {
                End::Stopped(deadline)
            }
        }
        _ => End::Held,
    }
}

/// What the hub does, in order of time; at one moment people are told before anything happens.
fn actions(request: &Request, fates: &[Fate]) -> Vec<Action> {
    let mut actions = Vec::new();
    for (server, fate) in fates.iter().enumerate() {
        let (gone_at, what) = match (fate.end, fate.place) {
            (End::Idle(at), _) => (Some(at), Some(What::StopIdle)),
            (End::Restarted(at), place) => (Some(at), place.map(What::Restart)),
            (End::Stopped(at) | End::Interrupted(at), _) => (Some(at), Some(What::Stop)),
            (End::Held, _) => (None, None),
        };
        let mut act = |at, what| actions.push(Action { at, server, what });
        act(request.now, What::Tell(None));
        for (lead, at) in lead_moments(request.now, request.deadline, &request.leads) {
            if gone_at.is_none_or(|gone| at < gone) {
                act(at, What::Tell(Some(lead)));
            }
        }
        if let (Some(at), Some(what)) = (gone_at, what) {
            act(at, what);
        }
    }
    actions.sort_by_key(|action| (action.at, action.what, action.server));
    actions
}

/// When people are told before a deadline. A lead that has passed already does not count: they
/// are told at once anyway.
pub(super) fn lead_moments(
    now: Timestamp,
    deadline: Option<Timestamp>,
    leads: &[Seconds],
) -> Vec<(Seconds, Timestamp)> {
    let Some(deadline) = deadline else { return Vec::new() };
    let moments = leads.iter().map(|&lead| (lead, before(deadline, lead)));
    moments.filter(|&(_, at)| at > now).collect()
}

/// A moment and a span earlier.
pub(super) fn before(moment: Timestamp, span: Seconds) -> Timestamp {
    let micros = i64::try_from(span.0).unwrap_or(i64::MAX).saturating_mul(1_000_000);
    Timestamp(moment.0.saturating_sub(micros))
}

impl Request {
    /// The first moment at which a server may be restarted: its owner was told the shortest lead
    /// before.
    fn first_restart(&self) -> Timestamp {
        self.told.plus(self.leads.iter().copied().min().unwrap_or_default()).max(self.now)
    }
}

impl Occupant {
    /// Whether it is busy at a moment.
    pub(super) fn is_busy(&self, at: Timestamp) -> bool {
        self.busy.iter().any(|span| span.from <= at && at < span.until)
    }

    /// When it is not busy, from its present rest on.
    fn quiet(&self, now: Timestamp) -> Vec<Span> {
        let mut quiet = Vec::new();
        let mut from = self.idle_since.unwrap_or(now).min(now);
        for busy in &self.busy {
            if busy.from > from {
                quiet.push(Span { from, until: busy.from });
            }
            from = from.max(busy.until);
        }
        if from < Timestamp(i64::MAX) {
            quiet.push(Span { from, until: Timestamp(i64::MAX) });
        }
        quiet
    }

    /// When it is stopped at its own idle limit, deadline or not.
    pub(super) fn idle_end(&self, now: Timestamp) -> Option<Timestamp> {
        let limit = self.idle_limit?;
        let mut quiet = self.quiet(now).into_iter();
        quiet.find_map(|span| {
            let at = span.from.plus(limit).max(now);
            (at < span.until).then_some(at)
        })
    }
}
