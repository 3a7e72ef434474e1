//! How long starts take here, by those that came through last.

use berth_common::Timestamp;
use berth_core::fleet::Ask;
use berth_core::{Fleet, Server};

use crate::web::pages::words;

/// So many starts are looked at, and so few are too few to say what is usual.
const OF: usize = 20;
const TOO_FEW: usize = 3;

/// The median of the newest starts with this profile and image, in words; of the profile, where too
/// few with the image are known. `None`: too few are known at all.
pub fn start(fleet: &Fleet, ask: &Ask) -> Option<String> {
    let of_profile = |other: &&Server| other.ask.profile == ask.profile;
    let alike = |other: &&Server| of_profile(other) && other.ask.image == ask.image;
    let servers = || fleet.servers.values().map(AsRef::as_ref);
    let (ready, placed) =
        median(servers().filter(alike)).or_else(|| median(servers().filter(of_profile)))?;
    Some(words::seconds(placed, ready))
}

fn median<'a>(servers: impl Iterator<Item = &'a Server>) -> Option<(Timestamp, Timestamp)> {
    let placements = servers.filter_map(|server| server.placement());
    let mut lasted: Vec<_> =
        placements.filter_map(|it| Some((it.ready_at?, it.placed_at))).collect();
    lasted.sort_unstable_by_key(|(ready, _)| std::cmp::Reverse(*ready));
    lasted.truncate(OF);
    lasted.sort_unstable_by_key(|(ready, placed)| ready.millis_since(*placed));
    lasted.get(lasted.len() / 2).filter(|_| lasted.len() > TOO_FEW).copied()
}
