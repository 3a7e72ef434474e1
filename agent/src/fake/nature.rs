//! How a fake server behaves over its life: memory that grows and comes and goes, spells of
//! computing, and now and then an end of its own. All of it is a function of a seed, the server's
//! id and its age: the same seed gives the same lives, also after a restart.

use std::hash::{DefaultHasher, Hash, Hasher};

use berth_common::{ByteCount, Generation, ServerId};
use serde::Deserialize;

/// What JupyterLab needs before anybody has done anything.
const EMPTY: u64 = 110 << 20;

/// Memory grows to its first level in this time.
const GROWS_S: f64 = 600.0;

/// Between two levels of memory.
const LEVEL_S: f64 = 1_800.0;

/// A person computes or does not for this long.
const SPELL_S: f64 = 1_200.0;

const DAY_S: f64 = 86_400.0;

/// The site's people, in numbers: section `[nature]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Nature {
    /// The same seed, the same lives.
    pub seed: u64,
    /// Seconds from a container's start to the server's first answer, in the middle.
    pub answer_s: u32,
    /// The share of its time in which a server computes, in the middle.
    pub busy_percent: u32,
    /// The share of its limit that a server holds at its highest, in the middle.
    pub memory_percent: u32,
    /// A server ends by itself after so many days in the mean, half of them for want of memory;
    /// 0: never.
    pub ends_after_days: u32,
}

impl Default for Nature {
    fn default() -> Self {
        Self { seed: 1, answer_s: 4, busy_percent: 25, memory_percent: 30, ends_after_days: 20 }
    }
}

/// One start of one server, from its beginning to its end.
#[derive(Debug, Clone)]
pub struct Life {
    seed: u64,
    /// Seconds until it answers.
    pub answers_after: f64,
    /// The share of its limit that it holds at its highest.
    highest: f64,
    /// The share of its spells in which it computes.
    busy: f64,
    /// The end it takes by itself.
    pub end: Option<End>,
}

/// An end that nobody asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct End {
    /// Seconds after its start.
    pub after: f64,
    /// Whether memory ran out; otherwise its process just ends.
    pub oom: bool,
}

impl Life {
    /// What chance has in store for this start.
    pub fn of(nature: &Nature, server: &ServerId, generation: Generation) -> Self {
        let seed = hash(&(nature.seed, server.as_str(), generation.0));
        let percent = |share: u32| f64::from(share.min(100)) / 100.0;
        // The square of an even number: most hold little, a few hold much, the mean is a third.
        let skewed = |at: u64, middle: f64| (chance(seed, at).powi(2) * 4.0 * middle).min(0.95);
        let ends = f64::from(nature.ends_after_days) * DAY_S;
        let end = (nature.ends_after_days > 0).then(|| End {
            after: -ends * (1.0 - chance(seed, 3)).max(1e-9).ln(),
            oom: chance(seed, 4) < 0.5,
        });
        Self {
            seed,
            answers_after: f64::from(nature.answer_s) * (0.6 + 0.8 * chance(seed, 0)),
            highest: skewed(1, percent(nature.memory_percent)),
            busy: skewed(2, percent(nature.busy_percent)),
            end,
        }
    }

    /// Its working set at this age, in seconds, under this limit.
    pub fn used(&self, age: f64, limit: ByteCount) -> ByteCount {
        let levels = age.max(0.0) / LEVEL_S;
        let (before, part) = (levels.floor(), levels.fract());
        let level = |at: f64| chance(self.seed ^ 0x6d65_6d6f, at as u64);
        let smooth = part * part * (3.0 - 2.0 * part);
        let between = level(before) * (1.0 - smooth) + level(before + 1.0) * smooth;
        let mut share = self.highest * (0.35 + 0.65 * between) * (age / GROWS_S).clamp(0.0, 1.0);
        // Who runs out of memory does so within the last two minutes, faster and faster.
        if let Some(End { after, oom: true }) = self.end {
            let last = (1.0 - (after - age) / 120.0).clamp(0.0, 1.0);
            share = share.max(last * last);
        }
        let room = limit.0.saturating_sub(EMPTY) as f64;
        ByteCount(EMPTY.saturating_add((room * share) as u64).min(limit.0))
    }

    /// Whether it computes at this age.
    pub fn computes(&self, age: f64) -> bool {
        chance(self.seed ^ 0x6275_7379, (age / SPELL_S) as u64) < self.busy
    }

    /// Thousandths of a processor that it takes at this age.
    pub fn cpu_milli(&self, age: f64) -> u32 {
        let more = chance(self.seed ^ 0x6370_7521, (age / 10.0) as u64);
        if self.computes(age) { 700 + (more * 2_800.0) as u32 } else { (more * 4.0) as u32 }
    }

    /// How busy its GPU is at this age, in percent.
    pub fn gpu_busy(&self, age: f64) -> u32 {
        let more = chance(self.seed ^ 0x6770_7521, (age / 10.0) as u64);
        if self.computes(age) { 40 + (more * 60.0) as u32 } else { 0 }
    }
}

/// An even number from 0 to 1, always the same one for the same question.
fn chance(seed: u64, at: u64) -> f64 {
    (hash(&(seed, at)) >> 11) as f64 / (1_u64 << 53) as f64
}

fn hash(of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lives(nature: &Nature) -> Vec<Life> {
        (0..2_000).map(|id| Life::of(nature, &ServerId::from_random(id), Generation(1))).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_life_and_another_one_another() {
        let id = ServerId::from_random(5);
        let used = |seed: u64, generation: u64| {
            let nature = Nature { seed, ..Nature::default() };
            let life = Life::of(&nature, &id, Generation(generation));
            life.used(5_000.0, ByteCount(8 << 30))
        };
        assert_eq!(used(1, 1), used(1, 1));
        assert_ne!(used(1, 1), used(2, 1));
        assert_ne!(used(1, 1), used(1, 2));
    }

    #[test]
    fn most_hold_little_and_nobody_more_than_the_limit() {
        let limit = ByteCount(8 << 30);
        let all = lives(&Nature::default());
        let shares: Vec<f64> =
            all.iter().map(|life| life.used(50_000.0, limit).0 as f64 / limit.0 as f64).collect();
        assert!(shares.iter().all(|share| *share <= 1.0));
        let mean = shares.iter().sum::<f64>() / shares.len() as f64;
        assert!((0.15..0.40).contains(&mean), "{mean}");
        assert!(shares.iter().filter(|share| **share < 0.1).count() > 400);
        assert_eq!(all[0].used(0.0, limit), ByteCount(EMPTY), "it begins with JupyterLab alone");
    }

    #[test]
    fn some_compute_and_some_end_and_with_zero_nobody_does() {
        let nature = Nature::default();
        let busy = lives(&nature).iter().filter(|life| life.computes(40_000.0)).count();
        assert!((300..900).contains(&busy), "{busy} of 2000");
        let ended = |life: &&Life| life.end.is_some_and(|end| end.after < 20.0 * DAY_S);
        let share = lives(&nature).iter().filter(ended).count();
        assert!((1_150..1_400).contains(&share), "1 - 1/e of 2000, not {share}");
        let none = Nature { ends_after_days: 0, busy_percent: 0, ..nature };
        assert!(lives(&none).iter().all(|life| life.end.is_none() && !life.computes(40_000.0)));
    }

    #[test]
    fn who_runs_out_of_memory_holds_all_of_it_then() {
        let limit = ByteCount(4 << 30);
        let oom = |life: &Life| life.end.is_some_and(|end| end.oom && end.after > 1_000.0);
        let life = lives(&Nature::default()).into_iter().find(oom);
        let (life, after) = life
            .and_then(|life| Some((life.clone(), life.end?.after)))
            .unwrap_or_else(|| panic!("nobody"));
        assert!(life.used(after, limit).0 > limit.0 * 99 / 100);
        assert!(life.used(after - 200.0, limit).0 < limit.0 * 99 / 100);
    }
}
