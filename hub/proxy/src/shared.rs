//! What all tasks of the proxy share.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tokio::sync::{Notify, mpsc, watch};

use crate::credentials::Credentials;
use crate::handover::Line;
use crate::hub_away::HubAway;
use crate::metrics::Metrics;
use crate::route::Route;
use crate::rules::Rules;
use crate::setup::Setup;
use crate::table::Table;

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
    /// While a successor takes over, the API changes nothing: it would be lost.
    frozen: AtomicBool,
    /// Lines for the process before, which still carries websockets.
    before: Mutex<Option<mpsc::UnboundedSender<Line>>>,
    /// Turns true when a successor accepts in our place; what is open here goes on.
    pub draining: watch::Sender<bool>,
    /// Turns true when the proxy ends.
    pub going: watch::Sender<bool>,
}

impl Shared {
    /// State around a table.
    pub fn new(table: Table, setup: Setup) -> Self {
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
            draining: watch::Sender::new(false),
            going: watch::Sender::new(false),
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
            self.tell_before(Line::End(route.key.clone(), route.record.generation));
        }
        self.changed.notify_one();
        berth_process::crash_point!("proxy.table.changed");
    }

    /// In a draining process: the younger one has ended a route.
    pub fn end_here(&self, key: &str, up_to: Option<u64>) {
        let ended = self.write().remove(key, up_to).ok().flatten();
        self.after_change(ended);
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

/// Completes when the watch turns true, or when nobody is left to turn it.
pub async fn turned(mut watch: watch::Receiver<bool>) {
    let _ = watch.wait_for(|turned| *turned).await;
}
