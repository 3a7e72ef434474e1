//! `berth host cordon HOST... --reason WHY` and `uncordon`.

use berth_common::Timestamp;
use serde_json::json;

use super::intent::{self, Change, Outcome, Which};
use crate::args::Common;
use crate::problem::{Exit, Problem};
use crate::text::plural;

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    which: Which,
    /// Why; people whose servers are there read it
    #[arg(long, value_name = "WHY")]
    reason: String,
}

/// Options of `uncordon` and `undrain`.
#[derive(Debug, clap::Args)]
pub struct OpenArgs {
    #[command(flatten)]
    which: Which,
}

/// Takes hosts out of placement.
pub async fn run(args: &Args, common: &Common) -> Result<Exit, Problem> {
    let body = json!({ "intent": "cordoned", "reason": args.reason });
    let change = Change { verb: "cordon", body, sentence: closed };
    intent::run(&args.which, &change, common).await
}

/// Lets hosts take servers again.
pub async fn open(args: &OpenArgs, verb: &str, common: &Common) -> Result<Exit, Problem> {
    let body = json!({ "intent": "open" });
    intent::run(&args.which, &Change { verb, body, sentence: opened }, common).await
}

fn closed(outcome: &Outcome, _: Timestamp) -> String {
    let Outcome { host, servers, dry_run, .. } = outcome;
    let takes = if *dry_run { "would take nothing" } else { "takes nothing" };
    let go = if *servers == 1 { "goes" } else { "go" };
    format!("{host} {takes} new; {servers} server{} there {go} on.", plural(*servers as usize))
}

fn opened(outcome: &Outcome, _: Timestamp) -> String {
    let Outcome { host, state, dry_run, .. } = outcome;
    match (dry_run, state.as_str()) {
        (true, _) => format!("{host} would take servers again."),
        (false, "ready") => format!("{host} takes servers again."),
        (false, state) => format!("{host} takes servers again once it is no longer {state}."),
    }
}
