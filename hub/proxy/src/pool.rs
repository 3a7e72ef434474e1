//! Idle connections of one route to its target, so of one start of one server: never shared with
//! another. Each belongs to the worker that opened it, whose thread drives it.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::client::conn::http1::SendRequest;
use tokio::time::Instant;

use crate::body::RequestBody;
use crate::worker;

/// One connection to an upstream, able to carry requests one after the other.
#[derive(Debug)]
pub struct Sender {
    /// The HTTP library's end.
    pub http: SendRequest<RequestBody>,
    /// The worker that drives the connection.
    worker: usize,
}

impl Sender {
    /// A connection that this thread drives.
    pub fn new(http: SendRequest<RequestBody>) -> Self {
        Self { http, worker: worker::this() }
    }

    fn is_own(&self) -> bool {
        self.worker == worker::this()
    }
}

/// Whose connection will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// Any: one of this worker's first.
    Any,
    /// One of this worker's only. Another's costs a request two wake-ups of another thread, and a
    /// websocket one for each message of its life.
    Own,
}

/// What is kept while a burst of requests lasts.
const BURST_MAX: usize = 256;

/// What is kept behind a burst: JupyterLab opens six connections at once over HTTP/1.1, and a
/// download or two.
const IDLE_MAX: usize = 8;

/// A burst is over for a connection that has not been used for so long.
pub const BURST: Duration = Duration::from_secs(2);

/// tornado closes idle connections after an hour; the agent's table may change any minute.
pub const IDLE: Duration = Duration::from_secs(30);

/// The idle connections.
#[derive(Debug, Default)]
pub struct Pool(Mutex<Idle>);

#[derive(Debug, Default)]
struct Idle {
    connections: VecDeque<(Sender, Instant)>,
    closed: bool,
}

impl Pool {
    /// The connection used last, if one is ready. It may still be broken when it is written to.
    pub fn take(&self, whose: Whose) -> Option<Sender> {
        let mut idle = self.lock();
        let last = |idle: &Idle, own: bool| {
            // The last one mostly is ready; one that was given back a moment ago may not be yet.
            idle.connections
                .iter()
                .rposition(|(sender, _)| sender.is_own() == own && sender.http.is_ready())
        };
        let found = last(&idle, true).or_else(|| match whose {
            Whose::Any => last(&idle, false),
            Whose::Own => None,
        })?;
        idle.connections.remove(found).map(|(sender, _)| sender)
    }

    /// Keeps a connection whose answer was read to the end.
    pub fn put(&self, sender: Sender) {
        let mut idle = self.lock();
        if idle.closed || sender.http.is_closed() {
            return;
        }
        if idle.connections.len() >= BURST_MAX {
            idle.connections.pop_front();
        }
        idle.connections.push_back((sender, Instant::now()));
    }

    /// Closes what has been idle for too long.
    pub fn sweep(&self, now: Instant) {
        let mut idle = self.lock();
        let mut left = idle.connections.len();
        idle.connections.retain(|(sender, since)| {
            let limit = if left > IDLE_MAX { BURST } else { IDLE };
            let kept = !sender.http.is_closed() && now.duration_since(*since) < limit;
            left = left.saturating_sub(usize::from(!kept));
            kept
        });
        if idle.connections.len() <= IDLE_MAX {
            idle.connections.shrink_to_fit();
        }
        if idle.connections.is_empty() {
            idle.connections = VecDeque::new();
        }
    }

    /// Closes all, for ever.
    pub fn close(&self) {
        let mut idle = self.lock();
        idle.closed = true;
        idle.connections = VecDeque::new();
    }

    fn lock(&self) -> MutexGuard<'_, Idle> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
