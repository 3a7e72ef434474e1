//! Who may use a profile, and when.

use berth_common::{Reason, Timestamp};

use super::{Notes, Person};
use crate::decision::{By, Looked};
use crate::settings::{Cite, Named, People, Profile, Settings, Training};

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
    let mut detail = format!("The pool {} is for trainings only.", profile.pool);
    match own_training(settings, person, &profile.pool, now) {
        Some((title, None)) => detail.push_str(&format!(" {title} has it now: choose that.")),
        Some((title, Some(from))) => {
            detail.push_str(&format!(" {title} opens it for you at {}.", from.to_minute()));
        }
        None => {}
    }
    let looked = Looked::Pool { name: profile.pool.clone() };
    notes.add(looked, Some((Reason::RefusedPoolClosed, detail)), Some(&pool.cite));
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
        notes.add(Looked::Denied { person: person.name.clone() }, fails, Some(&deny.cite));
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
    let whitelist = |by| Looked::Whitelist { profile: name.to_owned(), by };
    let entries = || settings.access.allow.iter().filter(|allow| allow.profile == name);
    if entries().next().is_none() {
        return notes.add(Looked::Open { profile: name.to_owned() }, None, Some(&profile.cite));
    }
    let named =
        || entries().filter(|allow| allow.people.names(person.name, person.groups).is_some());
    if let Some(allow) = named().find(|allow| allow.until.is_none_or(|until| now < until)) {
        let by = Some(how(&allow.people, person));
        return notes.add(whitelist(by), None, Some(&allow.cite));
    }
    let ended = named().next();
    let groups: Vec<_> = entries().flat_map(|allow| &allow.people.groups).cloned().collect();
    let mut detail = match (ended, groups.is_empty()) {
        (Some(allow), _) => {
            let until = allow.until.map_or_else(String::new, Timestamp::to_minute);
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
    notes.add(whitelist(None), Some((Reason::RefusedAccess, detail)), cite);
}

fn how(people: &People, person: Person<'_>) -> By {
    match people.names(person.name, person.groups) {
        Some(Named::Group(group)) => By::Group(group.to_owned()),
        _ => By::Name,
    }
}

/// The training that opens a pool for somebody who takes part or teaches: its title, and when;
/// `None` for one that is on.
pub fn own_training<'a>(
    settings: &'a Settings,
    person: Person<'_>,
    pool: &str,
    now: Timestamp,
) -> Option<(&'a str, Option<Timestamp>)> {
    let theirs = settings.trainings.values().filter(|training| {
        let takes_part = training.participants.names(person.name, person.groups).is_some();
        training.pool == pool && (takes_part || training.instructors.contains(person.name))
    });
    let opens = |training: &Training| match training.open_span(now) {
        Some(_) => Some(None),
        None => training.next_window(now).map(|window| Some(window.from)),
    };
    theirs.filter_map(|it| Some((it.title.as_str(), opens(it)?))).min_by_key(|(_, from)| *from)
}

fn takes_part(training: &Training, person: Person<'_>, notes: &mut Notes) {
    let part = training.participants.names(person.name, person.groups);
    let teaches = training.instructors.contains(person.name);
    let fails = (part.is_none() && !teaches).then(|| {
        (Reason::RefusedAccess, format!("{} is for its participants only.", training.title))
    });
    let looked =
        if teaches { Looked::Teaches } else { Looked::TakesPart { title: training.title.clone() } };
    notes.add(looked, fails, Some(&training.cite));
}

fn is_on(training: &Training, now: Timestamp, notes: &mut Notes) {
    let looked = |until| Looked::Training { title: training.title.clone(), until };
    if let Some(window) = training.open_span(now) {
        return notes.add(looked(Some(window.to)), None, Some(&training.cite));
    }
    let next = training.next_window(now).map(|window| window.from);
    let detail = match next {
        Some(from) => {
            format!("{} is not on now; it opens at {}.", training.title, from.to_minute())
        }
        None => format!("{} is over.", training.title),
    };
    let fails = Some((Reason::RefusedPoolClosed, detail));
    notes.add_until(looked(None), fails, next, Some(&training.cite));
}
