//! `/hub/admin/notices`: what people are told and which hosts are to be empty, to be written,
//! looked at and taken back.

use std::collections::BTreeSet;
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
use jiff::civil;
use jiff::tz::TimeZone;
use serde::Deserialize;

use crate::agenda;
use crate::agenda::wish::{LONGEST_TEXT, MaintenanceWish, NoticeWish, Wrong};
use crate::audit::Actor;
use crate::auth::{AdminVisitor, CheckedForm, Visitor};
use crate::site::Hub;
use crate::web::error::cut;
use crate::web::pages::error::PageError;
use crate::web::pages::filled::Filled;
use crate::web::pages::shell::{Here, Shell, page};
use crate::web::pages::words::Moment;
use crate::web::say::{self, Said};

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
    notice: Filled<NoticeForm>,
    plan: Filled<MaintenanceForm>,
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
    view(&hub, &visitor, StatusCode::OK, Filled::default(), Filled::default())
}

fn view(
    hub: &Hub,
    visitor: &Visitor,
    status: StatusCode,
    notice_form: Filled<NoticeForm>,
    plan: Filled<MaintenanceForm>,
) -> Response {
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
        shell: Shell::of(visitor, say::t("calendar-title").to_string(), Here::Calendar),
        xsrf: visitor.xsrf.clone(),
        notices: notices.into_iter().map(notice).collect(),
        maintenance: maintenance.iter().map(|(id, it)| row(&fleet, *id, it, at)).collect(),
        longest: LONGEST_TEXT,
        notice: notice_form,
        plan,
    };
    page(status, &view)
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
#[derive(Debug, Clone, Default, Deserialize)]
pub struct NoticeForm {
    #[serde(default)]
    to: String,
    #[serde(default)]
    level: String,
    #[serde(default)]
    until: String,
    /// The zone of `until`; without scripts UTC.
    #[serde(default)]
    zone: String,
    #[serde(default)]
    en: String,
    #[serde(default)]
    fr: String,
    /// `yes`, or nothing.
    #[serde(default)]
    must_read: String,
}

/// `POST /hub/admin/notices`: people are told something.
pub async fn add(
    State(hub): State<Arc<Hub>>,
    CheckedForm { visitor, form }: CheckedForm<NoticeForm>,
) -> Result<Response, PageError> {
    let visitor = administrator(visitor)?;
    let again = |status, field, why: String| {
        let form = Filled::refused(form.clone(), field, why);
        Ok(view(&hub, &visitor, status, form, Filled::default()))
    };
    let to = Some(form.to.trim()).filter(|to| !to.is_empty()).unwrap_or("all");
    let Ok(audience) = to.parse::<Audience>() else {
        return again(StatusCode::CONFLICT, "to", say::t("calendar-no-audience").to_string());
    };
    let until = match form.until.as_str() {
        "" => None,
        text => match moment(text, &form.zone) {
            Ok(until) => Some(until),
            Err(why) => return again(StatusCode::BAD_REQUEST, "until", why.to_string()),
        },
    };
    let level = if form.level == "warning" { Level::Warning } else { Level::Info };
    let (en, fr, must_read) = (form.en.clone(), form.fr.clone(), !form.must_read.is_empty());
    let wish = NoticeWish { audience, level, from: None, until, en, fr, must_read };
    match wish.checked(&hub.fleet.fleet(), visitor.actor(), now()) {
        Ok(notice) => {
            let act = visitor.act("notice-add").on(&notice.audience.to_string());
            agenda::add(&hub, act.because(&notice.en), Entry::Notice(notice)).await?;
            Ok(back())
        }
        Err(wrong) => again(StatusCode::CONFLICT, field(&wrong), sentence(&wrong)),
    }
}

/// The fields of a maintenance.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct MaintenanceForm {
    #[serde(default)]
    hosts: String,
    #[serde(default)]
    from: String,
    #[serde(default)]
    to: String,
    /// The zone of both; without scripts UTC.
    #[serde(default)]
    zone: String,
    #[serde(default)]
    reason: String,
}

/// `POST /hub/admin/notices/maintenance`: hosts are to be empty for a while.
pub async fn plan(
    State(hub): State<Arc<Hub>>,
    CheckedForm { visitor, form }: CheckedForm<MaintenanceForm>,
) -> Result<Response, PageError> {
    let visitor = administrator(visitor)?;
    let again = |status, field, why: String| {
        let form = Filled::refused(form.clone(), field, why);
        Ok(view(&hub, &visitor, status, Filled::default(), form))
    };
    let words = form.hosts.split([' ', ',', ';', '\n', '\r', '\t']).filter(|it| !it.is_empty());
    let mut hosts = BTreeSet::new();
    for word in words {
        let Ok(host) = word.parse::<HostId>() else {
            let why = say::t("calendar-no-host").with("host", cut(word));
            return again(StatusCode::BAD_REQUEST, "hosts", why.to_string());
        };
        hosts.insert(host);
    }
    let mut ends = [Timestamp(0); 2];
    for (end, field, text) in [(0, "from", &form.from), (1, "to", &form.to)] {
        match moment(text, &form.zone) {
            Ok(at) => ends[end] = at,
            Err(why) => return again(StatusCode::BAD_REQUEST, field, why.to_string()),
        }
    }
    let [from, to] = ends;
    let window = Window { from, to };
    let wish = MaintenanceWish { hosts, window, reason: form.reason.clone(), ahead: None };
    match wish.checked(&hub.fleet.fleet(), visitor.actor(), now()) {
        Ok(maintenance) => {
            let act = visitor.act("maintenance-add").on(&agenda::names(&maintenance));
            let act = act.because(&maintenance.order.reason);
            agenda::plan(&hub, act, maintenance).await?;
            Ok(back())
        }
        Err(wrong) => again(StatusCode::CONFLICT, field(&wrong), sentence(&wrong)),
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
        Some(Entry::Training(_) | Entry::Image(_) | Entry::Rehearsal(_)) | None => {
            return Err(PageError::NotFound);
        }
    }
    Ok(back())
}

/// For others there is no such page.
fn administrator(visitor: Visitor) -> Result<Visitor, PageError> {
    visitor.admin.then_some(visitor).ok_or(PageError::NotFound)
}

/// What a browser's field for date and time names, in a zone such as Europe/Paris; UTC if none is
/// said.
fn moment(text: &str, zone: &str) -> Result<Timestamp, Said> {
    let bad = || match text {
        "" => say::t("calendar-moment-missing"),
        text => say::t("calendar-no-moment").with("text", cut(text)),
    };
    let zone = match zone {
        "" => TimeZone::UTC,
        name => {
            TimeZone::get(name).map_err(|_| say::t("calendar-no-zone").with("zone", cut(name)))?
        }
    };
    let local: civil::DateTime = text.parse().map_err(|_| bad())?;
    let moment = zone.to_timestamp(local).map_err(|_| bad())?;
    Ok(Timestamp(moment.as_microsecond()))
}

fn back() -> Response {
    Redirect::to(HERE).into_response()
}

/// The field that is to be corrected.
fn field(wrong: &Wrong) -> &'static str {
    match wrong {
        Wrong::NoAudience(_) => "to",
        Wrong::NoText => "en",
        Wrong::TooLong(language) => language,
        Wrong::Ends(field) => field,
        Wrong::NoHosts | Wrong::NoHost(_) => "hosts",
        Wrong::NoReason => "reason",
    }
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
