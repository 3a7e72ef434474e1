//! Why a request would not be accepted, told apart: it is for others, it is closed now, or it is not
//! possible.

use berth_common::{Reason, Timestamp};
use berth_core::rules::{Person, own_training};
use berth_core::settings::{Allow, Profile, Training};
use berth_core::{Decision, Fleet};
use berth_process::clock::now;

use crate::web::pages::tile::Kind;
use crate::web::pages::words::{self, Moment};
use crate::web::say;

/// The verdict of a request that is refused.
pub fn refused(fleet: &Fleet, decision: &Decision, reason: Reason, detail: &str) -> Kind {
    let profile = fleet.settings.profiles.get(&decision.ask.profile);
    match (reason, profile) {
        (Reason::RefusedAccess, Some(profile)) => not_yours(fleet, decision, profile),
        (Reason::RefusedDenied, _) => {
            // The record has the site's own words, as a sentence.
            let why = words::written(&fleet.settings, detail.trim_end_matches('.'));
            let why = format!("{why}.");
            Kind::NotYours { whose: why, ended: None, ask: None, remedy: say::remedy(reason) }
        }
        (Reason::RefusedPoolClosed, Some(profile)) => closed(fleet, decision, profile),
        _ => {
            let (why, detail) = words::told(reason, detail);
            Kind::Refused { cause: why, detail, remedy: say::remedy(reason) }
        }
    }
}

/// A profile that is given to others.
fn not_yours(fleet: &Fleet, decision: &Decision, profile: &Profile) -> Kind {
    let (ask, remedy) = (profile.ask_access.clone(), say::t("verdict-ask").to_string());
    let written = |text: &str| words::written(&fleet.settings, text);
    if let Some(training) = training(fleet, profile) {
        let why = say::t("verdict-participants").with("title", written(&training.title));
        return Kind::NotYours { whose: why.to_string(), ended: None, ask, remedy };
    }
    let groups: Vec<_> = decision.groups.iter().map(String::as_str).collect();
    let entries = || {
        let all = fleet.settings.access.allow.iter();
        all.filter(|allow| allow.profile == decision.ask.profile)
    };
    let names = |allow: &&Allow| allow.people.names(&decision.user, &groups).is_some();
    // An entry that still held would have let the person in.
    if let Some(until) = entries().find(names).and_then(|allow| allow.until) {
        let (why, ended) = (say::t("verdict-had").to_string(), Some(Moment::from(until)));
        return Kind::NotYours { whose: why, ended, ask, remedy };
    }
    let theirs: Vec<_> = entries().flat_map(|it| &it.people.groups).cloned().collect();
    let why = match theirs.is_empty() {
        true => say::t("verdict-by-name"),
        false => say::t("verdict-by-group").with("groups", theirs.join(", ")),
    };
    Kind::NotYours { whose: why.to_string(), ended: None, ask, remedy }
}

/// A training that is not on, or a pool that trainings have.
fn closed(fleet: &Fleet, decision: &Decision, profile: &Profile) -> Kind {
    let moment = |at: Timestamp| Moment::from(at);
    let written = |text: &str| words::written(&fleet.settings, text);
    if let Some(training) = training(fleet, profile) {
        let next = training.next_window(now()).map(|window| window.from);
        let why = match next {
            Some(_) => say::t("verdict-not-on"),
            None => say::t("verdict-over"),
        };
        let why = why.with("title", written(&training.title)).to_string();
        return Kind::Closed { until: next.map(moment), cause: why };
    }
    let groups: Vec<_> = decision.groups.iter().map(String::as_str).collect();
    let person = Person { name: &decision.user, groups: &groups };
    match own_training(&fleet.settings, person, &profile.pool, now()) {
        Some((title, until)) => {
            let why = match until {
                Some(_) => say::t("verdict-opened-by"),
                None => say::t("verdict-choose"),
            };
            Kind::Closed {
                until: until.map(moment),
                cause: why.with("title", written(title)).to_string(),
            }
        }
        None => Kind::Closed { until: None, cause: say::t("verdict-trainings-only").to_string() },
    }
}

fn training<'a>(fleet: &'a Fleet, profile: &Profile) -> Option<&'a Training> {
    fleet.settings.trainings.get(profile.training.as_deref()?)
}
