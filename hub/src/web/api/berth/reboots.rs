//! Many hosts rebooted one after the other as one plan, and hosts that could be kept free.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use berth_common::{HostId, Seconds};
use berth_core::drain::intent::{Handover, State as TurnState};
use berth_core::drain::single::AtDeadline;
use berth_core::event::Event;
use berth_core::fleet::{Intent, Order, Rolling};
use berth_core::{Answer, Fleet, step};
use berth_process::clock::now;
use serde_json::{Value, json};

use crate::audit::{self, Actor};
use crate::auth::Caller;
use crate::site::Hub;
use crate::web::api::berth::{SCHEMA_VERSION, answer, no_host};
use crate::web::api::body::{self, JsonBody};
use crate::web::error::{ApiError, cut};

/// `GET reboots`: the rolling reboot that was ordered last, or null.
pub async fn show(State(hub): State<Arc<Hub>>, caller: Caller) -> Result<Json<Value>, ApiError> {
    caller.require("admin-ui")?;
    let fleet = hub.fleet.fleet();
    Ok(answer("reboot", fleet.rolling().map_or(Value::Null, |it| describe(&fleet, it))))
}

/// `POST reboots` `{hosts, reason, each_s?, at_deadline?, dry_run?}`: hosts are rebooted in the order
/// that costs fewest restarts.
pub async fn begin(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    body: JsonBody,
) -> Result<Json<Value>, ApiError> {
    caller.require("admin-ui")?;
    let body = body.or_empty();
    body::only(&body, &["hosts", "reason", "each_s", "at_deadline", "dry_run"])?;
    let hosts: Option<BTreeSet<HostId>> = body::field(&body, "hosts")?;
    let hosts = hosts.filter(|hosts| !hosts.is_empty());
    let hosts = hosts.ok_or_else(|| ApiError::bad_request("hosts: name at least one"))?;
    let reason: Option<String> = body::field(&body, "reason")?;
    let reason = reason.map(|it| it.trim().to_owned()).filter(|it| !it.is_empty());
    let why = "reason: say why; people whose servers are there read it";
    let reason = reason.ok_or_else(|| ApiError::bad_request(why))?;
    let each: Option<u64> = body::field(&body, "each_s")?;
    let at_deadline: Option<AtDeadline> = body::field(&body, "at_deadline")?;
    if each.is_none() && at_deadline.is_some() {
        return Err(ApiError::bad_request("at_deadline goes with each_s only"));
    }
    let fleet = hub.fleet.fleet();
    for id in &hosts {
        let host = fleet.hosts.get(id).ok_or_else(|| no_host(id))?;
        if host.intent != Intent::Open {
            let why = format!("{id} is cordoned or emptied already; take that back first");
            return Err(ApiError::new(StatusCode::CONFLICT, why));
        }
    }
    let hosts: Vec<HostId> = hosts.into_iter().collect();
    let order = Order { reason: cut(&reason), who: caller.name().to_owned(), at: now() };
    let rolling = Rolling::new(
        order,
        step::reboot_order(&fleet, &hosts, now()),
        each.map(Seconds),
        at_deadline.unwrap_or(AtDeadline::Stop),
    );
    let dry_run: Option<bool> = body::field(&body, "dry_run")?;
    let dry_run = dry_run.unwrap_or(false);
    let mut described = describe(&fleet, &rolling);
    described["forecast"] = forecast(&fleet, &rolling);
    if !dry_run {
        let names: Vec<_> = hosts.iter().map(HostId::as_str).collect();
        let act = caller.act("reboot-begin").on(&cut(&names.join(" "))).because(&reason);
        audit::record(&hub, act).await?;
        let event = Event::Roll { rolling: Some(Box::new(rolling)), reply: None };
        match hub.fleet.ask(event).await? {
            Answer::AnotherPlan => {
                let why = "another rolling reboot is under way; take it back first";
                return Err(ApiError::new(StatusCode::CONFLICT, why.to_owned()));
            }
            Answer::NoSuchHost => {
                return Err(ApiError::not_found("One of the hosts is gone.".to_owned()));
            }
            _ => {}
        }
        tracing::info!(hosts = hosts.len(), why = reason, by = caller.name(), "rolling reboot");
    }
    Ok(Json(json!({
        "schema_version": SCHEMA_VERSION,
        "dry_run": dry_run,
        "reboot": described,
    })))
}

/// `DELETE reboots`: no further host is begun; the one whose turn it is stays as it is.
pub async fn end(State(hub): State<Arc<Hub>>, caller: Caller) -> Result<StatusCode, ApiError> {
    caller.require("admin-ui")?;
    audit::record(&hub, caller.act("reboot-end")).await?;
    hub.fleet.ask(Event::Roll { rolling: None, reply: None }).await?;
    tracing::info!(by = caller.name(), "rolling reboot taken back");
    Ok(StatusCode::NO_CONTENT)
}

/// `GET consolidation`: hosts that could be kept free by restarting idle servers elsewhere.
pub async fn consolidation(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
) -> Result<Json<Value>, ApiError> {
    caller.require("admin-ui")?;
    let fleet = hub.fleet.fleet();
    let proposals = step::consolidation(&fleet, now());
    let proposals = proposals.iter().map(|(host, frees, moves)| {
        let moves: Vec<_> = moves.iter().map(|step| moved(&fleet, step)).collect();
        json!({ "host": host, "frees": frees, "moves": moves })
    });
    Ok(answer("proposals", proposals.collect()))
}

fn describe(fleet: &Fleet, rolling: &Rolling) -> Value {
    let turns = rolling.plan.turns.iter().map(|turn| {
        let (state, since, by) = match &turn.state {
            TurnState::Waiting => ("waiting", None, None),
            TurnState::Emptying(it) => ("emptying", Some(it.since), it.deadline),
            TurnState::Empty { .. } => ("empty", None, None),
            TurnState::Done => ("done", None, None),
        };
        json!({
            "host": turn.host,
            "state": state,
            "since": since.map(|at| at.to_string()),
            "by": by.map(|at| at.to_string()),
            "servers": fleet.placed_on(&turn.host).count(),
        })
    });
    let Order { reason, who, at } = &rolling.order;
    json!({
        "reason": reason,
        "who": who,
        "at": at.to_string(),
        "done": rolling.plan.is_done(),
        "turns": turns.collect::<Vec<_>>(),
    })
}

/// What it would cost if everybody started again at once.
fn forecast(fleet: &Fleet, rolling: &Rolling) -> Value {
    let forecast = step::reboot_forecast(fleet, &rolling.plan, now());
    let restarts: usize = forecast.turns.iter().map(|turn| turn.moves.len()).sum();
    let stuck: Vec<_> = forecast.turns.iter().flat_map(|turn| &turn.stuck).collect();
    json!({ "restarts": restarts, "without_room": stuck })
}

fn moved(fleet: &Fleet, step: &Handover) -> Value {
    let server = fleet.servers.get(&step.server);
    json!({
        "server": step.server,
        "user": server.map(|server| &server.owner),
        "name": server.map(|server| &server.name),
        "from": step.from,
        "to": step.to,
    })
}
