//! `berth-agent`: reads the command line.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use berth_agent::command::drain_me::{self, Wish};
use berth_agent::command::{self, CommandError};
use berth_agent::config::{DEFAULT_FILE, HubAddress};
use berth_agent::fake::swarm;
use berth_agent::identity::Puppet;
use berth_common::GpuId;
use clap::{Parser, Subcommand, ValueEnum};

/// The agent of a host: runs the notebook servers that the hub asks for.
#[derive(Debug, Parser)]
#[command(name = "berth-agent", version, disable_help_subcommand = true)]
struct Arguments {
    /// The configuration file.
    #[arg(long, global = true, value_name = "FILE", default_value = DEFAULT_FILE)]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

/// What runs the servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Runtime {
    /// The Docker Engine of this host.
    Docker,
    /// Nothing: a host for demos and trials.
    Fake,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the agent.
    Run {
        /// What runs the servers.
        #[arg(long, value_enum, default_value_t = Runtime::Docker)]
        runtime: Runtime,
        /// What a fake host has, and how its servers behave.
        #[arg(long, value_name = "FILE", required_if_eq("runtime", "fake"))]
        inventory: Option<PathBuf>,
    },
    /// Run all fake hosts of an inventory in this process: to try a hub out, or to measure it.
    Swarm {
        /// What the hosts have, and how their servers behave.
        #[arg(long, value_name = "FILE")]
        inventory: PathBuf,
        /// The hub's link address.
        #[arg(long, value_name = "HOST:PORT")]
        hub: HubAddress,
        /// Where keys, certificates and what runs are kept, a folder a host.
        #[arg(long, value_name = "FOLDER")]
        state: PathBuf,
        /// A line `HOST TOKEN` for each host that has not joined yet, as `berth host add` makes
        /// them.
        #[arg(long, value_name = "FILE")]
        tokens: Option<PathBuf>,
    },
    /// Get this host's certificates with a join token from the hub, or once with its Puppet
    /// certificate as proof.
    Join {
        /// berth1.HASH.ID.SECRET, used once; `-` reads it from standard input.
        #[arg(required_unless_present = "puppet", conflicts_with = "puppet")]
        token: Option<String>,
        /// Puppet's ssldir, in place of a token.
        #[arg(long, value_name = "SSLDIR", requires = "hub_key")]
        puppet: Option<PathBuf>,
        /// The name in the Puppet certificate, if several keys lie there.
        #[arg(long, value_name = "NAME", requires = "puppet")]
        certname: Option<String>,
        /// What `berth-hub key-hash` prints: the hub is known by it.
        #[arg(long, value_name = "HASH", requires = "puppet")]
        hub_key: Option<String>,
        /// The hub's link address, if not the one in the file.
        #[arg(long, value_name = "HOST:PORT")]
        hub: Option<HubAddress>,
    },
    /// Run the tunnel through which users reach the servers. SIGUSR2 replaces it by the program
    /// that is now installed, without cutting a stream.
    Tunnel,
    /// Say what the running agent does.
    Status {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Look whether this host is ready, and say what to do about what is not.
    Check {
        /// Look at the configuration file only.
        #[arg(long)]
        file_only: bool,
    },
    /// Ask the hub to empty this host, as an administrator there could: nothing new comes, people
    /// are told, idle servers stop at their time. Only root of this host can, and only for it.
    DrainMe {
        /// Why; people whose servers are here read it.
        #[arg(long, value_name = "TEXT", required_unless_present = "cancel")]
        reason: Option<String>,
        /// Stop what still runs after this time, e.g. 2h; without it, nothing is made to stop.
        #[arg(long, value_name = "TIME", value_parser = drain_me::span)]
        within: Option<Duration>,
        /// Take servers again.
        #[arg(long, conflicts_with_all = ["reason", "within"])]
        cancel: bool,
    },
    /// Say what this host's NVIDIA driver answers to all that the agent asks. Changes nothing.
    GpuCheck {
        /// Tell changes of use, memory and processes for so many seconds instead.
        #[arg(long, value_name = "SECONDS")]
        watch: Option<u64>,
    },
    /// Give out a GPU again that was set aside, or forget one that was taken out of the host.
    GpuClear {
        /// Its UUID, as `berth host show` and `berth-agent status` tell it.
        gpu: GpuId,
    },
    /// Say the version.
    Version,
    /// Answer one question about the host's folders. The agent starts this for itself.
    #[command(hide = true, name = berth_agent::helper::COMMAND)]
    Ask,
    /// List the places where tests let this program die.
    #[command(hide = true)]
    CrashPoints,
}

fn main() -> ExitCode {
    berth_process::logging::start("berth-agent");
    let arguments = Arguments::parse();
    let file = &arguments.config;
    let result = match arguments.command {
        Command::Run { runtime: Runtime::Docker, .. } => command::run(file),
        Command::Run { runtime: Runtime::Fake, inventory } => {
            command::run_fake(file, &inventory.unwrap_or_default())
        }
        Command::Swarm { inventory, hub, state, tokens } => {
            swarm::run(&inventory, &hub, &state, tokens.as_deref())
        }
        Command::Join { token, puppet: None, hub, .. } => {
            read_token(token.unwrap_or_default()).and_then(|token| command::join(file, &token, hub))
        }
        Command::Join { puppet: Some(ssl), certname: name, hub_key, hub, .. } => {
            let puppet = Puppet { ssl, name, hub_key: hub_key.unwrap_or_default() };
            command::join_by_puppet(file, &puppet, hub)
        }
        Command::Tunnel => command::tunnel(file),
        Command::Status { json } => command::show_status(file, json),
        Command::Check { file_only: true } => command::check_file(file),
        Command::Check { file_only: false } => return command::check::check(file),
        Command::DrainMe { cancel: true, .. } => drain_me::drain_me(file, Wish::Open),
        Command::DrainMe { reason, within, .. } => {
            let reason = reason.unwrap_or_default();
            drain_me::drain_me(file, Wish::Drained { reason, within })
        }
        Command::GpuCheck { watch } => command::gpu::check(watch),
        Command::GpuClear { gpu } => command::gpu::clear(file, &gpu),
        Command::Version => {
            println!("berth-agent {}", env!("CARGO_PKG_VERSION"));
            Ok(())
        }
        Command::Ask => berth_agent::helper::answer().map_err(CommandError::from),
        Command::CrashPoints => {
            for point in berth_process::crash::list() {
                println!("{point}");
            }
            Ok(())
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("berth-agent: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A token on the command line can be seen by every process of the machine while it is used.
fn read_token(token: String) -> Result<String, CommandError> {
    if token == "-" { Ok(std::io::read_to_string(std::io::stdin())?) } else { Ok(token) }
}
