//! Answers that say what is wrong: JSON for programs, a page for people.

use axum::Json;
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use berth_common::Reason;
use serde_json::json;

use crate::driver::NotSaved;
use crate::storage::StorageError;
use crate::web::pages::error_page;
use crate::web::say;

/// Longest message sent or logged: some repeat what a client sent.
const LONGEST: usize = 400;

/// The header that carries a decision's reason code.
const REASON: HeaderName = HeaderName::from_static("x-berth-reason");

/// An API call that did not succeed, in JupyterHub's form: `{"status", "message"}`.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    message: Option<String>,
    reason: Option<Reason>,
    retry_after_s: Option<u64>,
}

impl ApiError {
    /// With a message for people.
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        let message = Some(cut(&message.into()));
        Self { status, message, reason: None, retry_after_s: None }
    }

    /// 400.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// 403.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, message)
    }

    /// 404.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// 403 without a message: what `GET /user` says to an unknown token.
    pub fn nobody() -> Self {
        Self { status: StatusCode::FORBIDDEN, message: None, reason: None, retry_after_s: None }
    }

    /// 403 for requests without credentials, or with bad ones.
    pub fn no_credentials() -> Self {
        Self::forbidden("Missing or invalid credentials.")
    }

    /// 404 for what is not there or not to be seen: the same for both.
    pub fn no_resource() -> Self {
        Self::not_found("No access to resources or resources not found")
    }

    /// 403 for callers that do not hold a scope at all.
    pub fn no_scope(scopes: &[&str]) -> Self {
        Self::forbidden(format!(
            "Action is not authorized with current scopes; requires any of [{}]",
            scopes.join(", ")
        ))
    }

    /// 429.
    pub fn too_many(seconds: u64) -> Self {
        let mut error = Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            format!("Too many requests. Try again in {seconds} seconds."),
        );
        error.retry_after_s = Some(seconds);
        error
    }

    /// With the code of the decision behind it.
    #[must_use]
    pub fn because(mut self, reason: Reason) -> Self {
        self.reason = Some(reason);
        self
    }
}

impl From<StorageError> for ApiError {
    fn from(error: StorageError) -> Self {
        tracing::error!(%error, "an API call could not use the store");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "The hub cannot use its store at the moment.")
    }
}

impl From<NotSaved> for ApiError {
    fn from(error: NotSaved) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = json!({ "status": self.status.as_u16(), "message": self.message });
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        if let Some(reason) = self.reason {
            headers.insert(REASON, HeaderValue::from_static(reason.code()));
        }
        if let Some(seconds) = self.retry_after_s {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// An error page.
pub fn page(status: StatusCode, message: &str) -> Response {
    let title = match status {
        StatusCode::FORBIDDEN => say::t("error-forbidden"),
        StatusCode::SERVICE_UNAVAILABLE => say::t("login-not-now"),
        _ => say::t("error-wrong"),
    };
    error_page(status, &title.to_string(), &cut(message))
}

/// The page for a store that cannot be used.
pub fn unavailable(error: &StorageError) -> Response {
    tracing::error!(%error, "a page could not use the store");
    page(StatusCode::SERVICE_UNAVAILABLE, &say::t("error-store").to_string())
}

/// Shortens a text that may repeat what a client sent.
pub fn cut(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Escapes a text for HTML, attributes included.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}
