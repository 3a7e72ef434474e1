//! Login by OpenID Connect: authorization code with PKCE, state and nonce, each of them bound to
//! the browser that began.
//!
//! What a login carries is made of a secret in the browser's cookie and a key of the hub, so the
//! hub keeps nothing of a login under way: it outlives a restart, several tabs can log in at once,
//! and strangers who begin logins use no memory.

mod callback;
mod logout;
pub mod provider;
mod signature;
mod spent;
mod state;
pub mod token;

use std::sync::{Arc, PoisonError, RwLock};

use axum::http::header::{HeaderValue, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

pub use callback::finish;
pub use logout::{back_channel, end_url};
use provider::{Provider, ProviderError};
use spent::Spent;
use token::BadToken;

use crate::auth::identity::NotAdmitted;
use crate::auth::next::Next;
use crate::auth::session::CookieNames;
use crate::auth::visitor::found;
use crate::config::login::Oidc;
use crate::outgoing::CallError;
use crate::site::Hub;
use crate::storage::StorageError;
use crate::web::error::cut;
use crate::web::pages::error_page;
use crate::web::say;

/// What the hub keeps of its identity provider.
#[derive(Debug, Default)]
pub struct Providers {
    current: RwLock<Option<Arc<Provider>>>,
    /// Logins that were used up.
    logins: Spent,
    /// Logout tokens that were obeyed.
    logouts: Spent,
}

impl Providers {
    /// The provider that the files name; made anew when they name another.
    fn of(&self, config: &Oidc) -> Result<Arc<Provider>, CallError> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(current) = current.filter(|current| current.config == *config) {
            return Ok(current);
        }
        let fresh = Arc::new(Provider::new(config.clone())?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&fresh));
        Ok(fresh)
    }

    /// Where a logout leads on to, as far as a page must allow it.
    pub fn logout_origin(&self) -> Option<String> {
        let provider = self.current.read().unwrap_or_else(PoisonError::into_inner).clone()?;
        if !provider.config.provider_logout {
            return None;
        }
        let document = provider.known_document()?;
        let url = url::Url::parse(document.end_session_endpoint.as_deref()?).ok()?;
        Some(url.origin().ascii_serialization())
    }
}

/// Why a login by the provider did not succeed. The message is for the person.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The site has no provider.
    #[error("This site has no login of that kind.")]
    NoProvider,
    /// No cookie could be set safely.
    #[error("This site is reached over plain http, where a login could be overheard.")]
    PlainHttp,
    /// The browser did not begin it, or too long ago, or has used it already.
    #[error("This login was not begun in this browser, or too long ago, or was used already.")]
    NotBegun,
    /// Another provider answered.
    #[error("The answer comes from another identity provider than the one that was asked.")]
    OtherIssuer,
    /// The provider refused.
    #[error("The identity provider refused: {0}")]
    Refused(String),
    /// Too many tries from one address.
    #[error("Too many tries. Try again in {0} seconds.")]
    TooMany(u64),
    /// The provider cannot be used.
    #[error(
        "The identity provider does not answer at the moment. Running servers and sessions \
             are not concerned. Try again in a minute."
    )]
    Down(#[from] ProviderError),
    /// Its token is not believed.
    #[error("The identity provider's word cannot be believed: {0}. Tell the administrators.")]
    BadToken(#[from] BadToken),
    /// It is clear who that is, and that person may not come in.
    #[error(transparent)]
    NotAdmitted(#[from] NotAdmitted),
    /// The store cannot be used.
    #[error("The hub cannot log anybody in at the moment. Try again in a minute.")]
    Storage(#[from] StorageError),
}

impl From<CallError> for Problem {
    fn from(error: CallError) -> Self {
        Self::Down(error.into())
    }
}

impl Problem {
    fn status(&self) -> StatusCode {
        match self {
            Self::NoProvider => StatusCode::NOT_FOUND,
            Self::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Down(_) | Self::Storage(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::NotAdmitted(why) => why.status(),
            _ => StatusCode::FORBIDDEN,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        // The cause is for the log; the page says what a person can do.
        match &self {
            Self::Down(error) => tracing::warn!(%error, "login by the provider"),
            Self::Storage(error) => tracing::error!(%error, "login by the provider"),
            other => tracing::info!(
                action = "login",
                outcome = "failure",
                error = cut(&other.to_string()),
                "login refused"
            ),
        }
        let title = match &self {
            Self::Down(_) | Self::Storage(_) => say::t("login-not-now"),
            Self::NotBegun => say::t("login-again"),
            _ => say::t("login-not"),
        };
        let text = cut(&self.to_string());
        let mut response = error_page(self.status(), &title.to_string(), &text);
        let wait = match &self {
            Self::TooMany(seconds) => Some(*seconds),
            Self::Down(_) => Some(30),
            _ => None,
        };
        if let Some(seconds) = wait {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// What a login needs: the provider, and how cookies are named.
fn parts(hub: &Hub) -> Result<(Arc<Provider>, CookieNames), Problem> {
    let config = hub.config();
    let oidc = config.people.login.oidc.as_ref().ok_or(Problem::NoProvider)?;
    let names = CookieNames::of(&config.hub).ok_or(Problem::PlainHttp)?;
    Ok((hub.providers.of(oidc)?, names))
}

/// Where the provider sends people back: the path that JupyterHub's OAuthenticator has, so that
/// clients registered for it go on as they are.
fn redirect_uri(hub: &Hub) -> String {
    format!("{}/hub/oauth_callback", hub.config().hub.public_url)
}

/// Sends a person to the provider.
///
/// # Errors
/// Why not, as a page.
pub async fn begin(
    hub: &Hub,
    headers: &HeaderMap,
    next: Option<&Next>,
) -> Result<Response, Problem> {
    let (provider, names) = parts(hub)?;
    let document = provider.document().await?;
    let (begun, cookie) = state::begin(&hub.keys, names, headers, next);
    let scopes = provider.config.scopes.join(" ");
    let redirect = redirect_uri(hub);
    let challenge = begun.challenge();
    let query = [
        ("response_type", "code"),
        ("client_id", &provider.config.client_id),
        ("redirect_uri", &redirect),
        ("scope", &scopes),
        ("state", &begun.state),
        ("nonce", &begun.nonce),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ];
    let url = with_query(&document.authorization_endpoint, &query)?;
    let mut response = found(&url);
    if let Some(cookie) = cookie {
        response.headers_mut().append(axum::http::header::SET_COOKIE, cookie);
    }
    Ok(response)
}

/// An endpoint of the provider with more arguments; it may have some of its own.
fn with_query(endpoint: &str, query: &[(&str, &str)]) -> Result<String, CallError> {
    let mut url = url::Url::parse(endpoint).map_err(|_| CallError::Address)?;
    url.query_pairs_mut().extend_pairs(query);
    Ok(url.into())
}
