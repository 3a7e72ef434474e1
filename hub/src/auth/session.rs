//! Browser sessions: an opaque cookie of 256 bits, kept as its SHA-256.
//!
//! `__Host-berth` where a browser accepts it (TLS, or the machine itself); on another plain-http
//! address `berth-session`, and only if the administrators have allowed that.

use std::sync::Arc;

use axum::http::HeaderMap;
use axum::http::header::{COOKIE, HeaderValue};
use berth_common::{Seconds, Timestamp};
use berth_process::clock::now;
use berth_store::{Act, ProviderSession, Session, User};
use sha2::{Digest, Sha256};

use crate::auth::login::address;
use crate::config::HubConfig;
use crate::keys;
use crate::site::Hub;
use crate::storage::StorageError;

/// A session that nobody uses ends: a forgotten browser is not a door for ever.
pub const IDLE: Seconds = Seconds(8 * 3_600);
/// Every session ends: a stolen cookie is not a door for ever either.
pub const ABSOLUTE: Seconds = Seconds(7 * 86_400);
/// The use of a session is saved at most this often.
const SEEN_EVERY: Seconds = Seconds(60);

/// JupyterHub's name for the number that ties OAuth tokens to a browser session. It is readable
/// by every component and authenticates nothing.
const SESSION_ID: &str = "jupyterhub-session-id";
/// Ties a login form to the browser that asked for it.
const BEFORE_LOGIN: &str = "berth-login";
/// A login form is filled in within this time.
const BEFORE_LOGIN_AGE_S: u64 = 3_600;

/// How cookies are named at this site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CookieNames {
    /// `__Host-` names with `Secure`.
    Host,
    /// Plain names without `Secure`: plain http, allowed by the administrators.
    Plain,
}

impl CookieNames {
    /// The site's way; `None` when no cookie could be set safely: plain http beyond the machine
    /// itself, not allowed in `hub.toml`.
    pub fn of(config: &HubConfig) -> Option<Self> {
        if config.is_https() || is_loopback(&config.public_url) {
            Some(Self::Host)
        } else if config.insecure_cookies {
            Some(Self::Plain)
        } else {
            None
        }
    }

    fn session(self) -> &'static str {
        match self {
            Self::Host => "__Host-berth",
            Self::Plain => "berth-session",
        }
    }

    fn before_login(self) -> String {
        match self {
            Self::Host => format!("__Host-{BEFORE_LOGIN}"),
            Self::Plain => BEFORE_LOGIN.to_owned(),
        }
    }

    fn secure(self) -> &'static str {
        match self {
            Self::Host => "; Secure",
            Self::Plain => "",
        }
    }

    /// The cookie that ties a provider's login to this browser.
    pub(super) fn provider_login(self) -> &'static str {
        match self {
            Self::Host => "__Host-berth-oidc",
            Self::Plain => "berth-oidc",
        }
    }

    pub(super) fn set(self, name: &str, value: &str, age_s: u64) -> Option<HeaderValue> {
        let secure = self.secure();
        let text =
            format!("{name}={value}; Path=/; Max-Age={age_s}; HttpOnly{secure}; SameSite=Lax");
        HeaderValue::from_str(&text).ok()
    }
}

fn is_loopback(public_url: &str) -> bool {
    let rest = public_url.split_once("://").map_or(public_url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => authority.split(':').next().unwrap_or(authority),
    };
    matches!(host, "127.0.0.1" | "localhost" | "::1")
}

/// A live session and whose it is.
#[derive(Debug, Clone)]
pub struct Live {
    /// The person.
    pub user: User,
    /// The token that forms must carry.
    pub xsrf: String,
    /// The session's number for OAuth tokens.
    pub id: String,
    /// Under which the store keeps it.
    pub hash: [u8; 32],
}

/// The session of a request, if it has one that is alive. Its use is noted.
pub fn find(hub: &Hub, headers: &HeaderMap) -> Result<Option<Live>, StorageError> {
    let config = hub.config();
    let Some(names) = CookieNames::of(&config.hub) else { return Ok(None) };
    for secret in cookies(headers, names.session()) {
        let hash = keys::hash(&secret);
        let Some(session) = hub.storage.read(|reader| reader.session(&hash))? else { continue };
        let at = now();
        if !is_alive(&session, at) {
            continue;
        }
        let Some(user) = hub.storage.read(|reader| reader.user(&session.user))? else { continue };
        if at >= session.seen.plus(SEEN_EVERY) {
            note_use(hub, hash, &user, at);
        }
        return Ok(Some(Live { user, xsrf: session.xsrf, id: number(&secret), hash }));
    }
    Ok(None)
}

fn is_alive(session: &Session, at: Timestamp) -> bool {
    at < session.created.plus(ABSOLUTE) && at < session.seen.plus(IDLE)
}

fn note_use(hub: &Hub, hash: [u8; 32], user: &User, at: Timestamp) {
    let name = user.account.name.clone();
    hub.storage.write_later("the use of a session", move |database| {
        database.touch_session(&hash, at)?;
        database.touch_users(&[(name, at)])
    });
}

/// A provider's login that a session comes of.
#[derive(Debug, Clone)]
pub struct ProviderLogin {
    /// The provider.
    pub issuer: String,
    /// The person, in the provider's words.
    pub subject: String,
    /// The provider's own session.
    pub sid: Option<String>,
    /// The token that vouches for it.
    pub id_token: String,
}

/// Begins a session; the former one of this browser, if any, ends. Returns the cookies to set.
///
/// # Errors
/// When it could not be saved.
pub async fn begin(
    hub: &Arc<Hub>,
    names: CookieNames,
    user: &User,
    headers: &HeaderMap,
    login: Option<ProviderLogin>,
) -> Result<Vec<HeaderValue>, StorageError> {
    let former: Vec<_> =
        cookies(headers, names.session()).iter().map(|secret| keys::hash(secret)).collect();
    let secret = keys::secret();
    let hash = keys::hash(&secret);
    let at = now();
    let session =
        Session { user: user.account.name.clone(), xsrf: keys::secret(), created: at, seen: at };
    let id = number(&secret);
    let way = login.as_ref().map_or("password", |login| login.issuer.as_str());
    let name = user.account.name.as_str();
    let act = Act::new(at, name, "login", &address(headers)).about(name).on(way);
    let login = login.map(|login| ProviderSession {
        session: hash,
        number: id.clone(),
        issuer: login.issuer,
        subject: login.subject,
        sid: login.sid,
        id_token: login.id_token,
    });
    hub.storage
        .write(move |database| {
            for hash in &former {
                database.end_session(hash)?;
            }
            database.touch_users(&[(session.user.clone(), at)])?;
            database.together(|database| {
                database.add_session(&hash, &session)?;
                login.map_or(Ok(()), |login| database.add_provider_session(&login))?;
                database.record(&act)
            })
        })
        .await?;
    let cookies = [
        names.set(names.session(), &secret, ABSOLUTE.0),
        names.set(SESSION_ID, &id, ABSOLUTE.0),
        names.set(&names.before_login(), "", 0),
    ];
    Ok(cookies.into_iter().flatten().collect())
}

/// Ends the session of a request with the OAuth tokens that came of it. Returns the cookies that
/// make the browser forget it, and the provider's login that the session came of. Without a live
/// session nothing is deleted.
///
/// # Errors
/// When it could not be saved.
pub async fn end(
    hub: &Arc<Hub>,
    headers: &HeaderMap,
) -> Result<(Vec<HeaderValue>, Option<ProviderSession>), StorageError> {
    let mut provider = None;
    if let Some(live) = find(hub, headers)? {
        provider = hub.storage.read(|reader| reader.provider_session(&live.hash))?;
        let session = live.hash.to_vec();
        let name = live.user.account.name.as_str();
        let act = Act::new(now(), name, "logout", &address(headers)).about(name);
        let mut hashes = hub
            .storage
            .write(move |database| {
                database.together(|database| {
                    database.record(&act)?;
                    database.end_session(&live.hash)?;
                    database.delete_session_tokens(&live.user.account.name, &live.id)
                })
            })
            .await?;
        // The proxy knows a websocket by the session cookie that its handshake showed.
        hashes.push(session);
        hub.forget_tokens(hashes);
    }
    let names = CookieNames::of(&hub.config().hub).unwrap_or(CookieNames::Plain);
    let gone = [names.session(), SESSION_ID].map(|name| names.set(name, "", 0));
    Ok((gone.into_iter().flatten().collect(), provider))
}

/// Ends the sessions that came of a provider's logins, with their OAuth tokens. Returns how many.
///
/// # Errors
/// When it could not be saved.
pub async fn end_provider_sessions(
    hub: &Hub,
    sessions: Vec<ProviderSession>,
) -> Result<usize, StorageError> {
    let count = sessions.len();
    let hashes = hub
        .storage
        .write(move |database| {
            let mut hashes = Vec::new();
            for ended in &sessions {
                let user = database.reader()?.session(&ended.session)?.map(|found| found.user);
                database.end_session(&ended.session)?;
                if let Some(user) = user {
                    hashes.extend(database.delete_session_tokens(&user, &ended.number)?);
                }
                hashes.push(ended.session.to_vec());
            }
            Ok(hashes)
        })
        .await?;
    hub.forget_tokens(hashes);
    Ok(count)
}

/// The cookie with a session's number, for a browser that lost it.
pub fn number_cookie(hub: &Hub, headers: &HeaderMap, id: &str) -> Option<HeaderValue> {
    if cookies(headers, SESSION_ID).iter().any(|known| known == id) {
        return None;
    }
    CookieNames::of(&hub.config().hub)?.set(SESSION_ID, id, ABSOLUTE.0)
}

/// A session's number. Made of the secret and not kept, so that no other component can make the
/// hub believe another one.
fn number(secret: &str) -> String {
    let digest = Sha256::new().chain_update(b"session-id").chain_update(secret).finalize();
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// The token of a login form: the one that the browser has, or a fresh one to be set.
pub fn before_login(names: CookieNames, headers: &HeaderMap) -> (String, Option<HeaderValue>) {
    let known = before_login_cookies(names, headers).into_iter().find(|text| text.len() >= 43);
    match known {
        Some(token) => (token, None),
        None => {
            let token = keys::secret();
            let cookie = names.set(&names.before_login(), &token, BEFORE_LOGIN_AGE_S);
            (token, cookie)
        }
    }
}

/// The tokens for login forms that a browser shows.
pub fn before_login_cookies(names: CookieNames, headers: &HeaderMap) -> Vec<String> {
    cookies(headers, &names.before_login())
}

/// All values of a cookie. There may be several: a notebook page can set a second one of the same
/// name for a longer path, so none of them is trusted for being the first.
pub(super) fn cookies(headers: &HeaderMap, name: &str) -> Vec<String> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(key, value)| *key == name && !value.is_empty() && value.len() <= 128)
        .map(|(_, value)| value.to_owned())
        .take(4)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(public_url: &str, insecure_cookies: bool) -> HubConfig {
        HubConfig {
            public_url: public_url.into(),
            listen: ([127, 0, 0, 1], 1).into(),
            state: "/".into(),
            admin_socket: "/".into(),
            api_url: String::new(),
            keep_decisions: berth_common::Seconds(90 * 86_400),
            keep_audit: berth_common::Seconds(1095 * 86_400),
            per_user: Default::default(),
            puppet: None,
            insecure_cookies,
            agents_listen: ([127, 0, 0, 1], 2).into(),
            keep_ended_cards: None,
            logs: Default::default(),
            mail: None,
            proxy_api: String::new(),
        }
    }

    #[test]
    fn cookies_are_secure_unless_the_site_says_otherwise() {
        for (url, insecure, names) in [
            ("https://nb.example.org", false, Some(CookieNames::Host)),
            ("http://127.0.0.1:8000", false, Some(CookieNames::Host)),
            ("http://localhost", true, Some(CookieNames::Host)),
            ("http://[::1]:8000", false, Some(CookieNames::Host)),
            ("http://nb.example.org", false, None),
            ("http://nb.example.org", true, Some(CookieNames::Plain)),
            ("http://localhost.example.org", false, None),
            ("http://127.0.0.1.example.org", false, None),
        ] {
            assert_eq!(CookieNames::of(&config(url, insecure)), names, "{url} {insecure}");
        }
    }

    #[test]
    fn a_session_ends_when_idle_and_when_old() {
        let begun = Timestamp(1_000_000);
        let session = |seen| Session {
            user: "alice".parse().unwrap(),
            xsrf: String::new(),
            created: begun,
            seen,
        };
        let fresh = session(begun);
        assert!(is_alive(&fresh, begun.plus(Seconds(IDLE.0 - 1))));
        assert!(!is_alive(&fresh, begun.plus(IDLE)));
        let used = session(begun.plus(Seconds(ABSOLUTE.0 - 10)));
        assert!(is_alive(&used, begun.plus(Seconds(ABSOLUTE.0 - 1))));
        assert!(!is_alive(&used, begun.plus(ABSOLUTE)));
    }

    #[test]
    fn every_cookie_of_a_name_is_seen() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_static("a=1; __Host-berth=x;__Host-berth=y"));
        headers.append(COOKIE, HeaderValue::from_static("__Host-berth="));
        assert_eq!(cookies(&headers, "__Host-berth"), ["x", "y"]);
    }
}
