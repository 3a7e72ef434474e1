//! Why a server is not on a certain host: then, when it was decided, and now.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use berth_common::HostId;
use berth_core::decision::{HostLine, HostVerdict, Inputs};
use berth_core::floor::Floor;
use berth_core::placement::{Need, Rows, Sight, line};
use berth_core::{Decision, Fleet, Server};
use berth_process::clock::now;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::auth::Caller;
use crate::site::Hub;
use crate::web::api::berth::decisions::host_line;
use crate::web::api::berth::{answer, host_id, no_host, servers};
use crate::web::api::path::Names;
use crate::web::error::ApiError;
use crate::{explanation, plan};

/// More servers than this on one host are a mistake.
const MOST_COUNTED: u32 = 1_000;

/// How many.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HowMany {
    count: Option<u32>,
}

/// `GET servers/:id/why-not/:host?count=`: the host's line in the newest decision about the server
/// and that of the host it got; and whether such a server would start there now, and how many of
/// them (up to `count`).
pub async fn show(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Names((id, host)): Names<(String, String)>,
    how_many: Result<Query<HowMany>, QueryRejection>,
) -> Result<Json<Value>, ApiError> {
    caller.require("admin-ui")?;
    let Query(how_many) = how_many.map_err(|error| ApiError::bad_request(error.body_text()))?;
    let count = how_many.count.unwrap_or(1);
    if !(1..=MOST_COUNTED).contains(&count) {
        return Err(ApiError::bad_request(format!("count: 1 to {MOST_COUNTED}")));
    }
    let fleet = hub.fleet.fleet();
    let server = servers::find(&hub, &fleet, &caller, &id)?;
    let host = host_id(&host)?;
    let decision = match &server.decision {
        Some(id) => hub.storage.read(|reader| reader.decision(id))?,
        None => None,
    };
    let then = decision.as_ref().map(|decision| then(&hub, decision, &host)).transpose()?;
    let now = now_there(&fleet, server, decision.as_ref(), &host, count);
    if now.is_none() && then.as_ref().is_none_or(|then| then["line"].is_null()) {
        return Err(no_host(&host));
    }
    Ok(answer(
        "why_not",
        json!({
            "server": server.id,
            "user": server.owner,
            "name": server.name,
            "ask": { "profile": server.ask.profile, "memory": server.ask.memory, "gpus": server.ask.gpus },
            "on": server.placement().map(|placement| &placement.host),
            "host": host,
            "decision": then,
            "now": now,
        }),
    ))
}

/// What the newest decision knows of this host and of the one it chose.
fn then(hub: &Hub, decision: &Decision, host: &HostId) -> Result<Value, ApiError> {
    let hosts: Vec<&HostId> = decision.host().into_iter().chain([host]).collect();
    let lines = explanation::lines_of(hub, decision, &hosts)?;
    let find = |name: &HostId| {
        lines.iter().find(|line| line.host == *name).map(|line| host_line(line, decision))
    };
    Ok(json!({
        "id": decision.id,
        "at": decision.at.to_string(),
        "chosen": decision.host().and_then(find),
        "line": find(host),
    }))
}

/// How the host would fare now, without the server itself; `None`: there is no such host.
fn now_there(
    fleet: &Fleet,
    server: &Server,
    decision: Option<&Decision>,
    host: &HostId,
    count: u32,
) -> Option<Value> {
    let entry = fleet.floor.host(host)?.without(&server.id);
    let held = {
        let on = server.holds_on().and_then(|on| fleet.floor.host(on));
        on.and_then(|on| on.servers.iter().find(|held| held.server == server.id).cloned())
    };
    let recorded = decision.and_then(|decision| decision.need(&fleet.settings));
    let need: Need = match held {
        Some(held) => plan::need_of(fleet, &held, now()),
        None => recorded?,
    };
    // New ones use nothing yet.
    let like = plan::held_by(&need, server);
    let fits = plan::fits_times(&entry, &fleet.settings, &need, &like, count);
    let floor = Floor { version: 0, hosts: vec![Arc::new(entry)] };
    let inputs = Inputs { need: Some(need), ..Inputs::default() };
    let rows = Rows::of(&floor, &fleet.settings, &fleet.prices);
    let sight = Sight { floor: &floor, rows: &rows, settings: &fleet.settings, now: now() };
    let line = line(sight, &inputs, Some(host), host)?;
    let obstacles = match &line {
        HostLine { verdict: HostVerdict::Excluded { obstacles }, .. } => obstacles.as_slice(),
        _ => &[],
    };
    let obstacles = obstacles
        .iter()
        .map(|it| json!({ "reason": super::reason(Some(it.reason)), "detail": it.detail }));
    Some(json!({ "count": count, "fits": fits, "obstacles": obstacles.collect::<Vec<_>>() }))
}
