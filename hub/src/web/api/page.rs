//! JupyterHub's pages of a list: `offset` and `limit`, and the whole with its place in it for
//! clients that ask for that.

use axum::http::header::{ACCEPT, HOST};
use axum::http::{HeaderMap, Uri};
use serde_json::{Value, json};

use crate::auth::form;
use crate::auth::next::escape;
use crate::site::Hub;
use crate::web::error::ApiError;

/// Clients that send it get pages with their place in the whole.
const PAGINATION: &str = "application/jupyterhub-pagination+json";
/// Most items in one answer.
pub const MOST: usize = 200;
/// Items in a page when the client does not say.
pub const DEFAULT: usize = 50;

/// What part of a list is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Items before it.
    pub offset: usize,
    /// Items in it, at most.
    pub limit: usize,
    /// Whether the client wants to know its place in the whole.
    pub with_place: bool,
}

impl Page {
    /// Reads `offset` and `limit`.
    ///
    /// # Errors
    /// 400 when one of them is no number.
    pub fn read(uri: &Uri, headers: &HeaderMap) -> Result<Self, ApiError> {
        let with_place = headers.get_all(ACCEPT).iter().any(|accept| accept == PAGINATION);
        let mut page =
            Self { offset: 0, limit: if with_place { DEFAULT } else { MOST }, with_place };
        for (key, value) in form::query_pairs(uri) {
            match key.as_str() {
                "offset" => page.offset = number("offset", &value)?,
                "limit" => page.limit = number("limit", &value)?.clamp(1, MOST),
                _ => {}
            }
        }
        Ok(page)
    }
}

fn number(key: &str, value: &str) -> Result<usize, ApiError> {
    value.parse().map_err(|_| ApiError::bad_request(format!("{key} must be a whole number")))
}

/// The page of a list, in the form that the client asked for.
pub fn cut(hub: &Hub, headers: &HeaderMap, uri: &Uri, page: &Page, all: Vec<Value>) -> Value {
    let total = all.len();
    let items: Vec<Value> = all.into_iter().skip(page.offset).take(page.limit).collect();
    if !page.with_place {
        return Value::Array(items);
    }
    json!({ "_pagination": place(hub, headers, uri, page, items.len(), total), "items": items })
}

/// A page's place in the whole.
pub fn place(
    hub: &Hub,
    headers: &HeaderMap,
    uri: &Uri,
    page: &Page,
    shown: usize,
    total: usize,
) -> Value {
    let after = page.offset.saturating_add(shown);
    let next = (after < total && shown > 0).then(|| {
        let url = next_url(hub, headers, uri, after, page.limit);
        json!({ "offset": after, "limit": page.limit, "url": url })
    });
    json!({ "offset": page.offset, "limit": page.limit, "total": total, "next": next })
}

/// The next page's address, absolute and with the other arguments kept: clients follow it as is.
fn next_url(hub: &Hub, headers: &HeaderMap, uri: &Uri, offset: usize, limit: usize) -> String {
    let mut query = format!("offset={offset}&limit={limit}");
    for (key, value) in form::query_pairs(uri) {
        if key != "offset" && key != "limit" {
            query.push_str(&format!("&{}={}", escape(&key), escape(&value)));
        }
    }
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text("x-forwarded-host").or_else(|| text(HOST.as_str()));
    let site = match host {
        Some(host) => {
            let scheme = if text("x-forwarded-proto") == Some("https") { "https" } else { "http" };
            format!("{scheme}://{host}")
        }
        None => hub.config().hub.public_url.clone(),
    };
    format!("{site}{}?{query}", uri.path())
}
