//! What keeps a server alive, when it will stop, and its owner's way to put that off.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use berth_common::{Seconds, Timestamp};
use berth_core::life::{Outlook, outlook};
use berth_core::{Answer, Fleet, Reason, Server};
use berth_store::User;
use serde_json::{Value, json};

use crate::actions;
use crate::audit;
use crate::auth::Caller;
use crate::site::Hub;
use crate::web::api::berth::{answer, reason, servers};
use crate::web::api::body::{self, JsonBody};
use crate::web::api::path::Names;
use crate::web::error::ApiError;

/// `POST servers/:id/extend` `{for?}`: puts the stop off by so many seconds, rounded up to whole
/// steps; by one step if nothing is said.
pub async fn extend(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Names(id): Names<String>,
    body: JsonBody,
) -> Result<Json<Value>, ApiError> {
    caller.require("start:servers")?;
    let body = body.or_empty();
    body::only(&body, &["for"])?;
    let longer: Option<u64> = body::field(&body, "for")?;
    let fleet = hub.fleet.fleet();
    let server = servers::find(&hub, &fleet, &caller, &id)?;
    if !may_keep(&hub, &caller, server)? {
        return Err(ApiError::no_resource());
    }
    let step = fleet.settings.lifecycle.extend.step;
    let steps = longer.map_or(1, |seconds| seconds.div_ceil(step.0.max(1)));
    let steps = u32::try_from(steps).unwrap_or(u32::MAX);
    if steps == 0 {
        return Err(ApiError::bad_request("for: more than no time is needed, in seconds"));
    }
    // Administrators keep servers running for others, whatever their budgets.
    let beyond = caller.scopes.hold_for_all("start:servers");
    let owner = server.owner.as_str();
    audit::on_server(&hub, &caller, "server-extend", owner, server.id.as_str()).await?;
    match actions::extend(&hub, &server.id, steps, beyond).await? {
        Answer::Extended { stop, left } => {
            tracing::info!(action = "extend", server = %server.id, %stop, left, by = caller.name(), "stop put off");
            let fleet = hub.fleet.fleet();
            let server = fleet.servers.get(&server.id).ok_or_else(ApiError::no_resource)?;
            Ok(answer("server", servers::describe(&hub, &fleet, server)))
        }
        refused => Err(refusal(&refused, step)),
    }
}

/// Why a stop was not put off.
fn refusal(refused: &Answer, step: Seconds) -> ApiError {
    let text = refusal_text(refused, step);
    let error = ApiError::new(StatusCode::CONFLICT, text);
    match refused {
        Answer::ExtensionsUsedUp { .. } => error.because(Reason::RefusedExtension),
        Answer::NoSuchServer => ApiError::no_resource(),
        _ => error,
    }
}

/// The same, in a sentence.
fn refusal_text(refused: &Answer, step: Seconds) -> String {
    match refused {
        Answer::ExtensionsUsedUp { left: 0, of: 0 } => {
            "The stop of such servers cannot be put off.".to_owned()
        }
        Answer::ExtensionsUsedUp { left: 0, of } => {
            format!("It was put off as often as possible already: {of} times, by {step} each.")
        }
        Answer::ExtensionsUsedUp { left, of } => {
            format!("It can be put off {left} more times of {of}, by {step} each.")
        }
        Answer::StopsForNothing => {
            "Nothing is going to stop it, so there is nothing to put off.".to_owned()
        }
        _ => "It does not run.".to_owned(),
    }
}

fn may_keep(hub: &Hub, caller: &Caller, server: &Server) -> Result<bool, ApiError> {
    if caller.scopes.hold_for_all("start:servers") {
        return Ok(true);
    }
    let owner: Option<User> = hub.storage.read(|reader| reader.user(&server.owner))?;
    Ok(owner.is_some_and(|owner| {
        caller.scopes.reach_server("start:servers", &owner.account, &server.name)
    }))
}

/// A host that is emptied under a server, as its owner was told; null for others.
pub fn leaving(fleet: &Fleet, server: &Server) -> Value {
    let Some(leaving) = fleet.leaving(server) else { return Value::Null };
    json!({
        "host": leaving.host,
        "by": leaving.by.map(|at| at.to_string()),
        "stops_at": leaving.stops_at().map(|at| at.to_string()),
        "reason": leaving.why(),
        "told_at": leaving.told.newest.to_string(),
    })
}

/// Why a server will stop, in a sentence.
pub fn why_soon(reason: Reason) -> &'static str {
    match reason {
        Reason::StoppedAge => "The server will stop: it has run as long as its profile allows.",
        Reason::StoppedTraining => "The server will stop: its training is over.",
        Reason::StoppedGpuUnused => "The server will stop: its GPU is held and not used.",
        _ => "The server will stop: nothing is going on in it.",
    }
}

/// A placed server's life, for pages, API and CLI; null for others.
pub fn describe(fleet: &Fleet, server: &Server, now: Timestamp) -> Value {
    let Some(placement) = server.placement().filter(|_| server.is_ready()) else {
        return Value::Null;
    };
    let life = outlook(&fleet.settings, server, placement, now);
    let signs: Vec<_> = life
        .signs
        .iter()
        .map(|(kind, at, counts)| {
            json!({ "kind": kind, "text": kind.words(), "at": at.to_string(), "counts": counts })
        })
        .collect();
    json!({
        "signs": signs,
        "idle_since": life.idle_since.map(|at| at.to_string()),
        "stops_at": life.stop.map(|(at, _)| at.to_string()),
        "stops_for": reason(life.stop.map(|(_, why)| why)),
        "warned_at": life.warned.map(|told| told.at.to_string()),
        "extension": extension(&life),
        "gpu_unused": life.question.map(|question| json!({
            "since": question.unused_since.to_string(),
            "offers_cpu": question.offers_cpu,
            "listed": question.listed,
        })),
    })
}

/// How often the stop can still be put off, and by how much.
pub fn extension(life: &Outlook) -> Value {
    let extension = life.extension;
    json!({ "step_s": extension.step.0, "left": extension.left, "of": extension.of })
}
