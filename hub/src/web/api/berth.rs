//! Our own API: JSON with a schema version, stable names, bytes as integers, moments as ISO 8601.

pub mod decisions;
pub mod hosts;
pub mod profiles;
pub mod servers;
pub mod users;

use axum::Json;
use berth_common::Reason;
use serde_json::{Value, json};

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
