//! `POST /shutdown`: the hub ends. What keeps it alive, systemd for one, starts it again.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use berth_common::Reason;
use berth_core::Fleet;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use tokio::sync::oneshot;

use crate::actions;
use crate::audit::{self, Actor};
use crate::auth::Caller;
use crate::site::Hub;
use crate::web::api::body::{self, JsonBody};
use crate::web::api::until;
use crate::web::error::ApiError;

/// How long the hub waits for servers that were told to stop. The orders are kept: the next hub
/// goes on with them.
const STOPS_WITHIN: Duration = Duration::from_secs(60);
/// JupyterHub's words.
const ANSWER: &str = r#"{"message": "Shutting down Hub"}"#;

/// `POST /shutdown` `{servers, proxy}`. Unlike JupyterHub's, servers run on unless it is said that
/// they shall not.
pub async fn shutdown(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    body: JsonBody,
) -> Result<Response, ApiError> {
    caller.require_for_all("shutdown")?;
    let body = body.or_empty();
    let flag = |key| body::field::<bool>(&body, key).map(Option::unwrap_or_default);
    let (proxy, servers) = (flag("proxy")?, flag("servers")?);
    if proxy {
        return Err(ApiError::bad_request(
            "The proxy is a program of its own, which people go on using without a hub: it is \
             ended where it was started, `systemctl stop berth-proxy`.",
        ));
    }
    if servers {
        caller.require_for_all("delete:servers")?;
    }
    audit::record(&hub, caller.act("hub-shutdown")).await?;
    tracing::info!(by = caller.name(), servers, "asked to end");
    if servers {
        stop_all(&hub, &caller).await?;
    }
    let (told, is_told) = oneshot::channel::<()>();
    tokio::spawn(async move {
        // Nothing is sent: what waits for it is let go with the answer's last byte.
        let _ = is_told.await;
        if servers {
            until(&hub, STOPS_WITHIN, |fleet| nothing_runs(fleet).then_some(())).await;
        }
        hub.end.notify_one();
    });
    let answer = Full::new(Bytes::from_static(ANSWER.as_bytes())).map_frame(move |frame| {
        let _held = &told;
        frame
    });
    let kind = [(CONTENT_TYPE, "application/json")];
    Ok((StatusCode::ACCEPTED, kind, Body::new(answer)).into_response())
}

async fn stop_all(hub: &Hub, caller: &Caller) -> Result<(), ApiError> {
    let fleet = hub.fleet.fleet();
    for server in fleet.servers.values().filter(|server| server.is_active()) {
        let owner = server.owner.as_str();
        audit::on_server(hub, caller, "server-stop", owner, server.id.as_str()).await?;
        actions::stop(hub, &server.id, Reason::StoppedAdmin).await?;
    }
    Ok(())
}

fn nothing_runs(fleet: &Fleet) -> bool {
    !fleet.servers.values().any(|server| server.is_active())
}
