//! Secrets that were handed out: API tokens, OAuth codes and tokens, join tokens. Only their
//! hashes are kept.

use berth_common::{Generation, HostId, ServerId, Timestamp, Username};
use rusqlite::{OptionalExtension, Row, params};

use crate::fleet::{json, parse};
use crate::{Database, Reader, StoreError, signed};

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// Made by a person or for a program.
    Api,
    /// Issued to a server or a service for one visitor.
    Oauth,
}

/// A token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Its number; 0 before it is saved.
    pub id: i64,
    /// What it is for.
    pub kind: TokenKind,
    /// Whose.
    pub user: Username,
    /// The OAuth client, or `JupyterHub`.
    pub client: String,
    /// What it allows, in JupyterHub's words; never more than its owner may.
    pub scopes: Vec<String>,
    /// For people.
    pub note: String,
    /// The browser session that led to it.
    pub session: Option<String>,
    /// OAuth: the start of the server that it opens.
    pub server: Option<(ServerId, Generation)>,
    /// When it was made.
    pub created: Timestamp,
    /// When it ends; `None` = never.
    pub expires: Option<Timestamp>,
    /// When it was last used, to the minute.
    pub last_used: Option<Timestamp>,
}

/// An OAuth authorization code: single use, short-lived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OauthCode {
    /// Who logged in.
    pub user: Username,
    /// For which client.
    pub client: String,
    /// The start of the server behind the client; `None` for a service.
    pub server: Option<(ServerId, Generation)>,
    /// The redirect URI of the request, to be repeated exactly.
    pub redirect: String,
    /// What the token will allow.
    pub scopes: Vec<String>,
    /// PKCE challenge and its method.
    pub challenge: Option<(String, String)>,
    /// The browser session.
    pub session: String,
    /// When it ends.
    pub expires: Timestamp,
}

/// A join token of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinToken {
    /// Its public part.
    pub id: String,
    /// SHA-256 of its secret part.
    pub hash: [u8; 32],
    /// The host it admits.
    pub host: HostId,
    /// When it ends.
    pub expires: Timestamp,
}

const TOKEN_COLUMNS: &str = "id, kind, user, client, scopes, note, session, server, generation, created, expires, last_used";

fn damaged(table: &'static str) -> StoreError {
    StoreError::Damaged { table, why: "an id is malformed".into() }
}

/// The start of a server that a row names, if it does.
fn start_of(
    columns: (Option<String>, Option<i64>),
    table: &'static str,
) -> Result<Option<(ServerId, Generation)>, StoreError> {
    let (Some(server), Some(generation)) = columns else { return Ok(None) };
    let server = server.parse().map_err(|_| damaged(table))?;
    Ok(Some((server, Generation(generation.unsigned_abs()))))
}

fn token(row: &Row<'_>) -> rusqlite::Result<Result<Token, StoreError>> {
    let (user, scopes): (String, String) = (row.get(2)?, row.get(4)?);
    let (server, generation): (Option<String>, Option<i64>) = (row.get(7)?, row.get(8)?);
    let kind: String = row.get(1)?;
    let (id, client, note, session) = (row.get(0)?, row.get(3)?, row.get(5)?, row.get(6)?);
    let created = Timestamp(row.get(9)?);
    let (expires, last_used): (Option<i64>, Option<i64>) = (row.get(10)?, row.get(11)?);
    let build = || {
        let server = start_of((server, generation), "tokens")?;
        Ok(Token {
            id,
            kind: if kind == "api" { TokenKind::Api } else { TokenKind::Oauth },
            user: user.parse().map_err(|_| damaged("tokens"))?,
            client,
            scopes: parse(&scopes, "tokens")?,
            note,
            session,
            server,
            created,
            expires: expires.map(Timestamp),
            last_used: last_used.map(Timestamp),
        })
    };
    Ok(build())
}

impl Database {
    /// Saves a token under the SHA-256 of its secret and returns its number.
    ///
    /// # Errors
    /// SQLite's own, also when the user is gone.
    pub fn add_token(&mut self, hash: &[u8; 32], token: &Token) -> Result<i64, StoreError> {
        self.connection.execute(
            "INSERT INTO tokens (hash, kind, user, client, scopes, note, session, server, generation, created, expires)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            params![
                hash,
                match token.kind {
                    TokenKind::Api => "api",
                    TokenKind::Oauth => "oauth",
                },
                token.user.as_str(),
                token.client,
                json(&token.scopes, "tokens")?,
                token.note,
                token.session,
                token.server.as_ref().map(|(server, _)| server.as_str()),
                token.server.as_ref().map(|(_, generation)| signed(generation.0)),
                token.created.0,
                token.expires.map(|at| at.0),
            ],
        )?;
        Ok(self.connection.last_insert_rowid())
    }

    /// Notes the use of a token.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn touch_token(&mut self, id: i64, at: Timestamp) -> Result<(), StoreError> {
        self.connection
            .execute("UPDATE tokens SET last_used = ?2 WHERE id = ?1", params![id, at.0])?;
        Ok(())
    }

    /// Deletes tokens by number and returns the hashes of their secrets, for caches to forget.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn delete_tokens(&mut self, ids: &[i64]) -> Result<Vec<Vec<u8>>, StoreError> {
        let transaction = self.connection.transaction()?;
        let mut hashes = Vec::new();
        for id in ids {
            let hash = transaction
                .query_row("DELETE FROM tokens WHERE id = ?1 RETURNING hash", [id], |row| {
                    row.get(0)
                })
                .optional()?;
            hashes.extend(hash);
        }
        transaction.commit()?;
        Ok(hashes)
    }

    /// Deletes all OAuth tokens of a browser session, and those of servers' earlier starts.
    /// Returns the hashes of their secrets.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn delete_session_tokens(
        &mut self,
        user: &Username,
        session: &str,
    ) -> Result<Vec<Vec<u8>>, StoreError> {
        let mut statement = self.connection.prepare(
            "DELETE FROM tokens WHERE kind = 'oauth' AND user = ?1 AND session = ?2 RETURNING hash",
        )?;
        let hashes = statement.query_map(params![user.as_str(), session], |row| row.get(0))?;
        Ok(hashes.collect::<Result<_, _>>()?)
    }

    /// Deletes the OAuth tokens and codes of a server: it has stopped.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn delete_server_tokens(&mut self, server: &ServerId) -> Result<Vec<Vec<u8>>, StoreError> {
        self.connection.execute("DELETE FROM oauth_codes WHERE server = ?1", [server.as_str()])?;
        let mut statement =
            self.connection.prepare("DELETE FROM tokens WHERE server = ?1 RETURNING hash")?;
        let hashes = statement.query_map([server.as_str()], |row| row.get(0))?;
        Ok(hashes.collect::<Result<_, _>>()?)
    }

    /// Deletes what has expired: tokens, codes, join tokens, and sessions begun or last used
    /// before the given moments.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn expire(
        &mut self,
        now: Timestamp,
        begun: Timestamp,
        used: Timestamp,
    ) -> Result<(), StoreError> {
        let transaction = self.connection.transaction()?;
        let owed: i64 =
            transaction
                .query_row("SELECT coalesce(max(id), 0) FROM revocations", [], |row| row.get(0))?;
        transaction
            .execute("DELETE FROM tokens WHERE expires IS NOT NULL AND expires <= ?1", [now.0])?;
        transaction.execute("DELETE FROM oauth_codes WHERE expires <= ?1", [now.0])?;
        transaction.execute("DELETE FROM join_tokens WHERE expires <= ?1", [now.0])?;
        transaction
            .execute("DELETE FROM sessions WHERE created <= ?1 OR seen <= ?2", [begun.0, used.0])?;
        // An open notebook outlives the session it was opened with: nobody took it back.
        transaction.execute("DELETE FROM revocations WHERE id > ?1", [owed])?;
        Ok(transaction.commit()?)
    }

    /// Saves an OAuth code under the SHA-256 of its text.
    ///
    /// # Errors
    /// SQLite's own, also when the user is gone.
    pub fn add_code(&mut self, hash: &[u8; 32], code: &OauthCode) -> Result<(), StoreError> {
        let (challenge, method) = code.challenge.clone().unzip();
        self.connection.execute(
            "INSERT INTO oauth_codes (hash, user, client, server, generation, redirect, scopes, challenge,
                                      challenge_method, session, expires)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            params![
                hash,
                code.user.as_str(),
                code.client,
                code.server.as_ref().map(|(server, _)| server.as_str()),
                code.server.as_ref().map(|(_, generation)| signed(generation.0)),
                code.redirect,
                json(&code.scopes, "oauth_codes")?,
                challenge,
                method,
                code.session,
                code.expires.0,
            ],
        )?;
        Ok(())
    }

    /// Uses a code up. True if it was still there: of two that present it, one wins.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn use_code(&mut self, hash: &[u8; 32]) -> Result<bool, StoreError> {
        Ok(self.connection.execute("DELETE FROM oauth_codes WHERE hash = ?1", [hash])? > 0)
    }

    /// Saves a join token; earlier ones of the same host end.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn add_join_token(&mut self, token: &JoinToken) -> Result<(), StoreError> {
        let transaction = self.connection.transaction()?;
        transaction.execute("DELETE FROM join_tokens WHERE host = ?1", [token.host.as_str()])?;
        transaction.execute(
            "INSERT INTO join_tokens (id, hash, host, expires) VALUES (?1, ?2, ?3, ?4)",
            params![token.id, token.hash, token.host.as_str(), token.expires.0],
        )?;
        Ok(transaction.commit()?)
    }

    /// Uses a join token up and returns it. Of two that present it, one wins.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn use_join_token(
        &mut self,
        id: &str,
        hash: &[u8; 32],
    ) -> Result<Option<JoinToken>, StoreError> {
        let found = self
            .connection
            .query_row(
                "DELETE FROM join_tokens WHERE id = ?1 AND hash = ?2 RETURNING host, expires",
                params![id, hash],
                |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)),
            )
            .optional()?;
        let Some((host, expires)) = found else { return Ok(None) };
        let host = host.parse().map_err(|_| damaged("join_tokens"))?;
        Ok(Some(JoinToken { id: id.to_owned(), hash: *hash, host, expires: Timestamp(expires) }))
    }
}

impl Reader {
    /// The token with this hash, expired or not.
    ///
    /// # Errors
    /// When the row cannot be read.
    pub fn token(&self, hash: &[u8; 32]) -> Result<Option<Token>, StoreError> {
        let sql = format!("SELECT {TOKEN_COLUMNS} FROM tokens WHERE hash = ?1");
        self.connection.prepare_cached(&sql)?.query_row([hash], token).optional()?.transpose()
    }

    /// All tokens of one person.
    ///
    /// # Errors
    /// When a row cannot be read.
    pub fn tokens_of(&self, user: &Username) -> Result<Vec<Token>, StoreError> {
        let sql = format!("SELECT {TOKEN_COLUMNS} FROM tokens WHERE user = ?1 ORDER BY id");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map([user.as_str()], token)?;
        rows.map(|row| row?).collect()
    }

    /// The code with this hash, expired or not.
    ///
    /// # Errors
    /// When the row cannot be read.
    pub fn code(&self, hash: &[u8; 32]) -> Result<Option<OauthCode>, StoreError> {
        let found = self
            .connection
            .prepare_cached(
                "SELECT user, client, server, generation, redirect, scopes, challenge, challenge_method, session,
                        expires FROM oauth_codes WHERE hash = ?1",
            )?
            .query_row([hash], |row| {
                let texts: [String; 5] =
                    [row.get(0)?, row.get(1)?, row.get(4)?, row.get(5)?, row.get(8)?];
                let server: (Option<String>, Option<i64>) = (row.get(2)?, row.get(3)?);
                let challenge: (Option<String>, Option<String>) = (row.get(6)?, row.get(7)?);
                Ok((texts, server, challenge, Timestamp(row.get(9)?)))
            })
            .optional()?;
        let Some((texts, server, challenge, expires)) = found else { return Ok(None) };
        let [user, client, redirect, scopes, session] = texts;
        Ok(Some(OauthCode {
            user: user.parse().map_err(|_| damaged("oauth_codes"))?,
            client,
            server: start_of(server, "oauth_codes")?,
            redirect,
            scopes: parse(&scopes, "oauth_codes")?,
            challenge: challenge.0.zip(challenge.1),
            session,
            expires,
        }))
    }
}
