//! `berth notice`: what people should know for a while.

use berth_common::Timestamp;
use clap::{Subcommand, ValueEnum};
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api;
use crate::args::{Common, Moment};
use crate::connection::Answer;
use crate::print::{Cell, Column, Listing, Tone, say};
use crate::problem::{Exit, Problem, plain};
use crate::text;
use crate::verb::confirm::Sure;
use crate::verb::take_back;

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List notices that are shown or will be
    List(List),
    /// Tell people something, on their pages and inside JupyterLab
    Add(Add),
    /// Show a notice no more
    End(take_back::Args),
}

/// No options.
#[derive(Debug, clap::Args)]
pub struct List {}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Level {
    Info,
    Warning,
}

/// A new notice.
#[derive(Debug, clap::Args)]
pub struct Add {
    /// all (default), users:, group:, pool:, host:, training:
    #[arg(long, value_name = "WHOM", default_value = "all", hide_default_value = true)]
    to: String,
    /// info or warning
    #[arg(long, value_enum, default_value = "info", value_name = "LEVEL")]
    #[arg(hide_possible_values = true)]
    level: Level,
    /// From then on: 2h, "friday 18:00"; now if not given
    #[arg(long, value_name = "TIME")]
    from: Option<Moment>,
    /// Until then
    #[arg(long, value_name = "TIME", default_value = "1d")]
    until: Moment,
    /// What people read, in English
    #[arg(long, value_name = "TEXT")]
    text_en: String,
    /// The same in French
    #[arg(long, value_name = "TEXT")]
    text_fr: Option<String>,
    /// Whom it is for are to say that they have read it
    #[arg(long)]
    must_read: bool,
    #[command(flatten)]
    sure: Sure,
}

#[derive(Debug, Deserialize)]
struct Notice {
    id: i64,
    to: String,
    level: String,
    #[serde(default, deserialize_with = "api::moment")]
    from: Option<Timestamp>,
    #[serde(default, deserialize_with = "api::moment")]
    until: Option<Timestamp>,
    shown: bool,
    en: String,
    #[serde(default)]
    must_read: bool,
    who: String,
}

const COLUMNS: &[Column<Notice>] = &[
    Column::new("ID", "id", |it: &Notice, _| Cell::text(it.id.to_string())).right(),
    Column::new("TO", "to", |it: &Notice, _| Cell::text(&it.to)),
    Column::new("LEVEL", "level", |it: &Notice, _| {
        let tone = if it.level == "warning" { Tone::Watch } else { Tone::Plain };
        Cell::text(&it.level).toned(tone)
    }),
    Column::new("SHOWN", "shown", |it: &Notice, now| match it.shown {
        true => Cell::both("now", "true"),
        false => Cell::both(it.from.map(|at| text::local(at, now)).unwrap_or_default(), "false"),
    }),
    Column::new("UNTIL", "until", |it: &Notice, now| Cell::moment(it.until, now)),
    Column::programs("from", |it: &Notice, now| Cell::moment(it.from, now)),
    Column::new("WHO", "who", |it: &Notice, _| Cell::text(&it.who)),
    Column::new("TEXT", "text", |it: &Notice, _| Cell::text(&it.en)),
    Column::programs("must_read", |it: &Notice, _| Cell::text(it.must_read.to_string())),
];

const END: take_back::Kind = take_back::Kind {
    verb: "end the notice",
    noun: "Notice",
    path: "site-notices",
    list: "notices",
    done: "shown no more",
};

/// Does what the verb says.
pub async fn run(verb: &Verb, common: &Common) -> Result<Exit, Problem> {
    match verb {
        Verb::List(_) => list(common).await,
        Verb::Add(args) => add(args, common).await,
        Verb::End(args) => take_back::run(args, &END, common).await,
    }
}

async fn list(common: &Common) -> Result<Exit, Problem> {
    let path = api::path(&["berth", "site-notices"]);
    let answer = api::get(&common.connection()?, "list notices", &path).await?;
    let rows = answer.rows("list notices", "notices")?;
    table(&answer, &rows, common)
}

fn table(answer: &Answer, rows: &[Notice], common: &Common) -> Result<Exit, Problem> {
    common.style().list(&Listing {
        json: &answer.body,
        columns: COLUMNS,
        rows,
        name: |it| it.id.to_string(),
        now: answer.now,
        empty: "No notice is shown, and none is planned.",
    })?;
    Ok(Exit::Done)
}

async fn add(args: &Add, common: &Common) -> Result<Exit, Problem> {
    let what = "add the notice";
    let now = Timestamp::from_millis(jiff::Timestamp::now().as_millisecond());
    let level = match args.level {
        Level::Info => "info",
        Level::Warning => "warning",
    };
    let mut body = json!({
        "to": args.to,
        "level": level,
        "until": args.until.after(now).to_string(),
        "en": args.text_en,
        "dry_run": args.sure.dry_run,
    });
    if let Some(from) = &args.from {
        body["from"] = json!(from.after(now).to_string());
    }
    if let Some(text) = &args.text_fr {
        body["fr"] = json!(text);
    }
    // An older hub refuses what it does not know.
    if args.must_read {
        body["must_read"] = json!(true);
    }
    if !args.sure.dry_run {
        args.sure.ask(&format!("Show this to {}?", args.to), "Nothing is shown")?;
    }
    let hub = common.connection()?;
    let path = api::path(&["berth", "site-notices"]);
    let answer = api::send(&hub, what, Method::POST, &path, Some(&body)).await?;
    let notice: Notice = api::read(what, answer.body.get("notice").unwrap_or(&Value::Null))?;
    let exit = if args.sure.dry_run { args.sure.looked() } else { Exit::Done };
    if common.style().is_for_programs() {
        table(&answer, &[notice], common)?;
        return Ok(exit);
    }
    let until = notice.until.map(|at| text::local(at, answer.now)).unwrap_or_default();
    let from = match notice.shown {
        true => "now".to_owned(),
        false => notice.from.map(|at| text::local(at, answer.now)).unwrap_or_default(),
    };
    if args.sure.dry_run {
        say("DRY RUN - nothing is changed")?;
        say(&plain(&format!("A notice to {} would be shown from {from} to {until}.", notice.to)))?;
        return Ok(exit);
    }
    let id = notice.id;
    say(&plain(&format!("Notice {id} to {} is shown from {from} to {until}.", notice.to)))?;
    Ok(Exit::Done)
}
