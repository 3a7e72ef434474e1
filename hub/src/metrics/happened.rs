//! What a step of the fleet means for the counters and the log.

use std::collections::BTreeMap;

use berth_common::link::StartStep;
use berth_common::{DecisionId, GpuId, HostId, Reason, ServerId, Timestamp, Username};
use berth_core::event::{Effect, Row};
use berth_core::fleet::{Intent, Placement};
use berth_core::queue::Wait;
use berth_core::{Decision, Fleet, Outcome, Server, Settings};

use super::Metrics;
use super::life::Moment;

/// Something to be counted and logged once it is durable.
#[derive(Debug, Clone, PartialEq)]
pub enum Happened {
    /// A decision.
    Decided {
        /// Which.
        decision: DecisionId,
        /// About whom.
        about: About,
        /// `placed`, `waits` or `refused`.
        outcome: &'static str,
        /// Why.
        reason: Reason,
    },
    /// A server answered for the first time, after so many seconds.
    Started(About, f64),
    /// A start failed, after so many seconds.
    Failed(About, Reason, f64),
    /// A server ended.
    Ended(About, Reason),
    /// Processes of a server were killed for want of memory: how many, and how many of them because
    /// the host itself had none left.
    Killed(About, u64, u64),
    /// Something in the life of a server that runs on, or its end as far as it was told.
    Lived(About, Moment),
    /// Somebody has waited.
    Waited(Wait),
    /// A start fetched its image in so many seconds.
    Fetched(f64),
    /// A host has shown that it holds nothing more of a server, so long after the order.
    Released(f64),
    /// What administrators want with a host is another thing now; whether it was emptied before.
    Intended {
        /// Which.
        host: HostId,
        /// What they want.
        intent: Intent,
        /// Whether it was being emptied.
        was_draining: bool,
    },
}

/// The server that something happened to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    server: ServerId,
    user: Username,
    uid: Option<u32>,
    group: Option<String>,
    profile: String,
    pool: Option<String>,
    training: Option<String>,
    image: String,
    /// Where, if it has a place.
    host: Option<HostId>,
    gpu: Option<GpuId>,
    gpu_model: Option<String>,
    /// Percent of the time in which it computed, as last heard.
    gpu_busy: Option<u32>,
    memory: Memory,
}

/// Memory of a server, in bytes, as far as it is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Memory {
    limit: Option<u64>,
    used: Option<u64>,
    peak: Option<u64>,
}

impl About {
    /// With what was last heard of it where it has its place, or had it.
    fn of(fleet: &Fleet, server: &Server, placement: Option<&Placement>) -> Self {
        let known = fleet.settings.profiles.get(&server.ask.profile);
        let heard = placement.and_then(|it| fleet.hosts.get(&it.host)?.heard.as_ref());
        let gpu = placement.and_then(|it| Some(&it.gpus.first()?.gpu));
        let device = heard.and_then(|it| it.gpus.iter().find(|one| Some(&one.gpu) == gpu));
        let used = heard.and_then(|it| it.facts.gpus.used.iter().find(|one| Some(&one.gpu) == gpu));
        let seen = heard.and_then(|it| it.observed.get(&server.id));
        let group = server.main_group();
        Self {
            server: server.id.clone(),
            user: server.owner.clone(),
            uid: server.account.as_ref().map(|account| account.uid),
            group: (!group.is_empty()).then(|| group.to_owned()),
            profile: server.ask.profile.clone(),
            pool: known.map(|profile| profile.pool.clone()),
            training: known.and_then(|profile| profile.training.clone()),
            image: server.ask.image.clone(),
            host: placement.map(|placement| placement.host.clone()),
            gpu: gpu.cloned(),
            gpu_model: device.map(|device| device.model.clone()),
            gpu_busy: used.and_then(|used| used.busy),
            memory: Memory {
                limit: placement.map(|placement| placement.limit().0),
                used: seen.map(|seen| seen.memory_used.0),
                peak: seen.map(|seen| seen.usage.memory_highest.0),
            },
        }
    }
}

/// A line about a server, with all that is known of it.
macro_rules! line {
    ($level:ident, $about:expr, $($rest:tt)+) => {{
        let about: &About = $about;
        tracing::$level!(
            user = %about.user,
            user_id = about.uid.map(tracing::field::display),
            group = about.group.as_deref(),
            host = about.host.as_ref().map(HostId::as_str),
            image = about.image.as_str(),
            profile = about.profile.as_str(),
            pool = about.pool.as_deref(),
            training = about.training.as_deref(),
            gpu = about.gpu.as_ref().map(GpuId::as_str),
            gpu_model = about.gpu_model.as_deref(),
            gpu_utilization = about.gpu_busy.map(|percent| f64::from(percent) / 100.0),
            memory_limit = about.memory.limit,
            memory_used = about.memory.used,
            memory_peak = about.memory.peak,
            server = %about.server,
            $($rest)+
        )
    }};
}

impl Happened {
    /// What the effects of some steps say, compared with the fleet that was published before them.
    pub fn of(before: &Fleet, effects: &[Effect], now: Timestamp) -> Vec<Self> {
        let mut all = Vec::new();
        // One server may be saved several times: each is compared with the one before.
        let mut latest: BTreeMap<&ServerId, &Server> = BTreeMap::new();
        let mut intents: BTreeMap<&HostId, &Intent> = BTreeMap::new();
        for effect in effects {
            match effect {
                Effect::Save(Row::Decision(decision)) => {
                    all.push(decided(&before.settings, decision))
                }
                Effect::Save(Row::Wait(wait)) => all.push(Self::Waited(wait.clone())),
                Effect::Save(Row::Server(server)) => {
                    let was = latest.insert(&server.id, server);
                    let was = was.or_else(|| before.servers.get(&server.id).map(AsRef::as_ref));
                    all.extend(changed(before, was, server, now));
                }
                Effect::Save(Row::Host(host)) => {
                    let was = intents.insert(&host.id, &host.intent);
                    let was = was.or_else(|| before.hosts.get(&host.id).map(|host| &host.intent));
                    let word = |intent: &Intent| std::mem::discriminant(intent);
                    if let Some(was) = was.filter(|was| word(was) != word(&host.intent)) {
                        let was_draining = matches!(was, Intent::Draining { .. });
                        let (host, intent) = (host.id.clone(), host.intent.clone());
                        all.push(Self::Intended { host, intent, was_draining });
                    }
                }
                _ => {}
            }
        }
        all
    }
}

fn decided(settings: &Settings, decision: &Decision) -> Happened {
    let (outcome, reason, host) = match &decision.outcome {
        Outcome::Placed { reason, host, .. } => ("placed", *reason, Some(host.clone())),
        Outcome::Waits { reason, .. } => ("waits", *reason, None),
        Outcome::Refused { reason, .. } => ("refused", *reason, None),
    };
    let known = settings.profiles.get(&decision.ask.profile);
    let about = About {
        server: decision.server.clone(),
        user: decision.user.clone(),
        uid: None,
        group: decision.groups.first().cloned(),
        profile: decision.ask.profile.clone(),
        pool: known.map(|profile| profile.pool.clone()),
        training: known.and_then(|profile| profile.training.clone()),
        image: decision.ask.image.clone(),
        host,
        gpu: None,
        gpu_model: None,
        gpu_busy: None,
        memory: Memory { limit: Some(decision.ask.memory.0), ..Memory::default() },
    };
    Happened::Decided { decision: decision.id.clone(), about, outcome, reason }
}

fn changed(
    fleet: &Fleet,
    before: Option<&Server>,
    after: &Server,
    now: Timestamp,
) -> Vec<Happened> {
    let mut all = Vec::new();
    let was = before.and_then(Server::placement);
    let about = || About::of(fleet, after, after.placement().or(was));
    let same_start = before.is_some_and(|before| before.generation == after.generation);
    let span = |from: Timestamp, to: Timestamp| to.millis_since(from) as f64 / 1e3;
    if let Some(placement) = after.placement()
        && let Some(ready) = placement.ready_at
        && !(same_start && was.is_some_and(|was| was.ready_at.is_some()))
    {
        all.push(Happened::Started(about(), span(placement.placed_at, ready)));
        let step = |wanted| placement.steps.iter().find(|done| done.step == wanted).map(|it| it.at);
        if let (Some(from), Some(to)) = (step(StartStep::Fetch), step(StartStep::Image)) {
            all.push(Happened::Fetched(span(from, to)));
        }
    }
    let end = after.last_end.as_ref();
    if let Some(end) = end.filter(|_| before.is_some_and(|before| before.last_end.as_ref() != end))
    {
        let placed = was.map_or(end.at, |was| was.placed_at);
        let about = About::of(fleet, after, was);
        all.push(match end.is_failure() {
            true => Happened::Failed(about, end.reason, span(placed, end.at)),
            false => Happened::Ended(about, end.reason),
        });
    }
    if let Some(before) = before.filter(|_| same_start) {
        let warn = &fleet.settings.lifecycle.warn;
        let moments = Moment::between(before, after, warn).into_iter();
        all.extend(moments.map(|moment| Happened::Lived(about(), moment)));
    }
    // The kernel numbers the kills of one container; a new start begins anew.
    let last = |server: &Server| server.kills.last().map_or(0, |kill| kill.number);
    let heard = before.filter(|_| same_start).map_or(0, last);
    if let Some(killed) = last(after).checked_sub(heard).filter(|killed| *killed > 0) {
        let new = after.kills.iter().filter(|kill| kill.number > heard);
        let by_host = new.filter(|kill| kill.by_host).count() as u64;
        let mut about = about();
        about.memory.peak = after.kills.last().map(|kill| kill.highest.0);
        all.push(Happened::Killed(about, killed, by_host));
    }
    if let Some(order) = was.and_then(|was| was.stop.as_ref())
        && after.placement().is_none()
    {
        all.push(Happened::Released(span(order.end.at, now)));
    }
    all
}

impl Happened {
    /// Writes it into the log, with its reason code. The names of fields are those of
    /// `berth_process::logging`.
    pub fn log(&self) {
        match self {
            Self::Decided { decision, about, outcome, reason } => {
                let (came, user) = (*outcome, &about.user);
                // The schema knows these three.
                let outcome = match came {
                    "placed" => "success",
                    "refused" => "failure",
                    _ => "unknown",
                };
                line!(info, about, action = "decision", outcome, reason = reason.code(), %decision,
                    "{user}, {came}: {}", reason.text());
            }
            Self::Started(about, seconds) => {
                let user = &about.user;
                line!(
                    info,
                    about,
                    action = "server-start",
                    outcome = "success",
                    seconds,
                    "the server of {user} answers"
                );
            }
            Self::Failed(about, reason, seconds) => {
                let user = &about.user;
                line!(
                    warn,
                    about,
                    action = "server-start",
                    outcome = "failure",
                    reason = reason.code(),
                    seconds,
                    "a start of {user} failed: {}",
                    reason.text()
                );
            }
            Self::Ended(about, reason) => {
                let user = &about.user;
                line!(
                    info,
                    about,
                    action = "server-stop",
                    outcome = "success",
                    reason = reason.code(),
                    "the server of {user} ended: {}",
                    reason.text()
                );
            }
            Self::Killed(about, processes, by_host) => {
                let user = &about.user;
                line!(
                    warn,
                    about,
                    action = "oom",
                    outcome = "failure",
                    processes,
                    by_host,
                    "{user} ran out of memory: {processes} killed"
                );
            }
            Self::Released(_) | Self::Waited(_) | Self::Fetched(_) => {}
            Self::Lived(about, moment) => {
                let user = &about.user;
                match moment {
                    Moment::Extended => line!(
                        info,
                        about,
                        action = "extend",
                        outcome = "success",
                        "{user} put a stop off"
                    ),
                    Moment::Warned(came, ways) => line!(info, about, action = "warning",
                        outcome = "success", came = ?came, mailed = ways.mail,
                        "a warning of {user} is settled"),
                    Moment::Resized(by) => line!(
                        info,
                        about,
                        action = "resize",
                        outcome = "success",
                        by,
                        "{user} has another memory limit"
                    ),
                }
            }
            Self::Intended { host, intent, was_draining } => {
                let action = match intent {
                    Intent::Draining { .. } => "drain-begin",
                    _ if *was_draining => "drain-end",
                    Intent::Open => "host-open",
                    Intent::Cordoned(_) => "host-cordon",
                };
                let order = intent.order();
                let by = order.map(|order| order.who.as_str());
                let why = order.map(|order| order.reason.as_str());
                tracing::info!(action, %host, by, why, "{host}: {action}");
            }
        }
    }
}

impl Metrics {
    /// Counts what has become durable.
    pub fn count(&self, all: &[Happened]) {
        for one in all {
            match one {
                Happened::Decided { about, outcome, reason, .. } => {
                    let labels = [about.profile.as_str(), outcome, reason.code()];
                    if let Ok(counter) = self.decisions.get_metric_with_label_values(&labels) {
                        counter.inc();
                    }
                    if *outcome == "refused" {
                        self.start("failure", reason.code(), 0.0);
                    }
                }
                Happened::Started(_, seconds) => self.start("success", "", *seconds),
                Happened::Failed(_, reason, seconds) => {
                    self.start("error", reason.code(), *seconds)
                }
                Happened::Ended(about, reason) => {
                    let labels = [about.profile.as_str(), reason.code()];
                    if let Ok(counter) = self.ends.get_metric_with_label_values(&labels) {
                        counter.inc();
                    }
                    if *reason == Reason::StoppedOom {
                        self.lives.killed(&about.profile, "container", 1);
                    }
                }
                Happened::Killed(about, processes, by_host) => {
                    let within = processes.saturating_sub(*by_host);
                    self.lives.killed(&about.profile, "kernel", within);
                    self.lives.killed(&about.profile, "host", *by_host);
                }
                Happened::Intended { .. } => {}
                Happened::Lived(about, moment) => self.lives.count(&about.profile, *moment),
                Happened::Waited(wait) => self.lives.waited(wait),
                Happened::Fetched(seconds) => self.lives.fetched(*seconds),
                Happened::Released(seconds) => {
                    if let Ok(took) = self.ends_took.get_metric_with_label_values(&["success"]) {
                        took.observe(*seconds);
                    }
                }
            }
        }
    }

    fn start(&self, status: &str, reason: &str, seconds: f64) {
        if let Ok(starts) = self.starts.get_metric_with_label_values(&[status, reason]) {
            starts.observe(seconds);
        }
    }
}
