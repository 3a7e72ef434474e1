//! JupyterHub's shares: nobody can share a server here, so there are none. Reading says so as a
//! JupyterHub without shares does; whoever may share is told that it is not possible.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use serde_json::Value;

use crate::auth::Caller;
use crate::site::Hub;
use crate::web::api::find_user;
use crate::web::api::page::{self, Page};
use crate::web::api::path::Names;
use crate::web::error::ApiError;

/// `GET /shares/:owner[/:server]` and `/share-codes/:owner[/:server]`.
pub async fn of_owner(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Names(path): Names<Vec<(String, String)>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    let owner = path.first().map(|(_, owner)| owner.as_str()).unwrap_or_default();
    caller.require_user(&["read:shares"], find_user(&hub, owner)?)?;
    none(&hub, &uri, &headers)
}

/// `GET /users/:name/shared`.
pub async fn with_user(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Names(name): Names<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    caller.require_user(&["read:users:shares"], find_user(&hub, &name)?)?;
    none(&hub, &uri, &headers)
}

/// `GET /groups/:name/shared`.
pub async fn with_group(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Names(name): Names<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    caller.require("read:groups:shares")?;
    if !caller.scopes.reach_group("read:groups:shares", &name) {
        return Err(ApiError::no_resource());
    }
    none(&hub, &uri, &headers)
}

/// A list of shares always has JupyterHub's pages.
fn none(hub: &Hub, uri: &Uri, headers: &HeaderMap) -> Result<Json<Value>, ApiError> {
    let page = Page { with_place: true, ..Page::read(uri, headers)? };
    Ok(Json(page::cut(hub, headers, uri, &page, Vec::new())))
}

/// Every call that would share something.
pub async fn refuse(caller: Caller) -> Result<Json<Value>, ApiError> {
    caller.require("shares")?;
    Err(ApiError::bad_request("Servers are not shared here."))
}
