//! Dress rehearsals: throw-away servers of a training, really started, measured and ended again.
//!
//! The rehearsal is a row of the calendar, saved before the first server is asked for. What is due
//! of it is a plain function of row, fleet and moment, looked at once a second: a hub that was
//! killed goes on with it. A server of a rehearsal that no row wants any more is ended, whatever
//! happened to the row.

use std::time::Duration;

use berth_common::link::Account;
use berth_common::{Reason, Seconds, ServerId, ServerName, Timestamp, Username};
use berth_core::Answer;
use berth_core::agenda::{Entry, Rehearsal, Seat, Stage};
use berth_core::event::Wish;
use berth_core::fleet::{End, Fleet, Order, Server};
use berth_core::settings::{Profile, Training};
use berth_process::clock::now;
use berth_store::Act;

use super::Role;
use super::rehearsal::{Scene, rehearse};
use crate::site::Hub;
use crate::storage::StorageError;
use crate::{actions, agenda};

/// More servers than this are a slip of the keyboard.
pub const MOST: u32 = 1000;
/// What has not answered after twice the training's own time, and after this, has failed.
const PATIENCE: Seconds = Seconds(600);
/// A step comes at most this late.
const LOOK: Duration = Duration::from_secs(1);

/// What somebody wants to rehearse.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Under whose name.
    pub account: Account,
    /// With how many servers; `None`: as many people as are expected and find room now.
    pub servers: Option<u32>,
    /// For how long they go on once the last of them is ready; `None`: they end when all are
    /// measured.
    pub keep: Option<Seconds>,
    /// Who, why and when.
    pub order: Order,
}

/// For how long whoever looks after a training keeps its servers at most. Who teaches holds no host
/// for longer than a look at what runs takes.
pub fn keeps(role: Role) -> Seconds {
    match role {
        Role::Admin => Seconds(3600),
        Role::Instructor | Role::Participant => Seconds(1800),
    }
}

/// Why there is no rehearsal.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// One at a time: two would measure each other.
    #[error("{who} rehearses {training} since {since}; it has to end first")]
    Another {
        /// Who ordered it.
        who: String,
        /// Which training.
        training: String,
        /// Since when.
        since: String,
    },
    /// Somebody would have to wait for longer.
    #[error("somebody waits for the pool {0}; a rehearsal would take what comes free there")]
    SomebodyWaits(String),
    /// There is nothing to measure.
    #[error("no host of the pool {0} has room for a server of the training now")]
    NoRoom(String),
    /// The store cannot be used.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Keeps rehearsals going until the hub ends.
pub async fn keep(hub: std::sync::Arc<Hub>) {
    let mut look = tokio::time::interval(LOOK);
    loop {
        look.tick().await;
        carry_out(&hub, now()).await;
    }
}

/// Does what is due.
pub async fn carry_out(hub: &Hub, now: Timestamp) {
    let _alone = hub.agenda.rehearsing.lock().await;
    go_on(hub, now).await;
}

/// Begins a rehearsal: saved with its act, and its servers are asked for.
///
/// # Errors
/// Why there is none.
pub async fn begin(
    hub: &Hub,
    act: Act,
    (name, training, profile): (&str, &Training, &Profile),
    wanted: Wanted,
) -> Result<Rehearsal, Refused> {
    let _alone = hub.agenda.rehearsing.lock().await;
    let fleet = hub.fleet.fleet();
    if let Some((_, other)) = hub.agenda.rehearsals().into_iter().find(|(_, it)| it.is_under_way())
    {
        let Order { who, at, .. } = other.order;
        let (training, since) = (other.training, at.to_minute());
        return Err(Refused::Another { who, training, since });
    }
    if waits_for(&fleet, &profile.pool) {
        return Err(Refused::SomebodyWaits(profile.pool.clone()));
    }
    let count = match wanted.servers {
        Some(count) => count,
        None => room(&fleet, profile, training.expected),
    };
    if count == 0 {
        return Err(Refused::NoRoom(profile.pool.clone()));
    }
    let at = wanted.order.at;
    let patience = Seconds(training.start_within.0.saturating_mul(2)).max(PATIENCE);
    let deadline = at.plus(patience);
    let owner = wanted.account.name.clone();
    let rehearsal = Rehearsal {
        training: name.to_owned(),
        order: wanted.order,
        epoch: fleet.epoch,
        restarted: false,
        deadline,
        keep: wanted.keep,
        seats: free_names(&fleet, &owner, count).map(Seat::new).collect(),
        stage: Stage::Running,
        owner,
    };
    let act = act.because(&format!("{count} servers"));
    let id = agenda::add(hub, act, Entry::Rehearsal(rehearsal.clone())).await?;
    go_on(hub, at).await;
    Ok(hub.agenda.rehearsal(id).unwrap_or(rehearsal))
}

/// Breaks the rehearsal of a training off, or ends what was kept of it; `None`: there is none.
///
/// # Errors
/// When it could not be saved: then it goes on.
pub async fn end(
    hub: &Hub,
    act: Act,
    training: &str,
    now: Timestamp,
) -> Result<Option<Rehearsal>, StorageError> {
    let _alone = hub.agenda.rehearsing.lock().await;
    let of = |(_, it): &(i64, Rehearsal)| it.training == training && it.is_under_way();
    let Some((id, seen)) = hub.agenda.rehearsals().into_iter().find(of) else { return Ok(None) };
    if matches!(seen.stage, Stage::Running | Stage::Kept) {
        let mut next = seen.measured(&hub.fleet.fleet());
        next.give_up(Reason::StoppedRehearsal, "The rehearsal was broken off.", now);
        next.stage = Stage::Ending;
        let (seen, next) = (Entry::Rehearsal(seen), Entry::Rehearsal(next));
        agenda::change(hub, Some(act), id, &seen, next).await?;
        go_on(hub, now).await;
    }
    Ok(hub.agenda.rehearsal(id))
}

/// Whether somebody waits for a host of a pool.
fn waits_for(fleet: &Fleet, pool: &str) -> bool {
    let profile = |name: &String| fleet.settings.profiles.get(name);
    fleet
        .waiting()
        .filter_map(|server| profile(&server.ask.profile))
        .any(|it| it.pool == pool || it.overflow.as_deref() == Some(pool))
}

/// How many of so many people find room in the training's own pool now.
fn room(fleet: &Fleet, profile: &Profile, people: u32) -> u32 {
    let own = Profile { overflow: None, ..profile.clone() };
    rehearse(fleet, &own, people, &[], Scene::Now).placed()
}

/// Names that none of the owner's servers has.
fn free_names(fleet: &Fleet, owner: &Username, count: u32) -> impl Iterator<Item = ServerName> {
    let names = (1..=u32::MAX)
        .filter_map(|number| format!("rehearsal-{number}").parse::<ServerName>().ok());
    let free = names.filter(|name| fleet.find(owner, name).is_none());
    free.take(usize::try_from(count).unwrap_or(usize::MAX))
}

async fn go_on(hub: &Hub, now: Timestamp) {
    for (id, seen) in hub.agenda.rehearsals().into_iter().filter(|(_, it)| it.is_under_way()) {
        let next = further(hub, seen.clone(), now).await;
        save(hub, id, seen, next).await;
    }
    clear(hub).await;
    let fleet = hub.fleet.fleet();
    for (id, seen) in
        hub.agenda.rehearsals().into_iter().filter(|(_, it)| it.stage == Stage::Ending)
    {
        if seen.seats.iter().all(|seat| seen.server(&fleet, seat).is_none()) {
            let next = Rehearsal { stage: Stage::Over, ..seen.clone() };
            let Rehearsal { training, order, .. } = &next;
            let (ready, servers) = (next.ready(), next.seats.len());
            tracing::info!(training, by = order.who, ready, servers, "a rehearsal is over");
            save(hub, id, seen, next).await;
        }
    }
}

async fn save(hub: &Hub, id: i64, seen: Rehearsal, next: Rehearsal) {
    if next == seen {
        return;
    }
    let (seen, next) = (Entry::Rehearsal(seen), Entry::Rehearsal(next));
    if let Err(error) = agenda::change(hub, None, id, &seen, next).await {
        tracing::error!(%error, "a step of a rehearsal was not saved");
    }
}

/// The rehearsal as it is now: servers that are missing are asked for, what is known is noted.
async fn further(hub: &Hub, mut next: Rehearsal, now: Timestamp) -> Rehearsal {
    if next.stage == Stage::Running {
        next.restarted |= next.epoch != hub.fleet.fleet().epoch;
        if now < next.deadline && !(next.restarted && is_silent(&hub.fleet.fleet(), &next)) {
            ask(hub, &mut next, now).await;
        }
        next = next.measured(&hub.fleet.fleet());
        if now >= next.deadline {
            next.give_up(Reason::FailedNoAnswer, "It was not ready in time.", now);
        }
    }
    next.stage = next.next_stage(now);
    if next.stage == Stage::Kept && !goes_on(&hub.fleet.fleet(), &next) {
        next.stage = Stage::Ending;
    }
    next
}

/// Whether any server of it is there still: all may have given way.
fn goes_on(fleet: &Fleet, rehearsal: &Rehearsal) -> bool {
    let mut servers = rehearsal.seats.iter().filter_map(|seat| rehearsal.server(fleet, seat));
    servers.any(Server::is_active)
}

/// Whether a host of the training's pool has not reported yet in this reign: a hub that was started
/// again does not know its room.
fn is_silent(fleet: &Fleet, rehearsal: &Rehearsal) -> bool {
    let profile = fleet.settings.profiles.get(&rehearsal.training);
    let hosts = fleet.settings.hosts.iter();
    let hosts = hosts.filter(|(_, declared)| profile.is_some_and(|it| it.pool == declared.pool));
    hosts.filter_map(|(id, _)| fleet.hosts.get(id)).any(|host| host.heard.is_none())
}

/// Asks for the servers that are not there. What cannot be saved now is asked for again.
async fn ask(hub: &Hub, rehearsal: &mut Rehearsal, now: Timestamp) {
    let fleet = hub.fleet.fleet();
    let owner = rehearsal.owner.clone();
    let failed = |reason, detail: &str| Some(End { reason, detail: detail.to_owned(), at: now });
    for seat in rehearsal.seats.iter_mut().filter(|seat| !seat.is_settled()) {
        if fleet.find(&owner, &seat.name).is_some_and(|server| !server.is_rehearsal()) {
            let detail = "Its owner has a server of that name by now.";
            seat.failed = failed(Reason::StoppedRehearsal, detail);
        }
    }
    let account = match hub.storage.read(|reader| reader.user(&owner)) {
        Ok(Some(user)) => user.account,
        Ok(None) => {
            let detail = format!("There is no account {owner}.");
            return rehearsal.give_up(Reason::RefusedAccountUnknown, &detail, now);
        }
        Err(error) => return tracing::error!(%error, "a rehearsal could not ask for its account"),
    };
    let missing = |seat: &&mut Seat| !seat.is_settled() && fleet.find(&owner, &seat.name).is_none();
    let mut missing: Vec<_> = rehearsal.seats.iter_mut().filter(missing).collect();
    if missing.is_empty() {
        return;
    }
    let names = missing.iter().map(|seat| seat.name.clone()).collect();
    let profile = Some(rehearsal.training.clone());
    let wish = Wish { profile, rehearsal: true, ..Wish::default() };
    let Ok(answers) = actions::start_all(hub, account, names, wish).await else { return };
    for (seat, answer) in missing.iter_mut().zip(answers) {
        if let Answer::Refused(decision) = answer {
            seat.failed = failed(decision.reason(), &decision.sentence());
        }
    }
}

/// Ends servers of rehearsals that no rehearsal wants any more, and forgets what has ended.
async fn clear(hub: &Hub) {
    let wants = |it: &Rehearsal| matches!(it.stage, Stage::Running | Stage::Kept);
    let wanting: Vec<_> =
        hub.agenda.rehearsals().into_iter().map(|(_, it)| it).filter(wants).collect();
    let fleet = hub.fleet.fleet();
    let wanted = |owner: &Username, name: &ServerName| {
        wanting
            .iter()
            .any(|it| it.owner == *owner && it.seats.iter().any(|seat| seat.name == *name))
    };
    let left = fleet.servers.values().filter(|server| server.is_rehearsal());
    for server in left.filter(|server| !wanted(&server.owner, &server.name)) {
        let ending = server.placement().is_some_and(|placement| placement.stop.is_some());
        if !ending && !end_or_forget(hub, &server.id, server.is_active()).await {
            return;
        }
    }
}

/// False: it could not be saved; the next look tries again.
async fn end_or_forget(hub: &Hub, server: &ServerId, active: bool) -> bool {
    let done = match active {
        true => actions::stop(hub, server, Reason::StoppedRehearsal).await,
        false => actions::remove(hub, server).await,
    };
    done.is_ok()
}
