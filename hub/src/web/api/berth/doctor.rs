//! Whether everything is as it should be.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::auth::Caller;
use crate::doctor;
use crate::site::Hub;
use crate::web::api::berth::answer;
use crate::web::error::ApiError;
use crate::web::reader::Reader;

/// `GET doctor`: everything that was looked at, with what to do.
pub async fn examine(State(hub): State<Arc<Hub>>, caller: Caller) -> Result<Json<Value>, ApiError> {
    caller.require("admin-ui")?;
    // Programs read English, whatever the caller's browser would rather read.
    let found = Reader::default().served(doctor::examine(&hub)).await;
    Ok(answer("doctor", json!(found)))
}
