//! `berth-hub`: pages, API, decisions, state.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use berth_hub::config::{self, Candidate};
use clap::{Parser, Subcommand};

/// Each password check takes 19 MiB for a moment. glibc keeps such memory, thread by thread; this
/// allocator gives it back at once, if its environment says so.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The hub of a Berth site.
#[derive(Parser)]
#[command(name = "berth-hub", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the hub.
    Serve {
        /// The configuration folder.
        #[arg(long, default_value = "/etc/berth")]
        config: PathBuf,
    },
    /// Check the configuration; needs no running hub.
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Print every series of /hub/metrics as a Markdown table.
    Metrics,
    /// List the places where tests let this program die.
    #[command(hide = true)]
    CrashPoints,
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Read and check all files together.
    Check {
        /// The configuration folder.
        #[arg(default_value = "/etc/berth")]
        config: PathBuf,
        /// Check as if FILE were already in place under NAME, and speak of its own mistakes only:
        /// for Puppet's validate_cmd, `--with-file ${title}=%`.
        #[arg(long, value_name = "NAME=FILE")]
        with_file: Option<String>,
    },
}

/// The allocator's setting: memory goes back to the system without delay.
const PURGE_DELAY: &str = "MIMALLOC_PURGE_DELAY";

/// Starts this program again, in the same process, with the allocator's setting: it is read
/// before `main` and can be set in no other way that is safe.
fn set_allocator() {
    use std::os::unix::process::CommandExt;
    if std::env::var_os(PURGE_DELAY).is_none()
        && let Ok(program) = std::env::current_exe()
    {
        let mut again = std::process::Command::new(program);
        // Returns only if it fails: then we go on, and need more memory.
        let _ = again.args(std::env::args_os().skip(1)).env(PURGE_DELAY, "0").exec();
    }
}

fn main() -> ExitCode {
    set_allocator();
    run()
}

#[tokio::main]
async fn run() -> ExitCode {
    match Arguments::parse().command {
        Command::Serve { config } => {
            berth_process::logging::start();
            match berth_hub::serve::run(&config).await {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => fail(&error),
            }
        }
        Command::Config { command: ConfigCommand::Check { config, with_file } } => {
            check(&config, with_file.as_deref())
        }
        Command::Metrics => match berth_hub::metrics::all_series() {
            Ok(all) => {
                println!("| Series | Labels | Meaning |\n|---|---|---|");
                for one in all {
                    println!("| `{}` | {} | {} |", one.name, one.labels.join(", "), one.meaning);
                }
                ExitCode::SUCCESS
            }
            Err(error) => fail(&error.into()),
        },
        Command::CrashPoints => {
            for point in berth_process::crash::list() {
                println!("{point}");
            }
            ExitCode::SUCCESS
        }
    }
}

fn check(folder: &Path, with_file: Option<&str>) -> ExitCode {
    let now = berth_process::clock::now();
    let found = match with_file.map(|text| Candidate::parse(text, folder)) {
        None => config::load(folder, now).map_or_else(|errors| errors, |(_, warnings)| warnings),
        Some(Ok(candidate)) => config::check_candidate(folder, now, &candidate),
        Some(Err(error)) => {
            eprintln!("berth-hub: --with-file: {error}");
            return ExitCode::from(2);
        }
    };
    if !found.0.is_empty() {
        eprintln!("{found}");
    }
    if found.has_errors() {
        return ExitCode::FAILURE;
    }
    match with_file {
        None => println!("{}: all files are good", folder.display()),
        Some(_) => println!("nothing speaks against putting it in place"),
    }
    ExitCode::SUCCESS
}

fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("berth-hub: {error:#}");
    ExitCode::FAILURE
}
