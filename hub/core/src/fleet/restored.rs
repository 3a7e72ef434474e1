//! A store that came from a backup: what happened after it was taken is known to the hosts only.
//!
//! Until every host has told what it runs and all of that was taken in, nothing is started: the
//! server that somebody asks for may be running on the host that has not spoken yet.

use std::collections::BTreeSet;
use std::sync::Arc;

use berth_common::{ByteCount, Epoch, Generation, HostId, Reason, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Fleet, Phase, Server};
use crate::rules::Refusal;

/// More starts of one server, or of the hub, than there can be between a backup and a crash.
const LEAP: u64 = 1_024;

/// The restore that the store has been through last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restored {
    /// When it was restored.
    pub at: Timestamp,
    /// When the backup was taken.
    pub taken: Timestamp,
    /// Starts get higher numbers than this: lower ones may have been used after the backup.
    pub above: Generation,
    /// Hosts of which everything that runs there was taken in, or that nobody waits for.
    pub settled: BTreeSet<HostId>,
}

impl Restored {
    /// A restore of these servers at a moment, without these hosts. `former` is the highest number
    /// of a start that is known from elsewhere.
    pub fn new(
        at: Timestamp,
        taken: Timestamp,
        servers: &[Server],
        former: Generation,
        without: impl IntoIterator<Item = HostId>,
    ) -> Self {
        let highest = servers.iter().map(|server| server.generation.0).max().unwrap_or(0);
        // Minutes, so that a backup that is restored twice does not use the same numbers twice.
        let leap = LEAP.saturating_add(at.millis_since(taken) / 60_000);
        let above = Generation(highest.max(former.0).saturating_add(leap));
        Self { at, taken, above, settled: without.into_iter().collect() }
    }

    /// The number of the reign that the next one comes after.
    pub fn epoch_above(&self, highest: Epoch) -> Epoch {
        let minutes = self.at.millis_since(self.taken) / 60_000;
        Epoch(highest.0.saturating_add(LEAP).saturating_add(minutes))
    }

    /// A server of the backup as it goes on: what was placed is kept where it runs and made
    /// nowhere anew, since it may have ended and begun elsewhere meanwhile; and every clock that
    /// would stop it begins anew, since the signs of the time between are lost.
    #[must_use]
    pub fn take_over(&self, mut server: Server) -> Server {
        match &mut server.phase {
            Phase::Idle => {}
            Phase::Waiting { place, .. } => *place = None,
            Phase::Placed(placement) => {
                // Also what the host's container says is right, not what was last ordered.
                placement.resize = None;
                server.account = None;
                server.last_activity = self.at;
            }
        }
        server
    }
}

impl Fleet {
    /// Declared hosts that have not told all they run since the store was restored.
    pub fn unsettled(&self) -> impl Iterator<Item = &HostId> {
        // Nearly always there was no restore, and nobody has to be asked.
        self.restored.iter().flat_map(|restored| {
            self.settings.hosts.keys().filter(|host| !restored.settled.contains(*host))
        })
    }

    /// Why nothing may be started at the moment, whoever asks.
    pub(crate) fn restoring(&self) -> Option<Refusal> {
        let hosts: Vec<_> = self.unsettled().map(HostId::as_str).collect();
        let detail = match hosts.as_slice() {
            [] => return None,
            [host] => format!("The hub was restored from a backup and waits for {host} to report."),
            [first, others @ ..] => format!(
                "The hub was restored from a backup and waits for {first} and {} more to report.",
                others.len()
            ),
        };
        Some(Refusal { reason: Reason::RefusedRestoring, detail, from: None })
    }

    /// The number that the next start of a server comes after.
    pub(crate) fn above(&self, server: &Server) -> Generation {
        let above = self.restored.as_ref().map_or(Generation(0), |restored| restored.above);
        server.generation.max(above)
    }

    /// Hosts that show a container of a later start than the server's own, though it holds no room
    /// there. Once the server begins anew, that container is outlived, and its host is to hear so.
    pub(crate) fn ahead_of(&self, server: &Server) -> Vec<HostId> {
        let later = |host: &HostId| {
            let heard = self.hosts.get(host).and_then(|host| host.heard.as_ref());
            let seen = heard.and_then(|heard| heard.observed.get(&server.id));
            seen.is_some_and(|seen| seen.generation > server.generation)
        };
        self.strays_of(&server.id).into_iter().filter(later).collect()
    }

    /// Marks a host as taken in.
    pub(crate) fn settle_restored(&mut self, host: &HostId) -> Option<Arc<Restored>> {
        let restored = self.restored.as_mut().filter(|it| !it.settled.contains(host))?;
        Arc::make_mut(restored).settled.insert(host.clone());
        self.index.queue_changed = true;
        Some(Arc::clone(restored))
    }
}

/// What a container may really use, if its host says so.
pub(crate) fn limit_of(seen: &berth_common::link::Observed) -> ByteCount {
    seen.limit.map_or(seen.origin.memory, |limit| limit.max(seen.origin.memory))
}
