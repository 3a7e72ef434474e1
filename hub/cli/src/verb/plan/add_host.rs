//! `berth plan add-host --like HOST|POOL`.

use berth_common::ByteCount;
use serde_json::json;

use super::hosts;
use crate::args::Common;
use crate::problem::{Exit, Problem};

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A host, or a pool
    #[arg(long, value_name = "HOST|POOL")]
    like: String,
    /// With this much memory instead
    #[arg(long, value_name = "MEMORY")]
    memory: Option<ByteCount>,
    /// With so many GPUs instead
    #[arg(long, value_name = "COUNT")]
    gpus: Option<u32>,
    /// So many of them
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    count: u32,
}

/// Asks and prints.
pub async fn run(args: &Args, common: &Common) -> Result<Exit, Problem> {
    let mut new = json!({ "like": args.like, "count": args.count });
    if let Some(memory) = args.memory {
        new["memory"] = json!(memory);
    }
    if let Some(gpus) = args.gpus {
        new["gpus"] = json!(gpus);
    }
    hosts::run("plan with more hosts", &json!({ "add_hosts": [new] }), common).await
}
