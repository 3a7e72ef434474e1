//! The spaces that the hub wants watched: each is looked at in a process of its own, so that one that
//! hangs is sick and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use berth_common::Timestamp;
use berth_common::link::{Ending, SpaceHealth, Watch};
use berth_process::clock;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::driver::Input;
use crate::helper::Helper;
use crate::mounts::Question;

/// Nothing is looked at more often, whatever the hub says.
const EVERY_LEAST: Duration = Duration::from_secs(1);
/// The longest that a look may take.
const TIMEOUT_MOST_S: u64 = 60;

/// What is known of the watched spaces.
#[derive(Debug, Default)]
struct Known {
    spaces: BTreeMap<String, Space>,
}

#[derive(Debug)]
struct Space {
    path: String,
    failures: u32,
    /// What is told; `None` until the first look has an outcome.
    told: Option<SpaceHealth>,
}

/// What came of a look at a space.
#[derive(Debug)]
struct Look {
    outcome: Result<(), Ending>,
    took: Duration,
}

impl Known {
    /// Takes over what is to be watched; what was known of the same paths stays.
    fn follow(&mut self, watch: &Watch) {
        let mut before = std::mem::take(&mut self.spaces);
        for (name, path) in &watch.paths {
            let known = before.remove(name).filter(|known| known.path == *path);
            let new = || Space { path: path.clone(), failures: 0, told: None };
            self.spaces.insert(name.clone(), known.unwrap_or_else(new));
        }
    }

    /// Notes a look's outcome.
    fn note(&mut self, watch: &Watch, name: &str, look: Look, now: Timestamp) {
        let Some(space) = self.spaces.get_mut(name) else { return };
        let Look { outcome, took } = look;
        if let Some(told) = &mut space.told {
            told.took = Some(took);
        }
        let was_well = space.told.as_ref().map(|told| told.trouble.is_none());
        match outcome {
            Ok(()) => {
                space.failures = 0;
                if was_well != Some(true) {
                    let name = name.to_owned();
                    space.told =
                        Some(SpaceHealth { name, trouble: None, since: now, took: Some(took) });
                }
            }
            Err(trouble) => {
                space.failures = space.failures.saturating_add(1);
                if space.failures < watch.sick_after.max(1) {
                    return;
                }
                // The first words stay: when it began is known with them.
                if was_well != Some(false) {
                    let name = name.to_owned();
                    let (trouble, took) = (Some(trouble), Some(took));
                    space.told = Some(SpaceHealth { name, trouble, since: now, took });
                }
            }
        }
    }

    fn told(&self) -> Vec<SpaceHealth> {
        self.spaces.values().filter_map(|space| space.told.clone()).collect()
    }
}

/// Looks at what is to be watched, for ever, and tells the driver whatever changes.
pub async fn keep(helper: Helper, mut wanted: watch::Receiver<Watch>, inputs: mpsc::Sender<Input>) {
    let (outcomes_in, mut outcomes) = mpsc::channel::<(String, Look)>(64);
    let mut known = Known::default();
    let mut looking = BTreeSet::new();
    let mut due = Instant::now();
    let mut watch = wanted.borrow_and_update().clone();
    loop {
        tokio::select! {
            changed = wanted.changed() => {
                if changed.is_err() {
                    return;
                }
                watch = wanted.borrow_and_update().clone();
                known.follow(&watch);
                due = Instant::now();
            }
            outcome = outcomes.recv() => {
                let Some((name, look)) = outcome else { return };
                looking.remove(&name);
                known.note(&watch, &name, look, clock::steady());
            }
            () = tokio::time::sleep_until(due), if !watch.paths.is_empty() => {
                due = Instant::now() + Duration::from_secs(watch.every_s).max(EVERY_LEAST);
                let limit = Duration::from_secs(watch.timeout_s.clamp(1, TIMEOUT_MOST_S));
                for (name, path) in &watch.paths {
                    // One that is still being looked at has its own limit.
                    if looking.insert(name.clone()) {
                        let (helper, name) = (helper.clone(), name.clone());
                        let question = Question::Probe { path: PathBuf::from(path) };
                        let outcomes = outcomes_in.clone();
                        tokio::spawn(async move {
                            let begun = Instant::now();
                            let outcome = helper.ask(question, limit).await.map(|_| ());
                            let _ = outcomes.send((name, Look { outcome, took: begun.elapsed() })).await;
                        });
                    }
                }
            }
        }
        if inputs.send(Input::Spaces(known.told())).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use berth_common::Reason;

    #[test]
    fn three_failures_make_it_sick_and_one_answer_well() {
        let watch = Watch {
            every_s: 30,
            timeout_s: 5,
            sick_after: 3,
            paths: [("HOME".to_owned(), "/home".to_owned())].into(),
            ..Watch::default()
        };
        let look = |outcome, millis| Look { outcome, took: Duration::from_millis(millis) };
        let sick =
            || look(Err(Ending { reason: Reason::MountSick, detail: "no answer".into() }), 5000);
        let well = || look(Ok(()), 3);
        let at = Timestamp::from_millis;
        let mut known = Known::default();
        known.follow(&watch);
        assert!(known.told().is_empty(), "not looked at is not well");
        known.note(&watch, "HOME", well(), at(1));
        assert_eq!(known.told()[0].took, Some(Duration::from_millis(3)));
        known.note(&watch, "HOME", sick(), at(2));
        assert_eq!(known.told()[0].took, Some(Duration::from_secs(5)), "well as yet, and slow");
        known.note(&watch, "HOME", sick(), at(3));
        assert_eq!(known.told()[0].trouble, None);
        for moment in [4, 5] {
            known.note(&watch, "HOME", sick(), at(moment));
            let told = &known.told()[0];
            assert_eq!((told.since, told.trouble.is_some()), (at(4), true));
        }
        known.follow(&watch);
        assert!(known.told()[0].trouble.is_some(), "the same path is still sick");
        known.note(&watch, "HOME", well(), at(6));
        assert_eq!((known.told()[0].since, &known.told()[0].trouble), (at(6), &None));
        let other = Watch { paths: [("HOME".to_owned(), "/pbs".to_owned())].into(), ..watch };
        known.follow(&other);
        assert!(known.told().is_empty());
    }
}
