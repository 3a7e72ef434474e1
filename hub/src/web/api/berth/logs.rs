//! What a running server has written last.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use berth_proto::link::question::What;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::auth::Caller;
use crate::link::asked::NoAnswer;
use crate::site::Hub;
use crate::web::api::berth::{answer, servers};
use crate::web::api::path::Names;
use crate::web::error::ApiError;

/// Lines, if nothing is said.
const USUAL: u32 = 100;
/// Hosts send no more.
const MOST: u32 = 1_000;

/// How many.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HowMany {
    lines: Option<u32>,
}

/// `GET servers/:id/log?lines=`: the last lines, oldest first, each with the time at which the
/// engine heard it. 409 if the server runs nowhere, 503 if its host does not say.
pub async fn show(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Names(id): Names<String>,
    how_many: Result<Query<HowMany>, QueryRejection>,
) -> Result<Json<Value>, ApiError> {
    caller.require("read:servers")?;
    let Query(how_many) = how_many.map_err(|error| ApiError::bad_request(error.body_text()))?;
    let lines = how_many.lines.unwrap_or(USUAL);
    if !(1..=MOST).contains(&lines) {
        return Err(ApiError::bad_request(format!("lines: 1 to {MOST}")));
    }
    let fleet = hub.fleet.fleet();
    let server = servers::find(&hub, &fleet, &caller, &id)?;
    let away = |text: &str| ApiError::new(StatusCode::SERVICE_UNAVAILABLE, text);
    let found = hub.asked.ask(server, What::LogLines(lines)).await.map_err(|why| match why {
        NoAnswer::NotPlaced => {
            let text = "The server runs nowhere; its last words are with its end.";
            ApiError::new(StatusCode::CONFLICT, text)
        }
        NoAnswer::Away => away("The server's host cannot be asked at this moment."),
        NoAnswer::Slow => away("The server's host did not answer in time. Try again."),
        NoAnswer::Said(said) => away(&format!("The server's host says: {said}.")),
    })?;
    let line = |line: &berth_proto::link::LogLine| json!({ "at": line.at, "text": line.text });
    Ok(answer("log", json!(found.log.iter().map(line).collect::<Vec<_>>())))
}
