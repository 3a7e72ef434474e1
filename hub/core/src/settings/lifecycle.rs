//! How long servers live: what keeps them alive, when their owners are warned, and when they end.

use std::collections::{BTreeMap, BTreeSet};

use berth_common::{ByteCount, Seconds, Username};
use serde::{Deserialize, Serialize};

use super::{Cite, People};
use crate::drain::single::AtDeadline;
use crate::life::Evidence;

mod quiet;

pub use quiet::{Quiet, Zone};

/// All that `lifecycle.toml` says. The default stops nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lifecycle {
    /// How far owners may put a stop off.
    pub extend: Extend,
    /// The oldest that a server may become; `None`: servers may live for months.
    pub max_age: ByProfile<Option<Seconds>>,
    /// How people are told that a host is emptied.
    pub drain: DrainNotice,
    /// Without activity for how long servers stop; the first rule that matches holds.
    pub idle: Vec<IdleRule>,
    /// What happens to GPUs that are held and not used; the first rule that matches holds.
    pub gpu_unused: Vec<GpuRule>,
    /// Memory of running servers.
    pub memory: LiveMemory,
    /// What counts as activity.
    pub activity: Activity,
    /// Warnings before a stop.
    pub warn: Warn,
}

/// A value with exceptions for some profiles.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByProfile<T> {
    /// For all others.
    pub default: T,
    /// By profile.
    pub profiles: BTreeMap<String, T>,
}

impl<T: Copy> ByProfile<T> {
    /// The value for a profile.
    pub fn of(&self, profile: &str) -> T {
        self.profiles.get(profile).copied().unwrap_or(self.default)
    }
}

/// How far an owner may put a stop off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extend {
    /// By how much at a time.
    pub step: Seconds,
    /// How often, until activity has moved the stop further than that.
    pub max_times: ByProfile<u32>,
}

impl Default for Extend {
    fn default() -> Self {
        let max_times = ByProfile { default: 3, profiles: BTreeMap::new() };
        Self { step: Seconds(86_400), max_times }
    }
}

/// How people are told that their host is emptied, when the order does not say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainNotice {
    /// This long before the deadline, longest first; they are always told at once as well.
    pub leads: Vec<Seconds>,
    /// What happens to who is left then.
    pub at_deadline: AtDeadline,
}

impl Default for DrainNotice {
    fn default() -> Self {
        Self { leads: Warn::default().leads, at_deadline: AtDeadline::Stop }
    }
}

/// Which servers a rule is about. What is not said matches all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Whose {
    /// The pool of the profile.
    pub pool: Option<String>,
    /// The profile.
    pub profile: Option<String>,
    /// The owner.
    pub people: Option<People>,
}

impl Whose {
    /// Whether the rule is about such a server. Without an owner: about every owner's.
    pub fn matches(&self, pool: &str, profile: &str, owner: Option<(&Username, &[&str])>) -> bool {
        let people = match (&self.people, owner) {
            (None, _) => true,
            (Some(people), Some((user, groups))) => people.names(user, groups).is_some(),
            (Some(_), None) => false,
        };
        people
            && self.pool.as_deref().is_none_or(|it| it == pool)
            && self.profile.as_deref().is_none_or(|it| it == profile)
    }
}

/// Without activity for how long some servers stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdleRule {
    /// Which servers.
    pub whose: Whose,
    /// How long; `None`: they do not stop for that.
    pub stop_after: Option<Seconds>,
    /// Where it stands; an empty file is the rule that holds when nobody has written one.
    pub cite: Cite,
}

/// What happens when a server's GPUs are held and not used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GpuRule {
    /// Which servers.
    pub whose: Whose,
    /// Unused for this long, something happens.
    pub after: Seconds,
    /// What.
    pub action: GpuAction,
    /// Without an answer for this long after the question, the server stops; `None`: it does not.
    pub then_stop_after: Option<Seconds>,
    /// What becomes of a server whose kernel is busy, or may be.
    pub if_kernel_busy: IfBusy,
    /// Where it stands.
    pub cite: Cite,
}

/// What is done about a GPU that is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GpuAction {
    /// Its owner is asked, and offered the same notebooks without it.
    OfferCpu,
    /// It is listed for the administrators.
    Report,
}

/// What becomes of a server with an unused GPU and a busy kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IfBusy {
    /// It is listed for the administrators.
    Report,
    /// It is stopped like any other.
    Stop,
}

/// Memory of running servers: read here, carried out where limits are changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveMemory {
    /// Whether limits may change while a server runs.
    pub live_resize: bool,
    /// The owner is warned when this part of the limit is used, in thousandths.
    pub warn_at_milli: u32,
    /// Whether an end for want of memory is reported with process and peak.
    pub oom_report: bool,
    /// A loan before the kernel ends a process.
    pub rescue: Option<Rescue>,
}

impl Default for LiveMemory {
    fn default() -> Self {
        Self { live_resize: false, warn_at_milli: 850, oom_report: true, rescue: None }
    }
}

/// A loan of memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rescue {
    /// When this part of the limit is used, in thousandths.
    pub at_milli: u32,
    /// How much.
    pub lend: ByteCount,
    /// For how long.
    pub during: Seconds,
    /// Only if the host then has this much free.
    pub only_if_host_free: ByteCount,
}

/// What counts as activity. Any one sign keeps a server alive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activity {
    /// A busy kernel counts, also a silent one.
    pub kernel_busy: bool,
    /// From when on a kernel is idle.
    pub clock_from: ClockFrom,
    /// Which terminals count.
    pub terminal: Terminal,
    /// Processors in use.
    pub cpu: Option<Above>,
    /// GPUs in use.
    pub gpu: Option<Above>,
    /// Data that moves through the network, or to and from storage.
    pub network: Option<Above>,
    /// A busy Dask cluster on the compute farm counts.
    #[serde(default = "yes")]
    pub cluster_busy: bool,
    /// What a person does in the browser counts.
    pub browser_input: bool,
    /// An open tab counts, whatever it does.
    pub open_tab_alone: bool,
}

fn yes() -> bool {
    true
}

impl Default for Activity {
    fn default() -> Self {
        let during = Seconds(600);
        Self {
            kernel_busy: true,
            clock_from: ClockFrom::ExecutionEnd,
            terminal: Terminal::Working,
            cpu: Some(Above { amount: 200, during }),
            gpu: Some(Above { amount: 5, during }),
            network: Some(Above { amount: 1 << 20, during }),
            cluster_busy: true,
            browser_input: true,
            open_tab_alone: false,
        }
    }
}

/// Use on average above an amount, for a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Above {
    /// The least that counts: thousandths of a core, per cent of a GPU, or bytes a second.
    pub amount: u64,
    /// Measured over this span.
    pub during: Seconds,
}

/// From when on a kernel is idle. Kept for whoever watches kernels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClockFrom {
    /// Since its last cell ended: one that took ten hours and ends now is idle for no time.
    ExecutionEnd,
    /// Since its last cell was begun.
    ExecutionStart,
}

/// Which terminals count as activity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Terminal {
    /// Every open one.
    Any,
    /// One whose foreground program uses the processor or moves data.
    Working,
    /// None.
    Ignore,
}

impl Activity {
    /// Whether a sign of this kind keeps a server alive.
    pub fn counts(&self, kind: Evidence) -> bool {
        match kind {
            Evidence::Notebook => true,
            Evidence::Browser => self.browser_input || self.open_tab_alone,
            Evidence::Kernel => self.kernel_busy,
            Evidence::Terminal => self.terminal != Terminal::Ignore,
            Evidence::Cpu => self.cpu.is_some(),
            Evidence::Gpu => self.gpu.is_some(),
            Evidence::Network => self.network.is_some(),
            Evidence::Cluster => self.cluster_busy,
        }
    }
}

/// Warnings before a stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warn {
    /// This long before, longest first. One that is longer than half of the limit is left out.
    pub leads: Vec<Seconds>,
    /// By which ways.
    pub channels: BTreeSet<Channel>,
    /// The hours in which nothing is stopped.
    pub quiet: Option<Quiet>,
}

impl Default for Warn {
    fn default() -> Self {
        Self {
            leads: vec![Seconds(86_400), Seconds(7_200), Seconds(600)],
            channels: BTreeSet::from([Channel::Lab, Channel::Card, Channel::Mail]),
            quiet: None,
        }
    }
}

/// A way to a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// Inside JupyterLab.
    Lab,
    /// On the server's card.
    Card,
    /// By mail.
    Mail,
}

impl Lifecycle {
    /// The rule that says when such a server stops for want of activity.
    pub fn idle_rule(
        &self,
        pool: &str,
        profile: &str,
        owner: Option<(&Username, &[&str])>,
    ) -> Option<&IdleRule> {
        self.idle.iter().find(|rule| rule.whose.matches(pool, profile, owner))
    }

    /// The rule about unused GPUs of such a server.
    pub fn gpu_rule(
        &self,
        pool: &str,
        profile: &str,
        owner: Option<(&Username, &[&str])>,
    ) -> Option<&GpuRule> {
        self.gpu_unused.iter().find(|rule| rule.whose.matches(pool, profile, owner))
    }
}
