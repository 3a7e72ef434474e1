//! What must always hold, checked against the truth that only the world knows: what really runs,
//! who was promised what, and why a server was ended.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use berth_common::link::{DesiredSet, Limit, Verdict};
use berth_common::{Epoch, Generation, HostId, Reason, Revision, ServerId, Timestamp};
use berth_core::check::{violations, violations_near};
use berth_core::event::{Effect, Row};
use berth_core::fleet::{End, Phase};
use berth_core::usage::UsageDay;
use berth_core::{Fleet, Server};

use crate::world::grants::Grants;
use crate::world::lives::Lives;
use crate::world::marks::mark_of;
use crate::world::schedule::later;
use crate::world::transcript::Transcript;
use crate::world::usage::Ledger;

/// A wish to stop may wait this long in the hub's queue, while the hub stands still.
const QUEUE_US: u64 = 600_000_000;

/// An invariant that did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Its name.
    pub invariant: &'static str,
    /// What was found.
    pub found: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.found)
    }
}

/// A promise about a server.
#[derive(Debug, Clone, Copy)]
struct Promise {
    generation: Generation,
    at: Timestamp,
    waiting: bool,
}

/// What the hub has saved and said: lost with a restore, as far as it is newer than the backup.
#[derive(Debug, Clone, Default)]
pub struct Promises {
    /// Generations as saved.
    saved: BTreeMap<ServerId, Generation>,
    /// Nothing of these generations, and of those before them, may run any more.
    released: BTreeMap<ServerId, Generation>,
    starts: BTreeMap<ServerId, Promise>,
    stops: BTreeMap<ServerId, Generation>,
    removed: BTreeSet<ServerId>,
}

type Start = (ServerId, Generation);
type Servers = BTreeMap<ServerId, Server>;
/// In the order of the servers.
type Orders = Vec<(ServerId, Generation, u8, Option<Limit>)>;

/// The truth, and the first thing that contradicts it.
#[derive(Debug, Default)]
pub struct History {
    broken: Option<Broken>,
    reign: Epoch,
    /// Rows on their way to the disk.
    unsaved: Vec<Row>,
    promises: Promises,
    /// After a restore nothing is made anew: a start of which its host had not heard, or whose
    /// container was made and removed before it ever ran, as a late one is, has ended.
    renumbers: bool,
    /// Where each start of a server was placed.
    placed: BTreeMap<Start, String>,
    made_on: BTreeMap<Start, usize>,
    /// The containers that are there, whatever became of them: which start, and on which host.
    there: BTreeMap<ServerId, Vec<(Generation, usize)>>,
    answered: BTreeSet<Start>,
    may_end: BTreeSet<Start>,
    stops_asked: BTreeMap<ServerId, Timestamp>,
    removals_asked: BTreeSet<ServerId>,
    ended: BTreeSet<Start>,
    obeyed: BTreeMap<usize, Epoch>,
    told: BTreeMap<usize, (Revision, Orders)>,
    ledger: Ledger,
    /// Hosts that somebody wants empty.
    pub drained: BTreeSet<HostId>,
    /// What not everybody may have, in a seed that has such things.
    pub grants: Option<Grants>,
    /// Lives of servers, in a seed that has them.
    pub lives: Option<Lives>,
}

impl History {
    /// The first invariant that did not hold.
    pub fn broken(&self) -> Option<&Broken> {
        self.broken.as_ref()
    }

    /// An invariant does not hold.
    pub fn violated(&mut self, invariant: &'static str, found: String) {
        if self.broken.is_none() {
            self.broken = Some(Broken { invariant, found });
        }
    }

    // What happens on hosts.

    /// A container was made.
    pub fn created(&mut self, server: &ServerId, generation: Generation, host: usize) {
        self.there.entry(server.clone()).or_default().push((generation, host));
        let first = *self.made_on.entry((server.clone(), generation)).or_insert(host);
        if first != host {
            let found = format!("start {generation} of {server} was made on two hosts");
            self.violated("S8-one-host", found);
        }
    }

    /// A container is gone.
    pub fn gone(&mut self, server: &ServerId, generation: Generation) {
        let Some(there) = self.there.get_mut(server) else { return };
        if let Some(position) = there.iter().position(|(start, _)| *start == generation) {
            there.remove(position);
        }
        if there.is_empty() {
            self.there.remove(server);
        }
    }

    /// The hosts that have a container of this server, whatever became of it.
    pub fn hosts_of(&self, server: &ServerId) -> impl Iterator<Item = usize> {
        self.there.get(server).into_iter().flatten().map(|(_, host)| *host)
    }

    fn is_there(&self, server: &Server) -> bool {
        let there = self.there.get(&server.id).into_iter().flatten();
        there.into_iter().any(|(start, _)| *start == server.generation)
    }

    /// A container begins to run.
    pub fn runs(&mut self, server: &ServerId, generation: Generation, host: usize) {
        if self.promises.released.get(server).is_some_and(|released| generation <= *released) {
            let found =
                format!("start {generation} of {server} runs on host {host} after its release");
            self.violated("S13-final", found);
        }
    }

    /// The highest generation of a server of which nothing may run.
    pub fn released(&self, server: &ServerId) -> Option<Generation> {
        self.promises.released.get(server).copied()
    }

    /// A server answers.
    pub fn answers(&mut self, server: &ServerId, generation: Generation) {
        self.answered.insert((server.clone(), generation));
    }

    /// Something has happened that may end a start without anybody's wish.
    pub fn may_end(&mut self, server: &ServerId, generation: Generation) {
        self.may_end.insert((server.clone(), generation));
    }

    /// An agent takes a desired set over: never an older one (S9).
    pub fn obeys(&mut self, host: usize, process: u64, before: Revision, revision: Revision) {
        let highest = self.obeyed.entry(host).or_default();
        if revision <= before || revision.epoch < *highest {
            let highest = *highest;
            let found =
                format!("process {process} obeys {revision} after {before}, reign {highest}");
            self.violated("S9-older", found);
        } else {
            *highest = revision.epoch;
        }
    }

    /// An agent has taken orders to end over: they are final, also if a restored hub forgets them.
    pub fn ordered(&mut self, set: &DesiredSet) {
        for (server, desired) in &set.servers {
            if matches!(desired.what, Verdict::Stop { .. }) {
                self.ended.insert((server.clone(), desired.generation));
            }
        }
    }

    /// Whether an agent was ever told to end this start.
    pub fn is_ended(&self, server: &ServerId, generation: Generation) -> bool {
        self.ended.contains(&(server.clone(), generation))
    }

    /// A host has lost its file of the highest reign.
    pub fn file_lost(&mut self, host: usize) {
        self.obeyed.remove(&host);
    }

    // What people are told.

    /// Somebody asks for a server's end.
    pub fn asked_to_stop(&mut self, server: &ServerId, generation: Generation, now: Timestamp) {
        self.stops_asked.insert(server.clone(), now);
        // A start may be on its way to the hub before this.
        self.may_end(server, generation);
        self.may_end(server, generation.next());
    }

    /// Somebody asks to forget a server.
    pub fn asked_to_remove(&mut self, server: &ServerId) {
        self.removals_asked.insert(server.clone());
    }

    /// Somebody was told that a start is accepted.
    pub fn start_acknowledged(&mut self, server: &ServerId, fleet: &Fleet, at: Timestamp) {
        let Some(server) = fleet.servers.get(server) else { return };
        let waiting = matches!(server.phase, Phase::Waiting { .. });
        let promise = Promise { generation: server.generation, at, waiting };
        self.promises.starts.insert(server.id.clone(), promise);
    }

    /// Somebody was told that a server ends or has ended.
    pub fn stop_acknowledged(&mut self, server: &ServerId, fleet: &Fleet) {
        let Some(server) = fleet.servers.get(server) else { return };
        let mut generation = server.generation;
        if server.placement().is_some_and(|placement| placement.stop.is_none()) {
            // It was started again meanwhile; the stop was about the one before.
            generation = Generation(generation.0.saturating_sub(1));
        }
        let stops = self.promises.stops.entry(server.id.clone()).or_default();
        *stops = generation.max(*stops);
    }

    /// Somebody was told that a server is forgotten.
    pub fn removal_acknowledged(&mut self, server: ServerId) {
        self.promises.removed.insert(server);
    }

    // What the hub saves and says.

    /// What was promised so far.
    pub fn promises(&self) -> &Promises {
        &self.promises
    }

    /// The hub's disk goes back to a backup, and with it what was promised.
    pub fn goes_back(&mut self, promises: Promises) {
        self.promises = promises;
        self.renumbers = true;
        self.unsaved.clear();
        if let Some(lives) = &mut self.lives {
            lives.goes_back();
        }
    }

    /// A new reign begins from what is saved: the place where every promise is checked (S7).
    pub fn reign_begins(&mut self, reign: Epoch, saved: &BTreeMap<ServerId, Server>) {
        if reign <= self.reign {
            self.violated("S8-reign", format!("reign {reign} after {}", self.reign));
        }
        self.reign = reign;
        self.unsaved.clear();
        let mut lost = Vec::new();
        for (id, promise) in &self.promises.starts {
            match saved.get(id) {
                None if self.removals_asked.contains(id) => {}
                None => lost.push(format!("the accepted start of {id} is not saved")),
                Some(server) if server.generation < promise.generation => {
                    lost.push(format!("start {} of {id} is not saved", promise.generation));
                }
                Some(server) => {
                    let wished_away = self
                        .stops_asked
                        .get(id)
                        .is_some_and(|asked| later(*asked, QUEUE_US) >= promise.at);
                    let forgotten = promise.waiting
                        && server.generation == promise.generation
                        && !server.is_active();
                    if forgotten && !wished_away && !self.may_be_over(server.last_end.as_ref()) {
                        lost.push(format!("{id} has left the queue"));
                    }
                }
            }
        }
        for id in self.promises.removed.iter().filter(|id| saved.contains_key(*id)) {
            lost.push(format!("{id} was removed and is saved"));
        }
        for server in saved.values().filter(|server| self.lives_again(server)) {
            lost.push(format!("the stop of {} is not saved", server.id));
        }
        for found in lost {
            self.violated("S7-acknowledged", found);
        }
    }

    /// What is booked is what was held (S14). A restore takes both back, and not alike.
    pub fn judge_usage<'a>(&self, days: impl Iterator<Item = &'a UsageDay>) -> Option<String> {
        if self.renumbers { None } else { self.ledger.judge(days) }
    }

    /// A desired set with what a server needs to start goes to the host that it is saved on, and to
    /// no other: its token is in it (S11).
    pub fn tells_secrets(&mut self, host: &HostId, set: &DesiredSet, saved: &Servers) {
        for (id, desired) in &set.servers {
            let Verdict::Run(spec) = &desired.what else { continue };
            let right = saved.get(id).is_some_and(|server| {
                server.generation == desired.generation
                    && server.owner == spec.account.name
                    && server.placement().is_some_and(|placement| placement.host == *host)
            });
            if !right {
                let found =
                    format!("{host} is told how to start {id}, start {}", desired.generation);
                self.violated("S11-secret", found);
            }
        }
    }

    /// Rows go to the disk.
    pub fn saves(&mut self, effects: &[Effect]) {
        self.unsaved = effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::Save(row) => Some(row.clone()),
                _ => None,
            })
            .collect();
    }

    /// They did not get there.
    pub fn not_saved(&mut self) {
        self.unsaved.clear();
    }

    /// They are saved. Returns the servers of which nothing, or less than before, may run now.
    pub fn saved(&mut self, now: Timestamp, transcript: &mut Transcript) -> Vec<ServerId> {
        let mut less = Vec::new();
        for row in std::mem::take(&mut self.unsaved) {
            if let Some(mark) = mark_of(&row) {
                transcript.mark(mark);
            }
            match row {
                Row::Server(server) => {
                    self.server_saved(&server);
                    self.ledger.saved(&server, now);
                    if let Some(lives) = &mut self.lives {
                        lives.saved(&server, transcript);
                    }
                    less.push(server.id.clone());
                }
                Row::ServerGone(id) => {
                    self.promises.released.insert(id.clone(), Generation(u64::MAX));
                    less.push(id);
                }
                Row::Host(_)
                | Row::Decision(_)
                | Row::Floor { .. }
                | Row::Settings(_)
                | Row::Usage(_)
                | Row::Prices(_)
                | Row::Life(_)
                | Row::Wait(_)
                | Row::Drain(_)
                | Row::Restored(_)
                | Row::Rolling(_) => {}
            }
        }
        less
    }

    fn server_saved(&mut self, server: &Server) {
        let before = self.promises.saved.insert(server.id.clone(), server.generation);
        if before.is_some_and(|before| server.generation < before) {
            let found = format!("{} goes back to start {}", server.id, server.generation);
            self.violated("S8-generation", found);
        }
        if !server.is_active() && self.may_be_over(server.last_end.as_ref()) {
            // What is refused later does not say why this wait was over.
            self.promises.starts.remove(&server.id);
        }
        let free = match server.placement() {
            None => server.generation,
            Some(placement) => {
                let start = (server.id.clone(), server.generation);
                let host = placement.host.to_string();
                let first = self.placed.entry(start).or_insert_with(|| host.clone());
                if *first != host {
                    let found = format!(
                        "start {} of {} is on {host} after {first}",
                        server.generation, server.id
                    );
                    self.violated("S8-one-host", found);
                }
                Generation(server.generation.0.saturating_sub(1))
            }
        };
        let released = self.promises.released.entry(server.id.clone()).or_default();
        if free < *released {
            let found = format!("start {} of {} after its release", server.generation, server.id);
            self.violated("S13-final", found);
        } else {
            *released = free;
        }
    }

    /// A desired set leaves: one number never stands for two meanings, and none goes back.
    pub fn told(&mut self, host: usize, set: &DesiredSet) {
        let orders: Orders = set
            .servers
            .iter()
            .map(|(server, desired)| {
                let what = match desired.what {
                    Verdict::Run(_) => 0,
                    Verdict::Keep => 1,
                    Verdict::Stop { .. } => 2,
                };
                (server.clone(), desired.generation, what, desired.limit)
            })
            .collect();
        if let Some((revision, before)) = self.told.get(&host) {
            let found = if set.revision < *revision {
                Some(format!("host {host} is told {} after {revision}", set.revision))
            } else if set.revision == *revision && *before != orders {
                Some(format!("host {host}: {revision} means {before:?}, then {orders:?}"))
            } else {
                None
            };
            if let Some(found) = found {
                self.violated("S8-revision", found);
            }
        }
        self.told.insert(host, (set.revision, orders));
    }

    /// A fleet after a step.
    pub fn judge(&mut self, fleet: &Fleet, transcript: &mut Transcript) {
        if let Some(found) = violations(fleet).into_iter().next() {
            self.violated(found.invariant, found.found);
        }
        for server in fleet.servers.values() {
            self.judge_server(server, transcript);
        }
    }

    /// What events touched, of a fleet after their steps: the servers that are to be saved, and the
    /// hosts that have reported.
    pub fn judge_changed(
        &mut self,
        fleet: &Fleet,
        effects: &[Effect],
        hosts: &[HostId],
        transcript: &mut Transcript,
    ) {
        let servers = effects.iter().filter_map(|effect| match effect {
            Effect::Save(Row::Server(saved)) => fleet.servers.get(&saved.id),
            _ => None,
        });
        let ids = servers.clone().map(|server| &server.id);
        if let Some(found) = violations_near(fleet, ids, hosts).into_iter().next() {
            self.violated(found.invariant, found.found);
        }
        for server in servers {
            self.judge_server(server, transcript);
        }
    }

    /// Who is placed now may be (S5, S6).
    pub fn judge_grants(&mut self, fleet: &Fleet, effects: &[Effect], now: Timestamp) {
        let Some(grants) = &self.grants else { return };
        let Some(course_host) = fleet.settings.hosts.keys().next_back() else { return };
        let found = effects.iter().find_map(|effect| match effect {
            Effect::Save(Row::Server(saved)) => grants.judge(saved, course_host, now),
            _ => None,
        });
        if let Some((invariant, found)) = found {
            self.violated(invariant, found);
        }
    }

    fn judge_server(&mut self, server: &Server, transcript: &mut Transcript) {
        let start = (server.id.clone(), server.generation);
        if self.promises.removed.contains(&server.id) {
            self.violated("S13-removed", format!("{} is there again", server.id));
        }
        if self.lives_again(server) {
            self.violated("S13-final", format!("{} lives again after its stop", server.id));
        }
        let Some(placement) = server.placement() else { return };
        if placement.ready_at.is_some() && !self.answered.contains(&start) {
            let found = format!("start {} of {} never answered", server.generation, server.id);
            self.violated("S12-ready", found);
        }
        let wrong = self.lives.as_mut().and_then(|lives| lives.judge(server, transcript));
        if let Some(found) = wrong {
            self.violated("L6-idle", found);
        }
        if let Some(stop) = &placement.stop
            && stop.end.reason != Reason::StoppedIdle
            && !self.may_end.contains(&start)
            && !self.may_be_over(Some(&stop.end))
            && !(stop.end.reason == Reason::StoppedDrain && self.drained.contains(&placement.host))
            && !(stop.end.reason == Reason::StoppedUser && self.wished(&server.id, stop.end.at))
            && (!self.renumbers || self.is_there(server))
        {
            let found = format!("{} is ended without a cause: {:?}", server.id, stop.end);
            self.violated("S15-cause", found);
        }
    }

    /// Whether an end is one that the site's files want.
    fn may_be_over(&self, end: Option<&End>) -> bool {
        self.grants.as_ref().zip(end).is_some_and(|(grants, end)| grants.may_end(end))
    }

    /// Whether somebody wished this server's end: the wish may have waited while the start got another
    /// number.
    fn wished(&self, server: &ServerId, ended: Timestamp) -> bool {
        self.stops_asked.get(server).is_some_and(|asked| later(*asked, QUEUE_US) >= ended)
    }

    fn lives_again(&self, server: &Server) -> bool {
        let stopped =
            self.promises.stops.get(&server.id).is_some_and(|stop| server.generation <= *stop);
        stopped && server.placement().is_some_and(|placement| placement.stop.is_none())
    }
}
