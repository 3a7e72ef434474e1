//! One fake host: the real keeper on a fake engine, behind the real link. It is one task, so that
//! hundreds of them live in one process.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use berth_common::link::{
    Capacity, DesiredSet, GpuDevice, GpuFacts, HostFacts, Report, SpaceHealth, StartStep, Watch,
};
use berth_common::{BootId, ByteCount, Epoch, GpuId, HostId, Incarnation, ServerId};
use berth_process::{clock, file};
use rand::Rng;
use rand::rngs::StdRng;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, sleep, sleep_until};

use crate::command::{self, CommandError};
use crate::config::Config;
use crate::driver::Input;
use crate::fake::engine::{self, Engine};
use crate::fake::inventory::{self, Hosts};
use crate::fake::nature::Nature;
use crate::identity::{self, Folder};
use crate::link::dial::Network;
use crate::link::{self, LinkState, Outside};
use crate::reconcile::{Act, Keeper, Step};
use crate::report;
use crate::tunnel::{self, feed::Feed};

/// What is shown wherever versions are: nobody is to take such a host for a real one.
const ENGINE: &str = "fake";

/// What the system itself holds.
const SYSTEM: ByteCount = ByteCount(512 << 20);

/// Changes within this time go into one heartbeat.
const COALESCE: Duration = Duration::from_millis(20);

/// What happened on the host itself.
#[derive(Debug)]
enum Done {
    /// A step's time is over.
    Step(Step),
    /// A server answers.
    Answers(ServerId, String),
}

/// One fake host, apart from its link.
pub struct FakeHost {
    config: Arc<Config>,
    has: Hosts,
    gpus: Vec<GpuId>,
    engine: Engine,
    /// The tunnel's table, where something answers for the servers.
    feed: Option<Feed>,
    keeper: Keeper,
    spaces: Vec<SpaceHealth>,
    asked: BTreeSet<String>,
    done: mpsc::UnboundedSender<Done>,
    happened: mpsc::UnboundedReceiver<Done>,
    first_report: Duration,
    reports: watch::Sender<Option<Report>>,
    published: Option<Report>,
    publish_at: Option<Instant>,
}

/// The boot of a fake host, by how often it was booted: its containers outlive the process.
///
/// # Errors
/// When its name cannot be part of one.
pub fn boot_id(name: &HostId, boots: u32) -> std::io::Result<BootId> {
    let id = if boots == 0 { format!("fake-{name}") } else { format!("fake-{name}-{boots}") };
    id.parse().map_err(std::io::Error::other)
}

/// Lives until the process ends.
///
/// # Errors
/// When the host has not joined, or its state cannot be read.
pub async fn live(
    config: Arc<Config>,
    has: Hosts,
    nature: Nature,
    mut outside: Outside<impl Network>,
) -> Result<(), CommandError> {
    let credential = identity::link_credential(&config)?;
    let (host, reported) = FakeHost::open(Arc::clone(&config), has, nature, &mut outside.chance)?;
    let (inputs, received) = mpsc::channel(crate::driver::INPUTS);
    let link_state = watch::Sender::new(LinkState::Away("not linked yet".into()));
    tokio::spawn(link::renew(config.clone(), credential.clone(), outside.network.clone()));
    tokio::spawn(link::keep(config, credential, outside, reported, inputs, link_state));
    host.run(received).await;
    Ok(())
}

impl FakeHost {
    /// The host with what ran on it before, and what it will report.
    ///
    /// # Errors
    /// When its state cannot be read.
    pub fn open(
        config: Arc<Config>,
        has: Hosts,
        nature: Nature,
        chance: &mut StdRng,
    ) -> Result<(Self, watch::Receiver<Option<Report>>), CommandError> {
        let name = &config.agent.name;
        let boot = boot_id(name, has.boots)?;
        let gpus = has.gpus.as_ref().map(|gpus| inventory::gpu_ids(name, gpus)).unwrap_or_default();
        let containers = engine::file(&config.agent.state);
        let mut engine = Engine::open(nature, boot.clone(), gpus.clone(), containers)?;
        let feed = has.answers.map(|address| {
            engine.listen_at(address);
            let (feed, fed) = Feed::new(&config.agent.run);
            tokio::spawn(tunnel::feed::keep(tunnel::table::socket(&config.agent.run), fed));
            feed
        });
        let incarnation = Incarnation(chance.random());
        let epoch = command::saved_epoch(&config)?;
        let keeper = Keeper::new(incarnation, boot, config.agent.starts_at_once, epoch);
        let (reports, reported) = watch::channel(None);
        let (done, happened) = mpsc::unbounded_channel();
        // A thousand hosts of one process must not all speak in the same moment.
        let first_report = config.agent.report_every.mul_f64(chance.random_range(0.0..1.0));
        let host = FakeHost {
            config,
            has,
            gpus,
            engine,
            feed,
            keeper,
            spaces: Vec::new(),
            asked: BTreeSet::new(),
            done,
            happened,
            first_report,
            reports,
            published: None,
            publish_at: None,
        };
        Ok((host, reported))
    }

    /// Lives until nobody is left who could tell it anything.
    pub async fn run(mut self, mut inputs: mpsc::Receiver<Input>) {
        let first = Instant::now() + self.first_report;
        let mut tick = tokio::time::interval_at(first, self.config.agent.report_every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let due = self.publish_at;
            tokio::select! {
                // In this order, so that the same happenings give the same host.
                biased;
                input = inputs.recv() => match input {
                    Some(Input::Desired(set)) => self.obey(set),
                    Some(Input::Connected) => self.publish_at = Some(Instant::now()),
                    Some(Input::Asked(question, answer)) => {
                        // Who asked may be gone.
                        let _ = answer.send(self.engine.answer(question));
                    }
                    Some(_) => {}
                    None => return,
                },
                Some(done) = self.happened.recv() => self.take(done),
                _ = tick.tick() => {
                    self.engine.pass(clock::steady());
                    self.publish_at.get_or_insert_with(Instant::now);
                }
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    self.publish();
                    continue;
                }
            }
            self.act();
        }
    }

    /// Takes a desired set over; a higher reign is saved before anything is done in its name.
    fn obey(&mut self, set: DesiredSet) {
        if set.revision.epoch > self.keeper.highest_epoch()
            && let Err(error) = self.save_epoch(set.revision.epoch)
        {
            tracing::error!("the hub's word is not obeyed: {error}");
            return;
        }
        self.watch(&set.watch);
        if let Err(why) = self.keeper.take(set) {
            tracing::debug!(host = %self.config.agent.name, "a desired set is ignored: {why}");
        }
    }

    fn save_epoch(&self, epoch: Epoch) -> Result<(), file::FileError> {
        file::replace(&Folder::new(&self.config).epoch(), epoch.to_string().as_bytes(), 0o600)
    }

    /// All spaces of a fake host are well.
    fn watch(&mut self, watch: &Watch) {
        if self.spaces.iter().map(|space| &space.name).eq(watch.paths.keys()) {
            return;
        }
        let well = |name: &String| SpaceHealth {
            name: name.clone(),
            trouble: None,
            since: clock::steady(),
            took: Some(Duration::from_millis(1)),
        };
        self.spaces = watch.paths.keys().map(well).collect();
    }

    fn take(&mut self, done: Done) {
        let now = clock::steady();
        match done {
            Done::Step(Step { operation, act }) => {
                if let Act::Create { .. } = act {
                    self.keeper.milestone(&operation, StartStep::Image, now);
                    self.keeper.milestone(&operation, StartStep::Spaces, now);
                }
                let outcome = self.engine.act(&operation, &act, now);
                self.keeper.settle(&operation, outcome, now);
            }
            Done::Answers(server, container) => {
                self.asked.remove(&container);
                self.keeper.ready(&server, &container, now);
            }
        }
    }

    /// What follows from what is known now.
    fn act(&mut self) {
        let now = clock::steady();
        let look = self.keeper.looking();
        self.keeper.observe(look, Ok(self.engine.list()), now);
        let steps = self.keeper.steps(now);
        if let Some(feed) = &mut self.feed {
            feed.publish(self.keeper.tunnel_table());
        }
        for step in steps {
            self.later(takes(&step.act), Done::Step(step));
        }
        for silent in self.keeper.unanswered() {
            if self.asked.insert(silent.container.clone()) {
                let after = Duration::from_secs_f64(self.engine.answers_in(&silent.container, now));
                self.later(after, Done::Answers(silent.server, silent.container));
            }
        }
        let report = self.report();
        if self.published.as_ref().is_none_or(|last| report::is_news(last, &report)) {
            self.publish_at.get_or_insert_with(|| Instant::now() + COALESCE);
        }
    }

    fn later(&self, after: Duration, what: Done) {
        let done = self.done.clone();
        tokio::spawn(async move {
            sleep(after).await;
            // Nobody there: the host has ended.
            let _ = done.send(what);
        });
    }

    fn report(&mut self) -> Report {
        let now = clock::steady();
        let measured = self.engine.measure(now);
        let used = measured.values().fold(SYSTEM, |sum, one| sum.plus(one.used));
        let capacity = Capacity {
            memory_total: self.has.memory,
            memory_free: self.has.memory.minus(used),
            cpus: self.has.cpus,
            memory_pressure: None,
        };
        // Nothing else has anything to do there.
        let load = measured.values().map(|one| one.usage.cpu_milli).sum::<u32>() / 10;
        let facts = HostFacts {
            agent_version: format!("{} (fake host)", env!("CARGO_PKG_VERSION")),
            engine_version: ENGINE.into(),
            images: self.has.images.clone(),
            builds: BTreeMap::new(),
            offered: BTreeMap::new(),
            gpus: self.has.gpus.as_ref().map_or_else(GpuFacts::default, |gpus| GpuFacts {
                driver: ENGINE.into(),
                trouble: String::new(),
                used: self.engine.gpu_use(now, gpus.memory),
            }),
            load: Some(load),
            farm: None,
        };
        let report = self.keeper.report(now, capacity, facts, &measured);
        Report { gpus: self.devices(), spaces: self.spaces.clone(), ..report }
    }

    fn devices(&self) -> Vec<GpuDevice> {
        let Some(gpus) = &self.has.gpus else { return Vec::new() };
        let device = |gpu: &GpuId| GpuDevice {
            gpu: gpu.clone(),
            model: gpus.model.clone(),
            memory: gpus.memory,
            trouble: None,
        };
        self.gpus.iter().map(device).collect()
    }

    fn publish(&mut self) {
        self.publish_at = None;
        let report = self.report();
        self.published = Some(report.clone());
        self.reports.send_replace(Some(report));
    }
}

/// How long a call takes, about as long as Docker's.
fn takes(act: &Act) -> Duration {
    Duration::from_millis(match act {
        Act::Create { .. } => 250,
        Act::Start { .. } => 400,
        Act::Stop { .. } => 800,
        Act::Remove { .. } => 100,
        Act::Resize { .. } | Act::Examine { .. } => 20,
    })
}

/// The configuration of a host that has no `agent.toml`: only what a fake one needs.
///
/// # Errors
/// When the folder cannot stand in such a file.
pub fn config(name: &HostId, hub: &str, folder: &std::path::Path) -> Result<Config, CommandError> {
    // As TOML's own strings, so that no path can be taken for anything else.
    let folder = toml::Value::String(folder.join(name.as_str()).display().to_string());
    let hub = toml::Value::String(hub.to_owned());
    let text = format!(
        "version = 1\n[agent]\nname = \"{name}\"\nhub = {hub}\nstate = {folder}\nrun = {folder}\n\
         starts_at_once = 4\n"
    );
    Ok(crate::config::parse("a fake host", &text)?)
}
