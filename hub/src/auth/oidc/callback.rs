//! The way back from the provider: code to token, token to person, person to session.

use std::sync::Arc;

use axum::http::header::SET_COOKIE;
use axum::http::request::Parts;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use berth_process::clock::now;
use serde_json::{Map, Value};

use super::provider::{Document, Provider, ProviderError};
use super::state::{self, Begun};
use super::token::IdToken;
use super::{Problem, parts, redirect_uri};
use crate::auth::form::query_value;
use crate::auth::identity::{self, Presented};
use crate::auth::login::{address, gate};
use crate::auth::next::{Next, escape};
use crate::auth::session::{self, ProviderLogin};
use crate::auth::visitor::found;
use crate::config::login::Claims;
use crate::site::Hub;

/// Finishes a login: 302 to where the person wanted, with a new session.
///
/// # Errors
/// Why not, as a page.
pub async fn finish(hub: &Arc<Hub>, request: &Parts) -> Result<Response, Problem> {
    let (gate, address) = (gate(&request.extensions), address(&request.headers));
    gate.take_address(&address, now()).map_err(Problem::TooMany)?;
    let result = finish_now(hub, request, &address).await;
    // What is nobody's fault costs nobody a try.
    if matches!(
        result,
        Ok(_) | Err(Problem::Down(_) | Problem::Storage(_) | Problem::NotAdmitted(_))
    ) {
        gate.give_address_back(&address, now());
    }
    result
}

async fn finish_now(hub: &Arc<Hub>, request: &Parts, address: &str) -> Result<Response, Problem> {
    let (provider, names) = parts(hub)?;
    let argument = |name: &str| query_value(&request.uri, name);
    let state = argument("state").ok_or(Problem::NotBegun)?;
    let begun =
        state::resume(&hub.keys, names, &request.headers, &state).ok_or(Problem::NotBegun)?;
    let document = provider.document().await?;
    // RFC 9207: the answer of another provider must not be taken for that of ours.
    match argument("iss") {
        Some(issuer) if issuer != provider.config.issuer => return Err(Problem::OtherIssuer),
        None if document.authorization_response_iss_parameter_supported => {
            return Err(Problem::OtherIssuer);
        }
        _ => {}
    }
    if let Some(error) = argument("error") {
        let description = argument("error_description").unwrap_or_default();
        return Err(Problem::Refused(format!("{error} {description}").trim_end().to_owned()));
    }
    let code = argument("code").ok_or(Problem::NotBegun)?;
    if !hub.providers.logins.use_up(&begun.state, now(), state::WITHIN) {
        return Err(Problem::NotBegun);
    }
    let tokens = exchange(hub, &provider, &document, &code, &begun).await?;
    let access = tokens.access.as_deref();
    let id_token = provider.id_token(&tokens.id, access, &begun.nonce).await??;
    let claims = claims(&provider, &document, &id_token, access).await?;
    let presented = present(&provider, &id_token, &claims);
    let user = identity::admit(hub, presented).await?;

    let login = ProviderLogin {
        issuer: provider.config.issuer.clone(),
        subject: id_token.subject,
        sid: id_token.claims.sid,
        id_token: tokens.id,
    };
    let cookies = session::begin(hub, names, &user, &request.headers, Some(login)).await?;
    tracing::info!(action = "login", outcome = "success", user = %user.account.name, address,
        "logged in by the provider");
    let next = begun.next.and_then(|next| Next::parse(&next, &hub.config().hub.public_url));
    let mut response = found(next.as_ref().map_or("/hub/home", Next::as_str));
    for cookie in cookies {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    Ok(response)
}

struct Tokens {
    id: String,
    access: Option<String>,
}

/// Gives the code and gets tokens.
async fn exchange(
    hub: &Hub,
    provider: &Provider,
    document: &Document,
    code: &str,
    begun: &Begun,
) -> Result<Tokens, Problem> {
    let redirect = redirect_uri(hub);
    let (id, secret) = (&provider.config.client_id, provider.config.client_secret.reveal());
    let mut form = vec![
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", &redirect),
        ("code_verifier", &begun.verifier),
    ];
    // RFC 6749, section 2.3.1: both parts are form-encoded before they are joined.
    let basic = format!("Basic {}", STANDARD.encode(format!("{}:{}", escape(id), escape(secret))));
    let header = if document.secret_in_form() {
        form.extend([("client_id", id.as_str()), ("client_secret", secret)]);
        None
    } else {
        Some(basic.as_str())
    };
    let (status, body) = provider.client.post_form(&document.token_endpoint, header, &form).await?;
    let text = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
    if status.is_success() {
        let id = text("id_token").ok_or_else(|| {
            ProviderError::Answer("its token endpoint gave no id_token".to_owned())
        })?;
        return Ok(Tokens { id, access: text("access_token") });
    }
    match text("error") {
        // The code was used already, has expired, or belongs to another login.
        Some(error) if error == "invalid_grant" => Err(Problem::NotBegun),
        Some(error) if status.is_client_error() => {
            let description = text("error_description").unwrap_or_default();
            Err(Problem::Refused(format!("{error} {description}").trim_end().to_owned()))
        }
        _ => Err(ProviderError::Answer(format!("its token endpoint answers {status}")).into()),
    }
}

/// All claims that the site reads: those of the ID token, and where one is missing those of the
/// provider's userinfo.
async fn claims(
    provider: &Provider,
    document: &Document,
    id_token: &IdToken,
    access_token: Option<&str>,
) -> Result<Map<String, Value>, Problem> {
    let mut claims = id_token.claims.others.clone();
    claims.insert("sub".into(), id_token.subject.clone().into());
    let is_there = |name: &str| find(&claims, name).is_some();
    if let Some(token) = access_token.filter(|_| !provider.config.claims.names().all(is_there)) {
        for (name, value) in provider.more_claims(document, token, &id_token.subject).await? {
            claims.entry(name).or_insert(value);
        }
    }
    Ok(claims)
}

/// A claim; a dot leads into an object.
fn find<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(name) {
        return Some(value);
    }
    let (first, rest) = name.split_once('.')?;
    find(claims.get(first)?.as_object()?, rest)
}

fn present(provider: &Provider, id_token: &IdToken, claims: &Map<String, Value>) -> Presented {
    let Claims { user, uid, gid, home, groups } = &provider.config.claims;
    let claim = |name: &Option<String>| name.as_ref().and_then(|name| find(claims, name));
    Presented {
        issuer: provider.config.issuer.clone(),
        subject: id_token.subject.clone(),
        name: find(claims, user).and_then(Value::as_str).map(str::to_owned),
        claim: user.clone(),
        link_existing: provider.config.link_existing,
        entry: berth_store::Entry {
            uid: claim(uid).and_then(number),
            gid: claim(gid).and_then(number),
            home: claim(home).and_then(Value::as_str).map(str::to_owned),
            groups: claim(groups).map(crate::directory::groups_of),
            ..berth_store::Entry::default()
        },
    }
}

/// A number; some providers write numbers as text.
fn number(value: &Value) -> Option<u32> {
    match value {
        Value::Number(number) => u32::try_from(number.as_u64()?).ok(),
        Value::String(text) => text.parse().ok(),
        // Keycloak gives an attribute with one value as a list of one, if mapped so.
        Value::Array(list) if list.len() == 1 => number(list.first()?),
        _ => None,
    }
}
