//! Replays of what the store has recorded, and the files under which they are decided.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use berth_common::{HostId, Timestamp};
use berth_core::Settings;
use berth_core::fleet::HostState;
use berth_core::floor::{Floor, FloorHost, first_of_reign};
use berth_process::clock::now;

use super::replay::{Replayed, is_request};
use crate::config::{self, Diagnostics};
use crate::site::Hub;
use crate::storage::StorageError;

/// Requests in one replay at most, the oldest first: more take minutes.
const MOST_REPLAYED: u32 = 20_000;

/// The hub's own loader on files that are not in force.
///
/// # Errors
/// When they cannot be laid down to be read.
pub fn check(
    state: &Path,
    files: &BTreeMap<String, String>,
) -> std::io::Result<Result<Settings, Diagnostics>> {
    let folder = tempfile::Builder::new().prefix("plan-").tempdir_in(state)?;
    for (name, text) in files {
        let path = folder.path().join(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(path, text)?;
    }
    Ok(config::try_settings(folder.path(), now()))
}

/// Decides recorded requests again, without some hosts or under other settings.
///
/// # Errors
/// When the store cannot be read.
pub fn replay(
    hub: &Hub,
    since: Timestamp,
    removed: &BTreeSet<HostId>,
    other: Option<Arc<Settings>>,
) -> Result<Replayed, StorageError> {
    let decisions = hub.storage.read(|reader| reader.decisions_since(since, MOST_REPLAYED))?;
    let left_off = decisions.len() >= usize::try_from(MOST_REPLAYED).unwrap_or(usize::MAX);
    let mut replayed = Replayed { left_off, ..Replayed::default() };
    let mut floor: Option<(Floor, Timestamp)> = None;
    let mut settings: BTreeMap<u64, Option<Arc<Settings>>> = BTreeMap::new();
    for decision in decisions.into_iter().filter(is_request) {
        let there = advance(hub, floor.take(), decision.inputs.floor, decision.at)?;
        let version = decision.inputs.settings;
        let of_then = match settings.get(&version) {
            Some(known) => known.clone(),
            None => {
                let read = hub.storage.read(|reader| reader.settings(version))?.map(Arc::new);
                settings.insert(version, read.clone());
                read
            }
        };
        if let Some(of_then) = of_then {
            let other = other.as_ref().unwrap_or(&of_then);
            let less = closed(&there, removed);
            replayed.take(decision.clone(), (&there, &of_then), (&less, other));
        }
        floor = Some((there, decision.at));
    }
    Ok(replayed)
}

/// The floor of a version, from that of an earlier one where that is possible.
fn advance(
    hub: &Hub,
    before: Option<(Floor, Timestamp)>,
    version: u64,
    at: Timestamp,
) -> Result<Floor, StorageError> {
    let follows = |floor: &Floor| {
        floor.version <= version && first_of_reign(floor.version) == first_of_reign(version)
    };
    let Some((mut floor, from)) = before.filter(|(floor, _)| follows(floor)) else {
        return hub.storage.read(|reader| reader.floor(version));
    };
    let versions = (floor.version, version);
    let changes = hub.storage.read(|reader| reader.floor_changes(versions, (from, at)))?;
    for change in changes {
        match floor.position(&change.host).and_then(|at| floor.hosts.get_mut(at)) {
            Some(entry) => *entry = Arc::new(change),
            None => {
                floor.hosts.push(Arc::new(change));
                floor.hosts.sort_by(|a, b| a.host.cmp(&b.host));
            }
        }
    }
    floor.version = version;
    Ok(floor)
}

/// A floor on which some hosts take nothing new. What ran there then stays: nobody knows where it
/// would have gone.
fn closed(floor: &Floor, hosts: &BTreeSet<HostId>) -> Floor {
    let close = |host: &Arc<FloorHost>| match hosts.contains(&host.host) {
        true => Arc::new(FloorHost { state: HostState::Cordoned, ..FloorHost::clone(host) }),
        false => Arc::clone(host),
    };
    Floor { version: floor.version, hosts: floor.hosts.iter().map(close).collect() }
}
