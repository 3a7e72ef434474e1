//! A fleet of two hosts, a clock, and a record of what happened.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use berth_common::link::{
    Account, Capacity, Group, HostFacts, Observed, ObservedState, Origin, Pending, Report, Usage,
};
use berth_common::{
    ByteCount, DecisionId, Epoch, Generation, HostId, Incarnation, Reason, Revision, Seconds,
    ServerId, ServerName, Timestamp, Username,
};
use berth_core::drain::single::AtDeadline;
use berth_core::event::{Row, StartRequest, Wish};
use berth_core::fleet::{Intent, Order};
use berth_core::reconcile::orders;
use berth_core::settings::{Cite, HostSettings, Image, Pool, Profile, Quota, Quotas, Settings};
use berth_core::{Answer, Effect, Event, Fleet, Outcome, check, step};

pub const GB: u64 = 1 << 30;

/// A fleet of two hosts of 4 GB, a clock, and a record of what happened.
pub struct Bench {
    pub fleet: Fleet,
    pub now: Timestamp,
    pub ids: u64,
    pub log: String,
    pub applied: BTreeMap<&'static str, Revision>,
    pub boot: BTreeMap<&'static str, &'static str>,
    /// What names of images stand for there.
    pub builds: BTreeMap<&'static str, BTreeMap<String, String>>,
    pub offered: BTreeMap<&'static str, BTreeMap<String, String>>,
}

pub fn settings() -> Settings {
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
    let image =
        Image { reference: "img:1".into(), title: "Image".into(), shm: None, cite: cite(1) };
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
    pub fn new() -> Self {
        let mut bench = Self::silent();
        bench.hears("h1", &[]);
        bench.hears("h2", &[]);
        bench.log.clear();
        bench
    }

    /// No host has reported yet.
    pub fn silent() -> Self {
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

    pub fn drains(&mut self, host: &str, in_s: u64) {
        let host: HostId = host.parse().unwrap();
        let by = Some(self.now.plus(Seconds(in_s)));
        let order = Order { reason: "new kernel".into(), who: "frank".into(), at: self.now };
        let plan = berth_core::step::drain_plan(&host, by, AtDeadline::Stop);
        self.say(&format!("{host} is to be empty in {in_s} s"));
        let intent = Intent::Draining { order, by, plan };
        self.take(Event::Intend { host, intent, reply: None });
    }

    /// Another hub begins with what was saved.
    pub fn reborn(&mut self) {
        let hosts = self.fleet.hosts.values().map(|host| serde_json::to_string(&**host).unwrap());
        let hosts: Vec<_> = hosts.map(|text| serde_json::from_str(&text).unwrap()).collect();
        let servers = self.fleet.servers.values().map(|it| serde_json::to_string(&**it).unwrap());
        let servers: Vec<_> = servers.map(|text| serde_json::from_str(&text).unwrap()).collect();
        self.fleet = Fleet::restore(Epoch(2), Arc::new(settings()), hosts, servers);
    }

    pub fn waits(&mut self, seconds: u64) {
        self.now = self.now.plus(Seconds(seconds));
    }

    pub fn take(&mut self, event: Event) -> Vec<Effect> {
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
                    | Row::Drain(_)
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

    pub fn say(&mut self, text: &str) -> &mut Self {
        let _ = write!(self.log, "{text}:");
        self
    }

    pub fn asks(&mut self, user: &str, gigabytes: u64) -> Answer {
        self.request(user, gigabytes, false)
    }

    /// By the page, which its owner looks at until told otherwise.
    pub fn asks_and_looks(&mut self, user: &str, gigabytes: u64) -> Answer {
        self.request(user, gigabytes, true)
    }

    pub fn request(&mut self, user: &str, gigabytes: u64, watched: bool) -> Answer {
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

    pub fn stops(&mut self, user: &str) {
        let server = self.id(user);
        self.say(&format!("{user} stops"));
        self.take(Event::Stop { server, reason: Reason::StoppedUser, reply: Some(2) });
    }

    /// A heartbeat that has applied the newest desired set.
    pub fn hears(&mut self, host: &'static str, seen: &[(&str, u64, ObservedState)]) {
        let revision = self.revision(host);
        self.applied.insert(host, revision);
        self.hears_old(host, seen);
    }

    /// A heartbeat that has applied what an earlier one had.
    pub fn hears_old(&mut self, host: &'static str, seen: &[(&str, u64, ObservedState)]) {
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

    pub fn report(
        &mut self,
        host: &'static str,
        engine: Result<Vec<Observed>, String>,
        pending: Vec<Pending>,
    ) {
        let report = self.report_of(host, engine, pending);
        self.take(Event::Reported {
            host: host.parse().unwrap(),
            session: 1,
            report: Box::new(report),
        });
    }

    pub fn report_of(
        &self,
        host: &'static str,
        engine: Result<Vec<Observed>, String>,
        pending: Vec<Pending>,
    ) -> Report {
        Report {
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
        }
    }

    pub fn observed(&self, user: &str, generation: u64, state: &ObservedState) -> Observed {
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

    pub fn revision(&self, host: &str) -> Revision {
        let seq = self.fleet.hosts.get(&host.parse().unwrap()).map_or(0, |host| host.seq);
        Revision { epoch: self.fleet.epoch, seq }
    }

    pub fn id(&self, user: &str) -> ServerId {
        self.fleet.find(&name(user), &ServerName::default_server()).expect("a server").id.clone()
    }

    /// Every server's state and every host's orders.
    pub fn shows(&mut self) {
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

pub fn name(user: &str) -> Username {
    user.parse().unwrap()
}

/// The part of the name before a dash is the main group, where there is one.
pub fn account(user: &str) -> Account {
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

pub fn word(answer: &Answer) -> String {
    match answer {
        Answer::Accepted(decision) => format!("accepted({})", outcome(&decision.outcome)),
        Answer::Refused(decision) => format!("refused({})", decision.reason()),
        other => format!("{other:?}").split('(').next().unwrap_or_default().to_owned(),
    }
}

pub fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Placed { host, .. } => host.to_string(),
        Outcome::Waits { reason, ahead, .. } => format!("waits {reason}, {ahead} ahead"),
        Outcome::Refused { reason, .. } => reason.to_string(),
    }
}

pub fn short(state: &ObservedState) -> &'static str {
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
pub fn check(bench: &Bench, expected: &str) {
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
