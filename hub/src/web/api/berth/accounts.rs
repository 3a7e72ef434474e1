//! What the directory says about an account, and which identities belong to it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use berth_common::Username;
use berth_process::clock::now;
use berth_store::{Identity, User};
use serde_json::{Value, json};

use crate::audit::Actor;
use crate::auth::scopes::Scopes;
use crate::auth::{Caller, form};
use crate::directory::{Standing, Word};
use crate::site::Hub;
use crate::web::api::berth::answer;
use crate::web::api::body::{self, JsonBody};
use crate::web::api::find_user;
use crate::web::api::path::Names;
use crate::web::error::ApiError;

/// Issuers are URLs and subjects have at most 255 characters.
const LONGEST: usize = 2_048;

/// `GET users/:name/account`: who that is for each source, also somebody who has never been here.
/// People may ask about themselves.
pub async fn show(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Names(name): Names<String>,
) -> Result<Json<Value>, ApiError> {
    let user = find_user(&hub, &name)?;
    let own = user.as_ref().is_some_and(|user| caller.is(user));
    if !own {
        caller.require_for_all("admin:users")?;
    }
    let name: Username = name.to_lowercase().parse().map_err(|_| ApiError::no_resource())?;
    let (standing, words) = hub.directory.words(&hub, &name, None).await?;
    let (identities, lapse) =
        hub.storage.read(|reader| Ok((reader.identities_of(&name)?, reader.lapse(&name)?)))?;
    let config = hub.config();
    let (reason, why) = match &standing {
        Standing::Valid(_) => (None, String::new()),
        other => {
            let (reason, why) = other.refusal(&config.people.directory);
            (Some(reason), why)
        }
    };
    let account = match &standing {
        Standing::Valid(account) => json!(account),
        _ => user.as_ref().map_or(Value::Null, |user| json!(user.account)),
    };
    Ok(answer(
        "account",
        json!({
            "name": name,
            "standing": standing.word(),
            "reason": reason.map(berth_common::Reason::code),
            "why": why,
            "account": account,
            "known_here": user.is_some(),
            "admin": user.as_ref().is_some_and(|user| hub.is_admin(user)),
            "invalid_since": lapse.map(|lapse| lapse.since.to_string()),
            "sources": words.iter().map(word).collect::<Vec<_>>(),
            "identities": identities.iter().map(identity).collect::<Vec<_>>(),
        }),
    ))
}

fn word(word: &Word) -> Value {
    json!({
        "source": word.source,
        "knows": word.entry.is_some(),
        "says": word.entry,
        "at": word.at.map(|at| at.to_string()),
        "down": word.down,
    })
}

fn identity(identity: &Identity) -> Value {
    json!({
        "issuer": identity.issuer,
        "subject": identity.subject,
        "linked": identity.linked.to_string(),
    })
}

/// Linking an identity is letting somebody become that person, so the caller must hold all that
/// the person holds.
fn may_link(hub: &Hub, caller: &Caller, name: &str) -> Result<User, ApiError> {
    caller.require_for_all("admin:users")?;
    let user = find_user(hub, name)?.ok_or_else(ApiError::no_resource)?;
    if caller
        .scopes
        .cover(&Scopes::of_user(&user, &hub.config().people.roles), &user.account.groups)
    {
        Ok(user)
    } else {
        Err(ApiError::no_scope(&["admin:users"]))
    }
}

fn check(issuer: &str, subject: &str) -> Result<(), ApiError> {
    let good = |text: &str| !text.is_empty() && text.len() <= LONGEST;
    if good(issuer) && good(subject) {
        return Ok(());
    }
    Err(ApiError::bad_request("issuer and subject are both needed, as the provider writes them"))
}

/// `POST users/:name/identities` `{issuer, subject}`.
pub async fn link(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Names(name): Names<String>,
    body: JsonBody,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let user = may_link(&hub, &caller, &name)?;
    let body = body.or_empty();
    body::only(&body, &["issuer", "subject"])?;
    let text = |name| body::field::<String>(&body, name).map(Option::unwrap_or_default);
    let (issuer, subject) = (text("issuer")?, text("subject")?);
    check(&issuer, &subject)?;
    let linked = Identity { issuer, subject, user: user.account.name.clone(), linked: now() };
    let saved = linked.clone();
    let act = caller.act("identity-link").about(linked.user.as_str());
    let act = act.on(&format!("{} {}", linked.issuer, linked.subject));
    let other = hub
        .storage
        .write(move |database| {
            let known = database.reader()?.identity(&saved.issuer, &saved.subject)?;
            let other = known.map(|known| known.user).filter(|user| *user != saved.user);
            if other.is_none() {
                database.together(|database| {
                    database.link_identity(&saved)?;
                    database.record(&act)
                })?;
            }
            Ok(other)
        })
        .await?;
    if let Some(other) = other {
        let message = format!("This identity is that of {other}; unlink it there first.");
        return Err(ApiError::new(StatusCode::CONFLICT, message));
    }
    let (user, subject) = (&linked.user, &linked.subject);
    tracing::info!(%user, issuer = linked.issuer, subject, by = caller.name(), "identity linked");
    Ok((StatusCode::CREATED, answer("identity", identity(&linked))))
}

/// `DELETE users/:name/identities?issuer=&subject=`.
pub async fn unlink(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Names(name): Names<String>,
    uri: Uri,
) -> Result<StatusCode, ApiError> {
    let user = may_link(&hub, &caller, &name)?;
    let text = |name| form::query_value(&uri, name).unwrap_or_default();
    let (issuer, subject) = (text("issuer"), text("subject"));
    check(&issuer, &subject)?;
    let name = user.account.name.clone();
    let act = caller.act("identity-unlink").about(name.as_str());
    let found = hub
        .storage
        .write(move |database| {
            database.together(|database| {
                let found = database.unlink_identity(&name, &issuer, &subject)?;
                if found {
                    database.record(&act.on(&format!("{issuer} {subject}")))?;
                }
                Ok(found)
            })
        })
        .await?;
    if !found {
        return Err(ApiError::no_resource());
    }
    tracing::info!(user = %user.account.name, by = caller.name(), "identity unlinked");
    Ok(StatusCode::NO_CONTENT)
}
