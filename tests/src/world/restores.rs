//! Restores from a backup: the hub's disk goes back to what it was minutes ago, and what happened
//! since is known to the hosts only. Every seventh seed has them, and every fourth harsh one: the others
//! stay what they were.

use std::ops::RangeInclusive;
use std::sync::Arc;

use berth_common::{Epoch, Generation, HostId, Timestamp};
use berth_core::event::Row;
use berth_core::fleet::restored::Restored;
use berth_core::store::Store;

use crate::world::bugs::Bug;
use crate::world::chance::Chance;
use crate::world::disk::Disk;
use crate::world::faults::Scale;
use crate::world::hub::Hub;
use crate::world::invariants::Promises;
use crate::world::nature::{Happening, Nature};

/// Between two backups.
const BACKUP_MS: RangeInclusive<u64> = 60_000..=400_000;
/// Between two restores.
const RESTORE_MS: RangeInclusive<u64> = 200_000..=900_000;
/// What an administrator needs for one.
const AWAY_MS: RangeInclusive<u64> = 5_000..=60_000;

/// The backups of a seed that has some.
#[derive(Debug)]
pub struct Restores {
    /// Chance of its own, so that seeds without restores stay as they were.
    chance: Chance,
    /// So many times as often as usual.
    often: u64,
    backup: Option<Backup>,
}

#[derive(Debug)]
struct Backup {
    taken: Timestamp,
    disk: Disk,
    /// What was promised when it was taken: what came later may be lost with a restore.
    promises: Promises,
}

impl Restores {
    /// The restores of a seed, if it has any.
    pub fn of(seed: u64, scale: Scale) -> Option<Self> {
        let harsh = scale == Scale::Harsh;
        let often = if harsh { 5 } else { 1 };
        let has = if harsh { seed % 4 == 1 } else { seed % 7 == 5 };
        has.then(|| Self { chance: Chance::new(seed ^ 0x7265_7374_6f72_6573), often, backup: None })
    }

    /// Restores that a scenario brings about.
    pub fn scripted() -> Self {
        Self { chance: Chance::new(1), often: 1, backup: None }
    }

    /// The first happenings.
    pub fn begin(&mut self) -> [(u64, Happening); 2] {
        let (backup, restore) = (self.wait(BACKUP_MS), self.wait(RESTORE_MS));
        [
            (backup, Happening::BackupIsTaken { again: true }),
            (restore, Happening::IsRestored { again: true }),
        ]
    }

    fn wait(&mut self, range: RangeInclusive<u64>) -> u64 {
        self.chance.between(range) / self.often
    }

    /// A backup of the hub's disk is taken.
    pub fn back_up(&mut self, nature: &mut Nature, hub: &Hub, again: bool) {
        nature.say(|| "a backup is taken".into());
        self.backup = Some(Backup {
            taken: nature.schedule.now(),
            disk: hub.disk.clone(),
            promises: nature.history.promises().clone(),
        });
        if again && !nature.healed {
            let wait = self.wait(BACKUP_MS);
            nature.schedule.after_ms(wait, Happening::BackupIsTaken { again });
        }
    }

    /// An administrator puts the last backup in the place of the hub's disk.
    pub fn restore(&mut self, nature: &mut Nature, hub: &mut Hub, again: bool) {
        if nature.healed {
            return;
        }
        if again {
            let wait = self.wait(RESTORE_MS);
            nature.schedule.after_ms(wait, Happening::IsRestored { again });
        }
        let Some(Backup { taken, mut disk, promises }) = self.backup.take() else { return };
        hub.paused_until = nature.schedule.now();
        hub.die(nature, self.chance.between(AWAY_MS));
        nature.transcript.fault("restore from a backup");
        nature.say(|| "the hub's store is restored from the backup".into());
        // The store in place may be damaged: then nobody knows what numbers it has used.
        let damaged = self.chance.permille(500);
        let (generation, epoch) = if damaged { Default::default() } else { hub.disk.highest() };
        let hosts: Vec<HostId> = hub.hosts().cloned().collect();
        let now = nature.schedule.now();
        begin_after_backup(nature.bug, &mut disk, now, taken, (generation, epoch), hosts);
        hub.disk = disk;
        nature.history.goes_back(promises);
    }
}

/// Makes a backup the store that a hub begins on, in the order of `berth-hub restore`.
fn begin_after_backup(
    bug: Option<Bug>,
    disk: &mut Disk,
    now: Timestamp,
    taken: Timestamp,
    (generation, epoch): (Generation, Epoch),
    hosts: Vec<HostId>,
) {
    let servers: Vec<_> = disk.servers.values().cloned().collect();
    let above = disk.restored.as_ref().map(|restored| restored.above).unwrap_or_default();
    let generation = generation.max(above);
    let mut restored = Restored::new(now, taken, &servers, generation, []);
    if bug == Some(Bug::RestoresWithoutLeap) {
        restored.above = Generation(0);
    }
    if bug != Some(Bug::RestoresOldReign) {
        disk.epoch = restored.epoch_above(disk.epoch.max(epoch));
    }
    if bug == Some(Bug::StartsBeforeAllReported) {
        restored.settled.extend(hosts);
    }
    let mut rows: Vec<Row> =
        servers.into_iter().map(|it| Row::Server(Arc::new(restored.take_over(it)))).collect();
    rows.push(Row::Restored(Arc::new(restored)));
    let saved = disk.commit(&rows);
    debug_assert!(saved.is_ok(), "nothing is the matter with this disk");
}
