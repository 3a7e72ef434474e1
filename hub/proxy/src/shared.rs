//! What all tasks of the proxy share.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use berth_process::clock;
use tokio::sync::{Notify, mpsc};

use crate::access::AccessLog;
use crate::credentials::Credentials;
use crate::handover::Line;
use crate::hub_away::{HubAway, TokenHash};
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::route::Route;
use crate::rules::Rules;
use crate::seldom::Seldom;
use crate::setup::Setup;
use crate::sockets::Sockets;
use crate::switch::Switch;
use crate::table::Table;
use crate::wave::Wave;

/// The proxy's whole state.
#[derive(Debug)]
pub struct Shared {
    table: RwLock<Table>,
    /// Told at each change of the table.
    pub changed: Notify,
    /// Token and certificates.
    pub credentials: Arc<Credentials>,
    /// What the hub said of tokens.
    pub hub_away: HubAway,
    /// Where routes and hub answers are kept, if they are.
    pub state: Option<PathBuf>,
    /// Held while a file is written: two writers would mix theirs.
    pub saving: Mutex<()>,
    /// Proxies before this one.
    pub trusted_proxies: Vec<IpAddr>,
    /// Origins besides our own.
    pub origins: Vec<String>,
    /// The policy `chp`; none is `berth`.
    pub rules: Option<Rules>,
    /// Counters.
    pub metrics: Metrics,
    /// Open websockets.
    pub sockets: Arc<Sockets>,
    /// What is open, against what may be.
    pub limits: Limits,
    /// Deletions of the last while.
    wave: Mutex<Wave>,
    /// Where answers are noted, if they are.
    pub access: Option<Arc<AccessLog>>,
    refusals: Seldom,
    /// How much memory the processes may have that drain, in bytes.
    pub drain_memory: u64,
    /// How much the processes before this one have, in bytes.
    pub memory_before: AtomicU64,
    /// How many of their reports in a row were above the cap.
    pub reports_over: AtomicU32,
    /// While a successor takes over, the API changes nothing: it would be lost.
    frozen: AtomicBool,
    /// Lines for the process before, which still carries websockets.
    before: Mutex<Option<mpsc::UnboundedSender<Line>>>,
    /// Turns true when a successor accepts in our place; what is open here goes on.
    pub draining: Switch,
    /// Turns true when the proxy ends.
    pub going: Switch,
}

impl Shared {
    /// State around a table.
    pub fn new(table: Table, setup: Setup, access: Option<Arc<AccessLog>>) -> Self {
        Self {
            table: RwLock::new(table),
            changed: Notify::new(),
            credentials: Arc::new(setup.credentials),
            hub_away: HubAway::new(setup.hub_away_hours),
            state: setup.state,
            saving: Mutex::new(()),
            trusted_proxies: setup.trusted_proxies,
            origins: setup.origins,
            rules: setup.rules,
            metrics: Metrics::default(),
            frozen: AtomicBool::new(false),
            before: Mutex::default(),
            sockets: Arc::default(),
            limits: Limits::new(setup.limits),
            wave: Mutex::default(),
            access,
            memory_before: AtomicU64::new(0),
            reports_over: AtomicU32::new(0),
            drain_memory: setup.drain_memory_mib.saturating_mul(1024 * 1024),
            refusals: Seldom::default(),
            draining: Switch::default(),
            going: Switch::default(),
        }
    }

    /// The table, to read. Hold it for a moment only: requests wait behind a writer.
    pub fn table(&self) -> RwLockReadGuard<'_, Table> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The table, to change; whoever does calls `after_change`. `None` while a successor takes over.
    pub fn table_mut(&self) -> Option<RwLockWriteGuard<'_, Table>> {
        let table = self.write();
        (!self.frozen.load(Ordering::Relaxed)).then_some(table)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Table> {
        self.table.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on nobody changes the table, or again somebody may.
    pub fn freeze(&self, frozen: bool) {
        let _nobody_else = self.write();
        self.frozen.store(frozen, Ordering::Relaxed);
    }

    /// What a change of the table brings with it: an end for what it replaced, here and in the
    /// processes before, and a save.
    pub fn after_change(&self, ended: impl IntoIterator<Item = Arc<Route>>) {
        for route in ended {
            route.live.end();
            self.sockets.end_of_route(&route.live);
            self.tell_before(Line::End(route.key.clone(), route.record.generation));
        }
        self.changed.notify_one();
        berth_process::crash_point!("proxy.table.changed");
    }

    /// Closes the websockets whose handshake showed one of these, here and in the processes before.
    /// Returns how many are closed here.
    pub fn revoke_sockets(&self, hashes: &[TokenHash]) -> usize {
        self.tell_before(Line::Revoke(hashes.to_vec()));
        self.sockets.revoke(hashes)
    }

    /// Ends what is open here: websockets at once, connections when their requests are answered.
    pub fn end(&self) {
        self.going.turn();
        self.sockets.end_all();
    }

    /// Deletions of the last while.
    pub fn wave(&self) -> MutexGuard<'_, Wave> {
        self.wave.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what the access log has not written yet.
    pub async fn flush_access_log(&self) {
        if let Some(log) = self.access.clone() {
            let _ = tokio::task::spawn_blocking(move || log.flush()).await;
        }
    }

    /// Whether what this address says of its clients is believed.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        !self.trusted_proxies.is_empty() && self.trusted_proxies.contains(&peer.to_canonical())
    }

    /// Logs that a limit has refused a connection, once a minute.
    pub fn say_refused(&self, peer: IpAddr) {
        if self.refusals.is_due(clock::now()) {
            tracing::warn!(%peer, "connections are refused: too many are open");
        }
    }

    /// In a draining process: the younger one has ended a route.
    pub fn end_here(&self, key: &str, up_to: Option<u64>) {
        let ended = self.write().remove(key, up_to).ok().flatten();
        self.after_change(ended);
    }

    /// Whether a process before this one lives.
    pub fn has_before(&self) -> bool {
        let before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
        before.as_ref().is_some_and(|lines| !lines.is_closed())
    }

    /// Where lines for the process before go.
    pub fn set_before(&self, lines: mpsc::UnboundedSender<Line>) {
        *self.before.lock().unwrap_or_else(PoisonError::into_inner) = Some(lines);
    }

    /// Tells the process before, if there is one.
    pub fn tell_before(&self, line: Line) {
        let mut before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
        if before.as_ref().is_some_and(|lines| lines.send(line).is_err()) {
            *before = None;
        }
    }
}
