//! What becomes of a transaction.

use crate::world::nature::Nature;

/// What becomes of a transaction.
pub enum Fate {
    Saved,
    Failed,
    DiesBefore,
    DiesInside,
    DiesAfter,
    DiesBetween,
}

/// Draws what becomes of a transaction.
pub fn fate(nature: &mut Nature) -> Fate {
    if nature.healed {
        return Fate::Saved;
    }
    let plan = nature.plan.disk.clone();
    let fates = [
        (plan.fails, "commit fails", Fate::Failed),
        (plan.dies_before, "hub dies before a commit", Fate::DiesBefore),
        (plan.dies_inside, "hub dies inside a commit", Fate::DiesInside),
        (plan.dies_after, "hub dies after a commit", Fate::DiesAfter),
        (plan.dies_between, "hub dies between effects", Fate::DiesBetween),
    ];
    for (often, name, fate) in fates {
        if nature.chance.permille(often) {
            nature.transcript.fault(name);
            return fate;
        }
    }
    Fate::Saved
}
