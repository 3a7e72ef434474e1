//! Logout at both ends: ours ends the provider's session, and the provider's ends ours.

use std::sync::Arc;

use axum::http::StatusCode;
use berth_common::Seconds;
use berth_process::clock::now;
use berth_store::ProviderSession;

use super::{Problem, parts, with_query};
use crate::auth::session;
use crate::site::Hub;

/// A logout token that is older would not be believed anyhow.
const REMEMBERED: Seconds = Seconds(900);

/// Where a browser goes to end the provider's session too: RP-Initiated Logout 1.0. `None`: the
/// session did not come of this provider, or the provider has no such place.
pub fn end_url(hub: &Hub, session: &ProviderSession) -> Option<String> {
    let (provider, _) = parts(hub).ok()?;
    let config = &provider.config;
    if !config.provider_logout || session.issuer != config.issuer {
        return None;
    }
    // Not asked for here: a logout must not wait for a provider that is away.
    let document = provider.known_document()?;
    let back = format!("{}/", hub.config().hub.public_url);
    let query = [
        ("id_token_hint", session.id_token.as_str()),
        ("client_id", &config.client_id),
        ("post_logout_redirect_uri", &back),
    ];
    with_query(document.end_session_endpoint.as_ref()?, &query).ok()
}

/// Obeys a logout token of the provider: Back-Channel Logout 1.0. 200, or the status that says why
/// not, with a sentence.
pub async fn back_channel(hub: &Arc<Hub>, text: &str) -> Result<(), (StatusCode, String)> {
    let ended = end_sessions(hub, text).await;
    match ended {
        Ok(count) => {
            tracing::info!(sessions = count, "logged out by the provider");
            Ok(())
        }
        Err(problem @ (Problem::Down(_) | Problem::Storage(_))) => {
            tracing::warn!(error = %problem, "a logout of the provider was not carried out");
            Err((StatusCode::SERVICE_UNAVAILABLE, problem.to_string()))
        }
        Err(problem) => {
            tracing::info!(error = %problem, "a logout token was refused");
            Err((StatusCode::BAD_REQUEST, problem.to_string()))
        }
    }
}

async fn end_sessions(hub: &Arc<Hub>, text: &str) -> Result<usize, Problem> {
    let (provider, _) = parts(hub)?;
    let token = provider.logout_token(text).await??;
    if !hub.providers.logouts.use_up(&token.id, now(), REMEMBERED) {
        // Sent twice is obeyed once; the sessions begun since are others.
        return Ok(0);
    }
    let issuer = &provider.config.issuer;
    let (subject, sid) = (token.subject.as_deref(), token.sid.as_deref());
    let sessions = hub.storage.read(|reader| reader.provider_sessions(issuer, subject, sid))?;
    Ok(session::end_provider_sessions(hub, sessions).await?)
}
