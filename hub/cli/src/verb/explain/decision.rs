//! `berth explain decision ID`.

use super::{print, read};
use crate::api;
use crate::args::Common;
use crate::problem::{Exit, Problem};

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// As `berth server show` and the log have it, or its beginning
    #[arg(value_name = "DECISION")]
    pub id: String,
}

/// Asks and prints.
pub async fn run(args: &Args, common: &Common) -> Result<Exit, Problem> {
    let what = format!("explain the decision {}", args.id);
    let hub = common.connection()?;
    let path = api::path(&["berth", "decisions", &args.id]);
    let answer = api::get(&hub, &what, &path).await?;
    let decision = read(&what, &answer.body)?;
    print(&common.style(), &decision, &answer, false)?;
    Ok(Exit::Done)
}
