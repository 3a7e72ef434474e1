//! A request for a server: rules first, then placement; at most one start comes of any number of
//! clicks.

use std::sync::Arc;

use berth_common::{
    DecisionId, Generation, HostId, Reason, Resources, ServerId, Timestamp, Username,
};

use crate::decision::{Decision, Outcome, Rule};
use crate::event::{Answer, Effect, Row, StartRequest, Wish};
use crate::fleet::{Ask, End, Fleet, Phase, Placement, Server};
use crate::placement::{NoHost, nearest_memory, place};
use crate::settings::{Cite, Profile};
use crate::step::{reply, save_and_show};

/// Handles a request.
pub fn start(fleet: &mut Fleet, now: Timestamp, request: StartRequest, out: &mut Vec<Effect>) {
    if let Some(answer) = already(fleet, &request) {
        return reply(request.reply, answer, out);
    }
    let decision = Arc::new(decide(fleet, now, &request));
    out.push(Effect::Save(Row::Decision(Arc::clone(&decision))));
    let answer = match &decision.outcome {
        Outcome::Refused { .. } => Answer::Refused(Arc::clone(&decision)),
        Outcome::Placed { .. } | Outcome::Waits { .. } => {
            accept(fleet, now, &request, &decision, out);
            Answer::Accepted(Arc::clone(&decision))
        }
    };
    if let Answer::Refused(_) = answer {
        remember_refusal(fleet, now, &decision, out);
    }
    reply(request.reply, answer, out);
}

/// What would come of a request at this moment. Changes nothing.
pub fn dry_run(fleet: &Fleet, now: Timestamp, request: &StartRequest) -> Decision {
    decide(fleet, now, request)
}

/// The answer when the server is not idle: a second click starts nothing.
fn already(fleet: &Fleet, request: &StartRequest) -> Option<Answer> {
    let server = fleet.find(&request.account.name, &request.name)?;
    let id = server.id.clone();
    match &server.phase {
        Phase::Idle => None,
        Phase::Waiting { .. } => Some(Answer::AlreadyPending(id)),
        Phase::Placed(placement) if placement.stop.is_some() => Some(Answer::Stopping(id)),
        Phase::Placed(placement) if placement.ready_at.is_some() => {
            Some(Answer::AlreadyRunning(id))
        }
        Phase::Placed(_) => Some(Answer::AlreadyPending(id)),
    }
}

fn decide(fleet: &Fleet, now: Timestamp, request: &StartRequest) -> Decision {
    let server = fleet.find(&request.account.name, &request.name);
    let wish = repeated(&request.wish, server.map(|server| &server.ask));
    let mut decision = Decision {
        id: request.decision.clone(),
        at: now,
        server: server.map_or_else(|| request.server.clone(), |server| server.id.clone()),
        user: request.account.name.clone(),
        name: request.name.clone(),
        ask: Ask {
            profile: String::new(),
            memory: wish.memory.unwrap_or_default(),
            image: String::new(),
        },
        outcome: Outcome::Waits { reason: Reason::WaitNoHost, ahead: 0 },
        rules: Vec::new(),
        hosts: Vec::new(),
        nearest: None,
    };
    match check_rules(fleet, request, &wish, &mut decision) {
        Err((reason, detail)) => decision.outcome = Outcome::Refused { reason, detail },
        Ok(profile) => choose_host(fleet, now, server.map(AsRef::as_ref), profile, &mut decision),
    }
    decision
}

/// A wish that says nothing repeats the last start.
fn repeated(wish: &Wish, last: Option<&Ask>) -> Wish {
    match last {
        Some(ask) if wish.as_before => Wish {
            profile: wish.profile.clone().or_else(|| Some(ask.profile.clone())),
            memory: wish.memory.or(Some(ask.memory)),
            image: wish.image.clone().or_else(|| Some(ask.image.clone())),
            as_before: true,
        },
        _ => wish.clone(),
    }
}

type Refusal = (Reason, String);

/// Goes through the rules in order, notes each, and completes the ask.
fn check_rules<'a>(
    fleet: &'a Fleet,
    request: &StartRequest,
    wish: &Wish,
    decision: &mut Decision,
) -> Result<&'a Profile, Refusal> {
    let settings = &fleet.settings;
    let mut note = |text: String, passed, cite: Option<&Cite>| {
        decision.rules.push(Rule { text, passed, cite: cite.cloned() });
    };

    let found = match &wish.profile {
        Some(name) => settings.profiles.get_key_value(name),
        None => settings.default_profile(),
    };
    let Some((profile_name, profile)) = found else {
        let asked = wish.profile.clone().unwrap_or_default();
        note(format!("profile \"{asked}\" exists"), false, None);
        let known: Vec<_> = settings.profiles.keys().cloned().collect();
        let detail = format!("There is no profile \"{asked}\"; there are: {}.", known.join(", "));
        return Err((Reason::RefusedProfile, detail));
    };
    note(format!("profile {profile_name} is open to everybody"), true, Some(&profile.cite));
    decision.ask.profile = profile_name.clone();

    let memory = wish.memory.unwrap_or(profile.memory_default);
    decision.ask.memory = memory;
    let fits = memory <= profile.memory_max && memory.0 > 0;
    note(
        format!("{memory} of at most {} in this profile", profile.memory_max),
        fits,
        Some(&profile.cite),
    );
    if !fits {
        let most = profile.memory_max;
        let detail = format!(
            "You asked for {memory}; profile {profile_name} gives {most} at most. Ask for {most} or less."
        );
        return Err((Reason::RefusedMemoryChoice, detail));
    }

    let image = wish.image.clone().or_else(|| profile.images.first().cloned()).unwrap_or_default();
    let offered = profile.images.contains(&image) && settings.images.contains_key(&image);
    note(format!("image {image} is offered by this profile"), offered, Some(&profile.cite));
    decision.ask.image = image.clone();
    if !offered {
        let detail = format!(
            "Profile {profile_name} has no image \"{image}\"; it has: {}.",
            profile.images.join(", ")
        );
        return Err((Reason::RefusedProfile, detail));
    }

    let active = active_servers(fleet, &request.account.name);
    let limit = settings.servers_per_person;
    let below = active < limit;
    note(format!("{active} of {limit} servers in use"), below, None);
    if !below {
        let detail =
            format!("You have {active} servers and may have {limit}. Stop one of them first.");
        return Err((Reason::RefusedServers, detail));
    }
    Ok(profile)
}

fn active_servers(fleet: &Fleet, owner: &Username) -> u32 {
    let count = fleet.servers_of(owner).filter(|server| server.is_active()).count();
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn choose_host(
    fleet: &Fleet,
    now: Timestamp,
    server: Option<&Server>,
    profile: &Profile,
    decision: &mut Decision,
) {
    let verdict = place(fleet, server, &profile.pool, &decision.ask, now);
    decision.hosts = verdict.hosts;
    let ahead = waiting_for(fleet, &profile.pool);
    decision.outcome = match verdict.choice {
        Ok(_) if ahead > 0 => Outcome::Waits { reason: Reason::WaitOrder, ahead },
        Ok(host) => Outcome::Placed { reason: Reason::PlacedNow, host },
        Err(NoHost::Now(reason)) => Outcome::Waits { reason, ahead },
        Err(NoHost::Never) => {
            let ask = decision.ask.memory;
            let detail =
                format!("No host of the pool {} can ever give {ask} to one server.", profile.pool);
            Outcome::Refused { reason: Reason::RefusedNeverFits, detail }
        }
    };
    if !matches!(decision.outcome, Outcome::Placed { .. }) && ahead == 0 {
        decision.nearest =
            nearest_memory(fleet, &profile.pool, &decision.ask, &profile.memory_choices, now);
    }
}

/// How many wait for the same pool: they come first.
fn waiting_for(fleet: &Fleet, pool: &str) -> u32 {
    let same_pool = |server: &&Arc<Server>| {
        fleet.settings.profiles.get(&server.ask.profile).is_some_and(|profile| profile.pool == pool)
    };
    u32::try_from(fleet.queue().into_iter().filter(same_pool).count()).unwrap_or(u32::MAX)
}

fn accept(
    fleet: &mut Fleet,
    now: Timestamp,
    request: &StartRequest,
    decision: &Decision,
    out: &mut Vec<Effect>,
) {
    let id = decision.server.clone();
    if !fleet.servers.contains_key(&id) {
        fleet.insert(new_server(now, request, decision));
    }
    if let Some(server) = fleet.servers.get_mut(&id) {
        let server = Arc::make_mut(server);
        server.ask = decision.ask.clone();
        server.account = Some(request.account.clone());
        server.decision = Some(decision.id.clone());
        server.last_activity = now;
        server.last_end = None;
        if let Some(options) = &request.user_options {
            server.user_options = options.clone();
        }
    }
    match &decision.outcome {
        Outcome::Placed { host, .. } => put(fleet, now, &id, host, out),
        Outcome::Waits { reason, .. } => {
            if let Some(server) = fleet.servers.get_mut(&id) {
                Arc::make_mut(server).phase = Phase::Waiting { since: now, reason: *reason };
            }
            save_and_show(fleet, &id, out);
        }
        Outcome::Refused { .. } => {}
    }
}

/// Reserves on a host under the next generation and tells it.
pub fn put(fleet: &mut Fleet, now: Timestamp, id: &ServerId, host: &HostId, out: &mut Vec<Effect>) {
    let said = fleet.bump(host);
    if let Some(server) = fleet.servers.get_mut(id) {
        let server = Arc::make_mut(server);
        server.generation = server.generation.next();
        server.phase = Phase::Placed(Placement {
            host: host.clone(),
            reservation: Resources { memory: server.ask.memory },
            placed_at: now,
            said,
            ready_at: None,
            steps: Vec::new(),
            stop: None,
        });
    }
    save_and_show(fleet, id, out);
    out.push(Effect::Tell(host.clone()));
}

fn new_server(now: Timestamp, request: &StartRequest, decision: &Decision) -> Server {
    Server {
        id: decision.server.clone(),
        owner: request.account.name.clone(),
        name: request.name.clone(),
        generation: Generation(0),
        phase: Phase::Idle,
        ask: decision.ask.clone(),
        user_options: "{}".into(),
        account: Some(request.account.clone()),
        decision: Some(decision.id.clone()),
        created: now,
        last_activity: now,
        last_host: None,
        last_end: None,
        activity_saved: Timestamp::default(),
    }
}

/// A server that exists shows why its last start was refused.
fn remember_refusal(fleet: &mut Fleet, now: Timestamp, decision: &Decision, out: &mut Vec<Effect>) {
    let Some(server) = fleet.servers.get_mut(&decision.server) else { return };
    let server = Arc::make_mut(server);
    server.decision = Some(decision.id.clone());
    server.last_end = Some(End { reason: decision.reason(), detail: decision.sentence(), at: now });
    save_and_show(fleet, &decision.server, out);
}

/// The decision that takes a waiting server from the queue to a host.
pub fn decision_from_queue(
    fleet: &Fleet,
    now: Timestamp,
    server: &Server,
    id: DecisionId,
) -> Option<(HostId, Decision)> {
    let profile = fleet.settings.profiles.get(&server.ask.profile)?;
    let verdict = place(fleet, Some(server), &profile.pool, &server.ask, now);
    let host = verdict.choice.ok()?;
    let waited = server.waiting_since().map_or(0, |since| now.millis_since(since) / 1000);
    let rule = Rule {
        text: format!("first in the queue after {}", berth_common::Seconds(waited)),
        passed: true,
        cite: None,
    };
    let decision = Decision {
        id,
        at: now,
        server: server.id.clone(),
        user: server.owner.clone(),
        name: server.name.clone(),
        ask: server.ask.clone(),
        outcome: Outcome::Placed { reason: Reason::PlacedFromQueue, host: host.clone() },
        rules: vec![rule],
        hosts: verdict.hosts,
        nearest: None,
    };
    Some((host, decision))
}
