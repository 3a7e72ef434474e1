//! `berth image rollout status|promote|revert`, and `berth image pull`: orders about the version of
//! an image that the files name. Who starts when with which version is said in images.toml too.

use clap::Subcommand;
use http::Method;
use serde_json::{Value, json};

use super::{COLUMNS, Image};
use crate::api;
use crate::args::Common;
use crate::print::{Cell, Listing, note, say};
use crate::problem::{Exit, Problem, plain};
use crate::text::{self, plural};
use crate::verb::confirm::Sure;

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Who starts with which version
    Status(Status),
    /// Everybody starts with the new version
    Promote(Order),
    /// Everybody starts with the version before again
    Revert(Order),
}

/// Which ones.
#[derive(Debug, clap::Args)]
pub struct Status {
    /// One image; all that have a version before if none is named
    #[arg(value_name = "IMAGE")]
    name: Option<String>,
}

/// An order.
#[derive(Debug, clap::Args)]
pub struct Order {
    /// The image's name, as in images.toml
    #[arg(value_name = "IMAGE")]
    name: String,
    /// Why; it is kept with the order
    #[arg(long, value_name = "WHY")]
    reason: String,
    #[command(flatten)]
    sure: Sure,
}

/// An order to fetch.
#[derive(Debug, clap::Args)]
pub struct Pull {
    #[command(flatten)]
    order: Order,
    /// Hosts of this pool; else of all that offer it
    #[arg(long = "pool", value_name = "POOL")]
    pools: Vec<String>,
}

/// Does what the verb says.
pub async fn run(verb: &Verb, common: &Common) -> Result<Exit, Problem> {
    match verb {
        Verb::Status(args) => status(args, common).await,
        Verb::Promote(args) => give(args, json!({ "order": "promote" }), common).await,
        Verb::Revert(args) => give(args, json!({ "order": "revert" }), common).await,
    }
}

/// Has hosts fetch it.
pub async fn pull(args: &Pull, common: &Common) -> Result<Exit, Problem> {
    let mut body = json!({ "order": "pull" });
    if !args.pools.is_empty() {
        body["pools"] = json!(args.pools);
    }
    give(&args.order, body, common).await
}

async fn status(args: &Status, common: &Common) -> Result<Exit, Problem> {
    let what = "show the rollout";
    let answer = api::get(&common.connection()?, what, &api::path(&["berth", "images"])).await?;
    let mut found: Vec<Value> = answer.rows(what, "images")?;
    match &args.name {
        Some(name) => found.retain(|row| row["name"] == name.as_str()),
        None => found.retain(|row| !row["previous"].is_null()),
    }
    if let Some(name) = args.name.as_ref().filter(|_| found.is_empty()) {
        let why = format!("There is no image {name} in images.toml.");
        let advice = "'berth image list' lists them.";
        let what = format!("cannot {what} of {name}");
        return Err(Problem::new(Exit::NotFound, what, why, advice));
    }
    let rows: Vec<Image> = api::read(what, &json!(found))?;
    let style = common.style();
    let listing = |json| Listing {
        json,
        columns: COLUMNS,
        rows: &rows,
        name: |it: &Image| it.name.clone(),
        now: answer.now,
        empty: "No image has a version before: images.toml says previous of none.",
    };
    if style.is_for_programs() || rows.is_empty() {
        style.list(&listing(&crate::print::versioned("images", json!(found))))?;
        return Ok(Exit::Done);
    }
    for (index, (row, json)) in rows.iter().zip(&found).enumerate() {
        if index > 0 {
            say("")?;
        }
        style.sheet(sheet(row, answer.now), &listing(json))?;
    }
    Ok(Exit::Done)
}

fn sheet(it: &Image, now: berth_common::Timestamp) -> Vec<(&'static str, Cell)> {
    let stage = match (it.stage.as_str(), it.until) {
        ("canary", Some(until)) => {
            format!("canary: only some people until {}", text::local(until, now))
        }
        ("canary", None) => "canary: only some people".to_owned(),
        ("taken back", _) => "taken back: everybody starts with the version before".to_owned(),
        _ => "everybody starts with the new version".to_owned(),
    };
    let before = it.running_previous;
    let mut lines = vec![
        ("image", Cell::text(&it.name)),
        ("stage", Cell::text(stage)),
        ("new", Cell::text(&it.reference)),
        ("before", Cell::maybe(it.previous.as_ref())),
        (
            "running",
            Cell::text(format!("{}, {before} of them with the version before", it.running)),
        ),
        ("on hosts", Cell::text(format!("{}/{}", it.present_on.len(), it.wanted_on.len()))),
    ];
    if let Some(order) = &it.order {
        let at = order.at.map(|at| text::local(at, now)).unwrap_or_default();
        let line = format!("{} by {}, {at}: {}", order.order, order.who, order.reason);
        lines.push(("ordered", Cell::text(line)));
    }
    lines
}

async fn give(args: &Order, mut body: Value, common: &Common) -> Result<Exit, Problem> {
    let Order { name, reason, sure } = args;
    let word = body["order"].as_str().unwrap_or_default().to_owned();
    let what = format!("{word} the image {name}");
    body["reason"] = json!(reason);
    let hub = common.connection()?;
    let path = api::path(&["berth", "images", name, "orders"]);
    // Looked at first: a wrong name asks nobody whether it is meant.
    body["dry_run"] = json!(true);
    let mut answer = api::send(&hub, &what, Method::POST, &path, Some(&body)).await?;
    if !sure.dry_run {
        let question = match word.as_str() {
            "pull" => format!("Have hosts fetch {name}?"),
            "promote" => format!("Let everybody start with the new version of {name}?"),
            _ => format!("Let everybody start with the version of {name} before?"),
        };
        sure.ask(&question, "nothing was changed")?;
        body["dry_run"] = json!(false);
        answer = api::send(&hub, &what, Method::POST, &path, Some(&body)).await?;
    }
    let image: Image = api::read(&what, answer.body.get("image").unwrap_or(&Value::Null))?;
    let style = common.style();
    if style.is_for_programs() {
        style.value(&answer.body)?;
    } else {
        if sure.dry_run {
            say("DRY RUN - nothing is changed")?;
        }
        say(&plain(&sentence(&word, &image, sure.dry_run)))?;
        if word != "pull" && image.running > 0 {
            note("Servers that run keep the version that they were started with.");
        }
    }
    Ok(if sure.dry_run && sure.exit_code { Exit::WouldChange } else { Exit::Done })
}

fn sentence(word: &str, image: &Image, dry_run: bool) -> String {
    let Image { name, reference, previous, .. } = image;
    let (would, starts) = if dry_run { ("would ", "start") } else { ("", "starts") };
    match word {
        "pull" => {
            let (all, there) = (image.wanted_on.len(), image.present_on.len());
            let missing = all.saturating_sub(there);
            match missing {
                0 => format!("All {all} host{} have {name} already.", plural(all)),
                1 => format!(
                    "1 of {all} hosts {would}{} {reference}.",
                    if dry_run { "fetch" } else { "fetches" }
                ),
                some => format!("{some} of {all} hosts {would}fetch {reference}."),
            }
        }
        "promote" => format!("Everybody {would}{starts} with {reference}."),
        _ => {
            let previous = previous.as_deref().unwrap_or("?");
            format!("Everybody {would}{starts} with {previous} again.")
        }
    }
}
