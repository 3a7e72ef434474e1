//! `berth plan consolidate`.

use berth_common::ByteCount;
use serde::Deserialize;
use serde_json::Value;

use crate::api;
use crate::args::Common;
use crate::print::{Cell, Column, Listing};
use crate::problem::{Exit, Problem};

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {}

#[derive(Debug, Deserialize)]
struct Proposal {
    host: String,
    frees: ByteCount,
    moves: Vec<Move>,
}

#[derive(Debug, Deserialize)]
struct Move {
    user: Option<String>,
    to: String,
}

const COLUMNS: &[Column<Proposal>] = &[
    Column::new("HOST", "host", |it: &Proposal, _| Cell::text(&it.host)),
    Column::new("FREES", "frees_bytes", |it: &Proposal, _| Cell::bytes(Some(it.frees))).right(),
    Column::new("RESTARTS", "restarts", |it: &Proposal, _| Cell::text(it.moves.len().to_string()))
        .right(),
    Column::new("IDLE SERVERS GO TO", "moves", |it: &Proposal, _| Cell::text(it.targets())),
];

impl Proposal {
    fn targets(&self) -> String {
        let name =
            |step: &Move| format!("{} to {}", step.user.as_deref().unwrap_or("somebody"), step.to);
        self.moves.iter().map(name).collect::<Vec<_>>().join(", ")
    }
}

/// Asks and prints.
pub async fn run(_: &Args, common: &Common) -> Result<Exit, Problem> {
    let what = "propose hosts to be kept free";
    let hub = common.connection()?;
    let answer = api::get(&hub, what, &api::path(&["berth", "consolidation"])).await?;
    let body = answer.body.get("proposals").unwrap_or(&Value::Null);
    let proposals: Vec<Proposal> = api::read(what, body)?;
    common.style().list(&Listing {
        json: &answer.body,
        columns: COLUMNS,
        rows: &proposals,
        name: |it| it.host.clone(),
        now: answer.now,
        empty: "No host can be kept free by restarting a few idle servers elsewhere.",
    })?;
    Ok(Exit::Done)
}
