//! `GET /hub/api/user`: who a token belongs to. Every request of a notebook's visitor leads here.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::auth::MaybeCaller;
use crate::auth::principal::Via;
use crate::site::Hub;
use crate::web::api::{model, services};
use crate::web::error::ApiError;

/// An unknown or expired token gets 403, never 401: a client takes 401 for a fault of the hub.
pub async fn whoami(
    State(hub): State<Arc<Hub>>,
    MaybeCaller(caller): MaybeCaller,
) -> Result<Json<Value>, ApiError> {
    let caller = caller.ok_or_else(ApiError::nobody)?;
    let fleet = hub.fleet.fleet();
    let mut model = match (&caller.user, &caller.via) {
        (Some(user), _) => model::user(&hub, &fleet, &caller, user, false),
        (None, Via::Service(name)) => services::whoami(&hub, &caller, name),
        (None, _) => serde_json::Map::from_iter([
            ("kind".to_owned(), json!("service")),
            ("name".to_owned(), json!("local-admin")),
            ("admin".to_owned(), json!(true)),
        ]),
    };
    let (token_id, session_id) = match &caller.via {
        Via::Session(session) => (None, Some(session.clone())),
        Via::Token { id, session } => (Some(model::token_id(*id)), session.clone()),
        Via::Server(server) => (Some(format!("server-{server}")), None),
        Via::Service(name) => (Some(format!("service-{name}")), None),
        Via::Socket => (None, None),
    };
    model.insert("token_id".into(), json!(token_id));
    model.insert("session_id".into(), json!(session_id));
    model.insert("scopes".into(), json!(caller.scopes.list()));
    Ok(Json(Value::Object(model)))
}
