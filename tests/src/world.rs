//! A world of hub, hosts, network and people in virtual time, for the one promise: at most one
//! container of a server, whatever happens.
//!
//! The hub's core and the agent's reconciler are the real ones, driven in production's order;
//! engines, disks, clocks and people are made of memory. One seed decides everything, so whatever
//! is found can be seen again.

use std::collections::BTreeMap;
use std::sync::Arc;

use berth_common::{ByteCount, HostId, Seconds, Timestamp};
use berth_core::settings::Strategy;

mod accounts;
pub mod bugs;
mod chance;
mod disk;
mod engine;
pub mod faults;
mod files;
mod grants;
mod happens;
mod host;
mod hub;
mod idle;
mod invariants;
mod judge;
mod lives;
mod loans;
pub mod many;
mod marks;
mod nature;
mod network;
mod operators;
mod people;
mod restores;
pub mod scenario;
mod schedule;
mod strikes;
mod transcript;
mod usage;

use bugs::Bug;
use chance::Chance;
use faults::{Plan, Scale};
use grants::Grants;
use host::Machine;
use hub::Hub;
pub use invariants::Broken;
use invariants::History;
use lives::Lives;
use loans::Loans;
use nature::{Happening, Nature};
use network::Cut;
use people::{Person, Wish};
use restores::Restores;
use schedule::Schedule;
use transcript::Transcript;

const GB: u64 = 1 << 30;
const KEEP_FREE: ByteCount = ByteCount(2 * GB);

/// After the faults: the longest pause and power cut, then hung calls, then the agents' own limits.
const CALM_S: u64 = 900;
/// L5: all agents are attached this long after a restart of the hub.
const ATTACHED_S: u64 = 10;
/// Another limit is in force: one report, one call, the next report.
const RESIZED_S: u64 = 20;
/// Everybody stops: SIGTERM, its grace, removal, reports.
const STOPPED_S: u64 = 120;

/// The whole.
#[derive(Debug)]
struct World {
    nature: Nature,
    hub: Hub,
    machines: Vec<Machine>,
    people: Vec<Person>,
    restores: Option<Restores>,
    loans: Option<Loans>,
    /// Happenings so far.
    events: u64,
}

/// What a run gave.
#[derive(Debug, Default)]
pub struct Summary {
    /// Happenings.
    pub events: u64,
    /// Virtual time.
    pub simulated_ms: u64,
    /// Of that, stretches in which nothing but heartbeats would have happened.
    pub skipped_ms: u64,
    /// The hash of the transcript.
    pub hash: u64,
    /// Faults by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// Rare paths by name.
    pub marks: BTreeMap<&'static str, u64>,
    /// What happened, if lines were kept.
    pub lines: Vec<String>,
}

impl Summary {
    /// Adds another run.
    pub fn add(&mut self, other: Self) {
        self.events += other.events;
        self.simulated_ms += other.simulated_ms;
        self.skipped_ms += other.skipped_ms;
        for (kind, count) in other.faults {
            *self.faults.entry(kind).or_default() += count;
        }
        for (path, count) in other.marks {
            *self.marks.entry(path).or_default() += count;
        }
    }
}

/// A run that broke an invariant.
#[derive(Debug)]
pub struct Failure {
    /// The seed that shows it again,
    pub seed: u64,
    /// and its scale.
    pub scale: Scale,
    /// What was broken.
    pub broken: Broken,
    /// When, in milliseconds of the run.
    pub at_ms: u64,
    /// What happened, if lines were kept.
    pub lines: Vec<String>,
}

/// Runs a seed to its end.
///
/// # Errors
/// The first invariant that did not hold.
pub fn run_seed(
    seed: u64,
    scale: Scale,
    bug: Option<Bug>,
    with_lines: bool,
) -> Result<Summary, Box<Failure>> {
    let mut chance = Chance::new(seed);
    let mut plan = Plan::draw(&mut chance, scale);
    plan.gpus = u64::from(Grants::has(seed, scale));
    let mut world = World::new(plan, chance, bug, with_lines);
    if Grants::has(seed, scale) {
        world.has_grants(seed);
    }
    world.nature.skips_idle = matches!(scale, Scale::Days | Scale::Site);
    if scale != Scale::Days {
        world.has_lives(Lives::of(seed));
        world.restores = Restores::of(seed, scale);
        world.has_loans(Loans::of(seed, scale));
    }
    world.nature.has_strange_people = accounts::has_strange_people(seed);
    match world.live() {
        Ok(()) => {
            let transcript = world.nature.transcript;
            Ok(Summary {
                events: world.events,
                simulated_ms: world.nature.schedule.elapsed_ms(),
                skipped_ms: world.nature.skipped_us / 1000,
                hash: transcript.hash(),
                faults: transcript.faults,
                marks: transcript.marks,
                lines: transcript.lines.unwrap_or_default(),
            })
        }
        Err(broken) => Err(Box::new(Failure {
            seed,
            scale,
            broken,
            at_ms: world.nature.schedule.elapsed_ms(),
            lines: world.nature.transcript.lines.take().unwrap_or_default(),
        })),
    }
}

impl World {
    /// A world in which nothing has happened yet.
    fn new(plan: Plan, mut chance: Chance, bug: Option<Bug>, with_lines: bool) -> Self {
        let memory: Vec<u64> =
            (0..plan.hosts).map(|_| GB * [18, 34, 66][chance.between(0..=2) as usize]).collect();
        let strategy = if chance.permille(500) { Strategy::Pack } else { Strategy::Spread };
        let names: Vec<HostId> =
            (1..=plan.hosts).filter_map(|number| format!("wn{number:02}").parse().ok()).collect();
        let machines = names.iter().zip(&memory).enumerate();
        let people = (1..=plan.people)
            .filter_map(|number| format!("user{number:03}").parse().ok())
            .enumerate();
        Self {
            hub: Hub::new(Arc::new(files::settings(&names, strategy, plan.gpus)), &names),
            machines: machines
                .map(|(index, (id, memory))| {
                    let memory = ByteCount(memory * plan.memory_times.max(1));
                    Machine::new(id.clone(), index, memory, operators::gpus(index, plan.gpus))
                })
                .collect(),
            people: people.map(|(index, name)| Person::new(index, name)).collect(),
            restores: None,
            loans: None,
            events: 0,
            nature: Nature {
                schedule: Schedule::new(),
                chance,
                healed: false,
                bug,
                history: History::default(),
                transcript: Transcript::new(with_lines),
                processes: vec![0; names.len()],
                processes_started: 0,
                has_strange_people: false,
                skips_idle: false,
                restless_at: Timestamp::default(),
                ends_at: Timestamp::default(),
                skipped_us: 0,
                touched: Vec::new(),
                cuts: vec![Cut::default(); names.len()],
                plan,
            },
        }
    }

    /// Servers stop when nobody works in them.
    fn has_lives(&mut self, lives: Option<Lives>) {
        if lives.is_some() {
            let rules = lives::rules(self.nature.bug);
            self.hub.under(|settings| settings.lifecycle = rules);
        }
        self.nature.history.lives = lives;
    }

    /// Not everybody may have everything.
    fn has_grants(&mut self, seed: u64) {
        let people = self.people.iter().map(|person| person.name.clone()).collect();
        let grants = Grants::of(seed, people, self.nature.schedule.now());
        let bug = self.nature.bug;
        self.hub.under(|settings| grants.write(settings, bug));
        self.nature.history.grants = Some(grants);
    }

    /// What servers use changes, and memory is lent.
    fn has_loans(&mut self, loans: Option<Loans>) {
        if loans.is_some() {
            self.hub.under(|settings| settings.lifecycle.memory.rescue = Some(loans::rules()));
        }
        self.loans = loans;
    }

    /// Faults, then calm, then a restart of the hub, then everybody stops.
    fn live(&mut self) -> Result<(), Broken> {
        let plan = format!("{:?}", self.nature.plan);
        self.nature.say(|| plan);
        self.begin();
        for person in 0..self.people.len() {
            let wait = self.nature.chance.between(1..=self.nature.plan.thinks_s * 1000);
            self.nature.schedule.after_ms(wait, Happening::PersonActs { person });
        }
        let people = self.people.len();
        let lives = self.nature.history.lives.as_mut().map(|lives| lives.begin(people));
        for (wait_ms, happening) in lives.unwrap_or_default() {
            self.nature.schedule.after_ms(wait_ms, happening);
        }
        for (wait_ms, happening) in self.restores.iter_mut().flat_map(Restores::begin) {
            self.nature.schedule.after_ms(wait_ms, happening);
        }
        if let Some(loans) = &mut self.loans {
            self.nature.schedule.after_ms(loans.wait_ms(), Happening::UseChanges);
        }
        if let Some(grants) = &mut self.nature.history.grants {
            self.nature.schedule.after_ms(grants.changes_ms(), Happening::WhitelistChanges);
            for person in 0..people {
                let wait = grants.asks_ms();
                self.nature.schedule.after_ms(wait, Happening::PersonAsks { person });
            }
        }
        for (strike, mean_s) in self.nature.plan.strikes.clone() {
            let wait = self.nature.chance.around(mean_s * 1000);
            self.nature.schedule.after_ms(wait, Happening::Strikes(strike));
        }
        self.pass(self.nature.plan.horizon_s)?;
        self.heal();
        self.pass(CALM_S + self.nature.plan.engine.hang_ms / 1000)?;
        self.judge_calm()?;
        self.nature.say(|| "the hub is restarted in the calm".into());
        self.hub.die(&mut self.nature, 500);
        self.pass(ATTACHED_S + 1)?;
        self.judge_attached()?;
        self.pass(30)?;
        self.judge_calm()?;
        self.stop_everything();
        self.pass(STOPPED_S)?;
        self.judge_usage()?;
        self.judge_empty()
    }

    /// Hub and agents start.
    fn begin(&mut self) {
        self.nature.schedule.after_us(0, Happening::HubStarts);
        for host in 0..self.machines.len() {
            let wait = self.nature.chance.between(1..=300);
            self.nature.schedule.after_ms(wait, Happening::AgentStarts { host, boot: 1 });
        }
    }

    /// Lets time pass and checks everything after each happening.
    ///
    /// # Errors
    /// The first invariant that did not hold.
    fn pass(&mut self, seconds: u64) -> Result<(), Broken> {
        let end = self.nature.schedule.now().plus(Seconds(seconds));
        self.nature.ends_at = end;
        while self.nature.schedule.next_at().is_some_and(|at| at <= end) {
            let Some(happening) = self.nature.schedule.next() else { break };
            self.events += 1;
            let now = self.nature.schedule.now();
            self.nature.transcript.mix(now.0.unsigned_abs());
            self.nature.transcript.mix(self.nature.chance.state());
            if !happening.is_regular() {
                self.nature.is_restless();
            }
            self.happens(happening);
            self.judge_running();
            if let Some(broken) = self.nature.history.broken() {
                return Err(broken.clone());
            }
            self.skip_idle();
        }
        Ok(())
    }

    /// Nothing goes wrong any more, and what was broken comes back.
    fn heal(&mut self) {
        self.nature.say(|| "calm".into());
        self.nature.healed = true;
        let now = self.nature.schedule.now();
        self.hub.paused_until = now;
        for cut in &mut self.nature.cuts {
            *cut = Cut { number: cut.number + 1, ..Cut::default() };
        }
        for machine in &mut self.machines {
            machine.paused_until = now;
            machine.engine.strangers_leave();
        }
    }

    fn stop_everything(&mut self) {
        self.nature.say(|| "everybody stops".into());
        for person in 0..self.people.len() {
            for named in [false, true] {
                let wish = Wish::Stop { named };
                self.nature.schedule.after_us(0, Happening::PersonWishes { person, wish });
            }
        }
    }
}
