//! Visits: other people's servers that somebody was let into, with the reason that was given.

use berth_common::{ServerId, Timestamp, Username};
use rusqlite::{Row, params};

use crate::{Database, Reader, StoreError};

/// A visit to another person's server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visit {
    /// The server.
    pub server: ServerId,
    /// Whose it is.
    pub owner: Username,
    /// Who was let in.
    pub visitor: Username,
    /// Why, in the visitor's words.
    pub reason: String,
    /// Since when.
    pub begun: Timestamp,
    /// The first moment after it.
    pub until: Timestamp,
}

fn visit(row: &Row<'_>) -> rusqlite::Result<Result<Visit, StoreError>> {
    let texts: [String; 3] = [row.get(0)?, row.get(1)?, row.get(2)?];
    let (reason, begun, until) = (row.get(3)?, Timestamp(row.get(4)?), Timestamp(row.get(5)?));
    let damaged = || StoreError::Damaged { table: "visits", why: "an id is malformed".into() };
    let build = || {
        let [server, owner, visitor] = &texts;
        Ok(Visit {
            server: server.parse().map_err(|_| damaged())?,
            owner: owner.parse().map_err(|_| damaged())?,
            visitor: visitor.parse().map_err(|_| damaged())?,
            reason,
            begun,
            until,
        })
    };
    Ok(build())
}

const COLUMNS: &str = "server, owner, visitor, reason, begun, until";

impl Database {
    /// Saves a visit.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn add_visit(&mut self, visit: &Visit) -> Result<(), StoreError> {
        self.connection.execute(
            "INSERT INTO visits (server, owner, visitor, reason, begun, until)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                visit.server.as_str(),
                visit.owner.as_str(),
                visit.visitor.as_str(),
                visit.reason,
                visit.begun.0,
                visit.until.0
            ],
        )?;
        Ok(())
    }

    /// Ends somebody's visits to a server. Returns how many were under way.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn end_visits(
        &mut self,
        server: &ServerId,
        visitor: &Username,
        at: Timestamp,
    ) -> Result<usize, StoreError> {
        Ok(self.connection.execute(
            "UPDATE visits SET until = ?3 WHERE server = ?1 AND visitor = ?2 AND until > ?3",
            params![server.as_str(), visitor.as_str(), at.0],
        )?)
    }
}

impl Reader {
    /// The visits of somebody that are under way, the one that ends last first.
    ///
    /// # Errors
    /// When a row cannot be read.
    pub fn visits_by(&self, visitor: &Username, now: Timestamp) -> Result<Vec<Visit>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM visits WHERE visitor = ?1 AND until > ?2 ORDER BY until DESC"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map(params![visitor.as_str(), now.0], visit)?;
        rows.map(|row| row?).collect()
    }

    /// The visits to somebody's servers that had not ended at a moment, the newest first.
    ///
    /// # Errors
    /// When a row cannot be read.
    pub fn visits_to(&self, owner: &Username, since: Timestamp) -> Result<Vec<Visit>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM visits WHERE owner = ?1 AND until > ?2 ORDER BY id DESC"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map(params![owner.as_str(), since.0], visit)?;
        rows.map(|row| row?).collect()
    }

    /// All visits that end within a span.
    ///
    /// # Errors
    /// When a row cannot be read.
    pub fn visits_ending(
        &self,
        after: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<Visit>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM visits WHERE until > ?1 AND until <= ?2");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map(params![after.0, until.0], visit)?;
        rows.map(|row| row?).collect()
    }
}
