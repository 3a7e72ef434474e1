//! What hub, hosts and people have in common: time, chance, the plan of faults, and the record.

use std::ops::RangeInclusive;

use berth_agent::reconcile::{Container, Look, Operation, Outcome};
use berth_common::link::{DesiredSet, Report};
use berth_common::{ServerId, Timestamp};

use crate::world::bugs::Bug;
use crate::world::chance::Chance;
use crate::world::faults::{EnginePlan, Plan, Strike};
use crate::world::invariants::History;
use crate::world::network::Cut;
use crate::world::operators::Chore;
use crate::world::people::Wish;
use crate::world::schedule::Schedule;
use crate::world::transcript::Transcript;

/// Everything that can happen. A host's happenings carry the number of the agent process that
/// they are for, the hub's the number of its life: what was meant for a dead one is lost.
#[derive(Debug)]
pub enum Happening {
    /// The hub's process starts.
    HubStarts,
    /// A second has passed for the hub.
    HubTicks { life: u64 },
    /// The driver takes what waits.
    HubTakes { life: u64 },
    /// The disk has done with a transaction.
    HubSaved { life: u64 },
    /// The hub notices that a connection is no more.
    SessionEnds { life: u64, session: u64 },

    /// An agent tries to reach the hub.
    AgentDials { host: usize, process: u64 },
    /// Its attempt arrives there.
    Dialled { host: usize, process: u64 },
    /// The agent has a connection.
    LinkUp { host: usize, process: u64, life: u64, session: u64 },
    /// The agent notices that it has none.
    LinkLost { host: usize, process: u64, session: u64 },
    /// A heartbeat arrives.
    Heartbeat { life: u64, host: usize, session: u64, report: Box<Report> },
    /// A desired set arrives, over a connection that an agent process of this number had made.
    Desired { host: usize, process: u64, set: Box<DesiredSet> },

    /// A host has booted.
    HostUp { host: usize, boot: u64 },
    /// An agent's process starts.
    AgentStarts { host: usize, boot: u64 },
    /// Its regular heartbeat is due.
    AgentTicks { host: usize, process: u64 },
    /// Its news are due.
    AgentPublishes { host: usize, process: u64 },
    /// The engine says that something may have changed.
    AgentWoken { host: usize, process: u64 },
    /// The engine looks what there is.
    ListTaken { host: usize, process: u64, look: Look },
    /// The agent has the engine's list.
    Listed { host: usize, process: u64, look: Look, answer: Result<Vec<Container>, String> },
    /// A call has an outcome for the agent.
    Settled { host: usize, process: u64, settled: Box<(Operation, Outcome)> },
    /// A server answers the agent's question.
    Answered { host: usize, process: u64, server: ServerId, container: String },

    /// A call reaches the engine.
    CallArrives { host: usize, call: u64 },
    /// A call is carried out.
    CallDone { host: usize, call: u64 },
    /// Nobody waits for a call any more.
    CallExpires { host: usize, call: u64 },
    /// A container's process ends by itself.
    ContainerExits { host: usize, number: u64, code: i64 },
    /// The engine answers again.
    EngineReturns { host: usize, boot: u64 },

    /// A person has thought.
    PersonActs { person: usize },
    /// A person wishes something, as a scenario says.
    PersonWishes { person: usize, wish: Wish },
    /// A person comes to their servers, in a seed that has lives.
    PersonWorks { person: usize },
    /// A person asks for what not everybody may have, in a seed that has such things.
    PersonAsks { person: usize },
    /// Somebody is put on the whitelist, or taken from it.
    WhitelistChanges,
    /// The hub reads what the proxy saw.
    ProxyIsRead,
    /// A backup of the hub's disk is taken, and perhaps others later.
    BackupIsTaken { again: bool },
    /// The last backup is put in the place of the hub's disk, and perhaps another one later.
    IsRestored { again: bool },
    /// A server uses more or less memory than before.
    UseChanges,
    /// A blow from outside.
    Strikes(Strike),
    /// Something is done to a host, as a scenario says.
    Chore(usize, Chore),
    /// A scenario's own blow.
    StrikesHost(Strike, usize),
    /// Both directions to a host work again.
    CutEnds { host: usize, cut: u64 },
}

impl Happening {
    /// Whether it comes again and again, and mostly says the same.
    pub fn is_regular(&self) -> bool {
        matches!(
            self,
            Self::HubTicks { .. }
                | Self::HubTakes { .. }
                | Self::AgentTicks { .. }
                | Self::AgentPublishes { .. }
                | Self::AgentWoken { .. }
                | Self::ListTaken { .. }
                | Self::Listed { .. }
                | Self::Heartbeat { .. }
                | Self::Desired { .. }
                // The limit of a call that was answered long ago.
                | Self::CallExpires { .. }
        )
    }
}

/// What all parts of the world share.
#[derive(Debug)]
pub struct Nature {
    /// Time.
    pub schedule: Schedule<Happening>,
    /// Chance.
    pub chance: Chance,
    /// What goes wrong.
    pub plan: Plan,
    /// Nothing goes wrong any more.
    pub healed: bool,
    /// What is wrong on purpose.
    pub bug: Option<Bug>,
    /// What is true, for the invariants.
    pub history: History,
    /// What happened.
    pub transcript: Transcript,
    /// The agent process that runs on each host; 0 if none does.
    pub processes: Vec<u64>,
    /// Servers of which a container began or ceased to run: to be judged after this event.
    pub touched: Vec<ServerId>,
    /// What is cut between each host and the hub.
    pub cuts: Vec<Cut>,
    /// Agent processes so far.
    pub processes_started: u64,
    /// Some people have accounts that no host may serve.
    pub has_strange_people: bool,
    /// Idle stretches are skipped.
    pub skips_idle: bool,
    /// When something other than a heartbeat last happened.
    pub restless_at: Timestamp,
    /// Until when the world is let go now.
    pub ends_at: Timestamp,
    /// Time that was skipped.
    pub skipped_us: u64,
}

impl Nature {
    /// A span of the range, in microseconds.
    pub fn span_us(&mut self, range: RangeInclusive<u64>) -> u64 {
        self.chance.between(range)
    }

    /// How long a piece of an engine's work takes: usually in the range, sometimes it hangs.
    pub fn work_us(&mut self, range: RangeInclusive<u64>) -> u64 {
        self.hang(1).unwrap_or_else(|| self.span_us(range))
    }

    /// How long a call hangs, if it does; `seldom` times as seldom as the plan says.
    pub fn hang(&mut self, seldom: u64) -> Option<u64> {
        let often = self.plan.engine.hangs / seldom;
        (!self.healed && self.chance.permille(often)).then(|| {
            self.transcript.fault("call hangs");
            self.chance.between(1_000..=self.plan.engine.hang_ms) * 1000
        })
    }

    /// Whether a fault of an engine happens, as often as the plan says.
    pub fn engine_fault(&mut self, name: &'static str, often: fn(&EnginePlan) -> u64) -> bool {
        let happens = !self.healed && self.chance.permille(often(&self.plan.engine));
        if happens {
            self.transcript.fault(name);
        }
        happens
    }

    /// Whether a host lacks an image: the second one, on every third host, if the plan says so.
    pub fn lacks_image(&mut self, host: usize, image: &str) -> bool {
        let lacks = self.plan.engine.lacks_image > 250 && host % 3 == 1 && image.contains("other");
        if lacks {
            self.transcript.fault("image missing");
        }
        lacks
    }

    /// An agent process starts on a host: its number.
    pub fn process_starts(&mut self, host: usize) -> u64 {
        self.processes_started += 1;
        if let Some(process) = self.processes.get_mut(host) {
            *process = self.processes_started;
        }
        self.processes_started
    }

    /// The agent process that runs on a host; 0 if none does.
    pub fn process_of(&self, host: usize) -> u64 {
        self.processes.get(host).copied().unwrap_or(0)
    }

    /// Something may have changed in an engine: its agent hears of it, or not.
    pub fn wake(&mut self, host: usize) {
        if self.engine_fault("engine's word unheard", |plan| plan.unheard) {
            return;
        }
        let (process, wait) = (self.process_of(host), self.span_us(500..=5_000));
        self.schedule.after_us(wait, Happening::AgentWoken { host, process });
    }

    /// The rows on their way are saved; they were made at that moment.
    pub fn saved(&mut self, made_at: Timestamp) {
        let less = self.history.saved(made_at, &mut self.transcript);
        self.touched.extend(less);
    }

    /// More than a heartbeat has happened.
    pub fn is_restless(&mut self) {
        self.restless_at = self.schedule.now();
    }

    /// Writes a line.
    pub fn say(&mut self, text: impl FnOnce() -> String) {
        self.transcript.say(self.schedule.elapsed_ms(), text);
    }
}
