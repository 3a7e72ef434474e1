//! The growth alarm of a host, and whom to ask to leave before its memory runs out.

use berth_common::{ByteCount, Timestamp};

use super::sums::{Member, Sums};

/// A host on which one server could no longer grow to its limit beside the use of the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alarm {
    /// Σ of use now.
    pub used: ByteCount,
    /// What would be needed if the one with the most left to grow did.
    pub need: ByteCount,
    /// What there is.
    pub usable: ByteCount,
}

/// A server on a host that rings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resident<Id> {
    /// Which.
    pub id: Id,
    /// Its memory.
    pub memory: Member,
    /// Since when it does nothing; `None`: it is busy, and is never asked to leave.
    pub idle_since: Option<Timestamp>,
    /// It stays, whatever it does: the site or its owner said so.
    pub protected: bool,
}

/// Who should leave, in this order, and whether that is enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan<Id> {
    /// The longest idle first.
    pub steps: Vec<Step<Id>>,
    /// Whether the alarm ends with the last step. If not, only busy or protected servers are left,
    /// and the host waits for one of them.
    pub clears: bool,
}

/// One server that should leave: warned, then stopped or moved, as the site's policy says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step<Id> {
    /// Which.
    pub id: Id,
    /// What its leaving frees now.
    pub frees: ByteCount,
    /// Since when it is idle.
    pub idle_since: Timestamp,
}

/// The alarm of a host with this much usable memory, if it rings.
pub fn alarm(sums: &Sums, usable: ByteCount) -> Option<Alarm> {
    let need = sums.one_grows_now();
    (need > usable.0.into()).then(|| Alarm { used: bytes(sums.used), need: bytes(need), usable })
}

/// Whom to ask to leave so that the alarm ends: the longest idle first, then by id; nobody who is
/// busy or protected; nobody whose leaving turns out to be needless once a later one leaves too.
/// Empty if nothing rings.
pub fn plan<Id: Ord + Clone>(residents: &[Resident<Id>], usable: ByteCount) -> Plan<Id> {
    let mut sums = Sums::of(residents.iter().map(|resident| &resident.memory));
    let mut candidates: Vec<_> = residents
        .iter()
        .filter(|resident| !resident.protected)
        .filter_map(|resident| Some((resident.idle_since?, resident)))
        .collect();
    candidates.sort_by(|(a, one), (b, other)| (a, &one.id).cmp(&(b, &other.id)));
    let mut leaving = Vec::new();
    for candidate in candidates {
        if alarm(&sums, usable).is_none() {
            break;
        }
        sums.remove(&candidate.1.memory);
        leaving.push(candidate);
    }
    let clears = alarm(&sums, usable).is_none();
    if clears {
        leaving.retain(|(_, resident)| {
            sums.add(&resident.memory);
            let needed = alarm(&sums, usable).is_some();
            if needed {
                sums.remove(&resident.memory);
            }
            needed
        });
    }
    let step = |(idle_since, resident): (Timestamp, &Resident<Id>)| Step {
        id: resident.id.clone(),
        frees: resident.memory.used,
        idle_since,
    };
    Plan { steps: leaving.into_iter().map(step).collect(), clears }
}

pub(super) fn bytes(sum: u128) -> ByteCount {
    ByteCount(u64::try_from(sum).unwrap_or(u64::MAX))
}
