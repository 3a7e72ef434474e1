//! Whether what people can pick fits on some host: on one as it is declared, else nothing is
//! applied; and on one as it reports, and among those that a rule requires, else that is said.

use std::collections::{BTreeMap, BTreeSet};

use berth_common::{ByteCount, HostId};
use berth_core::settings::{GpuChoice, GpuSharing, HostSettings, Pool, Profile, Settings};

use super::super::beside::Reported;
use super::super::draft::{Draft, Offer};

/// Why an empty host cannot have a server.
struct Obstacle {
    why: String,
    /// Whether it holds for any amount of memory.
    is_general: bool,
}

/// What is not known of a host may be as large as anybody needs.
const UNKNOWN: ByteCount = ByteCount(u64::MAX);

/// Reports what fits on no host of its pool as that is declared: each amount of a profile once, and
/// an obstacle to all of its amounts once.
pub fn check(draft: &mut Draft, settings: &Settings, offers: &[Offer]) {
    let mut told = BTreeSet::new();
    for offer in offers {
        let Some(found) = obstacle(settings, offer, |_| true, &BTreeMap::new()) else { continue };
        if !told.insert(subject(offer, &found)) {
            continue;
        }
        let message = sentence(offer, &found);
        let general_place = offer.gpus_place.as_ref().filter(|_| found.is_general);
        let place = general_place.unwrap_or(&offer.place);
        if offer.is_button {
            draft.sources.error(place, "config.never_fits", message);
        } else {
            draft.sources.warn(place, "config.warning.never_fits", message);
        }
    }
}

/// Warns of what hosts as they are declared could take, but not as they report, or not among those
/// that a rule requires for some people.
pub fn warn(
    draft: &mut Draft,
    settings: &Settings,
    offers: &[Offer],
    reported: &BTreeMap<HostId, Reported>,
) {
    let mut told = BTreeSet::new();
    for offer in offers {
        if obstacle(settings, offer, |_| true, &BTreeMap::new()).is_some() {
            continue;
        }
        if let Some(found) = obstacle(settings, offer, |_| true, reported) {
            if told.insert((subject(offer, &found), None)) {
                let message = format!("{}, as these report", sentence(offer, &found));
                draft.sources.warn(&offer.place, "config.warning.never_fits", message);
            }
            continue;
        }
        let access = settings.access.place.iter().enumerate();
        for (number, rule) in access.filter(|(_, rule)| !rule.require.is_empty()) {
            let is_for = rule.profile.as_ref().is_none_or(|name| *name == offer.profile);
            // That none of them is in the pool is said by itself.
            let required = |host: &HostId| rule.require.contains(host);
            let found = obstacle(settings, offer, required, reported).filter(|_| is_for);
            if let Some(found) = found
                && told.insert((subject(offer, &found), Some(number)))
            {
                let message = format!("for these people, {}", sentence(offer, &found));
                super::warn(draft, &rule.cite, "config.warning.never_fits", message);
            }
        }
    }
}

/// What is told once.
fn subject(offer: &Offer, found: &Obstacle) -> (String, Option<ByteCount>) {
    (offer.profile.clone(), (!found.is_general).then_some(offer.memory))
}

fn sentence(offer: &Offer, found: &Obstacle) -> String {
    let asked = if found.is_general { String::new() } else { format!("{} for ", offer.memory) };
    format!("{asked}profile \"{}\" fits on no host: {}", offer.profile, found.why)
}

/// Why it fits on none of the allowed hosts of its pool; `None`: it fits, or it cannot be judged.
fn obstacle(
    settings: &Settings,
    offer: &Offer,
    is_allowed: impl Fn(&HostId) -> bool,
    reported: &BTreeMap<HostId, Reported>,
) -> Option<Obstacle> {
    let profile = settings.profiles.get(&offer.profile)?;
    let pool = settings.pools.get(&profile.pool)?;
    let hosts = settings.hosts.iter().filter(|(_, host)| host.pool == profile.pool);
    let mut most: Option<(ByteCount, &HostId)> = None;
    let mut obstacle = None;
    for (name, host) in hosts.filter(|(name, _)| is_allowed(name)) {
        let reported = reported.get(name);
        let memory = host.memory.into_iter().chain(reported.map(|it| it.memory)).min();
        let usable = memory.map_or(UNKNOWN, |memory| memory.minus(host.keep_free));
        let missing = reported.and_then(|reported| lacks(profile, reported));
        match missing.map_or_else(|| room(pool, profile, offer, host, usable), Err) {
            Ok(room) if room >= offer.memory => return None,
            Ok(room) => most = most.max(Some((room, name))),
            // A host of which nothing is declared may have GPUs.
            Err(_) if usable == UNKNOWN && host.gpus.is_none() => return None,
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

/// What such a server needs that a host does not have by its own report.
fn lacks(profile: &Profile, reported: &Reported) -> Option<Obstacle> {
    let general = |why| Some(Obstacle { why, is_general: true });
    let pool = &profile.pool;
    if profile.cpu_milli > reported.cpu_milli {
        let asked = f64::from(profile.cpu_milli) / 1000.0;
        return general(format!(
            "no host of pool \"{pool}\" has {asked} processors (cpu), which are kept for each server"
        ));
    }
    if profile.farm_ports > reported.farm_ports {
        let asked = profile.farm_ports;
        return general(format!(
            "no host of pool \"{pool}\" gives {asked} farm ports ([farm] in its agent.toml)"
        ));
    }
    None
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
