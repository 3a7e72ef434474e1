//! `berth plan config DIR [--replay 7d]`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use http::Method;
use serde::Deserialize;
use serde_json::json;

use super::{Replay, hosts};
use crate::api;
use crate::args::{Common, Span};
use crate::print::say;
use crate::problem::{Exit, Problem};

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A folder with the files as /etc/berth has them
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Decide the requests of so long again under them
    #[arg(long, value_name = "SPAN")]
    replay: Option<Span>,
}

#[derive(Debug, Deserialize)]
struct Checked {
    valid: bool,
    errors: Vec<Found>,
    #[serde(default)]
    same_as_running: bool,
    replay: Option<Replay>,
}

#[derive(Debug, Deserialize)]
struct Found {
    file: String,
    line: u32,
    code: String,
    message: String,
}

/// Sends the files, and prints what the hub finds in them.
pub async fn run(args: &Args, common: &Common) -> Result<Exit, Problem> {
    let what = format!("plan with the files of {}", args.folder.display());
    let files = files(&args.folder).map_err(|error| {
        let advice = "Name a folder with hub.toml and the other files.";
        Problem::new(Exit::Usage, format!("cannot {what}"), error, advice)
    })?;
    let mut body = json!({ "files": files });
    if let Some(span) = args.replay {
        body["replay_since"] = json!(hosts::since(span));
    }
    let hub = common.connection()?;
    let path = api::path(&["berth", "plan", "config"]);
    let answer = api::send(&hub, &what, Method::POST, &path, Some(&body)).await?;
    let checked: Checked = api::read(&what, &answer.body)?;
    let style = common.style();
    if style.is_for_programs() {
        style.value(&answer.body)?;
        return Ok(if checked.valid { Exit::Done } else { Exit::Failed });
    }
    if !checked.valid {
        let lines = checked.errors.iter().map(|Found { file, line, code, message }| {
            format!("{file}:{line}: {message} [{code}]")
        });
        let why = lines.collect::<Vec<_>>().join("\n");
        let advice = "Nothing would be applied; the running configuration stays.";
        return Err(Problem::new(Exit::Failed, format!("cannot {what}"), why, advice));
    }
    if checked.same_as_running {
        say("The files say what the running ones say.")?;
    }
    match (&checked.replay, args.replay) {
        (Some(replay), Some(_)) => replay.print()?,
        _ => say("The files are right. --replay 7d decides the requests of a week again.")?,
    }
    Ok(Exit::Done)
}

/// All `*.toml` of a folder and of its `*.d` folders, by their names in it.
fn files(folder: &Path) -> std::io::Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".toml") {
            files.insert(name, std::fs::read_to_string(entry.path())?);
        } else if name.ends_with(".d") {
            for part in std::fs::read_dir(entry.path())? {
                let part = part?;
                let inner = part.file_name().to_string_lossy().into_owned();
                if inner.ends_with(".toml") {
                    let text = std::fs::read_to_string(part.path())?;
                    files.insert(format!("{name}/{inner}"), text);
                }
            }
        }
    }
    Ok(files)
}
