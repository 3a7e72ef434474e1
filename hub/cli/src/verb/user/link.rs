//! `berth user link` and `berth user unlink`: which identity of the provider an account belongs to.

use http::Method;
use serde_json::json;

use crate::api;
use crate::args::Common;
use crate::print::note;
use crate::problem::{Exit, Problem};
use crate::verb::confirm::Sure;

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The account's name
    #[arg(value_name = "USER")]
    name: String,
    /// The identity provider, as it calls itself
    #[arg(long, value_name = "URL")]
    issuer: String,
    /// The person, as the provider has them (claim sub)
    #[arg(long)]
    subject: String,
    #[command(flatten)]
    sure: Sure,
}

/// Links.
pub async fn run(args: &Args, common: &Common) -> Result<Exit, Problem> {
    let Args { name, issuer, subject, sure } = args;
    let what = format!("link {name}");
    let would = format!("{subject} of {issuer} would log in as {name}.");
    if let Some(exit) = sure.only_looks(&would)? {
        return Ok(exit);
    }
    let hub = common.connection()?;
    let path = api::path(&["berth", "users", name, "identities"]);
    let body = json!({ "issuer": issuer, "subject": subject });
    let answer = api::send(&hub, &what, Method::POST, &path, Some(&body)).await?;
    let style = common.style();
    if style.is_for_programs() {
        style.value(&answer.body)?;
    } else if !common.quiet {
        note(&format!("{subject} of {issuer} now logs in as {name}."));
    }
    Ok(Exit::Done)
}

/// Unlinks.
pub async fn undo(args: &Args, common: &Common) -> Result<Exit, Problem> {
    let Args { name, issuer, subject, sure } = args;
    let what = format!("unlink {name}");
    let would = format!("{subject} of {issuer} would no longer log in as {name}.");
    if let Some(exit) = sure.only_looks(&would)? {
        return Ok(exit);
    }
    let hub = common.connection()?;
    let path = api::path(&["berth", "users", name, "identities"]);
    let (issuer_part, subject_part) = (api::argument(issuer), api::argument(subject));
    let path = format!("{path}?issuer={issuer_part}&subject={subject_part}");
    api::send(&hub, &what, Method::DELETE, &path, None).await?;
    if !common.quiet {
        note(&format!("{subject} of {issuer} no longer logs in as {name}."));
    }
    Ok(Exit::Done)
}
