//! A long run of the simulated world.

use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use berth_tests::world::faults::Scale;
use berth_tests::world::many::{Many, run_many};
use berth_tests::world::{Failure, Summary, run_seed};
use clap::{Parser, ValueEnum};
use comfy_table::{CellAlignment, Table, presets};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Seeds at each scale, if neither their number nor a time is given.
const SEEDS: u64 = 20;
/// Between two lines that say how far it is.
const BETWEEN: Duration = Duration::from_secs(60);

/// Lives seeds of the simulated world on all processors, and says what they covered: simulated
/// years, faults, rare paths, and speed. Ends with 1 if a promise was broken, and says how to see
/// that again.
#[derive(Debug, Parser)]
struct Arguments {
    /// Begin no other seed after so long, as in `1h` or `90s`
    #[arg(long = "for", value_name = "SPAN", value_parser = span)]
    lasts: Option<Duration>,
    /// How many seeds at each scale: 20, or as many as there is time for
    #[arg(long, value_name = "NUMBER")]
    seeds: Option<u64>,
    /// The first of them
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    first: u64,
    /// All at this scale: else each seed at every scale in turn
    #[arg(long)]
    scale: Option<Scale>,
    /// Lives one seed and prints all that happens in it
    #[arg(long, value_name = "SEED", requires = "scale", conflicts_with_all = ["lasts", "seeds", "first"])]
    seed: Option<u64>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let (Some(seed), Some(scale)) = (arguments.seed, arguments.scale) {
        return show(seed, scale);
    }
    let scales = arguments.scale.map_or_else(|| Scale::value_variants().to_vec(), |one| vec![one]);
    let endless = arguments.lasts.map_or(SEEDS, |_| u64::MAX);
    let last = arguments.first.saturating_add(arguments.seeds.unwrap_or(endless));
    let seeds =
        (arguments.first..last).flat_map(|seed| scales.iter().map(move |scale| (seed, *scale)));

    let begun = Instant::now();
    let said = Mutex::new(begun);
    let is_time = || arguments.lasts.is_none_or(|lasts| begun.elapsed() < lasts);
    let many = run_many(seeds, is_time, |many, failure| {
        if let Some(failure) = failure {
            println!("{}", broken(failure));
        }
        let Ok(mut said) = said.lock() else { return };
        if said.elapsed() >= BETWEEN {
            *said = Instant::now();
            println!("{}", so_far(many, begun.elapsed()));
        }
    });
    conclude(&many, begun.elapsed())
}

/// One seed, line by line.
fn show(seed: u64, scale: Scale) -> ExitCode {
    match run_seed(seed, scale, None, true) {
        Ok(lived) => {
            lived.lines.iter().for_each(|line| println!("{line}"));
            println!("seed {seed} keeps every promise");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            failure.lines.iter().for_each(|line| println!("{line}"));
            println!("BROKEN after {} s: {}", failure.at_ms / 1000, failure.broken);
            ExitCode::FAILURE
        }
    }
}

/// What was covered, and at last what was broken.
fn conclude(many: &Many, lasted: Duration) -> ExitCode {
    let all = &many.all;
    println!("{}", so_far(many, lasted));
    println!(
        "{} events, {:.0} a second; {:.2} of the years were idle and skipped",
        all.events,
        all.events as f64 / lasted.as_secs_f64(),
        years(all.skipped_ms),
    );
    if let Some(used) = processor_time() {
        let times = all.simulated_ms as f64 / 1000.0 / used.as_secs_f64();
        println!("{:.0} s of processors, {times:.0} simulated seconds in each", used.as_secs_f64());
    }
    println!("{}", table("fault", &all.faults));
    println!("{}", table("mark: this has happened", &all.marks));
    if many.failures.is_empty() {
        println!("every promise was kept");
        return ExitCode::SUCCESS;
    }
    many.failures.iter().for_each(|failure| println!("{}", broken(failure)));
    ExitCode::FAILURE
}

/// How far it is, in one line.
fn so_far(many: &Many, lasted: Duration) -> String {
    let Summary { simulated_ms, faults, marks, .. } = &many.all;
    format!(
        "{} min: {} seeds, {:.2} years simulated, {:.0} times real time, {} faults of {} kinds, {} \
         marks, {} broken",
        lasted.as_secs() / 60,
        many.lived,
        years(*simulated_ms),
        *simulated_ms as f64 / 1000.0 / lasted.as_secs_f64(),
        faults.values().sum::<u64>(),
        faults.len(),
        marks.len(),
        many.failures.len(),
    )
}

/// What was broken, and how to see it again.
fn broken(failure: &Failure) -> String {
    let scale = failure.scale.to_possible_value().map(|it| it.get_name().to_owned());
    format!(
        "BROKEN after {} s: {}\n  see it again: world --seed {} --scale {}",
        failure.at_ms / 1000,
        failure.broken,
        failure.seed,
        scale.unwrap_or_default(),
    )
}

fn table(what: &str, counts: &std::collections::BTreeMap<&'static str, u64>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["times", what]);
    for (name, count) in counts {
        table.add_row([count.to_string(), (*name).to_owned()]);
    }
    if let Some(column) = table.column_mut(0) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn years(ms: u64) -> f64 {
    ms as f64 / 1000.0 / 86_400.0 / 365.25
}

/// What this process has used of all processors: on a busy machine the only speed that says much.
fn processor_time() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name may have spaces and brackets; the fields are counted behind it.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let ticks = fields.next()?.parse::<u64>().ok()?.checked_add(fields.next()?.parse().ok()?)?;
    Some(Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second()))
}

fn span(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no span of time: write one as in `1h`, `30min` or `90s`");
    let span: jiff::Span = text.parse().map_err(|_| wrong())?;
    let days = jiff::SpanRelativeTo::days_are_24_hours();
    let span = span.to_duration(days).map_err(|_| wrong())?;
    Duration::try_from(span).map_err(|_| wrong())
}
