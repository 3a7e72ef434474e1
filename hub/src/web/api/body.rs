//! Bodies of API calls: JSON of a bounded size, whatever `Content-Type` says (as JupyterHub).

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use http_body_util::BodyExt;
use serde_json::{Map, Value};

use crate::site::Hub;
use crate::web::error::ApiError;

/// No call of the API needs more.
pub const LARGEST: usize = 1 << 20;
/// What is read and dropped of a body that is too large.
const DROPPED: usize = 64 << 20;

/// A JSON object, or nothing.
#[derive(Debug)]
pub struct JsonBody(pub Option<Map<String, Value>>);

impl FromRequest<Arc<Hub>> for JsonBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &Arc<Hub>) -> Result<Self, ApiError> {
        let bytes = read(request.into_body()).await?;
        if bytes.trim_ascii().is_empty() {
            return Ok(Self(None));
        }
        match serde_json::from_slice(&bytes) {
            Ok(Value::Object(object)) => Ok(Self(Some(object))),
            Ok(Value::Null) => Ok(Self(None)),
            Ok(_) => Err(ApiError::bad_request("The body must be a JSON object.")),
            Err(_) => Err(ApiError::bad_request("Invalid JSON in body of request")),
        }
    }
}

/// Reads a body of a bounded size. What is too much is read on and dropped, up to a second bound:
/// a client that is still sending when the connection closes never sees the answer.
async fn read(mut body: Body) -> Result<Vec<u8>, ApiError> {
    let mut bytes = Vec::new();
    let mut size: usize = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| ApiError::bad_request("The body broke off."))?;
        let Some(data) = frame.data_ref() else { continue };
        size = size.saturating_add(data.len());
        if size > DROPPED {
            break;
        } else if size <= LARGEST {
            bytes.extend_from_slice(data);
        }
    }
    if size > LARGEST { Err(too_large()) } else { Ok(bytes) }
}

impl JsonBody {
    /// The object; an absent one is empty.
    pub fn or_empty(self) -> Map<String, Value> {
        self.0.unwrap_or_default()
    }
}

fn too_large() -> ApiError {
    let message = format!("The body is larger than {LARGEST} bytes.");
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, message)
}

/// Refuses keys that the call does not know.
///
/// # Errors
/// 400 with the strangers.
pub fn only(body: &Map<String, Value>, known: &[&str]) -> Result<(), ApiError> {
    let strangers: Vec<_> =
        body.keys().filter(|key| !known.contains(&key.as_str())).map(String::as_str).collect();
    if strangers.is_empty() {
        Ok(())
    } else {
        Err(ApiError::bad_request(format!("Invalid JSON keys: {}", strangers.join(", "))))
    }
}

/// A value of this type under a key; `None` if absent or null.
///
/// # Errors
/// 400 for another type.
pub fn field<T: serde::de::DeserializeOwned>(
    body: &Map<String, Value>,
    key: &str,
) -> Result<Option<T>, ApiError> {
    let Some(value) = body.get(key).filter(|value| !value.is_null()) else { return Ok(None) };
    serde_json::from_value(value.clone())
        .map(Some)
        .map_err(|error| ApiError::bad_request(format!("{key}: {error}")))
}
