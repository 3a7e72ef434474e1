//! What if some hosts were not there, or more were, or the files said something else. Changes
//! nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use berth_common::link::GpuDevice;
use berth_common::{ByteCount, HostId, Timestamp};
use berth_core::fleet::HostState;
use berth_core::floor::{Floor, FloorHost, ReportedMemory, first_of_reign};
use berth_core::{Fleet, Settings};
use berth_process::clock::now;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::auth::Caller;
use crate::config::{self, Diagnostics};
use crate::plan::replay::{Other, Replayed, Verdict, is_request};
use crate::plan::{self, Counting, Mover, NewHost};
use crate::site::Hub;
use crate::storage::StorageError;
use crate::web::api::berth::{SCHEMA_VERSION, moment, no_host};
use crate::web::api::body::{self, JsonBody};
use crate::web::api::options;
use crate::web::error::ApiError;

/// Requests in one replay at most, the oldest first: more take minutes.
const MOST_REPLAYED: u32 = 20_000;
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

/// The hub's own loader on files that are not in force.
fn check(
    state: &Path,
    files: &BTreeMap<String, String>,
) -> std::io::Result<Result<Settings, Diagnostics>> {
    let folder = tempfile::Builder::new().prefix("plan-").tempdir_in(state)?;
    for (name, text) in files {
        let path = folder.path().join(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(path, text)?;
    }
    Ok(config::try_settings(folder.path(), now()))
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
        let settings = &fleet.settings;
        let of_pool = || settings.hosts.iter().find(|(_, host)| host.pool == wanted.like);
        let named =
            wanted.like.parse().ok().and_then(|id: HostId| settings.hosts.get_key_value(&id));
        let (id, declared) = named.or_else(of_pool).ok_or_else(|| {
            let why = format!("add_hosts: there is no declared host or pool {}", wanted.like);
            ApiError::not_found(why)
        })?;
        let seen = fleet.floor.host(id);
        let total =
            memory.or(declared.memory).or_else(|| seen.and_then(|seen| Some(seen.memory?.total)));
        let total = total.filter(|total| total.0 > 0).ok_or_else(|| {
            ApiError::bad_request(format!("add_hosts: how much memory {id} has is not known yet"))
        })?;
        for _ in 0..wanted.count {
            if new.len() >= MOST_NEW {
                return Err(ApiError::bad_request(format!("add_hosts: at most {MOST_NEW}")));
            }
            let name = format!("new-{}", new.len().saturating_add(1));
            let name: HostId = name.parse().map_err(|_| ApiError::no_resource())?;
            let declared =
                berth_core::settings::HostSettings { memory: Some(total), ..declared.clone() };
            let entry = entry(fleet, &name, seen.map(AsRef::as_ref), total, wanted.gpus);
            new.push(NewHost { name, declared, entry });
        }
    }
    Ok(new)
}

fn entry(
    fleet: &Fleet,
    name: &HostId,
    like: Option<&FloorHost>,
    total: ByteCount,
    gpus: Option<u32>,
) -> FloorHost {
    let known = like.map_or_else(Arc::default, |like| Arc::clone(&like.gpus));
    let model = known.first().or_else(|| fleet.floor.hosts.iter().find_map(|it| it.gpus.first()));
    let count = gpus.unwrap_or(u32::try_from(known.len()).unwrap_or(u32::MAX)).min(64);
    let device = |number: u32| {
        let gpu = format!("{name}-{number}").parse().ok()?;
        Some(GpuDevice { gpu, trouble: None, ..model?.clone() })
    };
    FloorHost {
        host: name.clone(),
        state: HostState::Ready,
        silent_since: None,
        note: String::new(),
        drains_by: None,
        memory: Some(ReportedMemory { total, free: total, above_limit: false }),
        cpu_milli: like.map_or(u32::MAX, |like| like.cpu_milli),
        gpus: Arc::new((0..count).filter_map(device).collect()),
        images: like.map_or_else(Arc::default, |like| Arc::clone(&like.images)),
        sick: Default::default(),
        farm: like.and_then(|like| like.farm),
        servers: Vec::new(),
    }
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

/// Decides recorded requests again, without some hosts or under other settings.
fn replay(
    hub: &Hub,
    since: Timestamp,
    removed: &BTreeSet<HostId>,
    other: Option<Arc<Settings>>,
) -> Result<Replayed, StorageError> {
    let decisions = hub.storage.read(|reader| reader.decisions_since(since, MOST_REPLAYED))?;
    let left_off = decisions.len() >= usize::try_from(MOST_REPLAYED).unwrap_or(usize::MAX);
    let mut replayed = Replayed { left_off, ..Replayed::default() };
    let mut floor: Option<(Floor, Timestamp)> = None;
    let mut settings: BTreeMap<u64, Option<Arc<Settings>>> = BTreeMap::new();
    for decision in decisions.into_iter().filter(is_request) {
        let there = advance(hub, floor.take(), decision.inputs.floor, decision.at)?;
        let version = decision.inputs.settings;
        let of_then = match settings.get(&version) {
            Some(known) => known.clone(),
            None => {
                let read = hub.storage.read(|reader| reader.settings(version))?.map(Arc::new);
                settings.insert(version, read.clone());
                read
            }
        };
        if let Some(of_then) = of_then {
            let other = other.as_ref().unwrap_or(&of_then);
            let less = closed(&there, removed);
            replayed.take(decision.clone(), (&there, &of_then), (&less, other));
        }
        floor = Some((there, decision.at));
    }
    Ok(replayed)
}

/// The floor of a version, from that of an earlier one where that is possible.
fn advance(
    hub: &Hub,
    before: Option<(Floor, Timestamp)>,
    version: u64,
    at: Timestamp,
) -> Result<Floor, StorageError> {
    let follows = |floor: &Floor| {
        floor.version <= version && first_of_reign(floor.version) == first_of_reign(version)
    };
    let Some((mut floor, from)) = before.filter(|(floor, _)| follows(floor)) else {
        return hub.storage.read(|reader| reader.floor(version));
    };
    let versions = (floor.version, version);
    let changes = hub.storage.read(|reader| reader.floor_changes(versions, (from, at)))?;
    for change in changes {
        match floor.position(&change.host).and_then(|at| floor.hosts.get_mut(at)) {
            Some(entry) => *entry = Arc::new(change),
            None => {
                floor.hosts.push(Arc::new(change));
                floor.hosts.sort_by(|a, b| a.host.cmp(&b.host));
            }
        }
    }
    floor.version = version;
    Ok(floor)
}

/// A floor on which some hosts take nothing new. What ran there then stays: nobody knows where it
/// would have gone.
fn closed(floor: &Floor, hosts: &BTreeSet<HostId>) -> Floor {
    let close = |host: &Arc<FloorHost>| match hosts.contains(&host.host) {
        true => Arc::new(FloorHost { state: HostState::Cordoned, ..FloorHost::clone(host) }),
        false => Arc::clone(host),
    };
    Floor { version: floor.version, hosts: floor.hosts.iter().map(close).collect() }
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
