//! What a step of the fleet means for the counters.

use std::collections::BTreeMap;

use berth_common::{Reason, ServerId, Timestamp};
use berth_core::event::{Effect, Row};
use berth_core::{Decision, Fleet, Outcome, Server};

use super::Metrics;

/// Something to be counted once it is durable.
#[derive(Debug, Clone, PartialEq)]
pub enum Happened {
    /// A decision.
    Decided {
        /// The profile asked for.
        profile: String,
        /// `placed`, `waits` or `refused`.
        outcome: &'static str,
        /// Why.
        reason: Reason,
    },
    /// A server answered for the first time, after so many seconds.
    Started(f64),
    /// A start failed, after so many seconds.
    Failed(Reason, f64),
    /// A server ended.
    Ended(String, Reason),
    /// So many processes of a server of this profile were killed for want of memory.
    Killed(String, u64),
    /// A host has shown that it holds nothing more of a server, so long after the order.
    Released(f64),
}

impl Happened {
    /// What the effects of some steps say, compared with the fleet that was published before them.
    pub fn of(before: &Fleet, effects: &[Effect], now: Timestamp) -> Vec<Self> {
        let mut all = Vec::new();
        // One server may be saved several times: each is compared with the one before.
        let mut latest: BTreeMap<&ServerId, &Server> = BTreeMap::new();
        for effect in effects {
            match effect {
                Effect::Save(Row::Decision(decision)) => all.push(decided(decision)),
                Effect::Save(Row::Server(server)) => {
                    let was = latest.insert(&server.id, server);
                    let was = was.or_else(|| before.servers.get(&server.id).map(AsRef::as_ref));
                    all.extend(changed(was, server, now));
                }
                _ => {}
            }
        }
        all
    }
}

fn decided(decision: &Decision) -> Happened {
    let (outcome, reason) = match &decision.outcome {
        Outcome::Placed { reason, .. } => ("placed", *reason),
        Outcome::Waits { reason, .. } => ("waits", *reason),
        Outcome::Refused { reason, .. } => ("refused", *reason),
    };
    Happened::Decided { profile: decision.ask.profile.clone(), outcome, reason }
}

fn changed(before: Option<&Server>, after: &Server, now: Timestamp) -> Vec<Happened> {
    let mut all = Vec::new();
    let was = before.and_then(Server::placement);
    let same_start = before.is_some_and(|before| before.generation == after.generation);
    let span = |from: Timestamp, to: Timestamp| to.millis_since(from) as f64 / 1e3;
    if let Some(placement) = after.placement()
        && let Some(ready) = placement.ready_at
        && !(same_start && was.is_some_and(|was| was.ready_at.is_some()))
    {
        all.push(Happened::Started(span(placement.placed_at, ready)));
    }
    let end = after.last_end.as_ref();
    if let Some(end) = end.filter(|_| before.is_some_and(|before| before.last_end.as_ref() != end))
    {
        let placed = was.map_or(end.at, |was| was.placed_at);
        all.push(match end.is_failure() {
            true => Happened::Failed(end.reason, span(placed, end.at)),
            false => Happened::Ended(after.ask.profile.clone(), end.reason),
        });
    }
    // The kernel numbers the kills of one container; a new start begins anew.
    let last = |server: &Server| server.kills.last().map_or(0, |kill| kill.number);
    let heard = before.filter(|_| same_start).map_or(0, last);
    if let Some(killed) = last(after).checked_sub(heard).filter(|killed| *killed > 0) {
        all.push(Happened::Killed(after.ask.profile.clone(), killed));
    }
    if let Some(order) = was.and_then(|was| was.stop.as_ref())
        && after.placement().is_none()
    {
        all.push(Happened::Released(span(order.end.at, now)));
    }
    all
}

impl Metrics {
    /// Counts what has become durable.
    pub fn count(&self, all: &[Happened]) {
        for one in all {
            match one {
                Happened::Decided { profile, outcome, reason } => {
                    let labels = [profile.as_str(), outcome, reason.code()];
                    if let Ok(counter) = self.decisions.get_metric_with_label_values(&labels) {
                        counter.inc();
                    }
                    if *outcome == "refused" {
                        self.start("failure", reason.code(), 0.0);
                    }
                }
                Happened::Started(seconds) => self.start("success", "", *seconds),
                Happened::Failed(reason, seconds) => self.start("error", reason.code(), *seconds),
                Happened::Ended(profile, reason) => {
                    let labels = [profile.as_str(), reason.code()];
                    if let Ok(counter) = self.ends.get_metric_with_label_values(&labels) {
                        counter.inc();
                    }
                }
                Happened::Killed(profile, processes) => {
                    if let Ok(counter) = self.kills.get_metric_with_label_values(&[profile]) {
                        counter.inc_by(*processes);
                    }
                }
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
