//! Services that were made by the API, beside those of the site's files.

use rusqlite::params;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::fleet::{json, parse};
use crate::{Database, Reader, StoreError};

/// A program elsewhere that the API made a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeService {
    /// Its name.
    pub name: String,
    /// Where it answers, if people can go there.
    #[serde(default)]
    pub url: Option<String>,
    /// SHA-256 of its token, if it has one.
    #[serde(default)]
    pub token: Option<[u8; 32]>,
    /// Whether it may do all that administrators may.
    #[serde(default)]
    pub admin: bool,
    /// The id of its OAuth client.
    pub client_id: String,
    /// Where its visitors come back to from a login.
    pub redirect: String,
    /// What its visitors' tokens may allow beside their identity and access to it.
    #[serde(default)]
    pub visitor_scopes: Vec<String>,
    /// Whether visitors are not asked if it may know who they are.
    #[serde(default)]
    pub no_confirm: bool,
    /// Whether people should see it in lists.
    #[serde(default)]
    pub display: bool,
    /// Whatever else is said about it.
    #[serde(default)]
    pub info: Value,
}

impl Database {
    /// Saves a new service. False if there is one of this name.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn add_service(&mut self, service: &MadeService) -> Result<bool, StoreError> {
        let sql = "INSERT OR IGNORE INTO made_services (name, body) VALUES (?1, ?2)";
        let body = json(service, "made_services")?;
        Ok(self.connection.execute(sql, params![service.name, body])? > 0)
    }

    /// Removes a service with the codes and tokens of its visitors. Returns the hashes of the
    /// tokens, for caches to forget.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn remove_service(
        &mut self,
        name: &str,
        client_id: &str,
    ) -> Result<Vec<Vec<u8>>, StoreError> {
        self.connection.execute("DELETE FROM made_services WHERE name = ?1", [name])?;
        self.connection.execute("DELETE FROM oauth_codes WHERE client = ?1", [client_id])?;
        let sql = "DELETE FROM tokens WHERE kind = 'oauth' AND client = ?1 RETURNING hash";
        let mut statement = self.connection.prepare(sql)?;
        let hashes = statement.query_map([client_id], |row| row.get(0))?;
        Ok(hashes.collect::<Result<_, _>>()?)
    }
}

impl Reader {
    /// All services that were made.
    ///
    /// # Errors
    /// When a row cannot be read.
    pub fn made_services(&self) -> Result<Vec<MadeService>, StoreError> {
        let sql = "SELECT body FROM made_services ORDER BY name";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
        rows.map(|row| parse(&row?, "made_services")).collect()
    }
}
