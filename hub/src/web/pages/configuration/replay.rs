//! The requests of the last days, decided again as if the files on disk had been in force then.

use std::collections::BTreeSet;
use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use berth_common::Timestamp;
use berth_process::clock::now;

use super::NoFields;
use crate::auth::CheckedForm;
use crate::plan::recorded::{check, replay};
use crate::plan::replay::{Other, Replayed, Verdict};
use crate::reload;
use crate::site::Hub;
use crate::web::pages::error::PageError;
use crate::web::pages::shell::{Here, Shell, page};
use crate::web::pages::words::Moment;
use crate::web::say;

/// How far back.
const DAYS: i64 = 7;
/// Requests with another answer that are told one by one.
const MOST_TOLD: usize = 200;

#[derive(Template)]
#[template(path = "config-replay.html")]
struct ReplayPage {
    shell: Shell,
    /// What is wrong with the files, with carets; empty: they were used.
    problems: String,
    requests: u32,
    /// Whether there were more.
    left_off: bool,
    /// How many get another answer, by what has changed.
    counts: Vec<(String, usize)>,
    others: Vec<Line>,
}

/// A request with another answer.
struct Line {
    id: String,
    at: Moment,
    user: String,
    ask: String,
    before: String,
    after: String,
    /// The line of the files that decided.
    cite: String,
}

/// `POST /hub/admin/config/replay`: changes nothing, and takes a while.
pub async fn show(
    State(hub): State<Arc<Hub>>,
    CheckedForm { visitor, .. }: CheckedForm<NoFields>,
) -> Result<Response, PageError> {
    if !visitor.admin {
        return Err(PageError::NotFound);
    }
    let on_disk = reload::on_disk(&hub);
    let files = on_disk.map_or_else(|_| hub.configuration.in_force().files, |(files, _)| files);
    let since = Timestamp(now().0.saturating_sub(DAYS * 86_400 * 1_000_000));
    let broke_off = |why: String| PageError::BadForm(why);
    let work = tokio::task::spawn_blocking(move || {
        let state = hub.config().hub.state.clone();
        let settings = match check(&state, &files.0).map_err(|error| error.to_string())? {
            Ok(settings) => Arc::new(hub.agenda.applied(&settings)),
            Err(wrong) => return Ok(Err(wrong.to_string())),
        };
        let replayed = replay(&hub, since, &BTreeSet::new(), Some(settings));
        replayed.map(Ok).map_err(|error| error.to_string())
    });
    let done = work.await.map_err(|error| broke_off(error.to_string()))?.map_err(broke_off)?;
    let (replayed, problems) = match done {
        Ok(replayed) => (replayed, String::new()),
        Err(problems) => (Replayed::default(), problems),
    };
    let shell = Shell::of(&visitor, say::t("replay-title").to_string(), Here::Configuration);
    let view = ReplayPage {
        shell,
        problems,
        requests: replayed.requests,
        left_off: replayed.left_off,
        counts: counts(&replayed),
        others: replayed.others.iter().take(MOST_TOLD).map(Line::of).collect(),
    };
    Ok(page(StatusCode::OK, &view))
}

fn counts(replayed: &Replayed) -> Vec<(String, usize)> {
    let accepted: &[_] = &["placed", "waits"];
    let all = [
        (say::t("replay-accepted"), replayed.count(&["refused"], accepted)),
        (say::t("replay-refused"), replayed.count(accepted, &["refused"])),
        (say::t("replay-starts"), replayed.count(&["waits"], &["placed"])),
        (say::t("replay-waits"), replayed.count(&["placed"], &["waits"])),
        (say::t("replay-otherwise"), replayed.count(&["refused"], &["refused"])),
    ];
    all.into_iter().map(|(what, count)| (what.to_string(), count)).collect()
}

impl Line {
    fn of(other: &Other) -> Self {
        let Other { decision, before, after } = other;
        let verdict = |it: &Verdict| format!("{} ({})", say::reason(it.reason), it.reason.code());
        Self {
            id: decision.id.to_string(),
            at: Moment::from(decision.at),
            user: decision.user.to_string(),
            ask: format!("{}, {}", decision.ask.profile, decision.ask.memory),
            before: verdict(before),
            after: verdict(after),
            cite: after.cite.as_ref().map(ToString::to_string).unwrap_or_default(),
        }
    }
}
