//! Who may use a profile, or whose servers a host takes, by the site's files.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use berth_common::{HostId, Timestamp};
use berth_core::settings::{Cite, People};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::auth::Caller;
use crate::site::Hub;
use crate::web::api::berth::answer;
use crate::web::error::ApiError;

/// What `GET access` can be asked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Which {
    profile: Option<String>,
    host: Option<String>,
}

/// `GET access?profile=|host=`: the lines that name people for it.
pub async fn show(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    which: Result<Query<Which>, QueryRejection>,
) -> Result<Json<Value>, ApiError> {
    caller.require("admin-ui")?;
    let Query(which) = which.map_err(|error| ApiError::bad_request(error.body_text()))?;
    let fleet = hub.fleet.fleet();
    let settings = &fleet.settings;
    let access = &settings.access;
    let rows: Vec<Value> = match (&which.profile, &which.host) {
        (Some(profile), None) => {
            if !settings.profiles.contains_key(profile) {
                return Err(ApiError::not_found(format!("There is no profile {profile}.")));
            }
            let concerns = |of: &Option<String>| of.as_ref().is_none_or(|of| of == profile);
            let allow = access.allow.iter().filter(|it| it.profile == *profile);
            let deny = access.deny.iter().filter(|it| concerns(&it.profile));
            let allow = allow.map(|it| {
                row("allow", Some(&it.profile), &it.people, it.until, it.note.as_ref(), &it.cite)
            });
            let deny = deny.map(|it| {
                row("deny", it.profile.as_ref(), &it.people, None, Some(&it.reason), &it.cite)
            });
            allow.chain(deny).collect()
        }
        (None, Some(host)) => {
            let host: HostId =
                host.parse().map_err(|error| ApiError::bad_request(format!("host: {error}")))?;
            if !settings.hosts.contains_key(&host) {
                return Err(ApiError::not_found(format!("There is no host {host}.")));
            }
            let places = access.place.iter().filter_map(|it| {
                let rule = match (it.require.contains(&host), it.prefer.contains(&host)) {
                    (true, _) => "only here",
                    (false, true) => "here first",
                    (false, false) => return None,
                };
                Some(row(rule, it.profile.as_ref(), &it.people, None, None, &it.cite))
            });
            places.collect()
        }
        _ => return Err(ApiError::bad_request("profile or host: say one of them")),
    };
    Ok(answer("access", json!(rows)))
}

fn row(
    rule: &str,
    profile: Option<&String>,
    people: &People,
    until: Option<Timestamp>,
    note: Option<&String>,
    cite: &Cite,
) -> Value {
    json!({
        "rule": rule,
        "profile": profile,
        "users": people.users,
        "groups": people.groups,
        "except_users": people.except_users,
        "until": until.map(|at| at.to_string()),
        "note": note,
        "cite": cite.to_string(),
    })
}
