//! The only function that changes a fleet.
//!
//! `step` is pure: the same fleet, moment and event give the same fleet and effects. The caller
//! saves what the effects want saved before it lets any other effect out.

use std::sync::Arc;

use berth_common::{Seconds, ServerId, Timestamp};

use crate::event::{Answer, Effect, Event, ReplyTo, Row};
use crate::fleet::{Fleet, Phase, Server};
use crate::settings::Settings;

mod admit;
mod report;
mod start;
mod stop;

pub use start::dry_run;

/// Activity is saved at most this late: a crash may lose half a minute of it and nothing else.
const ACTIVITY_SAVED_AFTER: Seconds = Seconds(30);

/// Takes one event in and returns what must leave.
pub fn step(fleet: &mut Fleet, now: Timestamp, event: Event) -> Vec<Effect> {
    let mut out = Vec::new();
    match event {
        Event::SettingsChanged(settings) => settings_changed(fleet, settings, &mut out),
        Event::Reported { host, session, report } => {
            report::reported(fleet, now, &host, session, *report, &mut out);
        }
        Event::Start(request) => start::start(fleet, now, *request, &mut out),
        Event::Stop { server, reason, reply } => {
            stop::stop(fleet, now, &server, reason, reply, &mut out)
        }
        Event::Remove { server, reply } => stop::remove(fleet, &server, reply, &mut out),
        Event::Activity { server, at } => activity(fleet, &server, at.min(now)),
        Event::Tick => save_activity(fleet, now, &mut out),
    }
    admit::admit_waiting(fleet, now, &mut out);
    out
}

fn settings_changed(fleet: &mut Fleet, settings: Arc<Settings>, out: &mut Vec<Effect>) {
    fleet.settings = settings;
    let before = fleet.hosts.clone();
    fleet.declare_hosts();
    for (id, host) in &fleet.hosts {
        if before.get(id).is_none_or(|old| old.address != host.address) {
            out.push(Effect::Save(Row::Host(Arc::clone(host))));
        }
    }
    out.push(Effect::RoutesChanged);
}

fn activity(fleet: &mut Fleet, server: &ServerId, at: Timestamp) {
    let Some(server) = fleet.servers.get_mut(server) else { return };
    // Reports move only forward, and most repeat what is known: no copy for those.
    if at > server.last_activity {
        Arc::make_mut(server).last_activity = at;
    }
}

fn save_activity(fleet: &mut Fleet, now: Timestamp, out: &mut Vec<Effect>) {
    for server in fleet.servers.values_mut() {
        let due = server.activity_saved.plus(ACTIVITY_SAVED_AFTER);
        if server.last_activity > server.activity_saved && now >= due {
            out.push(save(server));
        }
    }
}

/// Saves a server as it is now.
fn save(server: &mut Arc<Server>) -> Effect {
    let last_activity = server.last_activity;
    Arc::make_mut(server).activity_saved = last_activity;
    Effect::Save(Row::Server(Arc::clone(server)))
}

/// Saves a server after a change that people see.
fn save_and_show(fleet: &mut Fleet, id: &ServerId, out: &mut Vec<Effect>) {
    if let Some(server) = fleet.servers.get_mut(id) {
        out.push(save(server));
        out.push(Effect::Changed(id.clone()));
    }
}

fn reply(to: Option<ReplyTo>, answer: Answer, out: &mut Vec<Effect>) {
    if let Some(to) = to {
        out.push(Effect::Reply(to, answer));
    }
}

/// Puts a server to rest: nothing of it exists any more.
fn release(fleet: &mut Fleet, id: &ServerId, out: &mut Vec<Effect>) {
    let Some(server) = fleet.servers.get_mut(id) else { return };
    let server = Arc::make_mut(server);
    if let Phase::Placed(placement) = std::mem::replace(&mut server.phase, Phase::Idle) {
        server.last_host = Some(placement.host.clone());
        if let Some(stop) = placement.stop {
            server.last_end = Some(stop.end);
        }
        fleet.bump(&placement.host);
        out.push(Effect::Tell(placement.host));
        out.push(Effect::RoutesChanged);
    }
    save_and_show(fleet, id, out);
}
