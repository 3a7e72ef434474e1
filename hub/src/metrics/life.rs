//! What happens to servers while they live: warnings, extensions, other limits, kills, waits.

use berth_core::Server;
use berth_core::fleet::ResizeState;
use berth_core::queue::Wait;
use berth_core::settings::{Channel, Warn};
use prometheus::{HistogramVec, IntCounterVec};

use super::shelf::Shelf;

/// For waits and fetched images, in seconds.
const LONG_BUCKETS: [f64; 12] =
    [1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 14400.0];

/// How a warning came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The owner put the stop off.
    Extended,
    /// The owner pressed nothing, and went on working.
    Ignored,
    /// The server was stopped as said.
    Stopped,
}

/// How a warning was given, beside the card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ways {
    /// To whoever had JupyterLab open.
    pub lab: bool,
    /// By mail.
    pub mail: bool,
}

/// Something that happened to a server that lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// A warning came out so, which was given in these ways.
    Warned(Outcome, Ways),
    /// The owner put the stop off.
    Extended,
    /// Its memory is another: by an order, or by a loan.
    Resized(&'static str),
}

impl Moment {
    /// What differs between two records of one start. `warn` says which ways warnings take.
    pub fn between(before: &Server, after: &Server, warn: &Warn) -> Vec<Self> {
        let mut all = Vec::new();
        let (Some(was), now) = (before.placement(), after.placement()) else { return all };
        let warned = !was.life.told.is_empty();
        let ways = Ways {
            lab: warn.channels.contains(&Channel::Lab),
            mail: was.life.told.iter().any(|told| told.mailed),
        };
        let Some(now) = now else {
            let end = after.last_end.as_ref().map_or("", |end| end.reason.code());
            let by_itself = matches!(end, "stopped.idle" | "stopped.age" | "stopped.gpu_unused");
            if warned && by_itself {
                all.push(Self::Warned(Outcome::Stopped, ways));
            }
            return all;
        };
        let extended = now.life.extended > was.life.extended;
        if extended {
            all.push(Self::Extended);
        }
        if warned && extended {
            all.push(Self::Warned(Outcome::Extended, ways));
        } else if warned && was.life.kept_until.is_none() && now.life.told.is_empty() {
            all.push(Self::Warned(Outcome::Ignored, ways));
        }
        let done = |state: &ResizeState| *state == ResizeState::Done;
        let resized = |resize: Option<&berth_core::fleet::Resize>| {
            resize.filter(|it| done(&it.state)).map(|it| it.limit)
        };
        let (then, new) = (resized(was.resize.as_deref()), resized(now.resize.as_deref()));
        if new.is_some() && then != new {
            let by = if now.loan != was.loan { "loan" } else { "order" };
            all.push(Self::Resized(by));
        }
        all
    }
}

/// The series.
#[derive(Debug)]
pub struct Lives {
    warnings: IntCounterVec,
    extensions: IntCounterVec,
    resizes: IntCounterVec,
    kills: IntCounterVec,
    errors: HistogramVec,
    fetches: HistogramVec,
}

impl Lives {
    /// With nothing counted.
    pub fn new(shelf: &mut Shelf) -> Result<Self, prometheus::Error> {
        Ok(Self {
            warnings: shelf.counters(
                "berth_warnings_total",
                "Warnings of a stop, by channel (card, lab, mail) and by what came of them: extended by \
                 the owner, ignored (work went on), stopped",
                &["channel", "outcome"],
            )?,
            extensions: shelf.counters(
                "berth_extensions_total",
                "Stops that were put off",
                &["profile"],
            )?,
            resizes: shelf.counters(
                "berth_memory_resizes_total",
                "Memory limits that were changed while the server ran, by order or by loan",
                &["by"],
            )?,
            kills: shelf.counters(
                "berth_oom_kills_total",
                "Kills for want of memory: of a process within a server (kernel), of a whole \
                 server (container), because the host had none (host)",
                &["profile", "scope"],
            )?,
            errors: shelf.histograms(
                "berth_queue_estimate_error_seconds",
                "By how much a wait was longer or shorter than was foreseen",
                &[],
                &LONG_BUCKETS,
            )?,
            fetches: shelf.histograms(
                "berth_image_pull_seconds",
                "Time in which a host fetched an image for a start",
                &[],
                &LONG_BUCKETS,
            )?,
        })
    }

    /// Counts one.
    pub fn count(&self, profile: &str, moment: Moment) {
        match moment {
            Moment::Extended => add(&self.extensions, &[profile], 1),
            Moment::Resized(by) => add(&self.resizes, &[by], 1),
            Moment::Warned(outcome, ways) => {
                let outcome = match outcome {
                    Outcome::Extended => "extended",
                    Outcome::Ignored => "ignored",
                    Outcome::Stopped => "stopped",
                };
                add(&self.warnings, &["card", outcome], 1);
                add(&self.warnings, &["lab", outcome], u64::from(ways.lab));
                add(&self.warnings, &["mail", outcome], u64::from(ways.mail));
            }
        }
    }

    /// Shows what there is none of yet for these profiles: the first one is then seen as growth.
    pub fn know<'a>(&self, profiles: impl Iterator<Item = &'a String>) {
        for profile in profiles {
            for scope in ["kernel", "container", "host"] {
                add(&self.kills, &[profile, scope], 0);
            }
        }
    }

    /// Processes, servers, or a host's servers were killed.
    pub fn killed(&self, profile: &str, scope: &str, count: u64) {
        add(&self.kills, &[profile, scope], count);
    }

    /// A wait is over.
    pub fn waited(&self, wait: &Wait) {
        let error = wait.foreseen.0.abs_diff(wait.lasted.0);
        if let Ok(errors) = self.errors.get_metric_with_label_values::<&str>(&[]) {
            errors.observe(error as f64);
        }
    }

    /// A start fetched its image in so many seconds.
    pub fn fetched(&self, seconds: f64) {
        if let Ok(fetches) = self.fetches.get_metric_with_label_values::<&str>(&[]) {
            fetches.observe(seconds);
        }
    }
}

fn add(counters: &IntCounterVec, labels: &[&str], count: u64) {
    if let Ok(counter) = counters.get_metric_with_label_values(labels) {
        counter.inc_by(count);
    }
}
