//! One agent's session: heartbeats in, desired sets out, at once when something changed.

use std::pin::Pin;
use std::sync::Arc;

use berth_common::link::Report;
use berth_common::{HostId, Seconds};
use berth_core::drain::intent::Intent as Plan;
use berth_core::fleet::{Intent, Order};
use berth_core::{Answer, Event, step};
use berth_process::clock::now;
use berth_process::crash_point;
use berth_proto::link::link_server::Link;
use berth_proto::link::{Desired, Heartbeat, HostAnswer, HostIntent, HostWish, Question};
use tokio::sync::{broadcast, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

use berth_store::Act;

use super::asked::MOST_OPEN;
use super::{Who, valid_host};
use crate::audit;
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

    type AskedStream = Pin<Box<dyn Stream<Item = Result<Question, Status>> + Send>>;

    async fn asked(
        &self,
        request: Request<Streaming<HostAnswer>>,
    ) -> Result<Response<Self::AskedStream>, Status> {
        let host = valid_host(&request)?;
        let (out, questions) = mpsc::channel(MOST_OPEN);
        let hub = Arc::clone(&self.hub);
        tokio::spawn(async move { hub.asked.serve(host, request.into_inner(), out).await });
        Ok(Response::new(Box::pin(ReceiverStream::new(questions))))
    }

    async fn intend(&self, request: Request<HostWish>) -> Result<Response<HostIntent>, Status> {
        let host = valid_host(&request)?;
        let from = request.extensions().get::<Who>().map(|who| who.address.to_string());
        let words =
            intend(&self.hub, &host, request.into_inner(), &from.unwrap_or_default()).await?;
        Ok(Response::new(HostIntent { words }))
    }
}

/// Longest reason that is kept, in characters.
const REASON_MAX: usize = 300;

/// Carries a host's wish about itself out. What an administrator has ordered it cannot take back:
/// whoever holds a host's root need not hold the site's.
async fn intend(hub: &Hub, host: &HostId, wish: HostWish, from: &str) -> Result<String, Status> {
    let who = format!("host:{host}");
    let fleet = hub.fleet.fleet();
    let known = fleet.hosts.get(host);
    let known = known.ok_or_else(|| Status::not_found(format!("the hub knows no host {host}")))?;
    if let Some(order) = known.intent.order().filter(|order| order.who != who) {
        return Err(Status::failed_precondition(format!(
            "{} has ordered this already ({}): ask there, or see `berth host show {host}`",
            order.who, order.reason
        )));
    }
    let reason: String = wish.reason.trim().chars().take(REASON_MAX).collect();
    let (intent, words) = if wish.open {
        (Intent::Open, format!("{host} takes servers"))
    } else if reason.is_empty() {
        return Err(Status::invalid_argument(
            "say why: people whose servers are there read it (--reason)",
        ));
    } else {
        let by = (wish.within_s > 0).then(|| now().plus(Seconds(wish.within_s)));
        let notice = &fleet.settings.lifecycle.drain;
        let plan = step::drain_plan(host, by, notice.at_deadline);
        let plan = Plan { leads: notice.leads.clone(), ..plan };
        let left = fleet.placed_on(host).count();
        let order = Order { reason: reason.clone(), who: who.clone(), at: now() };
        let until = by.map(|_| format!(", within {} at most", Seconds(wish.within_s)));
        let until = until.unwrap_or_default();
        let words =
            format!("{host} takes nothing new and is being emptied of {left} servers{until}");
        (Intent::Draining { order, by, plan }, words)
    };
    let action = if wish.open { "host-open" } else { "host-drain" };
    let act = Act::new(now(), &who, action, from).on(host.as_str()).because(&reason);
    let unsaved = || Status::unavailable("nothing was changed: it could not be saved");
    audit::record(hub, act).await.map_err(|_| unsaved())?;
    let event = Event::Intend { host: host.clone(), intent, reply: None };
    match hub.fleet.ask(event).await {
        Ok(Answer::Intended) => {
            tracing::info!(%host, why = reason, open = wish.open, "a host's wish about itself");
            Ok(words)
        }
        Ok(_) => Err(Status::not_found(format!("the hub knows no host {host}"))),
        Err(_) => Err(unsaved()),
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
