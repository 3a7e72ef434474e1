//! `berth usage`: what people and groups used over time.

use berth_common::{Seconds, Timestamp};
use clap::ValueEnum;
use serde::Deserialize;
use serde_json::Value;

use crate::api;
use crate::args::{Common, Span};
use crate::print::{Cell, Column, Listing};
use crate::problem::{Exit, Problem};

/// What the amounts are added up by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum By {
    User,
    Group,
}

/// A calendar month.
#[derive(Debug, Clone, Copy)]
struct Month(jiff::civil::Date);

impl std::str::FromStr for Month {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let day = format!("{text}-01").parse();
        day.map(Self).map_err(|_| "write a month as 2026-05")
    }
}

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// By user, or by group (administrators)
    #[arg(long, value_enum, default_value = "user", value_name = "user|group")]
    #[arg(hide_possible_values = true)]
    by: By,
    /// Of this month, in UTC: 2026-05
    #[arg(long, value_name = "MONTH", conflicts_with = "since")]
    month: Option<Month>,
    /// Of so long until now
    #[arg(long, value_name = "SPAN", default_value = "30d")]
    since: Span,
}

#[derive(Debug, Deserialize)]
struct Row {
    name: String,
    server_hours: f64,
    gib_hours: f64,
    gib_hours_used: f64,
    gpu_hours: f64,
    /// A hub of before did not tell.
    #[serde(default)]
    gpu_hours_used: f64,
    group: Option<String>,
    users: Option<u64>,
}

const SERVERS: Column<Row> =
    Column::new("SERVER HOURS", "server_hours", |it: &Row, _| hours(it.server_hours)).right();
const MEMORY: Column<Row> =
    Column::new("GB HOURS", "gib_hours", |it: &Row, _| hours(it.gib_hours)).right();
const USED: Column<Row> =
    Column::new("GB USED", "gib_hours_used", |it: &Row, _| hours(it.gib_hours_used)).right();
const GPUS: Column<Row> =
    Column::new("GPU HOURS", "gpu_hours", |it: &Row, _| hours(it.gpu_hours)).right();
const AT_WORK: Column<Row> =
    Column::new("GPU USED", "gpu_hours_used", |it: &Row, _| hours(it.gpu_hours_used)).right();

const BY_USER: &[Column<Row>] = &[
    Column::new("USER", "user", |it: &Row, _| Cell::text(&it.name)),
    Column::new("GROUP", "group", |it: &Row, _| Cell::maybe(it.group.as_ref())),
    SERVERS,
    MEMORY,
    USED,
    GPUS,
    AT_WORK,
];

const BY_GROUP: &[Column<Row>] = &[
    Column::new("GROUP", "group", |it: &Row, _| Cell::text(&it.name)),
    Column::new("USERS", "users", |it: &Row, _| Cell::maybe(it.users.map(|it| it.to_string())))
        .right(),
    SERVERS,
    MEMORY,
    USED,
    GPUS,
    AT_WORK,
];

fn hours(hours: f64) -> Cell {
    Cell::text(format!("{hours:.1}"))
}

/// Asks and prints, the largest first.
pub async fn run(args: &Args, common: &Common) -> Result<Exit, Problem> {
    let what = "tell what was used";
    let hub = common.connection()?;
    let by = match args.by {
        By::User => "user",
        By::Group => "group",
    };
    let (from, to) = window(args);
    let mut path = format!("{}?by={by}&from={from}", api::path(&["berth", "usage"]));
    if let Some(to) = to {
        path.push_str(&format!("&to={to}"));
    }
    let answer = api::get(&hub, what, &path).await?;
    let rows = answer.body.get("usage").and_then(|usage| usage.get("rows"));
    let mut rows: Vec<Row> = api::read(what, rows.unwrap_or(&Value::Null))?;
    rows.sort_by(|a, b| b.gib_hours.total_cmp(&a.gib_hours).then_with(|| a.name.cmp(&b.name)));
    common.style().list(&Listing {
        json: &answer.body,
        columns: if args.by == By::User { BY_USER } else { BY_GROUP },
        rows: &rows,
        name: |row| row.name.clone(),
        now: answer.now,
        empty: "Nothing was used.",
    })?;
    Ok(Exit::Done)
}

/// The first moment, and the end if it is not now.
fn window(args: &Args) -> (Timestamp, Option<Timestamp>) {
    let midnight = |day: jiff::civil::Date| {
        let zoned = day.to_zoned(jiff::tz::TimeZone::UTC);
        zoned.map_or(Timestamp(0), |it| Timestamp::from_millis(it.timestamp().as_millisecond()))
    };
    match args.month {
        Some(Month(first)) => {
            (midnight(first), Some(midnight(first.last_of_month().tomorrow().unwrap_or(first))))
        }
        None => {
            let Span(Seconds(span)) = args.since;
            let now = jiff::Timestamp::now().as_millisecond();
            let span = i64::try_from(span).unwrap_or(i64::MAX).saturating_mul(1000);
            (Timestamp::from_millis(now.saturating_sub(span)), None)
        }
    }
}
