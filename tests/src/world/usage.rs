//! Accounting: what is booked for a person is the time for which the saved rows hold room for their
//! servers (S14).

use std::collections::BTreeMap;

use berth_common::{Seconds, ServerId, Timestamp, Username};
use berth_core::Server;
use berth_core::usage::UsageDay;

/// What one interval may be wrong by: a heartbeat, and a commit to a slow disk.
const WRONG_S: u64 = 15;

/// Time held as the rows tell it.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    /// Since when a server holds its room.
    held: BTreeMap<ServerId, Timestamp>,
    /// What was held and is over: seconds, and in how many intervals.
    over: BTreeMap<Username, (u64, u64)>,
}

impl Ledger {
    /// A server's row is saved.
    pub fn saved(&mut self, server: &Server, now: Timestamp) {
        let placement = server.placement();
        let since = placement.map(|it| it.held_since.unwrap_or(it.placed_at));
        let before = match since {
            Some(since) => self.held.insert(server.id.clone(), since),
            None => self.held.remove(&server.id),
        };
        let Some(before) = before.filter(|before| since != Some(*before)) else { return };
        // Another amount from a moment on, or the end.
        let end = since.filter(|since| *since > before).unwrap_or(now);
        let (seconds, intervals) = self.over.entry(server.owner.clone()).or_default();
        *seconds += end.millis_since(before) / 1000;
        *intervals += 1;
    }

    /// What is wrong with what the store says was used.
    pub fn judge<'a>(&self, days: impl Iterator<Item = &'a UsageDay>) -> Option<String> {
        let mut booked: BTreeMap<&Username, u64> = BTreeMap::new();
        for day in days {
            *booked.entry(&day.user).or_default() += day.amount.server_s;
        }
        self.over.iter().find_map(|(user, (seconds, intervals))| {
            let booked = booked.get(user).copied().unwrap_or(0);
            let wrong = booked.abs_diff(*seconds) > intervals * WRONG_S;
            let (booked, held) = (Seconds(booked), Seconds(*seconds));
            wrong.then(|| format!("{user} held servers for {held}, and {booked} are booked"))
        })
    }
}
