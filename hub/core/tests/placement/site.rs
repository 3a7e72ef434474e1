//! A site with everything that decides: pools of each kind, GPUs whole and shared, whitelists,
//! quotas, budgets, a training, hosts that come and go; and a day on it, drawn from a seed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use berth_common::link::{Capacity, HostFacts, Observed, ObservedState, Origin, Report, Usage};
use berth_common::{
    BootId, ByteCount, DecisionId, Epoch, HostId, Incarnation, Reason, Revision, Seconds, ServerId,
    ServerName, Timestamp,
};
use berth_core::decision::{Decision, Nearest, Outcome};
use berth_core::event::{Row, StartRequest, Wish};
use berth_core::fleet::{Intent, Order, Phase};
use berth_core::{Effect, Event, Fleet, step};

use super::chance::Chance;
use super::declared::{BEGIN, GB, Machine, account, machines, settings};

pub struct Site {
    pub fleet: Fleet,
    now: Timestamp,
    chance: Chance,
    machines: BTreeMap<HostId, Machine>,
    used: BTreeMap<ServerId, ByteCount>,
    ids: u64,
    people: usize,
}

impl Site {
    /// The whole site.
    pub fn new(seed: u64) -> Self {
        Self::with(seed, 14)
    }

    /// Three people only, who meet their quotas all the time.
    pub fn small(seed: u64) -> Self {
        Self::with(seed, 3)
    }

    fn with(seed: u64, people: usize) -> Self {
        let machines = machines();
        let fleet = Fleet::restore(Epoch(1), Arc::new(settings()), [], []);
        let chance = Chance::new(seed);
        let used = BTreeMap::new();
        let mut site = Self { fleet, now: BEGIN, chance, machines, used, ids: 0, people };
        site.all_report();
        site.take(Event::Tick);
        site
    }

    fn take(&mut self, event: Event) -> Vec<Effect> {
        step(&mut self.fleet, self.now, event)
    }

    /// Something happens; the decision about a request, if one was made.
    pub fn live(&mut self) -> Option<Decision> {
        self.live_and_look(|_, _| ()).map(|(decision, ())| decision)
    }

    /// The same, with a look at the fleet as the decision saw it.
    pub fn live_and_look<T>(
        &mut self,
        look: impl Fn(&Fleet, &Decision) -> T,
    ) -> Option<(Decision, T)> {
        self.now = self.now.plus(Seconds(self.chance.below(4) as u64));
        match self.chance.below(20) {
            0..=9 => return self.start(look),
            10..=13 => self.somebody_stops(),
            14..=16 => self.all_report(),
            17 => self.a_host_falls_silent_or_comes_back(),
            18 => self.an_administrator_changes_a_host(),
            _ => self.time_passes(),
        }
        None
    }

    fn start<T>(&mut self, look: impl Fn(&Fleet, &Decision) -> T) -> Option<(Decision, T)> {
        let request = self.random_request();
        let now = self.now;
        let mut before = self.fleet.clone();
        // The step first brings the floor up to the moment; the look must see the same.
        let foreseen = {
            step(
                &mut before,
                now,
                Event::Activity {
                    server: ServerId::from_random(u64::MAX),
                    kind: berth_core::life::Evidence::Browser,
                    at: now,
                },
            );
            berth_core::step::dry_run(&before, now, &request)
        };
        let effects = self.take(Event::Start(Box::new(request)));
        let decision = effects.into_iter().find_map(|effect| match effect {
            Effect::Save(Row::Decision(decision)) => Some(Decision::clone(&decision)),
            _ => None,
        })?;
        assert_eq!(foreseen, decision, "the dry run says what then happens");
        let seen = look(&before, &decision);
        Some((decision, seen))
    }

    /// What a request would come to.
    pub fn dry_run(&self, request: &StartRequest) -> Decision {
        berth_core::step::dry_run(&self.fleet, self.now, request)
    }

    /// The same, with what was found remembered.
    pub fn remembered(&mut self, request: &StartRequest) -> Decision {
        berth_core::step::ask(&mut self.fleet, self.now, request)
    }

    /// Whether a request would start nothing since its server is not idle.
    pub fn is_active(&self, request: &StartRequest) -> bool {
        let server = self.fleet.find(&request.account.name, &request.name);
        server.is_some_and(|server| server.is_active())
    }

    /// Somebody asks for something.
    pub fn random_request(&mut self) -> StartRequest {
        let user = self.chance.below(self.people);
        let profile =
            self.chance.one_of(&["cpu", "cpu", "cpu", "big", "gpu", "gpu", "part", "school"]);
        let memory = match self.chance.below(4) {
            0 => None,
            1 => Some(ByteCount((1 + self.chance.below(64) as u64) * (GB / 2))),
            _ => Some(ByteCount(self.chance.one_of(&[2, 4, 8, 16, 28, 40]) * GB)),
        };
        let gpus = (self.chance.below(3) == 0).then(|| 1 + self.chance.below(4) as u32);
        let gpus = gpus.filter(|_| profile == "gpu");
        let name = self.chance.one_of(&["", "n1", "n2", "n3"]);
        self.ids += 1;
        StartRequest {
            server: ServerId::from_random(self.ids),
            decision: DecisionId::from_random(self.ids),
            account: account(user),
            name: name.parse().unwrap_or_else(|_| ServerName::default_server()),
            wish: Wish { memory, gpus, ..super::wish(profile) },
            watched: false,
            barred: None,
            user_options: None,
            reply: None,
        }
    }

    fn somebody_stops(&mut self) {
        let active: Vec<ServerId> = self
            .fleet
            .servers
            .values()
            .filter(|server| server.is_active())
            .map(|server| server.id.clone())
            .collect();
        if active.is_empty() {
            return;
        }
        let server = self.chance.one_of(&active);
        self.take(Event::Stop { server, reason: Reason::StoppedUser, reply: None });
    }

    fn a_host_falls_silent_or_comes_back(&mut self) {
        let names: Vec<HostId> = self.machines.keys().cloned().collect();
        let host = self.chance.one_of(&names);
        let machine = self.machines.get_mut(&host).expect("it is one of them");
        machine.silent = !machine.silent;
        self.now = self.now.plus(Seconds(20));
        self.all_report();
    }

    fn an_administrator_changes_a_host(&mut self) {
        let names: Vec<HostId> = self.machines.keys().cloned().collect();
        let host = self.chance.one_of(&names);
        let order = Order { reason: "kernel".into(), who: "frank".into(), at: self.now };
        let by = Some(self.now.plus(Seconds(7_200)));
        let intent = match self.chance.below(6) {
            0 => Intent::Cordoned(order),
            1 => {
                let plan = berth_core::step::drain_plan(
                    &host,
                    by,
                    berth_core::drain::single::AtDeadline::Hold,
                );
                Intent::Draining { order, by, plan }
            }
            _ => Intent::Open,
        };
        self.take(Event::Intend { host, intent, reply: None });
    }

    fn time_passes(&mut self) {
        let minutes = self.chance.one_of(&[1, 10, 40, 240]);
        self.now = self.now.plus(Seconds(60 * minutes));
        self.all_report();
        self.take(Event::Tick);
    }

    /// Every machine that is not silent says what runs there; servers told to stop are gone.
    fn all_report(&mut self) {
        for host in self.machines.keys().cloned().collect::<Vec<_>>() {
            if !self.machines[&host].silent {
                self.report(&host);
            }
        }
    }

    fn report(&mut self, host: &HostId) {
        let machine = self.machines[host].clone();
        let running: Vec<_> = self
            .fleet
            .placed_on(host)
            .filter(|(_, placement)| placement.stop.is_none())
            .map(|(server, placement)| (server.clone(), placement.clone()))
            .collect();
        let mut observed = Vec::new();
        for (server, placement) in running {
            let limit = placement.reservation.memory;
            let grows = ByteCount(limit.0 / 64 * self.chance.below(6) as u64);
            let used = self.used.entry(server.id.clone()).or_default();
            *used = if self.chance.below(8) == 0 {
                ByteCount(limit.0 / 32)
            } else {
                used.plus(grows).min(limit)
            };
            observed.push(Observed {
                server: server.id.clone(),
                generation: server.generation,
                epoch: Epoch(1),
                state: ObservedState::Ready,
                steps: Vec::new(),
                memory_used: *used,
                usage: Usage::default(),
                limit: None,
                resize_refused: None,
                kills: Vec::new(),
                left_out: Vec::new(),
                origin: Origin {
                    user: server.owner.clone(),
                    server_name: server.name.clone(),
                    profile: server.ask.profile.clone(),
                    memory: limit,
                    gpus: placement.gpus.clone(),
                    decision: None,
                },
            });
        }
        self.says(host, &machine, observed);
    }

    fn says(&mut self, host: &HostId, machine: &Machine, observed: Vec<Observed>) {
        let used: u64 = observed.iter().map(|seen| seen.memory_used.0).sum();
        let seq = self.fleet.hosts.get(host).map_or(0, |host| host.seq);
        let report = Report {
            incarnation: Incarnation(1),
            boot_id: "boot".parse::<BootId>().expect("a boot id"),
            sent: self.now,
            applied: Revision { epoch: Epoch(1), seq },
            engine: Ok(observed),
            pending: Vec::new(),
            gpus: machine.gpus.clone(),
            spaces: Vec::new(),
            capacity: Capacity {
                memory_total: ByteCount(machine.memory),
                memory_free: ByteCount(machine.memory.saturating_sub(used).saturating_sub(GB / 2)),
                cpus: 16,
                memory_pressure: None,
            },
            facts: HostFacts { images: vec!["img:1".into()], ..HostFacts::default() },
        };
        let session = machine.session;
        self.take(Event::Reported { host: host.clone(), session, report: Box::new(report) });
    }

    /// The same request after a change that its explanation names.
    pub fn with_change(
        &mut self,
        request: &StartRequest,
        before: &Decision,
        change: &Nearest,
    ) -> Decision {
        let mut then = Self {
            chance: Chance::new(0),
            machines: self.machines.clone(),
            used: self.used.clone(),
            fleet: self.fleet.clone(),
            ..*self
        };
        let ask = &before.ask;
        let mut request = request.clone();
        request.wish = berth_core::queue::again(ask);
        match change {
            Nearest::Memory(memory) => request.wish.memory = Some(*memory),
            Nearest::Gpus(gpus) => request.wish.gpus = Some(*gpus),
            Nearest::Profile(profile) => request.wish = super::wish(profile),
            Nearest::Stop(server) => then.ends(server),
            Nearest::From(moment) => {
                then.now = *moment;
                then.only_say_again();
            }
            Nearest::HostBack { host, .. } => {
                let intent = Intent::Open;
                then.take(Event::Intend { host: host.clone(), intent, reply: None });
                then.says_again(host);
            }
        }
        then.dry_run(&request)
    }

    fn ends(&mut self, server: &ServerId) {
        let host = self.fleet.servers[server].placement().map(|placement| placement.host.clone());
        self.take(Event::Stop { server: server.clone(), reason: Reason::StoppedUser, reply: None });
        if let Some(host) = host {
            self.says_again(&host);
        }
    }

    fn only_say_again(&mut self) {
        for host in self.machines.keys().cloned().collect::<Vec<_>>() {
            if !self.machines[&host].silent {
                self.says_again(&host);
            }
        }
    }

    /// The same report as before, less what was told to stop.
    fn says_again(&mut self, host: &HostId) {
        let machine = self.machines[host].clone();
        let heard = self.fleet.hosts[host].heard.clone().expect("it has reported once");
        let placed: BTreeSet<ServerId> = self
            .fleet
            .placed_on(host)
            .filter(|(_, placement)| placement.stop.is_none())
            .map(|(server, _)| server.id.clone())
            .collect();
        let observed = heard.observed.values().filter(|seen| placed.contains(&seen.server));
        self.says(host, &machine, observed.cloned().collect());
    }

    /// What the rules of the site say about a decision, told from the settings alone.
    pub fn rules_hold(&self, decision: &Decision) -> Result<(), String> {
        let Outcome::Placed { host, gpus, .. } = &decision.outcome else { return Ok(()) };
        let settings = &self.fleet.settings;
        let profile = &settings.profiles[&decision.ask.profile];
        let declared = &settings.hosts[host];
        let in_group = |group: &str| decision.groups.iter().any(|own| own == group);
        let expect = |holds: bool, what: &str| {
            if holds { Ok(()) } else { Err(format!("{what}: {decision:#?}")) }
        };
        expect(
            declared.pool == profile.pool || Some(&declared.pool) == profile.overflow.as_ref(),
            "pool",
        )?;
        let listed = matches!(decision.ask.profile.as_str(), "gpu" | "part");
        expect(!listed || in_group("lsst") || decision.user.as_str() == "u2", "whitelist")?;
        expect(decision.user.as_str() != "u5", "deny")?;
        let open = settings.trainings["school"].open_window(decision.at).is_some();
        expect(decision.ask.profile != "school" || (open && in_group("pupils")), "training")?;
        expect(
            !(in_group("euclid") && decision.ask.profile == "cpu")
                || host.as_str() == "c5"
                || host.as_str() == "c4",
            "required hosts",
        )?;
        expect(gpus.len() == decision.ask.gpus as usize, "devices")?;
        let silent = self.machines[host].silent
            && self.fleet.hosts[host]
                .heard
                .as_ref()
                .is_some_and(|heard| decision.at.millis_since(heard.at) > 15_000);
        expect(!silent, "silence")
    }

    /// Each person's servers against the quota that the settings give them.
    pub fn quotas_hold(&self) -> Result<(), String> {
        for user in 0..self.people {
            let account = account(user);
            let (mut servers, mut memory, mut gpus) = (0, 0, 0);
            for server in self.fleet.servers_of(&account.name).filter(|server| server.is_active()) {
                if server.ask.profile == "school" {
                    continue;
                }
                servers += 1;
                memory += server.ask.memory.0;
                gpus += server.ask.gpus;
            }
            let lsst = account.groups.iter().any(|group| group.name == "lsst");
            let (most, most_memory, most_gpus) =
                if lsst { (3, 64 * GB, 2) } else { (2, 40 * GB, 1) };
            if servers > most || memory > most_memory || gpus > most_gpus {
                return Err(format!(
                    "{}: {servers} servers, {memory} bytes, {gpus} GPUs",
                    account.name
                ));
            }
        }
        Ok(())
    }

    /// Everything is well again, and one after the other leaves; the names of those that still wait.
    pub fn everybody_leaves(&mut self) -> Vec<String> {
        for host in self.machines.keys().cloned().collect::<Vec<_>>() {
            self.machines.get_mut(&host).expect("it is one of them").silent = false;
            self.take(Event::Intend { host, intent: Intent::Open, reply: None });
        }
        for _ in 0..self.fleet.servers.len() + 2 {
            self.now = self.now.plus(Seconds(5));
            self.all_report();
            self.take(Event::Tick);
            let running = self.fleet.servers.values().filter(|server| server.placement().is_some());
            for server in running.map(|server| server.id.clone()).collect::<Vec<_>>() {
                self.take(Event::Stop { server, reason: Reason::StoppedUser, reply: None });
            }
        }
        let waits = |phase: &Phase| matches!(phase, Phase::Waiting { .. });
        self.fleet
            .servers
            .values()
            .filter(|server| waits(&server.phase))
            .map(|server| server.prefix())
            .collect()
    }
}
