//! Trainings: when they are; and the page of one, for who teaches or administers it, with everybody
//! who takes part, what would go wrong, and the few things to be done in the room.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use berth_common::{Seconds, Timestamp};
use berth_core::Fleet;
use berth_core::agenda::{Audience, Entry, Level, Notice};
use berth_core::fleet::Order;
use berth_core::settings::{Profile, Training, Window};
use berth_process::clock::now;
use berth_store::User;
use serde::Deserialize;

use crate::agenda;
use crate::audit::Actor;
use crate::auth::{CheckedForm, Visitor};
use crate::site::Hub;
use crate::trainings::care::{self, NotDone};
use crate::trainings::check::{Subject, check};
use crate::trainings::orders::{self, Wish};
use crate::trainings::{Participant, Role, State, participants, stuck};
use crate::web::api::berth::trainings::facts;
use crate::web::error::cut;
use crate::web::pages::error::{PageError, error_page};
use crate::web::pages::shell::{Here, Shell, page};
use crate::web::pages::words::{self, Moment};
use crate::web::say;

/// A message to a room is a few sentences.
const LONGEST_TEXT: usize = 1_000;

#[derive(Template)]
#[template(path = "trainings.html")]
struct ListPage {
    shell: Shell,
    rows: Vec<Row>,
}

/// A training in the list.
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
    row: Row,
    admin: bool,
    is_open: bool,
    expected: u32,
    connected: usize,
    memory: String,
    image: String,
    people: Vec<Person>,
    findings: Vec<Found>,
    orders: Vec<Ordered>,
}

/// Somebody who takes part.
struct Person {
    name: String,
    state: String,
    class: &'static str,
    /// Why there is no server to work in.
    why: Option<(String, &'static str)>,
    active: String,
    memory: String,
    /// The paths of the buttons, and what stands on each.
    acts: Vec<(String, String)>,
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
            rows.push(Row::of(name, training, role, now()));
        }
    }
    let shell = Shell::of(&visitor, say::t("nav-trainings").to_string(), Here::Trainings);
    Ok(page(StatusCode::OK, &ListPage { shell, rows }))
}

/// `GET /hub/trainings/{name}`
pub async fn show(
    Shared(hub): Shared<Arc<Hub>>,
    visitor: Visitor,
    Path(name): Path<String>,
) -> Result<Response, PageError> {
    let fleet = hub.fleet.fleet();
    let (training, profile, role) = cared(&fleet, &visitor.user, visitor.admin, &name)?;
    let (now, path) = (now(), format!("/hub/trainings/{name}"));
    let taking_part = participants(&hub, &fleet, &name, training)?;
    let facts = facts(&hub, &fleet, &name, training).await?;
    let findings = check(&fleet, &name, training, profile, &facts, now);
    let orders = hub.agenda.orders_of(&name).into_iter().map(|(_, order)| Ordered {
        open: order.open,
        from: Moment::from(order.window.from),
        to: Moment::from(order.window.to),
        who: order.order.who,
        reason: order.order.reason,
    });
    let view = TrainingPage {
        shell: Shell::of(&visitor, training.title.clone(), Here::Trainings),
        xsrf: visitor.xsrf.clone(),
        row: Row::of(&name, training, role, now),
        admin: role == Role::Admin,
        is_open: training.open_window(now).is_some(),
        expected: training.expected,
        connected: taking_part.iter().filter(|it| it.is_connected()).count(),
        memory: profile.memory_default.to_string(),
        image: profile.images.first().cloned().unwrap_or_default(),
        people: taking_part.iter().map(|it| Person::of(&fleet, it, &path, now)).collect(),
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
        path,
    };
    Ok(page(StatusCode::OK, &view))
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
fn cared<'a>(
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
#[derive(Debug, Deserialize)]
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
    let wish = match form.order.as_str() {
        "open" => Wish::Open,
        "extend" => Wish::Extend,
        "close" => Wish::Close,
        _ => return Err(PageError::BadForm(form.order)),
    };
    let reason = form.reason.trim();
    if reason.is_empty() {
        return Ok(refused(&say::t("training-say-why").to_string()));
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
        Err(why) => Ok(refused(&why.to_string())),
    }
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
        Err(why) => Ok(refused(&why.to_string())),
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
    fn of(name: &str, training: &Training, role: Role, now: Timestamp) -> Self {
        let (state, class, at) = match State::of(training, now) {
            State::Open(until) => (say::t("training-open-until"), "is-good", Some(until)),
            State::Planned(from) => (say::t("training-opens"), "is-wait", Some(from)),
            State::Over => (say::t("training-over"), "", None),
        };
        let days = training.windows.first().map(|it| it.from).zip(training.ends());
        Self {
            title: training.title.clone(),
            path: (role >= Role::Instructor).then(|| format!("/hub/trainings/{name}")),
            class,
            state: state.to_string(),
            at: at.map(Moment::from),
            days: days.map(|(from, to)| (Moment::from(from), Moment::from(to))),
            pool: training.pool.clone(),
        }
    }
}

impl Person {
    fn of(fleet: &Fleet, it: &Participant, path: &str, now: Timestamp) -> Self {
        let server = it.server.as_deref();
        let state = server.map(|server| fleet.server_state(server, now));
        let used = server.and_then(|server| {
            let host = fleet.floor.host(server.holds_on()?)?;
            let held = host.servers.iter().find(|held| held.server == server.id)?;
            Some(format!("{} / {}", held.memory.used, held.memory.limit))
        });
        let acts: &[_] = match (it.known, it.is_active(), it.is_connected()) {
            (false, ..) => &[],
            (true, false, _) => &[("start", "training-start")],
            (true, true, false) => &[("stop", "training-stop")],
            (true, true, true) => &[("restart", "training-restart"), ("stop", "training-stop")],
        };
        let button = |&(act, words): &(&str, &'static str)| {
            let path = format!("{path}/participants/{}/{act}", it.name);
            (path, say::t(words).with("user", it.name.as_str()).to_string())
        };
        Self {
            name: it.name.to_string(),
            state: match state {
                Some(state) => words::state(state),
                None if it.known => say::t("training-no-server").to_string(),
                None => say::t("training-never-here").to_string(),
            },
            class: state.map_or("", words::state_class),
            why: server.and_then(stuck).map(|why| (say::reason(why), why.code())),
            active: server.map(|it| words::ago(it.last_activity, now)).unwrap_or_default(),
            memory: used.unwrap_or_default(),
            acts: acts.iter().map(button).collect(),
        }
    }
}
