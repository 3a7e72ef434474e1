//! The Floor's words and the keys of its texts, all in one place.

use berth_common::{ByteCount, Timestamp};
use berth_core::HostState;

use crate::web::pages::words::{Moment, ago, host_state};
use crate::web::say;

/// A past moment that is shown.
pub struct Past {
    /// The moment itself.
    pub moment: Moment,
    /// How long ago.
    pub ago: String,
    /// The address that shows it for ever.
    pub iso: String,
}

impl Past {
    /// In words.
    pub fn of(at: Timestamp, now: Timestamp) -> Self {
        Self { moment: Moment::from(at), ago: ago(at, now).text, iso: at.to_string() }
    }
}

/// What stands beside a host's name when it takes nothing new.
pub fn state(state: HostState) -> String {
    if state == HostState::Ready { String::new() } else { host_state(state) }
}

/// How full a host is, in one line.
pub fn sum(reserved: ByteCount, used: ByteCount, total: ByteCount) -> String {
    let said = say::t("sum-of-host").with("reserved", reserved).with("used", used);
    said.with("total", total).to_string()
}

/// An amount with at most three digits.
pub fn short(amount: ByteCount) -> String {
    amount.to_string()
}

/// The texts for idle times, the shortest first; each with its end in seconds.
pub const IDLE: [(&str, u64); 5] = [
    ("idle-at-work", 600),
    ("idle-hour", 3_600),
    ("idle-half-day", 12 * 3_600),
    ("idle-day", 86_400),
    ("idle-longer", u64::MAX),
];

/// The texts for ages, the youngest first; each with its end in seconds.
pub const AGE: [(&str, u64); 5] = [
    ("age-hour", 3_600),
    ("age-day", 86_400),
    ("age-week", 7 * 86_400),
    ("age-month", 30 * 86_400),
    ("age-older", u64::MAX),
];

/// The box of hosts that no file declares any more.
pub const NO_POOL: &str = "floor-no-pool";

/// All that have no colour of their own.
pub const OTHERS: &str = "floor-others";

/// Those of which what the colours say is not known.
pub const UNKNOWN: &str = "floor-unknown";
