//! What ties a provider's answer to the browser that asked: state, nonce and PKCE verifier, all
//! made of the secret in the browser's cookie and a key of the hub.

use axum::http::HeaderMap;
use axum::http::header::HeaderValue;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use berth_common::{Seconds, Timestamp};
use berth_process::clock::now;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::auth::next::Next;
use crate::auth::session::{self, CookieNames};
use crate::keys::{self, Keys};

/// A login takes no longer than this.
pub const WITHIN: Seconds = Seconds(600);
/// Longer targets are dropped: addresses of providers have limits.
const LONGEST_NEXT: usize = 1_024;

/// A login under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    /// Goes to the provider and comes back.
    pub state: String,
    /// Comes back in the ID token.
    pub nonce: String,
    /// Proves to the provider that who has the code also asked for it.
    pub verifier: String,
    /// Where the person wanted to go.
    pub next: Option<String>,
}

impl Begun {
    /// The half of PKCE that goes ahead: RFC 7636, S256.
    pub fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(self.verifier.as_bytes()))
    }
}

/// Begins a login, and the cookie to be set with it.
pub fn begin(
    keys: &Keys,
    names: CookieNames,
    headers: &HeaderMap,
    next: Option<&Next>,
) -> (Begun, Option<HeaderValue>) {
    let cookie = names.provider_login();
    // Kept from tab to tab: a second login must not spoil the first.
    let known = session::cookies(headers, cookie).into_iter().find(|text| text.len() == 43);
    let secret = known.unwrap_or_else(keys::secret);
    let next = next.map(Next::as_str).filter(|next| next.len() <= LONGEST_NEXT).unwrap_or("");
    let random = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 16]>());
    let body = format!("{:x}.{}.{random}", now().0, URL_SAFE_NO_PAD.encode(next));
    let code = keys.login_code("state", &[&secret, &body]);
    let begun = of(keys, &secret, format!("{body}.{code}"), next);
    (begun, names.set(cookie, &secret, WITHIN.0))
}

fn of(keys: &Keys, secret: &str, state: String, next: &str) -> Begun {
    Begun {
        nonce: keys.login_code("nonce", &[secret, &state]),
        verifier: keys.login_code("verifier", &[secret, &state]),
        next: (!next.is_empty()).then(|| next.to_owned()),
        state,
    }
}

/// The login that comes back with this state, if this browser began it and not too long ago.
pub fn resume(keys: &Keys, names: CookieNames, headers: &HeaderMap, state: &str) -> Option<Begun> {
    let (body, code) = state.rsplit_once('.').filter(|_| state.len() <= 4 * LONGEST_NEXT)?;
    let known = session::cookies(headers, names.provider_login());
    let secret = known.iter().find(|secret| {
        let expected = keys.login_code("state", &[secret, body]);
        bool::from(expected.as_bytes().ct_eq(code.as_bytes()))
    })?;
    let mut parts = body.split('.');
    let begun = i64::from_str_radix(parts.next()?, 16).ok().map(Timestamp)?;
    if now() >= begun.plus(WITHIN) {
        return None;
    }
    let next = URL_SAFE_NO_PAD.decode(parts.next()?).ok()?;
    Some(of(keys, secret, state.to_owned(), &String::from_utf8(next).ok()?))
}
