//! Who may use a profile, and when.

use berth_common::{Reason, Timestamp};

use super::{Notes, Person};
use crate::settings::{Cite, Profile, Settings, Training};

/// A deny that matches ends it; then somebody must allow, unless nobody is named; then the pool must
/// be open.
pub fn check(
    settings: &Settings,
    person: Person<'_>,
    name: &str,
    profile: &Profile,
    now: Timestamp,
    notes: &mut Notes,
) {
    denied(settings, person, name, notes);
    if let Some(training) = settings.trainings.get(profile.training.as_deref().unwrap_or_default())
    {
        takes_part(training, person, notes);
        return is_on(training, now, notes);
    }
    allowed(settings, person, name, profile, now, notes);
    let Some(pool) = settings.pools.get(&profile.pool).filter(|pool| pool.trainings_only) else {
        return;
    };
    // Outside a training the pool is nobody's; inside, it belongs to those who take part.
    let detail = format!("The pool {} is for trainings only.", profile.pool);
    notes.add(
        format!("pool {} is open", profile.pool),
        Some((Reason::RefusedPoolClosed, detail)),
        Some(&pool.cite),
    );
}

fn denied(settings: &Settings, person: Person<'_>, name: &str, notes: &mut Notes) {
    let concerns =
        |profile: &Option<String>| profile.as_deref().is_none_or(|profile| profile == name);
    let deny = settings.access.deny.iter().find(|deny| {
        concerns(&deny.profile) && deny.people.names(person.name, person.groups).is_some()
    });
    if let Some(deny) = deny {
        let fails =
            Some((Reason::RefusedDenied, format!("{}.", deny.reason.trim_end_matches('.'))));
        notes.add(format!("{} is not denied", person.name), fails, Some(&deny.cite));
    }
}

fn allowed(
    settings: &Settings,
    person: Person<'_>,
    name: &str,
    profile: &Profile,
    now: Timestamp,
    notes: &mut Notes,
) {
    let entries = || settings.access.allow.iter().filter(|allow| allow.profile == name);
    if entries().next().is_none() {
        return notes.add(
            format!("profile {name} is open to everybody"),
            None,
            Some(&profile.cite),
        );
    }
    let named =
        || entries().filter(|allow| allow.people.names(person.name, person.groups).is_some());
    if let Some(allow) = named().find(|allow| allow.until.is_none_or(|until| now < until)) {
        return notes.add(
            format!("whitelist of {name}: {}", how(&allow.people, person)),
            None,
            Some(&allow.cite),
        );
    }
    let ended = named().next();
    let groups: Vec<_> = entries().flat_map(|allow| &allow.people.groups).cloned().collect();
    let mut detail = match (ended, groups.is_empty()) {
        (Some(allow), _) => {
            let until = allow.until.map_or_else(String::new, |until| until.to_string());
            format!("Your access to profile {name} ended at {until}.")
        }
        (None, true) => format!("Profile {name} is given to certain people only."),
        (None, false) => {
            format!("Profile {name} is given by group: {} have it.", groups.join(", "))
        }
    };
    if let Some(link) = &profile.ask_access {
        detail.push_str(&format!(" Ask for it at {link}."));
    }
    let cite: Option<&Cite> = ended.or_else(|| entries().next()).map(|allow| &allow.cite);
    notes.add(format!("whitelist of {name}"), Some((Reason::RefusedAccess, detail)), cite);
}

fn how(people: &crate::settings::People, person: Person<'_>) -> String {
    match people.names(person.name, person.groups) {
        Some(crate::settings::Named::Group(group)) => format!("group {group}"),
        _ => "by name".to_owned(),
    }
}

fn takes_part(training: &Training, person: Person<'_>, notes: &mut Notes) {
    let part = training.participants.names(person.name, person.groups);
    let teaches = training.instructors.contains(person.name);
    let fails = (part.is_none() && !teaches).then(|| {
        (Reason::RefusedAccess, format!("{} is for its participants only.", training.title))
    });
    let text = if teaches {
        "teaches the training".to_owned()
    } else {
        format!("takes part in {}", training.title)
    };
    notes.add(text, fails, Some(&training.cite));
}

fn is_on(training: &Training, now: Timestamp, notes: &mut Notes) {
    if let Some(window) = training.open_span(now) {
        return notes.add(
            format!("{} is on until {}", training.title, window.to),
            None,
            Some(&training.cite),
        );
    }
    let next = training.next_window(now).map(|window| window.from);
    let detail = match next {
        Some(from) => format!("{} is not on now; it opens at {from}.", training.title),
        None => format!("{} is over.", training.title),
    };
    let text = format!("{} is on", training.title);
    notes.add_until(text, Some((Reason::RefusedPoolClosed, detail)), next, Some(&training.cite));
}
