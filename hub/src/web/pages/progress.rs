//! A start as people follow it: each step with its tick and its time, and what to do when one
//! fails.

use askama::Template;
use berth_common::link::{StartStep, StepDone};
use berth_common::{ByteCount, Timestamp};
use berth_core::decision::Nearest;
use berth_core::nearest::{self, Stuck};
use berth_core::queue::again;
use berth_core::{Decision, Fleet, Phase, Placement, Server, ServerState, rules};

use crate::auth::next::escape;
use crate::web::pages::card::{self, Waiting};
use crate::web::pages::ending::Ending;
use crate::web::pages::life;
use crate::web::pages::spaces;
use crate::web::pages::target::May;
use crate::web::pages::usual;
use crate::web::pages::words::{self, Relative};
use crate::web::say;

mod depends;

/// The part of the page that is kept up to date.
#[derive(Debug, Clone, Template)]
#[template(path = "progress.html")]
pub struct Progress {
    /// For the paths of its buttons.
    pub id: String,
    /// What people call the server.
    pub title: String,
    /// For its forms.
    pub xsrf: String,
    /// What its reader may do with it.
    pub may: May,
    /// Where the person wanted to go.
    pub next: String,
    /// Whose server and which, in paths.
    pub path: String,
    /// Where it answers.
    pub prefix: String,
    /// What there is to show.
    pub stage: Stage,
    /// The steps.
    pub steps: Vec<Step>,
    /// The newest decision.
    pub decision: Option<String>,
    /// What was asked for.
    pub memory: ByteCount,
    /// With which profile.
    pub profile: String,
    /// Where its owner asks for help, with a ticket filled in.
    pub help: Option<String>,
}

/// Where a start stands.
#[derive(Debug, Clone)]
pub enum Stage {
    /// In the queue.
    Waits {
        /// Where and why.
        waiting: Waiting,
        /// How long already.
        since: Relative,
        /// Half of such waits end within this span.
        between: Option<(String, String)>,
        /// The form for one more server without GPU meanwhile, for who waits for a GPU.
        meanwhile: Option<String>,
        /// An amount that would start now, and its form.
        nearest: Option<(ByteCount, String)>,
        /// What it depends on.
        depends: Option<String>,
    },
    /// On its way.
    Starts {
        /// How long such a start usually takes, if enough of them are known.
        usual: Option<String>,
    },
    /// On its way, but its host is silent.
    Silent {
        /// For how long.
        silent_for: Option<String>,
    },
    /// It answers.
    Ready,
    /// Being ended.
    Stops,
    /// The start failed or was refused.
    Failed {
        /// How.
        end: Ending,
        /// Whether a new start is possible already: nothing of the failed one is left.
        settled: bool,
    },
    /// It ended after it had run, or was never started.
    Ended {
        /// How, if it ever ran.
        end: Option<Ending>,
    },
}

/// One step of a start.
#[derive(Debug, Clone)]
pub struct Step {
    /// What it is, or what is being done.
    pub name: String,
    /// `done`, `now`, `fail` or `todo`.
    pub class: &'static str,
    /// Seconds since the request.
    pub time: Option<String>,
    /// What else there is to say.
    pub detail: String,
}

impl Progress {
    /// A server's start at this moment. `is_open` says whether the proxy leads to it already,
    /// `decision` is the newest one about it.
    pub fn of(
        fleet: &Fleet,
        server: &Server,
        is_open: bool,
        decision: Option<&Decision>,
        (may, xsrf): (May, &str),
        next: &str,
        now: Timestamp,
    ) -> Self {
        let stage = stage(fleet, server, is_open, decision, now);
        Self {
            id: server.id.to_string(),
            title: words::server_title(&server.name),
            xsrf: xsrf.to_owned(),
            may,
            next: next.to_owned(),
            path: words::server_path(&server.owner, &server.name),
            prefix: server.prefix(),
            steps: steps(fleet, server, decision, &stage, now),
            stage,
            decision: server.decision.as_ref().map(ToString::to_string),
            memory: server.ask.memory,
            profile: card::profile_title(fleet, &server.ask.profile),
            help: None,
        }
    }

    /// What the browser's tab says, for people who look at something else meanwhile.
    pub fn tab(&self) -> String {
        let said = match &self.stage {
            Stage::Waits { waiting, .. } if waiting.held.is_some() => say::t("held-tab"),
            Stage::Waits { waiting, .. } => say::t("tab-waits").with("place", waiting.place),
            Stage::Starts { .. } | Stage::Silent { .. } => say::t("starting-title"),
            Stage::Ready => say::t("ready-title"),
            Stage::Stops => say::t("stopping-title"),
            Stage::Failed { .. } => say::t("failed-title"),
            Stage::Ended { .. } => say::t("not-running-title"),
        };
        said.to_string()
    }

    /// What is told to who asked to be told: that nothing will come of it.
    pub fn told(&self) -> Option<String> {
        matches!(self.stage, Stage::Failed { .. }).then(|| self.spoken())
    }

    /// One sentence for people who listen.
    pub fn spoken(&self) -> String {
        match &self.stage {
            Stage::Waits { waiting, .. } if waiting.held.is_some() => {
                say::t("held-spoken").to_string()
            }
            Stage::Waits { waiting, .. } => {
                let said = say::t("spoken-waits").with("place", waiting.place);
                said.with("why", &waiting.why).to_string()
            }
            Stage::Starts { .. } => {
                let step = self.steps.iter().find(|step| step.class == "now");
                step.map_or_else(String::new, |step| {
                    say::t("spoken-step").with("step", &step.name).to_string()
                })
            }
            Stage::Silent { .. } => say::t("spoken-silent").to_string(),
            Stage::Ready => say::t("spoken-ready").to_string(),
            Stage::Stops => say::t("spoken-stops").to_string(),
            Stage::Failed { end, .. } => say::t("spoken-failed").with("why", &end.text).to_string(),
            Stage::Ended { .. } => say::t("spoken-ended").to_string(),
        }
    }
}

fn stage(
    fleet: &Fleet,
    server: &Server,
    is_open: bool,
    decision: Option<&Decision>,
    now: Timestamp,
) -> Stage {
    let failure =
        |end: &berth_core::fleet::End, settled| Stage::Failed { end: Ending::of(end), settled };
    match (&server.phase, fleet.server_state(server, now)) {
        (Phase::Waiting { since, .. }, _) => match card::waiting(fleet, server, now) {
            Some(waiting) => Stage::Waits {
                nearest: match waiting.held {
                    Some(_) => None,
                    None => nearest(fleet, server, waiting.place, now),
                },
                between: decision.and_then(words::between),
                meanwhile: meanwhile(fleet, server),
                depends: depends::depends(fleet, server, now),
                since: Relative::new(
                    *since,
                    say::t("waiting-for").with("span", words::span(*since, now)),
                ),
                waiting,
            },
            None => starts(fleet, server),
        },
        (Phase::Placed(placement), state) => match &placement.stop {
            Some(stop) if stop.end.is_failure() => failure(&stop.end, false),
            Some(_) => Stage::Stops,
            None if state == ServerState::Stopping => Stage::Stops,
            None if state == ServerState::Unreachable => {
                Stage::Silent { silent_for: card::silence(fleet, server, now) }
            }
            None if is_open => Stage::Ready,
            None => starts(fleet, server),
        },
        (Phase::Idle, _) => match &server.last_end {
            Some(end) if end.is_failure() => failure(end, true),
            end => Stage::Ended { end: end.as_ref().map(Ending::of) },
        },
    }
}

/// On its way, with what such a start usually takes.
fn starts(fleet: &Fleet, server: &Server) -> Stage {
    Stage::Starts { usual: usual::start(fleet, &server.ask) }
}

fn meanwhile(fleet: &Fleet, server: &Server) -> Option<String> {
    let profile = life::cpu_profile(fleet).filter(|_| server.ask.gpus > 0)?;
    Some(format!("/hub/spawn?opt-profile={}", escape(profile)))
}

/// An amount that would start at once, for the first of a pool's queue: the others would only get
/// in front of somebody.
fn nearest(
    fleet: &Fleet,
    server: &Server,
    place: usize,
    now: Timestamp,
) -> Option<(ByteCount, String)> {
    let account = server.account.as_ref().filter(|_| place == 1)?;
    let own = Some(&server.id);
    let checked = rules::check(fleet, now, account, &again(&server.ask), own);
    let stuck = Stuck { account, ask: &server.ask, own, now };
    nearest::nearest(fleet, fleet.rows(), stuck, &checked).iter().find_map(
        |nearest| match nearest {
            Nearest::Memory(memory) => Some((*memory, words::form_amount(*memory))),
            _ => None,
        },
    )
}

fn steps(
    fleet: &Fleet,
    server: &Server,
    decision: Option<&Decision>,
    stage: &Stage,
    now: Timestamp,
) -> Vec<Step> {
    if matches!(stage, Stage::Ended { .. } | Stage::Stops) {
        return Vec::new();
    }
    // Refused at once, or while it waited: no host has done anything.
    if matches!(stage, Stage::Failed { end, settled: true } if end.code.starts_with("refused.")) {
        return vec![step(say::t("step-not-accepted"), "fail")];
    }
    // A request is answered at once, or begins to wait then.
    let mut steps = vec![Step {
        time: Some(words::seconds(now, now)),
        ..step(say::t("step-accepted"), "done")
    }];
    if matches!(stage, Stage::Waits { .. }) {
        steps.push(step(say::t("step-waiting"), "now"));
        steps.extend(StartStep::ALL.map(|it| step(words::step_name(it), "todo")));
        return steps;
    }
    steps.push(chosen(server, decision));
    steps.extend(milestones(fleet, server, stage, now));
    steps
}

fn step(name: impl ToString, class: &'static str) -> Step {
    Step { name: name.to_string(), class, time: None, detail: String::new() }
}

/// Which host, and why that one.
fn chosen(server: &Server, decision: Option<&Decision>) -> Step {
    let placed = server.placement().map(|placement| placement.host.to_string());
    let host = placed.or_else(|| server.last_host.as_ref().map(ToString::to_string));
    let name = match host {
        Some(host) => say::t("step-host-named").with("host", host),
        None => say::t("step-host"),
    };
    let decision = decision.filter(|decision| decision.host().is_some());
    let detail = decision.map(|it| words::outcome(it).0).unwrap_or_default();
    // After a wait the times begin with the place that was found.
    let time = server.placement().map(|it| words::seconds(it.placed_at, it.placed_at));
    Step { detail, time, ..step(name, "done") }
}

/// The spaces beside HOME, one by one, with what is wrong where something is.
fn spaces(fleet: &Fleet, server: &Server) -> String {
    let say = |it: spaces::SpaceLine| match it.trouble {
        Some(trouble) => format!("{}: {trouble}", it.name),
        None => it.name,
    };
    spaces::of(fleet, server).into_iter().map(say).collect::<Vec<_>>().join(" · ")
}

fn milestones(fleet: &Fleet, server: &Server, stage: &Stage, now: Timestamp) -> Vec<Step> {
    let placement = server.placement();
    let host = placement.and_then(|placement| fleet.hosts.get(&placement.host));
    let fetching = host.is_some_and(|host| host.is_fetching(&server.id));
    let fetched = host.and_then(|host| host.fetched(&server.id));
    let done: &[StepDone] = placement.map_or(&[], |placement| &placement.steps);
    let failed = match stage {
        Stage::Failed { .. } => failed_at(server, done),
        _ => None,
    };
    // Nothing is known of the times once a failed start is cleared away; the order still is.
    let passed = |it: StartStep| {
        done.iter().any(|done| done.step >= it) || failed.is_some_and(|failed| it < failed)
    };
    let current = match failed {
        Some(_) => None,
        None => StartStep::ALL.into_iter().find(|it| !passed(*it)),
    };
    let all = StartStep::ALL.into_iter().map(|it| {
        if failed == Some(it) {
            return step(words::step_name(it), "fail");
        }
        if matches!(stage, Stage::Ready) || passed(it) {
            let reached = done.iter().find(|done| done.step == it).zip(placement);
            let time =
                reached.map(|(done, placement)| words::seconds(placement.placed_at, done.at));
            return Step { time, ..step(words::step_name(it), "done") };
        }
        if current == Some(it) && failed.is_none() {
            let time = placement.map(|placement| running(placement, now));
            // While an image is fetched nothing else is done.
            let doing = if fetching { StartStep::Fetch } else { it };
            // Beside the step's name: who listens need not hear each number.
            let detail = fetched.map(|percent| say::t("fetch-percent").with("percent", percent));
            let detail = detail.map(|said| said.to_string()).unwrap_or_default();
            return Step { time, detail, ..step(words::step_doing(doing), "now") };
        }
        step(words::step_name(it), "todo")
    });
    let mut all: Vec<_> = all.collect();
    let at_spaces = StartStep::ALL.iter().zip(&mut all).find(|(it, _)| **it == StartStep::Spaces);
    if let Some((_, step)) = at_spaces.filter(|(_, step)| step.class != "todo") {
        step.detail = spaces(fleet, server);
    }
    if failed.is_none() && current.is_none() && !matches!(stage, Stage::Ready) {
        all.push(step(say::t("step-way"), "now"));
    }
    all
}

/// The step that failed: the first one not reached, or the one that the reason speaks of.
fn failed_at(server: &Server, done: &[StepDone]) -> Option<StartStep> {
    let stop = server.placement().and_then(|placement| placement.stop.as_ref());
    let end = stop.map(|stop| &stop.end).or(server.last_end.as_ref())?;
    let by_reason = words::failed_step(end.reason);
    let reached = done.iter().map(|done| done.step).max();
    match reached {
        Some(reached) if reached >= by_reason => {
            StartStep::ALL.into_iter().find(|it| *it > reached).or(Some(by_reason))
        }
        _ => Some(by_reason),
    }
}

/// Whole seconds since the request: a running clock with decimals would only flicker.
fn running(placement: &Placement, now: Timestamp) -> String {
    format!("{} s", now.millis_since(placement.placed_at) / 1000)
}
