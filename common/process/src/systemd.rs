//! What systemd hears of this process (sd_notify(3)). Without systemd nothing here does anything.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// Of the time that systemd waits for a sign of life, this part lies between two of them: one may
/// be late, and one may be lost.
const SIGNS: u32 = 3;

/// This process serves and is the service's main one.
pub fn ready() {
    notify(&format!("READY=1\nMAINPID={}\n", std::process::id()));
}

/// A successor serves and is the main one from here on. Said by the process before, from which a
/// unit with `NotifyAccess=main` takes it.
pub fn handed_over(successor: u32) {
    notify(&format!("READY=1\nMAINPID={successor}\n"));
}

/// A successor is about to take over, at this moment of the system's monotonic clock in
/// microseconds; [`ready`] or [`handed_over`] ends it.
pub fn reloading(micros: i64) {
    notify(&format!("RELOADING=1\nMONOTONIC_USEC={micros}\n"));
}

/// This process, the main one, ends.
pub fn stopping() {
    notify("STOPPING=1\n");
}

/// Nobody else can be told that systemd cannot be.
fn notify(state: &str) {
    let Some(name) = std::env::var_os("NOTIFY_SOCKET") else { return };
    if let (Ok(socket), Ok(address)) = (UnixDatagram::unbound(), address(&name)) {
        let _ = socket.send_to_addr(state.as_bytes(), &address);
    }
}

fn address(name: &OsStr) -> io::Result<SocketAddr> {
    match name.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(name),
    }
}

/// Signs of life for systemd, which kills and restarts a service that gives none for as long as
/// `WatchdogSec=` says. They must come from the loop without which the process is of no use, never
/// from a task of their own: that one would go on while the loop hangs.
#[derive(Debug, Default)]
pub struct Watchdog(Option<Told>);

#[derive(Debug)]
struct Told {
    socket: UnixDatagram,
    address: SocketAddr,
    every: Duration,
}

impl Watchdog {
    /// As the unit says; nobody is told anything if it says nothing, or means another process
    /// (sd_watchdog_enabled(3)).
    pub fn of_the_unit() -> Self {
        let of = |name: &str| std::env::var(name).ok();
        let other = of("WATCHDOG_PID").is_some_and(|pid| pid != std::process::id().to_string());
        let micros = of("WATCHDOG_USEC").and_then(|micros| micros.parse().ok());
        let (Some(micros), Some(name), false) = (micros, std::env::var_os("NOTIFY_SOCKET"), other)
        else {
            return Self::default();
        };
        Self::new(&name, Duration::from_micros(micros)).unwrap_or_default()
    }

    /// Tells this socket, which must hear something within that time.
    ///
    /// # Errors
    /// When there can be no such socket.
    pub fn new(socket: &OsStr, within: Duration) -> io::Result<Self> {
        let (address, socket) = (address(socket)?, UnixDatagram::unbound()?);
        // A systemd that does not read must not hold up the loop.
        socket.set_nonblocking(true)?;
        Ok(Self(Some(Told { socket, address, every: within / SIGNS })))
    }

    /// How often [`Self::alive`] is to be called at least; never, if nobody listens.
    pub fn every(&self) -> Option<Duration> {
        self.0.as_ref().map(|told| told.every).filter(|every| !every.is_zero())
    }

    /// The loop has come round.
    pub fn alive(&self) {
        if let Some(Told { socket, address, .. }) = &self.0 {
            // If this one is lost, the next may arrive.
            let _ = socket.send_to_addr(b"WATCHDOG=1\n", address);
        }
    }
}
