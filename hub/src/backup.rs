//! Backup of the hub's state while it runs, and its restore.
//!
//! A backup is one file: the store as it was at one moment, the certificate authority, and the key
//! of the server tokens. Whoever has it can speak for the hub, so only its owner may read it.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use berth_common::{Epoch, Generation, HostId, Timestamp};
use berth_core::Server;
use berth_core::event::Row;
use berth_core::fleet::Restored;
use berth_core::store::Store;
use berth_process::file;
use berth_store::backup::{KeptFile, contents};
use berth_store::{Database, Lock, RESTORING, Reader};

/// The folders of the state whose files cannot be made anew.
const KEPT: [&str; 1] = ["ca"];

/// Writes a backup of a state folder, beside the hub that may be running on it.
///
/// # Errors
/// When `target` is there already, or something cannot be read or written.
pub fn back_up(state: &Path, target: &Path, now: Timestamp) -> anyhow::Result<()> {
    if target.exists() {
        bail!("{} is there already; name another file", target.display());
    }
    let reader = Reader::beside(state)
        .with_context(|| format!("{} holds no store that can be read", state.display()))?;
    let files = kept_files(state)?;
    let folder = target.parent().filter(|it| !it.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    // Readable by its owner only, from the first byte on.
    let copy = tempfile::Builder::new()
        .prefix(".berth-backup-")
        .tempfile_in(folder)
        .with_context(|| format!("cannot write to {}", folder.display()))?;
    reader.back_up(copy.path(), now, &files)?;
    copy.as_file().sync_all()?;
    copy.persist_noclobber(target)?;
    File::open(folder)?.sync_all()?;
    // For `berth doctor`; a backup that cannot say so is a backup all the same.
    let note = state.join(LAST);
    if file::replace(&note, now.to_string().as_bytes(), 0o644).is_ok() {
        let _ = fs::metadata(state).map(|it| chown(&note, Some(it.uid()), Some(it.gid())));
    }
    Ok(())
}

/// Where a state folder says when its last backup was made.
const LAST: &str = "last-backup";

/// When the last backup of a state folder was made.
pub fn last(state: &Path) -> Option<Timestamp> {
    file::read_if_there(&state.join(LAST)).ok()??.trim().parse().ok()
}

fn kept_files(state: &Path) -> anyhow::Result<Vec<KeptFile>> {
    let mut files = Vec::new();
    for folder in KEPT {
        let place = state.join(folder);
        let entries = fs::read_dir(&place).with_context(|| format!("{}", place.display()))?;
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let path = format!("{folder}/{}", name.to_string_lossy());
            let mode = entry.metadata()?.permissions().mode() & 0o777;
            files.push(KeptFile { path, mode, content: fs::read(entry.path())? });
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// What is to be restored, and how.
#[derive(Debug)]
pub struct Restore<'a> {
    /// The backup.
    pub backup: &'a Path,
    /// The state folder, on which no hub runs.
    pub state: &'a Path,
    /// Whether a store that is there may be put aside.
    pub replace: bool,
    /// Hosts that are gone for good: nobody waits for them to tell what they run.
    pub without: Vec<HostId>,
}

/// What a restore has done.
#[derive(Debug)]
pub struct Done {
    /// When the backup was taken.
    pub taken: Timestamp,
    /// Servers that ran then, and are looked for.
    pub placed: usize,
    /// Where the former store was put, if there was one.
    pub aside: Option<PathBuf>,
}

/// Puts a backup in the place of a state folder's store and keys. Broken off in the middle, it
/// leaves a state that no hub starts on; done again, it ends well.
///
/// # Errors
/// When a hub runs on the folder, there is a store that may not be put aside, the file is no
/// backup, or something cannot be written.
pub fn restore(wish: &Restore<'_>, now: Timestamp) -> anyhow::Result<Done> {
    let (taken, files) = contents(wish.backup)?;
    file::make_folder(wish.state, 0o700)?;
    let _lock = Lock::take(wish.state)?;
    let store = wish.state.join("berth.db");
    if store.exists() && !wish.replace {
        bail!("{} is there already; --replace puts it aside", store.display());
    }
    let former = former(wish.state);

    let stage = wish.state.join(RESTORING);
    let _ = fs::remove_dir_all(&stage);
    file::make_folder(&stage, 0o700)?;
    fs::copy(wish.backup, stage.join("berth.db"))
        .with_context(|| format!("cannot copy {}", wish.backup.display()))?;
    let mut database = Database::open(&stage)?;
    let reader = database.reader()?;
    let (servers, epoch) = (reader.servers()?, reader.epoch()?);
    // Starts since the backup came after a restore that the backup has been through itself.
    let above = reader.restored()?.map(|restored| restored.above).unwrap_or_default();
    drop(reader);
    let generation = former.generation.max(above);
    let restored = Restored::new(now, taken, &servers, generation, wish.without.iter().cloned());
    database.begin_after_backup(restored.epoch_above(epoch.max(former.epoch)))?;
    let placed = servers.iter().filter(|server| server.placement().is_some()).count();
    let mut rows: Vec<Row> =
        servers.into_iter().map(|it| Row::Server(Arc::new(restored.take_over(it)))).collect();
    rows.push(Row::Restored(Arc::new(restored)));
    database.commit(&rows)?;
    let ready = database.close_whole()?;

    for KeptFile { path, mode, content } in &files {
        let place = inside(wish.state, path)?;
        if let Some(folder) = place.parent() {
            file::make_folder(folder, 0o700)?;
        }
        file::replace(&place, content, *mode)?;
    }
    berth_process::crash_point!("restore.staged");
    let aside = put_aside(&store, now)?;
    berth_process::crash_point!("restore.aside");
    File::open(&ready)?.sync_all()?;
    fs::rename(&ready, &store)?;
    berth_process::crash_point!("restore.in_place");
    fs::remove_dir_all(&stage)?;
    File::open(wish.state)?.sync_all()?;
    give_to_owner(wish.state)?;
    Ok(Done { taken, placed, aside })
}

/// The highest numbers that the store in place has used.
#[derive(Debug, Default)]
struct Former {
    epoch: Epoch,
    generation: Generation,
}

/// A store that is damaged or not there has used no number that we could know.
fn former(state: &Path) -> Former {
    let read = || -> Result<Former, berth_store::StoreError> {
        let reader = Reader::beside(state)?;
        let of_servers = reader.servers()?.iter().map(|it: &Server| it.generation).max();
        let of_restore = reader.restored()?.map(|restored| restored.above);
        let generation = of_servers.max(of_restore).unwrap_or_default();
        Ok(Former { epoch: reader.epoch()?, generation })
    };
    read().unwrap_or_default()
}

/// A path that a backup names, below the state folder and nowhere else.
fn inside(state: &Path, path: &str) -> anyhow::Result<PathBuf> {
    let ours = path.split_once('/').is_some_and(|(folder, name)| {
        KEPT.contains(&folder) && !name.is_empty() && !name.contains('/') && name != ".."
    });
    if !ours {
        bail!("the backup holds a file \"{path}\", which is none of the hub's");
    }
    Ok(state.join(path))
}

/// Renames the store in place, with the log that belongs to it.
fn put_aside(store: &Path, now: Timestamp) -> anyhow::Result<Option<PathBuf>> {
    if !store.exists() {
        return Ok(None);
    }
    let named = |ending: &str| {
        let mut name = store.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    };
    let kept = format!(".before-{}", now.0 / 1_000_000);
    for ending in ["-wal", "-shm"] {
        let (from, to) = (named(ending), named(&format!("{kept}{ending}")));
        if from.exists() {
            fs::rename(from, to)?;
        }
    }
    let aside = named(&kept);
    fs::rename(store, &aside)?;
    Ok(Some(aside))
}

/// What root has restored belongs to the hub's own user, as the folder does.
fn give_to_owner(state: &Path) -> anyhow::Result<()> {
    let owner = fs::metadata(state)?;
    let mut folders = vec![state.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let meta = entry.metadata()?;
            if (meta.uid(), meta.gid()) != (owner.uid(), owner.gid()) && !meta.is_symlink() {
                chown(entry.path(), Some(owner.uid()), Some(owner.gid()))
                    .with_context(|| format!("cannot give away {}", entry.path().display()))?;
            }
            if meta.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    Ok(())
}
