//! The threads that ask about GPUs. One owns the source and asks every second, or at once when
//! somebody wants to know; one waits for events. A driver that hangs hangs these two and nobody
//! else: what they published last only grows old, and its readers see that.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use berth_common::BootId;
use tokio::sync::watch;

use super::kernel_log::KernelLog;
use super::ledger::{Ledger, Moment};
use super::memo::Memos;
use super::owner::Owner;
use super::picture::Picture;
use super::reading::{Absence, Event, Events, Source};

/// Between two rounds. NVML's own window of use is a sixth of a second to one second.
const EVERY: Duration = Duration::from_secs(1);

/// Between two rounds on a host without GPUs: looking for the library costs up to 11 ms.
const EVERY_WITHOUT: Duration = Duration::from_secs(5);

/// What the threads share with one another and with those who read.
#[derive(Debug)]
pub struct Shared {
    ledger: Mutex<Ledger>,
    picture: watch::Sender<Arc<Picture>>,
    /// Rounds that have begun.
    begun: AtomicU64,
}

impl Shared {
    /// Nothing is known yet but what is remembered.
    pub fn new(ledger: Ledger) -> Arc<Self> {
        let (picture, _) = watch::channel(Arc::new(ledger.picture()));
        Arc::new(Self { ledger: Mutex::new(ledger), picture, begun: AtomicU64::new(0) })
    }

    /// The newest picture, and word of each newer one.
    pub fn pictures(&self) -> watch::Receiver<Arc<Picture>> {
        self.picture.subscribe()
    }

    /// Rounds that have begun: a later one sees all that is so now.
    pub fn begun(&self) -> u64 {
        self.begun.load(Ordering::SeqCst)
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes down what must not be forgotten, then tells.
    fn publish(&self, mut ledger: MutexGuard<'_, Ledger>, memos: &Memos) {
        for (gpu, memo) in ledger.unsaved() {
            if let Some(mark) = &memo.mark {
                tracing::warn!(%gpu, "set aside: {}", mark.why);
            }
            if let Err(error) = memos.write(&gpu, &memo) {
                tracing::error!("a GPU's state is not remembered: {error}");
                ledger.still_unsaved(&gpu);
            }
        }
        let picture = Arc::new(ledger.picture());
        drop(ledger);
        self.picture.send_replace(picture);
    }
}

/// Begins both threads. They end when the returned sender and all its clones are gone.
///
/// # Errors
/// When the system has no threads.
pub fn start(
    source: impl Source,
    shared: Arc<Shared>,
    memos: Memos,
    state: PathBuf,
    boot: BootId,
) -> std::io::Result<Sender<()>> {
    let (ask, asked) = channel();
    let wake = ask.clone();
    std::thread::Builder::new().name("gpus".into()).spawn(move || {
        let log = KernelLog::new(&state, boot);
        let waiting = Arc::default();
        Sampler { source, shared, memos, log, wake, waiting, logged: false }.run(&asked);
    })?;
    Ok(ask)
}

struct Sampler<S> {
    source: S,
    shared: Arc<Shared>,
    memos: Memos,
    log: KernelLog,
    /// For the thread of events.
    wake: Sender<()>,
    /// The thread of events lives.
    waiting: Arc<AtomicBool>,
    /// The kernel's log was read.
    logged: bool,
}

impl<S: Source> Sampler<S> {
    fn run(mut self, asked: &Receiver<()>) {
        loop {
            let begun = Instant::now();
            let pause = if self.round() { EVERY } else { EVERY_WITHOUT };
            let left = pause.saturating_sub(begun.elapsed());
            match asked.recv_timeout(left) {
                // All who have asked by now are answered by one round.
                Ok(()) => while asked.try_recv().is_ok() {},
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// One round; whether there are GPUs.
    fn round(&mut self) -> bool {
        self.shared.begun.fetch_add(1, Ordering::SeqCst);
        let answer = self.source.round();
        let has_gpus = !matches!(answer, Err(Absence::None(_)));
        let is_open = answer.is_ok();
        let mut ledger = self.shared.ledger();
        ledger.round(answer, Owner::of, Moment::now());
        if is_open && !std::mem::replace(&mut self.logged, true) {
            // Errors from before this process: NVML tells only of those from now on.
            for (bus, xid) in self.log.news() {
                let gpu = ledger.at(&bus);
                ledger.xid(gpu.as_ref(), xid, Moment::now());
            }
        }
        for gpu in ledger.clearable() {
            if !self.memos.has(&gpu) {
                tracing::info!(%gpu, "cleared by an administrator");
                ledger.clear(&gpu);
                // What the log says up to here was dealt with.
                let _ = self.log.news();
            }
        }
        self.shared.publish(ledger, &self.memos);
        if is_open {
            self.wait_for_events();
        }
        has_gpus
    }

    /// Begins the thread of events, unless it lives.
    fn wait_for_events(&mut self) {
        if self.waiting.load(Ordering::SeqCst) {
            return;
        }
        let Some(events) = self.source.events() else { return };
        let (shared, memos) = (self.shared.clone(), self.memos.clone());
        let (wake, waiting) = (self.wake.clone(), self.waiting.clone());
        self.waiting.store(true, Ordering::SeqCst);
        let begun = std::thread::Builder::new().name("gpu-events".into()).spawn(move || {
            wait(events, &shared, &memos, &wake);
            waiting.store(false, Ordering::SeqCst);
        });
        if let Err(error) = begun {
            self.waiting.store(false, Ordering::SeqCst);
            tracing::warn!("no thread waits for errors of GPUs: {error}");
        }
    }
}

fn wait(events: Box<dyn Events>, shared: &Shared, memos: &Memos, wake: &Sender<()>) {
    events.run(&mut |event| {
        if let Event::Xid { gpu, xid } = event {
            let named = gpu.as_ref().map(ToString::to_string).unwrap_or_default();
            tracing::warn!(gpu = named, xid, "{}", super::xid::words(xid));
            let mut ledger = shared.ledger();
            ledger.xid(gpu.as_ref(), xid, Moment::now());
            shared.publish(ledger, memos);
        }
        // A round tells what else it did, to the other half of the board for example. Without
        // anybody who asks, the agent is ending.
        let _ = wake.send(());
    });
}
