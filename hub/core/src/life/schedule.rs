//! When a stop and its warnings come, given when it should come.

use berth_common::{Seconds, Timestamp};

use super::Told;
use crate::settings::Warn;

/// A stop with its next warning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// When it comes; not after now: it is due.
    pub stop: Timestamp,
    /// The next warning, by its lead, and when it is due.
    pub warning: Option<(Seconds, Timestamp)>,
}

/// Lays out a stop that should come at `target`, under a limit that began with these warnings given.
///
/// A stop in the quiet hours moves to their end. At least one warning is given outside of them, the
/// shortest lead or longer before the stop, which waits for it; and it waits for the last warning.
pub fn schedule(
    target: Timestamp,
    limit: Seconds,
    told: &[Told],
    warn: &Warn,
    now: Timestamp,
) -> Schedule {
    let open = |at: Timestamp| warn.quiet.as_ref().map_or(at, |quiet| quiet.end(at));
    let is_open = |at: Timestamp| open(at) == at;
    let leads = leads(limit, warn);
    let stop = open(target);
    // What is overdue comes as soon as it may.
    let not_past = |stop: Timestamp| if stop < now { open(now) } else { stop };
    let Some(shortest) = leads.last().copied() else {
        return Schedule { stop: not_past(stop), warning: None };
    };
    let given = told.iter().map(|told| told.lead).min();
    let left = || leads.iter().copied().filter(|lead| given.is_none_or(|given| *lead < given));
    let by_day = told.iter().map(|told| told.at).find(|at| is_open(*at));
    let (stop, once_more) = match by_day {
        Some(at) => {
            // The last warning is kept its distance, also by a hub that was away when it was due.
            let last = told.iter().rev().find(|told| told.lead <= shortest);
            let last = last.map_or(now, |told| told.at).plus(shortest);
            (not_past(open(stop.max(at.plus(shortest)).max(last))), None)
        }
        None => {
            let planned = left().map(|lead| before(stop, lead).max(now)).filter(|at| is_open(*at));
            match planned.min() {
                Some(at) if at.plus(shortest) <= stop => (stop, None),
                _ => {
                    let at = open(before(stop, shortest).max(now));
                    (open(at.plus(shortest)), Some((shortest, at)))
                }
            }
        }
    };
    // If several have become due while nobody looked, the shortest one is given.
    let due = left().rfind(|lead| before(stop, *lead) <= now);
    let next = due.or_else(|| left().next()).map(|lead| (lead, before(stop, lead)));
    let warning = [next, once_more].into_iter().flatten().min_by_key(|(_, at)| *at);
    Schedule { stop, warning }
}

/// The leads that are used under a limit, longest first: those that are at most half of it, or, if
/// all are longer, half of it.
pub fn leads(limit: Seconds, warn: &Warn) -> Vec<Seconds> {
    let half = Seconds(limit.0 / 2);
    let mut leads: Vec<_> = warn.leads.iter().copied().filter(|lead| *lead <= half).collect();
    if leads.is_empty() && !warn.leads.is_empty() {
        leads.push(half);
    }
    leads.sort_unstable_by(|a, b| b.cmp(a));
    leads.dedup();
    leads
}

fn before(at: Timestamp, span: Seconds) -> Timestamp {
    let micros = i64::try_from(span.0).unwrap_or(i64::MAX).saturating_mul(1_000_000);
    Timestamp(at.0.saturating_sub(micros))
}
