//! The next safe step of a drain: a plain function of what was decided, what is there, and the
//! time.
//!
//! The hub takes the steps, records them ([`Intent::record`]) in the same transaction, and asks
//! again until there is none. What a step changes is either recorded or seen in the next view, so
//! a hub that was killed anywhere between goes on as if it had not been.

use std::collections::BTreeMap;

use berth_common::{BootId, HostId, Resources, Seconds, ServerId, Timestamp};

use super::Kind;
use super::intent::{Emptying, Goal, Handover, Intent, State};
use super::single::{self, AtDeadline, Occupant, Opening, Request, What};

mod rolling;

pub use rolling::{Forecast, TurnForecast, forecast, order};

/// What is there now.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// All hosts that are known.
    pub hosts: BTreeMap<HostId, HostView>,
    /// All servers that are anywhere.
    pub servers: BTreeMap<ServerId, ServerView>,
}

/// A host.
#[derive(Debug, Clone)]
pub struct HostView {
    /// All that servers may hold there.
    pub room: Resources,
    /// The kinds of servers that it may take.
    pub takes: Vec<Kind>,
    /// Whether it takes new servers, this intent aside: it reports, and nobody has cordoned it.
    pub open: bool,
    /// Its boot; `None` while it is not known.
    pub boot: Option<BootId>,
}

/// A server.
#[derive(Debug, Clone)]
pub struct ServerView {
    /// Where it runs, or stops.
    pub host: HostId,
    /// Where it is being restarted: it holds its memory there, too.
    pub moving_to: Option<HostId>,
    /// Whether it was told to stop.
    pub stopping: bool,
    /// What is known about it.
    pub about: Occupant,
}

/// What the hub does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A host takes nothing new from now on.
    Begin {
        /// The host.
        host: HostId,
        /// What to record; a newer plan for a host that is being emptied comes this way too.
        emptying: Emptying,
    },
    /// An owner is told.
    Tell {
        /// About this server.
        server: ServerId,
        /// On this host.
        host: HostId,
        /// How long before the deadline; `None`: that the host is to be emptied.
        lead: Option<Seconds>,
    },
    /// A server is restarted elsewhere. First the room there is reserved.
    Restart(Handover),
    /// A server is stopped.
    Stop {
        /// Which.
        server: ServerId,
        /// Why.
        why: Why,
    },
    /// A host is empty: it may be worked on.
    Empty {
        /// The host.
        host: HostId,
        /// Its boot.
        boot: Option<BootId>,
    },
    /// A host was rebooted, and takes servers again; or it is gone for good.
    Finish {
        /// The host.
        host: HostId,
    },
}

/// Why a server is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Its own idle limit.
    Idle,
    /// The deadline.
    Deadline,
}

/// The steps to take now: everybody who is to be told, or else one step, since it changes what is
/// best afterwards. None: ask again when something changed or [`wake`] has come.
pub fn next(intent: &Intent, view: &View, now: Timestamp) -> Vec<Step> {
    let at_once = matches!(intent.goal, Goal::Drain { .. });
    for turn in &intent.turns {
        let steps = match &turn.state {
            State::Waiting => vec![begin(intent, view, &turn.host, now)],
            State::Emptying(emptying) => empty(intent, view, &turn.host, emptying, now),
            State::Empty { boot } => look_after(intent, view, &turn.host, boot.as_ref(), now),
            State::Done => continue,
        };
        // In a rolling reboot nothing happens to a host before those before it are done.
        if !steps.is_empty() || !at_once {
            return steps;
        }
    }
    Vec::new()
}

/// When to ask again at the latest, if nothing changes before.
pub fn wake(intent: &Intent, view: &View, now: Timestamp) -> Option<Timestamp> {
    let mut moments = Vec::new();
    for turn in &intent.turns {
        let State::Emptying(emptying) = &turn.state else { continue };
        moments.extend(emptying.deadline);
        let leads = single::lead_moments(emptying.since, emptying.deadline, &intent.leads);
        moments.extend(leads.into_iter().map(|(_, at)| at));
        let outlook = outlook(intent, view, &turn.host, now);
        moments.extend(outlook.plan.actions.into_iter().map(|action| action.at));
        moments.extend(intent.told.values().map(|told| told.at.plus(notice(intent))));
    }
    moments.into_iter().filter(|&at| at > now).min()
}

/// What happens to the servers of one host, if nothing changes: to be shown before it starts.
#[derive(Debug, Clone)]
pub struct Outlook {
    /// The servers in the order of the plan.
    pub servers: Vec<ServerId>,
    /// The hosts that the plan's openings are.
    pub hosts: Vec<HostId>,
    /// The plan.
    pub plan: single::Plan,
}

/// The outlook for a host; if its turn has not come, as if it came now.
pub fn outlook(intent: &Intent, view: &View, host: &HostId, now: Timestamp) -> Outlook {
    let (told, deadline) = match intent.state(host) {
        Some(State::Emptying(emptying)) => (emptying.since, emptying.deadline),
        _ => (now, intent.goal.deadline(now)),
    };
    let (servers, occupants) =
        staying(view, host).map(|(id, server)| (id.clone(), server.about.clone())).unzip();
    let open = view.hosts.iter().filter(|(id, host)| host.open && intent.position(id).is_none());
    let (hosts, openings) =
        open.map(|(id, host)| (id.clone(), opening(view, id, host, now))).unzip();
    let request = Request {
        now,
        told,
        deadline,
        leads: intent.leads.clone(),
        at_deadline: intent.at_deadline,
        servers: occupants,
        openings,
    };
    Outlook { servers, hosts, plan: single::plan(&request) }
}

/// What is and will be free on a host.
fn opening(view: &View, id: &HostId, host: &HostView, now: Timestamp) -> Opening {
    let used: Resources = view.held(id).map(|server| server.about.need).sum();
    let mut later: Vec<_> = view
        .held(id)
        .filter_map(|server| Some((server.about.idle_end(now)?, server.about.need)))
        // Whoever should have ended by now and is still there may not end at all.
        .filter(|(at, _)| *at > now)
        .collect();
    later.sort_by_key(|(at, _)| *at);
    Opening { free: host.room.minus(&used), later, takes: host.takes.clone() }
}

fn begin(intent: &Intent, view: &View, host: &HostId, now: Timestamp) -> Step {
    let deadline = intent.goal.deadline(now);
    let boot = view.hosts.get(host).and_then(|host| host.boot.clone());
    let moves = match intent.goal {
        Goal::Drain { .. } => Vec::new(),
        Goal::Reboot { .. } => rolling::moves(intent, view, host, now),
    };
    let emptying = Emptying { since: now, deadline, boot, moves };
    Step::Begin { host: host.clone(), emptying }
}

/// A host whose servers leave.
fn empty(
    intent: &Intent,
    view: &View,
    host: &HostId,
    emptying: &Emptying,
    now: Timestamp,
) -> Vec<Step> {
    if is_empty(view, host) {
        // The boot at the beginning: if it is another one already, nobody waits for one more.
        return vec![Step::Empty { host: host.clone(), boot: emptying.boot.clone() }];
    }
    let told = tell(intent, view, host, emptying, now);
    if !told.is_empty() || !is_open(view, host) {
        return told;
    }
    let step = match intent.goal {
        Goal::Drain { .. } => drain_step(intent, view, host, now),
        Goal::Reboot { .. } => rolling::step(intent, view, host, emptying, now),
    };
    step.or_else(|| overdue(intent, view, host, emptying, now)).into_iter().collect()
}

/// An empty host: it is back, or something runs there again.
fn look_after(
    intent: &Intent,
    view: &View,
    host: &HostId,
    boot: Option<&BootId>,
    now: Timestamp,
) -> Vec<Step> {
    let rebooted = view
        .hosts
        .get(host)
        .is_none_or(|seen| seen.open && seen.boot.is_some() && seen.boot.as_ref() != boot);
    match intent.goal {
        Goal::Reboot { .. } if rebooted => vec![Step::Finish { host: host.clone() }],
        _ if !is_empty(view, host) => vec![begin(intent, view, host, now)],
        _ => Vec::new(),
    }
}

/// Whether a host reports and obeys.
fn is_open(view: &View, host: &HostId) -> bool {
    view.hosts.get(host).is_some_and(|host| host.open)
}

/// Whether nothing runs on a host or is on its way there.
fn is_empty(view: &View, host: &HostId) -> bool {
    view.servers
        .values()
        .all(|server| server.host != *host && server.moving_to.as_ref() != Some(host))
}

/// Servers on a host that nobody has told to go yet.
fn staying<'a>(
    view: &'a View,
    host: &'a HostId,
) -> impl Iterator<Item = (&'a ServerId, &'a ServerView)> {
    view.servers.iter().filter(move |(_, server)| server.host == *host && server.stays())
}

/// Who is to be told now. If the hub was away while several leads passed, the shortest is told.
fn tell(
    intent: &Intent,
    view: &View,
    host: &HostId,
    emptying: &Emptying,
    now: Timestamp,
) -> Vec<Step> {
    let leads = single::lead_moments(emptying.since, emptying.deadline, &intent.leads);
    let due = leads.into_iter().filter(|(_, at)| *at <= now).map(|(lead, _)| lead).min();
    let last = |server, host: &HostId| intent.told.get(server).filter(|told| told.host == *host);
    let mut steps = Vec::new();
    for (server, _) in staying(view, host) {
        let lead = match last(server, host) {
            // One who comes late is told that the host is to be emptied, whatever the time.
            None => None,
            Some(told) => match due.filter(|due| told.lead.is_none_or(|lead| *due < lead)) {
                None => continue,
                shorter => shorter,
            },
        };
        steps.push(Step::Tell { server: server.clone(), host: host.clone(), lead });
    }
    // Those who make room elsewhere, too.
    for Handover { server, from, .. } in &emptying.moves {
        let there = view.servers.get(server).is_some_and(|seen| seen.host == *from && seen.stays());
        if from != host && there && last(server, from).is_none() {
            steps.push(Step::Tell { server: server.clone(), host: from.clone(), lead: None });
        }
    }
    steps
}

/// The first action of the plan for one host that is due.
fn drain_step(intent: &Intent, view: &View, host: &HostId, now: Timestamp) -> Option<Step> {
    let Outlook { servers, hosts, plan } = outlook(intent, view, host, now);
    let mut due = plan.actions.into_iter().take_while(|action| action.at <= now);
    due.find_map(|action| {
        let server = servers[action.server].clone();
        match action.what {
            What::Restart(opening) => {
                let may = may_start(intent, view) && was_told(intent, &server, host, now);
                let to = hosts[opening].clone();
                may.then(|| Step::Restart(Handover { server, from: host.clone(), to }))
            }
            What::StopIdle => Some(Step::Stop { server, why: Why::Idle }),
            What::Tell(_) | What::Stop => None,
        }
    })
}

/// After the deadline, whoever is left.
fn overdue(
    intent: &Intent,
    view: &View,
    host: &HostId,
    emptying: &Emptying,
    now: Timestamp,
) -> Option<Step> {
    let passed = emptying.deadline.is_some_and(|deadline| deadline <= now);
    if !passed || intent.at_deadline == AtDeadline::Hold {
        return None;
    }
    let (server, _) = staying(view, host).next()?;
    Some(Step::Stop { server: server.clone(), why: Why::Deadline })
}

/// How long before a restart its owner is told: the shortest lead.
fn notice(intent: &Intent) -> Seconds {
    intent.leads.iter().copied().min().unwrap_or_default()
}

/// Whether the owner was told long enough ago that the server is to leave this host.
fn was_told(intent: &Intent, server: &ServerId, host: &HostId, now: Timestamp) -> bool {
    let told = intent.told.get(server).filter(|told| told.host == *host);
    told.is_some_and(|told| told.at.plus(notice(intent)) <= now)
}

/// Whether one more server may change hosts.
fn may_start(intent: &Intent, view: &View) -> bool {
    let moving = view.servers.values().filter(|server| server.moving_to.is_some());
    moving.count() < intent.at_once.max(1)
}

impl View {
    /// Servers that hold room on a host: they run there, or are on their way.
    fn held<'a>(&'a self, host: &'a HostId) -> impl Iterator<Item = &'a ServerView> {
        self.servers
            .values()
            .filter(move |server| server.host == *host || server.moving_to.as_ref() == Some(host))
    }
}

impl ServerView {
    /// Whether nobody has told it to go.
    fn stays(&self) -> bool {
        !self.stopping && self.moving_to.is_none()
    }
}
