//! `berth explain decision ID`.

use berth_common::DecisionId;

use super::{print, read};
use crate::api;
use crate::args::Common;
use crate::problem::{Exit, Problem};

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// As `berth server show` and the log have it
    #[arg(value_name = "DECISION")]
    pub id: DecisionId,
}

/// Asks and prints.
pub async fn run(args: &Args, common: &Common) -> Result<Exit, Problem> {
    let what = format!("explain the decision {}", args.id);
    let hub = common.connection()?;
    let path = api::path(&["berth", "decisions", args.id.as_str()]);
    let answer = api::get(&hub, &what, &path).await?;
    let decision = read(&what, &answer.body)?;
    print(&common.style(), &decision, &answer, false)?;
    Ok(Exit::Done)
}
