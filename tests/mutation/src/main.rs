//! Breaks the core, the reconciler and the host's policy in small ways, one at a time, and looks
//! whether a test notices: mutation testing. What to break is cargo-mutants' list. cargo-mutants
//! would build and run all tests anew for each; here one build has all mutants, each behind a switch
//! that an environment variable throws, and only tests that come past a mutant are run for it.

#![allow(missing_docs)] // a program: nobody else uses it

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Parser, Subcommand};
use serde::Serialize;
use serde::de::DeserializeOwned;

mod active;
mod list;
mod reach;
mod switch;
mod table;
mod tree;
mod trial;

use trial::Outcome;

#[derive(Parser)]
#[command(
    about = "Breaks the code in small ways, one at a time, and looks whether a test notices."
)]
struct Arguments {
    /// Where the copy with its mutants, its programs and the results lie.
    #[arg(long, default_value = "target/mutants")]
    folder: PathBuf,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Builds the mutants, and runs all tests once without any: they must pass.
    Build {
        /// What `cargo mutants --list --json` has said of this tree, if it shall not be asked again.
        #[arg(long)]
        list: Option<PathBuf>,
    },
    /// Tries what was not tried yet. It can be stopped and goes on later.
    Try {
        /// Only so many of a hundred, drawn at random, the same each time.
        #[arg(long, default_value_t = 100)]
        percent: usize,
        /// What draws, and puts in order.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Only those whose name has this in it: a file, a function.
        #[arg(long, default_value = "")]
        name: String,
        /// Also those again that nobody noticed.
        #[arg(long)]
        again: bool,
        /// Not by this test: a first look at many leaves out the few that take minutes. What the
        /// others do not notice is for `--again`.
        #[arg(long, value_name = "TEST")]
        without: Vec<String>,
    },
    /// Says in Markdown what was found.
    Table,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    fs::create_dir_all(&arguments.folder)?;
    let folder = arguments.folder.canonicalize()?;
    let (built, suites) = (folder.join("built.json"), folder.join("suites.json"));
    let results = folder.join("results.tsv");
    match arguments.what {
        What::Build { list } => {
            let root = std::env::current_dir()?;
            let listed = list::list(&root, list.as_deref())?;
            let known: Vec<_> = load(&built).map_or(Vec::new(), |old: tree::Built| old.mutants);
            let mutants = tree::with_fates(listed, known);
            let tree = tree::build(&root, &folder, mutants, |tree| save(&built, tree))?;
            save(&suites, &reach::reach(&tree, &folder)?)?;
        }
        What::Try { percent, seed, name, again, without } => {
            let tree: tree::Built = load(&built)?;
            let known = trial::read(&results)?;
            let mut numbers = trial::shuffled(&tree, seed);
            numbers.retain(|number| tree.mutants[*number as usize - 1].0.name.contains(&name));
            numbers.truncate(numbers.len() * percent / 100);
            numbers.retain(|number| match known.get(&tree.mutants[*number as usize - 1].0.name) {
                None => true,
                Some(Outcome::Missed | Outcome::Unreached) => again,
                Some(_) => false,
            });
            let mut suites: Vec<reach::Suite> = load(&suites)?;
            // Most mutants are noticed by any suite that comes past them: the quick ones go first.
            suites.sort_by_key(|suite| suite.took_s);
            for suite in &mut suites {
                suite.leave_out(&without);
            }
            trial::try_all(&tree, &suites, numbers, &results)?;
        }
        What::Table => print!("{}", table::table(&load(&built)?, &trial::read(&results)?)),
    }
    Ok(())
}

fn save(file: &Path, what: &impl Serialize) -> anyhow::Result<()> {
    fs::write(file, serde_json::to_vec(what)?).with_context(|| file.display().to_string())
}

fn load<T: DeserializeOwned>(file: &Path) -> anyhow::Result<T> {
    let text = fs::read(file)
        .with_context(|| format!("{}: `build` comes before all else", file.display()))?;
    Ok(serde_json::from_slice(&text)?)
}
