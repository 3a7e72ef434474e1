//! Who waits, in the order in which they are served.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use berth_core::queue::{Waiter, estimate, waiters};
use berth_core::{Phase, Server};
use berth_process::clock::now;
use serde_json::{Value, json};

use crate::auth::Caller;
use crate::site::Hub;
use crate::web::api::berth::{answer, reason};
use crate::web::error::ApiError;

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
        "ask": { "profile": ask.profile, "memory": ask.memory, "image": ask.image, "gpus": ask.gpus },
        "reason": reason(waits),
        "since": server.waiting_since().map(|at| at.to_string()),
        "estimate_s": null,
        "held": place.map(|place| json!({ "host": place.host, "until": place.until.to_string() })),
        "decision": server.decision,
    })
}
