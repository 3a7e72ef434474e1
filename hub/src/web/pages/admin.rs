//! All servers, for administrators.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use berth_common::{ByteCount, Reason, Timestamp};
use berth_core::life::outlook;
use berth_core::{Fleet, Server};
use berth_process::clock::now;

use crate::auth::AdminVisitor;
use crate::auth::form::query_value;
use crate::auth::next::escape;
use crate::site::Hub;
use crate::web::pages::card::{self, Used};
use crate::web::pages::filter::Filter;
use crate::web::pages::shell::{Here, Shell, page};
use crate::web::pages::words;
use crate::web::say;

/// A table of more rows than this is no help to anybody: the filter is.
const MOST_ROWS: usize = 500;

#[derive(Template)]
#[template(path = "admin.html")]
struct AdminPage {
    shell: Shell,
    filter: String,
    live: String,
    /// The filter as it stands in an address.
    query: String,
    table: ServerTable,
}

/// The part of the page that is kept up to date.
#[derive(Template)]
#[template(path = "server-table.html")]
pub struct ServerTable {
    xsrf: String,
    back: String,
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
    pub(super) memory: ByteCount,
    pub(super) used: Option<Used>,
    pub(super) activity: String,
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
        Self {
            id: server.id.to_string(),
            owner: server.owner.to_string(),
            title: words::server_title(&server.name),
            state: words::state(state),
            class: words::state_class(state),
            host: placement.map(|placement| placement.host.to_string()).unwrap_or_default(),
            profile: card::profile_title(fleet, &server.ask.profile),
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
    pub fn of(fleet: &Fleet, filter: &str, xsrf: &str, now: Timestamp) -> Self {
        let mut servers: Vec<_> = fleet.servers.values().collect();
        servers.sort_by_key(|server| (!server.is_active(), &server.owner, &server.name));
        let (wanted, mistake) = match Filter::parse(filter) {
            Ok(wanted) => (Some(wanted), String::new()),
            Err(mistake) => (None, mistake),
        };
        servers.retain(|server| {
            let reason = ServerRow::reason_of(fleet, server, now);
            wanted.as_ref().is_some_and(|wanted| wanted.finds(fleet, server, reason, now))
        });
        let found = servers.len();
        let rows = servers.into_iter().take(MOST_ROWS);
        let rows = rows.map(|server| ServerRow::of(fleet, server, now)).collect();
        Self {
            xsrf: xsrf.to_owned(),
            back: page_url(filter),
            rows,
            found,
            all: fleet.servers.len(),
            filtered: !filter.is_empty(),
            mistake,
        }
    }
}

/// `GET /hub/admin`
pub async fn show(
    State(hub): State<Arc<Hub>>,
    AdminVisitor(visitor): AdminVisitor,
    uri: Uri,
) -> Response {
    let filter = filter(&uri);
    let table = ServerTable::of(&hub.fleet.fleet(), &filter, &visitor.xsrf, now());
    let live = format!("/hub/live/admin?q={}", escape(&filter));
    let shell = Shell::of(&visitor, say::t("nav-servers").to_string(), Here::Servers);
    let query = escape(&filter);
    page(StatusCode::OK, &AdminPage { shell, filter, live, query, table })
}

/// The filter of a link; longer ones than anybody types are cut.
pub fn filter(uri: &Uri) -> String {
    query_value(uri, "q").unwrap_or_default().trim().chars().take(100).collect()
}

fn page_url(filter: &str) -> String {
    if filter.is_empty() {
        "/hub/admin".to_owned()
    } else {
        format!("/hub/admin?q={}", escape(filter))
    }
}
