//! `/hub/admin/pools/{pool}`: one pool with its rules, its hosts and what is served by it.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use berth_common::Timestamp;
use berth_core::Fleet;
use berth_core::settings::{MemoryRule, Pool, Strategy};
use berth_process::clock::now;

use crate::auth::{Right, Visitor};
use crate::site::Hub;
use crate::web::live::{self, Part, Streams};
use crate::web::pages::error::PageError;
use crate::web::pages::hosts::HostTable;
use crate::web::pages::shell::{Here, Shell, page};
use crate::web::pages::words;
use crate::web::say;

#[derive(Template)]
#[template(path = "pool.html")]
struct PoolPage {
    shell: Shell,
    name: String,
    strategy: String,
    memory_rule: String,
    /// The sum of limits over usable memory, at most.
    oversubscribe: String,
    trainings_only: bool,
    cite: String,
    profiles: Vec<Served>,
    hosts: HostTable,
}

/// A profile that this pool serves.
struct Served {
    name: String,
    title: String,
    images: Vec<String>,
}

/// `GET /hub/admin/pools/{pool}`
pub async fn show(
    State(hub): State<Arc<Hub>>,
    visitor: Visitor,
    Path(name): Path<String>,
) -> Result<Response, PageError> {
    visitor.require(Right::SeeHosts)?;
    let fleet = hub.fleet.fleet();
    let pool = fleet.settings.pools.get(&name).ok_or(PageError::NotFound)?;
    let title = say::t("floor-pool").with("name", &name).to_string();
    let shell = Shell::of(&visitor, title, Here::Hosts);
    Ok(page(StatusCode::OK, &view(&fleet, shell, name, pool, now())))
}

/// `GET /hub/live/pools/{pool}`: its hosts.
pub async fn follow(
    State(hub): State<Arc<Hub>>,
    Extension(streams): Extension<Arc<Streams>>,
    visitor: Visitor,
    Path(name): Path<String>,
) -> Result<Response, PageError> {
    visitor.require(Right::SeeHosts)?;
    if !hub.fleet.fleet().settings.pools.contains_key(&name) {
        return Err(PageError::NotFound);
    }
    let render = move |hub: &Hub| {
        let fleet = hub.fleet.fleet();
        if !fleet.settings.pools.contains_key(&name) {
            return Part::Gone;
        }
        Part::of(&HostTable::of(&fleet, Some(&name), now()), String::new())
    };
    Ok(live::stream(&hub, &streams, &visitor.user.account.name, render))
}

fn view(fleet: &Fleet, shell: Shell, name: String, pool: &Pool, now: Timestamp) -> PoolPage {
    let strategy = match pool.strategy {
        Strategy::Pack => say::t("pool-pack"),
        Strategy::Spread => say::t("pool-spread"),
    };
    let memory_rule = match pool.memory_rule {
        MemoryRule::Limits => say::t("pool-limits"),
        MemoryRule::Peaks => say::t("pool-peaks"),
    };
    let profiles = fleet.settings.profiles.iter().filter(|(_, profile)| profile.pool == name);
    let profiles = profiles.map(|(key, profile)| Served {
        name: key.clone(),
        title: words::written(&fleet.settings, &profile.title),
        images: profile.images.clone(),
    });
    PoolPage {
        shell,
        strategy: strategy.to_string(),
        memory_rule: memory_rule.to_string(),
        oversubscribe: (f64::from(pool.oversubscribe_milli) / 1000.0).to_string(),
        trainings_only: pool.trainings_only,
        cite: pool.cite.to_string(),
        profiles: profiles.collect(),
        hosts: HostTable::of(fleet, Some(&name), now),
        name,
    }
}
