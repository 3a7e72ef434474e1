//! Which hosts are possible at all, and why the others are not: the first rule that fails, with
//! its numbers.

use berth_common::{ByteCount, Reason, Resources, Timestamp};

use crate::fleet::{Fleet, Host, HostState};

/// What a possible host has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// What servers may reserve there.
    pub usable: Resources,
    /// What they have reserved.
    pub reserved: Resources,
    /// What would be left after placing.
    pub left: Resources,
}

/// Why a host is not possible.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotHere {
    /// The reason code.
    pub reason: Reason,
    /// With the numbers of the case.
    pub detail: String,
    /// Whether it could become possible without a change of the site's files.
    pub could_ever: bool,
}

/// The room on a host for a request, or the first rule that excludes it.
///
/// Memory passes two gates. First, the limits of all servers there stay within the usable memory.
/// Second, the usable memory is never taken for more than what the servers really use plus what
/// the host reports as free: memory that something else on the host has eaten is not there.
pub fn room(
    fleet: &Fleet,
    host: &Host,
    pool: &str,
    wanted: &Resources,
    now: Timestamp,
) -> Result<Room, NotHere> {
    let settings = fleet.host_settings(&host.id);
    if let Some(settings) = settings
        && settings.pool != pool
    {
        let detail = format!("it serves the pool {}", settings.pool);
        return Err(NotHere { reason: Reason::HostNotInPool, detail, could_ever: false });
    }
    let declared = settings.and_then(|settings| Some(settings.memory?.minus(settings.keep_free)));
    let state = fleet.host_state(host, now);
    if let Some(reason) = state.obstacle() {
        // A silent host could take it one day only if it is declared large enough.
        let could_ever = state != HostState::Undeclared
            && declared.is_none_or(|memory| wanted.fits(&Resources { memory }));
        return Err(NotHere { reason, detail: silence(host, state, now), could_ever });
    }
    let usable = fleet.usable_on(host);
    let reserved = fleet.reserved_on(&host.id);
    let total = reserved.plus(wanted);
    if !total.fits(&usable) {
        let detail = format!(
            "{} of {} are reserved; {} more do not fit",
            reserved.memory, usable.memory, wanted.memory
        );
        let could_ever = wanted.fits(&usable);
        return Err(NotHere { reason: Reason::WaitMemoryReserved, detail, could_ever });
    }
    let live = live_memory(host);
    if total.memory > live {
        let detail = format!(
            "only {live} are left by other programs on the host; {} would then be promised",
            total.memory
        );
        return Err(NotHere { reason: Reason::WaitMemoryUsed, detail, could_ever: true });
    }
    Ok(Room { usable, reserved, left: usable.minus(&total) })
}

/// Memory that servers use now plus what is free: all they could have together at this moment.
fn live_memory(host: &Host) -> ByteCount {
    let Some(heard) = &host.heard else { return ByteCount::ZERO };
    heard.observed.values().fold(heard.capacity.memory_free, |sum, seen| sum.plus(seen.memory_used))
}

fn silence(host: &Host, state: HostState, now: Timestamp) -> String {
    match (&host.heard, state) {
        (Some(heard), HostState::Lost) => {
            let seconds = now.millis_since(heard.at) / 1000;
            format!("no report for {}", berth_common::Seconds(seconds))
        }
        (Some(heard), HostState::EngineDown) => heard.engine_trouble.clone().unwrap_or_default(),
        _ => String::new(),
    }
}
