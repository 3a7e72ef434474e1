//! The copy of the workspace that has the switches, and the test programs that are built of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::list::{Genre, Mutant};
use crate::switch::{Switched, switch};

/// What became of a mutant before any test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fate {
    /// It can be switched on.
    Switched,
    /// The compiler does not take it.
    NotToBeBuilt,
    /// It could be built, but not behind a switch: constants, results of type `impl Trait`.
    NotToBeSwitched,
}

/// A test program.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Program {
    /// Its source, from the root of the workspace.
    pub source: String,
    /// The program.
    pub path: PathBuf,
    /// The folder of its package, where Cargo would run it.
    pub folder: PathBuf,
}

/// What was built.
#[derive(Debug, Serialize, Deserialize)]
pub struct Built {
    /// All mutants of the list; the first has number 1.
    pub mutants: Vec<(Mutant, Fate)>,
    /// The programs that may notice.
    pub programs: Vec<Program>,
}

/// With what an earlier build has found out about mutants of the same name.
pub fn with_fates(listed: Vec<Mutant>, known: Vec<(Mutant, Fate)>) -> Vec<(Mutant, Fate)> {
    let known: BTreeMap<_, _> =
        known.into_iter().map(|(mutant, fate)| (mutant.name, fate)).collect();
    let with_fate = |mutant: Mutant| {
        let fate = known.get(&mutant.name).copied().unwrap_or(Fate::Switched);
        (mutant, fate)
    };
    listed.into_iter().map(with_fate).collect()
}

/// Builds until all mutants that are left can be built, and takes out what the compiler refuses.
/// What it has refused is saved each time, so that nobody who stops has to find out again.
///
/// # Errors
/// The tree cannot be built even without its mutants.
pub fn build(
    root: &Path,
    folder: &Path,
    mut mutants: Vec<(Mutant, Fate)>,
    save: impl Fn(&Built) -> anyhow::Result<()>,
) -> anyhow::Result<Built> {
    let tree = folder.join("tree");
    loop {
        let switched = switch_all(root, &mut mutants)?;
        lay(root, &tree, &switched)?;
        let (programs, errors) = cargo(&tree, &folder.join("target"))?;
        let mut taken_out = 0;
        for error in &errors {
            taken_out += blame(error, &switched, &mut mutants);
        }
        let built = Built { mutants, programs };
        save(&built)?;
        if errors.is_empty() {
            return Ok(built);
        }
        println!("{} errors, {taken_out} mutants taken out", errors.len());
        if taken_out == 0 {
            bail!("it does not build, whatever the mutants:\n{}", errors[0].rendered);
        }
        mutants = built.mutants;
    }
}

fn switch_all(
    root: &Path,
    mutants: &mut [(Mutant, Fate)],
) -> anyhow::Result<BTreeMap<String, Switched>> {
    let files: BTreeSet<_> = mutants.iter().map(|(mutant, _)| mutant.file.clone()).collect();
    let mut all = BTreeMap::new();
    for file in files {
        let here: Vec<_> = (1..)
            .zip(mutants.iter())
            .filter(|(_, (mutant, fate))| mutant.file == file && *fate == Fate::Switched)
            .map(|(number, (mutant, _))| (number, mutant))
            .collect();
        let switched =
            switch(&fs::read_to_string(root.join(&file))?, &here).with_context(|| file.clone())?;
        for number in &switched.not_to_be_built {
            mutants[*number as usize - 1].1 = Fate::NotToBeBuilt;
        }
        for number in &switched.not_to_be_switched {
            mutants[*number as usize - 1].1 = Fate::NotToBeSwitched;
        }
        all.insert(file, switched);
    }
    Ok(all)
}

/// Copies what git knows of, and the new, and removes what is no more. A file that says the same
/// already stays as it is, so that it is not built again.
fn lay(root: &Path, tree: &Path, switched: &BTreeMap<String, Switched>) -> anyhow::Result<()> {
    let files = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .context("git")?;
    ensure!(files.status.success(), "git ls-files: {}", String::from_utf8_lossy(&files.stderr));
    let files = String::from_utf8(files.stdout)?;
    let mut laid = BTreeSet::from([tree.join("common/src/mutants.rs")]);
    for file in files.split_terminator('\0') {
        let (from, to) = (root.join(file), tree.join(file));
        if !from.is_file() {
            continue;
        }
        fs::create_dir_all(to.parent().context("a file lies in a folder")?)?;
        let text = match (switched.get(file), file) {
            (Some(switched), _) => switched.text.clone().into_bytes(),
            (None, "common/src/lib.rs") => {
                [&fs::read(&from)?[..], b"#[doc(hidden)]\npub mod mutants;\n"].concat()
            }
            _ => fs::read(&from)?,
        };
        write(&to, &text)?;
        fs::set_permissions(&to, from.metadata()?.permissions())?;
        laid.insert(to);
    }
    write(&tree.join("common/src/mutants.rs"), include_bytes!("active.rs"))?;
    clear(tree, &laid)
}

/// Removes all files but these.
fn clear(folder: &Path, laid: &BTreeSet<PathBuf>) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            clear(&entry.path(), laid)?;
        } else if !laid.contains(&entry.path()) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn write(file: &Path, text: &[u8]) -> anyhow::Result<()> {
    if fs::read(file).is_ok_and(|old| old == text) {
        return Ok(());
    }
    fs::write(file, text).with_context(|| file.display().to_string())
}

#[derive(Deserialize)]
#[serde(tag = "reason")]
enum Message {
    #[serde(rename = "compiler-artifact")]
    Artifact { manifest_path: PathBuf, target: Target, executable: Option<PathBuf> },
    #[serde(rename = "compiler-message")]
    Problem { message: Diagnostic },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Target {
    src_path: PathBuf,
}

#[derive(Deserialize)]
struct Diagnostic {
    level: String,
    rendered: String,
    spans: Vec<DiagnosticSpan>,
    /// Notes and suggestions: of a match that is not exhaustive they alone name the arm.
    children: Vec<Note>,
}

#[derive(Deserialize)]
struct Note {
    spans: Vec<DiagnosticSpan>,
}

#[derive(Deserialize)]
struct DiagnosticSpan {
    file_name: String,
    byte_start: usize,
    byte_end: usize,
    is_primary: bool,
}

/// The test programs, or why there are none.
fn cargo(tree: &Path, target: &Path) -> anyhow::Result<(Vec<Program>, Vec<Diagnostic>)> {
    let mut command = Command::new("cargo");
    command
        .args(["test", "--no-run", "--locked", "--message-format=json"])
        .args(["--package=berth-core", "--package=berth-agent", "--package=berth-tests"])
        .args(["--lib", "--test=core", "--test=world"]);
    // A little optimization pays: these programs are built once and run thousands of times.
    for package in ["berth-common", "berth-core", "berth-agent", "berth-tests"] {
        command.arg(format!("--config=profile.dev.package.{package}.opt-level=1"));
    }
    let mut child = command
        .current_dir(tree)
        .env("CARGO_TARGET_DIR", target)
        .stdout(Stdio::piped())
        .spawn()
        .context("cargo test")?;
    let (mut programs, mut errors) = (Vec::new(), Vec::new());
    let output = child.stdout.take().context("cargo says something")?;
    for line in BufReader::new(output).lines() {
        // Cargo's own messages are JSON, one a line.
        match serde_json::from_str(&line?) {
            Ok(Message::Artifact { manifest_path, target, executable: Some(path) }) => {
                let folder = manifest_path.parent().unwrap_or(tree).to_owned();
                let source = target.src_path.strip_prefix(tree)?.to_string_lossy().into_owned();
                programs.push(Program { source, path, folder });
            }
            Ok(Message::Problem { message }) if message.level == "error" => {
                errors.push(message);
            }
            _ => {}
        }
    }
    let status = child.wait()?;
    ensure!(status.success() || !errors.is_empty(), "cargo test --no-run failed");
    Ok((programs, errors))
}

/// Takes out the mutants that an error is about, and says how many.
fn blame(
    error: &Diagnostic,
    switched: &BTreeMap<String, Switched>,
    mutants: &mut [(Mutant, Fate)],
) -> usize {
    let mut spans: Vec<_> = error.spans.iter().collect();
    spans.sort_by_key(|span| !span.is_primary);
    spans.extend(error.children.iter().flat_map(|note| &note.spans));
    let touches = |span: &DiagnosticSpan, range: &Range<usize>| {
        span.byte_start < range.end && range.start < span.byte_end
    };
    let own = spans.iter().find_map(|span| {
        let own = &switched.get(&span.file_name)?.own;
        let mutant = own
            .iter()
            .find(|(range, _)| range.start <= span.byte_start && span.byte_end <= range.end)?;
        Some((vec![mutant.1], Fate::NotToBeBuilt))
    });
    let site = || {
        spans.iter().find_map(|span| {
            let sites = &switched.get(&span.file_name)?.sites;
            // The innermost that has mutants left.
            let (_, mutants) = sites
                .iter()
                .rfind(|(range, mutants)| !mutants.is_empty() && touches(span, range))?;
            Some((mutants.clone(), Fate::NotToBeSwitched))
        })
    };
    let arms: BTreeSet<u32> = (1..)
        .zip(mutants.iter())
        .filter(|(_, (mutant, _))| mutant.genre == Genre::MatchArm)
        .map(|(number, _)| number)
        .collect();
    // A match that is not exhaustive: the error is about its head, the note about its last arm.
    let between = || {
        let first = error.spans.first()?;
        let end = spans.iter().map(|span| span.byte_end).max()?;
        let sites = &switched.get(&first.file_name)?.sites;
        let within = |range: &Range<usize>| first.byte_start <= range.start && range.end <= end;
        let is_arm = |number: &u32| arms.contains(number);
        let (_, mutants) = sites.iter().rfind(|(range, mutants)| {
            !mutants.is_empty() && mutants.iter().all(is_arm) && within(range)
        })?;
        Some((mutants.clone(), Fate::NotToBeSwitched))
    };
    let Some((guilty, fate)) = own.or_else(site).or_else(between) else { return 0 };
    let mut taken_out = 0;
    for number in guilty {
        let before = &mut mutants[number as usize - 1].1;
        if *before == Fate::Switched {
            *before = fate;
            taken_out += 1;
        }
    }
    taken_out
}
