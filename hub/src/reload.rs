//! Which files are in force: those on disk, taken over by SIGHUP, by order, and by themselves when
//! one changes; or the last good ones, while the disk holds none that can be used.
//!
//! All files are checked together; if one is wrong nothing is applied.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use berth_common::Timestamp;
use berth_common::link::PortRange;
use berth_process::clock::now;
use berth_process::logging;
use berth_store::Act;
use tokio::signal::unix::{SignalKind, signal};

use crate::agenda;
use crate::config::{self, Beside, Config, Diagnostics, Files, Kept, Reported};
use crate::site::Hub;

/// Looks at names, times and sizes this often: cheap, and works on every file system.
const LOOK: Duration = Duration::from_secs(1);

/// Where the files in force come from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Origin {
    /// The folder, as it was when it was last read.
    #[default]
    Disk,
    /// The state folder: the disk held none that could be used when the hub began.
    Kept,
    /// The state folder: somebody went back to them.
    RolledBack,
}

/// What the audit calls it when other files come into force.
pub const IN_FORCE: &str = "config-in-force";

/// What is in force, and what was last found on disk.
#[derive(Debug, Clone, Default)]
pub struct InForce {
    /// Their texts.
    pub files: Files,
    /// Where they come from.
    pub origin: Origin,
    /// Since when.
    pub since: Timestamp,
    /// What was said of the files on disk when they were last read.
    pub said: Diagnostics,
}

/// The folder of the site's files, and what of them is in force.
#[derive(Debug, Default)]
pub struct Configuration {
    folder: Option<PathBuf>,
    in_force: Mutex<InForce>,
    one_at_a_time: tokio::sync::Mutex<()>,
}

/// Why files did not come into force.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// They are wrong.
    #[error("{0}")]
    Wrong(Diagnostics),
    /// There are none before those in force.
    #[error("no other files were in force before these")]
    NothingBefore,
    /// This hub was started without files.
    #[error("this hub has no configuration folder")]
    NoFolder,
}

impl Configuration {
    /// Reads the files of a folder; if they are wrong, the last good ones that the state folder
    /// keeps.
    ///
    /// # Errors
    /// What is wrong with them, when none are kept.
    pub fn open(folder: &Path) -> Result<(Config, Self), Diagnostics> {
        let (config, in_force) = begin(folder)?;
        let (folder, in_force) = (Some(folder.to_owned()), Mutex::new(in_force));
        Ok((config, Self { folder, in_force, ..Self::default() }))
    }

    /// What is in force.
    pub fn in_force(&self) -> InForce {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, InForce> {
        self.in_force.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is on disk now, and what is to be said of it.
///
/// # Errors
/// When this hub has no folder.
pub fn on_disk(hub: &Hub) -> Result<(Files, Result<Diagnostics, Diagnostics>), Refused> {
    let folder = hub.configuration.folder.as_deref().ok_or(Refused::NoFolder)?;
    let (files, understood) = config::read(folder, now(), &beside(hub));
    Ok((files, understood.map(|(_, warnings)| warnings)))
}

/// What this hub began with, and what its hosts have reported.
fn beside(hub: &Hub) -> Beside {
    let fleet = hub.fleet.fleet();
    let reported = fleet.hosts.iter().filter_map(|(name, host)| {
        let heard = host.heard.as_ref()?;
        let reported = Reported {
            memory: heard.capacity.memory_total,
            cpu_milli: heard.capacity.cpus.saturating_mul(1000),
            farm_ports: heard.facts.farm.map_or(0, PortRange::count),
        };
        Some((name.clone(), reported))
    });
    Beside { running: Some(hub.config().hub.clone()), hosts: reported.collect() }
}

fn begin(folder: &Path) -> Result<(Config, InForce), Diagnostics> {
    let alone = Beside::default();
    let (files, understood) = config::read(folder, now(), &alone);
    let since = now();
    let kept = Kept::read(&files.state());
    let went_back = kept.as_ref().filter(|it| it.instead_of.as_ref() == Some(&files.number()));
    match (understood, went_back) {
        (Ok((_, said)), Some(kept)) => {
            if let Ok((config, _)) = config::of_files(&kept.files, folder, now(), &alone) {
                let files = kept.files.clone();
                tracing::warn!("the files that somebody went back to are in force, not the disk's");
                return Ok((config, InForce { files, origin: Origin::RolledBack, since, said }));
            }
            config::of_files(&files, folder, now(), &alone).map(|(config, said)| {
                (config, InForce { files, origin: Origin::Disk, since, said })
            })
        }
        (Ok((config, said)), None) => {
            said.log();
            Ok((config, InForce { files, origin: Origin::Disk, since, said }))
        }
        (Err(said), _) => {
            let Some(kept) = kept else { return Err(said) };
            let Ok((config, _)) = config::of_files(&kept.files, folder, now(), &alone) else {
                return Err(said);
            };
            tracing::error!(
                "the last good configuration is in force, since of the disk's:\n{said}"
            );
            let files = kept.files;
            Ok((config, InForce { files, origin: Origin::Kept, since, said }))
        }
    }
}

/// Follows the files of a folder until the hub ends.
///
/// # Errors
/// When the system refuses the signal handler.
pub async fn follow(hub: Arc<Hub>, folder: PathBuf) -> std::io::Result<()> {
    let mut asked = signal(SignalKind::hangup())?;
    let mut look = tokio::time::interval(LOOK);
    let mut applied = fingerprint(&folder);
    let mut seen = applied.clone();
    note(&hub);
    loop {
        tokio::select! {
            _ = asked.recv() => {
                applied = fingerprint(&folder);
                let _ = reload(&hub).await;
            }
            _ = look.tick() => {
                let found = fingerprint(&folder);
                // One quiet look between change and reload: files that belong together are
                // written together.
                if found == seen && found != applied {
                    applied = found;
                    let _ = reload(&hub).await;
                } else {
                    seen = found;
                }
            }
        }
    }
}

/// Takes the files on disk over, and returns what is to be said of them.
///
/// # Errors
/// When they are wrong: then nothing has changed.
pub async fn reload(hub: &Hub) -> Result<Diagnostics, Refused> {
    let _alone = hub.configuration.one_at_a_time.lock().await;
    let folder = hub.configuration.folder.clone().ok_or(Refused::NoFolder)?;
    let (files, understood) = config::read(&folder, now(), &beside(hub));
    match understood {
        Ok((fresh, said)) => {
            put_in_force(hub, fresh, files, Origin::Disk, &said).await;
            said.log();
            tracing::info!(action = "config-reload", outcome = "success", "configuration reloaded");
            Ok(said)
        }
        Err(said) => {
            hub.metrics.configuration(None);
            tracing::error!(
                action = "config-reload",
                outcome = "failure",
                "configuration not reloaded:\n{said}"
            );
            hub.configuration.lock().said = said.clone();
            Err(Refused::Wrong(said))
        }
    }
}

/// Goes back to the files that were in force before, until those on disk change.
///
/// # Errors
/// When there are none, or they can no longer be used.
pub async fn roll_back(hub: &Hub) -> Result<Diagnostics, Refused> {
    let _alone = hub.configuration.one_at_a_time.lock().await;
    let folder = hub.configuration.folder.clone().ok_or(Refused::NoFolder)?;
    let kept = Kept::read(&hub.config().hub.state).ok_or(Refused::NothingBefore)?;
    let before = kept.before.ok_or(Refused::NothingBefore)?;
    let found = config::of_files(&before, &folder, now(), &beside(hub));
    let (fresh, said) = found.map_err(Refused::Wrong)?;
    put_in_force(hub, fresh, before, Origin::RolledBack, &said).await;
    tracing::warn!("the configuration before is in force again; the disk still holds the other");
    Ok(said)
}

async fn put_in_force(hub: &Hub, fresh: Config, files: Files, origin: Origin, said: &Diagnostics) {
    let running = hub.config().hub.reloaded(&fresh.hub);
    logging::set(running.logs);
    hub.config.store(Arc::new(Config { hub: running, ..fresh }));
    agenda::put_in_force(hub).await;
    record(hub, &files, origin).await;
    *hub.configuration.lock() = InForce { files, origin, since: now(), said: said.clone() };
    note(hub);
}

/// Notes which files have changed, whoever changed them: on disk that is nobody the hub knows.
async fn record(hub: &Hub, files: &Files, origin: Origin) {
    let before = hub.configuration.in_force().files.0;
    let names: BTreeSet<&String> = before.keys().chain(files.0.keys()).collect();
    let changed = names.into_iter().filter(|name| before.get(*name) != files.0.get(*name));
    let changed = changed.map(String::as_str).collect::<Vec<_>>().join(", ");
    if changed.is_empty() {
        return;
    }
    let why = if origin == Origin::RolledBack { "back to the files before" } else { "" };
    let act = Act::new(now(), "files", IN_FORCE, "disk").on(&changed).because(why);
    if let Err(error) = hub.storage.write(move |database| database.record(&act)).await {
        tracing::error!(%error, "a change of the files was not recorded");
    }
}

/// Keeps what is in force, and counts it.
fn note(hub: &Hub) {
    let InForce { files, origin, since, .. } = hub.configuration.in_force();
    hub.metrics.configuration(Some(since).filter(|_| origin != Origin::Kept));
    let disk = || Some(on_disk(hub).ok()?.0.number());
    let instead_of = if origin == Origin::RolledBack { disk() } else { None };
    if origin != Origin::Kept
        && let Err(error) = Kept::keep(&hub.config().hub.state, &files, instead_of)
    {
        tracing::error!(%error, "the good configuration is not kept for a restart");
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
