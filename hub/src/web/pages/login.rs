//! Login and logout.

use std::sync::Arc;
use std::time::Instant;

use askama::Template;
use axum::extract::State;
use axum::http::header::{RETRY_AFTER, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;

use crate::auth::visitor::found;
use crate::auth::{
    CheckedForm, LoginAttempt, LoginForm, LoginRefused, MaybeVisitor, Next, log_in, log_out,
};
use crate::site::Hub;
use crate::web::pages::shell::{Here, Shell, page};
use crate::web::say;

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage<'a> {
    shell: Shell,
    xsrf: &'a str,
    next: &'a str,
    name: &'a str,
    error: Option<String>,
    ways: Ways,
}

/// How this site lets people in.
struct Ways {
    passwords: bool,
    /// The words on the provider's button, and where it leads.
    provider: Option<(String, String)>,
}

impl Ways {
    fn of(hub: &Hub, next: Option<&Next>) -> Self {
        let login = &hub.config().people.login;
        let url = match next {
            Some(next) => format!("/hub/oauth_login?next={}", next.escaped()),
            None => "/hub/oauth_login".to_owned(),
        };
        let provider = login.oidc.as_ref().map(|oidc| (oidc.title.clone(), url));
        Self { passwords: login.passwords, provider }
    }
}

/// `GET /hub/login`
pub async fn show(
    State(hub): State<Arc<Hub>>,
    MaybeVisitor(visitor): MaybeVisitor,
    form: LoginForm,
) -> Response {
    let ways = Ways::of(&hub, form.next.as_ref());
    let next = form.next.as_ref().map_or("", Next::as_str);
    if visitor.is_some() {
        return found(if next.is_empty() { "/hub/home" } else { next });
    }
    let shell = Shell::stranger(say::t("log-in").to_string());
    let view = LoginPage { shell, xsrf: &form.xsrf, next, name: "", error: None, ways };
    let mut response = page(StatusCode::OK, &view);
    if let Some(cookie) = form.cookie {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

/// `POST /hub/login`
pub async fn submit(State(hub): State<Arc<Hub>>, attempt: LoginAttempt) -> Response {
    match log_in(&hub, &attempt).await {
        Ok(response) => response,
        Err(refused) => again(&hub, &attempt, &refused),
    }
}

fn again(hub: &Hub, attempt: &LoginAttempt, refused: &LoginRefused) -> Response {
    let view = LoginPage {
        shell: Shell::stranger(say::t("log-in").to_string()),
        xsrf: &attempt.xsrf,
        next: attempt.next.as_ref().map_or("", Next::as_str),
        name: &attempt.shown_name,
        error: Some(words(refused)),
        ways: Ways::of(hub, attempt.next.as_ref()),
    };
    let mut response = page(refused.status(), &view);
    if let Some(seconds) = refused.retry_after_s() {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// Why somebody was not let in, in the reader's language.
fn words(refused: &LoginRefused) -> String {
    let said = match refused {
        LoginRefused::Wrong => say::t("login-wrong"),
        LoginRefused::TooMany(seconds) => say::t("login-too-many").with("seconds", seconds),
        LoginRefused::NoPasswords => say::t("login-no-passwords"),
        // The words of the directory are in whatever language it speaks.
        LoginRefused::Account { reason, why } => say::t("login-account")
            .with("reason", say::reason(*reason))
            .with("why", why)
            .with("remedy", say::remedy(*reason)),
        LoginRefused::Unavailable => say::t("login-unavailable"),
    };
    said.to_string()
}

#[derive(Template)]
#[template(path = "logout.html")]
struct LogoutPage {
    shell: Shell,
    xsrf: String,
}

/// `GET /hub/logout`: JupyterLab's own menu leads here, so it logs out at once; a link on another
/// site is asked back.
pub async fn leave(
    State(hub): State<Arc<Hub>>,
    MaybeVisitor(visitor): MaybeVisitor,
    headers: HeaderMap,
) -> Response {
    // With a way back here, the next login would end at once.
    let Some(visitor) = visitor else { return found("/hub/login") };
    let from_elsewhere =
        headers.get("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none");
    if from_elsewhere {
        let shell = Shell::of(&visitor, say::t("log-out").to_string(), Here::Nowhere);
        return page(StatusCode::OK, &LogoutPage { shell, xsrf: visitor.xsrf });
    }
    let begun = Instant::now();
    let left = log_out(&hub, &headers).await;
    hub.metrics.work.logged_out(begun);
    left
}

/// The form of that page has no fields of its own.
#[derive(Debug, serde::Deserialize)]
pub struct NoFields {}

/// `POST /hub/logout`
pub async fn leave_for_sure(
    State(hub): State<Arc<Hub>>,
    headers: HeaderMap,
    _: CheckedForm<NoFields>,
) -> Response {
    log_out(&hub, &headers).await
}
