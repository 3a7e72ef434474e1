//! `berth-hub`: pages, API, decisions, state.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use berth_common::HostId;
use berth_hub::backup::{self, Restore};
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
    /// Write a backup of the hub's state into one file, also while the hub runs. Whoever can read
    /// that file can speak for the hub.
    Backup {
        /// The file to be made.
        file: PathBuf,
        /// The state folder, as `state` in hub.toml says.
        #[arg(long, value_name = "FOLDER", default_value = "/var/lib/berth")]
        state: PathBuf,
    },
    /// Put a backup in the place of the hub's state. The hub must be stopped. Servers that run go
    /// on; nothing is started until every host has told what it runs.
    Restore {
        /// The file that `berth-hub backup` made.
        file: PathBuf,
        /// The state folder, as `state` in hub.toml says.
        #[arg(long, value_name = "FOLDER", default_value = "/var/lib/berth")]
        state: PathBuf,
        /// Put a store that is there aside.
        #[arg(long)]
        replace: bool,
        /// A host that is gone for good: do not wait for it. May be given several times.
        #[arg(long, value_name = "HOST")]
        without: Vec<HostId>,
    },
    /// Print the hash of the hub's key, by which a host knows the hub that it joins without a
    /// token.
    KeyHash {
        /// The state folder, as `state` in hub.toml says.
        #[arg(long, value_name = "FOLDER", default_value = "/var/lib/berth")]
        state: PathBuf,
    },
    /// Print every series of /hub/metrics as a Markdown table.
    Metrics,
    /// Print every reason code as a Markdown table.
    Reasons,
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
            berth_process::logging::start("berth-hub");
            match berth_hub::serve::run(&config).await {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => fail(&error),
            }
        }
        Command::Config { command: ConfigCommand::Check { config, with_file } } => {
            check(&config, with_file.as_deref())
        }
        Command::Backup { file, state } => {
            match backup::back_up(&state, &file, berth_process::clock::now()) {
                Ok(()) => {
                    println!("{} holds the hub's state and keys: keep it secret", file.display());
                    ExitCode::SUCCESS
                }
                Err(error) => fail(&error),
            }
        }
        Command::Restore { file, state, replace, without } => {
            let wish = Restore { backup: &file, state: &state, replace, without };
            match backup::restore(&wish, berth_process::clock::now()) {
                Ok(done) => {
                    tell(&done);
                    ExitCode::SUCCESS
                }
                Err(error) => fail(&error),
            }
        }
        Command::KeyHash { state } => {
            let folder = state.join("ca");
            // A hub makes its key when it first runs, as its own user.
            if !folder.join("ca.pem").exists() {
                return fail(&anyhow::anyhow!("{}: no hub has run here", folder.display()));
            }
            match berth_hub::ca::Ca::open(&folder).and_then(|ca| ca.key_hash()) {
                Ok(hash) => {
                    println!("{hash}");
                    ExitCode::SUCCESS
                }
                Err(error) => fail(&error.into()),
            }
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
        Command::Reasons => {
            println!("| Code | What people read | What they can do |\n|---|---|---|");
            for reason in berth_common::Reason::ALL {
                println!("| `{reason}` | {} | {} |", reason.text(), reason.remedy());
            }
            ExitCode::SUCCESS
        }
        Command::CrashPoints => {
            for point in berth_process::crash::list() {
                println!("{point}");
            }
            ExitCode::SUCCESS
        }
    }
}

fn check(folder: &Path, with_file: Option<&str>) -> ExitCode {
    let candidate = match with_file.map(|text| Candidate::parse(text, folder)).transpose() {
        Ok(candidate) => candidate,
        Err(error) => {
            eprintln!("berth-hub: --with-file: {error}");
            return ExitCode::from(2);
        }
    };
    let found = config::check(folder, berth_process::clock::now(), candidate.as_ref());
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

fn tell(done: &backup::Done) {
    println!("restored the state of {}; {} servers ran then", done.taken, done.placed);
    if let Some(aside) = &done.aside {
        println!("the former store is {}", aside.display());
    }
    println!(
        "Start berth-hub. It starts no server before every host of hosts.d has told what it runs;\n\
         take a host that is gone for good out of hosts.d. What was changed after the backup is\n\
         forgotten, also tokens that were revoked: look at `berth token list` and `berth user list`."
    );
}

fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("berth-hub: {error:#}");
    ExitCode::FAILURE
}
