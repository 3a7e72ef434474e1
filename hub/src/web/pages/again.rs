//! A recorded request, decided again: what the files of now would have said on the hosts of its
//! time, and what would come of it today.

use askama::Template;
use berth_core::{Decision, queue};

use crate::actions;
use crate::explanation;
use crate::plan::replay::{self, Verdict};
use crate::site::Hub;
use crate::storage::StorageError;
use crate::web::pages::words;
use crate::web::say;

/// The three answers, the recorded one apart.
#[derive(Template)]
#[template(path = "again.html")]
pub struct Again {
    lines: Vec<Line>,
    /// Whether the hosts of its time are still known.
    recorded: bool,
}

/// One answer.
struct Line {
    when: String,
    class: &'static str,
    word: String,
    text: String,
    code: &'static str,
    cite: String,
}

impl Again {
    /// Decides again. Nothing is changed.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn of(hub: &Hub, decision: &Decision) -> Result<Self, StorageError> {
        let fleet = hub.fleet.fleet();
        let recorded = explanation::recorded(hub, decision)?;
        let mut lines = Vec::new();
        if let Some(then) = &recorded {
            let before = replay::again(decision, &then.floor, &then.settings);
            lines.push(line(say::t("again-then"), &before));
            let after = replay::again(decision, &then.floor, &fleet.settings);
            lines.push(line(say::t("again-files-of-now"), &after));
        }
        let user = hub.storage.read(|reader| reader.user(&decision.user))?;
        if let Some(user) = user {
            let (name, wish) = (decision.name.clone(), queue::again(&decision.ask));
            let present = actions::dry_run_on(&fleet, user.account, name, wish);
            let reason = present.reason();
            let failed = present.rules.iter().find(|rule| !rule.passed);
            let (class, word) = outcome(super::spawn::outcome_class(&present.outcome));
            lines.push(Line {
                when: say::t("again-now").to_string(),
                class,
                word,
                text: words::outcome(&present).0,
                code: reason.code(),
                cite: failed
                    .and_then(|rule| rule.cite.as_ref())
                    .map(ToString::to_string)
                    .unwrap_or_default(),
            });
        }
        Ok(Self { lines, recorded: recorded.is_some() })
    }
}

fn outcome(class: &str) -> (&'static str, String) {
    let (class, said) = match class {
        "good" => ("is-good", say::t("outcome-placed")),
        "warn" => ("is-warn", say::t("outcome-waits")),
        _ => ("is-bad", say::t("outcome-refused")),
    };
    (class, said.to_string())
}

fn line(when: say::Said, verdict: &Verdict) -> Line {
    let (class, word) = outcome(match verdict.outcome {
        "placed" => "good",
        "waits" => "warn",
        _ => "bad",
    });
    Line {
        when: when.to_string(),
        class,
        word,
        text: say::reason(verdict.reason),
        code: verdict.reason.code(),
        cite: verdict.cite.as_ref().map(ToString::to_string).unwrap_or_default(),
    }
}
