//! Groups: those of the accounts, and those that this API made.

pub mod change;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use serde_json::{Map, Value, json};

use crate::auth::Caller;
use crate::auth::scopes::Scopes;
use crate::site::Hub;
use crate::web::api::page::{self, Page};
use crate::web::api::path::Names;
use crate::web::error::ApiError;

/// Groups by name.
type Groups = BTreeMap<String, Members>;

/// Who is in a group, and what programs keep with it.
#[derive(Debug, Default)]
struct Members {
    users: Vec<String>,
    properties: Map<String, Value>,
}

/// The scopes of which any shows something of a group.
const GROUP_SCOPES: [&str; 3] = ["read:groups", "read:groups:name", "read:roles:groups"];

fn all(hub: &Hub) -> Result<Groups, ApiError> {
    let (users, made) = hub.storage.read(|reader| Ok((reader.users()?, reader.made_groups()?)))?;
    let made = made.into_iter();
    let mut groups: Groups =
        made.map(|(name, properties)| (name, Members { users: Vec::new(), properties })).collect();
    for user in users {
        for group in &user.account.groups {
            let group = groups.entry(group.name.clone()).or_default();
            group.users.push(user.account.name.to_string());
        }
    }
    Ok(groups)
}

/// A group, as much of it as the caller may read.
fn model(hub: &Hub, scopes: &Scopes, name: &str, group: &Members) -> Map<String, Value> {
    let config = hub.config();
    let roles = config.people.roles.0.iter();
    let roles: Vec<_> =
        roles.filter(|(_, role)| role.people.groups.contains(name)).map(|(name, _)| name).collect();
    let mut model = Map::from_iter([("kind".into(), "group".into()), ("name".into(), name.into())]);
    if scopes.reach_group("read:groups", name) {
        model.insert("users".into(), json!(group.users));
        model.insert("properties".into(), json!(group.properties));
    }
    if scopes.reach_group("read:roles:groups", name) {
        model.insert("roles".into(), json!(roles));
    }
    model
}

/// `GET /groups`.
pub async fn list(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    caller.require("list:groups")?;
    let page = Page::read(&uri, &headers)?;
    let groups = all(&hub)?;
    let models: Vec<Value> = groups
        .iter()
        .filter(|(name, _)| caller.scopes.reach_group("list:groups", name))
        .map(|(name, group)| Value::Object(model(&hub, &caller.scopes, name, group)))
        .collect();
    Ok(Json(page::cut(&hub, &headers, &uri, &page, models)))
}

/// `GET /groups/:name`.
pub async fn show(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Names(name): Names<String>,
) -> Result<Json<Value>, ApiError> {
    if !GROUP_SCOPES.iter().any(|scope| caller.scopes.hold(scope)) {
        return Err(ApiError::no_scope(&GROUP_SCOPES));
    }
    let groups = all(&hub)?;
    let group = groups
        .get(&name)
        .filter(|_| GROUP_SCOPES.iter().any(|scope| caller.scopes.reach_group(scope, &name)))
        .ok_or_else(ApiError::no_resource)?;
    Ok(Json(Value::Object(model(&hub, &caller.scopes, &name, group))))
}
