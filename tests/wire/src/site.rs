//! A whole simulated site: hubs, twelve hosts and the network between them. Time passes only when
//! a test lets it, and after each step it is looked at what must always be true.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use berth_common::link::{Account, ObservedState, Report};
use berth_common::{DecisionId, Epoch, HostId, Reason, Revision, Seconds, ServerId, Timestamp};
use berth_core::event::{StartRequest, Wish};
use berth_core::{Event, Fleet};
use berth_hub::site::Hub;
use tempfile::TempDir;

use crate::shared::Shared;
use crate::transcript::{Line, What};
use crate::{clock, host, hub};

/// How many hosts a site has.
pub const HOSTS: usize = 12;

/// Once nothing is broken any more, everybody is as they should be within this time: the longest
/// wait for an answer (5 s), the longest pause (5 s), a start, and a report (5 s).
pub const CONVERGED_WITHIN: Duration = Duration::from_secs(20);

const TICK: Duration = Duration::from_millis(10);

/// A site whose first hub, `hub1`, and hosts are up.
pub struct Site {
    sim: turmoil::Sim<'static>,
    /// What its machines leave for us.
    pub shared: Arc<Shared>,
    judge: Judge,
    people: u64,
    _folder: TempDir,
}

impl Site {
    /// Where everybody has joined and is linked.
    ///
    /// # Panics
    /// When they do not come to that.
    pub fn new(seed: u64) -> Self {
        clock::begin();
        let folder = tempfile::tempdir().expect("a folder");
        let names = (1..=HOSTS).map(|number| format!("wn{number:02}"));
        let hosts: Vec<HostId> = names.map(|name| name.parse().expect("a host's name")).collect();
        let shared = Shared::new(seed, folder.path().to_owned(), hosts);
        let sim = turmoil::Builder::new()
            .rng_seed(seed)
            .tick_duration(TICK)
            .simulation_duration(Duration::from_secs(86_400))
            .min_message_latency(Duration::from_millis(1))
            .max_message_latency(Duration::from_millis(20))
            .tcp_capacity(4_096)
            .build();
        let judge = Judge::default();
        let mut site = Self { sim, shared, judge, people: 0, _folder: folder };
        site.add_hub("hub1");
        for name in site.shared.hosts.clone() {
            let shared = Arc::clone(&site.shared);
            site.sim.host(name.to_string(), move || host::live(Arc::clone(&shared), name.clone()));
        }
        site.until("everybody is linked", CONVERGED_WITHIN, |site| site.converged("hub1"));
        site
    }

    /// Another machine with a hub; its state lies in the folder of its name.
    pub fn add_hub(&mut self, name: &'static str) {
        let shared = Arc::clone(&self.shared);
        self.sim.host(name, move || hub::reign(Arc::clone(&shared), name));
    }

    /// Another machine with any program.
    pub fn add<F: Future<Output = turmoil::Result> + 'static>(
        &mut self,
        name: &str,
        program: impl Fn() -> F + 'static,
    ) {
        self.sim.host(name.to_owned(), program);
    }

    /// The hosts.
    pub fn hosts(&self) -> Vec<HostId> {
        self.shared.hosts.clone()
    }

    /// Simulated milliseconds since the beginning.
    pub fn now_ms(&self) -> u64 {
        u64::try_from(self.sim.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Lets time pass.
    ///
    /// # Panics
    /// When a machine's program ends, or something is not as it must always be.
    pub fn pass(&mut self, time: Duration) {
        let end = self.sim.elapsed() + time;
        while self.sim.elapsed() < end {
            self.step();
        }
    }

    /// Lets time pass until something is the case, and says how long that took.
    ///
    /// # Panics
    /// When that takes longer than it may; with all that happened.
    pub fn until(&mut self, what: &str, within: Duration, is: impl Fn(&Self) -> bool) -> Duration {
        let begun = self.sim.elapsed();
        while !is(self) {
            let taken = self.sim.elapsed() - begun;
            assert!(taken < within, "not within {within:?}: {what}\n{}", self.shared.log);
            self.step();
        }
        self.sim.elapsed() - begun
    }

    fn step(&mut self) {
        if let Err(error) = self.sim.step() {
            panic!("a machine's program has ended: {error}\n{}", self.shared.log);
        }
        clock::advance(self.sim.elapsed());
        self.judge.look(&self.shared);
    }

    /// A running hub.
    ///
    /// # Panics
    /// When it does not run.
    pub fn hub(&self, name: &str) -> Arc<Hub> {
        self.shared.hub(name).expect("a running hub")
    }

    /// What a hub knows.
    pub fn fleet(&self, hub: &str) -> Arc<Fleet> {
        self.hub(hub).fleet.fleet()
    }

    /// A new person starts a server.
    pub fn start(&mut self, hub: &str) -> ServerId {
        self.people += 1;
        let (number, name) = (self.people, format!("person{:02}", self.people));
        let server = ServerId::from_random(number);
        let account = Account {
            name: name.parse().expect("a person's name"),
            uid: 20_000,
            gid: 20_000,
            groups: Vec::new(),
            home: format!("/home/{name}"),
        };
        let request = StartRequest {
            server: server.clone(),
            decision: DecisionId::from_random(number),
            account,
            name: "".parse().expect("the default server"),
            wish: Wish::default(),
            watched: false,
            barred: None,
            user_options: None,
            reply: None,
        };
        self.hub(hub).fleet.try_send(Event::Start(Box::new(request)));
        server
    }

    /// Somebody stops a server.
    pub fn stop(&self, hub: &str, server: &ServerId) {
        let (server, reason) = (server.clone(), Reason::StoppedAdmin);
        self.hub(hub).fleet.try_send(Event::Stop { server, reason, reply: None });
    }

    /// What an agent last reported.
    pub fn report(&self, host: &HostId) -> Option<Report> {
        self.shared.agent(host).and_then(|agent| agent.reports.borrow().clone())
    }

    /// Which servers have a container on a host.
    pub fn containers(&self, host: &HostId) -> BTreeSet<ServerId> {
        let report = self.report(host);
        let seen = report.and_then(|report| report.engine.ok()).unwrap_or_default();
        seen.into_iter().map(|one| one.server).collect()
    }

    /// Whether every host is linked to this hub, has taken over the newest that it was told and
    /// runs just that, and the hub knows.
    pub fn converged(&self, hub: &str) -> bool {
        self.shared.hub(hub).is_some()
            && self.hosts().iter().all(|host| self.has_converged(hub, host))
    }

    /// Whether this one has.
    pub fn has_converged(&self, hub: &str, host: &HostId) -> bool {
        let fleet = self.fleet(hub);
        let Some(known) = fleet.hosts.get(host) else { return false };
        let Some(heard) = &known.heard else { return false };
        let newest = Revision { epoch: fleet.epoch, seq: known.seq };
        let placed = fleet
            .servers
            .values()
            .filter(|server| server.placement().is_some_and(|placement| placement.host == *host));
        let placed: BTreeSet<ServerId> = placed.map(|server| server.id.clone()).collect();
        let report = self.report(host);
        let runs = report.is_some_and(|report| {
            report.applied == newest
                && report.pending.is_empty()
                && report
                    .engine
                    .is_ok_and(|seen| seen.iter().all(|one| one.state == ObservedState::Ready))
        });
        let known: BTreeSet<&ServerId> = heard.observed.keys().collect();
        runs && heard.applied == newest
            && clock::now().millis_since(heard.at) < 6_000
            && self.containers(host) == placed
            && known.into_iter().eq(placed.iter())
    }

    /// A machine goes down, at once.
    pub fn crash(&mut self, name: &str) {
        self.shared.set_hub(name, None);
        self.judge.forget(name);
        self.sim.crash(name);
    }

    /// It comes up again, and its program starts.
    pub fn boot(&mut self, name: &str) {
        self.sim.bounce(name);
    }

    /// A hub's process is killed. Its machine stays up and refuses whoever dials.
    pub fn kill(&mut self, hub: &str) {
        self.shared.set_ended(hub, true);
        self.pass(2 * TICK);
        self.crash(hub);
        self.boot(hub);
    }

    /// The process starts again.
    pub fn restart(&mut self, hub: &str) {
        self.shared.set_ended(hub, false);
    }

    /// Nothing passes between two machines, as if the cable were cut.
    pub fn cut(&self, one: &str, other: &str) {
        self.sim.partition(one, other);
    }

    /// Nothing passes from one machine to the other; the other way everything does.
    pub fn cut_oneway(&self, from: &str, to: &str) {
        self.sim.partition_oneway(from, to);
    }

    /// Everything passes again, both ways.
    pub fn mend(&self, one: &str, other: &str) {
        self.sim.repair(one, other);
    }

    /// From now on whatever passes between two machines takes this long, each way.
    pub fn slow_down(&self, one: &str, other: &str, takes: Duration) {
        self.sim.set_link_latency(one, other, takes);
    }

    /// What happened since a moment.
    pub fn since(&self, at_ms: u64) -> Vec<Line> {
        self.shared.log.since(at_ms)
    }
}

/// Looks after each step at what must always be true.
#[derive(Debug, Default)]
struct Judge {
    /// Where each server ever was.
    places: BTreeMap<ServerId, BTreeSet<HostId>>,
    /// What was last seen of each hub's view of each host.
    views: BTreeMap<(String, HostId), View>,
    /// The highest reign that each host has obeyed.
    obeyed: BTreeMap<HostId, Epoch>,
    read: usize,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct View {
    epoch: Epoch,
    session: u64,
    sent: Timestamp,
}

impl Judge {
    fn look(&mut self, shared: &Shared) {
        for name in ["hub1", "hub2"] {
            let Some(hub) = shared.hub(name) else { continue };
            let fleet = hub.fleet.fleet();
            for server in fleet.servers.values() {
                if let Some(placement) = server.placement() {
                    let places = self.places.entry(server.id.clone()).or_default();
                    places.insert(placement.host.clone());
                }
            }
            self.one_session_counts(name, &fleet);
        }
        self.nobody_is_told_of_another(shared);
        self.no_earlier_reign_is_obeyed(shared);
    }

    /// What a hub knows of a host comes over one session at a time, the newest, and only grows
    /// newer.
    fn one_session_counts(&mut self, hub: &str, fleet: &Fleet) {
        for host in fleet.hosts.values() {
            let Some(heard) = &host.heard else { continue };
            let view = View { epoch: fleet.epoch, session: host.session, sent: heard.sent };
            let last = self.views.insert((hub.to_owned(), host.id.clone()), view);
            if let Some(last) = last.filter(|last| last.epoch == view.epoch) {
                let newer = view.session >= last.session && view.sent >= last.sent;
                assert!(newer, "{hub} went back with {}: {last:?}, then {view:?}", host.id);
            }
        }
    }

    fn nobody_is_told_of_another(&mut self, shared: &Shared) {
        let lines = shared.log.after(self.read);
        self.read += lines.len();
        for Line { who, what, .. } in lines {
            let What::Told(_, servers) = what else { continue };
            for server in servers {
                let places = self.places.get(&server);
                let is_theirs =
                    places.is_some_and(|hosts| hosts.iter().any(|host| host.as_str() == who));
                assert!(is_theirs, "{who} was told of {server}, which was never to be there");
            }
        }
    }

    fn no_earlier_reign_is_obeyed(&mut self, shared: &Shared) {
        for host in &shared.hosts {
            let Some(agent) = shared.agent(host) else { continue };
            let Some(epoch) = agent.reports.borrow().as_ref().map(|report| report.applied.epoch)
            else {
                continue;
            };
            let highest = self.obeyed.entry(host.clone()).or_default();
            // An agent that was just started has applied nothing yet.
            assert!(
                epoch >= *highest || epoch == Epoch::default(),
                "{host} obeys the reign {epoch}, and obeyed {highest} before"
            );
            *highest = epoch.max(*highest);
        }
    }

    fn forget(&mut self, hub: &str) {
        self.views.retain(|(name, _), _| name != hub);
    }
}

/// So many days, for clocks.
pub fn days(number: u64) -> Seconds {
    Seconds(number * 86_400)
}
