//! Who waits, in the order in which they are served.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use berth_core::event::Event;
use berth_core::fleet::Moved;
use berth_core::queue::place_of;
use berth_core::queue::{Waiter, estimate, waiters};
use berth_core::{Answer, Phase, Server};
use berth_process::clock::now;
use serde_json::{Value, json};

use crate::audit;
use crate::auth::Caller;
use crate::site::Hub;
use crate::web::api::berth::{answer, reason, servers};
use crate::web::api::body::{self, JsonBody};
use crate::web::api::path::Names;
use crate::web::error::{ApiError, cut};

/// `GET queue`: first those whose place is held, then the others in the order of their turns.
pub async fn list(State(hub): State<Arc<Hub>>, caller: Caller) -> Result<Json<Value>, ApiError> {
    caller.require("admin-ui")?;
    let fleet = hub.fleet.fleet();
    let waiters = waiters(&fleet, now());
    let mut places = BTreeMap::new();
    let held = fleet.waiting().filter(|server| server.holds_on().is_some());
    let mut all: Vec<_> = held.map(|server| describe(server)).collect();
    for waiter in &waiters {
        let Waiter { server, checked, .. } = waiter;
        let mut described = describe(server);
        if let Ok(need) = checked {
            let ahead: &mut u32 = places.entry(need.pool.as_str()).or_default();
            described["pool"] = json!(need.pool);
            described["place"] = json!(ahead.saturating_add(1));
            let estimate = estimate(&fleet, fleet.rows(), need, *ahead, now());
            described["estimate_s"] = json!(estimate.map(|it| [it.from.0, it.to.0]));
            *ahead = ahead.saturating_add(1);
        }
        all.push(described);
    }
    Ok(answer("queue", json!(all)))
}

/// `PUT queue/:id` `{to: "first"|"last", reason}`: another turn for somebody who waits.
pub async fn change(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Names(id): Names<String>,
    body: JsonBody,
) -> Result<Json<Value>, ApiError> {
    caller.require("admin-ui")?;
    let body = body.or_empty();
    body::only(&body, &["to", "reason"])?;
    let to: Option<Moved> = body::field(&body, "to")?;
    let to = to.ok_or_else(|| ApiError::bad_request("to: say first or last"))?;
    let why: Option<String> = body::field(&body, "reason")?;
    let why = why.filter(|why| !why.trim().is_empty());
    let why = why.ok_or_else(|| ApiError::bad_request("reason: say why; it is kept"))?;
    let fleet = hub.fleet.fleet();
    let server = servers::find(&hub, &fleet, &caller, &id)?;
    let (id, owner) = (server.id.clone(), server.owner.clone());
    let act = ("queue-move", owner.as_str(), id.as_str());
    audit::on_server_because(&hub, &caller, act, Some(&cut(&why))).await?;
    match hub.fleet.ask(Event::Move { server: id.clone(), to, reply: None }).await? {
        Answer::Moved => {}
        Answer::NoSuchServer => return Err(ApiError::no_resource()),
        _ => return Err(ApiError::new(StatusCode::CONFLICT, "It does not wait.")),
    }
    let fleet = hub.fleet.fleet();
    // It may have got a place at once.
    let place = fleet.servers.get(&id).and_then(|server| place_of(&fleet, server, now()));
    Ok(answer("queue", json!({ "server": id, "place": place })))
}

fn describe(server: &Server) -> Value {
    let (waits, place) = match &server.phase {
        Phase::Waiting { reason, place, .. } => (Some(*reason), place.as_ref()),
        _ => (None, None),
    };
    let ask = &server.ask;
    json!({
        "server": server.id,
        "user": server.owner,
        "name": server.name,
        "pool": null,
        "place": null,
        "ask": {
            "profile": ask.profile,
            "memory": ask.memory,
            "image": ask.image,
            "gpus": ask.gpus,
            "gpu_model": ask.gpu_model,
        },
        "reason": reason(waits),
        "since": server.waiting_since().map(|at| at.to_string()),
        "estimate_s": null,
        "held": place.map(|place| json!({ "host": place.host, "until": place.until.to_string() })),
        "decision": server.decision,
    })
}
