//! `berth explain`: the record of a decision, rule by rule and host by host.

use berth_common::{ByteCount, ServerName, Timestamp};
use clap::Subcommand;
use comfy_table::Cell as TableCell;
use http::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::api::{self, ReasonText};
use crate::args::{Common, Wish};
use crate::connection::{Answer, Connection};
use crate::print::{Cell, Format, Style, Tone, cell, lines_of, say};
use crate::problem::{Exit, Problem};
use crate::text;
use crate::verb::server::title;

mod decision;
mod request;
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
}

/// Does what the verb says.
pub async fn run(verb: &Verb, common: &Common) -> Result<Exit, Problem> {
    match verb {
        Verb::Request(args) => request::run(args, common).await,
        Verb::Server(args) => server::run(args, common).await,
        Verb::Decision(args) => decision::run(args, common).await,
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
    nearest_memory: Option<ByteCount>,
    rules: Vec<Rule>,
    /// Told to administrators only.
    hosts: Option<Vec<HostLine>>,
}

#[derive(Debug, Clone, Deserialize)]
struct Ask {
    profile: String,
    memory: ByteCount,
    image: String,
}

#[derive(Debug, Clone, Deserialize)]
struct Rule {
    text: String,
    passed: bool,
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
    fn exit(&self) -> Exit {
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
    let mut body = Map::new();
    if let Some(user) = user {
        body.insert("user".into(), json!(user));
    }
    if !name.is_default() {
        body.insert("server".into(), json!(name));
    }
    if let Some(profile) = &wish.profile {
        body.insert("profile".into(), json!(profile));
    }
    if let Some(memory) = wish.memory {
        body.insert("memory".into(), json!(memory));
    }
    if let Some(image) = &wish.image {
        body.insert("image".into(), json!(image));
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
            ("WAITS", format!("place {place}: {why} [{code}]"))
        }
        // The nearest request that would start has a line of its own.
        _ => {
            let sentence = decision.sentence.as_str();
            let end = sentence.find(" A server with ").unwrap_or(sentence.len());
            ("REFUSED", format!("{} [{code}]", sentence.get(..end).unwrap_or(sentence)))
        }
    }
}

/// Writes a decision: for people in sections, for programs as the hub gave it.
fn print(style: Style, decision: &Decision, answer: &Answer, dry: bool) -> Result<(), Problem> {
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
    let Ask { profile, memory, image } = &decision.ask;
    let who = title(&decision.user, &decision.name);
    let mut asked = vec![who, profile.clone(), memory.to_string(), image.clone()];
    // A refusal for want of a profile comes before memory and image are known.
    asked.retain(|part| !part.is_empty() && *part != ByteCount::ZERO.to_string());
    section(style, vec![vec![Cell::text(label("asked")), Cell::text(asked.join(", "))]])?;
    section(style, labelled("rules", decision.rules.iter().map(rule)))?;
    match &decision.hosts {
        None => {}
        Some(hosts) if hosts.is_empty() => {
            section(style, labelled("hosts", std::iter::once(vec![Cell::text("not looked at")])))?;
        }
        Some(hosts) => section(style, labelled("hosts", hosts.iter().map(host)))?,
    }
    let mut last = Vec::new();
    if let Some(nearest) = decision.nearest_memory {
        let text =
            format!("a server with {nearest} {} now", if dry { "starts" } else { "would start" });
        last.push(vec![Cell::text(label("nearest")), Cell::text(text)]);
    }
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
        false => Cell::text("no").toned(Tone::Bad),
    };
    vec![Cell::text(&rule.text), verdict, Cell::text(rule.cite.clone().unwrap_or_default())]
}

fn host(line: &HostLine) -> Vec<Cell> {
    let name = Cell::text(&line.host);
    match &line.reason {
        Some(reason) => {
            let detail = line.detail.as_deref().filter(|detail| !detail.is_empty());
            let code = Cell::text(&reason.code).toned(Tone::Bad);
            vec![name, code, Cell::text(detail.unwrap_or(&reason.text))]
        }
        None => {
            let tone = if line.verdict == "chosen" { Tone::Good } else { Tone::Plain };
            let terms = line.terms.iter().map(|term| format!("{}: {}", term.name, term.value));
            let terms = terms.collect::<Vec<_>>().join("; ");
            vec![name, Cell::text(&line.verdict).toned(tone), Cell::text(terms)]
        }
    }
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

fn section(style: Style, rows: Vec<Vec<Cell>>) -> Result<(), Problem> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut table = style.wrapped_table();
    for row in &rows {
        table.add_row(row.iter().map(cell).collect::<Vec<TableCell>>());
    }
    say(&lines_of(&table))
}
