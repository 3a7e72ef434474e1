//! The page of a server that does not run, at its own address. Looking at it starts nothing; a
//! program that asks gets the answer it knows, in JSON.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::Json;
use axum::extract::State;
use axum::http::header::ACCEPT;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use berth_common::ByteCount;
use berth_core::{Fleet, Server};
use serde_json::json;

use crate::auth::form::query_value;
use crate::auth::visitor::found;
use crate::auth::{MaybeVisitor, Next, Right, Visitor};
use crate::site::Hub;
use crate::web::pages::ending::{Ending, more_memory};
use crate::web::pages::error::{PageError, error_page};
use crate::web::pages::shell::{Here, Shell, page};
use crate::web::pages::target::{May, Target, may};
use crate::web::pages::ticket;
use crate::web::pages::words;
use crate::web::say;

/// After this many redirects the proxy evidently does not lead to the server.
const MOST_REDIRECTS: u32 = 4;

#[derive(Template)]
#[template(path = "stopped.html")]
struct StoppedPage {
    shell: Shell,
    xsrf: String,
    title: String,
    path: String,
    may: May,
    /// Of a server that was started before.
    id: Option<String>,
    end: Option<Ending>,
    more: Option<(ByteCount, String)>,
    next: String,
    /// The form, with the way back.
    form: String,
    /// Where its owner asks for help, with a ticket filled in.
    help: Option<String>,
}

/// The page that says that a server does not run, with the button that starts it.
pub fn page_for(
    hub: &Hub,
    visitor: &Visitor,
    target: &Target,
    server: Option<&Arc<Server>>,
    next: Option<&Next>,
    status: StatusCode,
) -> Response {
    let fleet = hub.fleet.fleet();
    let query = next.map_or_else(String::new, |next| format!("?next={}", next.escaped()));
    let view = StoppedPage {
        shell: Shell::of(visitor, say::t("not-running-title").to_string(), Here::Home),
        xsrf: visitor.xsrf.clone(),
        title: words::server_title(&target.name),
        may: May::of(visitor, &target.owner),
        path: target.path(),
        id: server.map(|server| server.id.to_string()),
        end: server.and_then(|server| server.last_end.as_ref()).map(Ending::of),
        more: server.and_then(|server| more_memory(&fleet, server)),
        next: next.map(ToString::to_string).unwrap_or_default(),
        form: format!("/hub/spawn/{}{query}", target.path()),
        help: server.and_then(|server| ticket::of(hub, &fleet, server)),
    };
    page(status, &view)
}

/// `/hub/user/{user}/...`: what the proxy has no route for.
pub async fn at_hub(
    State(hub): State<Arc<Hub>>,
    MaybeVisitor(visitor): MaybeVisitor,
    method: Method,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, PageError> {
    let path = uri.path().strip_prefix("/hub").unwrap_or(uri.path()).to_owned();
    let for_program = wants_json(&headers, &path);
    if method != Method::GET && method != Method::HEAD {
        return Ok(if for_program { no_longer(&hub, &path) } else { not_this_way() });
    }
    if path.split('/').count() == 3 {
        return Ok(Redirect::permanent(&with_query(&format!("/hub{path}/"), &uri)).into_response());
    }
    let next = Next::parse(&with_query(&path, &uri), &hub.config().hub.public_url);
    let Some(visitor) = visitor else {
        if for_program {
            return Ok(no_longer(&hub, &path));
        }
        let here = Next::parse(&with_query(uri.path(), &uri), &hub.config().hub.public_url);
        return Ok(found(&here.map_or_else(|| "/hub/login".to_owned(), |here| here.login_url())));
    };
    let fleet = hub.fleet.fleet();
    let sees = |target: &Target| may(&visitor, &target.owner, Right::SeeServers);
    let target = of_path(&fleet, &path).filter(sees);
    let target = target.ok_or(PageError::NotFound)?;
    let server = fleet.find(&target.owner, &target.name);
    match server {
        Some(server) if hub.is_open(server) => Ok(onwards(&path, &uri).await),
        _ if for_program => Ok(no_longer(&hub, &path)),
        Some(server) if server.is_active() || failed(server) => {
            let query = next.map_or_else(String::new, |next| format!("?next={}", next.escaped()));
            Ok(Redirect::to(&format!("/hub/spawn-pending/{}{query}", target.path()))
                .into_response())
        }
        server => {
            let status = StatusCode::FAILED_DEPENDENCY;
            Ok(page_for(&hub, &visitor, &target, server, next.as_ref(), status))
        }
    }
}

/// Everything else that reaches the hub, e.g. `/user/...` without a route.
pub async fn outside(
    State(hub): State<Arc<Hub>>,
    _whoever: MaybeVisitor,
    method: Method,
    headers: HeaderMap,
    uri: Uri,
) -> Response {
    let path = uri.path();
    let looks = method == Method::GET || method == Method::HEAD;
    if path == "/hub/api" || path.starts_with("/hub/api/") {
        let body = json!({ "status": 404, "message": "Not Found" });
        return (StatusCode::NOT_FOUND, Json(body)).into_response();
    }
    if path.starts_with("/hub/") {
        return PageError::NotFound.into_response();
    }
    let is_server = path.starts_with("/user/");
    if is_server && wants_json(&headers, path) {
        return no_longer(&hub, path);
    }
    if !looks {
        return not_this_way();
    }
    let one_slash_short = path == "/hub" || (is_server && path.split('/').count() == 3);
    if one_slash_short {
        return Redirect::permanent(&with_query(&format!("{path}/"), &uri)).into_response();
    }
    found(&with_query(&format!("/hub{path}"), &uri))
}

/// Which server a path below `/user/` means: a named one if there is one of that name.
fn of_path(fleet: &Fleet, path: &str) -> Option<Target> {
    let mut parts = path.strip_prefix("/user/")?.split('/');
    let owner = parts.next()?.parse().ok()?;
    let named = parts.next().and_then(|name| name.parse().ok());
    let named = named.filter(|name| fleet.find(&owner, name).is_some());
    Some(Target { name: named.unwrap_or_else(berth_common::ServerName::default_server), owner })
}

/// To the server, which the proxy knows or is about to learn: each time a little later.
async fn onwards(path: &str, uri: &Uri) -> Response {
    let made = query_value(uri, "redirects").and_then(|it| it.parse().ok()).unwrap_or(0_u32);
    if made >= MOST_REDIRECTS {
        return error_page(
            StatusCode::INTERNAL_SERVER_ERROR,
            &say::t("error-loop").to_string(),
            &say::t("error-loop-text").to_string(),
        );
    }
    if made > 0 {
        let seconds = 2_u64.saturating_pow(made).min(10);
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }
    let others = uri.query().unwrap_or_default().split('&');
    let mut query: Vec<_> = others
        .filter(|pair| !pair.is_empty() && !pair.starts_with("redirects="))
        .map(ToOwned::to_owned)
        .collect();
    query.push(format!("redirects={}", made.saturating_add(1)));
    found(&format!("{path}?{}", query.join("&")))
}

fn failed(server: &Server) -> bool {
    server.last_end.as_ref().is_some_and(berth_core::fleet::End::is_failure)
}

/// Where a redirect leads to that keeps the query. A backslash is escaped: browsers take it for a
/// slash.
fn with_query(path: &str, uri: &Uri) -> String {
    let whole = uri.query().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    whole.replace('\\', "%5C")
}

/// What JupyterLab and other programs understand.
fn no_longer(hub: &Hub, path: &str) -> Response {
    let config = hub.config();
    let owner = path.split('/').nth(2).unwrap_or_default();
    let message = format!(
        "JupyterHub server no longer running at {path}. Restart the server at {}/hub/spawn/{owner}",
        config.hub.public_url
    );
    (StatusCode::FAILED_DEPENDENCY, Json(json!({ "message": message }))).into_response()
}

fn not_this_way() -> Response {
    error_page(
        StatusCode::FORBIDDEN,
        &say::t("not-running-title").to_string(),
        &say::t("error-not-delivered").to_string(),
    )
}

/// Whether a program asks: by the path, or by what it says it wants.
fn wants_json(headers: &HeaderMap, path: &str) -> bool {
    if path.split('/').any(|part| part == "api") {
        return true;
    }
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    weight(accept, "application/json") > weight(accept, "text/html")
}

/// How much a kind is wanted, in thousandths.
fn weight(accept: &str, kind: &str) -> u32 {
    let family = kind.split('/').next().map(|family| format!("{family}/*")).unwrap_or_default();
    let mut best = (0, 0);
    for wanted in accept.split(',') {
        let mut parts = wanted.split(';').map(str::trim);
        let exactness = match parts.next() {
            Some(name) if name.eq_ignore_ascii_case(kind) => 3,
            Some(name) if name == family => 2,
            Some("*/*") => 1,
            _ => continue,
        };
        let quality = parts.find_map(|part| part.strip_prefix("q=")?.parse::<f32>().ok());
        let quality = (quality.unwrap_or(1.0).clamp(0.0, 1.0) * 1000.0) as u32;
        if exactness > best.0 {
            best = (exactness, quality);
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_told_in_json() {
        let asks = |accept: &str, path: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, accept.parse().unwrap());
            wants_json(&headers, path)
        };
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        assert!(!asks(browser, "/user/alice/lab"));
        assert!(asks(browser, "/user/alice/api/contents"));
        assert!(asks("application/json", "/user/alice/lab"));
        assert!(asks("application/json, text/html;q=0.5", "/user/alice/lab"));
        assert!(!asks("*/*", "/user/alice/lab"));
        assert!(!asks("", "/user/alice/apis"));
    }
}
