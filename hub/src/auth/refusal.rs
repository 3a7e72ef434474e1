//! What people get in place of a page: the login, or a page that says why not.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::auth::visitor::found;
use crate::auth::xsrf::XsrfError;
use crate::storage::StorageError;
use crate::web::error::{page, unavailable};
use crate::web::say;

/// Why a request for a page goes no further.
#[derive(Debug)]
pub enum Refusal {
    /// Nobody is logged in: 302 to this address.
    Login(String),
    /// A page with this status and message.
    Page(StatusCode, String),
    /// The store cannot be used. That is not a missing login: the person is told to wait, not to
    /// log in again.
    Storage(StorageError),
}

impl Refusal {
    /// A page with this status and message.
    pub fn page(status: StatusCode, message: impl Into<String>) -> Self {
        Self::Page(status, message.into())
    }
}

impl From<StorageError> for Refusal {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}

impl From<XsrfError> for Refusal {
    fn from(error: XsrfError) -> Self {
        let why = match error {
            XsrfError::OtherSite => say::t("xsrf-other-site"),
            XsrfError::Missing => say::t("xsrf-missing"),
            XsrfError::Mismatch => say::t("xsrf-mismatch"),
        };
        Self::page(StatusCode::FORBIDDEN, why.to_string())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Login(url) => found(&url),
            Self::Page(status, message) => page(status, &message),
            Self::Storage(error) => unavailable(&error),
        }
    }
}
