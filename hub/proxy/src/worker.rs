//! Threads that carry users' traffic, one a core, each with a runtime of its own: a request and its
//! upstream's answer meet on one thread and wake no other. The control plane has a thread to itself,
//! so that a big table delays nobody.

use std::cell::Cell;
use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tokio::runtime;
use tokio::sync::mpsc;

use crate::front::Accepted;

/// Threads of one worker that may wait for the disk, for the pages of `--error-path`.
const BLOCKING: usize = 4;

/// Tasks that run before the kernel is asked for news although there is work: a whole batch of
/// messages. Each is short.
const TASKS_A_LOOK: u32 = 256;

thread_local! {
    static THIS: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// The number of the worker whose thread this is; the control plane has one too.
pub fn this() -> usize {
    THIS.get()
}

/// All workers. They end when the last of this is gone.
#[derive(Debug, Clone)]
pub struct Workers(Arc<[Worker]>);

#[derive(Debug)]
struct Worker {
    accepted: mpsc::UnboundedSender<Accepted>,
    /// Connections and websockets it has.
    load: Arc<AtomicUsize>,
}

/// One connection's or websocket's share of its worker's load.
#[derive(Debug)]
pub struct Share(Arc<AtomicUsize>);

impl Drop for Share {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Workers {
    /// Starts one worker for each core that this process may use.
    ///
    /// # Errors
    /// When the system has no threads left.
    pub fn start() -> io::Result<Self> {
        let count = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        (0..count).map(Worker::start).collect::<io::Result<_>>().map(Self)
    }

    /// Gives a connection to the worker that has the fewest.
    pub fn carry(&self, mut accepted: Accepted) {
        let least = self.0.iter().min_by_key(|worker| worker.load.load(Ordering::Relaxed));
        let Some(worker) = least else { return };
        worker.load.fetch_add(1, Ordering::Relaxed);
        accepted.share = Some(Share(worker.load.clone()));
        // A worker never ends before its senders.
        let _ = worker.accepted.send(accepted);
    }
}

impl Worker {
    fn start(number: usize) -> io::Result<Self> {
        let (accepted, mut queue) = mpsc::unbounded_channel::<Accepted>();
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(BLOCKING)
            .event_interval(TASKS_A_LOOK)
            .build()?;
        let carry = async move {
            while let Some(accepted) = queue.recv().await {
                tokio::spawn(accepted.serve());
            }
        };
        thread::Builder::new().name(format!("worker {number}")).spawn(move || {
            THIS.set(number);
            runtime.block_on(carry);
        })?;
        Ok(Self { accepted, load: Arc::default() })
    }
}
