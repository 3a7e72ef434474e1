//! People as identity providers know them, and the sessions that came of a provider's login.

use berth_common::{Timestamp, Username};
use rusqlite::{OptionalExtension, Row, params};

use crate::{Database, Reader, StoreError};

/// A person's identity: a subject is unique at its issuer and never given to somebody else, which
/// no name and no address promises.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The provider.
    pub issuer: String,
    /// The person, in the provider's words.
    pub subject: String,
    /// The person, in ours.
    pub user: Username,
    /// Since when the two belong together.
    pub linked: Timestamp,
}

/// A browser session that a provider's login led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderSession {
    /// Our session, by the hash of its cookie.
    pub session: [u8; 32],
    /// Its number, under which OAuth tokens name it.
    pub number: String,
    /// The provider.
    pub issuer: String,
    /// The person, in the provider's words.
    pub subject: String,
    /// The provider's own session, if it names one.
    pub sid: Option<String>,
    /// The ID token of the login, which a logout shows.
    pub id_token: String,
}

const SESSION_COLUMNS: &str = "session, number, issuer, subject, sid, id_token";

fn provider_session(row: &Row<'_>) -> rusqlite::Result<ProviderSession> {
    Ok(ProviderSession {
        session: row.get(0)?,
        number: row.get(1)?,
        issuer: row.get(2)?,
        subject: row.get(3)?,
        sid: row.get(4)?,
        id_token: row.get(5)?,
    })
}

impl Database {
    /// Says who a subject is; an earlier saying is replaced.
    ///
    /// # Errors
    /// SQLite's own, also when the user is gone.
    pub fn link_identity(&mut self, identity: &Identity) -> Result<(), StoreError> {
        self.connection.execute(
            "INSERT OR REPLACE INTO identities (issuer, subject, user, linked)
             VALUES (?1, ?2, ?3, ?4)",
            params![identity.issuer, identity.subject, identity.user.as_str(), identity.linked.0],
        )?;
        Ok(())
    }

    /// Unsays it. True if it was said.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn unlink_identity(
        &mut self,
        user: &Username,
        issuer: &str,
        subject: &str,
    ) -> Result<bool, StoreError> {
        let sql = "DELETE FROM identities WHERE user = ?1 AND issuer = ?2 AND subject = ?3";
        Ok(self.connection.execute(sql, params![user.as_str(), issuer, subject])? > 0)
    }

    /// Keeps what a provider's logout of a session needs.
    ///
    /// # Errors
    /// SQLite's own, also when the session is gone.
    pub fn add_provider_session(&mut self, session: &ProviderSession) -> Result<(), StoreError> {
        self.connection.execute(
            "INSERT INTO provider_sessions (session, number, issuer, subject, sid, id_token)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                session.session,
                session.number,
                session.issuer,
                session.subject,
                session.sid,
                session.id_token,
            ],
        )?;
        Ok(())
    }
}

impl Reader {
    /// Who a subject is.
    ///
    /// # Errors
    /// When the row cannot be read.
    pub fn identity(&self, issuer: &str, subject: &str) -> Result<Option<Identity>, StoreError> {
        let row = self
            .connection
            .prepare_cached(
                "SELECT user, linked FROM identities WHERE issuer = ?1 AND subject = ?2",
            )?
            .query_row([issuer, subject], |row| Ok((row.get::<_, String>(0)?, row.get(1)?)))
            .optional()?;
        let Some((user, linked)) = row else { return Ok(None) };
        let user = user
            .parse()
            .map_err(|_| StoreError::Damaged { table: "identities", why: "a bad name".into() })?;
        let (issuer, subject) = (issuer.to_owned(), subject.to_owned());
        Ok(Some(Identity { issuer, subject, user, linked: Timestamp(linked) }))
    }

    /// All identities of one person.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn identities_of(&self, user: &Username) -> Result<Vec<Identity>, StoreError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT issuer, subject, linked FROM identities WHERE user = ?1 ORDER BY linked",
        )?;
        let rows = statement.query_map([user.as_str()], |row| {
            Ok(Identity {
                issuer: row.get(0)?,
                subject: row.get(1)?,
                user: user.clone(),
                linked: Timestamp(row.get(2)?),
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The provider's login behind a session, if it came of one.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn provider_session(
        &self,
        session: &[u8; 32],
    ) -> Result<Option<ProviderSession>, StoreError> {
        let sql = format!("SELECT {SESSION_COLUMNS} FROM provider_sessions WHERE session = ?1");
        let mut statement = self.connection.prepare_cached(&sql)?;
        Ok(statement.query_row([session], provider_session).optional()?)
    }

    /// The sessions that a provider's logout ends: those of its own session if it names one, else
    /// all of the subject.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn provider_sessions(
        &self,
        issuer: &str,
        subject: Option<&str>,
        sid: Option<&str>,
    ) -> Result<Vec<ProviderSession>, StoreError> {
        let sql = format!(
            "SELECT {SESSION_COLUMNS} FROM provider_sessions
             WHERE issuer = ?1 AND (?2 IS NULL OR subject = ?2) AND (?3 IS NULL OR sid = ?3)"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map(params![issuer, subject, sid], provider_session)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
