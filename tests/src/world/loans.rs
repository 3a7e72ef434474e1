//! Memory that is used, and lent before it runs out. Every seventh seed has it, and every second harsh
//! one: the others stay what they were.

use berth_common::{ByteCount, Seconds};
use berth_core::settings::Rescue;

use crate::world::chance::Chance;
use crate::world::engine::Engine;
use crate::world::faults::Scale;

/// Between two looks at what is used.
const CHANGES_MS: std::ops::RangeInclusive<u64> = 1_000..=20_000;

/// What the site lends in a seed that has loans; short, since a run is half an hour.
pub fn rules() -> Rescue {
    Rescue {
        at_milli: 900,
        lend: ByteCount(1 << 30),
        during: Seconds(60),
        only_if_host_free: ByteCount(1 << 30),
    }
}

/// What servers use, in a seed in which that changes.
#[derive(Debug)]
pub struct Loans {
    /// Chance of its own, so that seeds without loans stay as they were.
    chance: Chance,
}

impl Loans {
    /// The loans of a seed, if it has any.
    pub fn of(seed: u64, scale: Scale) -> Option<Self> {
        let has = if scale == Scale::Harsh { seed.is_multiple_of(2) } else { seed % 7 == 4 };
        has.then(|| Self { chance: Chance::new(seed ^ 0x6c6f_616e_735f_6f6e) })
    }

    /// When use changes again.
    pub fn wait_ms(&mut self) -> u64 {
        self.chance.between(CHANGES_MS)
    }

    /// One of the hosts, by its place.
    pub fn host(&mut self, hosts: usize) -> usize {
        self.chance.between(0..=hosts.saturating_sub(1) as u64) as usize
    }

    /// A server of this host uses more or less of its memory than before.
    pub fn use_changes(&mut self, engine: &mut Engine) {
        let running: Vec<u64> = engine
            .containers
            .iter()
            .filter(|(_, it)| it.runs())
            .map(|(number, _)| *number)
            .collect();
        let Some(number) = self.chance.pick(&running) else { return };
        let part = if self.chance.permille(500) { 900..=990 } else { 50..=600 };
        let milli = self.chance.between(part);
        if let Some(made) = engine.containers.get_mut(number) {
            made.used = ByteCount(made.limit.0 / 1000 * milli);
        }
    }
}
