//! A course of thirty on its days: closed before, open in its hours for its people alone, through
//! the death of a host, kept open for longer by an order, and stopped with a warning when it is over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use berth_common::link::{Account, Capacity, HostFacts, Observed, ObservedState, Origin, Report};
use berth_common::{
    ByteCount, DecisionId, Epoch, HostId, Incarnation, Reason, Revision, Seconds, ServerId,
    ServerName, Timestamp,
};
use berth_core::agenda::{Entry, TrainingOrder, ordered};
use berth_core::event::{Event, StartRequest, Wish};
use berth_core::fleet::{Order, Server};
use berth_core::settings::{
    HostSettings, Image, People, Pool, Profile, Quota, Settings, Training, Warn, Window,
};
use berth_core::usage::Usage;
use berth_core::{Answer, Effect, Fleet, step};

const GB: u64 = 1 << 30;
const HOUR: i64 = 3600;
const PUPILS: u64 = 30;

struct Bench {
    fleet: Fleet,
    now: Timestamp,
    hosts: Vec<&'static str>,
    ids: u64,
}

fn at(seconds: i64) -> Timestamp {
    Timestamp(seconds * 1_000_000)
}

/// Four training hosts with room for ten each, and one for everybody with room for ten.
fn settings() -> Settings {
    let host = |name: &str, pool: &str| {
        let settings = HostSettings {
            pool: pool.into(),
            memory: None,
            keep_free: ByteCount::ZERO,
            gpus: None,
            address: format!("{name}:8444"),
            cite: Default::default(),
        };
        (name.parse::<HostId>().unwrap(), settings)
    };
    let profile = |pool: &str, training: Option<&str>| Profile {
        pool: pool.into(),
        memory_default: ByteCount(3 * GB),
        memory_max: ByteCount(3 * GB),
        images: vec!["root".into()],
        default: training.is_none(),
        overflow: training.map(|_| "cpu".to_owned()),
        training: training.map(str::to_owned),
        ..Profile::default()
    };
    let training = Training {
        title: "School".into(),
        pool: "training".into(),
        windows: vec![window(9, 12), window(33, 36)],
        participants: People { groups: BTreeSet::from(["school".into()]), ..People::default() },
        expected: 30,
        instructors: BTreeSet::from(["carol".parse().unwrap()]),
        quota: Quota { servers: Some(1), ..Quota::default() },
        stop_after: Seconds(2 * 3600),
        start_within: Training::START_WITHIN,
        cite: Default::default(),
    };
    let image = Image {
        reference: "img:1".into(),
        title: "ROOT".into(),
        shm: None,
        cite: Default::default(),
    };
    let mut settings = Settings {
        hosts: [host("c1", "cpu")]
            .into_iter()
            .chain(training_hosts().map(|it| host(it, "training")))
            .collect(),
        pools: BTreeMap::from([
            ("cpu".into(), Pool::default()),
            ("training".into(), Pool { trainings_only: true, ..Pool::default() }),
        ]),
        profiles: BTreeMap::from([
            ("cpu".into(), profile("cpu", None)),
            ("school".into(), profile("training", Some("school"))),
        ]),
        images: BTreeMap::from([("root".into(), image)]),
        trainings: BTreeMap::from([("school".into(), training)]),
        lost_after: Seconds(30),
        ..Settings::default()
    };
    settings.lifecycle.warn = Warn { leads: vec![Seconds(600)], ..Warn::default() };
    settings
}

fn training_hosts() -> impl Iterator<Item = &'static str> {
    ["t1", "t2", "t3", "t4"].into_iter()
}

fn window(from: i64, to: i64) -> Window {
    Window { from: at(from * HOUR), to: at(to * HOUR) }
}

impl Bench {
    fn new() -> Self {
        let fleet = Fleet::restore(Epoch(1), Arc::new(settings()), [], []);
        let hosts = ["c1"].into_iter().chain(training_hosts()).collect();
        let mut bench = Self { fleet, now: at(8 * HOUR), hosts, ids: 0 };
        bench.report();
        bench
    }

    fn take(&mut self, event: Event) -> Vec<Effect> {
        let effects = step(&mut self.fleet, self.now, event);
        assert_eq!(berth_core::check::violations(&self.fleet), []);
        effects
    }

    /// Time passes, a quarter of a minute at a time, and the hosts report.
    fn pass_until(&mut self, moment: Timestamp) {
        while self.now < moment {
            self.now = self.now.plus(Seconds(15)).min(moment);
            self.report();
            self.take(Event::Tick);
            self.take(Event::ActivityTold { until: self.now });
        }
    }

    fn start(&mut self, user: &str, group: &str, wish: Wish) -> Answer {
        self.start_named(user, group, ServerName::default_server(), wish)
    }

    /// So many throw-away servers of the course for carol.
    fn rehearse(&mut self, count: u64) -> Vec<Answer> {
        let wish = Wish { rehearsal: true, ..asks_for("school") };
        let names = (1..=count).map(|n| format!("rehearsal-{n}").parse().unwrap());
        names.map(|name| self.start_named("carol", "staff", name, wish.clone())).collect()
    }

    fn rehearsing(&self) -> impl Iterator<Item = &Server> {
        self.fleet.servers.values().map(AsRef::as_ref).filter(|it| it.is_rehearsal())
    }

    fn start_named(&mut self, user: &str, group: &str, name: ServerName, wish: Wish) -> Answer {
        self.ids += 1;
        let request = StartRequest {
            server: ServerId::from_random(self.ids),
            decision: DecisionId::from_random(1000 + self.ids),
            account: Account {
                name: user.parse().unwrap(),
                uid: 2000,
                gid: 2000,
                groups: vec![berth_common::link::Group { name: group.into(), gid: 3000 }],
                home: format!("/home/{user}"),
            },
            name,
            wish,
            watched: false,
            barred: None,
            user_options: None,
            reply: Some(1),
        };
        let effects = self.take(Event::Start(Box::new(request)));
        let answer = effects.into_iter().find_map(|effect| match effect {
            Effect::Reply(1, answer) => Some(answer),
            _ => None,
        });
        answer.unwrap()
    }

    /// Everybody of the course presses the one button.
    fn all_start(&mut self) -> Vec<Answer> {
        (1..=PUPILS).map(|n| self.start(&format!("x{n}"), "school", Wish::default())).collect()
    }

    fn report(&mut self) {
        for name in self.hosts.clone() {
            let host: HostId = name.parse().unwrap();
            let seen = self.fleet.placed_on(&host).filter(|(_, placed)| placed.stop.is_none());
            let seen = seen.map(|(server, _)| Observed {
                server: server.id.clone(),
                generation: server.generation,
                epoch: self.fleet.epoch,
                state: ObservedState::Ready,
                steps: Vec::new(),
                memory_used: ByteCount(GB / 2),
                usage: Default::default(),
                limit: None,
                resize_refused: None,
                kills: Vec::new(),
                left_out: Vec::new(),
                origin: Origin {
                    user: server.owner.clone(),
                    server_name: server.name.clone(),
                    profile: server.ask.profile.clone(),
                    memory: ByteCount(3 * GB),
                    gpus: Vec::new(),
                    decision: None,
                },
            });
            let seen: Vec<_> = seen.collect();
            let seq = self.fleet.hosts.get(&host).map_or(0, |host| host.seq);
            let report = Report {
                incarnation: Incarnation(1),
                boot_id: "boot-1".parse().unwrap(),
                sent: self.now,
                applied: Revision { epoch: self.fleet.epoch, seq },
                engine: Ok(seen),
                pending: Vec::new(),
                gpus: Vec::new(),
                spaces: Vec::new(),
                capacity: Capacity {
                    memory_total: ByteCount(30 * GB),
                    memory_free: ByteCount(30 * GB),
                    cpus: 8,
                    memory_pressure: None,
                },
                facts: HostFacts::default(),
            };
            self.take(Event::Reported { host, session: 1, report: Box::new(report) });
        }
    }

    fn running(&self) -> usize {
        self.fleet.servers.values().filter(|it| it.is_ready()).count()
    }

    fn order(&mut self, open: bool, window: Window) {
        let order = Order { reason: "more time".into(), who: "carol".into(), at: self.now };
        let order = TrainingOrder { training: "school".into(), open, window, order };
        let settings = ordered(&self.fleet.settings, [&Entry::Training(order)]).unwrap();
        self.take(Event::SettingsChanged(Arc::new(settings)));
    }
}

fn reason(answer: &Answer) -> Reason {
    match answer {
        Answer::Accepted(decision) | Answer::Refused(decision) => decision.reason(),
        other => panic!("{other:?}"),
    }
}

fn asks_for(profile: &str) -> Wish {
    Wish { profile: Some(profile.into()), ..Wish::default() }
}

#[test]
fn the_pool_opens_and_closes_by_the_calendar() {
    let mut bench = Bench::new();
    let before = bench.start("x1", "school", asks_for("school"));
    assert_eq!(reason(&before), Reason::RefusedPoolClosed, "an hour before");
    bench.pass_until(at(9 * HOUR));
    let stranger = bench.start("zoe", "lsst", asks_for("school"));
    assert_eq!(reason(&stranger), Reason::RefusedAccess, "nobody else can use it");
    let placed = bench.all_start();
    assert!(placed.iter().all(|it| reason(it) == Reason::PlacedNow), "{placed:?}");
    bench.report();
    assert_eq!(bench.running(), 30);
    let on_cpu = bench.fleet.placed_on(&"c1".parse().unwrap()).count();
    assert_eq!(on_cpu, 0, "their pool has room for all");
    bench.pass_until(at(12 * HOUR));
    assert_eq!(bench.running(), 30, "the evening between its days stops nobody");
    let late = bench.start("x31", "school", asks_for("school"));
    assert_eq!(reason(&late), Reason::RefusedPoolClosed, "its first day is over");
}

#[test]
fn a_host_that_dies_costs_nobody_the_course() {
    let mut bench = Bench::new();
    bench.pass_until(at(9 * HOUR));
    bench.hosts.retain(|host| *host != "t4");
    bench.pass_until(at(9 * HOUR + 60));
    bench.hosts.retain(|host| *host != "t3");
    bench.pass_until(at(9 * HOUR + 120));
    let placed = bench.all_start();
    let helped = placed.iter().filter(|it| reason(it) == Reason::PlacedOverflow).count();
    let own = placed.iter().filter(|it| reason(it) == Reason::PlacedNow).count();
    assert_eq!((own, helped), (20, 10));
}

#[test]
fn an_order_keeps_it_open_for_longer_and_another_closes_it() {
    let mut bench = Bench::new();
    bench.pass_until(at(12 * HOUR - 60));
    bench.order(true, window(12, 13));
    bench.pass_until(at(12 * HOUR + 600));
    let late = bench.start("x1", "school", asks_for("school"));
    assert_eq!(reason(&late), Reason::PlacedNow, "an hour more");
    bench.order(false, Window { from: bench.now, to: at(13 * HOUR) });
    let later = bench.start("x2", "school", asks_for("school"));
    assert_eq!(reason(&later), Reason::RefusedPoolClosed);
}

#[test]
fn when_it_is_over_its_servers_stop_after_a_warning_and_a_while() {
    let mut bench = Bench::new();
    bench.pass_until(at(33 * HOUR));
    bench.start("x1", "school", asks_for("school"));
    bench.start("zoe", "lsst", asks_for("cpu"));
    bench.pass_until(at(38 * HOUR - 900));
    assert_eq!(bench.running(), 2);
    let told = |bench: &Bench| {
        let placements = bench.fleet.servers.values().filter_map(|it| it.placement());
        placements.map(|it| it.life.told.len()).sum::<usize>()
    };
    assert_eq!(told(&bench), 0);
    bench.pass_until(at(38 * HOUR - 300));
    assert_eq!(told(&bench), 1, "ten minutes before");
    bench.pass_until(at(38 * HOUR + 60));
    assert_eq!(bench.running(), 1, "other people's servers go on");
    let ended = bench.fleet.servers.values().find(|it| it.owner.as_str() == "x1").unwrap();
    assert_eq!(ended.last_end.as_ref().unwrap().reason, Reason::StoppedTraining);
}

/// Why a server is being ended, if it is.
fn ending(server: &Server) -> Option<Reason> {
    server.placement().and_then(|placement| Some(placement.stop.as_ref()?.end.reason))
}

#[test]
fn a_rehearsal_needs_no_hours_and_takes_nothing_from_its_owner() {
    let mut bench = Bench::new();
    let answers = bench.rehearse(5);
    assert!(answers.iter().all(|it| reason(it) == Reason::PlacedNow), "{answers:?}");
    bench.pass_until(at(9 * HOUR + 1800));
    assert_eq!(bench.running(), 5);
    let carol = "carol".parse().unwrap();
    let used = |bench: &Bench| Usage::of_person(&bench.fleet, &carol, Seconds(86_400), bench.now);
    assert_eq!(used(&bench), Default::default(), "nothing is booked while they run");
    let own = bench.start("carol", "staff", asks_for("school"));
    assert_eq!(reason(&own), Reason::PlacedNow, "her quota of one is whole");
    let ids: Vec<_> = bench.rehearsing().map(|it| it.id.clone()).collect();
    for server in ids {
        bench.take(Event::Stop { server, reason: Reason::StoppedRehearsal, reply: None });
    }
    bench.report();
    assert_eq!(bench.running(), 1);
    assert_eq!(used(&bench).mib_s, 0, "nor when they have ended");
    let image = bench.rehearsing().next().unwrap().ask.image.clone();
    assert_eq!(bench.fleet.own_peak(&carol, &image), None, "nothing is learnt of what she uses");
}

#[test]
fn a_rehearsal_never_waits_and_leaves_the_pool_that_helps_out_alone() {
    let mut bench = Bench::new();
    let answers = bench.rehearse(41);
    let placed = answers.iter().filter(|it| reason(it) == Reason::PlacedNow).count();
    let refused = answers.iter().filter(|it| reason(it) == Reason::RefusedRehearsal).count();
    assert!(placed > 0 && refused > 0 && placed + refused == 41, "{answers:?}");
    assert_eq!(bench.fleet.waiting().count(), 0);
    bench.hosts.retain(|host| *host != "t4");
    bench.pass_until(at(8 * HOUR + 60));
    bench.rehearse(60);
    assert_eq!(bench.fleet.placed_on(&"c1".parse().unwrap()).count(), 0);
}

#[test]
fn a_rehearsal_ends_in_the_step_in_which_somebody_would_wait_for_its_pool() {
    let mut bench = Bench::new();
    bench.pass_until(at(9 * HOUR));
    let rehearsed = bench.rehearse(41).len();
    bench.report();
    // The other pool's queue is no matter.
    for n in 1..=12 {
        bench.start(&format!("y{n}"), "lsst", asks_for("cpu"));
    }
    assert!(bench.fleet.waiting().count() > 0);
    assert!(bench.rehearsing().all(|it| ending(it).is_none()));
    let answers = bench.all_start();
    let waits = answers.iter().find(|it| reason(it).code().starts_with("wait."));
    assert!(waits.is_some(), "the pool is full of {rehearsed}: {answers:?}");
    let ends = |it: &Server| !it.is_active() || ending(it) == Some(Reason::StoppedRehearsal);
    assert!(bench.rehearsing().all(ends));
    let refused = bench.rehearse(60).pop().unwrap();
    assert_eq!(reason(&refused), Reason::RefusedRehearsal, "nor does another begin");
    bench.report();
    bench.report();
    let school = bench.fleet.servers.values().filter(|it| it.owner.as_str().starts_with('x'));
    assert_eq!(school.filter(|it| it.is_ready()).count(), 30, "all have their place");
}

#[test]
fn what_still_starts_for_a_rehearsal_steps_aside_on_the_host_of_a_person() {
    let mut bench = Bench::new();
    bench.pass_until(at(9 * HOUR));
    bench.rehearse(15);
    let placed = bench.start("x1", "school", Wish::default());
    assert_eq!(reason(&placed), Reason::PlacedNow);
    let person = bench.fleet.servers.values().find(|it| it.owner.as_str() == "x1").unwrap();
    let host = person.placement().unwrap().host.clone();
    let here = |it: &Server| it.placement().is_some_and(|placement| placement.host == host);
    assert!(bench.rehearsing().any(here) && !bench.rehearsing().all(here));
    for server in bench.rehearsing() {
        let why = here(server).then_some(Reason::StoppedRehearsal);
        assert_eq!(ending(server), why, "{server:?}");
    }
}

#[test]
fn what_is_ready_of_a_rehearsal_stays_beside_a_person_who_starts() {
    let mut bench = Bench::new();
    bench.pass_until(at(9 * HOUR));
    bench.rehearse(3);
    bench.report();
    assert_eq!(bench.rehearsing().filter(|it| it.is_ready()).count(), 3);
    let placed = bench.start("x1", "school", Wish::default());
    assert_eq!(reason(&placed), Reason::PlacedNow);
    let hosts = bench.fleet.servers.values().map(|it| it.placement().unwrap().host.clone());
    assert_eq!(hosts.collect::<BTreeSet<_>>().len(), 1, "all are on one host");
    assert!(bench.rehearsing().all(|it| ending(it).is_none()), "they disturb nobody");
}

#[test]
fn no_limit_of_time_ends_a_rehearsal() {
    let mut bench = Bench::new();
    bench.pass_until(at(40 * HOUR));
    bench.rehearse(3);
    bench.pass_until(at(40 * HOUR + 1800));
    assert_eq!(bench.running(), 3, "the course has been over for hours");
}
