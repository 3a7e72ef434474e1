//! What the site's files said under one number: what decisions name, for as long as it is kept.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use berth_core::Settings;

use crate::auth::AdminVisitor;
use crate::site::Hub;
use crate::web::pages::error::PageError;
use crate::web::pages::shell::{Here, Shell, page};
use crate::web::say;

#[derive(Template)]
#[template(path = "config-version.html")]
struct VersionPage {
    shell: Shell,
    in_force: bool,
    /// All of it, as programs write it.
    text: String,
}

/// `GET /hub/admin/config/versions/{version}`: what placement and rules knew. Secrets never stand in
/// it.
pub async fn show(
    State(hub): State<Arc<Hub>>,
    AdminVisitor(visitor): AdminVisitor,
    Path(version): Path<String>,
) -> Result<Response, PageError> {
    let version: u64 = version.parse().map_err(|_| PageError::NotFound)?;
    let fleet = hub.fleet.fleet();
    let in_force = fleet.settings.version == version;
    let text = if in_force {
        written(&fleet.settings)
    } else {
        let kept = hub.storage.read(|reader| reader.settings(version))?;
        written(&kept.ok_or(PageError::NotFound)?)
    };
    let title = say::t("config-version").with("version", version.to_string()).to_string();
    let shell = Shell::of(&visitor, title, Here::Configuration);
    Ok(page(StatusCode::OK, &VersionPage { shell, in_force, text }))
}

fn written(settings: &Settings) -> String {
    serde_json::to_string_pretty(settings).unwrap_or_default()
}
