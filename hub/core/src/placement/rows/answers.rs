//! What every host answers to a need, remembered: an answer is made anew only when its host has
//! changed, so an exact look at ten thousand hosts is one pass over a list of numbers.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use berth_common::{HostId, Reason};

use super::brief::Brief;
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
#[derive(Debug, Clone)]
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
        let known = self.answers.iter().position(|answers| answers.need == *need);
        let known = known.map(|number| self.answers.remove(number));
        if known.is_none() && self.answers.len() >= KEPT_NEEDS {
            self.answers.remove(0);
        }
        let answers = known.and_then(|known| self.brought_up_to_date(known, &packing));
        let answers = answers.unwrap_or_else(|| self.fresh(need, &mut packing));
        let verdict = self.verdict(&answers, &packing, last, kept);
        // The needs in use stay: the one asked now is the last to go.
        self.answers.push(answers);
        self.packing = Some(packing);
        verdict
    }

    /// Answers anew what is kept, as after other prices: so that no decision has to.
    pub(super) fn answer_anew(&mut self) {
        let Some(mut packing) = self.packing.take() else { return };
        let old = std::mem::take(&mut self.answers);
        self.answers = old.iter().map(|old| self.fresh(&old.need, &mut packing)).collect();
        self.packing = Some(packing);
    }

    fn fresh(&self, need: &Need, packing: &mut packing::Rows) -> Arc<Answers> {
        let answers = self.unanswered(need);
        let kind = answers.kind;
        let costs = kind.as_ref().map(|kind| packing.costs(kind));
        Arc::new(self.answered(answers, costs))
    }

    /// The same as [`Self::best`] without remembering anything more.
    pub fn look(&self, need: &Need, last: Option<&HostId>, kept: Kept) -> Verdict {
        let packing = self.packing();
        self.verdict(&self.answers_to(need, &packing), &packing, last, kept)
    }

    /// What packing knows of the hosts; made anew if it is nowhere.
    fn packing(&self) -> Cow<'_, packing::Rows> {
        self.packing.as_ref().map_or_else(
            || {
                let prices = (*self.prices).clone();
                Cow::Owned(packing::Rows::new(prices, self.shapes.iter().copied()))
            },
            Cow::Borrowed,
        )
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
        let packing = self.packing();
        let answers = self.answers_to(need, &packing);
        let last = last.and_then(|last| self.hosts.binary_search(last).ok());
        let possible = answers.keys.iter().enumerate().filter(|(_, key)| **key & EXCLUDED == 0);
        let mut ranked: Vec<_> = possible
            .filter_map(|(position, _)| self.scored(&answers, &packing, position, last))
            .collect();
        ranked.sort_by_key(|scored| scored.score);
        ranked
    }

    /// The score of one host that a need may use, as in a decision.
    pub fn score_of(&self, need: &Need, position: usize, last: Option<&HostId>) -> Option<Scored> {
        let packing = self.packing();
        let answers = self.unanswered(need);
        let last = last.and_then(|last| self.hosts.binary_search(last).ok());
        self.scored(&answers, &packing, position, last)
    }

    /// Why there is none. Being full says more to the person who asks than another host being down.
    fn no_host(&self, answers: &Answers, kept: Kept) -> NoHost {
        let mut fits = self.fits(&answers.ask);
        let undeclared = |position: usize| {
            let row = self.rows.get(position);
            row.is_some_and(|row| row.obstacle == Some(Reason::HostUndeclared))
        };
        let ever = |(position, brief): (usize, &Brief)| {
            brief.pool.is_some()
                && brief.pool == answers.ask.pool
                && answers.allowed.at(position)
                && fits.at(position)
                && (brief.is_up() || !undeclared(position))
        };
        if !self.briefs.iter().enumerate().any(ever) {
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

    /// The up-to-date answers to a need, of those that are kept or else made anew.
    fn answers_to(&self, need: &Need, packing: &packing::Rows) -> Arc<Answers> {
        let known = self.answers.iter().find(|answers| answers.need == *need).cloned();
        let answers = known.and_then(|known| self.brought_up_to_date(known, packing));
        answers.unwrap_or_else(|| {
            let answers = self.unanswered(need);
            let (kind, mut known) = (answers.kind, packing::Known::default());
            let costs = kind.as_ref().map(|kind| packing.costs_once(kind, &mut known));
            Arc::new(self.answered(answers, costs))
        })
    }

    /// Kept answers with the changes since; `None` if they have to be made anew.
    fn brought_up_to_date(
        &self,
        mut answers: Arc<Answers>,
        packing: &packing::Rows,
    ) -> Option<Arc<Answers>> {
        // A model may have been seen for the first time since.
        if answers.seen < self.forgotten
            || self.ask(&answers.need) != answers.ask
            || self.kind(&answers.need) != answers.kind
        {
            return None;
        }
        let now = self.changes_made();
        if answers.seen == now {
            return Some(answers);
        }
        let known = Arc::make_mut(&mut answers);
        let from = usize::try_from(known.seen.saturating_sub(self.forgotten)).unwrap_or(usize::MAX);
        for position in self.changes.range(from.min(self.changes.len())..) {
            let position = *position as usize;
            let key = self.key(known, position, || {
                Some(packing.worth(position, known.kind.as_ref()?)?.cost())
            });
            if let Some(old) = known.keys.get_mut(position) {
                let old = std::mem::replace(old, key);
                known.count(old, false);
                known.count(key, true);
            }
        }
        known.seen = now;
        Some(answers)
    }

    /// The number of changes so far.
    fn changes_made(&self) -> u64 {
        self.forgotten.saturating_add(self.changes.len() as u64)
    }

    /// A need in the terms of the rows, before any host was asked.
    fn unanswered(&self, need: &Need) -> Answers {
        Answers {
            need: need.clone(),
            ask: self.ask(need),
            kind: self.kind(need),
            image: self.image(need),
            allowed: self.allowed(need),
            seen: self.changes_made(),
            keys: Vec::new(),
            excluded: BTreeMap::new(),
            possible: 0,
        }
    }

    /// What every host answers. `costs`: what the need costs where there is room for it.
    fn answered(&self, mut answers: Answers, mut costs: Option<packing::Costs<'_>>) -> Answers {
        answers.keys.reserve_exact(self.rows.len());
        for position in 0..self.rows.len() {
            let key =
                self.key(&answers, position, || costs.as_mut()?.at(position).map(|(cost, _)| cost));
            answers.keys.push(key);
        }
        let mut excluded = vec![0; Reason::ALL.len()];
        for key in &answers.keys {
            match excluded_by(*key).and_then(|number| excluded.get_mut(number)) {
                Some(count) => *count += 1,
                None => answers.possible += 1,
            }
        }
        let by_reason = Reason::ALL.iter().copied().zip(excluded);
        answers.excluded = by_reason.filter(|(_, hosts)| *hosts > 0).collect();
        answers
    }

    /// A host's answer as one number: excluded ones last, by their reason. What it costs there is
    /// asked of possible hosts only.
    fn key(&self, answers: &Answers, position: usize, cost: impl FnOnce() -> Option<Cost>) -> u64 {
        let Some(brief) = self.briefs.get(position) else { return EXCLUDED };
        let allowed = answers.allowed.at(position);
        if let Some(fail) = brief.first_fail(&answers.ask, allowed) {
            return EXCLUDED | reason_number(fail);
        }
        let Some(row) = self.rows.get(position) else { return EXCLUDED };
        if let Some(fail) = first_fail(row, &answers.ask, allowed) {
            return EXCLUDED | reason_number(fail);
        }
        let cost = (row.strategy == Strategy::Pack).then(cost).flatten();
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
        let count = match excluded_by(key) {
            None => &mut self.possible,
            Some(number) => {
                let Some(reason) = Reason::ALL.get(number) else { return };
                self.excluded.entry(*reason).or_default()
            }
        };
        *count = if comes { count.saturating_add(1) } else { count.saturating_sub(1) };
    }
}

/// The number of the reason that a key stands for; `None`: the host is possible.
fn excluded_by(key: u64) -> Option<usize> {
    (key & EXCLUDED != 0).then(|| usize::try_from(key & !EXCLUDED).unwrap_or(usize::MAX))
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
