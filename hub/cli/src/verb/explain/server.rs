//! `berth explain server ID [--why-not HOST [COUNT]]`.

use berth_common::ByteCount;
use serde::Deserialize;

use super::{HostLine, Obstacle, Term, print, read};
use crate::api;
use crate::args::{Common, ServerRef};
use crate::connection::Connection;
use crate::print::{Cell, Style, Tone, cell, lines_of, say};
use crate::problem::{Exit, Problem, plain};
use crate::verb::server::{self, Server, title};

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// An id or its beginning, USER, or USER/NAME
    #[arg(value_name = "SERVER")]
    server: ServerRef,
    /// Why it is not on HOST; would COUNT like it fit
    #[arg(long, num_args = 1..=2, value_names = ["HOST", "COUNT"])]
    why_not: Vec<String>,
}

/// Asks for the newest decision about it and prints that.
pub async fn run(args: &Args, common: &Common) -> Result<Exit, Problem> {
    let what = "explain the server";
    let hub = common.connection()?;
    let servers = server::all(&hub, what).await?;
    let server = servers.find(&args.server, what)?;
    let style = common.style();
    if let Some((host, count)) = args.why_not.split_first() {
        why_not(&hub, &style, server, host, count.first().map(String::as_str)).await?;
        return Ok(Exit::Done);
    }
    let Some(id) = &server.decision else {
        let why = format!("no decision about {} is kept", server.title());
        let advice = "Its next start will have one.";
        return Err(Problem::new(Exit::NotFound, format!("cannot {what}"), why, advice));
    };
    let answer = api::get(&hub, what, &api::path(&["berth", "decisions", id])).await?;
    let decision = read(what, &answer.body)?;
    print(&style, &decision, &answer, false)?;
    Ok(Exit::Done)
}

/// Why a server is not on a host, as our own API gives it.
#[derive(Debug, Deserialize)]
struct WhyNot {
    user: String,
    name: String,
    ask: Ask,
    on: Option<String>,
    host: String,
    decision: Option<Then>,
    now: Option<Now>,
}

#[derive(Debug, Deserialize)]
struct Ask {
    profile: String,
    memory: ByteCount,
}

/// When it was decided.
#[derive(Debug, Deserialize)]
struct Then {
    chosen: Option<HostLine>,
    line: Option<HostLine>,
}

/// What would come of such a server there now.
#[derive(Debug, Deserialize)]
struct Now {
    count: u32,
    fits: u32,
    obstacles: Vec<Obstacle>,
}

async fn why_not(
    hub: &Connection,
    style: &Style,
    server: &Server,
    host: &str,
    count: Option<&str>,
) -> Result<(), Problem> {
    let what = format!("tell why {} is not on {host}", server.title());
    let count = count.map(|count| {
        count.parse::<u32>().map_err(|_| {
            let why = format!("\"{count}\" is no number of servers");
            Problem::new(
                Exit::Usage,
                format!("cannot {what}"),
                why,
                "Write e.g. --why-not ccjn01 3.",
            )
        })
    });
    let mut path = api::path(&["berth", "servers", &server.id, "why-not", host]);
    if let Some(count) = count.transpose()? {
        path.push_str(&format!("?count={count}"));
    }
    let answer = api::get(hub, &what, &path).await?;
    if style.is_for_programs() {
        return style.value(&answer.body);
    }
    let told: WhyNot =
        api::read(&what, answer.body.get("why_not").unwrap_or(&serde_json::Value::Null))?;
    let ask = &told.ask;
    let subject = format!("{} ({}, {})", title(&told.user, &told.name), ask.profile, ask.memory);
    say(&plain(&place(&subject, &told)))?;
    if let Some(Then { chosen, line: Some(line) }) = &told.decision {
        say(&plain(&there(line)))?;
        if let Some(chosen) = chosen.as_ref().filter(|_| line.verdict == "possible") {
            compare(style, chosen, line)?;
        }
    } else if told.on.as_deref() != Some(&told.host) {
        say(&plain(&format!("{} was not looked at when this was decided.", told.host)))?;
    }
    match &told.now {
        Some(now) => say(&plain(&present(now, told.on.as_deref() == Some(&told.host)))),
        None => Ok(()),
    }
}

/// Where it was placed.
fn place(subject: &str, told: &WhyNot) -> String {
    let chosen = told.decision.as_ref().and_then(|then| then.chosen.as_ref());
    match (chosen, &told.on) {
        (Some(chosen), _) => format!("{subject} was placed on {}.", chosen.host),
        (None, Some(on)) => format!("{subject} runs on {on}; no decision about it is kept."),
        (None, None) => format!("{subject} got no host."),
    }
}

/// What was with the host asked about.
fn there(line: &HostLine) -> String {
    let host = &line.host;
    let Some(reason) = &line.reason else {
        return match line.verdict.as_str() {
            "chosen" => "That is the host you ask about.".to_owned(),
            _ => {
                format!("{host} was possible but came later. The first line that differs decides:")
            }
        };
    };
    let detail = line.detail.as_deref().filter(|detail| !detail.is_empty());
    let first = sentence(&reason.code, detail.unwrap_or(&reason.text));
    let also: Vec<_> = line.also.iter().map(of_obstacle).collect();
    match also.is_empty() {
        true => format!("{host} was not possible: {first}."),
        false => format!("{host} was not possible: {first}; also {}.", also.join("; ")),
    }
}

fn of_obstacle(obstacle: &Obstacle) -> String {
    let Obstacle { reason, detail } = obstacle;
    sentence(&reason.code, if detail.is_empty() { &reason.text } else { detail })
}

fn sentence(code: &str, text: &str) -> String {
    format!("{} [{code}]", text.trim_end_matches('.'))
}

/// What would come of it at this moment.
fn present(now: &Now, is_there: bool) -> String {
    let Now { count, fits, obstacles } = now;
    let beside = if is_there { ", counted with this one" } else { "" };
    let why: Vec<_> = obstacles.iter().map(of_obstacle).collect();
    match (count, fits) {
        (_, 0) if !why.is_empty() => format!("Now it would not start there: {}.", why.join("; ")),
        (1, 0) => "Now it would not start there.".to_owned(),
        (1, _) => "Now it would start there.".to_owned(),
        (count, fits) if fits == count => {
            format!("Now {count} such servers would start there{beside}.")
        }
        (count, fits) => format!("Now {fits} of {count} such servers would start there{beside}."),
    }
}

fn compare(style: &Style, chosen: &HostLine, line: &HostLine) -> Result<(), Problem> {
    let mut table = style.bare_table();
    if style.header {
        table.set_header(["TERM", chosen.host.as_str(), line.host.as_str(), ""]);
    }
    let mut decided = false;
    for (Term { name, value }, other) in chosen.terms.iter().zip(&line.terms) {
        let decides = !decided && *value != other.value;
        decided |= decides;
        let mark = if decides { "<- decides" } else { "" };
        let row = [name.as_str(), value, &other.value].map(Cell::text);
        let mark = Cell::text(mark).toned(Tone::Good);
        table.add_row(row.iter().chain(std::iter::once(&mark)).map(cell).collect::<Vec<_>>());
    }
    if !decided {
        let by_name = ["name", chosen.host.as_str(), line.host.as_str(), "<- decides"];
        table.add_row(by_name.map(|text| cell(&Cell::text(text))));
    }
    say(&lines_of(&table))
}
