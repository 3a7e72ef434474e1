//! The table on disk, so that a proxy that starts anew serves before any hub speaks to it. A file
//! that cannot be read is never a reason not to start.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use berth_common::{Revision, Timestamp};
use berth_process::file::{self, FileError};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::route::{Live, Record, Route, iso_millis};

const NAME: &str = "routes.json";
const FORMER: &str = "routes.json.prev";

/// The table before a wave of deletions; to go back to it, copy it to `routes.json` while the proxy
/// is stopped.
const BEFORE_WAVE: &str = "routes.prev";

/// First word of the first line; the checksum of all that follows is the second.
const MAGIC: &str = "berth-routes-1";

/// What the file holds.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Saved {
    /// The highest (epoch, seq) seen.
    pub highest: Revision,
    /// Path to record, with `last_activity`.
    pub routes: Map<String, Value>,
}

/// Why a file is not used.
#[derive(Debug, thiserror::Error)]
enum Unreadable {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("it is not a routes file of this version")]
    Format,
    #[error("its checksum is wrong")]
    Checksum,
    #[error("{0}")]
    Json(#[from] serde_json::Error),
}

/// Writes the table; the file before stays as a fallback.
///
/// # Errors
/// Names the file and the system's reason; the files are then as they were.
pub fn save(folder: &Path, saved: &Saved) -> Result<(), FileError> {
    let path = folder.join(NAME);
    let former = folder.join(FORMER);
    let content = content(&path, saved)?;
    berth_process::crash_point!("proxy.routes.before_save");
    keep_former(&path, &former).map_err(|error| FileError::new("write", &former, error))?;
    berth_process::crash_point!("proxy.routes.former_kept");
    file::replace(&path, content.as_bytes(), 0o600)?;
    berth_process::crash_point!("proxy.routes.after_save");
    Ok(())
}

/// Writes the table as it was before a wave of deletions. Returns where.
///
/// # Errors
/// Names the file and the system's reason.
pub fn save_before_wave(folder: &Path, saved: &Saved) -> Result<PathBuf, FileError> {
    let path = folder.join(BEFORE_WAVE);
    file::replace(&path, content(&path, saved)?.as_bytes(), 0o600)?;
    Ok(path)
}

fn content(path: &Path, saved: &Saved) -> Result<String, FileError> {
    let body = serde_json::to_string(saved)
        .map_err(|error| FileError::new("write", path, io::Error::other(error)))?;
    Ok(format!("{MAGIC} {}\n{body}", checksum(&body)))
}

/// Gives the present file a second name in place of the former one, so that at every moment both
/// names stand for a whole file.
fn keep_former(path: &Path, former: &Path) -> io::Result<()> {
    let temporary = PathBuf::from(format!("{}.new", former.display()));
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    match fs::hard_link(path, &temporary) {
        Ok(()) => fs::rename(&temporary, former),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Reads the table: the file, else the former one, else nothing; says in the log which it was.
pub fn load(folder: &Path) -> Saved {
    let path = folder.join(NAME);
    match read(&path) {
        Ok(Some(saved)) => return saved,
        Ok(None) => {}
        Err(error) => {
            tracing::error!(file = %path.display(), %error, "the routes cannot be read");
            // Out of the way, or the next save would make it the fallback.
            let _ = fs::rename(&path, folder.join("routes.json.bad"));
        }
    }
    let former = folder.join(FORMER);
    match read(&former) {
        Ok(Some(saved)) => {
            tracing::warn!(file = %former.display(), "the routes are those of the former file");
            saved
        }
        Ok(None) => Saved::default(),
        Err(error) => {
            tracing::error!(file = %former.display(), %error, "no routes: the hub must post them");
            Saved::default()
        }
    }
}

fn read(path: &Path) -> Result<Option<Saved>, Unreadable> {
    let Some(content) = file::read_if_there(path)? else { return Ok(None) };
    let (first, body) = content.split_once('\n').ok_or(Unreadable::Format)?;
    let given = first.strip_prefix(MAGIC).ok_or(Unreadable::Format)?.trim();
    if given != checksum(body) {
        return Err(Unreadable::Checksum);
    }
    Ok(Some(serde_json::from_str(body)?))
}

fn checksum(body: &str) -> String {
    hex(&Sha256::digest(body))
}

/// Bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A route as it is kept.
pub fn record_of(route: &Route) -> (String, Value) {
    (route.key.clone(), route.json())
}

/// The routes of a file. A record that is not understood is left out and named in the log.
pub fn routes_of(saved: Saved) -> Vec<Route> {
    let read = |(key, value): (String, Value)| {
        let Value::Object(fields) = value else { return None };
        let moment = fields.get("last_activity").and_then(Value::as_str);
        let last_activity: Timestamp =
            moment.and_then(|text| text.parse().ok()).unwrap_or_default();
        match Record::read(fields) {
            Ok(record) => Some(Route { key, record, live: Live::new(last_activity) }),
            Err(error) => {
                tracing::error!(path = key, %error, "a saved route is not understood");
                None
            }
        }
    };
    saved.routes.into_iter().filter_map(read).collect()
}

/// The latest activity of all routes, as text: what changes when any clock has moved on.
pub fn latest(routes: impl Iterator<Item = Timestamp>) -> String {
    routes.max().map(iso_millis).unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use berth_common::Epoch;
    use serde_json::json;

    use super::*;

    fn saved(seq: u64) -> Saved {
        let routes = json!({"/user/a": {
            "target": "tunnel://wn01/0000000000000001", "generation": 7, "address": "wn01:8444",
            "user": "a", "last_activity": "2026-11-22T15:15:50.850Z",
        }});
        Saved {
            highest: Revision { epoch: Epoch(3), seq },
            routes: routes.as_object().unwrap().clone(),
        }
    }

    fn loaded(folder: &Path) -> String {
        let saved = load(folder);
        let highest = saved.highest;
        format!("{highest} {}", routes_of(saved).len())
    }

    #[test]
    fn the_table_is_read_back_with_its_clocks() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(loaded(folder.path()), "0.0 0");
        save(folder.path(), &saved(1)).unwrap();
        let routes = routes_of(load(folder.path()));
        assert_eq!(record_of(&routes[0]).1, saved(1).routes["/user/a"]);
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(folder.path().join(NAME)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_damaged_file_gives_way_to_the_former_one_and_never_stops_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        for seq in [1, 2] {
            save(folder.path(), &saved(seq)).unwrap();
        }
        assert_eq!(loaded(folder.path()), "3.2 1");
        let good = fs::read_to_string(&path).unwrap();
        for damaged in [
            good.replace("generation\":7", "generation\":8"),
            good[..good.len() / 2].to_owned(),
            String::new(),
            "[]".to_owned(),
        ] {
            fs::write(&path, damaged).unwrap();
            assert_eq!(loaded(folder.path()), "3.1 1");
        }
        // The damaged one has not become the fallback.
        save(folder.path(), &saved(3)).unwrap();
        assert_eq!(loaded(folder.path()), "3.3 1");
        fs::write(&path, "x").unwrap();
        assert_eq!(loaded(folder.path()), "3.1 1");
        fs::write(&path, "x").unwrap();
        fs::write(folder.path().join(FORMER), "x").unwrap();
        assert_eq!(loaded(folder.path()), "0.0 0");
    }
}
