//! `berth explain server ID [--why-not HOST]`.

use berth_common::HostId;

use super::{Decision, HostLine, Term, print, read};
use crate::api;
use crate::args::{Common, ServerRef};
use crate::print::{Cell, Style, Tone, cell, lines_of, say};
use crate::problem::{Exit, Problem, plain};
use crate::verb::server::{self, Server};

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// An id or its beginning, USER, or USER/NAME
    #[arg(value_name = "SERVER")]
    server: ServerRef,
    /// Why it is not on this host
    #[arg(long, value_name = "HOST")]
    why_not: Option<HostId>,
}

/// Asks for the newest decision about it and prints that.
pub async fn run(args: &Args, common: &Common) -> Result<Exit, Problem> {
    let what = "explain the server";
    let hub = common.connection()?;
    let servers = server::all(&hub, what).await?;
    let server = servers.find(&args.server, what)?;
    let Some(id) = &server.decision else {
        let why = format!("no decision about {} is kept", server.title());
        let advice = "Its next start will have one.";
        return Err(Problem::new(Exit::NotFound, format!("cannot {what}"), why, advice));
    };
    let answer = api::get(&hub, what, &api::path(&["berth", "decisions", id])).await?;
    let decision = read(what, &answer.body)?;
    let style = common.style();
    match &args.why_not {
        Some(host) if !style.is_for_programs() => why_not(style, server, &decision, host)?,
        _ => print(style, &decision, &answer, false)?,
    }
    Ok(Exit::Done)
}

fn why_not(
    style: Style,
    server: &Server,
    decision: &Decision,
    host: &HostId,
) -> Result<(), Problem> {
    let what = format!("tell why {} is not on {host}", server.title());
    let Some(hosts) = &decision.hosts else {
        let why = "how each host fared is for administrators";
        let advice = "Ask an administrator, or leave out --why-not.";
        return Err(Problem::new(Exit::NotAllowed, format!("cannot {what}"), why, advice));
    };
    let Some(line) = hosts.iter().find(|line| line.host == host.as_str()) else {
        let why = format!("{host} was not looked at when this was decided");
        let advice = "Look at the hosts of then: berth explain server, without --why-not.";
        return Err(Problem::new(Exit::NotFound, format!("cannot {what}"), why, advice));
    };
    let chosen = hosts.iter().find(|line| line.verdict == "chosen");
    let ask = &decision.ask;
    let subject = format!("{} ({}, {})", server.title(), ask.profile, ask.memory);
    for sentence in sentences(&subject, line, chosen) {
        say(&plain(&sentence))?;
    }
    match chosen {
        Some(chosen) if line.verdict == "possible" => compare(style, chosen, line),
        _ => Ok(()),
    }
}

/// Where it was placed, and what was with the host asked about.
fn sentences(subject: &str, line: &HostLine, chosen: Option<&HostLine>) -> [String; 2] {
    let host = &line.host;
    let place = match chosen {
        Some(chosen) => format!("{subject} was placed on {}.", chosen.host),
        None => format!("{subject} got no host."),
    };
    let there = match (&line.reason, line.verdict.as_str()) {
        (Some(reason), _) => {
            let detail = line.detail.as_deref().filter(|detail| !detail.is_empty());
            let detail = detail.unwrap_or(&reason.text).trim_end_matches('.');
            format!("{host} was not possible: {detail} [{}].", reason.code)
        }
        (None, "chosen") => "That is the host you ask about.".to_owned(),
        (None, _) => {
            format!("{host} was possible but came later. The first line that differs decides:")
        }
    };
    [place, there]
}

fn compare(style: Style, chosen: &HostLine, line: &HostLine) -> Result<(), Problem> {
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
