//! A fleet of one host and a clock, with what a store would hold of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use berth_common::link::{
    Account, Capacity, GpuDevice, GpuFacts, GpuProcess, GpuUse, Group, HostFacts, Kernels,
    Observed, ObservedState, Origin, Report, Usage,
};
use berth_common::{
    BootId, ByteCount, DecisionId, Epoch, HostId, Incarnation, Reason, Revision, Seconds, ServerId,
    ServerName, Timestamp,
};
use berth_core::event::{ReplyTo, Row, StartRequest, Wish};
use berth_core::life::{self, Evidence, Outlook, Use};
use berth_core::settings::{
    Cite, GpuChoice, HostSettings, IdleRule, Image, Lifecycle, Pool, Profile, Quiet, Settings,
    Whose, Zone,
};
use berth_core::{Answer, Effect, Event, Fleet, Host, Server, step};

const GB: u64 = 1 << 30;
pub const HOUR: u64 = 3_600;
pub const DAY: u64 = 24 * HOUR;
/// Monday, 9:00 in Paris.
pub const MONDAY: &str = "2026-05-04T07:00:00Z";

pub struct Bench {
    pub fleet: Fleet,
    pub now: Timestamp,
    /// What was saved last.
    pub servers: BTreeMap<ServerId, Server>,
    hosts: BTreeMap<HostId, Host>,
    ids: u64,
    /// Whether the host reports.
    pub reports: bool,
    /// Whether the proxy tells what it saw.
    pub proxy_tells: bool,
    /// What each server uses, by the hosts' reports. The default says nothing.
    pub usage: Usage,
    /// How busy the GPU is, in per cent; `None`: nobody says.
    pub gpu_busy: Option<u32>,
    /// Servers with a busy kernel.
    pub works: BTreeSet<ServerId>,
    /// Servers that do not answer yet.
    pub starting: BTreeSet<ServerId>,
    /// Events that were taken in.
    pub taken: usize,
    /// When the hub dies, once.
    pub death: Option<Death>,
}

/// The hub dies after so many events.
#[derive(Debug, Clone, Copy)]
pub struct Death {
    /// So many events are taken in before.
    pub after: usize,
    /// Whether what the next one did is saved; otherwise nobody hears of it.
    pub saved: bool,
}

/// A rule for everybody.
pub fn idle_after(seconds: u64) -> IdleRule {
    IdleRule {
        whose: Whose::default(),
        stop_after: Some(Seconds(seconds)),
        cite: Cite { file: "lifecycle.toml".into(), line: 7 },
    }
}

/// Nights from 20:00 to 7:00 in a summer that lasts for ever, two hours ahead of UTC.
pub fn nights() -> Quiet {
    Quiet { from_s: 20 * 3_600, to_s: 7 * 3_600, zone: Zone(vec![(Timestamp(0), 7_200)]) }
}

pub fn settings(lifecycle: Lifecycle) -> Settings {
    let profile = |pool: &str, gpus: Option<GpuChoice>| Profile {
        title: pool.into(),
        pool: pool.into(),
        memory_default: ByteCount(GB),
        memory_choices: vec![ByteCount(GB)],
        memory_max: ByteCount(GB),
        images: vec!["default".into()],
        default: gpus.is_none(),
        gpus,
        ..Profile::default()
    };
    let gpus =
        GpuChoice { default: 1, max: 1, share_milli: 1000, models: vec![], memory: ByteCount(0) };
    let host = |pool: &str| HostSettings {
        pool: pool.into(),
        memory: None,
        keep_free: ByteCount(0),
        gpus: None,
        address: "h:8444".into(),
        cite: Cite::default(),
    };
    let image = Image {
        reference: "img:1".into(),
        title: "Image".into(),
        shm: None,
        cite: Cite::default(),
    };
    Settings {
        hosts: BTreeMap::from([
            ("c1".parse().unwrap(), host("cpu")),
            ("g1".parse().unwrap(), host("gpu")),
        ]),
        pools: BTreeMap::from([("cpu".into(), Pool::default()), ("gpu".into(), Pool::default())]),
        profiles: BTreeMap::from([
            ("cpu".into(), profile("cpu", None)),
            ("gpu".into(), profile("gpu", Some(gpus))),
        ]),
        images: BTreeMap::from([("default".into(), image)]),
        // The clock jumps from moment to moment; a host is lost only when it is told to be silent.
        lost_after: Seconds(2 * HOUR),
        lifecycle,
        ..Settings::default()
    }
}

impl Bench {
    pub fn new(lifecycle: Lifecycle) -> Self {
        let settings = Arc::new(settings(lifecycle));
        let mut bench = Self {
            fleet: Fleet::restore(Epoch(1), settings, [], []),
            now: MONDAY.parse().unwrap(),
            servers: BTreeMap::new(),
            hosts: BTreeMap::new(),
            ids: 0,
            reports: true,
            usage: Usage::default(),
            gpu_busy: None,
            proxy_tells: true,
            works: BTreeSet::new(),
            starting: BTreeSet::new(),
            taken: 0,
            death: None,
        };
        bench.report();
        bench
    }

    /// Takes an event in, and saves what is to be saved.
    pub fn take(&mut self, event: Event) -> Vec<Effect> {
        let effects = step(&mut self.fleet, self.now, event);
        let death = self.death.filter(|death| death.after == self.taken);
        self.taken += 1;
        if let Some(death) = death {
            self.death = None;
            if death.saved {
                self.save(&effects);
            }
            let lifecycle = self.fleet.settings.lifecycle.clone();
            self.reborn(lifecycle);
            return Vec::new();
        }
        self.save(&effects);
        effects
    }

    fn save(&mut self, effects: &[Effect]) {
        for effect in effects {
            match effect {
                Effect::Save(Row::Server(server)) => {
                    // As the store does: what is not in the row is lost.
                    let text = serde_json::to_string(&**server).unwrap();
                    let saved = serde_json::from_str(&text).unwrap();
                    self.servers.insert(server.id.clone(), saved);
                }
                Effect::Save(Row::Host(host)) => {
                    let text = serde_json::to_string(&**host).unwrap();
                    self.hosts.insert(host.id.clone(), serde_json::from_str(&text).unwrap());
                }
                _ => {}
            }
        }
    }

    fn ask(&mut self, event: Event) -> Answer {
        let answer = self.take(event).into_iter().find_map(|effect| match effect {
            Effect::Reply(_, answer) => Some(answer),
            _ => None,
        });
        answer.expect("an answer")
    }

    /// The hub dies, and another one begins with what was saved and under these files.
    pub fn reborn(&mut self, lifecycle: Lifecycle) {
        let epoch = Epoch(self.fleet.epoch.0 + 1);
        let settings = Arc::new(settings(lifecycle));
        let (hosts, servers) = (self.hosts.values().cloned(), self.servers.values().cloned());
        self.fleet = Fleet::restore(epoch, settings, hosts, servers);
        self.beat();
    }

    pub fn reload(&mut self, lifecycle: Lifecycle) {
        self.take(Event::SettingsChanged(Arc::new(settings(lifecycle))));
    }

    /// Starts a server and lets it answer.
    pub fn runs(&mut self, user: &str, profile: &str) -> ServerId {
        let id = self.waits(user, profile);
        self.report();
        assert!(self.server(&id).is_ready());
        id
    }

    /// Its owner stops it.
    pub fn stops(&mut self, id: &ServerId) {
        let reason = Reason::StoppedUser;
        self.take(Event::Stop { server: id.clone(), reason, reply: None });
    }

    /// Asks for a server, which may have to wait.
    pub fn waits(&mut self, user: &str, profile: &str) -> ServerId {
        self.ids += 1;
        let id = ServerId::from_random(self.ids);
        let group = Group { name: "lsst".into(), gid: 5000 };
        let account = Account {
            name: user.parse().unwrap(),
            uid: 2000,
            gid: 5000,
            groups: vec![group],
            home: format!("/home/{user}"),
        };
        let answer = self.ask(Event::Start(Box::new(StartRequest {
            server: id,
            decision: DecisionId::from_random(1000 + self.ids),
            account,
            name: ServerName::default_server(),
            wish: Wish { profile: Some(profile.into()), ..Wish::default() },
            watched: false,
            barred: None,
            user_options: None,
            reply: Some(1),
        })));
        match answer {
            Answer::Accepted(decision) => decision.server.clone(),
            other => panic!("{other:?}"),
        }
    }

    pub fn server(&self, id: &ServerId) -> &Server {
        &self.fleet.servers[id]
    }

    /// How a server ended or is ending.
    pub fn end(&self, id: &ServerId) -> Option<(Reason, Timestamp, String)> {
        let server = self.server(id);
        let stop = server.placement().and_then(|placement| placement.stop.as_ref());
        let end = stop.map(|stop| &stop.end).or(server.last_end.as_ref())?;
        Some((end.reason, end.at, end.detail.clone()))
    }

    pub fn outlook(&self, id: &ServerId) -> Outlook {
        let server = self.server(id);
        let placement = server.placement().expect("it is placed");
        life::outlook(&self.fleet.settings, server, placement, self.now)
    }

    /// The next moment at which something is to happen to a server, after now.
    pub fn next(&self, id: &ServerId) -> Option<Timestamp> {
        let server = self.server(id);
        let placement = server.placement().filter(|placement| placement.stop.is_none())?;
        let plan = life::plan(&self.fleet.settings, server, placement, self.now)?;
        let warning = plan.schedule.warning.map(|(_, at)| at);
        [Some(plan.schedule.stop), warning].into_iter().flatten().filter(|at| *at > self.now).min()
    }

    pub fn sign(&mut self, id: &ServerId, kind: Evidence) {
        self.take(Event::Activity { server: id.clone(), kind, at: self.now });
    }

    pub fn measured(&mut self, id: &ServerId, used: Use) {
        let generation = self.server(id).generation;
        self.take(Event::Measured { server: id.clone(), generation, used });
    }

    pub fn extend(&mut self, id: &ServerId, steps: u32) -> Answer {
        let reply: Option<ReplyTo> = Some(7);
        self.ask(Event::Extend { server: id.clone(), steps, beyond: false, reply })
    }

    /// A moment passes: host and proxy tell what there is, and time goes on.
    pub fn beat(&mut self) {
        if self.reports {
            self.report();
        }
        self.take(Event::Tick);
        if self.proxy_tells {
            self.take(Event::ActivityTold { until: self.now });
        }
        self.take(Event::Tick);
    }

    pub fn goes_to(&mut self, at: Timestamp) {
        self.now = self.now.max(at);
        self.beat();
    }

    /// Lets so much time pass, moment by moment: those at which something happens are among them.
    pub fn passes(&mut self, seconds: u64) {
        let end = self.now.plus(Seconds(seconds));
        while self.now < end {
            let ids: Vec<_> = self.fleet.servers.keys().cloned().collect();
            let next = ids.iter().filter_map(|id| self.next(id)).min();
            let next = next.unwrap_or(end).min(self.now.plus(Seconds(HOUR))).min(end);
            self.goes_to(next);
        }
    }

    fn seen(&self, server: &Server) -> Observed {
        let kernels = Kernels { busy: 1, quiet_ms: Some(0) };
        let working = Usage { cpu_us: 1, kernels: Some(kernels), ..self.usage };
        let usage = if self.works.contains(&server.id) { working } else { self.usage };
        let seen = seen(server, self.fleet.epoch, usage);
        let is_ready = !self.starting.contains(&server.id);
        Observed { state: if is_ready { seen.state } else { ObservedState::Running }, ..seen }
    }

    fn report(&mut self) {
        for name in ["c1", "g1"] {
            let host: HostId = name.parse().unwrap();
            let placed = self.fleet.placed_on(&host).filter(|(_, placed)| placed.stop.is_none());
            let seen: Vec<_> = placed.map(|(server, _)| self.seen(server)).collect();
            let seq = self.fleet.hosts.get(&host).map_or(0, |host| host.seq);
            let gpu = GpuDevice {
                gpu: "GPU-0aa".parse().unwrap(),
                model: "H100".into(),
                memory: ByteCount(80 * GB),
                trouble: None,
            };
            let report = Report {
                incarnation: Incarnation(1),
                boot_id: "boot-1".parse::<BootId>().unwrap(),
                sent: self.now,
                applied: Revision { epoch: self.fleet.epoch, seq },
                engine: Ok(seen),
                pending: Vec::new(),
                gpus: if name == "g1" { vec![gpu] } else { Vec::new() },
                spaces: Vec::new(),
                capacity: Capacity {
                    memory_total: ByteCount(64 * GB),
                    memory_free: ByteCount(64 * GB),
                    cpus: 8,
                    memory_pressure: None,
                },
                facts: HostFacts { gpus: gpu_facts(self.gpu_busy), ..HostFacts::default() },
            };
            self.take(Event::Reported { host, session: 1, report: Box::new(report) });
        }
    }
}

/// A GPU with a process on it.
fn gpu_facts(busy: Option<u32>) -> GpuFacts {
    let process =
        GpuProcess { pid: 1, memory: None, server: None, uid: 2000, program: "python3".into() };
    let one = |busy: u32| GpuUse {
        busy: Some(busy),
        memory_used: Some(ByteCount(GB)),
        processes: vec![process.clone()],
        ..GpuUse::unknown("GPU-0aa".parse().unwrap())
    };
    GpuFacts { used: busy.map(one).into_iter().collect(), ..GpuFacts::default() }
}

fn seen(server: &Server, epoch: Epoch, usage: Usage) -> Observed {
    Observed {
        server: server.id.clone(),
        generation: server.generation,
        epoch,
        state: ObservedState::Ready,
        steps: Vec::new(),
        memory_used: ByteCount(GB / 10),
        usage,
        limit: None,
        resize_refused: None,
        kills: Vec::new(),
        left_out: Vec::new(),
        origin: Origin {
            user: server.owner.clone(),
            server_name: server.name.clone(),
            profile: server.ask.profile.clone(),
            memory: server.ask.memory,
            gpus: server.placement().map(|placement| placement.gpus.clone()).unwrap_or_default(),
            decision: None,
        },
    }
}
