//! Servers with where they are and why.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use berth_common::Username;
use berth_common::link::{Account, Kill};
use berth_core::fleet::{Loan, Resize, ResizeState};
use berth_core::{Fleet, Phase, Server};
use berth_process::clock::now;
use serde_json::{Value, json};

use crate::auth::Caller;
use crate::site::Hub;
use crate::web::api::berth::{answer, life, reason};
use crate::web::api::path::Names;
use crate::web::api::progress::place_in_queue;
use crate::web::error::ApiError;

/// `GET servers`: all that the caller may read.
pub async fn list(State(hub): State<Arc<Hub>>, caller: Caller) -> Result<Json<Value>, ApiError> {
    caller.require("read:servers")?;
    let fleet = hub.fleet.fleet();
    let accounts = accounts(&hub)?;
    let servers: Vec<_> = fleet
        .servers
        .values()
        .filter(|server| may_read(&caller, &accounts, server))
        .map(|server| describe(&hub, &fleet, server))
        .collect();
    Ok(answer("servers", json!(servers)))
}

/// `GET servers/:id`, by id or by a prefix that only one server has.
pub async fn show(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Names(id): Names<String>,
) -> Result<Json<Value>, ApiError> {
    let fleet = hub.fleet.fleet();
    let server = find(&hub, &fleet, &caller, &id)?;
    Ok(answer("server", describe(&hub, &fleet, server)))
}

/// The server of an id or a unique prefix of one, among those that the caller may read.
pub fn find<'a>(
    hub: &Hub,
    fleet: &'a Fleet,
    caller: &Caller,
    id: &str,
) -> Result<&'a Server, ApiError> {
    caller.require("read:servers")?;
    let hexadecimal = !id.is_empty() && id.len() <= 16 && id.bytes().all(|b| b.is_ascii_hexdigit());
    if !hexadecimal {
        return Err(ApiError::bad_request(
            "a server id is 16 hexadecimal digits, or their beginning",
        ));
    }
    let accounts = accounts(hub)?;
    let mut found = fleet
        .servers
        .values()
        .filter(|server| server.id.as_str().starts_with(id) && may_read(caller, &accounts, server));
    match (found.next(), found.next()) {
        (Some(server), None) => Ok(server),
        (Some(_), Some(_)) => {
            Err(ApiError::bad_request(format!("several servers begin with {id}; write more of it")))
        }
        (None, _) => Err(ApiError::no_resource()),
    }
}

/// Accounts by name, read once for a whole list.
fn accounts(hub: &Hub) -> Result<BTreeMap<Username, Account>, ApiError> {
    let users = hub.storage.read(berth_store::Reader::users)?;
    Ok(users.into_iter().map(|user| (user.account.name.clone(), user.account)).collect())
}

/// Servers whose owner is gone are the administrators'.
fn may_read(caller: &Caller, accounts: &BTreeMap<Username, Account>, server: &Server) -> bool {
    let reaches = |account| caller.scopes.reach_server("read:servers", account, &server.name);
    caller.scopes.hold_for_all("read:servers") || accounts.get(&server.owner).is_some_and(reaches)
}

/// How far the newest order to change a limit is.
fn resize(resize: &Resize) -> Value {
    let (state, refused) = match &resize.state {
        ResizeState::UnderWay => ("under_way", None),
        ResizeState::Done => ("done", None),
        ResizeState::Refused { end } => ("refused", Some(end)),
    };
    json!({
        "state": state,
        "limit": resize.limit.memory,
        "before": resize.before,
        "at": resize.at.to_string(),
        "refused": refused.map(|end| json!({ "reason": reason(Some(end.reason)), "detail": end.detail })),
    })
}

/// Memory that is lent to a server now.
fn loan(loan: &Loan) -> Value {
    json!({
        "own": loan.own,
        "lent": loan.lent,
        "at": loan.at.to_string(),
        "until": loan.until.to_string(),
        "text": loan.sentence(),
    })
}

/// A process that was killed for want of memory.
fn kill(kill: &Kill) -> Value {
    let victim = kill.victim.as_ref();
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    json!({
        "at": kill.at.to_string(),
        "process": victim.map(|victim| &victim.name),
        "notebook": victim.and_then(|victim| text(&victim.notebook)),
        "kernel": victim.and_then(|victim| text(&victim.kernel)),
        "highest": kill.highest,
        "limit": kill.limit,
        "text": kill.sentence(),
    })
}

/// Its work on the compute farm; null when there is nothing to tell.
fn farm(hub: &Hub, server: &Server) -> Value {
    let work = hub.farm.of(&server.id);
    if work.is_nothing() { Value::Null } else { json!(*work) }
}

/// How far the fetch of its image is, while its host fetches that to make it.
fn fetch(fleet: &Fleet, server: &Server) -> Value {
    let host = server.placement().and_then(|placement| fleet.hosts.get(&placement.host));
    let host = host.filter(|host| host.is_fetching(&server.id));
    json!(host.map(|host| json!({ "percent": host.fetched(&server.id) })))
}

/// A server as everybody sees it: page, API, CLI.
pub fn describe(hub: &Hub, fleet: &Fleet, server: &Server) -> Value {
    let placement = server.placement();
    let (waits, place) = match &server.phase {
        Phase::Waiting { reason, .. } => (Some(*reason), Some(place_in_queue(fleet, server))),
        _ => (None, None),
    };
    let end = placement
        .and_then(|placement| placement.stop.as_ref())
        .map(|stop| &stop.end)
        .or(server.last_end.as_ref());
    let seen = placement.and_then(|placement| {
        let seen = fleet.hosts.get(&placement.host)?.heard.as_ref()?.observed.get(&server.id)?;
        (seen.generation == server.generation).then_some(seen)
    });
    let used = seen.map(|seen| seen.memory_used);
    let highest = seen.map(|seen| seen.usage.memory_highest);
    json!({
        "id": server.id,
        "user": server.owner,
        "name": server.name,
        "state": fleet.server_state(server, now()).to_string(),
        "open": hub.is_open(server),
        "generation": server.generation,
        "host": placement.map(|placement| &placement.host),
        "last_host": server.last_host,
        "profile": server.ask.profile,
        "pool": fleet.settings.profiles.get(&server.ask.profile).map(|profile| &profile.pool),
        "image": server.ask.image,
        "memory": { "limit": server.ask.memory, "used": used, "highest": highest },
        "gpus": placement.map_or(0, |placement| placement.gpus.len()),
        "gpu_unused_since": placement
            .and_then(|placement| berth_core::life::unused_since(&placement.life))
            .map(|at| at.to_string()),
        "cpu_milli": seen.map(|seen| seen.usage.cpu_milli),
        "resize": placement.and_then(|placement| placement.resize.as_deref()).map(resize),
        "loan": placement.and_then(|placement| placement.loan()).map(loan),
        "left_out": seen.map(|seen| &seen.left_out),
        "kills": server.kills.iter().map(kill).collect::<Vec<_>>(),
        "url": server.prefix(),
        "decision": server.decision,
        "waits": reason(waits),
        "place": place,
        "waiting_since": server.waiting_since().map(|at| at.to_string()),
        "placed_at": placement.map(|placement| placement.placed_at.to_string()),
        "asked_to_leave": placement.and_then(|p| p.asked_to_leave).map(|at| at.to_string()),
        "ready_at": placement.and_then(|p| p.ready_at).map(|at| at.to_string()),
        "steps": placement.map(|placement| &placement.steps).map(|steps| {
            steps
                .iter()
                .map(|done| json!({ "step": done.step.name(), "at": done.at.to_string() }))
                .collect::<Vec<_>>()
        }),
        "fetch": fetch(fleet, server),
        "last_end": end.map(|end| {
            json!({ "reason": reason(Some(end.reason)), "detail": end.detail, "at": end.at.to_string() })
        }),
        "created": server.created.to_string(),
        "last_activity": server.last_activity.to_string(),
        "life": life::describe(fleet, server, now()),
        "farm": farm(hub, server),
        "leaving": life::leaving(fleet, server),
    })
}
