//! `berth image`: which hosts have which image, and how far a new version has come. Versions are
//! changed in images.toml; what promotes one or takes it back is said there too.

use berth_common::{HostId, Timestamp};
use clap::Subcommand;
use serde::Deserialize;

use crate::api;
use crate::args::Common;
use crate::print::{Cell, Column, Listing};
use crate::problem::{Exit, Problem};
use crate::text;

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List images, their versions, and on how many hosts they are
    List(List),
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
pub async fn run(Verb::List(_): &Verb, common: &Common) -> Result<Exit, Problem> {
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
