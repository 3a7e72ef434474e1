//! The Floor's words, all in one place.

use berth_common::{ByteCount, Timestamp};
use berth_core::HostState;

use crate::web::pages::words::{Moment, ago};

/// The page's title.
pub const TITLE: &str = "Floor";

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
        Self { moment: Moment::from(at), ago: ago(at, now), iso: at.to_string() }
    }
}

/// What stands beside a host's name when it takes nothing new.
pub fn state(state: HostState) -> String {
    if state == HostState::Ready { String::new() } else { state.to_string() }
}

/// How full a host is, in one line.
pub fn sum(reserved: ByteCount, used: ByteCount, total: ByteCount) -> String {
    format!("{} reserved, {} used of {}", short(reserved), short(used), short(total))
}

/// An amount with at most three digits.
pub fn short(amount: ByteCount) -> String {
    amount.to_string()
}

/// How many there are of something.
pub fn count(number: usize, one: &str, many: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {many}") }
}

/// What idle times are called, the shortest first; each with its end in seconds.
pub const IDLE: [(&str, u64); 5] = [
    ("at work", 600),
    ("idle under an hour", 3_600),
    ("idle under 12 hours", 12 * 3_600),
    ("idle under a day", 86_400),
    ("idle for longer", u64::MAX),
];

/// What ages are called, the youngest first; each with its end in seconds.
pub const AGE: [(&str, u64); 5] = [
    ("started within an hour", 3_600),
    ("within a day", 86_400),
    ("within a week", 7 * 86_400),
    ("within a month", 30 * 86_400),
    ("older", u64::MAX),
];

/// The box of hosts that no file declares any more.
pub const NO_POOL: &str = "no pool";

/// All that have no colour of their own.
pub const OTHERS: &str = "others";

/// Those of which what the colours say is not known.
pub const UNKNOWN: &str = "not known";
