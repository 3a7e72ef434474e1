//! `POST /oauth2/token`: a client exchanges a code for its visitor's token.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, PRAGMA};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use berth_common::Seconds;
use berth_process::clock::now;
use berth_store::{OauthCode, Token, TokenKind};
use serde_json::json;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::auth::form;
use crate::keys;
use crate::site::Hub;
use crate::storage::StorageError;
use crate::web::api::oauth::client;

/// Life of a visitor's token: JupyterHub's 14 days. It also ends with the server's start, or with
/// the service.
const TOKEN_LIFE: Seconds = Seconds(14 * 86_400);

/// What the client is told.
#[derive(Debug)]
enum Refused {
    Client,
    Grant,
    GrantType,
    Request(&'static str),
    Storage,
}

impl From<StorageError> for Refused {
    fn from(error: StorageError) -> Self {
        tracing::error!(%error, "an OAuth code could not be exchanged");
        Self::Storage
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let (status, body) = match self {
            Self::Client => (StatusCode::UNAUTHORIZED, json!({ "error": "invalid_client" })),
            Self::Grant => (StatusCode::BAD_REQUEST, json!({ "error": "invalid_grant" })),
            Self::GrantType => {
                (StatusCode::BAD_REQUEST, json!({ "error": "unsupported_grant_type" }))
            }
            Self::Request(why) => (
                StatusCode::BAD_REQUEST,
                json!({ "error": "invalid_request", "error_description": why }),
            ),
            Self::Storage => {
                (StatusCode::SERVICE_UNAVAILABLE, json!({ "error": "temporarily_unavailable" }))
            }
        };
        (status, UNCACHED, Json(body)).into_response()
    }
}

const UNCACHED: [(axum::http::HeaderName, &str); 2] =
    [(CACHE_CONTROL, "no-store"), (PRAGMA, "no-cache")];

/// Exchanges a code. Takes neither cookie nor XSRF token: the client proves itself by its secret.
pub async fn token(State(hub): State<Arc<Hub>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let bytes = match form::read(body).await {
        Ok(bytes) => bytes,
        Err(_) => return Refused::Request("The form is too large.").into_response(),
    };
    let Ok(pairs) = form::fields::<Vec<(String, String)>>(&parts.headers, bytes).await else {
        return Refused::GrantType.into_response();
    };
    exchange(&hub, &pairs).await.unwrap_or_else(IntoResponse::into_response)
}

async fn exchange(hub: &Hub, pairs: &[(String, String)]) -> Result<Response, Refused> {
    let get = |name: &str| {
        let found = pairs.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    };
    if get("grant_type") != Some("authorization_code") {
        return Err(Refused::GrantType);
    }
    let client = client::proven(hub, get("client_id"), get("client_secret"));
    let client = client.ok_or(Refused::Client)?;
    let text = get("code").ok_or(Refused::Request("Missing code parameter."))?;
    let hash = keys::hash(text);
    let code = hub.storage.read(|reader| reader.code(&hash))?;
    let is_its_own =
        |code: &OauthCode| code.client == client.id() && code.server == client.server();
    let code =
        code.filter(|code| is_its_own(code) && now() < code.expires).ok_or(Refused::Grant)?;
    if get("redirect_uri").is_some_and(|redirect| redirect != code.redirect) {
        return Err(Refused::Request("Mismatching redirect URI."));
    }
    check_challenge(&code, get("code_verifier"))?;
    issue(hub, hash, code).await
}

/// A verifier without a stored challenge is ignored, as JupyterHub does.
fn check_challenge(code: &OauthCode, verifier: Option<&str>) -> Result<(), Refused> {
    let Some((challenge, method)) = &code.challenge else { return Ok(()) };
    let verifier = verifier.ok_or(Refused::Request("Code verifier required."))?;
    let shown = match method.as_str() {
        "S256" => URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes())),
        _ => verifier.to_owned(),
    };
    if shown.as_bytes().ct_eq(challenge.as_bytes()).into() { Ok(()) } else { Err(Refused::Grant) }
}

async fn issue(hub: &Hub, hash: [u8; 32], code: OauthCode) -> Result<Response, Refused> {
    let at = now();
    let scope = code.scopes.join(" ");
    let text = keys::secret();
    let token_hash = keys::hash(&text);
    let token = Token {
        id: 0,
        kind: TokenKind::Oauth,
        user: code.user,
        note: format!("oauth token for {}", code.client),
        client: code.client,
        scopes: code.scopes,
        session: Some(code.session),
        server: code.server,
        created: at,
        expires: Some(at.plus(TOKEN_LIFE)),
        last_used: None,
    };
    let issued = hub
        .storage
        .write(move |database| {
            // Of two that present one code, one gets a token.
            let used = database.use_code(&hash)?;
            if used {
                database.add_token(&token_hash, &token)?;
            }
            Ok(used)
        })
        .await?;
    if !issued {
        return Err(Refused::Grant);
    }
    let body = json!({
        "access_token": text,
        "expires_in": TOKEN_LIFE.0,
        "token_type": "Bearer",
        "scope": scope,
    });
    Ok((UNCACHED, Json(body)).into_response())
}
