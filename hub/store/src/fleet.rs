//! Rows of the fleet: hosts, servers, decisions.

use berth_common::{DecisionId, ServerId};
use berth_core::event::Row;
use berth_core::{Decision, Host, Server};
use rusqlite::{OptionalExtension, Transaction, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Database, Reader, StoreError, signed};

impl berth_core::store::Store for Database {
    type Error = StoreError;

    fn commit(&mut self, rows: &[Row]) -> Result<(), StoreError> {
        berth_process::crash_point!("store.commit.before");
        let transaction =
            self.connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        for row in rows {
            save(&transaction, row)?;
            berth_process::crash_point!("store.commit.inside");
        }
        transaction.commit()?;
        berth_process::crash_point!("store.commit.after");
        Ok(())
    }
}

fn save(transaction: &Transaction<'_>, row: &Row) -> Result<(), StoreError> {
    match row {
        Row::Server(server) => {
            let host = server.placement().map(|placement| placement.host.as_str());
            transaction
                .prepare_cached(
                    "INSERT INTO servers (id, owner, name, generation, host, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                     ON CONFLICT (id) DO UPDATE SET generation = ?4, host = ?5, body = ?6",
                )?
                .execute(params![
                    server.id.as_str(),
                    server.owner.as_str(),
                    server.name.as_str(),
                    signed(server.generation.0),
                    host,
                    json(&**server, "servers")?,
                ])?;
        }
        Row::ServerGone(id) => {
            transaction.execute("DELETE FROM servers WHERE id = ?1", [id.as_str()])?;
        }
        Row::Host(host) => {
            transaction.execute(
                "INSERT OR REPLACE INTO hosts (id, body) VALUES (?1, ?2)",
                params![host.id.as_str(), json(&**host, "hosts")?],
            )?;
        }
        Row::Decision(decision) => {
            transaction
                .prepare_cached("INSERT OR REPLACE INTO decisions (id, server, at, body) VALUES (?1, ?2, ?3, ?4)")?
                .execute(params![
                    decision.id.as_str(),
                    decision.server.as_str(),
                    decision.at.0,
                    json(&**decision, "decisions")?,
                ])?;
        }
    }
    Ok(())
}

impl Reader {
    /// All hosts.
    ///
    /// # Errors
    /// When a row cannot be read.
    pub fn hosts(&self) -> Result<Vec<Host>, StoreError> {
        self.bodies("hosts", "SELECT body FROM hosts")
    }

    /// All servers.
    ///
    /// # Errors
    /// When a row cannot be read.
    pub fn servers(&self) -> Result<Vec<Server>, StoreError> {
        self.bodies("servers", "SELECT body FROM servers")
    }

    /// One decision.
    ///
    /// # Errors
    /// When the row cannot be read.
    pub fn decision(&self, id: &DecisionId) -> Result<Option<Decision>, StoreError> {
        let body: Option<String> = self
            .connection
            .prepare_cached("SELECT body FROM decisions WHERE id = ?1")?
            .query_row([id.as_str()], |row| row.get(0))
            .optional()?;
        body.map(|body| parse(&body, "decisions")).transpose()
    }

    /// The newest decisions about one server, newest first.
    ///
    /// # Errors
    /// When a row cannot be read.
    pub fn decisions_of(&self, server: &ServerId, most: u32) -> Result<Vec<Decision>, StoreError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT body FROM decisions WHERE server = ?1 ORDER BY at DESC LIMIT ?2",
        )?;
        let bodies =
            statement.query_map(params![server.as_str(), most], |row| row.get::<_, String>(0))?;
        bodies.map(|body| parse(&body?, "decisions")).collect()
    }

    fn bodies<T: DeserializeOwned>(
        &self,
        table: &'static str,
        sql: &str,
    ) -> Result<Vec<T>, StoreError> {
        let mut statement = self.connection.prepare(sql)?;
        let bodies = statement.query_map([], |row| row.get::<_, String>(0))?;
        bodies.map(|body| parse(&body?, table)).collect()
    }
}

pub(crate) fn json<T: Serialize>(value: &T, table: &'static str) -> Result<String, StoreError> {
    serde_json::to_string(value)
        .map_err(|error| StoreError::Damaged { table, why: error.to_string() })
}

pub(crate) fn parse<T: DeserializeOwned>(body: &str, table: &'static str) -> Result<T, StoreError> {
    serde_json::from_str(body)
        .map_err(|error| StoreError::Damaged { table, why: error.to_string() })
}
