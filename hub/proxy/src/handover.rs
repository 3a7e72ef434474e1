//! Upgrade in place. The old process starts the new program with a socket as its standard input and
//! sends the listening sockets and all it knows over it; once the new one says that it serves, the
//! old one accepts no more and lives on for the connections it has, mostly websockets.
//!
//! ```text
//! serving ──SIGUSR2──> handing over ──ready──> draining ──last connection──> ended
//!    ^                      └──dead, silent──┐      └──two more upgrades────────^
//!    └───────────────────────────────────────┘
//! ```
//!
//! While it drains it obeys and reports over the same socket: the ends of routes come down the chain
//! of processes (they must close its websockets too), activity goes up (or its users look idle).

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use berth_common::Timestamp;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::activation;
use crate::hub_away;
use crate::listen::Listener;
use crate::metrics;
use crate::persist::Saved;
use crate::shared::Shared;

/// Tells the new program that its standard input is the old one's socket.
const VARIABLE: &str = "BERTH_PROXY_HANDOVER";

/// The successor has this long to say that it serves.
const SUCCESSOR: Duration = Duration::from_secs(10);

/// How often a draining process reports activity: the hub's rules count in minutes.
const REPORT: Duration = Duration::from_secs(1);

/// So many reports in a row above the cap count.
const REPORTS_OVER: u32 = 3;

/// Processes at once: the serving one and two that drain.
const GENERATIONS: u32 = 3;

/// The most sockets that are handed over.
const SOCKETS_MAX: usize = 32;

/// All that a process knows.
#[derive(Debug, Serialize, Deserialize)]
pub struct Knowledge {
    /// Names of the sockets that come with it, in their order.
    names: Vec<String>,
    /// The table with its clocks.
    pub routes: Saved,
    /// What the hub said of tokens.
    pub hub_users: hub_away::Saved,
}

/// What a new process gets.
#[derive(Debug)]
pub struct Inherited {
    /// Listening sockets by name.
    pub sockets: Vec<(String, OwnedFd)>,
    /// Of the process before, if there is one.
    pub knowledge: Option<Knowledge>,
    /// The socket to it.
    pub before: Option<UnixStream>,
}

/// One line between two processes. `Ready` is the younger one's first; after it the younger one sends
/// `End`, `Revoke`, `Age`, `Shrink` and `Going`, the older one `Active` and `Memory`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Line {
    /// The younger process serves.
    Ready,
    /// A route has ended; with a generation, only up to that one.
    End(String, Option<u64>),
    /// What was shown with a handshake is not good any more.
    Revoke(Vec<hub_away::TokenHash>),
    /// How many processes are younger than the reader.
    Age(u32),
    /// When routes were last active.
    Active(BTreeMap<String, Timestamp>),
    /// How much memory the writer and the processes before it have, in bytes.
    Memory(u64),
    /// That is too much: the oldest process shall close a websocket.
    Shrink,
    /// The younger process ends, since it was asked to: so does everything before it.
    Going,
}

/// What systemd or the process before left for this one, if either did.
///
/// # Errors
/// When the process before breaks off.
pub fn inherited() -> io::Result<Option<Inherited>> {
    if std::env::var_os(VARIABLE).is_some() {
        let socket = StdUnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        return receive(socket).map(Some);
    }
    let sockets = activation::sockets()?;
    if sockets.is_empty() {
        return Ok(None);
    }
    Ok(Some(Inherited { sockets, knowledge: None, before: None }))
}

fn receive(mut socket: StdUnixStream) -> io::Result<Inherited> {
    socket.set_read_timeout(Some(SUCCESSOR))?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut length = [0; 4];
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::WAITALL;
    let got = recvmsg(&socket, &mut [IoSliceMut::new(&mut length)], &mut control, flags)?;
    if got.bytes != length.len() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut descriptors = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            descriptors.extend(received);
        }
    }
    let mut json = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap_or_default()];
    socket.read_exact(&mut json)?;
    let knowledge: Knowledge = serde_json::from_slice(&json)?;
    socket.set_read_timeout(None)?;
    socket.set_nonblocking(true)?;
    let sockets = knowledge.names.iter().cloned().zip(descriptors).collect();
    let before = Some(UnixStream::from_std(socket)?);
    Ok(Inherited { sockets, knowledge: Some(knowledge), before })
}

fn send(
    socket: &mut StdUnixStream,
    descriptors: &[BorrowedFd<'_>],
    knowledge: &Knowledge,
) -> io::Result<()> {
    let json = serde_json::to_vec(knowledge)?;
    let length = u32::try_from(json.len()).map_err(|_| io::Error::other("the table is too big"))?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::other("too many listening sockets"));
    }
    let length = length.to_be_bytes();
    sendmsg(&socket, &[IoSlice::new(&length)], &mut control, SendFlags::empty())?;
    socket.write_all(&json)
}

/// A successor that serves.
#[derive(Debug)]
pub struct Successor {
    lines: Reader,
    write_half: OwnedWriteHalf,
    child: Child,
}

impl Successor {
    /// Its process, while that lives.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }
}

/// Lines of the other process; waiting for one may be given up without losing anything.
type Reader = Lines<BufReader<OwnedReadHalf>>;

/// Starts the program that is now where this one was started from, and waits until it serves.
///
/// # Errors
/// When it does not come to serve; this process then goes on as before.
pub async fn start_successor(
    shared: &Shared,
    listeners: &[(String, Arc<Listener>)],
    routes: Saved,
) -> io::Result<Successor> {
    let (mut ours, theirs) = StdUnixStream::pair()?;
    let names = listeners.iter().map(|(name, _)| name.clone()).collect();
    let knowledge = Knowledge { names, routes, hub_users: shared.hub_away.saved() };
    let mut command = Command::new(program()?);
    command
        .args(std::env::args_os().skip(1))
        .env(VARIABLE, "1")
        .env_remove("LISTEN_FDS")
        .env_remove("LISTEN_PID")
        .env_remove("LISTEN_FDNAMES")
        // It is watched in our place.
        .env_remove("WATCHDOG_PID")
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .kill_on_drop(false);
    berth_process::crash_point!("proxy.handover.before");
    let mut child = command.spawn()?;
    berth_process::crash_point!("proxy.handover.after");
    // Else our end of theirs stays open and its death goes unnoticed.
    drop(command);
    let sockets = listeners.to_vec();
    let sending = tokio::task::spawn_blocking(move || {
        ours.set_write_timeout(Some(SUCCESSOR))?;
        let descriptors: Vec<BorrowedFd<'_>> =
            sockets.iter().map(|(_, listener)| listener.as_fd()).collect();
        send(&mut ours, &descriptors, &knowledge)?;
        ours.set_nonblocking(true)?;
        io::Result::Ok(ours)
    });
    let says = async {
        let ours = sending.await.map_err(io::Error::other)??;
        let (read_half, write_half) = UnixStream::from_std(ours)?.into_split();
        let mut lines = BufReader::new(read_half).lines();
        match read(&mut lines).await? {
            Some(Line::Ready) => Ok((lines, write_half)),
            _ => Err(io::Error::other("it has ended")),
        }
    };
    let failed = match timeout(SUCCESSOR, says).await {
        Ok(Ok((lines, write_half))) => return Ok(Successor { lines, write_half, child }),
        Ok(Err(error)) => error,
        Err(_) => io::Error::other("it did not come to serve in time"),
    };
    let _ = child.kill().await;
    Err(failed)
}

/// Where this program was started from: an upgrade has put another file there.
fn program() -> io::Result<OsString> {
    let name = std::env::args_os().next().unwrap_or_default();
    if PathBuf::from(&name).components().count() > 1 && PathBuf::from(&name).exists() {
        return Ok(name);
    }
    // Found on PATH: the kernel knows where, and marks a replaced file.
    let path = std::env::current_exe()?.into_os_string();
    let text = path.to_string_lossy();
    Ok(text.strip_suffix(" (deleted)").map_or(path.clone(), OsString::from))
}

/// Speaks with the process before, for as long as that one lives: tells it of ends, hears of
/// activity.
pub async fn keep_before(
    before: UnixStream,
    shared: Arc<Shared>,
    mut lines: mpsc::UnboundedReceiver<Line>,
) {
    let (read_half, mut write_half) = before.into_split();
    let mut reader = BufReader::new(read_half).lines();
    berth_process::crash_point!("proxy.handover.ready");
    if write(&mut write_half, &Line::Ready).await.is_err() {
        return;
    }
    loop {
        tokio::select! {
            line = read(&mut reader) => match line {
                Ok(Some(line)) => hear_before(&shared, line),
                Ok(None) | Err(_) => break,
            },
            line = lines.recv() => {
                let Some(line) = line else { break };
                if write(&mut write_half, &line).await.is_err() {
                    break;
                }
            }
        }
    }
    shared.memory_before.store(0, Ordering::Relaxed);
}

/// What the process before says.
fn hear_before(shared: &Shared, line: Line) {
    match line {
        Line::Active(clocks) => {
            let table = shared.table();
            for (key, moment) in clocks {
                if let Some(route) = table.get(&key) {
                    route.live.active(moment);
                }
            }
        }
        Line::Memory(bytes) => {
            shared.memory_before.store(bytes, Ordering::Relaxed);
            // The serving process decides; its own memory is not to be saved. A single report may
            // count processes that have ended since.
            let over = if bytes > shared.drain_memory {
                shared.reports_over.fetch_add(1, Ordering::Relaxed).saturating_add(1)
            } else {
                shared.reports_over.store(0, Ordering::Relaxed);
                0
            };
            if over >= REPORTS_OVER && !shared.draining.is_on() {
                shared.tell_before(Line::Shrink);
            }
        }
        Line::Ready
        | Line::End(..)
        | Line::Revoke(_)
        | Line::Age(_)
        | Line::Shrink
        | Line::Going => {}
    }
}

/// A draining process' life: obeys and reports until `idle` says that no connection is left.
pub async fn drain(
    shared: Arc<Shared>,
    successor: Successor,
    before: Option<JoinHandle<()>>,
    mut alive: mpsc::Receiver<()>,
) {
    let Successor { lines: mut reader, mut write_half, mut child } = successor;
    shared.tell_before(Line::Age(2));
    let mut younger = true;
    let mut child_lives = true;
    let mut ticks = interval(REPORT);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut reported = BTreeMap::new();
    let mut done = std::pin::pin!(async {
        alive.recv().await;
        // The one before reports through us.
        if let Some(before) = before {
            let _ = before.await;
        }
    });
    loop {
        tokio::select! {
            () = &mut done => break,
            line = read(&mut reader), if younger => match line {
                Ok(Some(Line::End(key, up_to))) => shared.end_here(&key, up_to),
                Ok(Some(Line::Revoke(hashes))) => {
                    shared.revoke_sockets(&hashes);
                }
                Ok(Some(Line::Age(age))) => {
                    shared.tell_before(Line::Age(age.saturating_add(1)));
                    if age >= GENERATIONS {
                        tracing::warn!("two more upgrades have come: the last websockets are closed");
                        shared.end();
                    }
                }
                Ok(Some(Line::Going)) => {
                    shared.tell_before(Line::Going);
                    shared.end();
                }
                Ok(Some(Line::Shrink)) if shared.has_before() => shared.tell_before(Line::Shrink),
                Ok(Some(Line::Shrink)) => {
                    tracing::warn!("draining takes too much memory: the oldest websocket is closed");
                    shared.sockets.end_oldest();
                }
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => younger = false,
            },
            _ = ticks.tick() => {
                report(&shared, &mut reported, &mut write_half).await;
                let before = shared.memory_before.load(Ordering::Relaxed);
                let memory = Line::Memory(before.saturating_add(metrics::resident_bytes()));
                let _ = timeout(REPORT, write(&mut write_half, &memory)).await;
            }
            // Its end is not ours, but somebody must take note of it.
            _ = child.wait(), if child_lives => child_lives = false,
        }
    }
    report(&shared, &mut reported, &mut write_half).await;
}

async fn report(
    shared: &Shared,
    reported: &mut BTreeMap<String, Timestamp>,
    link: &mut (impl AsyncWriteExt + Unpin),
) {
    let clocks: BTreeMap<String, Timestamp> = shared
        .table()
        .all()
        .map(|route| (route.key.clone(), route.live.last_activity()))
        .filter(|(key, moment)| reported.get(key).is_none_or(|before| before < moment))
        .collect();
    if !clocks.is_empty() {
        reported.extend(clocks.clone());
        let _ = timeout(REPORT, write(link, &Line::Active(clocks))).await;
    }
}

async fn write(link: &mut (impl AsyncWriteExt + Unpin), line: &Line) -> io::Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    link.write_all(&text).await
}

async fn read(lines: &mut Reader) -> io::Result<Option<Line>> {
    match lines.next_line().await? {
        Some(text) => Ok(Some(serde_json::from_str(&text)?)),
        None => Ok(None),
    }
}
