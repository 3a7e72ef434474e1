//! `/hub/admin/images/{image}`: one image of the site's files, with its versions, who gets which, and
//! the hosts that have it.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use berth_core::Fleet;
use berth_core::settings::{Image, Stage};

use crate::auth::{Right, Visitor};
use crate::site::Hub;
use crate::web::pages::error::PageError;
use crate::web::pages::shell::{Here, Shell, page};
use crate::web::pages::words::{self, Moment};
use crate::web::say;

#[derive(Template)]
#[template(path = "image.html")]
struct ImagePage {
    shell: Shell,
    name: String,
    title: String,
    reference: String,
    /// The version before, where both are kept.
    previous: Option<String>,
    stage: String,
    /// When the new version is everybody's.
    until: Option<Moment>,
    profiles: Vec<String>,
    /// The hosts of the pools that offer it, each with whether it has it.
    hosts: Vec<(String, bool)>,
    running: usize,
}

/// `GET /hub/admin/images/{image}`
pub async fn show(
    State(hub): State<Arc<Hub>>,
    visitor: Visitor,
    Path(name): Path<String>,
) -> Result<Response, PageError> {
    visitor.require(Right::SeeHosts)?;
    let fleet = hub.fleet.fleet();
    let image = fleet.settings.images.get(&name).ok_or(PageError::NotFound)?;
    let shell =
        Shell::of(&visitor, words::written(&fleet.settings, &image.title), Here::Configuration);
    Ok(page(StatusCode::OK, &view(&fleet, shell, name, image)))
}

fn view(fleet: &Fleet, shell: Shell, name: String, image: &Image) -> ImagePage {
    let settings = &fleet.settings;
    let rollout = settings.rollouts.get(&name);
    let (stage, until) = match rollout.map(|rollout| &rollout.stage) {
        None | Some(Stage::Everybody) => (say::t("image-everybody"), None),
        Some(Stage::Canary { until, .. }) => (say::t("image-canary"), *until),
        Some(Stage::TakenBack) => (say::t("image-taken-back"), None),
    };
    let offering = || settings.profiles.values().filter(|profile| profile.images.contains(&name));
    let is_wanted = |pool: &String| offering().any(|profile| profile.pool == *pool);
    let hosts = settings.hosts.iter().filter(|(_, host)| is_wanted(&host.pool)).map(|(id, _)| {
        let heard = fleet.hosts.get(id).and_then(|host| host.heard.as_ref());
        let has = heard.is_some_and(|heard| heard.facts.images.contains(&image.reference));
        (id.to_string(), has)
    });
    let on_it = fleet.servers.values().filter(|server| server.ask.image == name);
    ImagePage {
        shell,
        title: words::written(settings, &image.title),
        reference: image.reference.clone(),
        previous: rollout.map(|rollout| rollout.previous.clone()),
        stage: stage.to_string(),
        until: until.map(Moment::from),
        profiles: offering().map(|it| words::written(settings, &it.title)).collect(),
        hosts: hosts.collect(),
        running: on_it.filter(|server| server.placement().is_some()).count(),
        name,
    }
}
