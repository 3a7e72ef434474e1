//! `/hub/admin/notices`: what people are told and which hosts are to be empty, to be written,
//! looked at and taken back.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use berth_common::{HostId, Timestamp};
use berth_core::Fleet;
use berth_core::agenda::{Audience, Entry, Level, Maintenance, Notice};
use berth_core::settings::Window;
use berth_process::clock::now;
use serde::Deserialize;

use crate::agenda;
use crate::agenda::wish::{LONGEST_TEXT, MaintenanceWish, NoticeWish, Wrong};
use crate::audit::Actor;
use crate::auth::{AdminVisitor, CheckedForm, Visitor};
use crate::site::Hub;
use crate::web::pages::error::{PageError, error_page};
use crate::web::pages::shell::{Here, Shell, page};
use crate::web::pages::words::Moment;
use crate::web::say;

/// Where all of this is.
const HERE: &str = "/hub/admin/notices";

#[derive(Template)]
#[template(path = "calendar.html")]
struct CalendarPage {
    shell: Shell,
    xsrf: String,
    notices: Vec<NoticeRow>,
    maintenance: Vec<MaintenanceRow>,
    longest: usize,
}

struct NoticeRow {
    id: i64,
    notice: Notice,
    warning: bool,
    shown: bool,
    from: Moment,
    until: Moment,
}

struct MaintenanceRow {
    id: i64,
    hosts: Vec<String>,
    from: Moment,
    to: Moment,
    drain_at: Moment,
    state: String,
    class: &'static str,
    servers: usize,
    reason: String,
    who: String,
}

/// `GET /hub/admin/notices`
pub async fn show(State(hub): State<Arc<Hub>>, AdminVisitor(visitor): AdminVisitor) -> Response {
    let fleet = hub.fleet.fleet();
    let at = now();
    let mut notices = hub.agenda.notices();
    notices.retain(|(_, it)| at < it.window.to);
    notices.sort_by_key(|(_, it)| it.window.from);
    let mut maintenance = hub.agenda.maintenance();
    maintenance.retain(|(_, it)| it.is_ahead());
    maintenance.sort_by_key(|(_, it)| it.window.from);
    let notice = |(id, notice): (i64, Notice)| NoticeRow {
        id,
        warning: notice.level == Level::Warning,
        shown: notice.window.holds(at),
        from: Moment::from(notice.window.from),
        until: Moment::from(notice.window.to),
        notice,
    };
    let view = CalendarPage {
        shell: Shell::of(&visitor, say::t("calendar-title").to_string(), Here::Calendar),
        xsrf: visitor.xsrf.clone(),
        notices: notices.into_iter().map(notice).collect(),
        maintenance: maintenance.iter().map(|(id, it)| row(&fleet, *id, it, at)).collect(),
        longest: LONGEST_TEXT,
    };
    page(StatusCode::OK, &view)
}

fn row(fleet: &Fleet, id: i64, it: &Maintenance, now: Timestamp) -> MaintenanceRow {
    let (state, class) = if it.window.from <= now {
        ("calendar-under-way", "is-warn")
    } else if it.drain_at <= now {
        ("calendar-emptied", "is-wait")
    } else {
        ("calendar-planned", "")
    };
    MaintenanceRow {
        id,
        hosts: it.hosts.iter().map(ToString::to_string).collect(),
        from: Moment::from(it.window.from),
        to: Moment::from(it.window.to),
        drain_at: Moment::from(it.drain_at),
        state: say::t(state).to_string(),
        class,
        servers: it.hosts.iter().map(|host| fleet.placed_on(host).count()).sum(),
        reason: it.order.reason.clone(),
        who: it.order.who.clone(),
    }
}

/// The fields of a notice.
#[derive(Debug, Deserialize)]
pub struct NoticeForm {
    #[serde(default)]
    to: String,
    #[serde(default)]
    level: String,
    #[serde(default)]
    until: String,
    #[serde(default)]
    en: String,
    #[serde(default)]
    fr: String,
}

/// `POST /hub/admin/notices`: people are told something.
pub async fn add(
    State(hub): State<Arc<Hub>>,
    CheckedForm { visitor, form }: CheckedForm<NoticeForm>,
) -> Result<Response, PageError> {
    let visitor = administrator(visitor)?;
    let to = Some(form.to.trim()).filter(|to| !to.is_empty()).unwrap_or("all");
    let Ok(audience) = to.parse::<Audience>() else {
        return Ok(refused(&say::t("calendar-no-audience").to_string()));
    };
    let until = match form.until.is_empty() {
        true => None,
        false => Some(moment(&form.until).ok_or(PageError::BadForm(form.until))?),
    };
    let level = if form.level == "warning" { Level::Warning } else { Level::Info };
    let wish = NoticeWish { audience, level, from: None, until, en: form.en, fr: form.fr };
    match wish.checked(&hub.fleet.fleet(), visitor.actor(), now()) {
        Ok(notice) => {
            let act = visitor.act("notice-add").on(&notice.audience.to_string());
            agenda::add(&hub, act.because(&notice.en), Entry::Notice(notice)).await?;
            Ok(back())
        }
        Err(wrong) => Ok(refused(&sentence(&wrong))),
    }
}

/// The fields of a maintenance.
#[derive(Debug, Deserialize)]
pub struct MaintenanceForm {
    #[serde(default)]
    hosts: String,
    #[serde(default)]
    from: String,
    #[serde(default)]
    to: String,
    #[serde(default)]
    reason: String,
}

/// `POST /hub/admin/notices/maintenance`: hosts are to be empty for a while.
pub async fn plan(
    State(hub): State<Arc<Hub>>,
    CheckedForm { visitor, form }: CheckedForm<MaintenanceForm>,
) -> Result<Response, PageError> {
    let visitor = administrator(visitor)?;
    let words = form.hosts.split([' ', ',', ';', '\n', '\r', '\t']).filter(|it| !it.is_empty());
    let hosts = words.map(str::parse::<HostId>).collect::<Result<_, _>>();
    let hosts = hosts.map_err(|_| PageError::BadForm(form.hosts.clone()))?;
    let from = moment(&form.from).ok_or(PageError::BadForm(form.from))?;
    let to = moment(&form.to).ok_or(PageError::BadForm(form.to))?;
    let window = Window { from, to };
    let wish = MaintenanceWish { hosts, window, reason: form.reason, ahead: None };
    match wish.checked(&hub.fleet.fleet(), visitor.actor(), now()) {
        Ok(maintenance) => {
            let act = visitor.act("maintenance-add").on(&agenda::names(&maintenance));
            let act = act.because(&maintenance.order.reason);
            agenda::plan(&hub, act, maintenance).await?;
            Ok(back())
        }
        Err(wrong) => Ok(refused(&sentence(&wrong))),
    }
}

/// No fields beside the token.
#[derive(Debug, Deserialize)]
pub struct Nothing {}

/// `POST /hub/admin/notices/{id}/end`: a notice is shown no more, or maintenance is taken back.
pub async fn end(
    State(hub): State<Arc<Hub>>,
    Path(id): Path<i64>,
    CheckedForm { visitor, .. }: CheckedForm<Nothing>,
) -> Result<Response, PageError> {
    let visitor = administrator(visitor)?;
    let entries = hub.agenda.entries();
    let entry = entries.iter().find(|(other, _)| *other == id).map(|(_, entry)| entry.clone());
    match entry {
        Some(Entry::Notice(notice)) if now() < notice.window.to => {
            let act = visitor.act("notice-end").on(&notice.audience.to_string());
            agenda::end_notice(&hub, act.because(&notice.en), id, notice).await?;
        }
        Some(Entry::Maintenance(it)) if it.is_ahead() => {
            let act = visitor.act("maintenance-cancel").on(&agenda::names(&it));
            // Whatever came between stands on the page.
            agenda::cancel(&hub, act.because(&it.order.reason), id, it).await?;
        }
        // Somebody else was first.
        Some(Entry::Notice(_) | Entry::Maintenance(_)) => {}
        Some(Entry::Training(_)) | None => return Err(PageError::NotFound),
    }
    Ok(back())
}

/// For others there is no such page.
fn administrator(visitor: Visitor) -> Result<Visitor, PageError> {
    visitor.admin.then_some(visitor).ok_or(PageError::NotFound)
}

/// What a browser's field for date and time names, in UTC.
fn moment(text: &str) -> Option<Timestamp> {
    let seconds = if text.len() == "2026-05-12T14:00".len() { ":00" } else { "" };
    format!("{text}{seconds}Z").parse().ok()
}

fn back() -> Response {
    Redirect::to(HERE).into_response()
}

fn refused(why: &str) -> Response {
    error_page(StatusCode::CONFLICT, &say::t("calendar-not-done").to_string(), why)
}

fn sentence(wrong: &Wrong) -> String {
    match wrong {
        Wrong::NoAudience(audience) => {
            say::t("calendar-nobody").with("audience", audience.to_string()).to_string()
        }
        Wrong::NoText => say::t("calendar-no-text").to_string(),
        Wrong::TooLong(_) => say::t("calendar-too-long").with("most", LONGEST_TEXT).to_string(),
        Wrong::Ends(_) => say::t("calendar-ends").to_string(),
        Wrong::NoHosts => say::t("calendar-no-hosts").to_string(),
        Wrong::NoHost(host) => say::t("calendar-no-host").with("host", host.as_str()).to_string(),
        Wrong::NoReason => say::t("calendar-no-reason").to_string(),
    }
}
