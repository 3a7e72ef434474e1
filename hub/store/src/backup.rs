//! A backup is one SQLite file: the store as it was at one moment, and beside it the few files
//! without which it would be worth nothing.

use std::path::{Path, PathBuf};

use berth_common::{Epoch, Timestamp};
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use crate::{Database, Reader, StoreError, signed};

const SCHEMA: &str = "
CREATE TABLE backup (taken INTEGER NOT NULL) STRICT;   -- microseconds since 1970
CREATE TABLE backup_files (path TEXT PRIMARY KEY, mode INTEGER NOT NULL, content BLOB NOT NULL) STRICT;
";

/// A file that belongs to a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptFile {
    /// Its path below the state folder.
    pub path: String,
    /// Its permission bits.
    pub mode: u32,
    /// Its bytes.
    pub content: Vec<u8>,
}

impl Reader {
    /// Opens the store of a state folder beside the hub that may be running on it.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub fn beside(folder: &Path) -> Result<Self, StoreError> {
        Self::open(&folder.join("berth.db"))
    }

    /// Writes the store as it is at this moment into `target`, an empty file, with `files` beside
    /// it. Writers are not held up.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn back_up(
        &self,
        target: &Path,
        taken: Timestamp,
        files: &[KeptFile],
    ) -> Result<(), StoreError> {
        self.connection.execute("VACUUM INTO ?1", [target.to_string_lossy()])?;
        let mut copy = Connection::open(target)?;
        let transaction = copy.transaction()?;
        transaction.execute_batch(SCHEMA)?;
        transaction.execute("INSERT INTO backup (taken) VALUES (?1)", [taken.0])?;
        for file in files {
            transaction.execute(
                "INSERT INTO backup_files (path, mode, content) VALUES (?1, ?2, ?3)",
                params![file.path, file.mode, file.content],
            )?;
        }
        transaction.commit()?;
        check(&copy, target)
    }

    /// The number of the newest reign.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn epoch(&self) -> Result<Epoch, StoreError> {
        let epoch: Option<i64> = self
            .connection
            .query_row("SELECT value FROM meta WHERE key = 'epoch'", [], |row| row.get(0))
            .optional()?;
        Ok(Epoch(epoch.unwrap_or(0).unsigned_abs()))
    }

    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.execute_batch("PRAGMA busy_timeout = 5000; PRAGMA trusted_schema = OFF;")?;
        Ok(Self { connection })
    }
}

/// Reads when a backup was taken, and the files in it.
///
/// # Errors
/// When the file is no backup, or is damaged.
pub fn contents(backup: &Path) -> Result<(Timestamp, Vec<KeptFile>), StoreError> {
    let reader = Reader::open(backup)?;
    let foreign = |_| StoreError::NoBackup(backup.to_owned());
    let taken = reader.connection.query_row("SELECT taken FROM backup", [], |row| row.get(0));
    let taken = Timestamp(taken.map_err(foreign)?);
    check(&reader.connection, backup)?;
    let mut files =
        reader.connection.prepare("SELECT path, mode, content FROM backup_files ORDER BY path")?;
    let files = files.query_map([], |row| {
        Ok(KeptFile { path: row.get(0)?, mode: row.get(1)?, content: row.get(2)? })
    })?;
    Ok((taken, files.collect::<Result<_, _>>()?))
}

fn check(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let found: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
    let damaged = || StoreError::Corrupt { path: path.to_owned(), why: found.clone() };
    if found == "ok" { Ok(()) } else { Err(damaged()) }
}

impl Database {
    /// Takes out what made this file a backup, and whatever gives access to people who may have
    /// lost it since: sessions and what notebooks were given for them. API tokens stay.
    ///
    /// # Errors
    /// When it cannot be saved.
    pub fn begin_after_backup(&mut self, epoch: Epoch) -> Result<(), StoreError> {
        let transaction = self.connection.transaction()?;
        transaction.execute_batch(
            "DROP TABLE backup; DROP TABLE backup_files;
             DELETE FROM sessions; DELETE FROM oauth_codes; DELETE FROM join_tokens;
             DELETE FROM tokens WHERE kind = 'oauth';",
        )?;
        transaction.execute(
            "INSERT OR REPLACE INTO meta (key, value) VALUES ('epoch', ?1)",
            [signed(epoch.0)],
        )?;
        // Drains that were begun after the backup have used some numbers.
        transaction.execute(
            "INSERT OR REPLACE INTO meta (key, value)
             SELECT 'drains', 1000 + max(
                 (SELECT coalesce(max(id), 0) FROM drains),
                 (SELECT coalesce(max(value), 0) FROM meta WHERE key = 'drains'))",
            [],
        )?;
        transaction.commit()?;
        Ok(())
    }

    /// Closes the store so that all of it is in its one file, and tells which.
    ///
    /// # Errors
    /// When the rest of the log cannot be written.
    pub fn close_whole(self) -> Result<PathBuf, StoreError> {
        self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        self.connection.close().map_err(|(_, error)| error)?;
        Ok(self.path)
    }
}
