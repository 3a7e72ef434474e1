//! Starting and stopping a person's servers.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use berth_common::{Reason, ServerId, ServerName};
use berth_core::{Answer, Decision, Fleet, Outcome, Phase};
use berth_store::User;
use serde_json::Value;

use crate::actions;
use crate::audit;
use crate::auth::Caller;
use crate::site::Hub;
use crate::web::api::body::JsonBody;
use crate::web::api::path::Names;
use crate::web::api::{SLOW, find_user, lay_down, model, options, server_name, until};
use crate::web::error::{ApiError, cut};

/// The default server's endpoints.
pub fn default_server() -> MethodRouter<Arc<Hub>> {
    get(show_default)
        .post(start_default)
        .put(lay_down::make_default)
        .patch(lay_down::change_default)
        .delete(stop_default)
}

/// A named server's endpoints.
pub fn named_server() -> MethodRouter<Arc<Hub>> {
    get(show_named)
        .post(start_named)
        .put(lay_down::make_named)
        .patch(lay_down::change_named)
        .delete(stop_named)
}

async fn show_default(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Names(user): Names<String>,
) -> Result<Json<Value>, ApiError> {
    show(&hub, &caller, &user, "")
}

async fn show_named(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Names((user, server)): Names<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    show(&hub, &caller, &user, &server)
}

async fn start_default(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Names(user): Names<String>,
    body: JsonBody,
) -> Result<Response, ApiError> {
    start(&hub, &caller, &user, "", body).await
}

async fn start_named(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Names((user, server)): Names<(String, String)>,
    body: JsonBody,
) -> Result<Response, ApiError> {
    start(&hub, &caller, &user, &server, body).await
}

async fn stop_default(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Names(user): Names<String>,
    body: JsonBody,
) -> Result<StatusCode, ApiError> {
    stop(&hub, &caller, &user, "", body).await
}

async fn stop_named(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Names((user, server)): Names<(String, String)>,
    body: JsonBody,
) -> Result<StatusCode, ApiError> {
    stop(&hub, &caller, &user, &server, body).await
}

fn show(hub: &Hub, caller: &Caller, user: &str, server: &str) -> Result<Json<Value>, ApiError> {
    caller.require("read:servers")?;
    let name = server.parse().map_err(|_| ApiError::no_resource())?;
    let user = caller.require_server("read:servers", find_user(hub, user)?, &name)?;
    let fleet = hub.fleet.fleet();
    let server = fleet.find(&user.account.name, &name).ok_or_else(|| no_server(&user, &name))?;
    Ok(Json(model::server(hub, caller, &user, server)))
}

async fn start(
    hub: &Hub,
    caller: &Caller,
    user: &str,
    server: &str,
    body: JsonBody,
) -> Result<Response, ApiError> {
    caller.require("start:servers")?;
    let name = server_name(server)?;
    let user = caller.require_server("start:servers", find_user(hub, user)?, &name)?;
    let options = options::read(body.0)?;
    let full_name = format!("{}/{name}", user.account.name);
    let account = user.account;
    audit::on_server(hub, caller, "server-start", account.name.as_str(), &full_name).await?;
    match actions::start(hub, account, name, options.wish, options.user_options, false).await? {
        Answer::Accepted(decision) => accepted(hub, &decision).await,
        Answer::AlreadyPending(_) => Ok(plain(StatusCode::ACCEPTED)),
        Answer::AlreadyRunning(id) if !is_open(hub, &id) => Ok(plain(StatusCode::ACCEPTED)),
        Answer::AlreadyRunning(_) => {
            Err(ApiError::bad_request(format!("{full_name} is already running")))
        }
        Answer::Stopping(_) => Err(ApiError::bad_request(format!(
            "{full_name} is pending stop; start it again when that is done"
        ))),
        // Every refusal is of the request as it was made, so it is JupyterHub's 400; the code of
        // the reason tells them apart.
        Answer::Refused(decision) => {
            Err(ApiError::bad_request(decision.sentence()).because(decision.reason()))
        }
        Answer::StopUnderWay
        | Answer::NotRunning
        | Answer::Resizing
        | Answer::ResizeRefused(_)
        | Answer::LaidDown
        | Answer::Exists
        | Answer::TooMany
        | Answer::Removed
        | Answer::NoSuchServer
        | Answer::Extended { .. }
        | Answer::ExtensionsUsedUp { .. }
        | Answer::StopsForNothing
        | Answer::Intended
        | Answer::NoSuchHost
        | Answer::AnotherPlan
        | Answer::Moved
        | Answer::NotWaiting => {
            Err(ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "The start was not understood."))
        }
    }
}

/// 201 once people can open it, 202 when that takes longer. One that waits for room may wait for
/// hours: the caller learns at once.
async fn accepted(hub: &Hub, decision: &Decision) -> Result<Response, ApiError> {
    if matches!(decision.outcome, Outcome::Waits { .. }) {
        return Ok(plain(StatusCode::ACCEPTED));
    }
    let ended = until(hub, SLOW, |fleet| start_result(hub, fleet, &decision.server)).await;
    match ended {
        None => Ok(plain(StatusCode::ACCEPTED)),
        Some(Ok(())) => Ok(plain(StatusCode::CREATED)),
        Some(Err((reason, detail))) => {
            let message = format!("Spawn failed: {detail}");
            Err(ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, message).because(reason))
        }
    }
}

/// How a start ended, if it has.
fn start_result(hub: &Hub, fleet: &Fleet, id: &ServerId) -> Option<Result<(), (Reason, String)>> {
    let server = fleet.servers.get(id)?;
    if hub.is_open(server) {
        return Some(Ok(()));
    }
    let end = match &server.phase {
        Phase::Waiting { .. } => return None,
        Phase::Placed(placement) => placement.stop.as_ref().map(|stop| &stop.end)?,
        Phase::Idle => server.last_end.as_ref()?,
    };
    Some(Err((end.reason, model_text(end))))
}

/// Why a server ended, in a sentence.
pub fn model_text(end: &berth_core::fleet::End) -> String {
    if end.detail.is_empty() {
        end.reason.text().to_owned()
    } else {
        format!("{} {}", end.reason.text(), end.detail)
    }
}

fn is_open(hub: &Hub, id: &ServerId) -> bool {
    hub.fleet.fleet().servers.get(id).is_some_and(|server| hub.is_open(server))
}

async fn stop(
    hub: &Arc<Hub>,
    caller: &Caller,
    user: &str,
    server: &str,
    body: JsonBody,
) -> Result<StatusCode, ApiError> {
    caller.require("delete:servers")?;
    let name = server.parse::<ServerName>().map_err(|_| ApiError::no_resource())?;
    let user = caller.require_server("delete:servers", find_user(hub, user)?, &name)?;
    let body = body.or_empty();
    let remove = body.get("remove").and_then(Value::as_bool).unwrap_or(false);
    let why = body.get("reason").and_then(Value::as_str).map(cut);
    if remove && name.is_default() {
        return Err(ApiError::bad_request("The default server cannot be removed, only stopped."));
    }
    let found = hub.fleet.fleet().find(&user.account.name, &name).map(|server| server.id.clone());
    let Some(id) = found else {
        let nothing_to_do = if name.is_default() { Ok(StatusCode::NO_CONTENT) } else { Err(()) };
        return nothing_to_do.map_err(|()| no_server(&user, &name));
    };
    let reason = if caller.is(&user) { Reason::StoppedUser } else { Reason::StoppedAdmin };
    let action = if remove { "server-remove" } else { "server-stop" };
    let (owner, server) = (user.account.name.as_str(), id.as_str());
    audit::on_server_because(hub, caller, (action, owner, server), why.as_deref()).await?;
    let stopped = stop_and_wait(hub, &id, reason).await?;
    let done = stopped && (!remove || actions::remove(hub, &id).await? != Answer::StopUnderWay);
    if remove && !done {
        tokio::spawn(remove_later(Arc::clone(hub), id));
    }
    Ok(if done { StatusCode::NO_CONTENT } else { StatusCode::ACCEPTED })
}

/// Orders a server to end and waits a while. True once nothing of it is left.
pub async fn stop_and_wait(hub: &Hub, id: &ServerId, reason: Reason) -> Result<bool, ApiError> {
    match actions::stop(hub, id, reason).await? {
        Answer::NotRunning | Answer::NoSuchServer => return Ok(true),
        _ => {}
    }
    Ok(until(hub, SLOW, |fleet| is_gone(fleet, id).then_some(())).await.is_some())
}

fn is_gone(fleet: &Fleet, id: &ServerId) -> bool {
    fleet.servers.get(id).is_none_or(|server| !server.is_active())
}

/// How long a removal waits for a stop. A host that does not report may hold one for long; then
/// the server is kept and can be removed again.
const REMOVE_WITHIN: std::time::Duration = std::time::Duration::from_secs(600);

async fn remove_later(hub: Arc<Hub>, id: ServerId) {
    let may_be_removed = |fleet: &Fleet| {
        let settled = fleet.unsettled().next().is_none();
        (settled && is_gone(fleet, &id)).then_some(())
    };
    if until(&hub, REMOVE_WITHIN, may_be_removed).await.is_some()
        && let Err(error) = actions::remove(&hub, &id).await
    {
        tracing::warn!(server = %id, %error, "a stopped server was not removed");
    }
}

pub(super) fn no_server(user: &User, name: &ServerName) -> ApiError {
    ApiError::not_found(format!("{} has no server named '{name}'", user.account.name))
}

fn plain(status: StatusCode) -> Response {
    (status, [(CONTENT_TYPE, "text/plain")]).into_response()
}
