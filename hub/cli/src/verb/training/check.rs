//! `berth training check NAME`.

use serde::Deserialize;

use crate::api;
use crate::args::Common;
use crate::print::{Cell, Column, Listing, Tone, note};
use crate::problem::{Exit, Problem};

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The training's name
    #[arg(value_name = "TRAINING")]
    pub name: String,
}

#[derive(Debug, Deserialize)]
struct Checked {
    ok: bool,
    findings: Vec<Finding>,
}

#[derive(Debug, Deserialize)]
struct Finding {
    check: String,
    ok: bool,
    text: String,
    #[serde(rename = "where")]
    cites: Vec<Cite>,
}

#[derive(Debug, Deserialize)]
struct Cite {
    file: String,
    line: u32,
}

const COLUMNS: &[Column<Finding>] = &[
    Column::new("CHECK", "check", |it: &Finding, _| {
        Cell::both(it.check.replace('_', " "), &it.check)
    }),
    Column::new("RESULT", "ok", |it: &Finding, _| match it.ok {
        true => Cell::both("ok", "true").toned(Tone::Good),
        false => Cell::both("WRONG", "false").toned(Tone::Bad),
    }),
    Column::new("WHAT", "what", |it: &Finding, _| {
        let lines: Vec<_> =
            it.cites.iter().map(|cite| format!("{}:{}", cite.file, cite.line)).collect();
        match lines.is_empty() {
            true => Cell::text(&it.text),
            false => Cell::both(format!("{} ({})", it.text, lines.join(", ")), &it.text),
        }
    }),
    Column::programs("where", |it: &Finding, _| {
        let lines = it.cites.iter().map(|cite| format!("{}:{}", cite.file, cite.line));
        Cell::text(lines.collect::<Vec<_>>().join(" "))
    }),
];

/// Asks and prints.
pub async fn run(args: &Args, common: &Common) -> Result<Exit, Problem> {
    let what = format!("check the training {}", args.name);
    let hub = common.connection()?;
    let path = api::path(&["berth", "trainings", &args.name, "check"]);
    let answer = api::get(&hub, &what, &path).await?;
    let checked: Checked = api::read(&what, &answer.body)?;
    let style = common.style();
    style.list(&Listing {
        json: &answer.body,
        columns: COLUMNS,
        rows: &checked.findings,
        name: |it| it.check.clone(),
        now: answer.now,
        empty: "Nothing was looked at.",
    })?;
    if checked.ok {
        return Ok(Exit::Done);
    }
    let wrong = checked.findings.iter().filter(|it| !it.ok).count();
    note(&format!("{wrong} of {} would go wrong.", checked.findings.len()));
    Ok(Exit::Failed)
}
