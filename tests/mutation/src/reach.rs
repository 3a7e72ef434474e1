//! Which tests come past which mutants: nobody else can notice.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};

use crate::tree::{Built, Program};

/// Some of the tests of a program, all of which are run for a mutant before the next suite is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Suite {
    /// What a table calls it.
    pub name: String,
    /// The program.
    pub program: Program,
    /// Arguments that choose among its tests.
    pub choice: Vec<String>,
    /// How long all of them took, in seconds.
    pub took_s: u64,
    /// By mutant.
    pub reached: BTreeMap<u32, Tests>,
}

impl Suite {
    /// Forgets tests of these names.
    pub fn leave_out(&mut self, names: &[String]) {
        self.choice.extend(names.iter().map(|name| format!("--skip={name}")));
        self.reached.retain(|_, tests| match tests {
            Tests::Any => true,
            Tests::These(tests) => {
                tests.retain(|test| !names.contains(test));
                !tests.is_empty()
            }
        });
    }
}

/// Tests of a suite.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Tests {
    /// A thread of their own did it, so nobody knows which.
    Any,
    /// These alone.
    These(BTreeSet<String>),
}

/// What there is of a program, if it is one that may notice; the cheap first.
///
/// # Errors
/// The program does not list its tests.
fn suites(program: &Program) -> anyhow::Result<Vec<(u8, String, Vec<String>)>> {
    let suite = |order, name: &str, choice: &[&str]| {
        (order, name.to_owned(), choice.iter().map(|it| (*it).to_owned()).collect())
    };
    Ok(match program.source.as_str() {
        "agent/src/lib.rs" => vec![suite(0, "agent::reconcile", &["reconcile::", "policy::"])],
        "hub/core/src/lib.rs" => vec![suite(0, "core", &[])],
        "hub/core/tests/main.rs" => {
            let modules = modules(program)?.into_iter();
            modules.map(|it| suite(1, &format!("core/{it}"), &[&format!("{it}::")])).collect()
        }
        "tests/tests/world.rs" => vec![
            suite(2, "world", &["--skip=it_bites", "--skip=many_seeds"]),
            suite(3, "world, many seeds", &["many_seeds"]),
        ],
        _ => Vec::new(),
    })
}

/// The modules that a program's tests are in.
fn modules(program: &Program) -> anyhow::Result<BTreeSet<String>> {
    let output = tests(program).args(["--list", "--format=terse"]).output()?;
    ensure!(output.status.success(), "{} does not list its tests", program.source);
    let names = String::from_utf8_lossy(&output.stdout);
    Ok(names.lines().filter_map(|it| it.split_once("::")).map(|it| it.0.to_owned()).collect())
}

/// Runs everything without a mutant: it must pass, and tells who comes past what.
///
/// # Errors
/// A test fails, although nothing is broken.
pub fn reach(built: &Built, folder: &Path) -> anyhow::Result<Vec<Suite>> {
    let mut all = Vec::new();
    for program in &built.programs {
        for (order, name, choice) in suites(program)? {
            let file = folder.join("reached.txt");
            let _ = fs::remove_file(&file);
            let begun = Instant::now();
            let output = tests(program)
                .args(&choice)
                // With one thread only the harness would run tests in its own.
                .arg("--test-threads=2")
                .env("BERTH_MUTANTS_REACHED", &file)
                .stdout(Stdio::piped())
                .output()
                .with_context(|| name.clone())?;
            let said = String::from_utf8_lossy(&output.stdout);
            ensure!(output.status.success(), "{name} fails without any mutant:\n{said}");
            let took_s = begun.elapsed().as_secs();
            let reached = read(&fs::read_to_string(&file).unwrap_or_default())?;
            println!("{name}: {took_s} s, comes past {} mutants", reached.len());
            let program = program.clone();
            all.push((order, Suite { name, program, choice, took_s, reached }));
        }
    }
    all.sort_by_key(|(order, suite)| (*order, suite.took_s));
    Ok(all.into_iter().map(|(_, suite)| suite).collect())
}

/// A test program that says the same each time: no old failures, no chance, no search for the
/// smallest example.
pub fn tests(program: &Program) -> Command {
    let mut command = Command::new(&program.path);
    command
        .current_dir(&program.folder)
        .env("BERTH_WORLD_SEEDS", "10")
        .env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "1")
        .env("PROPTEST_MAX_SHRINK_ITERS", "0")
        .env("PROPTEST_RNG_SEED", "1")
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// Lines `NUMBER THREAD`, as `active.rs` writes them.
fn read(text: &str) -> anyhow::Result<BTreeMap<u32, Tests>> {
    let mut reached = BTreeMap::new();
    for line in text.lines() {
        let (number, thread) = line.split_once(' ').context("a number and a thread")?;
        let tests = reached.entry(number.parse()?).or_insert_with(|| Tests::These(BTreeSet::new()));
        match tests {
            Tests::These(tests) if thread != "main" => {
                tests.insert(thread.to_owned());
            }
            _ => *tests = Tests::Any,
        }
    }
    Ok(reached)
}
