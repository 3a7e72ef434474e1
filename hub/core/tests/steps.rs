//! The core as a black box: a script of events goes in, the fleet and what leaves it come out as
//! text, and the text is reviewed like code.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use berth_common::link::{
    Account, Capacity, Ending, Group, HostFacts, Observed, ObservedState, Origin, Pending, Report,
    Usage,
};
use berth_common::{
    ByteCount, DecisionId, Epoch, Generation, HostId, Incarnation, Reason, Revision, Seconds,
    ServerId, ServerName, Timestamp, Username,
};
use berth_core::drain::single::AtDeadline;
use berth_core::event::{Row, StartRequest, Wish};
use berth_core::fleet::{Intent, Order};
use berth_core::reconcile::orders;
use berth_core::settings::{
    Cite, HostSettings, Image, People, Pool, Profile, Quota, Quotas, Rollout, Settings, Stage,
};
use berth_core::{Answer, Effect, Event, Fleet, Outcome, check, step};

const GB: u64 = 1 << 30;

/// A fleet of two hosts of 4 GB, a clock, and a record of what happened.
struct Bench {
    fleet: Fleet,
    now: Timestamp,
    ids: u64,
    log: String,
    applied: BTreeMap<&'static str, Revision>,
    boot: BTreeMap<&'static str, &'static str>,
    /// What names of images stand for there.
    builds: BTreeMap<&'static str, BTreeMap<String, String>>,
    offered: BTreeMap<&'static str, BTreeMap<String, String>>,
}

fn settings() -> Settings {
    let cite = |line| Cite { file: "profiles.toml".into(), line };
    let host = |name: &str| {
        let settings = HostSettings {
            pool: "cpu".into(),
            memory: Some(ByteCount(4 * GB)),
            keep_free: ByteCount(0),
            gpus: None,
            address: format!("{name}:8444"),
            cite: Cite::default(),
        };
        (name.parse::<HostId>().unwrap(), settings)
    };
    let profile = Profile {
        title: "CPU".into(),
        use_case: String::new(),
        pool: "cpu".into(),
        memory_default: ByteCount(GB),
        memory_choices: vec![ByteCount(GB), ByteCount(2 * GB), ByteCount(4 * GB)],
        memory_max: ByteCount(8 * GB),
        images: vec!["default".into()],
        default: true,
        cite: cite(3),
        ..Profile::default()
    };
    let image = Image { reference: "img:1".into(), title: "Image".into(), cite: cite(1) };
    Settings {
        hosts: BTreeMap::from([host("h1"), host("h2")]),
        pools: BTreeMap::from([("cpu".into(), Pool::default())]),
        profiles: BTreeMap::from([("cpu".into(), profile)]),
        images: BTreeMap::from([("default".into(), image)]),
        quotas: Quotas {
            default: Quota { servers: Some(2), ..Quota::default() },
            ..Quotas::default()
        },
        lost_after: Seconds(15),
        ..Settings::default()
    }
}

impl Bench {
    fn new() -> Self {
        let mut bench = Self::silent();
        bench.hears("h1", &[]);
        bench.hears("h2", &[]);
        bench.log.clear();
        bench
    }

    /// No host has reported yet.
    fn silent() -> Self {
        let fleet = Fleet::restore(Epoch(1), Arc::new(settings()), [], []);
        let boot = BTreeMap::from([("h1", "boot-a"), ("h2", "boot-b")]);
        Self {
            fleet,
            now: Timestamp(0),
            ids: 0,
            log: String::new(),
            applied: BTreeMap::new(),
            boot,
            builds: BTreeMap::new(),
            offered: BTreeMap::new(),
        }
    }

    fn drains(&mut self, host: &str, in_s: u64) {
        let host: HostId = host.parse().unwrap();
        let by = Some(self.now.plus(Seconds(in_s)));
        let order = Order { reason: "new kernel".into(), who: "frank".into(), at: self.now };
        let plan = berth_core::step::drain_plan(&host, by, AtDeadline::Stop);
        self.say(&format!("{host} is to be empty in {in_s} s"));
        let intent = Intent::Draining { order, by, plan };
        self.take(Event::Intend { host, intent, reply: None });
    }

    /// Another hub begins with what was saved.
    fn reborn(&mut self) {
        let hosts = self.fleet.hosts.values().map(|host| serde_json::to_string(&**host).unwrap());
        let hosts: Vec<_> = hosts.map(|text| serde_json::from_str(&text).unwrap()).collect();
        let servers = self.fleet.servers.values().map(|it| serde_json::to_string(&**it).unwrap());
        let servers: Vec<_> = servers.map(|text| serde_json::from_str(&text).unwrap()).collect();
        self.fleet = Fleet::restore(Epoch(2), Arc::new(settings()), hosts, servers);
    }

    fn waits(&mut self, seconds: u64) {
        self.now = self.now.plus(Seconds(seconds));
    }

    fn take(&mut self, event: Event) -> Vec<Effect> {
        let effects = step(&mut self.fleet, self.now, event);
        if let Some(violation) = check::violations(&self.fleet).first() {
            panic!("{violation}\n{}", self.log);
        }
        let mut line = String::new();
        for effect in &effects {
            match effect {
                Effect::Save(Row::Server(_)) => line.push_str(" save-server"),
                Effect::Save(Row::Decision(decision)) => {
                    let _ = write!(line, " save-decision({})", decision.reason());
                }
                Effect::Save(Row::Host(_)) => line.push_str(" save-host"),
                Effect::Save(Row::ServerGone(_)) => line.push_str(" save-gone"),
                Effect::Save(
                    Row::Floor { .. }
                    | Row::Settings(_)
                    | Row::Usage(_)
                    | Row::Prices(_)
                    | Row::Life(_)
                    | Row::Wait(_)
                    | Row::Restored(_)
                    | Row::Rolling(_),
                ) => {}
                Effect::Tell(host) => {
                    let _ = write!(line, " tell-{host}");
                }
                Effect::RoutesChanged => line.push_str(" routes"),
                Effect::Reply(_, answer) => {
                    let _ = write!(line, " reply-{}", word(answer));
                }
                Effect::Alarm(text) => {
                    let _ = write!(line, " alarm({text})");
                }
                Effect::Changed(_) => {}
            }
        }
        let _ = writeln!(self.log, " {line}");
        effects
    }

    fn say(&mut self, text: &str) -> &mut Self {
        let _ = write!(self.log, "{text}:");
        self
    }

    fn asks(&mut self, user: &str, gigabytes: u64) -> Answer {
        self.request(user, gigabytes, false)
    }

    /// By the page, which its owner looks at until told otherwise.
    fn asks_and_looks(&mut self, user: &str, gigabytes: u64) -> Answer {
        self.request(user, gigabytes, true)
    }

    fn request(&mut self, user: &str, gigabytes: u64, watched: bool) -> Answer {
        self.ids += 1;
        let request = StartRequest {
            server: ServerId::from_random(self.ids),
            decision: DecisionId::from_random(1000 + self.ids),
            account: account(user),
            name: ServerName::default_server(),
            wish: Wish { memory: Some(ByteCount(gigabytes * GB)), ..Wish::default() },
            watched,
            barred: None,
            user_options: None,
            reply: Some(1),
        };
        self.say(&format!("{user} asks for {gigabytes} GB"));
        let effects = self.take(Event::Start(Box::new(request)));
        let answer = effects.into_iter().find_map(|effect| match effect {
            Effect::Reply(_, answer) => Some(answer),
            _ => None,
        });
        answer.expect("an answer")
    }

    fn stops(&mut self, user: &str) {
        let server = self.id(user);
        self.say(&format!("{user} stops"));
        self.take(Event::Stop { server, reason: Reason::StoppedUser, reply: Some(2) });
    }

    /// A heartbeat that has applied the newest desired set.
    fn hears(&mut self, host: &'static str, seen: &[(&str, u64, ObservedState)]) {
        let revision = self.revision(host);
        self.applied.insert(host, revision);
        self.hears_old(host, seen);
    }

    /// A heartbeat that has applied what an earlier one had.
    fn hears_old(&mut self, host: &'static str, seen: &[(&str, u64, ObservedState)]) {
        let observed = seen
            .iter()
            .map(|(user, generation, state)| self.observed(user, *generation, state))
            .collect();
        let words: Vec<_> = seen
            .iter()
            .map(|(user, generation, state)| format!("{user}#{generation} {}", short(state)))
            .collect();
        self.say(&format!("{host} reports [{}]", words.join(", ")));
        self.report(host, Ok(observed), Vec::new());
    }

    fn report(
        &mut self,
        host: &'static str,
        engine: Result<Vec<Observed>, String>,
        pending: Vec<Pending>,
    ) {
        let report = Report {
            incarnation: Incarnation(7),
            boot_id: self.boot[host].parse().unwrap(),
            sent: self.now,
            applied: self.applied.get(host).copied().unwrap_or_default(),
            engine,
            pending,
            gpus: Vec::new(),
            spaces: Vec::new(),
            capacity: Capacity {
                memory_total: ByteCount(4 * GB),
                memory_free: ByteCount(4 * GB),
                cpus: 2,
                memory_pressure: None,
            },
            facts: HostFacts {
                images: vec!["img:1".into()],
                builds: self.builds.get(host).cloned().unwrap_or_default(),
                offered: self.offered.get(host).cloned().unwrap_or_default(),
                ..HostFacts::default()
            },
        };
        self.take(Event::Reported {
            host: host.parse().unwrap(),
            session: 1,
            report: Box::new(report),
        });
    }

    fn observed(&self, user: &str, generation: u64, state: &ObservedState) -> Observed {
        let server = self
            .fleet
            .find(&name(user), &ServerName::default_server())
            .map_or_else(|| ServerId::from_random(99), |s| s.id.clone());
        Observed {
            server,
            generation: Generation(generation),
            epoch: Epoch(1),
            state: state.clone(),
            steps: Vec::new(),
            memory_used: ByteCount(GB / 10),
            usage: Usage::default(),
            limit: None,
            resize_refused: None,
            kills: Vec::new(),
            left_out: Vec::new(),
            origin: Origin {
                user: name(user),
                server_name: ServerName::default_server(),
                profile: "cpu".into(),
                memory: ByteCount(GB),
                gpus: Vec::new(),
                decision: None,
            },
        }
    }

    fn revision(&self, host: &str) -> Revision {
        let seq = self.fleet.hosts.get(&host.parse().unwrap()).map_or(0, |host| host.seq);
        Revision { epoch: self.fleet.epoch, seq }
    }

    fn id(&self, user: &str) -> ServerId {
        self.fleet.find(&name(user), &ServerName::default_server()).expect("a server").id.clone()
    }

    /// Every server's state and every host's orders.
    fn shows(&mut self) {
        for server in self.fleet.servers.values() {
            let state = self.fleet.server_state(server, self.now);
            let end = server
                .last_end
                .as_ref()
                .map_or(String::new(), |end| format!(" last: {}", end.reason));
            let place = server.placement().map_or(String::new(), |p| format!(" on {}", p.host));
            let _ =
                writeln!(self.log, "  {}#{} {state}{place}{end}", server.owner, server.generation);
        }
        for host in self.fleet.hosts.keys() {
            for (server, order) in orders(&self.fleet, host) {
                let owner = &self.fleet.servers[&server].owner;
                let _ = writeln!(
                    self.log,
                    "  order to {host}: {:?} {owner}#{}",
                    order.what, order.generation
                );
            }
        }
    }
}

fn name(user: &str) -> Username {
    user.parse().unwrap()
}

/// The part of the name before a dash is the main group, where there is one.
fn account(user: &str) -> Account {
    let group = |name: &str, gid| Group { name: name.to_owned(), gid };
    let main = user.split_once('-').map(|(main, _)| group(main, 2000));
    Account {
        name: name(user),
        uid: 2000,
        gid: 2000,
        groups: main.map_or_else(Vec::new, |main| vec![group("staff", 100), main]),
        home: format!("/home/{user}"),
    }
}

fn word(answer: &Answer) -> String {
    match answer {
        Answer::Accepted(decision) => format!("accepted({})", outcome(&decision.outcome)),
        Answer::Refused(decision) => format!("refused({})", decision.reason()),
        other => format!("{other:?}").split('(').next().unwrap_or_default().to_owned(),
    }
}

fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Placed { host, .. } => host.to_string(),
        Outcome::Waits { reason, ahead, .. } => format!("waits {reason}, {ahead} ahead"),
        Outcome::Refused { reason, .. } => reason.to_string(),
    }
}

fn short(state: &ObservedState) -> &'static str {
    match state {
        ObservedState::Created => "created",
        ObservedState::Running => "running",
        ObservedState::Ready => "ready",
        ObservedState::Stopping => "stopping",
        ObservedState::Exited(_) => "exited",
        ObservedState::Failed(_) => "failed",
    }
}

/// Compares a record with the reviewed one.
#[track_caller]
fn check(bench: &Bench, expected: &str) {
    let trim = |text: &str| {
        text.lines()
            .map(|l| l.trim_end().to_owned())
            .filter(|l| !l.trim().is_empty())
            .collect::<Vec<_>>()
    };
    let expected: Vec<_> = trim(expected)
        .into_iter()
        .map(|line| line.strip_prefix("        ").unwrap_or(&line).to_owned())
        .collect();
    assert_eq!(trim(&bench.log), expected, "\n{}", bench.log);
}

#[test]
fn a_double_click_is_one_start_and_stop_frees_only_on_evidence() {
    let mut bench = Bench::new();
    bench.asks("alice", 1);
    bench.asks("alice", 1);
    bench.hears("h1", &[("alice", 1, ObservedState::Created)]);
    bench.hears("h1", &[("alice", 1, ObservedState::Ready)]);
    bench.asks("alice", 1);
    bench.shows();
    bench.stops("alice");
    bench.asks("alice", 1);
    bench.hears_old("h1", &[]);
    bench.hears("h1", &[]);
    bench.shows();
    check(
        &bench,
        "
        alice asks for 1 GB:  save-decision(placed.now) save-server tell-h1 reply-accepted(h1)
        alice asks for 1 GB:  reply-AlreadyPending
        h1 reports [alice#1 created]:  tell-h1
        h1 reports [alice#1 ready]:  routes save-server tell-h1
        alice asks for 1 GB:  reply-AlreadyRunning
          alice#1 running on h1
          order to h1: Keep alice#1
        alice stops:  save-server routes tell-h1 reply-StopUnderWay
        alice asks for 1 GB:  reply-Stopping
        h1 reports []:  tell-h1
        h1 reports []:  tell-h1 routes save-server tell-h1
          alice#1 ended last: stopped.user
    ",
    );
}

#[test]
fn a_full_fleet_queues_in_order_and_the_first_holds_its_place() {
    let mut bench = Bench::new();
    bench.asks("a", 4);
    bench.asks("b", 3);
    bench.asks("c", 2);
    bench.asks("d", 1);
    bench.asks("e", 5);
    bench.stops("a");
    bench.hears("h1", &[]);
    bench.shows();
    check(&bench, "
        a asks for 4 GB:  save-decision(placed.now) save-server tell-h1 reply-accepted(h1)
        b asks for 3 GB:  save-decision(placed.now) save-server tell-h2 reply-accepted(h2)
        c asks for 2 GB:  save-decision(wait.memory.reserved) save-server reply-accepted(waits wait.memory.reserved, 0 ahead)
        d asks for 1 GB:  save-decision(wait.order) save-server reply-accepted(waits wait.order, 1 ahead)
        e asks for 5 GB:  save-decision(refused.never_fits) reply-refused(refused.never_fits)
        a stops:  save-server routes tell-h1 reply-StopUnderWay
        h1 reports []:  tell-h1 routes save-server tell-h1 save-decision(placed.from_queue) save-server tell-h1 save-decision(placed.from_queue) save-server tell-h1
          a#1 ended last: stopped.user
          b#1 starting on h2
          c#1 starting on h1
          d#1 starting on h1
          order to h1: Run c#1
          order to h1: Run d#1
          order to h2: Run b#1
    ");
}

#[test]
fn before_a_host_has_reported_a_request_waits_for_it() {
    let mut bench = Bench::silent();
    bench.asks("a", 4);
    bench.asks("b", 5);
    bench.hears("h1", &[]);
    check(&bench, "
        a asks for 4 GB:  save-decision(wait.host.none_ready) save-server reply-accepted(waits wait.host.none_ready, 0 ahead)
        b asks for 5 GB:  save-decision(refused.never_fits) reply-refused(refused.never_fits)
        h1 reports []:  save-host tell-h1 save-decision(placed.from_queue) save-server tell-h1
    ");
}

#[test]
fn a_place_is_held_for_a_person_who_looks_away_and_passed_on_when_nobody_comes() {
    let mut bench = Bench::new();
    bench.asks("a", 4);
    bench.asks("b", 4);
    bench.asks_and_looks("c", 4);
    bench.asks("d", 4);
    bench.waits(120);
    bench.hears("h1", &[("a", 1, ObservedState::Ready)]);
    bench.hears("h2", &[("b", 1, ObservedState::Ready)]);
    bench.stops("a");
    bench.hears("h1", &[]);
    bench.shows();
    bench.asks_and_looks("c", 4);
    bench.stops("b");
    bench.hears("h2", &[]);
    check(&bench, "
        a asks for 4 GB:  save-decision(placed.now) save-server tell-h1 reply-accepted(h1)
        b asks for 4 GB:  save-decision(placed.now) save-server tell-h2 reply-accepted(h2)
        c asks for 4 GB:  save-decision(wait.memory.reserved) save-server reply-accepted(waits wait.memory.reserved, 0 ahead)
        d asks for 4 GB:  save-decision(wait.memory.reserved) save-server reply-accepted(waits wait.memory.reserved, 1 ahead)
        h1 reports [a#1 ready]:  routes save-server tell-h1
        h2 reports [b#1 ready]:  routes save-server tell-h2
        a stops:  save-server routes tell-h1 reply-StopUnderWay
        h1 reports []:  tell-h1 routes save-server tell-h1 save-decision(placed.from_queue) save-server
          a#1 ended last: stopped.user
          b#1 running on h2
          c#0 waiting
          d#0 waiting
          order to h2: Keep b#1
        c asks for 4 GB:  save-server tell-h1 reply-AlreadyPending
        b stops:  save-server routes tell-h2 reply-StopUnderWay
        h2 reports []:  tell-h2 routes save-server tell-h2 save-decision(placed.from_queue) save-server tell-h2
    ");
}

#[test]
fn a_group_that_used_less_goes_first() {
    let mut bench = Bench::new();
    bench.asks("lsst-a", 4);
    bench.asks("lsst-b", 4);
    bench.waits(120);
    bench.hears("h1", &[("lsst-a", 1, ObservedState::Ready)]);
    bench.hears("h2", &[("lsst-b", 1, ObservedState::Ready)]);
    bench.asks("lsst-c", 4);
    bench.waits(5);
    bench.asks("euclid-d", 4);
    bench.stops("lsst-a");
    bench.hears("h1", &[]);
    bench.shows();
    check(&bench, "
        lsst-a asks for 4 GB:  save-decision(placed.now) save-server tell-h1 reply-accepted(h1)
        lsst-b asks for 4 GB:  save-decision(placed.now) save-server tell-h2 reply-accepted(h2)
        h1 reports [lsst-a#1 ready]:  routes save-server tell-h1
        h2 reports [lsst-b#1 ready]:  routes save-server tell-h2
        lsst-c asks for 4 GB:  save-decision(wait.memory.reserved) save-server reply-accepted(waits wait.memory.reserved, 0 ahead)
        euclid-d asks for 4 GB:  save-decision(wait.memory.reserved) save-server reply-accepted(waits wait.memory.reserved, 0 ahead)
        lsst-a stops:  save-server routes tell-h1 reply-StopUnderWay
        h1 reports []:  tell-h1 routes save-server tell-h1 save-decision(placed.from_queue) save-server tell-h1
          lsst-a#1 ended last: stopped.user
          lsst-b#1 running on h2
          lsst-c#0 waiting
          euclid-d#1 starting on h1
          order to h1: Run euclid-d#1
          order to h2: Keep lsst-b#1
    ");
}

#[test]
fn a_place_that_nobody_claims_goes_to_the_next() {
    let mut bench = Bench::new();
    bench.asks("a", 4);
    bench.asks("b", 4);
    bench.asks_and_looks("c", 4);
    bench.asks("d", 4);
    bench.waits(120);
    bench.stops("a");
    bench.hears("h1", &[]);
    bench.waits(901);
    bench.hears("h1", &[]);
    bench.say("a quarter of an hour later");
    bench.take(Event::Tick);
    bench.shows();
    check(&bench, "
        a asks for 4 GB:  save-decision(placed.now) save-server tell-h1 reply-accepted(h1)
        b asks for 4 GB:  save-decision(placed.now) save-server tell-h2 reply-accepted(h2)
        c asks for 4 GB:  save-decision(wait.memory.reserved) save-server reply-accepted(waits wait.memory.reserved, 0 ahead)
        d asks for 4 GB:  save-decision(wait.memory.reserved) save-server reply-accepted(waits wait.memory.reserved, 1 ahead)
        a stops:  save-server routes tell-h1 reply-StopUnderWay
        h1 reports []:  tell-h1 routes save-server tell-h1 save-decision(placed.from_queue) save-server
        h1 reports []:  tell-h1
        a quarter of an hour later:  save-server save-decision(placed.from_queue) save-server tell-h1
          a#1 ended last: stopped.user
          b#1 unreachable on h2
          c#0 ended last: refused.queue.not_claimed
          d#1 starting on h1
          order to h1: Run d#1
          order to h2: Run b#1
    ");
}

#[test]
fn a_host_is_emptied_at_its_deadline_also_by_a_hub_that_was_killed() {
    let mut bench = Bench::new();
    bench.asks("a", 2);
    bench.hears("h1", &[("a", 1, ObservedState::Ready)]);
    bench.drains("h1", 3_600);
    bench.asks("b", 2);
    bench.say("the hub is killed");
    bench.take(Event::Tick);
    bench.reborn();
    bench.waits(3_601);
    bench.hears("h1", &[("a", 1, ObservedState::Ready)]);
    bench.hears("h2", &[]);
    bench.say("the deadline");
    bench.take(Event::Tick);
    bench.hears("h1", &[]);
    bench.shows();
    check(
        &bench,
        "
        a asks for 2 GB:  save-decision(placed.now) save-server tell-h1 reply-accepted(h1)
        h1 reports [a#1 ready]:  routes save-server tell-h1
        h1 is to be empty in 3600 s:  save-host
        b asks for 2 GB:  save-decision(placed.now) save-server tell-h2 reply-accepted(h2)
        the hub is killed:  save-host
        h1 reports [a#1 ready]:  tell-h1
        h2 reports []:  tell-h2
        the deadline:  save-server routes tell-h1 save-host
        h1 reports []:  tell-h1 routes save-server tell-h1
          a#1 ended last: stopped.drain
          b#1 starting on h2
          order to h2: Run b#1
    ",
    );
}

#[test]
fn silence_frees_nothing_and_another_boot_frees_what_had_begun() {
    let mut bench = Bench::new();
    bench.asks("alice", 1);
    bench.hears("h1", &[("alice", 1, ObservedState::Ready)]);
    bench.asks("bob", 1);
    bench.now = bench.now.plus(Seconds(16));
    bench.say("sixteen seconds of silence");
    bench.take(Event::Tick);
    bench.asks("carol", 1);
    bench.shows();
    bench.boot.insert("h1", "boot-c");
    bench.hears("h1", &[]);
    bench.shows();
    check(&bench, "
        alice asks for 1 GB:  save-decision(placed.now) save-server tell-h1 reply-accepted(h1)
        h1 reports [alice#1 ready]:  routes save-server tell-h1
        bob asks for 1 GB:  save-decision(placed.now) save-server tell-h1 reply-accepted(h1)
        sixteen seconds of silence:
        carol asks for 1 GB:  save-decision(wait.host.none_ready) save-server reply-accepted(waits wait.host.none_ready, 0 ahead)
          alice#1 unreachable on h1
          bob#1 unreachable on h1
          carol#0 waiting
          order to h1: Keep alice#1
          order to h1: Run bob#1
        h1 reports []:  save-host save-server routes tell-h1 tell-h1 routes save-server tell-h1 save-decision(placed.from_queue) save-server tell-h1
          alice#1 ended last: stopped.host_lost
          bob#1 starting on h1
          carol#1 starting on h1
          order to h1: Run bob#1
          order to h1: Run carol#1
    ");
}

#[test]
fn an_engine_that_does_not_answer_says_nothing_about_containers() {
    let mut bench = Bench::new();
    bench.asks("alice", 1);
    bench.hears("h1", &[("alice", 1, ObservedState::Ready)]);
    bench.stops("alice");
    let revision = bench.revision("h1");
    bench.applied.insert("h1", revision);
    bench.say("h1 cannot reach its engine");
    bench.report("h1", Err("no docker".into()), Vec::new());
    bench.shows();
    bench.say("a removal is pending");
    let server = bench.id("alice");
    bench.report(
        "h1",
        Ok(Vec::new()),
        vec![Pending { server, generation: Generation(1), operation: "remove" }],
    );
    bench.hears("h1", &[]);
    bench.shows();
    check(
        &bench,
        "
        alice asks for 1 GB:  save-decision(placed.now) save-server tell-h1 reply-accepted(h1)
        h1 reports [alice#1 ready]:  routes save-server tell-h1
        alice stops:  save-server routes tell-h1 reply-StopUnderWay
        h1 cannot reach its engine:  tell-h1
          alice#1 stopping on h1
          order to h1: Stop alice#1
        a removal is pending:  tell-h1
        h1 reports []:  tell-h1 routes save-server tell-h1
          alice#1 ended last: stopped.user
    ",
    );
}

#[test]
fn what_vanished_or_crashed_is_not_made_anew() {
    let mut bench = Bench::new();
    bench.asks("alice", 1);
    bench.hears("h1", &[("alice", 1, ObservedState::Ready)]);
    bench.hears("h1", &[]);
    bench.shows();
    bench.hears("h1", &[]);
    bench.asks("bob", 1);
    let ending = Ending { reason: Reason::StoppedCrash, detail: "exit code 1".into() };
    bench.hears("h1", &[("bob", 1, ObservedState::Exited(ending))]);
    bench.hears("h1", &[]);
    bench.shows();
    check(
        &bench,
        "
        alice asks for 1 GB:  save-decision(placed.now) save-server tell-h1 reply-accepted(h1)
        h1 reports [alice#1 ready]:  routes save-server tell-h1
        h1 reports []:  save-server routes tell-h1 tell-h1
          alice#1 stopping on h1
          order to h1: Stop alice#1
        h1 reports []:  tell-h1 routes save-server tell-h1
        bob asks for 1 GB:  save-decision(placed.now) save-server tell-h1 reply-accepted(h1)
        h1 reports [bob#1 exited]:  save-server routes tell-h1 tell-h1
        h1 reports []:  tell-h1 routes save-server tell-h1
          alice#1 ended last: stopped.crash
          bob#1 ended last: failed.exited
    ",
    );
}

#[test]
fn a_hub_with_an_empty_store_adopts_what_runs_and_stops_only_what_it_has_outlived() {
    let mut bench = Bench::new();
    bench.hears("h1", &[("alice", 5, ObservedState::Ready)]);
    bench.shows();
    // Another host shows an older start of the same server: that one has been outlived.
    bench.hears("h2", &[("alice", 4, ObservedState::Ready)]);
    bench.shows();
    check(&bench, "
        h1 reports [alice#5 ready]:  alarm(adopted server 0000000000000063 of alice on h1, which the store did not know) routes save-server save-server tell-h1
          alice#5 running on h1
          order to h1: Keep alice#5
        h2 reports [alice#4 ready]:  tell-h2
          alice#5 running on h1
          order to h1: Keep alice#5
          order to h2: Stop alice#4
    ");
}

#[test]
fn a_refusal_names_its_rule_its_line_and_what_would_work() {
    let mut bench = Bench::new();
    bench.asks("a", 4);
    let Answer::Accepted(decision) = bench.asks("b", 4) else { panic!("b is placed") };
    assert_eq!(decision.sentence(), "Placed on h2: the only host with room.");
    bench.stops("b");
    bench.hears("h2", &[]);
    bench.asks("c", 2);
    let Answer::Accepted(decision) = bench.asks("d", 4) else { panic!("d waits") };
    assert_eq!(
        decision.sentence(),
        "Waits in place 1: All memory is promised to running servers. A server with 2 GB would start now."
    );
    let Answer::Refused(decision) = bench.asks("e", 9) else { panic!("e is refused") };
    let rule = decision.rules.iter().find(|rule| !rule.passed).expect("a rule");
    assert_eq!(rule.text, "9 GB of at most 8 GB in this profile");
    assert_eq!(rule.cite.as_ref().expect("a line").to_string(), "profiles.toml:3");
    assert_eq!(
        decision.sentence(),
        "You asked for 9 GB; profile cpu gives 8 GB at most. Ask for 8 GB or less."
    );
}

// What the simulated world has found.

#[test]
fn what_a_late_create_has_made_is_not_adopted_and_a_removal_is_told() {
    let mut bench = Bench::new();
    bench.asks("alice", 1);
    bench.stops("alice");
    let server = bench.id("alice");
    bench.hears("h1", &[]);
    let late = |state| bench.observed("alice", 1, &state);
    let (created, running) = (late(ObservedState::Created), late(ObservedState::Running));
    let before = bench.revision("h1");
    bench.say("a late create shows");
    bench.report("h1", Ok(vec![created.clone()]), Vec::new());
    bench.say("alice removes");
    bench.take(Event::Remove { server, reply: None });
    assert!(bench.revision("h1") > before, "the set says less than before");
    bench.say("the late create still shows");
    bench.report("h1", Ok(vec![created]), Vec::new());
    bench.say("a report is overtaken");
    bench.report("h1", Ok(vec![running]), Vec::new());
    bench.shows();
    check(
        &bench,
        "
        alice asks for 1 GB:  save-decision(placed.now) save-server tell-h1 reply-accepted(h1)
        alice stops:  save-server routes tell-h1 reply-StopUnderWay
        h1 reports []:  tell-h1 routes save-server tell-h1
        a late create shows:  tell-h1
        alice removes:  tell-h1 save-gone
        the late create still shows:  tell-h1
        a report is overtaken:  tell-h1
    ",
    );
}

#[test]
fn a_report_from_before_the_first_answer_proves_no_end() {
    let mut bench = Bench::new();
    bench.asks("alice", 1);
    let ordered = bench.revision("h1");
    bench.applied.insert("h1", ordered);
    bench.hears_old("h1", &[("alice", 1, ObservedState::Ready)]);
    // Sent when the order was known and the container was not yet made.
    bench.hears_old("h1", &[]);
    bench.shows();
    bench.hears("h1", &[]);
    bench.shows();
    check(
        &bench,
        "
        alice asks for 1 GB:  save-decision(placed.now) save-server tell-h1 reply-accepted(h1)
        h1 reports [alice#1 ready]:  routes save-server tell-h1
        h1 reports []:  tell-h1
          alice#1 running on h1
          order to h1: Keep alice#1
        h1 reports []:  save-server routes tell-h1 tell-h1
          alice#1 stopping on h1
          order to h1: Stop alice#1
    ",
    );
}

#[test]
fn after_a_failed_commit_an_older_report_proves_no_absence() {
    let mut bench = Bench::new();
    let old = bench.revision("h1");
    bench.asks("alice", 1);
    bench.stops("alice");
    let saved: Vec<_> = bench.fleet.servers.values().map(|server| (**server).clone()).collect();
    let hosts: Vec<_> = bench
        .fleet
        .hosts
        .values()
        .map(|host| {
            let mut host = (**host).clone();
            (host.heard, host.seq) = (None, 0);
            host
        })
        .collect();
    let told = bench.revision("h1");
    bench.fleet = Fleet::resume(&bench.fleet, hosts, saved);
    assert!(bench.revision("h1") > told, "numbers go on");
    bench.applied.insert("h1", old);
    bench.hears_old("h1", &[]);
    bench.applied.insert("h1", told);
    bench.hears_old("h1", &[]);
    bench.shows();
    bench.hears("h1", &[]);
    bench.shows();
    check(
        &bench,
        "
        alice asks for 1 GB:  save-decision(placed.now) save-server tell-h1 reply-accepted(h1)
        alice stops:  save-server routes tell-h1 reply-StopUnderWay
        h1 reports []:  tell-h1
        h1 reports []:  tell-h1
          alice#1 stopping on h1
          order to h1: Stop alice#1
        h1 reports []:  tell-h1 routes save-server tell-h1
          alice#1 ended last: stopped.user
    ",
    );
}

#[test]
fn an_adopted_container_that_vanishes_before_it_answers_is_released() {
    let mut bench = Bench::new();
    bench.hears("h1", &[("zoe", 3, ObservedState::Running)]);
    bench.shows();
    bench.hears("h1", &[]);
    bench.hears("h1", &[]);
    bench.shows();
    check(&bench, "
        h1 reports [zoe#3 running]:  alarm(adopted server 0000000000000063 of zoe on h1, which the store did not know) save-server tell-h1
          zoe#3 starting on h1
          order to h1: Keep zoe#3
        h1 reports []:  save-server routes tell-h1 tell-h1
        h1 reports []:  tell-h1 routes save-server tell-h1
          zoe#3 ended last: stopped.crash
    ");
}

#[test]
fn a_server_that_lives_on_two_hosts_is_found() {
    let mut bench = Bench::new();
    bench.asks("alice", 1);
    bench.hears("h1", &[("alice", 1, ObservedState::Ready)]);
    bench.hears("h2", &[("alice", 1, ObservedState::Created)]);
    assert_eq!(check::doubled(&bench.fleet), [], "one that was never started does not live");
    bench.hears("h2", &[("alice", 1, ObservedState::Running)]);
    let found = check::doubled(&bench.fleet);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].invariant, "S1-one-container");
    assert!(found[0].found.ends_with("lives on h1 and h2"), "{}", found[0].found);
}

/// What a server was given to run: the image's name and its build.
fn given(bench: &Bench, user: &str) -> (String, String) {
    let server = &bench.fleet.servers[&bench.id(user)];
    let pin = server.placement().unwrap().image.clone().unwrap();
    (pin.name, pin.build)
}

#[test]
fn a_server_keeps_the_build_that_it_was_placed_with() {
    let (old, new) = ("img@sha256:01".to_owned(), "img@sha256:02".to_owned());
    let mut bench = Bench::new();
    let holds = |bench: &mut Bench, host: &'static str, build: &String| {
        bench.builds.insert(host, BTreeMap::from([("img:1".to_owned(), build.clone())]));
        bench.hears(host, &[]);
    };
    bench.asks("early", 1);
    assert_eq!(given(&bench, "early"), ("img:1".into(), String::new()), "nobody knew it");
    bench.stops("early");
    holds(&mut bench, "h1", &old);
    holds(&mut bench, "h2", &old);
    bench.asks("alice", 1);
    assert_eq!(given(&bench, "alice"), ("img:1".into(), old.clone()));

    // The name stands for something else from now on: for whom starts now.
    let present = |bench: &Bench, host: &str| {
        let host = &bench.fleet.hosts[&host.parse::<HostId>().unwrap()];
        host.heard.as_ref().unwrap().images.contains("img:1")
    };
    bench.builds.insert("h3", BTreeMap::from([("img:1".to_owned(), new.clone())]));
    bench.boot.insert("h3", "boot-c");
    for host in ["h1", "h2", "h3"] {
        bench.hears(host, &[]);
    }
    assert!(present(&bench, "h1") && !present(&bench, "h3"), "most hosts have the old one");
    holds(&mut bench, "h1", &new);
    bench.hears("h2", &[]);
    assert!(present(&bench, "h1") && !present(&bench, "h2"), "now the new one");
    bench.asks("bob", 1);
    assert_eq!(given(&bench, "bob"), ("img:1".into(), new));
    assert_eq!(given(&bench, "alice"), ("img:1".into(), old.clone()));
    bench.reborn();
    assert_eq!(given(&bench, "alice"), ("img:1".into(), old), "it is saved with the server");
}

#[test]
fn an_image_that_no_host_has_is_decided_by_what_its_registry_gave_first() {
    let (first, moved) = ("img@sha256:01".to_owned(), "img@sha256:02".to_owned());
    let mut bench = Bench::new();
    let gives = |bench: &mut Bench, build: &String| {
        for host in ["h1", "h2"] {
            bench.offered.insert(host, BTreeMap::from([("img:1".to_owned(), build.clone())]));
            bench.hears(host, &[]);
        }
    };
    gives(&mut bench, &first);
    bench.asks("alice", 1);
    assert_eq!(given(&bench, "alice"), ("img:1".into(), first.clone()));
    // The name has moved on in the registry before any host holds it: one build for both.
    gives(&mut bench, &moved);
    bench.asks("bob", 1);
    assert_eq!(given(&bench, "bob"), ("img:1".into(), first));
    bench.stops("alice");
    bench.stops("bob");
    gives(&mut bench, &moved);
    bench.asks("carol", 1);
    assert_eq!(given(&bench, "carol"), ("img:1".into(), moved));
}

#[test]
fn a_canary_gets_the_new_image_and_the_others_the_one_before() {
    let mut settings = settings();
    let people = People { groups: ["support".to_owned()].into(), ..People::default() };
    let until = Some(Timestamp(0).plus(Seconds(3600)));
    let stage = Stage::Canary { people, until };
    let rollout = Rollout { previous: "img:0".into(), stage };
    settings.rollouts.insert("default".into(), rollout);
    let mut bench = Bench::silent();
    bench.fleet = Fleet::restore(Epoch(1), Arc::new(settings), [], []);
    bench.hears("h1", &[]);
    bench.hears("h2", &[]);
    bench.asks("support-ann", 1);
    bench.asks("atlas-bob", 1);
    assert_eq!(given(&bench, "support-ann").0, "img:1");
    assert_eq!(given(&bench, "atlas-bob").0, "img:0");
    bench.waits(3600);
    bench.hears("h1", &[]);
    bench.hears("h2", &[]);
    bench.asks("atlas-eve", 1);
    assert_eq!(given(&bench, "atlas-eve").0, "img:1", "its time is over");
}
