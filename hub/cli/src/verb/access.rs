//! `berth access show --profile P | --host H`: who may use something, by the site's files.

use berth_common::{HostId, Timestamp};
use clap::Subcommand;
use serde::Deserialize;

use crate::api;
use crate::args::Common;
use crate::print::{Cell, Column, Listing};
use crate::problem::{Exit, Problem};
use crate::text;

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Show who may use a profile, or whose servers a host takes
    Show(Show),
}

/// Of what.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("of").required(true).args(["profile", "host"])))]
pub struct Show {
    /// Of this profile
    #[arg(long, value_name = "PROFILE")]
    profile: Option<String>,
    /// Of this host
    #[arg(long, value_name = "HOST")]
    host: Option<HostId>,
}

#[derive(Debug, Deserialize)]
struct Row {
    rule: String,
    profile: Option<String>,
    users: Vec<String>,
    groups: Vec<String>,
    except_users: Vec<String>,
    #[serde(default, deserialize_with = "api::moment")]
    until: Option<Timestamp>,
    note: Option<String>,
    cite: String,
}

impl Row {
    /// The people in a few words.
    fn people(&self) -> String {
        if self.groups.iter().any(|group| group == "*") && self.except_users.is_empty() {
            return "everybody".to_owned();
        }
        let mut words: Vec<String> = self.users.clone();
        words.extend(self.groups.iter().map(|group| format!("group {group}")));
        let mut text = words.join(", ");
        if !self.except_users.is_empty() {
            text.push_str(&format!(" but not {}", self.except_users.join(", ")));
        }
        text
    }
}

const COLUMNS: &[Column<Row>] = &[
    Column::new("RULE", "rule", |it: &Row, _| Cell::text(&it.rule)),
    Column::new("PROFILE", "profile", |it: &Row, _| Cell::maybe(it.profile.as_ref())),
    Column::new("UNTIL", "until", |it: &Row, now| match it.until {
        Some(at) => Cell::both(text::local(at, now), at.to_string()),
        None => Cell::both("-", ""),
    }),
    Column::new("WHERE", "cite", |it: &Row, _| Cell::text(&it.cite)),
    Column::new("WHO", "people", |it: &Row, _| Cell::text(it.people())),
    Column::new("NOTE", "note", |it: &Row, _| Cell::maybe(it.note.as_ref())).wide(),
];

/// Asks and prints.
pub async fn run(Verb::Show(args): &Verb, common: &Common) -> Result<Exit, Problem> {
    let what = "show who may";
    let hub = common.connection()?;
    let argument = match (&args.profile, &args.host) {
        (Some(profile), _) => format!("profile={}", api::argument(profile)),
        (None, Some(host)) => format!("host={}", api::argument(host.as_str())),
        (None, None) => String::new(),
    };
    let path = format!("{}?{argument}", api::path(&["berth", "access"]));
    let answer = api::get(&hub, what, &path).await?;
    let rows: Vec<Row> = answer.rows(what, "access")?;
    common.style().list(&Listing {
        json: &answer.body,
        columns: COLUMNS,
        rows: &rows,
        name: |it| it.cite.clone(),
        now: answer.now,
        empty: "No rule names anybody: every valid account may.",
    })?;
    Ok(Exit::Done)
}
