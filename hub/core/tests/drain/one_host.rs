//! One host emptied before a deadline.

use berth_common::{Seconds, Timestamp};
use berth_core::drain::single::{
    AtDeadline, End, Occupant, Opening, Plan, Request, Span, What, plan,
};

use super::random::{Random, cases, gigabytes};

const MINUTE: i64 = 60_000_000;

fn minute(count: i64) -> Timestamp {
    Timestamp(count * MINUTE)
}

fn idle(need: u64, since: i64, limit: u64) -> Occupant {
    Occupant {
        need: gigabytes(need),
        kind: 0,
        busy: Vec::new(),
        idle_since: Some(minute(since)),
        idle_limit: Some(Seconds(limit * 60)),
        may_restart: true,
    }
}

fn busy(need: u64, from: i64, until: i64) -> Occupant {
    let busy = vec![Span { from: minute(from), until: minute(until) }];
    Occupant { busy, idle_since: None, ..idle(need, 0, 100_000) }
}

fn opening(free: u64) -> Opening {
    Opening { free: gigabytes(free), later: Vec::new(), takes: vec![0] }
}

fn request(servers: Vec<Occupant>, openings: Vec<Opening>) -> Request {
    Request {
        now: minute(0),
        told: minute(0),
        deadline: Some(minute(3_000)),
        leads: vec![Seconds(86_400), Seconds(7_200), Seconds(600)],
        at_deadline: AtDeadline::Stop,
        servers,
        openings,
    }
}

fn ends(plan: &Plan) -> Vec<End> {
    plan.fates.iter().map(|fate| fate.end).collect()
}

#[test]
fn people_are_told_and_nobody_busy_is_stopped_before_the_deadline() {
    let forever = i64::MAX / MINUTE;
    let plan = plan(&request(
        vec![idle(1, -60, 1_440), busy(2, -5, forever), idle(1, -11, 4_320), busy(4, 2_000, 4_000)],
        vec![opening(6)],
    ));
    assert_eq!(
        ends(&plan),
        [
            End::Idle(minute(1_380)),
            End::Interrupted(minute(3_000)),
            End::Stopped(minute(3_000)),
            // It will be busy at the deadline and is not now: ten minutes after it was told.
            End::Restarted(minute(10)),
        ]
    );
    assert_eq!((plan.interrupted(), plan.empty_at(minute(0))), (1, Some(minute(3_000))));
    // Six gigabytes for eight: one goes without a place, and it is said before anything starts.
    assert_eq!(plan.stuck().collect::<Vec<_>>(), [1]);
    let moments: Vec<(i64, usize, What)> = plan
        .actions
        .iter()
        .map(|action| (action.at.0 / MINUTE, action.server, action.what))
        .collect();
    let tell = |lead| What::Tell(Some(Seconds(lead)));
    assert_eq!(
        moments,
        [
            (0, 0, What::Tell(None)),
            (0, 1, What::Tell(None)),
            (0, 2, What::Tell(None)),
            (0, 3, What::Tell(None)),
            (10, 3, What::Restart(0)),
            (1_380, 0, What::StopIdle),
            (1_560, 1, tell(86_400)),
            (1_560, 2, tell(86_400)),
            (2_880, 1, tell(7_200)),
            (2_880, 2, tell(7_200)),
            (2_990, 1, tell(600)),
            (2_990, 2, tell(600)),
            (3_000, 1, What::Stop),
            (3_000, 2, What::Stop),
        ]
    );
}

#[test]
fn a_lead_that_has_passed_does_not_count() {
    let mut asked = request(vec![idle(1, -60, 100_000)], vec![opening(1)]);
    asked.deadline = Some(minute(60));
    let told: Vec<i64> = plan(&asked)
        .actions
        .iter()
        .filter(|action| matches!(action.what, What::Tell(_)))
        .map(|action| action.at.0 / MINUTE)
        .collect();
    assert_eq!(told, [0, 50]);
}

#[test]
fn on_hold_everybody_stays_and_without_a_deadline_too() {
    let servers = vec![busy(1, -5, 9_000), idle(1, -60, 100_000), idle(1, -60, 70)];
    let mut asked = request(servers, vec![opening(8)]);
    asked.at_deadline = AtDeadline::Hold;
    let expected = [End::Held, End::Held, End::Idle(minute(10))];
    assert_eq!(ends(&plan(&asked)), expected);
    assert_eq!(plan(&asked).empty_at(minute(0)), None);
    asked.at_deadline = AtDeadline::Stop;
    asked.deadline = None;
    assert_eq!(plan(&asked).interrupted(), 0);
}

#[test]
fn scarce_room_goes_to_those_who_would_be_interrupted() {
    // Both idle now; the larger would be interrupted, so the only place is its.
    let asked = request(vec![idle(3, -5, 100_000), busy(4, 2_000, 4_000)], vec![opening(4)]);
    let plan = plan(&asked);
    assert_eq!(plan.interrupted(), 0);
    assert_eq!(plan.stuck().collect::<Vec<_>>(), [0]);
}

#[test]
fn a_server_waits_for_room_that_comes_while_it_is_quiet() {
    let mut asked = request(vec![busy(4, 2_000, 4_000)], vec![opening(1)]);
    asked.openings[0].later = vec![(minute(500), gigabytes(2)), (minute(700), gigabytes(1))];
    assert_eq!(ends(&plan(&asked)), [End::Restarted(minute(700))]);
    asked.openings[0].later[1].0 = minute(2_000);
    assert_eq!(ends(&plan(&asked)), [End::Interrupted(minute(3_000))]);
    asked.servers[0].may_restart = false;
    asked.openings[0].free = gigabytes(9);
    assert_eq!(plan(&asked).interrupted(), 1);
}

/// A case of at most 8 servers over 8 minutes, the deadline at the last.
fn small(random: &mut Random) -> Request {
    let servers = (0..1 + random.below(8))
        .map(|_| {
            let mut spans = Vec::new();
            let mut from = random.below(5) as i64 - 1;
            while from < 8 && spans.len() < 3 {
                let until = from + 1 + random.below(6) as i64;
                spans.push(Span { from: minute(from), until: minute(until) });
                from = until + 1 + random.below(3) as i64;
            }
            let idle_since = (spans[0].from > minute(0)).then(|| minute(-1));
            Occupant {
                need: gigabytes(random.pick(&[1, 2, 3, 4, 6])),
                kind: random.pick(&[0, 0, 1]),
                busy: spans,
                idle_since,
                idle_limit: random.pick(&[None, None, Some(Seconds(120)), Some(Seconds(240))]),
                may_restart: random.below(6) > 0,
            }
        })
        .collect();
    let openings = (0..1 + random.below(3))
        .map(|_| {
            let mut later: Vec<_> = (0..random.below(3))
                .map(|_| (minute(1 + random.below(8) as i64), gigabytes(1 + random.below(3))))
                .collect();
            later.sort_by_key(|(at, _)| *at);
            let takes = random.pick(&[&[0, 1][..], &[0]]).to_vec();
            Opening { free: gigabytes(random.below(6)), later, takes }
        })
        .collect();
    Request {
        now: minute(0),
        told: minute(0),
        deadline: Some(minute(8)),
        leads: random.pick(&[&[][..], &[Seconds(120)]]).to_vec(),
        at_deadline: AtDeadline::Stop,
        servers,
        openings,
    }
}

/// The least number of interrupted kernels, every server tried in every opening at every minute.
fn least(request: &Request) -> usize {
    let told = request.leads.first().map_or(0, |lead| lead.0 as i64 / 60);
    let busy_at = |server: &Occupant, at: i64| {
        server.busy.iter().any(|span| span.from <= minute(at) && minute(at) < span.until)
    };
    let ends_by_itself = |server: &Occupant| {
        let Some(limit) = server.idle_limit else { return false };
        let mut rest = if server.idle_since.is_some() { 1 } else { 0 };
        for at in 0..=8 {
            if rest >= limit.0 as i64 / 60 && !busy_at(server, at) {
                return true;
            }
            rest = if busy_at(server, at) { 0 } else { rest + 1 };
        }
        false
    };
    let at_risk: Vec<&Occupant> = request
        .servers
        .iter()
        .filter(|server| busy_at(server, 8) && !ends_by_itself(server))
        .collect();
    let mut used = vec![[0u64; 8]; request.openings.len()];
    at_risk.len() - most_saved(request, told, &busy_at, &at_risk, &mut used)
}

fn most_saved(
    request: &Request,
    told: i64,
    busy_at: &dyn Fn(&Occupant, i64) -> bool,
    at_risk: &[&Occupant],
    used: &mut Vec<[u64; 8]>,
) -> usize {
    let Some((server, others)) = at_risk.split_first() else { return 0 };
    let mut most = most_saved(request, told, busy_at, others, used);
    for (index, opening) in request.openings.iter().enumerate() {
        for at in told..8 {
            if most == at_risk.len() {
                return most;
            }
            let may = server.may_restart && !busy_at(server, at);
            let fits = (at..8).all(|at| {
                let later = opening.later.iter().filter(|(moment, _)| *moment <= minute(at));
                let room: u64 = later.map(|(_, more)| more.memory.0).sum();
                let total = used[index][at as usize] + server.need.memory.0;
                total <= opening.free.memory.0 + room
            });
            if may && fits && opening.takes.contains(&server.kind) {
                let before = used[index];
                (at..8).for_each(|at| used[index][at as usize] += server.need.memory.0);
                most = most.max(1 + most_saved(request, told, busy_at, others, used));
                used[index] = before;
            }
        }
    }
    most
}

/// Every restart happens in a quiet moment, after its owner was told, where there is room.
fn check(request: &Request, plan: &Plan) {
    for (opening, room) in request.openings.iter().enumerate() {
        for moment in 0..8 * 60 {
            let at = Timestamp(moment * 1_000_000);
            let held: u64 = plan
                .fates
                .iter()
                .zip(&request.servers)
                .filter(|(fate, _)| {
                    fate.place == Some(opening)
                        && matches!(fate.end, End::Restarted(moved) if moved <= at)
                })
                .map(|(_, server)| server.need.memory.0)
                .sum();
            let later = room.later.iter().filter(|(moment, _)| *moment <= at);
            let later: u64 = later.map(|(_, more)| more.memory.0).sum();
            assert!(held <= room.free.memory.0 + later, "{request:?}\n{plan:?}");
        }
    }
    for (fate, server) in plan.fates.iter().zip(&request.servers) {
        if let End::Restarted(at) = fate.end {
            let busy = server.busy.iter().any(|span| span.from <= at && at < span.until);
            assert!(!busy && server.may_restart && fate.place.is_some());
            assert!(at >= request.leads.first().map_or(minute(0), |lead| minute(0).plus(*lead)));
        }
    }
}

#[test]
fn as_few_busy_kernels_are_interrupted_as_possible() {
    let (mut random, mut total, mut at_risk) = (Random(4), 0, 0);
    let count = cases(2_000, 20_000);
    for _ in 0..count {
        let request = small(&mut random);
        let plan = plan(&request);
        check(&request, &plan);
        let least = least(&request);
        assert_eq!(plan.interrupted(), least, "{request:?}\n{plan:?}");
        total += least;
        at_risk += plan.fates.iter().filter(|fate| matches!(fate.end, End::Restarted(_))).count();
    }
    println!("{count} cases: {total} interrupted, {at_risk} saved by an early restart");
    assert!(total > 0 && at_risk > 0, "the cases decide something");
}

/// Servers that are known to fill the openings to the last gigabyte.
fn filled(random: &mut Random, openings: u64) -> Request {
    let (mut servers, mut rooms) = (Vec::new(), Vec::new());
    for _ in 0..openings {
        let room = random.pick(&[10, 20, 32, 64]);
        let mut left = room;
        while left > 0 {
            let need = random.pick(&[2, 2, 4, 8, 16, 28]).min(left);
            servers.push(idle(need, -5, 100_000));
            left -= need;
        }
        rooms.push(opening(room));
    }
    request(servers, rooms)
}

#[test]
fn whoever_fits_has_a_place() {
    let (mut random, mut placed, mut largest) = (Random(11), 0, 0);
    let count = cases(200, 5_000);
    for _ in 0..count {
        let openings = 1 + random.below(25);
        let request = filled(&mut random, openings);
        largest = largest.max(request.servers.len());
        placed += u64::from(plan(&request).stuck().next().is_none());
    }
    println!("{placed} of {count} exact fillings found, of up to {largest} servers");
    assert_eq!(placed, count);
}
