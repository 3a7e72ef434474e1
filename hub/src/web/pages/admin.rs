//! All servers, for who may see them all.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use berth_common::{ByteCount, Reason, Timestamp};
use berth_core::life::outlook;
use berth_core::{Fleet, Server};
use berth_process::clock::now;

use crate::auth::form::query_value;
use crate::auth::next::escape;
use crate::auth::{Right, Visitor};
use crate::site::Hub;
use crate::web::pages::card::{self, Used};
use crate::web::pages::columns::{Column, Columns};
use crate::web::pages::error::PageError;
use crate::web::pages::filter::Filter;
use crate::web::pages::sheet;
use crate::web::pages::shell::{Here, Shell, page};
use crate::web::pages::target::may;
use crate::web::pages::words::{self, Relative};
use crate::web::say;

/// A table of more rows than this is no help to anybody: the filter is.
const MOST_ROWS: usize = 500;

#[derive(Template)]
#[template(path = "admin.html")]
struct AdminPage {
    shell: Shell,
    filter: String,
    columns: Columns,
    live: String,
    /// The filter as it stands in an address.
    query: String,
    /// The columns as they stand behind it.
    chosen: String,
    table: ServerTable,
}

/// The part of the page that is kept up to date.
#[derive(Template)]
#[template(path = "server-table.html")]
pub struct ServerTable {
    xsrf: String,
    back: String,
    columns: Columns,
    rows: Vec<ServerRow>,
    found: usize,
    all: usize,
    filtered: bool,
    /// What is wrong with the filter; empty: nothing.
    mistake: String,
}

/// One server.
pub struct ServerRow {
    pub(super) id: String,
    pub(super) owner: String,
    pub(super) title: String,
    pub(super) state: String,
    pub(super) class: &'static str,
    pub(super) host: String,
    pub(super) profile: String,
    pub(super) pool: String,
    pub(super) image: String,
    pub(super) gpus: usize,
    pub(super) age: Relative,
    pub(super) memory: ByteCount,
    pub(super) used: Option<Used>,
    pub(super) activity: Relative,
    pub(super) reason: Option<(String, &'static str)>,
    pub(super) decision: Option<String>,
    pub(super) can_stop: bool,
}

impl ServerRow {
    /// A server at this moment.
    pub fn of(fleet: &Fleet, server: &Server, now: Timestamp) -> Self {
        let state = fleet.server_state(server, now);
        let placement = server.placement();
        let stop = placement.and_then(|placement| placement.stop.as_ref());
        let reason = Self::reason_of(fleet, server, now);
        let profile = fleet.settings.profiles.get(&server.ask.profile);
        Self {
            id: server.id.to_string(),
            owner: server.owner.to_string(),
            title: words::server_title(&server.name),
            state: words::state(state),
            class: words::state_class(state),
            host: placement.map(|placement| placement.host.to_string()).unwrap_or_default(),
            profile: card::profile_title(fleet, &server.ask.profile),
            pool: profile.map(|profile| profile.pool.clone()).unwrap_or_default(),
            image: server.ask.image.clone(),
            gpus: placement.map(|placement| placement.gpus.len()).unwrap_or_default(),
            age: placement.map(|it| words::since(it.placed_at, now)).unwrap_or_default(),
            memory: placement.map_or(server.ask.memory, |placement| placement.reservation.memory),
            used: card::used(fleet, server, now),
            activity: words::ago(server.last_activity, now),
            reason: reason.map(|reason| (say::reason(reason), reason.code())),
            decision: server.decision.as_ref().map(ToString::to_string),
            can_stop: server.is_active() && stop.is_none(),
        }
    }

    /// Why a server does not run, or will not, or is listed for the administrators.
    pub fn reason_of(fleet: &Fleet, server: &Server, now: Timestamp) -> Option<Reason> {
        let placement = server.placement();
        let stop = placement.and_then(|placement| placement.stop.as_ref());
        let end = stop.map(|stop| &stop.end);
        let end = end.or(server.last_end.as_ref().filter(|_| !server.is_active()));
        let waits = match &server.phase {
            berth_core::Phase::Waiting { reason, .. } => Some(*reason),
            _ => None,
        };
        // What no rule stops by itself is for the administrators to see.
        let listed = placement
            .filter(|placement| server.is_ready() && !placement.gpus.is_empty())
            .and_then(|placement| outlook(&fleet.settings, server, placement, now).question)
            .filter(|question| question.listed);
        waits.or(end.map(|end| end.reason)).or(listed.map(|_| Reason::GpuUnused))
    }
}

impl ServerTable {
    /// The servers that a filter leaves: active ones first, then by owner.
    /// What its reader may not stop has no button for it.
    pub fn of(
        fleet: &Fleet,
        filter: &str,
        columns: &Columns,
        visitor: &Visitor,
        now: Timestamp,
    ) -> Self {
        let (servers, mistake) = match found(fleet, filter, now) {
            Ok(servers) => (servers, String::new()),
            Err(mistake) => (Vec::new(), mistake),
        };
        let found = servers.len();
        let rows = servers.into_iter().take(MOST_ROWS);
        let row = |server: &Arc<Server>| {
            let row = ServerRow::of(fleet, server, now);
            let can_stop = row.can_stop && may(visitor, &server.owner, Right::StopServers);
            ServerRow { can_stop, ..row }
        };
        let rows = rows.map(row).collect();
        Self {
            xsrf: visitor.xsrf.clone(),
            back: page_url(filter, columns),
            columns: columns.clone(),
            rows,
            found,
            all: fleet.servers.len(),
            filtered: !filter.is_empty(),
            mistake,
        }
    }
}

/// The servers that a filter leaves: active ones first, then by owner.
///
/// # Errors
/// Says what is wrong with the filter and what would be right.
pub fn found<'a>(
    fleet: &'a Fleet,
    filter: &str,
    now: Timestamp,
) -> Result<Vec<&'a Arc<Server>>, String> {
    let filter = Filter::parse(filter)?;
    let finder = filter.on(fleet, now);
    let is_meant =
        |server: &&Arc<Server>| finder.finds(server, ServerRow::reason_of(fleet, server, now));
    let mut servers: Vec<_> = fleet.servers.values().filter(is_meant).collect();
    servers.sort_by_key(|server| (!server.is_active(), &server.owner, &server.name));
    Ok(servers)
}

/// `GET /hub/admin`
pub async fn show(
    State(hub): State<Arc<Hub>>,
    visitor: Visitor,
    uri: Uri,
) -> Result<Response, PageError> {
    visitor.require(Right::SeeServers)?;
    let (filter, columns) = (filter(&uri), Columns::of(&uri));
    let table = ServerTable::of(&hub.fleet.fleet(), &filter, &columns, &visitor, now());
    let shell = Shell::of(&visitor, say::t("nav-servers").to_string(), Here::Servers);
    let (query, chosen) = (escape(&filter), columns.query());
    let live = format!("/hub/live/admin?q={query}{chosen}");
    let view = AdminPage { shell, filter, columns, live, query, chosen, table };
    Ok(page(StatusCode::OK, &view))
}

/// The filter of a link; longer ones than anybody types are cut.
pub fn filter(uri: &Uri) -> String {
    query_value(uri, "q").unwrap_or_default().trim().chars().take(100).collect()
}

/// The columns of the table for programs.
const HEAD: [&str; 15] = [
    "id",
    "user",
    "name",
    "state",
    "reason",
    "host",
    "pool",
    "profile",
    "image",
    "outdated",
    "memory",
    "memory_used",
    "gpus",
    "placed_at",
    "last_activity",
];

/// `GET /hub/admin/servers.csv?q=`: all that the filter leaves, for programs; amounts in bytes.
pub async fn table(
    State(hub): State<Arc<Hub>>,
    visitor: Visitor,
    uri: Uri,
) -> Result<Response, PageError> {
    visitor.require(Right::SeeServers)?;
    let (fleet, now) = (hub.fleet.fleet(), now());
    Ok(match found(&fleet, &filter(&uri), now) {
        Ok(servers) => {
            let lines = servers.into_iter().map(|server| line(&fleet, server, now));
            sheet::answer("servers.csv", &HEAD, lines)
        }
        Err(mistake) => (StatusCode::BAD_REQUEST, mistake).into_response(),
    })
}

fn line(fleet: &Fleet, server: &Server, now: Timestamp) -> Vec<String> {
    let row = ServerRow::of(fleet, server, now);
    let used = row.used.map(|used| used.used.0.to_string()).unwrap_or_default();
    let placed = server.placement().map(|placement| placement.placed_at.to_string());
    vec![
        row.id,
        row.owner,
        server.name.to_string(),
        fleet.server_state(server, now).to_string(),
        row.reason.map(|(_, code)| code.to_owned()).unwrap_or_default(),
        row.host,
        row.pool,
        server.ask.profile.clone(),
        row.image,
        if fleet.is_outdated(server, now) { "yes" } else { "no" }.to_owned(),
        row.memory.0.to_string(),
        used,
        row.gpus.to_string(),
        placed.unwrap_or_default(),
        server.last_activity.to_string(),
    ]
}

fn page_url(filter: &str, columns: &Columns) -> String {
    let chosen = columns.query();
    if filter.is_empty() && chosen.is_empty() {
        "/hub/admin".to_owned()
    } else {
        format!("/hub/admin?q={}{chosen}", escape(filter))
    }
}
