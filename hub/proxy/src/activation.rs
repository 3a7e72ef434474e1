//! The sockets that systemd gives to this process (sd_listen_fds(3)), and its clock.

use std::io;
use std::os::fd::OwnedFd;

use rustix::time::{ClockId, clock_gettime};

/// Sockets without names are taken in this order.
const ORDER: [&str; 4] = ["front", "api", "metrics", "redirect"];

/// The listening sockets that came with the process, by name. A socket unit gives one name to all
/// of its sockets: the second `front` is `front 1`, as the second of `listen` is.
///
/// # Errors
/// When a descriptor is no stream socket.
pub fn sockets() -> io::Result<Vec<(String, OwnedFd)>> {
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let names: Vec<&str> = names.split(':').collect();
    let mut given = listenfd::ListenFd::from_env();
    let mut sockets: Vec<(String, OwnedFd)> = Vec::new();
    for index in 0..given.len() {
        let socket = match given.take_tcp_listener(index) {
            Ok(socket) => socket.map(OwnedFd::from),
            Err(_) => given.take_unix_listener(index)?.map(OwnedFd::from),
        };
        let Some(socket) = socket else { continue };
        // A socket unit without FileDescriptorName gives its own name.
        let named = names
            .get(index)
            .filter(|name| !name.is_empty() && !name.ends_with(".socket") && **name != "unknown");
        let name = named.or_else(|| ORDER.get(index)).copied().unwrap_or_default();
        let same = sockets.iter().filter(|(taken, _)| taken.split(' ').next() == Some(name));
        let name = match same.count() {
            0 => name.to_owned(),
            number => format!("{name} {number}"),
        };
        sockets.push((name, socket));
    }
    Ok(sockets)
}

/// The clock by which systemd orders reloads, in microseconds.
pub fn clock_micros() -> i64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.saturating_mul(1_000_000).saturating_add(now.tv_nsec / 1000)
}
