//! The side panel: one host with its servers, or what would become of them.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use berth_common::{ByteCount, HostId, Username};
use berth_core::floor::{FloorHost, FloorServer};
use berth_process::clock::now;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Arc;

use super::draw::{Place, places};
use super::what_if::{Thought, WhatIf};
use super::{Sight, View, words};
use crate::auth::AdminVisitor;
use crate::site::Hub;
use crate::web::pages::error::PageError;
use crate::web::pages::shell::page;
use crate::web::pages::words as common;
use crate::web::say;

/// What stands beside the picture.
#[derive(Template)]
#[template(path = "floor-panel.html")]
pub struct Panel {
    pub host: Option<HostPanel>,
    pub what_if: Option<WhatIf>,
    /// The address without anything thought away.
    pub all: String,
}

/// One host.
pub struct HostPanel {
    pub name: String,
    pub state: String,
    pub note: String,
    pub sum: String,
    pub free: String,
    pub gpus: String,
    pub cpus: String,
    pub servers: Vec<Row>,
    /// The addresses of the floor without it, and with one more like it.
    pub without: String,
    pub one_more: String,
}

/// One server, as it lies on the bar.
pub struct Row {
    pub id: String,
    pub owner: String,
    pub class: String,
    /// What its colour stands for.
    pub shade: String,
    pub profile: String,
    pub memory: String,
    pub highest: String,
    pub idle: common::Relative,
    pub from: u64,
    pub width: u64,
    /// The owner's servers on other hosts, for the script: `HOST FROM WIDTH`, with commas between.
    pub others: String,
}

impl Panel {
    /// What the address asks for.
    pub fn of(sight: &Sight, what_if: Option<WhatIf>) -> Self {
        let host = sight.view.host.as_ref().and_then(|host| sight.floor.host(host));
        Self {
            host: host.filter(|_| what_if.is_none()).map(|host| HostPanel::of(sight, host)),
            what_if,
            all: View { thought: Thought::default(), ..sight.view.clone() }.url(),
        }
    }
}

impl HostPanel {
    fn of(sight: &Sight, host: &FloorHost) -> Self {
        let sum = |of: fn(&FloorServer) -> ByteCount| {
            host.servers.iter().fold(ByteCount::ZERO, |sum, held| sum.plus(of(held)))
        };
        let total = host.memory.map_or(ByteCount::ZERO, |memory| memory.total);
        let (places, elsewhere) = (places(sight, host), elsewhere(sight, host));
        let model = host.gpus.first().map(|gpu| gpu.model.as_str()).unwrap_or_default();
        let thinking = |thought| View { thought, host: None, at: None, ..sight.view.clone() }.url();
        let one_more = Some((host.host.to_string(), 1));
        Self {
            name: host.host.to_string(),
            state: common::host_state(host.state),
            note: host.note.clone(),
            sum: words::sum(sum(|held| held.memory.limit), sum(|held| held.memory.used), total),
            free: host.memory.map(|memory| words::short(memory.free)).unwrap_or_default(),
            gpus: match host.gpus.len() {
                0 => String::new(),
                many => format!("{many} x {model}"),
            },
            cpus: (host.cpu_milli / 1000).to_string(),
            servers: places.iter().map(|place| Row::of(sight, place, &elsewhere)).collect(),
            without: thinking(Thought { without: Some(host.host.clone()), ..Thought::default() }),
            one_more: thinking(Thought { more: one_more, ..Thought::default() }),
        }
    }
}

/// Where the owners of a host's servers have others.
fn elsewhere(sight: &Sight, host: &FloorHost) -> BTreeMap<Username, String> {
    let here: BTreeSet<&Username> = host.servers.iter().map(|held| &held.owner).collect();
    let mut found: BTreeMap<Username, String> = BTreeMap::new();
    for other in sight.floor.hosts.iter().filter(|other| other.host != host.host) {
        if !other.servers.iter().any(|held| here.contains(&held.owner)) {
            continue;
        }
        for Place { held, from, width, .. } in places(sight, other) {
            if here.contains(&held.owner) {
                let all = found.entry(held.owner.clone()).or_default();
                let comma = if all.is_empty() { "" } else { "," };
                // Writing to a string cannot fail.
                let _ = write!(all, "{comma}{} {from} {width}", other.host);
            }
        }
    }
    found
}

impl Row {
    fn of(sight: &Sight, place: &Place, elsewhere: &BTreeMap<Username, String>) -> Self {
        let held = place.held;
        let server = sight.fleet.servers.get(&held.server);
        let idle = server.filter(|_| sight.is_now());
        Self {
            id: held.server.to_string(),
            owner: held.owner.to_string(),
            class: sight.shades.class(place.number),
            shade: sight.shades.name(sight.fleet, held).to_owned(),
            profile: held.profile.clone(),
            memory: say::t("some-of")
                .with("some", held.memory.used)
                .with("all", held.memory.limit)
                .to_string(),
            highest: words::short(held.memory.peak),
            idle: idle
                .map(|server| common::ago(server.last_activity, sight.now))
                .unwrap_or_default(),
            from: place.from,
            width: place.width,
            others: elsewhere.get(&held.owner).cloned().unwrap_or_default(),
        }
    }
}

/// `GET /hub/admin/floor/hosts/{host}`: the panel alone, for the page that is open.
pub async fn show(
    State(hub): State<Arc<Hub>>,
    AdminVisitor(_): AdminVisitor,
    Path(host): Path<String>,
    uri: Uri,
) -> Result<Response, PageError> {
    let now = now();
    let host: HostId = host.parse().map_err(|_| PageError::NotFound)?;
    let view = View { host: Some(host), thought: Thought::default(), ..View::of(&uri, now) };
    let fleet = hub.fleet.fleet();
    let floor = match view.at {
        Some(at) => hub.storage.read(|reader| reader.floor_at(at))?,
        None => fleet.floor.clone(),
    };
    let sight = Sight::new(&fleet, &floor, &view, Default::default(), now);
    Ok(page(StatusCode::OK, &Panel::of(&sight, None)))
}
