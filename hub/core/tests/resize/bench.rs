//! A hub and one host.

use std::collections::BTreeMap;
use std::sync::Arc;

use berth_common::link::{
    Account, Capacity, HostFacts, Observed, ObservedState, Origin, Report, Usage,
};
use berth_common::{
    ByteCount, DecisionId, Epoch, HostId, Incarnation, Reason, Revision, Seconds, ServerId,
    ServerName, Timestamp,
};
use berth_core::event::{ReplyTo, ResizeRefusal, StartRequest, Wish};
use berth_core::fleet::{Placement, ResizeState};
use berth_core::reconcile::orders;
use berth_core::settings::{HostSettings, Image, Pool, Profile, Quota, Quotas, Settings};
use berth_core::{Answer, Effect, Event, Fleet, check, step};

const GB: u64 = 1 << 30;

pub fn gb(amount: u64) -> ByteCount {
    ByteCount(amount * GB)
}

/// One host of 16 GB, a profile of up to 12, 14 for each person.
pub fn settings() -> Settings {
    let host = HostSettings {
        pool: "cpu".into(),
        memory: Some(gb(16)),
        keep_free: ByteCount(0),
        gpus: None,
        address: "h1:8444".into(),
        cite: Default::default(),
    };
    let profile = Profile {
        title: "CPU".into(),
        pool: "cpu".into(),
        memory_default: gb(2),
        memory_choices: vec![gb(2), gb(4)],
        memory_max: gb(12),
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
    let quota = Quota { memory: Some(gb(14)), ..Quota::default() };
    Settings {
        hosts: BTreeMap::from([("h1".parse().unwrap(), host)]),
        pools: BTreeMap::from([("cpu".into(), Pool::default())]),
        profiles: BTreeMap::from([("cpu".into(), profile)]),
        images: BTreeMap::from([("default".into(), image)]),
        quotas: Quotas { default: quota, ..Quotas::default() },
        lost_after: Seconds(15),
        ..Settings::default()
    }
}

/// A hub and its one host, which does what it is told when the test says so.
pub struct Bench {
    pub fleet: Fleet,
    pub now: Timestamp,
    pub ids: u64,
    /// What the host has taken over.
    pub applied: Revision,
    /// Its containers: whose, which start, with what limit.
    pub containers: BTreeMap<ServerId, Observed>,
    /// Memory that the host says is free.
    pub free: ByteCount,
}

impl Bench {
    pub fn new() -> Self {
        let mut bench = Self {
            fleet: Fleet::restore(Epoch(1), Arc::new(settings()), [], []),
            now: Timestamp::from_millis(1_000_000_000),
            ids: 0,
            applied: Revision::default(),
            containers: BTreeMap::new(),
            free: gb(15),
        };
        bench.reports();
        bench
    }

    pub fn take(&mut self, event: Event) -> Vec<Effect> {
        let effects = step(&mut self.fleet, self.now, event);
        assert_eq!(check::violations(&self.fleet), []);
        effects
    }

    pub fn waits(&mut self, seconds: u64) {
        self.now = self.now.plus(Seconds(seconds));
    }

    /// The host's word about what it has.
    pub fn reports(&mut self) -> Vec<Effect> {
        let report = Report {
            incarnation: Incarnation(7),
            boot_id: "boot".parse().unwrap(),
            sent: self.now,
            applied: self.applied,
            engine: Ok(self.containers.values().cloned().collect()),
            pending: Vec::new(),
            gpus: Vec::new(),
            spaces: Vec::new(),
            capacity: Capacity {
                memory_total: gb(16),
                memory_free: self.free,
                cpus: 8,
                memory_pressure: None,
            },
            facts: HostFacts { images: vec!["img:1".into()], ..HostFacts::default() },
        };
        let host = "h1".parse().unwrap();
        self.take(Event::Reported { host, session: 1, report: Box::new(report) })
    }

    /// The host takes the newest set over.
    pub fn applies(&mut self) {
        let host: HostId = "h1".parse().unwrap();
        self.applied = Revision { epoch: self.fleet.epoch, seq: self.fleet.hosts[&host].seq };
    }

    /// A server that answers.
    pub fn runs(&mut self, user: &str, memory: u64) -> ServerId {
        let id = self.starts(user, memory);
        self.applies();
        let generation = self.fleet.servers[&id].generation;
        let seen = Observed {
            server: id.clone(),
            generation,
            epoch: Epoch(1),
            state: ObservedState::Ready,
            steps: Vec::new(),
            memory_used: ByteCount(GB / 2),
            usage: Usage::default(),
            limit: Some(gb(memory)),
            resize_refused: None,
            kills: Vec::new(),
            left_out: Vec::new(),
            origin: Origin {
                user: user.parse().unwrap(),
                server_name: ServerName::default_server(),
                profile: "cpu".into(),
                memory: gb(memory),
                gpus: Vec::new(),
                decision: None,
            },
        };
        self.containers.insert(id.clone(), seen);
        self.reports();
        self.applies();
        assert!(self.fleet.servers[&id].is_ready());
        id
    }

    pub fn starts(&mut self, user: &str, memory: u64) -> ServerId {
        self.ids += 1;
        let request = StartRequest {
            server: ServerId::from_random(self.ids),
            decision: DecisionId::from_random(self.ids),
            account: Account {
                name: user.parse().unwrap(),
                uid: 1001,
                gid: 1001,
                groups: Vec::new(),
                home: format!("/home/{user}"),
            },
            name: ServerName::default_server(),
            wish: Wish { memory: Some(gb(memory)), ..Wish::default() },
            watched: false,
            barred: None,
            user_options: None,
            reply: None,
        };
        self.take(Event::Start(Box::new(request)));
        self.fleet.find(&user.parse().unwrap(), &ServerName::default_server()).unwrap().id.clone()
    }

    pub fn asks(&mut self, server: &ServerId, memory: u64) -> Result<(), ResizeRefusal> {
        self.asks_bytes(server, gb(memory))
    }

    pub fn asks_bytes(
        &mut self,
        server: &ServerId,
        memory: ByteCount,
    ) -> Result<(), ResizeRefusal> {
        let reply: ReplyTo = 5;
        // A dry run says what then happens.
        let foreseen = step::resize_verdict(&self.fleet, self.now, server, memory).unwrap();
        let effects =
            self.take(Event::Resize { server: server.clone(), memory, reply: Some(reply) });
        let answer = effects.iter().find_map(|effect| match effect {
            Effect::Reply(5, answer) => Some(answer.clone()),
            _ => None,
        });
        let answer = match answer.unwrap() {
            Answer::Resizing => Ok(()),
            Answer::ResizeRefused(refusal) => Err(*refusal),
            other => panic!("{other:?}"),
        };
        assert_eq!(answer, foreseen);
        answer
    }

    /// What is refused, in words, after what is said to work was tried.
    pub fn refused(
        &mut self,
        server: &ServerId,
        memory: u64,
    ) -> (Reason, String, Option<ByteCount>) {
        let ResizeRefusal { reason, detail, nearest } = self.asks(server, memory).unwrap_err();
        if let Some(nearest) = nearest {
            let verdict = |memory| step::resize_verdict(&self.fleet, self.now, server, memory);
            assert_eq!(verdict(nearest), Some(Ok(())), "{detail}");
            let further = ByteCount(nearest.0 + (1 << 20));
            let limit = self.placement(server).limit();
            if nearest > limit {
                assert!(verdict(further).unwrap().is_err(), "{nearest} is not the nearest");
            }
        }
        (reason, detail, nearest)
    }

    pub fn placement(&self, server: &ServerId) -> &Placement {
        self.fleet.servers[server].placement().unwrap()
    }

    pub fn reserved(&self, server: &ServerId) -> ByteCount {
        self.placement(server).reservation.memory
    }

    /// What the host is told.
    pub fn told(&self, server: &ServerId) -> Option<(ByteCount, u64)> {
        let order = orders(&self.fleet, &"h1".parse().unwrap())[server];
        order.limit.map(|limit| (limit.memory, limit.number))
    }

    pub fn state(&self, server: &ServerId) -> ResizeState {
        self.placement(server).resize.clone().unwrap().state
    }

    /// The container gets the limit that its host was told.
    pub fn carries_out(&mut self, server: &ServerId) {
        self.applies();
        let limit = self.told(server).map(|(memory, _)| memory);
        self.containers.get_mut(server).unwrap().limit = limit;
    }
}
