//! `berth host drain HOST... (--by TIME | --no-deadline) --reason WHY`.

use berth_common::Timestamp;
use clap::ValueEnum;
use serde_json::json;

use super::intent::{self, Change, Outcome, Which};
use crate::args::{Common, Moment, Patience};
use crate::print;
use crate::problem::{Exit, Problem};
use crate::text;
use crate::verb::drain::watch;

/// What a person at a terminal sees.
const AFTER: &str = "On a terminal each change is told until the hosts are empty; Ctrl-C leaves,\n\
and the drain goes on. Elsewhere --wait does so.";

/// What happens to servers that are left at the deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum AtDeadline {
    Stop,
    Hold,
}

/// Options.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
#[command(
    override_usage = "berth host drain [OPTIONS] --reason <WHY> --by <TIME> <HOST>...\n       berth host drain [OPTIONS] --reason <WHY> --no-deadline <HOST>..."
)]
#[command(group(clap::ArgGroup::new("end").required(true).args(["by", "no_deadline"])))]
pub struct Args {
    #[command(flatten)]
    which: Which,
    /// When it must be empty: "friday 18:00", or in 2d
    #[arg(long, value_name = "TIME")]
    by: Option<Moment>,
    /// Whenever its servers have ended by themselves
    #[arg(long)]
    no_deadline: bool,
    /// What happens then; else as lifecycle.toml says
    #[arg(long, value_enum, value_name = "stop|hold")]
    #[arg(hide_possible_values = true)]
    at_deadline: Option<AtDeadline>,
    /// Why; people whose servers are there read it
    #[arg(long, value_name = "WHY")]
    reason: String,
    /// What they read in place of the reason
    #[arg(long, value_name = "TEXT")]
    message: Option<String>,
    #[command(flatten)]
    patience: Patience,
}

/// Empties hosts.
pub async fn run(args: &Args, common: &Common) -> Result<Exit, Problem> {
    let now = Timestamp::from_millis(jiff::Timestamp::now().as_millisecond());
    let mut body = json!({ "intent": "draining", "reason": args.reason });
    if let Some(by) = &args.by {
        body["by"] = json!(by.after(now).to_string());
    }
    if let Some(at_deadline) = args.at_deadline {
        body["at_deadline"] = json!(match at_deadline {
            AtDeadline::Stop => "stop",
            AtDeadline::Hold => "hold",
        });
    }
    if let Some(message) = &args.message {
        body["message"] = json!(message);
    }
    let change = Change { verb: "drain", body, sentence };
    let exit = intent::run(&args.which, &change, common).await?;
    let Patience { detach, wait } = args.patience;
    // On a terminal somebody sees it through; a script goes on unless it says otherwise.
    let follows = common.watch || wait.is_some() || (print::is_watched() && !common.quiet);
    if detach || args.which.only_looks() || !follows {
        return Ok(exit);
    }
    watch::follow(args.which.names(), &watch::How::within(wait.flatten()), common).await
}

fn sentence(outcome: &Outcome, now: Timestamp) -> String {
    let Outcome { host, intent, dry_run, .. } = outcome;
    let takes = if *dry_run { "would take" } else { "takes" };
    let when = match intent.by {
        Some(by) => format!("is to be empty by {}", text::local(by, now)),
        None => "is empty when its servers have ended".to_owned(),
    };
    let sentence = format!("{host} {takes} nothing new from now on, and {when}.");
    match &outcome.drain {
        Some(id) if !dry_run => {
            let undo = format!("'berth drain status {id}' shows it, 'berth drain cancel {id}'");
            format!("Drain {id}: {sentence}\n{undo} takes it back.")
        }
        _ => sentence,
    }
}
