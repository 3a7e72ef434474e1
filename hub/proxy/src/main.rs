//! `berth-proxy --config FILE`: reads the configuration, starts, and ends when asked to. With other
//! options, or called `configurable-http-proxy`, it is that program.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use berth_process::logging;
use berth_process::signal::EndSignals;
use berth_proxy::arguments::{self, Arguments, Asked};
use berth_proxy::setup::Setup;
use berth_proxy::{Running, config, handover, log};
use clap::Parser;
use tokio::signal::unix;

/// Each request takes and gives back some fifty small pieces of memory; this allocator does it in
/// half the time of the C library's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Ended by a signal, as configurable-http-proxy says it.
const ENDED: u8 = 2;

/// Carries users' traffic to their notebook servers.
#[derive(Parser)]
#[command(
    name = "berth-proxy",
    version,
    after_help = "Any other option makes it configurable-http-proxy: see --port 8000 --help."
)]
struct OwnArguments {
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = "/etc/berth/proxy.toml")]
    config: PathBuf,
    /// Only read the file and say whether it can be used.
    #[arg(long, requires = "config")]
    check: bool,
    /// List the places where tests let this program die.
    #[arg(long, hide = true)]
    crash_points: bool,
}

fn main() -> ExitCode {
    let words = || std::env::args_os().map(|word| word.to_string_lossy().into_owned());
    let program = words().next().unwrap_or_default();
    let only_help = words().nth(1).is_some_and(|word| word == "--help" || word == "--version")
        && words().count() == 2;
    if arguments::is_meant(Path::new(&program), words().skip(1)) && !only_help {
        return as_configurable_http_proxy();
    }
    let arguments = OwnArguments::parse();
    if arguments.crash_points {
        for point in berth_process::crash::list() {
            println!("{point}");
        }
        return ExitCode::SUCCESS;
    }
    if arguments.check {
        return check(&arguments.config);
    }
    logging::start("berth-proxy");
    match run(&arguments.config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn check(file: &Path) -> ExitCode {
    match config::read(file) {
        Ok(_) => {
            println!("{}: good", file.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("berth-proxy: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(config: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let config = config::read(config)?;
    logging::set(config.logs);
    let setup = Setup::of_config(&config)?;
    runtime()?.block_on(async {
        let signals = Signals::hear()?;
        let running = berth_proxy::start_setup(setup, handover::inherited()?).await?;
        if let Some(running) = until_asked_to_end(running, signals).await {
            tracing::info!("ending");
            running.stop().await;
        }
        Ok(())
    })
}

/// Serves until a signal ends this process, or until a successor has taken over and nothing is left
/// to carry; then there is nothing to stop.
async fn until_asked_to_end(mut running: Running, mut signals: Signals) -> Option<Running> {
    loop {
        tokio::select! {
            () = signals.end.asked() => return Some(running),
            _ = signals.upgrade.recv() => {}
        }
        let handing_over = running.hand_over();
        running = tokio::select! {
            // Asked to end while it drains, it ends: the successor serves.
            () = signals.end.asked() => return None,
            handed_over = handing_over => match handed_over {
                Ok(()) => return None,
                Err(running) => *running,
            }
        };
    }
}

/// What the process is asked. Heard before anything says that it serves: until then a signal ends it
/// without a word.
struct Signals {
    end: EndSignals,
    upgrade: unix::Signal,
}

impl Signals {
    fn hear() -> std::io::Result<Self> {
        let upgrade = unix::signal(unix::SignalKind::user_defined2())?;
        Ok(Self { end: EndSignals::hear()?, upgrade })
    }
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    // Users' traffic has threads of its own; see `worker`.
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

fn as_configurable_http_proxy() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            // The parser's own code for a bad option is 2; scripts know 1.
            return if error.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
        }
    };
    log::start(arguments.log_level());
    let token = std::env::var("CONFIGPROXY_AUTH_TOKEN").ok().filter(|token| !token.is_empty());
    let asked = match arguments.setup(token) {
        Ok(asked) => asked,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    match serve(asked) {
        Ok(()) => ExitCode::from(ENDED),
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(asked: Asked) -> Result<(), Box<dyn std::error::Error>> {
    for note in &asked.notes {
        tracing::info!("{note}");
    }
    for warning in &asked.warnings {
        tracing::warn!("{warning}");
    }
    let own_id = std::process::id().to_string();
    let ended = runtime()?.block_on(async {
        let signals = Signals::hear()?;
        let running = berth_proxy::start_setup(asked.setup, handover::inherited()?).await?;
        if let Some(path) = &asked.pid_file {
            tracing::info!("Writing pid {own_id} to {}", path.display());
            std::fs::write(path, &own_id)?;
        }
        if let Some(running) = until_asked_to_end(running, signals).await {
            tracing::warn!("Terminated");
            running.stop_at_once().await;
        }
        Ok(())
    });
    // A successor has written its own by now.
    if let Some(path) = &asked.pid_file
        && std::fs::read_to_string(path).is_ok_and(|text| text == own_id)
    {
        let _ = std::fs::remove_file(path);
    }
    ended
}
