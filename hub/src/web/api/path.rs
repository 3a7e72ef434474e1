//! Names in the path of an API call.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use crate::site::Hub;
use crate::web::error::ApiError;

/// The path's names, decoded. What cannot be decoded is not found.
#[derive(Debug)]
pub struct Names<T>(pub T);

impl<T: DeserializeOwned + Send> FromRequestParts<Arc<Hub>> for Names<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, hub: &Arc<Hub>) -> Result<Self, ApiError> {
        let path = Path::<T>::from_request_parts(parts, hub).await;
        path.map(|Path(names)| Self(names)).map_err(|_| ApiError::no_resource())
    }
}
