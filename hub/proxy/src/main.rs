//! `berth-proxy --config FILE`: reads the configuration, starts, and ends when asked to.

use std::path::PathBuf;
use std::process::ExitCode;

use berth_process::{logging, signal};
use berth_proxy::config;
use clap::Parser;

/// Carries users' traffic to their notebook servers.
#[derive(Parser)]
#[command(name = "berth-proxy", version)]
struct Arguments {
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = "/etc/berth/proxy.toml")]
    config: PathBuf,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    logging::start();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let config = config::read(&arguments.config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let running = berth_proxy::start(&config).await?;
        signal::asked_to_end().await?;
        tracing::info!("ending");
        running.stop().await;
        Ok(())
    })
}
