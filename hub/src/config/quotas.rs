//! `quotas.toml`: how much each person may hold at a time, and use over time.

use std::collections::{BTreeMap, BTreeSet};

use berth_common::{Seconds, Username};
use berth_core::settings::{Budget, Merge, Metered, Quota, WhenOver};
use serde::Deserialize;
use toml::Spanned;

use super::draft::{Draft, Once};
use super::sources::{File, Place, Version};
use super::value::{Moment, Written};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QuotasToml {
    #[serde(rename = "version")]
    _version: Version,
    merge: Option<Spanned<Merge>>,
    default: Option<Spanned<QuotaToml>>,
    #[serde(default)]
    group: BTreeMap<Spanned<String>, QuotaToml>,
    #[serde(default)]
    user: BTreeMap<Spanned<String>, QuotaToml>,
    #[serde(default)]
    budget: Vec<Spanned<BudgetToml>>,
}

/// Limits of one person, as they are written.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuotaToml {
    servers: Option<u32>,
    memory: Option<Spanned<Written>>,
    gpus: Option<u32>,
    farm_cores: Option<u32>,
    farm_memory: Option<Spanned<Written>>,
    until: Option<Spanned<Moment>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BudgetToml {
    #[serde(default)]
    users: BTreeSet<Username>,
    #[serde(default)]
    groups: BTreeSet<String>,
    #[serde(default)]
    except_users: BTreeSet<Username>,
    resource: Metered,
    limit: u64,
    window: Spanned<Written>,
    when_over: WhenOver,
}

/// Reads all quotas and budgets.
pub fn take(draft: &mut Draft) {
    let (mut merge, mut default) = (Once::default(), Once::default());
    for (file, toml) in draft.sources.all::<QuotasToml>("quotas") {
        if let Some(toml) = toml.merge
            && merge.is_first(&mut draft.sources, &file.at(&toml), "merge")
        {
            draft.settings.quotas.merge = toml.into_inner();
        }
        if let Some(toml) = toml.default
            && default.is_first(&mut draft.sources, &file.at(&toml), "default")
        {
            take_default(draft, file, &toml);
        }
        for (name, toml) in toml.group {
            let quota = take_quota(draft, file, &file.at(&name), &toml);
            let known = draft.settings.quotas.groups.get(name.get_ref());
            if let Some(first) = known.map(|known| known.cite.clone()) {
                draft.sources.duplicate(&file.at(&name), "the quota of this group", &first);
            } else {
                draft.settings.quotas.groups.insert(name.into_inner(), quota);
            }
        }
        for (name, toml) in toml.user {
            take_user(draft, file, &name, &toml);
        }
        for entry in toml.budget {
            take_budget(draft, file, entry);
        }
    }
}

fn take_default(draft: &mut Draft, file: File, toml: &Spanned<QuotaToml>) {
    let quota = take_quota(draft, file, &file.at(toml), toml.get_ref());
    if let Some(until) = &toml.get_ref().until {
        let message = "the default does not end: give until to a group or a user".to_owned();
        draft.sources.bad_value(&file.at(until), message);
    }
    let servers = quota.servers.or(draft.settings.quotas.default.servers);
    draft.settings.quotas.default = Quota { servers, ..quota };
}

fn take_user(draft: &mut Draft, file: File, name: &Spanned<String>, toml: &QuotaToml) {
    let place = file.at(name);
    let user = draft.sources.parsed(place.clone(), name.get_ref(), str::parse::<Username>);
    let quota = take_quota(draft, file, &place, toml);
    let Some(user) = user else { return };
    if let Some(first) = draft.settings.quotas.users.get(&user) {
        draft.sources.duplicate(&place, "the quota of this user", &first.cite);
    } else {
        draft.settings.quotas.users.insert(user, quota);
    }
}

/// Limits of one person.
pub fn take_quota(draft: &mut Draft, file: File, place: &Place, toml: &QuotaToml) -> Quota {
    Quota {
        servers: toml.servers,
        memory: toml.memory.as_ref().and_then(|text| draft.sources.bytes(file, text)),
        gpus: toml.gpus,
        farm_cores: toml.farm_cores,
        farm_memory: toml.farm_memory.as_ref().and_then(|text| draft.sources.bytes(file, text)),
        until: draft.until(file, toml.until.as_ref()),
        cite: draft.sources.cite(place),
    }
}

fn take_budget(draft: &mut Draft, file: File, entry: Spanned<BudgetToml>) {
    let place = file.at(&entry);
    let toml = entry.into_inner();
    let people = draft.people(&place, toml.users, toml.groups, toml.except_users);
    let Some(window) = draft.sources.duration(file, &toml.window) else { return };
    if window == Seconds(0) {
        draft.sources.bad_value(&file.at(&toml.window), "more than no time is needed".into());
    }
    let budget = Budget {
        people,
        resource: toml.resource,
        limit_hours: toml.limit,
        window,
        when_over: toml.when_over,
        cite: draft.sources.cite(&place),
    };
    draft.settings.quotas.budgets.push(budget);
}
