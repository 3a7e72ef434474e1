//! Tables and their migrations. Migrations only add; a hub refuses a store that is newer than it.

use rusqlite::Connection;

use crate::StoreError;

/// Each entry brings the schema from its index to the next version.
const MIGRATIONS: &[&str] = &[
    "
CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;

CREATE TABLE users (
    name     TEXT PRIMARY KEY,
    uid      INTEGER NOT NULL UNIQUE CHECK (uid > 0),
    gid      INTEGER NOT NULL CHECK (gid > 0),
    home     TEXT NOT NULL,
    groups   TEXT NOT NULL,             -- JSON list of {name, gid}
    admin    INTEGER NOT NULL,
    password TEXT NOT NULL,             -- argon2 hash
    created  INTEGER NOT NULL,
    last_activity INTEGER NOT NULL
) STRICT;

CREATE TABLE hosts (id TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT;

CREATE TABLE servers (
    id         TEXT PRIMARY KEY,
    owner      TEXT NOT NULL,
    name       TEXT NOT NULL,
    generation INTEGER NOT NULL,
    host       TEXT,                    -- where it is or may be; NULL: nowhere
    body       TEXT NOT NULL,
    UNIQUE (owner, name)
) STRICT;

CREATE TABLE decisions (
    id     TEXT PRIMARY KEY,
    server TEXT NOT NULL,
    at     INTEGER NOT NULL,
    body   TEXT NOT NULL
) STRICT;
CREATE INDEX decisions_by_server ON decisions (server, at);

CREATE TABLE sessions (
    hash    BLOB PRIMARY KEY,           -- SHA-256 of the cookie
    user    TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE,
    xsrf    TEXT NOT NULL,
    created INTEGER NOT NULL,
    seen    INTEGER NOT NULL
) STRICT;

CREATE TABLE tokens (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    hash      BLOB NOT NULL UNIQUE,     -- SHA-256 of the token
    kind      TEXT NOT NULL,            -- api | oauth
    user      TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE,
    client    TEXT NOT NULL,            -- 'JupyterHub', or the OAuth client it was issued for
    scopes    TEXT NOT NULL,            -- JSON list
    note      TEXT NOT NULL,
    session   TEXT,
    server    TEXT,                     -- oauth: the server it opens, ...
    generation INTEGER,                 -- ... and which start of it
    created   INTEGER NOT NULL,
    expires   INTEGER,
    last_used INTEGER
) STRICT;
CREATE INDEX tokens_by_user ON tokens (user);
CREATE INDEX tokens_by_session ON tokens (session) WHERE session IS NOT NULL;

CREATE TABLE oauth_codes (
    hash      BLOB PRIMARY KEY,
    user      TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE,
    client    TEXT NOT NULL,
    server    TEXT NOT NULL,
    generation INTEGER NOT NULL,
    redirect  TEXT NOT NULL,
    scopes    TEXT NOT NULL,
    challenge TEXT,
    challenge_method TEXT,
    session   TEXT NOT NULL,
    expires   INTEGER NOT NULL
) STRICT;

CREATE TABLE join_tokens (
    id      TEXT PRIMARY KEY,
    hash    BLOB NOT NULL,
    host    TEXT NOT NULL,
    expires INTEGER NOT NULL
) STRICT;
",
    "
-- What decisions were made from: each host as placement saw it, from a version on, ...
CREATE TABLE floor (
    host    TEXT NOT NULL,
    version INTEGER NOT NULL,
    at      INTEGER NOT NULL,           -- microseconds since 1970
    body    TEXT NOT NULL,
    PRIMARY KEY (host, version)
) STRICT, WITHOUT ROWID;
CREATE INDEX floor_by_time ON floor (at);
CREATE INDEX decisions_by_time ON decisions (at);
-- ... and the site's files by the number of their content.
CREATE TABLE settings (
    version INTEGER PRIMARY KEY,        -- 64 bits, seen as signed
    body    TEXT NOT NULL
) STRICT;

-- What leftovers of hosts were worth, by version.
CREATE TABLE prices (version INTEGER PRIMARY KEY, body TEXT NOT NULL) STRICT;

CREATE TABLE usage (
    user  TEXT NOT NULL,
    day   INTEGER NOT NULL,             -- days since 1970
    body  TEXT NOT NULL,
    PRIMARY KEY (user, day)
) STRICT, WITHOUT ROWID;

-- Earlier decisions named no versions and had another shape.
DELETE FROM decisions;
",
    "
-- Who a person is for an identity provider: never a name, always issuer and subject.
CREATE TABLE identities (
    issuer  TEXT NOT NULL,
    subject TEXT NOT NULL,
    user    TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE,
    linked  INTEGER NOT NULL,
    PRIMARY KEY (issuer, subject)
) STRICT, WITHOUT ROWID;
CREATE INDEX identities_by_user ON identities (user);

-- What a provider's logout must find again.
CREATE TABLE provider_sessions (
    session BLOB PRIMARY KEY REFERENCES sessions (hash) ON DELETE CASCADE,
    number  TEXT NOT NULL,              -- the session's number, under which OAuth tokens name it
    issuer  TEXT NOT NULL,
    subject TEXT NOT NULL,
    sid     TEXT,                       -- the provider's own number of its session
    id_token TEXT NOT NULL              -- shown to the provider again at logout
) STRICT;
CREATE INDEX provider_sessions_by_subject ON provider_sessions (issuer, subject);

-- What each source of the directory last said about an account.
CREATE TABLE directory (
    source TEXT NOT NULL,
    user   TEXT NOT NULL,
    at     INTEGER NOT NULL,
    body   TEXT NOT NULL,
    PRIMARY KEY (source, user)
) STRICT, WITHOUT ROWID;
CREATE INDEX directory_by_user ON directory (user);
INSERT INTO directory
    SELECT 'local', name, created,
           json_object('uid', uid, 'gid', gid, 'home', home, 'groups', json(groups))
    FROM users;

-- Accounts that are no longer valid, since when and why.
CREATE TABLE lapsed (
    user  TEXT PRIMARY KEY REFERENCES users (name) ON DELETE CASCADE,
    since INTEGER NOT NULL,
    why   TEXT NOT NULL
) STRICT;
",
    "
-- Sessions and tokens that have ended and that the proxy may not have heard of. Whatever ends one
-- owes it, in the same transaction; expiry takes it back, since what is expired was no secret lost.
CREATE TABLE revocations (
    id   INTEGER PRIMARY KEY AUTOINCREMENT,
    hash BLOB NOT NULL                  -- SHA-256
) STRICT;
CREATE TRIGGER session_ended AFTER DELETE ON sessions
    BEGIN INSERT INTO revocations (hash) VALUES (OLD.hash); END;
CREATE TRIGGER token_ended AFTER DELETE ON tokens
    BEGIN INSERT INTO revocations (hash) VALUES (OLD.hash); END;
",
    "
-- How long servers held their places, for estimates.
CREATE TABLE lives (
    id     INTEGER PRIMARY KEY,
    pool   TEXT NOT NULL,
    ended  INTEGER NOT NULL,            -- microseconds since 1970
    lasted INTEGER NOT NULL             -- seconds
) STRICT;
-- The rolling reboot that was ordered last, if any.
CREATE TABLE rolling (id INTEGER PRIMARY KEY CHECK (id = 1), body TEXT NOT NULL) STRICT;
-- How waits turned out beside what was foreseen, in seconds.
CREATE TABLE waits (
    id       INTEGER PRIMARY KEY,
    pool     TEXT NOT NULL,
    foreseen INTEGER NOT NULL,
    lasted   INTEGER NOT NULL
) STRICT;
",
    "
-- The restore from a backup that this store has been through last, if any.
CREATE TABLE restored (id INTEGER PRIMARY KEY CHECK (id = 1), body TEXT NOT NULL) STRICT;
",
    "
-- Codes are for services too, behind which there is no server. They live for minutes: whoever is
-- in the middle of a login begins it again.
DROP TABLE oauth_codes;
CREATE TABLE oauth_codes (
    hash      BLOB PRIMARY KEY,
    user      TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE,
    client    TEXT NOT NULL,
    server    TEXT,
    generation INTEGER,
    redirect  TEXT NOT NULL,
    scopes    TEXT NOT NULL,
    challenge TEXT,
    challenge_method TEXT,
    session   TEXT NOT NULL,
    expires   INTEGER NOT NULL
) STRICT;

-- Who did what, from where, to whom and why. Rows are added, and removed when they are old.
CREATE TABLE audit (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    at      INTEGER NOT NULL,           -- microseconds since 1970
    actor   TEXT NOT NULL,
    action  TEXT NOT NULL,
    user    TEXT,                       -- whom it is about
    body    TEXT NOT NULL               -- JSON: from, subject, reason
) STRICT;
CREATE INDEX audit_by_time ON audit (at);
CREATE INDEX audit_by_actor ON audit (actor);
CREATE INDEX audit_by_user ON audit (user) WHERE user IS NOT NULL;
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit is not changed'); END;

-- Other people's servers that somebody was let into, until when and why.
CREATE TABLE visits (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    server  TEXT NOT NULL,
    owner   TEXT NOT NULL,
    visitor TEXT NOT NULL,
    reason  TEXT NOT NULL,
    begun   INTEGER NOT NULL,
    until   INTEGER NOT NULL
) STRICT;
CREATE INDEX visits_by_owner ON visits (owner);
CREATE INDEX visits_by_visitor ON visits (visitor, until);
",
    "
-- Tokens of another JupyterHub, under its hashes. Rows outlive their tokens: what was taken over
-- once and then ended is not taken over again.
CREATE TABLE imported_tokens (
    hashed TEXT PRIMARY KEY,            -- sha512:ROUNDS:SALT:DIGEST
    prefix TEXT NOT NULL,               -- of the secret
    token  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX imported_tokens_by_prefix ON imported_tokens (prefix);
",
    "
-- What people put into the calendar beside the site's files: orders about trainings, notices,
-- maintenance.
CREATE TABLE agenda (
    id   INTEGER PRIMARY KEY AUTOINCREMENT,
    ends INTEGER NOT NULL,              -- microseconds since 1970
    body TEXT NOT NULL
) STRICT;
",
    "
-- Groups that the API made, beside those of the account directory.
CREATE TABLE made_groups (
    name       TEXT PRIMARY KEY,
    properties TEXT NOT NULL,           -- JSON object
    created    INTEGER NOT NULL         -- microseconds since 1970
) STRICT, WITHOUT ROWID;
CREATE TABLE made_group_members (
    name TEXT NOT NULL REFERENCES made_groups (name) ON DELETE CASCADE,
    user TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE,
    PRIMARY KEY (name, user)
) STRICT, WITHOUT ROWID;
CREATE INDEX made_group_members_by_user ON made_group_members (user);

-- Services that the API made, beside those of the site's files.
CREATE TABLE made_services (name TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT, WITHOUT ROWID;
",
    "
-- Drains, under way and over. Their numbers are the hub's and never used again.
CREATE TABLE drains (id INTEGER PRIMARY KEY, ended INTEGER, body TEXT NOT NULL) STRICT;
",
    "
-- Notices that people have read, or put away, and when; forgotten with either.
CREATE TABLE notices_read (
    user   TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE,
    notice INTEGER NOT NULL REFERENCES agenda (id) ON DELETE CASCADE,
    at     INTEGER NOT NULL,            -- microseconds since 1970
    PRIMARY KEY (user, notice)
) STRICT, WITHOUT ROWID;
CREATE INDEX notices_read_by_notice ON notices_read (notice);
",
];

/// Brings the schema to this version.
pub fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let version: usize = connection
        .query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0))
        .map(|version| usize::try_from(version).unwrap_or(usize::MAX))?;
    if version > MIGRATIONS.len() {
        return Err(StoreError::Damaged {
            table: "the store",
            why: format!("it is of version {version}, newer than this hub; install the newer hub"),
        });
    }
    for (index, migration) in MIGRATIONS.iter().enumerate().skip(version) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(migration)?;
        transaction.pragma_update(None, "user_version", index.saturating_add(1) as i64)?;
        transaction.commit()?;
    }
    Ok(())
}
