//! Drains of hosts, under way and over.

use berth_common::Timestamp;
use berth_core::fleet::{Drain, DrainId};
use rusqlite::OptionalExtension;

use crate::fleet::parse;
use crate::{Database, Reader, StoreError, signed};

impl Database {
    /// Forgets drains that were over before a moment, but for the last, whose number must not be
    /// used again.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn forget_drains(&mut self, before: Timestamp) -> Result<(), StoreError> {
        let sql = "DELETE FROM drains WHERE ended < ?1 AND id < (SELECT max(id) FROM drains)";
        self.connection.execute(sql, [before.0])?;
        Ok(())
    }
}

impl Reader {
    /// One drain.
    ///
    /// # Errors
    /// When the row cannot be read.
    pub fn drain(&self, id: DrainId) -> Result<Option<Drain>, StoreError> {
        let body: Option<String> = self
            .connection
            .prepare_cached("SELECT body FROM drains WHERE id = ?1")?
            .query_row([signed(id.0)], |row| row.get(0))
            .optional()?;
        body.map(|body| parse(&body, "drains")).transpose()
    }

    /// The highest number that a drain has, or may have had before a restore from a backup.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn last_drain(&self) -> Result<DrainId, StoreError> {
        let last: i64 = self.connection.query_row(
            "SELECT max((SELECT coalesce(max(id), 0) FROM drains),
                        (SELECT coalesce(max(value), 0) FROM meta WHERE key = 'drains'))",
            [],
            |row| row.get(0),
        )?;
        Ok(DrainId(last.unsigned_abs()))
    }
}
