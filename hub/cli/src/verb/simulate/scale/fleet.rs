//! The fleet of `berth simulate scale`, and what people ask of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use berth_common::link::{Account, Capacity, GpuDevice, Group, HostFacts, Report};
use berth_common::{
    BootId, ByteCount, DecisionId, Epoch, GpuId, HostId, Incarnation, Reason, Revision, Seconds,
    ServerId, ServerName, Timestamp, Username,
};
use berth_core::event::{StartRequest, Wish};
use berth_core::fleet::{Intent, Order};
use berth_core::settings::{
    Access, Cite, CpuServers, GpuChoice, GpuSharing, HostSettings, Image, MemoryRule, People,
    Place, Pool, Profile, Settings, Strategy,
};
use berth_core::{Decision, Effect, Event, Fleet, Outcome, step};

const GB: u64 = 1 << 30;
const MB: u64 = 1 << 20;
/// The replay takes place at one moment: nothing becomes old.
const NOW: Timestamp = Timestamp(1_000_000_000_000_000);
/// Who is not on the whitelist is in this group.
const OTHERS: &str = "others";

/// One kind of request: below which draw of 100, processors, learned peak, limit, GPUs, thousandths
/// of each, model.
struct Kind {
    below: usize,
    cpu_milli: u32,
    peak: u64,
    limit: u64,
    gpus: u32,
    gpu_milli: u32,
    model: Option<&'static str>,
}

const KINDS: [Kind; 6] = [
    Kind {
        below: 60,
        cpu_milli: 500,
        peak: 256 * MB,
        limit: 28 * GB,
        gpus: 0,
        gpu_milli: 0,
        model: None,
    },
    Kind {
        below: 80,
        cpu_milli: 1_000,
        peak: GB,
        limit: 8 * GB,
        gpus: 0,
        gpu_milli: 0,
        model: None,
    },
    Kind {
        below: 90,
        cpu_milli: 2_000,
        peak: 4 * GB,
        limit: 28 * GB,
        gpus: 0,
        gpu_milli: 0,
        model: None,
    },
    Kind {
        below: 96,
        cpu_milli: 1_000,
        peak: 2 * GB,
        limit: 16 * GB,
        gpus: 1,
        gpu_milli: 250,
        model: None,
    },
    Kind {
        below: 99,
        cpu_milli: 4_000,
        peak: 8 * GB,
        limit: 28 * GB,
        gpus: 1,
        gpu_milli: 1_000,
        model: None,
    },
    Kind {
        below: 100,
        cpu_milli: 8_000,
        peak: 16 * GB,
        limit: 64 * GB,
        gpus: 2,
        gpu_milli: 1_000,
        model: Some("B"),
    },
];

/// Requests that cannot start: profile, memory in GB, model.
const HOPELESS: [(&str, u64, Option<&str>); 2] =
    [("whole", 250, None), ("unknown-model", 8, Some("C"))];

/// The fleet with its people.
pub struct Site {
    fleet: Fleet,
    accounts: Vec<Option<Account>>,
    asked: u64,
}

/// A server that can be stopped.
pub type Stopped = ServerId;

impl Site {
    /// Empty hosts, all of which have reported.
    pub fn new(hosts: u32, people: u32) -> Self {
        let names: Vec<HostId> =
            (0..hosts).filter_map(|i| format!("h{i:07}").parse().ok()).collect();
        let settings = Arc::new(settings(&names));
        let mut fleet = Fleet::restore(Epoch(1), settings, [], []);
        for kind in 0..KINDS.len() {
            teach(&mut fleet, kind);
        }
        for (i, name) in names.iter().enumerate() {
            let report = Box::new(report(i, Revision::default()));
            step(&mut fleet, NOW, Event::Reported { host: name.clone(), session: 1, report });
        }
        Self { fleet, accounts: vec![None; people as usize], asked: 0 }
    }

    /// What one person asks for.
    pub fn request(&mut self, user: usize, draw: usize) -> StartRequest {
        self.asked += 1;
        let kind = KINDS.iter().position(|kind| draw < kind.below).unwrap_or(0);
        let known = self.accounts.get_mut(user);
        let account = known.map_or_else(
            || account(user),
            |known| known.get_or_insert_with(|| account(user)).clone(),
        );
        StartRequest {
            server: ServerId::from_random(self.asked),
            decision: DecisionId::from_random(self.asked),
            account,
            name: server_name(self.asked),
            wish: Wish { profile: Some(profile_name(kind)), ..Wish::default() },
            watched: false,
            barred: None,
            user_options: None,
            reply: None,
        }
    }

    /// What one person asks for in vain once the empty hosts are closed: nearly all of the largest
    /// host, or a GPU that no host has.
    pub fn hopeless(&mut self, user: usize, number: usize) -> StartRequest {
        let profile = HOPELESS.get(number % HOPELESS.len()).map(|(name, ..)| (*name).to_owned());
        StartRequest { wish: Wish { profile, ..Wish::default() }, ..self.request(user, 0) }
    }

    /// Hosts without servers take nothing new from now on; and more can be asked for.
    pub fn close_empty_hosts(&mut self) {
        let empty = self.fleet.floor.hosts.iter().filter(|host| host.servers.is_empty());
        let empty: Vec<HostId> = empty.map(|host| host.host.clone()).collect();
        for host in empty {
            let order = Order { reason: "closed".into(), who: "nobody".into(), at: NOW };
            self.step(Event::Intend { host, intent: Intent::Cordoned(order), reply: None });
        }
        let mut settings = Settings::clone(&self.fleet.settings);
        settings.version = settings.version.wrapping_add(1);
        for (name, gigabytes, model) in HOPELESS {
            let gpus = model.map(|model| GpuChoice {
                default: 1,
                max: 1,
                share_milli: 1_000,
                models: vec![model.to_owned()],
                memory: ByteCount::ZERO,
            });
            let limit = ByteCount(gigabytes * GB);
            let (memory_default, memory_max) = (limit, limit);
            let first = settings.profiles.values().next().cloned().unwrap_or_default();
            let profile = Profile { memory_default, memory_max, gpus, default: false, ..first };
            settings.profiles.insert(name.to_owned(), profile);
        }
        self.step(Event::SettingsChanged(Arc::new(settings)));
    }

    /// What would come of a request.
    pub fn explain(&mut self, request: &StartRequest) -> Decision {
        berth_core::step::ask(&mut self.fleet, NOW, request)
    }

    /// What would come of it, as pages see the fleet.
    pub fn foresee(snapshot: &Fleet, request: &StartRequest) -> Decision {
        berth_core::step::dry_run(snapshot, NOW, request)
    }

    /// Time passes.
    pub fn tick(&mut self) {
        self.step(Event::Tick);
    }

    /// The fleet as pages see it.
    pub fn snapshot(&self) -> Fleet {
        self.fleet.clone()
    }

    /// Decides. The server, placed or not.
    pub fn start(&mut self, request: StartRequest) -> (Vec<Effect>, Result<Stopped, Stopped>) {
        let server = request.server.clone();
        let effects = step(&mut self.fleet, NOW, Event::Start(Box::new(request)));
        let placed = effects.iter().any(|effect| match effect {
            Effect::Save(berth_core::event::Row::Decision(decision)) => {
                matches!(decision.outcome, Outcome::Placed { .. })
            }
            _ => false,
        });
        (effects, if placed { Ok(server) } else { Err(server) })
    }

    /// Stops a server, and lets its host say that it is gone; what each step wants saved.
    pub fn stop(&mut self, server: &Stopped) -> Vec<Vec<Effect>> {
        let host = self
            .fleet
            .servers
            .get(server)
            .and_then(|server| server.placement())
            .map(|placement| placement.host.clone());
        let mut saved = vec![self.step(Event::Stop {
            server: server.clone(),
            reason: Reason::StoppedUser,
            reply: None,
        })];
        if let Some(host) = host {
            let applied = self.fleet.hosts.get(&host).map_or(0, |host| host.seq);
            let report =
                Box::new(report(number(&host), Revision { epoch: Epoch(1), seq: applied }));
            saved.push(self.step(Event::Reported { host, session: 1, report }));
        }
        saved.push(self.step(Event::Remove { server: server.clone(), reply: None }));
        saved
    }

    fn step(&mut self, event: Event) -> Vec<Effect> {
        step(&mut self.fleet, NOW, event)
    }

    /// Hosts with at least one server.
    pub fn hosts_used(&self) -> u64 {
        self.fleet.floor.hosts.iter().filter(|host| !host.servers.is_empty()).count() as u64
    }
}

/// What a host is, by the last digit of its number.
fn make(number: usize) -> (u64, u32, u32, &'static str) {
    match number % 10 {
        0..=4 => (32, 8, 0, ""),
        5..=7 => (64, 16, 0, ""),
        8 => (128, 32, 4, "A"),
        _ => (256, 64, 8, "B"),
    }
}

fn is_whitelisted(number: usize) -> bool {
    matches!(number % 20, 3 | 9)
}

fn number(host: &HostId) -> usize {
    host.as_str().trim_start_matches('h').parse().unwrap_or_default()
}

fn settings(names: &[HostId]) -> Settings {
    let cite = Cite { file: "simulated".into(), line: 1 };
    let host = |name: &HostId| {
        let settings = HostSettings {
            pool: "all".into(),
            memory: None,
            keep_free: ByteCount(GB),
            gpus: None,
            address: String::new(),
            cite: cite.clone(),
        };
        (name.clone(), settings)
    };
    let pool = Pool {
        strategy: Strategy::Pack,
        memory_rule: MemoryRule::Peaks,
        // The rule itself is measured, without a further bound on the sum of limits.
        oversubscribe_milli: u32::MAX,
        gpu_sharing: GpuSharing::Shared,
        cpu_servers: CpuServers::default(),
        cite: cite.clone(),
        ..Pool::default()
    };
    let open =
        names.iter().filter(|name| !is_whitelisted(number(name))).cloned().collect::<BTreeSet<_>>();
    let others = People { groups: BTreeSet::from([OTHERS.to_owned()]), ..People::default() };
    let place = Place {
        profile: None,
        people: others,
        prefer: Arc::default(),
        require: Arc::new(open),
        cite: cite.clone(),
    };
    let image = |kind| {
        let image = Image {
            reference: image_name(kind),
            title: image_name(kind),
            shm: None,
            cite: cite.clone(),
        };
        (image_name(kind), image)
    };
    Settings {
        hosts: names.iter().map(host).collect(),
        pools: BTreeMap::from([("all".to_owned(), pool)]),
        profiles: KINDS
            .iter()
            .enumerate()
            .map(|(number, kind)| (profile_name(number), profile(number, kind)))
            .collect(),
        images: (0..KINDS.len()).map(image).collect(),
        access: Access { place: vec![place], ..Access::default() },
        lost_after: Seconds(3_600),
        ..Settings::default()
    }
}

fn profile(number: usize, kind: &Kind) -> Profile {
    let limit = ByteCount(kind.limit);
    let gpus = (kind.gpus > 0).then(|| GpuChoice {
        default: kind.gpus,
        max: kind.gpus,
        share_milli: kind.gpu_milli,
        models: kind.model.iter().map(|model| (*model).to_owned()).collect(),
        memory: ByteCount::ZERO,
    });
    Profile {
        title: profile_name(number),
        pool: "all".into(),
        memory_default: limit,
        memory_choices: vec![limit],
        memory_max: limit,
        cpu_milli: kind.cpu_milli,
        gpus,
        images: vec![image_name(number)],
        default: number == 0,
        ..Profile::default()
    }
}

fn profile_name(kind: usize) -> String {
    format!("kind{kind}")
}

fn image_name(kind: usize) -> String {
    format!("image{kind}")
}

/// Gives the history of a kind its peak, so that new servers count with it.
fn teach(fleet: &mut Fleet, kind: usize) {
    /// As many as the history of an image needs to be believed.
    const ENOUGH: usize = 32;
    let owner = account(kind).name;
    for _ in 0..ENOUGH {
        fleet.history_mut().add(
            &owner,
            &image_name(kind),
            &profile_name(kind),
            ByteCount(KINDS[kind].peak),
        );
    }
}

fn account(user: usize) -> Account {
    let gid = 1_000;
    let name = if user.is_multiple_of(5) { "invited" } else { OTHERS };
    let name = Group { name: name.to_owned(), gid };
    Account { name: user_name(user), uid: 1_000, gid, groups: vec![name], home: "/home".into() }
}

fn user_name(user: usize) -> Username {
    let parsed = format!("u{user}").parse();
    parsed.unwrap_or_else(|_| unreachable!("a letter and digits are a name"))
}

fn server_name(number: u64) -> ServerName {
    format!("s{number}").parse().unwrap_or_else(|_| ServerName::default_server())
}

fn report(number: usize, applied: Revision) -> Report {
    let (memory_gb, cpus, gpus, model) = make(number);
    let memory = ByteCount(memory_gb * GB);
    let device = |index: u32| GpuDevice {
        gpu: gpu_id(number, index),
        model: model.to_owned(),
        memory: ByteCount(16 * GB),
        trouble: None,
    };
    Report {
        incarnation: Incarnation(1),
        boot_id: boot_id(),
        sent: NOW,
        applied,
        engine: Ok(Vec::new()),
        pending: Vec::new(),
        gpus: (0..gpus).map(device).collect(),
        spaces: Vec::new(),
        capacity: Capacity {
            memory_total: memory,
            memory_free: memory,
            cpus,
            memory_pressure: None,
        },
        facts: HostFacts {
            images: (0..KINDS.len()).map(image_name).collect(),
            ..HostFacts::default()
        },
    }
}

fn gpu_id(host: usize, index: u32) -> GpuId {
    let parsed = format!("GPU-{host}-{index}").parse();
    parsed.unwrap_or_else(|_| unreachable!("letters, digits and - are an id"))
}

fn boot_id() -> BootId {
    "boot".parse().unwrap_or_else(|_| unreachable!("four letters are a boot id"))
}
