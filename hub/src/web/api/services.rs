//! `/services`: the site's services, and those that this API made.

pub mod change;

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Map, Value, json};

use crate::auth::Caller;
use crate::auth::scopes::Scopes;
use crate::config::services::Service;
use crate::site::Hub;
use crate::web::api::path::Names;
use crate::web::error::ApiError;

/// Which scope shows which fields, as in JupyterHub.
const FIELDS: [(&str, &[&str]); 3] = [
    (
        "read:services",
        &["kind", "name", "admin", "url", "prefix", "command", "pid", "info", "display"],
    ),
    ("read:services:name", &["kind", "name", "admin"]),
    ("read:roles:services", &["kind", "name", "roles", "admin"]),
];

/// `GET /services`: by name.
pub async fn list(State(hub): State<Arc<Hub>>, caller: Caller) -> Result<Json<Value>, ApiError> {
    caller.require("list:services")?;
    let all = hub.all_services();
    let reached = all
        .0
        .values()
        .filter(|service| caller.scopes.reach_service("list:services", &service.name));
    let models = reached
        .map(|service| (service.name.clone(), Value::Object(model(&hub, &caller.scopes, service))));
    Ok(Json(Value::Object(models.collect())))
}

/// `GET /services/:name`.
pub async fn show(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Names(name): Names<String>,
) -> Result<Json<Value>, ApiError> {
    let scopes = FIELDS.map(|(scope, _)| scope);
    if !scopes.iter().any(|scope| caller.scopes.hold(scope)) {
        return Err(ApiError::no_scope(&scopes));
    }
    let service = hub
        .service(&name)
        .filter(|_| scopes.iter().any(|scope| caller.scopes.reach_service(scope, &name)))
        .ok_or_else(ApiError::no_resource)?;
    Ok(Json(Value::Object(model(&hub, &caller.scopes, &service))))
}

/// Who a service's token belongs to.
pub fn whoami(hub: &Hub, caller: &Caller, name: &str) -> Map<String, Value> {
    let mut own = match hub.service(name) {
        Some(service) => model(hub, &caller.scopes, &service),
        None => Map::new(),
    };
    own.insert("kind".into(), json!("service"));
    own.insert("name".into(), json!(name));
    own.insert("admin".into(), json!(is_admin(&caller.scopes)));
    own
}

/// A service, as much of it as these scopes show.
fn model(hub: &Hub, scopes: &Scopes, service: &Service) -> Map<String, Value> {
    let held = FIELDS.iter().filter(|(scope, _)| scopes.reach_service(scope, &service.name));
    let fields: BTreeSet<&str> = held.flat_map(|(_, fields)| *fields).copied().collect();
    let config = hub.config();
    let own = Scopes::of_service(service, &config.people.roles);
    let roles: Vec<_> =
        config.people.roles.of_service(&service.name).map(|(name, _)| name).collect();
    let whole = json!({
        "kind": "service",
        "name": service.name,
        "roles": roles,
        "admin": is_admin(&own),
        "url": service.url.as_ref().map_or("", url::Url::as_str),
        "prefix": if service.url.is_some() { service.prefix() } else { String::new() },
        "command": service.command,
        "pid": hub.services.pid(&service.name).unwrap_or(0),
        "info": service.info,
        "display": service.display,
    });
    let Value::Object(mut model) = whole else { return Map::new() };
    model.retain(|key, _| fields.contains(key.as_str()));
    model
}

/// Whether these are an administrator's.
fn is_admin(scopes: &Scopes) -> bool {
    scopes.hold_for_all("admin:users") && scopes.hold_for_all("admin:servers")
}
