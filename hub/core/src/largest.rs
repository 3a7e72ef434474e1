//! The largest server that could start now: the one number to watch.

use berth_common::{ByteCount, Resources};

use crate::fleet::{Ask, Fleet};
use crate::nearest::kept_in;
use crate::placement::Need;

/// The largest memory limit, in whole MiB, with which a server without GPUs of a person that
/// nobody knows would start in a pool at once. What is kept for those who wait does not count.
pub fn largest_start(fleet: &Fleet, pool: &str) -> ByteCount {
    let rows = fleet.rows();
    let Some(kept) = kept_in(fleet, rows, pool, None) else { return ByteCount::ZERO };
    let serves = |host: &_| fleet.host_settings(host).is_some_and(|declared| declared.pool == pool);
    let hosts = fleet.hosts.values().filter(|host| serves(&host.id));
    let most =
        hosts.map(|host| fleet.usable_on(host)).fold(Resources::default(), |most, usable| {
            if usable.memory > most.memory { usable } else { most }
        });
    let ask = Ask { memory: most.memory, ..Ask::default() };
    let need = Need {
        pool: pool.to_owned(),
        limit: ask.memory,
        peak: fleet.usual_peak(&ask),
        ..Need::default()
    };
    rows.largest_limit(&need, kept).map_or(ByteCount::ZERO, |(_, limit)| limit)
}
