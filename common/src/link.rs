//! What hub and agent tell each other, as types: the whole observed state up, the whole desired
//! state down. `berth-proto` carries them over the wire; the core and `agent::reconcile` think
//! in them, and so does the simulation of both.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    BootId, ByteCount, DecisionId, Epoch, Generation, GpuId, GpuPart, Incarnation, Reason,
    Revision, ServerId, ServerName, Timestamp, Username,
};

/// One heartbeat of an agent: everything it knows, every time.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The agent process that speaks.
    pub incarnation: Incarnation,
    /// The kernel's boot it runs in.
    pub boot_id: BootId,
    /// When it was sent, by the agent's own clock.
    pub sent: Timestamp,
    /// The newest desired set that the agent has taken over.
    pub applied: Revision,
    /// What the container engine said; `Err` is its trouble in words: then nothing is known, and
    /// unknown is never absent.
    pub engine: Result<Vec<Observed>, String>,
    /// Operations that are not settled yet.
    pub pending: Vec<Pending>,
    /// What the host has.
    pub capacity: Capacity,
    /// Its GPUs.
    pub gpus: Vec<GpuDevice>,
    /// The spaces that the hub has it watch, as they were last found.
    pub spaces: Vec<SpaceHealth>,
    /// Versions and images, for people and for placement.
    pub facts: HostFacts,
}

/// What a host has to give, and how much of it is really free.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Capacity {
    /// The smaller of claimed and real memory.
    pub memory_total: ByteCount,
    /// Memory really free now, never more than the claimed memory less the servers' own use.
    pub memory_free: ByteCount,
    /// Processors.
    pub cpus: u32,
    /// The part of the last ten seconds in which something stood still for want of memory, in
    /// hundredths of a percent (`some avg10` of the kernel's pressure); `None`: the kernel does
    /// not tell.
    pub memory_pressure: Option<u32>,
}

/// One GPU of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GpuDevice {
    /// Which.
    pub gpu: GpuId,
    /// NVML's name of the model.
    pub model: String,
    /// Its memory.
    pub memory: ByteCount,
    /// Why it is set aside: sick, or used by somebody else. `None`: it can be given.
    pub trouble: Option<String>,
}

/// How a watched space of a host is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpaceHealth {
    /// Its name in the site's files.
    pub name: String,
    /// What is wrong with it; `None`: it answers.
    pub trouble: Option<Ending>,
    /// Since when it is so, by the agent's clock.
    pub since: Timestamp,
    /// How long the newest look took, an answer or not; `None`: an older agent does not say.
    #[serde(default)]
    pub took: Option<Duration>,
}

impl SpaceHealth {
    /// What of it is news: all but how long the look took.
    pub fn state(&self) -> (&str, Option<&Ending>, Timestamp) {
        (&self.name, self.trouble.as_ref(), self.since)
    }
}

/// Slowly changing facts about a host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostFacts {
    /// Version of the agent.
    pub agent_version: String,
    /// Version of the container engine; empty while it does not answer.
    pub engine_version: String,
    /// Names of the images on the host.
    pub images: Vec<String>,
    /// What each name with a tag stands for here: `repository@sha256:…` where a registry knows it
    /// so, and any host can fetch it, else the engine's own id, `sha256:…`.
    pub builds: BTreeMap<String, String>,
    /// What their registries give for the names that the hub asked about, as `repository@sha256:…`.
    pub offered: BTreeMap<String, String>,
    /// How its GPUs are.
    pub gpus: GpuFacts,
    /// How many tasks ran or waited to, in the mean of the last minute, in hundredths (the kernel's
    /// load average); `None`: not known.
    pub load: Option<u32>,
    /// Its ports that the compute farm reaches; `None`: it gives none.
    pub farm: Option<PortRange>,
}

/// Ports from the first to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortRange {
    /// The lowest.
    pub first: u16,
    /// The highest.
    pub last: u16,
}

impl PortRange {
    /// How many there are.
    pub fn count(self) -> u32 {
        u32::from(self.last).saturating_add(1).saturating_sub(self.first.into())
    }
}

/// How the GPUs of a host are, for people; what placement needs is in [`GpuDevice`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GpuFacts {
    /// Version of the NVIDIA driver; empty without one.
    pub driver: String,
    /// Why nothing, or not everything, is known; empty when all is well.
    pub trouble: String,
    /// Each GPU's use, in the order of their ids.
    pub used: Vec<GpuUse>,
}

/// One GPU at work. What the device or its driver does not tell is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GpuUse {
    /// Which.
    pub gpu: GpuId,
    /// Its device node on the host, e.g. `nvidia0`.
    pub device: Option<String>,
    /// What the GPUs of one board have in common, until the next reboot.
    pub board: Option<u32>,
    /// Share of the last moments in which it computed, in percent.
    pub busy: Option<u32>,
    /// NVML's number of it, which may be another one after a reboot.
    pub index: Option<u32>,
    /// Its place on the PCI bus, e.g. `00000000:05:00.0`.
    pub bus: Option<String>,
    /// Memory that programs hold.
    pub memory_used: Option<ByteCount>,
    /// Memory that nobody holds.
    pub memory_free: Option<ByteCount>,
    /// In °C.
    pub temperature: Option<u32>,
    /// In mW.
    pub power_mw: Option<u32>,
    /// Clock of the processors, in MHz.
    pub clock_mhz: Option<u32>,
    /// Memory errors that could not be corrected, since the driver was loaded.
    pub ecc_uncorrected: Option<u64>,
    /// Memory pages taken out of use.
    pub retired: Option<RetiredPages>,
    /// Memory rows replaced by spare ones.
    pub remapped: Option<RemappedRows>,
    /// The last XID error that the driver reported.
    pub last_xid: Option<u64>,
    /// What an administrator should look at, though it can be given.
    pub warning: Option<String>,
    /// Who is on it.
    pub processes: Vec<GpuProcess>,
}

impl GpuUse {
    /// A GPU of which nothing is known but its name.
    pub fn unknown(gpu: GpuId) -> Self {
        Self {
            gpu,
            device: None,
            board: None,
            busy: None,
            index: None,
            bus: None,
            memory_used: None,
            memory_free: None,
            temperature: None,
            power_mw: None,
            clock_mhz: None,
            ecc_uncorrected: None,
            retired: None,
            remapped: None,
            last_xid: None,
            warning: None,
            processes: Vec::new(),
        }
    }
}

/// Memory pages taken out of use: GPUs before Ampere.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetiredPages {
    /// After several single bit errors.
    pub single_bit: u32,
    /// After a double bit error.
    pub double_bit: u32,
    /// More wait for the driver to be loaded again.
    pub pending: bool,
}

/// Memory rows replaced by spare ones: GPUs since Ampere.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemappedRows {
    /// After correctable errors.
    pub correctable: u32,
    /// After uncorrectable errors.
    pub uncorrectable: u32,
    /// More wait for a reset.
    pub pending: bool,
    /// No spare row was left.
    pub failed: bool,
}

/// A program on a GPU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GpuProcess {
    /// Its number on the host.
    pub pid: u32,
    /// The memory it holds there.
    pub memory: Option<ByteCount>,
    /// The server it belongs to; `None`: to none of this host.
    pub server: Option<ServerId>,
    /// The account it runs as.
    pub uid: u32,
    /// Its name, at most 15 characters.
    pub program: String,
}

/// One server's container as the engine shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// Which server.
    pub server: ServerId,
    /// Which start of it.
    pub generation: Generation,
    /// The reign whose desired set asked for it.
    pub epoch: Epoch,
    /// What it does.
    pub state: ObservedState,
    /// The start's milestones so far, oldest first.
    pub steps: Vec<StepDone>,
    /// Its working set.
    pub memory_used: ByteCount,
    /// What else was measured of it.
    pub usage: Usage,
    /// Its memory limit as it is now; `None`: not known yet.
    pub limit: Option<ByteCount>,
    /// Why the newest order to change its limit was not carried out.
    pub resize_refused: Option<ResizeRefused>,
    /// The newest processes in it that the kernel killed for want of memory, oldest first.
    pub kills: Vec<Kill>,
    /// What it goes without, each in a sentence: optional spaces, kernels that cannot start, GPUs that
    /// it has lost.
    pub left_out: Vec<String>,
    /// Whose it is, from its labels: enough to adopt it without a store.
    pub origin: Origin,
}

/// What a container has used, measured once a second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// The highest working set of the last minute: what happens between two heartbeats is not
    /// lost, and neither is what a lost heartbeat would have said.
    pub memory_lately: ByteCount,
    /// The highest working set that this agent process has seen.
    pub memory_highest: ByteCount,
    /// Processor time since its start, in microseconds.
    pub cpu_us: u64,
    /// Thousandths of a processor over the last ten seconds.
    pub cpu_milli: u32,
    /// Bytes a second over the last ten seconds, both ways, through its network and to and from
    /// storage, which on many sites is a network too. `None`: not known.
    #[serde(default)]
    pub network_bytes_s: Option<u64>,
    /// Its terminals, as the kernel shows them; `None`: not known.
    #[serde(default)]
    pub terminals: Option<Terminals>,
    /// Its kernels, as the notebook server lists them; `None`: it does not, or was not asked yet.
    #[serde(default)]
    pub kernels: Option<Kernels>,
}

/// The terminals of a server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terminals {
    /// Those that are open.
    pub open: u32,
    /// Those whose foreground program used the processor or moved data in the last ten seconds.
    pub working: u32,
}

/// The kernels of a server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kernels {
    /// Those that compute, wait in a cell, or stand in the debugger.
    pub busy: u32,
    /// The time since any of them last said something; `None`: there is none.
    pub quiet_ms: Option<u64>,
}

/// A host's refusal to change a container's limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResizeRefused {
    /// The number of the order ([`Limit::number`]).
    pub number: u64,
    /// Why.
    pub ending: Ending,
}

/// A process that the kernel killed because its container had used all its memory, or the host all
/// of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kill {
    /// The kernel's count of such kills in this container: the same kill is told many times.
    pub number: u64,
    /// When it was seen, by the agent's clock.
    pub at: Timestamp,
    /// Who was killed, where that could be known.
    pub victim: Option<Victim>,
    /// The container's highest working set so far.
    pub highest: ByteCount,
    /// Its limit at that moment.
    pub limit: ByteCount,
    /// It was the host that had no memory left, as far as the kernel's log can be read.
    #[serde(default)]
    pub by_host: bool,
}

/// A killed process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Victim {
    /// The program's name.
    pub name: String,
    /// The notebook or console it computed for; empty: none is known.
    pub notebook: String,
    /// Jupyter's id of the kernel that it was; empty: none.
    pub kernel: String,
    /// Its own memory, as last seen.
    pub memory: ByteCount,
}

impl Limit {
    /// This limit, nothing of it lent, not ordered yet.
    pub fn of(memory: ByteCount) -> Self {
        Self { memory, number: 0, lent: false }
    }

    /// The least limit that a container with this working set may be given: a tenth more, and
    /// 32 MiB at least, which the next cell may need. In whole MiB, as people write it.
    pub fn least(used: ByteCount) -> ByteCount {
        const LEAST_MARGIN: ByteCount = ByteCount(32 << 20);
        let least = used.plus(ByteCount(used.0 / 10).max(LEAST_MARGIN)).0.div_ceil(1 << 20);
        ByteCount(least.saturating_mul(1 << 20))
    }

    /// Whether a container with this limit has it already, as far as the kernel can tell: it counts
    /// whole pages, of 4 KiB or, on other processors, of up to 64.
    pub fn is(&self, found: ByteCount) -> bool {
        const LARGEST_PAGE: u64 = 64 << 10;
        self.memory.0 / LARGEST_PAGE == found.0 / LARGEST_PAGE
    }
}

impl Kill {
    /// In words, e.g. `python3 (notebook fit.ipynb) was killed: the server had used all its 2 GB of
    /// memory (seen: 1.9 GB)`.
    pub fn sentence(&self) -> String {
        let Self { victim, highest, limit, by_host, .. } = self;
        let who = match victim {
            None => "a process".to_owned(),
            Some(Victim { name, notebook, kernel, .. }) => match (notebook.as_str(), kernel) {
                ("", kernel) if kernel.is_empty() => name.clone(),
                ("", kernel) => format!("{name} (kernel {kernel})"),
                (notebook, _) => format!("{name} (notebook {notebook})"),
            },
        };
        if *by_host {
            return format!(
                "{who} was killed: the host had no memory left (the server had used {highest} of its {limit})"
            );
        }
        // A limit is reached between two looks: what was seen last may be far below it.
        format!("{who} was killed: the server had used all its {limit} of memory (seen: {highest})")
    }
}

/// Labels of a container that let a hub with an empty store adopt it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The owner.
    pub user: Username,
    /// The server's name within the owner's.
    pub server_name: ServerName,
    /// The profile it was asked with.
    pub profile: String,
    /// The container's memory limit.
    pub memory: ByteCount,
    /// The GPUs it holds.
    pub gpus: Vec<GpuPart>,
    /// The decision that placed it.
    pub decision: Option<DecisionId>,
}

/// What a container does. A server without a container is simply not in the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObservedState {
    /// Exists and may be about to start: not absent.
    Created,
    /// Started, does not answer yet.
    Running,
    /// Answers on its port.
    Ready,
    /// Asked to end.
    Stopping,
    /// Ended; the container is still there or was just removed.
    Exited(Ending),
    /// Could not be made or started; nothing of it is left.
    Failed(Ending),
}

/// How a server ended or why it failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// The reason code.
    pub reason: Reason,
    /// For people: what exactly, e.g. the engine's message or the exit code.
    pub detail: String,
}

/// A milestone of a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StartStep {
    /// The image is being fetched. Only where it was not on the host.
    Fetch,
    /// The image is on the host.
    Image,
    /// HOME and the other spaces are there.
    Spaces,
    /// The container exists.
    Container,
    /// Its process runs.
    Started,
    /// JupyterLab answers.
    Answers,
}

impl StartStep {
    /// The milestones of every start, in their order.
    pub const ALL: [Self; 5] =
        [Self::Image, Self::Spaces, Self::Container, Self::Started, Self::Answers];

    /// The milestone of this name.
    pub fn of_name(name: &str) -> Option<Self> {
        [Self::Fetch].into_iter().chain(Self::ALL).find(|step| step.name() == name)
    }

    /// The word on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fetch => "fetch",
            Self::Image => "image",
            Self::Spaces => "spaces",
            Self::Container => "container",
            Self::Started => "started",
            Self::Answers => "answers",
        }
    }
}

/// A milestone and when it was reached, by the agent's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepDone {
    /// Which one.
    pub step: StartStep,
    /// When.
    pub at: Timestamp,
}

/// An engine call that has not been settled: neither success nor failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// Which server.
    pub server: ServerId,
    /// Which start of it.
    pub generation: Generation,
    /// fetch (a create whose image is not there yet), create, start, stop, remove or resize.
    pub operation: &'static str,
    /// How much of the image is here, in percent, of a fetch; `None`: not known, or an older agent.
    pub percent: Option<u32>,
}

/// Everything one host should do: complete, so a lost one costs nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct DesiredSet {
    /// Its number. Lower than one already applied: ignored.
    pub revision: Revision,
    /// The agent process it is for; any other ignores it.
    pub incarnation: Incarnation,
    /// The send time of the heartbeat it answers.
    pub echo: Timestamp,
    /// The spaces to be watched. Not part of what the number names: the newest one counts.
    pub watch: Watch,
    /// What to do with each server.
    pub servers: BTreeMap<ServerId, Desired>,
}

/// Spaces that a host is to look at, each in a process of its own, so that one that hangs holds up
/// nothing else.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    /// Between two looks, in seconds.
    pub every_s: u64,
    /// A look that takes longer has failed.
    pub timeout_s: u64,
    /// After so many failures in a row a space is sick; one success and it is well.
    pub sick_after: u32,
    /// Names and paths.
    pub paths: BTreeMap<String, String>,
    /// Images that the host is to have before anybody needs them.
    #[serde(default)]
    pub images: BTreeSet<String>,
    /// Images of which no host has any build: the host is to ask their registries for the present one.
    #[serde(default)]
    pub unknown: BTreeSet<String>,
}

/// What should become of one server on this host.
#[derive(Debug, Clone, PartialEq)]
pub struct Desired {
    /// Which start of it.
    pub generation: Generation,
    /// Run it or stop it.
    pub what: Verdict,
    /// Its memory limit, once it was changed after its start.
    pub limit: Option<Limit>,
}

/// An order to change a running container's memory limit. It stays in the set after it was
/// carried out: an agent that finds another limit puts it right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// The limit; swap is the same, so that none is used.
    pub memory: ByteCount,
    /// Its number among the orders about this start, so that a refusal says which it answers.
    pub number: u64,
    /// Part of it is lent: a host may refuse that.
    #[serde(default)]
    pub lent: bool,
}

/// The verdict on a server. A container without one is left alone and reported.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// Make it run; create it if it is not there. Boxed: it is much larger than a stop.
    Run(Box<RunSpec>),
    /// It has answered once: leave it running, but never create it anew. If it is gone, its
    /// owner's kernels are gone, and the hub must hear of that instead of finding a fresh one.
    Keep,
    /// End it: SIGTERM, this many seconds, SIGKILL, remove.
    Stop {
        /// Seconds between SIGTERM and SIGKILL.
        grace_s: u32,
    },
}

/// All that an agent must know to run a server. It holds the server's token, so it goes only to
/// the host that runs it.
#[derive(Clone, PartialEq)]
pub struct RunSpec {
    /// Whose it is, which profile and decision.
    pub origin: Origin,
    /// The user's identity on the hosts.
    pub account: Account,
    /// The pool that the decision took it to.
    pub pool: String,
    /// Image name with tag or digest.
    pub image: String,
    /// Exactly what the name stood for when the host was chosen, as in [`HostFacts::builds`]. Empty:
    /// no host had it, so it is what the name stands for when the server starts.
    pub build: String,
    /// Command line; empty means the image's own.
    pub command: Vec<String>,
    /// Environment, complete but for the two addresses of the hub's API.
    pub env: BTreeMap<String, String>,
    /// The folders beside HOME.
    pub spaces: Vec<Space>,
    /// What JupyterLab's file browser shows beside HOME: names there, and paths inside. With any,
    /// its root is a folder of links.
    pub shown: BTreeMap<String, String>,
    /// The hub's API as containers reach it, unless the agent's configuration knows better.
    pub api_url: String,
    /// Where the server answers, e.g. `/user/alice/`.
    pub prefix: String,
    /// Its port inside the container.
    pub port: u16,
    /// Ports that the compute farm reaches, the same on the host and inside.
    pub farm_ports: Vec<u16>,
    /// Size of `/dev/shm`, which counts as memory; `None`: what the engine gives, 64 MB.
    pub shm: Option<ByteCount>,
    /// Its share of the processors.
    pub cpu: CpuShare,
}

/// What a container gets of its host's processors. What is not said is the engine's own: the weight
/// of one processor, and no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CpuShare {
    /// Its weight where there are too few for all, in thousandths of a processor.
    pub weight_milli: Option<u32>,
    /// The most that it gets, also of an idle host, in thousandths of a processor.
    pub limit_milli: Option<u32>,
}

/// A folder of the host in a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Space {
    /// Its name in the site's files, e.g. `SPS`.
    pub name: String,
    /// Its path on the host.
    pub source: String,
    /// Its path inside.
    pub target: String,
    /// Whether the server may only read it.
    pub read_only: bool,
    /// Whether what is mounted below it later shows inside, as autofs needs it (`rslave`).
    pub follows: bool,
    /// Whether a server does not start without it; else it is left out, and that is said.
    pub required: bool,
    /// Whether it is left out without a word where it does not exist.
    pub only_if_exists: bool,
}

impl std::fmt::Debug for RunSpec {
    /// Without the environment, which holds the server's token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunSpec")
            .field("origin", &self.origin)
            .field("account", &self.account)
            .field("image", &self.image)
            .finish_non_exhaustive()
    }
}

/// A person's identity on the hosts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The account name.
    pub name: Username,
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<Group>,
    /// HOME, the same path on the host and in the container.
    pub home: String,
}

impl Account {
    /// The name of the primary group, where it is among the groups; else empty.
    pub fn main_group(&self) -> &str {
        let main = self.groups.iter().find(|group| group.gid == self.gid);
        main.map_or("", |group| group.name.as_str())
    }
}

/// A Unix group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Its name, for `id -Gn`.
    pub name: String,
    /// Its number; 0: it gives rights here and is no group on the hosts, which never hear of it.
    pub gid: u32,
}
