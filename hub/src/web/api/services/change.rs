//! What makes services and removes them: those that run elsewhere. Those of `services.toml` are the
//! files'.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use berth_store::MadeService;
use serde_json::{Map, Value};

use super::model;
use crate::audit::Actor;
use crate::auth::Caller;
use crate::auth::principal::is_taken;
use crate::auth::scopes::{self, Scopes};
use crate::config::services::{self as rules, TOKEN_LENGTHS};
use crate::keys;
use crate::site::Hub;
use crate::storage::StorageError;
use crate::web::api::body::{self, JsonBody};
use crate::web::api::path::Names;
use crate::web::error::ApiError;

/// What a body may say, as in JupyterHub.
const KEYS: [&str; 14] = [
    "name",
    "admin",
    "url",
    "oauth_client_allowed_scopes",
    "api_token",
    "info",
    "display",
    "oauth_no_confirm",
    "command",
    "cwd",
    "environment",
    "user",
    "oauth_client_id",
    "oauth_redirect_uri",
];

/// `POST /services/:name`: a program elsewhere becomes a service.
pub async fn make(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Names(name): Names<String>,
    body: JsonBody,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    check_rights(&caller, &name)?;
    if hub.service(&name).is_some() {
        return Err(conflict(&name));
    }
    let body = body.or_empty();
    if body.is_empty() {
        return Err(ApiError::bad_request("Invalid service data"));
    }
    let made = read(&hub, &caller, &name, &body)?;
    let act = caller.act("service-make").on(&name);
    let saved = made.clone();
    let is_new = hub
        .storage
        .write(move |database| {
            database.together(|database| {
                let is_new = database.add_service(&saved)?;
                if is_new {
                    database.record(&act)?;
                }
                Ok(is_new)
            })
        })
        .await?;
    if !is_new {
        return Err(conflict(&name));
    }
    take_over(&hub)?;
    tracing::info!(service = name, by = caller.name(), "service made");
    let service = hub.service(&name).ok_or_else(ApiError::no_resource)?;
    Ok((StatusCode::CREATED, Json(Value::Object(model(&hub, &caller.scopes, &service)))))
}

/// `DELETE /services/:name`: it is gone at once, with its token and those of its visitors.
pub async fn remove(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Names(name): Names<String>,
) -> Result<(), ApiError> {
    check_rights(&caller, &name)?;
    let service = hub.service(&name).ok_or_else(ApiError::no_resource)?;
    if hub.config().services.0.contains_key(&name) {
        let message =
            format!("Service {name} is not modifiable at runtime: it stands in {}.", service.cite);
        return Err(ApiError::new(StatusCode::METHOD_NOT_ALLOWED, message));
    }
    let act = caller.act("service-remove").on(&name);
    let (removed, client) = (name.clone(), service.client_id.clone());
    let hashes = hub
        .storage
        .write(move |database| {
            database.together(|database| {
                database.record(&act)?;
                database.remove_service(&removed, &client)
            })
        })
        .await?;
    take_over(&hub)?;
    hub.forget_tokens(hashes);
    tracing::info!(service = name, by = caller.name(), "service removed");
    Ok(())
}

fn check_rights(caller: &Caller, name: &str) -> Result<(), ApiError> {
    caller.require("admin:services")?;
    if caller.scopes.reach_service("admin:services", name) {
        Ok(())
    } else {
        Err(ApiError::no_resource())
    }
}

/// From now on everybody knows the services as the store has them, the proxy too.
fn take_over(hub: &Hub) -> Result<(), StorageError> {
    hub.services.load(&hub.storage)?;
    hub.services.follow(&hub.all_services());
    Ok(())
}

fn conflict(name: &str) -> ApiError {
    ApiError::new(StatusCode::CONFLICT, format!("Service {name} already exists"))
}

fn read(
    hub: &Hub,
    caller: &Caller,
    name: &str,
    body: &Map<String, Value>,
) -> Result<MadeService, ApiError> {
    body::only(body, &KEYS)?;
    if !rules::is_service_name(name) {
        return Err(ApiError::bad_request(
            "Invalid service name: 1 to 64 of a-z, A-Z, 0-9, - and _, a letter or digit first",
        ));
    }
    let command: Vec<String> = body::field(body, "command")?.unwrap_or_default();
    if !command.is_empty() {
        let message = format!("Can not create managed service {name} at runtime");
        return Err(ApiError::bad_request(message));
    }
    let own = ["cwd", "environment", "user"];
    if let Some(key) = own.iter().find(|key| body.get(**key).is_some_and(|it| !it.is_null())) {
        return Err(ApiError::bad_request(format!(
            "{key} is for services that the hub starts: services.toml"
        )));
    }
    let text = |key| body::field::<String>(body, key).map(|text| text.filter(|it| !it.is_empty()));
    let flag = |key, usual| body::field::<bool>(body, key).map(|flag| flag.unwrap_or(usual));
    let mistake = |key: &str, why: &str| ApiError::bad_request(format!("{key}: {why}"));
    let url = text("url")?;
    if let Some(url) = &url {
        rules::target(url).map_err(|why| mistake("url", why))?;
    }
    let redirect = match text("oauth_redirect_uri")? {
        Some(text) => rules::redirect(&text).map_err(|why| mistake("oauth_redirect_uri", why))?,
        None => format!("{}oauth_callback", rules::prefix(name)),
    };
    let client_id = text("oauth_client_id")?.unwrap_or_else(|| format!("service-{name}"));
    if client_id.strip_prefix("service-").is_none_or(str::is_empty) {
        return Err(mistake("oauth_client_id", "must begin with service-"));
    }
    if hub.all_services().0.values().any(|other| other.client_id == client_id) {
        return Err(mistake("oauth_client_id", "is another service's"));
    }
    let admin = flag("admin", false)?;
    if admin && !caller.scopes.cover(&Scopes::admin(), &[]) {
        return Err(ApiError::bad_request(
            "Only administrators can make a service an administrator",
        ));
    }
    let visitor_scopes: Vec<String> =
        body::field(body, "oauth_client_allowed_scopes")?.unwrap_or_default();
    let visitor_scopes: Vec<_> =
        visitor_scopes.iter().map(|scope| rules::of_this_service(scope, name)).collect();
    for scope in &visitor_scopes {
        check_visitor_scope(caller, scope)?;
    }
    Ok(MadeService {
        name: name.to_owned(),
        url,
        token: token(hub, text("api_token")?)?,
        admin,
        client_id,
        redirect,
        visitor_scopes,
        no_confirm: flag("oauth_no_confirm", false)?,
        display: flag("display", true)?,
        info: body::field::<Map<_, _>>(body, "info")?.unwrap_or_default().into(),
    })
}

/// Nobody lets a service ask its visitors for more than they themselves may.
fn check_visitor_scope(caller: &Caller, scope: &str) -> Result<(), ApiError> {
    if !["inherit", "self"].contains(&scope) {
        scopes::check_text(scope).map_err(|error| ApiError::bad_request(error.to_string()))?;
    }
    if caller.scopes.cover_text(scope) {
        return Ok(());
    }
    let shown: String = scope.chars().take(80).collect();
    Err(ApiError::bad_request(format!(
        "Not assigning requested scopes {shown} not held by the one who asks"
    )))
}

/// The hash of a token that nobody else has.
fn token(hub: &Hub, text: Option<String>) -> Result<Option<[u8; 32]>, ApiError> {
    let Some(text) = text else { return Ok(None) };
    if !TOKEN_LENGTHS.contains(&text.len()) || !text.bytes().all(|it| it.is_ascii_graphic()) {
        return Err(ApiError::bad_request("api_token: 8 to 64 visible characters of ASCII"));
    }
    if is_taken(hub, &text)? {
        return Err(ApiError::bad_request("api_token: this one is in use; choose at random"));
    }
    Ok(Some(keys::hash(&text)))
}
