//! The only function that changes a fleet.
//!
//! `step` is pure: the same fleet, moment and event give the same fleet and effects. The caller
//! saves what the effects want saved before it lets any other effect out.

use std::sync::Arc;

use berth_common::{Seconds, ServerId, Timestamp};

use crate::event::{Answer, Effect, Event, ReplyTo, Row};
use crate::fleet::{Fleet, PastStart, Phase, Server};
use crate::packing::Prices;
use crate::queue::{self, Life};
use crate::rules;
use crate::settings::Settings;

mod admit;
mod claim;
mod drain;
mod intend;
mod lay_down;
mod life;
mod loan;
mod rehearsal;
mod relief;
mod report;
mod resize;
mod restored;
mod rolling;
mod start;
mod stop;
mod turn;

pub use drain::{
    consolidation, forecast as reboot_forecast, plan as drain_plan, preview as drain_preview,
    reboot_order,
};
pub use resize::verdict as resize_verdict;
pub use start::{ask, dry_run};

/// Activity is saved at most this late: a crash may lose half a minute of it and nothing else.
const ACTIVITY_SAVED_AFTER: Seconds = Seconds(30);

/// Takes one event in and returns what must leave.
pub fn step(fleet: &mut Fleet, now: Timestamp, event: Event) -> Vec<Effect> {
    let mut out = Vec::new();
    life::carry_out(fleet, now, &mut out);
    fleet.settle(now);
    // What time alone has changed may be somebody's turn.
    admit::admit_waiting(fleet, now, &mut out);
    match event {
        Event::SettingsChanged(settings) => settings_changed(fleet, settings, &mut out),
        Event::Reported { host, session, report } => {
            report::reported(fleet, now, &host, session, *report, &mut out);
        }
        Event::Watched { server } => claim::watched(fleet, now, &server, &mut out),
        Event::Move { server, to, reply } => {
            turn::move_in_queue(fleet, &server, to, reply, &mut out);
        }
        Event::Intend { host, intent, reply } => {
            intend::intend(fleet, now, &host, intent, reply, &mut out);
        }
        Event::Roll { rolling, reply } => {
            rolling::roll(fleet, rolling.map(|it| *it), reply, &mut out)
        }
        Event::Start(request) => start::start(fleet, now, *request, &mut out),
        Event::LayDown(wanted) => lay_down::lay_down(fleet, now, *wanted, &mut out),
        Event::Stop { server, reason, reply } => {
            stop::stop(fleet, now, &server, reason, reply, &mut out)
        }
        Event::Resize { server, memory, reply } => {
            resize::resize(fleet, now, &server, memory, reply, &mut out);
        }
        Event::Remove { server, reply } => stop::remove(fleet, &server, reply, &mut out),
        Event::Activity { server, kind, at } => {
            life::sign(fleet, now, &server, kind, at.min(now), &mut out);
        }
        Event::ActivityTold { until } => life::activity_told(fleet, now, until),
        Event::Measured { server, generation, used } => {
            life::measured(fleet, now, &server, generation, used, &mut out);
        }
        Event::Extend { server, steps, beyond, reply } => {
            life::extend(fleet, now, &server, steps, beyond, reply, &mut out);
        }
        Event::Mailed { server, generation, told_at } => {
            life::mailed(fleet, &server, generation, told_at, &mut out);
        }
        Event::Tick => tick(fleet, now, &mut out),
    }
    life::carry_out(fleet, now, &mut out);
    fleet.settle(now);
    admit::admit_waiting(fleet, now, &mut out);
    rehearsal::give_way(fleet, now, &mut out);
    out
}

/// The floor is saved at least this often while it changes: the hosts can then be seen as they were
/// at any minute.
const FLOOR_SAVED_EVERY: Seconds = Seconds(60);

fn tick(fleet: &mut Fleet, now: Timestamp, out: &mut Vec<Effect>) {
    save_activity(fleet, now, out);
    claim::pass_on(fleet, now, out);
    rolling::carry_out(fleet, now, out);
    drain::carry_out(fleet, now, out);
    relief::carry_out(fleet, now, out);
    price(fleet, now, out);
    look_at_lives(fleet, now);
    if now >= fleet.index.floor_saved.plus(FLOOR_SAVED_EVERY) {
        save_floor(fleet, now, out);
    }
}

/// Prices are made anew at most this often.
const PRICED_EVERY: Seconds = Seconds(60);

/// Curves of lives and sums of use are made anew at most this often: both go over all servers.
const CURVES_EVERY: Seconds = Seconds(60);

fn look_at_lives(fleet: &mut Fleet, now: Timestamp) {
    if fleet.index.curves_at.is_none_or(|at| now >= at.plus(CURVES_EVERY)) {
        fleet.index.curves_at = Some(now);
        queue::look_at_lives(fleet, now);
        queue::look_at_use(fleet, now);
    }
}

/// Makes prices for what is asked for lately, off the path of decisions.
fn price(fleet: &mut Fleet, now: Timestamp, out: &mut Vec<Effect>) {
    let due = now >= fleet.index.priced_at.plus(PRICED_EVERY) && fleet.demand.take_new();
    if !due && !fleet.index.unpriced {
        return;
    }
    fleet.index.unpriced = false;
    fleet.index.priced_at = now;
    let offered: Vec<_> = rules::offered(fleet).collect();
    let mix = fleet.demand.mix(&fleet.rows, offered.into_iter());
    let version = fleet.prices.version.saturating_add(1);
    let numbering = fleet.rows.numbering();
    let prices = Prices { numbering, ..Prices::of(version, &mix, fleet.rows.shapes()) };
    let prices = Arc::new(prices);
    let same = Prices { version: fleet.prices.version, ..Prices::clone(&prices) } == *fleet.prices;
    if !same {
        fleet.rows.set_prices(&prices);
        fleet.prices = Arc::clone(&prices);
        out.push(Effect::Save(Row::Prices(prices)));
    }
}

/// Saves the hosts that changed since this was last done.
fn save_floor(fleet: &mut Fleet, now: Timestamp, out: &mut Vec<Effect>) {
    fleet.index.floor_saved = now;
    let hosts = fleet.take_unsaved();
    if !hosts.is_empty() {
        out.push(Effect::Save(Row::Floor { version: fleet.floor.version, at: now, hosts }));
    }
}

fn settings_changed(fleet: &mut Fleet, settings: Arc<Settings>, out: &mut Vec<Effect>) {
    out.push(Effect::Save(Row::Settings(Arc::clone(&settings))));
    fleet.settings = settings;
    life::look_at_all(fleet);
    let before = fleet.hosts.clone();
    fleet.declare_hosts();
    for (id, host) in &fleet.hosts {
        if before.get(id).is_none_or(|old| old.address != host.address) {
            out.push(Effect::Save(Row::Host(Arc::clone(host))));
        }
    }
    out.push(Effect::RoutesChanged);
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

/// Books what a server held, for budgets, and how long it lived, for estimates.
fn book(fleet: &mut Fleet, now: Timestamp, id: &ServerId, out: &mut Vec<Effect>) {
    let Some(server) = fleet.servers.get(id).cloned() else { return };
    let Some(placement) = server.placement() else { return };
    // What nobody worked in tells nothing of what people need, and is on nobody's account.
    if server.is_rehearsal() {
        return;
    }
    if let Some(peak) =
        server.peaks.as_ref().map(|peaks| peaks.highest(now)).filter(|peak| peak.0 > 0)
    {
        let ask = &server.ask;
        fleet.history_mut().add(&server.owner, &ask.image, &ask.profile, peak);
    }
    let days = fleet.usage.book(&server, now);
    out.extend(days.into_iter().map(|day| Effect::Save(Row::Usage(day))));
    if let Some(pool) =
        fleet.settings.hosts.get(&placement.host).map(|declared| declared.pool.clone())
    {
        let lasted = Seconds(now.millis_since(placement.placed_at) / 1000);
        let life = Life { pool, ended: now, lasted };
        fleet.lives.note(&life);
        out.push(Effect::Save(Row::Life(life)));
    }
}

/// Puts a server to rest: nothing of it exists any more.
fn release(fleet: &mut Fleet, now: Timestamp, id: &ServerId, out: &mut Vec<Effect>) {
    book(fleet, now, id, out);
    if let Some(Phase::Placed(placement)) = fleet.set_phase(id, Phase::Idle) {
        if let Some(server) = fleet.server_mut(id) {
            server.last_host = Some(placement.host.clone());
            server.last_start = Some(Box::new(PastStart::of(server.generation, &placement)));
            if let Some(stop) = placement.stop {
                server.last_end = Some(stop.end);
            }
        }
        fleet.bump(&placement.host);
        out.push(Effect::Tell(placement.host));
        out.push(Effect::RoutesChanged);
    }
    save_and_show(fleet, id, out);
}
