//! The tunnel's table: which container of which generation listens where. On disk it is text, a
//! line a server, written by the agent before it acts: a tunnel that starts alone, or with the
//! agent, finds the truth there.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use berth_common::{Generation, ServerId};
use berth_process::crash_point;

use crate::reconcile::TunnelEntry;

/// Where each server listens.
pub type Table = BTreeMap<ServerId, (Generation, SocketAddr)>;

/// The file in the agent's run folder.
pub fn file(run: &Path) -> PathBuf {
    run.join("tunnel.table")
}

/// The control socket in the agent's run folder.
pub fn socket(run: &Path) -> PathBuf {
    run.join("tunnel.sock")
}

/// Replaces the file. Without fsync: after a power cut nothing of it would be true anyway.
///
/// # Errors
/// The system's.
pub fn write(path: &Path, entries: &[TunnelEntry]) -> io::Result<()> {
    let mut text = String::new();
    for entry in entries {
        text.push_str(&format!("{} {} {}\n", entry.server, entry.generation, entry.address));
    }
    let temporary = path.with_extension("table.new");
    let mut new = fs::File::create(&temporary)?;
    new.write_all(text.as_bytes())?;
    // The tunnel's process is another user. Addresses of the host's own bridge are no secret.
    new.set_permissions(fs::Permissions::from_mode(0o644))?;
    crash_point!("tunnel.table.before_rename");
    fs::rename(&temporary, path)?;
    crash_point!("tunnel.table.after_rename");
    Ok(())
}

/// Reads the file; a line that is none of ours is left out. No file is an empty table.
///
/// # Errors
/// When it is there and cannot be read.
pub fn read(path: &Path) -> io::Result<Table> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text.lines().filter_map(line).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Table::new()),
        Err(error) => Err(error),
    }
}

fn line(text: &str) -> Option<(ServerId, (Generation, SocketAddr))> {
    let mut words = text.split(' ');
    let server = words.next()?.parse().ok()?;
    let generation = Generation(words.next()?.parse().ok()?);
    Some((server, (generation, words.next()?.parse().ok()?)))
}

/// Tells one writing of the file from another without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp(u64, i64, i64, u64);

/// The file's stamp; `None` when there is none.
pub fn stamp(path: &Path) -> Option<Stamp> {
    let found = fs::metadata(path).ok()?;
    Some(Stamp(found.ino(), found.mtime(), found.mtime_nsec(), found.len()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nonsense_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(folder.path());
        assert_eq!(read(&path).unwrap(), Table::new());
        assert_eq!(stamp(&path), None);
        let entry = TunnelEntry {
            server: ServerId::from_random(7),
            generation: Generation(3),
            address: "172.18.0.2:8888".parse().unwrap(),
        };
        write(&path, std::slice::from_ref(&entry)).unwrap();
        let first = stamp(&path);
        let expected = Table::from([(entry.server.clone(), (entry.generation, entry.address))]);
        assert_eq!(read(&path).unwrap(), expected);
        fs::write(&path, "nonsense\n0000000000000007 3 172.18.0.2:8888\n0000000000000008 x y\n")
            .unwrap();
        assert_eq!(read(&path).unwrap(), expected);
        assert_ne!(stamp(&path), first);
    }
}
