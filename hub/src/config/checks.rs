//! Checks across files: what is possible line by line, but cannot work together. They are made
//! when every file could be read, so that no half-known site is judged.

use std::collections::BTreeMap;

use berth_common::HostId;
use berth_core::settings::{Cite, HostSettings, Profile, Settings};

use super::beside::Reported;
use super::draft::Draft;

mod courses;
mod fits;
mod quotas;

/// Makes them all; `reported` is what is known of hosts beside their declarations.
pub fn check(draft: &mut Draft, reported: &BTreeMap<HostId, Reported>) {
    let settings = draft.settings.clone();
    let offers = std::mem::take(&mut draft.offers);
    fits::check(draft, &settings, &offers);
    courses::check_pools(draft, &settings);
    // What looks odd in a site with errors may be their consequence.
    if !draft.sources.has_errors() {
        warn_of_empty_pools(draft, &settings);
        warn_of_places(draft, &settings);
        fits::warn(draft, &settings, &offers, reported);
        quotas::check(draft, &settings);
        courses::check_room(draft, &settings);
    }
}

fn warn(draft: &mut Draft, cite: &Cite, code: &'static str, message: String) {
    if let Some(place) = draft.sources.cited(cite) {
        draft.sources.warn(&place, code, message);
    }
}

/// A pool without hosts may be about to get some; until then nothing starts there.
fn warn_of_empty_pools(draft: &mut Draft, settings: &Settings) {
    for (name, profile) in &settings.profiles {
        let pool = &profile.pool;
        if settings.pools.contains_key(pool)
            && !settings.hosts.values().any(|host| host.pool == *pool)
        {
            let message = format!(
                "no host serves profile \"{name}\": declare hosts of pool \"{pool}\" in hosts.d"
            );
            warn(draft, &profile.cite, "config.warning.no_host", message);
        }
    }
}

/// A rule that lets people on hosts only which their profile's pool does not have.
fn warn_of_places(draft: &mut Draft, settings: &Settings) {
    for rule in &settings.access.place {
        let profile = rule.profile.as_ref().and_then(|name| settings.profiles.get(name));
        let Some(Profile { pool, .. }) = profile else { continue };
        let serves =
            |host| settings.hosts.get(host).is_some_and(|host: &HostSettings| host.pool == *pool);
        if !rule.require.is_empty() && !rule.require.iter().any(serves) {
            let message = format!(
                "none of the required hosts is in pool \"{pool}\" of this profile: these people \
                 can never start it"
            );
            warn(draft, &rule.cite, "config.warning.place", message);
        }
    }
}
