//! `/hub/servers/{id}`: one server, with all that is known of its life.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use berth_common::{ByteCount, Timestamp};
use berth_core::{Decision, Fleet, Server};
use berth_process::clock::now;

use crate::auth::{Right, Visitor};
use crate::site::Hub;
use crate::web::pages::card::{Card, image_title};
use crate::web::pages::chart::{self, Chart};
use crate::web::pages::error::PageError;
use crate::web::pages::log::Log;
use crate::web::pages::shell::{Here, Shell, page};
use crate::web::pages::spaces::{self, SpaceLine};
use crate::web::pages::target::{self, May};
use crate::web::pages::timeline::{self, Happened};
use crate::web::pages::visits;
use crate::web::pages::words::{self, Moment};
use crate::web::say;

/// More decisions about one server nobody reads on a page.
const MOST_DECISIONS: u32 = 20;

#[derive(Template)]
#[template(path = "server.html")]
struct ServerPage {
    shell: Shell,
    part: ServerPart,
    decisions: Vec<Line>,
    /// Who entered it.
    visits: Vec<visits::Line>,
    /// What it has written last.
    log: Option<Log>,
}

/// A decision about it.
struct Line {
    id: String,
    at: Moment,
    text: String,
    code: &'static str,
}

/// The part of the page that is kept up to date.
#[derive(Template)]
#[template(path = "server-part.html")]
pub struct ServerPart {
    xsrf: String,
    /// What its reader may do with it.
    may: May,
    card: Card,
    owner: String,
    image: String,
    starts: u64,
    timeline: Vec<Happened>,
    spaces: Vec<SpaceLine>,
    /// What its host sees at work in it, a line each.
    work: Vec<String>,
    /// What it used since its start, or since this hub's.
    charts: Vec<Chart>,
    /// Where its buttons come back to.
    here: String,
}

impl ServerPart {
    /// A server at this moment.
    pub fn of(
        hub: &Hub,
        fleet: &Fleet,
        server: &Server,
        (may, xsrf): (May, &str),
        now: Timestamp,
    ) -> Self {
        let course = hub.samples.course(server);
        Self {
            xsrf: xsrf.to_owned(),
            may,
            card: Card::whole(hub, fleet, server, now).for_who_may(may),
            owner: server.owner.to_string(),
            image: image_title(fleet, &server.ask.image),
            starts: server.generation.0,
            timeline: timeline::whole(server),
            spaces: spaces::of(fleet, server),
            work: work(fleet, server),
            charts: course.map(|course| chart::of_course(&course)).unwrap_or_default(),
            here: format!("/hub/servers/{}", server.id),
        }
    }
}

/// Kernels, terminals and what moves, as its host last saw them.
fn work(fleet: &Fleet, server: &Server) -> Vec<String> {
    let heard =
        server.placement().and_then(|placement| fleet.hosts.get(&placement.host)?.heard.as_ref());
    let seen = heard.and_then(|heard| heard.observed.get(&server.id));
    let Some(seen) = seen.filter(|seen| seen.generation == server.generation && server.is_ready())
    else {
        return Vec::new();
    };
    let moved = seen.usage.network_bytes_s.filter(|moved| *moved > 0);
    let moved = moved.map(|moved| say::t("work-moved").with("amount", ByteCount(moved)));
    let mut work = words::work(seen.usage.kernels, seen.usage.terminals);
    work.extend(moved.map(|said| said.to_string()));
    work
}

/// `GET /hub/servers/{id}`
pub async fn show(
    State(hub): State<Arc<Hub>>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    let fleet = hub.fleet.fleet();
    let server = target::server(&fleet, &id, &visitor, Right::SeeServers)?;
    let decisions = hub.storage.read(|reader| reader.decisions_of(&server.id, MOST_DECISIONS))?;
    let all = visits::lines(&hub, &fleet, &server.owner)?.into_iter();
    let of_it = all.filter(|(visit, _)| visit.server == server.id);
    let view = ServerPage {
        log: Log::of(&hub, server).await,
        shell: Shell::of(&visitor, say::t("server").to_string(), Here::Home),
        part: ServerPart::of(
            &hub,
            &fleet,
            server,
            (May::of(&visitor, &server.owner), &visitor.xsrf),
            now(),
        ),
        decisions: decisions.iter().map(line).collect(),
        visits: of_it.map(|(_, line)| line).collect(),
    };
    Ok(page(StatusCode::OK, &view))
}

fn line(decision: &Decision) -> Line {
    Line {
        id: decision.id.to_string(),
        at: Moment::from(decision.at),
        text: words::outcome(decision).0,
        code: decision.reason().code(),
    }
}
