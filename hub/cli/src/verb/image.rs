//! `berth image`: which hosts have which image, and how far a new version has come. Versions are
//! named in images.toml; an order about one holds until the files name another.

use berth_common::{HostId, Timestamp};
use clap::Subcommand;
use serde::Deserialize;

use crate::api;
use crate::args::Common;
use crate::print::{Cell, Column, Listing};
use crate::problem::{Exit, Problem};
use crate::text;

pub mod rollout;

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List images, their versions, and on how many hosts they are
    List(List),
    /// Have hosts fetch one before anybody needs it
    Pull(rollout::Pull),
    /// A new version on its way to everybody, and the way back
    #[command(subcommand)]
    Rollout(rollout::Verb),
}

/// No options.
#[derive(Debug, clap::Args)]
pub struct List {}

#[derive(Debug, Deserialize)]
struct Image {
    name: String,
    reference: String,
    previous: Option<String>,
    stage: String,
    #[serde(default, deserialize_with = "api::moment")]
    until: Option<Timestamp>,
    wanted_on: Vec<HostId>,
    present_on: Vec<HostId>,
    running: u64,
    #[serde(default)]
    running_previous: u64,
    #[serde(default)]
    order: Option<Order>,
}

/// What was ordered last about it.
#[derive(Debug, Deserialize)]
struct Order {
    order: String,
    who: String,
    reason: String,
    #[serde(default, deserialize_with = "api::moment")]
    at: Option<Timestamp>,
}

const COLUMNS: &[Column<Image>] = &[
    Column::new("IMAGE", "name", |it: &Image, _| Cell::text(&it.name)),
    Column::new("ON HOSTS", "", |it: &Image, _| {
        Cell::text(format!("{}/{}", it.present_on.len(), it.wanted_on.len()))
    })
    .right()
    .people(),
    Column::programs("present_on", |it: &Image, _| Cell::text(it.present_on.len().to_string())),
    Column::programs("wanted_on", |it: &Image, _| Cell::text(it.wanted_on.len().to_string())),
    Column::new("RUN", "running", |it: &Image, _| Cell::text(it.running.to_string())).right(),
    Column::new("STAGE", "stage", |it: &Image, _| Cell::text(&it.stage)),
    Column::new("UNTIL", "until", |it: &Image, now| match it.until {
        Some(at) => Cell::both(text::local(at, now), at.to_string()),
        None => Cell::both("-", ""),
    }),
    Column::new("REFERENCE", "reference", |it: &Image, _| Cell::text(&it.reference)),
    Column::new("BEFORE", "previous", |it: &Image, _| Cell::maybe(it.previous.as_ref())).wide(),
];

/// Asks and prints.
pub async fn run(verb: &Verb, common: &Common) -> Result<Exit, Problem> {
    match verb {
        Verb::List(_) => list(common).await,
        Verb::Pull(args) => rollout::pull(args, common).await,
        Verb::Rollout(verb) => rollout::run(verb, common).await,
    }
}

async fn list(common: &Common) -> Result<Exit, Problem> {
    let what = "list images";
    let hub = common.connection()?;
    let answer = api::get(&hub, what, &api::path(&["berth", "images"])).await?;
    let rows: Vec<Image> = answer.rows(what, "images")?;
    common.style().list(&Listing {
        json: &answer.body,
        columns: COLUMNS,
        rows: &rows,
        name: |it| it.name.clone(),
        now: answer.now,
        empty: "images.toml names no image.",
    })?;
    Ok(Exit::Done)
}
