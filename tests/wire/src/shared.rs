//! What the machines of a simulated site leave for the test that watches them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use berth_common::HostId;
use berth_common::link::Report;
use berth_hub::site::Hub;
use berth_proto::tls::Credential;
use tokio::sync::watch;

use crate::transcript::Transcript;

/// One site's.
#[derive(Debug)]
pub struct Shared {
    /// Decides everything.
    pub seed: u64,
    /// Each machine's state lies in a folder of its name.
    pub folder: PathBuf,
    /// What happens.
    pub log: Transcript,
    /// The hosts, as every hub declares them.
    pub hosts: Vec<HostId>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    hubs: BTreeMap<String, Arc<Hub>>,
    hub_of: BTreeMap<HostId, String>,
    tokens: BTreeMap<HostId, String>,
    ended: BTreeSet<String>,
    join_anew: bool,
    agents: BTreeMap<HostId, Agent>,
    starts: u64,
}

/// What is to be seen of a running agent.
#[derive(Debug, Clone)]
pub struct Agent {
    /// Its certificate.
    pub credential: Arc<Credential>,
    /// Its newest report.
    pub reports: watch::Receiver<Option<Report>>,
}

impl Shared {
    /// Of a site that has not begun.
    pub fn new(seed: u64, folder: PathBuf, hosts: Vec<HostId>) -> Arc<Self> {
        let (log, state) = (Transcript::default(), Mutex::default());
        Arc::new(Self { seed, folder, log, hosts, state })
    }

    /// The machine that the hub's name stands for on a host: the first one, if nobody said else.
    pub fn hub_of(&self, host: &HostId) -> String {
        self.lock().hub_of.get(host).cloned().unwrap_or_else(|| "hub1".into())
    }

    /// The hub's name stands for this machine from now on.
    pub fn lead(&self, host: &HostId, hub: &str) {
        self.lock().hub_of.insert(host.clone(), hub.to_owned());
    }

    /// The token by which a host is to join.
    pub fn token(&self, host: &HostId) -> Option<String> {
        self.lock().tokens.get(host).cloned()
    }

    /// Hands a host a token, or takes away the one it has used.
    pub fn hand(&self, host: &HostId, token: Option<String>) {
        let tokens = &mut self.lock().tokens;
        match token {
            Some(token) => tokens.insert(host.clone(), token),
            None => tokens.remove(host),
        };
    }

    /// Whether a machine is up and its program is not started.
    pub fn has_ended(&self, name: &str) -> bool {
        self.lock().ended.contains(name)
    }

    /// A machine's program ends, or may start again.
    pub fn set_ended(&self, name: &str, ended: bool) {
        let programs = &mut self.lock().ended;
        if ended {
            programs.insert(name.to_owned())
        } else {
            programs.remove(name)
        };
    }

    /// Whether hubs that start give every host a new token, and not only to those without a
    /// certificate.
    pub fn join_anew(&self) -> bool {
        self.lock().join_anew
    }

    /// Hubs that start do so from now on.
    pub fn let_join_anew(&self) {
        self.lock().join_anew = true;
    }

    /// A running hub.
    pub fn hub(&self, name: &str) -> Option<Arc<Hub>> {
        self.lock().hubs.get(name).cloned()
    }

    /// A hub runs now, or does no longer.
    pub fn set_hub(&self, name: &str, hub: Option<Arc<Hub>>) {
        let hubs = &mut self.lock().hubs;
        match hub {
            Some(hub) => hubs.insert(name.to_owned(), hub),
            None => hubs.remove(name),
        };
    }

    /// An agent that has begun.
    pub fn agent(&self, host: &HostId) -> Option<Agent> {
        self.lock().agents.get(host).cloned()
    }

    /// An agent begins.
    pub fn set_agent(&self, host: &HostId, agent: Agent) {
        self.lock().agents.insert(host.clone(), agent);
    }

    /// A seed for one start of one agent: never the same twice, always the same in the same run.
    pub fn chance(&self) -> u64 {
        let mut state = self.lock();
        state.starts += 1;
        self.seed.wrapping_mul(1_000_003).wrapping_add(state.starts)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
