//! `berth server logs SERVER`.

use std::io::Write;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::all;
use crate::api;
use crate::args::{Common, ServerRef};
use crate::connection::{Answer, Connection};
use crate::print::{Cell, Column, Listing};
use crate::problem::{Exit, Problem};

/// A log that is followed is read again so often.
const EVERY: Duration = Duration::from_secs(2);
/// And so many lines of it, which is all that hosts send.
const MOST: u32 = 1_000;

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// An id or its beginning, USER, or USER/NAME
    #[arg(value_name = "SERVER")]
    server: ServerRef,
    /// So many of the last lines
    #[arg(short = 'n', long, value_name = "LINES", default_value_t = 100,
        value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST)))]
    lines: u32,
    /// Go on with what is written from now on
    #[arg(short, long)]
    follow: bool,
}

#[derive(Debug, Deserialize)]
struct Line {
    at: String,
    text: String,
}

const COLUMNS: &[Column<Line>] = &[
    Column::new("AT", "at", |line: &Line, _| Cell::text(&line.at)),
    Column::new("TEXT", "text", |line: &Line, _| Cell::text(&line.text)),
];

/// Asks and prints.
pub async fn run(args: &Args, common: &Common) -> Result<Exit, Problem> {
    let what = "read the log";
    let hub = common.connection()?;
    let servers = all(&hub, what).await?;
    let id = servers.find(&args.server, what)?.id.clone();
    let (mut lines, answer) = read(&hub, what, &id, args.lines).await?;
    let style = common.style();
    if style.is_for_programs() {
        let (json, now) = (&answer.body, answer.now);
        let name = |line: &Line| line.text.clone();
        let listing = Listing { json, columns: COLUMNS, rows: &lines, name, now, empty: "" };
        return style.list(&listing).map(|()| Exit::Done);
    }
    let mut newest = String::new();
    loop {
        // Times are of one length, so that their order is that of their letters.
        let fresh: Vec<_> = lines.iter().filter(|line| line.at > newest || !args.follow).collect();
        if print(&fresh).is_err() {
            return Ok(Exit::Done); // nobody reads any more
        }
        if !args.follow {
            return Ok(Exit::Done);
        }
        newest = lines.into_iter().map(|line| line.at).max().unwrap_or_default().max(newest);
        tokio::time::sleep(EVERY).await;
        lines = read(&hub, what, &id, MOST).await?.0;
    }
}

async fn read(
    hub: &Connection,
    what: &str,
    id: &str,
    lines: u32,
) -> Result<(Vec<Line>, Answer), Problem> {
    let path = format!("{}?lines={lines}", api::path(&["berth", "servers", id, "log"]));
    let answer = api::get(hub, what, &path).await?;
    let lines = api::read(what, answer.body.get("log").unwrap_or(&Value::Null))?;
    Ok((lines, answer))
}

/// No control characters: a log is shown, not carried out by the terminal.
fn print(lines: &[&Line]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for line in lines {
        let text: String = line.text.chars().filter(|c| *c == '\t' || !c.is_control()).collect();
        writeln!(out, "{text}")?;
    }
    out.flush()
}
