//! What people and groups used over time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use berth_common::Timestamp;
use berth_core::Fleet;
use berth_core::usage::{self, Amount, UsageDay};
use berth_process::clock::now;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::auth::Caller;
use crate::site::Hub;
use crate::web::api::berth::{answer, moment};
use crate::web::error::ApiError;

/// Where nothing is said, a month.
pub const MONTH_MICROS: i64 = 30 * 86_400 * 1_000_000;

/// What the amounts are added up by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// Each person.
    #[default]
    User,
    /// The group that the servers were made for.
    Group,
}

/// What one person or group used.
#[derive(Debug, Clone)]
pub struct Sum {
    /// The person or group.
    pub name: String,
    /// What of it.
    pub amount: Amount,
    /// The person's groups, or the group's people.
    pub others: BTreeSet<String>,
}

/// The sums over whole days, in the order of names, of the days that count.
pub fn sums(
    fleet: &Fleet,
    by: By,
    from: Timestamp,
    to: Timestamp,
    now: Timestamp,
    counts: impl Fn(&UsageDay) -> bool,
) -> Vec<Sum> {
    let mut sums: BTreeMap<String, (Amount, BTreeSet<String>)> = BTreeMap::new();
    for day in usage::days(fleet, from, to, now).into_iter().filter(counts) {
        let (name, other) = match by {
            By::User => (day.user.to_string(), day.group),
            By::Group => (day.group, day.user.to_string()),
        };
        let (sum, others) = sums.entry(name).or_default();
        sum.add(day.amount);
        others.insert(other);
    }
    sums.into_iter().map(|(name, (amount, others))| Sum { name, amount, others }).collect()
}

/// Which days, and whose.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Which {
    #[serde(default)]
    by: By,
    from: Option<String>,
    to: Option<String>,
}

/// `GET usage?by=user|group&from=&to=`: whole days, from the one of `from` to the one before `to`
/// ends. People without the right to all see their own.
pub async fn list(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    which: Result<Query<Which>, QueryRejection>,
) -> Result<Json<Value>, ApiError> {
    caller.require("read:servers")?;
    let Query(which) = which.map_err(|error| ApiError::bad_request(error.body_text()))?;
    let now = now();
    let from = which.from.map(|text| moment("from", &text)).transpose()?;
    let from = from.unwrap_or(Timestamp(now.0.saturating_sub(MONTH_MICROS)));
    let to = which.to.map(|text| moment("to", &text)).transpose()?.unwrap_or(now).min(now);
    if to <= from {
        return Err(ApiError::bad_request("from: it must be before to, and not in the future"));
    }
    let all = caller.scopes.hold_for_all("read:servers");
    let own = caller.user.as_ref().map(|user| &user.account.name);
    if !all && which.by == By::Group {
        return Err(ApiError::no_scope(&["read:servers"]));
    }
    let counts = |day: &UsageDay| all || own == Some(&day.user);
    let sums = sums(&hub.fleet.fleet(), which.by, from, to, now, counts);
    let rows = sums.into_iter().map(|Sum { name, amount, others }| {
        let mut row = json!({
            "name": name,
            "server_hours": hours(amount.server_s, 1),
            "gib_hours": hours(amount.mib_s, 1024),
            "gib_hours_used": hours(amount.used_mib_s, 1024),
            "gpu_hours": hours(amount.gpu_milli_s, 1000),
            "gpu_hours_used": hours(amount.used_gpu_milli_s, 1000),
        });
        match which.by {
            By::User => row["group"] = json!(others.into_iter().next_back()),
            By::Group => row["users"] = json!(others.len()),
        }
        row
    });
    let rows: Vec<_> = rows.collect();
    Ok(answer("usage", json!({ "from": from.to_string(), "to": to.to_string(), "rows": rows })))
}

/// Hours with one decimal.
pub fn hours(seconds: u64, parts: u64) -> f64 {
    (seconds as f64 / parts as f64 / 360.0).round() / 10.0
}
