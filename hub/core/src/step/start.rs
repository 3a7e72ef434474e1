//! A request for a server: rules first, then placement; at most one start comes of any number of
//! clicks.

use std::sync::Arc;

use berth_common::{
    DecisionId, Generation, GpuId, GpuPart, HostId, Reason, Resources, Seconds, ServerId, Timestamp,
};

use crate::decision::{Decision, Inputs, Looked, Outcome, Rule};
use crate::event::{Answer, Effect, Row, StartRequest, Wish};
use crate::farm;
use crate::fleet::{Ask, End, Fleet, HeldPlace, ImagePin, Phase, Placement, Server};
use crate::memory::Peaks;
use crate::nearest::{self, Stuck, kept_in};
use crate::placement::{Chosen, Look, Need, NoHost, Verdict, parts, place};
use crate::queue::{self, Penalties};
use crate::rules::{self, Passed};
use crate::step::{claim, life, rehearsal, reply, save_and_show};

/// Handles a request.
pub fn start(fleet: &mut Fleet, now: Timestamp, request: StartRequest, out: &mut Vec<Effect>) {
    if let Some(answer) = already(fleet, &request) {
        if let Answer::AlreadyPending(server) = &answer {
            // Who asks again is here: a place that is held is taken.
            claim::watched(fleet, now, server, out);
        }
        return reply(request.reply, answer, out);
    }
    let mut request = request;
    request.barred = request.barred.or_else(|| fleet.restoring());
    let mut rows = std::mem::take(&mut fleet.rows);
    let decision = decide(fleet, &mut Look::Remember(&mut rows), now, &request);
    fleet.rows = rows;
    let decision = Arc::new(decision);
    if let Some(need) = decision.inputs.need.as_ref().filter(|_| !request.wish.rehearsal) {
        fleet.demand.note(need);
    }
    save_decision(fleet, now, &decision, out);
    let answer = match &decision.outcome {
        Outcome::Refused { .. } => {
            remember_refusal(fleet, now, &decision, out);
            Answer::Refused(Arc::clone(&decision))
        }
        Outcome::Placed { .. } | Outcome::Waits { .. } => {
            accept(fleet, now, &request, &decision, out);
            Answer::Accepted(Arc::clone(&decision))
        }
    };
    reply(request.reply, answer, out);
}

/// What would come of a request at this moment. Changes nothing.
pub fn dry_run(fleet: &Fleet, now: Timestamp, request: &StartRequest) -> Decision {
    decide(fleet, &mut Look::Only(&fleet.rows), now, request)
}

/// The same on the fleet itself, with all that it remembers of earlier looks: as fast as a decision.
pub fn ask(fleet: &mut Fleet, now: Timestamp, request: &StartRequest) -> Decision {
    let mut rows = std::mem::take(&mut fleet.rows);
    let decision = decide(fleet, &mut Look::Remember(&mut rows), now, request);
    fleet.rows = rows;
    decision
}

/// Saves a decision, and the hosts as it saw them.
pub fn save_decision(
    fleet: &mut Fleet,
    now: Timestamp,
    decision: &Arc<Decision>,
    out: &mut Vec<Effect>,
) {
    crate::step::save_floor(fleet, now, out);
    out.push(Effect::Save(Row::Decision(Arc::clone(decision))));
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

fn decide(fleet: &Fleet, look: &mut Look<'_>, now: Timestamp, request: &StartRequest) -> Decision {
    let server = fleet.find(&request.account.name, &request.name);
    let wish = repeated(&request.wish, server.map(|server| &server.ask));
    // A server does not count against its own quota, whatever it does now.
    let own = server.map(|server| &server.id);
    let checked = rules::check(fleet, now, &request.account, &wish, own);
    let checked = match &request.barred {
        Some(refusal) => checked.barred(refusal),
        None => checked,
    };
    let id = request.decision.clone();
    let whose = server.map_or_else(|| request.server.clone(), |server| server.id.clone());
    let about = (whose, request.name.clone());
    let ask = checked.ask.clone();
    let mut decision = Decision::open(id, now, about, &request.account, ask, inputs(fleet));
    decision.rules.clone_from(&checked.rules);
    match &checked.verdict {
        Err(refusal) => {
            decision.outcome =
                Outcome::Refused { reason: refusal.reason, detail: refusal.detail.clone() };
        }
        Ok(passed) => {
            choose_host(fleet, look, now, server.map(AsRef::as_ref), request, passed, &mut decision)
        }
    }
    // Nothing in the request would help somebody whose account must not start anything.
    if request.barred.is_none() && !matches!(decision.outcome, Outcome::Placed { .. }) {
        let stuck = Stuck { account: &request.account, ask: &checked.ask, own, now };
        decision.nearest = nearest::nearest(fleet, look.rows(), stuck, &checked);
    }
    decision
}

/// The versions that a decision made now names.
fn inputs(fleet: &Fleet) -> Inputs {
    Inputs {
        settings: fleet.settings.version,
        floor: fleet.floor.version,
        prices: fleet.prices.version,
        ..Inputs::default()
    }
}

/// A wish that says nothing repeats the last start.
fn repeated(wish: &Wish, last: Option<&Ask>) -> Wish {
    match last {
        Some(ask) if wish.as_before => Wish {
            profile: wish.profile.clone().or_else(|| Some(ask.profile.clone())),
            memory: wish.memory.or(Some(ask.memory)),
            // What was adopted does not tell the image's name: then the profile's own is taken.
            image: wish.image.clone().or_else(|| named(&ask.image)),
            gpus: wish.gpus.or(Some(ask.gpus)),
            gpu_model: wish.gpu_model.clone().or_else(|| ask.gpu_model.clone()),
            as_before: true,
            rehearsal: wish.rehearsal,
        },
        _ => wish.clone(),
    }
}

fn named(image: &str) -> Option<String> {
    (!image.is_empty()).then(|| image.to_owned())
}

fn choose_host(
    fleet: &Fleet,
    look: &mut Look<'_>,
    now: Timestamp,
    server: Option<&Server>,
    request: &StartRequest,
    passed: &Passed,
    decision: &mut Decision,
) {
    let need = &passed.need;
    let last = server.and_then(|server| server.last_host.as_ref());
    let own = server.map(|server| &server.id);
    let kept = kept_in(fleet, look.rows(), &need.pool, own);
    let verdict = place(look, need, last, kept.flatten());
    let somebody_waits = nearest::somebody_waits(fleet, &need.pool, own);
    let rehearses = request.wish.rehearsal;
    let must_wait = kept.is_none() || (passed.last_in_queue && somebody_waits);
    let waits = |reason| {
        let group = request.account.main_group();
        let since = queue::asked_at(fleet, &request.account.name, decision.ask.gpus, now);
        let turn =
            Penalties::of(fleet, now).turn(since, group, passed.last_in_queue, &decision.server);
        let ahead = queue::ahead(fleet, &need.pool, &turn, now);
        let estimate = queue::estimate(fleet, look.rows(), need, ahead, now);
        Outcome::Waits { reason, ahead, estimate }
    };
    decision.outcome = match &verdict.choice {
        Ok(_) if rehearses && (must_wait || somebody_waits) => {
            rehearsal::refused(Reason::WaitOrder)
        }
        Err(NoHost::Now(reason)) if rehearses => rehearsal::refused(*reason),
        Ok(_) if must_wait => waits(Reason::WaitOrder),
        Ok(chosen) => placed(fleet, chosen, Reason::PlacedNow),
        Err(NoHost::Now(reason)) => waits(*reason),
        Err(NoHost::Never) => never(need),
    };
    take_in(fleet, decision, need, last, kept.flatten(), verdict);
}

/// Notes in a decision what placement found.
fn take_in(
    fleet: &Fleet,
    decision: &mut Decision,
    need: &Need,
    last: Option<&HostId>,
    kept: Option<usize>,
    verdict: Verdict,
) {
    let kept =
        kept.and_then(|position| fleet.floor.hosts.get(position)).map(|host| host.host.clone());
    let overflow = verdict.choice.as_ref().is_ok_and(|chosen| chosen.overflow);
    let pool = need.overflow.as_ref().filter(|_| overflow).unwrap_or(&need.pool);
    decision.inputs.need = Some(Need { pool: pool.clone(), ..need.clone() });
    decision.inputs.last_host = last.cloned();
    decision.inputs.kept = kept;
    decision.possible = verdict.possible;
    decision.excluded = verdict.excluded;
    decision.runner_up = verdict.runner_up;
    decision.chosen = verdict.choice.ok().map(|chosen| chosen.scored);
}

fn placed(fleet: &Fleet, chosen: &Chosen, reason: Reason) -> Outcome {
    let reason = if chosen.overflow { Reason::PlacedOverflow } else { reason };
    let host = &chosen.scored.host;
    Outcome::Placed { reason, host: host.clone(), gpus: devices(fleet, host, chosen) }
}

fn devices(fleet: &Fleet, host: &HostId, chosen: &Chosen) -> Vec<GpuId> {
    let Some(entry) = fleet.floor.host(host) else { return Vec::new() };
    parts(entry, &chosen.gpus, 0).into_iter().map(|part| part.gpu).collect()
}

fn never(need: &Need) -> Outcome {
    let mut what = need.limit.to_string();
    if need.gpus > 0 {
        what = format!("{what} and {} GPU{}", need.gpus, if need.gpus == 1 { "" } else { "s" });
    }
    if need.farm_ports > 0 {
        what = format!("{what} and {} ports for the farm", need.farm_ports);
    }
    let detail = format!("No host of the pool {} can ever give {what} to one server.", need.pool);
    Outcome::Refused { reason: Reason::RefusedNeverFits, detail }
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
    if let Some(server) = fleet.server_mut(&id) {
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
        Outcome::Placed { host, gpus, .. } => {
            let need = decision.inputs.need.as_ref();
            let expected = need.map(|need| need.peak).unwrap_or_default();
            let expected_known = need.is_some_and(|need| need.peak_known);
            let milli = decision.ask.gpu_milli;
            let gpus = gpus.iter().map(|gpu| GpuPart { gpu: gpu.clone(), milli }).collect();
            let entry = fleet.floor.host(host).map(AsRef::as_ref);
            let farm_ports = farm::take(entry, need.map_or(0, |need| need.farm_ports));
            let host = host.clone();
            let (until, mailed) = (now, false);
            let place =
                HeldPlace { host, gpus, farm_ports, expected, expected_known, until, mailed };
            put(fleet, now, &id, place, out);
        }
        Outcome::Waits { reason, estimate, .. } => {
            let watched = request.watched.then_some(now);
            let foreseen = estimate.map(|estimate| estimate.foreseen);
            fleet.set_phase(
                &id,
                Phase::Waiting {
                    since: now,
                    reason: *reason,
                    watched,
                    foreseen,
                    place: None,
                    moved: None,
                },
            );
            save_and_show(fleet, &id, out);
        }
        Outcome::Refused { .. } => {}
    }
}

/// Reserves on a host under the next generation and tells it.
pub fn put(
    fleet: &mut Fleet,
    now: Timestamp,
    id: &ServerId,
    place: HeldPlace,
    out: &mut Vec<Effect>,
) {
    let host = place.host;
    let said = fleet.bump(&host);
    let window = fleet.peak_window(&host);
    let Some(server) = fleet.servers.get(id) else { return };
    let (above, outlived) = (fleet.above(server), fleet.ahead_of(server));
    for other in outlived.into_iter().filter(|other| *other != host) {
        fleet.bump(&other);
        out.push(Effect::Tell(other));
    }
    let image = pinned(fleet, now, id, &host);
    let Some(server) = fleet.server_mut(id) else { return };
    server.generation = above.next();
    server.peaks = Some(Peaks::begin(now, window));
    server.kills.clear();
    let reservation = Resources { memory: server.ask.memory, cpu_milli: server.ask.cpu_milli };
    let placement = Placement {
        host: host.clone(),
        reservation,
        gpus: place.gpus,
        farm_ports: place.farm_ports,
        expected: place.expected,
        expected_known: place.expected_known,
        placed_at: now,
        said,
        image,
        ready_at: None,
        steps: Vec::new(),
        life: Box::default(),
        asked_to_leave: None,
        held_since: None,
        used: Default::default(),
        resize: None,
        loan: None,
        stop: None,
    };
    fleet.set_phase(id, Phase::Placed(placement));
    save_and_show(fleet, id, out);
    life::takes_its_turn(fleet, id, out);
    rehearsal::step_aside(fleet, now, id, &host, out);
    out.push(Effect::Tell(host));
}

/// What the server is to run on its host: decided with its place, and not looked up again.
fn pinned(fleet: &Fleet, now: Timestamp, id: &ServerId, host: &HostId) -> Option<Box<ImagePin>> {
    let server = fleet.servers.get(id)?;
    let account = server.account.as_ref()?;
    let groups: Vec<&str> = account.groups.iter().map(|group| group.name.as_str()).collect();
    let name = fleet.settings.reference(&server.ask.image, &account.name, &groups, now)?;
    let heard = fleet.hosts.get(host).and_then(|host| host.heard.as_ref());
    let mut build = fleet.builds.pinned(name, heard.map(|heard| &heard.facts));
    if build.is_empty() {
        // No host has reported it yet. What was decided for others stays the site's build, also if
        // the registry gives another one by now.
        build = fleet
            .decided(name)
            .or_else(|| fleet.builds.offered(name))
            .unwrap_or_default()
            .to_owned();
    }
    Some(Box::new(ImagePin { name: name.to_owned(), build }))
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
        peaks: None,
        last_host: None,
        gpu_turn: None,
        last_end: None,
        last_start: None,
        kills: Vec::new(),
        activity_saved: Timestamp::default(),
    }
}

/// A server that exists shows why its last start was refused.
fn remember_refusal(fleet: &mut Fleet, now: Timestamp, decision: &Decision, out: &mut Vec<Effect>) {
    let Some(server) = fleet.server_mut(&decision.server) else { return };
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
    need: &Need,
    verdict: Verdict,
) -> Option<(HeldPlace, Decision)> {
    let chosen = verdict.choice.as_ref().ok()?;
    let host = chosen.scored.host.clone();
    let entry = fleet.floor.host(&host)?;
    let gpus = parts(entry, &chosen.gpus, need.gpu_milli);
    let farm_ports = farm::take(Some(entry), need.farm_ports);
    let place = HeldPlace {
        host,
        gpus,
        farm_ports,
        expected: need.peak,
        expected_known: need.peak_known,
        until: now.plus(fleet.settings.queue.hold),
        mailed: false,
    };
    let waited = server.waiting_since().map_or(0, |since| now.millis_since(since) / 1000);
    let rule = Rule::new(Looked::Turn { after: Seconds(waited) }, None, None);
    let account = server.account.as_ref()?;
    let about = (server.id.clone(), server.name.clone());
    let ask = server.ask.clone();
    let mut decision = Decision::open(id, now, about, account, ask, inputs(fleet));
    decision.rules.push(rule);
    decision.outcome = placed(fleet, chosen, Reason::PlacedFromQueue);
    take_in(fleet, &mut decision, need, server.last_host.as_ref(), None, verdict);
    Some((place, decision))
}
