//! `berth audit`: who did what.

use berth_common::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::api;
use crate::args::{Common, Moment};
use crate::print::{Cell, Column, Listing};
use crate::problem::{Exit, Problem};

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only what was done to this person
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// Only what this one did: an account, or local-admin
    #[arg(long, value_name = "ACTOR")]
    actor: Option<String>,
    /// Only acts of this kind, e.g. enter-server
    #[arg(long, value_name = "ACTION")]
    action: Option<String>,
    /// Only since then: 90m, 7d, or a moment
    #[arg(long, value_name = "TIME", default_value = "7d")]
    since: Moment,
    /// At most so many, the newest
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    limit: u32,
    /// Only those before this number, for the next page
    #[arg(long, value_name = "ID")]
    before: Option<i64>,
}

#[derive(Debug, Deserialize)]
struct Act {
    id: i64,
    #[serde(default, deserialize_with = "api::moment")]
    at: Option<Timestamp>,
    actor: String,
    action: String,
    user: Option<String>,
    #[serde(default)]
    from: String,
    #[serde(default)]
    subject: String,
    #[serde(default)]
    reason: String,
}

const COLUMNS: &[Column<Act>] = &[
    Column::new("ID", "id", |it: &Act, _| Cell::text(it.id.to_string())).wide(),
    Column::new("AT", "at", |it: &Act, now| Cell::moment(it.at, now)),
    Column::new("ACTOR", "actor", |it: &Act, _| Cell::text(&it.actor)),
    Column::new("ACTION", "action", |it: &Act, _| Cell::text(&it.action)),
    Column::new("USER", "user", |it: &Act, _| Cell::maybe(it.user.as_ref())),
    Column::new("SUBJECT", "subject", |it: &Act, _| Cell::maybe(text(&it.subject))),
    Column::new("FROM", "from", |it: &Act, _| Cell::maybe(text(&it.from))).wide(),
    Column::new("REASON", "reason", |it: &Act, _| Cell::maybe(text(&it.reason))),
];

fn text(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// Asks and prints.
pub async fn run(args: &Args, common: &Common) -> Result<Exit, Problem> {
    let what = "read the audit";
    let hub = common.connection()?;
    let since = args.since.before(Timestamp::from_millis(jiff::Timestamp::now().as_millisecond()));
    let mut path = api::path(&["berth", "audit"]);
    path.push_str(&format!("?since={since}&limit={}", args.limit));
    let filters = [("user", &args.user), ("actor", &args.actor), ("action", &args.action)];
    for (name, value) in filters {
        if let Some(value) = value {
            path.push_str(&format!("&{name}={}", api::argument(value)));
        }
    }
    if let Some(before) = args.before {
        path.push_str(&format!("&before={before}"));
    }
    let answer = api::get(&hub, what, &path).await?;
    let rows: Vec<Act> = api::read(what, answer.body.get("audit").unwrap_or(&Value::Null))?;
    common.style().list(&Listing {
        json: &answer.body,
        columns: COLUMNS,
        rows: &rows,
        name: |it| it.id.to_string(),
        now: answer.now,
        empty: "Nobody did any of this in that time.",
    })?;
    Ok(Exit::Done)
}
