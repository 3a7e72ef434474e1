//! `berth doctor`: whether everything is as it should be, and what to do where it is not.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;

use crate::api;
use crate::args::Common;
use crate::print::{Cell, Column, Listing, Tone, say};
use crate::problem::{Exit, Problem, plain};

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {}

#[derive(Debug, Deserialize)]
struct Finding {
    check: String,
    verdict: String,
    text: String,
    remedy: String,
}

const COLUMNS: &[Column<Finding>] = &[
    Column::new("CHECK", "check", |it: &Finding, _| Cell::text(&it.check)),
    Column::new("VERDICT", "verdict", |it: &Finding, _| Cell::text(&it.verdict)),
    Column::new("FOUND", "found", |it: &Finding, _| Cell::text(&it.text).toned(Tone::Plain)),
    Column::programs("remedy", |it: &Finding, _| Cell::text(&it.remedy)),
];

/// Asks and prints; fails if something does not work.
pub async fn run(_: &Args, common: &Common) -> Result<Exit, Problem> {
    let what = "examine the site";
    let hub = common.connection()?;
    let answer = api::get(&hub, what, &api::path(&["berth", "doctor"])).await?;
    let found: Vec<Finding> = api::read(what, answer.body.get("doctor").unwrap_or(&Value::Null))?;
    let style = common.style();
    style.list(&Listing {
        json: &answer.body,
        columns: COLUMNS,
        rows: &found,
        name: |it| it.check.clone(),
        now: answer.now,
        empty: "Nothing was looked at.",
    })?;
    if !style.is_for_programs() {
        let mut said = BTreeSet::new();
        for Finding { check, remedy, .. } in found.iter().filter(|it| !it.remedy.is_empty()) {
            let gap = if said.is_empty() { "\n" } else { "" };
            // Ten silent hosts need one piece of advice.
            if said.insert((check, remedy)) {
                say(&format!("{gap}{check}: {}", plain(remedy)))?;
            }
        }
    }
    let fails = found.iter().any(|it| it.verdict == "failed");
    Ok(if fails { Exit::Failed } else { Exit::Done })
}
