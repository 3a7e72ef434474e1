//! A person's tokens. Each is shown once, when it is made.

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequest, FromRequestParts, Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use berth_common::{Seconds, Timestamp};
use berth_process::clock::now;
use berth_store::{Token, TokenKind, User};
use serde_json::{Map, Value, json};

use crate::auth::password::{self, PasswordError};
use crate::auth::principal::Via;
use crate::auth::scopes::Scopes;
use crate::auth::{Caller, MaybeCaller, login};
use crate::config::roles::ADMIN;
use crate::keys;
use crate::site::Hub;
use crate::web::api::body::{self, JsonBody};
use crate::web::api::path::Names;
use crate::web::api::{find_user, model};
use crate::web::error::ApiError;

/// More than this is a mistake; it is also what the calendar can bear.
const LONGEST_LIFE: Seconds = Seconds(100 * 366 * 86_400);
/// Notes are for people.
const LONGEST_NOTE: usize = 255;

/// `GET /users/:name/tokens`.
pub async fn list(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Names(name): Names<String>,
) -> Result<Json<Value>, ApiError> {
    let user = caller.require_user(&["read:tokens"], find_user(&hub, &name)?)?;
    let tokens = hub.storage.read(|reader| reader.tokens_of(&user.account.name))?;
    let models: Vec<_> = tokens
        .iter()
        .filter(|token| model::is_listed(token))
        .map(|token| model::token(&hub, token, &user))
        .collect();
    Ok(Json(json!({ "api_tokens": models })))
}

/// `GET /users/:name/tokens/:id`.
pub async fn show(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Names((name, id)): Names<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    let user = caller.require_user(&["read:tokens"], find_user(&hub, &name)?)?;
    let token = find(&hub, &user, &id)?;
    Ok(Json(Value::Object(model::token(&hub, &token, &user))))
}

/// `DELETE /users/:name/tokens/:id`. With an OAuth token go all of the same client.
pub async fn delete(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Names((name, id)): Names<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let user = caller.require_user(&["tokens"], find_user(&hub, &name)?)?;
    let token = find(&hub, &user, &id)?;
    let ids = match token.kind {
        TokenKind::Api => vec![token.id],
        TokenKind::Oauth => {
            let all = hub.storage.read(|reader| reader.tokens_of(&user.account.name))?;
            let same = all
                .into_iter()
                .filter(|other| other.kind == TokenKind::Oauth && other.client == token.client);
            same.map(|other| other.id).collect()
        }
    };
    let hashes = hub.storage.write(move |database| database.delete_tokens(&ids)).await?;
    hub.forget_tokens(hashes);
    Ok(StatusCode::NO_CONTENT)
}

fn find(hub: &Hub, user: &User, id: &str) -> Result<Token, ApiError> {
    let missing = || ApiError::not_found("No such token");
    let number: i64 = id.strip_prefix('a').and_then(|n| n.parse().ok()).ok_or_else(missing)?;
    let tokens = hub.storage.read(|reader| reader.tokens_of(&user.account.name))?;
    tokens
        .into_iter()
        .find(|token| token.id == number && model::is_listed(token))
        .ok_or_else(missing)
}

/// `POST /users/:name/tokens`. Without credentials, `auth: {username, password}` logs in.
pub async fn create(
    State(hub): State<Arc<Hub>>,
    Names(name): Names<String>,
    request: Request,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let (mut parts, body) = request.into_parts();
    let JsonBody(body) =
        JsonBody::from_request(Request::from_parts(parts.clone(), body), &hub).await?;
    let body = body.unwrap_or_default();
    let caller = caller(&hub, &mut parts, &body).await?;
    let not_allowed = || {
        let shown: String = name.chars().take(32).collect();
        let message = format!("User {shown} not found or no permissions to generate tokens");
        ApiError::forbidden(message)
    };
    let user = find_user(&hub, &name)?
        .filter(|user| caller.scopes.reach_user("tokens", &user.account))
        .ok_or_else(not_allowed)?;
    body::only(&body, &["note", "expires_in", "scopes", "roles", "auth"])?;
    let token = draft(&hub, &caller, &user, &body, now())?;
    let text = keys::api_token();
    let hash = keys::hash(&text);
    let saved = token.clone();
    let id = hub.storage.write(move |database| database.add_token(&hash, &saved)).await?;
    tracing::info!(user = %user.account.name, by = caller.name(), id, "token created");
    let mut model = model::token(&hub, &Token { id, ..token }, &user);
    model.insert("token".into(), json!(text));
    Ok((StatusCode::CREATED, Json(Value::Object(model))))
}

async fn caller(
    hub: &Arc<Hub>,
    parts: &mut Parts,
    body: &Map<String, Value>,
) -> Result<Caller, ApiError> {
    let MaybeCaller(caller) = MaybeCaller::from_request_parts(parts, hub).await?;
    if let Some(caller) = caller {
        return Ok(caller);
    }
    let auth = body.get("auth").and_then(Value::as_object);
    let part = |key| auth.and_then(|auth| auth.get(key)).and_then(Value::as_str);
    let (Some(name), Some(password)) = (part("username"), part("password")) else {
        return Err(ApiError::no_credentials());
    };
    let gate = login::gate(&parts.extensions);
    let name = name.trim().to_lowercase();
    let user = password::verify(hub, &gate, &name, password, &login::address(parts)).await;
    let user = user.map_err(|error| match error {
        PasswordError::TooMany(seconds) => ApiError::too_many(seconds),
        PasswordError::Storage(error) => error.into(),
        error @ PasswordError::Account { .. } => ApiError::forbidden(error.to_string()),
        _ => ApiError::forbidden("Invalid username or password."),
    })?;
    let scopes = Scopes::of_user(&user, &hub.config().people.roles);
    Ok(Caller { user: Some(user), scopes, via: Via::Session(String::new()) })
}

/// The token as asked for; nobody can give more than the caller and the owner both have.
fn draft(
    hub: &Hub,
    caller: &Caller,
    user: &User,
    body: &Map<String, Value>,
    at: Timestamp,
) -> Result<Token, ApiError> {
    let scopes: Option<Vec<String>> = body::field(body, "scopes")?;
    let roles: Option<Vec<String>> = body::field(body, "roles")?;
    let note: Option<String> = body::field(body, "note")?;
    let by = match caller.is(user) {
        true => String::new(),
        false => match &caller.via {
            Via::Service(name) => format!(" by service {name}"),
            _ => format!(" by user {}", caller.name()),
        },
    };
    let note = note.filter(|note| !note.is_empty()).unwrap_or(format!("Requested via api{by}"));
    Ok(Token {
        id: 0,
        kind: TokenKind::Api,
        user: user.account.name.clone(),
        client: "JupyterHub".into(),
        scopes: checked_scopes(hub, caller, user, scopes, roles)?,
        note: note.chars().take(LONGEST_NOTE).collect(),
        session: None,
        server: None,
        created: at,
        expires: expires(body, at)?,
        last_used: None,
    })
}

fn expires(body: &Map<String, Value>, at: Timestamp) -> Result<Option<Timestamp>, ApiError> {
    match body.get("expires_in") {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_u64() {
            Some(seconds @ 1..) if seconds <= LONGEST_LIFE.0 => Ok(Some(at.plus(Seconds(seconds)))),
            _ => Err(ApiError::bad_request(
                "expires_in must be a positive integer of seconds, at most 100 years; leave it out for a token that does not expire",
            )),
        },
    }
}

fn checked_scopes(
    hub: &Hub,
    caller: &Caller,
    user: &User,
    scopes: Option<Vec<String>>,
    roles: Option<Vec<String>>,
) -> Result<Vec<String>, ApiError> {
    let asked = match (scopes, roles) {
        (Some(_), Some(_)) => {
            return Err(ApiError::bad_request("Cannot specify both `roles` and `scopes`."));
        }
        (Some(scopes), None) => scopes,
        (None, Some(roles)) => {
            roles.iter().map(|role| of_role(hub, role)).collect::<Result<Vec<_>, _>>()?.concat()
        }
        (None, None) => return Ok(default_scopes(hub, caller, user)),
    };
    let config = hub.config();
    let site = &config.people.roles;
    let wanted = Scopes::parse(&asked, user, site)
        .map_err(|error| ApiError::bad_request(error.to_string()))?;
    let groups = &user.account.groups;
    if !Scopes::of_user(user, site).cover(&wanted, groups) || !caller.scopes.cover(&wanted, groups)
    {
        return Err(ApiError::bad_request(format!(
            "Not assigning requested scopes {} not held by {} or by the one who asks",
            asked.join(", "),
            user.account.name
        )));
    }
    Ok(asked)
}

fn of_role(hub: &Hub, role: &str) -> Result<Vec<String>, ApiError> {
    let config = hub.config();
    if let Some(role) = config.people.roles.0.get(role).filter(|_| role != ADMIN) {
        return Ok(role.scopes.clone());
    }
    match role {
        "token" => Ok(vec!["inherit".into()]),
        "user" => Ok(vec!["self".into()]),
        "admin" => Ok(Scopes::admin().list()),
        _ => {
            let shown: String = role.chars().take(40).collect();
            Err(ApiError::bad_request(format!("Role '{shown}' does not exist")))
        }
    }
}

/// All that the owner may do, as long as the caller may do that too; else what both may.
fn default_scopes(hub: &Hub, caller: &Caller, user: &User) -> Vec<String> {
    let owner = Scopes::of_user(user, &hub.config().people.roles);
    if caller.scopes.cover(&owner, &user.account.groups) {
        vec!["inherit".into()]
    } else {
        owner.intersect(&caller.scopes, &user.account.groups).list()
    }
}
