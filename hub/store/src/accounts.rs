//! People and their browser sessions.

use berth_common::link::{Account, Group};
use berth_common::{Timestamp, Username};
use rusqlite::{OptionalExtension, Row, ToSql, params};

use crate::directory::{Entry, LOCAL};
use crate::fleet::{json, parse};
use crate::{Database, Reader, StoreError};

/// A local user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Identity on the hosts.
    pub account: Account,
    /// Whether this is an administrator.
    pub admin: bool,
    /// The password's argon2 hash.
    pub password: String,
    /// When it was created.
    pub created: Timestamp,
    /// The newest sign of the person.
    pub last_activity: Timestamp,
}

/// In which order users are listed. Users who are the same in it are in the order of creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserOrder {
    /// By what.
    pub by: UserKey,
    /// Whether the last comes first.
    pub down: bool,
}

/// What users can be ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserKey {
    /// Creation.
    Id,
    /// Their names.
    Name,
    /// The newest signs of them.
    LastActivity,
}

impl UserOrder {
    fn sql(self) -> &'static str {
        match (self.by, self.down) {
            (UserKey::Id, false) => "rowid",
            (UserKey::Id, true) => "rowid DESC",
            (UserKey::Name, false) => "name",
            (UserKey::Name, true) => "name DESC",
            (UserKey::LastActivity, false) => "last_activity, rowid",
            (UserKey::LastActivity, true) => "last_activity DESC, rowid DESC",
        }
    }
}

/// A browser session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Whose.
    pub user: Username,
    /// The token that forms must carry.
    pub xsrf: String,
    /// When it began.
    pub created: Timestamp,
    /// When it was last used, to the minute.
    pub seen: Timestamp,
}

const USER_COLUMNS: &str = "name, uid, gid, home, groups, admin, password, created, last_activity";

fn user(row: &Row<'_>) -> rusqlite::Result<Result<User, StoreError>> {
    let name: String = row.get(0)?;
    let groups: String = row.get(4)?;
    let (uid, gid, home) = (row.get(1)?, row.get(2)?, row.get(3)?);
    let (admin, password) = (row.get(5)?, row.get(6)?);
    let (created, last_activity) = (Timestamp(row.get(7)?), Timestamp(row.get(8)?));
    let build = || {
        let name: Username = name
            .parse()
            .map_err(|_| StoreError::Damaged { table: "users", why: "a bad name".into() })?;
        let groups: Vec<Group> = parse(&groups, "users")?;
        let account = Account { name, uid, gid, groups, home };
        Ok(User { account, admin, password, created, last_activity })
    };
    Ok(build())
}

impl Database {
    /// Adds or replaces a local user, whose account is as an administrator says.
    ///
    /// # Errors
    /// When the uid belongs to another user, or SQLite fails.
    pub fn save_user(&mut self, user: &User) -> Result<(), StoreError> {
        self.save_known(LOCAL, &user.account.name, user.created, &Entry::of(&user.account))?;
        self.save_directory_user(user)
    }

    /// Adds or replaces a user whose account is as the directory says.
    ///
    /// # Errors
    /// When the uid belongs to another user, or SQLite fails.
    pub fn save_directory_user(&mut self, user: &User) -> Result<(), StoreError> {
        let account = &user.account;
        self.connection.execute(
            "INSERT INTO users (name, uid, gid, home, groups, admin, password, created, last_activity)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
             ON CONFLICT (name) DO UPDATE SET uid = ?2, gid = ?3, home = ?4, groups = ?5, admin = ?6, password = ?7",
            params![
                account.name.as_str(),
                account.uid,
                account.gid,
                account.home,
                json(&account.groups, "users")?,
                user.admin,
                user.password,
                user.created.0,
                user.last_activity.0,
            ],
        )?;
        berth_process::crash_point!("store.user.after");
        Ok(())
    }

    /// Takes over what the directory now says about a user's account.
    ///
    /// # Errors
    /// When the uid belongs to another user, or SQLite fails.
    pub fn save_account(&mut self, account: &Account) -> Result<(), StoreError> {
        self.connection.execute(
            "UPDATE users SET uid = ?2, gid = ?3, home = ?4, groups = ?5 WHERE name = ?1",
            params![
                account.name.as_str(),
                account.uid,
                account.gid,
                account.home,
                json(&account.groups, "users")?,
            ],
        )?;
        Ok(())
    }

    /// Sets a user's password, by its argon2 hash. True if there is such a user.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn set_password(&mut self, name: &Username, hash: &str) -> Result<bool, StoreError> {
        let sql = "UPDATE users SET password = ?2 WHERE name = ?1";
        Ok(self.connection.execute(sql, params![name.as_str(), hash])? > 0)
    }

    /// Makes somebody an administrator, or no longer one. True if there is such a user.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn set_admin(&mut self, name: &Username, admin: bool) -> Result<bool, StoreError> {
        let sql = "UPDATE users SET admin = ?2 WHERE name = ?1";
        Ok(self.connection.execute(sql, params![name.as_str(), admin])? > 0)
    }

    /// Removes a user with the user's sessions and tokens. True if there was one.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn delete_user(&mut self, name: &Username) -> Result<bool, StoreError> {
        self.connection.execute("DELETE FROM directory WHERE user = ?1", [name.as_str()])?;
        Ok(self.connection.execute("DELETE FROM users WHERE name = ?1", [name.as_str()])? > 0)
    }

    /// Notes signs of people.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn touch_users(&mut self, seen: &[(Username, Timestamp)]) -> Result<(), StoreError> {
        let transaction = self.connection.transaction()?;
        for (name, at) in seen {
            transaction
                .prepare_cached(
                    "UPDATE users SET last_activity = max(last_activity, ?2) WHERE name = ?1",
                )?
                .execute(params![name.as_str(), at.0])?;
        }
        Ok(transaction.commit()?)
    }

    /// Begins a session under the SHA-256 of its cookie.
    ///
    /// # Errors
    /// SQLite's own, also when the user is gone.
    pub fn add_session(&mut self, hash: &[u8; 32], session: &Session) -> Result<(), StoreError> {
        self.connection.execute(
            "INSERT INTO sessions (hash, user, xsrf, created, seen) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![hash, session.user.as_str(), session.xsrf, session.created.0, session.seen.0],
        )?;
        Ok(())
    }

    /// Notes the use of a session.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn touch_session(&mut self, hash: &[u8; 32], at: Timestamp) -> Result<(), StoreError> {
        self.connection
            .execute("UPDATE sessions SET seen = ?2 WHERE hash = ?1", params![hash, at.0])?;
        Ok(())
    }

    /// Ends all sessions of one person with the OAuth tokens that came of them: whoever learnt an
    /// old password is out. Returns the hashes of their secrets.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn end_sessions_of(&mut self, user: &Username) -> Result<Vec<Vec<u8>>, StoreError> {
        let transaction = self.connection.savepoint()?;
        let mut hashes = Vec::new();
        for sql in [
            "DELETE FROM sessions WHERE user = ?1 RETURNING hash",
            "DELETE FROM tokens WHERE user = ?1 AND kind = 'oauth' RETURNING hash",
        ] {
            let mut statement = transaction.prepare(sql)?;
            let ended = statement.query_map([user.as_str()], |row| row.get(0))?;
            hashes.extend(ended.collect::<Result<Vec<Vec<u8>>, _>>()?);
        }
        transaction.commit()?;
        Ok(hashes)
    }

    /// Ends a session.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn end_session(&mut self, hash: &[u8; 32]) -> Result<(), StoreError> {
        self.connection.execute("DELETE FROM sessions WHERE hash = ?1", [hash])?;
        Ok(())
    }
}

impl Reader {
    /// SHA-256 of all that somebody could show now: sessions and tokens.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn secrets_of(&self, user: &Username) -> Result<Vec<Vec<u8>>, StoreError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT hash FROM sessions WHERE user = ?1 UNION SELECT hash FROM tokens WHERE user = ?1",
        )?;
        let rows = statement.query_map([user.as_str()], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// One user.
    ///
    /// # Errors
    /// When the row cannot be read.
    pub fn user(&self, name: &Username) -> Result<Option<User>, StoreError> {
        let sql = format!("SELECT {USER_COLUMNS} FROM users WHERE name = ?1");
        self.connection
            .prepare_cached(&sql)?
            .query_row([name.as_str()], user)
            .optional()?
            .transpose()
    }

    /// Who has this user id.
    ///
    /// # Errors
    /// When the row cannot be read.
    pub fn user_of_uid(&self, uid: u32) -> Result<Option<Username>, StoreError> {
        let name: Option<String> = self
            .connection
            .prepare_cached("SELECT name FROM users WHERE uid = ?1")?
            .query_row([uid], |row| row.get(0))
            .optional()?;
        let bad = |_| StoreError::Damaged { table: "users", why: "a bad name".into() };
        name.map(|name| name.parse().map_err(bad)).transpose()
    }

    /// All users, by creation.
    ///
    /// # Errors
    /// When a row cannot be read.
    pub fn users(&self) -> Result<Vec<User>, StoreError> {
        let sql = format!("SELECT {USER_COLUMNS} FROM users ORDER BY rowid");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map([], user)?;
        rows.map(|row| row?).collect()
    }

    /// A part of all users whose names contain a text, in an order, and how many such users there
    /// are.
    ///
    /// # Errors
    /// When a row cannot be read.
    pub fn users_between(
        &self,
        name_part: &str,
        order: UserOrder,
        (offset, limit): (usize, usize),
    ) -> Result<(Vec<User>, usize), StoreError> {
        let most = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        let (most_shown, skipped) = (most(limit), most(offset));
        // Without a condition SQLite counts and skips by whole pages, not row by row.
        let (condition, mut given): (_, Vec<&dyn ToSql>) = if name_part.is_empty() {
            ("", Vec::new())
        } else {
            ("WHERE instr(name, ?1) > 0", vec![&name_part])
        };
        let count = format!("SELECT count(*) FROM users {condition}");
        let mut counting = self.connection.prepare_cached(&count)?;
        let total: i64 = counting.query_row(given.as_slice(), |row| row.get(0))?;
        let order = order.sql();
        let sql = format!(
            "SELECT {USER_COLUMNS} FROM users {condition} ORDER BY {order} LIMIT ? OFFSET ?"
        );
        given.extend::<[&dyn ToSql; 2]>([&most_shown, &skipped]);
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map(given.as_slice(), user)?;
        let users = rows.map(|row| row?).collect::<Result<_, StoreError>>()?;
        Ok((users, usize::try_from(total).unwrap_or_default()))
    }

    /// The session of this cookie hash, expired or not.
    ///
    /// # Errors
    /// When the row cannot be read.
    pub fn session(&self, hash: &[u8; 32]) -> Result<Option<Session>, StoreError> {
        let row = self
            .connection
            .prepare_cached("SELECT user, xsrf, created, seen FROM sessions WHERE hash = ?1")?
            .query_row([hash], |row| {
                Ok((
                    row.get::<_, String>(0)?,
                    row.get(1)?,
                    Timestamp(row.get(2)?),
                    Timestamp(row.get(3)?),
                ))
            })
            .optional()?;
        let Some((user, xsrf, created, seen)) = row else { return Ok(None) };
        let user = user
            .parse()
            .map_err(|_| StoreError::Damaged { table: "sessions", why: "a bad name".into() })?;
        Ok(Some(Session { user, xsrf, created, seen }))
    }
}
