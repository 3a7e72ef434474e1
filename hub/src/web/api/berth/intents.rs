//! Hosts that take servers, take nothing new, or are emptied: what the administrators want.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use berth_common::HostId;
use berth_core::drain::intent::Intent as Plan;
use berth_core::drain::single::{AtDeadline, End};
use berth_core::event::Event;
use berth_core::fleet::{Intent, Order};
use berth_core::{Answer, Fleet, step};
use berth_process::clock::now;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::audit::{self, Actor};
use crate::auth::Caller;
use crate::site::Hub;
use crate::web::api::berth::{SCHEMA_VERSION, host_id, moment, no_host, room};
use crate::web::api::body::{self, JsonBody};
use crate::web::api::path::Names;
use crate::web::error::{ApiError, cut};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Open,
    Cordoned,
    Draining,
}

/// `PUT hosts/:name/intent` `{intent, reason, by?, at_deadline?, dry_run?}`.
pub async fn change(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Names(name): Names<String>,
    body: JsonBody,
) -> Result<Json<Value>, ApiError> {
    caller.require("admin-ui")?;
    let body = body.or_empty();
    body::only(&body, &["intent", "reason", "by", "at_deadline", "dry_run"])?;
    let host = host_id(&name)?;
    let word: Option<Word> = body::field(&body, "intent")?;
    let word =
        word.ok_or_else(|| ApiError::bad_request("intent: say open, cordoned or draining"))?;
    let by: Option<String> = body::field(&body, "by")?;
    let by = by.map(|text| moment("by", &text)).transpose()?;
    let at_deadline: Option<AtDeadline> = body::field(&body, "at_deadline")?;
    if word != Word::Draining && (by.is_some() || at_deadline.is_some()) {
        return Err(ApiError::bad_request("by and at_deadline go with draining only"));
    }
    if by.is_some_and(|by| by <= now()) {
        return Err(ApiError::bad_request("by: the moment is over"));
    }
    let order = || -> Result<Order, ApiError> {
        let reason: Option<String> = body::field(&body, "reason")?;
        let reason = reason.map(|reason| reason.trim().to_owned());
        let reason = reason.filter(|reason| !reason.is_empty());
        let reason = reason.ok_or_else(|| {
            ApiError::bad_request("reason: say why; people whose servers are there read it")
        })?;
        Ok(Order { reason: cut(&reason), who: caller.name().to_owned(), at: now() })
    };
    let fleet = hub.fleet.fleet();
    let notice = &fleet.settings.lifecycle.drain;
    let at_deadline = at_deadline.unwrap_or(notice.at_deadline);
    let plan = step::drain_plan(&host, by, at_deadline);
    let plan = Plan { leads: notice.leads.clone(), ..plan };
    let intent = match word {
        Word::Open => Intent::Open,
        Word::Cordoned => Intent::Cordoned(order()?),
        Word::Draining => Intent::Draining { order: order()?, by, plan: plan.clone() },
    };
    let dry_run: Option<bool> = body::field(&body, "dry_run")?;
    let dry_run = dry_run.unwrap_or(false);
    if !fleet.hosts.contains_key(&host) {
        return Err(no_host(&host));
    }
    let outlook = match word {
        Word::Draining => outlook(&fleet, &host, &plan),
        Word::Open | Word::Cordoned => Value::Null,
    };
    if !dry_run {
        let action = match word {
            Word::Open => "host-open",
            Word::Cordoned => "host-cordon",
            Word::Draining => "host-drain",
        };
        let reason = intent.order().map_or("", |order| order.reason.as_str());
        audit::record(&hub, caller.act(action).on(host.as_str()).because(reason)).await?;
        let event = Event::Intend { host: host.clone(), intent: intent.clone(), reply: None };
        if hub.fleet.ask(event).await? == Answer::NoSuchHost {
            return Err(no_host(&host));
        }
        let word = room::word(&intent);
        let reason = intent.order().map(|order| order.reason.as_str());
        tracing::info!(%host, intent = word, why = reason, by = caller.name(), "intent of a host");
    }
    let fleet = hub.fleet.fleet();
    let seen = fleet.hosts.get(&host).ok_or_else(|| no_host(&host))?;
    Ok(Json(json!({
        "schema_version": SCHEMA_VERSION,
        "host": host,
        "state": fleet.host_state(seen, now()).to_string(),
        "dry_run": dry_run,
        "intent": room::intent(&intent),
        "servers": fleet.placed_on(&host).count(),
        "outlook": outlook,
    })))
}

/// What would happen to each server, and where its next start would have a place.
fn outlook(fleet: &Fleet, host: &HostId, plan: &Plan) -> Value {
    let outlook = step::drain_preview(fleet, plan, host, now());
    let fates = outlook.servers.iter().zip(&outlook.plan.fates).map(|(id, fate)| {
        let (end, at) = match fate.end {
            End::Idle(at) => ("idle", Some(at)),
            End::Restarted(at) => ("restarted", Some(at)),
            End::Stopped(at) => ("stopped", Some(at)),
            End::Interrupted(at) => ("interrupted", Some(at)),
            End::Held => ("held", None),
        };
        let server = fleet.servers.get(id);
        let used = fleet.floor.host(host).and_then(|entry| {
            entry.servers.iter().find(|held| held.server == *id).map(|held| held.memory.used)
        });
        json!({
            "id": id,
            "user": server.map(|server| &server.owner),
            "name": server.map(|server| &server.name),
            "memory": { "limit": server.map(|server| server.ask.memory), "used": used },
            "last_activity": server.map(|server| server.last_activity.to_string()),
            "end": end,
            "at": at.map(|at| at.to_string()),
            "place": fate.place.and_then(|place| outlook.hosts.get(place)),
        })
    });
    json!({
        "empty_at": outlook.plan.empty_at(now()).map(|at| at.to_string()),
        "without_place": outlook.plan.stuck().count(),
        "servers": fates.collect::<Vec<_>>(),
    })
}
