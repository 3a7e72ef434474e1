//! A rolling reboot as one plan: one host at a time, nobody twice, whatever happens to the hub.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use berth_common::link::{Account, Capacity, HostFacts, Observed, ObservedState, Origin, Report};
use berth_common::{
    ByteCount, DecisionId, Epoch, HostId, Incarnation, Reason, Revision, Seconds, ServerId,
    ServerName, Timestamp,
};
use berth_core::drain::intent::State;
use berth_core::drain::single::AtDeadline;
use berth_core::event::{Event, Row, StartRequest, Wish};
use berth_core::fleet::{Drain, DrainId, HostState, Intent, Order, Rolling};
use berth_core::settings::{HostSettings, Image, Pool, Profile, Settings};
use berth_core::{Answer, Effect, Fleet, step};

const GB: u64 = 1 << 30;

/// Four hosts of 8 GB, three of which are to be rebooted, and six people with servers of 2 GB.
struct Bench {
    fleet: Fleet,
    now: Timestamp,
    boots: BTreeMap<HostId, u32>,
    ids: u64,
}

fn settings() -> Arc<Settings> {
    let host = |name: &str| {
        let settings = HostSettings {
            pool: "cpu".into(),
            memory: None,
            keep_free: ByteCount::ZERO,
            gpus: None,
            address: format!("{name}:8444"),
            cite: Default::default(),
        };
        (name.parse::<HostId>().unwrap(), settings)
    };
    let profile = Profile {
        pool: "cpu".into(),
        memory_default: ByteCount(2 * GB),
        memory_max: ByteCount(8 * GB),
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
        hosts: ["h1", "h2", "h3", "h4"].map(host).into(),
        pools: BTreeMap::from([("cpu".into(), Pool::default())]),
        profiles: BTreeMap::from([("cpu".into(), profile)]),
        images: BTreeMap::from([("default".into(), image)]),
        lost_after: Seconds(15),
        ..Settings::default()
    })
}

fn id(host: &str) -> HostId {
    host.parse().unwrap()
}

impl Bench {
    fn new() -> Self {
        let fleet = Fleet::restore(Epoch(1), settings(), [], []);
        let boots = ["h1", "h2", "h3", "h4"].map(|host| (id(host), 1)).into();
        let mut bench = Self { fleet, now: Timestamp(0), boots, ids: 0 };
        bench.report();
        (0..6).for_each(|user| bench.start(user));
        bench
    }

    fn take(&mut self, event: Event) -> Vec<Effect> {
        let effects = step(&mut self.fleet, self.now, event);
        assert_eq!(berth_core::check::violations(&self.fleet), []);
        effects
    }

    fn start(&mut self, user: u32) {
        self.ids += 1;
        let name = format!("user{user}");
        let request = StartRequest {
            server: ServerId::from_random(self.ids),
            decision: DecisionId::from_random(1000 + self.ids),
            account: Account {
                name: name.parse().unwrap(),
                uid: 2000,
                gid: 2000,
                groups: Vec::new(),
                home: format!("/home/{name}"),
            },
            name: ServerName::default_server(),
            wish: Wish::default(),
            watched: false,
            barred: None,
            user_options: None,
            reply: None,
        };
        self.take(Event::Start(Box::new(request)));
        self.report();
    }

    /// All hosts report; who was told to stop is gone.
    fn report(&mut self) {
        for (host, boot) in self.boots.clone() {
            let seen = self.fleet.placed_on(&host).filter(|(_, placed)| placed.stop.is_none());
            let seen = seen.map(|(server, _)| Observed {
                server: server.id.clone(),
                generation: server.generation,
                epoch: self.fleet.epoch,
                state: ObservedState::Ready,
                steps: Vec::new(),
                memory_used: ByteCount(GB / 4),
                usage: Default::default(),
                limit: None,
                resize_refused: None,
                kills: Vec::new(),
                left_out: Vec::new(),
                origin: Origin {
                    user: server.owner.clone(),
                    server_name: server.name.clone(),
                    profile: "cpu".into(),
                    memory: ByteCount(2 * GB),
                    gpus: Vec::new(),
                    decision: None,
                },
            });
            let seq = self.fleet.hosts.get(&host).map_or(0, |host| host.seq);
            let report = Report {
                incarnation: Incarnation(u64::from(boot)),
                boot_id: format!("boot-{boot}").parse().unwrap(),
                sent: self.now,
                applied: Revision { epoch: self.fleet.epoch, seq },
                engine: Ok(seen.collect()),
                pending: Vec::new(),
                gpus: Vec::new(),
                spaces: Vec::new(),
                capacity: Capacity {
                    memory_total: ByteCount(8 * GB),
                    memory_free: ByteCount(8 * GB),
                    cpus: 4,
                    memory_pressure: None,
                },
                facts: HostFacts { images: vec!["img:1".into()], ..HostFacts::default() },
            };
            let report = Box::new(report);
            self.take(Event::Reported { host, session: 1, report });
        }
    }

    fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds.div_ceil(10) {
            self.now = self.now.plus(Seconds(10));
            self.report();
            self.take(Event::Tick);
        }
    }

    fn order(&mut self, hosts: &[&str], each_s: u64) -> Answer {
        let hosts: Vec<_> = hosts.iter().map(|host| id(host)).collect();
        let order = Order { reason: "new kernel".into(), who: "frank".into(), at: self.now };
        let rolling = Rolling::new(
            order,
            berth_core::step::reboot_order(&self.fleet, &hosts, self.now),
            Some(Seconds(each_s)),
            AtDeadline::Stop,
        );
        let event = Event::Roll { rolling: Some(Box::new(rolling)), reply: Some(1) };
        let effects = self.take(event);
        effects
            .into_iter()
            .find_map(|effect| match effect {
                Effect::Reply(1, answer) => Some(answer),
                _ => None,
            })
            .unwrap()
    }

    /// The next hub, from what was saved.
    fn reborn(&mut self) {
        let again = |text: String| text;
        let hosts: Vec<_> = self
            .fleet
            .hosts
            .values()
            .map(|it| serde_json::from_str(&again(serde_json::to_string(&**it).unwrap())).unwrap())
            .collect();
        let servers: Vec<_> = self
            .fleet
            .servers
            .values()
            .map(|it| serde_json::from_str(&again(serde_json::to_string(&**it).unwrap())).unwrap())
            .collect();
        let rolling = serde_json::to_string(&self.fleet.rolling.as_deref()).unwrap();
        let epoch = Epoch(self.fleet.epoch.0 + 1);
        self.fleet = Fleet::restore(epoch, settings(), hosts, servers);
        let rolling: Option<Rolling> = serde_json::from_str(&rolling).unwrap();
        self.fleet.rolling = rolling.map(Arc::new);
        self.report();
    }

    fn closed(&self) -> Vec<String> {
        let open = |host: &&Arc<berth_core::Host>| host.intent != Intent::Open;
        self.fleet.hosts.values().filter(open).map(|host| host.id.to_string()).collect()
    }

    /// Until the plan is done: empty hosts are rebooted, and who was stopped starts again. How
    /// often each was stopped.
    fn live(&mut self, killed_every: Option<usize>) -> BTreeMap<String, u32> {
        let mut stops = BTreeMap::new();
        for round in 0..2_000 {
            if self.fleet.rolling().unwrap().plan.is_done() {
                return stops;
            }
            if killed_every.is_some_and(|every| round % every == 0) {
                self.reborn();
            }
            self.pass(10);
            assert!(self.closed().len() <= 1, "one host at a time: {:?}", self.closed());
            let ended: Vec<_> = self
                .fleet
                .servers
                .values()
                .filter(|server| !server.is_active())
                .map(|server| {
                    assert_eq!(server.last_end.as_ref().unwrap().reason, Reason::StoppedDrain);
                    server.owner.to_string()
                })
                .collect();
            for owner in ended {
                *stops.entry(owner.clone()).or_default() += 1;
                self.start(owner.trim_start_matches("user").parse().unwrap());
            }
            let empty = self
                .fleet
                .hosts
                .values()
                .filter(|host| self.fleet.host_state(host, self.now) == HostState::Drained);
            let empty: Vec<HostId> = empty.map(|host| host.id.clone()).collect();
            for host in empty {
                *self.boots.get_mut(&host).unwrap() += 1;
            }
        }
        panic!("it does not end: {:?}", self.fleet.rolling());
    }
}

#[test]
fn all_are_rebooted_one_by_one_and_nobody_is_stopped_twice() {
    let mut bench = Bench::new();
    assert_eq!(bench.order(&["h1", "h2", "h3"], 600), Answer::Intended);
    let stops = bench.live(None);
    assert!(stops.values().all(|times| *times == 1), "{stops:?}");
    assert_eq!(bench.boots.values().copied().collect::<Vec<_>>(), [2, 2, 2, 1]);
    assert_eq!(bench.closed(), Vec::<String>::new());
    let plan = &bench.fleet.rolling().unwrap().plan;
    assert!(plan.turns.iter().all(|turn| turn.state == State::Done));
    assert_eq!(bench.order(&["h1"], 600), Answer::Intended, "the next plan may come");
}

#[test]
fn a_hub_that_is_killed_again_and_again_goes_on() {
    let mut plain = Bench::new();
    plain.order(&["h1", "h2", "h3"], 600);
    let expected = plain.live(None);
    for every in [1, 2, 3, 7] {
        let mut bench = Bench::new();
        bench.order(&["h1", "h2", "h3"], 600);
        assert_eq!(bench.live(Some(every)), expected, "killed every {every} rounds");
        assert_eq!(bench.boots, plain.boots);
    }
}

#[test]
fn who_asks_meanwhile_goes_to_a_host_that_is_not_to_follow() {
    let mut bench = Bench::new();
    bench.order(&["h1", "h2", "h3"], 3_600);
    bench.pass(10);
    bench.start(7);
    let server = bench.fleet.find(&"user7".parse().unwrap(), &ServerName::default_server());
    assert_eq!(server.unwrap().placement().unwrap().host, id("h4"));
}

#[test]
fn there_is_one_plan_at_a_time_and_it_can_be_taken_back() {
    let mut bench = Bench::new();
    bench.order(&["h1", "h2"], 600);
    bench.pass(10);
    assert_eq!(bench.order(&["h3"], 600), Answer::AnotherPlan);
    let begun = bench.closed();
    assert_eq!(begun.len(), 1);
    bench.take(Event::Roll { rolling: None, reply: None });
    bench.pass(1_200);
    assert_eq!(bench.closed(), begun, "that one is emptied, and no other");
}

#[test]
fn what_an_administrator_does_meanwhile_counts() {
    let mut bench = Bench::new();
    bench.order(&["h1", "h2"], 600);
    bench.pass(10);
    let first = id(&bench.closed()[0]);
    let second = id(if first == id("h1") { "h2" } else { "h1" });
    let order = Order { reason: "disk".into(), who: "erin".into(), at: bench.now };
    let intent = Intent::Cordoned(order);
    bench.take(Event::Intend { host: second.clone(), intent: intent.clone(), reply: None });
    bench.take(Event::Intend { host: first.clone(), intent: Intent::Open, reply: None });
    bench.pass(1_200);
    assert_eq!(bench.fleet.hosts[&first].intent, Intent::Open, "opened: its turn is over");
    assert_eq!(bench.fleet.hosts[&second].intent, intent, "cordoned: it is waited for");
    bench.take(Event::Intend { host: second.clone(), intent: Intent::Open, reply: None });
    bench.pass(10);
    assert_eq!(bench.closed(), [second.to_string()]);
}

/// All drains that were written down, newest last.
fn written(effects: &[Effect]) -> Vec<Drain> {
    let drain = |effect: &Effect| match effect {
        Effect::Save(Row::Drain(drain)) => Some((**drain).clone()),
        _ => None,
    };
    effects.iter().filter_map(drain).collect()
}

#[test]
fn a_drain_keeps_its_number_until_it_is_over_and_no_other_gets_it() {
    let mut bench = Bench::new();
    let order = Order { reason: "disk".into(), who: "erin".into(), at: bench.now };
    let intend = |bench: &mut Bench, host: &str, intent: Intent| {
        written(&bench.take(Event::Intend { host: id(host), intent, reply: None }))
    };
    let drain = |host: &str, by| Intent::Draining {
        order: order.clone(),
        by,
        plan: step::drain_plan(&id(host), by, AtDeadline::Hold),
    };
    let begun = intend(&mut bench, "h1", drain("h1", None));
    assert_eq!((begun.len(), begun[0].id, &begun[0].ended), (1, DrainId(1), &None));
    assert_eq!(intend(&mut bench, "h2", drain("h2", None))[0].id, DrainId(2));
    let changed = intend(&mut bench, "h1", drain("h1", Some(Timestamp(9))));
    assert_eq!((changed[0].id, changed[0].by), (DrainId(1), Some(Timestamp(9))), "the same drain");
    assert_eq!(bench.fleet.drained_by(DrainId(1)), Some(&id("h1")));

    let left = bench.fleet.placed_on(&id("h1")).count();
    let over = intend(&mut bench, "h1", Intent::Cordoned(order.clone()));
    assert_eq!((over[0].id, over[0].ended.map(|it| it.left)), (DrainId(1), Some(left)));
    assert!(left > 0, "somebody was there still");
    assert_eq!(intend(&mut bench, "h1", Intent::Open), [], "that was no drain");
    assert_eq!(bench.fleet.drained_by(DrainId(1)), None);
    assert_eq!(intend(&mut bench, "h1", drain("h1", None))[0].id, DrainId(3));

    // One of a hub that gave no numbers.
    let mut old: Vec<_> = bench.fleet.hosts.values().map(|host| (**host).clone()).collect();
    old.iter_mut().for_each(|host| host.drain = None);
    let servers: Vec<_> = bench.fleet.servers.values().map(|it| (**it).clone()).collect();
    let last = bench.fleet.last_drain;
    bench.fleet = Fleet::restore(Epoch(2), settings(), old, servers);
    bench.fleet.last_drain = last;
    bench.report();
    let numbered: BTreeSet<_> =
        written(&bench.take(Event::Tick)).into_iter().map(|it| (it.id, it.host)).collect();
    assert_eq!(numbered, [(DrainId(4), id("h1")), (DrainId(5), id("h2"))].into());
    assert_eq!(written(&bench.take(Event::Tick)), []);
}

#[test]
fn idle_servers_that_share_a_host_with_room_are_proposed_to_move() {
    let mut bench = Bench::new();
    assert_eq!(berth_core::step::consolidation(&bench.fleet, bench.now), []);
    // Four on h1, two on h2: one of h1 leaves, and h2's two would fit nowhere but for that.
    let gone: Vec<ServerId> =
        bench.fleet.placed_on(&id("h1")).take(2).map(|(server, _)| server.id.clone()).collect();
    for server in gone {
        bench.take(Event::Stop { server, reason: Reason::StoppedUser, reply: None });
    }
    bench.report();
    assert_eq!(berth_core::step::consolidation(&bench.fleet, bench.now), [], "nobody is idle yet");
    bench.now = bench.now.plus(Seconds(2 * 3_600));
    bench.report();
    let proposals = berth_core::step::consolidation(&bench.fleet, bench.now);
    assert_eq!(proposals.len(), 1, "{proposals:?}");
    let (host, frees, moves) = &proposals[0];
    assert_eq!((*frees, moves.len()), (ByteCount(8 * GB), 2));
    assert!(moves.iter().all(|step| step.from == *host && step.to != *host));
}
