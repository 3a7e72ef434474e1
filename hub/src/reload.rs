//! Hot reload: on SIGHUP, and by itself when a file changes. All files are checked together; if
//! one is wrong nothing is applied.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use berth_core::Event;
use berth_process::clock::now;
use tokio::signal::unix::{SignalKind, signal};

use crate::config::{self, HubConfig};
use crate::site::Hub;

/// Looks at names, times and sizes this often: cheap, and works on every file system.
const LOOK: Duration = Duration::from_secs(1);

/// Follows the files of a folder until the hub ends.
///
/// # Errors
/// When the system refuses the signal handler.
pub async fn follow(hub: Arc<Hub>, folder: PathBuf) -> std::io::Result<()> {
    let mut asked = signal(SignalKind::hangup())?;
    let mut look = tokio::time::interval(LOOK);
    let mut applied = fingerprint(&folder);
    let mut seen = applied.clone();
    loop {
        tokio::select! {
            _ = asked.recv() => {
                applied = fingerprint(&folder);
                reload(&hub, &folder).await;
            }
            _ = look.tick() => {
                let found = fingerprint(&folder);
                // One quiet look between change and reload: files that belong together are
                // written together.
                if found == seen && found != applied {
                    applied = found;
                    reload(&hub, &folder).await;
                } else {
                    seen = found;
                }
            }
        }
    }
}

async fn reload(hub: &Hub, folder: &Path) {
    match config::load(folder, now()) {
        Ok((fresh, warnings)) => {
            let keep = hub.config().hub.clone();
            warn_of_restart(&keep, &fresh.hub);
            let settings = Arc::new(fresh.settings.clone());
            hub.config.store(Arc::new(config::Config { hub: keep, ..fresh }));
            hub.fleet.send(Event::SettingsChanged(settings)).await;
            warnings.log();
            hub.metrics.configuration(Some(now()));
            tracing::info!("configuration reloaded");
        }
        Err(diagnostics) => {
            hub.metrics.configuration(None);
            tracing::error!("configuration not reloaded:\n{diagnostics}");
        }
    }
}

fn warn_of_restart(running: &HubConfig, fresh: &HubConfig) {
    if running != fresh {
        tracing::warn!(
            "hub.toml: a changed address, folder or url takes effect when berth-hub is restarted"
        );
    }
}

type Fingerprint = BTreeMap<PathBuf, (Option<SystemTime>, u64)>;

fn fingerprint(folder: &Path) -> Fingerprint {
    let mut found = Fingerprint::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(meta) = std::fs::metadata(entry.path()) else { continue };
            if meta.is_dir() && entry.path().extension().is_some_and(|e| e == "d") {
                folders.push(entry.path());
            } else {
                found.insert(entry.path(), (meta.modified().ok(), meta.len()));
            }
        }
    }
    found
}
