//! Tokens that another JupyterHub made. Their secrets are known to nobody here, and their hashes
//! are of its kind, until the first use tells the secret and makes them tokens like all others.

use rusqlite::params;

use crate::tokens::{TOKEN_COLUMNS, token};
use crate::{Database, Reader, StoreError, Token};

impl Database {
    /// Saves a token under JupyterHub's hash of its secret. `placeholder` stands where our own hash
    /// will be: random, so that no secret leads to it. False, and nothing is saved, for a hash that
    /// was imported before, even if its token has ended since.
    ///
    /// # Errors
    /// SQLite's own, also when the user is gone.
    pub fn add_imported_token(
        &mut self,
        placeholder: &[u8; 32],
        prefix: &str,
        hashed: &str,
        token: &Token,
    ) -> Result<bool, StoreError> {
        let known = "SELECT 1 FROM imported_tokens WHERE hashed = ?1";
        if self.connection.prepare_cached(known)?.exists([hashed])? {
            return Ok(false);
        }
        let id = self.add_token(placeholder, token)?;
        self.connection.execute(
            "INSERT INTO imported_tokens (hashed, prefix, token) VALUES (?1, ?2, ?3)",
            params![hashed, prefix, id],
        )?;
        Ok(true)
    }

    /// From now on a token is known by the SHA-256 of its secret.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn adopt_token(&mut self, id: i64, hash: &[u8; 32]) -> Result<(), StoreError> {
        self.connection.execute("UPDATE tokens SET hash = ?2 WHERE id = ?1", params![id, hash])?;
        Ok(())
    }
}

impl Reader {
    /// Imported tokens whose secrets begin like this, with JupyterHub's hashes of them.
    ///
    /// # Errors
    /// When a row cannot be read.
    pub fn imported_tokens(&self, prefix: &str) -> Result<Vec<(String, Token)>, StoreError> {
        let sql = format!(
            "SELECT {TOKEN_COLUMNS}, hashed FROM tokens JOIN imported_tokens ON token = id
             WHERE prefix = ?1"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map([prefix], |row| Ok((row.get("hashed")?, token(row)?)))?;
        rows.map(|row| {
            row.map_err(StoreError::from).and_then(|(hashed, token)| Ok((hashed, token?)))
        })
        .collect()
    }

    /// Whether a hash was imported before.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn is_imported(&self, hashed: &str) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM imported_tokens WHERE hashed = ?1";
        Ok(self.connection.prepare_cached(sql)?.exists([hashed])?)
    }
}
