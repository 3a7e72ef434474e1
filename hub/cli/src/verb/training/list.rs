//! `berth training list`.

use serde_json::Value;

use super::Training;
use crate::api;
use crate::args::Common;
use crate::print::{Cell, Column, Listing, Tone};
use crate::problem::{Exit, Problem};

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {}

const COLUMNS: &[Column<Training>] = &[
    Column::new("TRAINING", "training", |it: &Training, _| Cell::text(&it.name)),
    Column::new("STATE", "state", |it: &Training, _| state(&it.state)),
    Column::new("OPENS", "opens", |it: &Training, now| Cell::moment(it.opens, now)),
    Column::new("CLOSES", "closes", |it: &Training, now| Cell::moment(it.closes, now)),
    Column::new("FROM", "from", |it: &Training, now| Cell::moment(it.from, now)).wide(),
    Column::new("TO", "to", |it: &Training, now| Cell::moment(it.to, now)).wide(),
    Column::new("POOL", "pool", |it: &Training, _| Cell::text(&it.pool)),
    Column::new("PEOPLE", "", |it: &Training, _| match (it.connected, it.expected) {
        (Some(connected), Some(expected)) => Cell::text(format!("{connected}/{expected}")),
        _ => Cell::maybe(None::<&str>),
    })
    .right()
    .people(),
    Column::programs("connected", |it: &Training, _| Cell::maybe(it.connected.map(text))),
    Column::programs("expected", |it: &Training, _| Cell::maybe(it.expected.map(text))),
    Column::new("YOU", "role", |it: &Training, _| Cell::text(&it.role)).wide(),
    Column::new("TITLE", "title", |it: &Training, _| Cell::text(&it.title)),
];

fn text(count: u64) -> String {
    count.to_string()
}

/// A training's state, in its colour.
pub fn state(word: &str) -> Cell {
    let tone = if word == "open" { Tone::Good } else { Tone::Plain };
    Cell::text(word).toned(tone)
}

/// Asks and prints.
pub async fn run(_: &Args, common: &Common) -> Result<Exit, Problem> {
    let what = "list trainings";
    let hub = common.connection()?;
    let answer = api::get(&hub, what, &api::path(&["berth", "trainings"])).await?;
    let rows: Vec<Training> =
        api::read(what, answer.body.get("trainings").unwrap_or(&Value::Null))?;
    common.style().list(&Listing {
        json: &answer.body,
        columns: COLUMNS,
        rows: &rows,
        name: |it| it.name.clone(),
        now: answer.now,
        empty: "There is no training for you.",
    })?;
    Ok(Exit::Done)
}
