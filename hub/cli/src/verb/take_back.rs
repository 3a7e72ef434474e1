//! Taking back something that the calendar holds under a number: a notice, maintenance.

use http::Method;
use serde_json::Value;

use crate::api;
use crate::args::Common;
use crate::print::say;
use crate::problem::{Exit, Problem};
use crate::verb::confirm::Sure;

/// Which one.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Its number, as the list shows it
    #[arg(value_name = "ID")]
    id: i64,
    #[command(flatten)]
    sure: Sure,
}

/// What kind of thing it is.
pub struct Kind {
    /// Completes "cannot ... 7".
    pub verb: &'static str,
    /// Its name in sentences.
    pub noun: &'static str,
    /// The API's path of all of them, below `berth`.
    pub path: &'static str,
    /// The list within the API's answer.
    pub list: &'static str,
    /// Completes "Notice 7 is ..." and "would be ...".
    pub done: &'static str,
}

/// Looks whether it is there, asks, and takes it back.
pub async fn run(args: &Args, kind: &Kind, common: &Common) -> Result<Exit, Problem> {
    let Args { id, sure } = args;
    let Kind { verb, noun, path, list, done } = kind;
    let what = format!("{verb} {id}");
    let hub = common.connection()?;
    let all = api::path(&["berth", path]);
    let one = api::path(&["berth", path, &id.to_string()]);
    if sure.dry_run {
        let answer = api::get(&hub, &what, &all).await?;
        let rows = answer.body.get(*list).and_then(Value::as_array);
        if !rows.is_some_and(|rows| rows.iter().any(|row| row["id"] == *id)) {
            let advice = "Look for the right number in the list.";
            let why = format!("there is no {} {id}", noun.to_lowercase());
            return Err(Problem::new(Exit::NotFound, format!("cannot {what}"), why, advice));
        }
        if let Some(exit) = sure.only_looks(&format!("{noun} {id} would be {done}."))? {
            return Ok(exit);
        }
    }
    let question = format!("{noun} {id} will be {done}. Is that meant?");
    sure.ask(&question, "Nothing was changed")?;
    api::send(&hub, &what, Method::DELETE, &one, None).await?;
    say(&format!("{noun} {id} is {done}."))?;
    Ok(Exit::Done)
}
