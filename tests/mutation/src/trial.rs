//! Switches one mutant after another on, and looks whether a test notices.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Instant;

use anyhow::{Context, bail};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;

use crate::reach::{Suite, Tests, tests};
use crate::tree::{Built, Fate};

/// What the tests said of a mutant.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Tests of this suite failed.
    Caught(String),
    /// Tests of this suite did not end, or took all memory.
    Hung(String),
    /// All passed.
    Missed,
    /// No test comes past it.
    Unreached,
}

/// What is known, by the mutant's name.
pub type Outcomes = BTreeMap<String, Outcome>;

/// A hung test is one that takes so many times as long as all of its suite did.
const TIMES: u64 = 10;
/// And at least so many seconds of a processor.
const LEAST_S: u64 = 30;
/// No time of a processor: it waits for what never comes.
const WALL_S: u64 = 1_800;
/// A mutant that fills the memory must not take the machine's.
const MEMORY: &str = "--as=6442450944";

/// The order in which mutants are tried: any beginning of it is a fair sample.
pub fn shuffled(built: &Built, seed: u64) -> Vec<u32> {
    let mut numbers: Vec<u32> = (1..)
        .zip(&built.mutants)
        .filter(|(_, (_, fate))| *fate == Fate::Switched)
        .map(|(number, _)| number)
        .collect();
    numbers.shuffle(&mut StdRng::seed_from_u64(seed));
    numbers
}

/// Tries these, as many at once as there are processors, and adds a line to `results` for each.
///
/// # Errors
/// A test program cannot be run, or the results cannot be written.
pub fn try_all(
    built: &Built,
    suites: &[Suite],
    numbers: Vec<u32>,
    results: &Path,
) -> anyhow::Result<()> {
    let all = numbers.len();
    let queue = Mutex::new(VecDeque::from(numbers));
    let file = OpenOptions::new().create(true).append(true).open(results)?;
    let file = Mutex::new(file);
    let work = || -> anyhow::Result<()> {
        loop {
            let mut waiting = queue.lock().expect("nobody panics with it");
            let Some(number) = waiting.pop_front() else { return Ok(()) };
            let at = all - waiting.len();
            drop(waiting);
            let begun = Instant::now();
            let outcome = try_one(suites, number)?;
            let name = &built.mutants[number as usize - 1].0.name;
            println!("{at}/{all} {name}: {outcome:?}, {} s", begun.elapsed().as_secs());
            let (word, by) = match &outcome {
                Outcome::Caught(by) => ("caught", by.as_str()),
                Outcome::Hung(by) => ("hung", by.as_str()),
                Outcome::Missed => ("missed", ""),
                Outcome::Unreached => ("unreached", ""),
            };
            let line = format!("{word}\t{by}\t{name}\n");
            file.lock().expect("nobody panics with it").write_all(line.as_bytes())?;
        }
    };
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..processors).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("it does not panic"))
    })
}

fn try_one(suites: &[Suite], number: u32) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::Unreached;
    for suite in suites {
        let Some(reached) = suite.reached.get(&number) else { continue };
        let limit = LEAST_S + TIMES * suite.took_s;
        // Idle: whoever else works on this machine goes before. The limit is one of its own time.
        let mut command = Command::new("timeout");
        command.arg(WALL_S.to_string()).args([
            "chrt",
            "--idle",
            "0",
            "prlimit",
            &format!("--cpu={limit}"),
            MEMORY,
        ]);
        let program = tests(&suite.program);
        command.arg(program.get_program());
        match reached {
            Tests::Any => command.args(&suite.choice),
            Tests::These(tests) => command.arg("--exact").args(tests),
        };
        // The first test that fails is enough; whether a stable compiler's tests may stop there asks
        // for a word of bootstrapping.
        command.env("RUSTC_BOOTSTRAP", "1").args(["-Zunstable-options", "--fail-fast"]);
        command.current_dir(&suite.program.folder).arg("--test-threads=1");
        for (name, value) in program.get_envs() {
            command.env(name, value.unwrap_or_default());
        }
        let status = command
            .env("BERTH_MUTANT", number.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .context("timeout, chrt and prlimit run a test program")?;
        // 101: tests failed. A signal: out of time or memory, seen by `timeout` as 128 and more.
        match status.code() {
            Some(0) => outcome = Outcome::Missed,
            Some(101) => return Ok(Outcome::Caught(suite.name.clone())),
            Some(124 | 128..) => return Ok(Outcome::Hung(suite.name.clone())),
            None if status.signal().is_some() => return Ok(Outcome::Hung(suite.name.clone())),
            _ => bail!("{}: {status}", suite.name),
        }
    }
    Ok(outcome)
}

/// What earlier runs found; the last word on each.
///
/// # Errors
/// The file is none of ours.
pub fn read(results: &Path) -> anyhow::Result<Outcomes> {
    let mut outcomes = Outcomes::new();
    for line in fs::read_to_string(results).unwrap_or_default().lines() {
        let mut words = line.splitn(3, '\t');
        let (Some(word), Some(by), Some(name)) = (words.next(), words.next(), words.next()) else {
            bail!("{}: not a result: {line}", results.display());
        };
        let outcome = match word {
            "caught" => Outcome::Caught(by.to_owned()),
            "hung" => Outcome::Hung(by.to_owned()),
            "missed" => Outcome::Missed,
            "unreached" => Outcome::Unreached,
            _ => bail!("{}: no outcome: {word}", results.display()),
        };
        outcomes.insert(name.to_owned(), outcome);
    }
    Ok(outcomes)
}
