//! `berth import jupyterhub FILE`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use berth_common::Timestamp;
use berth_store::jupyterhub::{self, Person};
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api;
use crate::args::Common;
use crate::connection::Connection;
use crate::print::{Cell, Column, Listing, note, versioned};
use crate::problem::{Exit, Problem, plain};
use crate::verb::confirm::Sure;

/// So many people go in one call.
const AT_ONCE: usize = 100;

/// Of so many it is told why they are left out.
const TOLD: usize = 10;

/// Options.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
First it shows what would become of everybody, then it asks. Doing it again\n\
takes over what is new. People come if the account directory knows them, or\n\
`berth user add` has made them before. Their tokens go on working. Groups are\n\
those of the directory; those that JupyterHub alone knows come with --groups\n\
FILE and a source of directory.toml: kind = \"file\", group = FILE,\n\
takes = [\"groups\"].")]
pub struct Args {
    /// JupyterHub's database, e.g. jupyterhub.sqlite; it is only read
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Write groups that the directory lacks here
    #[arg(long, value_name = "FILE")]
    groups: Option<PathBuf>,
    #[command(flatten)]
    sure: Sure,
}

#[derive(Debug, Deserialize)]
struct Row {
    name: String,
    outcome: String,
    why: Option<String>,
    becomes_admin: bool,
    tokens: usize,
    tokens_known: usize,
    tokens_strange: usize,
    groups_lacking: Vec<String>,
}

impl Row {
    /// Whether anything of this person would be taken over.
    fn changes(&self) -> bool {
        let has_news = self.outcome == "new" || self.becomes_admin || self.tokens > 0;
        self.outcome != "left_out" && has_news
    }
}

const COLUMNS: &[Column<Row>] = &[
    Column::new("USER", "name", |row: &Row, _| Cell::text(&row.name)),
    Column::new("OUTCOME", "outcome", |row: &Row, _| {
        Cell::both(row.outcome.replace('_', " "), &row.outcome)
    }),
    Column::new("NEW ADMIN", "becomes_admin", |row: &Row, _| Cell::yes(row.becomes_admin)),
    Column::new("NEW TOKENS", "tokens", |row: &Row, _| Cell::text(row.tokens.to_string())).right(),
    Column::new("TOKENS HAD", "tokens_known", |row: &Row, _| {
        Cell::text(row.tokens_known.to_string())
    })
    .right(),
    Column::new("STRANGE", "tokens_strange", |row: &Row, _| {
        Cell::text(row.tokens_strange.to_string())
    })
    .right()
    .wide(),
    Column::new("GROUPS LACKING", "groups_lacking", |row: &Row, _| {
        Cell::text(row.groups_lacking.join(" "))
    }),
    Column::new("WHY", "why", |row: &Row, _| Cell::maybe(row.why.as_deref())).wide(),
];

/// Shows, asks, takes over.
pub async fn run(args: &Args, common: &Common) -> Result<Exit, Problem> {
    let what = format!("import {}", args.file.display());
    let hub = common.connection()?;
    let site = jupyterhub::read(&args.file, berth_process::clock::now()).map_err(|error| {
        let advice = "Name the SQLite file of a JupyterHub 5 or 6.";
        Problem::new(Exit::Failed, format!("cannot {what}"), error, advice)
    })?;
    let at_once = args.sure.yes && !args.sure.dry_run;
    let (rows, now) = send(&hub, &what, &site.people, !at_once).await?;
    let people = print(common, &rows, now)?;
    if !common.quiet {
        tell_left_out(&people);
    }
    if !common.quiet && !site.left_out.is_empty() {
        note(&format!("Left out of the database:\n  {}", site.left_out.join("\n  ")));
    }
    if args.sure.dry_run {
        let changes = people.iter().any(Row::changes);
        return Ok(if changes { args.sure.looked() } else { Exit::Done });
    }
    if at_once {
        return write_groups(args, common, &people);
    }
    let coming = people.iter().filter(|row| row.outcome != "left_out").count();
    let question = format!("Take {coming} of {} people over?", people.len());
    args.sure.ask(&question, "nothing was imported")?;
    send(&hub, &what, &site.people, false).await?;
    if !common.quiet {
        note("Done.");
    }
    write_groups(args, common, &people)
}

/// Why people do not come, for the first of them.
fn tell_left_out(people: &[Row]) {
    let left_out = || people.iter().filter(|row| row.outcome == "left_out");
    for row in left_out().take(TOLD) {
        note(&plain(&format!("{}: {}", row.name, row.why.as_deref().unwrap_or_default())));
    }
    let more = left_out().count().saturating_sub(TOLD);
    if more > 0 {
        note(&format!("{more} more are left out: -o wide says why."));
    }
}

fn write_groups(args: &Args, common: &Common, people: &[Row]) -> Result<Exit, Problem> {
    let Some(path) = &args.groups else { return Ok(Exit::Done) };
    let text = groups_of(people);
    std::fs::write(path, &text).map_err(|error| {
        let what = format!("cannot write {}", path.display());
        Problem::new(Exit::Failed, what, error, "Name a file that can be written.")
    })?;
    if !common.quiet {
        let (groups, path) = (text.lines().count(), path.display());
        let are = if groups == 1 { "group is" } else { "groups are" };
        note(&format!("{groups} {are} in {path}."));
    }
    Ok(Exit::Done)
}

/// Lines as of group(5), without numbers: JupyterHub's groups have none.
fn groups_of(people: &[Row]) -> String {
    let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for person in people.iter().filter(|person| person.outcome != "left_out") {
        for group in &person.groups_lacking {
            groups.entry(group).or_default().push(&person.name);
        }
    }
    let line = |(group, members): (&str, Vec<&str>)| format!("{group}:x::{}\n", members.join(","));
    // What would be another line or field is no group's name here.
    let is_plain = |name: &str| !name.contains([':', ',', '\n', '\r']);
    groups.into_iter().filter(|(group, _)| is_plain(group)).map(line).collect()
}

async fn send(
    hub: &Connection,
    what: &str,
    people: &[Person],
    dry_run: bool,
) -> Result<(Vec<Value>, Timestamp), Problem> {
    let path = api::path(&["berth", "import", "jupyterhub"]);
    let (mut rows, mut now) = (Vec::new(), Timestamp(0));
    for part in people.chunks(AT_ONCE) {
        let body = json!({ "people": part, "dry_run": dry_run });
        let answer = api::send(hub, what, Method::POST, &path, Some(&body)).await?;
        now = answer.now;
        rows.extend(answer.body["people"].as_array().cloned().unwrap_or_default());
    }
    Ok((rows, now))
}

fn print(common: &Common, rows: &[Value], now: Timestamp) -> Result<Vec<Row>, Problem> {
    let read: Result<Vec<Row>, Problem> =
        rows.iter().map(|row| api::read("read the answer", row)).collect();
    let people = read?;
    common.style().list(&Listing {
        json: &versioned("people", json!(rows)),
        columns: COLUMNS,
        rows: &people,
        name: |row| row.name.clone(),
        now,
        empty: "No people.",
    })?;
    Ok(people)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, outcome: &str, groups: &[&str]) -> Row {
        let row = json!({
            "name": name, "outcome": outcome, "why": null, "becomes_admin": false, "tokens": 0,
            "tokens_known": 0, "tokens_strange": 0, "groups_lacking": groups,
        });
        serde_json::from_value(row).unwrap()
    }

    #[test]
    fn groups_that_are_lacking_are_lines_of_a_group_file() {
        let people = [
            row("alice", "known", &["gpu", "lab"]),
            row("bob", "new", &["lab", "a:b,c"]),
            row("carol", "left_out", &["lab"]),
        ];
        assert_eq!(groups_of(&people), "gpu:x::alice\nlab:x::alice,bob\n");
    }
}
