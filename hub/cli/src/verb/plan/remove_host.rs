//! `berth plan remove-host HOST...`.

use serde_json::json;

use super::hosts;
use crate::args::{Common, Hosts, Span};
use crate::problem::{Exit, Problem};

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Hosts, also as ranges: ccjn01 "ccjn0[3-5]"
    #[arg(value_name = "HOST", required = true)]
    hosts: Vec<Hosts>,
    /// Decide the requests of so long again without these hosts
    #[arg(long, value_name = "SPAN")]
    replay: Option<Span>,
}

/// Asks and prints.
pub async fn run(args: &Args, common: &Common) -> Result<Exit, Problem> {
    let hosts: Vec<_> = args.hosts.iter().flat_map(|hosts| &hosts.0).collect();
    let mut body = json!({ "remove_hosts": hosts });
    if let Some(span) = args.replay {
        body["replay_since"] = json!(hosts::since(span));
    }
    hosts::run("plan without these hosts", &body, common).await
}
