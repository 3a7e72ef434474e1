//! Rows of the fleet: hosts, servers, decisions.

use std::sync::Arc;

use berth_common::{DecisionId, Seconds, ServerId, Timestamp, Username};
use berth_core::event::Row;
use berth_core::fleet::{Restored, Rolling};
use berth_core::floor::{Floor, FloorHost, first_of_reign};
use berth_core::packing::Prices;
use berth_core::queue::{Life, REMEMBERED, REMEMBERED_WAITS, Wait};
use berth_core::usage::UsageDay;
use berth_core::{Decision, Host, Server, Settings};
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
        Row::Floor { version, at, hosts } => {
            let mut insert = transaction.prepare_cached(
                "INSERT OR REPLACE INTO floor (host, version, at, body) VALUES (?1, ?2, ?3, ?4)",
            )?;
            for host in hosts {
                let body = json(&**host, "floor")?;
                insert.execute(params![host.host.as_str(), signed(*version), at.0, body])?;
            }
        }
        Row::Settings(settings) => {
            transaction.execute(
                "INSERT OR IGNORE INTO settings (version, body) VALUES (?1, ?2)",
                params![settings.version.cast_signed(), json(&**settings, "settings")?],
            )?;
        }
        Row::Prices(prices) => {
            transaction.execute(
                "INSERT OR REPLACE INTO prices (version, body) VALUES (?1, ?2)",
                params![signed(prices.version), json(&**prices, "prices")?],
            )?;
        }
        Row::Usage(day) => {
            transaction
                .prepare_cached(
                    "INSERT OR REPLACE INTO usage (user, day, body) VALUES (?1, ?2, ?3)",
                )?
                .execute(params![day.user.as_str(), day.day, json(day, "usage")?])?;
        }
        Row::Rolling(None) => {
            transaction.execute("DELETE FROM rolling", [])?;
        }
        Row::Rolling(Some(rolling)) => {
            transaction.execute(
                "INSERT OR REPLACE INTO rolling (id, body) VALUES (1, ?1)",
                [json(&**rolling, "rolling")?],
            )?;
        }
        Row::Drain(drain) => {
            let ended = drain.ended.map(|ended| ended.at.0);
            transaction.execute(
                "INSERT OR REPLACE INTO drains (id, ended, body) VALUES (?1, ?2, ?3)",
                params![signed(drain.id.0), ended, json(&**drain, "drains")?],
            )?;
        }
        Row::Restored(restored) => {
            transaction.execute(
                "INSERT OR REPLACE INTO restored (id, body) VALUES (1, ?1)",
                [json(&**restored, "restored")?],
            )?;
        }
        Row::Life(Life { pool, ended, lasted }) => {
            let lasted = i64::try_from(lasted.0).unwrap_or(i64::MAX);
            transaction
                .prepare_cached("INSERT INTO lives (pool, ended, lasted) VALUES (?1, ?2, ?3)")?
                .execute(params![pool, ended.0, lasted])?;
        }
        Row::Wait(Wait { pool, foreseen, lasted }) => {
            let whole = |seconds: &Seconds| i64::try_from(seconds.0).unwrap_or(i64::MAX);
            transaction
                .prepare_cached("INSERT INTO waits (pool, foreseen, lasted) VALUES (?1, ?2, ?3)")?
                .execute(params![pool, whole(foreseen), whole(lasted)])?;
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

    /// The floor as it was in a version: of each host the newest entry that is not newer. Each reign
    /// begins with an entry for every host it knows, so those of earlier ones do not count: a host
    /// that was taken out of the files meanwhile is not there any more.
    ///
    /// # Errors
    /// When a row cannot be read.
    pub fn floor(&self, version: u64) -> Result<Floor, StoreError> {
        let mut statement = self.connection.prepare_cached(
            "WITH RECURSIVE names (host) AS (
                 SELECT min(host) FROM floor
                 UNION ALL
                 SELECT (SELECT min(host) FROM floor WHERE host > names.host) FROM names WHERE host IS NOT NULL
             )
             SELECT (SELECT body FROM floor WHERE host = names.host AND version BETWEEN ?1 AND ?2
                     ORDER BY version DESC LIMIT 1)
             FROM names WHERE host IS NOT NULL",
        )?;
        let range = params![signed(first_of_reign(version)), signed(version)];
        let bodies = statement.query_map(range, |row| row.get::<_, Option<String>>(0))?;
        let mut hosts = Vec::new();
        for body in bodies {
            if let Some(body) = body? {
                hosts.push(Arc::new(parse(&body, "floor")?));
            }
        }
        Ok(Floor { version, hosts })
    }

    /// The floor as it was at a moment, to the minute; without hosts if none was saved by then.
    ///
    /// # Errors
    /// When a row cannot be read.
    pub fn floor_at(&self, at: Timestamp) -> Result<Floor, StoreError> {
        let newest: Option<i64> = self
            .connection
            .prepare_cached(
                "SELECT version FROM floor WHERE at <= ?1 ORDER BY at DESC, version DESC LIMIT 1",
            )?
            .query_row([at.0], |row| row.get(0))
            .optional()?;
        newest.map_or_else(|| Ok(Floor::default()), |version| self.floor(version.unsigned_abs()))
    }

    /// What changed on the floor between two versions of one reign, saved not before a moment and
    /// not after another; oldest first.
    ///
    /// # Errors
    /// When a row cannot be read.
    pub fn floor_changes(
        &self,
        (after, through): (u64, u64),
        (from, to): (Timestamp, Timestamp),
    ) -> Result<Vec<FloorHost>, StoreError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT body FROM floor
             WHERE at BETWEEN ?1 AND ?2 AND version > ?3 AND version <= ?4 ORDER BY version",
        )?;
        let bounds = params![from.0, to.0, signed(after), signed(through)];
        let bodies = statement.query_map(bounds, |row| row.get::<_, String>(0))?;
        bodies.map(|body| parse(&body?, "floor")).collect()
    }

    /// The site's files as a decision names them.
    ///
    /// # Errors
    /// When the row cannot be read.
    pub fn settings(&self, version: u64) -> Result<Option<Settings>, StoreError> {
        let body: Option<String> = self
            .connection
            .prepare_cached("SELECT body FROM settings WHERE version = ?1")?
            .query_row([version.cast_signed()], |row| row.get(0))
            .optional()?;
        body.map(|body| parse(&body, "settings")).transpose()
    }

    /// The prices as a decision names them; before the first ones nothing was worth anything.
    ///
    /// # Errors
    /// When the row cannot be read.
    pub fn prices(&self, version: u64) -> Result<Prices, StoreError> {
        let body: Option<String> = self
            .connection
            .prepare_cached("SELECT body FROM prices WHERE version = ?1")?
            .query_row([signed(version)], |row| row.get(0))
            .optional()?;
        let prices = body.map(|body| parse(&body, "prices")).transpose()?;
        Ok(prices.unwrap_or_else(|| Prices { version, ..Prices::default() }))
    }

    /// What people used.
    ///
    /// # Errors
    /// When a row cannot be read.
    pub fn usage(&self) -> Result<Vec<UsageDay>, StoreError> {
        self.bodies("usage", "SELECT body FROM usage")
    }

    /// The rolling reboot that was ordered last.
    ///
    /// # Errors
    /// When the row cannot be read.
    pub fn rolling(&self) -> Result<Option<Rolling>, StoreError> {
        Ok(self.bodies("rolling", "SELECT body FROM rolling")?.pop())
    }

    /// The restore from a backup that this store has been through last.
    ///
    /// # Errors
    /// When the row cannot be read.
    pub fn restored(&self) -> Result<Option<Restored>, StoreError> {
        Ok(self.bodies("restored", "SELECT body FROM restored")?.pop())
    }

    /// How long servers lived, in the order in which they ended: as many of each pool as estimates
    /// look at.
    ///
    /// # Errors
    /// When a row cannot be read.
    pub fn lives(&self) -> Result<Vec<Life>, StoreError> {
        let mut statement = self.connection.prepare(
            "SELECT pool, ended, lasted FROM (
                 SELECT *, row_number() OVER (PARTITION BY pool ORDER BY id DESC) AS newest FROM lives
             ) WHERE newest <= ?1 ORDER BY id",
        )?;
        let most = i64::try_from(REMEMBERED).unwrap_or(i64::MAX);
        let lives = statement.query_map([most], |row| {
            let lasted: i64 = row.get(2)?;
            let lasted = Seconds(lasted.unsigned_abs());
            Ok(Life { pool: row.get(0)?, ended: Timestamp(row.get(1)?), lasted })
        })?;
        Ok(lives.collect::<Result<_, _>>()?)
    }

    /// How waits turned out, in the order in which they ended: as many of each pool as estimates
    /// look at.
    ///
    /// # Errors
    /// When a row cannot be read.
    pub fn waits(&self) -> Result<Vec<Wait>, StoreError> {
        let mut statement = self.connection.prepare(
            "SELECT pool, foreseen, lasted FROM (
                 SELECT *, row_number() OVER (PARTITION BY pool ORDER BY id DESC) AS newest FROM waits
             ) WHERE newest <= ?1 ORDER BY id",
        )?;
        let most = i64::try_from(REMEMBERED_WAITS).unwrap_or(i64::MAX);
        let waits = statement.query_map([most], |row| {
            let (foreseen, lasted): (i64, i64) = (row.get(1)?, row.get(2)?);
            let [foreseen, lasted] = [foreseen, lasted].map(|it| Seconds(it.unsigned_abs()));
            Ok(Wait { pool: row.get(0)?, foreseen, lasted })
        })?;
        Ok(waits.collect::<Result<_, _>>()?)
    }

    /// Decisions since a moment, oldest first.
    ///
    /// # Errors
    /// When a row cannot be read.
    pub fn decisions_since(
        &self,
        since: Timestamp,
        most: u32,
    ) -> Result<Vec<Decision>, StoreError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT body FROM decisions WHERE at >= ?1 ORDER BY at, id LIMIT ?2")?;
        let bodies = statement.query_map(params![since.0, most], |row| row.get::<_, String>(0))?;
        bodies.map(|body| parse(&body?, "decisions")).collect()
    }

    /// The newest decisions since a moment, of one person or of all; newest first.
    ///
    /// # Errors
    /// When a row cannot be read.
    pub fn newest_decisions(
        &self,
        user: Option<&Username>,
        since: Timestamp,
        most: u32,
    ) -> Result<Vec<Decision>, StoreError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT body FROM decisions
             WHERE at >= ?1 AND (?2 IS NULL OR json_extract(body, '$.user') = ?2)
             ORDER BY at DESC, id LIMIT ?3",
        )?;
        let bounds = params![since.0, user.map(Username::as_str), most];
        let bodies = statement.query_map(bounds, |row| row.get::<_, String>(0))?;
        bodies.map(|body| parse(&body?, "decisions")).collect()
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

    /// Decisions whose ids begin so.
    ///
    /// # Errors
    /// When a row cannot be read.
    pub fn decisions_beginning(&self, with: &str, most: u32) -> Result<Vec<Decision>, StoreError> {
        // Behind all that an id has in its place.
        let end = format!("{with}~");
        let mut statement = self.connection.prepare_cached(
            "SELECT body FROM decisions WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT ?3",
        )?;
        let bodies =
            statement.query_map(params![with, end, most], |row| row.get::<_, String>(0))?;
        bodies.map(|body| parse(&body?, "decisions")).collect()
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
