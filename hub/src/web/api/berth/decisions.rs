//! Decisions with their explanation, and what would come of a request now.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use berth_common::DecisionId;
use berth_core::decision::{Decision, HostVerdict, Outcome, Term};
use berth_core::event::Wish;
use serde_json::{Value, json};

use crate::actions;
use crate::auth::Caller;
use crate::site::Hub;
use crate::web::api::berth::{answer, reason, servers};
use crate::web::api::body::{self, JsonBody};
use crate::web::api::path::Names;
use crate::web::api::{find_user, options, server_name};
use crate::web::error::ApiError;

/// Decisions of one server in an answer.
const MOST: u32 = 50;

/// `GET servers/:id/decisions`, newest first.
pub async fn of_server(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Names(id): Names<String>,
) -> Result<Json<Value>, ApiError> {
    let fleet = hub.fleet.fleet();
    let server = servers::find(&hub, &fleet, &caller, &id)?.id.clone();
    let decisions = hub.storage.read(|reader| reader.decisions_of(&server, MOST))?;
    let decisions: Vec<_> = decisions.iter().map(|decision| describe(&caller, decision)).collect();
    Ok(answer("decisions", json!(decisions)))
}

/// `GET decisions/:id`.
pub async fn show(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Names(id): Names<String>,
) -> Result<Json<Value>, ApiError> {
    caller.require("read:servers")?;
    let id = id.parse::<DecisionId>().map_err(|error| ApiError::bad_request(error.to_string()))?;
    let decision = hub.storage.read(|reader| reader.decision(&id))?;
    let decision = decision.ok_or_else(ApiError::no_resource)?;
    let owner = find_user(&hub, decision.user.as_str())?;
    let may_read = caller.scopes.hold_for_all("read:servers")
        || caller.require_server("read:servers", owner, &decision.name).is_ok();
    if !may_read {
        return Err(ApiError::no_resource());
    }
    Ok(answer("decision", describe(&caller, &decision)))
}

/// `POST explain`: a dry run. Changes nothing.
pub async fn explain(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    body: JsonBody,
) -> Result<Json<Value>, ApiError> {
    let body = body.or_empty();
    body::only(&body, &["user", "server", "profile", "memory", "image"])?;
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
        as_before: false,
    };
    let decision = actions::dry_run(&hub, user.account, server, wish);
    Ok(answer("decision", describe(&caller, &decision)))
}

/// A decision as everybody sees it. How each host fared is for administrators; other people get
/// the outcome and the rules.
pub fn describe(caller: &Caller, decision: &Decision) -> Value {
    let (outcome, ahead, detail) = match &decision.outcome {
        Outcome::Placed { .. } => ("placed", None, None),
        Outcome::Waits { ahead, .. } => ("waits", Some(*ahead), None),
        Outcome::Refused { detail, .. } => ("refused", None, Some(detail.as_str())),
    };
    let rules: Vec<_> = decision
        .rules
        .iter()
        .map(|rule| {
            let cite = rule.cite.as_ref().map(ToString::to_string);
            json!({ "text": rule.text, "passed": rule.passed, "cite": cite })
        })
        .collect();
    let mut described = json!({
        "id": decision.id,
        "at": decision.at.to_string(),
        "server": decision.server,
        "user": decision.user,
        "name": decision.name,
        "ask": {
            "profile": decision.ask.profile,
            "memory": decision.ask.memory,
            "image": decision.ask.image,
        },
        "outcome": outcome,
        "reason": reason(Some(decision.reason())),
        "sentence": decision.sentence(),
        "host": decision.host(),
        "ahead": ahead,
        "detail": detail,
        "nearest_memory": decision.nearest,
        "rules": rules,
    });
    if caller.scopes.hold("admin-ui") {
        described["hosts"] = decision.hosts.iter().map(host_line).collect();
    }
    described
}

fn host_line(line: &berth_core::decision::HostLine) -> Value {
    let terms = |terms: &[Term]| -> Vec<Value> {
        terms.iter().map(|term| json!({ "name": term.name, "value": term.value })).collect()
    };
    match &line.verdict {
        HostVerdict::Chosen { terms: score } => {
            json!({ "host": line.host, "verdict": "chosen", "terms": terms(score) })
        }
        HostVerdict::Possible { terms: score } => {
            json!({ "host": line.host, "verdict": "possible", "terms": terms(score) })
        }
        HostVerdict::Excluded { reason: why, detail } => json!({
            "host": line.host,
            "verdict": "excluded",
            "reason": reason(Some(*why)),
            "detail": detail,
        }),
    }
}
