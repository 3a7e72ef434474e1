//! What people should know: the notices of now and of the last weeks, and the maintenance ahead.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use berth_common::{Seconds, Timestamp};
use berth_core::agenda::Maintenance;
use berth_process::clock::now;

use crate::auth::Visitor;
use crate::site::Hub;
use crate::web::pages::board::{Board, Note};
use crate::web::pages::shell::{Here, Shell, page};
use crate::web::pages::words::Moment;
use crate::web::say;

pub mod calendar;
pub mod one;
pub mod read;

/// Notices that ended are shown so long.
const SHOWN: Seconds = Seconds(30 * 86_400);

#[derive(Template)]
#[template(path = "notices.html")]
struct NoticesPage {
    shell: Shell,
    /// What holds now, as it stands above the servers.
    board: String,
    planned: Vec<Planned>,
    earlier: Vec<Note>,
}

/// Maintenance that is ahead or under way.
struct Planned {
    id: i64,
    hosts: String,
    from: Moment,
    to: Moment,
    reason: String,
    /// Whether a server of the reader's is there.
    yours: bool,
    begun: bool,
}

/// `GET /hub/notices`
pub async fn show(State(hub): State<Arc<Hub>>, visitor: Visitor) -> Response {
    let fleet = hub.fleet.fleet();
    let at = now();
    let user = &visitor.user;
    let own: Vec<_> = fleet.servers_of(&user.account.name).collect();
    let groups: Vec<&str> = user.account.groups.iter().map(|group| group.name.as_str()).collect();
    let mut ahead = hub.agenda.maintenance();
    ahead.retain(|(_, it)| it.is_ahead() && it.window.to > at);
    ahead.sort_by_key(|(_, it)| it.window.from);
    let planned = |(id, it): &(i64, Maintenance)| Planned {
        id: *id,
        hosts: it.hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        from: Moment::from(it.window.from),
        to: Moment::from(it.window.to),
        reason: it.order.reason.clone(),
        yours: own.iter().any(|server| {
            server.placement().is_some_and(|placement| it.hosts.contains(&placement.host))
        }),
        begun: it.window.from <= at,
    };
    let since = Timestamp(at.0.saturating_sub(Timestamp(0).plus(SHOWN).0));
    let mut earlier = hub.agenda.notices();
    earlier.retain(|(_, it)| {
        let over = it.window.to <= at && it.window.to > since && it.window.from < it.window.to;
        over && it.audience.has(&fleet, &user.account.name, &groups)
    });
    earlier.reverse();
    let view = NoticesPage {
        shell: Shell::of(&visitor, say::t("nav-notices").to_string(), Here::Notices),
        board: Board::of(&hub, &fleet, user, at).render().unwrap_or_default(),
        planned: ahead.iter().map(planned).collect(),
        earlier: earlier.iter().map(|(id, notice)| Note::of(*id, notice)).collect(),
    };
    page(StatusCode::OK, &view)
}
