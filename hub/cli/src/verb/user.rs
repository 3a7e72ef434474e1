//! `berth user`: accounts.

use std::path::PathBuf;

use berth_common::Timestamp;
use clap::Subcommand;
use serde::Deserialize;
use serde_json::Value;

use super::login::{ask_password, password_in};
use crate::api;
use crate::args::Common;
use crate::print::{Cell, Column, note, say};
use crate::problem::{Exit, Problem};

mod add;
mod link;
mod list;
mod password;

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make an account
    Add(add::Args),
    /// List accounts
    List(list::Args),
    /// Set a password
    Password(password::Args),
    /// Let an identity of the provider log in as an account
    Link(link::Args),
    /// No longer let it
    Unlink(link::Args),
}

/// Does what the verb says.
pub async fn run(verb: &Verb, common: &Common) -> Result<Exit, Problem> {
    match verb {
        Verb::Add(args) => add::run(args, common).await,
        Verb::List(args) => list::run(args, common).await,
        Verb::Password(args) => password::run(args, common).await,
        Verb::Link(args) => link::run(args, common).await,
        Verb::Unlink(args) => link::undo(args, common).await,
    }
}

#[derive(Debug, Deserialize)]
struct User {
    name: String,
    uid: u32,
    gid: u32,
    groups: Vec<Group>,
    home: String,
    admin: bool,
    #[serde(default, deserialize_with = "api::moment")]
    created: Option<Timestamp>,
    #[serde(default, deserialize_with = "api::moment")]
    last_activity: Option<Timestamp>,
}

#[derive(Debug, Deserialize)]
struct Group {
    name: String,
    gid: u32,
}

const COLUMNS: &[Column<User>] = &[
    Column::new("USER", "name", |user: &User, _| Cell::text(&user.name)),
    Column::new("UID", "uid", |user: &User, _| Cell::text(user.uid.to_string())).right(),
    Column::new("GID", "gid", |user: &User, _| Cell::text(user.gid.to_string())).right(),
    Column::new("HOME", "home", |user: &User, _| Cell::text(&user.home)),
    Column::new("ADMIN", "admin", |user: &User, _| Cell::yes(user.admin)),
    Column::new("LAST SEEN", "last_activity", |user: &User, now| {
        Cell::ago(user.last_activity, now)
    }),
    Column::new("CREATED", "created", |user: &User, now| Cell::moment(user.created, now)).wide(),
    Column::new("GROUPS", "groups", |user: &User, _| {
        // What has no number gives rights and is no group on the hosts.
        let groups = user.groups.iter().map(|group| match group.gid {
            0 => group.name.clone(),
            gid => format!("{}:{gid}", group.name),
        });
        Cell::text(groups.collect::<Vec<_>>().join(" "))
    })
    .wide(),
];

/// Where a new password comes from. The hub makes one if none is given.
#[derive(Debug, clap::Args)]
struct NewPassword {
    /// A file with it (-: stdin); else one is made
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Ask for the password on the terminal
    #[arg(long, conflicts_with = "password_file")]
    ask_password: bool,
}

impl NewPassword {
    fn read(&self, what: &str) -> Result<Option<String>, Problem> {
        if let Some(path) = &self.password_file {
            return password_in(path, what).map(Some);
        }
        if !self.ask_password {
            return Ok(None);
        }
        let password = ask_password(what, "New password: ")?;
        if password == ask_password(what, "Again: ")? {
            return Ok(Some(password));
        }
        let why = "the two passwords are not the same";
        Err(Problem::new(Exit::Usage, format!("cannot {what}"), why, "Try again."))
    }
}

/// Prints the hub's answer, with the password if the hub made one.
fn print(common: &Common, done: &str, answer: &Value) -> Result<(), Problem> {
    let style = common.style();
    let made = answer.get("password").and_then(Value::as_str);
    if common.quiet {
        return made.map_or(Ok(()), say);
    }
    if style.is_for_programs() {
        return style.value(answer);
    }
    note(done);
    if let Some(password) = made {
        say(password)?;
        note("This is the password. It is not shown again.");
    }
    Ok(())
}
