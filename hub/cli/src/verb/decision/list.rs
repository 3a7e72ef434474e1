//! `berth decision list`.

use berth_common::{ByteCount, Timestamp, Username};
use serde::Deserialize;
use serde_json::Value;

use crate::api::{self, ReasonText};
use crate::args::{Common, Moment};
use crate::print::{Cell, Column, Listing};
use crate::problem::{Exit, Problem};
use crate::verb::server::title;

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only of this person; yours if you are no administrator
    #[arg(long, value_name = "USER")]
    user: Option<Username>,
    /// Only since then: 90m, 7d, or a moment
    #[arg(long, value_name = "TIME", default_value = "7d")]
    since: Moment,
    /// At most so many
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    limit: u32,
}

#[derive(Debug, Deserialize)]
struct Decision {
    id: String,
    #[serde(default, deserialize_with = "api::moment")]
    at: Option<Timestamp>,
    user: String,
    name: String,
    ask: Ask,
    outcome: String,
    reason: ReasonText,
    host: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Ask {
    profile: String,
    memory: ByteCount,
    #[serde(default)]
    gpus: u32,
}

const COLUMNS: &[Column<Decision>] = &[
    Column::new("ID", "id", |it: &Decision, _| Cell::text(&it.id)),
    Column::new("AT", "at", |it: &Decision, now| Cell::moment(it.at, now)),
    Column::new("SERVER", "", |it: &Decision, _| Cell::text(title(&it.user, &it.name))).people(),
    Column::programs("user", |it: &Decision, _| Cell::text(&it.user)),
    Column::programs("name", |it: &Decision, _| Cell::text(&it.name)),
    Column::new("PROFILE", "profile", |it: &Decision, _| Cell::text(&it.ask.profile)),
    Column::new("MEM", "memory_bytes", |it: &Decision, _| Cell::bytes(Some(it.ask.memory))).right(),
    Column::new("GPUS", "gpus", |it: &Decision, _| Cell::text(it.ask.gpus.to_string()))
        .right()
        .wide(),
    Column::programs("outcome", |it: &Decision, _| Cell::text(&it.outcome)),
    Column::new("HOST", "host", |it: &Decision, _| Cell::maybe(it.host.as_ref())),
    Column::new("REASON", "reason", |it: &Decision, _| Cell::text(&it.reason.code)),
];

/// Asks and prints.
pub async fn run(args: &Args, common: &Common) -> Result<Exit, Problem> {
    let what = "list decisions";
    let hub = common.connection()?;
    let since = args.since.before(Timestamp::from_millis(jiff::Timestamp::now().as_millisecond()));
    let mut path = api::path(&["berth", "decisions"]);
    path.push_str(&format!("?since={since}&limit={}", args.limit));
    if let Some(user) = &args.user {
        path.push_str(&format!("&user={user}"));
    }
    let answer = api::get(&hub, what, &path).await?;
    let rows: Vec<Decision> =
        api::read(what, answer.body.get("decisions").unwrap_or(&Value::Null))?;
    common.style().list(&Listing {
        json: &answer.body,
        columns: COLUMNS,
        rows: &rows,
        name: |it| it.id.clone(),
        now: answer.now,
        empty: "Nothing was decided in that time.",
    })?;
    Ok(Exit::Done)
}
