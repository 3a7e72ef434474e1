//! The site's files: what is in force, what is on disk, and what they give a person.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use berth_common::Timestamp;
use berth_core::event::Wish;
use berth_core::rules;
use berth_core::settings::Cite;
use berth_process::clock::now;
use serde_json::{Value, json};

use crate::auth::Caller;
use crate::config::{self, Diagnostics, Severity};
use crate::reload::{self, Origin, Refused};
use crate::site::Hub;
use crate::web::api::berth::answer;
use crate::web::api::find_user;
use crate::web::api::path::Names;
use crate::web::error::ApiError;

/// `GET config`: what is in force, whether the disk says the same, and what is wrong there.
pub async fn show(State(hub): State<Arc<Hub>>, caller: Caller) -> Result<Json<Value>, ApiError> {
    caller.require("admin-ui")?;
    let (now, disk) = (hub.configuration.in_force(), disk(&hub)?);
    let mut part = json!({
        "in_force_since": moment(now.since),
        "from": match now.origin {
            Origin::Disk => "disk",
            Origin::Kept => "kept",
            Origin::RolledBack => "rolled back",
        },
        "files": now.files.0.keys().collect::<Vec<_>>(),
        "same_as_disk": disk.files == now.files,
    });
    part["valid"] = json!(disk.valid);
    part["found"] = found(&disk.said);
    Ok(answer("config", part))
}

/// `GET config/diff`: each file whose text on disk is not the one in force, and what of it the hub
/// takes over by a restart only.
pub async fn diff(State(hub): State<Arc<Hub>>, caller: Caller) -> Result<Json<Value>, ApiError> {
    caller.require("admin-ui")?;
    let (now, disk) = (hub.configuration.in_force(), disk(&hub)?);
    let names: BTreeSet<&String> = now.files.0.keys().chain(disk.files.0.keys()).collect();
    let differ = names.into_iter().filter_map(|name| {
        let texts = (now.files.0.get(name), disk.files.0.get(name));
        let of_restart =
            disk.said.0.iter().filter(|it| it.file == *name && it.code == config::NEEDS_RESTART);
        let restart: Vec<_> = of_restart.map(|it| &it.message).collect();
        (texts.0 != texts.1).then(
            || json!({ "file": name, "in_force": texts.0, "on_disk": texts.1, "restart": restart }),
        )
    });
    Ok(answer("diff", differ.collect()))
}

/// `POST config/reload`: takes the files on disk over, all or none.
pub async fn reload(State(hub): State<Arc<Hub>>, caller: Caller) -> Result<Json<Value>, ApiError> {
    caller.require("admin-ui")?;
    outcome(&hub, reload::reload(&hub).await)
}

/// `POST config/rollback`: the files before these, until those on disk change.
pub async fn roll_back(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
) -> Result<Json<Value>, ApiError> {
    caller.require("admin-ui")?;
    tracing::warn!(by = caller.name(), "the configuration before was asked for");
    outcome(&hub, reload::roll_back(&hub).await)
}

fn outcome(hub: &Hub, done: Result<Diagnostics, Refused>) -> Result<Json<Value>, ApiError> {
    let (applied, said) = match done {
        Ok(said) => (true, said),
        Err(Refused::Wrong(said)) => (false, said),
        Err(other) => return Err(conflict(&other)),
    };
    let since = hub.configuration.in_force().since;
    let part = json!({
        "applied": applied,
        "in_force_since": moment(since),
        "found": found(&said),
    });
    Ok(answer("config", part))
}

fn conflict(refused: &Refused) -> ApiError {
    ApiError::new(StatusCode::CONFLICT, refused.to_string())
}

struct Disk {
    files: crate::config::Files,
    valid: bool,
    said: Diagnostics,
}

fn disk(hub: &Hub) -> Result<Disk, ApiError> {
    let (files, said) = reload::on_disk(hub).map_err(|error| conflict(&error))?;
    let valid = said.is_ok();
    Ok(Disk { files, valid, said: said.unwrap_or_else(|wrong| wrong) })
}

fn found(said: &Diagnostics) -> Value {
    let one = |it: &crate::config::Diagnostic| {
        json!({
            "severity": if it.severity == Severity::Error { "error" } else { "warning" },
            "file": it.file, "line": it.line, "code": it.code, "message": it.message,
        })
    };
    said.0.iter().map(one).collect()
}

fn moment(at: Timestamp) -> String {
    at.to_string()
}

/// `GET config/effective/:user`: for each profile the rules as they are for this person, with the
/// line that gave each.
pub async fn effective(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Names(name): Names<String>,
) -> Result<Json<Value>, ApiError> {
    caller.require("admin-ui")?;
    let user = find_user(&hub, &name)?;
    let user = user.ok_or_else(|| ApiError::not_found(format!("There is no user {name}.")))?;
    let fleet = hub.fleet.fleet();
    let settings = &fleet.settings;
    let groups: Vec<&str> = user.account.groups.iter().map(|it| it.name.as_str()).collect();
    let profiles = settings.profiles.iter().map(|(name, profile)| {
        let wish = Wish { profile: Some(name.clone()), ..Wish::default() };
        let checked = rules::check(&fleet, now(), &user.account, &wish, None);
        let refusal = checked.verdict.as_ref().err();
        let rules = checked.rules.iter().map(|rule| {
            json!({ "text": rule.text, "passed": rule.passed, "cite": cite(rule.cite.as_ref()) })
        });
        let person = Some((&user.account.name, groups.as_slice()));
        let idle = settings.lifecycle.idle_rule(&profile.pool, name, person);
        json!({
            "profile": name,
            "declared_at": profile.cite.to_string(),
            "allowed": refusal.is_none(),
            "reason": refusal.map(|refusal| refusal.reason.code()),
            "why": refusal.map(|refusal| refusal.detail.as_str()),
            "rules": rules.collect::<Vec<_>>(),
            "idle_stop_s": idle.and_then(|rule| rule.stop_after).map(|limit| limit.0),
            "idle_at": cite(idle.map(|rule| &rule.cite)),
        })
    });
    Ok(answer(
        "effective",
        json!({
            "user": user.account.name,
            "groups": groups,
            "admin": hub.is_admin(&user),
            "profiles": profiles.collect::<Vec<_>>(),
        }),
    ))
}

/// Where a rule stands; null for what no file says.
fn cite(cite: Option<&Cite>) -> Value {
    cite.filter(|cite| !cite.file.is_empty()).map_or(Value::Null, |cite| json!(cite.to_string()))
}
