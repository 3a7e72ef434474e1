//! The site of `berth simulate queue`: equal hosts, one pool, and servers that live as they are told.

use std::collections::BTreeMap;
use std::sync::Arc;

use berth_common::link::{Account, Capacity, HostFacts, Report};
use berth_common::{
    BootId, ByteCount, DecisionId, Epoch, HostId, Incarnation, Reason, Revision, Seconds, ServerId,
    ServerName, Timestamp,
};
use berth_core::decision::Estimate;
use berth_core::event::{Row, StartRequest, Wish};
use berth_core::life::Evidence;
use berth_core::settings::{HostSettings, Image, Order, Pool, Profile, QueueSettings, Settings};
use berth_core::{Decision, Effect, Event, Fleet, Outcome, step};

/// Memory of a host.
pub const HOST_GB: u64 = 32;
const GB: u64 = 1 << 30;
/// The first minute.
const BEGIN: Timestamp = Timestamp(1_800_000_000_000_000);
/// Nobody gives up, and no host falls silent.
const FOREVER: Seconds = Seconds(400 * 86_400);

/// Something that the replay looks at.
pub enum Happened {
    /// A request waits, and this was shown.
    Waits(ServerId, Option<Estimate>),
    /// A server has its place.
    Starts(ServerId),
}

/// The fleet and its people.
pub struct Site {
    fleet: Fleet,
    minute: u32,
    asked: u64,
    /// What each will do once it has its place.
    plans: BTreeMap<ServerId, Plan>,
    /// Servers that run, with the minute in which their owner is last seen.
    active: BTreeMap<ServerId, u32>,
    /// Servers that end, by the minute.
    ends: BTreeMap<u32, Vec<ServerId>>,
    idle_limit: u32,
}

#[derive(Clone, Copy)]
struct Plan {
    life: u32,
    idles: bool,
}

impl Site {
    /// Empty hosts, all of which have reported; idle servers are stopped after so many minutes.
    pub fn new(hosts: u32, idle_limit: u32) -> Self {
        let names: Vec<HostId> =
            (0..hosts).filter_map(|i| format!("h{i:04}").parse().ok()).collect();
        let settings = Arc::new(settings(&names, idle_limit));
        let fleet = Fleet::restore(Epoch(1), settings, [], []);
        let mut site = Self {
            fleet,
            minute: 0,
            asked: 0,
            plans: BTreeMap::new(),
            active: BTreeMap::new(),
            ends: BTreeMap::new(),
            idle_limit,
        };
        for host in names {
            site.report(host);
        }
        site
    }

    /// A minute passes: those whose time is over end, and what that brings.
    pub fn minute(&mut self, minute: u32) -> Vec<Happened> {
        self.minute = minute;
        let mut happened = Vec::new();
        for server in self.ends.remove(&minute).unwrap_or_default() {
            happened.extend(self.end(&server));
        }
        self.active.retain(|_, until| *until >= minute);
        let active: Vec<_> = self.active.keys().cloned().collect();
        for server in active {
            happened.extend(self.take(Event::Activity {
                server,
                at: self.now(),
                kind: Evidence::Notebook,
            }));
        }
        happened.extend(self.take(Event::Tick));
        happened
    }

    /// Somebody new asks for so much memory, for a server that will live so long.
    pub fn ask(&mut self, memory_gb: u64, life: u32, idles: bool) -> Vec<Happened> {
        self.asked += 1;
        let server = ServerId::from_random(self.asked);
        let Ok(name) = format!("u{}", self.asked).parse() else { return Vec::new() };
        self.plans.insert(server.clone(), Plan { life, idles });
        let request = StartRequest {
            server,
            decision: DecisionId::from_random(self.asked),
            account: Account {
                name,
                uid: 1_000,
                gid: 1_000,
                groups: Vec::new(),
                home: "/home".into(),
            },
            name: ServerName::default_server(),
            wish: Wish { memory: Some(ByteCount(memory_gb * GB)), ..Wish::default() },
            watched: false,
            barred: None,
            user_options: None,
            reply: None,
        };
        self.take(Event::Start(Box::new(request)))
    }

    fn now(&self) -> Timestamp {
        BEGIN.plus(Seconds(u64::from(self.minute) * 60))
    }

    fn end(&mut self, server: &ServerId) -> Vec<Happened> {
        let placement = self.fleet.servers.get(server).and_then(|server| server.placement());
        let Some(host) = placement.map(|placement| placement.host.clone()) else {
            return Vec::new();
        };
        self.active.remove(server);
        let reason = Reason::StoppedUser;
        let mut happened = self.take(Event::Stop { server: server.clone(), reason, reply: None });
        happened.extend(self.report(host));
        happened.extend(self.take(Event::Remove { server: server.clone(), reply: None }));
        happened
    }

    fn report(&mut self, host: HostId) -> Vec<Happened> {
        let Ok(boot_id) = "boot".parse::<BootId>() else { return Vec::new() };
        let seq = self.fleet.hosts.get(&host).map_or(0, |host| host.seq);
        let memory = ByteCount(HOST_GB * GB);
        let report = Box::new(Report {
            incarnation: Incarnation(1),
            boot_id,
            sent: self.now(),
            applied: Revision { epoch: Epoch(1), seq },
            engine: Ok(Vec::new()),
            pending: Vec::new(),
            gpus: Vec::new(),
            spaces: Vec::new(),
            capacity: Capacity {
                memory_total: memory,
                memory_free: memory,
                cpus: 16,
                memory_pressure: None,
            },
            facts: HostFacts { images: vec!["image:1".into()], ..HostFacts::default() },
        });
        self.take(Event::Reported { host, session: 1, report })
    }

    fn take(&mut self, event: Event) -> Vec<Happened> {
        let now = self.now();
        let effects = step(&mut self.fleet, now, event);
        let decided = effects.iter().filter_map(|effect| match effect {
            Effect::Save(Row::Decision(decision)) => Some(Decision::clone(decision)),
            _ => None,
        });
        let decided: Vec<_> = decided.collect();
        decided.into_iter().filter_map(|decision| self.decided(decision)).collect()
    }

    fn decided(&mut self, decision: Decision) -> Option<Happened> {
        match decision.outcome {
            Outcome::Waits { estimate, .. } => Some(Happened::Waits(decision.server, estimate)),
            Outcome::Placed { .. } => {
                let plan = self.plans.remove(&decision.server)?;
                let end = self.minute + plan.life;
                self.ends.entry(end).or_default().push(decision.server.clone());
                let idles = if plan.idles { self.idle_limit } else { 0 };
                self.active.insert(decision.server.clone(), end.saturating_sub(idles));
                Some(Happened::Starts(decision.server))
            }
            Outcome::Refused { .. } => None,
        }
    }
}

fn settings(names: &[HostId], idle_limit: u32) -> Settings {
    let host = |name: &HostId| {
        let settings = HostSettings {
            pool: "cpu".into(),
            memory: None,
            keep_free: ByteCount::ZERO,
            gpus: None,
            address: String::new(),
            cite: Default::default(),
        };
        (name.clone(), settings)
    };
    let profile = Profile {
        pool: "cpu".into(),
        memory_default: ByteCount(4 * GB),
        memory_max: ByteCount(HOST_GB * GB),
        images: vec!["image".into()],
        default: true,
        idle_limit: Some(Seconds(u64::from(idle_limit) * 60)),
        ..Profile::default()
    };
    let image = Image {
        reference: "image:1".into(),
        title: "image".into(),
        shm: None,
        cite: Default::default(),
    };
    Settings {
        hosts: names.iter().map(host).collect(),
        pools: BTreeMap::from([("cpu".to_owned(), Pool::default())]),
        profiles: BTreeMap::from([("cpu".to_owned(), profile)]),
        images: BTreeMap::from([("image".to_owned(), image)]),
        queue: QueueSettings { order: Order::Fifo, max_wait: FOREVER, ..QueueSettings::default() },
        lost_after: FOREVER,
        ..Settings::default()
    }
}
