//! `berth profile list`.

use berth_common::ByteCount;
use serde::Deserialize;

use crate::api;
use crate::args::Common;
use crate::connection::Answer;
use crate::print::{Cell, Column, Listing, Tone};
use crate::problem::{Exit, Problem};
use crate::verb::explain::Decision;

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {}

#[derive(Debug, Deserialize)]
pub(super) struct Profile {
    pub(super) name: String,
    pub(super) title: String,
    pub(super) use_case: String,
    pub(super) pool: String,
    pub(super) default: bool,
    pub(super) memory: Memory,
    pub(super) images: Vec<Image>,
    pub(super) declared_at: String,
    pub(super) verdict: Option<Decision>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Memory {
    pub(super) default: ByteCount,
    pub(super) choices: Vec<ByteCount>,
    pub(super) max: ByteCount,
}

#[derive(Debug, Deserialize)]
pub(super) struct Image {
    pub(super) name: String,
}

pub(super) const COLUMNS: &[Column<Profile>] = &[
    Column::new("PROFILE", "name", |profile: &Profile, _| {
        let mark = if profile.default { " *" } else { "" };
        Cell::both(format!("{}{mark}", profile.name), &profile.name)
    }),
    Column::programs("default", |profile: &Profile, _| Cell::yes(profile.default)),
    Column::new("MEMORY", "memory_default_bytes", |profile: &Profile, _| {
        Cell::bytes(Some(profile.memory.default))
    })
    .right(),
    Column::new("MOST", "memory_max_bytes", |profile: &Profile, _| {
        Cell::bytes(Some(profile.memory.max))
    })
    .right(),
    Column::new("NOW", "outcome", verdict),
    Column::new("TITLE", "title", |profile: &Profile, _| Cell::text(&profile.title)),
    Column::new("GOOD FOR", "use_case", |profile: &Profile, _| Cell::text(&profile.use_case))
        .wide(),
    Column::new("POOL", "pool", |profile: &Profile, _| Cell::text(&profile.pool)).wide(),
    Column::new("CHOICES", "memory_choices_bytes", |profile: &Profile, _| {
        let choices = &profile.memory.choices;
        let join = |text: fn(&ByteCount) -> String| {
            choices.iter().map(text).collect::<Vec<_>>().join(", ")
        };
        Cell::both(join(ByteCount::to_string), join(|bytes| bytes.0.to_string()))
    })
    .wide(),
    Column::new("IMAGES", "images", |profile: &Profile, _| {
        Cell::text(profile.images.iter().map(|i| i.name.as_str()).collect::<Vec<_>>().join(" "))
    })
    .wide(),
    Column::new("DECLARED", "declared_at", |profile: &Profile, _| Cell::text(&profile.declared_at))
        .wide(),
];

/// What would come of asking for it now.
pub(super) fn verdict(profile: &Profile, _: berth_common::Timestamp) -> Cell {
    let Some(decision) = &profile.verdict else { return Cell::both("-", "") };
    let (text, tone) = match decision.outcome.as_str() {
        "placed" => ("starts".to_owned(), Tone::Good),
        "waits" => (format!("waits, place {}", decision.place()), Tone::Watch),
        _ => (decision.reason.code.clone(), Tone::Bad),
    };
    Cell::both(text, &decision.outcome).toned(tone)
}

/// All that there are.
pub(super) async fn all(what: &str, common: &Common) -> Result<(Answer, Vec<Profile>), Problem> {
    let hub = common.connection()?;
    let answer = api::get(&hub, what, &api::path(&["berth", "profiles"])).await?;
    let profiles = answer.rows(what, "profiles")?;
    Ok((answer, profiles))
}

/// Asks and prints.
pub async fn run(_: &Args, common: &Common) -> Result<Exit, Problem> {
    let (answer, profiles) = all("list profiles", common).await?;
    common.style().list(&Listing {
        json: &answer.body,
        columns: COLUMNS,
        rows: &profiles,
        name: |profile| profile.name.clone(),
        now: answer.now,
        empty: "No profiles.",
    })?;
    Ok(Exit::Done)
}
