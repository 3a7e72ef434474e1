//! The agent's end of the tunnel's control socket: the whole table on each change, and again
//! after each reconnect. The file is written first, so the tunnel may die at any moment.

use std::path::{Path, PathBuf};
use std::time::Duration;

use berth_process::{crash_inside_writes, crash_point};
use berth_proto::frame;
use berth_proto::tunnel::{Entry, Table, TableApplied};
use tokio::net::UnixStream;
use tokio::sync::watch;

use super::table;
use crate::reconcile::TunnelEntry;

/// Between two attempts to reach the tunnel's process. It serves from the file meanwhile.
const RETRY: Duration = Duration::from_millis(500);

/// The driver's end.
#[derive(Debug)]
pub struct Feed {
    file: PathBuf,
    current: watch::Sender<Known>,
    /// Whether the file says what is current.
    written: bool,
}

/// The table, once the agent knows one: unknown is not empty.
pub type Known = Option<Vec<TunnelEntry>>;

impl Feed {
    /// Names the run folder. The task that feeds the tunnel watches the second value.
    pub fn new(run: &Path) -> (Self, watch::Receiver<Known>) {
        let (current, watched) = watch::channel(None);
        (Self { file: table::file(run), current, written: false }, watched)
    }

    /// Puts a table in force: on disk, then to the tunnel's process.
    pub fn publish(&mut self, known: Known) {
        let Some(entries) = &known else { return };
        let same = *self.current.borrow() == known;
        if same && self.written {
            return;
        }
        let written = table::write(&self.file, entries);
        if let Err(error) = &written
            && !same
        {
            tracing::error!("cannot write {}: {error}", self.file.display());
        }
        self.written = written.is_ok();
        crash_point!("tunnel.table.send");
        if !same {
            self.current.send_replace(known);
        }
    }
}

/// Feeds the tunnel's process for ever.
pub async fn keep(socket: PathBuf, mut watched: watch::Receiver<Known>) {
    let mut away = false;
    loop {
        if let Ok(stream) = UnixStream::connect(&socket).await {
            away = false;
            if let Err(error) = feed(stream, &mut watched).await {
                tracing::debug!("the tunnel's process has gone: {error}");
            }
        } else if !std::mem::replace(&mut away, true) {
            tracing::warn!(
                "no tunnel at {}: users reach no server here; start berth-agent tunnel",
                socket.display()
            );
        }
        if watched.has_changed().is_err() {
            return; // the agent is ending
        }
        tokio::time::sleep(RETRY).await;
    }
}

async fn feed(
    stream: UnixStream,
    watched: &mut watch::Receiver<Known>,
) -> Result<(), frame::FrameError> {
    let (mut read, write) = stream.into_split();
    let mut write = crash_inside_writes!(write, "tunnel.table.inside");
    loop {
        let known = watched.borrow_and_update().clone();
        if let Some(entries) = known {
            let entries = entries.iter().map(entry).collect();
            frame::write(&mut write, &Table { entries }).await?;
            crash_point!("tunnel.table.sent");
            let _: TableApplied = frame::read(&mut read, frame::PREAMBLE_MAX).await?;
        }
        tokio::select! {
            changed = watched.changed() => if changed.is_err() { return Ok(()) },
            // The tunnel says nothing unasked: an end of the stream, or nonsense.
            ended = frame::read::<TableApplied>(&mut read, frame::PREAMBLE_MAX) => {
                ended?;
            }
        }
    }
}

fn entry(entry: &TunnelEntry) -> Entry {
    Entry {
        server: entry.server.to_string(),
        generation: entry.generation.0,
        address: entry.address.to_string(),
    }
}
