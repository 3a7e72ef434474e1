//! Trainings: when they are; and the page of one, for who teaches or administers it, with everybody
//! who takes part, what would go wrong, and the few things to be done in the room.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use berth_common::{HostId, Seconds, Timestamp};
use berth_core::agenda::{Audience, Entry, Level, Notice};
use berth_core::fleet::Order;
use berth_core::settings::{Profile, Training, Window};
use berth_core::{Fleet, Settings};
use berth_process::clock::now;
use berth_store::User;
use serde::Deserialize;

use crate::agenda;
use crate::audit::Actor;
use crate::auth::{CheckedForm, Visitor};
use crate::site::Hub;
use crate::trainings::care::{self, NotDone};
use crate::trainings::check::{LONGEST_EXTENSION, Subject, check};
use crate::trainings::orders::{self, Wish};
use crate::trainings::{Role, State, participants};
use crate::web::api::berth::trainings::facts;
use crate::web::error::cut;
use crate::web::pages::error::{PageError, error_page, error_page_with};
use crate::web::pages::filled::Filled;
use crate::web::pages::shell::{Here, Shell, page};
use crate::web::pages::words::{self, Moment};
use crate::web::say;

pub mod rehearsal;
pub mod room;

use rehearsal::Rehearsed;
use room::Room;

/// A message to a room is a few sentences.
const LONGEST_TEXT: usize = 1_000;

#[derive(Template)]
#[template(path = "trainings.html")]
struct ListPage {
    shell: Shell,
    rows: Vec<Listed>,
}

/// A training in the list, and how far it is: only for who looks after it.
struct Listed {
    row: Row,
    /// How many of those who are expected have a server to work in.
    connected: Option<(usize, u32)>,
    /// How many of its pool's hosts have its image.
    images: Option<(usize, usize)>,
}

/// When a training is, and for whom.
struct Row {
    title: String,
    /// Its page, for who looks after it.
    path: Option<String>,
    class: &'static str,
    state: String,
    at: Option<Moment>,
    days: Option<(Moment, Moment)>,
    pool: String,
}

#[derive(Template)]
#[template(path = "training.html")]
struct TrainingPage {
    shell: Shell,
    xsrf: String,
    path: String,
    title: String,
    /// The part that is kept up to date, and where its news come from.
    room: Room,
    live: String,
    admin: bool,
    is_open: bool,
    findings: Vec<Found>,
    orders: Vec<Ordered>,
    rehearsed: Option<Rehearsed>,
    /// Whether servers of it are there.
    rehearses: bool,
    /// What participants see when it is open.
    preview: Preview,
    /// The order that was refused; its field is the id of that form's.
    order: Filled<OrderForm>,
}

/// The one tile of a participant.
struct Preview {
    title: String,
    use_case: String,
    memory: String,
    image: String,
}

impl Preview {
    fn of(fleet: &Fleet, profile: &Profile) -> Self {
        let name = profile.images.first().cloned().unwrap_or_default();
        let image = fleet.settings.images.get(&name).map(|image| image.title.to_string());
        Self {
            title: profile.title.to_string(),
            use_case: profile.use_case.to_string(),
            memory: profile.memory_default.to_string(),
            image: image.filter(|title| !title.is_empty()).unwrap_or(name),
        }
    }
}

/// What a check found. Its texts are English.
struct Found {
    name: String,
    ok: bool,
    text: String,
    cites: Vec<String>,
}

/// An order beside the file.
struct Ordered {
    open: bool,
    from: Moment,
    to: Moment,
    who: String,
    reason: String,
}

/// `GET /hub/trainings`: those that the visitor takes part in or looks after.
pub async fn list(Shared(hub): Shared<Arc<Hub>>, visitor: Visitor) -> Result<Response, PageError> {
    let fleet = hub.fleet.fleet();
    let mut rows = Vec::new();
    for (name, training) in &fleet.settings.trainings {
        if let Some(role) = Role::of(&visitor.user.account, visitor.admin, training) {
            let row = Row::of(&fleet.settings, (name, training), role, now());
            let mut listed = Listed { row, connected: None, images: None };
            if role >= Role::Instructor {
                let there = participants(&hub, &fleet, name, training)?;
                let connected = there.iter().filter(|it| it.is_connected()).count();
                listed.connected = Some((connected, training.expected));
                listed.images = fleet.settings.profiles.get(name).map(|it| with_image(&fleet, it));
            }
            rows.push(listed);
        }
    }
    let shell = Shell::of(&visitor, say::t("nav-trainings").to_string(), Here::Trainings);
    Ok(page(StatusCode::OK, &ListPage { shell, rows }))
}

/// How many of the hosts of a profile's pool have its image, and how many there are.
fn with_image(fleet: &Fleet, profile: &Profile) -> (usize, usize) {
    let image = profile.images.first().and_then(|name| fleet.settings.images.get(name));
    let hosts = fleet.settings.hosts.iter().filter(|(_, host)| host.pool == profile.pool);
    let has = |id: &HostId| {
        let heard = fleet.hosts.get(id).and_then(|host| host.heard.as_ref());
        let images = heard.map(|heard| &heard.facts.images);
        images.zip(image).is_some_and(|(there, image)| there.contains(&image.reference))
    };
    let all: Vec<_> = hosts.map(|(id, _)| has(id)).collect();
    (all.iter().filter(|has| **has).count(), all.len())
}

/// `GET /hub/trainings/{name}`
pub async fn show(
    Shared(hub): Shared<Arc<Hub>>,
    visitor: Visitor,
    Path(name): Path<String>,
) -> Result<Response, PageError> {
    view(&hub, &visitor, &name, StatusCode::OK, Filled::default()).await
}

async fn view(
    hub: &Hub,
    visitor: &Visitor,
    name: &str,
    status: StatusCode,
    order: Filled<OrderForm>,
) -> Result<Response, PageError> {
    let fleet = hub.fleet.fleet();
    let (training, profile, role) = cared(&fleet, &visitor.user, visitor.admin, name)?;
    let (now, path) = (now(), format!("/hub/trainings/{name}"));
    let room = Room::of(hub, &fleet, (name, training, profile), role, &visitor.xsrf, now)?;
    let facts = facts(hub, &fleet, name, training).await?;
    let findings = check(&fleet, name, training, profile, &facts, now);
    let orders = hub.agenda.orders_of(name).into_iter().map(|(_, order)| Ordered {
        open: order.open,
        from: Moment::from(order.window.from),
        to: Moment::from(order.window.to),
        who: order.order.who,
        reason: order.order.reason,
    });
    let rehearsed = Rehearsed::of(hub, &fleet, name, training);
    let title = words::written(&fleet.settings, &training.title);
    let view = TrainingPage {
        shell: Shell::of(visitor, title.clone(), Here::Trainings),
        xsrf: visitor.xsrf.clone(),
        title,
        room,
        live: format!("/hub/live/trainings/{name}"),
        admin: role == Role::Admin,
        is_open: training.open_window(now).is_some(),
        findings: findings
            .into_iter()
            .map(|it| Found {
                name: subject(it.subject),
                ok: it.ok,
                text: it.text,
                cites: it.cites.iter().map(ToString::to_string).collect(),
            })
            .collect(),
        orders: orders.collect(),
        rehearses: rehearsed.as_ref().is_some_and(|it| it.under_way),
        rehearsed,
        preview: Preview::of(&fleet, profile),
        order,
        path,
    };
    Ok(page(status, &view))
}

/// What was looked at.
fn subject(subject: Subject) -> String {
    let said = match subject {
        Subject::Dates => say::t("check-of-dates"),
        Subject::Memory => say::t("check-of-memory"),
        Subject::Image => say::t("check-of-image"),
        Subject::People => say::t("check-of-people"),
        Subject::Maintenance => say::t("check-of-maintenance"),
        Subject::Clash => say::t("check-of-clash"),
        Subject::StartRate => say::t("check-of-start-rate"),
    };
    said.to_string()
}

/// A training that somebody looks after; for others there is none.
pub fn cared<'a>(
    fleet: &'a Fleet,
    user: &User,
    admin: bool,
    name: &str,
) -> Result<(&'a Training, &'a Profile, Role), PageError> {
    let training = fleet.settings.trainings.get(name).ok_or(PageError::NotFound)?;
    let profile = fleet.settings.profiles.get(name).ok_or(PageError::NotFound)?;
    let role = Role::of(&user.account, admin, training).filter(|role| *role >= Role::Instructor);
    Ok((training, profile, role.ok_or(PageError::NotFound)?))
}

/// The fields of the forms of that page.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct OrderForm {
    #[serde(default)]
    order: String,
    #[serde(default)]
    hours: u64,
    #[serde(default)]
    reason: String,
}

/// `POST /hub/trainings/{name}/orders`
pub async fn order(
    Shared(hub): Shared<Arc<Hub>>,
    Path(name): Path<String>,
    CheckedForm { visitor, form }: CheckedForm<OrderForm>,
) -> Result<Response, PageError> {
    let fleet = hub.fleet.fleet();
    let (training, _, role) = cared(&fleet, &visitor.user, visitor.admin, &name)?;
    let (wish, field) = match form.order.as_str() {
        "open" => (Wish::Open, "why"),
        "extend" => (Wish::Extend, "why-extend"),
        "close" => (Wish::Close, "why"),
        _ => return Err(PageError::BadForm(form.order)),
    };
    let reason = form.reason.trim();
    if reason.is_empty() {
        let form = Filled::refused(form, field, say::t("training-say-why"));
        return view(&hub, &visitor, &name, StatusCode::CONFLICT, form).await;
    }
    let lasts = Seconds(form.hours.clamp(1, 24) * 3600);
    let order = Order { reason: cut(reason), who: visitor.actor(), at: now() };
    let maintenance: Vec<_> = hub.agenda.maintenance().into_iter().map(|(_, it)| it).collect();
    let made = orders::order(&fleet, (&name, training), (wish, lasts), (role, order), &maintenance);
    match made {
        Ok((order, _)) => {
            let act = visitor.act(wish.action()).on(&name).because(reason);
            orders::give(&hub, act, order).await?;
            Ok(back(&name))
        }
        Err(why) => {
            let form = Filled::refused(form, field, not_ordered(&why));
            view(&hub, &visitor, &name, StatusCode::CONFLICT, form).await
        }
    }
}

/// Why there is no such order, in the reader's language.
fn not_ordered(why: &orders::Refused) -> String {
    use orders::Refused;
    let said = match why {
        Refused::NotYours => say::t("training-not-yours"),
        Refused::NotOn => say::t("training-not-on"),
        Refused::NothingToClose => say::t("training-nothing-to-close"),
        Refused::OpenAnyway(until) => {
            say::t("training-open-anyway").with("until", Moment::from(*until).text)
        }
        Refused::TooLong => {
            say::t("training-too-long").with("longest", words::long(LONGEST_EXTENSION))
        }
        Refused::InTheWay(why) => say::t("training-in-the-way").with("why", why),
    };
    said.to_string()
}

/// No fields beside the token.
#[derive(Debug, Deserialize)]
pub struct Nothing {}

/// `POST /hub/trainings/{name}/participants/{user}/start`
pub async fn start(
    Shared(hub): Shared<Arc<Hub>>,
    Path((name, user)): Path<(String, String)>,
    CheckedForm { visitor, .. }: CheckedForm<Nothing>,
) -> Result<Response, PageError> {
    let fleet = hub.fleet.fleet();
    let (training, ..) = cared(&fleet, &visitor.user, visitor.admin, &name)?;
    done(&name, care::start(&hub, &visitor, (&name, training), &user).await)
}

/// `POST /hub/trainings/{name}/participants/{user}/stop`
pub async fn stop(
    Shared(hub): Shared<Arc<Hub>>,
    Path((name, user)): Path<(String, String)>,
    CheckedForm { visitor, .. }: CheckedForm<Nothing>,
) -> Result<Response, PageError> {
    let fleet = hub.fleet.fleet();
    let (training, ..) = cared(&fleet, &visitor.user, visitor.admin, &name)?;
    done(&name, care::stop(&hub, &visitor, (&name, training), &user).await)
}

/// `POST /hub/trainings/{name}/participants/{user}/restart`
pub async fn restart(
    Shared(hub): Shared<Arc<Hub>>,
    Path((name, user)): Path<(String, String)>,
    CheckedForm { visitor, .. }: CheckedForm<Nothing>,
) -> Result<Response, PageError> {
    let fleet = hub.fleet.fleet();
    let (training, ..) = cared(&fleet, &visitor.user, visitor.admin, &name)?;
    done(&name, care::restart(&hub, &visitor, (&name, training), &user).await)
}

fn done(name: &str, result: Result<(), NotDone>) -> Result<Response, PageError> {
    match result {
        Ok(()) => Ok(back(name)),
        Err(NotDone::NotThere) => Err(PageError::NotFound),
        Err(NotDone::NotSaved(error)) => Err(error.into()),
        Err(NotDone::Storage(error)) => Err(error.into()),
        Err(NotDone::OtherServer(user)) => {
            Ok(refused(&say::t("training-other-server").with("user", user.as_str()).to_string()))
        }
        Err(NotDone::NothingRuns(user)) => {
            Ok(refused(&say::t("training-nothing-runs").with("user", user.as_str()).to_string()))
        }
        Err(NotDone::Refused(reason, detail)) => {
            let (why, detail) = words::told(reason, &detail);
            let title = say::t("training-not-done").to_string();
            Ok(error_page_with(StatusCode::CONFLICT, &title, &why, &detail))
        }
    }
}

/// The field of the message to everybody.
#[derive(Debug, Deserialize)]
pub struct MessageForm {
    #[serde(default)]
    text: String,
}

/// `POST /hub/trainings/{name}/message`: a notice to all who take part, until the hours end.
pub async fn message(
    Shared(hub): Shared<Arc<Hub>>,
    Path(name): Path<String>,
    CheckedForm { visitor, form }: CheckedForm<MessageForm>,
) -> Result<Response, PageError> {
    let fleet = hub.fleet.fleet();
    let (training, ..) = cared(&fleet, &visitor.user, visitor.admin, &name)?;
    let text: String = form.text.trim().chars().take(LONGEST_TEXT).collect();
    if text.is_empty() {
        return Ok(back(&name));
    }
    let at = now();
    let ends = training.open_span(at).map_or_else(|| at.plus(Seconds(86_400)), |span| span.to);
    let notice = Notice {
        audience: Audience::Training(name.clone()),
        level: Level::Info,
        window: Window { from: at, to: ends },
        en: text,
        fr: String::new(),
        must_read: false,
        who: visitor.actor(),
        at,
    };
    let act = visitor.act("notice-add").on(&notice.audience.to_string()).because(&notice.en);
    agenda::add(&hub, act, Entry::Notice(notice)).await?;
    Ok(back(&name))
}

fn back(name: &str) -> Response {
    Redirect::to(&format!("/hub/trainings/{name}")).into_response()
}

fn refused(why: &str) -> Response {
    error_page(StatusCode::CONFLICT, &say::t("training-not-done").to_string(), why)
}

impl Row {
    fn of(
        settings: &Settings,
        (name, training): (&str, &Training),
        role: Role,
        now: Timestamp,
    ) -> Self {
        let (state, class, at) = match State::of(training, now) {
            State::Open(until) => (say::t("training-open-until"), "is-good", Some(until)),
            State::Planned(from) => (say::t("training-opens"), "is-wait", Some(from)),
            State::Over => (say::t("training-over"), "", None),
        };
        let days = training.windows.first().map(|it| it.from).zip(training.ends());
        Self {
            title: words::written(settings, &training.title),
            path: (role >= Role::Instructor).then(|| format!("/hub/trainings/{name}")),
            class,
            state: state.to_string(),
            at: at.map(Moment::from),
            days: days.map(|(from, to)| (Moment::from(from), Moment::from(to))),
            pool: training.pool.clone(),
        }
    }
}
