//! Proposals to keep whole hosts free.

use std::collections::BTreeMap;

use berth_common::{ByteCount, Seconds, Timestamp};
use berth_core::drain::consolidate::{Proposal, Resident, Rules, Site, possible, ripe, standing};
use berth_core::drain::{Host, Server};

use super::random::{Random, cases, gigabytes};

const HOUR: i64 = 3_600_000_000;

fn rules() -> Rules {
    Rules {
        memory_per_move: ByteCount(8 << 30),
        idle_for: Seconds(3_600),
        placed_for: Seconds(7_200),
        stands_for: Seconds(1_800),
    }
}

fn sites(rooms: &[u64]) -> Vec<Site> {
    let site = |(index, room): (usize, &u64)| Site {
        id: format!("h{index}").parse().unwrap(),
        host: Host { room: gigabytes(*room), takes: vec![0], reboots: false },
    };
    rooms.iter().enumerate().map(site).collect()
}

fn resident(host: usize, need: u64, idle_hours: Option<i64>) -> Resident {
    Resident {
        server: Server { host, need: gigabytes(need), kind: 0, movable: true },
        idle_since: idle_hours.map(|hours| Timestamp(-hours * HOUR)),
        placed_at: Timestamp(-100 * HOUR),
    }
}

fn found(rooms: &[u64], residents: &[Resident]) -> Vec<Proposal> {
    possible(&sites(rooms), residents, &rules(), Timestamp(0))
}

#[test]
fn a_host_is_emptied_onto_one_that_is_used() {
    let residents = [resident(0, 4, Some(2)), resident(1, 8, None)];
    let proposals = found(&[16, 16, 16], &residents);
    assert_eq!(proposals.len(), 1);
    assert_eq!((proposals[0].host, proposals[0].frees), (0, ByteCount(16 << 30)));
    assert_eq!(proposals[0].moves.len(), 1);
    assert_eq!(proposals[0].moves[0].to, 1, "not onto the empty one");
}

#[test]
fn nothing_is_proposed_that_costs_too_much() {
    let target = resident(1, 1, None);
    let check = |residents: &[Resident]| found(&[16, 64], residents).len();
    let idle = resident(0, 1, Some(2));
    assert_eq!(check(&[idle.clone(), idle.clone(), target.clone()]), 1);
    assert_eq!(check(&[idle.clone(), idle.clone(), idle.clone(), target.clone()]), 0, "gain");
    assert_eq!(check(&[resident(0, 1, None), target.clone()]), 0, "busy");
    assert_eq!(check(&[resident(0, 1, Some(0)), target.clone()]), 0, "idle for a moment");
    let new = Resident { placed_at: Timestamp(-HOUR), ..idle.clone() };
    assert_eq!(check(&[new, target.clone()]), 0, "placed a moment ago");
    let mut fixed = idle;
    fixed.server.movable = false;
    assert_eq!(check(&[fixed, target]), 0, "its owner does not want it");
}

#[test]
fn spans_include_their_last_moment() {
    let target = resident(1, 1, None);
    let check = |idle: i64, placed: i64| {
        let mut resident = resident(0, 1, None);
        resident.idle_since = Some(Timestamp(-idle));
        resident.placed_at = Timestamp(-placed);
        found(&[16, 16], &[resident, target.clone()]).len()
    };
    assert_eq!(check(HOUR, 2 * HOUR), 1);
    assert_eq!(check(HOUR - 1, 2 * HOUR), 0);
    assert_eq!(check(HOUR, 2 * HOUR - 1), 0);
    let residents = [resident(0, 1, Some(2)), target.clone()];
    let (sites, rules) = (sites(&[16, 16]), rules());
    let proposals = possible(&sites, &residents, &rules, Timestamp(0));
    let made = |after: i64| {
        let since = BTreeMap::from([(sites[0].id.clone(), Timestamp(0))]);
        ripe(&proposals, &sites, &since, &rules, Timestamp(after)).count()
    };
    assert_eq!([made(HOUR / 2 - 1), made(HOUR / 2)], [0, 1]);
}

#[test]
fn the_host_with_the_fewest_moves_is_emptied_first_and_the_emptier_of_two() {
    // Three hosts with idle servers, and a busy one, the fullest, that has room for all of them.
    let rooms = [64, 64, 64, 64];
    let target = resident(3, 40, None);
    let first = |on: [&[u64]; 3]| {
        let mut residents = vec![target.clone()];
        for (host, needs) in on.iter().enumerate() {
            residents.extend(needs.iter().map(|need| resident(host, *need, Some(2))));
        }
        found(&rooms, &residents).iter().map(|it| it.host).collect::<Vec<_>>()
    };
    assert_eq!(first([&[1, 1], &[8], &[1, 1, 1]]), [1, 0, 2]);
    assert_eq!(first([&[9], &[3], &[8]]), [1, 2, 0]);
    assert_eq!(first([&[3], &[3], &[3]]), [0, 1, 2]);
    // One that has taken another's servers stays.
    let busy = resident(2, 60, None);
    let residents = [resident(0, 4, Some(2)), resident(1, 5, Some(2)), busy];
    let proposals = found(&[16, 16, 60], &residents);
    assert_eq!(proposals.len(), 1);
    assert_eq!((proposals[0].host, proposals[0].moves[0].to), (0, 1));
}

#[test]
fn a_proposal_stands_for_a_while_before_it_is_made() {
    let residents = [resident(0, 4, Some(2)), resident(1, 8, None)];
    let (sites, rules) = (sites(&[16, 16]), rules());
    let mut since = BTreeMap::new();
    let mut made = |minutes: i64, residents: &[Resident]| {
        let now = Timestamp(minutes * HOUR / 60);
        let proposals = possible(&sites, residents, &rules, now);
        since = standing(&proposals, &sites, &since, now);
        ripe(&proposals, &sites, &since, &rules, now).count()
    };
    assert_eq!([made(0, &residents), made(20, &residents), made(31, &residents)], [0, 0, 1]);
    // Its owner comes back for a moment: all begins anew.
    let mut touched = residents.clone();
    touched[0].idle_since = None;
    assert_eq!([made(40, &touched), made(41, &residents), made(70, &residents)], [0, 0, 0]);
    assert_eq!(made(72, &residents), 1);
}

#[test]
fn what_is_proposed_together_fits_together_and_ends() {
    let mut random = Random(10);
    let mut made = 0;
    for _ in 0..cases(500, 5_000) {
        let rooms: Vec<u64> = (0..3 + random.below(8)).map(|_| random.pick(&[16, 32])).collect();
        let mut residents: Vec<Resident> = Vec::new();
        for _ in 0..random.below(25) {
            let (host, need) = (random.below(rooms.len() as u64) as usize, 1 + random.below(6));
            if used(&residents, host) + (need << 30) <= rooms[host] << 30 {
                residents.push(resident(host, need, random.pick(&[None, Some(2), Some(3)])));
            }
        }
        let empty = |residents: &[Resident]| {
            (0..rooms.len()).filter(|&host| used(residents, host) == 0).count()
        };
        // Carried out at once and asked again, as if nobody ever rested: it still ends, since
        // every round leaves more hosts empty.
        loop {
            let before = empty(&residents);
            let proposals = found(&rooms, &residents);
            if proposals.is_empty() {
                break;
            }
            made += proposals.len();
            for step in proposals.iter().flat_map(|proposal| &proposal.moves) {
                let server = &mut residents[step.server];
                assert!(server.idle_since.is_some());
                assert_eq!(server.server.host, step.from);
                server.server.host = step.to;
                assert!(used(&residents, step.to) <= rooms[step.to] << 30);
            }
            assert_eq!(empty(&residents), before + proposals.len());
        }
    }
    assert!(made > 100, "{made}");
}

fn used(residents: &[Resident], host: usize) -> u64 {
    let there = residents.iter().filter(|resident| resident.server.host == host);
    there.map(|resident| resident.server.need.memory.0).sum()
}
