//! People, for who may see them: who is known here, and who of them runs what.

pub mod one;
pub mod view_as;

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use berth_common::{ByteCount, Timestamp};
use berth_core::Fleet;
use berth_process::clock::now;
use berth_store::User;

use crate::auth::form::query_value;
use crate::auth::{Right, Visitor};
use crate::site::Hub;
use crate::web::pages::error::PageError;
use crate::web::pages::shell::{Here, Shell, page};
use crate::web::pages::words::{self, Moment, Relative};
use crate::web::say;

/// A table of more rows than this is no help to anybody: the search is.
const MOST_ROWS: usize = 500;

#[derive(Template)]
#[template(path = "people.html")]
struct PeoplePage {
    shell: Shell,
    wanted: String,
    rows: Vec<Row>,
    found: usize,
    all: usize,
}

/// One person.
struct Row {
    name: String,
    uid: u32,
    groups: String,
    admin: bool,
    servers: usize,
    memory: ByteCount,
    activity: Moment,
    ago: Relative,
}

impl Row {
    fn of(hub: &Hub, fleet: &Fleet, user: &User, now: Timestamp) -> Self {
        let account = &user.account;
        let active = || fleet.servers_of(&account.name).filter(|server| server.is_active());
        let memory = active().map(|server| {
            let placed = server.placement().map(|placement| placement.reservation.memory);
            placed.unwrap_or(server.ask.memory)
        });
        Self {
            name: account.name.to_string(),
            uid: account.uid,
            groups: group_names(user).join(", "),
            admin: hub.is_admin(user),
            servers: active().count(),
            memory: memory.fold(ByteCount::ZERO, ByteCount::plus),
            activity: Moment::from(user.last_activity),
            ago: words::ago(user.last_activity, now),
        }
    }
}

fn group_names(user: &User) -> Vec<&str> {
    user.account.groups.iter().map(|group| group.name.as_str()).collect()
}

/// Whether a person is meant: by a part of the name, a whole group, or the uid.
fn fits(user: &User, wanted: &str) -> bool {
    user.account.name.as_str().contains(wanted)
        || group_names(user).contains(&wanted)
        || user.account.uid.to_string() == wanted
}

/// `GET /hub/admin/people?q=`
pub async fn show(
    State(hub): State<Arc<Hub>>,
    visitor: Visitor,
    uri: Uri,
) -> Result<Response, PageError> {
    visitor.require(Right::SeePeople)?;
    let wanted = query_value(&uri, "q").unwrap_or_default();
    let wanted: String = wanted.trim().to_lowercase().chars().take(100).collect();
    let users = hub.storage.read(berth_store::Reader::users)?;
    let (fleet, now) = (hub.fleet.fleet(), now());
    let fitting: Vec<_> = users.iter().filter(|user| fits(user, &wanted)).collect();
    let rows = fitting.iter().take(MOST_ROWS);
    let view = PeoplePage {
        shell: Shell::of(&visitor, say::t("people-title").to_string(), Here::People),
        rows: rows.map(|user| Row::of(&hub, &fleet, user, now)).collect(),
        found: fitting.len(),
        all: users.len(),
        wanted,
    };
    Ok(page(StatusCode::OK, &view))
}
