//! Tasks that keep: the table and the hub's answers on disk, the pools free of old connections.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use berth_process::clock;
use berth_process::file::FileError;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::persist;
use crate::pool::BURST;
use crate::route::Route;
use crate::shared::Shared;

/// Changes of the table within this time are one write.
const GATHER: Duration = Duration::from_millis(100);

/// How far a crash may set back the activity clocks and the hub's answers.
const CLOCKS: Duration = Duration::from_secs(60);

/// After a failed write: a full disk does not get emptier by trying harder.
const TRY_AGAIN: Duration = Duration::from_secs(5);

/// Saves the table at each change and the clocks now and then, for ever.
pub async fn keep_saved(shared: Arc<Shared>) {
    let mut clocks = interval(CLOCKS);
    clocks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    clocks.tick().await;
    let mut saved_clock = String::new();
    loop {
        let changed = tokio::select! {
            () = shared.changed.notified() => true,
            _ = clocks.tick() => false,
        };
        if !changed && shared.hub_away.take_changed() {
            let saving = shared.clone();
            written("the hub's answers", move || save_hub_users(&saving)).await;
        }
        let clock = latest_clock(&shared);
        if !changed && clock == saved_clock {
            continue;
        }
        sleep(GATHER).await;
        let saving = shared.clone();
        if written("the routes", move || save_routes(&saving)).await {
            saved_clock = clock;
        } else {
            sleep(TRY_AGAIN).await;
            shared.changed.notify_one();
        }
    }
}

/// Saves all there is, at the end.
pub async fn save_all(shared: Arc<Shared>) {
    let (routes, users) = (shared.clone(), shared);
    written("the routes", move || save_routes(&routes)).await;
    written("the hub's answers", move || save_hub_users(&users)).await;
}

fn save_routes(shared: &Shared) -> Result<(), FileError> {
    let _alone = shared.saving.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(state) = &shared.state else { return Ok(()) };
    let saved = persist::save(state, &snapshot(shared));
    shared.metrics.save_failed.store(u64::from(saved.is_err()), Ordering::Relaxed);
    saved
}

/// Keeps the table as it was before a wave of deletions.
pub fn save_before_wave(shared: &Arc<Shared>, before: Vec<Arc<Route>>) {
    let Some(state) = shared.state.clone() else { return };
    let highest = shared.table().highest;
    tokio::task::spawn_blocking(move || {
        let count = before.len();
        let routes = before.iter().map(|route| persist::record_of(route)).collect();
        match persist::save_before_wave(&state, &persist::Saved { highest, routes }) {
            Ok(path) => tracing::warn!(
                routes = count, kept = %path.display(),
                "half of all routes have been deleted; the table before is kept"
            ),
            Err(error) => tracing::error!(%error, "the table before a wave is not kept"),
        }
    });
}

/// The table as it is kept.
pub fn snapshot(shared: &Shared) -> persist::Saved {
    let (highest, routes) = {
        let table = shared.table();
        (table.highest, table.posted().cloned().collect::<Vec<_>>())
    };
    let routes = routes.iter().map(|route| persist::record_of(route)).collect();
    persist::Saved { highest, routes }
}

/// Writes the hub's answers. Waits for the disk.
///
/// # Errors
/// Names the file and the system's reason.
pub fn save_hub_users(shared: &Shared) -> Result<(), FileError> {
    let _alone = shared.saving.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(state) = &shared.state else { return Ok(()) };
    shared.hub_away.save(state, clock::now().as_millis() / 1000)
}

fn latest_clock(shared: &Shared) -> String {
    persist::latest(shared.table().posted().map(|route| route.live.last_activity()))
}

/// Writes on a thread that may wait for the disk; whether it worked.
async fn written(
    what: &'static str,
    write: impl FnOnce() -> Result<(), FileError> + Send + 'static,
) -> bool {
    match tokio::task::spawn_blocking(write).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            tracing::error!(%error, "{what} are not saved");
            false
        }
        Err(error) => {
            tracing::error!(%error, "{what} are not saved");
            false
        }
    }
}

/// Closes connections that nobody has used for a while, for ever. One clock for all of them.
pub async fn keep_swept(shared: Arc<Shared>) {
    let mut ticks = interval(BURST);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let now: Instant = ticks.tick().await;
        shared.limits.sweep();
        shared.wave().sweep(now);
        let routes: Vec<_> = shared.table().all().cloned().collect();
        for route in routes {
            route.live.pool.sweep(now);
        }
    }
}
