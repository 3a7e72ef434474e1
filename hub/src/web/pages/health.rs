//! What `berth doctor` says, looked at again as long as somebody looks.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use berth_process::clock::now;

use crate::auth::{Right, Visitor};
use crate::doctor::{self, Finding, Verdict};
use crate::site::Hub;
use crate::web::live::{self, Streams};
use crate::web::pages::error::PageError;
use crate::web::pages::shell::{Here, Shell, page};
use crate::web::pages::words::Moment;
use crate::web::say;

/// Others are asked for it, and a row is written: not more often than this.
const EVERY: Duration = Duration::from_secs(10);

#[derive(Template)]
#[template(path = "health.html")]
struct HealthPage {
    shell: Shell,
    part: HealthPart,
}

/// The part of the page that is kept up to date.
#[derive(Template)]
#[template(path = "health-part.html")]
struct HealthPart {
    at: Moment,
    failed: usize,
    warnings: usize,
    /// The worst first.
    found: Vec<Row>,
}

/// What was found by a check, and how that went before.
struct Row {
    finding: Finding,
    well: Option<Moment>,
    trouble: Option<Moment>,
    took: Option<String>,
}

impl Row {
    fn of(hub: &Hub, finding: Finding) -> Self {
        let past = hub.checked.of(finding.check);
        Self {
            finding,
            well: past.well.map(Moment::from),
            trouble: past.trouble.map(Moment::from),
            took: past.took.map(|took| format!("{} ms", took.as_millis().max(1))),
        }
    }
}

impl HealthPart {
    async fn of(hub: &Hub) -> Self {
        let mut found = doctor::examine(hub).await;
        found.sort_by_key(|one| std::cmp::Reverse(one.verdict));
        let count = |verdict| found.iter().filter(|one| one.verdict == verdict).count();
        let (failed, warnings) = (count(Verdict::Failed), count(Verdict::Warning));
        let found = found.into_iter().map(|finding| Row::of(hub, finding)).collect();
        Self { at: Moment::from(now()), failed, warnings, found }
    }
}

fn class(finding: &Finding) -> &'static str {
    match finding.verdict {
        Verdict::Ok => "is-good",
        Verdict::Warning => "is-warn",
        Verdict::Failed => "is-bad",
    }
}

/// What was looked at.
fn subject(finding: &Finding) -> String {
    let said = match finding.check {
        "fleet" => say::t("doctor-check-fleet"),
        "restore" => say::t("doctor-check-restore"),
        "hosts" => say::t("doctor-check-hosts"),
        "spaces" => say::t("doctor-check-spaces"),
        "images" => say::t("doctor-check-images"),
        "configuration" => say::t("doctor-check-configuration"),
        "database" => say::t("doctor-check-database"),
        "disk" => say::t("doctor-check-disk"),
        "backup" => say::t("doctor-check-backup"),
        "certificate" => say::t("doctor-check-certificate"),
        "proxy" => say::t("doctor-check-proxy"),
        "directory" => say::t("doctor-check-directory"),
        "mail" => say::t("doctor-check-mail"),
        other => return other.to_owned(),
    };
    said.to_string()
}

fn word(finding: &Finding) -> String {
    let said = match finding.verdict {
        Verdict::Ok => say::t("health-ok"),
        Verdict::Warning => say::t("health-warning"),
        Verdict::Failed => say::t("health-failed"),
    };
    said.to_string()
}

/// `GET /hub/admin/health`
pub async fn show(State(hub): State<Arc<Hub>>, visitor: Visitor) -> Result<Response, PageError> {
    visitor.require(Right::SeeHealth)?;
    let shell = Shell::of(&visitor, say::t("health-title").to_string(), Here::Health);
    let part = HealthPart::of(&hub).await;
    Ok(page(StatusCode::OK, &HealthPage { shell, part }))
}

/// `GET /hub/live/health`
pub async fn follow(
    State(hub): State<Arc<Hub>>,
    Extension(streams): Extension<Arc<Streams>>,
    visitor: Visitor,
) -> Result<Response, PageError> {
    visitor.require(Right::SeeHealth)?;
    let make = |hub: Arc<Hub>| async move { HealthPart::of(&hub).await.render().ok() };
    Ok(live::stream_asked(&hub, &streams, &visitor.user.account.name, EVERY, make))
}
