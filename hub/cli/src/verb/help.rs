//! `berth help [COMMAND...]` and `berth help reasons [CODE]`.

use berth_common::{Reason, Timestamp};
use clap::CommandFactory;
use serde_json::json;

use crate::args::Common;
use crate::print::{Cell, Column, Listing, say, versioned};
use crate::problem::{Exit, Problem};
use crate::verb::CommandLine;

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A command, or `reasons` and the beginning of a code
    #[arg(value_name = "TOPIC")]
    topic: Vec<String>,
}

const COLUMNS: &[Column<Reason>] = &[
    Column::new("CODE", "code", |it: &Reason, _| Cell::text(it.code())),
    Column::new("MEANING", "text", |it: &Reason, _| Cell::text(it.text())),
    Column::new("WHAT TO DO", "remedy", |it: &Reason, _| Cell::text(it.remedy())).wide(),
];

/// Prints it.
pub fn run(args: &Args, common: &Common) -> Result<Exit, Problem> {
    match args.topic.split_first() {
        Some((first, rest)) if first == "reasons" => reasons(rest, common),
        _ => command(&args.topic),
    }
}

fn reasons(start: &[String], common: &Common) -> Result<Exit, Problem> {
    let start = start.first().map_or("", String::as_str);
    let rows: Vec<Reason> =
        Reason::ALL.iter().copied().filter(|it| it.code().starts_with(start)).collect();
    if rows.is_empty() {
        let why = format!("no code begins with \"{start}\"");
        let advice = "'berth help reasons' lists all of them.";
        return Err(Problem::new(Exit::NotFound, "cannot explain the code", why, advice));
    }
    let row = |it: &Reason| json!({ "code": it.code(), "text": it.text(), "remedy": it.remedy() });
    let json = versioned("reasons", rows.iter().map(row).collect());
    let style = common.style();
    if let ([one], false) = (rows.as_slice(), style.is_for_programs()) {
        say(&format!("{}\n  {}", one.code(), one.text()))?;
        if !one.remedy().is_empty() {
            say(&format!("  {}", one.remedy()))?;
        }
        return Ok(Exit::Done);
    }
    style.list(&Listing {
        json: &json,
        columns: COLUMNS,
        rows: &rows,
        name: |it| it.code().to_owned(),
        now: Timestamp::default(),
        empty: "",
    })?;
    Ok(Exit::Done)
}

/// The same as the command with `--help`.
fn command(words: &[String]) -> Result<Exit, Problem> {
    let mut all = CommandLine::command();
    all.build();
    let mut found = &mut all;
    for word in words {
        let Some(next) = found.find_subcommand_mut(word) else {
            let why = format!("there is no command \"{}\"", words.join(" "));
            let advice = "'berth help' lists the commands, 'berth help reasons' the codes.";
            return Err(Problem::new(Exit::NotFound, "cannot help", why, advice));
        };
        found = next;
    }
    say(found.render_long_help().to_string().trim_end())?;
    Ok(Exit::Done)
}
