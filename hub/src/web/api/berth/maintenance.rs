//! Maintenance: hosts that are to be empty for a while. Their drains begin and end by themselves
//! (`agenda::keeper`).

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use berth_common::{HostId, Seconds, Timestamp};
use berth_core::Fleet;
use berth_core::agenda::Maintenance;
use berth_core::settings::Window;
use berth_process::clock::now;
use serde_json::{Value, json};

use crate::agenda;
use crate::agenda::wish::{MaintenanceWish, Wrong};
use crate::audit::Actor;
use crate::auth::Caller;
use crate::site::Hub;
use crate::web::api::berth::{SCHEMA_VERSION, answer, moment, no_host};
use crate::web::api::body::{self, JsonBody};
use crate::web::api::path::Names;
use crate::web::error::ApiError;

/// `GET maintenance`: what is ahead and under way, and what was over in the last month.
pub async fn list(State(hub): State<Arc<Hub>>, caller: Caller) -> Result<Json<Value>, ApiError> {
    caller.require("admin-ui")?;
    let month = Seconds(30 * 86_400);
    let fleet = hub.fleet.fleet();
    let at = now();
    let lately = |it: &Maintenance| it.is_ahead() || it.window.to.plus(month) > at;
    let mut all = hub.agenda.maintenance();
    all.retain(|(_, it)| lately(it));
    all.sort_by_key(|(_, it)| it.window.from);
    let rows: Vec<_> = all.iter().map(|(id, it)| row(&fleet, *id, it)).collect();
    Ok(answer("maintenance", json!(rows)))
}

/// `POST maintenance` `{hosts, from, to, reason, ahead_s?, dry_run?}`: the hosts are drained, empty
/// from the first moment to the second, and then open again.
pub async fn add(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    body: JsonBody,
) -> Result<Json<Value>, ApiError> {
    caller.require("admin-ui")?;
    let body = body.or_empty();
    body::only(&body, &["hosts", "from", "to", "reason", "ahead_s", "dry_run"])?;
    let hosts: Option<BTreeSet<HostId>> = body::field(&body, "hosts")?;
    let hosts = hosts.unwrap_or_default();
    let said = |name: &str| -> Result<Timestamp, ApiError> {
        let text: Option<String> = body::field(&body, name)?;
        let text =
            text.ok_or_else(|| ApiError::bad_request(format!("{name}: a moment is needed")))?;
        moment(name, &text)
    };
    let window = Window { from: said("from")?, to: said("to")? };
    let reason: Option<String> = body::field(&body, "reason")?;
    let ahead: Option<u64> = body::field(&body, "ahead_s")?;
    let dry_run = body::field::<bool>(&body, "dry_run")?.unwrap_or(false);
    let wish = MaintenanceWish {
        hosts,
        window,
        reason: reason.unwrap_or_default(),
        ahead: ahead.map(Seconds),
    };
    let maintenance = wish.checked(&hub.fleet.fleet(), caller.actor(), now());
    let maintenance = maintenance.map_err(|wrong| match wrong {
        Wrong::NoHost(host) => no_host(&host),
        wrong => ApiError::bad_request(wrong.to_string()),
    })?;
    let mut id = 0;
    if !dry_run {
        let act = caller.act("maintenance-add").on(&agenda::names(&maintenance));
        let act = act.because(&maintenance.order.reason);
        id = agenda::plan(&hub, act, maintenance.clone()).await?;
    }
    let fleet = hub.fleet.fleet();
    let known = hub.agenda.maintenance().into_iter().find(|(other, _)| *other == id);
    let seen = known.map_or(maintenance, |(_, it)| it);
    let trainings = trainings_hit(&fleet, &seen);
    Ok(Json(json!({
        "schema_version": SCHEMA_VERSION,
        "dry_run": dry_run,
        "maintenance": row(&fleet, id, &seen),
        "trainings": trainings,
    })))
}

/// `DELETE maintenance/:id`: takes it back; hosts that are emptied for it take servers again.
pub async fn cancel(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Names(id): Names<String>,
) -> Result<StatusCode, ApiError> {
    caller.require("admin-ui")?;
    let id: i64 = id.parse().map_err(|_| ApiError::no_resource())?;
    let all = hub.agenda.maintenance();
    let found = all.into_iter().find(|(other, it)| *other == id && it.is_ahead());
    let (_, maintenance) = found.ok_or_else(ApiError::no_resource)?;
    let act = caller.act("maintenance-cancel").on(&agenda::names(&maintenance));
    let act = act.because(&maintenance.order.reason);
    if !agenda::cancel(&hub, act, id, maintenance).await? {
        let why = "its drains have begun or ended this moment; ask again";
        return Err(ApiError::new(StatusCode::CONFLICT, why.to_owned()));
    }
    Ok(StatusCode::NO_CONTENT)
}

/// The trainings whose hours lie in it, on hosts of their pools.
fn trainings_hit(fleet: &Fleet, maintenance: &Maintenance) -> Vec<String> {
    let away = Window { from: maintenance.drain_at, to: maintenance.window.to };
    let settings = &fleet.settings;
    let pool_of = |host: &HostId| settings.hosts.get(host).map(|it| &it.pool);
    let hit = settings.trainings.iter().filter(|(_, training)| {
        let there = maintenance.hosts.iter().any(|host| pool_of(host) == Some(&training.pool));
        there && training.windows.iter().any(|window| window.meets(&away))
    });
    hit.map(|(name, _)| name.clone()).collect()
}

fn row(fleet: &Fleet, id: i64, it: &Maintenance) -> Value {
    let servers: usize = it.hosts.iter().map(|host| fleet.placed_on(host).count()).sum();
    json!({
        "id": id,
        "hosts": it.hosts,
        "from": it.window.from.to_string(),
        "to": it.window.to.to_string(),
        "drain_at": it.drain_at.to_string(),
        "state": it.state.word(),
        "servers": servers,
        "who": it.order.who,
        "reason": it.order.reason,
        "at": it.order.at.to_string(),
    })
}
