//! The agent's whole thought, as a value: the hub's desired set and the engine's lists go in,
//! steps for the engine and reports for the hub come out. No I/O, no clock, no chance, so that
//! production and the simulation of thousands of hosts drive the same code.
//!
//! The driver's round is: [`Keeper::take`] what the hub says, [`Keeper::looking`] before and
//! [`Keeper::observe`] after each list of the engine, [`Keeper::steps`] to learn what to do,
//! [`Keeper::settle`] when a call has an outcome, and [`Keeper::report`].

use std::collections::BTreeMap;
use std::net::SocketAddr;

use berth_common::link::{
    Capacity, Desired, DesiredSet, Ending, HostFacts, Observed, ObservedState, Origin, Pending,
    Report, RunSpec, StartStep, StepDone, Verdict,
};
use berth_common::{
    BootId, ByteCount, Epoch, Generation, Incarnation, Reason, Revision, ServerId, Timestamp,
};

/// After this long without an answer a start has failed. JupyterLab needs 2 s on a quiet host
/// and has been seen to need 40 s with a cold, busy NFS.
pub const ANSWER_MS: u64 = 60_000;

/// A start that is not ready by then frees its slot, so that one stuck server holds up nobody.
pub const SLOT_MS: u64 = 30_000;

/// Before the engine is asked again for what it could not do.
const RETRY_MS: u64 = 5_000;

/// Between SIGTERM and SIGKILL for a generation that a newer one has replaced.
const SUPERSEDED_GRACE_S: u32 = 30;

/// A name conflict this often in a row, while no list shows the container, is a foreign container.
const CONFLICTS_MAX: u32 = 3;

/// Longest detail of an ending, in bytes: what the hub keeps.
const DETAIL_MAX: usize = 2_000;

/// A container of ours as the engine's list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// The engine's id.
    pub id: String,
    /// Which server.
    pub server: ServerId,
    /// Which start of it.
    pub generation: Generation,
    /// The reign whose desired set asked for it.
    pub epoch: Epoch,
    /// The kernel's boot it was made in.
    pub boot: BootId,
    /// Whose it is.
    pub origin: Origin,
    /// Where the server answers, e.g. `/user/alice/`.
    pub prefix: String,
    /// What it does.
    pub state: ContainerState,
}

/// What a container does, and what follows from it. Acts stand above the arrows, facts below.
///
/// ```text
///             create            start                       stop            remove
///   (absent) ───────> Created ────────> Running ──────────────────> Exited ───────> (absent)
///      ^     slot free   │   Run still    │ │  Stop verdict, or a      ^ examine, then
///      │                 │   said for it  │ │  newer generation        │ once the hub heard it
///      │   remove        │                │ └──── ends by itself ──────┘ or says Stop
///      └─────────────────┤                │
///      │  not made and   │                │ no answer for 60 s: examine, then
///      │  inspected by this process,      │ remove
///      │  not wanted, or failed           │
///      └──────────────────────────────────┘
/// ```
///
/// *Created* is not absent: it may be about to start by a call that an earlier agent process
/// made. Only a container that this process has made and inspected is ever started; any other
/// created one is removed by force, and the server is pending until that removal returned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContainerState {
    /// Exists and may be about to start.
    Created,
    /// Its process runs; the address is private to the host.
    Running {
        /// Where the server listens, once the engine tells.
        address: Option<SocketAddr>,
    },
    /// Its process ended.
    Exited {
        /// The exit code.
        code: i64,
    },
    /// Half removed, or in a state this version does not know: being removed.
    Dead,
}

/// What the keeper wants done, and the number under which its outcome is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// For [`Keeper::settle`].
    pub operation: Operation,
    /// What to do.
    pub act: Act,
}

/// One call to the engine, from its issue to its settlement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// Which server.
    pub server: ServerId,
    /// Which start of it.
    pub generation: Generation,
    /// Never given twice by one keeper.
    pub number: u64,
}

/// A call to the engine.
#[derive(Debug, Clone, PartialEq)]
pub enum Act {
    /// Check the request against the host's own rules, make the container, inspect it.
    Create {
        /// The reign that asks for it.
        epoch: Epoch,
        /// All about it.
        spec: Box<RunSpec>,
    },
    /// Start the container of this id.
    Start {
        /// The engine's id.
        container: String,
    },
    /// SIGTERM, the grace, SIGKILL.
    Stop {
        /// The engine's id.
        container: String,
        /// Seconds between the two.
        grace_s: u32,
    },
    /// Remove it by force. Returns only when nothing of it can run any more.
    Remove {
        /// The engine's id.
        container: String,
    },
    /// Say how it ended, and what it said last. Changes nothing.
    Examine {
        /// The engine's id.
        container: String,
    },
}

impl Act {
    /// The word in reports; `None` for what changes nothing.
    pub fn name(&self) -> Option<&'static str> {
        match self {
            Self::Create { .. } => Some("create"),
            Self::Start { .. } => Some("start"),
            Self::Stop { .. } => Some("stop"),
            Self::Remove { .. } => Some("remove"),
            Self::Examine { .. } => None,
        }
    }
}

/// What became of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Create: the container exists and is what was asked for.
    Created {
        /// The engine's id.
        container: String,
    },
    /// Create: the container exists, but is not what was asked for and must never start.
    Spoiled {
        /// The engine's id.
        container: String,
        /// What is wrong with it.
        ending: Ending,
    },
    /// Create: a container of this name exists already.
    Conflict,
    /// Start: it runs.
    Started {
        /// Where the server listens.
        address: Option<SocketAddr>,
    },
    /// Stop: its process ended.
    Stopped,
    /// Remove: nothing of it is left.
    Removed,
    /// Examine: what was found.
    Examined(Remains),
    /// The engine knows no such container.
    Gone,
    /// The engine, or the host's own rules before it, refused; nothing was changed.
    Failed(Ending),
    /// Neither success nor failure: a later list must tell.
    TimedOut,
}

/// What a container left behind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remains {
    /// The exit code.
    pub code: i64,
    /// Whether the kernel killed something in it for want of memory.
    pub oom: bool,
    /// Its last lines.
    pub log: String,
}

/// Why a desired set was not taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Ignored {
    /// It answers an earlier agent process.
    #[error("it is for another agent process")]
    OtherIncarnation,
    /// A newer reign has spoken already.
    #[error("it is of an earlier reign of the hub")]
    OldEpoch,
    /// It, or a newer one, was taken over already.
    #[error("it is not newer than the one in force")]
    NotNewer,
}

/// A moment in the order of questions to the engine, taken before a list is asked for. What the
/// list says about a server is believed only if nothing was done to that server since.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Look(u64);

/// A server that users can be led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TunnelEntry {
    /// Which server.
    pub server: ServerId,
    /// Which start of it.
    pub generation: Generation,
    /// Where it listens, private to the host.
    pub address: SocketAddr,
}

/// A running container that has not answered yet: the driver is to ask it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unanswered {
    /// Which server.
    pub server: ServerId,
    /// The engine's id, for [`Keeper::ready`].
    pub container: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// The path it answers under.
    pub prefix: String,
}

/// The agent's memory and judgement.
#[derive(Debug)]
pub struct Keeper {
    incarnation: Incarnation,
    boot: BootId,
    starts_at_once: usize,
    highest_epoch: Epoch,
    applied: Revision,
    /// Send time of the newest heartbeat that the hub is known to have received.
    heard: Timestamp,
    desired: BTreeMap<ServerId, Wish>,
    wishes: u64,
    /// Highest generation seen of each server, and the highest that was told to stop.
    seen: BTreeMap<ServerId, Seen>,
    engine: Result<(), String>,
    /// The engine has answered at least once.
    looked: bool,
    looks: u64,
    observed_at: Look,
    operations: u64,
    servers: BTreeMap<ServerId, Server>,
}

#[derive(Debug)]
struct Wish {
    desired: Desired,
    /// Its place in the queue for slots.
    order: u64,
}

#[derive(Debug, Default)]
struct Seen {
    highest: Generation,
    stopped: Option<Generation>,
}

/// All that is known of one server on this host.
#[derive(Debug, Default)]
struct Server {
    container: Option<Container>,
    pending: Option<InFlight>,
    /// The start that this process makes or has made.
    start: Option<Start>,
    /// This process has made the container and found it as asked.
    inspected: bool,
    /// When this process found the container running which an earlier one had started.
    adopted: Option<Timestamp>,
    /// Its process is known to have run.
    ran: bool,
    ready: bool,
    steps: Vec<StepDone>,
    /// How the container, which is still there, ended.
    ending: Option<Ended>,
    /// Why the container, which may still run, has to go.
    given_up: Option<GivenUp>,
    /// What is told of it after the container is gone.
    record: Option<Record>,
    /// Stop did not help: remove by force.
    brute: bool,
    conflicts: u32,
    /// Lists asked for before this moment say nothing about this server.
    touched: Look,
    retry_at: Timestamp,
}

#[derive(Debug)]
struct InFlight {
    operation: Operation,
    act: Act,
    timed_out: bool,
}

#[derive(Debug, Clone, Copy)]
struct Start {
    since: Timestamp,
    started: Option<Timestamp>,
}

#[derive(Debug)]
struct Ended {
    ending: Ending,
    at: Timestamp,
}

#[derive(Debug)]
struct GivenUp {
    ending: Ending,
    examined: bool,
}

#[derive(Debug)]
struct Record {
    generation: Generation,
    epoch: Epoch,
    origin: Origin,
    steps: Vec<StepDone>,
    state: ObservedState,
}

impl Keeper {
    /// A new agent process that knows nothing of the host yet. `highest_epoch` is what the file
    /// beside the agent's keys remembers.
    pub fn new(
        incarnation: Incarnation,
        boot: BootId,
        starts_at_once: usize,
        highest_epoch: Epoch,
    ) -> Self {
        Self {
            incarnation,
            boot,
            starts_at_once: starts_at_once.max(1),
            highest_epoch,
            applied: Revision::default(),
            heard: Timestamp::default(),
            desired: BTreeMap::new(),
            wishes: 0,
            seen: BTreeMap::new(),
            engine: Err("the container engine was not asked yet".into()),
            looked: false,
            looks: 0,
            observed_at: Look::default(),
            operations: 0,
            servers: BTreeMap::new(),
        }
    }

    /// The highest reign seen: a lower one is never obeyed. The driver saves a higher one before
    /// it calls [`Keeper::take`].
    pub fn highest_epoch(&self) -> Epoch {
        self.highest_epoch
    }

    /// The newest desired set in force.
    pub fn applied(&self) -> Revision {
        self.applied
    }

    /// The process this keeper stands for.
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// Takes a desired set over, if it is for this process and newer than all before.
    ///
    /// # Errors
    /// Why it was not; it then changed nothing.
    pub fn take(&mut self, set: DesiredSet) -> Result<(), Ignored> {
        if set.incarnation != self.incarnation {
            return Err(Ignored::OtherIncarnation);
        }
        if set.revision.epoch < self.highest_epoch {
            return Err(Ignored::OldEpoch);
        }
        // Even a repeated set proves that the hub has the heartbeat which it answers.
        self.heard = self.heard.max(set.echo);
        if set.revision <= self.applied {
            return Err(Ignored::NotNewer);
        }
        self.highest_epoch = set.revision.epoch;
        self.applied = set.revision;
        let mut before = std::mem::take(&mut self.desired);
        for (server, desired) in set.servers {
            let seen = self.seen.entry(server.clone()).or_default();
            if desired.generation < seen.highest {
                continue; // never a lower generation; what runs stays, without a verdict
            }
            seen.highest = desired.generation;
            let desired = match desired.what {
                Verdict::Stop { .. } => {
                    seen.stopped = Some(desired.generation);
                    desired
                }
                // Stop is final: no later message revives that generation.
                _ if seen.stopped >= Some(desired.generation) => Desired {
                    what: Verdict::Stop { grace_s: SUPERSEDED_GRACE_S },
                    generation: desired.generation,
                },
                _ => desired,
            };
            let known = self.servers.entry(server.clone()).or_default();
            let old = before.remove(&server);
            let same = old.as_ref().is_some_and(|old| old.desired == desired);
            if !same {
                known.forget_record(&desired);
            }
            let order = match old {
                Some(old) if old.desired.generation == desired.generation => old.order,
                _ => {
                    self.wishes = self.wishes.saturating_add(1);
                    self.wishes
                }
            };
            self.desired.insert(server, Wish { desired, order });
        }
        // What the set no longer names is no longer told of either.
        for (server, known) in &mut self.servers {
            if !self.desired.contains_key(server) {
                known.record = None;
            }
        }
        self.forget_settled();
        Ok(())
    }

    /// Call it immediately before the engine is asked for a list.
    pub fn looking(&mut self) -> Look {
        self.looks = self.looks.saturating_add(1);
        Look(self.looks)
    }

    /// Takes the engine's answer to a question asked at `look`: all containers of this host in
    /// every state, at most one a server, or the trouble that kept it from answering.
    pub fn observe(&mut self, look: Look, answer: Result<Vec<Container>, String>, now: Timestamp) {
        if look <= self.observed_at {
            return; // overtaken by a newer one
        }
        self.observed_at = look;
        let containers = match answer {
            Ok(containers) => containers,
            Err(trouble) => {
                self.engine = Err(trouble);
                return;
            }
        };
        self.engine = Ok(());
        self.looked = true;
        let mut listed: BTreeMap<ServerId, Container> = BTreeMap::new();
        for container in containers {
            self.highest_epoch = self.highest_epoch.max(container.epoch);
            let seen = self.seen.entry(container.server.clone()).or_default();
            seen.highest = seen.highest.max(container.generation);
            self.servers.entry(container.server.clone()).or_default();
            listed.insert(container.server.clone(), container);
        }
        for (server, known) in &mut self.servers {
            if look >= known.touched {
                let wanted = kept(self.desired.get(server));
                known.see(listed.remove(server), wanted, &self.boot, now);
            }
        }
        self.forget_settled();
    }

    /// What is to be done now. Each step is marked as pending: it is not given again before
    /// [`Keeper::settle`] or a list has settled it.
    pub fn steps(&mut self, now: Timestamp) -> Vec<Step> {
        if self.engine.is_err() {
            return Vec::new(); // unknown: nothing is started, stopped or removed on a guess
        }
        for (server, known) in &mut self.servers {
            let wish = self.desired.get(server).map(|wish| &wish.desired);
            let starting = wish.filter(|desired| matches!(desired.what, Verdict::Run(_)));
            known.give_up_if_silent(starting.map(|desired| desired.generation), now);
        }
        let mut free = self
            .starts_at_once
            .saturating_sub(self.servers.values().filter(|known| known.holds_a_slot(now)).count());
        let mut queue: Vec<(u64, ServerId)> = self
            .servers
            .keys()
            .map(|server| (self.desired.get(server).map_or(0, |wish| wish.order), server.clone()))
            .collect();
        queue.sort();
        let (obeys, heard, epoch) =
            (self.applied > Revision::default(), self.heard, self.applied.epoch);
        let mut steps = Vec::new();
        for (_, server) in queue {
            let Some(known) = self.servers.get_mut(&server) else { continue };
            let verdict = self.desired.get(&server).map(|wish| &wish.desired);
            let Some(act) = known.next(verdict, obeys, heard, epoch, now) else { continue };
            if matches!(act, Act::Create { .. }) {
                if free == 0 {
                    continue;
                }
                free = free.saturating_sub(1);
            }
            let generation = match (&act, &known.container, verdict) {
                (Act::Create { .. }, _, Some(desired)) => desired.generation,
                (_, Some(container), _) => container.generation,
                _ => continue, // cannot be: an act is about a container or a wish
            };
            self.operations = self.operations.saturating_add(1);
            let operation =
                Operation { server: server.clone(), generation, number: self.operations };
            known.issue(&operation, &act, Look(self.looks.saturating_add(1)), now);
            steps.push(Step { operation, act });
        }
        steps
    }

    /// Tells what became of a step. The outcome of a call that was overtaken by another one is
    /// not believed: the next list tells.
    pub fn settle(&mut self, operation: &Operation, outcome: Outcome, now: Timestamp) {
        let wanted = kept(self.desired.get(&operation.server));
        let Some(known) = self.servers.get_mut(&operation.server) else { return };
        known.touched = Look(self.looks.saturating_add(1));
        match &mut known.pending {
            Some(pending) if pending.operation == *operation => {
                if outcome == Outcome::TimedOut {
                    pending.timed_out = true;
                    return;
                }
            }
            _ => return,
        }
        if let Some(pending) = known.pending.take() {
            known.settle(pending, outcome, wanted, &self.boot, now);
        }
        self.forget_settled();
    }

    /// A milestone of a start was reached.
    pub fn milestone(&mut self, operation: &Operation, step: StartStep, now: Timestamp) {
        if let Some(known) = self.servers.get_mut(&operation.server)
            && known.pending.as_ref().is_some_and(|pending| pending.operation == *operation)
        {
            known.reach(step, now);
        }
    }

    /// The server in this container has answered.
    pub fn ready(&mut self, server: &ServerId, container: &str, now: Timestamp) {
        let Some(known) = self.servers.get_mut(server) else { return };
        let running = known.container.as_ref().is_some_and(|found| {
            found.id == container && matches!(found.state, ContainerState::Running { .. })
        });
        if running && !known.ready {
            known.ready = true;
            known.reach(StartStep::Answers, now);
        }
    }

    /// All that is known, for the hub. `memory_used` holds the containers' working sets.
    pub fn report(
        &self,
        now: Timestamp,
        capacity: Capacity,
        facts: HostFacts,
        memory_used: &BTreeMap<ServerId, ByteCount>,
    ) -> Report {
        let engine = self.engine.clone().map(|()| {
            let observed = self.servers.iter();
            observed
                .filter_map(|(server, known)| {
                    let used = memory_used.get(server).copied().unwrap_or_default();
                    known.observed(server, used)
                })
                .collect()
        });
        let pending = self.servers.values().filter_map(|known| {
            let pending = known.pending.as_ref()?;
            Some(Pending {
                server: pending.operation.server.clone(),
                generation: pending.operation.generation,
                operation: pending.act.name()?,
            })
        });
        Report {
            incarnation: self.incarnation,
            boot_id: self.boot.clone(),
            sent: now,
            applied: self.applied,
            engine,
            pending: pending.collect(),
            gpus: Vec::new(),
            capacity,
            facts,
        }
    }

    /// Where the proxy's streams may be led: every server that runs and is not being ended.
    /// `None` until the engine has answered once: unknown is not empty.
    pub fn tunnel_table(&self) -> Option<Vec<TunnelEntry>> {
        if !self.looked {
            return None;
        }
        let running = self.servers.iter().filter_map(|(server, known)| {
            let (container, address) = known.listening()?;
            Some(TunnelEntry { server: server.clone(), generation: container.generation, address })
        });
        Some(running.collect())
    }

    /// The servers that run and have not answered yet.
    pub fn unanswered(&self) -> Vec<Unanswered> {
        let silent = self.servers.iter().filter(|(_, known)| !known.ready);
        silent
            .filter_map(|(server, known)| {
                let (container, address) = known.listening()?;
                Some(Unanswered {
                    server: server.clone(),
                    container: container.id.clone(),
                    address,
                    prefix: container.prefix.clone(),
                })
            })
            .collect()
    }

    /// The containers that run, by server: whose memory is to be measured.
    pub fn running(&self) -> BTreeMap<ServerId, String> {
        let running = self.servers.iter().filter_map(|(server, known)| {
            let container = known.container.as_ref()?;
            matches!(container.state, ContainerState::Running { .. })
                .then(|| (server.clone(), container.id.clone()))
        });
        running.collect()
    }

    /// All containers that are known, in every state.
    pub fn containers(&self) -> impl Iterator<Item = &Container> {
        self.servers.values().filter_map(|known| known.container.as_ref())
    }

    fn forget_settled(&mut self) {
        self.servers.retain(|server, known| {
            known.container.is_some()
                || known.pending.is_some()
                || known.record.is_some()
                || self.desired.contains_key(server)
                // A list that was asked for before must not bring back what has been removed.
                || known.touched > self.observed_at
        });
    }
}

/// The generation that a verdict wants to run, or to go on running.
fn kept(wish: Option<&Wish>) -> Option<Generation> {
    wish.and_then(|wish| match wish.desired.what {
        Verdict::Run(_) | Verdict::Keep => Some(wish.desired.generation),
        Verdict::Stop { .. } => None,
    })
}

impl Server {
    /// What to do next about this server. `obeys`: a desired set is in force.
    fn next(
        &self,
        verdict: Option<&Desired>,
        obeys: bool,
        heard: Timestamp,
        epoch: Epoch,
        now: Timestamp,
    ) -> Option<Act> {
        let Some(container) = &self.container else {
            let (None, true, None) = (&self.pending, now >= self.retry_at, &self.record) else {
                return None;
            };
            return match verdict.filter(|_| obeys).map(|desired| &desired.what) {
                Some(Verdict::Run(spec)) => Some(Act::Create { epoch, spec: spec.clone() }),
                _ => None,
            };
        };
        let id = container.id.clone();
        let same = verdict.filter(|desired| desired.generation == container.generation);
        let starts = same.is_some_and(|desired| matches!(desired.what, Verdict::Run(_)));
        let wanted = same.is_some_and(|desired| !matches!(desired.what, Verdict::Stop { .. }));
        // A verdict that names this generation, or a newer generation that replaces it.
        let grace_s = verdict.and_then(|desired| match desired.what {
            Verdict::Stop { grace_s } if desired.generation >= container.generation => {
                Some(grace_s)
            }
            _ if desired.generation > container.generation => Some(SUPERSEDED_GRACE_S),
            _ => None,
        });
        if let Some(pending) = &self.pending {
            // A hung start keeps nobody from ending it: the removal waits behind it.
            let hung_start = pending.timed_out && matches!(pending.act, Act::Start { .. });
            let unwanted = obeys && !wanted || self.given_up.is_some();
            return (hung_start && unwanted).then_some(Act::Remove { container: id });
        }
        if now < self.retry_at {
            return None;
        }
        match (&container.state, &self.given_up) {
            (ContainerState::Running { .. }, Some(why)) if !why.examined => {
                Some(Act::Examine { container: id })
            }
            (_, Some(_)) | (ContainerState::Dead, _) => Some(Act::Remove { container: id }),
            (ContainerState::Created, _) if !self.inspected => Some(Act::Remove { container: id }),
            (ContainerState::Created, _) if !obeys => None,
            (ContainerState::Created, _) if starts => Some(Act::Start { container: id }),
            (ContainerState::Created, _) => Some(Act::Remove { container: id }),
            (ContainerState::Running { .. }, _) => {
                let grace_s = grace_s.filter(|_| obeys)?;
                Some(if self.brute {
                    Act::Remove { container: id }
                } else {
                    Act::Stop { container: id, grace_s }
                })
            }
            (ContainerState::Exited { .. }, _) => match &self.ending {
                _ if obeys && grace_s.is_some() => Some(Act::Remove { container: id }),
                None => Some(Act::Examine { container: id }),
                // The ending must not be lost with this process before the hub has it.
                Some(ended) if obeys && heard.as_millis() > ended.at.as_millis() => {
                    Some(Act::Remove { container: id })
                }
                Some(_) => None,
            },
        }
    }

    /// A verdict has changed: what is still to be told under the new one?
    fn forget_record(&mut self, desired: &Desired) {
        let Some(record) = &self.record else { return };
        let retry = matches!(record.state, ObservedState::Failed(_))
            && matches!(desired.what, Verdict::Run(_));
        let stop = matches!(desired.what, Verdict::Stop { .. });
        if retry || stop || record.generation != desired.generation {
            self.record = None;
        }
    }

    fn issue(&mut self, operation: &Operation, act: &Act, touched: Look, now: Timestamp) {
        if matches!(act, Act::Create { .. }) {
            self.start = Some(Start { since: now, started: None });
            self.steps.clear();
            self.ready = false;
            self.inspected = false;
            self.adopted = None;
            self.ran = false;
        }
        if let (Act::Start { .. }, Some(start)) = (act, &mut self.start) {
            start.started = Some(now);
        }
        self.touched = touched;
        self.pending =
            Some(InFlight { operation: operation.clone(), act: act.clone(), timed_out: false });
    }

    fn settle(
        &mut self,
        pending: InFlight,
        outcome: Outcome,
        wanted: Option<Generation>,
        boot: &BootId,
        now: Timestamp,
    ) {
        match (pending.act, outcome) {
            (Act::Create { epoch, spec }, outcome) => {
                self.settle_create(&pending.operation, epoch, &spec, outcome, boot, now);
                // Under a stop nobody waits for this word, and it would pass for a container.
                if self.record.as_ref().is_some_and(|told| wanted != Some(told.generation)) {
                    self.record = None;
                }
            }
            (_, Outcome::Gone) => self.vanish(wanted, now),
            (Act::Start { .. }, Outcome::Started { address }) => self.started(address, now),
            (Act::Start { .. }, Outcome::Failed(ending)) => {
                self.given_up = Some(GivenUp { ending, examined: true });
            }
            (Act::Stop { .. }, Outcome::Stopped) => {
                if let Some(container) = &mut self.container
                    && matches!(container.state, ContainerState::Running { .. })
                {
                    container.state = ContainerState::Exited { code: 0 };
                }
            }
            (Act::Stop { .. }, Outcome::Failed(_)) => self.brute = true,
            (Act::Remove { .. }, Outcome::Removed) => self.vanish(wanted, now),
            (Act::Remove { .. }, Outcome::Failed(_)) => {
                self.retry_at = now.plus_millis(RETRY_MS);
            }
            (Act::Examine { .. }, Outcome::Examined(remains)) => {
                self.examined(Some(remains), boot, now);
            }
            (Act::Examine { .. }, _) => self.examined(None, boot, now),
            // Cannot be: an outcome of another act. The next list tells.
            _ => {}
        }
    }

    fn settle_create(
        &mut self,
        operation: &Operation,
        epoch: Epoch,
        spec: &RunSpec,
        outcome: Outcome,
        boot: &BootId,
        now: Timestamp,
    ) {
        let made = |id: String| Container {
            id,
            server: operation.server.clone(),
            generation: operation.generation,
            epoch,
            boot: boot.clone(),
            origin: spec.origin.clone(),
            prefix: spec.prefix.clone(),
            state: ContainerState::Created,
        };
        let fail = |known: &mut Self, ending: Ending| {
            known.start = None;
            known.record = Some(Record {
                generation: operation.generation,
                epoch,
                origin: spec.origin.clone(),
                steps: std::mem::take(&mut known.steps),
                state: ObservedState::Failed(ending),
            });
        };
        match outcome {
            Outcome::Created { container } => {
                self.container = Some(made(container));
                self.inspected = true;
                self.conflicts = 0;
                self.reach(StartStep::Container, now);
            }
            Outcome::Spoiled { container, ending } => {
                self.container = Some(made(container));
                self.given_up = Some(GivenUp { ending, examined: true });
            }
            Outcome::Conflict if self.conflicts >= CONFLICTS_MAX => {
                self.conflicts = 0;
                let detail = "a container of this name exists that is not of this host's Berth";
                fail(self, Ending { reason: Reason::FailedContainer, detail: detail.into() });
            }
            Outcome::Conflict => {
                self.conflicts = self.conflicts.saturating_add(1);
                self.start = None;
                self.retry_at = now.plus_millis(RETRY_MS / 5);
            }
            Outcome::Failed(ending) => fail(self, ending),
            _ => self.start = None, // cannot be: an outcome of another act
        }
    }

    /// Takes what a list, newer than all that was done to this server, says about it.
    fn see(
        &mut self,
        listed: Option<Container>,
        wanted: Option<Generation>,
        boot: &BootId,
        now: Timestamp,
    ) {
        let ran = |listed: &Container| {
            matches!(listed.state, ContainerState::Running { .. } | ContainerState::Exited { .. })
        };
        if let (Some(known), Some(listed)) = (&self.container, &listed)
            && known.id == listed.id
        {
            self.ran |= ran(listed);
        }
        if let Some(pending) = &self.pending {
            if !pending.timed_out {
                // Its outcome will come; until then only a change of state is news.
                if let (Some(known), Some(listed)) = (&self.container, listed)
                    && known.id == listed.id
                {
                    self.change(listed, now);
                }
                return;
            }
            let settled = match (&pending.act, listed.as_ref().map(|listed| &listed.state)) {
                // A hung start may still complete while the list says created.
                (Act::Start { .. }, Some(ContainerState::Created)) => false,
                (Act::Stop { .. }, Some(ContainerState::Running { .. })) => {
                    self.brute = true;
                    true
                }
                // A hung removal is asked for again, later.
                (Act::Remove { .. }, Some(_)) => {
                    self.retry_at = now.plus_millis(RETRY_MS);
                    true
                }
                (Act::Examine { .. }, Some(_)) => {
                    self.pending = None;
                    self.examined(None, boot, now);
                    true
                }
                _ => true,
            };
            if !settled {
                return;
            }
            self.pending = None;
        }
        match (listed, &self.container) {
            (None, None) => self.start = None,
            (None, Some(_)) => self.vanish(wanted, now),
            (Some(listed), Some(known)) if known.id == listed.id => self.change(listed, now),
            (Some(listed), _) => {
                // One that this process has not made, or not in this call: adopted if it runs.
                let runs = matches!(listed.state, ContainerState::Running { .. });
                *self = Self {
                    adopted: runs.then_some(now),
                    ran: ran(&listed),
                    container: Some(listed),
                    touched: self.touched,
                    ..Self::default()
                };
            }
        }
    }

    /// The same container, in a state that may be another one.
    fn change(&mut self, listed: Container, now: Timestamp) {
        let created = |found: &Container| matches!(found.state, ContainerState::Created);
        match listed.state {
            ContainerState::Running { address } if self.container.as_ref().is_some_and(created) => {
                self.started(address, now);
            }
            _ => self.container = Some(listed),
        }
    }

    fn started(&mut self, address: Option<SocketAddr>, now: Timestamp) {
        if let Some(container) = &mut self.container
            && matches!(container.state, ContainerState::Created | ContainerState::Running { .. })
        {
            container.state = ContainerState::Running { address };
        }
        self.ran = true;
        self.reach(StartStep::Started, now);
    }

    fn examined(&mut self, remains: Option<Remains>, boot: &BootId, now: Timestamp) {
        let Some(container) = &self.container else { return };
        if let Some(why) = &mut self.given_up {
            why.examined = true;
            let log = remains.map(|remains| remains.log).unwrap_or_default();
            why.ending.detail = with_log(&why.ending.detail, &log);
            return;
        }
        let ContainerState::Exited { code } = container.state else { return };
        let starting = self.start.is_some() && !self.ready;
        let remains = remains.unwrap_or(Remains { code, ..Remains::default() });
        self.ending =
            Some(Ended { ending: ending(&remains, starting, container.boot != *boot), at: now });
    }

    /// The container is gone: what is to be told of it stays.
    fn vanish(&mut self, wanted: Option<Generation>, now: Timestamp) {
        let Some(container) = self.container.take() else { return };
        let by_hand = || {
            ObservedState::Exited(Ending {
                reason: Reason::StoppedCrash,
                detail: "its container was removed, not by Berth".into(),
            })
        };
        let state = match (self.given_up.take(), self.ending.take()) {
            (Some(why), _) => Some(ObservedState::Failed(why.ending)),
            (None, Some(ended)) => Some(ObservedState::Exited(ended.ending)),
            (None, None) => self.ran.then(by_hand),
        };
        let steps = std::mem::take(&mut self.steps);
        let told = state.filter(|_| wanted == Some(container.generation));
        *self = Self { touched: self.touched, retry_at: now, ..Self::default() };
        self.record = told.map(|state| Record {
            generation: container.generation,
            epoch: container.epoch,
            origin: container.origin,
            steps,
            state,
        });
    }

    /// Gives a start up that has not answered for too long.
    fn give_up_if_silent(&mut self, starting: Option<Generation>, now: Timestamp) {
        // One that was adopted has the same time again, but only while the hub, too, has not
        // heard of an answer: a notebook that is merely busy is never given up.
        let generation = self.container.as_ref().map(|container| container.generation);
        let adopted = self.adopted.filter(|_| starting.is_some() && generation == starting);
        let started = self.start.and_then(|start| start.started).or(adopted);
        let exited = self.container.as_ref().is_none_or(|container| {
            matches!(container.state, ContainerState::Exited { .. } | ContainerState::Dead)
        });
        let silent = started.is_some_and(|started| now.millis_since(started) >= ANSWER_MS);
        if silent && !self.ready && !exited && self.given_up.is_none() {
            let detail = format!("no answer {} s after its start", ANSWER_MS / 1000);
            let ending = Ending { reason: Reason::FailedNoAnswer, detail };
            self.given_up = Some(GivenUp { ending, examined: false });
        }
    }

    fn holds_a_slot(&self, now: Timestamp) -> bool {
        let exited = self.container.as_ref().is_some_and(|container| {
            matches!(container.state, ContainerState::Exited { .. } | ContainerState::Dead)
        });
        !self.ready
            && !exited
            && self.start.is_some_and(|start| now.millis_since(start.since) < SLOT_MS)
    }

    fn reach(&mut self, step: StartStep, now: Timestamp) {
        if self.steps.last().is_none_or(|last| last.step < step) {
            self.steps.push(StepDone { step, at: now });
        }
    }

    /// The container and its address, if it runs and is not being ended.
    fn listening(&self) -> Option<(&Container, SocketAddr)> {
        let container = self.container.as_ref()?;
        let ContainerState::Running { address: Some(address) } = container.state else {
            return None;
        };
        (!self.is_ending()).then_some((container, address))
    }

    fn is_ending(&self) -> bool {
        self.given_up.is_some()
            || self.brute
            || self
                .pending
                .as_ref()
                .is_some_and(|pending| matches!(pending.act, Act::Stop { .. } | Act::Remove { .. }))
    }

    fn observed(&self, server: &ServerId, memory_used: ByteCount) -> Option<Observed> {
        let Some(container) = &self.container else {
            let record = self.record.as_ref()?;
            return Some(Observed {
                server: server.clone(),
                generation: record.generation,
                epoch: record.epoch,
                state: record.state.clone(),
                steps: record.steps.clone(),
                memory_used: ByteCount::ZERO,
                origin: record.origin.clone(),
            });
        };
        let state = match (&container.state, &self.ending) {
            (ContainerState::Exited { .. }, Some(ended)) => {
                ObservedState::Exited(ended.ending.clone())
            }
            (ContainerState::Exited { .. } | ContainerState::Dead, _) => ObservedState::Stopping,
            _ if self.is_ending() => ObservedState::Stopping,
            (ContainerState::Created, _) => ObservedState::Created,
            (ContainerState::Running { .. }, _) if self.ready => ObservedState::Ready,
            (ContainerState::Running { .. }, _) => ObservedState::Running,
        };
        Some(Observed {
            server: server.clone(),
            generation: container.generation,
            epoch: container.epoch,
            state,
            steps: self.steps.clone(),
            memory_used,
            origin: container.origin.clone(),
        })
    }
}

/// Why a container ended that nobody asked to end.
fn ending(remains: &Remains, starting: bool, other_boot: bool) -> Ending {
    // The engine's mark is about any process of the container and stays for ever, so a kernel
    // killed days ago must not explain an end of today: only the main process dies with 137.
    let oom = remains.oom && remains.code == 137;
    let (reason, detail) = if other_boot {
        (Reason::StoppedHostRestarted, "the host was restarted while it ran".to_owned())
    } else if oom {
        (Reason::StoppedOom, "the kernel ended it: it had used all its memory".to_owned())
    } else {
        let reason = if starting { Reason::FailedExited } else { Reason::StoppedCrash };
        (reason, format!("exit code {}", remains.code))
    };
    Ending { reason, detail: with_log(&detail, &remains.log) }
}

/// The detail with the end of the log below it, as much as the hub keeps.
fn with_log(detail: &str, log: &str) -> String {
    let log = log.trim();
    if log.is_empty() {
        return detail.to_owned();
    }
    let room = DETAIL_MAX.saturating_sub(detail.len()).saturating_sub(1);
    let from = log.len().saturating_sub(room);
    let from = (from..=log.len()).find(|at| log.is_char_boundary(*at)).unwrap_or(log.len());
    format!("{detail}\n{}", log.get(from..).unwrap_or_default())
}

/// A span later. `Timestamp::plus` knows whole seconds only.
trait PlusMillis {
    fn plus_millis(self, millis: u64) -> Self;
}

impl PlusMillis for Timestamp {
    fn plus_millis(self, millis: u64) -> Self {
        let micros = i64::try_from(millis).unwrap_or(i64::MAX).saturating_mul(1000);
        Self(self.0.saturating_add(micros))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
