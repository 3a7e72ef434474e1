//! `berth explain`: the record of a decision, rule by rule and host by host.

use berth_common::{ByteCount, Seconds, ServerName, Timestamp};
use clap::Subcommand;
use comfy_table::Cell as TableCell;
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::{self, ReasonText};
use crate::args::{Common, Wish};
use crate::connection::{Answer, Connection};
use crate::print::{Cell, Format, Style, Tone, cell, lines_of, say};
use crate::problem::{Exit, Problem};
use crate::text;
use crate::verb::server::title;

pub mod decision;
mod host;
mod request;
mod room;
mod server;

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// What would come of a request now; nothing is asked for
    Request(request::Args),
    /// Why a server is where it is, or waits
    Server(server::Args),
    /// One decision
    Decision(decision::Args),
    /// Why a host takes nothing, or what it would take (administrators)
    Host(host::Args),
}

/// Does what the verb says.
pub async fn run(verb: &Verb, common: &Common) -> Result<Exit, Problem> {
    match verb {
        Verb::Request(args) => request::run(args, common).await,
        Verb::Server(args) => server::run(args, common).await,
        Verb::Decision(args) => decision::run(args, common).await,
        Verb::Host(args) => host::run(args, common).await,
    }
}

/// A decision as our own API gives it.
#[derive(Debug, Clone, Deserialize)]
pub struct Decision {
    /// Its id.
    pub id: String,
    #[serde(default, deserialize_with = "api::moment")]
    at: Option<Timestamp>,
    user: String,
    name: String,
    ask: Ask,
    /// `placed`, `waits` or `refused`.
    pub outcome: String,
    /// Why.
    pub reason: ReasonText,
    /// The outcome in a sentence.
    pub sentence: String,
    host: Option<String>,
    ahead: Option<u64>,
    /// A quarter of such waits ends before the first, a quarter after the second.
    estimate_s: Option<[u64; 2]>,
    #[serde(default)]
    nearest: Vec<Nearest>,
    rules: Vec<Rule>,
    #[serde(default)]
    possible_hosts: u64,
    #[serde(default)]
    excluded_hosts: Vec<Excluded>,
    room: Option<room::Room>,
    /// Told to administrators only.
    hosts: Option<Vec<HostLine>>,
}

#[derive(Debug, Clone, Deserialize)]
struct Ask {
    profile: String,
    memory: ByteCount,
    image: String,
    #[serde(default)]
    gpus: u32,
    /// Of these, if one was asked for.
    gpu_model: Option<String>,
}

/// Something with which it would start.
#[derive(Debug, Clone, Deserialize)]
struct Nearest {
    change: String,
    text: String,
}

#[derive(Debug, Clone, Deserialize)]
struct Excluded {
    reason: ReasonText,
    hosts: u64,
}

#[derive(Debug, Clone, Deserialize)]
struct Rule {
    text: String,
    passed: bool,
    reason: Option<String>,
    cite: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
struct HostLine {
    host: String,
    verdict: String,
    #[serde(default)]
    terms: Vec<Term>,
    reason: Option<ReasonText>,
    detail: Option<String>,
    /// The other rules that exclude it.
    #[serde(default)]
    also: Vec<Obstacle>,
}

/// A rule that excludes a host.
#[derive(Debug, Clone, Deserialize)]
struct Obstacle {
    reason: ReasonText,
    #[serde(default)]
    detail: String,
}

#[derive(Debug, Clone, Deserialize)]
struct Term {
    name: String,
    value: String,
}

impl Decision {
    /// The place in the queue, from 1.
    pub fn place(&self) -> u64 {
        self.ahead.unwrap_or(0).saturating_add(1)
    }

    /// How a command that only asks ends.
    pub fn exit(&self) -> Exit {
        match self.outcome.as_str() {
            "placed" => Exit::Done,
            "waits" => Exit::WouldWait,
            _ => Exit::Refused,
        }
    }
}

/// Asks what would come of a request.
///
/// # Errors
/// When the hub does not answer or refuses to tell.
pub async fn dry_run(
    hub: &Connection,
    what: &str,
    user: Option<&str>,
    name: &ServerName,
    wish: &Wish,
) -> Result<(Answer, Decision), Problem> {
    let mut body = wish.choices();
    if let Some(user) = user {
        body.insert("user".into(), json!(user));
    }
    if !name.is_default() {
        body.insert("server".into(), json!(name));
    }
    let path = api::path(&["berth", "explain"]);
    let answer = api::send(hub, what, Method::POST, &path, Some(&Value::Object(body))).await?;
    let decision = read(what, &answer.body)?;
    Ok((answer, decision))
}

fn read(what: &str, body: &Value) -> Result<Decision, Problem> {
    api::read(what, body.get("decision").unwrap_or(&Value::Null))
}

/// The outcome in one line: `WAITS  place 3: ...`.
pub fn headline(decision: &Decision, dry: bool) -> String {
    let (word, text) = outcome(decision, dry);
    format!("{word}  {text}")
}

fn outcome(decision: &Decision, dry: bool) -> (&'static str, String) {
    let code = &decision.reason.code;
    match (decision.outcome.as_str(), &decision.host) {
        ("placed", Some(host)) => {
            let known = format!("Placed on {host}: ");
            let why = decision.sentence.strip_prefix(&known).unwrap_or(&decision.sentence);
            (if dry { "STARTS" } else { "PLACED" }, format!("on {host}: {why} [{code}]"))
        }
        ("waits", _) => {
            let (place, why) = (decision.place(), &decision.reason.text);
            let span = |from, to| {
                format!(" Half of such waits last {} to {}.", Seconds(from), Seconds(to))
            };
            let estimate = decision.estimate_s.map_or(String::new(), |[from, to]| span(from, to));
            ("WAITS", format!("place {place}: {why}{estimate} [{code}]"))
        }
        // The nearest request that would start has a line of its own.
        _ => {
            let nearest = decision.nearest.first().map_or("", |nearest| nearest.text.as_str());
            let sentence = decision.sentence.strip_suffix(nearest).unwrap_or(&decision.sentence);
            ("REFUSED", format!("{} [{code}]", sentence.trim_end()))
        }
    }
}

/// Writes a decision: for people in sections, for programs as the hub gave it.
pub fn print(
    style: &Style,
    decision: &Decision,
    answer: &Answer,
    dry: bool,
) -> Result<(), Problem> {
    match style.format {
        Format::Table | Format::Wide => {}
        Format::Json | Format::Yaml => return style.value(&answer.body),
        Format::Name => return say(&decision.id),
        Format::Csv => {
            let why = "CSV is for lists, and an explanation is none";
            let advice = "Use -o json or -o yaml.";
            return Err(Problem::new(Exit::Usage, "cannot write the answer", why, advice));
        }
    }
    let (word, text) = outcome(decision, dry);
    let tone = match decision.exit() {
        Exit::Done => Tone::Good,
        Exit::WouldWait => Tone::Watch,
        _ => Tone::Bad,
    };
    section(style, vec![vec![Cell::text(label(word)).toned(tone), Cell::text(text)]])?;
    let Ask { profile, memory, image, gpus, gpu_model } = &decision.ask;
    let who = title(&decision.user, &decision.name);
    let devices = match gpus {
        0 => String::new(),
        gpus => {
            let model = gpu_model.as_ref().map(|model| format!(" {model}")).unwrap_or_default();
            format!("{gpus} GPU{}{model}", text::plural(*gpus as usize))
        }
    };
    let mut asked = vec![who, profile.clone(), memory.to_string(), devices, image.clone()];
    // A refusal for want of a profile comes before memory and image are known.
    asked.retain(|part| !part.is_empty() && *part != ByteCount::ZERO.to_string());
    section(style, vec![vec![Cell::text(label("asked")), Cell::text(asked.join(", "))]])?;
    section(style, labelled("rules", decision.rules.iter().map(rule)))?;
    match &decision.hosts {
        None => {}
        Some(hosts) if hosts.is_empty() => {
            section(style, labelled("hosts", std::iter::once(vec![Cell::text("not looked at")])))?;
        }
        Some(hosts) => section(style, labelled("hosts", host_rows(style, hosts).into_iter()))?,
    }
    section(style, labelled("room", room::sentences(decision).into_iter().map(|it| vec![it])))?;
    section(style, labelled("nearest", decision.nearest.iter().map(nearest)))?;
    let mut last = Vec::new();
    if !decision.reason.remedy.is_empty() {
        last.push(vec![Cell::text(label("remedy")), Cell::text(&decision.reason.remedy)]);
    }
    let id = match decision.at {
        _ if dry => "none; nothing was asked for".to_owned(),
        Some(at) => format!("{} of {}", decision.id, text::local(at, answer.now)),
        None => decision.id.clone(),
    };
    last.push(vec![Cell::text(label("decision")), Cell::text(id)]);
    section(style, last)
}

/// Sections stand below each other, so their labels are of one width.
fn label(text: &str) -> String {
    format!("{text:<9}")
}

fn rule(rule: &Rule) -> Vec<Cell> {
    let verdict = match rule.passed {
        true => Cell::text("ok").toned(Tone::Good),
        false => Cell::text("failed").toned(Tone::Bad),
    };
    let cite = Cell::text(rule.cite.clone().unwrap_or_default());
    let code = Cell::text(rule.reason.clone().unwrap_or_default());
    vec![Cell::text(&rule.text), verdict, cite, code]
}

/// What would help. An administrator can bring a host back; the rest is the person's own choice.
fn nearest(nearest: &Nearest) -> Vec<Cell> {
    let who = if nearest.change == "host" { " <- an administrator can do this" } else { "" };
    vec![Cell::text(format!("{}{who}", nearest.text))]
}

/// Possible hosts that are shown one by one.
const POSSIBLE_SHOWN: usize = 4;

/// All hosts with `-o wide`; else those that fared alike together, and the best of the possible.
fn host_rows(style: &Style, hosts: &[HostLine]) -> Vec<Vec<Cell>> {
    let wide = style.format == Format::Wide;
    let (excluded, possible): (Vec<_>, Vec<_>) =
        hosts.iter().partition(|line| line.reason.is_some());
    let shown = if wide { possible.len() } else { possible.len().min(POSSIBLE_SHOWN) };
    let mut rows: Vec<_> = possible.iter().take(shown).map(|line| possible_row(line)).collect();
    if shown < possible.len() {
        let more = format!("{} more are possible", possible.len() - shown);
        rows.push(vec![Cell::text("..."), Cell::text("possible"), Cell::text(more)]);
    }
    let mut alike: Vec<(&HostLine, usize)> = Vec::new();
    for line in excluded {
        let before = alike.iter_mut().find(|(other, _)| !wide && same_obstacles(line, other));
        match before {
            Some((_, more)) => *more += 1,
            None => alike.push((line, 0)),
        }
    }
    rows.extend(alike.into_iter().map(|(line, more)| excluded_row(line, more, wide)));
    rows
}

fn same_obstacles(line: &HostLine, other: &HostLine) -> bool {
    let code = |line: &HostLine| line.reason.as_ref().map(|reason| reason.code.clone());
    let also =
        |line: &HostLine| -> Vec<_> { line.also.iter().map(|it| it.reason.code.clone()).collect() };
    code(line) == code(other) && line.detail == other.detail && also(line) == also(other)
}

fn possible_row(line: &HostLine) -> Vec<Cell> {
    let tone = if line.verdict == "chosen" { Tone::Good } else { Tone::Plain };
    let terms = line.terms.iter().map(|term| format!("{}: {}", term.name, term.value));
    let terms = terms.collect::<Vec<_>>().join("; ");
    vec![Cell::text(&line.host), Cell::text(&line.verdict).toned(tone), Cell::text(terms)]
}

/// A host that is not possible, with all rules that exclude it.
fn excluded_row(line: &HostLine, more: usize, wide: bool) -> Vec<Cell> {
    let name = if more == 0 { line.host.clone() } else { format!("{} +{more}", line.host) };
    let (code, text) = line.reason.as_ref().map_or(("", ""), |it| (&*it.code, &*it.text));
    let detail = line.detail.as_deref().filter(|detail| !detail.is_empty());
    let mut why = detail.unwrap_or(text).to_owned();
    let also = line.also.iter().map(|it| match (wide, it.detail.as_str()) {
        (false, _) | (true, "") => it.reason.code.clone(),
        (true, detail) => format!("{} ({detail})", it.reason.code),
    });
    let also: Vec<_> = also.collect();
    if !also.is_empty() {
        why = format!("{}; also {}", why.trim_end_matches('.'), also.join(", "));
    }
    vec![Cell::text(name), Cell::text(code).toned(Tone::Bad), Cell::text(why)]
}

/// Rows of which the first has the label.
fn labelled(name: &str, rows: impl Iterator<Item = Vec<Cell>>) -> Vec<Vec<Cell>> {
    rows.enumerate()
        .map(|(index, mut row)| {
            row.insert(0, Cell::text(label(if index == 0 { name } else { "" })));
            row
        })
        .collect()
}

fn section(style: &Style, rows: Vec<Vec<Cell>>) -> Result<(), Problem> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut table = style.wrapped_table();
    for row in &rows {
        table.add_row(row.iter().map(cell).collect::<Vec<TableCell>>());
    }
    say(&lines_of(&table))
}
