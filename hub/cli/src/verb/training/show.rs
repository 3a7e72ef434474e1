//! `berth training show NAME`.

use berth_common::{ByteCount, Timestamp};
use serde::Deserialize;
use serde_json::Value;

use super::{Training, list};
use crate::api::{self, ReasonText};
use crate::args::Common;
use crate::print::{Cell, Column, Listing, Style, note, reason, say};
use crate::problem::{Exit, Problem};
use crate::text;

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The training's name
    #[arg(value_name = "TRAINING")]
    pub name: String,
}

#[derive(Debug, Deserialize)]
struct Shown {
    #[serde(flatten)]
    training: Training,
    memory: ByteCount,
    image: Option<String>,
    overflow: Option<String>,
    instructors: Vec<String>,
    orders: Vec<Order>,
    participants: Vec<Participant>,
    file: String,
    line: u32,
}

#[derive(Debug, Deserialize)]
struct Order {
    open: bool,
    #[serde(default, deserialize_with = "api::moment")]
    from: Option<Timestamp>,
    #[serde(default, deserialize_with = "api::moment")]
    to: Option<Timestamp>,
    who: String,
    reason: String,
}

#[derive(Debug, Deserialize)]
struct Participant {
    user: String,
    known: bool,
    state: String,
    reason: Option<ReasonText>,
    #[serde(default, deserialize_with = "api::moment")]
    last_activity: Option<Timestamp>,
    memory: Memory,
}

#[derive(Debug, Deserialize)]
struct Memory {
    limit: Option<ByteCount>,
    used: Option<ByteCount>,
}

const COLUMNS: &[Column<Participant>] = &[
    Column::new("USER", "user", |it: &Participant, _| Cell::text(&it.user)),
    Column::new("STATE", "state", |it: &Participant, _| match (it.state.as_str(), it.known) {
        ("absent", true) => Cell::both("no server", "absent"),
        ("absent", false) => Cell::both("never here", "absent"),
        (state, _) => Cell::state(state),
    }),
    Column::new("MEM USED", "", |it: &Participant, _| match (it.memory.used, it.memory.limit) {
        (Some(used), Some(limit)) => Cell::text(text::of(used, limit)),
        _ => Cell::maybe(None::<&str>),
    })
    .right()
    .people(),
    Column::programs("memory_used", |it: &Participant, _| Cell::bytes(it.memory.used)),
    Column::programs("memory_limit", |it: &Participant, _| Cell::bytes(it.memory.limit)),
    Column::new("ACTIVE", "last_activity", |it: &Participant, now| {
        Cell::ago(it.last_activity, now)
    })
    .right(),
    Column::new("REASON", "reason", |it: &Participant, _| match &it.reason {
        Some(why) => Cell::both(reason(&why.code, &why.text), &why.code),
        None => Cell::both("", ""),
    }),
];

/// Asks and prints.
pub async fn run(args: &Args, common: &Common) -> Result<Exit, Problem> {
    let what = format!("show the training {}", args.name);
    let hub = common.connection()?;
    let path = api::path(&["berth", "trainings", &args.name]);
    let answer = api::get(&hub, &what, &path).await?;
    let shown: Shown = api::read(&what, answer.body.get("training").unwrap_or(&Value::Null))?;
    let style = common.style();
    let people = Listing {
        json: &answer.body,
        columns: COLUMNS,
        rows: &shown.participants,
        name: |it| it.user.clone(),
        now: answer.now,
        empty: "Nobody who takes part is known by name yet.",
    };
    if !style.is_for_programs() {
        head(&shown, answer.now, &style, &people)?;
        say("")?;
    }
    style.list(&people)?;
    if !style.is_for_programs() && shown.participants.iter().any(|it| !it.known) {
        note("never here: no account of that name is known before its first login.");
    }
    Ok(Exit::Done)
}

fn head(
    shown: &Shown,
    now: Timestamp,
    style: &Style,
    row: &Listing<'_, Participant>,
) -> Result<(), Problem> {
    let Shown { training, memory, image, overflow, .. } = shown;
    let moment = |at: Option<Timestamp>| at.map(|at| text::local(at, now)).unwrap_or_default();
    let state = match (training.opens, training.closes) {
        (_, Some(closes)) => format!("open until {}", text::local(closes, now)),
        (Some(opens), _) => format!("opens {}", text::local(opens, now)),
        _ => training.state.clone(),
    };
    let image = image.as_deref().unwrap_or("-");
    let overflow = overflow.as_ref().map(|it| format!(", {it} if a host is down"));
    let expected = training.expected.unwrap_or_default();
    let mut lines = vec![
        ("training", Cell::text(format!("{} ({})", training.name, training.title))),
        ("state", list::state(&training.state).with_text(&state)),
        ("dates", Cell::text(format!("{} to {}", moment(training.from), moment(training.to)))),
        (
            "people",
            Cell::text(format!(
                "{} connected of {expected} expected",
                training.connected.unwrap_or_default()
            )),
        ),
        ("teaching", Cell::text(shown.instructors.join(", "))),
        ("server", Cell::text(format!("{memory}, image {image}"))),
        ("pool", Cell::text(format!("{}{}", training.pool, overflow.unwrap_or_default()))),
        ("file", Cell::text(format!("{}:{}", shown.file, shown.line))),
    ];
    for order in &shown.orders {
        let verb = if order.open { "open" } else { "closed" };
        let span = format!("{verb} {} to {}", moment(order.from), moment(order.to));
        lines.push(("ordered", Cell::text(format!("{span}: {} ({})", order.reason, order.who))));
    }
    style.sheet(lines, row)
}
