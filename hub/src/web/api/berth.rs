//! Our own API: JSON with a schema version, stable names, bytes as integers, moments as ISO 8601.

pub mod access;
pub mod accounts;
pub mod audit;
pub mod config;
pub mod decisions;
pub mod doctor;
pub mod drains;
pub mod farm;
pub mod floor;
pub mod hosts;
pub mod images;
pub mod import;
pub mod intents;
pub mod lab;
pub mod life;
pub mod logs;
pub mod maintenance;
pub mod notices;
pub mod plans;
pub mod pools;
pub mod profiles;
pub mod queue;
pub mod quota;
pub mod reboots;
pub mod rehearsals;
pub mod resize;
pub mod room;
pub mod servers;
pub mod trainings;
pub mod usage;
pub mod users;
pub mod visits;
pub mod why_not;

use axum::Json;
use berth_common::{HostId, Reason, Timestamp};
use serde_json::{Value, json};

use crate::web::error::ApiError;

/// Raised when a field changes its meaning or goes.
const SCHEMA_VERSION: u32 = 1;

/// An answer with one named part.
fn answer(name: &str, part: Value) -> Json<Value> {
    Json(json!({ "schema_version": SCHEMA_VERSION, name: part }))
}

/// A reason with its text, or null.
fn reason(reason: Option<Reason>) -> Value {
    match reason {
        None => Value::Null,
        Some(reason) => {
            json!({ "code": reason.code(), "text": reason.text(), "remedy": reason.remedy() })
        }
    }
}

/// A moment under a name.
fn moment(name: &str, text: &str) -> Result<Timestamp, ApiError> {
    let malformed = |error| ApiError::bad_request(format!("{name}: {error}"));
    text.parse().map_err(malformed)
}

/// A host's name.
fn host_id(text: &str) -> Result<HostId, ApiError> {
    text.parse().map_err(|error: berth_common::id::BadId| ApiError::bad_request(error.to_string()))
}

fn no_host(id: &HostId) -> ApiError {
    ApiError::not_found(format!("There is no host {id}."))
}
