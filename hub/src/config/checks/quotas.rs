//! People who may use a profile whose smallest choice is more than they may hold.

use berth_common::{ByteCount, Timestamp};
use berth_core::settings::{Cite, Profile, Quota, Settings};

use super::super::draft::Draft;
use super::warn;

/// The least that a server of a profile takes.
struct Least<'a> {
    profile: &'a str,
    memory: ByteCount,
    gpus: u32,
}

/// Warns of them, at the rule that lets them in.
pub fn check(draft: &mut Draft, settings: &Settings) {
    let now = draft.now;
    for (name, profile) in &settings.profiles {
        for (cite, message) in shortages(settings, name, profile, now) {
            warn(draft, &cite, "config.warning.quota", message);
        }
    }
}

fn shortages(
    settings: &Settings,
    name: &str,
    profile: &Profile,
    now: Timestamp,
) -> Vec<(Cite, String)> {
    let memory = profile.memory_choices.iter().copied().min().unwrap_or(profile.memory_default);
    let gpus = profile.gpus.as_ref().map_or(0, |gpus| gpus.default);
    let least = Least { profile: name, memory, gpus };
    let quotas = &settings.quotas;
    let mut found = Vec::new();
    let mut look = |cite: &Cite, who: &str, own: Option<&Quota>, rest: &Quota| {
        if let Some(message) = shortage(&least, who, own, rest) {
            found.push((cite.clone(), message));
        }
    };
    if let Some(training) = settings.trainings.get(name) {
        look(&profile.cite, "a participant", Some(&training.quota), &Quota::default());
        return found;
    }
    let holds = |quota: &&Quota| quota.until.is_none_or(|until| now < until);
    let allows = || settings.access.allow.iter().filter(|allow| allow.profile == name);
    if allows().next().is_none() {
        look(&profile.cite, "everybody", None, &quotas.default);
    }
    // Groups of a person are not known here: what any group gives may be theirs.
    let of_groups: Vec<_> =
        quotas.groups.values().filter(holds).map(|group| over(group, &quotas.default)).collect();
    for allow in allows() {
        for user in &allow.people.users {
            let own = quotas.users.get(user).filter(holds);
            if of_groups.iter().all(|rest| shortage(&least, "", own, rest).is_some()) {
                look(&allow.cite, user.as_str(), own, &quotas.default);
            }
        }
        for group in &allow.people.groups {
            let own = quotas.groups.get(group).filter(holds);
            look(&allow.cite, &format!("group {group}"), own, &quotas.default);
        }
    }
    found
}

/// What is too little, if anything: what the person's own entry says, else the rest.
fn shortage(least: &Least<'_>, who: &str, own: Option<&Quota>, rest: &Quota) -> Option<String> {
    let Least { profile, memory, gpus } = least;
    let said = |has: fn(&Quota) -> bool| own.filter(|own| has(own)).unwrap_or(rest);
    let (by_memory, by_gpus) = (said(|quota| quota.memory.is_some()), said(|q| q.gpus.is_some()));
    let by_servers = said(|quota| quota.servers.is_some());
    let (needs, limit, cite) = if let Some(limit) = by_memory.memory.filter(|limit| limit < memory)
    {
        (memory.to_string(), limit.to_string(), &by_memory.cite)
    } else if let Some(limit) = by_gpus.gpus.filter(|limit| limit < gpus) {
        (format!("{gpus} GPU"), limit.to_string(), &by_gpus.cite)
    } else if by_servers.servers == Some(0) {
        ("1 server".to_owned(), "0".to_owned(), &by_servers.cite)
    } else {
        return None;
    };
    Some(format!(
        "{who} may use profile \"{profile}\", which takes at least {needs}, but the quota is \
         {limit} ({cite})"
    ))
}

/// What a quota says, and where it says nothing, what another says.
fn over(quota: &Quota, rest: &Quota) -> Quota {
    Quota {
        servers: quota.servers.or(rest.servers),
        memory: quota.memory.or(rest.memory),
        gpus: quota.gpus.or(rest.gpus),
        ..quota.clone()
    }
}
