//! Gives a site a past: `past CONFIG STATE HOSTS INVENTORY PEOPLE DAYS`. Lives some days of a hub
//! that does not run, in virtual time: the real core decides, its rows go into the real store, and
//! fake hosts carry out what it wants. The hub and the fake hosts that are started afterwards go on
//! from there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use berth_agent::fake::engine::Engine;
use berth_agent::fake::inventory::{Hosts, Inventory, gpu_ids};
use berth_agent::reconcile::Keeper;
use berth_common::link::{
    Account, Capacity, Desired, DesiredSet, GpuDevice, HostFacts, Origin, RunSpec, StartStep,
    Verdict, Watch,
};
use berth_common::{
    BootId, ByteCount, DecisionId, Epoch, HostId, Incarnation, Reason, Revision, Seconds, ServerId,
    Timestamp,
};
use berth_core::event::{Effect, Event, Row, StartRequest, Wish};
use berth_core::life::Evidence;
use berth_core::reconcile::{Order, What, orders};
use berth_core::store::{Store, commit_then_release};
use berth_core::{Fleet, Server, step};
use berth_process::clock;
use berth_store::Database;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// The past goes in steps of so many seconds.
const STEP_S: u64 = 120;

/// In the last steps everybody starts who has no server: a site is looked at by day.
const LAST_STEPS: u64 = 10;

/// A person of the site.
struct Person {
    account: Account,
    wish: Wish,
    /// Whether a server is stopped in the evening.
    tidy: bool,
}

/// A fake host without a link: what it would say is stepped at once.
struct Machine {
    has: Hosts,
    engine: Engine,
    keeper: Keeper,
    boot: BootId,
}

struct Past {
    store: Database,
    fleet: Fleet,
    machines: BTreeMap<HostId, Machine>,
    people: Vec<Person>,
    chance: StdRng,
    starts: u64,
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [config, state, hosts, inventory, people, days] = arguments.as_slice() else {
        bail!("usage: past CONFIG STATE HOSTS INVENTORY PEOPLE DAYS");
    };
    let days: u64 = days.to_string_lossy().parse().context("DAYS is to be a number")?;
    let now = clock::now();
    let (config, _) = berth_hub::config::load(config, now)?;
    let mut settings = config.settings.clone();
    // Hosts report once a step here.
    settings.lost_after = Seconds(STEP_S * 3);
    let settings = Arc::new(settings);
    let mut store = Database::open(state)?;
    let epoch = store.next_epoch()?;
    store.commit(&[Row::Settings(Arc::clone(&settings))])?;
    let inventory = Inventory::read(inventory)?;
    let machines = inventory
        .hosts()
        .map(|(name, has)| Ok((name.clone(), Machine::new(name, has, &inventory, hosts)?)));
    let mut past = Past {
        machines: machines.collect::<anyhow::Result<_>>()?,
        people: read_people(people, &store)?,
        fleet: Fleet::restore(epoch, settings, [], []),
        chance: StdRng::seed_from_u64(inventory.nature.seed),
        starts: 0,
        store,
    };
    let steps = days * 86_400 / STEP_S;
    for left in (1..=steps).rev() {
        let back = i64::try_from(left * STEP_S * 1_000_000)?;
        past.pass(Timestamp(now.0 - back), left)?;
    }
    println!("{} starts in {days} days", past.starts);
    Ok(())
}

/// Name, groups, profile and memory of each; who starts nothing has a dash.
fn read_people(path: &Path, store: &Database) -> anyhow::Result<Vec<Person>> {
    let users = store.reader()?.users()?;
    let text = std::fs::read_to_string(path)?;
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let mut people = Vec::new();
    for (number, line) in lines.enumerate() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [name, _, profile, memory] = words.as_slice() else { continue };
        let user = users.iter().find(|user| user.account.name.as_str() == *name);
        let user = user.with_context(|| format!("{name} has no account"))?;
        people.push(Person {
            account: user.account.clone(),
            wish: Wish {
                profile: Some((*profile).to_owned()),
                memory: Some(memory.parse()?),
                ..Wish::default()
            },
            tidy: number % 5 == 4,
        });
    }
    Ok(people)
}

impl Past {
    /// One step: people act, hosts obey and report, the hub thinks.
    fn pass(&mut self, now: Timestamp, left: u64) -> anyhow::Result<()> {
        for name in self.machines.keys().cloned().collect::<Vec<_>>() {
            self.report(&name, now)?;
        }
        self.take(now, Event::Tick)?;
        self.act(now, left)?;
        // What was asked for is carried out within the step.
        for name in self.machines.keys().cloned().collect::<Vec<_>>() {
            self.report(&name, now)?;
        }
        Ok(())
    }

    /// Production's order: step, commit, and only then the next.
    fn take(&mut self, now: Timestamp, event: Event) -> anyhow::Result<()> {
        let effects: Vec<Effect> = step(&mut self.fleet, now, event);
        commit_then_release(&mut self.store, effects)?;
        Ok(())
    }

    fn report(&mut self, name: &HostId, now: Timestamp) -> anyhow::Result<()> {
        let set = self
            .machines
            .get(name)
            .and_then(|machine| desired_set(&self.fleet, name, machine.keeper.incarnation()));
        let Some(machine) = self.machines.get_mut(name) else { return Ok(()) };
        let report = Box::new(machine.live(set, now));
        self.take(now, Event::Reported { host: name.clone(), session: 1, report })
    }

    /// People come in the morning, work, and some stop their servers in the evening.
    fn act(&mut self, now: Timestamp, left: u64) -> anyhow::Result<()> {
        let hour = now.as_millis() / 3_600_000 % 24;
        let at_work = (7..18).contains(&hour);
        let mut events = Vec::new();
        let active: BTreeSet<_> = self
            .fleet
            .servers
            .values()
            .filter(|server| server.is_active())
            .map(|server| server.owner.clone())
            .collect();
        for person in &self.people {
            let name = &person.account.name;
            let roll: f64 = self.chance.random();
            if !active.contains(name) {
                let last = left <= LAST_STEPS && roll < 0.5 || left == 1;
                if last || at_work && roll < 0.012 {
                    events.push(start(person, &mut self.chance));
                }
                continue;
            }
            for server in self.fleet.servers_of(name).filter(|server| server.is_ready()) {
                let stops = person.tidy && left > LAST_STEPS && hour == 18 && roll < 0.2;
                if stops {
                    let reason = Reason::StoppedUser;
                    events.push(Event::Stop { server: server.id.clone(), reason, reply: None });
                } else if at_work && roll < 0.06 {
                    let kind = Evidence::Browser;
                    events.push(Event::Activity { server: server.id.clone(), kind, at: now });
                }
            }
        }
        for event in events {
            self.starts += u64::from(matches!(event, Event::Start(_)));
            self.take(now, event)?;
        }
        Ok(())
    }
}

fn start(person: &Person, chance: &mut StdRng) -> Event {
    Event::Start(Box::new(StartRequest {
        server: ServerId::from_random(chance.random()),
        decision: DecisionId::from_random(chance.random()),
        account: person.account.clone(),
        name: "".parse().unwrap_or_else(|_| unreachable!("the default server has no name")),
        wish: person.wish.clone(),
        watched: false,
        barred: None,
        user_options: None,
        reply: None,
    }))
}

impl Machine {
    fn new(
        name: &HostId,
        has: &Hosts,
        inventory: &Inventory,
        hosts: &Path,
    ) -> anyhow::Result<Self> {
        let folder = hosts.join(name.as_str());
        std::fs::create_dir_all(&folder)?;
        let boot = berth_agent::fake::host::boot_id(name, has.boots)?;
        let gpus = has.gpus.as_ref().map(|gpus| gpu_ids(name, gpus)).unwrap_or_default();
        let file = berth_agent::fake::engine::file(&folder);
        let engine = Engine::open(inventory.nature.clone(), boot.clone(), gpus, file)?;
        let keeper = Keeper::new(Incarnation(1), boot.clone(), 64, Epoch(0));
        Ok(Self { has: has.clone(), engine, keeper, boot })
    }

    /// Does all that there is to do, at once, and says how things are then.
    fn live(&mut self, set: Option<DesiredSet>, now: Timestamp) -> berth_common::link::Report {
        self.engine.pass(now);
        if let Some(set) = set {
            // One that is not newer says the same again.
            let _ = self.keeper.take(set);
        }
        // Create, start, answer; or stop, examine, remove.
        for _ in 0..4 {
            let look = self.keeper.looking();
            self.keeper.observe(look, Ok(self.engine.list()), now);
            for step in self.keeper.steps(now) {
                self.keeper.milestone(&step.operation, StartStep::Image, now);
                self.keeper.milestone(&step.operation, StartStep::Spaces, now);
                let outcome = self.engine.act(&step.operation, &step.act, now);
                self.keeper.settle(&step.operation, outcome, now);
            }
            for silent in self.keeper.unanswered() {
                self.keeper.ready(&silent.server, &silent.container, now);
            }
        }
        let measured = self.engine.measure(now);
        let used = measured.values().fold(ByteCount(512 << 20), |sum, one| sum.plus(one.used));
        let capacity = Capacity {
            memory_total: self.has.memory,
            memory_free: self.has.memory.minus(used),
            cpus: self.has.cpus,
            memory_pressure: None,
        };
        let facts = HostFacts { images: self.has.images.clone(), ..HostFacts::default() };
        let report = self.keeper.report(now, capacity, facts, &measured);
        let device = |gpu: &berth_common::GpuId| {
            let gpus = self.has.gpus.as_ref()?;
            let (gpu, model, memory) = (gpu.clone(), gpus.model.clone(), gpus.memory);
            Some(GpuDevice { gpu, model, memory, trouble: None })
        };
        let gpus = self.engine.gpus().iter().filter_map(device).collect();
        berth_common::link::Report { gpus, boot_id: self.boot.clone(), ..report }
    }
}

fn desired_set(fleet: &Fleet, host: &HostId, incarnation: Incarnation) -> Option<DesiredSet> {
    let record = fleet.hosts.get(host)?;
    let heard = record.heard.as_ref()?;
    let servers = orders(fleet, host)
        .into_iter()
        .filter_map(|(server, order)| Some((server.clone(), desired(fleet, &server, order)?)));
    Some(DesiredSet {
        revision: Revision { epoch: fleet.epoch, seq: record.seq },
        incarnation,
        echo: heard.sent,
        servers: servers.collect(),
        watch: Watch::default(),
    })
}

fn desired(fleet: &Fleet, id: &ServerId, order: Order) -> Option<Desired> {
    let what = match order.what {
        What::Stop => Verdict::Stop { grace_s: 10 },
        What::Keep => Verdict::Keep,
        What::Run => Verdict::Run(Box::new(run_spec(fleet.servers.get(id)?)?)),
    };
    Some(Desired { generation: order.generation, what, limit: order.limit })
}

/// As much of it as a fake host looks at.
fn run_spec(server: &Server) -> Option<RunSpec> {
    let placement = server.placement()?;
    Some(RunSpec {
        origin: Origin {
            user: server.owner.clone(),
            server_name: server.name.clone(),
            profile: server.ask.profile.clone(),
            memory: placement.reservation.memory,
            gpus: placement.gpus.clone(),
            decision: server.decision.clone(),
        },
        account: server.account.clone()?,
        pool: String::new(),
        image: server.ask.image.clone(),
        build: String::new(),
        command: Vec::new(),
        spaces: Vec::new(),
        shown: BTreeMap::new(),
        env: BTreeMap::new(),
        api_url: String::new(),
        prefix: server.prefix(),
        port: 8888,
        farm_ports: Vec::new(),
        shm: None,
        cpu: Default::default(),
    })
}
