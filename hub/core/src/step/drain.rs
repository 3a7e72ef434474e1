//! Carries drains out: asks the planner for the next safe step of each host that is being emptied,
//! and takes it. The intent with all that was told lies in the host's record, saved in the same
//! transaction, so a hub that was killed anywhere goes on as if it had not been.
//!
//! Servers are not restarted by us: their owners do that when it suits, and placement sends them
//! elsewhere. Who is left at the deadline is stopped, or stays, as the order says.

use std::sync::Arc;

use berth_common::{ByteCount, HostId, Reason, Resources, Seconds, ServerId, Timestamp};

use crate::drain::intent::{Goal, Handover, Intent as Plan};
use crate::drain::next::{
    Forecast, HostView, Outlook, ServerView, Step, View, Why, forecast as rolling_forecast, next,
    order, outlook,
};
use crate::drain::single::{AtDeadline, Occupant, Span};
use crate::drain::{Host as DrainHost, Server as DrainServer, consolidate};
use crate::event::{Effect, Row};
use crate::fleet::{End, Fleet, Host, HostState, Intent, Server};
use crate::life;
use crate::step::stop::order_stop;

/// People are told at once, and where lifecycle.toml says nothing this long before the deadline.
const LEADS: [Seconds; 3] = [Seconds(86_400), Seconds(7_200), Seconds(600)];
/// Steps taken for one host at one moment, at most: each server can be told and stopped.
const MOST_STEPS: usize = 10_000;

/// The plan of an order to empty a host.
pub fn plan(host: &HostId, by: Option<Timestamp>, at_deadline: AtDeadline) -> Plan {
    Plan::new(Goal::Drain { by }, [host.clone()], LEADS.to_vec(), at_deadline, 1)
}

/// What will happen to the servers of a host that is emptied, if nothing changes: to be shown
/// before it is ordered.
pub fn preview(fleet: &Fleet, plan: &Plan, host: &HostId, now: Timestamp) -> Outlook {
    outlook(plan, &view(fleet, host, now), host, now)
}

/// The best order in which to reboot hosts: the emptiest first, so that those that follow find
/// room.
pub fn reboot_order(fleet: &Fleet, hosts: &[HostId], now: Timestamp) -> Vec<HostId> {
    order(&whole_view(fleet, now), hosts)
}

/// What a rolling reboot will do if everybody is restarted when the turn of their host begins: who
/// finds room where, and who goes down with theirs.
pub fn forecast(fleet: &Fleet, plan: &Plan, now: Timestamp) -> Forecast {
    rolling_forecast(plan, &whole_view(fleet, now))
}

/// What is worth restarting idle servers for: 4 GB that come free with a whole host for each, idle
/// for an hour, and placed for as long.
const WORTH: consolidate::Rules = consolidate::Rules {
    memory_per_move: ByteCount(4 << 30),
    idle_for: Seconds(3_600),
    placed_for: Seconds(3_600),
    stands_for: Seconds(0),
};

/// Hosts that could be kept free by restarting idle servers elsewhere, the best first: the host, the
/// memory that comes free, and who would go where.
pub fn consolidation(fleet: &Fleet, now: Timestamp) -> Vec<(HostId, ByteCount, Vec<Handover>)> {
    let view = whole_view(fleet, now);
    let open: Vec<(&HostId, &HostView)> = view.hosts.iter().filter(|(_, it)| it.open).collect();
    let sites: Vec<_> = open
        .iter()
        .map(|(id, seen)| consolidate::Site {
            id: (*id).clone(),
            host: DrainHost { room: seen.room, takes: seen.takes.clone(), reboots: false },
        })
        .collect();
    let resident = |(id, seen): (&ServerId, &ServerView)| {
        let host = open.binary_search_by(|(other, _)| (*other).cmp(&seen.host)).ok()?;
        let placement = fleet.servers.get(id)?.placement()?;
        let ready = placement.ready_at.is_some() && placement.stop.is_none();
        let resident = consolidate::Resident {
            server: DrainServer {
                host,
                need: seen.about.need,
                kind: seen.about.kind,
                // Devices are not counted here: who holds one stays.
                movable: ready && placement.gpus.is_empty(),
            },
            idle_since: seen.about.idle_since,
            placed_at: placement.placed_at,
        };
        Some((id.clone(), resident))
    };
    let (ids, residents): (Vec<ServerId>, Vec<_>) =
        view.servers.iter().filter_map(resident).unzip();
    let named = |proposal: consolidate::Proposal| {
        let moves = proposal.moves.iter().filter_map(|step| {
            Some(Handover {
                server: ids.get(step.server)?.clone(),
                from: sites.get(step.from)?.id.clone(),
                to: sites.get(step.to)?.id.clone(),
            })
        });
        Some((sites.get(proposal.host)?.id.clone(), proposal.frees, moves.collect()))
    };
    consolidate::possible(&sites, &residents, &WORTH, now).into_iter().filter_map(named).collect()
}

/// Takes all steps that are due.
pub fn carry_out(fleet: &mut Fleet, now: Timestamp, out: &mut Vec<Effect>) {
    let draining = |host: &&Arc<Host>| matches!(host.intent, Intent::Draining { .. });
    let hosts: Vec<HostId> =
        fleet.hosts.values().filter(draining).map(|host| host.id.clone()).collect();
    for host in hosts {
        number(fleet, now, &host, out);
        go_on(fleet, now, &host, out);
    }
}

/// A drain that an earlier version of the hub began has no number yet.
fn number(fleet: &mut Fleet, now: Timestamp, id: &HostId, out: &mut Vec<Effect>) {
    let Some(host) = fleet.hosts.get(id).filter(|host| host.drain.is_none()) else { return };
    let intent = host.intent.clone();
    fleet.intend(id, intent, now, out);
}

fn go_on(fleet: &mut Fleet, now: Timestamp, id: &HostId, out: &mut Vec<Effect>) {
    let Some(Intent::Draining { plan, .. }) = fleet.hosts.get(id).map(|host| &host.intent) else {
        return;
    };
    let mut plan = plan.clone();
    let before = plan.clone();
    for _ in 0..MOST_STEPS {
        let steps = next(&plan, &view(fleet, id, now), now);
        let mut went_on = false;
        for step in &steps {
            went_on |= take(fleet, now, step, out);
            plan.record(step, now);
        }
        if !went_on {
            break;
        }
    }
    let Some(host) = fleet.hosts.get_mut(id).filter(|_| plan != before) else { return };
    if let Intent::Draining { plan: saved, .. } = &mut Arc::make_mut(host).intent {
        *saved = plan;
        out.push(Effect::Save(Row::Host(Arc::clone(host))));
    }
}

/// Takes one step; whether the planner should be asked again.
fn take(fleet: &mut Fleet, now: Timestamp, step: &Step, out: &mut Vec<Effect>) -> bool {
    match step {
        Step::Begin { .. } | Step::Empty { .. } | Step::Finish { .. } => true,
        Step::Tell { server, .. } => {
            out.push(Effect::Changed(server.clone()));
            true
        }
        Step::Stop { server, why } => {
            stop(fleet, now, server, *why, out);
            true
        }
        // Its owner restarts it; at the deadline nobody is waited for any more.
        Step::Restart(handover) => {
            let passed = deadline(fleet, &handover.from).is_some_and(|by| by <= now);
            if passed {
                stop(fleet, now, &handover.server, Why::Deadline, out);
            }
            passed
        }
    }
}

fn deadline(fleet: &Fleet, host: &HostId) -> Option<Timestamp> {
    fleet.hosts.get(host)?.intent.drains_by()
}

fn stop(fleet: &mut Fleet, now: Timestamp, server: &ServerId, why: Why, out: &mut Vec<Effect>) {
    let host = fleet
        .servers
        .get(server)
        .and_then(|server| server.placement())
        .map(|placement| placement.host.clone());
    let host = host.map_or_else(String::new, |host| host.to_string());
    let detail = match why {
        Why::Idle => format!("It was idle, and {host} is being emptied."),
        Why::Deadline => format!("{host} had to be empty."),
    };
    order_stop(fleet, server, End { reason: Reason::StoppedDrain, detail, at: now }, out);
}

/// The fleet as the planner of one host's drain sees it.
fn view(fleet: &Fleet, own: &HostId, now: Timestamp) -> View {
    view_with(fleet, Some(own), now)
}

/// The fleet as a planner sees it that knows of no order.
fn whole_view(fleet: &Fleet, now: Timestamp) -> View {
    view_with(fleet, None, now)
}

fn view_with(fleet: &Fleet, own: Option<&HostId>, now: Timestamp) -> View {
    let host = |host: &Arc<Host>| {
        let kind = pool_number(fleet, &host.id);
        let state = fleet.host_state(host, now);
        let seen = HostView {
            room: fleet.usable_on(host),
            takes: kind.into_iter().collect(),
            // Its own order is the only one that the planner knows of.
            open: state == HostState::Ready || (own == Some(&host.id) && state.is_reporting()),
            boot: host.boot_id.clone(),
        };
        (host.id.clone(), seen)
    };
    let server = |server: &Arc<Server>| {
        let placement = server.placement()?;
        let seen = ServerView {
            host: placement.host.clone(),
            moving_to: None,
            stopping: placement.stop.is_some(),
            about: occupant(fleet, server, placement.reservation, now),
        };
        Some((server.id.clone(), seen))
    };
    View {
        hosts: fleet.hosts.values().map(host).collect(),
        servers: fleet.servers.values().filter_map(server).collect(),
    }
}

fn occupant(fleet: &Fleet, server: &Server, need: Resources, now: Timestamp) -> Occupant {
    let profile = fleet.settings.profiles.get(&server.ask.profile);
    let pool = profile
        .and_then(|profile| fleet.settings.pools.keys().position(|name| *name == profile.pool));
    // Its own rules end it, with their warnings; a drain only reckons with that, and with what
    // should have ended by now no more.
    let idle_since = life::idle_since(&fleet.settings, server).min(now);
    let stop = life::stops_at(&fleet.settings, server, now).filter(|stop| *stop > now);
    let works = server.placement().is_some_and(|placement| {
        placement.life.kernel_busy == Some(true) && placement.life.is_seen_inside(now)
    });
    Occupant {
        need,
        kind: pool.and_then(|pool| u32::try_from(pool).ok()).unwrap_or(u32::MAX),
        // Nobody knows when it will be done.
        busy: works.then_some(Span { from: now, until: Timestamp(i64::MAX) }).into_iter().collect(),
        idle_since: Some(idle_since),
        idle_limit: stop.map(|stop| Seconds(stop.millis_since(idle_since).div_ceil(1000))),
        may_restart: false,
    }
}

fn pool_number(fleet: &Fleet, host: &HostId) -> Option<u32> {
    let declared = fleet.settings.hosts.get(host)?;
    let number = fleet.settings.pools.keys().position(|name| *name == declared.pool)?;
    u32::try_from(number).ok()
}
