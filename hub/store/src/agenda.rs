//! What people put into the calendar: orders about trainings, notices, maintenance.

use berth_common::Timestamp;
use berth_core::agenda::Entry;
use rusqlite::params;

use crate::fleet::{json, parse};
use crate::{Database, Reader, StoreError};

impl Database {
    /// Adds an entry and returns its number, which grows with time and is never used again.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn add_to_agenda(&mut self, entry: &Entry) -> Result<i64, StoreError> {
        let sql = "INSERT INTO agenda (body, ends) VALUES (?1, ?2)";
        let body = json(entry, "agenda")?;
        self.connection.execute(sql, params![body, entry.ends().0])?;
        Ok(self.connection.last_insert_rowid())
    }

    /// Puts another entry in the place of one.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn change_agenda(&mut self, id: i64, entry: &Entry) -> Result<(), StoreError> {
        let sql = "UPDATE agenda SET body = ?2, ends = ?3 WHERE id = ?1";
        let body = json(entry, "agenda")?;
        self.connection.execute(sql, params![id, body, entry.ends().0])?;
        Ok(())
    }

    /// Forgets entries that were over before a moment.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn forget_agenda(&mut self, before: Timestamp) -> Result<(), StoreError> {
        self.connection.execute("DELETE FROM agenda WHERE ends < ?1", [before.0])?;
        Ok(())
    }
}

impl Reader {
    /// All entries with their numbers, in the order in which they were made.
    ///
    /// # Errors
    /// When a row cannot be read.
    pub fn agenda(&self) -> Result<Vec<(i64, Entry)>, StoreError> {
        let mut statement = self.connection.prepare("SELECT id, body FROM agenda ORDER BY id")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, String>(1)?)))?;
        rows.map(|row| {
            let (id, body) = row?;
            Ok((id, parse(&body, "agenda")?))
        })
        .collect()
    }
}
