//! Upgrade without losing a connection: the old process starts the new program with both
//! listening sockets, the new one says that it serves, the old one stops accepting and finishes
//! its streams. Connections that arrive meanwhile wait in the one queue which both share.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use berth_agent_sys::socket::{HANDED_OVER, leave_open};
use berth_process::{crash_point, systemd};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::{TcpListener, UnixListener};
use tokio::process::Command;

/// The successor has this long to say that it serves.
const SUCCESSOR: Duration = Duration::from_secs(20);

/// What it says.
const READY: &str = "ready";

/// The process that this one replaces: it reads our standard output.
#[derive(Debug)]
pub struct Parent(());

/// Whether this process was started to replace another one.
pub fn parent() -> Option<Parent> {
    std::env::var_os(HANDED_OVER).map(|_| Parent(()))
}

/// Tells the predecessor, and systemd if it watches, that this process serves. A predecessor
/// that cannot be told is dead: one that had given this process up would have killed it.
pub fn ready(parent: Option<Parent>) {
    crash_point!("tunnel.handover.ready");
    systemd::ready();
    if parent.is_some() {
        let mut out = io::stdout().lock();
        let told = writeln!(out, "{READY}").and_then(|()| out.flush());
        if let Err(error) = told {
            tracing::warn!("the process before this one is gone: {error}");
        }
    }
}

/// Starts the program that is now where this one was started from, and waits until it serves.
/// Returns its process id.
///
/// # Errors
/// When it does not come to serve; this process then goes on as before.
pub async fn start_successor(tunnel: &TcpListener, control: &UnixListener) -> io::Result<u32> {
    let sockets =
        format!("tunnel={}:control={}", tunnel.as_fd().as_raw_fd(), control.as_fd().as_raw_fd());
    let mut command = Command::new(program()?);
    command
        .args(std::env::args_os().skip(1))
        .env(HANDED_OVER, sockets)
        .env_remove("LISTEN_FDS")
        .env_remove("LISTEN_PID")
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    leave_open(tunnel, true)?;
    leave_open(control, true)?;
    crash_point!("tunnel.handover.before");
    let started = command.spawn();
    leave_open(tunnel, false)?;
    leave_open(control, false)?;
    let mut successor = started?;
    crash_point!("tunnel.handover.after");
    let says = async {
        let out = successor.stdout.take().ok_or_else(|| io::Error::other("no pipe"))?;
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line).await?;
        if line.trim_end() == READY { Ok(()) } else { Err(io::Error::other("it has ended")) }
    };
    let result = tokio::time::timeout(SUCCESSOR, says).await;
    match (result, successor.id()) {
        (Ok(Ok(())), Some(id)) => Ok(id),
        (result, _) => {
            let _ = successor.kill().await;
            match result {
                Ok(Err(error)) => Err(error),
                _ => Err(io::Error::other("it did not come to serve in time")),
            }
        }
    }
}

/// Where this program was started from: an upgrade has put another file there.
fn program() -> io::Result<OsString> {
    let name = std::env::args_os().next().unwrap_or_default();
    if PathBuf::from(&name).components().count() > 1 {
        return Ok(name);
    }
    // Found on PATH: the kernel knows where, and marks a replaced file.
    let path = std::env::current_exe()?.into_os_string();
    let text = path.to_string_lossy();
    Ok(text.strip_suffix(" (deleted)").map_or(path.clone(), OsString::from))
}
