//! `berth config migrate DIR`: files of an earlier version, written as this one has them. There was
//! no earlier version yet, so what it finds is either right or of a later Berth.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use berth_process::file;
use serde_json::json;

use crate::args::Common;
use crate::print::{say, versioned};
use crate::problem::{Exit, Problem};
use crate::text::plural;
use crate::verb::confirm::Sure;

/// The version that this Berth reads and writes.
const VERSION: i64 = 1;

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder with the files
    #[arg(value_name = "DIR", default_value = "/etc/berth")]
    folder: PathBuf,
    #[command(flatten)]
    sure: Sure,
}

/// Looks at every file, and writes `version = 1` where no version stands.
pub fn run(args: &Args, common: &Common) -> Result<Exit, Problem> {
    let mut names = Vec::new();
    collect(&args.folder, &mut names).map_err(|error| unreadable(&args.folder, &error))?;
    names.sort();
    let mut lacking = Vec::new();
    for name in &names {
        let text = std::fs::read_to_string(name).map_err(|error| unreadable(name, &error))?;
        let table: toml::Table = text.parse().map_err(|error| unreadable(name, &error))?;
        match table.get("version").map(|version| version.as_integer()) {
            Some(Some(VERSION)) => {}
            None => lacking.push((name, text)),
            Some(_) => {
                let why = "its version is not one that this Berth knows";
                let advice = format!("Use the berth it was written for; this one knows {VERSION}.");
                let what = format!("cannot migrate {}", name.display());
                return Err(Problem::new(Exit::Failed, what, why, advice));
            }
        }
    }
    if !args.sure.dry_run {
        for (name, text) in &lacking {
            let text = format!("version = {VERSION}\n{text}");
            let mode = std::fs::metadata(name).map(|it| it.permissions().mode());
            let mode = mode.map_err(|error| unreadable(name, &error))?;
            file::replace(name, text.as_bytes(), mode & 0o777)
                .map_err(|error| unreadable(name, &error))?;
        }
    }
    tell(&names, &lacking, args.sure, common)
}

fn tell(
    names: &[PathBuf],
    lacking: &[(&PathBuf, String)],
    sure: Sure,
    common: &Common,
) -> Result<Exit, Problem> {
    let style = common.style();
    let changed: Vec<_> = lacking.iter().map(|(name, _)| name.display().to_string()).collect();
    if style.is_for_programs() {
        style.value(&versioned("migrated", json!({ "files": names.len(), "changed": changed })))?;
    } else {
        if sure.dry_run {
            say("DRY RUN - nothing is changed")?;
        }
        let gets = if sure.dry_run { "would get" } else { "has now" };
        for name in &changed {
            say(&format!("{name} {gets} version = {VERSION}"))?;
        }
        let count = names.len();
        say(&format!(
            "{count} file{} looked at, {} to change: this is version {VERSION}, the first.",
            plural(count),
            changed.len()
        ))?;
    }
    let would = sure.exit_code && !changed.is_empty();
    Ok(if would { Exit::WouldChange } else { Exit::Done })
}

/// All files of TOML in a folder, those in its `.d` folders too.
fn collect(folder: &Path, names: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let is_part = path.extension().is_some_and(|end| end == "d");
        if path.is_dir() && is_part {
            collect(&path, names)?;
        } else if path.extension().is_some_and(|end| end == "toml") {
            names.push(path);
        }
    }
    Ok(())
}

fn unreadable(name: &Path, error: &dyn std::fmt::Display) -> Problem {
    let what = format!("cannot migrate {}", name.display());
    Problem::new(Exit::Failed, what, error, "Name a folder with files as /etc/berth has them.")
}
