//! The agent's whole thought, as a value: the hub's desired set and the engine's lists go in,
//! steps for the engine and reports for the hub come out. No I/O, no clock, no chance, so that
//! production and the simulation of thousands of hosts drive the same code.
//!
//! The driver's round is: [`Keeper::take`] what the hub says, [`Keeper::looking`] before and
//! [`Keeper::observe`] after each list of the engine, [`Keeper::steps`] to learn what to do,
//! [`Keeper::settle`] when a call has an outcome, and [`Keeper::report`].

use std::collections::BTreeMap;

use berth_common::link::{
    Capacity, Desired, DesiredSet, HostFacts, Pending, Report, StartStep, Verdict,
};
use berth_common::{BootId, Epoch, Generation, Incarnation, Revision, ServerId, Timestamp};

mod ending;
mod facts;
mod server;
mod words;

use server::Server;
pub use words::{
    Act, Container, ContainerState, Listening, Look, Measured, Operation, Outcome, Remains, Step,
    TunnelEntry,
};

/// and has been seen to need 40 s with a cold, busy NFS.
pub const ANSWER_MS: u64 = 60_000;

/// A start that is not ready by then frees its slot, so that one stuck server holds up nobody.
pub const SLOT_MS: u64 = 30_000;

/// The engine has mostly noticed by then that a container has ended; else it is asked.
const UNNOTICED_MS: u64 = 2_000;

/// Before the engine is asked again for what it could not do.
const RETRY_MS: u64 = 5_000;

/// Between SIGTERM and SIGKILL for a generation that a newer one has replaced.
const SUPERSEDED_GRACE_S: u32 = 30;

/// A name conflict this often in a row, while no list shows the container, is a foreign container.
const CONFLICTS_MAX: u32 = 3;

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
                _ if seen.stopped >= Some(desired.generation) => {
                    Desired { what: Verdict::Stop { grace_s: SUPERSEDED_GRACE_S }, ..desired }
                }
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

    /// Takes what was measured between a look and this moment: limits that were changed by hand, or by
    /// a call whose outcome never came, show here only.
    pub fn measured(&mut self, look: Look, measured: &BTreeMap<ServerId, Measured>) {
        for (server, measured) in measured {
            let Some(known) = self.servers.get_mut(server) else { continue };
            let same = known.container.as_ref().is_some_and(|found| found.id == measured.container);
            if same && look >= known.touched && known.pending.is_none() && measured.limit.is_some()
            {
                known.limit = measured.limit;
            }
        }
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
        let due = self.servers.iter().filter_map(|(server, known)| {
            let wish = self.desired.get(server);
            let verdict = wish.map(|wish| &wish.desired);
            let act = known.next(verdict, self.heard, self.applied.epoch, now)?;
            Some((wish.map_or(0, |wish| wish.order), server.clone(), act))
        });
        // What was wished first is done first; of the rest the order of the ids decides.
        let mut queue: Vec<(u64, ServerId, Act)> = due.collect();
        queue.sort_by_key(|(order, ..)| *order);
        let mut steps = Vec::new();
        for (_, server, act) in queue {
            let Some(known) = self.servers.get_mut(&server) else { continue };
            let verdict = self.desired.get(&server).map(|wish| &wish.desired);
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

    /// So much of the image is here, in percent, that is fetched for a start.
    pub fn fetched(&mut self, operation: &Operation, percent: u32) {
        let known = self.servers.get_mut(&operation.server);
        let pending = known.and_then(|known| known.pending.as_mut());
        if let Some(pending) = pending.filter(|pending| pending.operation == *operation) {
            pending.fetched = Some(percent);
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

    /// The kernel says that the main process of this container has ended: nothing of the server runs
    /// any more. How it ended the engine will tell.
    pub fn ended(&mut self, server: &ServerId, container: &str, now: Timestamp) {
        let Some(known) = self.servers.get_mut(server) else { return };
        let running = known.container.as_ref().is_some_and(|found| {
            found.id == container && matches!(found.state, ContainerState::Running { .. })
        });
        if running {
            known.over.get_or_insert(now);
        }
    }

    /// All that is known, for the hub. What was measured of another container of the same server
    /// does not count.
    pub fn report(
        &self,
        now: Timestamp,
        capacity: Capacity,
        facts: HostFacts,
        measured: &BTreeMap<ServerId, Measured>,
    ) -> Report {
        let engine = self.engine.clone().map(|()| {
            let observed = self.servers.iter();
            observed
                .filter_map(|(server, known)| known.observed(server, measured.get(server)))
                .collect()
        });
        let pending = self.servers.values().filter_map(|known| {
            let pending = known.pending.as_ref()?;
            Some(Pending {
                server: pending.operation.server.clone(),
                generation: pending.operation.generation,
                operation: known.doing()?,
                percent: known.fetched(),
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
            spaces: Vec::new(),
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
    pub fn unanswered(&self) -> Vec<Listening> {
        self.listening(false)
    }

    /// The servers that run and have answered: whose kernels can be asked for.
    pub fn answering(&self) -> Vec<Listening> {
        self.listening(true)
    }

    fn listening(&self, ready: bool) -> Vec<Listening> {
        let servers = self.servers.iter().filter(|(_, known)| known.ready == ready);
        servers
            .filter_map(|(server, known)| {
                let (container, address) = known.listening()?;
                Some(Listening {
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
