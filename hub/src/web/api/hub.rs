//! What the hub is and whether it lives.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_TYPE, HeaderName};
use berth_process::clock::now;
use serde_json::{Value, json};

use crate::auth::Caller;
use crate::metrics;
use crate::site::Hub;
use crate::web::error::ApiError;
use crate::web::response::JUPYTERHUB_VERSION;

/// `GET /hub/api`: what every client asks first, without credentials.
pub async fn version() -> ([(HeaderName, &'static str); 1], Json<Value>) {
    ([(ACCESS_CONTROL_ALLOW_ORIGIN, "*")], Json(json!({ "version": JUPYTERHUB_VERSION })))
}

/// `GET /hub/health`: empty, and only answered by a hub that can read its store.
pub async fn health(State(hub): State<Arc<Hub>>) -> Result<(), ApiError> {
    let nobody = crate::keys::hash("");
    hub.storage.read(|reader| reader.session(&nobody))?;
    Ok(())
}

/// `GET /hub/metrics`: for Prometheus.
pub async fn metrics(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
) -> Result<([(HeaderName, &'static str); 1], String), ApiError> {
    caller.require("read:metrics")?;
    let text = metrics::text(&hub, now()).map_err(|error| {
        tracing::error!(%error, "the metrics cannot be gathered");
        ApiError::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the metrics cannot be gathered; see the hub's log",
        )
    })?;
    Ok(([(CONTENT_TYPE, prometheus::TEXT_FORMAT)], text))
}

/// `GET /hub/api/info`.
pub async fn info(caller: Caller) -> Result<Json<Value>, ApiError> {
    caller.require("read:hub")?;
    let own = json!({ "class": "berth", "version": env!("CARGO_PKG_VERSION") });
    Ok(Json(json!({
        "version": JUPYTERHUB_VERSION,
        "python": "",
        "sys_executable": "",
        "spawner": own,
        "authenticator": own,
    })))
}
