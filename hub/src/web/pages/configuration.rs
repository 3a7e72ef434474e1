//! The site's files: those in force, what is wrong with those on disk and how they differ, what was
//! in force before; and the two buttons.

use std::collections::BTreeSet;
use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use berth_store::{Act, Acts};
use serde::Deserialize;
use similar::TextDiff;

use crate::audit::{self, Actor};
use crate::auth::{AdminVisitor, CheckedForm, Visitor};
use crate::config::{Diagnostics, Files, Kept};
use crate::reload::{self, Origin, Refused};
use crate::site::Hub;
use crate::web::pages::error::PageError;
use crate::web::pages::shell::{Here, Shell, page};
use crate::web::pages::words::Moment;
use crate::web::say;

pub mod replay;
pub mod version;

/// Changes that are shown at most.
const MOST_CHANGES: usize = 50;

#[derive(Template)]
#[template(path = "configuration.html")]
struct ConfigurationPage {
    shell: Shell,
    xsrf: String,
    origin: Origin,
    since: Moment,
    /// The number of what is in force, as decisions name it.
    version: u64,
    /// The names of the files in force.
    files: Vec<String>,
    /// What is wrong with the files on disk, with carets; empty: nothing.
    problems: String,
    /// Whether they can be used.
    valid: bool,
    differences: Vec<Difference>,
    /// Whether there are files to go back to.
    can_go_back: bool,
    changes: Vec<Change>,
}

/// A file that says something else on disk.
struct Difference {
    file: String,
    lines: Vec<DiffLine>,
}

/// A line of a unified diff.
struct DiffLine {
    class: &'static str,
    text: String,
}

/// When other files came into force, or somebody asked for that.
struct Change {
    at: Moment,
    act: Act,
}

/// `GET /hub/admin/config`
pub async fn show(
    State(hub): State<Arc<Hub>>,
    AdminVisitor(visitor): AdminVisitor,
) -> Result<Response, PageError> {
    let in_force = hub.configuration.in_force();
    // A hub without a folder has nothing on disk to compare with.
    let (disk, understood) = reload::on_disk(&hub)
        .unwrap_or_else(|_| (in_force.files.clone(), Ok(Diagnostics::default())));
    let valid = understood.is_ok();
    let said = understood.unwrap_or_else(|wrong| wrong);
    let kept = Kept::read(&hub.config().hub.state);
    let acts = hub.storage.read(|reader| {
        let of = |action: &str| Acts {
            action: Some(action.to_owned()),
            limit: MOST_CHANGES,
            ..Acts::default()
        };
        let mut all = Vec::new();
        for action in [reload::IN_FORCE, RELOAD, ROLLBACK] {
            all.extend(reader.acts(&of(action))?);
        }
        Ok(all)
    })?;
    let mut acts = acts;
    acts.sort_by_key(|recorded| std::cmp::Reverse(recorded.id));
    let changes = acts.into_iter().take(MOST_CHANGES);
    let view = ConfigurationPage {
        shell: Shell::of(&visitor, say::t("config-title").to_string(), Here::Configuration),
        xsrf: visitor.xsrf.clone(),
        origin: in_force.origin,
        since: Moment::from(in_force.since),
        version: hub.fleet.fleet().settings.version,
        problems: if said.0.is_empty() { String::new() } else { said.to_string() },
        valid,
        differences: differences(&in_force.files, &disk),
        files: in_force.files.0.into_keys().collect(),
        can_go_back: kept.is_some_and(|kept| kept.before.is_some()),
        changes: changes.map(|it| Change { at: Moment::from(it.act.at), act: it.act }).collect(),
    };
    Ok(page(StatusCode::OK, &view))
}

fn differences(in_force: &Files, disk: &Files) -> Vec<Difference> {
    let names: BTreeSet<&String> = in_force.0.keys().chain(disk.0.keys()).collect();
    let differ = names.into_iter().filter_map(|name| {
        let text = |files: &Files| files.0.get(name).cloned().unwrap_or_default();
        let (before, after) = (text(in_force), text(disk));
        (before != after).then(|| {
            let diff = TextDiff::from_lines(&before, &after);
            let lines = diff.unified_diff().to_string();
            Difference { file: name.clone(), lines: lines.lines().map(diff_line).collect() }
        })
    });
    differ.collect()
}

fn diff_line(text: &str) -> DiffLine {
    let class = match text.chars().next() {
        Some('+') => "added",
        Some('-') => "gone",
        Some('@') => "place",
        _ => "",
    };
    DiffLine { class, text: text.to_owned() }
}

#[derive(Template)]
#[template(path = "config-file.html")]
struct FilePage {
    shell: Shell,
    name: String,
    lines: Vec<String>,
}

/// `GET /hub/admin/config/files/{name}`: a file in force. Each line has an address, `#l12`, so that
/// what a rule cites can be sent as a link. Secrets never stand in these files.
pub async fn file(
    State(hub): State<Arc<Hub>>,
    AdminVisitor(visitor): AdminVisitor,
    Path(name): Path<String>,
) -> Result<Response, PageError> {
    let files = hub.configuration.in_force().files;
    let text = files.0.get(&name).ok_or(PageError::NotFound)?;
    let lines = text.lines().map(str::to_owned).collect();
    let shell = Shell::of(&visitor, name.clone(), Here::Configuration);
    Ok(page(StatusCode::OK, &FilePage { shell, name, lines }))
}

/// What is recorded of the two buttons.
const RELOAD: &str = "config-reload";
const ROLLBACK: &str = "config-rollback";

/// These forms have no fields but their token.
#[derive(Debug, Deserialize)]
pub struct NoFields {}

/// `POST /hub/admin/config/reload`
pub async fn take_over(
    State(hub): State<Arc<Hub>>,
    CheckedForm { visitor, .. }: CheckedForm<NoFields>,
) -> Result<Response, PageError> {
    note(&hub, &visitor, RELOAD).await?;
    answer(reload::reload(&hub).await)
}

/// `POST /hub/admin/config/rollback`
pub async fn go_back(
    State(hub): State<Arc<Hub>>,
    CheckedForm { visitor, .. }: CheckedForm<NoFields>,
) -> Result<Response, PageError> {
    note(&hub, &visitor, ROLLBACK).await?;
    answer(reload::roll_back(&hub).await)
}

async fn note(hub: &Hub, visitor: &Visitor, action: &str) -> Result<(), PageError> {
    if !visitor.admin {
        return Err(PageError::NotFound);
    }
    Ok(audit::record(hub, visitor.act(action)).await?)
}

/// Files that are wrong are explained on the page itself.
fn answer(done: Result<Diagnostics, Refused>) -> Result<Response, PageError> {
    match done {
        Ok(_) | Err(Refused::Wrong(_)) => Ok(Redirect::to("/hub/admin/config").into_response()),
        Err(other) => Err(PageError::BadForm(other.to_string())),
    }
}
