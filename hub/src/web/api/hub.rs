//! What the hub is and whether it lives.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_TYPE, HeaderName};
use axum::http::{HeaderMap, StatusCode, Uri};
use berth_process::clock::now;
use serde_json::{Map, Value, json};

use crate::auth::Caller;
use crate::site::Hub;
use crate::web::api::page::{self, Page};
use crate::web::error::ApiError;
use crate::web::response::JUPYTERHUB_VERSION;
use crate::{metrics, routes};

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

/// `POST /hub/security/csp-report`: a browser says that a page broke its content security policy.
/// Anybody can send anything there, so it is counted and not kept.
pub async fn csp_report(State(hub): State<Arc<Hub>>) -> StatusCode {
    hub.metrics.work.complained();
    StatusCode::NO_CONTENT
}

/// `GET /hub/metrics`: for Prometheus.
pub async fn metrics(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
) -> Result<ForPrometheus, ApiError> {
    caller.require("read:metrics")?;
    for_prometheus(metrics::text(&hub, now()))
}

/// `GET /hub/metrics/gpus`: the GPUs under the names of dcgm-exporter.
pub async fn gpu_metrics(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
) -> Result<ForPrometheus, ApiError> {
    caller.require("read:metrics")?;
    for_prometheus(metrics::gpus(&hub))
}

type ForPrometheus = ([(HeaderName, &'static str); 1], String);

fn for_prometheus(gathered: anyhow::Result<String>) -> Result<ForPrometheus, ApiError> {
    let text = gathered.map_err(|error| {
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

/// `GET /hub/api/proxy`: the proxy's routes, as JupyterHub shows them.
pub async fn proxy(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    caller.require_for_all("proxy")?;
    let page = Page::read(&uri, &headers)?;
    let table = routes::table(&hub).await.ok_or_else(no_proxy)?;
    let table = table.as_object().cloned().unwrap_or_default();
    let total = table.len();
    let shown = table.into_iter().skip(page.offset).take(page.limit);
    let items: Map<String, Value> = shown.map(|(path, record)| route(&path, record)).collect();
    if !page.with_place {
        return Ok(Json(Value::Object(items)));
    }
    let place = page::place(&hub, &headers, &uri, &page, items.len(), total);
    Ok(Json(json!({ "items": items, "_pagination": place })))
}

/// `POST /hub/api/proxy`: JupyterHub brings its proxy in line. Here that is done at each change and
/// again every few seconds; what can be said is whether the proxy answers.
pub async fn check_proxy(State(hub): State<Arc<Hub>>, caller: Caller) -> Result<(), ApiError> {
    caller.require_for_all("proxy")?;
    routes::table(&hub).await.map(|_| ()).ok_or_else(no_proxy)
}

/// `PATCH /hub/api/proxy`: another proxy. Its address is the configuration's.
pub async fn change_proxy(caller: Caller) -> Result<(), ApiError> {
    caller.require_for_all("proxy")?;
    Err(ApiError::bad_request("Where the proxy is stands in hub.toml, under [proxy]."))
}

/// `POST /hub/api/users/:name/admin-access`: in JupyterHub a relic that is off.
pub async fn admin_access(caller: Caller) -> Result<(), ApiError> {
    caller.require("servers")?;
    Err(ApiError::forbidden("admin access to user servers disabled"))
}

fn no_proxy() -> ApiError {
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "The proxy does not answer at the moment.")
}

fn route(path: &str, record: Value) -> (String, Value) {
    let spec = format!("{}/", path.trim_end_matches('/'));
    let Value::Object(mut data) = record else { return (spec, Value::Null) };
    let target = data.remove("target");
    let route = json!({ "routespec": spec, "target": target, "data": data });
    (spec, route)
}
