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
use tokio::sync::{mpsc, oneshot};

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

/// What a worker is given.
#[derive(Debug)]
pub enum Errand {
    /// A connection to be served.
    Carry(Box<Accepted>),
    /// A word that its thread comes round.
    Answer(oneshot::Sender<()>),
}

impl Errand {
    /// Does it, on the worker's own runtime.
    pub fn run(self) {
        match self {
            Self::Carry(accepted) => drop(tokio::spawn(accepted.serve())),
            Self::Answer(say) => {
                // Who asked may be gone.
                let _ = say.send(());
            }
        }
    }
}

#[derive(Debug)]
struct Worker {
    errands: mpsc::UnboundedSender<Errand>,
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

    /// One whose errands the caller runs.
    #[cfg(test)]
    pub fn by_hand() -> (Self, mpsc::UnboundedReceiver<Errand>) {
        let (errands, queue) = mpsc::unbounded_channel();
        (Self(Arc::from([Worker { errands, load: Arc::default() }])), queue)
    }

    /// Gives a connection to the worker that has the fewest.
    pub fn carry(&self, mut accepted: Accepted) {
        let least = self.0.iter().min_by_key(|worker| worker.load.load(Ordering::Relaxed));
        let Some(worker) = least else { return };
        worker.load.fetch_add(1, Ordering::Relaxed);
        accepted.share = Some(Share(worker.load.clone()));
        // A worker never ends before its senders.
        let _ = worker.errands.send(Errand::Carry(Box::new(accepted)));
    }

    /// Has every worker say that it comes round.
    pub fn ask(&self) -> Vec<oneshot::Receiver<()>> {
        let ask = |worker: &Worker| {
            let (say, answer) = oneshot::channel();
            // As above.
            let _ = worker.errands.send(Errand::Answer(say));
            answer
        };
        self.0.iter().map(ask).collect()
    }
}

impl Worker {
    fn start(number: usize) -> io::Result<Self> {
        let (errands, mut queue) = mpsc::unbounded_channel::<Errand>();
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(BLOCKING)
            .event_interval(TASKS_A_LOOK)
            .build()?;
        let carry = async move {
            while let Some(errand) = queue.recv().await {
                errand.run();
            }
        };
        thread::Builder::new().name(format!("worker {number}")).spawn(move || {
            THIS.set(number);
            runtime.block_on(carry);
        })?;
        Ok(Self { errands, load: Arc::default() })
    }
}
