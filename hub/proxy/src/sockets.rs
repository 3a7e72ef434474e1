//! The websockets that are open, so that the end of a route, of a login or of memory reaches them.
//! Each listens to one signal only, which costs an idle one nothing and a busy one a glance.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::hub_away::TokenHash;
use crate::route::Live;

/// Close code of a server that is going away (RFC 6455, 7.4.1).
pub const GOING_AWAY: u16 = 1001;

/// Close code of ours for a login or token that was taken back.
pub const REVOKED: u16 = 4401;

/// All open websockets, in the order in which they were opened.
#[derive(Debug, Default)]
pub struct Sockets {
    open: Mutex<BTreeMap<u64, Arc<Socket>>>,
    next: AtomicU64,
}

/// One of them.
#[derive(Debug)]
struct Socket {
    live: Arc<Live>,
    /// Hashes of what its handshake showed: session cookies, a token.
    shown: Box<[TokenHash]>,
    /// The close code, once it shall end.
    code: AtomicU16,
    waker: Mutex<Option<Waker>>,
}

/// A websocket's entry; it leaves with it.
#[derive(Debug)]
pub struct Entry {
    sockets: Arc<Sockets>,
    number: u64,
    socket: Arc<Socket>,
    listens: bool,
}

impl Sockets {
    /// Enters a websocket of a route. `shown` are the hashes by which it can be revoked.
    pub fn enter(self: &Arc<Self>, live: &Arc<Live>, shown: Box<[TokenHash]>) -> Entry {
        let socket = Arc::new(Socket {
            live: live.clone(),
            shown,
            code: AtomicU16::new(0),
            waker: Mutex::default(),
        });
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.lock().insert(number, socket.clone());
        // The route may have ended while the handshake was under way.
        if live.has_ended() {
            socket.end(GOING_AWAY);
        }
        Entry { sockets: self.clone(), number, socket, listens: false }
    }

    /// Ends those of a route.
    pub fn end_of_route(&self, live: &Arc<Live>) {
        self.end(GOING_AWAY, |socket| Arc::ptr_eq(&socket.live, live));
    }

    /// Ends those whose handshake showed one of these. Returns how many.
    pub fn revoke(&self, hashes: &[TokenHash]) -> usize {
        self.end(REVOKED, |socket| socket.shown.iter().any(|shown| hashes.contains(shown)))
    }

    /// Ends all.
    pub fn end_all(&self) {
        self.end(GOING_AWAY, |_| true);
    }

    /// Ends the one that has been open longest. Whether there was one.
    pub fn end_oldest(&self) -> bool {
        let open = self.lock();
        let oldest = open.values().find(|socket| socket.code.load(Ordering::Relaxed) == 0);
        oldest.inspect(|socket| socket.end(GOING_AWAY)).is_some()
    }

    /// How many are open.
    pub fn count(&self) -> usize {
        self.lock().len()
    }

    fn end(&self, code: u16, which: impl Fn(&Socket) -> bool) -> usize {
        let open = self.lock();
        open.values().filter(|socket| which(socket)).inspect(|socket| socket.end(code)).count()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Socket>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Socket {
    fn end(&self, code: u16) {
        // The first reason counts.
        let _ = self.code.compare_exchange(0, code, Ordering::Release, Ordering::Relaxed);
        if let Some(waker) = self.waker().take() {
            waker.wake();
        }
    }

    fn waker(&self) -> MutexGuard<'_, Option<Waker>> {
        self.waker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// Ready with the close code once the websocket shall end. Always polled by the same task.
    pub fn poll_end(&mut self, cx: &Context<'_>) -> Poll<u16> {
        if !self.listens {
            *self.socket.waker() = Some(cx.waker().clone());
            self.listens = true;
        }
        match self.socket.code.load(Ordering::Acquire) {
            0 => Poll::Pending,
            code => Poll::Ready(code),
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.sockets.lock().remove(&self.number);
    }
}
