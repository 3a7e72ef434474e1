//! Pages that say what went wrong and where to go on.

use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::auth::Right;
use crate::driver::NotSaved;
use crate::storage::StorageError;
use crate::web::pages::shell::{Shell, page};
use crate::web::say;

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    shell: Shell,
    code: u16,
    title: &'a str,
    text: &'a str,
    /// What was recorded of the case, in English; empty: the text says all.
    detail: &'a str,
}

/// A page with a title and a sentence of what to do.
pub fn error_page(status: StatusCode, title: &str, text: &str) -> Response {
    error_page_with(status, title, text, "")
}

/// The same, with what was recorded of the case under it.
pub fn error_page_with(status: StatusCode, title: &str, text: &str, detail: &str) -> Response {
    let code = status.as_u16();
    page(status, &ErrorPage { shell: Shell::whoever(title), code, title, text, detail })
}

/// Why a page cannot be shown or did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// There is none, or it is not for this person: the two look alike.
    #[error("no such page")]
    NotFound,
    /// It takes a right that this person has not.
    #[error("it takes {}", .0.scopes().join(", "))]
    Forbidden(Right),
    /// The form holds something that cannot be.
    #[error("{0}")]
    BadForm(String),
    /// What the page shows does not answer.
    #[error("no answer from what it shows")]
    Upstream,
    /// The store cannot be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Nothing was changed.
    #[error(transparent)]
    NotSaved(#[from] NotSaved),
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        match self {
            Self::NotFound => not_found(),
            Self::Forbidden(right) => error_page(
                StatusCode::FORBIDDEN,
                &say::t("error-not-for-you").to_string(),
                &say::t("error-scopes").with("scopes", right.scopes().join(", ")).to_string(),
            ),
            Self::BadForm(why) => error_page(
                StatusCode::BAD_REQUEST,
                &say::t("error-cannot-be").to_string(),
                &say::t("error-go-back").with("why", &why).to_string(),
            ),
            Self::Upstream => error_page(
                StatusCode::BAD_GATEWAY,
                &say::t("error-upstream").to_string(),
                &say::t("error-upstream-next").to_string(),
            ),
            Self::Storage(error) => {
                tracing::error!(%error, "a page could not be made");
                trouble()
            }
            Self::NotSaved(error) => {
                tracing::warn!(%error, "a wish of a page was not carried out");
                trouble()
            }
        }
    }
}

/// The page for what is not there, or not for this person.
pub fn not_found() -> Response {
    error_page(
        StatusCode::NOT_FOUND,
        &say::t("error-nothing-here").to_string(),
        &say::t("error-not-yours").to_string(),
    )
}

fn trouble() -> Response {
    error_page(
        StatusCode::SERVICE_UNAVAILABLE,
        &say::t("error-hub").to_string(),
        &say::t("error-hub-text").to_string(),
    )
}

/// `GET /hub/error/{code}`: the proxy shows these; the answer itself is a success.
pub async fn for_proxy(Path(code): Path<String>) -> Response {
    let code = code.parse().ok().and_then(|code| StatusCode::from_u16(code).ok());
    let (title, text) = match code {
        Some(StatusCode::NOT_FOUND) => (say::t("error-nothing-here"), say::t("error-no-page")),
        Some(
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT,
        ) => (say::t("error-no-answer"), say::t("error-no-answer-text")),
        _ => (say::t("error-wrong"), say::t("error-reload")),
    };
    let (title, text) = (title.to_string(), text.to_string());
    let code = code.map_or(0, |code| code.as_u16());
    let shell = Shell::stranger(title.clone());
    page(StatusCode::OK, &ErrorPage { shell, code, title: &title, text: &text, detail: "" })
}
