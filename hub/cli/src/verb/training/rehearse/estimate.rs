//! `berth training rehearse NAME --estimate [--people N] [--prepared]`: nothing is started.

use berth_common::Seconds;
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Args;
use crate::api;
use crate::args::Common;
use crate::print::{Cell, Column, Listing, note, say};
use crate::problem::{Exit, Problem};
use crate::text::plural;

#[derive(Debug, Deserialize)]
struct Rehearsal {
    people: u64,
    placed: u64,
    without_place: u64,
    overflow: u64,
    takes_s: u64,
    one_start_s: u64,
    measured_starts: usize,
    start_within_s: u64,
    fetching: u64,
    hosts: Vec<Host>,
}

#[derive(Debug, Deserialize)]
struct Host {
    host: String,
    people: u64,
    takes_s: u64,
    fetches_image: bool,
}

const COLUMNS: &[Column<Host>] = &[
    Column::new("HOST", "host", |it: &Host, _| Cell::text(&it.host)),
    Column::new("STARTS", "people", |it: &Host, _| Cell::text(it.people.to_string())).right(),
    Column::new("TAKE", "takes_s", |it: &Host, _| {
        Cell::both(Seconds(it.takes_s).to_string(), it.takes_s.to_string())
    })
    .right(),
    Column::new("IMAGE", "fetches_image", |it: &Host, _| match it.fetches_image {
        true => Cell::both("to be fetched first", "true"),
        false => Cell::both("there", "false"),
    }),
];

/// Asks and prints.
pub async fn run(args: &Args, common: &Common) -> Result<Exit, Problem> {
    let what = format!("rehearse the training {}", args.name);
    let hub = common.connection()?;
    let path = api::path(&["berth", "trainings", &args.name, "rehearsal"]);
    let mut body = json!({ "prepared": args.prepared });
    if let Some(people) = args.people.or(args.servers) {
        body["people"] = json!(people);
    }
    let answer = api::send(&hub, &what, Method::POST, &path, Some(&body)).await?;
    let made: Rehearsal = api::read(&what, answer.body.get("rehearsal").unwrap_or(&Value::Null))?;
    let late = made.takes_s > made.start_within_s;
    let style = common.style();
    if !style.is_for_programs() {
        for line in sentences(&made) {
            say(&line)?;
        }
    }
    if style.is_for_programs() || !made.hosts.is_empty() {
        style.list(&Listing {
            json: &answer.body,
            columns: COLUMNS,
            rows: &made.hosts,
            name: |it| it.host.clone(),
            now: answer.now,
            empty: "",
        })?;
    }
    if late {
        note(&format!("The file allows {}.", Seconds(made.start_within_s)));
    }
    Ok(if late || made.without_place > 0 { Exit::Failed } else { Exit::Done })
}

fn sentences(made: &Rehearsal) -> Vec<String> {
    let Rehearsal { people, placed, without_place, overflow, .. } = made;
    let mut lines = vec![match without_place {
        0 => format!(
            "All {people} get a server; the last one answers after {}.",
            Seconds(made.takes_s)
        ),
        some => format!(
            "{placed} of {people} get a server, the last one after {}; {some} find no room.",
            Seconds(made.takes_s)
        ),
    }];
    if *overflow > 0 {
        lines.push(format!("{overflow} of them in the pool that helps out."));
    }
    if made.fetching > 0 {
        let hosts = made.fetching as usize;
        let verb = if hosts == 1 { "has" } else { "have" };
        lines.push(format!("{hosts} host{} {verb} to fetch the image first.", plural(hosts)));
    }
    let one = Seconds(made.one_start_s);
    lines.push(match made.measured_starts {
        0 => format!("One start is assumed to take {one}: none was seen yet."),
        1 => format!("One start took {one}, measured once."),
        times => format!("One start takes {one}, the median of {times}."),
    });
    lines
}
