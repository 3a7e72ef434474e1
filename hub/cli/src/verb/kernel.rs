//! `berth kernel`: kernels of one's own, where HOME is: on a login machine or in a notebook's
//! terminal. No hub is asked.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use berth_common::Timestamp;
use berth_process::file;
use clap::Subcommand;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::args::Common;
use crate::print::{Cell, Column, Listing, Tone, say, versioned};
use crate::problem::{Exit, Problem};
use crate::verb::confirm::Sure;

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Look whether each kernel in HOME could start; if not, exit code 1
    Check(Check),
    /// Make a kernel of a Python or of the environment in a folder
    Make(Make),
}

/// No options.
#[derive(Debug, clap::Args)]
pub struct Check {}

/// Of what.
#[derive(Debug, clap::Args)]
pub struct Make {
    /// A Python, or the folder of a virtual or conda environment
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// Its name in the launcher; the folder's name if not given
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    sure: Sure,
}

/// Does what the verb says.
pub fn run(verb: &Verb, common: &Common) -> Result<Exit, Problem> {
    match verb {
        Verb::Check(_) => check(common),
        Verb::Make(args) => make(args),
    }
}

/// Where Jupyter looks for a person's own kernels.
fn folder(what: &str) -> Result<PathBuf, Problem> {
    if let Some(data) = std::env::var_os("JUPYTER_DATA_DIR") {
        return Ok(Path::new(&data).join("kernels"));
    }
    let home = std::env::var_os("HOME").ok_or_else(|| {
        Problem::new(Exit::Failed, format!("cannot {what}"), "HOME is not set", "Set HOME.")
    })?;
    Ok(Path::new(&home).join(".local/share/jupyter/kernels"))
}

struct Kernel {
    name: String,
    title: String,
    trouble: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Spec {
    argv: Vec<String>,
    #[serde(default)]
    display_name: String,
}

const COLUMNS: &[Column<Kernel>] = &[
    Column::new("KERNEL", "name", |it: &Kernel, _| Cell::text(&it.name)),
    Column::new("TITLE", "title", |it: &Kernel, _| Cell::text(&it.title)),
    Column::new("VERDICT", "trouble", |it: &Kernel, _| match &it.trouble {
        None => Cell::both("could start", "").toned(Tone::Good),
        Some(trouble) => Cell::text(trouble).toned(Tone::Bad),
    }),
];

fn check(common: &Common) -> Result<Exit, Problem> {
    let folder = folder("check the kernels")?;
    let mut kernels = Vec::new();
    for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let (title, trouble) = match look(&entry.path().join("kernel.json")) {
            Ok(title) => (title, None),
            Err(trouble) => (String::new(), Some(trouble)),
        };
        kernels.push(Kernel { name, title, trouble });
    }
    kernels.sort_by(|a, b| a.name.cmp(&b.name));
    let row = |it: &Kernel| json!({ "name": it.name, "title": it.title, "trouble": it.trouble });
    common.style().list(&Listing {
        json: &versioned("kernels", kernels.iter().map(row).collect()),
        columns: COLUMNS,
        rows: &kernels,
        name: |it| it.name.clone(),
        now: Timestamp::default(),
        empty: "There is no kernel of your own; 'berth kernel make' makes one.",
    })?;
    let broken = kernels.iter().any(|kernel| kernel.trouble.is_some());
    Ok(if broken { Exit::Failed } else { Exit::Done })
}

/// A kernel's title, or why it would not start.
fn look(path: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("kernel.json: {error}"))?;
    let spec: Spec =
        serde_json::from_str(&text).map_err(|error| format!("kernel.json: {error}"))?;
    let program = spec.argv.first().ok_or("kernel.json: argv is empty")?;
    if !spec.argv.iter().any(|word| word.contains("{connection_file}")) {
        return Err("kernel.json: argv has no {connection_file}".to_owned());
    }
    if !is_there(program) {
        return Err(format!("{program} is not there, or is no program"));
    }
    Ok(spec.display_name)
}

/// Whether a program is at this path, or of this name in PATH.
fn is_there(program: &str) -> bool {
    use std::os::unix::fs::PermissionsExt;
    let runs = |path: &Path| {
        path.metadata().is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
    };
    if program.contains('/') {
        return runs(Path::new(program));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| runs(&folder.join(program)))
}

fn make(args: &Make) -> Result<Exit, Problem> {
    let what = "make the kernel";
    let cannot = |why: String, advice: &str| {
        Problem::new(Exit::Failed, format!("cannot {what}"), why, advice)
    };
    let path = std::path::absolute(&args.path)
        .map_err(|error| cannot(error.to_string(), "Name a Python."))?;
    let python = if path.is_dir() { path.join("bin/python") } else { path.clone() };
    let shown = python.display().to_string();
    if !is_there(&shown) {
        let advice = "Name a Python, or a folder with bin/python in it.";
        return Err(cannot(format!("{shown} is not there, or is no program"), advice));
    }
    let mut import = Command::new(&python);
    import.args(["-c", "import ipykernel"]).stdin(Stdio::null());
    let has = import.output().map_err(|error| cannot(error.to_string(), "Name a Python."))?;
    if !has.status.success() {
        let advice = format!("Install it there: {shown} -m pip install ipykernel");
        return Err(cannot(format!("{shown} has no ipykernel"), &advice));
    }
    // bin/python of an environment: the environment's name says more.
    let environment = python.parent().and_then(Path::parent).and_then(Path::file_name);
    let named = args.name.clone();
    let title = named
        .or_else(|| environment.map(|name| name.to_string_lossy().into_owned()))
        .unwrap_or_else(|| "python".to_owned());
    let name: String = title
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' })
        .collect::<String>()
        .to_lowercase();
    let at = folder(what)?.join(&name).join("kernel.json");
    let would = format!("{} would start {shown}.", at.display());
    if let Some(exit) = args.sure.only_looks(&would)? {
        return Ok(exit);
    }
    if at.exists() {
        let question = format!("{} is there. Replace it?", at.display());
        args.sure.ask(&question, "the kernel is as it was")?;
    }
    let spec: Value = json!({
        "argv": [shown, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": title,
        "language": "python",
        "metadata": { "debugger": true },
    });
    let text = serde_json::to_string_pretty(&spec).unwrap_or_default();
    let written = at
        .parent()
        .map_or(Ok(()), std::fs::create_dir_all)
        .map_err(|error| error.to_string())
        .and_then(|()| file::replace(&at, text.as_bytes(), 0o644).map_err(|e| e.to_string()));
    written.map_err(|error| cannot(error, "Look at the permissions and the quota of HOME."))?;
    say(&format!("{title} stands in the launcher from now on: {}", at.display()))?;
    Ok(Exit::Done)
}
