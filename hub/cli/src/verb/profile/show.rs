//! `berth profile show NAME`.

use serde_json::{Value, json};

use super::list::{COLUMNS, all, verdict};
use crate::args::Common;
use crate::print::{Cell, Listing, versioned};
use crate::problem::{Exit, Problem};

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Its name, as `berth profile list` has it
    #[arg(value_name = "PROFILE")]
    name: String,
}

/// Asks and prints.
pub async fn run(args: &Args, common: &Common) -> Result<Exit, Problem> {
    let what = format!("show the profile {}", args.name);
    let (answer, profiles) = all(&what, common).await?;
    let Some(index) = profiles.iter().position(|profile| profile.name == args.name) else {
        let known: Vec<_> = profiles.iter().map(|profile| profile.name.as_str()).collect();
        let why = format!("there is no profile {}", args.name);
        let advice = format!("There are: {}.", known.join(", "));
        return Err(Problem::new(Exit::NotFound, format!("cannot {what}"), why, advice));
    };
    let profile = &profiles[index];
    let memory = &profile.memory;
    let choices: Vec<_> = memory.choices.iter().map(ToString::to_string).collect();
    let mut lines = vec![
        ("profile", Cell::text(&profile.name)),
        ("title", Cell::text(&profile.title)),
        ("good for", Cell::text(&profile.use_case)),
        ("pool", Cell::text(&profile.pool)),
        ("memory", Cell::text(format!("{}, at most {}", memory.default, memory.max))),
    ];
    if !choices.is_empty() {
        lines.push(("choices", Cell::text(choices.join(", "))));
    }
    let images: Vec<_> = profile.images.iter().map(|image| image.name.as_str()).collect();
    lines.push(("images", Cell::text(images.join(", "))));
    lines.push(("now", verdict(profile, answer.now)));
    if let Some(verdict) = &profile.verdict {
        lines.push(("", Cell::text(&verdict.sentence)));
    }
    lines.push(("declared", Cell::text(&profile.declared_at)));
    let one = answer.body.pointer(&format!("/profiles/{index}")).unwrap_or(&Value::Null);
    common.style().sheet(
        lines,
        &Listing {
            json: &versioned("profile", json!(one)),
            columns: COLUMNS,
            rows: std::slice::from_ref(profile),
            name: |profile| profile.name.clone(),
            now: answer.now,
            empty: "",
        },
    )?;
    Ok(Exit::Done)
}
