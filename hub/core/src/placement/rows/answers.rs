//! What every host answers to a need, remembered: an answer is made anew only when its host has
//! changed, so an exact look at ten thousand hosts is one pass over a list of numbers.

use std::collections::BTreeMap;

use berth_common::{HostId, Reason};

use super::{Allowed, Kept, Rows};
use crate::decision::Excluded;
use crate::packing::{self, Cost, Kind};
use crate::placement::need::Need;
use crate::placement::room::{Ask, Fail, first_fail, suits};
use crate::placement::row::Row;
use crate::placement::score::{Fill, Score};
use crate::placement::{Chosen, NoHost, Scored, Verdict};
use crate::settings::Strategy;

/// Needs whose answers are kept. A site has a few dozen of them in use; each costs 8 bytes a host.
const KEPT_NEEDS: usize = 48;

/// What every host answers to one need.
#[derive(Debug)]
pub struct Answers {
    need: Need,
    ask: Ask,
    kind: Option<Kind>,
    image: Option<usize>,
    /// The hosts that rules leave to it.
    allowed: Allowed,
    /// Number of changes that are in it.
    seen: u64,
    /// Per host: the score without the last two terms, or why not.
    keys: Vec<u64>,
    excluded: BTreeMap<Reason, u32>,
    possible: u32,
}

/// Half of the numbers that a key has for how full a host is.
const HALF: i64 = 1 << 59;

/// Keys from here on are reasons: the host is not possible.
const EXCLUDED: u64 = 1 << 63;

impl Rows {
    /// The best host for a need: the lowest score, in one pass over all of them.
    pub fn best(&mut self, need: &Need, last: Option<&HostId>, kept: Kept) -> Verdict {
        let Some(mut packing) = self.packing.take() else { return self.look(need, last, kept) };
        let answers = self.answers_to(need, &mut packing);
        let verdict = self.verdict(&answers, &packing, last, kept);
        // The needs in use stay: the one asked now is the last to go.
        self.answers.push(answers);
        self.packing = Some(packing);
        verdict
    }

    /// The same without remembering anything.
    pub fn look(&self, need: &Need, last: Option<&HostId>, kept: Kept) -> Verdict {
        let mut packing = packing::Rows::new((*self.prices).clone(), self.shapes.iter().copied());
        let answers = self.fresh_answers(need, 0, &mut packing);
        self.verdict(&answers, &packing, last, kept)
    }

    fn verdict(
        &self,
        answers: &Answers,
        packing: &packing::Rows,
        last: Option<&HostId>,
        kept: Kept,
    ) -> Verdict {
        let (first, second) = two_lowest(&answers.keys, kept);
        let last = last
            .and_then(|last| self.hosts.binary_search(last).ok())
            .filter(|at| Some(*at) != kept);
        // Of hosts that are equal but for their place, the one used last comes first.
        let (first, second) = match (first, last) {
            (Some(best), Some(last))
                if last != best && answers.keys.get(last) == answers.keys.get(best) =>
            {
                (Some(last), Some(best))
            }
            _ => (first, second),
        };
        let scored = |position: usize| self.scored(answers, packing, position, last);
        let choice = match first {
            Some(position) => {
                let gpus = self.devices(answers, packing, position);
                scored(position)
                    .map(|scored| Chosen { scored, gpus, overflow: false })
                    .ok_or(NoHost::Never)
            }
            None => Err(self.no_host(answers, kept)),
        };
        let excluded = answers.excluded.iter().filter(|(_, hosts)| **hosts > 0);
        let excluded = excluded.map(|(reason, hosts)| Excluded { reason: *reason, hosts: *hosts });
        Verdict {
            choice,
            runner_up: second.and_then(scored),
            possible: answers.possible,
            excluded: excluded.collect(),
        }
    }

    fn scored(
        &self,
        answers: &Answers,
        packing: &packing::Rows,
        position: usize,
        last: Option<usize>,
    ) -> Option<Scored> {
        let row = self.rows.get(position)?;
        let worth = answers
            .kind
            .filter(|_| row.strategy == Strategy::Pack)
            .and_then(|kind| packing.worth(position, &kind));
        let fill = fill(row, worth.map(|worth| worth.cost()));
        let mut score = score(row, &answers.need, answers.image, fill, &self.hosts, position);
        score.not_last = last != Some(position);
        Some(Scored { host: self.hosts.get(position)?.clone(), score, worth })
    }

    /// Every host that a need may use, best first, scored as in a decision.
    pub fn ranked(&self, need: &Need, last: Option<&HostId>) -> Vec<Scored> {
        let mut packing = packing::Rows::new((*self.prices).clone(), self.shapes.iter().copied());
        let answers = self.fresh_answers(need, 0, &mut packing);
        let last = last.and_then(|last| self.hosts.binary_search(last).ok());
        let possible = answers.keys.iter().enumerate().filter(|(_, key)| **key & EXCLUDED == 0);
        let mut ranked: Vec<_> = possible
            .filter_map(|(position, _)| self.scored(&answers, &packing, position, last))
            .collect();
        ranked.sort_by_key(|scored| scored.score);
        ranked
    }

    /// Why there is none. Being full says more to the person who asks than another host being down.
    fn no_host(&self, answers: &Answers, kept: Kept) -> NoHost {
        let mut fits = self.fits(&answers.ask);
        let ever = |(position, row)| {
            let row: &Row = row;
            row.pool.is_some()
                && row.pool == answers.ask.pool
                && row.obstacle != Some(Reason::HostUndeclared)
                && answers.allowed.at(position)
                && fits.at(position)
        };
        if !self.rows.iter().enumerate().any(ever) {
            return NoHost::Never;
        }
        if kept.is_some() && answers.possible > 0 {
            return NoHost::Now(Reason::WaitOrder);
        }
        let waits = [
            Reason::WaitMemoryReserved,
            Reason::WaitKeptForGpus,
            Reason::WaitGpuBusy,
            Reason::WaitCpu,
            Reason::WaitFarmPorts,
            Reason::WaitMemoryUsed,
            Reason::WaitMemoryGrowth,
            Reason::MountSick,
        ];
        let found = waits
            .into_iter()
            .find(|reason| answers.excluded.get(reason).is_some_and(|hosts| *hosts > 0));
        NoHost::Now(found.unwrap_or(Reason::WaitNoHost))
    }

    /// The devices a server would get: parts of the fullest that suffice, else whole free ones; the
    /// lowest index first.
    fn devices(&self, answers: &Answers, packing: &packing::Rows, position: usize) -> Vec<u16> {
        let Some(row) = self.rows.get(position) else { return Vec::new() };
        let ask = &answers.ask;
        let packed = answers
            .kind
            .filter(|_| row.strategy == Strategy::Pack)
            .and_then(|kind| packing.worth(position, &kind));
        if let Some(worth) = packed {
            return worth.used.devices().filter_map(|device| u16::try_from(device).ok()).collect();
        }
        let mut free: Vec<_> = row
            .gpus
            .iter()
            .filter(|gpu| suits(row, ask, gpu) && gpu.left_milli >= ask.gpu_milli)
            .collect();
        free.sort_by_key(|gpu| (gpu.left_milli, gpu.index));
        free.iter().take(ask.gpus as usize).map(|gpu| gpu.index).collect()
    }

    /// The up-to-date answers to a need, taken out of those that are kept.
    fn answers_to(&mut self, need: &Need, packing: &mut packing::Rows) -> Answers {
        let now = self.forgotten.saturating_add(self.changes.len() as u64);
        let Some(number) = self.answers.iter().position(|answers| answers.need == *need) else {
            if self.answers.len() >= KEPT_NEEDS {
                self.answers.remove(0);
            }
            return self.fresh_answers(need, now, packing);
        };
        let mut answers = self.answers.remove(number);
        // A model may have been seen for the first time since.
        if answers.seen < self.forgotten
            || self.ask(need) != answers.ask
            || self.kind(need) != answers.kind
        {
            return self.fresh_answers(need, now, packing);
        }
        let from =
            usize::try_from(answers.seen.saturating_sub(self.forgotten)).unwrap_or(usize::MAX);
        for position in self.changes.range(from.min(self.changes.len())..) {
            let position = *position as usize;
            let cost = answers
                .kind
                .and_then(|kind| packing.worth(position, &kind))
                .map(|worth| worth.cost());
            let key = self.key(&answers, position, cost);
            if let Some(old) = answers.keys.get_mut(position) {
                let old = std::mem::replace(old, key);
                answers.count(old, false);
                answers.count(key, true);
            }
        }
        answers.seen = now;
        answers
    }

    fn fresh_answers(&self, need: &Need, now: u64, packing: &mut packing::Rows) -> Answers {
        let mut answers = Answers {
            need: need.clone(),
            ask: self.ask(need),
            kind: self.kind(need),
            image: self.image(need),
            allowed: self.allowed(need),
            seen: now,
            keys: Vec::with_capacity(self.rows.len()),
            excluded: BTreeMap::new(),
            possible: 0,
        };
        let mut costs = vec![None; self.rows.len()];
        if let Some(kind) = answers.kind {
            packing.each(&kind, |position, cost, _| {
                if let Some(known) = costs.get_mut(position) {
                    *known = Some(cost);
                }
            });
        }
        for (position, cost) in costs.into_iter().enumerate() {
            let key = self.key(&answers, position, cost);
            answers.count(key, true);
            answers.keys.push(key);
        }
        answers
    }

    /// A host's answer as one number: excluded ones last, by their reason.
    fn key(&self, answers: &Answers, position: usize, cost: Option<Cost>) -> u64 {
        let Some(row) = self.rows.get(position) else { return EXCLUDED };
        if let Some(fail) = first_fail(row, &answers.ask, answers.allowed.at(position)) {
            return EXCLUDED | reason_number(fail);
        }
        let score =
            score(row, &answers.need, answers.image, fill(row, cost), &self.hosts, position);
        let flags = u64::from(score.drains) << 2
            | u64::from(score.not_preferred) << 1
            | u64::from(score.image_absent);
        let fill = match score.fill {
            // Shifted, so that the order of costs is that of keys.
            Fill::Waste(cost) => cost.0.clamp(-HALF, HALF - 1).saturating_add(HALF).unsigned_abs(),
            Fill::ReservedPart(part) => part.min((1 << 60) - 1),
        };
        flags << 60 | fill
    }
}

impl Answers {
    fn count(&mut self, key: u64, comes: bool) {
        let count = if key & EXCLUDED == 0 {
            &mut self.possible
        } else {
            let number = usize::try_from(key & !EXCLUDED).unwrap_or(usize::MAX);
            let Some(reason) = Reason::ALL.get(number) else { return };
            self.excluded.entry(*reason).or_default()
        };
        *count = if comes { count.saturating_add(1) } else { count.saturating_sub(1) };
    }
}

fn reason_number(fail: Fail) -> u64 {
    fail.reason() as u64
}

/// The score of a possible host, but for whether it was used last.
fn score(
    row: &Row,
    need: &Need,
    image: Option<usize>,
    fill: Fill,
    hosts: &[HostId],
    position: usize,
) -> Score {
    let drains = match (row.drains_by, need.stays_until) {
        (Some(by), Some(until)) => by <= until,
        (Some(_), None) => true,
        (None, _) => false,
    };
    let preferred = need.prefer.is_empty()
        || hosts.get(position).is_some_and(|host| need.prefer.contains(host));
    Score {
        drains,
        not_preferred: !preferred,
        image_absent: image.is_some_and(|number| row.images & (1 << number) == 0),
        fill,
        not_last: true,
        position: u32::try_from(position).unwrap_or(u32::MAX),
    }
}

/// How full a host is, as its pool counts it; what packing has no words for comes last.
fn fill(row: &Row, cost: Option<Cost>) -> Fill {
    match row.strategy {
        Strategy::Pack => Fill::Waste(cost.unwrap_or(Cost(i64::MAX))),
        Strategy::Spread => {
            let usable = u128::from(row.memory.usable().0.max(1));
            let part = row.memory.sums.limits.saturating_mul(1000) / usable;
            Fill::ReservedPart(u64::try_from(part).unwrap_or(u64::MAX))
        }
    }
}

/// The positions of the two lowest keys of possible hosts; the first of equal ones comes first.
fn two_lowest(keys: &[u64], kept: Kept) -> (Option<usize>, Option<usize>) {
    let (mut first, mut second) = ((EXCLUDED, None), (EXCLUDED, None));
    for (position, key) in keys.iter().enumerate() {
        if *key < second.0 && Some(position) != kept {
            if *key < first.0 {
                second = first;
                first = (*key, Some(position));
            } else {
                second = (*key, Some(position));
            }
        }
    }
    (first.1, second.1)
}
