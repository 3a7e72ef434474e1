//! `berth training open|extend NAME --for SPAN --reason WHY`, `berth training close NAME`.

use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Training;
use crate::api;
use crate::args::{Common, Span};
use crate::print::{note, say};
use crate::problem::{Exit, Problem, plain};
use crate::text;
use crate::verb::confirm::Sure;

/// What all orders have in common.
#[derive(Debug, clap::Args)]
pub struct Close {
    /// The training's name
    #[arg(value_name = "TRAINING")]
    name: String,
    /// Why; it is kept with the order
    #[arg(long, value_name = "WHY")]
    reason: String,
    #[command(flatten)]
    sure: Sure,
}

/// An order that lasts.
#[derive(Debug, clap::Args)]
pub struct Lasting {
    #[command(flatten)]
    order: Close,
    /// For how long
    #[arg(long = "for", value_name = "SPAN", default_value = "1h")]
    lasts: Span,
}

#[derive(Debug, Deserialize)]
struct Ordered {
    in_the_way: Option<String>,
    training: Training,
    order: Order,
}

#[derive(Debug, Deserialize)]
struct Order {
    open: bool,
    #[serde(default, deserialize_with = "api::moment")]
    to: Option<berth_common::Timestamp>,
}

/// Opens or extends.
pub async fn last(args: &Lasting, word: &str, common: &Common) -> Result<Exit, Problem> {
    let body = json!({ "order": word, "for_s": args.lasts.0.0 });
    send(&args.order, word, body, common).await
}

/// Closes.
pub async fn close(args: &Close, common: &Common) -> Result<Exit, Problem> {
    if !args.sure.dry_run {
        let question = format!("Close the training {} for the rest of its hours?", args.name);
        args.sure.ask(&question, "It goes on")?;
    }
    send(args, "close", json!({ "order": "close" }), common).await
}

async fn send(args: &Close, word: &str, mut body: Value, common: &Common) -> Result<Exit, Problem> {
    let what = format!("{word} the training {}", args.name);
    body["reason"] = json!(args.reason);
    let dry_run = args.sure.dry_run;
    let exit = if dry_run { args.sure.looked() } else { Exit::Done };
    body["dry_run"] = json!(dry_run);
    let hub = common.connection()?;
    let path = api::path(&["berth", "trainings", &args.name, "orders"]);
    let answer = api::send(&hub, &what, Method::POST, &path, Some(&body)).await?;
    let made: Ordered = api::read(&what, &answer.body)?;
    let style = common.style();
    if style.is_for_programs() {
        style.value(&answer.body)?;
        return Ok(exit);
    }
    if dry_run {
        say("DRY RUN - nothing is changed")?;
    }
    let name = &made.training.name;
    let is = if dry_run { "would be" } else { "is" };
    let until = made.order.to.map(|at| text::local(at, answer.now)).unwrap_or_default();
    say(&plain(&match (made.order.open, made.training.opens) {
        (true, _) => format!("{name} {is} open until {until}."),
        (false, Some(opens)) if !dry_run => {
            format!("{name} {is} closed; it opens {}.", text::local(opens, answer.now))
        }
        (false, _) => format!("{name} {is} closed; servers go on for a while."),
    }))?;
    if let Some(why) = &made.in_the_way {
        note(&plain(&format!("But: {why}.")));
    }
    Ok(exit)
}
