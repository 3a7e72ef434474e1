//! What the agent needs of a container engine. Outcomes are those of the reconciler: a call that
//! did not return is neither success nor failure.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::IpAddr;
use std::path::PathBuf;

use berth_common::link::{CpuShare, Origin};
use berth_common::{BootId, ByteCount, Epoch, Generation, ServerId};
use berth_proto::link::LogLine;

use crate::reconcile::{Container, Outcome};

pub mod docker;

/// Most processes and threads of one server: far above any notebook, far below what a fork bomb
/// needs to hurt the host.
pub const PIDS_LIMIT: i64 = 4096;

/// A container as it is to be made, complete: an engine adds nothing of its own choice.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Which server.
    pub server: ServerId,
    /// Which start of it.
    pub generation: Generation,
    /// The reign that asks for it.
    pub epoch: Epoch,
    /// The kernel's boot.
    pub boot: BootId,
    /// Whose it is, and its memory.
    pub origin: Origin,
    /// The pool it was placed in.
    pub pool: String,
    /// The image: a name, `repository@sha256:…`, or an engine's id.
    pub image: String,
    /// The engine's id of exactly that.
    pub image_id: String,
    /// Command line; empty means the image's own.
    pub command: Vec<String>,
    /// The whole environment.
    pub env: BTreeMap<String, String>,
    /// User id.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
    /// The other groups.
    pub groups: Vec<u32>,
    /// HOME inside, also the working folder.
    pub home: String,
    /// The optional spaces that it goes without, in a sentence each.
    pub left_out: Vec<String>,
    /// What is mounted.
    pub binds: Vec<Bind>,
    /// The network's id.
    pub network: String,
    /// Where the server answers.
    pub prefix: String,
    /// Its port.
    pub port: u16,
    /// What is published of it; `None`: nothing.
    pub published: Option<Published>,
    /// Size of `/dev/shm`; `None`: the engine's own.
    pub shm: Option<ByteCount>,
    /// Its share of the processors.
    pub cpu: CpuShare,
}

/// Ports that the compute farm reaches, the same on the host and inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The host's address on which they are published, and no other.
    pub address: IpAddr,
    /// Which.
    pub ports: Vec<u16>,
}

/// A folder or file of the host inside the container.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bind {
    /// On the host; it must exist.
    pub source: PathBuf,
    /// In the container.
    pub target: String,
    /// Whether the container may only read.
    pub read_only: bool,
    /// Whether what is mounted below it later shows inside.
    pub follows: bool,
}

impl Plan {
    /// The container's memory.
    pub fn memory(&self) -> ByteCount {
        self.origin.memory
    }
}

/// The network of this host's servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// The engine's id.
    pub id: String,
    /// The host's own address in it.
    pub gateway: Option<IpAddr>,
}

/// The engine itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EngineFacts {
    /// Its version.
    pub version: String,
    /// Names of the images it has.
    pub images: Vec<String>,
    /// What each name with a tag stands for, as [`berth_common::link::HostFacts`] says.
    pub builds: BTreeMap<String, String>,
}

/// A container engine, seen by one host: of several agents on one engine each sees only its own
/// containers. `Err` is always the engine's trouble in words: nothing is known then.
pub trait Runtime: Clone + Send + Sync + 'static {
    /// All containers of this host in every state.
    fn list(&self) -> impl Future<Output = Result<Vec<Container>, String>> + Send;
    /// The engine's id of an image; `None`: it has none of this name, digest or id.
    fn image_id(&self, image: &str) -> impl Future<Output = Result<Option<String>, String>> + Send;
    /// Fetches an image from its registry; `told` hears how far that is, in percent.
    fn pull(
        &self,
        image: &str,
        _told: &(dyn Fn(u32) + Sync),
    ) -> impl Future<Output = Result<(), String>> + Send {
        std::future::ready(Err(format!("{image} cannot be fetched by this engine")))
    }
    /// What its registry gives for a name at this moment: `repository@sha256:…`. Nothing is fetched.
    fn offered(&self, image: &str) -> impl Future<Output = Result<String, String>> + Send {
        std::future::ready(Err(format!("this engine asks no registry for {image}")))
    }
    /// Gives an image that is here a name, by which it is found from then on.
    fn name_image(
        &self,
        _image: &str,
        _name: &str,
    ) -> impl Future<Output = Result<(), String>> + Send {
        std::future::ready(Ok(()))
    }
    /// The servers' network, made if it is not there.
    fn network(&self) -> impl Future<Output = Result<Network, String>> + Send;
    /// Makes a container and looks whether it is what was asked for.
    fn create(&self, plan: &Plan) -> impl Future<Output = Outcome> + Send;
    /// Starts it.
    fn start(&self, container: &str) -> impl Future<Output = Outcome> + Send;
    /// Gives a running container another memory limit, swap likewise, so that it never uses any.
    fn resize(&self, container: &str, memory: ByteCount) -> impl Future<Output = Outcome> + Send;
    /// SIGTERM, the grace, SIGKILL.
    fn stop(&self, container: &str, grace_s: u32) -> impl Future<Output = Outcome> + Send;
    /// Removes it by force; returns when nothing of it can run any more.
    fn remove(&self, container: &str) -> impl Future<Output = Outcome> + Send;
    /// How it ended and what it said last.
    fn examine(&self, container: &str) -> impl Future<Output = Outcome> + Send;
    /// What it has written last, so many lines at most, each with its time, oldest first.
    fn log(
        &self,
        _container: &str,
        _lines: u32,
    ) -> impl Future<Output = Result<Vec<LogLine>, String>> + Send {
        std::future::ready(Err("this engine keeps no logs".into()))
    }
    /// Its main process on the host.
    fn process(&self, container: &str) -> impl Future<Output = Option<u32>> + Send;
    /// The token by which the server in it speaks to the hub, and may itself be asked; `None`: it
    /// has none that is known.
    fn token(&self, _container: &str) -> impl Future<Output = Option<String>> + Send {
        std::future::ready(None)
    }
    /// The engine itself.
    fn facts(&self) -> impl Future<Output = Result<EngineFacts, String>> + Send;
    /// Calls `wake` whenever something may have changed, for ever. Wake-ups carry no facts.
    fn changes(&self, wake: impl Fn() + Send + Sync) -> impl Future<Output = ()> + Send;
}
