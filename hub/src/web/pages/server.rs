//! `/hub/servers/{id}`: one server, with all that is known of its life.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use berth_common::link::{Space, StartStep};
use berth_common::{ByteCount, Timestamp};
use berth_core::fleet::PastStart;
use berth_core::{Decision, Fleet, Server};
use berth_process::clock::now;

use crate::auth::{Right, Visitor};
use crate::site::Hub;
use crate::web::pages::card::Card;
use crate::web::pages::chart::{self, Chart};
use crate::web::pages::error::PageError;
use crate::web::pages::log::Log;
use crate::web::pages::shell::{Here, Shell, page};
use crate::web::pages::target::{self, May};
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

/// Something that happened to it.
struct Happened {
    /// For its address; empty: it has none.
    id: String,
    what: String,
    at: Moment,
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
        let image = fleet.settings.images.get(&server.ask.image);
        Self {
            xsrf: xsrf.to_owned(),
            may,
            card: Card::whole(hub, fleet, server, now).for_who_may(may),
            owner: server.owner.to_string(),
            image: image.map_or_else(
                || server.ask.image.clone(),
                |image| words::written(&fleet.settings, &image.title),
            ),
            starts: server.generation.0,
            timeline: timeline(server),
            spaces: spaces(fleet, server),
            work: work(fleet, server),
            charts: course.map(|course| chart::of_course(&course)).unwrap_or_default(),
            here: format!("/hub/servers/{}", server.id),
        }
    }
}

/// A space that it has beside HOME.
pub struct SpaceLine {
    target: String,
    /// As the files call it.
    pub name: String,
    read_only: bool,
    /// What is wrong with it on its host, if it is watched there.
    pub trouble: Option<String>,
}

/// The spaces that its owner's servers get by the files of now, and how they are on its host. A
/// folder that is mounted only where it exists may be missing inside.
pub fn spaces(fleet: &Fleet, server: &Server) -> Vec<SpaceLine> {
    let Some(account) = server.account.as_ref().filter(|_| server.is_active()) else {
        return Vec::new();
    };
    let host = server.placement().and_then(|placement| fleet.hosts.get(&placement.host));
    let watched = host.and_then(|host| host.heard.as_ref()).map(|heard| &heard.spaces);
    let trouble = |name: &str| {
        let space = watched?.iter().find(|space| space.name == name)?;
        space.trouble.as_ref().map(|ending| say::reason(ending.reason))
    };
    let given = fleet.settings.mounts.given(account, &server.ask.profile).spaces.into_iter();
    let line = |space: Space| SpaceLine {
        trouble: trouble(&space.name),
        target: space.target,
        name: space.name,
        read_only: space.read_only,
    };
    given.map(line).collect()
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

/// The start that goes on, or that was over last while no other is asked for.
fn newest_start(server: &Server) -> Option<PastStart> {
    match server.placement() {
        Some(placement) => Some(PastStart::of(server.generation, placement)),
        None => {
            let last = server.last_start.as_deref().filter(|_| !server.is_active());
            last.filter(|start| start.generation == server.generation).cloned()
        }
    }
}

/// The newest start from the request to the end, as far as it came. Start and end have addresses by
/// the start's number.
fn timeline(server: &Server) -> Vec<Happened> {
    let mut all = Vec::new();
    let mut add = |at: Option<Timestamp>, id: Option<String>, what: say::Said| {
        all.extend(at.map(|at| (at, id.unwrap_or_default(), what.to_string())));
    };
    let start = newest_start(server);
    let since = start.as_ref().map(|start| start.placed_at).or(server.waiting_since());
    add(
        Some(server.created).filter(|at| since.is_none_or(|since| *at <= since)),
        None,
        say::t("timeline-asked"),
    );
    let number = server.generation.0;
    if let Some(start) = start {
        let placed = say::t("timeline-placed").with("host", start.host.as_str());
        add(Some(start.placed_at), Some(format!("start-{number}")), placed);
        for done in start.steps.iter().filter(|done| done.step != StartStep::Answers) {
            let tenths = done.at.millis_since(start.placed_at) / 100;
            let later = say::t("timeline-step").with("step", words::step_name(done.step));
            let later = later.with("seconds", format!("{}.{}", tenths / 10, tenths % 10));
            // The host's clock may be a little ahead: the last thing that happens is the answer.
            let at = start.ready_at.map_or(done.at, |ready| done.at.min(ready));
            add(Some(at), None, later);
        }
        add(start.ready_at, None, say::t("timeline-answers"));
    }
    for kill in server.kills.iter().filter(|kill| since.is_none_or(|since| since <= kill.at)) {
        add(Some(kill.at), None, say::t("timeline-killed"));
    }
    // While there is a newer start, the end is that of the one before.
    let ended = number.saturating_sub(u64::from(server.placement().is_some()));
    let end = server.last_end.as_ref().map(|end| end.at);
    add(end, Some(format!("end-{ended}")), say::t("timeline-ended"));
    all.sort_by_key(|(at, ..)| *at);
    all.into_iter().map(|(at, id, what)| Happened { id, what, at: Moment::from(at) }).collect()
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
