//! Reads the database of a JupyterHub 5 or 6: its people, and those of their tokens that can go on
//! working elsewhere. The file is opened for reading only.

use std::path::Path;

use berth_common::Timestamp;
use rusqlite::{Connection, OpenFlags, Row};
use serde::{Deserialize, Serialize};

/// What is taken over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Site {
    /// Its people.
    pub people: Vec<Person>,
    /// What is not taken over, in sentences.
    pub left_out: Vec<String>,
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// The name.
    pub name: String,
    /// Whether this is an administrator.
    #[serde(default)]
    pub admin: bool,
    /// The names of the user's groups.
    #[serde(default)]
    pub groups: Vec<String>,
    /// The user's API tokens.
    #[serde(default)]
    pub tokens: Vec<OldToken>,
}

/// An API token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OldToken {
    /// `sha512:ROUNDS:SALT:DIGEST`.
    pub hashed: String,
    /// The beginning of the secret.
    pub prefix: String,
    /// For people.
    #[serde(default)]
    pub note: String,
    /// What it allows.
    pub scopes: Vec<String>,
    /// When it was made.
    pub created: Timestamp,
    /// When it ends; `None` = never.
    #[serde(default)]
    pub expires: Option<Timestamp>,
}

/// Why a database cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum NotRead {
    /// SQLite's own.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// A value that is not as JupyterHub writes it.
    #[error("{0}")]
    Strange(String),
}

/// Reads a database. Tokens that have ended by `now` are left out.
///
/// # Errors
/// When it is no database of JupyterHub's.
pub fn read(path: &Path, now: Timestamp) -> Result<Site, NotRead> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let database = Connection::open_with_flags(path, flags)?;
    database.execute_batch("PRAGMA trusted_schema = OFF; PRAGMA busy_timeout = 5000;")?;
    let mut site = Site::default();
    let mut users = database.prepare("SELECT id, name, admin FROM users ORDER BY id")?;
    let users = users.query_map([], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get::<_, Option<bool>>(2)?.unwrap_or(false)))
    })?;
    for user in users {
        let (id, name, admin): (i64, String, bool) = user?;
        let (groups, tokens) = (groups_of(&database, id)?, tokens_of(&database, id, now)?);
        site.people.push(Person { name, admin, groups, tokens });
    }
    site.left_out = left_out(&database, now)?;
    Ok(site)
}

fn groups_of(database: &Connection, user: i64) -> Result<Vec<String>, NotRead> {
    let sql = "SELECT name FROM groups JOIN user_group_map ON group_id = groups.id
               WHERE user_id = ?1 ORDER BY name";
    let mut statement = database.prepare_cached(sql)?;
    let groups = statement.query_map([user], |row| row.get(0))?;
    Ok(groups.collect::<Result<_, _>>()?)
}

/// A person's own API tokens: not those of sessions, which the next login makes anew, nor those of
/// running servers, which end with them.
const OWN: &str =
    "user_id IS NOT NULL AND client_id = 'jupyterhub' AND note NOT LIKE 'Server at %'";

fn tokens_of(database: &Connection, user: i64, now: Timestamp) -> Result<Vec<OldToken>, NotRead> {
    let sql = format!(
        "SELECT hashed, prefix, coalesce(note, ''), scopes, created, expires_at FROM api_tokens
         WHERE user_id = ?1 AND {OWN} ORDER BY id"
    );
    let mut statement = database.prepare_cached(&sql)?;
    let mut rows = statement.query([user])?;
    let mut tokens = Vec::new();
    while let Some(row) = rows.next()? {
        let token = token(row)?;
        if token.expires.is_none_or(|expires| now < expires) {
            tokens.push(token);
        }
    }
    Ok(tokens)
}

fn token(row: &Row<'_>) -> Result<OldToken, NotRead> {
    let scopes: String = row.get::<_, Option<String>>(3)?.unwrap_or_else(|| "[]".into());
    let scopes = serde_json::from_str(&scopes)
        .map_err(|error| NotRead::Strange(format!("the scopes of a token: {error}")))?;
    let created = row.get::<_, Option<String>>(4)?.map(|text| moment(&text)).transpose()?;
    let expires = row.get::<_, Option<String>>(5)?.map(|text| moment(&text)).transpose()?;
    Ok(OldToken {
        hashed: row.get(0)?,
        prefix: row.get(1)?,
        note: row.get(2)?,
        scopes,
        created: created.unwrap_or(Timestamp(0)),
        expires,
    })
}

/// `2026-11-28 06:37:06.436855`, which is UTC.
fn moment(text: &str) -> Result<Timestamp, NotRead> {
    let iso = format!("{}Z", text.replace(' ', "T"));
    iso.parse().map_err(|_| NotRead::Strange(format!("{text} is no moment")))
}

fn left_out(database: &Connection, now: Timestamp) -> Result<Vec<String>, NotRead> {
    let now = now.to_string().replace('T', " ").replace('Z', "");
    let count = |sql: &str| database.query_row(sql, [], |row| row.get::<_, i64>(0));
    let expired = format!(
        "SELECT count(*) FROM api_tokens WHERE {OWN} AND expires_at IS NOT NULL AND expires_at <= '{now}'"
    );
    let all = [
        ("expired tokens", "", count(&expired)?),
        (
            "tokens of services",
            ": declare the services with their tokens",
            count("SELECT count(*) FROM api_tokens WHERE service_id IS NOT NULL")?,
        ),
        (
            "tokens of browser sessions",
            ": people log in again",
            count(
                "SELECT count(*) FROM api_tokens WHERE user_id IS NOT NULL AND client_id != 'jupyterhub'",
            )?,
        ),
        (
            "tokens of running servers",
            ": they end with the servers",
            count(
                "SELECT count(*) FROM api_tokens WHERE user_id IS NOT NULL AND note LIKE 'Server at %'",
            )?,
        ),
        (
            "named servers",
            ": they are made anew when they are started",
            count("SELECT count(*) FROM spawners WHERE name != ''")?,
        ),
        ("services", ": declare them", count("SELECT count(*) FROM services")?),
        (
            "roles of the site",
            ": declare them in roles.toml",
            count(
                "SELECT count(*) FROM roles WHERE name NOT IN ('admin', 'user', 'server', 'token')",
            )?,
        ),
        ("shares", ": servers are not shared here", count("SELECT count(*) FROM shares")?),
    ];
    let some = all.into_iter().filter(|(_, _, count)| *count > 0);
    Ok(some.map(|(what, advice, count)| format!("{what} ({count}){advice}")).collect())
}
