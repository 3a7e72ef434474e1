//! The promise, kept over many seeds; and the proof that the world would notice if it were not.
//!
//! `BERTH_WORLD_SEEDS=N` runs more seeds, `BERTH_WORLD_SEED=x` one of them with all that happened.

use std::collections::BTreeMap;

use berth_tests::world::bugs::Bug;
use berth_tests::world::faults::Scale;
use berth_tests::world::many::run_many;
use berth_tests::world::{Failure, Summary, run_seed, scenario};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Seeds that once found something, kept for ever, with what they found.
const KEPT: &[(u64, &str)] = &[
    (1, "a late create made the hub adopt a server that was removed"),
    (2, "a server that never answers, adopted by a new agent process, was starting for ever"),
    (6, "a list that was asked for before a removal brought the container back"),
    (9, "an overtaken report ended a server that had just answered"),
    (20, "the barrier's own removal passed for the end of a server"),
    (52, "an overtaken report brought a removed server back"),
    (70, "a removal changed what a desired set says, but not its number"),
    (107, "a create that failed after its stop was told for ever"),
    (197, "after a failed commit any absence was believed"),
    (1282, "the last report before a removal, overtaken, brought the server back"),
    (61, "after a restore a server was removed that a silent host was running"),
    (
        152,
        "after a restore a start outlived a container, and its host was told so under an old number",
    ),
    (179, "two servers of one host were lent the same memory"),
    (214, "two servers of one host were lent the same memory, in a hub that had stood still"),
];

/// The same of harsh seeds.
const KEPT_HARSH: &[(u64, &str)] = &[
    (124, "a training's end, and then a restore: what had never run had no cause to be gone"),
    (213, "a late container was removed, and a restore of before that missed it"),
    (776, "what a late start set running while it was removed passed for an end by hand"),
    (822, "memory was lent at the moment at which all was to rest"),
    (1165, "after a restore a boot of long ago released what runs in this one"),
    (1169, "after a restore a boot of long ago released what runs in this one, and was stopped"),
    (2009, "a wait that a training's end had ended was refused anew, and seemed forgotten"),
    (2093, "after a restore a host obeyed an order of before, when it had told what it runs"),
];

/// The same of the large scale: found in an hour's run.
const KEPT_LARGE: &[(u64, &str)] = &[
    (19, "a restored hub took the limit of a start for what its container may use"),
    (26, "the same"),
    (47, "the same"),
];

/// Rare paths that a run must reach.
const REACHED: &[&str] = &[
    "a commit failed and the fleet was loaded again",
    "a container that was to be kept vanished",
    "a container was adopted",
    "a create met a name that was taken",
    "a created container was removed",
    "a host was taken in after a restore",
    "a limit was changed after its agent had given up",
    "a limit was not believed: it was older than the order",
    "a host refused an account",
    "a host refused another limit",
    "a lost host came back",
    "a reboot released a server",
    "a removal waited behind a call that hung",
    "a repeated set changed nothing",
    "a report of an older session came late",
    "a report said that a start failed",
    "a report said that the engine does not answer",
    "a report was overtaken by a newer one",
    "a request was refused",
    "a second click started nothing",
    "a server got another limit",
    "a server waited and was then placed",
    "a server was removed",
    "a set for another agent process was ignored",
    "a set of an earlier reign was ignored",
    "a set that was overtaken was ignored",
    "a start came after its container was removed",
    "a start came while the server was stopping",
    "a start was carried out after its agent had died",
    "a stop could not be put off any more",
    "a stop overtook its start",
    "a stop was put off",
    "a warning was taken back",
    "all hosts were taken in after a restore",
    "an absence was not believed: an operation was pending",
    "an absence was not believed: it was older than the stop",
    "an extended server was stopped in its time",
    "an idle server was stopped",
    "an idle server's owner was warned",
    "memory was lent",
    "the barrier removed what an earlier process had created",
    "the hub died between commit and send",
    "the hub died when some effects had left",
];

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Shows a failure with the end of what happened.
fn shown(failure: &Failure, scale: Scale) -> String {
    let lines = match run_seed(failure.seed, scale, None, true) {
        Err(failure) => failure.lines,
        Ok(_) => vec!["it did not happen again: the world is not deterministic".into()],
    };
    let end: Vec<_> = lines.iter().rev().take(60).rev().map(String::as_str).collect();
    let (seed, at_s) = (failure.seed, failure.at_ms / 1000);
    format!("seed {seed} after {at_s} s: {}\n{}", failure.broken, end.join("\n"))
}

/// Many more hosts and servers than in the other seeds: minutes without optimization.
#[cfg(not(debug_assertions))]
#[test]
fn a_site_of_two_hundred_hosts_keeps_the_promise() {
    let begun = std::time::Instant::now();
    let simulated_s = run_at(1, Scale::Site).simulated_ms as f64 / 1000.0;
    let times = simulated_s / begun.elapsed().as_secs_f64();
    println!("200 hosts and 3,000 people: {times:.0} times real time");
}

fn run(seed: u64) -> Summary {
    run_at(seed, Scale::Small)
}

fn run_at(seed: u64, scale: Scale) -> Summary {
    match run_seed(seed, scale, None, false) {
        Ok(summary) => summary,
        Err(failure) => panic!("{}", shown(&failure, scale)),
    }
}

/// Seeds of a run: fewer without optimization, which takes ten times as long.
const SEEDS: u64 = if cfg!(debug_assertions) { 50 } else { 250 };
/// Of those in which what is rare happens often.
const HARSH: u64 = if cfg!(debug_assertions) { 10 } else { 800 };
/// And those of days and nights.
const DAYS: u64 = if cfg!(debug_assertions) { 1 } else { 166 };
/// `BERTH_LONG` makes so many times as many of both.
const LONG: u64 = 10;
/// So much time is simulated in an optimized run.
const YEARS: f64 = 2.0;
/// Each kind of fault happens this often there.
const EACH: u64 = 1_000;
/// Kinds of fault at least.
const KINDS: usize = 25;
/// Faults at least in an optimized run.
const FAULTS: u64 = 100_000;

/// Runs seeds on all processors.
fn run_all(seeds: u64, scale: Scale) -> Summary {
    let lives = (1..=seeds).map(|seed| (seed, scale));
    let many = run_many(lives, || true, |_, _| ());
    let failures: Vec<_> = many.failures.iter().map(|failure| shown(failure, scale)).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    many.all
}

#[test]
fn many_seeds_keep_the_promise() {
    if let Some(seed) = number("BERTH_WORLD_SEED") {
        run(seed);
        return;
    }
    let begun = std::time::Instant::now();
    let seeds = number("BERTH_WORLD_SEEDS").unwrap_or(SEEDS);
    let long = if std::env::var_os("BERTH_LONG").is_some() { LONG } else { 1 };
    let mut all = run_all(seeds, Scale::Small);
    all.add(run_all(HARSH * long, Scale::Harsh));
    all.add(run_all(DAYS * long, Scale::Days));
    let (seconds, faults) = (begun.elapsed().as_secs_f64(), all.faults.values().sum::<u64>());
    let years = |ms: u64| ms as f64 / 1000.0 / 86_400.0 / 365.25;
    let (rarest, rarely) = all.faults.iter().min_by_key(|(_, count)| **count).unwrap();
    println!(
        "{:.2} years simulated, {:.2} of them idle and skipped, {} events; {faults} faults of {} \
         kinds, {rarely} of the rarest ({rarest}); {} marks; {seconds:.0} s, {:.0} times real time",
        years(all.simulated_ms),
        years(all.skipped_ms),
        all.events,
        all.faults.len(),
        all.marks.len(),
        all.simulated_ms as f64 / 1000.0 / seconds
    );
    if seeds >= SEEDS && !cfg!(debug_assertions) {
        let missed: Vec<_> = REACHED.iter().filter(|path| !all.marks.contains_key(*path)).collect();
        assert!(missed.is_empty(), "never reached: {missed:#?}\nof {:#?}", all.marks);
        let seldom: Vec<_> = all.faults.iter().filter(|(_, count)| **count < EACH).collect();
        assert!(seldom.is_empty() && all.faults.len() >= KINDS, "too seldom: {seldom:#?}");
        assert!(faults >= FAULTS, "{faults} faults");
        assert!(years(all.simulated_ms) >= YEARS, "{} years", years(all.simulated_ms));
    }
}

#[test]
fn seeds_that_failed_once_pass() {
    for (seed, _) in KEPT.iter().filter(|(seed, _)| *seed > 50) {
        run(*seed);
    }
    for (seed, _) in KEPT_HARSH {
        run_at(*seed, Scale::Harsh);
    }
    // Seconds each, and minutes without optimization.
    for (seed, _) in KEPT_LARGE.iter().filter(|_| !cfg!(debug_assertions)) {
        run_at(*seed, Scale::Large);
    }
}

#[test]
fn a_seed_replays_bit_for_bit() {
    for seed in [3, 4, 5] {
        let first = run(seed);
        // Keeping lines must change nothing.
        let again = run_seed(seed, Scale::Small, None, true).map(|summary| summary.hash);
        assert_eq!(again.ok(), Some(first.hash), "seed {seed}");
        assert_ne!(run(seed + 10).hash, first.hash, "the hash says something");
    }
}

/// Seeds that are tried for a planted bug: some minutes of one core at the very most.
const SEEDS_TO_BITE: u64 = 1_000;

#[test]
fn it_bites() {
    let mut found = BTreeMap::new();
    for bug in Bug::ALL {
        let broken = (1..=SEEDS_TO_BITE)
            .find_map(|seed| run_seed(seed, Scale::Small, Some(bug), false).err());
        found.insert(format!("{bug:?}"), broken.map(|failure| (failure.seed, failure.broken)));
    }
    for (bug, broken) in &found {
        println!("{bug}: {broken:?}");
    }
    let unseen: Vec<_> = found.iter().filter(|(_, broken)| broken.is_none()).collect();
    assert!(unseen.is_empty(), "not found: {unseen:?}");
}

/// Scripts with the transcript that was reviewed; `BERTH_BLESS=1` writes them anew.
#[test]
fn scenarios_go_as_reviewed() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut files: Vec<_> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let played =
            scenario::play(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        if std::env::var_os("BERTH_BLESS").is_some() {
            std::fs::write(&file, &played).unwrap();
        } else {
            assert_eq!(text, played, "{}", file.display());
        }
    }
}
