//! Listening sockets that outlive a process: left by systemd, or by the process that this one
//! replaces.

#![allow(unsafe_code)]

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, FromRawFd, OwnedFd, RawFd};

use rustix::io::FdFlags;

/// Names the sockets and their numbers for a process that replaces this one, e.g.
/// `tunnel=5:control=6`.
pub const HANDED_OVER: &str = "BERTH_SOCKETS";

/// Takes over the sockets that were left to this process, by their names. Call it once, before
/// anything else opens a file; a second call finds none.
///
/// # Errors
/// When the environment promises a descriptor that is none of ours or no listening socket.
pub fn inherited() -> io::Result<BTreeMap<String, OwnedFd>> {
    static TAKEN: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);
    if TAKEN.swap(true, std::sync::atomic::Ordering::SeqCst) {
        return Ok(BTreeMap::new());
    }
    let mut sockets = BTreeMap::new();
    for (name, number) in promised()? {
        if number <= 2 || sockets.contains_key(&name) {
            return Err(io::Error::other(format!("socket {name}={number} cannot be taken over")));
        }
        // SAFETY: the number is at least 3 and was left to this process by its parent for this
        // purpose; the guard above lets it be taken over once, so there is no second owner. That
        // it is open at all is asked before it is owned.
        let socket = unsafe {
            let open = rustix::io::fcntl_getfd(std::os::fd::BorrowedFd::borrow_raw(number));
            open.map_err(|error| {
                io::Error::other(format!("socket {name}={number} is not open: {error}"))
            })?;
            OwnedFd::from_raw_fd(number)
        };
        if !rustix::net::sockopt::socket_acceptconn(&socket)? {
            return Err(io::Error::other(format!("{name}={number} is no listening socket")));
        }
        rustix::io::fcntl_setfd(&socket, FdFlags::CLOEXEC)?;
        sockets.insert(name, socket);
    }
    Ok(sockets)
}

fn promised() -> io::Result<Vec<(String, RawFd)>> {
    if let Ok(list) = std::env::var(HANDED_OVER) {
        let parse = |item: &str| -> Option<(String, RawFd)> {
            let (name, number) = item.split_once('=')?;
            Some((name.to_owned(), number.parse().ok()?))
        };
        return list
            .split(':')
            .map(|item| {
                parse(item).ok_or_else(|| io::Error::other(format!("{HANDED_OVER}={list}")))
            })
            .collect();
    }
    // systemd's protocol, sd_listen_fds(3): numbers from 3 on, for this process only.
    let ours = std::env::var("LISTEN_PID").is_ok_and(|pid| pid == std::process::id().to_string());
    let count: RawFd = match std::env::var("LISTEN_FDS") {
        Ok(count) if ours => count.parse().map_err(io::Error::other)?,
        _ => return Ok(Vec::new()),
    };
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':').map(str::to_owned);
    Ok((0..count).map(|i| (names.next().unwrap_or_default(), i.saturating_add(3))).collect())
}

/// Lets the next program that this process starts have the descriptor; `false` takes it back.
///
/// # Errors
/// When the system refuses.
pub fn leave_open(socket: impl AsFd, open: bool) -> io::Result<()> {
    let flags = if open { FdFlags::empty() } else { FdFlags::CLOEXEC };
    Ok(rustix::io::fcntl_setfd(socket, flags)?)
}
