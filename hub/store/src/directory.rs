//! What the sources of the account directory said, kept for the times when they do not answer.

use berth_common::link::{Account, Group};
use berth_common::{Timestamp, Username};
use rusqlite::{OptionalExtension, params};
use serde::{Deserialize, Serialize};

use crate::fleet::{json, parse};
use crate::{Database, Reader, StoreError};

/// The source that is the hub itself: accounts that administrators made.
pub const LOCAL: &str = "local";

/// What one source says about an account. What it does not say is left to other sources.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Entry {
    /// `Some(false)`: the account exists, and may not be used. `None`: the source knows accounts
    /// only while they may be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid: Option<bool>,
    /// Why not, or empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// User id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// Primary group id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gid: Option<u32>,
    /// HOME.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub home: Option<String>,
    /// Groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<Group>>,
}

/// An account that is no longer valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lapse {
    /// Whose.
    pub user: Username,
    /// Since when.
    pub since: Timestamp,
    /// Why, for people.
    pub why: String,
}

impl Entry {
    /// All that an account says.
    pub fn of(account: &Account) -> Self {
        Self {
            uid: Some(account.uid),
            gid: Some(account.gid),
            home: Some(account.home.clone()),
            groups: Some(account.groups.clone()),
            ..Self::default()
        }
    }
}

impl Database {
    /// Keeps what a source said about an account.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn save_known(
        &mut self,
        source: &str,
        user: &Username,
        at: Timestamp,
        entry: &Entry,
    ) -> Result<(), StoreError> {
        self.connection.execute(
            "INSERT OR REPLACE INTO directory (source, user, at, body) VALUES (?1, ?2, ?3, ?4)",
            params![source, user.as_str(), at.0, json(entry, "directory")?],
        )?;
        Ok(())
    }

    /// Forgets what a source said: it no longer knows the account.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn forget_known(&mut self, source: &str, user: &Username) -> Result<(), StoreError> {
        self.connection.execute(
            "DELETE FROM directory WHERE source = ?1 AND user = ?2",
            params![source, user.as_str()],
        )?;
        Ok(())
    }

    /// Notes that an account is no longer valid; the moment of the first note stays.
    ///
    /// # Errors
    /// SQLite's own, also when the user is gone.
    pub fn save_lapse(&mut self, lapse: &Lapse) -> Result<(), StoreError> {
        self.connection.execute(
            "INSERT INTO lapsed (user, since, why) VALUES (?1, ?2, ?3)
             ON CONFLICT (user) DO UPDATE SET why = ?3",
            params![lapse.user.as_str(), lapse.since.0, lapse.why],
        )?;
        Ok(())
    }

    /// Notes that an account is valid again.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn end_lapse(&mut self, user: &Username) -> Result<(), StoreError> {
        self.connection.execute("DELETE FROM lapsed WHERE user = ?1", [user.as_str()])?;
        Ok(())
    }
}

impl Reader {
    /// What a source last said about an account, and when.
    ///
    /// # Errors
    /// When the row cannot be read.
    pub fn known(
        &self,
        source: &str,
        user: &Username,
    ) -> Result<Option<(Timestamp, Entry)>, StoreError> {
        let row: Option<(i64, String)> = self
            .connection
            .prepare_cached("SELECT at, body FROM directory WHERE source = ?1 AND user = ?2")?
            .query_row(params![source, user.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        row.map(|(at, body)| Ok((Timestamp(at), parse(&body, "directory")?))).transpose()
    }

    /// Since when and why an account is no longer valid.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn lapse(&self, user: &Username) -> Result<Option<Lapse>, StoreError> {
        let row = self
            .connection
            .prepare_cached("SELECT since, why FROM lapsed WHERE user = ?1")?
            .query_row([user.as_str()], |row| {
                Ok(Lapse { user: user.clone(), since: Timestamp(row.get(0)?), why: row.get(1)? })
            })
            .optional()?;
        Ok(row)
    }
}
