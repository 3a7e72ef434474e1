//! `berth quota show [USER]`: how much a person may hold, and holds.

use berth_common::{ByteCount, Username};
use clap::Subcommand;
use serde::Deserialize;

use crate::api;
use crate::args::Common;
use crate::connection::Connection;
use crate::print::{Cell, Column, Listing};
use crate::problem::{Exit, Problem};

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Show each limit, what is held of it, and the line that gives it
    Show(Show),
}

/// Whose.
#[derive(Debug, clap::Args)]
pub struct Show {
    /// Whose; yours if not given
    #[arg(value_name = "USER")]
    user: Option<Username>,
}

#[derive(Debug, Deserialize)]
struct Row {
    resource: String,
    unit: String,
    held: u64,
    limit: Option<u64>,
    cite: Option<String>,
}

impl Row {
    fn amount(&self, value: u64) -> String {
        match self.unit.as_str() {
            "bytes" => ByteCount(value).to_string(),
            _ => value.to_string(),
        }
    }
}

const COLUMNS: &[Column<Row>] = &[
    Column::new("WHAT", "resource", |it: &Row, _| Cell::text(&it.resource)),
    Column::new("HELD", "held", |it: &Row, _| Cell::both(it.amount(it.held), it.held.to_string()))
        .right(),
    Column::new("LIMIT", "limit", |it: &Row, _| match it.limit {
        Some(limit) => Cell::both(it.amount(limit), limit.to_string()),
        None => Cell::both("none", ""),
    })
    .right(),
    Column::new("WHERE", "cite", |it: &Row, _| Cell::maybe(it.cite.as_ref())),
];

/// Asks and prints.
pub async fn run(Verb::Show(args): &Verb, common: &Common) -> Result<Exit, Problem> {
    let what = "show the quota";
    let hub = common.connection()?;
    let user = match &args.user {
        Some(user) => user.to_string(),
        None => own(&hub, what).await?,
    };
    let path = api::path(&["berth", "users", &user, "quota"]);
    let answer = api::get(&hub, what, &path).await?;
    let rows: Vec<Row> = answer.rows(what, "quota")?;
    common.style().list(&Listing {
        json: &answer.body,
        columns: COLUMNS,
        rows: &rows,
        name: |it| it.resource.clone(),
        now: answer.now,
        empty: "",
    })?;
    Ok(Exit::Done)
}

/// The person whose token this is.
async fn own(hub: &Connection, what: &str) -> Result<String, Problem> {
    let (_, me) = api::whoami(hub, what).await?;
    if me.kind == "user" {
        return Ok(me.name);
    }
    let why = format!("{} is no person with servers", me.name);
    Err(Problem::new(Exit::Usage, format!("cannot {what}"), why, "Say whose: quota show USER."))
}
