//! The one task that owns the fleet: events in, step, commit, effects out.
//!
//! Events that are waiting together are stepped together and committed in one transaction; no
//! effect of theirs leaves before it is durable. If the commit fails, the fleet is taken from the
//! store again, the callers are told that nothing happened, and the hosts are asked anew.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use berth_common::{Epoch, HostId, ServerId};
use berth_core::event::{Effect, Event, ReplyTo, Row};
use berth_core::queue::{Lives, Waits};
use berth_core::store::{Store, commit_then_release};
use berth_core::usage::Usage;
use berth_core::{Answer, Fleet, Settings, step};
use berth_process::clock::now;
use berth_process::systemd::Watchdog;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::metrics::{self, Happened};
use crate::storage::{Storage, StorageError};

/// Events taken into one transaction at most: bounds the delay of the first of them.
const BATCH: usize = 256;
/// Events that may wait. Beyond it callers wait too, which is the back-pressure we want.
const QUEUE: usize = 4_096;

/// The way to the fleet for everybody else: read a snapshot, send an event.
#[derive(Debug, Clone)]
pub struct FleetHandle {
    events: mpsc::Sender<(Event, Option<oneshot::Sender<Answer>>)>,
    published: watch::Receiver<Arc<Fleet>>,
    changes: broadcast::Sender<ServerId>,
    tell: broadcast::Sender<HostId>,
    next_session: Arc<AtomicU64>,
}

/// The hub could not save what was asked, or is going down: nothing has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("nothing was changed: the hub cannot save at the moment")]
pub struct NotSaved;

impl FleetHandle {
    /// The newest published fleet.
    pub fn fleet(&self) -> Arc<Fleet> {
        self.published.borrow().clone()
    }

    /// Follows the published fleet.
    pub fn watch(&self) -> watch::Receiver<Arc<Fleet>> {
        self.published.clone()
    }

    /// Ids of servers whose pages are out of date.
    pub fn changes(&self) -> broadcast::Receiver<ServerId> {
        self.changes.subscribe()
    }

    /// Names of hosts whose desired set should be sent.
    pub fn tellings(&self) -> broadcast::Receiver<HostId> {
        self.tell.subscribe()
    }

    /// A number for a new link session, higher than all before.
    pub fn new_session(&self) -> u64 {
        self.next_session.fetch_add(1, Ordering::Relaxed)
    }

    /// Sends an event that nobody waits for.
    pub async fn send(&self, event: Event) {
        let _ = self.events.send((event, None)).await;
    }

    /// Sends an event that may be lost when the hub is busy.
    pub fn try_send(&self, event: Event) {
        let _ = self.events.try_send((event, None));
    }

    /// Sends an event and waits for its answer, which comes once it is durable.
    ///
    /// # Errors
    /// When nothing was changed because it could not be saved.
    pub async fn ask(&self, event: Event) -> Result<Answer, NotSaved> {
        let (reply, answer) = oneshot::channel();
        self.events.send((event, Some(reply))).await.map_err(|_| NotSaved)?;
        answer.await.map_err(|_| NotSaved)
    }
}

/// Starts the driver over the fleet that the store holds, in a new reign. The watchdog hears of each
/// tick that has gone all the way: taken, stepped, and what it wanted saved.
///
/// # Errors
/// When the store cannot be read, or the new reign not saved.
pub async fn start(
    storage: Storage,
    settings: Arc<Settings>,
    metrics: metrics::Shared,
    watchdog: Watchdog,
) -> Result<FleetHandle, StorageError> {
    let epoch = storage.write(berth_store::Database::next_epoch).await?;
    let row = Row::Settings(Arc::clone(&settings));
    storage.write(move |database| database.commit(&[row])).await?;
    let begun = Instant::now();
    let fleet = restore(&storage, epoch, settings)?;
    metrics.work.restored(begun);
    let (events, queue) = mpsc::channel(QUEUE);
    let (publish, published) = watch::channel(Arc::new(fleet.clone()));
    let (changes, _) = broadcast::channel(1_024);
    let (tell, _) = broadcast::channel(1_024);
    let handle = FleetHandle {
        events,
        published,
        changes: changes.clone(),
        tell: tell.clone(),
        // Sessions of one reign only are compared, so they may begin at one.
        next_session: Arc::new(AtomicU64::new(1)),
    };
    let driver = Driver {
        storage,
        fleet,
        publish,
        changes,
        tell,
        waiting: HashMap::new(),
        next_reply: 1,
        metrics,
        watchdog,
    };
    tokio::spawn(driver.run(queue));
    tokio::spawn(tick(handle.clone()));
    tracing::info!(%epoch, "the reign begins");
    Ok(handle)
}

fn restore(
    storage: &Storage,
    epoch: Epoch,
    settings: Arc<Settings>,
) -> Result<Fleet, StorageError> {
    let (hosts, servers) = storage.read(|reader| Ok((reader.hosts()?, reader.servers()?)))?;
    let (usage, lives, waits) =
        storage.read(|reader| Ok((reader.usage()?, reader.lives()?, reader.waits()?)))?;
    let mut fleet = Fleet::restore(epoch, settings, hosts, servers);
    fleet.usage = Usage::of(usage);
    fleet.lives = Lives::of(lives);
    fleet.waits = Waits::of(waits);
    fleet.rolling = storage.read(berth_store::Reader::rolling)?.map(Arc::new);
    fleet.last_drain = storage.read(berth_store::Reader::last_drain)?;
    fleet.restored = storage.read(berth_store::Reader::restored)?.map(Arc::new);
    Ok(fleet)
}

async fn tick(handle: FleetHandle) {
    let mut every_second = tokio::time::interval(Duration::from_secs(1));
    loop {
        every_second.tick().await;
        handle.send(Event::Tick).await;
    }
}

struct Driver {
    storage: Storage,
    fleet: Fleet,
    publish: watch::Sender<Arc<Fleet>>,
    changes: broadcast::Sender<ServerId>,
    tell: broadcast::Sender<HostId>,
    waiting: HashMap<ReplyTo, oneshot::Sender<Answer>>,
    next_reply: ReplyTo,
    metrics: metrics::Shared,
    watchdog: Watchdog,
}

type Queue = mpsc::Receiver<(Event, Option<oneshot::Sender<Answer>>)>;

impl Driver {
    async fn run(mut self, mut queue: Queue) {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let taken = queue.recv_many(&mut batch, BATCH).await;
            if taken == 0 {
                return;
            }
            let mut effects = Vec::new();
            let ticked = batch.iter().any(|(event, _)| matches!(event, Event::Tick));
            let only_signs = batch.iter().all(|(event, _)| matches!(event, Event::Activity { .. }));
            for (event, reply) in batch.drain(..) {
                effects.append(&mut self.take(event, reply));
            }
            let happened = Happened::of(&self.publish.borrow(), &effects, now());
            match self.commit(effects).await {
                Ok(effects) => {
                    self.metrics.count(&happened);
                    happened.iter().for_each(Happened::log);
                    // A snapshot shares its records, so one a batch is cheap; and whoever gets an
                    // answer finds it in the fleet. Signs of work that change nothing else come by
                    // the thousand and are shown with the next tick.
                    if !(only_signs && effects.is_empty()) {
                        self.publish.send_replace(Arc::new(self.fleet.clone()));
                    }
                    self.let_out(effects);
                }
                Err(error) => {
                    tracing::error!(%error, "a step could not be saved; going on from what the store holds");
                    self.waiting.clear();
                    if let Err(error) = self.reload() {
                        // An I/O error is never retried: nobody knows what the disk holds.
                        tracing::error!(%error, "the store cannot be read either: the hub ends");
                        std::process::exit(1);
                    }
                }
            }
            if ticked {
                self.watchdog.alive();
            }
        }
    }

    fn take(&mut self, event: Event, reply: Option<oneshot::Sender<Answer>>) -> Vec<Effect> {
        let to = reply.map(|sender| {
            let to = self.next_reply;
            self.next_reply = self.next_reply.wrapping_add(1);
            self.waiting.insert(to, sender);
            to
        });
        let (kind, begun) = (metrics::StepKind::of(&event), Instant::now());
        let effects = step(&mut self.fleet, now(), with_reply(event, to));
        self.metrics.work.stepped(kind, begun);
        effects
    }

    async fn commit(&self, effects: Vec<Effect>) -> Result<Vec<Effect>, StorageError> {
        if !effects.iter().any(|effect| matches!(effect, Effect::Save(_))) {
            return Ok(effects);
        }
        self.storage.write(move |database| commit_then_release(database, effects)).await
    }

    fn reload(&mut self) -> Result<(), StorageError> {
        let former = std::mem::take(&mut self.fleet);
        let storage = &self.storage;
        let (hosts, servers) = storage.read(|reader| Ok((reader.hosts()?, reader.servers()?)))?;
        let (usage, lives, waits) =
            storage.read(|reader| Ok((reader.usage()?, reader.lives()?, reader.waits()?)))?;
        self.fleet = Fleet::resume(&former, hosts, servers);
        self.fleet.usage = Usage::of(usage);
        self.fleet.lives = Lives::of(lives);
        self.fleet.waits = Waits::of(waits);
        self.fleet.rolling = storage.read(berth_store::Reader::rolling)?.map(Arc::new);
        self.fleet.restored = storage.read(berth_store::Reader::restored)?.map(Arc::new);
        self.publish.send_replace(Arc::new(self.fleet.clone()));
        Ok(())
    }

    fn let_out(&mut self, effects: Vec<Effect>) {
        let mut told = BTreeSet::new();
        for effect in effects {
            match effect {
                Effect::Save(_) | Effect::RoutesChanged => {}
                Effect::Tell(host) => {
                    told.insert(host);
                }
                Effect::Changed(server) => {
                    let _ = self.changes.send(server);
                }
                Effect::Reply(to, answer) => {
                    berth_process::crash_point!("hub.before_reply");
                    if let Some(sender) = self.waiting.remove(&to) {
                        let _ = sender.send(answer);
                    }
                    berth_process::crash_point!("hub.after_reply");
                }
                Effect::Alarm(text) => tracing::warn!("{text}"),
            }
        }
        for host in told {
            let _ = self.tell.send(host);
        }
    }
}

fn with_reply(event: Event, to: Option<ReplyTo>) -> Event {
    match event {
        Event::Start(mut request) => {
            request.reply = to;
            Event::Start(request)
        }
        Event::LayDown(mut wanted) => {
            wanted.reply = to;
            Event::LayDown(wanted)
        }
        Event::Stop { server, reason, .. } => Event::Stop { server, reason, reply: to },
        Event::Resize { server, memory, .. } => Event::Resize { server, memory, reply: to },
        Event::Remove { server, .. } => Event::Remove { server, reply: to },
        Event::Extend { server, steps, beyond, .. } => {
            Event::Extend { server, steps, beyond, reply: to }
        }
        Event::Move { server, to: turn, .. } => Event::Move { server, to: turn, reply: to },
        Event::Roll { rolling, .. } => Event::Roll { rolling, reply: to },
        Event::Intend { host, intent, .. } => Event::Intend { host, intent, reply: to },
        other => other,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
