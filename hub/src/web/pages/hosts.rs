//! The hosts, for who may see them: what each has, what is promised and what is really used.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use berth_common::{ByteCount, HostId, Reason, Timestamp};
use berth_core::{Fleet, Host, HostState, Server};
use berth_process::clock::now;

use crate::auth::{Right, Visitor};
use crate::site::Hub;
use crate::web::live::{self, Part, Streams};
use crate::web::pages::admin::ServerRow;
use crate::web::pages::bar::Bar;
use crate::web::pages::error::PageError;
use crate::web::pages::shell::{Here, Shell, page};
use crate::web::pages::words::{self, Relative};
use crate::web::say;

pub mod drain;
pub mod drained;
pub mod gpus;

use gpus::GpuRow;

#[derive(Template)]
#[template(path = "hosts.html")]
struct HostsPage {
    shell: Shell,
    table: HostTable,
}

/// The part of the page that is kept up to date.
#[derive(Template)]
#[template(path = "host-table.html")]
pub struct HostTable {
    rows: Vec<HostRow>,
    totals: Totals,
}

/// Sums over the site.
struct Totals {
    ready: usize,
    hosts: usize,
    servers: usize,
    waiting: usize,
    reserved: ByteCount,
    usable: ByteCount,
    used: ByteCount,
    total: ByteCount,
}

/// One host.
pub struct HostRow {
    name: String,
    state: String,
    class: &'static str,
    /// Why it takes nothing new, and what to do.
    reason: Option<(String, String, &'static str)>,
    /// What it has less of than is declared, or when the calendar opens it.
    said: Option<String>,
    /// The engine's own words, when it is in trouble.
    trouble: String,
    joining: bool,
    pool: String,
    servers: usize,
    reserved: ByteCount,
    usable: ByteCount,
    used: ByteCount,
    total: ByteCount,
    bar: Option<Bar>,
    agent: String,
    engine: String,
    /// How long ago it reported.
    heard: Option<Relative>,
}

impl HostTable {
    /// All hosts at this moment, or those of one pool.
    pub fn of(fleet: &Fleet, pool: Option<&str>, now: Timestamp) -> Self {
        let is_meant = |name: Option<&str>| pool.is_none() || pool == name;
        let pool_of = |host: &Host| Some(fleet.host_settings(&host.id)?.pool.as_str());
        let hosts = fleet.hosts.values().filter(|host| is_meant(pool_of(host)));
        let hosts: Vec<&Arc<Host>> = hosts.collect();
        let rows: Vec<_> = hosts.iter().map(|host| HostRow::of(fleet, host, now)).collect();
        let profiles = &fleet.settings.profiles;
        let waits_there = |server: &&Arc<Server>| {
            is_meant(profiles.get(&server.ask.profile).map(|profile| profile.pool.as_str()))
        };
        let sum = |part: fn(&HostRow) -> ByteCount| {
            rows.iter().map(part).fold(ByteCount::ZERO, ByteCount::plus)
        };
        let ready = |host: &&&Arc<Host>| fleet.host_state(host, now) == HostState::Ready;
        let totals = Totals {
            ready: hosts.iter().filter(ready).count(),
            hosts: rows.len(),
            servers: rows.iter().map(|row| row.servers).sum(),
            waiting: fleet.waiting().filter(waits_there).count(),
            reserved: sum(|row| row.reserved),
            usable: sum(|row| row.usable),
            used: sum(|row| row.used),
            total: sum(|row| row.total),
        };
        Self { rows, totals }
    }
}

impl HostRow {
    fn of(fleet: &Fleet, host: &Host, now: Timestamp) -> Self {
        let state = fleet.host_state(host, now);
        let settings = fleet.host_settings(&host.id);
        let heard = host.heard.as_ref();
        let (used, total) = heard.map_or_else(Default::default, |heard| {
            let total = heard.capacity.memory_total;
            (total.minus(heard.capacity.memory_free), total)
        });
        let reserved = fleet.reserved_on(&host.id).memory;
        let facts = |part: fn(&berth_common::link::HostFacts) -> &String| {
            heard.map(|heard| part(&heard.facts).clone()).unwrap_or_default()
        };
        let trouble = heard.and_then(|heard| heard.engine_trouble.clone());
        let trouble = trouble.filter(|_| state == HostState::EngineDown);
        let closed = fleet.closed(&host.id, now).filter(|_| state == HostState::Ready);
        let shut = closed.as_ref().map(|_| Reason::HostClosed);
        Self {
            name: host.id.to_string(),
            state: shut
                .map_or_else(|| words::host_state(state), |_| say::t("host-closed").to_string()),
            class: if shut.is_some() { "" } else { words::host_class(state) },
            reason: state
                .obstacle()
                .or(shut)
                .map(|it| (say::reason(it), say::remedy(it), it.code())),
            said: host
                .mismatch(settings)
                .filter(|_| state == HostState::Mismatch)
                .map(|it| words::mismatch(&it))
                .or_else(|| closed.as_ref().map(words::opens)),
            trouble: trouble.unwrap_or_default(),
            joining: state == HostState::Joining && host.boot_id.is_none(),
            pool: settings.map(|settings| settings.pool.clone()).unwrap_or_default(),
            servers: fleet.placed_on(&host.id).count(),
            reserved,
            usable: fleet.usable_on(host).memory,
            used,
            total,
            bar: heard.map(|_| Bar::of_host(reserved, used, total)),
            agent: facts(|facts| &facts.agent_version),
            engine: facts(|facts| &facts.engine_version),
            heard: heard.map(|heard| heard_ago(heard.at, now)),
        }
    }
}

/// A report comes every few seconds: the age says more than a clock time.
fn heard_ago(at: Timestamp, now: Timestamp) -> Relative {
    match now.millis_since(at) / 1000 {
        0..10 => Relative::new(at, say::t("just-now")),
        seconds @ 10..60 => Relative::new(at, say::t("seconds-ago").with("count", seconds)),
        _ => words::ago(at, now),
    }
}

/// `GET /hub/admin/hosts`
pub async fn show(State(hub): State<Arc<Hub>>, visitor: Visitor) -> Result<Response, PageError> {
    visitor.require(Right::SeeHosts)?;
    let table = HostTable::of(&hub.fleet.fleet(), None, now());
    let shell = Shell::of(&visitor, say::t("nav-hosts").to_string(), Here::Hosts);
    Ok(page(StatusCode::OK, &HostsPage { shell, table }))
}

/// A space that the host watches.
struct SpaceRow {
    name: String,
    /// What is wrong with it: in words, and as the host said it.
    trouble: Option<(String, String)>,
}

#[derive(Template)]
#[template(path = "host.html")]
struct HostPage {
    shell: Shell,
    name: String,
    part: HostPart,
}

/// The part of a host's page that is kept up to date.
#[derive(Template)]
#[template(path = "host-part.html")]
struct HostPart {
    xsrf: String,
    /// Whether its reader may change what is wanted with it.
    changes: bool,
    /// Whether an order keeps it from taking servers, to be taken back.
    ordered: bool,
    /// The number of the drain that empties it.
    drain: Option<String>,
    row: HostRow,
    address: String,
    cite: Option<String>,
    declared: Option<ByteCount>,
    keep_free: ByteCount,
    cpus: Option<u32>,
    /// The load average of the last minute.
    load: Option<String>,
    boot: String,
    /// The watched spaces.
    spaces: Vec<SpaceRow>,
    pending: Vec<String>,
    /// As its engine knows them, with their names in the site's files.
    images: Vec<(String, Option<String>)>,
    gpu_driver: String,
    gpu_trouble: String,
    gpus: Vec<GpuRow>,
    servers: Vec<ServerRow>,
}

/// `GET /hub/admin/hosts/{host}`
pub async fn show_one(
    State(hub): State<Arc<Hub>>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    visitor.require(Right::SeeHosts)?;
    let fleet = hub.fleet.fleet();
    let id: HostId = id.parse().map_err(|_| PageError::NotFound)?;
    let host = fleet.hosts.get(&id).ok_or(PageError::NotFound)?;
    let part = one(&fleet, host, &visitor, now());
    let shell = Shell::of(&visitor, id.as_str(), Here::Hosts);
    Ok(page(StatusCode::OK, &HostPage { shell, name: id.to_string(), part }))
}

/// `GET /hub/live/hosts/{host}`
pub async fn follow_one(
    State(hub): State<Arc<Hub>>,
    Extension(streams): Extension<Arc<Streams>>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    visitor.require(Right::SeeHosts)?;
    let id: HostId = id.parse().map_err(|_| PageError::NotFound)?;
    hub.fleet.fleet().hosts.get(&id).ok_or(PageError::NotFound)?;
    let owner = visitor.user.account.name.clone();
    let render = move |hub: &Hub| {
        let fleet = hub.fleet.fleet();
        let Some(host) = fleet.hosts.get(&id) else { return Part::Gone };
        Part::of(&one(&fleet, host, &visitor, now()), String::new())
    };
    Ok(live::stream(&hub, &streams, &owner, render))
}

fn one(fleet: &Fleet, host: &Host, visitor: &Visitor, now: Timestamp) -> HostPart {
    let settings = fleet.host_settings(&host.id);
    let heard = host.heard.as_ref();
    let pending = heard.map(|heard| heard.pending.as_slice()).unwrap_or_default();
    let servers = fleet.placed_on(&host.id).map(|(server, _)| ServerRow::of(fleet, server, now));
    HostPart {
        xsrf: visitor.xsrf.clone(),
        changes: visitor.admin,
        ordered: host.intent.order().is_some(),
        drain: host.drain.map(|id| id.to_string()),
        row: HostRow::of(fleet, host, now),
        address: host.address.clone(),
        cite: settings.map(|settings| settings.cite.to_string()),
        declared: settings.and_then(|settings| settings.memory),
        keep_free: settings.map_or(ByteCount::ZERO, |settings| settings.keep_free),
        cpus: heard.map(|heard| heard.capacity.cpus),
        load: heard.and_then(|heard| heard.load()).map(|load| format!("{load:.2}")),
        boot: host.boot_id.as_ref().map(ToString::to_string).unwrap_or_default(),
        spaces: heard
            .iter()
            .flat_map(|heard| &heard.spaces)
            .map(|space| SpaceRow {
                name: space.name.clone(),
                trouble: space
                    .trouble
                    .as_ref()
                    .map(|it| (say::reason(it.reason), it.detail.clone())),
            })
            .collect(),
        pending: pending.iter().map(|it| format!("{} {}", it.operation, it.server)).collect(),
        images: heard
            .iter()
            .flat_map(|heard| &heard.facts.images)
            .map(|reference| (reference.clone(), fleet.settings.image_of(reference)))
            .map(|(reference, name)| (reference, name.map(ToOwned::to_owned)))
            .collect(),
        gpu_driver: heard.map(|heard| heard.facts.gpus.driver.clone()).unwrap_or_default(),
        gpu_trouble: heard.map(|heard| heard.facts.gpus.trouble.clone()).unwrap_or_default(),
        gpus: heard.map(|heard| gpus::rows(heard)).unwrap_or_default(),
        servers: servers.collect(),
    }
}
