//! Hosts whose pool the calendar keeps shut: it is open only while a training is on.

use berth_common::{HostId, Timestamp};

use super::Fleet;

/// A pool that is shut, and who opens it next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// The next training and when it begins; `None`: none is planned.
    pub opens: Option<(Timestamp, String)>,
}

impl Fleet {
    /// Whether the calendar keeps a host shut. Nobody is refused by this: the rules go by the
    /// training that is asked for. It is what lists say of the host.
    pub fn closed(&self, host: &HostId, now: Timestamp) -> Option<Closed> {
        let pool = &self.settings.hosts.get(host)?.pool;
        self.settings.pools.get(pool).filter(|pool| pool.trainings_only)?;
        let trainings = || self.settings.trainings.iter().filter(|(_, it)| it.pool == *pool);
        if trainings().any(|(_, training)| training.open_window(now).is_some()) {
            return None;
        }
        let next = |(name, training): (&String, &crate::settings::Training)| {
            Some((training.next_window(now)?.from, name.clone()))
        };
        Some(Closed { opens: trainings().filter_map(next).min() })
    }
}
