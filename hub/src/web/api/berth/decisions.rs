//! Decisions with their explanation, and what would come of a request now.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use berth_common::{DecisionId, HostId, Reason, Timestamp};
use berth_core::decision::{Decision, HostLine, HostVerdict, Nearest, Obstacle, Outcome, Term};
use berth_core::event::Wish;
use berth_process::clock::now;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::actions;
use crate::auth::Caller;
use crate::explanation::{self, Kind, PoolRoom, Recorded};
use crate::site::Hub;
use crate::web::api::berth::{answer, moment, reason, servers};
use crate::web::api::body::{self, JsonBody};
use crate::web::api::path::Names;
use crate::web::api::{find_user, options, server_name};
use crate::web::error::ApiError;

/// Decisions of one server in an answer.
const MOST: u32 = 50;
/// Decisions in one answer, whatever is asked.
const MOST_LISTED: u32 = 1_000;
/// How far back a list goes if nothing is said.
const WEEK_MICROS: i64 = 7 * 86_400 * 1_000_000;

/// `GET servers/:id/decisions`, newest first.
pub async fn of_server(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Names(id): Names<String>,
) -> Result<Json<Value>, ApiError> {
    let fleet = hub.fleet.fleet();
    let server = servers::find(&hub, &fleet, &caller, &id)?.id.clone();
    let decisions = hub.storage.read(|reader| reader.decisions_of(&server, MOST))?;
    let described = decisions.iter().map(|decision| -> Result<_, ApiError> {
        let recorded = match caller.scopes.hold("admin-ui") {
            true => explanation::recorded(&hub, decision)?,
            false => None,
        };
        Ok(describe(&caller, decision, recorded.as_ref()))
    });
    let decisions: Vec<_> = described.collect::<Result<_, _>>()?;
    Ok(answer("decisions", json!(decisions)))
}

/// What `GET decisions` can be asked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Which {
    user: Option<String>,
    since: Option<String>,
    limit: Option<u32>,
}

/// `GET decisions?user=&since=&limit=`, newest first, without hosts: those of the last week that the
/// caller may read.
pub async fn list(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    which: Result<Query<Which>, QueryRejection>,
) -> Result<Json<Value>, ApiError> {
    caller.require("read:servers")?;
    let Query(which) = which.map_err(|error| ApiError::bad_request(error.body_text()))?;
    let since = match &which.since {
        Some(text) => moment("since", text)?,
        None => Timestamp(now().0.saturating_sub(WEEK_MICROS)),
    };
    let limit = which.limit.unwrap_or(MOST).min(MOST_LISTED);
    let all = caller.scopes.hold_for_all("read:servers");
    let own = caller.user.as_ref().map(|user| user.account.name.to_string());
    let name = which.user.or_else(|| own.filter(|_| !all));
    let user = match &name {
        Some(name) => {
            let known = find_user(&hub, name)?;
            // Decisions outlive accounts; they are the administrators' then.
            let account = known.as_ref().map(|user| user.account.name.clone());
            let user = account.or_else(|| name.parse().ok()).ok_or_else(ApiError::no_resource)?;
            Some((user, known))
        }
        None if all => None,
        None => return Err(ApiError::no_resource()),
    };
    let may_read = |decision: &Decision| {
        let known = user.as_ref().and_then(|(_, known)| known.as_ref());
        all || known.is_some_and(|known| {
            caller.scopes.reach_server("read:servers", &known.account, &decision.name)
        })
    };
    let name = user.as_ref().map(|(name, _)| name);
    let decisions = hub.storage.read(|reader| reader.newest_decisions(name, since, limit))?;
    let decisions: Vec<_> =
        decisions.iter().filter(|decision| may_read(decision)).map(brief).collect();
    Ok(answer("decisions", json!(decisions)))
}

/// An id may be given by its first letters, so many at least.
const SHORTEST_ID: usize = 4;
/// Among so many of one beginning those are looked for that the caller may read.
const ALIKE: u32 = 1_000;

/// `GET decisions/:id`. Of the id its first letters are enough, while no other decision that the
/// caller may read begins so.
pub async fn show(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Names(id): Names<String>,
) -> Result<Json<Value>, ApiError> {
    caller.require("read:servers")?;
    let decision = find(&hub, &caller, &id)?;
    let recorded = explanation::recorded(&hub, &decision)?;
    Ok(answer("decision", whole(&caller, &decision, recorded.as_ref())))
}

fn find(hub: &Hub, caller: &Caller, id: &str) -> Result<Decision, ApiError> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let candidates = match id.parse::<DecisionId>() {
        Ok(id) => hub.storage.read(|reader| reader.decision(&id))?.into_iter().collect(),
        Err(_) if (SHORTEST_ID..16).contains(&id.len()) && id.bytes().all(is_digit) => {
            hub.storage.read(|reader| reader.decisions_beginning(id, ALIKE))?
        }
        Err(error) => return Err(ApiError::bad_request(error.to_string())),
    };
    let all = caller.scopes.hold_for_all("read:servers");
    let mut readable = Vec::new();
    for decision in candidates {
        let owner = find_user(hub, decision.user.as_str())?;
        if all || caller.require_server("read:servers", owner, &decision.name).is_ok() {
            readable.push(decision);
        }
    }
    if readable.len() > 1 {
        let count = readable.len();
        let why = format!("{count} decisions begin with {id}; write more of it");
        return Err(ApiError::new(StatusCode::CONFLICT, why));
    }
    readable.pop().ok_or_else(ApiError::no_resource)
}

/// `POST explain`: a dry run. Changes nothing.
pub async fn explain(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    body: JsonBody,
) -> Result<Json<Value>, ApiError> {
    let body = body.or_empty();
    body::only(&body, &["user", "server", "profile", "memory", "image", "gpus", "gpu_model"])?;
    let name: Option<String> = body::field(&body, "user")?;
    let own = caller.user.as_ref().map(|user| user.account.name.to_string());
    let name = name.or(own).ok_or_else(|| ApiError::bad_request("user: say for whom"))?;
    let server: Option<String> = body::field(&body, "server")?;
    let server = server_name(&server.unwrap_or_default())?;
    let user = caller.require_server("start:servers", find_user(&hub, &name)?, &server)?;
    let wish = Wish {
        profile: body::field(&body, "profile")?,
        memory: options::memory(body.get("memory").filter(|memory| !memory.is_null()))?,
        image: body::field(&body, "image")?,
        gpus: body::field(&body, "gpus")?,
        gpu_model: body::field(&body, "gpu_model")?,
        ..Wish::default()
    };
    let fleet = hub.fleet.fleet();
    let decision = actions::dry_run_on(&fleet, user.account, server, wish);
    Ok(answer("decision", whole(&caller, &decision, Some(&Recorded::present(&fleet)))))
}

/// A decision with all that is known about it: beside the rest, the room in the pool it went to.
/// Which hosts have it is for administrators.
fn whole(caller: &Caller, decision: &Decision, recorded: Option<&Recorded>) -> Value {
    let mut described = describe(caller, decision, recorded);
    let need = recorded.and_then(|recorded| decision.need(&recorded.settings));
    if let Some((recorded, need)) = recorded.zip(need) {
        let room = PoolRoom::of(recorded, &need);
        described["room"] = pool_room(&room, caller.scopes.hold("admin-ui"));
    }
    described
}

fn pool_room(room: &PoolRoom, with_hosts: bool) -> Value {
    let host = |host: &HostId| Some(host.clone()).filter(|_| with_hosts);
    let kind = |kind| match kind {
        Kind::Asked => "asked",
        Kind::Used => "used",
    };
    json!({
        "pool": room.pool,
        "hosts": room.hosts,
        "ready": room.ready,
        "free_by_limits": room.free_by_limits,
        "free_by_used": room.free_by_used,
        "free_gpus": room.free_gpus,
        "largest_piece": room.largest.as_ref().map(|(name, memory)| {
            json!({ "host": host(name), "memory": memory })
        }),
        "missing": room.missing.as_ref().map(|it| json!({
            "host": host(&it.host),
            "memory": it.memory,
            "gpus": it.gpus,
            "because_of": kind(it.kind),
        })),
    })
}

/// A decision as everybody sees it. How each host fared is for administrators; other people get
/// the outcome and the rules.
pub fn describe(caller: &Caller, decision: &Decision, recorded: Option<&Recorded>) -> Value {
    let mut described = brief(decision);
    if caller.scopes.hold("admin-ui") {
        let lines = recorded.map_or_else(Vec::new, |recorded| recorded.lines(decision));
        described["hosts"] = lines.iter().map(|line| host_line(line, decision)).collect();
    }
    described
}

/// A decision without hosts.
fn brief(decision: &Decision) -> Value {
    let (outcome, ahead, detail, estimate) = match &decision.outcome {
        Outcome::Placed { .. } => ("placed", None, None, None),
        Outcome::Waits { ahead, estimate, .. } => ("waits", Some(*ahead), None, *estimate),
        Outcome::Refused { detail, .. } => ("refused", None, Some(detail.as_str()), None),
    };
    let rules: Vec<_> = decision
        .rules
        .iter()
        .map(|rule| {
            let cite = rule.cite.as_ref().map(ToString::to_string);
            json!({
                "text": rule.text,
                "passed": rule.passed,
                "reason": rule.reason.map(Reason::code),
                "cite": cite,
            })
        })
        .collect();
    let excluded = decision
        .excluded
        .iter()
        .map(|group| json!({ "reason": reason(Some(group.reason)), "hosts": group.hosts }));
    json!({
        "id": decision.id,
        "at": decision.at.to_string(),
        "server": decision.server,
        "user": decision.user,
        "name": decision.name,
        "ask": {
            "profile": decision.ask.profile,
            "memory": decision.ask.memory,
            "image": decision.ask.image,
            "gpus": decision.ask.gpus,
            "gpu_model": decision.ask.gpu_model,
        },
        "outcome": outcome,
        "reason": reason(Some(decision.reason())),
        "sentence": decision.sentence(),
        "host": decision.host(),
        "ahead": ahead,
        "detail": detail,
        "estimate_s": estimate.map(|estimate| [estimate.from.0, estimate.to.0]),
        "nearest_memory": decision.nearest_memory(),
        "nearest": decision.nearest.iter().map(nearest).collect::<Vec<_>>(),
        "rules": rules,
        "possible_hosts": decision.possible,
        "excluded_hosts": excluded.collect::<Vec<_>>(),
    })
}

/// What would help, as data and in words.
fn nearest(nearest: &Nearest) -> Value {
    let mut described = match nearest {
        Nearest::Memory(memory) => json!({ "change": "memory", "memory": memory }),
        Nearest::Gpus(gpus) => json!({ "change": "gpus", "gpus": gpus }),
        Nearest::Profile(profile) => json!({ "change": "profile", "profile": profile }),
        Nearest::Stop(server) => json!({ "change": "stop", "server": server }),
        Nearest::From(moment) => json!({ "change": "from", "from": moment.to_string() }),
        Nearest::HostBack { host, reason: why } => {
            json!({ "change": "host", "host": host, "reason": reason(Some(*why)) })
        }
    };
    described["text"] = json!(nearest.sentence());
    described
}

/// How one host fared.
pub fn host_line(line: &HostLine, decision: &Decision) -> Value {
    let terms = |terms: &[Term]| -> Vec<Value> {
        terms.iter().map(|term| json!({ "name": term.name, "value": term.value })).collect()
    };
    match &line.verdict {
        HostVerdict::Best { terms: score } if decision.host() == Some(&line.host) => {
            json!({ "host": line.host, "verdict": "chosen", "terms": terms(score) })
        }
        HostVerdict::Best { terms: score } | HostVerdict::Possible { terms: score } => {
            json!({ "host": line.host, "verdict": "possible", "terms": terms(score) })
        }
        HostVerdict::Excluded { obstacles } => {
            let first = obstacles.first();
            let described =
                |it: &Obstacle| json!({ "reason": reason(Some(it.reason)), "detail": it.detail });
            json!({
                "host": line.host,
                "verdict": "excluded",
                "reason": reason(first.map(|it| it.reason)),
                "detail": first.map(|it| it.detail.as_str()),
                "also": obstacles.iter().skip(1).map(described).collect::<Vec<_>>(),
            })
        }
    }
}
