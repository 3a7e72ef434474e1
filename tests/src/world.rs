//! A world of hub, hosts, network and people in virtual time, for the one promise: at most one
//! container of a server, whatever happens.
//!
//! The hub's core and the agent's reconciler are the real ones, driven in production's order;
//! engines, disks, clocks and people are made of memory. One seed decides everything, so whatever
//! is found can be seen again.

use std::collections::BTreeMap;
use std::sync::Arc;

use berth_common::{ByteCount, HostId, Seconds, Timestamp};
use berth_core::Settings;
use berth_core::event::Event;
use berth_core::settings::{
    Cite, GpuChoice, HostSettings, Image, Pool, Profile, Quota, Quotas, Strategy,
};

mod accounts;
pub mod bugs;
mod chance;
mod disk;
mod engine;
pub mod faults;
mod grants;
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
    /// The seed that shows it again.
    pub seed: u64,
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
            })
        }
        Err(broken) => Err(Box::new(Failure {
            seed,
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
            hub: Hub::new(Arc::new(settings(&names, strategy, plan.gpus)), &names),
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

    fn happens(&mut self, happening: Happening) {
        let Some(happening) = self.unless_paused(happening) else { return };
        let Self { nature, hub, machines, people, restores, loans, .. } = self;
        match happening {
            Happening::HubStarts => hub.start(nature),
            Happening::HubTicks { life } if life == hub.life => {
                if hub.reign.is_some() {
                    hub.tick(nature);
                }
            }
            Happening::HubTakes { life } if life == hub.life => hub.take(nature),
            Happening::HubSaved { life } if life == hub.life => hub.saved(nature),
            Happening::SessionEnds { life, session } if life == hub.life => {
                hub.session_ends(session);
            }
            Happening::HubTicks { .. }
            | Happening::HubTakes { .. }
            | Happening::HubSaved { .. }
            | Happening::SessionEnds { .. } => {}

            Happening::AgentDials { host, process } => machines[host].dial(nature, process),
            Happening::Dialled { host, process } => {
                let cut = nature.cuts[host];
                let session = if cut.up || cut.down || nature.process_of(host) != process {
                    None
                } else {
                    hub.accept(host, process)
                };
                match session {
                    Some(session) => {
                        let (life, way) = (hub.life, network::way_us(nature));
                        let up = Happening::LinkUp { host, process, life, session };
                        nature.schedule.after_us(way, up);
                    }
                    None => machines[host].not_reached(nature, process),
                }
            }
            Happening::LinkUp { host, process, life, session } => {
                machines[host].link_up(nature, process, life, session);
                if life != hub.life || hub.reign.is_none() {
                    machines[host].link_lost(nature, process, None);
                }
            }
            Happening::LinkLost { host, process, session } => {
                machines[host].link_lost(nature, process, Some(session));
            }
            Happening::Heartbeat { life, host, session, report } => {
                if life == hub.life {
                    let host = machines[host].id.clone();
                    hub.send(nature, Event::Reported { host, session, report }, None);
                }
            }
            Happening::Desired { host, process, set } => {
                machines[host].obey(nature, process, *set);
            }

            Happening::HostUp { host, boot } => {
                if machines[host].boot == boot && !machines[host].powered {
                    machines[host].boots(nature);
                    let wait = nature.chance.between(500..=20_000);
                    let boot = machines[host].boot;
                    nature.schedule.after_ms(wait, Happening::AgentStarts { host, boot });
                }
            }
            Happening::AgentStarts { host, boot } => {
                if machines[host].boot == boot {
                    machines[host].start_agent(nature);
                }
            }
            Happening::AgentTicks { host, process } => machines[host].tick(nature, process),
            Happening::AgentPublishes { host, process } => machines[host].publish(nature, process),
            Happening::AgentWoken { host, process } => machines[host].woken(nature, process),
            Happening::ListTaken { host, process, look } => {
                machines[host].list_taken(nature, process, look);
            }
            Happening::Listed { host, process, look, answer } => {
                machines[host].listed(nature, process, look, answer);
            }
            Happening::Settled { host, process, operation, outcome } => {
                machines[host].settled(nature, process, &operation, outcome);
            }
            Happening::Answered { host, process, server, container } => {
                machines[host].answered(nature, process, &server, &container);
            }

            Happening::CallArrives { host, call } => {
                machines[host].engine.arrives(nature, host, call);
            }
            Happening::CallDone { host, call } => {
                let boot = hub::boot_id(machines[host].boot);
                machines[host].engine.done(nature, host, call, &boot);
            }
            Happening::CallExpires { host, call } => {
                machines[host].engine.expires(nature, host, call);
            }
            Happening::ContainerExits { host, number, code } => {
                if machines[host].engine.exit(nature, number, code) {
                    nature.wake(host);
                }
            }
            Happening::EngineReturns { host, boot } => {
                if machines[host].boot == boot {
                    machines[host].engine.up = true;
                    nature.wake(host);
                }
            }

            Happening::PersonActs { person } => {
                if !nature.healed {
                    people[person].acts(nature, hub);
                    let wait = nature.chance.around(nature.plan.thinks_s * 1000);
                    let wait = people::awake_ms(nature, wait);
                    nature.schedule.after_ms(wait, Happening::PersonActs { person });
                }
            }
            Happening::PersonWishes { person, wish } => people[person].wishes(nature, hub, wish),
            Happening::PersonWorks { person } => {
                if !nature.healed {
                    let servers = people[person].servers(hub);
                    let wish = lives::person_works(nature, hub, person, &servers);
                    if let Some(wish) = wish {
                        people[person].wishes(nature, hub, wish);
                    }
                }
            }
            Happening::PersonAsks { person } => {
                if let Some(grants) = nature.history.grants.as_mut().filter(|_| !nature.healed) {
                    let (wish, wait) = (grants.wish(), grants.asks_ms());
                    nature.schedule.after_ms(wait, Happening::PersonAsks { person });
                    people[person].wishes(nature, hub, wish);
                }
            }
            Happening::WhitelistChanges => {
                if let Some(grants) = nature.history.grants.as_mut().filter(|_| !nature.healed) {
                    grants.change();
                    let (wait, bug) = (grants.changes_ms(), nature.bug);
                    hub.under(|settings| grants.write(settings, bug));
                    nature.schedule.after_ms(wait, Happening::WhitelistChanges);
                    nature.transcript.mark("a whitelist changed");
                    hub.send(nature, Event::SettingsChanged(hub.settings()), None);
                }
            }
            Happening::ProxyIsRead => lives::proxy_is_read(nature, hub),
            Happening::BackupIsTaken { again } => {
                if let Some(restores) = restores {
                    restores.back_up(nature, hub, again);
                }
            }
            Happening::IsRestored { again } => {
                if let Some(restores) = restores {
                    restores.restore(nature, hub, again);
                }
            }
            Happening::UseChanges => {
                if let Some(loans) = loans.as_mut().filter(|_| !nature.healed) {
                    let host = loans.host(machines.len());
                    loans.use_changes(&mut machines[host].engine);
                    nature.schedule.after_ms(loans.wait_ms(), Happening::UseChanges);
                }
            }
            Happening::Strikes(strike) => {
                if !nature.healed
                    && let Some(mean_s) = nature.plan.strikes.get(&strike).copied()
                {
                    let wait = nature.chance.around(mean_s * 1000);
                    nature.schedule.after_ms(wait, Happening::Strikes(strike));
                    let host = nature.chance.between(0..=machines.len() as u64 - 1) as usize;
                    self.strike(strike, host);
                }
            }
            Happening::Chore(host, chore) => self.chore(host, chore),
            Happening::StrikesHost(strike, host) => self.strike(strike, host),
            Happening::CutEnds { host, cut } => {
                if nature.cuts[host].number == cut {
                    nature.cuts[host] = Cut { number: cut, ..Cut::default() };
                }
            }
        }
    }

    /// What is for a process that stands still happens when it goes on.
    fn unless_paused(&mut self, happening: Happening) -> Option<Happening> {
        let now = self.nature.schedule.now();
        let until = match &happening {
            Happening::HubTicks { .. }
            | Happening::HubTakes { .. }
            | Happening::HubSaved { .. }
            | Happening::Dialled { .. }
            | Happening::Heartbeat { .. } => self.hub.paused_until,
            Happening::AgentTicks { host, .. }
            | Happening::AgentDials { host, .. }
            | Happening::AgentPublishes { host, .. }
            | Happening::AgentWoken { host, .. }
            | Happening::LinkUp { host, .. }
            | Happening::LinkLost { host, .. }
            | Happening::Desired { host, .. }
            | Happening::Listed { host, .. }
            | Happening::Settled { host, .. }
            | Happening::Answered { host, .. } => self.machines[*host].paused_until,
            _ => now,
        };
        if until > now {
            self.nature.schedule.at(until, happening);
            return None;
        }
        Some(happening)
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

/// The site's files: one pool, one profile, two images.
fn settings(hosts: &[HostId], strategy: Strategy, gpus: u64) -> Settings {
    let cite = Cite::default();
    let choices: Vec<ByteCount> = (0..=4).map(|power| ByteCount(GB << power)).collect();
    let image = |name: &str| {
        let (reference, title) = (format!("{name}:1"), name.to_owned());
        (name.to_owned(), Image { reference, title, cite: Cite::default() })
    };
    let profile = Profile {
        title: "Notebook".into(),
        use_case: String::new(),
        pool: "cpu".into(),
        memory_default: ByteCount(2 * GB),
        memory_max: ByteCount(16 * GB),
        memory_choices: choices,
        images: vec!["base".into(), "other".into()],
        default: true,
        cite: cite.clone(),
        ..Profile::default()
    };
    let one = GpuChoice {
        default: 1,
        max: 1,
        share_milli: 1000,
        models: Vec::new(),
        memory: ByteCount::ZERO,
    };
    let with_gpu =
        Profile { title: "GPU".into(), default: false, gpus: Some(one), ..profile.clone() };
    // Where there is no GPU nobody is offered one.
    let with_gpu = (gpus > 0).then(|| ("gpu".to_owned(), with_gpu));
    let profiles = [("notebook".to_owned(), profile)].into_iter().chain(with_gpu);
    let host = |id: &HostId| {
        let settings = HostSettings {
            pool: "cpu".into(),
            memory: None,
            keep_free: KEEP_FREE,
            gpus: None,
            address: format!("{id}:8600"),
            cite: Cite::default(),
        };
        (id.clone(), settings)
    };
    Settings {
        hosts: hosts.iter().map(host).collect(),
        pools: BTreeMap::from([("cpu".to_owned(), Pool { strategy, ..Pool::default() })]),
        profiles: profiles.collect(),
        images: BTreeMap::from([image("base"), image("other")]),
        quotas: Quotas {
            default: Quota { servers: Some(2), ..Quota::default() },
            ..Quotas::default()
        },
        lost_after: Seconds(15),
        ..Settings::default()
    }
}
