//! Trainings that their pool cannot hold.

use berth_common::{ByteCount, Timestamp};
use berth_core::settings::{Settings, Training};

use super::super::draft::Draft;
use super::warn;

/// Refuses trainings in pools that are open to others.
pub fn check_pools(draft: &mut Draft, settings: &Settings) {
    for training in settings.trainings.values() {
        let Some(pool) = settings.pools.get(&training.pool) else { continue };
        if !pool.trainings_only
            && let Some(place) = draft.sources.cited(&training.cite)
        {
            let message = format!(
                "pool \"{}\" of this training is open to others as well, so that no room is kept \
                 for it: write open = \"trainings\" there ({}), or choose another pool",
                training.pool, pool.cite
            );
            draft.sources.error(&place, "config.training_pool", message);
        }
    }
}

/// Warns of trainings that find too little room when they begin.
pub fn check_room(draft: &mut Draft, settings: &Settings) {
    for training in settings.trainings.values() {
        let begins = training.windows.iter().filter(|window| draft.now < window.to);
        // Others that begin later are looked at with those.
        let Some(message) = begins.filter_map(|at| lack(settings, training, at.from)).next() else {
            continue;
        };
        warn(draft, &training.cite, "config.warning.training_room", message);
    }
}

/// How many of all expected people find no room in the pool, while this training begins.
fn lack(settings: &Settings, training: &Training, at: Timestamp) -> Option<String> {
    let mut rooms = rooms(settings, &training.pool)?;
    let mut courses: Vec<_> = settings
        .trainings
        .iter()
        .filter(|(_, other)| other.pool == training.pool && other.open_window(at).is_some())
        .filter_map(|(name, other)| {
            Some((settings.profiles.get(name)?.memory_default, name, other))
        })
        .collect();
    courses.sort_unstable_by(|a, b| (b.0, a.1).cmp(&(a.0, b.1)));
    // Large servers first, host by host: no other order places more of equal ones.
    let mut without = 0;
    for (memory, _, course) in &courses {
        let mut left = u64::from(course.expected);
        for room in &mut rooms {
            let placed = left.min(room.0 / memory.0.max(1));
            room.0 -= placed * memory.0;
            left -= placed;
        }
        without += left;
    }
    let expected: u64 = courses.iter().map(|(_, _, course)| u64::from(course.expected)).sum();
    let names: Vec<_> = courses.iter().map(|(_, name, _)| format!("\"{name}\"")).collect();
    (without > 0).then(|| {
        format!(
            "on {:.10} {} people are expected for {}, and {without} of them have no room in pool \
             \"{}\": add hosts, or ask for less memory",
            at.to_string(),
            expected,
            names.join(" and "),
            training.pool
        )
    })
}

/// What each host of a pool can promise; `None` if one of them is not declared.
fn rooms(settings: &Settings, pool: &str) -> Option<Vec<ByteCount>> {
    let milli = u128::from(settings.pools.get(pool)?.oversubscribe_milli);
    let hosts = settings.hosts.values().filter(|host| host.pool == pool);
    hosts
        .map(|host| {
            let usable = u128::from(host.memory?.minus(host.keep_free).0);
            Some(ByteCount(u64::try_from(usable * milli / 1000).unwrap_or(u64::MAX)))
        })
        .collect()
}
