//! The hub's durable memory: one SQLite file, one writer.
//!
//! WAL with `synchronous=FULL`: what a commit confirmed survives a power cut. A lock file keeps a
//! second hub out, a network file system is refused, and an I/O error is never retried: after a
//! failed fsync nobody knows what the disk holds.

mod accounts;
mod agenda;
mod audit;
pub mod backup;
mod directory;
mod drains;
mod fleet;
mod groups;
mod identities;
mod imported;
pub mod jupyterhub;
mod notices;
mod retention;
mod revocations;
mod schema;
mod services;
mod tokens;
mod visits;

use std::fs::File;
use std::path::{Path, PathBuf};

use berth_common::Epoch;
use rusqlite::{Connection, OptionalExtension};

pub use accounts::{Session, User, UserKey, UserOrder};
pub use audit::{Act, Acts, Recorded};
pub use directory::{Entry, Lapse};
pub use identities::{Identity, ProviderSession};
pub use revocations::Revocation;
pub use services::MadeService;
pub use tokens::{JoinToken, OauthCode, Token, TokenKind};
pub use visits::Visit;

/// The oldest SQLite without the WAL-reset bug (sqlite.org/wal.html#walresetbug).
const OLDEST_SQLITE: i32 = 3_051_003;

/// Why the store cannot be used or did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite's own.
    #[error("store: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// A file around the database.
    #[error(transparent)]
    File(#[from] berth_process::file::FileError),
    /// A row that this version cannot read.
    #[error("store: a row of {table} cannot be read: {why}")]
    Damaged {
        /// The table.
        table: &'static str,
        /// The reason.
        why: String,
    },
    /// Another hub runs on this folder.
    #[error("{} is in use by another hub; stop that one first", .0.display())]
    InUse(PathBuf),
    /// Locks and shared memory do not work there.
    #[error("{} lies on a network file system, where SQLite cannot be safe; put the state on a local disk", .0.display())]
    Network(PathBuf),
    /// The linked SQLite is too old.
    #[error("SQLite {0} has a bug that can corrupt the store; 3.51.3 or later is needed")]
    OldSqlite(&'static str),
    /// A restore began and did not end.
    #[error("{} is half restored; run `berth-hub restore` once more", .0.display())]
    HalfRestored(PathBuf),
    /// The file is something else.
    #[error("{} is no backup made by `berth-hub backup`", .0.display())]
    NoBackup(PathBuf),
    /// The file itself is damaged.
    #[error("store: {} is damaged: {why}; restore it from a backup", .path.display())]
    Corrupt {
        /// The database.
        path: PathBuf,
        /// What quick_check found.
        why: String,
    },
}

/// The folder in a state folder that shows a restore that was broken off.
pub const RESTORING: &str = "restoring";

/// The store, opened for writing. There is one in a process and one process on a folder.
#[derive(Debug)]
pub struct Database {
    connection: Connection,
    path: PathBuf,
    _lock: Lock,
}

/// Reads beside the writer, without waiting for its commits.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
}

impl Database {
    /// Opens or makes `FOLDER/berth.db`.
    ///
    /// # Errors
    /// When the place is unsuitable, in use, or the file is damaged.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        if rusqlite::version_number() < OLDEST_SQLITE {
            return Err(StoreError::OldSqlite(rusqlite::version()));
        }
        berth_process::file::make_folder(folder, 0o700)?;
        refuse_network(folder)?;
        let lock = Lock::take(folder)?;
        if folder.join(RESTORING).exists() {
            return Err(StoreError::HalfRestored(folder.to_owned()));
        }
        let path = folder.join("berth.db");
        let mut connection = Connection::open(&path)?;
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 5000;
             PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;
             PRAGMA secure_delete = ON; PRAGMA wal_autocheckpoint = 1000;",
        )?;
        let found: String = connection.query_row("PRAGMA quick_check", [], |row| row.get(0))?;
        if found != "ok" {
            return Err(StoreError::Corrupt { path, why: found });
        }
        schema::migrate(&mut connection)?;
        register_statements(&connection)?;
        Ok(Self { connection, path, _lock: lock })
    }

    /// A connection of its own for reading.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn reader(&self) -> Result<Reader, StoreError> {
        Reader::open(&self.path)
    }

    /// Makes several changes in one transaction: all of them, or none. Only for changes that are
    /// single statements or savepoints.
    ///
    /// # Errors
    /// The first change's that fails, or SQLite's own.
    pub fn together<T>(
        &mut self,
        changes: impl FnOnce(&mut Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        let result = changes(self).and_then(|done| {
            berth_process::crash_point!("store.together.inside");
            self.connection.execute_batch("COMMIT")?;
            Ok(done)
        });
        // After some errors, such as a full disk, SQLite has rolled back by itself.
        if result.is_err() && !self.connection.is_autocommit() {
            self.connection.execute_batch("ROLLBACK")?;
        }
        result
    }

    /// Writes something of no meaning, to find out whether that is possible.
    ///
    /// # Errors
    /// Why it is not.
    pub fn try_write(&mut self, now: berth_common::Timestamp) -> Result<(), StoreError> {
        let sql = "INSERT OR REPLACE INTO meta (key, value) VALUES ('examined', ?1)";
        self.connection.execute(sql, [now.0])?;
        Ok(())
    }

    /// Begins a new reign: its number is durable before it is used.
    ///
    /// # Errors
    /// When it could not be saved.
    pub fn next_epoch(&mut self) -> Result<Epoch, StoreError> {
        let transaction = self.connection.transaction()?;
        let last: Option<i64> = transaction
            .query_row("SELECT value FROM meta WHERE key = 'epoch'", [], |row| row.get(0))
            .optional()?;
        let next = last.unwrap_or(0).saturating_add(1);
        transaction
            .execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('epoch', ?1)", [next])?;
        berth_process::crash_point!("store.epoch.before_commit");
        transaction.commit()?;
        berth_process::crash_point!("store.epoch.after_commit");
        Ok(Epoch(next.unsigned_abs()))
    }
}

/// Crash points inside every statement that writes, also one that is a transaction of its own: a row
/// is changed and nothing of it durable; all rows are changed and the log is about to hold them.
fn register_statements(connection: &Connection) -> Result<(), StoreError> {
    connection.update_hook(Some(|_, _: &str, _: &str, _| {
        berth_process::crash_point!("store.statement.row");
    }))?;
    connection.commit_hook(Some(|| {
        berth_process::crash_point!("store.statement.commit");
        // It is not to be rolled back.
        false
    }))?;
    Ok(())
}

/// Keeps every hub off a state folder for as long as it lives; the kernel lets go when the process
/// dies.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of a state folder.
    ///
    /// # Errors
    /// When a hub runs on it, or the lock's file cannot be opened.
    pub fn take(folder: &Path) -> Result<Self, StoreError> {
        use rustix::fs::{FlockOperation, flock};
        let path = &folder.join("hub.lock");
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)
            .map_err(|error| berth_process::file::FileError::new("open", path, error))?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| StoreError::InUse(folder.to_owned()))?;
        Ok(Self { _file: file })
    }
}

/// NFS, SMB and FUSE magic numbers of statfs(2).
const NETWORK_FILE_SYSTEMS: [u64; 4] = [0x6969, 0xff53_4d42, 0xfe53_4d42, 0x517b];

fn refuse_network(folder: &Path) -> Result<(), StoreError> {
    let kind = rustix::fs::statfs(folder).map(|fs| fs.f_type as u64 & 0xffff_ffff);
    match kind {
        Ok(kind) if NETWORK_FILE_SYSTEMS.contains(&kind) => {
            Err(StoreError::Network(folder.to_owned()))
        }
        _ => Ok(()),
    }
}

/// What the disk of a folder has left for the hub.
///
/// # Errors
/// The system's.
pub fn free_bytes(folder: &Path) -> std::io::Result<u64> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// SQLite's integers are signed; ours never reach the half where that shows.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
