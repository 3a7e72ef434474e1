//! Trainings: when they are on, how far the participants are, what would go wrong, and orders.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use berth_common::{Seconds, Timestamp};
use berth_core::Fleet;
use berth_core::agenda::TrainingOrder;
use berth_core::fleet::Order;
use berth_core::settings::{Profile, Training};
use berth_process::clock::now;
use serde_json::{Value, json};

use crate::audit::Actor;
use crate::auth::Caller;
use crate::directory::Standing;
use crate::site::Hub;
use crate::storage::StorageError;
use crate::trainings::care::{self, NotDone};
use crate::trainings::check::{self, Facts, Finding};
use crate::trainings::orders::{self, Refused, Wish};
use crate::trainings::rehearsal::{Rehearsal, Scene, rehearse};
use crate::trainings::{Participant, Role, State as Stage, participants, stuck};
use crate::web::api::berth::{SCHEMA_VERSION, answer, reason};
use crate::web::api::body::{self, JsonBody};
use crate::web::api::path::Names;
use crate::web::error::{ApiError, cut};
use crate::web::reader::Reader;

/// More people than this are a slip of the keyboard.
const MOST_PEOPLE: u32 = 100_000;
/// An order that lasts longer than this belongs into the file.
const LONGEST: Seconds = Seconds(31 * 86_400);

/// What the caller is in a training; `None`: it is not there for the caller.
fn role_of(caller: &Caller, training: &Training) -> Option<Role> {
    match &caller.user {
        _ if caller.scopes.hold("admin-ui") => Some(Role::Admin),
        Some(user) => Role::of(&user.account, false, training),
        None => None,
    }
}

/// A training that the caller looks after.
pub(super) fn cared<'a>(
    fleet: &'a Fleet,
    caller: &Caller,
    name: &str,
) -> Result<(&'a String, &'a Training, &'a Profile, Role), ApiError> {
    let (name, training) =
        fleet.settings.trainings.get_key_value(name).ok_or_else(ApiError::no_resource)?;
    let profile = fleet.settings.profiles.get(name).ok_or_else(ApiError::no_resource)?;
    let role = role_of(caller, training).filter(|role| *role >= Role::Instructor);
    Ok((name, training, profile, role.ok_or_else(ApiError::no_resource)?))
}

/// `GET trainings`: those that the caller takes part in or looks after.
pub async fn list(State(hub): State<Arc<Hub>>, caller: Caller) -> Result<Json<Value>, ApiError> {
    caller.require("read:servers")?;
    let fleet = hub.fleet.fleet();
    let mut rows = Vec::new();
    for (name, training) in &fleet.settings.trainings {
        let Some(role) = role_of(&caller, training) else { continue };
        let mut row = describe(name, training, role);
        if role >= Role::Instructor {
            let people = participants(&hub, &fleet, name, training)?;
            count(&mut row, training, &people);
        }
        rows.push(row);
    }
    Ok(answer("trainings", json!(rows)))
}

/// `GET trainings/:name`: with everybody who takes part.
pub async fn show(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Names(name): Names<String>,
) -> Result<Json<Value>, ApiError> {
    caller.require("read:servers")?;
    let fleet = hub.fleet.fleet();
    let (name, training, profile, role) = cared(&fleet, &caller, &name)?;
    let people = participants(&hub, &fleet, name, training)?;
    let mut row = describe(name, training, role);
    count(&mut row, training, &people);
    row["memory"] = json!(profile.memory_default);
    row["image"] = json!(profile.images.first());
    row["overflow"] = json!(profile.overflow);
    row["stop_after_s"] = json!(training.stop_after.0);
    row["instructors"] = json!(training.instructors);
    let orders = hub.agenda.orders_of(name);
    row["orders"] = orders.iter().map(|(id, order)| order_row(*id, order)).collect();
    row["participants"] = people.iter().map(|it| participant(&fleet, it)).collect();
    Ok(answer("training", row))
}

/// `GET trainings/:name/check`: what would go wrong with it.
pub async fn check(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Names(name): Names<String>,
) -> Result<Json<Value>, ApiError> {
    caller.require("read:servers")?;
    let fleet = hub.fleet.fleet();
    let (name, training, profile, _) = cared(&fleet, &caller, &name)?;
    let facts = facts(&hub, &fleet, name, training).await?;
    // Programs read English, whatever the caller's browser would rather read.
    let check = || check::check(&fleet, name, training, profile, &facts, now());
    let found = Reader::default().shown(check);
    Ok(Json(json!({
        "schema_version": SCHEMA_VERSION,
        "training": name,
        "ok": found.iter().all(|finding| finding.ok),
        "findings": found.iter().map(finding_row).collect::<Vec<_>>(),
    })))
}

/// What a check needs beside the fleet.
///
/// # Errors
/// When the store cannot be read.
pub async fn facts(
    hub: &Hub,
    fleet: &Fleet,
    name: &str,
    training: &Training,
) -> Result<Facts, StorageError> {
    let mut invalid = Vec::new();
    for user in &training.participants.users {
        match hub.directory.look(hub, user, None).await? {
            Standing::Valid(_) => {}
            other => {
                let (reason, _) = other.refusal(&hub.config().people.directory);
                invalid.push((user.clone(), reason.code().to_owned()));
            }
        }
    }
    let maintenance = hub.agenda.maintenance().into_iter().map(|(_, it)| it);
    let known = participants(hub, fleet, name, training)?.len();
    Ok(Facts {
        maintenance: maintenance.filter(berth_core::agenda::Maintenance::is_ahead).collect(),
        invalid,
        known,
    })
}

/// `POST trainings/:name/rehearsal` `{people?, prepared?}`: what would come of so many starts at
/// once, on the hosts as they are, or all of the pool empty and ready. Nothing is started.
pub async fn rehearsal(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Names(name): Names<String>,
    body: JsonBody,
) -> Result<Json<Value>, ApiError> {
    caller.require("read:servers")?;
    let body = body.or_empty();
    body::only(&body, &["people", "prepared"])?;
    let people: Option<u32> = body::field(&body, "people")?;
    let prepared: Option<bool> = body::field(&body, "prepared")?;
    let fleet = hub.fleet.fleet();
    let (name, training, profile, role) = cared(&fleet, &caller, &name)?;
    let people = people.unwrap_or(training.expected);
    if people == 0 || people > MOST_PEOPLE {
        let why = format!("people: a number from 1 to {MOST_PEOPLE} is needed");
        return Err(ApiError::bad_request(why));
    }
    let (name, profile, within) = (name.clone(), profile.clone(), training.start_within);
    let snapshot = Arc::clone(&fleet);
    let made = tokio::task::spawn_blocking(move || {
        let nobody = std::collections::BTreeSet::new();
        let scene = match prepared.unwrap_or(false) {
            true => Scene::Prepared { without: &nobody },
            false => Scene::Now,
        };
        rehearse(&snapshot, &profile, people, &[], scene)
    });
    let made = made.await.map_err(|_| {
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "The rehearsal was broken off.")
    })?;
    let mut row = rehearsal_row(&made, role);
    row["training"] = json!(name);
    row["start_within_s"] = json!(within.0);
    Ok(answer("rehearsal", row))
}

/// `POST trainings/:name/orders` `{order, for_s, reason, dry_run?}`: opens it, keeps it open for
/// longer, or closes it.
pub async fn order(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Names(name): Names<String>,
    body: JsonBody,
) -> Result<Json<Value>, ApiError> {
    caller.require("start:servers")?;
    let body = body.or_empty();
    body::only(&body, &["order", "for_s", "reason", "dry_run"])?;
    let fleet = hub.fleet.fleet();
    let (name, training, _, role) = cared(&fleet, &caller, &name)?;
    let wish: Option<Wish> = body::field(&body, "order")?;
    let wish = wish.ok_or_else(|| ApiError::bad_request("order: say open, extend or close"))?;
    let lasts: Option<u64> = body::field(&body, "for_s")?;
    let lasts = match (wish, lasts) {
        (Wish::Close, None) => Seconds(0),
        (Wish::Close, Some(_)) => {
            return Err(ApiError::bad_request("for_s goes with open and extend only"));
        }
        (_, Some(lasts)) if lasts > 0 && lasts <= LONGEST.0 => Seconds(lasts),
        _ => {
            let why = format!("for_s: seconds are needed, {LONGEST} at most");
            return Err(ApiError::bad_request(why));
        }
    };
    let given: Option<String> = body::field(&body, "reason")?;
    let given = given.map(|it| it.trim().to_owned()).filter(|it| !it.is_empty());
    let given = given.ok_or_else(|| ApiError::bad_request("reason: say why; it is kept"))?;
    let dry_run = body::field::<bool>(&body, "dry_run")?.unwrap_or(false);
    let order = Order { reason: cut(&given), who: caller.actor(), at: now() };
    let maintenance: Vec<_> = hub.agenda.maintenance().into_iter().map(|(_, it)| it).collect();
    let made = orders::order(&fleet, (name, training), (wish, lasts), (role, order), &maintenance);
    let (made, obstacle) = made.map_err(refusal)?;
    let mut id = None;
    if !dry_run {
        let act = caller.act(wish.action()).on(name).because(&given);
        id = Some(orders::give(&hub, act, made.clone()).await?);
        tracing::info!(training = name, order = wish.action(), by = caller.name(), "training");
    }
    let fleet = hub.fleet.fleet();
    let training = fleet.settings.trainings.get(name).ok_or_else(ApiError::no_resource)?;
    Ok(Json(json!({
        "schema_version": SCHEMA_VERSION,
        "dry_run": dry_run,
        "order": order_row(id.unwrap_or_default(), &made),
        "in_the_way": obstacle,
        "training": describe(name, training, role),
    })))
}

fn refusal(refused: Refused) -> ApiError {
    match refused {
        Refused::NotYours => ApiError::forbidden(refused.to_string()),
        _ => ApiError::new(StatusCode::CONFLICT, refused.to_string()),
    }
}

/// `POST trainings/:name/participants/:user/server`: starts the training's server of a participant.
pub async fn start(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Names((name, user)): Names<(String, String)>,
) -> Result<StatusCode, ApiError> {
    caller.require("start:servers")?;
    let fleet = hub.fleet.fleet();
    let (name, training, ..) = cared(&fleet, &caller, &name)?;
    care::start(&hub, &caller, (name, training), &user).await.map_err(not_done)?;
    Ok(StatusCode::ACCEPTED)
}

/// `DELETE trainings/:name/participants/:user/server`: stops it.
pub async fn stop(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Names((name, user)): Names<(String, String)>,
) -> Result<StatusCode, ApiError> {
    caller.require("delete:servers")?;
    let fleet = hub.fleet.fleet();
    let (name, training, ..) = cared(&fleet, &caller, &name)?;
    care::stop(&hub, &caller, (name, training), &user).await.map_err(not_done)?;
    Ok(StatusCode::ACCEPTED)
}

fn not_done(why: NotDone) -> ApiError {
    match why {
        NotDone::NotThere => ApiError::no_resource(),
        NotDone::NotSaved(error) => error.into(),
        NotDone::Storage(error) => error.into(),
        NotDone::Refused(reason, ref text) => {
            ApiError::new(StatusCode::CONFLICT, text.clone()).because(reason)
        }
        NotDone::OtherServer(_) | NotDone::NothingRuns(_) => {
            ApiError::new(StatusCode::CONFLICT, why.to_string())
        }
    }
}

fn describe(name: &str, training: &Training, role: Role) -> Value {
    let moment = |at: Timestamp| at.to_string();
    let now = now();
    let stage = Stage::of(training, now);
    let (opens, closes) = match stage {
        Stage::Open(until) => (None, Some(until)),
        Stage::Planned(from) => (Some(from), None),
        Stage::Over => (None, None),
    };
    let windows = training.windows.iter();
    json!({
        "name": name,
        "title": training.title,
        "role": role.word(),
        "state": stage.word(),
        "opens": opens.map(moment),
        "closes": closes.map(moment),
        "from": training.windows.first().map(|window| moment(window.from)),
        "to": training.ends().map(moment),
        "windows": windows
            .map(|window| json!({ "from": moment(window.from), "to": moment(window.to) }))
            .collect::<Vec<_>>(),
        "pool": training.pool,
        "file": training.cite.file,
        "line": training.cite.line,
    })
}

fn count(row: &mut Value, training: &Training, people: &[Participant]) {
    row["expected"] = json!(training.expected);
    row["known"] = json!(people.len());
    row["active"] = json!(people.iter().filter(|it| it.is_active()).count());
    row["connected"] = json!(people.iter().filter(|it| it.is_connected()).count());
}

/// A participant, without hosts: those are not the instructor's.
fn participant(fleet: &Fleet, it: &Participant) -> Value {
    let server = it.server.as_deref();
    let used = server.and_then(|server| {
        let host = fleet.floor.host(server.holds_on()?)?;
        let held = host.servers.iter().find(|held| held.server == server.id)?;
        Some(held.memory.used)
    });
    json!({
        "user": it.name,
        "known": it.known,
        "state": server.map_or_else(|| "absent".to_owned(), |it| {
            fleet.server_state(it, now()).to_string()
        }),
        "server": server.map(|it| &it.id),
        "reason": reason(server.and_then(stuck)),
        "last_activity": server.map(|it| it.last_activity.to_string()),
        "memory": { "limit": server.map(|it| it.ask.memory), "used": used },
    })
}

fn finding_row(finding: &Finding) -> Value {
    let Finding { subject, ok, text, cites } = finding;
    let lines = cites.iter().map(|cite| json!({ "file": cite.file, "line": cite.line }));
    json!({
        "check": subject.word(),
        "ok": ok,
        "text": text,
        "where": lines.collect::<Vec<_>>(),
    })
}

fn rehearsal_row(made: &Rehearsal, role: Role) -> Value {
    let hosts = made.hosts.iter().map(|(host, (people, takes))| {
        let fetches = made.fetching.contains(host);
        json!({ "host": host, "people": people, "takes_s": takes.0, "fetches_image": fetches })
    });
    let hosts: Vec<_> = hosts.filter(|_| role == Role::Admin).collect();
    json!({
        "people": made.people,
        "placed": made.placed(),
        "without_place": made.without_place,
        "overflow": made.overflow,
        "takes_s": made.takes().0,
        "one_start_s": made.one.0,
        "measured_starts": made.measured,
        "fetching": made.fetching.len(),
        "hosts": hosts,
    })
}

fn order_row(id: i64, order: &TrainingOrder) -> Value {
    json!({
        "id": id,
        "open": order.open,
        "from": order.window.from.to_string(),
        "to": order.window.to.to_string(),
        "who": order.order.who,
        "reason": order.order.reason,
        "at": order.order.at.to_string(),
    })
}
