//! The hub's process: the real core, driven in production's order. Events that wait together are
//! stepped together and saved in one transaction; only then do their effects leave.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write;
use std::sync::Arc;

use berth_common::link::{
    Desired, DesiredSet, ObservedState, Origin, Report, RunSpec, Verdict, Watch,
};
use berth_common::{HostId, Revision, ServerId, ServerName, Timestamp, Username};
use berth_core::event::{Effect, ReplyTo};
use berth_core::fleet::{HostState, ResizeState};
use berth_core::reconcile::{Order, What, orders};
use berth_core::store::commit_then_release;
use berth_core::usage::Usage;
use berth_core::{Event, Fleet, Host, Server, Settings, step};

use crate::world::bugs::{self, Bug};
use crate::world::disk::Disk;
use crate::world::marks::mark_of_alarm;
use crate::world::nature::{Happening, Nature};
use crate::world::network::arrivals;
use crate::world::people::Caller;
use crate::world::transcript::server_word;

/// As in production.
const BATCH: usize = 256;
const STOP_GRACE_S: u32 = 10;

/// The whole fleet is judged after this many batches that change nothing by what they say, or after
/// this many others; a large one more seldom.
const SELDOM: u64 = 32;
const OFTEN: u64 = 4;

/// The hub: its disk outlives its process.
#[derive(Debug)]
pub struct Hub {
    /// What was saved.
    pub disk: Disk,
    /// The number of its process; happenings of an earlier one are lost.
    pub life: u64,
    /// Its process, if it runs.
    pub reign: Option<Reign>,
    /// It stands still until then.
    pub paused_until: Timestamp,
    settings: Arc<Settings>,
    names: BTreeMap<HostId, usize>,
}

/// All that dies with the process.
#[derive(Debug)]
pub struct Reign {
    /// The driver's own fleet. Effects leave only when nothing of it is on its way to the disk, so
    /// what leaves is made of what is saved, and nothing has to be copied for that.
    pub fleet: Fleet,
    queue: VecDeque<(Event, Option<Caller>)>,
    awake: bool,
    batches: u64,
    in_flight: Option<Vec<Effect>>,
    /// When the last events were stepped.
    stepped_at: Timestamp,
    waiting: BTreeMap<ReplyTo, Caller>,
    next_reply: ReplyTo,
    next_session: u64,
    sessions: BTreeMap<u64, Session>,
}

#[derive(Debug)]
struct Session {
    host: usize,
    process: u64,
    last: Timestamp,
}

/// What becomes of a transaction.
enum Fate {
    Saved,
    Failed,
    DiesBefore,
    DiesInside,
    DiesAfter,
    DiesBetween,
}

impl Hub {
    /// A hub that never ran; its hosts in the order of the machines.
    pub fn new(settings: Arc<Settings>, hosts: &[HostId]) -> Self {
        let names = hosts.iter().enumerate().map(|(index, id)| (id.clone(), index));
        Self {
            disk: Disk::default(),
            life: 0,
            reign: None,
            paused_until: Timestamp::default(),
            names: names.collect(),
            settings,
        }
    }

    /// Its files change.
    pub fn under(&mut self, change: impl FnOnce(&mut Settings)) {
        change(Arc::make_mut(&mut self.settings));
    }

    /// Its files as they are now.
    pub fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings)
    }

    /// Its process starts: a new reign, saved before anybody hears of it.
    pub fn start(&mut self, nature: &mut Nature) {
        if self.reign.is_some() {
            return;
        }
        self.life += 1;
        if nature.bug != Some(Bug::ReusesEpochs) || self.life == 1 {
            self.disk.epoch = self.disk.epoch.next();
        }
        nature.say(|| format!("the hub starts, reign {}", self.disk.epoch));
        if let Some(grants) = &mut nature.history.grants {
            grants.read();
        }
        nature.history.reign_begins(self.disk.epoch, &self.disk.servers);
        let mut servers: Vec<Server> = self.disk.servers.values().cloned().collect();
        bugs::loaded(nature.bug, &mut servers);
        let hosts: Vec<Host> = self.disk.hosts.values().cloned().collect();
        let settings = Arc::clone(&self.settings);
        let mut fleet = Fleet::restore(self.disk.epoch, settings, hosts, servers);
        fleet.restored.clone_from(&self.disk.restored);
        if nature.bug != Some(Bug::ForgetsUsage) {
            fleet.usage = Usage::of(self.disk.usage.values().cloned());
        }
        self.reign = Some(Reign {
            fleet,
            queue: VecDeque::new(),
            awake: false,
            batches: 0,
            in_flight: None,
            stepped_at: Timestamp::default(),
            waiting: BTreeMap::new(),
            next_reply: 1,
            next_session: 1,
            sessions: BTreeMap::new(),
        });
        nature.schedule.after_us(0, Happening::HubTicks { life: self.life });
    }

    /// Its process dies. Connections break, and everybody notices in their own time.
    pub fn die(&mut self, nature: &mut Nature, comes_back_ms: u64) {
        let Some(reign) = self.reign.take() else { return };
        nature.say(|| "the hub dies".into());
        for (number, session) in &reign.sessions {
            let (host, process) = (session.host, session.process);
            let cut = nature.cuts.get(host).copied().unwrap_or_default();
            let wait = if cut.down { 20_000..=40_000 } else { 1..=300 };
            let wait = nature.chance.between(wait);
            nature.schedule.after_ms(wait, Happening::LinkLost { host, process, session: *number });
        }
        nature.schedule.after_ms(comes_back_ms, Happening::HubStarts);
    }

    /// Its hosts, as its files declare them.
    pub fn hosts(&self) -> impl Iterator<Item = &HostId> {
        self.names.keys()
    }

    /// The fleet, while the hub runs.
    pub fn fleet(&self) -> Option<&Fleet> {
        self.reign.as_ref().map(|reign| &reign.fleet)
    }

    /// The server of this owner and name, as everybody sees it while the hub runs: as it is saved.
    pub fn find(&self, owner: &Username, name: &ServerName) -> Option<&Server> {
        self.reign.as_ref()?;
        let id = self.disk.by_name.get(&(owner.clone(), name.clone()))?;
        self.disk.servers.get(id)
    }

    /// Takes an event in.
    pub fn send(&mut self, nature: &mut Nature, event: Event, caller: Option<Caller>) {
        let life = self.life;
        let Some(reign) = &mut self.reign else { return };
        reign.queue.push_back((event, caller));
        if !reign.awake && reign.in_flight.is_none() {
            reign.awake = true;
            nature.schedule.after_us(20, Happening::HubTakes { life });
        }
    }

    /// A second has passed.
    pub fn tick(&mut self, nature: &mut Nature) {
        let life = self.life;
        if nature.bug == Some(Bug::SilenceIsAbsence) {
            self.take_silence_for_absence(nature);
        }
        self.send(nature, Event::Tick, None);
        nature.schedule.after_ms(1000, Happening::HubTicks { life });
    }

    /// Accepts a connection and says its number.
    pub fn accept(&mut self, host: usize, process: u64) -> Option<u64> {
        let reign = self.reign.as_mut()?;
        let number = reign.next_session;
        reign.next_session += 1;
        let last = Timestamp::default();
        reign.sessions.insert(number, Session { host, process, last });
        Some(number)
    }

    /// Notices that a connection is no more.
    pub fn session_ends(&mut self, session: u64) {
        if let Some(reign) = &mut self.reign {
            reign.sessions.remove(&session);
        }
    }

    /// The driver takes what waits, steps it, and gives it to the disk.
    pub fn take(&mut self, nature: &mut Nature) {
        let now = nature.schedule.now();
        let Some(reign) = &mut self.reign else { return };
        reign.awake = false;
        reign.stepped_at = now;
        let mut effects = Vec::new();
        for _ in 0..BATCH {
            let Some((event, caller)) = reign.queue.pop_front() else { break };
            if let Some(grants) = &mut nature.history.grants {
                grants.taken(&event);
            }
            let event = prepare(nature, reign, event, now);
            if let Some(lives) = &mut nature.history.lives {
                lives.taken(&event);
            }
            let reply = caller.map(|caller| {
                let number = reign.next_reply;
                reign.next_reply += 1;
                reign.waiting.insert(number, caller);
                number
            });
            let mut outcome = step(&mut reign.fleet, now, with_reply(event, reply));
            nature.history.judge_grants(&reign.fleet, &outcome, now);
            effects.append(&mut outcome);
        }
        nature.transcript.mix(effects.len() as u64);
        // Most heartbeats change nothing, and most changes are about one server: the whole is judged
        // now and then, and what an event touched at once.
        let changes = effects.iter().any(|effect| !matches!(effect, Effect::Tell(_)));
        if changes {
            nature.is_restless();
        }
        reign.batches += u64::from(changes) * (SELDOM / OFTEN) + 1;
        if reign.batches > SELDOM + reign.fleet.servers.len() as u64 {
            reign.batches = 0;
            nature.history.judge(&reign.fleet, &mut nature.transcript);
        } else if changes {
            nature.history.judge_changed(&reign.fleet, &effects, &mut nature.transcript);
        }
        if !effects.iter().any(|effect| matches!(effect, Effect::Save(_))) {
            self.let_out(nature, effects, usize::MAX);
            return self.go_on(nature);
        }
        match nature.bug {
            Some(Bug::AcknowledgesFirst) => {
                let (early, late) =
                    effects.into_iter().partition(|effect| matches!(effect, Effect::Reply(..)));
                reign.in_flight = Some(late);
                self.let_out(nature, early, usize::MAX);
            }
            Some(Bug::TellsFirst) => {
                let (early, late) =
                    effects.into_iter().partition(|effect| matches!(effect, Effect::Tell(_)));
                reign.in_flight = Some(late);
                self.let_out(nature, early, usize::MAX);
            }
            _ => reign.in_flight = Some(effects),
        }
        let slow = !nature.healed && nature.chance.permille(nature.plan.disk.slow);
        if slow {
            nature.transcript.fault("slow disk");
        }
        let wait = nature.span_us(if slow { 500_000..=8_000_000 } else { 300..=4_000 });
        nature.schedule.after_us(wait, Happening::HubSaved { life: self.life });
    }

    /// The disk has done with the transaction.
    pub fn saved(&mut self, nature: &mut Nature) {
        let Some(mut effects) = self.reign.as_mut().and_then(|reign| reign.in_flight.take()) else {
            return;
        };
        let made_at = self.reign.as_ref().map(|reign| reign.stepped_at).unwrap_or_default();
        let away_ms = nature.chance.between(200..=20_000);
        let fate = fate(nature);
        match fate {
            Fate::DiesBefore | Fate::DiesInside => return self.die(nature, away_ms),
            Fate::Failed => self.disk.fails_next = true,
            Fate::Saved | Fate::DiesAfter | Fate::DiesBetween => {}
        }
        bugs::saved(nature.bug, &mut effects);
        nature.history.saves(&effects);
        match commit_then_release(&mut self.disk, effects) {
            Err(_) => {
                self.reload(nature);
                self.go_on(nature);
            }
            Ok(_) if matches!(fate, Fate::DiesAfter) => {
                nature.transcript.mark("the hub died between commit and send");
                nature.saved(made_at);
                self.die(nature, away_ms);
            }
            Ok(effects) => {
                nature.saved(made_at);
                let some = match fate {
                    Fate::DiesBetween => nature.chance.between(0..=effects.len() as u64) as usize,
                    _ => usize::MAX,
                };
                self.let_out(nature, effects, some);
                if matches!(fate, Fate::DiesBetween) {
                    nature.transcript.mark("the hub died when some effects had left");
                    return self.die(nature, away_ms);
                }
                self.go_on(nature);
            }
        }
    }

    fn go_on(&mut self, nature: &mut Nature) {
        let life = self.life;
        if let Some(reign) = &mut self.reign
            && !reign.queue.is_empty()
        {
            reign.awake = true;
            nature.schedule.after_us(20, Happening::HubTakes { life });
        }
    }

    /// After a commit that failed: the fleet is taken from the store again.
    fn reload(&mut self, nature: &mut Nature) {
        nature.transcript.mark("a commit failed and the fleet was loaded again");
        nature.history.not_saved();
        nature.say(|| "a commit fails: the hub goes on from what is saved".into());
        let Some(reign) = &mut self.reign else { return };
        reign.waiting.clear();
        let former = std::mem::take(&mut reign.fleet);
        let servers = self.disk.servers.values().cloned();
        let hosts = self.disk.hosts.values().cloned();
        if nature.bug != Some(Bug::ForgetsWhatWasSaid) {
            reign.fleet = Fleet::resume(&former, hosts, servers);
        } else {
            let settings = Arc::clone(&former.settings);
            let fleet = Fleet::restore(former.epoch, settings, hosts, servers);
            reign.fleet = bugs::forgets_what_was_said(&former, fleet);
        }
        reign.fleet.restored.clone_from(&self.disk.restored);
        reign.fleet.usage = Usage::of(self.disk.usage.values().cloned());
    }

    /// Lets effects out, the first so many of them.
    fn let_out(&mut self, nature: &mut Nature, effects: Vec<Effect>, some: usize) {
        let mut told = BTreeSet::new();
        let Some(reign) = &mut self.reign else { return };
        for effect in effects.into_iter().take(some) {
            match effect {
                Effect::Tell(host) => {
                    told.insert(host);
                }
                Effect::Reply(to, answer) => {
                    if let Some(caller) = reign.waiting.remove(&to) {
                        caller.hears(nature, &answer, &reign.fleet);
                    }
                }
                Effect::Alarm(text) => {
                    nature.transcript.mark(mark_of_alarm(&text));
                    nature.say(|| format!("ALARM {text}"));
                }
                Effect::Save(_) | Effect::RoutesChanged | Effect::Changed(_) => {}
            }
        }
        if some != usize::MAX {
            told = told.into_iter().take(some / 2).collect();
        }
        for host in told {
            let Some(index) = self.names.get(&host).copied() else { continue };
            tell(nature, reign, &self.disk, &host, index);
        }
    }

    fn take_silence_for_absence(&mut self, nature: &mut Nature) {
        let now = nature.schedule.now();
        let Some(reign) = &self.reign else { return };
        let mut silent = Vec::new();
        for host in reign.fleet.hosts.values() {
            if let Some(heard) = &host.heard
                && reign.fleet.host_state(host, now) == HostState::Lost
            {
                let report = Report {
                    incarnation: heard.incarnation,
                    boot_id: host.boot_id.clone().unwrap_or_else(|| boot_id(0)),
                    sent: heard.sent,
                    applied: Revision { epoch: reign.fleet.epoch, seq: u64::MAX },
                    engine: Ok(Vec::new()),
                    pending: Vec::new(),
                    gpus: Vec::new(),
                    spaces: Vec::new(),
                    capacity: heard.capacity,
                    facts: heard.facts.clone(),
                };
                let (host, session) = (host.id.clone(), host.session);
                silent.push(Event::Reported { host, session, report: Box::new(report) });
            }
        }
        for event in silent {
            self.send(nature, event, None);
        }
    }
}

/// Sends a host its desired set, over every connection that seems to be one of its agent's.
fn tell(nature: &mut Nature, reign: &mut Reign, disk: &Disk, host: &HostId, index: usize) {
    let Some(set) = desired_set(&reign.fleet, host, nature.bug) else { return };
    nature.history.tells_secrets(host, &set, &disk.servers);
    nature.history.told(index, &set);
    let cut = nature.cuts.get(index).is_some_and(|cut| cut.down);
    for session in reign.sessions.values_mut().filter(|session| session.host == index) {
        for at in arrivals(nature, cut, &mut session.last) {
            let (process, set) = (session.process, Box::new(set.clone()));
            nature.schedule.at(at, Happening::Desired { host: index, process, set });
        }
    }
}

/// Bends an event as the planted bug wants it, and notes rare paths.
fn prepare(nature: &mut Nature, reign: &Reign, event: Event, now: Timestamp) -> Event {
    let Event::Reported { host, session, mut report } = event else {
        return bugs::told(nature.bug, event);
    };
    bugs::heard(nature.bug, &reign.fleet, &mut report, now);
    for seen in report.engine.iter().flatten() {
        let placement = reign.fleet.servers.get(&seen.server).and_then(|it| it.placement());
        let Some(resize) = placement.and_then(|it| it.resize.as_ref()) else { continue };
        let refused = seen.resize_refused.as_ref().map(|refused| refused.number);
        if resize.state == ResizeState::UnderWay && refused == Some(resize.limit.number) {
            nature.transcript.mark("a host refused another limit");
        }
        if report.applied < resize.said && seen.limit == Some(resize.limit.memory) {
            nature.transcript.mark("a limit was not believed: it was older than the order");
        }
    }
    if let Some(record) = reign.fleet.hosts.get(&host) {
        if session < record.session {
            nature.transcript.mark("a report of an older session came late");
        }
        if reign.fleet.host_state(record, now) == HostState::Lost {
            nature.transcript.mark("a lost host came back");
        }
        if record.heard.as_ref().is_some_and(|heard| report.sent < heard.sent) {
            nature.transcript.mark("a report was overtaken by a newer one");
        }
    }
    if report.engine.is_err() {
        nature.transcript.mark("a report said that the engine does not answer");
    }
    for (server, placement) in reign.fleet.placed_on(&host) {
        let Some(stop) = &placement.stop else { continue };
        let Ok(observed) = &report.engine else { continue };
        if observed.iter().any(|seen| seen.server == server.id) {
            continue;
        }
        if report.pending.iter().any(|pending| pending.server == server.id) {
            nature.transcript.mark("an absence was not believed: an operation was pending");
        } else if report.applied < stop.said || report.applied.epoch != reign.fleet.epoch {
            nature.transcript.mark("an absence was not believed: it was older than the stop");
        }
    }
    nature.say(|| format!("  · from {host}/{session}: {}", report_words(&report)));
    for seen in report.engine.iter().flatten() {
        if matches!(seen.state, ObservedState::Failed(_)) {
            nature.transcript.mark("a report said that a start failed");
        }
    }
    Event::Reported { host, session, report }
}

fn report_words(report: &Report) -> String {
    let mut words = format!("applied {}", report.applied);
    match &report.engine {
        Ok(observed) => {
            for seen in observed {
                let state = match &seen.state {
                    ObservedState::Exited(ending) => format!("exited {}", ending.reason),
                    ObservedState::Failed(ending) => format!("failed {}", ending.reason),
                    state => format!("{state:?}").to_lowercase(),
                };
                let _ = write!(words, ", {} {state}", server_word(&seen.server, seen.generation));
            }
        }
        Err(_) => words.push_str(", engine unknown"),
    }
    for pending in &report.pending {
        let server = server_word(&pending.server, pending.generation);
        let _ = write!(words, ", pending {} {server}", pending.operation);
    }
    words
}

/// Draws what becomes of a transaction.
fn fate(nature: &mut Nature) -> Fate {
    if nature.healed {
        return Fate::Saved;
    }
    let plan = nature.plan.disk.clone();
    let fates = [
        (plan.fails, "commit fails", Fate::Failed),
        (plan.dies_before, "hub dies before a commit", Fate::DiesBefore),
        (plan.dies_inside, "hub dies inside a commit", Fate::DiesInside),
        (plan.dies_after, "hub dies after a commit", Fate::DiesAfter),
        (plan.dies_between, "hub dies between effects", Fate::DiesBetween),
    ];
    for (often, name, fate) in fates {
        if nature.chance.permille(often) {
            nature.transcript.fault(name);
            return fate;
        }
    }
    Fate::Saved
}

fn with_reply(event: Event, to: Option<ReplyTo>) -> Event {
    match event {
        Event::Start(mut request) => {
            request.reply = to;
            Event::Start(request)
        }
        Event::Stop { server, reason, .. } => Event::Stop { server, reason, reply: to },
        Event::Remove { server, .. } => Event::Remove { server, reply: to },
        Event::Extend { server, steps, beyond, .. } => {
            Event::Extend { server, steps, beyond, reply: to }
        }
        Event::Resize { server, memory, .. } => Event::Resize { server, memory, reply: to },
        other => other,
    }
}

/// The desired set of a host, made as production makes it.
fn desired_set(fleet: &Fleet, host: &HostId, bug: Option<Bug>) -> Option<DesiredSet> {
    let record = fleet.hosts.get(host)?;
    let heard = record.heard.as_ref()?;
    let mut revision = Revision { epoch: fleet.epoch, seq: record.seq };
    if bug == Some(Bug::ReusesRevisions) {
        revision.seq = revision.seq.div_ceil(2);
    }
    let mut orders = orders(fleet, host);
    if bug == Some(Bug::TellsEveryHost) {
        bugs::tells_every_host(fleet, &mut orders);
    }
    let servers = orders
        .into_iter()
        .filter_map(|(server, order)| Some((server.clone(), desired(fleet, &server, order)?)));
    Some(DesiredSet {
        revision,
        incarnation: heard.incarnation,
        echo: heard.sent,
        servers: servers.collect(),
        watch: Watch::default(),
    })
}

fn desired(fleet: &Fleet, id: &ServerId, order: Order) -> Option<Desired> {
    let what = match order.what {
        What::Stop => Verdict::Stop { grace_s: STOP_GRACE_S },
        What::Keep => Verdict::Keep,
        What::Run => Verdict::Run(Box::new(run_spec(fleet, fleet.servers.get(id)?)?)),
    };
    Some(Desired { generation: order.generation, what, limit: order.limit })
}

fn run_spec(fleet: &Fleet, server: &Server) -> Option<RunSpec> {
    let account = server.account.clone()?;
    let image = fleet.settings.images.get(&server.ask.image)?.reference.clone();
    let pool = fleet.settings.profiles.get(&server.ask.profile)?.pool.clone();
    Some(RunSpec {
        origin: Origin {
            user: server.owner.clone(),
            server_name: server.name.clone(),
            profile: server.ask.profile.clone(),
            memory: server.ask.memory,
            gpus: server.placement().map_or_else(Vec::new, |it| it.gpus.clone()),
            decision: server.decision.clone(),
        },
        account,
        pool,
        image,
        build: String::new(),
        command: Vec::new(),
        spaces: Vec::new(),
        shown: BTreeMap::new(),
        env: BTreeMap::new(),
        api_url: String::new(),
        prefix: server.prefix(),
        port: 8888,
        farm_ports: server.placement().map_or_else(Vec::new, |it| it.farm_ports.clone()),
    })
}

/// A boot's id.
pub fn boot_id(boot: u64) -> berth_common::BootId {
    format!("boot-{boot}").parse().unwrap_or_else(|_| unreachable!("letters, digits and -"))
}
