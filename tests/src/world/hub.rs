//! The hub's process: the real core, driven in production's order. Events that wait together are
//! stepped together and saved in one transaction; only then do their effects leave.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use berth_common::{HostId, ServerName, Timestamp, Username};
use berth_core::event::{Effect, ReplyTo};
use berth_core::store::commit_then_release;
use berth_core::usage::Usage;
use berth_core::{Event, Fleet, Host, Server, Settings, step};

use crate::world::bugs::{self, Bug};
use crate::world::disk::Disk;
use crate::world::marks::mark_of_alarm;
use crate::world::nature::{Happening, Nature};
use crate::world::people::Caller;

mod desired;
mod fate;
mod hears;

use desired::tell;
use fate::{Fate, fate};
use hears::prepare;

/// As in production.
const BATCH: usize = 256;

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
        fleet.last_drain = self.disk.last_drain;
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
        let (mut effects, mut heard) = (Vec::new(), Vec::new());
        for _ in 0..BATCH {
            let Some((event, caller)) = reign.queue.pop_front() else { break };
            if let Some(grants) = &mut nature.history.grants {
                grants.taken(&event);
            }
            let event = prepare(nature, reign, event, now);
            if let Event::Reported { host, .. } = &event {
                heard.push(host.clone());
            }
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
        // What an event touched is judged at once, and the whole now and then: most changes are about
        // one server, and most heartbeats change nothing.
        let changes = effects.iter().any(|effect| !matches!(effect, Effect::Tell(_)));
        if changes {
            nature.is_restless();
        }
        reign.batches += u64::from(changes) * (SELDOM / OFTEN) + 1;
        if reign.batches > SELDOM + reign.fleet.servers.len() as u64 {
            reign.batches = 0;
            nature.history.judge(&reign.fleet, &mut nature.transcript);
        } else {
            let fleet = &reign.fleet;
            nature.history.judge_changed(fleet, &effects, &heard, &mut nature.transcript);
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

/// A boot's id.
pub fn boot_id(boot: u64) -> berth_common::BootId {
    format!("boot-{boot}").parse().unwrap_or_else(|_| unreachable!("letters, digits and -"))
}
