//! What the hub owes the proxy: sessions and tokens that ended. The rows come by trigger, in the
//! transaction that ends them, so that no crash can lose one.

use crate::{Database, Reader, StoreError};

/// One that ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// Grows with time.
    pub id: i64,
    /// SHA-256 of the cookie or token.
    pub hash: Vec<u8>,
}

impl Reader {
    /// What is owed, the oldest first.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn revocations(&self) -> Result<Vec<Revocation>, StoreError> {
        let mut statement =
            self.connection.prepare_cached("SELECT id, hash FROM revocations ORDER BY id")?;
        let rows =
            statement.query_map([], |row| Ok(Revocation { id: row.get(0)?, hash: row.get(1)? }))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

impl Database {
    /// The proxy has heard of all up to this one.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn settle_revocations(&mut self, last: i64) -> Result<(), StoreError> {
        self.connection.execute("DELETE FROM revocations WHERE id <= ?1", [last])?;
        Ok(())
    }
}
