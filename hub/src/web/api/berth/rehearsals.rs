//! Rehearsals of a training with real servers: begun, followed and ended.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use berth_core::Fleet;
use berth_core::agenda::{Rehearsal, Seat, Spread, Stage, Took};
use berth_core::fleet::Order;
use berth_core::settings::Training;
use berth_process::clock::now;
use serde_json::{Value, json};

use crate::audit::Actor;
use crate::auth::Caller;
use crate::site::Hub;
use crate::trainings::Role;
use crate::trainings::dress::{self, MOST, Refused, Wanted};
use crate::web::api::berth::trainings::cared;
use crate::web::api::berth::{answer, reason};
use crate::web::api::body::{self, JsonBody};
use crate::web::api::path::Names;
use crate::web::error::ApiError;

/// `GET trainings/:name/rehearsal/servers`: the rehearsal that is under way or was the last.
pub async fn show(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Names(name): Names<String>,
) -> Result<Json<Value>, ApiError> {
    caller.require("read:servers")?;
    let fleet = hub.fleet.fleet();
    let (name, training, _, role) = cared(&fleet, &caller, &name)?;
    let all = hub.agenda.rehearsals().into_iter().rev();
    let last = all.map(|(_, it)| it).find(|it| it.training == *name);
    let last = last.ok_or_else(|| ApiError::not_found(format!("{name} was never rehearsed.")))?;
    Ok(answer("rehearsal", row(&fleet, training, &last, role)))
}

/// `POST trainings/:name/rehearsal/servers` `{servers?, keep?}`: starts so many throw-away servers
/// of the training under the caller's account.
pub async fn begin(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Names(name): Names<String>,
    body: JsonBody,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    caller.require("start:servers")?;
    let body = body.or_empty();
    body::only(&body, &["servers", "keep"])?;
    let servers: Option<u32> = body::field(&body, "servers")?;
    let keep: Option<bool> = body::field(&body, "keep")?;
    let fleet = hub.fleet.fleet();
    let (name, training, profile, role) = cared(&fleet, &caller, &name)?;
    if servers.is_some_and(|count| count == 0 || count > MOST) {
        let why = format!("servers: a number from 1 to {MOST} is needed");
        return Err(ApiError::bad_request(why));
    }
    let user = caller.user.as_ref().ok_or_else(|| {
        ApiError::bad_request(
            "The servers of a rehearsal run under the account of whoever orders it, and this way \
             in has none: log in as a person.",
        )
    })?;
    let order = Order { reason: "rehearsal".into(), who: caller.actor(), at: now() };
    let keep = keep.unwrap_or(false).then(|| dress::keeps(role));
    let wanted = Wanted { account: user.account.clone(), servers, keep, order };
    let act = caller.act("training-rehearse").on(name);
    let begun = dress::begin(&hub, act, (name, training, profile), wanted).await;
    let begun = begun.map_err(|refused| match refused {
        Refused::Storage(error) => error.into(),
        _ => ApiError::new(StatusCode::CONFLICT, format!("{refused}.")),
    })?;
    let servers = begun.seats.len();
    let kept = keep.is_some();
    tracing::info!(training = name, servers, kept, by = caller.name(), "a rehearsal begins");
    let row = row(&hub.fleet.fleet(), training, &begun, role);
    Ok((StatusCode::CREATED, answer("rehearsal", row)))
}

/// `DELETE trainings/:name/rehearsal/servers`: what was started of it is ended.
pub async fn end(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Names(name): Names<String>,
) -> Result<Json<Value>, ApiError> {
    caller.require("delete:servers")?;
    let fleet = hub.fleet.fleet();
    let (name, training, _, role) = cared(&fleet, &caller, &name)?;
    let act = caller.act("training-rehearse-end").on(name);
    let ended = dress::end(&hub, act, name, now()).await?;
    let nothing = || ApiError::not_found(format!("Nobody rehearses {name} at the moment."));
    let ended = ended.ok_or_else(nothing)?;
    Ok(answer("rehearsal", row(&hub.fleet.fleet(), training, &ended, role)))
}

/// Hosts are the administrators'.
fn row(fleet: &Fleet, training: &Training, rehearsal: &Rehearsal, role: Role) -> Value {
    // What has happened since the last look is shown, too.
    let shown = match rehearsal.stage {
        Stage::Running => &rehearsal.measured(fleet),
        _ => rehearsal,
    };
    let seats = || shown.seats.iter();
    let left = seats().filter(|seat| shown.server(fleet, seat).is_some()).count();
    let foreseen = shown.foreseen_ms(training.expected);
    let within_ms = training.start_within.0.saturating_mul(1000);
    let settled = seats().all(Seat::is_settled);
    let in_time = foreseen.is_some_and(|millis| millis <= within_ms)
        && seats().all(|seat| seat.failed.is_none());
    json!({
        "training": shown.training,
        "stage": shown.stage.word(),
        "owner": shown.owner,
        "who": shown.order.who,
        "at": shown.order.at.to_string(),
        "keep": shown.keep.is_some(),
        "until": shown.until().map(|until| until.to_string()),
        "hub_restarted": shown.restarted,
        "expected": training.expected,
        "servers": shown.seats.len(),
        "ready": shown.ready(),
        "failed": seats().filter(|seat| seat.failed.is_some()).count(),
        "left": left,
        "start_within_s": training.start_within.0,
        "foreseen_ms": foreseen,
        "in_time": settled.then_some(in_time),
        "times": times(shown),
        "seats": seats().map(|seat| seat_row(fleet, shown, seat, role)).collect::<Vec<_>>(),
    })
}

fn times(rehearsal: &Rehearsal) -> Value {
    let of = |part: fn(&Took) -> u64| {
        let spread =
            Spread::of(rehearsal.seats.iter().filter_map(|it| it.took).map(|it| part(&it)));
        spread.map(|it| json!({ "min": it.min, "median": it.median, "p95": it.p95, "max": it.max }))
    };
    json!({
        "queued_ms": of(|took| took.queued_ms),
        "image_ms": of(|took| took.image_ms),
        "container_ms": of(|took| took.container_ms),
        "ready_ms": of(|took| took.ready_ms),
        "total_ms": of(|took| took.total_ms),
    })
}

fn seat_row(fleet: &Fleet, rehearsal: &Rehearsal, seat: &Seat, role: Role) -> Value {
    let Seat { name, host, took, failed } = seat;
    let server = rehearsal.server(fleet, seat);
    let state = server.map(|server| fleet.server_state(server, now()).to_string());
    let state = match (state, seat.is_settled()) {
        (Some(state), _) => state,
        (None, true) => "gone".to_owned(),
        (None, false) => "asked".to_owned(),
    };
    json!({
        "name": name,
        "state": state,
        "host": host.as_ref().filter(|_| role == Role::Admin),
        "queued_ms": took.map(|it| it.queued_ms),
        "image_ms": took.map(|it| it.image_ms),
        "container_ms": took.map(|it| it.container_ms),
        "ready_ms": took.map(|it| it.ready_ms),
        "total_ms": took.map(|it| it.total_ms),
        "reason": reason(failed.as_ref().map(|end| end.reason)),
        "detail": failed.as_ref().map(|end| &end.detail),
    })
}
