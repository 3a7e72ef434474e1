//! Who did what: rows are only added, in the transaction of the act where the act is a row itself.

use berth_common::Timestamp;
use rusqlite::{Row, params};
use serde::{Deserialize, Serialize};

use crate::fleet::{json, parse};
use crate::{Database, Reader, StoreError};

/// Something that somebody did, or was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    /// When.
    pub at: Timestamp,
    /// Who: an account's name, `service:NAME`, or `local-admin`.
    pub actor: String,
    /// What, e.g. `server-stop`.
    pub action: String,
    /// Whom it is about, if anybody.
    pub user: Option<String>,
    /// From where: an address, or the way in.
    pub from: String,
    /// Which server, host, token or other thing.
    pub subject: String,
    /// Why, in the actor's words.
    pub reason: String,
}

impl Act {
    /// An act of somebody, from somewhere.
    pub fn new(at: Timestamp, actor: &str, action: &str, from: &str) -> Self {
        Self {
            at,
            actor: actor.to_owned(),
            action: action.to_owned(),
            user: None,
            from: from.to_owned(),
            subject: String::new(),
            reason: String::new(),
        }
    }

    /// Whom it is about.
    #[must_use]
    pub fn about(self, user: &str) -> Self {
        Self { user: Some(user.to_owned()), ..self }
    }

    /// What was acted on.
    #[must_use]
    pub fn on(self, subject: &str) -> Self {
        Self { subject: subject.to_owned(), ..self }
    }

    /// Why.
    #[must_use]
    pub fn because(self, reason: &str) -> Self {
        Self { reason: reason.to_owned(), ..self }
    }
}

/// An act in the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Its number, which grows with time.
    pub id: i64,
    /// The act.
    pub act: Act,
}

/// Which acts are looked for; what is not said does not matter.
#[derive(Debug, Clone, Default)]
pub struct Acts {
    /// About this person.
    pub user: Option<String>,
    /// About this person, or on this server, host or other thing.
    pub about: Option<String>,
    /// By this actor.
    pub actor: Option<String>,
    /// Of this kind.
    pub action: Option<String>,
    /// Not earlier than this.
    pub since: Option<Timestamp>,
    /// Earlier than this.
    pub until: Option<Timestamp>,
    /// With a smaller number than this: the page after that one.
    pub before: Option<i64>,
    /// At most so many.
    pub limit: usize,
}

#[derive(Serialize, Deserialize)]
struct Body {
    #[serde(default)]
    from: String,
    #[serde(default)]
    subject: String,
    #[serde(default)]
    reason: String,
}

fn recorded(row: &Row<'_>) -> rusqlite::Result<Result<Recorded, StoreError>> {
    let (id, at) = (row.get(0)?, Timestamp(row.get(1)?));
    let (actor, action, user) = (row.get(2)?, row.get(3)?, row.get(4)?);
    let body: String = row.get(5)?;
    Ok(parse::<Body>(&body, "audit").map(|Body { from, subject, reason }| Recorded {
        id,
        act: Act { at, actor, action, user, from, subject, reason },
    }))
}

impl Database {
    /// Adds an act to the record.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn record(&mut self, act: &Act) -> Result<(), StoreError> {
        let Act { at, actor, action, user, from, subject, reason } = act.clone();
        let body = json(&Body { from, subject, reason }, "audit")?;
        self.connection.execute(
            "INSERT INTO audit (at, actor, action, user, body) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![at.0, actor, action, user, body],
        )?;
        Ok(())
    }

    /// Forgets acts of before a moment, and visits that had ended by then.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn forget_acts(&mut self, before: Timestamp) -> Result<(), StoreError> {
        self.connection.execute("DELETE FROM audit WHERE at < ?1", [before.0])?;
        self.connection.execute("DELETE FROM visits WHERE until < ?1", [before.0])?;
        Ok(())
    }
}

impl Reader {
    /// Acts, the newest first.
    ///
    /// # Errors
    /// When a row cannot be read.
    pub fn acts(&self, which: &Acts) -> Result<Vec<Recorded>, StoreError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT id, at, actor, action, user, body FROM audit
             WHERE (?1 IS NULL OR user = ?1) AND (?2 IS NULL OR actor = ?2)
               AND (?3 IS NULL OR action = ?3) AND (?4 IS NULL OR at >= ?4)
               AND (?5 IS NULL OR id < ?5) AND (?7 IS NULL OR at < ?7)
               AND (?8 IS NULL OR user = ?8 OR json_extract(body, '$.subject') = ?8)
             ORDER BY id DESC LIMIT ?6",
        )?;
        let limit = i64::try_from(which.limit).unwrap_or(i64::MAX);
        let since = which.since.map(|at| at.0);
        let until = which.until.map(|at| at.0);
        let Acts { user, about, actor, action, before, .. } = which;
        let values = params![user, actor, action, since, before, limit, until, about];
        let rows = statement.query_map(values, recorded)?;
        rows.map(|row| row?).collect()
    }
}
