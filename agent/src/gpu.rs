//! The GPUs of this host: what there is, how they are, who is on them, and whether one may be
//! given to a server now.
//!
//! [`reading`] is what can be asked, [`nvml`] asks the driver, [`sampler`] holds the threads that
//! do. [`ledger`] remembers and judges, [`picture`] is what everybody else reads, [`memo`] outlives
//! restarts. A call to the driver may hang for ever, so none is ever made from an asynchronous
//! thread: there one reads the last picture, and how old it is.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use berth_common::link::{Ending, GpuDevice, GpuFacts};
use berth_common::{BootId, GpuId, GpuPart, Reason};
use berth_process::clock;
use tokio::sync::watch;

use ledger::{Ledger, Moment};
use memo::Memos;
use picture::{Holders, Patience, Picture};
use reading::Source;
use sampler::Shared;

pub mod access;
pub mod environment;
pub mod kernel_log;
pub mod ledger;
pub mod memo;
pub mod nvml;
pub mod owner;
pub mod picture;
pub mod probe;
mod raw;
pub mod reading;
pub mod sampler;
pub mod xid;

/// Longest wait for a look that was asked for just before a start. A round takes milliseconds.
const LOOK: Duration = Duration::from_secs(5);

/// This host's GPUs. Clones are the same.
#[derive(Debug, Clone)]
pub struct Gpus {
    shared: Arc<Shared>,
    pictures: watch::Receiver<Arc<Picture>>,
    /// Asks for a round; `None` where nobody looks.
    ask: Option<Sender<()>>,
    holders: Arc<Mutex<Holders>>,
    /// What containers that this process has made are to get, until they start.
    promised: Arc<Mutex<BTreeMap<String, Vec<GpuPart>>>>,
    /// GPUs that this agent manages; empty: all.
    only: Arc<[GpuId]>,
}

impl Gpus {
    /// Begins to look after this host's GPUs.
    ///
    /// # Errors
    /// When the system has no threads.
    pub fn start(
        source: impl Source,
        state: &Path,
        boot: &BootId,
        only: &[GpuId],
    ) -> std::io::Result<Self> {
        let memos = Memos::new(state);
        let ledger = Ledger::new(boot.clone(), memos.read(), Moment::now());
        let shared = Shared::new(ledger);
        let ask = sampler::start(source, shared.clone(), memos, state.to_owned(), boot.clone())?;
        Ok(Self::new(shared, Some(ask), only))
    }

    /// A host whose GPUs, if it has any, are not Berth's.
    pub fn none(boot: &BootId) -> Self {
        Self::new(
            Shared::new(Ledger::new(boot.clone(), Default::default(), Moment::now())),
            None,
            &[],
        )
    }

    fn new(shared: Arc<Shared>, ask: Option<Sender<()>>, only: &[GpuId]) -> Self {
        let pictures = shared.pictures();
        Self {
            shared,
            pictures,
            ask,
            holders: Arc::default(),
            promised: Arc::default(),
            only: only.into(),
        }
    }

    /// Returns after the next picture.
    pub async fn changed(&mut self) {
        if self.ask.is_none() || self.pictures.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// What the containers of this host's servers were given, by the engine's id.
    pub fn hold(&self, holders: Holders) {
        *self.holders.lock().unwrap_or_else(PoisonError::into_inner) = holders;
    }

    fn holders(&self) -> Holders {
        self.holders.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether this agent manages a GPU.
    fn manages(&self, gpu: &GpuId) -> bool {
        self.ask.is_some() && (self.only.is_empty() || self.only.contains(gpu))
    }

    /// The GPUs for placement.
    pub fn devices(&self) -> Vec<GpuDevice> {
        if self.ask.is_none() {
            return Vec::new();
        }
        let mut devices = self.pictures.borrow().devices(&self.holders(), clock::steady());
        devices.retain(|device| self.manages(&device.gpu));
        devices
    }

    /// How the GPUs are, for people.
    pub fn facts(&self) -> GpuFacts {
        if self.ask.is_none() {
            return GpuFacts::default();
        }
        let mut facts = self.pictures.borrow().facts(&self.holders(), clock::steady());
        facts.used.retain(|used| self.manages(&used.gpu));
        facts
    }

    /// Looks once more, now, and says whether all of these may be given to a server.
    ///
    /// # Errors
    /// Why one may not.
    pub async fn check(&self, wanted: &[GpuPart]) -> Result<(), Ending> {
        if wanted.is_empty() {
            return Ok(());
        }
        let refused = |gpu: &GpuId, why: String| Ending {
            reason: Reason::FailedGpu,
            detail: format!("{gpu}: {why}"),
        };
        if let Some(part) = wanted.iter().find(|part| !self.manages(&part.gpu)) {
            return Err(refused(&part.gpu, "Berth does not manage this GPU here".into()));
        }
        let picture = self.look().await;
        let holders = self.holders();
        for part in wanted {
            let checked =
                picture.can_be_given(&part.gpu, &holders, Patience::None, clock::steady());
            checked.map_err(|why| refused(&part.gpu, why))?;
        }
        Ok(())
    }

    /// Notes what a container is to get when it starts.
    pub fn promise(&self, container: &str, gpus: &[GpuPart]) {
        if !gpus.is_empty() {
            self.promised().insert(container.to_owned(), gpus.to_vec());
        }
    }

    /// A container has started, or will not.
    pub fn forget(&self, container: &str) {
        self.promised().remove(container);
    }

    /// Looks once more, now, whether a container may get what was promised to it.
    ///
    /// # Errors
    /// Why not.
    pub async fn check_promised(&self, container: &str) -> Result<(), Ending> {
        let promised = self.promised().get(container).cloned().unwrap_or_default();
        self.check(&promised).await
    }

    fn promised(&self) -> MutexGuard<'_, BTreeMap<String, Vec<GpuPart>>> {
        self.promised.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The picture of a round that began after this call; the last one, if none comes in time.
    async fn look(&self) -> Arc<Picture> {
        let begun = self.shared.begun();
        if let Some(ask) = &self.ask {
            // Nobody to ask: the thread has ended, and the picture grows old.
            let _ = ask.send(());
        }
        let mut pictures = self.pictures.clone();
        let newer = pictures.wait_for(|picture| picture.round > begun);
        let _ = tokio::time::timeout(LOOK, newer).await;
        let picture = pictures.borrow().clone();
        if picture.round > begun { picture } else { Arc::new(picture.silent()) }
    }
}

#[cfg(test)]
mod tests;
