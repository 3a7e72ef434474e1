//! `agent.toml`: what a host's own administrators decide. Every mistake is told with file, line
//! and what to do; an unknown key is a mistake.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use berth_common::link::PortRange;
use berth_common::{ByteCount, GpuId, HostId};
use berth_process::file::{self, FileError};
use berth_process::logging::Logs;
use berth_process::mistake::{self, Mistake};
use serde::{Deserialize, Deserializer};

use crate::firewall::Prefix;
use crate::floors::Floors;

/// Where the file is unless `--config` says otherwise.
pub const DEFAULT_FILE: &str = "/etc/berth-agent/agent.toml";

/// The whole file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Version of the file's layout: 1.
    #[serde(deserialize_with = "version_1")]
    pub version: u32,
    /// The agent itself.
    pub agent: Agent,
    /// What to do about missing HOMEs.
    #[serde(default)]
    pub home: Home,
    /// What the hub may ask of this host. Without it nothing is created.
    pub limits: Option<Limits>,
    /// The host's GPUs.
    #[serde(default)]
    pub gpus: Gpus,
    /// What containers cannot reach.
    #[serde(default)]
    pub firewall: Firewall,
    /// Ports of servers that the compute farm reaches. Without it no server has any.
    pub farm: Option<Farm>,
    /// What agent and tunnel log, and how.
    #[serde(default)]
    pub logs: Logs,
    /// Below which versions the programs that make containers are found wrong.
    #[serde(default)]
    pub floors: Floors,
}

/// Ports of servers that the compute farm reaches: section `[farm]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Farm {
    /// The ports that servers may have.
    #[serde(deserialize_with = "ports")]
    pub port_range: RangeInclusive<u16>,
    /// The host's own address in the farm's network: they are published there and nowhere else.
    pub address: IpAddr,
    /// The name under which the farm finds this host; the address where there is none.
    pub name: Option<String>,
    /// The farm: who may reach them.
    #[serde(deserialize_with = "networks")]
    pub networks: Vec<Prefix>,
}

impl Farm {
    /// The ports, as the hub hears of them.
    pub fn range(&self) -> PortRange {
        PortRange { first: *self.port_range.start(), last: *self.port_range.end() }
    }

    /// How the farm calls this host.
    pub fn host(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.address.to_string())
    }
}

/// What containers cannot reach: section `[firewall]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Firewall {
    /// Whether there is one.
    #[serde(default)]
    pub mode: Mode,
    /// What they reach on this host and in private networks all the same.
    #[serde(default)]
    pub allow: Vec<Allow>,
    /// The command `nft`, where it is not in the system's folders.
    #[serde(default, deserialize_with = "some_path")]
    pub nft: Option<PathBuf>,
}

/// Whether there is a firewall.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// None.
    #[default]
    Off,
    /// One, where the host has nftables.
    On,
    /// One, and without it no server is made.
    Required,
}

/// Something that containers reach.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allow {
    /// Where.
    #[serde(deserialize_with = "place")]
    pub to: Place,
    /// Its ports, for TCP.
    #[serde(deserialize_with = "ports")]
    pub ports: RangeInclusive<u16>,
}

/// Where something is that containers reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The host's own address in the containers' network.
    Gateway,
    /// These addresses.
    Range(Prefix),
}

/// The host's GPUs: section `[gpus]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gpus {
    /// Whether Berth may give them to servers at all.
    #[serde(default = "default_manage")]
    pub manage: bool,
    /// Only these, by UUID; empty: all.
    #[serde(default)]
    pub only: Vec<GpuId>,
    /// The NVML library, where the loader does not find it.
    #[serde(default, deserialize_with = "some_path")]
    pub library: Option<PathBuf>,
    /// How a container gets them.
    #[serde(default)]
    pub give: Give,
}

/// How a container gets its GPUs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Give {
    /// By CDI where the engine knows the GPU so, else by a device request.
    #[default]
    Auto,
    /// By a device request to the driver `nvidia`: needs its hook, or Docker 29 with CDI.
    Request,
    /// By CDI: needs Docker 28.2, or 25 with the feature switched on.
    Cdi,
    /// By the runtime `nvidia` and the environment: for a toolkit without the hook.
    Runtime,
}

/// The agent itself: section `[agent]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    /// This host's name, as `hosts.toml` of the hub declares it.
    #[serde(default = "machine_name", deserialize_with = "checked")]
    pub name: HostId,
    /// The hub's link address.
    pub hub: HubAddress,
    /// Keys, certificates, the highest epoch.
    #[serde(default = "default_state", deserialize_with = "absolute")]
    pub state: PathBuf,
    /// Sockets, and the servers' passwd and group files.
    #[serde(default = "default_run", deserialize_with = "absolute")]
    pub run: PathBuf,
    /// The Docker Engine's socket, `unix:///…`.
    #[serde(default = "default_docker", deserialize_with = "unix_socket")]
    pub docker: PathBuf,
    /// The one port for the proxy.
    #[serde(default)]
    pub tunnel: Tunnel,
    /// Time between two heartbeats in which nothing happened.
    #[serde(default = "default_report_every", deserialize_with = "report_every")]
    pub report_every: Duration,
    /// Memory that servers may have; what the kernel says by default.
    #[serde(default, deserialize_with = "amount")]
    pub memory: Option<ByteCount>,
    /// Logins to registries of images: a file that only root can read.
    #[serde(default, deserialize_with = "some_path")]
    pub registries: Option<PathBuf>,
    /// Servers that may be starting at the same time.
    #[serde(default = "default_starts", deserialize_with = "at_least_one")]
    pub starts_at_once: usize,
    /// The hub's API as containers of this host reach it, in place of what the hub says.
    pub api_url: Option<String>,
}

/// The tunnel's process: key `tunnel` in `[agent]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tunnel {
    /// Where it listens.
    #[serde(default = "default_tunnel")]
    pub listen: SocketAddr,
    /// The account it turns into, and to which its keys belong.
    pub user: Option<String>,
}

/// Section `[home]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Home {
    /// What to do when a HOME is not there.
    #[serde(default)]
    pub create: CreateHome,
}

/// What to do when a HOME is not there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CreateHome {
    /// The start fails.
    #[default]
    Never,
    /// It is made, with the user's uid and gid, mode 0700.
    Missing,
}

/// What the hub may ask of this host, whatever it says: section `[limits]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Whose word counts about accounts.
    #[serde(default)]
    pub users: Users,
    /// Lower uids are never served.
    #[serde(default = "default_min_uid")]
    pub min_uid: u32,
    /// Groups that no server gets, by number.
    #[serde(default = "default_deny_gids")]
    pub deny_gids: Vec<u32>,
    /// Groups that no server gets, by the name that the host knows them under.
    #[serde(default = "default_deny_groups")]
    pub deny_groups: Vec<String>,
    /// Folders below which a server's spaces must lie.
    #[serde(deserialize_with = "absolute_all")]
    pub mount_sources: Vec<PathBuf>,
    /// How image names must begin; `"*"` allows all.
    pub images: Vec<String>,
    /// Most memory for one server.
    #[serde(default, deserialize_with = "amount")]
    pub memory_max: Option<ByteCount>,
    /// Whether the hub may lend a server memory of this host for a while.
    #[serde(default = "default_loans")]
    pub loans: bool,
}

fn place<'de, D: Deserializer<'de>>(from: D) -> Result<Place, D::Error> {
    let text = String::deserialize(from)?;
    if text == "gateway" {
        return Ok(Place::Gateway);
    }
    text.parse().map(Place::Range).map_err(|_| {
        serde::de::Error::custom("write \"gateway\", an address, or a range, e.g. \"10.1.0.0/16\"")
    })
}

fn ports<'de, D: Deserializer<'de>>(from: D) -> Result<RangeInclusive<u16>, D::Error> {
    let text = String::deserialize(from)?;
    let (first, last) = text.split_once('-').unwrap_or((&text, &text));
    match (first.trim().parse(), last.trim().parse()) {
        (Ok(first), Ok(last)) if 1 <= first && first <= last => Ok(first..=last),
        _ => Err(serde::de::Error::custom(
            "write a port or several, e.g. \"8000\" or \"20000-20999\"",
        )),
    }
}

fn networks<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Prefix>, D::Error> {
    let texts = Vec::<String>::deserialize(from)?;
    if texts.is_empty() {
        return Err(serde::de::Error::custom("name the farm's networks, e.g. [\"10.1.0.0/16\"]"));
    }
    texts.iter().map(|text| text.parse().map_err(serde::de::Error::custom)).collect()
}

fn default_loans() -> bool {
    true
}

/// Whose word counts about accounts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Users {
    /// The host's own name service: the hub's numbers must agree with it.
    #[default]
    Nss,
    /// The hub's, within the other limits.
    Hub,
}

/// The hub's link address, `host:port`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct HubAddress(String);

impl HubAddress {
    /// As `host:port`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for HubAddress {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let address = text.strip_prefix("https://").unwrap_or(&text).trim_end_matches('/');
        let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
        if host.is_empty() || host.contains('/') || port.parse::<u16>().is_err() {
            return Err("not an address, write host:port, e.g. \"hub.example.org:8443\"");
        }
        Ok(Self(address.to_owned()))
    }
}

impl std::str::FromStr for HubAddress {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.to_owned().try_into()
    }
}

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// There is no such file.
    #[error("{0}: there is no such file; write it, or name another with --config")]
    Missing(String),
    /// Something in it is wrong.
    #[error(transparent)]
    Wrong(#[from] Mistake),
}

/// Reads a configuration file.
///
/// # Errors
/// Says file, line and what to do.
pub fn read(path: &Path) -> Result<Config, ConfigError> {
    let name = path.display().to_string();
    let text = file::read_if_there(path)?.ok_or(ConfigError::Missing(name.clone()))?;
    parse(&name, &text)
}

/// Reads the text of a configuration file; `file` is its name in messages.
///
/// # Errors
/// Says file, line and what to do.
pub fn parse(file: &str, text: &str) -> Result<Config, ConfigError> {
    let config: Config = mistake::read(file, text)?;
    if config.farm.is_some() && config.firewall.mode != Mode::Required {
        let message = "farm ports need mode = \"required\" in [firewall]: only the firewall keeps \
                       other people's servers from them";
        let span = mistake::place_of(text, &["farm", ""]);
        return Err(Mistake::bad_value(file, text, span, message.into()).into());
    }
    Ok(config)
}

fn machine_name() -> HostId {
    // A machine whose name is no host name of ours must be given one in the file; the certificate
    // is compared with it, so this stand-in cannot pass for another host.
    let stand_in = || "localhost".parse().unwrap_or_else(|_| unreachable!("a constant name"));
    berth_agent_sys::machine::host_name().parse().unwrap_or_else(|_| stand_in())
}

fn default_state() -> PathBuf {
    "/var/lib/berth-agent".into()
}

fn default_run() -> PathBuf {
    "/run/berth-agent".into()
}

fn default_docker() -> PathBuf {
    "/run/docker.sock".into()
}

fn default_tunnel() -> SocketAddr {
    SocketAddr::from(([0, 0, 0, 0], 8444))
}

impl Default for Tunnel {
    fn default() -> Self {
        Self { listen: default_tunnel(), user: None }
    }
}

fn default_manage() -> bool {
    true
}

impl Default for Gpus {
    fn default() -> Self {
        Self { manage: default_manage(), only: Vec::new(), library: None, give: Give::Auto }
    }
}

fn some_path<'de, D: Deserializer<'de>>(value: D) -> Result<Option<PathBuf>, D::Error> {
    absolute(value).map(Some)
}

fn default_report_every() -> Duration {
    Duration::from_secs(5)
}

fn default_starts() -> usize {
    usize::try_from(berth_agent_sys::machine::processors()).unwrap_or(1)
}

fn default_min_uid() -> u32 {
    1000
}

fn default_deny_gids() -> Vec<u32> {
    vec![0]
}

/// Groups that give power over the host.
fn default_deny_groups() -> Vec<String> {
    const POWERFUL: [&str; 10] = [
        "root",
        "docker",
        "wheel",
        "sudo",
        "disk",
        "shadow",
        "libvirt",
        "lxd",
        "kvm",
        "systemd-journal",
    ];
    POWERFUL.map(str::to_owned).to_vec()
}

pub(crate) fn version_1<'de, D: Deserializer<'de>>(value: D) -> Result<u32, D::Error> {
    match u32::deserialize(value)? {
        1 => Ok(1),
        other => Err(serde::de::Error::custom(format!(
            "version {other} is not known to this agent, write version = 1"
        ))),
    }
}

pub(crate) fn checked<'de, D: Deserializer<'de>, T>(value: D) -> Result<T, D::Error>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    String::deserialize(value)?.parse().map_err(serde::de::Error::custom)
}

fn amount<'de, D: Deserializer<'de>>(value: D) -> Result<Option<ByteCount>, D::Error> {
    checked(value).map(Some)
}

fn path<E: serde::de::Error>(path: PathBuf) -> Result<PathBuf, E> {
    use std::path::Component;
    let plain = path.components().all(|part| !matches!(part, Component::ParentDir));
    if path.is_absolute() && plain {
        Ok(path)
    } else {
        Err(E::custom("a path must begin with / and have no .. in it"))
    }
}

fn absolute<'de, D: Deserializer<'de>>(value: D) -> Result<PathBuf, D::Error> {
    path(PathBuf::deserialize(value)?)
}

fn absolute_all<'de, D: Deserializer<'de>>(value: D) -> Result<Vec<PathBuf>, D::Error> {
    Vec::<PathBuf>::deserialize(value)?.into_iter().map(path).collect()
}

fn unix_socket<'de, D: Deserializer<'de>>(value: D) -> Result<PathBuf, D::Error> {
    let text = String::deserialize(value)?;
    match text.strip_prefix("unix://") {
        Some(socket) => path(socket.into()),
        None => Err(serde::de::Error::custom(
            "the engine must be on this machine, write docker = \"unix:///run/docker.sock\"",
        )),
    }
}

fn at_least_one<'de, D: Deserializer<'de>>(value: D) -> Result<usize, D::Error> {
    match usize::deserialize(value)? {
        0 => Err(serde::de::Error::custom("at least 1, or nothing would ever start")),
        count => Ok(count),
    }
}

/// More often than every 100 ms is load without use; more seldom than 10 s and the hub, which
/// calls a host lost after 15 s, would do so for nothing.
fn report_every<'de, D: Deserializer<'de>>(value: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(value)?;
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let span = number.parse().ok().and_then(|number| match unit.trim() {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        _ => None,
    });
    span.filter(|span| (100..=10_000).contains(&span.as_millis())).ok_or_else(|| {
        serde::de::Error::custom("write a time from \"100ms\" to \"10s\", e.g. \"5s\"")
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
