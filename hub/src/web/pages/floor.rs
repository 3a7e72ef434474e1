//! The Floor: every host with all that is on it, at one look; also as it was at any past minute, and
//! as it would be with other hosts or limits.

use std::collections::BTreeSet;
use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use berth_common::{HostId, ServerId, Timestamp};
use berth_core::Fleet;
use berth_core::floor::Floor;
use berth_process::clock::now;

use crate::auth::AdminVisitor;
use crate::auth::form::query_value;
use crate::site::Hub;
use crate::web::pages::error::PageError;
use crate::web::pages::shell::{Here, Shell, page};
use crate::web::say;

mod draw;
pub mod live;
mod panel;
mod scene;
mod shade;
mod what_if;
mod words;

use panel::Panel;
pub use panel::show as show_host;
use scene::Scene;
use shade::{By, Shades};
pub use what_if::{Thought, WhatIf};

/// How far back the slider reaches, in minutes.
const BACK_MOST: u64 = 3 * 24 * 60;

/// What is asked for, from the address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct View {
    /// What the colours say.
    by: By,
    /// As it was at that moment; now, if none.
    at: Option<Timestamp>,
    /// The host in the side panel.
    host: Option<HostId>,
    /// What is thought otherwise than it is.
    thought: Thought,
}

impl View {
    fn of(uri: &Uri, now: Timestamp) -> Self {
        let value = |name| query_value(uri, name).filter(|text| !text.is_empty());
        let back: Option<u64> = value("back").and_then(|text| text.parse().ok());
        let back = back.map(|minutes| minutes.min(BACK_MOST)).filter(|minutes| *minutes > 0);
        let back = back.map(|minutes| minutes_before(now, minutes));
        let at = value("at").and_then(|text| text.parse().ok()).or(back).filter(|at| *at < now);
        let thought = Thought::of(uri);
        Self {
            by: value("by").and_then(|text| By::parse(&text)).unwrap_or_default(),
            at: at.filter(|_| thought.is_nothing()),
            host: value("host").and_then(|text| text.parse().ok()),
            thought,
        }
    }

    /// The address of this view with other colours.
    fn coloured(&self, by: By) -> String {
        Self { by, ..self.clone() }.url()
    }

    /// The address of this view with this host in the side panel.
    fn of_host(&self, host: &HostId) -> String {
        Self { host: Some(host.clone()), ..self.clone() }.url()
    }

    fn url(&self) -> String {
        let at = self.at.map(|at| format!("at={at}"));
        let by = (self.by != By::default()).then(|| format!("by={}", self.by.word()));
        let host = self.host.as_ref().map(|host| format!("host={host}"));
        let parts = [by, at, host].into_iter().flatten().chain(self.thought.query());
        let parts: Vec<String> = parts.collect();
        match parts.is_empty() {
            true => "/hub/admin/floor".to_owned(),
            false => format!("/hub/admin/floor?{}", parts.join("&")),
        }
    }
}

fn minutes_before(now: Timestamp, minutes: u64) -> Timestamp {
    let micros = i64::try_from(minutes.saturating_mul(60_000_000)).unwrap_or(i64::MAX);
    Timestamp(now.0.saturating_sub(micros))
}

#[derive(Template)]
#[template(path = "floor.html")]
struct FloorPage {
    shell: Shell,
    scene: Scene,
    panel: Panel,
    /// The ways to colour: title, address, whether it is this one.
    ways: Vec<(say::Said, String, bool)>,
    by: &'static str,
    /// The moment that is shown, if it is not now.
    past: Option<words::Past>,
    back: u64,
    back_most: u64,
    host: String,
    /// Where changes come from; empty: nothing changes.
    live: String,
    /// Whether something is thought otherwise than it is, and what the form says of it.
    thinks: bool,
    form: ThoughtForm,
}

/// The form of what-if, as it was filled in.
struct ThoughtForm {
    without: String,
    like: String,
    /// The same where it is no pool: the host after which new ones are made.
    own_model: String,
    count: String,
    pool: String,
    times: String,
    /// The pools, with what limits may add up to there.
    pools: Vec<(String, String)>,
}

impl ThoughtForm {
    fn of(fleet: &Fleet, thought: &Thought) -> Self {
        let (like, count) = thought.more.clone().unzip();
        let (pool, milli) = thought.limits.clone().unzip();
        let pools = fleet.settings.pools.iter();
        Self {
            without: thought.without.as_ref().map(ToString::to_string).unwrap_or_default(),
            own_model: like
                .clone()
                .filter(|like| !fleet.settings.pools.contains_key(like))
                .unwrap_or_default(),
            like: like.unwrap_or_default(),
            count: count.map(|count| count.to_string()).unwrap_or_default(),
            pool: pool.unwrap_or_default(),
            times: milli.map(what_if::times).unwrap_or_default(),
            pools: pools
                .map(|(name, pool)| (name.clone(), what_if::times(pool.oversubscribe_milli)))
                .collect(),
        }
    }
}

/// `GET /hub/admin/floor?by=&at=&back=&host=`, and `without=&like=&count=&pool=&times=`
pub async fn show(
    State(hub): State<Arc<Hub>>,
    AdminVisitor(visitor): AdminVisitor,
    uri: Uri,
) -> Result<Response, PageError> {
    let now = now();
    let view = View::of(&uri, now);
    let fleet = hub.fleet.fleet();
    let floor = match view.at {
        Some(at) => hub.storage.read(|reader| reader.floor_at(at))?,
        None => fleet.floor.clone(),
    };
    let shell = Shell::of(&visitor, say::t("nav-floor").to_string(), Here::Floor);
    Ok(page(StatusCode::OK, &made(&fleet, &floor, &view, shell, now)))
}

fn made(fleet: &Fleet, floor: &Floor, view: &View, shell: Shell, now: Timestamp) -> FloorPage {
    let thinks = !view.thought.is_nothing();
    let what_if = thinks.then(|| WhatIf::of(fleet, &view.thought, now));
    let nowhere = what_if.as_ref().map(WhatIf::nowhere).unwrap_or_default();
    let form = ThoughtForm::of(fleet, &view.thought);
    let drawn = what_if.as_ref().map(|what_if| what_if.drawn(fleet));
    let (fleet, floor) = drawn.as_ref().map_or((fleet, floor), |(fleet, floor)| (fleet, floor));
    let sight = Sight::new(fleet, floor, view, nowhere, now);
    let back = view.at.map_or(0, |at| now.millis_since(at) / 60_000);
    FloorPage {
        scene: Scene::of(&sight),
        panel: Panel::of(&sight, what_if),
        ways: By::ALL.map(|by| (by.title(), view.coloured(by), by == view.by)).into(),
        by: view.by.word(),
        past: view.at.map(|at| words::Past::of(at, now)),
        back: back.min(BACK_MOST),
        back_most: BACK_MOST,
        host: view.host.as_ref().map(ToString::to_string).unwrap_or_default(),
        live: match view {
            View { at: None, by, .. } if !thinks => format!("/hub/live/floor?by={}", by.word()),
            _ => String::new(),
        },
        thinks,
        form,
        shell,
    }
}

/// All that drawing looks at.
struct Sight<'a> {
    fleet: &'a Fleet,
    floor: &'a Floor,
    view: &'a View,
    shades: Shades,
    /// Those that would fit nowhere, in red.
    nowhere: BTreeSet<ServerId>,
    now: Timestamp,
}

impl<'a> Sight<'a> {
    fn new(
        fleet: &'a Fleet,
        floor: &'a Floor,
        view: &'a View,
        nowhere: BTreeSet<ServerId>,
        now: Timestamp,
    ) -> Self {
        let shades = Shades::of(fleet, floor, view.by, view.at.unwrap_or(now));
        Self { fleet, floor, view, shades, nowhere, now }
    }

    /// Whether the present is shown, of which more is known than of the past.
    fn is_now(&self) -> bool {
        self.view.at.is_none()
    }
}
