//! A server's life as people see it: what keeps it alive, when it stops, and what they can do.

use berth_common::{Reason, Seconds, Timestamp};

use super::plan::{last_sign, limits, plan, unused_since};
use super::{Evidence, Told};
use crate::fleet::{Placement, Server};
use crate::settings::{GpuAction, Settings};

/// A sign this fresh keeps a server alive; an older one is a memory.
const FRESH: Seconds = Seconds(600);

/// A server's life as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outlook {
    /// Every sign with its kind, the newest first; and whether it counts.
    pub signs: Vec<(Evidence, Timestamp, bool)>,
    /// Since when nothing that counts has happened; `None`: something keeps it alive now.
    pub idle_since: Option<Timestamp>,
    /// When it will stop and why; `None`: nothing stops it.
    pub stop: Option<(Timestamp, Reason)>,
    /// The newest warning that speaks of this stop.
    pub warned: Option<Told>,
    /// How far its owner may put the stop off.
    pub extension: Extension,
    /// The question about its unused GPUs.
    pub question: Option<Question>,
}

/// How far an owner may put a stop off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extension {
    /// By how much at a time.
    pub step: Seconds,
    /// How often still.
    pub left: u32,
    /// Of how often.
    pub of: u32,
}

/// What is asked about GPUs that are held and not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    /// Since when they are unused.
    pub unused_since: Timestamp,
    /// Whether its owner is asked, and offered the same without GPU; else it is only listed.
    pub offers_cpu: bool,
    /// Whether it is listed for the administrators: it is not stopped by itself.
    pub listed: bool,
}

/// A placed server's life as people see it.
pub fn outlook(
    settings: &Settings,
    server: &Server,
    placement: &Placement,
    now: Timestamp,
) -> Outlook {
    let rules = &settings.lifecycle;
    let life = &placement.life;
    let plan = plan(settings, server, placement, now);
    let newest = last_sign(rules, life).map(|(_, at)| at);
    let begun = placement.ready_at.unwrap_or(placement.placed_at);
    let since = newest.map_or(begun, |at| at.max(begun));
    let mut signs: Vec<_> =
        life.signs.iter().map(|(kind, at)| (*kind, *at, rules.activity.counts(*kind))).collect();
    signs.sort_by_key(|(_, at, _)| std::cmp::Reverse(*at));
    let of = rules.extend.max_times.of(&server.ask.profile);
    let spent = plan.map_or(0, |plan| life.spent(plan.natural));
    Outlook {
        signs,
        idle_since: (since.plus(FRESH) <= now).then_some(since),
        stop: plan.map(|plan| (plan.schedule.stop, plan.reason)),
        warned: plan.and_then(|plan| life.told_of(plan.target).last().copied()),
        extension: Extension { step: rules.extend.step, left: of.saturating_sub(spent), of },
        question: question(settings, server, placement, now),
    }
}

fn question(
    settings: &Settings,
    server: &Server,
    placement: &Placement,
    now: Timestamp,
) -> Option<Question> {
    let rule = limits(settings, server).gpu?;
    let unused_since = unused_since(&placement.life)?;
    let offers_cpu = rule.action == GpuAction::OfferCpu;
    let stops = plan(settings, server, placement, now)
        .is_some_and(|plan| plan.reason == Reason::StoppedGpuUnused);
    (unused_since.plus(rule.after) <= now).then_some(Question {
        unused_since,
        offers_cpu,
        listed: !stops,
    })
}

/// Since when a server is idle, as far as anybody planning for it should know: the newest sign
/// that counts.
pub fn idle_since(settings: &Settings, server: &Server) -> Timestamp {
    let Some(placement) = server.placement() else { return server.last_activity };
    let sign = last_sign(&settings.lifecycle, &placement.life).map(|(_, at)| at);
    let begun = placement.ready_at.unwrap_or(placement.placed_at);
    sign.map_or(begun, |at| at.max(begun))
}

/// When a server will stop, if nobody comes back to it.
pub fn stops_at(settings: &Settings, server: &Server, now: Timestamp) -> Option<Timestamp> {
    plan(settings, server, server.placement()?, now).map(|plan| plan.schedule.stop)
}
