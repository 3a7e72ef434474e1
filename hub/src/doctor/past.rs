//! How checks went before, since the hub began: when all was well last, when it was not, and how
//! long whoever was asked took to answer.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use berth_common::Timestamp;

use super::{Finding, Verdict};

/// How one check went before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Past {
    /// When all was well last.
    pub well: Option<Timestamp>,
    /// When something was wrong last.
    pub trouble: Option<Timestamp>,
    /// How long the answer took last; only of checks that ask somebody.
    pub took: Option<Duration>,
}

/// How all checks went before.
#[derive(Debug, Default)]
pub struct Pasts(Mutex<BTreeMap<&'static str, Past>>);

impl Pasts {
    /// Notes one look at everything. A check with several findings is as well as the worst.
    pub fn note(&self, found: &[Finding], took: &Took, at: Timestamp) {
        let mut pasts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut worst: BTreeMap<&'static str, Verdict> = BTreeMap::new();
        for finding in found {
            let one = worst.entry(finding.check).or_insert(Verdict::Ok);
            *one = finding.verdict.max(*one);
        }
        for (check, verdict) in worst {
            let past = pasts.entry(check).or_default();
            match verdict {
                Verdict::Ok => past.well = Some(at),
                Verdict::Warning | Verdict::Failed => past.trouble = Some(at),
            }
            past.took = took.0.get(check).copied();
        }
    }

    /// How a check went before.
    pub fn of(&self, check: &str) -> Past {
        let pasts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pasts.get(check).copied().unwrap_or_default()
    }
}

/// How long those who were asked in one look took to answer.
#[derive(Debug, Default)]
pub struct Took(BTreeMap<&'static str, Duration>);

impl Took {
    /// Waits for an answer and notes how long that took.
    pub async fn of<T>(&mut self, check: &'static str, answer: impl Future<Output = T>) -> T {
        let begun = Instant::now();
        let answer = answer.await;
        self.0.insert(check, begun.elapsed());
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_of_a_check_counts_and_what_was_before_stays_known() {
        let pasts = Pasts::default();
        let (took, at) = (Took::default(), Timestamp);
        pasts.note(&[Finding::ok("mail", "answers")], &took, at(1));
        let worse = [Finding::ok("mail", "answers"), Finding::failed("mail", "silent", "")];
        pasts.note(&worse, &took, at(2));
        let known = Past { well: Some(at(1)), trouble: Some(at(2)), took: None };
        assert_eq!(pasts.of("mail"), known);
        assert_eq!(pasts.of("proxy"), Past::default());
    }
}
