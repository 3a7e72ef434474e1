//! ID tokens and logout tokens: what must be true of one before a word of it is believed.
//! OpenID Connect Core 1.0, section 3.1.3.7, and Back-Channel Logout 1.0, section 2.6.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use berth_common::{Seconds, Timestamp};
use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use ring::digest::{SHA256, SHA384, SHA512, digest};
use serde::Deserialize;
use serde_json::{Map, Value};
use subtle::ConstantTimeEq;

use super::signature;

/// How far two clocks may lie apart.
const SKEW: Seconds = Seconds(60);
/// A token that was made longer ago than this was not made for us now.
const OLDEST: Seconds = Seconds(600);
/// No token of a provider comes near this.
const LONGEST: usize = 64 << 10;
/// OpenID Connect Core 1.0, section 2: a subject has at most 255 ASCII characters.
const LONGEST_SUBJECT: usize = 255;
/// The member of `events` that makes a logout token one.
const LOGOUT_EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// Why a token is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadToken {
    /// It is no token.
    #[error("it is malformed")]
    Malformed,
    /// Signed in a way that is not allowed, or not at all.
    #[error("it is signed in a way that is not allowed")]
    Algorithm,
    /// The key is not among the provider's; newer ones may have it.
    #[error("its key is not one of the provider's")]
    UnknownKey,
    /// The signature is wrong.
    #[error("its signature is wrong")]
    Signature,
    /// A claim is missing or has an impossible value.
    #[error("its claim {0} is missing or malformed")]
    Claim(&'static str),
    /// Made by or for somebody else.
    #[error("its claim {0} names somebody else")]
    Other(&'static str),
    /// Too old, or from the future.
    #[error("it is not valid at this time ({0})")]
    Time(&'static str),
    /// Made for another login.
    #[error("it was made for another login ({0})")]
    OtherLogin(&'static str),
    /// It is a token of another kind.
    #[error("it is not a token of this kind ({0})")]
    Kind(&'static str),
}

/// Whose tokens are believed, and when.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The provider's name.
    pub issuer: &'a str,
    /// What the provider calls us.
    pub client: &'a str,
    /// The moment.
    pub now: Timestamp,
}

/// The claims that are checked; the others are kept as they are.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Claims {
    iss: String,
    #[serde(default)]
    sub: Option<String>,
    aud: Audience,
    #[serde(default)]
    exp: Option<f64>,
    #[serde(default)]
    nbf: Option<f64>,
    iat: f64,
    #[serde(default)]
    azp: Option<String>,
    #[serde(default)]
    nonce: Option<String>,
    #[serde(default)]
    at_hash: Option<String>,
    /// The provider's own number of its session.
    #[serde(default)]
    pub sid: Option<String>,
    #[serde(default)]
    jti: Option<String>,
    #[serde(default)]
    events: Option<Map<String, Value>>,
    /// All the others.
    #[serde(flatten)]
    pub others: Map<String, Value>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

/// A login that a provider vouches for.
#[derive(Debug, Clone, PartialEq)]
pub struct IdToken {
    /// The person, in the provider's words.
    pub subject: String,
    /// The claims.
    pub claims: Claims,
}

/// A provider's word that somebody has logged out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogoutToken {
    /// The person.
    pub subject: Option<String>,
    /// The provider's own session.
    pub sid: Option<String>,
    /// The token's number: the same one is not obeyed twice.
    pub id: String,
}

/// The key that a token says it is signed with.
fn key<'a>(keys: &'a JwkSet, kid: Option<&str>, algorithm: Algorithm) -> Option<&'a Jwk> {
    let signs = |key: &&Jwk| {
        let fit = DecodingKey::from_jwk(key).is_ok_and(|key| key.family() == algorithm.family());
        fit && key.common.public_key_use.as_ref().is_none_or(|it| *it == PublicKeyUse::Signature)
    };
    let mut fitting = keys.keys.iter().filter(signs);
    match kid {
        Some(kid) => fitting.find(|key| key.common.key_id.as_deref() == Some(kid)),
        // A token without a key's name is believed only where there is no choice.
        None => fitting.next().filter(|_| fitting.next().is_none()),
    }
}

/// Checks a token's signature, and what holds for tokens of both kinds.
fn believe(
    token: &str,
    keys: &JwkSet,
    expected: Expected<'_>,
) -> Result<(Claims, Algorithm, Option<String>), BadToken> {
    if token.len() > LONGEST {
        return Err(BadToken::Malformed);
    }
    signature::install();
    // `none` and whatever else is unknown cannot even be read.
    let header = decode_header(token).map_err(|_| BadToken::Algorithm)?;
    if !signature::ALLOWED.contains(&header.alg) {
        return Err(BadToken::Algorithm);
    }
    let key = key(keys, header.kid.as_deref(), header.alg).ok_or(BadToken::UnknownKey)?;
    let key = DecodingKey::from_jwk(key).map_err(|_| BadToken::UnknownKey)?;
    // The library checks the signature; the claims are checked here, with the time as a parameter.
    let mut signature_only = Validation::new(header.alg);
    signature_only.validate_exp = false;
    signature_only.validate_aud = false;
    signature_only.required_spec_claims.clear();
    let decoded = decode::<Map<String, Value>>(token, &key, &signature_only)
        .map_err(|_| BadToken::Signature)?;
    let claims: Claims = serde_json::from_value(Value::Object(decoded.claims))
        .map_err(|_| BadToken::Claim("iss, aud or iat"))?;
    check_names(&claims, expected)?;
    check_times(&claims, expected.now)?;
    Ok((claims, header.alg, header.typ))
}

fn check_names(claims: &Claims, expected: Expected<'_>) -> Result<(), BadToken> {
    if claims.iss != expected.issuer {
        return Err(BadToken::Other("iss"));
    }
    let (ours, others) = match &claims.aud {
        Audience::One(one) => (one == expected.client, false),
        Audience::Many(many) => (many.iter().any(|one| one == expected.client), many.len() > 1),
    };
    if !ours {
        return Err(BadToken::Other("aud"));
    }
    match &claims.azp {
        Some(azp) if azp != expected.client => Err(BadToken::Other("azp")),
        // Made for several: it must say that it was us who asked for it.
        None if others => Err(BadToken::Claim("azp")),
        _ => Ok(()),
    }
}

fn check_times(claims: &Claims, now: Timestamp) -> Result<(), BadToken> {
    let now = now.0 as f64 / 1e6;
    let (skew, oldest) = (SKEW.0 as f64, OLDEST.0 as f64);
    if claims.exp.is_some_and(|exp| now >= exp + skew) {
        return Err(BadToken::Time("exp"));
    }
    if claims.nbf.is_some_and(|nbf| now < nbf - skew) {
        return Err(BadToken::Time("nbf"));
    }
    if now < claims.iat - skew || now > claims.iat + oldest + skew {
        return Err(BadToken::Time("iat"));
    }
    Ok(())
}

/// Reads the ID token of a login. `nonce` is the one that the login was begun with.
///
/// # Errors
/// Why it is not believed.
pub fn id_token(
    token: &str,
    access_token: Option<&str>,
    nonce: &str,
    keys: &JwkSet,
    expected: Expected<'_>,
) -> Result<IdToken, BadToken> {
    let (claims, algorithm, _) = believe(token, keys, expected)?;
    if claims.exp.is_none() {
        return Err(BadToken::Claim("exp"));
    }
    if claims.events.is_some() {
        return Err(BadToken::Kind("a logout token"));
    }
    let given = claims.nonce.as_deref().ok_or(BadToken::Claim("nonce"))?;
    if !bool::from(given.as_bytes().ct_eq(nonce.as_bytes())) {
        return Err(BadToken::OtherLogin("nonce"));
    }
    if let (Some(at_hash), Some(access_token)) = (&claims.at_hash, access_token)
        && half_hash(access_token, algorithm) != *at_hash
    {
        return Err(BadToken::OtherLogin("at_hash"));
    }
    let subject = subject(claims.sub.as_deref())?.ok_or(BadToken::Claim("sub"))?;
    Ok(IdToken { subject, claims })
}

/// Reads a token by which the provider says that somebody has logged out.
///
/// # Errors
/// Why it is not believed.
pub fn logout_token(
    token: &str,
    keys: &JwkSet,
    expected: Expected<'_>,
) -> Result<LogoutToken, BadToken> {
    let (claims, _, typ) = believe(token, keys, expected)?;
    // Optional, but a token that says it is of another kind is.
    if let Some(typ) = typ
        && !typ.eq_ignore_ascii_case("logout+jwt")
        && !typ.eq_ignore_ascii_case("JWT")
    {
        return Err(BadToken::Kind("typ"));
    }
    let events = claims.events.as_ref().ok_or(BadToken::Claim("events"))?;
    if !events.get(LOGOUT_EVENT).is_some_and(Value::is_object) {
        return Err(BadToken::Kind("events"));
    }
    if claims.nonce.is_some() {
        return Err(BadToken::Kind("nonce"));
    }
    let subject = subject(claims.sub.as_deref())?;
    if subject.is_none() && claims.sid.is_none() {
        return Err(BadToken::Claim("sub or sid"));
    }
    let id = claims.jti.filter(|id| !id.is_empty()).ok_or(BadToken::Claim("jti"))?;
    Ok(LogoutToken { subject, sid: claims.sid, id })
}

fn subject(sub: Option<&str>) -> Result<Option<String>, BadToken> {
    let Some(sub) = sub else { return Ok(None) };
    let plain =
        !sub.is_empty() && sub.len() <= LONGEST_SUBJECT && sub.bytes().all(|b| b.is_ascii());
    if plain { Ok(Some(sub.to_owned())) } else { Err(BadToken::Claim("sub")) }
}

/// The left half of a hash: OpenID Connect Core 1.0, section 3.1.3.6.
fn half_hash(text: &str, algorithm: Algorithm) -> String {
    let hash = match algorithm {
        Algorithm::RS384 | Algorithm::PS384 | Algorithm::ES384 => &SHA384,
        Algorithm::RS512 | Algorithm::PS512 | Algorithm::EdDSA => &SHA512,
        _ => &SHA256,
    };
    let hash = digest(hash, text.as_bytes());
    let half = hash.as_ref().len() / 2;
    URL_SAFE_NO_PAD.encode(&hash.as_ref()[..half])
}
