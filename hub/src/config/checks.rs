//! Checks across files: what is possible line by line, but cannot work together. They are made
//! when every file could be read, so that no half-known site is judged.

use std::collections::BTreeSet;

use berth_common::{ByteCount, HostId};
use berth_core::settings::{Cite, GpuChoice, GpuSharing, HostSettings, Pool, Profile, Settings};

use super::draft::{Draft, Offer};

mod courses;
mod quotas;

/// Makes them all.
pub fn check(draft: &mut Draft) {
    let settings = draft.settings.clone();
    let mut told = BTreeSet::new();
    for offer in std::mem::take(&mut draft.offers) {
        check_fits(draft, &offer, &mut told);
    }
    courses::check_pools(draft, &settings);
    // What looks odd in a site with errors may be their consequence.
    if !draft.sources.has_errors() {
        warn_of_empty_pools(draft, &settings);
        warn_of_places(draft, &settings);
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

/// Why an empty host cannot have a server.
struct Obstacle {
    why: String,
    /// Whether it holds for any amount of memory.
    is_general: bool,
}

/// Reports an amount that fits on no host of its pool: each amount of a profile once, and an
/// obstacle to all of its amounts once.
fn check_fits(draft: &mut Draft, offer: &Offer, told: &mut BTreeSet<(String, Option<ByteCount>)>) {
    let Some(Obstacle { why, is_general }) = obstacle(&draft.settings, offer) else { return };
    let amount = (!is_general).then_some(offer.memory);
    if !told.insert((offer.profile.clone(), amount)) {
        return;
    }
    let asked = amount.map_or_else(String::new, |amount| format!("{amount} for "));
    let message = format!("{asked}profile \"{}\" fits on no host: {why}", offer.profile);
    let general_place = offer.gpus_place.as_ref().filter(|_| is_general);
    let place = general_place.unwrap_or(&offer.place);
    if offer.is_button {
        draft.sources.error(place, "config.never_fits", message);
    } else {
        draft.sources.warn(place, "config.warning.never_fits", message);
    }
}

/// Why it fits nowhere; `None`: it fits, or it cannot be judged.
fn obstacle(settings: &Settings, offer: &Offer) -> Option<Obstacle> {
    let profile = settings.profiles.get(&offer.profile)?;
    let pool = settings.pools.get(&profile.pool)?;
    let hosts = settings.hosts.iter().filter(|(_, host)| host.pool == profile.pool);
    let mut most: Option<(ByteCount, &HostId)> = None;
    let mut obstacle = None;
    for (name, host) in hosts {
        // What is not declared cannot be judged.
        let usable = host.memory?.minus(host.keep_free);
        match room(pool, profile, offer, host, usable) {
            Ok(room) if room >= offer.memory => return None,
            Ok(room) => most = most.max(Some((room, name))),
            Err(why) => obstacle = Some(why),
        }
    }
    most.map_or(obstacle, |(room, host)| {
        let why = format!(
            "the most for one server in pool \"{}\" is {room}, on {host}; offer less, or declare a \
             larger host",
            profile.pool
        );
        Some(Obstacle { why, is_general: false })
    })
}

/// The memory that an empty host has for such a server, or why it can have none.
fn room(
    pool: &Pool,
    profile: &Profile,
    offer: &Offer,
    host: &HostSettings,
    usable: ByteCount,
) -> Result<ByteCount, Obstacle> {
    let Some(asked) = profile.gpus.as_ref().filter(|_| offer.gpus > 0) else {
        return match (&host.gpus, pool.cpu_servers.min) {
            (None, _) => Ok(usable),
            (_, None) => {
                let why = format!(
                    "pool \"{}\" keeps servers without a GPU away (cpu_servers)",
                    profile.pool
                );
                Err(Obstacle { why, is_general: true })
            }
            (_, Some(min)) if offer.memory < min => {
                let why = format!(
                    "pool \"{}\" takes servers without a GPU from {min} on (cpu_servers)",
                    profile.pool
                );
                Err(Obstacle { why, is_general: false })
            }
            _ => Ok(usable.minus(pool.cpu_servers.keep)),
        };
    };
    if asked.share_milli < 1000 && pool.gpu_sharing == GpuSharing::Exclusive {
        let why = format!(
            "pool \"{}\" shares no GPU; write gpu_sharing = \"shared\" there, or leave out share",
            profile.pool
        );
        return Err(Obstacle { why, is_general: true });
    }
    let has_them = host.gpus.as_ref().is_some_and(|has| {
        let is_model = asked.models.is_empty() || asked.models.contains(&has.model);
        let milli = u64::from(offer.gpus) * u64::from(asked.share_milli);
        is_model && has.memory >= asked.memory && u64::from(has.count) * 1000 >= milli
    });
    if has_them {
        Ok(usable)
    } else {
        Err(Obstacle { why: no_gpus(asked, offer.gpus, &profile.pool), is_general: true })
    }
}

fn no_gpus(asked: &GpuChoice, count: u32, pool: &str) -> String {
    let mut gpus = if count == 1 { "a GPU".to_owned() } else { format!("{count} GPUs") };
    if !asked.models.is_empty() {
        gpus = format!("{gpus} of model {}", asked.models.join(" or "));
    }
    if asked.memory > ByteCount::ZERO {
        gpus = format!("{gpus} with at least {}", asked.memory);
    }
    format!("no host of pool \"{pool}\" declares {gpus} as its gpus, in hosts.d")
}
