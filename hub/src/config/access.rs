//! `access.toml`: who may use which profile, until when, and on which hosts.

use std::collections::BTreeSet;
use std::sync::Arc;

use berth_common::{HostId, Username};
use berth_core::settings::{Allow, Deny, Place as PlaceRule};
use serde::Deserialize;
use toml::Spanned;

use super::draft::Draft;
use super::sources::{File, Version};
use super::value::{Hosts, Moment, Text};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccessToml {
    #[serde(rename = "version")]
    _version: Version,
    #[serde(default)]
    allow: Vec<Spanned<AllowToml>>,
    #[serde(default)]
    place: Vec<Spanned<PlaceToml>>,
    #[serde(default)]
    deny: Vec<Spanned<DenyToml>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AllowToml {
    profile: Spanned<String>,
    #[serde(default)]
    users: BTreeSet<Username>,
    #[serde(default)]
    groups: BTreeSet<String>,
    #[serde(default)]
    except_users: BTreeSet<Username>,
    until: Option<Spanned<Moment>>,
    note: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlaceToml {
    profile: Option<Spanned<String>>,
    #[serde(default)]
    users: BTreeSet<Username>,
    #[serde(default)]
    groups: BTreeSet<String>,
    #[serde(default)]
    except_users: BTreeSet<Username>,
    prefer_hosts: Option<Spanned<Hosts>>,
    require_hosts: Option<Spanned<Hosts>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DenyToml {
    profile: Option<Spanned<String>>,
    #[serde(default)]
    users: BTreeSet<Username>,
    #[serde(default)]
    groups: BTreeSet<String>,
    #[serde(default)]
    except_users: BTreeSet<Username>,
    reason: Text,
}

/// Reads all whitelists.
pub fn take(draft: &mut Draft) {
    for (file, toml) in draft.sources.all::<AccessToml>("access") {
        toml.allow.into_iter().for_each(|entry| take_allow(draft, file, entry));
        toml.deny.into_iter().for_each(|entry| take_deny(draft, file, entry));
        toml.place.into_iter().for_each(|entry| take_place(draft, file, entry));
    }
}

fn take_allow(draft: &mut Draft, file: File, entry: Spanned<AllowToml>) {
    let place = file.at(&entry);
    let toml = entry.into_inner();
    let allow = Allow {
        people: draft.people(&place, toml.users, toml.groups, toml.except_users),
        until: draft.until(file, toml.until.as_ref()),
        note: toml.note,
        cite: draft.sources.cite(&place),
        profile: profile(draft, file, toml.profile),
    };
    draft.settings.access.allow.push(allow);
}

fn take_deny(draft: &mut Draft, file: File, entry: Spanned<DenyToml>) {
    let place = file.at(&entry);
    let toml = entry.into_inner();
    let deny = Deny {
        profile: toml.profile.map(|name| profile(draft, file, name)),
        people: draft.people(&place, toml.users, toml.groups, toml.except_users),
        reason: draft.text(toml.reason),
        cite: draft.sources.cite(&place),
    };
    draft.settings.access.deny.push(deny);
}

fn take_place(draft: &mut Draft, file: File, entry: Spanned<PlaceToml>) {
    let place = file.at(&entry);
    let toml = entry.into_inner();
    if toml.prefer_hosts.is_none() && toml.require_hosts.is_none() {
        let message = "says no hosts: write prefer_hosts or require_hosts".to_owned();
        draft.sources.bad_value(&place, message);
    }
    let rule = PlaceRule {
        profile: toml.profile.map(|name| profile(draft, file, name)),
        people: draft.people(&place, toml.users, toml.groups, toml.except_users),
        prefer: Arc::new(hosts(draft, file, toml.prefer_hosts.as_ref())),
        require: Arc::new(hosts(draft, file, toml.require_hosts.as_ref())),
        cite: draft.sources.cite(&place),
    };
    draft.settings.access.place.push(rule);
}

fn profile(draft: &mut Draft, file: File, name: Spanned<String>) -> String {
    draft.sources.expect_name("profile", name.get_ref(), file.at(&name));
    name.into_inner()
}

fn hosts(draft: &mut Draft, file: File, written: Option<&Spanned<Hosts>>) -> BTreeSet<HostId> {
    let Some(written) = written else { return BTreeSet::new() };
    match written.get_ref().names() {
        Ok(names) if names.is_empty() => {
            let message = "names no host, write e.g. \"ccjn0[1-5]\"".to_owned();
            draft.sources.bad_value(&file.at(written), message);
            BTreeSet::new()
        }
        Ok(names) => {
            for name in &names {
                draft.sources.expect_name("host", name.as_str(), file.at(written));
            }
            names.into_iter().collect()
        }
        Err(why) => {
            draft.sources.bad_value(&file.at(written), why);
            BTreeSet::new()
        }
    }
}
