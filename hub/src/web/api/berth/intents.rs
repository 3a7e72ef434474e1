//! Hosts that take servers, take nothing new, or are emptied: what the administrators want.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use berth_common::link::Kernels;
use berth_core::Answer;
use berth_core::drain::intent::Intent as Plan;
use berth_core::drain::single::{AtDeadline, End};
use berth_core::event::Event;
use berth_core::fleet::leaving::WHAT_TO_DO;
use berth_core::fleet::{DrainId, Intent, Order};
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
use crate::web::foretold::{self, Foretold, HeldGpu, Hit};
use crate::web::pages::words::Moment;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Open,
    Cordoned,
    Draining,
}

/// `PUT hosts/:name/intent` `{intent, reason, by?, at_deadline?, message?, drain?, dry_run?}`. With
/// `drain` only if it is that drain which empties the host now; with `message` people who are told
/// read that in place of the reason.
pub async fn change(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Names(name): Names<String>,
    body: JsonBody,
) -> Result<Json<Value>, ApiError> {
    caller.require("admin-ui")?;
    let body = body.or_empty();
    body::only(&body, &["intent", "reason", "by", "at_deadline", "message", "drain", "dry_run"])?;
    let host = host_id(&name)?;
    let word: Option<Word> = body::field(&body, "intent")?;
    let word =
        word.ok_or_else(|| ApiError::bad_request("intent: say open, cordoned or draining"))?;
    let by: Option<String> = body::field(&body, "by")?;
    let by = by.map(|text| moment("by", &text)).transpose()?;
    let at_deadline: Option<AtDeadline> = body::field(&body, "at_deadline")?;
    let message: Option<String> = body::field(&body, "message")?;
    if word != Word::Draining && (by.is_some() || at_deadline.is_some() || message.is_some()) {
        return Err(ApiError::bad_request("by, at_deadline and message go with draining only"));
    }
    let message = message.map(|text| match text.trim() {
        "" => Err(ApiError::bad_request("message: say something, or leave it out")),
        text => Ok(cut(text)),
    });
    let message = message.transpose()?;
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
    let plan = Plan { message, ..foretold::plan(&fleet, &host, by, at_deadline) };
    let intent = match word {
        Word::Open => Intent::Open,
        Word::Cordoned => Intent::Cordoned(order()?),
        Word::Draining => Intent::Draining { order: order()?, by, plan: plan.clone() },
    };
    let dry_run: Option<bool> = body::field(&body, "dry_run")?;
    let dry_run = dry_run.unwrap_or(false);
    let known = fleet.hosts.get(&host).ok_or_else(|| no_host(&host))?;
    let drain: Option<DrainId> = body::field(&body, "drain")?;
    if let Some(drain) = drain.filter(|drain| known.drain != Some(*drain)) {
        let why = format!("{drain} does not empty {host} any more; nothing was changed");
        return Err(ApiError::new(StatusCode::CONFLICT, why));
    }
    let outlook = match word {
        Word::Draining => {
            let foretold = Foretold::of(&fleet, &host, by, &plan, now());
            outlook(&foretold, &order()?, hub.config().hub.mail.is_some())
        }
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
        "drain": seen.drain,
        "servers": fleet.placed_on(&host).count(),
        "outlook": outlook,
    })))
}

/// What would happen to each server, where its next start would have a place, and what people
/// would be told.
fn outlook(foretold: &Foretold<'_>, order: &Order, has_mail: bool) -> Value {
    json!({
        "empty_at": foretold.empty_at(now()).map(|at| at.to_string()),
        "without_place": foretold.without_place(),
        "servers": foretold.hits().map(|hit| described(&hit)).collect::<Vec<_>>(),
        "telling": telling(foretold, order, has_mail),
    })
}

fn described(hit: &Hit<'_>) -> Value {
    let (end, at) = match hit.end {
        End::Idle(at) => ("idle", Some(at)),
        End::Restarted(at) => ("restarted", Some(at)),
        End::Stopped(at) => ("stopped", Some(at)),
        End::Interrupted(at) => ("interrupted", Some(at)),
        End::Held => ("held", None),
    };
    let gpu = |held: &HeldGpu<'_>| {
        json!({
            "gpu": held.gpu,
            "model": held.model,
            "busy": held.busy(),
            "memory_used": held.used.and_then(|used| used.memory_used),
        })
    };
    let kernels = |kernels: Kernels| json!({ "busy": kernels.busy, "quiet_s": kernels.quiet_ms.map(|quiet| quiet / 1000) });
    let Hit { server, used, .. } = hit;
    json!({
        "id": server.id,
        "user": server.owner,
        "name": server.name,
        "profile": server.ask.profile,
        "memory": { "limit": server.ask.memory, "used": used },
        "gpus": hit.gpus.iter().map(gpu).collect::<Vec<_>>(),
        "kernels": hit.kernels.map(kernels),
        "terminals": hit.terminals,
        "last_activity": server.last_activity.to_string(),
        "end": end,
        "at": at.map(|at| at.to_string()),
        "place": hit.place,
    })
}

/// Who would be told, when and how, and what they would read; null if nobody would.
fn telling(foretold: &Foretold<'_>, order: &Order, has_mail: bool) -> Value {
    let telling = foretold.telling(has_mail);
    if telling.people.is_empty() {
        return Value::Null;
    }
    let text = foretold.text(order, |leaving| {
        format!("{} {WHAT_TO_DO}", leaving.sentence(|at| Moment::from(at).text))
    });
    json!({
        "people": telling.people,
        "leads_s": telling.leads.iter().map(|lead| lead.0).collect::<Vec<_>>(),
        "channels": telling.channels,
        "text": text,
    })
}
