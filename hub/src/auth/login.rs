//! Login and logout by password.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::{COOKIE, HeaderValue, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use berth_common::{Reason, Username};
use berth_process::clock::now;
use berth_store::Act;
use serde::Deserialize;

use crate::auth::form::{self, query_value};
use crate::auth::limit::Gate;
use crate::auth::next::Next;
use crate::auth::oidc;
use crate::auth::password::{self, PasswordError};
use crate::auth::refusal::Refusal;
use crate::auth::session::{self, CookieNames};
use crate::auth::visitor::found;
use crate::auth::xsrf::{self, XsrfError};
use crate::site::Hub;
use crate::web::say;

/// Where people arrive when nothing else is asked for.
const DEFAULT_PAGE: &str = "/hub/home";

/// What the login page needs: extract it in the page's GET handler.
#[derive(Debug)]
pub struct LoginForm {
    /// For the hidden field `_xsrf`.
    pub xsrf: String,
    /// To be set with the page, if the browser has none yet.
    pub cookie: Option<HeaderValue>,
    /// For the hidden field `next`.
    pub next: Option<Next>,
}

/// A filled-in login form whose token is right: extract it in the page's POST handler.
#[derive(Debug)]
pub struct LoginAttempt {
    /// What was typed, at most 32 characters of it: safe to show and to log.
    pub shown_name: String,
    /// Where to go.
    pub next: Option<Next>,
    /// For the form, if it has to be shown again.
    pub xsrf: String,
    name: String,
    password: String,
    address: String,
    names: CookieNames,
    headers: HeaderMap,
    gate: Arc<Gate>,
}

/// Why a login did not succeed. The message is for the person.
#[derive(Debug, thiserror::Error)]
pub enum LoginRefused {
    /// Unknown user or wrong password: 403.
    #[error("Invalid username or password.")]
    Wrong,
    /// Too many tries: 429 with `Retry-After`.
    #[error("Too many tries. Try again in {0} seconds.")]
    TooMany(u64),
    /// This site's people log in by the identity provider: 403.
    #[error("Nobody logs in by password here.")]
    NoPasswords,
    /// The password is right and the account is not valid: 403, or 503 when nobody can say.
    #[error("{} {why} {}", .reason.text(), .reason.remedy())]
    Account {
        /// The reason code.
        reason: Reason,
        /// With the words of the directory.
        why: String,
    },
    /// The hub cannot read or save at the moment: 503.
    #[error("The hub cannot log anybody in at the moment. Try again in a minute.")]
    Unavailable,
}

impl LoginRefused {
    /// The status of the page that says so.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Account { reason: Reason::RefusedAccountUnavailable, .. } => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Wrong | Self::NoPasswords | Self::Account { .. } => StatusCode::FORBIDDEN,
            Self::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The value of `Retry-After`, where there is one.
    pub fn retry_after_s(&self) -> Option<u64> {
        match self {
            Self::TooMany(seconds) => Some(*seconds),
            _ => None,
        }
    }
}

#[derive(Deserialize)]
struct Fields {
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    next: String,
    #[serde(rename = "_xsrf")]
    xsrf: Option<String>,
}

impl FromRequestParts<Arc<Hub>> for LoginForm {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, hub: &Arc<Hub>) -> Result<Self, Refusal> {
        let names = names(hub)?;
        let (xsrf, cookie) = session::before_login(names, &parts.headers);
        let next = query_value(&parts.uri, "next")
            .and_then(|next| Next::parse(&next, &hub.config().hub.public_url));
        Ok(Self { xsrf, cookie, next })
    }
}

impl FromRequest<Arc<Hub>> for LoginAttempt {
    type Rejection = Refusal;

    async fn from_request(request: Request, hub: &Arc<Hub>) -> Result<Self, Refusal> {
        let (parts, body) = request.into_parts();
        let config = hub.config();
        let names = names(hub)?;
        let bytes = form::read(body).await?;
        let fields: Fields = form::fields(&parts.headers, bytes).await?;
        let xsrf = check(&parts, &config.hub.public_url, names, fields.xsrf)?;
        let next = Some(fields.next).filter(|next| !next.is_empty());
        let next = next.or_else(|| query_value(&parts.uri, "next"));
        let name = fields.username.trim().to_lowercase();
        Ok(Self {
            shown_name: name.chars().filter(|c| !c.is_control()).take(32).collect(),
            next: next.and_then(|next| Next::parse(&next, &config.hub.public_url)),
            xsrf,
            name,
            password: fields.password,
            address: address(&parts.headers),
            names,
            headers: parts.headers,
            gate: gate(&parts.extensions),
        })
    }
}

/// The form must come from our own page, shown to this browser.
fn check(
    parts: &Parts,
    public_url: &str,
    names: CookieNames,
    given: Option<String>,
) -> Result<String, Refusal> {
    xsrf::check_origin(&parts.headers, public_url)?;
    let given = given.or_else(|| xsrf::carried(&parts.headers, &parts.uri));
    let given = given.ok_or(XsrfError::Missing)?;
    let known = session::before_login_cookies(names, &parts.headers);
    let right = known.iter().any(|token| xsrf::check_token(Some(&given), token).is_ok());
    if right {
        return Ok(given);
    }
    if parts.headers.get(COOKIE).is_none() {
        return Err(Refusal::page(StatusCode::FORBIDDEN, say::t("login-no-cookie").to_string()));
    }
    Err(XsrfError::Mismatch.into())
}

fn names(hub: &Hub) -> Result<CookieNames, Refusal> {
    CookieNames::of(&hub.config().hub).ok_or_else(|| {
        let why = "This site is reached over plain http, where a login could be overheard. \
                   Administrators: put TLS before it and set public_url to https, or accept the \
                   risk with insecure_cookies = true in hub.toml.";
        Refusal::page(StatusCode::FORBIDDEN, why)
    })
}

/// Logs a person in: 302 to where the person wanted, with a new session.
///
/// # Errors
/// Why not, for the login page.
pub async fn log_in(hub: &Arc<Hub>, attempt: &LoginAttempt) -> Result<Response, LoginRefused> {
    let LoginAttempt { gate, name, password, address, .. } = attempt;
    let begun = Instant::now();
    let verified = password::verify(hub, gate, name, password, address).await;
    hub.metrics.login(verified.is_ok(), begun);
    let user = verified.map_err(|error| {
        tracing::info!(action = "login", outcome = "failure", user = attempt.shown_name, %address,
            %error, "login refused");
        note_refusal(hub, attempt, &error);
        match error {
            PasswordError::TooMany(seconds) => LoginRefused::TooMany(seconds),
            PasswordError::Wrong | PasswordError::Unsuitable => LoginRefused::Wrong,
            PasswordError::Off => LoginRefused::NoPasswords,
            PasswordError::Hash | PasswordError::Storage(_) => LoginRefused::Unavailable,
            PasswordError::Account { reason, why } => LoginRefused::Account { reason, why },
        }
    })?;
    let cookies = session::begin(hub, attempt.names, &user, &attempt.headers, None)
        .await
        .map_err(|_| LoginRefused::Unavailable)?;
    tracing::info!(action = "login", outcome = "success", user = %user.account.name, %address,
        "logged in");
    let target = attempt.next.as_ref().map_or(DEFAULT_PAGE, Next::as_str);
    let mut response = found(target);
    for cookie in cookies {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    Ok(response)
}

/// Records a refusal at somebody's account. Names that are nobody's are not kept: people type
/// passwords there; and those who try too often are told to wait, which bounds the record.
fn note_refusal(hub: &Hub, attempt: &LoginAttempt, error: &PasswordError) {
    let told = matches!(error, PasswordError::Wrong | PasswordError::Account { .. });
    let Ok(name) = attempt.name.parse::<Username>() else { return };
    let known = hub.storage.read(|reader| reader.user(&name)).ok().flatten();
    if !told || known.is_none() {
        return;
    }
    let act = Act::new(now(), name.as_str(), "login-refused", &attempt.address);
    let act = act.about(name.as_str()).on("password").because(&error.to_string());
    hub.storage.write_later("a refused login", move |database| database.record(&act));
}

/// Logs a person out: 302 to the login page, or to the provider that vouched for the person, so
/// that its session ends too. Servers go on.
pub async fn log_out(hub: &Arc<Hub>, headers: &HeaderMap) -> Response {
    let (cookies, provider) = match session::end(hub, headers).await {
        Ok(ended) => ended,
        Err(error) => return crate::web::error::unavailable(&error),
    };
    let url = provider.and_then(|session| oidc::end_url(hub, &session));
    let mut response = found(url.as_deref().unwrap_or("/hub/login"));
    for cookie in cookies {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

/// The client's address as our proxy states it: it drops what a client claims.
pub fn address(headers: &HeaderMap) -> String {
    let last = headers.get_all("x-forwarded-for").iter().next_back();
    let last = last.and_then(|value| value.to_str().ok());
    let last = last.and_then(|value| value.rsplit(',').next()).map(str::trim);
    match last.and_then(|text| text.parse::<std::net::IpAddr>().ok()) {
        Some(address) => address.to_canonical().to_string(),
        None => "direct".to_owned(),
    }
}

/// The gate of this process, which the router hands to every request.
pub fn gate(extensions: &axum::http::Extensions) -> Arc<Gate> {
    extensions.get::<Arc<Gate>>().cloned().unwrap_or_default()
}
