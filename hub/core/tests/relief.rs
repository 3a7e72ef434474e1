//! A host whose servers have grown too far: who is told, who is stopped, and who never is.

use std::collections::BTreeMap;
use std::sync::Arc;

use berth_common::link::{
    Account, Capacity, HostFacts, Observed, ObservedState, Origin, Pending, Report,
};
use berth_common::{
    ByteCount, DecisionId, Epoch, HostId, Incarnation, Reason, Revision, Seconds, ServerId,
    ServerName, Timestamp, Username,
};
use berth_core::event::{Effect, Event, Row, StartRequest, Wish};
use berth_core::life::Evidence;
use berth_core::settings::{HostSettings, Image, MemoryRule, Pool, Profile, Relief, Settings};
use berth_core::{Fleet, Server, step};

const GB: u64 = 1 << 30;
const HOUR: u64 = 3600;

/// One host of 32 GB whose servers may grow to 28 GB each, and a clock.
struct Bench {
    fleet: Fleet,
    now: Timestamp,
    ids: u64,
    used: BTreeMap<&'static str, u64>,
}

fn settings(relief: Relief) -> Arc<Settings> {
    let host = HostSettings {
        pool: "cpu".into(),
        memory: Some(ByteCount(32 * GB)),
        keep_free: ByteCount(GB),
        gpus: None,
        address: "h1:8444".into(),
        cite: Default::default(),
    };
    let pool = Pool {
        memory_rule: MemoryRule::Peaks,
        oversubscribe_milli: 10_000,
        relief,
        ..Pool::default()
    };
    let profile = Profile {
        pool: "cpu".into(),
        memory_default: ByteCount(28 * GB),
        memory_max: ByteCount(28 * GB),
        images: vec!["default".into()],
        default: true,
        ..Profile::default()
    };
    let image = Image {
        reference: "img:1".into(),
        title: "Image".into(),
        shm: None,
        cite: Default::default(),
    };
    Arc::new(Settings {
        hosts: BTreeMap::from([("h1".parse().unwrap(), host)]),
        pools: BTreeMap::from([("cpu".into(), pool)]),
        profiles: BTreeMap::from([("cpu".into(), profile)]),
        images: BTreeMap::from([("default".into(), image)]),
        lost_after: Seconds(15),
        ..Settings::default()
    })
}

impl Bench {
    /// Two servers run and use half a gigabyte each.
    fn of_two(relief: Relief) -> Self {
        let fleet = Fleet::restore(Epoch(1), settings(relief), [], []);
        let mut bench = Self { fleet, now: Timestamp(0), ids: 0, used: BTreeMap::new() };
        bench.report();
        bench.starts("alice");
        bench.starts("bob");
        bench
    }

    fn starts(&mut self, user: &'static str) {
        self.ids += 1;
        let request = StartRequest {
            server: ServerId::from_random(self.ids),
            decision: DecisionId::from_random(1000 + self.ids),
            account: Account {
                name: name(user),
                uid: 2000,
                gid: 2000,
                groups: Vec::new(),
                home: format!("/home/{user}"),
            },
            name: ServerName::default_server(),
            wish: Wish::default(),
            watched: false,
            barred: None,
            user_options: None,
            reply: None,
        };
        self.take(Event::Start(Box::new(request)));
        self.used.insert(user, GB / 2);
        self.report();
        assert!(self.server(user).is_ready(), "{user} runs");
    }

    fn take(&mut self, event: Event) -> Vec<Effect> {
        let effects = step(&mut self.fleet, self.now, event);
        assert_eq!(berth_core::check::violations(&self.fleet), []);
        effects
    }

    /// The host reports what runs on it; who was told to stop is gone by then.
    fn report(&mut self) {
        let id: HostId = "h1".parse().unwrap();
        let runs = |server: &Server| {
            let placement = server.placement()?;
            let used = *self.used.get(server.owner.as_str())?;
            placement.stop.is_none().then(|| Observed {
                server: server.id.clone(),
                generation: server.generation,
                epoch: Epoch(1),
                state: ObservedState::Ready,
                steps: Vec::new(),
                memory_used: ByteCount(used),
                usage: Default::default(),
                limit: None,
                resize_refused: None,
                kills: Vec::new(),
                left_out: Vec::new(),
                origin: Origin {
                    user: server.owner.clone(),
                    server_name: server.name.clone(),
                    profile: "cpu".into(),
                    memory: ByteCount(28 * GB),
                    gpus: Vec::new(),
                    decision: None,
                },
            })
        };
        let seen: Vec<_> = self.fleet.servers.values().filter_map(|server| runs(server)).collect();
        let used: u64 = seen.iter().map(|seen| seen.memory_used.0).sum();
        let report = Report {
            incarnation: Incarnation(7),
            boot_id: "boot-a".parse().unwrap(),
            sent: self.now,
            applied: Revision {
                epoch: self.fleet.epoch,
                seq: self.fleet.hosts.get(&id).map_or(0, |host| host.seq),
            },
            engine: Ok(seen),
            pending: Vec::<Pending>::new(),
            gpus: Vec::new(),
            spaces: Vec::new(),
            capacity: Capacity {
                memory_total: ByteCount(32 * GB),
                memory_free: ByteCount((32 * GB).saturating_sub(used)),
                cpus: 8,
                memory_pressure: None,
            },
            facts: HostFacts { images: vec!["img:1".into()], ..HostFacts::default() },
        };
        self.take(Event::Reported { host: id, session: 1, report: Box::new(report) });
    }

    /// Time passes, with a heartbeat and a tick every 10 seconds; those who work are seen.
    fn pass(&mut self, seconds: u64, at_work: &[&'static str]) {
        for _ in 0..seconds.div_ceil(10) {
            self.now = self.now.plus(Seconds(10));
            for user in at_work {
                let server = self.server(user).id.clone();
                self.take(Event::Activity { server, at: self.now, kind: Evidence::Notebook });
            }
            self.report();
            self.take(Event::Tick);
        }
    }

    fn server(&self, user: &str) -> &Server {
        self.fleet.find(&name(user), &ServerName::default_server()).expect("a server")
    }

    fn told(&self, user: &str) -> bool {
        self.server(user).placement().is_some_and(|placed| placed.asked_to_leave.is_some())
    }

    fn ended(&self, user: &str) -> Option<Reason> {
        let server = self.server(user);
        (!server.is_active()).then_some(server.last_end.as_ref()?.reason)
    }
}

fn name(user: &str) -> Username {
    user.parse().unwrap()
}

#[test]
fn the_idle_one_is_told_and_then_stopped_and_the_busy_one_never() {
    let mut bench = Bench::of_two(Relief::Idle);
    bench.pass(2 * HOUR, &["bob"]);
    assert!(!bench.told("alice"), "nobody is asked while there is room");
    bench.used.insert("bob", 12 * GB);
    bench.pass(10, &["bob"]);
    assert!(bench.told("alice"), "12 GB and 27.5 to grow are more than 31");
    bench.pass(9 * 60, &["bob"]);
    assert_eq!(bench.ended("alice"), None, "not before its notice is over");
    bench.pass(2 * 60, &["bob"]);
    assert_eq!(bench.ended("alice"), Some(Reason::StoppedMemory));
    let why = &bench.server("alice").last_end.as_ref().unwrap().detail;
    assert_eq!(why, "It was idle for 2h 10m, and the servers on h1 had grown too far.");
    bench.pass(3 * HOUR, &[]);
    assert_eq!(bench.ended("bob"), None, "alone it may grow to its limit");
}

#[test]
fn whoever_comes_back_stays() {
    let mut bench = Bench::of_two(Relief::Idle);
    bench.pass(2 * HOUR, &["bob"]);
    bench.used.insert("bob", 12 * GB);
    bench.pass(60, &["bob"]);
    assert!(bench.told("alice"));
    bench.pass(20 * 60, &["alice", "bob"]);
    assert!(!bench.told("alice"));
    assert_eq!(bench.ended("alice"), None);
}

#[test]
fn nobody_leaves_once_there_is_room_again() {
    let mut bench = Bench::of_two(Relief::Idle);
    bench.pass(2 * HOUR, &["bob"]);
    bench.used.insert("bob", 12 * GB);
    bench.pass(60, &["bob"]);
    assert!(bench.told("alice"));
    bench.used.insert("bob", GB);
    bench.pass(30 * 60, &["bob"]);
    assert!(!bench.told("alice"));
    assert_eq!(bench.ended("alice"), None);
}

#[test]
fn memory_that_moves_is_work() {
    let mut bench = Bench::of_two(Relief::Idle);
    bench.pass(2 * HOUR, &["bob"]);
    bench.used.insert("alice", GB);
    bench.used.insert("bob", 12 * GB);
    bench.pass(HOUR / 2, &["bob"]);
    assert!(!bench.told("alice"), "something computes there, though nobody looks");
}

#[test]
fn no_notice_is_waited_for_once_memory_has_run_out() {
    let mut bench = Bench::of_two(Relief::Idle);
    bench.pass(HOUR, &["bob"]);
    bench.starts("carol");
    bench.pass(2 * HOUR, &["bob", "carol"]);
    bench.used.insert("bob", 16 * GB);
    bench.used.insert("carol", 16 * GB);
    bench.pass(10, &["bob", "carol"]);
    assert!(bench.told("alice"));
    bench.pass(20, &["bob", "carol"]);
    assert_eq!(bench.ended("alice"), Some(Reason::StoppedMemory));
    bench.pass(3 * HOUR, &["bob", "carol"]);
    assert_eq!((bench.ended("bob"), bench.ended("carol")), (None, None));
}

#[test]
fn a_silent_host_and_a_pool_without_relief_lose_nobody() {
    let mut bench = Bench::of_two(Relief::None);
    bench.pass(2 * HOUR, &["bob"]);
    bench.used.insert("bob", 12 * GB);
    bench.pass(HOUR, &["bob"]);
    assert!(!bench.told("alice"));
    assert_eq!(bench.ended("alice"), None);

    let mut bench = Bench::of_two(Relief::Idle);
    bench.pass(2 * HOUR, &["bob"]);
    bench.used.insert("bob", 12 * GB);
    bench.pass(10, &["bob"]);
    assert!(bench.told("alice"));
    for _ in 0..3600 {
        bench.now = bench.now.plus(Seconds(1));
        bench.take(Event::Tick);
    }
    assert_eq!(bench.ended("alice"), None, "unknown is never a reason to stop anybody");
}

#[test]
fn another_hub_goes_on_with_what_was_told() {
    let mut bench = Bench::of_two(Relief::Idle);
    bench.pass(2 * HOUR, &["bob"]);
    bench.used.insert("bob", 12 * GB);
    bench.pass(10, &["bob"]);
    let told = bench.server("alice").placement().unwrap().asked_to_leave;
    let hosts = bench.fleet.hosts.values().map(|host| serde_json::to_string(&**host).unwrap());
    let hosts: Vec<_> = hosts.map(|text| serde_json::from_str(&text).unwrap()).collect();
    let servers = bench.fleet.servers.values().map(|it| serde_json::to_string(&**it).unwrap());
    let servers: Vec<_> = servers.map(|text| serde_json::from_str(&text).unwrap()).collect();
    bench.fleet = Fleet::restore(Epoch(2), settings(Relief::Idle), hosts, servers);
    bench.report();
    bench.pass(60, &["bob"]);
    assert_eq!(bench.server("alice").placement().unwrap().asked_to_leave, told);
    bench.pass(10 * 60, &["bob"]);
    assert_eq!(bench.ended("alice"), Some(Reason::StoppedMemory));
}

#[test]
fn what_was_told_is_saved_once() {
    let mut bench = Bench::of_two(Relief::Idle);
    bench.pass(2 * HOUR, &["bob"]);
    bench.used.insert("bob", 12 * GB);
    bench.report();
    let saves = |effects: Vec<Effect>| {
        effects
            .iter()
            .filter(|it| matches!(it, Effect::Save(Row::Server(it)) if it.owner == name("alice")))
            .count()
    };
    let effects = bench.take(Event::Tick);
    assert_eq!(saves(effects), 1);
    let effects = bench.take(Event::Tick);
    assert_eq!(saves(effects), 0);
}
