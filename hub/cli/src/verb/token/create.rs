//! `berth token create`.

use http::Method;
use serde_json::{Map, Value, json};

use super::{COLUMNS, Owner, Token};
use crate::api;
use crate::args::{Common, Span};
use crate::print::{Listing, note, say, versioned};
use crate::problem::{Exit, Problem};
use crate::text;
use crate::verb::confirm::Sure;

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// When it ends by itself, e.g. 30d; never if not given
    #[arg(long, value_name = "TIME")]
    expires_in: Option<Span>,
    /// What it allows, e.g. read:servers; else all
    #[arg(long, value_name = "SCOPE", num_args = 1..)]
    scope: Vec<String>,
    #[command(flatten)]
    owner: Owner,
    #[command(flatten)]
    sure: Sure,
}

/// Makes it and prints it.
pub async fn run(args: &Args, common: &Common) -> Result<Exit, Problem> {
    let what = "make a token";
    let hub = common.connection()?;
    let user = api::person(&hub, what, args.owner.user.as_ref()).await?;
    let would = format!("{user} would have one token more.");
    if let Some(exit) = args.sure.only_looks(&would)? {
        return Ok(exit);
    }
    let mut body = Map::new();
    if let Some(note) = &args.note {
        body.insert("note".into(), json!(note));
    }
    if let Some(Span(seconds)) = args.expires_in {
        body.insert("expires_in".into(), json!(seconds));
    }
    if !args.scope.is_empty() {
        body.insert("scopes".into(), json!(args.scope));
    }
    let path = api::path(&["users", &user, "tokens"]);
    let answer = api::send(&hub, what, Method::POST, &path, Some(&Value::Object(body))).await?;
    let token: Token = api::read(what, &answer.body)?;
    let secret = token.token.as_deref().unwrap_or_default();
    if common.quiet {
        say(secret)?;
        return Ok(Exit::Done);
    }
    let style = common.style();
    if style.is_for_programs() {
        style.list(&Listing {
            json: &versioned("api_token", answer.body.clone()),
            columns: COLUMNS,
            rows: std::slice::from_ref(&token),
            name: |token| token.id.clone(),
            now: answer.now,
            empty: "",
        })?;
    } else {
        let until = token
            .expires_at
            .map_or("never ends".into(), |at| format!("ends {}", text::local(at, answer.now)));
        say(secret)?;
        note(&format!("Token {} of {} {until}. It is not shown again.", token.id, token.user));
    }
    Ok(Exit::Done)
}
