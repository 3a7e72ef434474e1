//! Notices that people have read or put away, and when.

use std::collections::BTreeSet;

use berth_common::{Timestamp, Username};
use rusqlite::params;

use crate::{Database, Reader, StoreError};

impl Database {
    /// Somebody has read a notice. The first time counts.
    ///
    /// # Errors
    /// When there is no such notice or person any more, and SQLite's own.
    pub fn notice_read(
        &mut self,
        notice: i64,
        user: &Username,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.connection.execute(
            "INSERT INTO notices_read (user, notice, at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            params![user.as_str(), notice, at.0],
        )?;
        Ok(())
    }
}

impl Reader {
    /// The notices that somebody has read.
    ///
    /// # Errors
    /// When a row cannot be read.
    pub fn notices_read(&self, user: &Username) -> Result<BTreeSet<i64>, StoreError> {
        let sql = "SELECT notice FROM notices_read WHERE user = ?1";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map([user.as_str()], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// How many people have read a notice.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn readers_of(&self, notice: i64) -> Result<u32, StoreError> {
        let sql = "SELECT count(*) FROM notices_read WHERE notice = ?1";
        Ok(self.connection.query_row(sql, [notice], |row| row.get(0))?)
    }
}
