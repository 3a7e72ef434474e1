//! The calendar that people keep beside the site's files, and what follows from it: trainings that
//! are open otherwise than their file says, notices, and maintenance that drains hosts by itself.
//!
//! An entry and the record of who made it are one transaction; only then is it in force.

use std::sync::Arc;

use arc_swap::ArcSwap;
use berth_common::{HostId, Timestamp, Username};
use berth_core::agenda::{
    self, Entry, ImageOrder, Maintenance, Notice, Progress, Rehearsal, TrainingOrder,
};
use berth_core::fleet::Fleet;
use berth_core::settings::Window;
use berth_core::{Event, Settings};
use berth_process::clock::now;
use berth_store::Act;

use crate::config::version_of;
use crate::site::Hub;
use crate::storage::{Storage, StorageError};
use crate::web::error::cut;

pub mod keeper;
pub mod wish;

/// The entries as they are in the store.
#[derive(Debug, Default)]
pub struct Agenda {
    entries: ArcSwap<Vec<(i64, Entry)>>,
    one_at_a_time: tokio::sync::Mutex<()>,
    /// Held by whoever begins a rehearsal, ends one or carries one out.
    pub(crate) rehearsing: tokio::sync::Mutex<()>,
}

impl Agenda {
    /// The calendar of a store.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn open(storage: &Storage) -> Result<Self, StorageError> {
        let entries = storage.read(berth_store::Reader::agenda)?;
        Ok(Self { entries: ArcSwap::from_pointee(entries), ..Self::default() })
    }

    /// All entries with their numbers, in the order in which they were made.
    pub fn entries(&self) -> Arc<Vec<(i64, Entry)>> {
        self.entries.load_full()
    }

    /// What the files say, with the orders about trainings.
    pub fn applied(&self, settings: &Settings) -> Settings {
        let entries = self.entries();
        let orders = entries.iter().map(|(_, entry)| entry);
        let Some(mut settings) = agenda::ordered(settings, orders) else { return settings.clone() };
        settings.version = version_of(&settings);
        settings
    }

    /// The orders about a training.
    pub fn orders_of(&self, training: &str) -> Vec<(i64, TrainingOrder)> {
        let of = |(id, entry): &(i64, Entry)| match entry {
            Entry::Training(order) if order.training == training => Some((*id, order.clone())),
            _ => None,
        };
        self.entries().iter().filter_map(of).collect()
    }

    /// The order about an image that was given last.
    pub fn image_order(&self, image: &str) -> Option<ImageOrder> {
        let of = |(_, entry): &(i64, Entry)| match entry {
            Entry::Image(order) if order.image == image => Some(order.clone()),
            _ => None,
        };
        self.entries().iter().rev().find_map(of)
    }

    /// All maintenance.
    pub fn maintenance(&self) -> Vec<(i64, Maintenance)> {
        let of = |(id, entry): &(i64, Entry)| match entry {
            Entry::Maintenance(it) => Some((*id, it.clone())),
            _ => None,
        };
        self.entries().iter().filter_map(of).collect()
    }

    /// All rehearsals, the newest last.
    pub fn rehearsals(&self) -> Vec<(i64, Rehearsal)> {
        let of = |(id, entry): &(i64, Entry)| match entry {
            Entry::Rehearsal(it) => Some((*id, it.clone())),
            _ => None,
        };
        self.entries().iter().filter_map(of).collect()
    }

    /// The rehearsal of this number.
    pub fn rehearsal(&self, id: i64) -> Option<Rehearsal> {
        self.rehearsals().into_iter().find(|(other, _)| *other == id).map(|(_, it)| it)
    }

    /// All notices.
    pub fn notices(&self) -> Vec<(i64, Notice)> {
        let of = |(id, entry): &(i64, Entry)| match entry {
            Entry::Notice(it) => Some((*id, it.clone())),
            _ => None,
        };
        self.entries().iter().filter_map(of).collect()
    }

    /// The notices that somebody should read now, the newest first.
    pub fn notices_for(
        &self,
        fleet: &Fleet,
        account: &berth_common::link::Account,
        now: Timestamp,
    ) -> Vec<(i64, Notice)> {
        let groups: Vec<&str> = account.groups.iter().map(|group| group.name.as_str()).collect();
        let reads = |notice: &Notice| {
            notice.window.holds(now) && notice.audience.has(fleet, &account.name, &groups)
        };
        let mut notices = self.notices();
        notices.retain(|(_, notice)| reads(notice));
        notices.reverse();
        notices
    }

    /// The maintenance that is ahead of a host, or under way there, the first first.
    pub fn ahead_of(&self, host: &HostId) -> Option<(i64, Maintenance)> {
        let mut ahead = self.maintenance();
        ahead.retain(|(_, it)| it.is_ahead() && it.hosts.contains(host));
        ahead.into_iter().min_by_key(|(_, it)| it.window.from)
    }
}

/// Adds an entry, with the act of whoever made it. Returns its number once it is in force.
///
/// # Errors
/// When it could not be saved: then nothing has changed.
pub async fn add(hub: &Hub, act: Act, entry: Entry) -> Result<i64, StorageError> {
    let _alone = hub.agenda.one_at_a_time.lock().await;
    let id = hub.storage.write(move |database| {
        database.together(|database| {
            database.record(&act)?;
            database.add_to_agenda(&entry)
        })
    });
    let id = id.await?;
    take_over(hub).await?;
    Ok(id)
}

/// Puts another entry in the place of one, if that is still as it was seen. `act` is that of a
/// person; what follows from the calendar itself has none. False: somebody else was first.
///
/// # Errors
/// When it could not be saved: then nothing has changed.
pub async fn change(
    hub: &Hub,
    act: Option<Act>,
    id: i64,
    seen: &Entry,
    entry: Entry,
) -> Result<bool, StorageError> {
    let _alone = hub.agenda.one_at_a_time.lock().await;
    if !hub.agenda.entries().iter().any(|(other, now)| *other == id && now == seen) {
        return Ok(false);
    }
    let changed = hub.storage.write(move |database| {
        database.together(|database| {
            act.iter().try_for_each(|act| database.record(act))?;
            database.change_agenda(id, &entry)
        })
    });
    changed.await?;
    take_over(hub).await?;
    Ok(true)
}

/// Ends a notice now. Whoever was first has ended it, too.
///
/// # Errors
/// When it could not be saved: then nothing has changed.
pub async fn end_notice(hub: &Hub, act: Act, id: i64, notice: Notice) -> Result<(), StorageError> {
    let at = act.at;
    let window = Window { from: notice.window.from.min(at), to: at };
    let ended = Entry::Notice(Notice { window, ..notice.clone() });
    change(hub, Some(act), id, &Entry::Notice(notice), ended).await.map(drop)
}

/// Somebody has read a notice, or puts it away.
///
/// # Errors
/// When that could not be saved.
pub async fn read(hub: &Hub, id: i64, user: Username) -> Result<(), StorageError> {
    let at = now();
    hub.storage.write(move |database| database.notice_read(id, &user, at)).await
}

/// Plans maintenance, and begins what is due of it.
///
/// # Errors
/// When it could not be saved: then nothing has changed.
pub async fn plan(hub: &Hub, act: Act, maintenance: Maintenance) -> Result<i64, StorageError> {
    let (who, reason) = (maintenance.order.who.clone(), maintenance.order.reason.clone());
    let hosts = names(&maintenance);
    let id = add(hub, act, Entry::Maintenance(maintenance)).await?;
    tracing::info!(hosts, why = reason, by = who, "maintenance");
    keeper::carry_out(hub, now()).await;
    Ok(id)
}

/// Takes maintenance back; hosts that are emptied for it take servers again. False: its drains have
/// begun or ended this moment.
///
/// # Errors
/// When it could not be saved: then nothing has changed.
pub async fn cancel(hub: &Hub, act: Act, id: i64, it: Maintenance) -> Result<bool, StorageError> {
    let cancelled = Maintenance { state: Progress::Cancelled, ..it.clone() };
    let (seen, entry) = (Entry::Maintenance(it), Entry::Maintenance(cancelled));
    let changed = change(hub, Some(act), id, &seen, entry).await?;
    if changed {
        keeper::carry_out(hub, now()).await;
    }
    Ok(changed)
}

/// The hosts of a maintenance, in one line.
pub fn names(maintenance: &Maintenance) -> String {
    let names: Vec<_> = maintenance.hosts.iter().map(HostId::as_str).collect();
    cut(&names.join(" "))
}

async fn take_over(hub: &Hub) -> Result<(), StorageError> {
    let entries = hub.storage.read(berth_store::Reader::agenda)?;
    hub.agenda.entries.store(Arc::new(entries));
    settle(hub).await;
    Ok(())
}

/// After new files: what these say with the orders, in force.
pub async fn put_in_force(hub: &Hub) {
    let _alone = hub.agenda.one_at_a_time.lock().await;
    let settings = hub.agenda.applied(&hub.config().settings);
    send(hub, settings).await;
}

/// After new entries: the same, if they change anything.
async fn settle(hub: &Hub) {
    let settings = hub.agenda.applied(&hub.config().settings);
    if settings != *hub.fleet.fleet().settings {
        send(hub, settings).await;
    }
}

/// Callers look at the fleet next: an answered event behind it proves that it was taken in.
async fn send(hub: &Hub, settings: Settings) {
    hub.fleet.send(Event::SettingsChanged(Arc::new(settings))).await;
    let nobody = berth_common::ServerId::from_random(0);
    let _ = hub.fleet.ask(Event::Remove { server: nobody, reply: None }).await;
}
