//! A host: its engine, and the agent's process, which drives the real reconciler as production
//! does. The process dies with all it knows, but for the file of the highest reign.

use std::collections::{BTreeMap, BTreeSet};

use berth_agent::reconcile::{
    Act, Container, Ignored, Keeper, Listening, Look, Measured, Operation, Outcome, Step,
};
use berth_common::link::{Capacity, DesiredSet, GpuDevice, HostFacts, Report};
use berth_common::{ByteCount, Epoch, HostId, Incarnation, ServerId, Timestamp};

use crate::world::bugs::{self, Bug};
use crate::world::engine::{Engine, id_of};
use crate::world::hub::boot_id;
use crate::world::nature::{Happening, Nature};
use crate::world::network::{arrivals, way_us};
use crate::world::operators;
use crate::world::transcript::server_word;

mod judge;

use judge::{judge, set_words, word};

/// As in production.
const TICK_MS: u64 = 5_000;
const FRESH_US: u64 = 50_000;
const COALESCE_US: u64 = 2_000;
const STARTS_AT_ONCE: usize = 4;
const RETRY_MS: std::ops::RangeInclusive<u64> = 200..=5_000;

/// A machine with an engine and, mostly, an agent.
#[derive(Debug)]
pub struct Machine {
    /// Its name.
    pub id: HostId,
    /// Its place among the machines.
    pub index: usize,
    /// How often it has booted.
    pub boot: u64,
    /// Whether it is on.
    pub powered: bool,
    /// The agent's process, if it runs.
    pub agent: Option<Agent>,
    /// The agent stands still until then.
    pub paused_until: Timestamp,
    /// Its engine.
    pub engine: Engine,
    /// All its memory.
    pub memory: ByteCount,
    /// What its wall clock is wrong by, in microseconds.
    pub clock_wrong_us: i64,
    /// Its GPUs.
    pub gpus: Vec<GpuDevice>,
    /// Its agent is an old one.
    pub is_old: bool,
    /// The file of the highest reign.
    epoch_file: Epoch,
}

/// The agent's process.
#[derive(Debug)]
pub struct Agent {
    keeper: Keeper,
    process: u64,
    listing: Listing,
    publish_at: Option<Timestamp>,
    published: Option<Report>,
    link: Link,
    /// The containers that are being asked whether they answer.
    asking: BTreeSet<String>,
    /// The set in force, as the world knows it: what the agent does is judged by it.
    in_force: Option<DesiredSet>,
    /// The containers that this process has made.
    made: BTreeSet<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Listing {
    Idle,
    Asked,
    AskedAndStale,
}

/// The agent's connection to the hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    Away,
    Dialling,
    Up { life: u64, session: u64, last: Timestamp },
}

impl Machine {
    /// A machine that is on, without an agent yet.
    pub fn new(id: HostId, index: usize, memory: ByteCount, gpus: Vec<GpuDevice>) -> Self {
        Self {
            id,
            index,
            boot: 1,
            powered: true,
            agent: None,
            paused_until: Timestamp::default(),
            engine: Engine::new(),
            memory,
            clock_wrong_us: 0,
            gpus,
            is_old: false,
            epoch_file: Epoch::default(),
        }
    }

    /// The agent's process, if it is the one of this number.
    fn process(&mut self, process: u64) -> Option<&mut Agent> {
        self.agent.as_mut().filter(|agent| agent.process == process)
    }

    /// Whether it is up with all that belongs to it, and says what there is to say.
    pub fn is_settled(&self, now: Timestamp) -> bool {
        let linked = |agent: &Agent| matches!(agent.link, Link::Up { .. });
        self.powered
            && self.engine.up
            && self.engine.is_idle()
            && self.paused_until <= now
            && self.agent.as_ref().is_some_and(linked)
    }

    fn clock(&self, nature: &Nature) -> Timestamp {
        Timestamp(nature.schedule.now().0.saturating_add(self.clock_wrong_us))
    }

    // The life of the process.

    /// The agent's process starts.
    pub fn start_agent(&mut self, nature: &mut Nature) {
        if self.agent.is_some() || !self.powered {
            return;
        }
        let process = nature.process_starts(self.index);
        let incarnation = Incarnation(nature.chance.bits());
        let keeper = Keeper::new(incarnation, boot_id(self.boot), STARTS_AT_ONCE, self.epoch_file);
        nature.say(|| format!("{}: the agent starts", self.id));
        self.agent = Some(Agent {
            keeper,
            process,
            listing: Listing::Idle,
            publish_at: None,
            published: None,
            link: Link::Away,
            asking: BTreeSet::new(),
            in_force: None,
            made: BTreeSet::new(),
        });
        let host = self.index;
        nature.schedule.after_us(0, Happening::AgentTicks { host, process });
        nature.schedule.after_us(10, Happening::AgentDials { host, process });
    }

    /// The agent's process dies. Its calls to the engine go on.
    pub fn kill_agent(&mut self, nature: &mut Nature) -> bool {
        let Some(agent) = self.agent.take() else { return false };
        nature.processes[self.index] = 0;
        self.paused_until = Timestamp::default();
        nature.say(|| format!("{}: the agent dies", self.id));
        if let Link::Up { life, session, .. } = agent.link {
            let wait = nature.chance.between(1..=40_000);
            nature.schedule.after_ms(wait, Happening::SessionEnds { life, session });
        }
        true
    }

    /// The file of the highest reign is lost with the process.
    pub fn lose_file(&mut self) {
        self.epoch_file = Epoch::default();
    }

    /// The machine goes off; nothing of it runs.
    pub fn power_off(&mut self, nature: &mut Nature, containers_stay: bool) {
        self.kill_agent(nature);
        self.powered = false;
        self.engine.boots(nature, containers_stay);
    }

    /// The machine is up again, with a new boot id.
    pub fn boots(&mut self, nature: &mut Nature) {
        self.boot += 1;
        self.powered = true;
        self.engine.up = true;
        nature.say(|| format!("{}: boots", self.id));
    }

    // The link.

    /// Tries to reach the hub.
    pub fn dial(&mut self, nature: &mut Nature, process: u64) {
        let host = self.index;
        let Some(agent) = self.process(process) else { return };
        if agent.link != Link::Away {
            return;
        }
        agent.link = Link::Dialling;
        let way = way_us(nature);
        nature.schedule.after_us(way, Happening::Dialled { host, process });
    }

    /// The attempt has failed.
    pub fn not_reached(&mut self, nature: &mut Nature, process: u64) {
        let host = self.index;
        let Some(agent) = self.process(process) else { return };
        if agent.link != Link::Dialling {
            return;
        }
        agent.link = Link::Away;
        let wait = nature.chance.between(RETRY_MS);
        nature.schedule.after_ms(wait, Happening::AgentDials { host, process });
    }

    /// There is a connection; it begins with a heartbeat of now.
    pub fn link_up(&mut self, nature: &mut Nature, process: u64, life: u64, session: u64) {
        let Some(agent) = self.process(process) else { return };
        agent.link = Link::Up { life, session, last: Timestamp::default() };
        self.publish_within(nature, 0);
    }

    /// There is no connection any more.
    pub fn link_lost(&mut self, nature: &mut Nature, process: u64, lost: Option<u64>) {
        let host = self.index;
        let Some(agent) = self.process(process) else { return };
        let Link::Up { life, session, .. } = agent.link else { return };
        if lost.is_some_and(|lost| lost != session) {
            return;
        }
        agent.link = Link::Away;
        let wait = nature.chance.between(RETRY_MS);
        nature.schedule.after_ms(wait, Happening::AgentDials { host, process });
        let wait = nature.chance.between(0..=40_000);
        nature.schedule.after_ms(wait, Happening::SessionEnds { life, session });
    }

    // The driver, as in production.

    /// The regular heartbeat.
    pub fn tick(&mut self, nature: &mut Nature, process: u64) {
        let host = self.index;
        if self.process(process).is_none() {
            return;
        }
        self.list(nature);
        let measured = self.measured();
        if let Some(agent) = &mut self.agent {
            let look = agent.keeper.looking();
            agent.keeper.measured(look, &measured);
        }
        self.publish_within(nature, FRESH_US);
        nature.schedule.after_ms(TICK_MS, Happening::AgentTicks { host, process });
        self.act(nature);
    }

    /// Something may have changed in the engine.
    pub fn woken(&mut self, nature: &mut Nature, process: u64) {
        if self.process(process).is_some() {
            self.list(nature);
            self.act(nature);
        }
    }

    /// A desired set has arrived.
    pub fn obey(&mut self, nature: &mut Nature, process: u64, mut set: DesiredSet) {
        let (host, ordered) = (self.index, nature.plan.network.ordered);
        if self.is_old {
            operators::read_by_old(&mut set);
        }
        let Some(agent) = &mut self.agent else { return };
        if agent.process != process && (ordered || nature.healed) {
            return;
        }
        let (before, revision) = (agent.keeper.applied(), set.revision);
        bugs::arrived(nature.bug, &agent.keeper, &mut set);
        // A higher reign is saved before anything is done in its name.
        if set.incarnation == agent.keeper.incarnation() {
            self.epoch_file = self.epoch_file.max(set.revision.epoch);
        }
        match agent.keeper.take(set.clone()) {
            Ok(()) => {
                nature.history.obeys(host, process, before, revision);
                nature.history.ordered(&set);
                let words = set_words(&set);
                nature.say(|| format!("  · {} obeys {words}", self.id));
                agent.in_force = Some(set);
            }
            Err(why) => {
                let path = match why {
                    Ignored::OtherIncarnation => "a set for another agent process was ignored",
                    Ignored::OldEpoch => "a set of an earlier reign was ignored",
                    Ignored::NotNewer if revision == before => "a repeated set changed nothing",
                    Ignored::NotNewer => "a set that was overtaken was ignored",
                };
                nature.transcript.mark(path);
            }
        }
        self.act(nature);
    }

    /// The engine's list has arrived.
    pub fn listed(
        &mut self,
        nature: &mut Nature,
        process: u64,
        look: Look,
        answer: Result<Vec<Container>, String>,
    ) {
        let now = self.clock(nature);
        let bug = nature.bug;
        let Some(agent) = self.process(process) else { return };
        let made = |id: &str| agent.made.contains(id);
        let answer = bugs::listed(bug, made, answer);
        agent.keeper.observe(look, answer, now);
        if std::mem::replace(&mut agent.listing, Listing::Idle) == Listing::AskedAndStale {
            self.list(nature);
        }
        self.act(nature);
    }

    /// A call has an outcome.
    pub fn settled(
        &mut self,
        nature: &mut Nature,
        process: u64,
        operation: &Operation,
        outcome: Outcome,
    ) {
        let now = self.clock(nature);
        let (name, bug) = (self.id.clone(), nature.bug);
        let Some(agent) = self.process(process) else { return };
        let Operation { server, generation, .. } = operation;
        match &outcome {
            Outcome::Failed(_)
            | Outcome::Spoiled { .. }
            | Outcome::Conflict
            | Outcome::Gone
            | Outcome::TimedOut => {
                nature.history.may_end(server, *generation);
            }
            _ => {}
        }
        let unlooked = match &outcome {
            Outcome::Created { container } if bug == Some(Bug::DoesNotLookAgain) => {
                Some((operation.clone(), Act::Start { container: container.clone() }))
            }
            _ => None,
        };
        if let Outcome::Created { container } | Outcome::Spoiled { container, .. } = &outcome {
            agent.made.insert(container.clone());
        }
        nature.say(|| format!("{name}: {} {}", server_word(server, *generation), word(&outcome)));
        agent.keeper.settle(operation, outcome, now);
        if let (Some((operation, act)), Some(agent)) = (unlooked, &self.agent) {
            judge(nature, &self.engine, agent, &operation, &act);
            self.engine.call(nature, self.index, process, operation, act);
        }
        self.act(nature);
    }

    /// A server has answered.
    pub fn answered(&mut self, nature: &mut Nature, process: u64, server: &ServerId, id: &str) {
        let now = self.clock(nature);
        if self.process(process).is_none_or(|agent| !agent.asking.remove(id)) {
            return;
        }
        let Some((number, made)) = self.engine.find(id) else { return };
        if !made.runs() {
            return;
        }
        nature.history.answers(server, made.generation);
        if let Some(made) = self.engine.containers.get_mut(&number) {
            made.answered = true;
        }
        if let Some(agent) = self.process(process) {
            agent.keeper.ready(server, id, now);
        }
        self.act(nature);
    }

    /// Sends what is known, if there is a connection.
    pub fn publish(&mut self, nature: &mut Nature, process: u64) {
        let (host, now) = (self.index, nature.schedule.now());
        if self.process(process).and_then(|agent| agent.publish_at).is_none_or(|at| at > now) {
            return;
        }
        let Some(report) = self.report(nature, &self.measured()) else { return };
        let Some(agent) = self.process(process) else { return };
        agent.publish_at = None;
        if let Link::Up { life, session, last } = &mut agent.link {
            let cut = nature.cuts[host].up;
            for at in arrivals(nature, cut, last) {
                let (life, session, report) = (*life, *session, Box::new(report.clone()));
                nature.schedule.at(at, Happening::Heartbeat { life, host, session, report });
            }
        }
        agent.published = Some(report);
    }

    /// What follows from what is known now.
    fn act(&mut self, nature: &mut Nature) {
        let (host, now) = (self.index, self.clock(nature));
        let Some(agent) = &mut self.agent else { return };
        let steps = agent.keeper.steps(now);
        if !steps.is_empty() {
            nature.is_restless();
        }
        nature.transcript.mix(steps.len() as u64);
        let process = agent.process;
        let away = agent.link == Link::Away;
        let ended = bugs::ended(nature.bug, &self.engine, away, agent.in_force.as_ref());
        let steps = steps.into_iter().map(|Step { operation, act }| (operation, act));
        for (operation, act) in steps.chain(ended) {
            let Some(agent) = &self.agent else { return };
            judge(nature, &self.engine, agent, &operation, &act);
            nature.say(|| {
                let name = act.name().unwrap_or("examine");
                format!(
                    "{}: {name} {}",
                    self.id,
                    server_word(&operation.server, operation.generation)
                )
            });
            self.engine.call(nature, host, process, operation, act);
        }
        self.ask_the_silent(nature);
        self.tell_news(nature);
    }

    fn tell_news(&mut self, nature: &mut Nature) {
        if self.agent.as_ref().is_none_or(|agent| agent.publish_at.is_some()) {
            return;
        }
        // What is measured is no news by itself.
        let Some(report) = self.report(nature, &BTreeMap::new()) else { return };
        let last = self.agent.as_ref().and_then(|agent| agent.published.as_ref());
        if last.is_none_or(|last| is_news(last, &report)) {
            self.publish_within(nature, COALESCE_US);
        }
    }

    fn ask_the_silent(&mut self, nature: &mut Nature) {
        let (host, now) = (self.index, nature.schedule.now());
        let Some(agent) = &mut self.agent else { return };
        let silent = agent.keeper.unanswered();
        agent.asking.retain(|id| silent.iter().any(|server| server.container == *id));
        for Listening { server, container, .. } in silent {
            let answers_at = self.engine.find(&container).and_then(|(_, made)| made.answers_at);
            let Some(answers_at) = answers_at else { continue };
            if agent.asking.insert(container.clone()) {
                let process = agent.process;
                let happening = Happening::Answered { host, process, server, container };
                nature.schedule.at(answers_at.max(now), happening);
            }
        }
    }

    fn list(&mut self, nature: &mut Nature) {
        let host = self.index;
        let Some(agent) = &mut self.agent else { return };
        if agent.listing != Listing::Idle {
            agent.listing = Listing::AskedAndStale;
            return;
        }
        agent.listing = Listing::Asked;
        let (process, look) = (agent.process, agent.keeper.looking());
        let slow = nature.engine_fault("slow list", |plan| plan.slow_lists);
        let wait = nature.span_us(if slow { 100_000..=5_000_000 } else { 200..=3_000 });
        nature.schedule.after_us(wait, Happening::ListTaken { host, process, look });
    }

    /// The engine looks what there is.
    pub fn list_taken(&mut self, nature: &mut Nature, process: u64, look: Look) {
        let host = self.index;
        let answer = if self.engine.up {
            Ok(self.engine.list())
        } else {
            Err("the engine does not answer".to_owned())
        };
        let slow = nature.engine_fault("slow list", |plan| plan.slow_lists);
        let wait = nature.span_us(if slow { 100_000..=5_000_000 } else { 200..=3_000 });
        nature.schedule.after_us(wait, Happening::Listed { host, process, look, answer });
    }

    fn publish_within(&mut self, nature: &mut Nature, micros: u64) {
        let host = self.index;
        let due = crate::world::schedule::later(nature.schedule.now(), micros);
        let Some(agent) = &mut self.agent else { return };
        if agent.publish_at.is_none_or(|at| due < at) {
            agent.publish_at = Some(due);
            let process = agent.process;
            nature.schedule.at(due, Happening::AgentPublishes { host, process });
        }
    }

    fn report(&self, nature: &Nature, servers: &BTreeMap<ServerId, Measured>) -> Option<Report> {
        let agent = self.agent.as_ref()?;
        let all = servers.values().fold(ByteCount::ZERO, |sum, one| sum.plus(one.used));
        let capacity = Capacity {
            memory_total: self.memory,
            memory_free: self.memory.minus(all),
            cpus: 8,
            memory_pressure: None,
        };
        let facts = HostFacts::default();
        let mut report = agent.keeper.report(self.clock(nature), capacity, facts, servers);
        report.gpus.clone_from(&self.gpus);
        if self.is_old {
            operators::told_by_old(&mut report);
        }
        Some(report)
    }

    /// What the kernel says of the containers at this moment.
    fn measured(&self) -> BTreeMap<ServerId, Measured> {
        let running = self.engine.containers.iter().filter(|(_, made)| made.runs());
        running
            .map(|(number, made)| {
                let measured = Measured {
                    container: id_of(*number),
                    used: made.used,
                    limit: Some(made.limit),
                    ..Measured::default()
                };
                (made.server.clone(), measured)
            })
            .collect()
    }
}

/// Whether a report says something that the last one did not, as production decides it.
fn is_news(last: &Report, next: &Report) -> bool {
    let same_engine = match (&last.engine, &next.engine) {
        (Ok(last), Ok(next)) => {
            last.len() == next.len()
                && last.iter().zip(next).all(|(last, next)| {
                    last.server == next.server
                        && last.generation == next.generation
                        && last.state == next.state
                        && last.steps.len() == next.steps.len()
                })
        }
        (Err(last), Err(next)) => last == next,
        _ => false,
    };
    !same_engine
        || last.pending != next.pending
        || last.applied != next.applied
        || last.gpus != next.gpus
}
