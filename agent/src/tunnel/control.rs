//! The tunnel's end of the control socket: takes the agent's tables.

use std::convert::Infallible;
use std::sync::Arc;

use berth_common::Generation;
use berth_proto::frame::{self, FrameError};
use berth_proto::tunnel::{Entry, Table, TableApplied};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;

use super::Shared;
use super::table;

/// Serves agents, one at a time in practice, for ever. Dropping it closes their connections.
pub async fn serve(listener: &UnixListener, shared: &Arc<Shared>) -> Infallible {
    let mut agents = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if is_trusted(&stream) => {
                    agents.spawn(take(stream, shared.clone()));
                }
                Ok(_) => tracing::warn!("a stranger on the control socket was refused"),
                Err(error) => tracing::warn!("control socket: {error}"),
            },
            Some(_) = agents.join_next() => {}
        }
    }
}

/// Root, or whoever the tunnel itself runs as: nobody else may say where streams go.
fn is_trusted(stream: &UnixStream) -> bool {
    let own = rustix::process::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|peer| peer.uid() == 0 || peer.uid() == own)
}

async fn take(mut stream: UnixStream, shared: Arc<Shared>) -> Result<(), FrameError> {
    loop {
        let message: Table = frame::read(&mut stream, frame::TABLE_MAX).await?;
        let table: table::Table = message.entries.iter().filter_map(entry).collect();
        let applied = TableApplied {
            entries: u32::try_from(table.len()).unwrap_or(u32::MAX),
            process: std::process::id(),
        };
        shared.replace(table);
        frame::write(&mut stream, &applied).await?;
    }
}

fn entry(entry: &Entry) -> Option<(berth_common::ServerId, (Generation, std::net::SocketAddr))> {
    let server = entry.server.parse().ok()?;
    Some((server, (Generation(entry.generation), entry.address.parse().ok()?)))
}
