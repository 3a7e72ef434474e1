//! One agent's session: heartbeats in, desired sets out, at once when something changed.

use std::pin::Pin;
use std::sync::Arc;

use berth_common::HostId;
use berth_common::link::Report;
use berth_core::Event;
use berth_process::clock::now;
use berth_process::crash_point;
use berth_proto::link::link_server::Link;
use berth_proto::link::{Desired, Heartbeat};
use tokio::sync::{broadcast, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

use super::valid_host;
use crate::site::Hub;
use crate::spec::desired_set;

pub struct Service {
    hub: Arc<Hub>,
}

impl Service {
    pub fn new(hub: Arc<Hub>) -> Self {
        Self { hub }
    }
}

#[tonic::async_trait]
impl Link for Service {
    type SessionStream = Pin<Box<dyn Stream<Item = Result<Desired, Status>> + Send>>;

    async fn session(
        &self,
        request: Request<Streaming<Heartbeat>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let host = valid_host(&request)?;
        let (out, desired) = mpsc::channel(4);
        let hub = Arc::clone(&self.hub);
        tokio::spawn(run(hub, host, request.into_inner(), out));
        Ok(Response::new(Box::pin(ReceiverStream::new(desired))))
    }
}

async fn run(
    hub: Arc<Hub>,
    host: HostId,
    mut heartbeats: Streaming<Heartbeat>,
    out: mpsc::Sender<Result<Desired, Status>>,
) {
    let session = hub.fleet.new_session();
    let mut tellings = hub.fleet.tellings();
    tracing::info!(%host, session, "agent connected");
    loop {
        tokio::select! {
            heartbeat = heartbeats.next() => match heartbeat {
                Some(Ok(heartbeat)) => match Report::try_from(heartbeat) {
                    Ok(report) => {
                        let report = Box::new(report);
                        hub.fleet.send(Event::Reported { host: host.clone(), session, report }).await;
                    }
                    Err(error) => {
                        tracing::warn!(%host, %error, "a heartbeat cannot be used");
                        let _ = out.send(Err(Status::invalid_argument(error.to_string()))).await;
                        break;
                    }
                },
                Some(Err(status)) => {
                    tracing::info!(%host, status = status.message(), "agent's stream broke");
                    break;
                }
                None => break,
            },
            told = tellings.recv() => {
                let mine = match told {
                    Ok(told) => told == host,
                    // Some were missed: ours may have been among them.
                    Err(broadcast::error::RecvError::Lagged(_)) => true,
                    Err(broadcast::error::RecvError::Closed) => break,
                };
                if mine && !tell(&hub, &host, &out).await {
                    break;
                }
            }
        }
    }
    tracing::info!(%host, session, "agent disconnected");
}

/// Sends the host its desired set as of now; false when the agent is gone.
async fn tell(hub: &Hub, host: &HostId, out: &mpsc::Sender<Result<Desired, Status>>) -> bool {
    let set = desired_set(&hub.fleet.fleet(), host, &hub.config().hub, &hub.keys, now());
    let Some(set) = set else { return true };
    crash_point!("hub.link.before_send");
    let sent = out.send(Ok(set.into())).await.is_ok();
    crash_point!("hub.link.after_send");
    sent
}
