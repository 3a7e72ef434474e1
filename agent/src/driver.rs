//! The one task that owns the [`Keeper`]: what happened comes in, steps go to the engine, reports
//! to the hub, the table to the tunnel. It decides nothing itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use berth_common::link::{DesiredSet, HostFacts, Kill, Report, SpaceHealth, StartStep, Watch};
use berth_common::{Epoch, Reason, ServerId};
use berth_process::systemd::Watchdog;
use berth_process::{clock, crash_point, file};
use berth_proto::link::{HostAnswer, Question};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, MissedTickBehavior, sleep_until};

use crate::ends::Ends;
use crate::gpu::access::Access;
use crate::gpu::picture::{Holder, Holders};
use crate::identity::Folder;
use crate::kernels::Watched;
use crate::link::LinkState;
use crate::mem;
use crate::meter::{Meter, Meters};
use crate::perform::{Workplace, perform};
use crate::questions;
use crate::readiness::{self, Asked};
use crate::reconcile::{
    Container, ContainerState, Ignored, Keeper, Listening, Look, Operation, Outcome, Remains,
};
use crate::report;
use crate::runtime::{EngineFacts, Runtime};
use crate::tunnel::feed::Feed;

/// Changes within this time go into one heartbeat.
const COALESCE: Duration = Duration::from_millis(2);

/// A regular heartbeat waits this long for the list and the memory that it asked for.
const FRESH: Duration = Duration::from_millis(50);

/// What the servers use is looked at so often.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Notebook servers are asked for their kernels so often.
const KERNELS_EVERY: Duration = Duration::from_secs(30);

/// Versions and images change seldom.
const FACTS_EVERY: Duration = Duration::from_secs(30);

/// Inputs that may wait. Senders then wait too: nothing is lost.
pub const INPUTS: usize = 256;

/// What can happen to the driver.
#[derive(Debug)]
pub enum Input {
    /// The hub says what should be.
    Desired(DesiredSet),
    /// A session with the hub begins: a heartbeat is due.
    Connected,
    /// Something may have changed in the engine.
    Changed,
    /// The engine answered to a question asked at that look.
    Listed(Look, Result<Vec<Container>, String>),
    /// The engine told its version and images.
    Facts(Result<EngineFacts, String>),
    /// What registries give for the images that the hub asked about.
    Offered(BTreeMap<String, String>),
    /// The running containers and the host were measured.
    Measured(Look, Box<(Meter, Meters)>),
    /// The watched spaces were looked at.
    Spaces(Vec<SpaceHealth>),
    /// A step of a start was made.
    Milestone(Operation, StartStep),
    /// So much of an image is here, in percent.
    Fetched(Operation, u32),
    /// A call has an outcome.
    Settled(Operation, Outcome),
    /// A server answers.
    Answered(ServerId, String),
    /// The hub asks about a server.
    Asked(Question, oneshot::Sender<Result<HostAnswer, String>>),
    /// The main process of a server's container has ended.
    Ended(ServerId, String),
    /// Somebody wants to know how things are.
    Status(oneshot::Sender<serde_json::Value>),
}

/// The ends of the driver's channels that it writes to.
#[derive(Debug)]
pub struct Outlets {
    /// Heartbeats for the link.
    pub reports: watch::Sender<Option<Report>>,
    /// The tunnel's table.
    pub feed: Feed,
    /// What is to be watched, for [`crate::health`].
    pub watch: watch::Sender<Watch>,
    /// What the link's state is, for the status.
    pub link: watch::Receiver<LinkState>,
    /// Hears each second that the loop comes round.
    pub watchdog: Watchdog,
}

/// All that the driver holds.
struct Driver<R> {
    keeper: Keeper,
    work: Arc<Workplace<R>>,
    outlets: Outlets,
    saved_epoch: Epoch,
    listing: Listing,
    facts: HostFacts,
    facts_due: Instant,
    meters: Meters,
    /// What is remembered between two looks; away while one is under way.
    meter: Option<Meter>,
    /// Something happened during a look that the next one will show.
    stale: bool,
    /// The watched spaces.
    spaces: Vec<SpaceHealth>,
    /// Ends whose causes the next look will show.
    unexplained: Vec<(Operation, Remains)>,
    asked: Asked,
    /// The containers that are being asked whether they answer.
    asking: BTreeMap<String, AbortHandle>,
    kernels: Watched,
    ends: Ends,
    access: Access,
    published: Option<Report>,
    publish_at: Option<Instant>,
}

/// One question to the engine at a time; what happens meanwhile makes another one necessary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Listing {
    Idle,
    Asked,
    AskedAndStale,
}

/// Runs until all senders of inputs are gone.
pub async fn run<R: Runtime>(
    keeper: Keeper,
    work: Arc<Workplace<R>>,
    mut inputs: mpsc::Receiver<Input>,
    outlets: Outlets,
) {
    let mut tick = tokio::time::interval(work.config.agent.report_every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut look = tokio::time::interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let saved_epoch = keeper.highest_epoch();
    let mut driver = Driver {
        keeper,
        work,
        outlets,
        saved_epoch,
        listing: Listing::Idle,
        facts: HostFacts {
            agent_version: env!("CARGO_PKG_VERSION").into(),
            ..HostFacts::default()
        },
        facts_due: Instant::now(),
        meters: Meters { host: mem::host(), ..Meters::default() },
        meter: Some(Meter::default()),
        stale: false,
        spaces: Vec::new(),
        unexplained: Vec::new(),
        asked: Asked::default(),
        asking: BTreeMap::new(),
        kernels: Watched::new(KERNELS_EVERY),
        ends: Ends::default(),
        access: Access::default(),
        published: None,
        publish_at: None,
    };
    let mut gpus = driver.work.gpus.clone();
    loop {
        let due = driver.publish_at;
        tokio::select! {
            input = inputs.recv() => match input {
                Some(input) => driver.take(input),
                None => return,
            },
            _ = tick.tick() => driver.tick(),
            () = gpus.changed() => {}
            _ = look.tick() => {
                driver.measure();
                driver.outlets.watchdog.alive();
            }
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                driver.publish();
            }
        }
        driver.act();
    }
}

impl<R: Runtime> Driver<R> {
    fn take(&mut self, input: Input) {
        let now = clock::steady();
        match input {
            Input::Desired(set) => self.obey(set),
            Input::Connected => self.publish_at = Some(Instant::now()),
            Input::Changed => {
                self.list();
                // The engine's word that memory ran out is such a change, and says no more.
                self.look_again();
            }
            Input::Listed(look, answer) => {
                if let Err(trouble) = &answer {
                    tracing::debug!("engine: {trouble}");
                }
                self.keeper.observe(look, answer, now);
                let again = self.listing == Listing::AskedAndStale;
                self.listing = Listing::Idle;
                if again {
                    self.list();
                }
            }
            Input::Facts(Ok(facts)) => {
                self.facts.engine_version = facts.version;
                self.facts.images = facts.images;
                self.facts.builds = facts.builds;
            }
            Input::Offered(offered) => self.facts.offered = offered,
            Input::Facts(Err(_)) => self.facts.engine_version.clear(),
            Input::Measured(look, measured) => {
                let (meter, mut meters) = *measured;
                for one in meters.servers.values_mut() {
                    one.usage.kernels = self.kernels.of(&one.container);
                }
                self.keeper.measured(look, &meters.servers);
                self.meter = Some(meter);
                self.log_kills(&meters);
                self.meters = meters;
                if std::mem::take(&mut self.stale) {
                    return self.measure();
                }
                for (operation, remains) in std::mem::take(&mut self.unexplained) {
                    let remains = self.explained(&operation, remains);
                    self.settle(&operation, Outcome::Examined(remains));
                }
            }
            Input::Spaces(spaces) => {
                let news = |space: &&SpaceHealth| {
                    !self.spaces.iter().any(|it| it.state() == space.state())
                };
                for space in spaces.iter().filter(news) {
                    match &space.trouble {
                        Some(it) => {
                            tracing::warn!(reason = %it.reason, "{}: {}", space.name, it.detail)
                        }
                        None => tracing::info!("{} answers", space.name),
                    }
                }
                self.spaces = spaces;
            }
            Input::Milestone(operation, step) => self.keeper.milestone(&operation, step, now),
            Input::Fetched(operation, percent) => self.keeper.fetched(&operation, percent),
            Input::Settled(operation, Outcome::Examined(remains)) if remains.oom => {
                self.unexplained.push((operation, remains));
                self.look_again();
            }
            Input::Settled(operation, outcome) => self.settle(&operation, outcome),
            Input::Answered(server, container) => {
                self.asking.remove(&container);
                tracing::info!(%server, "answers");
                self.keeper.ready(&server, &container, now);
            }
            Input::Asked(question, answer) => {
                let work = self.work.clone();
                tokio::spawn(async move {
                    let found = questions::find(&work.runtime, question).await;
                    // Who asked may be gone.
                    let _ = answer.send(found);
                });
            }
            Input::Ended(server, container) => {
                tracing::info!(%server, "its main process has ended");
                self.keeper.ended(&server, &container, now);
            }
            Input::Status(answer) => {
                let report = self.report();
                let link = self.outlets.link.borrow().clone();
                // Who asked may be gone.
                let _ = answer.send(report::status(&self.work.config, &report, &link));
            }
        }
    }

    /// Takes a desired set over; a higher reign is saved before anything is done in its name.
    fn obey(&mut self, set: DesiredSet) {
        let epoch = set.revision.epoch;
        if epoch > self.saved_epoch && set.incarnation == self.keeper.incarnation() {
            crash_point!("agent.epoch.before");
            let path = Folder::new(&self.work.config).epoch();
            if let Err(error) = file::replace(&path, epoch.to_string().as_bytes(), 0o600) {
                tracing::error!("the hub's word is not obeyed: {error}");
                return;
            }
            self.saved_epoch = epoch;
            crash_point!("agent.epoch.after");
        }
        let wanted = set.watch.clone();
        match self.keeper.take(set) {
            Ok(()) | Err(Ignored::NotNewer) => {
                self.outlets.watch.send_if_modified(|watch| {
                    let changed = *watch != wanted;
                    *watch = wanted;
                    changed
                });
            }
            Err(why) => tracing::warn!("a desired set is ignored: {why}"),
        }
    }

    fn settle(&mut self, operation: &Operation, outcome: Outcome) {
        log_outcome(operation, &outcome);
        self.keeper.settle(operation, outcome, clock::steady());
    }

    fn tick(&mut self) {
        self.list();
        if Instant::now() >= self.facts_due {
            self.facts_due = Instant::now() + FACTS_EVERY;
            let work = self.work.clone();
            tokio::spawn(async move {
                let facts = work.runtime.facts().await;
                let _ = work.inputs.send(Input::Facts(facts)).await;
            });
        }
        let due = Instant::now() + FRESH;
        self.publish_at = Some(self.publish_at.map_or(due, |at| at.min(due)));
    }

    fn list(&mut self) {
        if self.listing != Listing::Idle {
            self.listing = Listing::AskedAndStale;
            return;
        }
        self.listing = Listing::Asked;
        let (work, look) = (self.work.clone(), self.keeper.looking());
        tokio::spawn(async move {
            let answer = work.runtime.list().await;
            let _ = work.inputs.send(Input::Listed(look, answer)).await;
        });
    }

    /// Looks at what the servers use, unless that is being done.
    fn measure(&mut self) {
        let Some(meter) = self.meter.take() else { return };
        let (work, running) = (self.work.clone(), self.keeper.running());
        let there = self.keeper.containers().map(|container| container.id.clone()).collect();
        let look = self.keeper.looking();
        tokio::spawn(async move {
            let measured = report::measure(&work.runtime, meter, running, there).await;
            let _ = work.inputs.send(Input::Measured(look, Box::new(measured))).await;
        });
    }

    /// Looks at what the servers use, from this moment on.
    fn look_again(&mut self) {
        self.stale = self.meter.is_none();
        self.measure();
    }

    /// Says who was killed since the last look.
    fn log_kills(&self, meters: &Meters) {
        for (server, measured) in &meters.servers {
            let known = self.meters.servers.get(server);
            let known = known.filter(|known| known.container == measured.container);
            let heard = known.and_then(|known| known.kills.last()).map_or(0, |kill| kill.number);
            for kill in measured.kills.iter().filter(|kill| kill.number > heard) {
                tracing::warn!(%server, reason = %Reason::StoppedOom, "{}", kill.sentence());
            }
        }
    }

    /// What a container left behind that the kernel has ended for want of memory, with what was
    /// measured of it.
    fn explained(&self, operation: &Operation, remains: Remains) -> Remains {
        let measured = self.meters.servers.get(&operation.server);
        let kill = measured.and_then(|measured| {
            // Counter and log may have gone with it: what held most is then the best guess.
            measured.kills.last().cloned().or_else(|| {
                Some(Kill {
                    number: 1,
                    at: clock::steady(),
                    victim: measured.largest.clone(),
                    highest: measured.usage.memory_highest,
                    limit: measured.limit?,
                    by_host: false,
                })
            })
        });
        Remains { kill, ..remains }
    }

    /// What follows from what is known now.
    fn act(&mut self) {
        let steps = self.keeper.steps(clock::steady());
        // Before a container ends or another starts, which may get its address: the tunnel must
        // not lead anybody there any more.
        self.outlets.feed.publish(self.keeper.tunnel_table());
        for step in steps {
            let name = step.act.name().unwrap_or("examine");
            let Operation { server, generation, .. } = &step.operation;
            tracing::info!(%server, %generation, "{name}");
            let work = self.work.clone();
            tokio::spawn(async move {
                let operation = step.operation.clone();
                let outcome = perform(work.clone(), step).await;
                let _ = work.inputs.send(Input::Settled(operation, outcome)).await;
            });
        }
        self.ask_the_silent();
        self.kernels.follow(&self.work.runtime, self.keeper.answering());
        self.ends.follow(&self.work.runtime, &self.work.inputs, self.keeper.running());
        self.access.follow(&self.work.runtime, &self.work.helper, with_gpus(&self.keeper));
        self.work.gpus.hold(holders(&self.keeper));
        let report = self.report();
        if self.publish_at.is_none()
            && self.published.as_ref().is_none_or(|last| report::is_news(last, &report))
        {
            self.publish_at = Some(Instant::now() + COALESCE);
        }
    }

    /// Asks each server that runs and has not answered yet, and none that is gone.
    fn ask_the_silent(&mut self) {
        let silent = self.keeper.unanswered();
        let ids: BTreeSet<&String> = silent.iter().map(|server| &server.container).collect();
        self.asking.retain(|container, task| {
            let still = ids.contains(container);
            if !still {
                task.abort();
            }
            still
        });
        for Listening { server, container, address, prefix } in silent.clone() {
            if self.asking.contains_key(&container) {
                continue;
            }
            let (work, asked, id) = (self.work.clone(), self.asked.clone(), container.clone());
            let task = tokio::spawn(async move {
                readiness::answered(asked, address, prefix).await;
                let _ = work.inputs.send(Input::Answered(server, id)).await;
            });
            self.asking.insert(container, task.abort_handle());
        }
    }

    fn report(&self) -> Report {
        let claimed = self.work.config.agent.memory;
        let capacity = report::capacity(claimed, &self.meters);
        let farm = self.work.config.farm.as_ref().map(crate::config::Farm::range);
        let (gpus, load) = (self.work.gpus.facts(), self.meters.load);
        let facts = HostFacts { gpus, load, farm, ..self.facts.clone() };
        let report = self.keeper.report(clock::steady(), capacity, facts, &self.meters.servers);
        let mut report =
            Report { gpus: self.work.gpus.devices(), spaces: self.spaces.clone(), ..report };
        for container in self.keeper.containers().filter(|it| self.access.is_lost(&it.id)) {
            report::lost_gpus(&mut report, &container.server, &container.origin.gpus);
        }
        report
    }

    fn publish(&mut self) {
        self.publish_at = None;
        let report = self.report();
        self.published = Some(report.clone());
        self.outlets.reports.send_replace(Some(report));
    }
}

/// The containers that run and were given GPUs.
fn with_gpus(keeper: &Keeper) -> BTreeSet<String> {
    let runs = |it: &&Container| matches!(it.state, ContainerState::Running { .. });
    let have = keeper.containers().filter(|it| !it.origin.gpus.is_empty());
    have.filter(runs).map(|it| it.id.clone()).collect()
}

/// Which containers may be on which GPUs.
fn holders(keeper: &Keeper) -> Holders {
    let holder = |container: &Container| {
        let gpus = container.origin.gpus.iter().map(|part| part.gpu.clone()).collect();
        (container.id.clone(), Holder { server: container.server.clone(), gpus })
    };
    keeper.containers().map(holder).collect()
}

fn log_outcome(operation: &Operation, outcome: &Outcome) {
    let Operation { server, generation, .. } = operation;
    match outcome {
        Outcome::Failed(ending) | Outcome::Spoiled { ending, .. } => {
            tracing::warn!(%server, %generation, reason = %ending.reason, "{}", ending.detail);
        }
        Outcome::TimedOut => tracing::warn!(%server, %generation, "unsettled"),
        other => tracing::debug!(%server, %generation, "{other:?}"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
