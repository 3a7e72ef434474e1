//! `berth whois USER`: what the account directory says of somebody, source by source.

use berth_common::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::api;
use crate::args::Common;
use crate::print::{Cell, Column, Listing, reason};
use crate::problem::{Exit, Problem};
use crate::text;

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The account's name
    #[arg(value_name = "USER")]
    pub user: String,
}

#[derive(Debug, Deserialize)]
struct Account {
    name: String,
    standing: String,
    reason: Option<String>,
    why: String,
    account: Option<Numbers>,
    known_here: bool,
    admin: bool,
    #[serde(default, deserialize_with = "api::moment")]
    invalid_since: Option<Timestamp>,
    sources: Vec<Source>,
    identities: Vec<Identity>,
}

#[derive(Debug, Deserialize)]
struct Numbers {
    uid: u32,
    gid: u32,
    home: String,
    groups: Vec<Group>,
}

#[derive(Debug, Deserialize)]
struct Group {
    name: String,
    gid: u32,
}

#[derive(Debug, Deserialize)]
struct Source {
    source: String,
    knows: bool,
    #[serde(default, deserialize_with = "api::moment")]
    at: Option<Timestamp>,
    down: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Identity {
    issuer: String,
    subject: String,
}

const COLUMNS: &[Column<Account>] = &[
    Column::new("USER", "name", |account, _| Cell::text(&account.name)),
    Column::new("STANDING", "standing", |account, _| Cell::text(&account.standing)),
    Column::new("ADMIN", "admin", |account, _| Cell::yes(account.admin)),
    Column::new("WHY", "why", |account, _| Cell::text(&account.why)),
];

/// Asks and prints.
pub async fn run(args: &Args, common: &Common) -> Result<Exit, Problem> {
    let what = format!("look up {}", args.user);
    let hub = common.connection()?;
    let path = api::path(&["berth", "users", &args.user, "account"]);
    let answer = api::get(&hub, &what, &path).await?;
    let account: Account = api::read(&what, answer.body.get("account").unwrap_or(&Value::Null))?;
    let lines = sheet(&account, answer.now);
    common.style().sheet(
        lines,
        &Listing {
            json: &answer.body,
            columns: COLUMNS,
            rows: std::slice::from_ref(&account),
            name: |account| account.name.clone(),
            now: answer.now,
            empty: "",
        },
    )?;
    Ok(Exit::Done)
}

fn sheet(account: &Account, now: Timestamp) -> Vec<(&'static str, Cell)> {
    let mut lines =
        vec![("user", Cell::text(&account.name)), ("account", Cell::text(&account.standing))];
    if let Some(code) = &account.reason {
        lines.push(("reason", Cell::text(reason(code, &account.why))));
    }
    if let Some(since) = account.invalid_since {
        lines.push(("since", Cell::text(text::local(since, now))));
    }
    if let Some(Numbers { uid, gid, home, groups }) = &account.account {
        lines.push(("uid", Cell::text(uid.to_string())));
        lines.push(("gid", Cell::text(gid.to_string())));
        lines.push(("home", Cell::text(home)));
        // What has no number gives rights and is no group on the hosts.
        let group = |group: &Group| match group.gid {
            0 => group.name.clone(),
            gid => format!("{}:{gid}", group.name),
        };
        let groups: Vec<_> = groups.iter().map(group).collect();
        lines.push(("groups", Cell::text(groups.join(" "))));
    }
    lines.push(("admin", Cell::yes(account.admin)));
    lines.push(("was here", Cell::yes(account.known_here)));
    for source in &account.sources {
        let said = if source.knows { "knows the account" } else { "does not know the account" };
        let age = source.at.map(|at| format!(", {} ago", text::ago(at, now))).unwrap_or_default();
        let down = source.down.as_ref().map(|why| format!("; down: {why}")).unwrap_or_default();
        lines.push(("source", Cell::text(format!("{} {said}{age}{down}", source.source))));
    }
    for Identity { issuer, subject } in &account.identities {
        lines.push(("identity", Cell::text(format!("{subject} of {issuer}"))));
    }
    lines
}
