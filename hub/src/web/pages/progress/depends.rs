//! What a wait depends on, without names: servers where there may be room that stop by themselves.

use berth_common::{Seconds, Timestamp};
use berth_core::life::outlook;
use berth_core::{Fleet, Server};

use crate::web::pages::words;
use crate::web::say;

/// Later stops help nobody who waits now.
const HORIZON: Seconds = Seconds(12 * 3_600);
/// So many of those that stop first are told of.
const FIRST: usize = 3;
/// A page that is looked at again and again looks at so many servers.
const MOST: usize = 500;

/// The servers of its pool, those with GPUs for who waits for one, that stop first if nobody comes
/// back to them.
pub fn depends(fleet: &Fleet, server: &Server, now: Timestamp) -> Option<String> {
    let pool = &fleet.settings.profiles.get(&server.ask.profile)?.pool;
    let with_gpu = server.ask.gpus > 0;
    let of_pool = fleet.settings.hosts.iter().filter(|(_, host)| host.pool == *pool);
    let there = of_pool.flat_map(|(host, _)| fleet.placed_on(host)).take(MOST);
    let stops = there.filter_map(|(other, placement)| {
        if !other.is_ready() || (with_gpu && placement.gpus.is_empty()) {
            return None;
        }
        let (at, _) = outlook(&fleet.settings, other, placement, now).stop?;
        (at > now && at <= now.plus(HORIZON)).then_some(at)
    });
    let mut stops: Vec<Timestamp> = stops.collect();
    stops.sort_unstable();
    stops.truncate(FIRST);
    let within = Seconds(stops.last()?.millis_since(now) / 1000);
    let within = Seconds(within.0.div_ceil(60).saturating_mul(60));
    let said = say::t(if with_gpu { "waiting-depends-gpu" } else { "waiting-depends" });
    Some(said.with("count", stops.len()).with("span", words::long(within)).to_string())
}
