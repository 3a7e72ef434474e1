//! Drains by number: people name one as `d-0042`, also when it is over. The number stands with the
//! host while it is emptied, and in a record of its own for later.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use berth_common::{HostId, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Fleet, Intent, Order};
use crate::drain::single::AtDeadline;
use crate::event::{Effect, Row};

/// The number of a drain. It grows with time and is never used again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DrainId(pub u64);

/// The text names no drain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("write the number of a drain, e.g. d-0042")]
pub struct NoDrain;

impl fmt::Display for DrainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("d-{:04}", self.0))
    }
}

impl FromStr for DrainId {
    type Err = NoDrain;

    fn from_str(text: &str) -> Result<Self, NoDrain> {
        let digits = text.strip_prefix("d-").ok_or(NoDrain)?;
        let all = digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse().ok().filter(|_| all).map(Self).ok_or(NoDrain)
    }
}

impl TryFrom<String> for DrainId {
    type Error = NoDrain;

    fn try_from(text: String) -> Result<Self, NoDrain> {
        text.parse()
    }
}

impl From<DrainId> for String {
    fn from(id: DrainId) -> Self {
        id.to_string()
    }
}

/// A drain, under way or over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drain {
    /// Its number.
    pub id: DrainId,
    /// The host that is emptied.
    pub host: HostId,
    /// Who, why and since when.
    pub order: Order,
    /// When the host is to be empty.
    pub by: Option<Timestamp>,
    /// What happens then to those who are left.
    pub at_deadline: AtDeadline,
    /// What people read of it, where that is not its reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// How it ended, if it has.
    pub ended: Option<Ended>,
}

/// The end of a drain: its host was given back, or is only closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// When.
    pub at: Timestamp,
    /// How many servers were still on the host: none, if it had done its work.
    pub left: usize,
}

impl Fleet {
    /// The host that a drain empties, while it does.
    pub fn drained_by(&self, id: DrainId) -> Option<&HostId> {
        self.hosts.values().find(|host| host.drain == Some(id)).map(|host| &host.id)
    }

    /// Gives a host another intent and keeps the books about its drain. A drain whose order is
    /// changed stays the same one. False: there is no such host.
    pub(crate) fn intend(
        &mut self,
        id: &HostId,
        intent: Intent,
        now: Timestamp,
        out: &mut Vec<Effect>,
    ) -> bool {
        let left = self.placed_on(id).count();
        let Some(host) = self.hosts.get_mut(id) else { return false };
        let host = Arc::make_mut(host);
        let before = std::mem::replace(&mut host.intent, intent);
        let record = match (&host.intent, host.drain) {
            (Intent::Draining { .. }, number) => {
                let number = number.unwrap_or_else(|| {
                    self.last_drain = DrainId(self.last_drain.0.saturating_add(1));
                    self.last_drain
                });
                host.drain = Some(number);
                record(number, id, &host.intent, None)
            }
            (_, Some(number)) => {
                host.drain = None;
                record(number, id, &before, Some(Ended { at: now, left }))
            }
            (_, None) => None,
        };
        out.push(Effect::Save(Row::Host(Arc::new(host.clone()))));
        out.extend(record.map(|drain| Effect::Save(Row::Drain(Box::new(drain)))));
        self.changed(id);
        true
    }
}

fn record(id: DrainId, host: &HostId, intent: &Intent, ended: Option<Ended>) -> Option<Drain> {
    let Intent::Draining { order, by, plan } = intent else { return None };
    let (host, order, at_deadline) = (host.clone(), order.clone(), plan.at_deadline);
    Some(Drain { id, host, order, by: *by, at_deadline, message: plan.message.clone(), ended })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_they_are_written() {
        let read = |text: &str| text.parse::<DrainId>();
        assert_eq!(DrainId(42).to_string(), "d-0042");
        assert_eq!(read("d-0042"), Ok(DrainId(42)));
        assert_eq!(read("d-42"), Ok(DrainId(42)));
        assert_eq!(read("d-123456"), Ok(DrainId(123_456)));
        for bad in ["", "42", "d-", "d-+4", "d--4", "ccjn01", "d-99999999999999999999"] {
            assert_eq!(read(bad), Err(NoDrain), "{bad}");
        }
    }
}
