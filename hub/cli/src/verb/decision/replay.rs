//! `berth decision replay ID`: decides again from the floor, the files and the prices that the
//! decision names, and says whether the same comes of it.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::api;
use crate::args::Common;
use crate::print::{say, versioned};
use crate::problem::{Exit, Problem};
use crate::text::plural;

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// As `berth server show` and the log have it, or its beginning
    #[arg(value_name = "DECISION")]
    id: String,
}

#[derive(Debug, Deserialize)]
struct Decision {
    outcome: String,
    host: Option<String>,
    #[serde(default)]
    possible_hosts: u64,
    /// Made anew by the hub at each question, from what was recorded.
    hosts: Option<Vec<Line>>,
}

#[derive(Debug, Deserialize)]
struct Line {
    host: String,
    verdict: String,
}

/// Asks and compares.
pub async fn run(args: &Args, common: &Common) -> Result<Exit, Problem> {
    let what = format!("replay the decision {}", args.id);
    let hub = common.connection()?;
    let path = api::path(&["berth", "decisions", &args.id]);
    let answer = api::get(&hub, &what, &path).await?;
    let made: Decision = api::read(&what, answer.body.get("decision").unwrap_or(&Value::Null))?;
    let Some(lines) = made.hosts else {
        let why = "how each host fared is told to administrators only";
        let advice = "Ask an administrator, or use berth explain decision.";
        return Err(Problem::new(Exit::NotAllowed, format!("cannot {what}"), why, advice));
    };
    if lines.is_empty() {
        let why = match made.outcome.as_str() {
            "refused" => "the rules refused it, and no host was looked at",
            _ => "what it was made from is no longer kept",
        };
        let advice = "berth explain decision shows what was written down.";
        return Err(Problem::new(Exit::NotFound, format!("cannot {what}"), why, advice));
    }
    let possible = lines.iter().filter(|line| line.verdict != "excluded").count();
    let chosen = lines.iter().find(|line| line.verdict == "chosen").map(|line| &line.host);
    let same = chosen == made.host.as_ref() && possible as u64 == made.possible_hosts;
    let style = common.style();
    if style.is_for_programs() {
        let part = json!({
            "decision": args.id, "same": same, "host": made.host, "host_again": chosen,
            "possible_hosts": made.possible_hosts, "possible_hosts_again": possible,
        });
        style.value(&versioned("replay", part))?;
    } else {
        let place = made.host.as_deref().unwrap_or("no host");
        let (all, s) = (lines.len(), plural(possible));
        say(&match same {
            true => format!("The same again: {place}, of {possible} possible host{s} among {all}."),
            false => format!(
                "Not the same: then {place} of {} possible, now {} of {possible}.",
                made.possible_hosts,
                chosen.map_or("no host", String::as_str)
            ),
        })?;
    }
    Ok(if same { Exit::Done } else { Exit::Failed })
}
