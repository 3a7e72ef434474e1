//! Carries maintenance out: drains its hosts when their time comes, and opens them afterwards.
//!
//! What is due is a plain function of calendar, fleet and moment. A host's drain carries the
//! maintenance's order, so a hub that was killed between drain and entry knows it again. What an
//! administrator does with a host meanwhile counts: one that is emptied for another reason is left
//! alone, and one that somebody opened or cordoned is not opened again.

use std::sync::Arc;
use std::time::Duration;

use berth_common::{HostId, Timestamp};
use berth_core::agenda::{Entry, Maintenance, Progress};
use berth_core::drain::intent::Intent as Plan;
use berth_core::fleet::{Fleet, Intent};
use berth_core::{Event, step};
use berth_process::clock::now;
use berth_store::Act;

use crate::site::Hub;
use crate::{agenda, audit};

/// Drains begin and end at most this late.
const LOOK: Duration = Duration::from_secs(5);

/// Carries the calendar out until the hub ends.
pub async fn keep(hub: Arc<Hub>) {
    let mut look = tokio::time::interval(LOOK);
    loop {
        look.tick().await;
        carry_out(&hub, now()).await;
    }
}

/// Does what is due.
pub async fn carry_out(hub: &Hub, now: Timestamp) {
    for (id, maintenance) in hub.agenda.maintenance() {
        let next = due(&maintenance, now);
        // What was broken off between an end and its hosts is made good.
        let ended = Some(maintenance.state).filter(|_| !maintenance.is_ahead());
        let Some(state) = next.or(ended) else { continue };
        let fleet = hub.fleet.fleet();
        for (host, intent) in intents(&fleet, &maintenance, state) {
            give(hub, &maintenance, host, intent, now).await;
        }
        let Some(state) = next else { continue };
        let seen = Entry::Maintenance(maintenance.clone());
        let entry = Entry::Maintenance(Maintenance { state, ..maintenance });
        if let Err(error) = agenda::change(hub, None, id, &seen, entry).await {
            tracing::error!(%error, "a step of a maintenance was not saved");
        }
    }
}

async fn give(hub: &Hub, maintenance: &Maintenance, host: HostId, intent: Intent, now: Timestamp) {
    let action = if intent == Intent::Open { "host-open" } else { "host-drain" };
    let act = Act::new(now, &maintenance.order.who, action, "maintenance");
    let act = act.on(host.as_str()).because(&maintenance.order.reason);
    if let Err(error) = audit::record(hub, act).await {
        return tracing::error!(%error, %host, "a step of a maintenance was not recorded");
    }
    let event = Event::Intend { host: host.clone(), intent, reply: None };
    match hub.fleet.ask(event).await {
        Ok(_) => tracing::info!(%host, action, why = maintenance.order.reason, "maintenance"),
        Err(error) => tracing::error!(%error, %host, "a step of a maintenance was not saved"),
    }
}

/// How far a maintenance should be, if it is not.
fn due(maintenance: &Maintenance, now: Timestamp) -> Option<Progress> {
    match maintenance.state {
        // One that the hub slept through is over; it is not begun any more.
        Progress::Planned | Progress::Begun if maintenance.window.to <= now => Some(Progress::Over),
        Progress::Planned if maintenance.drain_at <= now => Some(Progress::Begun),
        _ => None,
    }
}

/// What the hosts of a maintenance get for its next state.
pub fn intents(fleet: &Fleet, maintenance: &Maintenance, next: Progress) -> Vec<(HostId, Intent)> {
    let wanted = |host: &HostId| -> Option<Intent> {
        let intent = &fleet.hosts.get(host)?.intent;
        let ours = intent.order() == Some(&maintenance.order);
        let draining = matches!(intent, Intent::Draining { .. });
        match next {
            Progress::Begun if !draining => Some(drain(fleet, maintenance, host)),
            Progress::Over | Progress::Cancelled if ours => Some(Intent::Open),
            _ => None,
        }
    };
    maintenance.hosts.iter().filter_map(|host| Some((host.clone(), wanted(host)?))).collect()
}

fn drain(fleet: &Fleet, maintenance: &Maintenance, host: &HostId) -> Intent {
    let by = Some(maintenance.window.from);
    let notice = &fleet.settings.lifecycle.drain;
    let plan = step::drain_plan(host, by, notice.at_deadline);
    let plan = Plan { leads: notice.leads.clone(), ..plan };
    Intent::Draining { order: maintenance.order.clone(), by, plan }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_comes_in_its_time_and_once() {
        let at = Timestamp;
        let maintenance = |state| Maintenance {
            hosts: Default::default(),
            window: berth_core::settings::Window { from: at(20), to: at(30) },
            drain_at: at(10),
            order: berth_core::fleet::Order { reason: "x".into(), who: "erin".into(), at: at(0) },
            state,
        };
        let is_due = |state, now| due(&maintenance(state), at(now));
        assert_eq!(is_due(Progress::Planned, 9), None);
        assert_eq!(is_due(Progress::Planned, 10), Some(Progress::Begun));
        assert_eq!(is_due(Progress::Begun, 29), None);
        assert_eq!(is_due(Progress::Begun, 30), Some(Progress::Over));
        assert_eq!(is_due(Progress::Planned, 30), Some(Progress::Over), "slept through");
        assert_eq!(is_due(Progress::Cancelled, 10), None);
        assert_eq!(is_due(Progress::Over, 40), None);
    }
}
