//! What if some hosts were not there, or more were, or the files said something else. Changes
//! nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use berth_common::{HostId, Timestamp};
use berth_core::floor::Floor;
use berth_core::{Fleet, Settings};
use berth_process::clock::now;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::auth::Caller;
use crate::config::Diagnostics;
use crate::plan::added::{self, NotMade};
use crate::plan::recorded::{check, replay};
use crate::plan::replay::{Other, Replayed, Verdict};
use crate::plan::{self, Counting, Mover, NewHost};
use crate::site::Hub;
use crate::storage::StorageError;
use crate::web::api::berth::{SCHEMA_VERSION, moment, no_host};
use crate::web::api::body::{self, JsonBody};
use crate::web::api::options;
use crate::web::error::ApiError;

/// Requests with another answer that are told one by one.
const MOST_TOLD: usize = 200;
/// New hosts in one question.
const MOST_NEW: usize = 1_000;

/// `POST plan` `{remove_hosts?, add_hosts?, replay_since?}`.
pub async fn hosts(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    body: JsonBody,
) -> Result<Json<Value>, ApiError> {
    caller.require("admin-ui")?;
    let body = body.or_empty();
    body::only(&body, &["remove_hosts", "add_hosts", "replay_since"])?;
    let removed: Option<BTreeSet<HostId>> = body::field(&body, "remove_hosts")?;
    let removed = removed.unwrap_or_default();
    let added: Option<Vec<Value>> = body::field(&body, "add_hosts")?;
    let added = added.unwrap_or_default();
    let since = replay_since(&body)?;
    if removed.is_empty() && added.is_empty() {
        return Err(ApiError::bad_request("say remove_hosts or add_hosts"));
    }
    if since.is_some() && !added.is_empty() {
        let why = "replay_since goes with remove_hosts only: nobody knows what would have run on a host that was not there";
        return Err(ApiError::bad_request(why));
    }
    let fleet = hub.fleet.fleet();
    if let Some(stranger) = removed.iter().find(|host| fleet.floor.host(host).is_none()) {
        return Err(no_host(stranger));
    }
    let added = new_hosts(&fleet, &added)?;
    let work = move || -> Result<Value, StorageError> {
        let mut answer = other_hosts(&fleet, &removed, &added);
        if let Some(since) = since {
            let replayed = replay(&hub, since, &removed, None)?;
            answer["replay"] = describe(&replayed);
        }
        Ok(answer)
    };
    Ok(Json(aside(work).await??))
}

/// `POST plan/config` `{files: {name: text}, replay_since?}`.
pub async fn config(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    body: JsonBody,
) -> Result<Json<Value>, ApiError> {
    caller.require("admin-ui")?;
    let body = body.or_empty();
    body::only(&body, &["files", "replay_since"])?;
    let files: Option<BTreeMap<String, String>> = body::field(&body, "files")?;
    let files = files.ok_or_else(|| ApiError::bad_request("files: {name: text} is needed"))?;
    if let Some(bad) = files.keys().find(|name| !is_plain(name)) {
        let why = format!("files: \"{bad}\" is no file of a configuration folder");
        return Err(ApiError::bad_request(why));
    }
    let since = replay_since(&body)?;
    let state = hub.config().hub.state.clone();
    let checked = aside(move || check(&state, &files)).await?;
    let checked = checked.map_err(|error| {
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, format!("cannot check: {error}"))
    })?;
    let settings = match checked {
        Ok(settings) => Arc::new(hub.agenda.applied(&settings)),
        Err(Diagnostics(found)) => {
            let found = found.iter().map(|it| {
                json!({ "file": it.file, "line": it.line, "code": it.code, "message": it.message })
            });
            return Ok(Json(json!({
                "schema_version": SCHEMA_VERSION,
                "valid": false,
                "errors": found.collect::<Vec<_>>(),
                "replay": null,
            })));
        }
    };
    let since = since.unwrap_or(Timestamp(i64::MAX));
    let same = settings.version == hub.fleet.fleet().settings.version;
    let replayed = aside(move || replay(&hub, since, &BTreeSet::new(), Some(settings))).await??;
    Ok(Json(json!({
        "schema_version": SCHEMA_VERSION,
        "valid": true,
        "errors": [],
        "same_as_running": same,
        "replay": describe(&replayed),
    })))
}

/// Work that takes longer than a request should hold up others.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApiError> {
    let failed = |_| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "the plan broke off");
    tokio::task::spawn_blocking(work).await.map_err(failed)
}

fn replay_since(body: &serde_json::Map<String, Value>) -> Result<Option<Timestamp>, ApiError> {
    let since: Option<String> = body::field(body, "replay_since")?;
    since.map(|text| moment("replay_since", &text)).transpose()
}

/// Names of the configuration folder only: `hub.toml`, `hosts.d/10-cpu.toml`.
fn is_plain(name: &str) -> bool {
    let path = Path::new(name);
    let parts: Vec<_> = path.components().collect();
    let plain = parts.iter().all(|part| matches!(part, Component::Normal(_)));
    let in_folder = parts.len() == 1 || (parts.len() == 2 && name.contains(".d/"));
    plain && in_folder && name.ends_with(".toml") && name.len() < 200 && !name.contains('\0')
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewHosts {
    like: String,
    memory: Option<Value>,
    gpus: Option<u32>,
    #[serde(default = "one")]
    count: usize,
}

fn one() -> usize {
    1
}

/// Hosts like a host, or like the first of a pool, perhaps with other memory or GPUs.
fn new_hosts(fleet: &Fleet, wanted: &[Value]) -> Result<Vec<NewHost>, ApiError> {
    let mut new = Vec::new();
    for wanted in wanted {
        let wanted: NewHosts = serde_json::from_value(wanted.clone())
            .map_err(|error| ApiError::bad_request(format!("add_hosts: {error}")))?;
        let memory = options::memory(wanted.memory.as_ref())?;
        let first = new.len().saturating_add(1);
        let numbers = first..first.saturating_add(wanted.count);
        if numbers.end > MOST_NEW.saturating_add(1) {
            return Err(ApiError::bad_request(format!("add_hosts: at most {MOST_NEW}")));
        }
        let made = added::like(fleet, &wanted.like, memory, wanted.gpus, numbers);
        new.extend(made.map_err(|why| match why {
            NotMade::NoModel(_) => ApiError::not_found(format!("add_hosts: {why}")),
            NotMade::NoMemory(_) => ApiError::bad_request(format!("add_hosts: {why}")),
        })?);
    }
    Ok(new)
}

/// The fleet with other hosts: where servers would go, who would start, how large one may be.
fn other_hosts(fleet: &Fleet, removed: &BTreeSet<HostId>, added: &[NewHost]) -> Value {
    let movers = plan::movers(fleet, removed, now());
    let rest = plan::without(&fleet.floor, removed);
    let (floor, settings) = plan::with(&rest, &fleet.settings, added);
    let place = |counting| {
        let settings = plan::counted(&settings, counting);
        let mut floor = floor.clone();
        let needs = movers.iter().map(|mover| (&mover.need, &mover.held));
        (plan::place_all(&mut floor, &settings, &fleet.prices, needs), floor)
    };
    let (by_limits, _) = place(Counting::Limits);
    let (by_used, _) = place(Counting::Used);
    let (by_rule, mut after) = place(Counting::AsConfigured);
    let settings = Arc::new(settings);
    let pools = pools(fleet, &after, &settings);
    let (starting, waiting) = plan::would_start(fleet, &mut after, &settings, now());
    let (starting_now, _) =
        plan::would_start(fleet, &mut fleet.floor.clone(), &fleet.settings, now());
    let of = |places: &[Option<HostId>]| places.iter().flatten().count();
    let servers = movers.iter().enumerate().map(|(at, mover)| {
        let on = |places: &[Option<HostId>]| places.get(at).cloned().flatten();
        let Mover { held, from, need } = mover;
        json!({
            "id": held.server,
            "user": held.owner,
            "name": fleet.servers.get(&held.server).map(|server| &server.name),
            "host": from,
            "pool": need.pool,
            "memory": {
                "limit": held.memory.limit,
                "peak": held.memory.peak,
                "used": held.memory.used,
            },
            "gpus": held.gpus.len(),
            "by_limits": on(&by_limits),
            "by_used": on(&by_used),
            "by_rule": on(&by_rule),
        })
    });
    json!({
        "schema_version": SCHEMA_VERSION,
        "removed": removed,
        "added": added.iter().map(|host| &host.name).collect::<Vec<_>>(),
        "servers": servers.collect::<Vec<_>>(),
        "fit": {
            "of": movers.len(),
            "by_limits": of(&by_limits),
            "by_used": of(&by_used),
            "by_rule": of(&by_rule),
        },
        "pools": pools,
        "queue": { "waiting": waiting, "start_now": starting_now, "would_start": starting },
        "replay": null,
    })
}

/// The largest server that could still start in each pool, now and after.
fn pools(fleet: &Fleet, after: &Floor, settings: &Arc<Settings>) -> Value {
    let largest = |floor: &Floor, settings: &Arc<Settings>, pool: &str, gpus| {
        plan::largest_in(floor, settings, pool, gpus).map(|(_, memory)| memory)
    };
    let pools = settings.pools.keys().map(|pool| {
        let now = |gpus| largest(&fleet.floor, &fleet.settings, pool, gpus);
        let then = |gpus| largest(after, settings, pool, gpus);
        json!({
            "pool": pool,
            "largest_now": now(0),
            "largest_then": then(0),
            "largest_with_gpu_now": now(1),
            "largest_with_gpu_then": then(1),
        })
    });
    pools.collect()
}

fn describe(replayed: &Replayed) -> Value {
    let accepted: &[_] = &["placed", "waits"];
    let verdict = |it: &Verdict| {
        json!({
            "outcome": it.outcome,
            "reason": super::reason(Some(it.reason)),
            "cite": it.cite.as_ref().map(ToString::to_string),
        })
    };
    let other = |Other { decision, before, after }: &Other| {
        json!({
            "decision": decision.id,
            "at": decision.at.to_string(),
            "user": decision.user,
            "ask": {
                "profile": decision.ask.profile,
                "memory": decision.ask.memory,
                "gpus": decision.ask.gpus,
            },
            "before": verdict(before),
            "after": verdict(after),
        })
    };
    let others = replayed.others.len();
    json!({
        "requests": replayed.requests,
        "left_off": replayed.left_off,
        "same": usize::try_from(replayed.requests).unwrap_or(usize::MAX).saturating_sub(others),
        "now_accepted": replayed.count(&["refused"], accepted),
        "now_refused": replayed.count(accepted, &["refused"]),
        "now_starts": replayed.count(&["waits"], &["placed"]),
        "now_waits": replayed.count(&["placed"], &["waits"]),
        "refused_otherwise": replayed.count(&["refused"], &["refused"]),
        "others": replayed.others.iter().take(MOST_TOLD).map(other).collect::<Vec<_>>(),
    })
}
