//! Assembles the parts for each command.

use std::path::Path;
use std::sync::Arc;

use berth_agent_sys::machine;
use berth_common::link::Watch;
use berth_common::{BootId, Epoch, HostId, Incarnation};
use berth_process::file::{self, FileError};
use berth_process::logging;
use berth_process::signal::EndSignals;
use berth_process::systemd::{self, Watchdog};
use tokio::sync::{mpsc, watch};

use crate::config::{self, Config, ConfigError, HubAddress, Mode};
use crate::driver::{self, Input, Outlets};
use crate::fake;
use crate::fake::inventory::Inventory;
use crate::firewall::Wall;
use crate::gpu::Gpus;
use crate::gpu::nvml::Library;
use crate::health;
use crate::helper::Helper;
use crate::identity::{self, Folder, IdentityError, Puppet};
use crate::images;
use crate::link::dial::Tcp;
use crate::link::{self, LinkState, Outside};
use crate::perform::Workplace;
use crate::reconcile::Keeper;
use crate::runtime::Runtime;
use crate::runtime::docker::Docker;
use crate::status;
use crate::tunnel::{self, TunnelError};

pub mod check;
pub mod drain_me;
pub mod gpu;

/// Threads that run tasks: the agent waits nearly always.
const WORKERS: usize = 2;

/// Threads that may hang on dead file servers: as many users' starts can be tried at once.
const BLOCKING: usize = 64;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Keys and certificates.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The tunnel.
    #[error(transparent)]
    Tunnel(#[from] TunnelError),
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file with the highest epoch is damaged.
    #[error(
        "{0} holds no number; it remembers the newest hub that this host has obeyed: \
             look into the backup, or write the number that the hub's log tells"
    )]
    Epoch(String),
    /// A fake host can only be the one of the configuration.
    #[error("{0} has no host {1}; add it there, or put [agent] name right")]
    NotInInventory(String, HostId),
    /// A fake host cannot join.
    #[error("{0} has no certificates and no join token; make one: berth host add {0} -q")]
    NoToken(HostId),
    /// Two would pull at the same containers.
    #[error("another berth-agent runs with the state folder {0}")]
    Twice(String),
    /// No agent answers.
    #[error("no agent answers at {path}: {source}; is berth-agent running?")]
    NoAgent {
        /// Its socket.
        path: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The hub does not do what this host asks for.
    #[error("the hub refuses: {0}")]
    Refused(String),
    /// No such GPU is remembered.
    #[error(
        "nothing is remembered of {gpu} in {folder}: {source}; see berth-agent status for the ids"
    )]
    NoGpu {
        /// Which.
        gpu: berth_common::GpuId,
        /// Where it was looked for.
        folder: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The driver does not answer.
    #[error("NVML: {0}")]
    Nvml(#[from] nvml_wrapper::error::NvmlError),
    /// Anything else the system refuses.
    #[error("{0}")]
    System(#[from] std::io::Error),
}

/// A runtime as small as the agent's work.
///
/// # Errors
/// When the system has no threads.
pub fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .max_blocking_threads(BLOCKING)
        .enable_all()
        .build()
}

/// `berth-agent run`: until the process is asked to end. Servers run on then.
///
/// # Errors
/// When the host is not ready for an agent.
pub fn run(file: &Path) -> Result<(), CommandError> {
    let config = Arc::new(config::read(file)?);
    logging::set(config.logs);
    let wall = || {
        let (firewall, farm) = (config.firewall.clone(), config.farm.clone());
        Wall::new(config.agent.name.as_str(), firewall, farm)
    };
    let docker = Docker::new(config.agent.name.clone(), &config.agent.docker)
        .giving(config.gpus.give)
        .logging_in_with(config.agent.registries.clone())
        .walled(wall());
    let (old, kept) = (wall(), docker.clone());
    runtime()?.block_on(async {
        match config.firewall.mode {
            Mode::Off => old.remove().await,
            Mode::On | Mode::Required => drop(tokio::spawn(kept.keep_wall())),
        }
        agent(config, docker).await
    })
}

/// `berth-agent run --runtime fake`: this host as a fake one.
///
/// # Errors
/// When the host is not ready for an agent, or the inventory does not know it.
pub fn run_fake(file: &Path, inventory: &Path) -> Result<(), CommandError> {
    let config = Arc::new(config::read(file)?);
    logging::set(config.logs);
    let all = Inventory::read(inventory)?;
    let name = &config.agent.name;
    let has = all.of(name).cloned().ok_or_else(|| {
        CommandError::NotInInventory(inventory.display().to_string(), name.clone())
    })?;
    runtime()?.block_on(async {
        let _only_one = lock(&config.agent.state)?;
        let mut end = EndSignals::hear()?;
        tokio::select! {
            lived = fake::host::live(config.clone(), has, all.nature, Outside::real()) => lived?,
            () = end.asked() => {}
        }
        Ok(())
    })
}

/// The agent on any engine.
///
/// # Errors
/// When the host is not ready for an agent.
pub async fn agent<R: Runtime>(config: Arc<Config>, runtime: R) -> Result<(), CommandError> {
    let credential = identity::link_credential(&config)?;
    let _only_one = lock(&config.agent.state)?;
    file::make_folder(&config.agent.run, 0o755)?;
    let boot: BootId = machine::boot_id()?.parse().map_err(std::io::Error::other)?;
    let gpus = match &config.gpus {
        gpus if gpus.manage => {
            let library = Library::new(gpus.library.clone());
            Gpus::start(library, &config.agent.state, &boot, &gpus.only)?
        }
        _ => Gpus::none(&boot),
    };
    let keeper = Keeper::new(
        Incarnation(rand::random()),
        boot.clone(),
        config.agent.starts_at_once,
        saved_epoch(&config)?,
    );
    let (sender, inputs) = mpsc::channel(driver::INPUTS);
    let (feed, fed) = tunnel::feed::Feed::new(&config.agent.run);
    let (reports, reported) = watch::channel(None);
    let (link_state, link) = watch::channel(LinkState::Away("not linked yet".into()));
    let work = Arc::new(Workplace {
        runtime,
        config: config.clone(),
        boot,
        gpus,
        helper: Helper::process(std::env::current_exe()?),
        inputs: sender.clone(),
    });
    if config.limits.is_none() {
        tracing::warn!("no section [limits]: servers run on, but none is created on this host");
    }
    let mut end = EndSignals::hear()?;
    tracing::info!(host = %config.agent.name, "agent {} begins", env!("CARGO_PKG_VERSION"));
    let listener = status::listen(&config.agent.run)?;
    tokio::spawn(status::serve(listener, sender.clone()));
    tokio::spawn(tunnel::feed::keep(tunnel::table::socket(&config.agent.run), fed));
    tokio::spawn(watch_engine(work.clone()));
    let (watch, watched) = watch::channel(Watch::default());
    tokio::spawn(images::keep(work.clone(), watched.clone()));
    tokio::spawn(health::keep(work.helper.clone(), watched, sender.clone()));
    tokio::spawn(link::renew(config.clone(), credential.clone(), Tcp));
    let outside = Outside::real();
    tokio::spawn(link::keep(config, credential, outside, reported, sender, link_state));
    let outlets = Outlets { reports, feed, watch, link, watchdog: Watchdog::of_the_unit() };
    systemd::ready();
    tokio::select! {
        () = driver::run(keeper, work, inputs, outlets) => {}
        () = end.asked() => {}
    }
    systemd::stopping();
    tracing::info!("agent ends; servers run on");
    Ok(())
}

/// `berth-agent check --file-only`: what Puppet asks before it replaces the file.
///
/// # Errors
/// When it cannot be used.
pub fn check_file(file: &Path) -> Result<(), CommandError> {
    config::read(file)?;
    println!("{}: good", file.display());
    Ok(())
}

/// Held for as long as the agent lives; the kernel lets go of it however the agent ends.
pub(crate) fn lock(state: &Path) -> Result<std::fs::File, CommandError> {
    let path = state.join("agent.lock");
    let file =
        std::fs::File::create(&path).map_err(|source| FileError::new("make", &path, source))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(_) => Err(CommandError::Twice(state.display().to_string())),
    }
}

async fn watch_engine<R: Runtime>(work: Arc<Workplace<R>>) {
    // Lost in a full channel, it is made up for by the next regular list.
    let wake = || drop(work.inputs.try_send(Input::Changed));
    work.runtime.changes(wake).await;
}

pub(crate) fn saved_epoch(config: &Config) -> Result<Epoch, CommandError> {
    let path = Folder::new(config).epoch();
    let Some(text) = file::read_if_there(&path)? else { return Ok(Epoch(0)) };
    let number = text.trim().parse();
    number.map(Epoch).map_err(|_| CommandError::Epoch(path.display().to_string()))
}

/// `berth-agent join TOKEN`.
///
/// # Errors
/// Says what is wrong and what to do.
pub fn join(file: &Path, token: &str, hub: Option<HubAddress>) -> Result<(), CommandError> {
    let config = config::read(file)?;
    let hub = hub.unwrap_or_else(|| config.agent.hub.clone());
    runtime()?.block_on(identity::join(&config, &Tcp, &hub, token))?;
    println!(
        "{} has joined; start the services berth-agent and berth-agent-tunnel",
        config.agent.name
    );
    Ok(())
}

/// `berth-agent join --puppet`.
///
/// # Errors
/// Says what is wrong and what to do.
pub fn join_by_puppet(
    file: &Path,
    puppet: &Puppet,
    hub: Option<HubAddress>,
) -> Result<(), CommandError> {
    let config = config::read(file)?;
    let hub = hub.unwrap_or_else(|| config.agent.hub.clone());
    runtime()?.block_on(identity::join_by_puppet(&config, &Tcp, &hub, puppet))?;
    println!(
        "{} has joined; start the services berth-agent and berth-agent-tunnel",
        config.agent.name
    );
    Ok(())
}

/// `berth-agent tunnel`: until the process is asked to end, or has been replaced.
///
/// # Errors
/// When it cannot serve.
pub fn tunnel(file: &Path) -> Result<(), CommandError> {
    let config = Arc::new(config::read(file)?);
    logging::set(config.logs);
    // Before there are threads: it may give up root.
    let sockets = tunnel::prepare(&config)?;
    let runtime = runtime()?;
    let result = runtime.block_on(tunnel::run(config, sockets));
    // Streams that are still open end with the process: nobody waits for them.
    runtime.shutdown_background();
    Ok(result?)
}

/// `berth-agent status`.
///
/// # Errors
/// When no agent answers.
pub fn show_status(file: &Path, json: bool) -> Result<(), CommandError> {
    let config = config::read(file)?;
    let run = &config.agent.run;
    let status = status::ask(run).map_err(|source| CommandError::NoAgent {
        path: status::socket(run).display().to_string(),
        source,
    })?;
    if json {
        println!("{status:#}");
    } else {
        print!("{}", status::lines(&status));
    }
    Ok(())
}
