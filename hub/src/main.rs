//! `berth-hub`: pages, API, decisions, state.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

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
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Serve { config } => {
            berth_process::logging::start();
            match berth_hub::serve::run(&config).await {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => fail(&error),
            }
        }
        Command::Config { command: ConfigCommand::Check { config } } => {
            match berth_hub::config::load(&config) {
                Ok(_) => {
                    println!("{}: all files are good", config.display());
                    ExitCode::SUCCESS
                }
                Err(diagnostics) => {
                    eprintln!("{diagnostics}");
                    ExitCode::FAILURE
                }
            }
        }
        Command::CrashPoints => {
            for point in berth_process::crash::list() {
                println!("{point}");
            }
            ExitCode::SUCCESS
        }
    }
}

fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("berth-hub: {error:#}");
    ExitCode::FAILURE
}
