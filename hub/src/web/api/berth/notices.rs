//! Notices: what people should know for a while. Those of a person come with what is to be said of
//! the person's servers (`lab::notices`).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use berth_common::Timestamp;
use berth_core::agenda::{Audience, Entry, Level, Notice};
use berth_process::clock::now;
use serde_json::{Value, json};

use crate::agenda;
use crate::agenda::wish::NoticeWish;
use crate::audit::Actor;
use crate::auth::Caller;
use crate::site::Hub;
use crate::web::api::berth::{SCHEMA_VERSION, answer, moment};
use crate::web::api::body::{self, JsonBody};
use crate::web::api::path::Names;
use crate::web::error::ApiError;

/// `GET site-notices`: all that are shown or will be, for who writes them.
pub async fn list(State(hub): State<Arc<Hub>>, caller: Caller) -> Result<Json<Value>, ApiError> {
    caller.require("admin-ui")?;
    let at = now();
    let notices = hub.agenda.notices().into_iter().filter(|(_, it)| at < it.window.to);
    let rows: Vec<_> = notices.map(|(id, notice)| row(id, &notice, at)).collect();
    Ok(answer("notices", json!(rows)))
}

/// `POST site-notices` `{to?, level?, from?, until?, en, fr?, must_read?, dry_run?}`. Who teaches
/// writes to the own training; only administrators say that something must be read.
pub async fn add(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    body: JsonBody,
) -> Result<Json<Value>, ApiError> {
    caller.require("read:servers")?;
    let body = body.or_empty();
    body::only(&body, &["to", "level", "from", "until", "en", "fr", "must_read", "dry_run"])?;
    let audience: Option<String> = body::field(&body, "to")?;
    let audience = audience.as_deref().unwrap_or("all").parse::<Audience>();
    let audience = audience.map_err(|error| ApiError::bad_request(format!("to: {error}")))?;
    let must_read = body::field::<bool>(&body, "must_read")?.unwrap_or(false);
    may_write(&hub, &caller, &audience, must_read)?;
    let level: Option<Level> = body::field(&body, "level")?;
    let said = |name: &str| -> Result<Option<Timestamp>, ApiError> {
        let text: Option<String> = body::field(&body, name)?;
        text.map(|text| moment(name, &text)).transpose()
    };
    let text = |name: &str| body::field::<String>(&body, name).map(Option::unwrap_or_default);
    let wish = NoticeWish {
        audience,
        level: level.unwrap_or_default(),
        from: said("from")?,
        until: said("until")?,
        en: text("en")?,
        fr: text("fr")?,
        must_read,
    };
    let dry_run = body::field::<bool>(&body, "dry_run")?.unwrap_or(false);
    let at = now();
    let notice = wish.checked(&hub.fleet.fleet(), caller.actor(), at);
    let notice = notice.map_err(|wrong| ApiError::bad_request(wrong.to_string()))?;
    let mut id = 0;
    if !dry_run {
        let act = caller.act("notice-add").on(&notice.audience.to_string()).because(&notice.en);
        id = agenda::add(&hub, act, Entry::Notice(notice.clone())).await?;
    }
    Ok(Json(json!({
        "schema_version": SCHEMA_VERSION,
        "dry_run": dry_run,
        "notice": row(id, &notice, at),
    })))
}

/// `DELETE site-notices/:id`: it is shown no more.
pub async fn end(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Names(id): Names<String>,
) -> Result<StatusCode, ApiError> {
    caller.require("read:servers")?;
    let id: i64 = id.parse().map_err(|_| ApiError::no_resource())?;
    let at = now();
    let notices = hub.agenda.notices();
    let found = notices.into_iter().find(|(other, it)| *other == id && at < it.window.to);
    let (_, notice) = found.ok_or_else(ApiError::no_resource)?;
    if !caller.scopes.hold("admin-ui") && notice.who != caller.actor() {
        return Err(ApiError::no_resource());
    }
    let act = caller.act("notice-end").on(&notice.audience.to_string()).because(&notice.en);
    agenda::end_notice(&hub, act, id, notice).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn may_write(
    hub: &Hub,
    caller: &Caller,
    audience: &Audience,
    must_read: bool,
) -> Result<(), ApiError> {
    if caller.scopes.hold("admin-ui") {
        return Ok(());
    }
    let fleet = hub.fleet.fleet();
    let teaches = |name: &str| {
        let training = fleet.settings.trainings.get(name);
        let user = caller.user.as_ref();
        training.zip(user).is_some_and(|(it, user)| it.instructors.contains(&user.account.name))
    };
    match audience {
        Audience::Training(name) if teaches(name) && !must_read => Ok(()),
        _ => Err(ApiError::forbidden(
            "Only administrators write notices; who teaches writes to the own training.",
        )),
    }
}

fn row(id: i64, notice: &Notice, now: Timestamp) -> Value {
    json!({
        "id": id,
        "to": notice.audience,
        "level": notice.level,
        "from": notice.window.from.to_string(),
        "until": notice.window.to.to_string(),
        "shown": notice.window.holds(now),
        "en": notice.en,
        "fr": notice.fr,
        "must_read": notice.must_read,
        "who": notice.who,
        "at": notice.at.to_string(),
    })
}
