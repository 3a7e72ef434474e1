//! What goes wrong, and how often: each seed draws its own subset and rates.

use std::collections::BTreeMap;

use clap::ValueEnum;

use crate::world::chance::Chance;

/// Blows that come less often than this, in seconds, are rare.
const RARE_S: u64 = 60;

/// A blow from outside, at a moment of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strike {
    /// The hub's process dies.
    HubCrash,
    /// The hub's process stands still, then goes on.
    HubPause,
    /// An agent's process dies and comes back with an empty memory.
    AgentCrash,
    /// An agent's process dies, and with it the file of the highest reign.
    AgentLosesItsFile,
    /// An agent's process stands still, up to minutes, then goes on.
    AgentPause,
    /// A host boots again; what the engine had may stay as ended or be gone.
    Reboot,
    /// A host is off for minutes.
    PowerOff,
    /// An engine does not answer for a while.
    EngineDown,
    /// Messages of one or both directions between a host and the hub are lost for a while.
    Partition,
    /// A host's connection breaks.
    LinkBreak,
    /// A host's connection breaks again and again.
    Flapping,
    /// Somebody removes a container by hand.
    RemovalByHand,
    /// A container's process ends by itself.
    Exit,
    /// A host's wall clock is set.
    ClockSet,
    /// Rates of the network are drawn anew.
    NetworkChange,
}

impl Strike {
    /// All of them, with the shortest and the longest mean time between two, in seconds.
    pub const ALL: [(Self, u64, u64); 15] = [
        (Self::HubCrash, 30, 400),
        (Self::HubPause, 60, 600),
        (Self::AgentCrash, 10, 300),
        (Self::AgentLosesItsFile, 60, 900),
        (Self::AgentPause, 60, 600),
        (Self::Reboot, 60, 900),
        (Self::PowerOff, 200, 1800),
        (Self::EngineDown, 30, 600),
        (Self::Partition, 20, 400),
        (Self::LinkBreak, 10, 300),
        (Self::Flapping, 200, 1200),
        (Self::RemovalByHand, 60, 900),
        (Self::Exit, 20, 400),
        (Self::ClockSet, 200, 1800),
        (Self::NetworkChange, 100, 600),
    ];

    /// Its name in the counts.
    pub fn name(self) -> &'static str {
        match self {
            Self::HubCrash => "hub crash",
            Self::HubPause => "hub pause",
            Self::AgentCrash => "agent crash",
            Self::AgentLosesItsFile => "agent loses its file",
            Self::AgentPause => "agent pause",
            Self::Reboot => "reboot",
            Self::PowerOff => "power off",
            Self::EngineDown => "engine down",
            Self::Partition => "partition",
            Self::LinkBreak => "link break",
            Self::Flapping => "flapping link",
            Self::RemovalByHand => "removal by hand",
            Self::Exit => "exit by itself",
            Self::ClockSet => "clock set",
            Self::NetworkChange => "network change",
        }
    }
}

/// The network between hub and hosts. Parts in thousand, spans in milliseconds.
#[derive(Debug, Clone, Default)]
pub struct NetworkPlan {
    /// The usual way takes up to this long.
    pub usual_ms: u64,
    /// Messages that never arrive.
    pub lost: u64,
    /// Messages that arrive twice.
    pub doubled: u64,
    /// Messages that are late.
    pub late: u64,
    /// By at most this much.
    pub late_ms: u64,
    /// Messages of one connection keep their order, and none outlives it, as with TCP. Without it
    /// the protocol has to bear what no network of today does.
    pub ordered: bool,
}

/// The engines and what runs in them. Parts in thousand, spans in milliseconds.
#[derive(Debug, Clone, Default)]
pub struct EnginePlan {
    /// Calls that hang before the engine has them, or in it.
    pub hangs: u64,
    /// For at most this long. They are carried out all the same, whoever asked.
    pub hang_ms: u64,
    /// Answers that get lost.
    pub mute: u64,
    /// Creates that fail.
    pub create_fails: u64,
    /// Creates that make something else than was asked for.
    pub spoils: u64,
    /// Starts that fail.
    pub start_fails: u64,
    /// Stops that fail while the container runs on.
    pub stop_fails: u64,
    /// Removals that fail.
    pub remove_fails: u64,
    /// Servers that end as soon as they start.
    pub ends_at_once: u64,
    /// Servers that never answer.
    pub never_answers: u64,
    /// Servers that need a minute or more to answer.
    pub answers_late: u64,
    /// Servers that do not heed SIGTERM.
    pub stubborn: u64,
    /// Changes of which the agent is not woken.
    pub unheard: u64,
    /// Lists that take seconds.
    pub slow_lists: u64,
    /// Changes of a limit that the host refuses.
    pub resize_fails: u64,
    /// Hosts that lack one of the images.
    pub lacks_image: u64,
    /// Hosts that hold a foreign container under a server's name.
    pub foreign: u64,
}

/// The hub's disk. Parts in thousand of all commits.
#[derive(Debug, Clone, Default)]
pub struct DiskPlan {
    /// Nothing is saved and the hub is told so.
    pub fails: u64,
    /// The hub dies before anything is saved.
    pub dies_before: u64,
    /// The hub dies in the middle of the transaction: nothing of it is saved.
    pub dies_inside: u64,
    /// The hub dies when all is saved and nothing has left.
    pub dies_after: u64,
    /// The hub dies when some effects have left.
    pub dies_between: u64,
    /// It takes seconds.
    pub slow: u64,
}

/// A seed's plan.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Hosts.
    pub hosts: u64,
    /// People.
    pub people: u64,
    /// So many times the memory that hosts mostly have.
    pub memory_times: u64,
    /// GPUs of each host.
    pub gpus: u64,
    /// How long things go wrong, in seconds.
    pub horizon_s: u64,
    /// Between two wishes of one person, in seconds.
    pub thinks_s: u64,
    /// People sleep at night.
    pub has_nights: bool,
    /// The network.
    pub network: NetworkPlan,
    /// The engines.
    pub engine: EnginePlan,
    /// The hub's disk.
    pub disk: DiskPlan,
    /// The mean time between two strikes of a kind, in seconds.
    pub strikes: BTreeMap<Strike, u64>,
}

/// How large a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Scale {
    /// For the tests that run with every change: half an hour of a small site.
    Small,
    /// The same, and what is rare elsewhere happens often.
    Harsh,
    /// For long runs: hours of 10 hosts and 100 people.
    Large,
    /// Days and nights of a small site, or of one of 10 hosts and 100 people: people come every hour
    /// or two, blows are hours apart, and nothing is in a hurry.
    Days,
    /// For long runs: a site of 200 hosts and 3,000 people.
    Site,
}

impl Plan {
    /// Nothing goes wrong.
    pub fn calm(hosts: u64, people: u64) -> Self {
        let network = NetworkPlan { usual_ms: 1, ordered: true, ..NetworkPlan::default() };
        Self { hosts, people, network, ..Self::default() }
    }

    /// What a seed draws.
    pub fn draw(chance: &mut Chance, scale: Scale) -> Self {
        let (hosts, people, horizon_s) = match scale {
            Scale::Small | Scale::Harsh => (2..=6, 4..=24, 600..=1500),
            Scale::Large => (10..=10, 60..=100, 3600..=14_400),
            Scale::Days if chance.permille(100) => (10..=10, 100..=100, 86_400..=86_400),
            Scale::Days => (2..=4, 3..=12, 172_800..=604_800),
            Scale::Site => (200..=200, 3_000..=3_000, 600..=600),
        };
        // Else most of so many people would wait.
        let memory_times = match scale {
            Scale::Site => 4,
            Scale::Days if *people.end() == 100 => 3,
            _ => 1,
        };
        let mut strikes = BTreeMap::new();
        for (strike, from, to) in Strike::ALL {
            // One blow after the other upon hub or agents would leave nothing to happen between.
            let rate = if scale == Scale::Harsh && from >= RARE_S { 8 } else { 1 };
            let apart = if scale == Scale::Days { 200 } else { 1 };
            if chance.permille(500) {
                strikes.insert(strike, chance.between(from / rate..=to / rate) * apart);
            }
        }
        Self {
            strikes,
            gpus: 0,
            memory_times,
            hosts: chance.between(hosts),
            people: chance.between(people),
            horizon_s: chance.between(horizon_s),
            thinks_s: if scale == Scale::Days {
                chance.between(1_800..=7_200)
            } else {
                chance.between(20..=240)
            },
            has_nights: scale == Scale::Days,
            network: NetworkPlan::draw(chance),
            engine: if scale == Scale::Harsh {
                EnginePlan::harsh(chance)
            } else {
                EnginePlan::draw(chance)
            },
            disk: if scale == Scale::Harsh {
                DiskPlan::harsh(chance)
            } else {
                DiskPlan::draw(chance)
            },
        }
    }
}

impl NetworkPlan {
    /// What a seed draws, at its beginning and at each change of the network.
    pub fn draw(chance: &mut Chance) -> Self {
        Self {
            usual_ms: chance.between(1..=200),
            lost: sometimes(chance, 300),
            doubled: sometimes(chance, 300),
            late: sometimes(chance, 200),
            late_ms: chance.between(1_000..=180_000),
            ordered: chance.permille(500),
        }
    }
}

impl EnginePlan {
    fn draw(chance: &mut Chance) -> Self {
        Self {
            hangs: sometimes(chance, 300),
            hang_ms: chance.between(5_000..=240_000),
            mute: sometimes(chance, 100),
            create_fails: sometimes(chance, 100),
            spoils: sometimes(chance, 50),
            start_fails: sometimes(chance, 100),
            stop_fails: sometimes(chance, 200),
            remove_fails: sometimes(chance, 200),
            ends_at_once: sometimes(chance, 150),
            never_answers: sometimes(chance, 100),
            answers_late: sometimes(chance, 100),
            stubborn: sometimes(chance, 300),
            unheard: sometimes(chance, 500),
            slow_lists: sometimes(chance, 200),
            resize_fails: sometimes(chance, 200),
            lacks_image: sometimes(chance, 500),
            foreign: sometimes(chance, 500),
        }
    }
}

impl EnginePlan {
    /// Half of what can go wrong, as often as a site can bear it.
    fn harsh(chance: &mut Chance) -> Self {
        let plan = Self::draw(chance);
        let often = |chance: &mut Chance, most| if chance.permille(500) { most } else { 0 };
        Self {
            create_fails: often(chance, 200),
            spoils: often(chance, 150),
            start_fails: often(chance, 200),
            stop_fails: often(chance, 500),
            remove_fails: often(chance, 400),
            ends_at_once: often(chance, 200),
            never_answers: often(chance, 150),
            answers_late: often(chance, 150),
            resize_fails: often(chance, 900),
            lacks_image: often(chance, 500),
            foreign: often(chance, 8_000),
            ..plan
        }
    }
}

impl DiskPlan {
    /// Half of what can go wrong, as often as a hub can bear it.
    fn harsh(chance: &mut Chance) -> Self {
        let plan = Self::draw(chance);
        let often = |chance: &mut Chance, most| if chance.permille(500) { most } else { 0 };
        Self {
            dies_before: often(chance, 30),
            dies_inside: often(chance, 30),
            dies_after: often(chance, 30),
            dies_between: often(chance, 30),
            ..plan
        }
    }

    fn draw(chance: &mut Chance) -> Self {
        Self {
            fails: sometimes(chance, 60),
            dies_before: sometimes(chance, 15),
            dies_inside: sometimes(chance, 15),
            dies_after: sometimes(chance, 30),
            dies_between: sometimes(chance, 30),
            slow: sometimes(chance, 100),
        }
    }
}

/// Half of the seeds have none of it.
fn sometimes(chance: &mut Chance, most: u64) -> u64 {
    if chance.permille(500) { chance.between(1..=most) } else { 0 }
}
