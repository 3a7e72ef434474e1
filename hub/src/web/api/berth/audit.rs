//! `audit`: who did what, from where, to whom and why.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use berth_store::{Acts, Recorded};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{answer, moment};
use crate::auth::Caller;
use crate::site::Hub;
use crate::web::error::ApiError;

/// Acts in an answer where nothing is said.
const MANY: usize = 100;
/// Acts in an answer at most.
const MOST: usize = 1_000;

/// Which acts are asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Which {
    user: Option<String>,
    actor: Option<String>,
    action: Option<String>,
    since: Option<String>,
    before: Option<i64>,
    limit: Option<usize>,
}

/// `GET audit?user=&actor=&action=&since=&before=&limit=`, the newest first. `next` is the `before`
/// of the next page. Administrators see all, others what they did and what was done to them.
pub async fn list(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    which: Result<Query<Which>, QueryRejection>,
) -> Result<Json<Value>, ApiError> {
    let Query(mut which) = which.map_err(|error| ApiError::bad_request(error.body_text()))?;
    if !caller.scopes.hold_for_all("admin:users") {
        only_own(&caller, &mut which)?;
    }
    let limit = which.limit.unwrap_or(MANY).clamp(1, MOST);
    let wanted = Acts {
        user: which.user,
        actor: which.actor,
        action: which.action,
        since: which.since.map(|text| moment("since", &text)).transpose()?,
        before: which.before,
        limit: limit.saturating_add(1),
        ..Acts::default()
    };
    let mut acts = hub.storage.read(|reader| reader.acts(&wanted))?;
    let more = acts.len() > limit;
    acts.truncate(limit);
    let next = acts.last().filter(|_| more).map(|last| last.id);
    let Json(mut body) = answer("audit", json!(acts.iter().map(model).collect::<Vec<_>>()));
    body["next"] = json!(next);
    Ok(Json(body))
}

/// Somebody without rights over all people asks about themselves: as actor if that is said, else as
/// the person concerned.
fn only_own(caller: &Caller, which: &mut Which) -> Result<(), ApiError> {
    let user = caller
        .user
        .as_ref()
        .filter(|user| caller.scopes.reach_user("read:users:activity", &user.account));
    let own = user.map(|user| user.account.name.to_string());
    let own = own.ok_or_else(|| ApiError::no_scope(&["admin:users"]))?;
    let is_own = |name: &Option<String>| name.as_ref().is_none_or(|name| *name == own);
    if !is_own(&which.user) && !is_own(&which.actor) {
        return Err(ApiError::no_resource());
    }
    if which.user.as_ref() != Some(&own) && which.actor.as_ref() != Some(&own) {
        if which.user.is_some() || which.actor.is_some() {
            return Err(ApiError::no_resource());
        }
        which.user = Some(own);
    }
    Ok(())
}

fn model(recorded: &Recorded) -> Value {
    let Recorded { id, act } = recorded;
    json!({
        "id": id,
        "at": act.at.to_string(),
        "actor": act.actor,
        "action": act.action,
        "user": act.user,
        "from": act.from,
        "subject": act.subject,
        "reason": act.reason,
    })
}
