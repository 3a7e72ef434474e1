//! What keeps a server alive and when it will stop, in words; and the button that puts that off.

use berth_common::{Reason, Timestamp};
use berth_core::life::outlook;
use berth_core::{Fleet, Server};

use crate::web::pages::words::{self, Moment, Relative};
use crate::web::say;

/// A running server's life in words.
#[derive(Debug, Clone)]
pub struct Life {
    /// What keeps it alive now.
    pub kept_by: Option<Relative>,
    /// Since when nothing is going on in it.
    pub idle_since: Option<Moment>,
    /// When it will stop.
    pub stop: Option<Moment>,
    /// Why, once its owner is to be warned of it.
    pub warning: Option<String>,
    /// What the button says that puts the stop off, while it can be.
    pub extend: Option<String>,
    /// Its unused GPU.
    pub gpu: Option<UnusedGpu>,
    /// Every sign that was ever seen of this start, the newest first.
    pub signs: Vec<Sign>,
}

/// A GPU that is held and not used.
#[derive(Debug, Clone)]
pub struct UnusedGpu {
    /// Since when.
    pub since: Moment,
    /// The form for the same notebooks without it, where that is offered.
    pub without: Option<String>,
}

/// A sign of activity.
#[derive(Debug, Clone)]
pub struct Sign {
    /// What it was.
    pub what: String,
    /// When.
    pub at: Moment,
    /// Whether it keeps a server alive here.
    pub counts: bool,
}

impl Life {
    /// A server's life at this moment; `path` is the last part of its pages' paths.
    pub fn of(fleet: &Fleet, server: &Server, path: &str, now: Timestamp) -> Option<Self> {
        let placement = server.placement().filter(|_| server.is_ready())?;
        let life = outlook(&fleet.settings, server, placement, now);
        let newest = life.signs.iter().find(|(.., counts)| *counts);
        let kept_by = match (life.idle_since, newest) {
            (None, Some((kind, at, _))) => {
                let said = say::t("kept-alive-by").with("what", words::sign(*kind));
                Some(Relative::new(*at, said.with("ago", words::ago(*at, now).text)))
            }
            _ => None,
        };
        let (left, of) = (life.extension.left, life.extension.of);
        let can_extend = life.stop.is_some() && left > 0;
        let label = || {
            let step = words::long(life.extension.step);
            say::t("extend").with("step", step).with("left", left).with("of", of).to_string()
        };
        let without = || {
            let profile = cpu_profile(fleet)?;
            Some(format!("/hub/spawn/{path}?opt-profile={}", crate::auth::next::escape(profile)))
        };
        Some(Self {
            kept_by,
            idle_since: life.idle_since.map(Moment::from),
            stop: life.stop.map(|(at, _)| Moment::from(at)),
            warning: life.warned.and(life.stop).map(|(_, why)| why_soon(why)),
            extend: can_extend.then(label),
            gpu: life.question.map(|question| UnusedGpu {
                since: Moment::from(question.unused_since),
                without: question.offers_cpu.then(without).flatten(),
            }),
            signs: life
                .signs
                .into_iter()
                .map(|(what, at, counts)| Sign {
                    what: words::sign(what),
                    at: Moment::from(at),
                    counts,
                })
                .collect(),
        })
    }
}

/// Why a server will stop, in a sentence.
fn why_soon(reason: Reason) -> String {
    let said = match reason {
        Reason::StoppedAge => say::t("stop-soon-age"),
        Reason::StoppedGpuUnused => say::t("stop-soon-gpu"),
        Reason::StoppedTraining => say::t("stop-soon-training"),
        _ => say::t("stop-soon-idle"),
    };
    said.to_string()
}

/// The profile without GPU that people get first.
pub fn cpu_profile(fleet: &Fleet) -> Option<&str> {
    let without = fleet.settings.profiles.iter().filter(|(_, profile)| profile.gpus.is_none());
    let first = without.min_by_key(|(_, profile)| !profile.default)?;
    Some(first.0)
}
