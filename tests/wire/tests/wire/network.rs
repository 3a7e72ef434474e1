//! Cut, half-cut and slow links, hosts and hubs that go down, and all of it by chance.

use std::time::Duration;

use berth_wire::site::{CONVERGED_WITHIN, Site};
use berth_wire::transcript::What;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use crate::{lost, of, seconds, start_some};

/// Longer than the agent's keep-alive, twice 5 s, by one way of a message.
const AGENT_NOTICES: Duration = Duration::from_millis(10_500);
/// The same for the hub's, twice 20 s.
const HUB_NOTICES: Duration = Duration::from_millis(40_500);

#[test]
fn a_connection_that_only_seems_open_is_found_by_both_ends() {
    let mut site = Site::new(1);
    start_some(&mut site);
    let before = site.containers(&"wn03".parse().unwrap());
    let cut_at = site.now_ms();
    site.cut("wn03", "hub1");
    let found = site.until("the agent finds it", AGENT_NOTICES, |site| {
        of(site, "wn03", cut_at).iter().any(|line| matches!(line.what, What::Away(_)))
    });
    site.until("the hub finds it", HUB_NOTICES - found, |site| {
        of(site, "wn03", cut_at).iter().any(|line| line.what == What::LetGo("hub1".into()))
    });
    site.mend("wn03", "hub1");
    site.until("the link is back", CONVERGED_WITHIN, |site| site.converged("hub1"));
    assert_eq!(site.containers(&"wn03".parse().unwrap()), before);
    assert!(lost(&site, cut_at).iter().all(|host| host == "wn03"), "nobody else noticed");
}

#[test]
fn a_link_that_is_cut_one_way_is_given_up_and_comes_back() {
    let mut site = Site::new(2);
    start_some(&mut site);
    let cut_at = site.now_ms();
    site.cut_oneway("wn01", "hub1");
    site.cut_oneway("hub1", "wn02");
    for host in ["wn01", "wn02"] {
        site.until("the agent finds it", AGENT_NOTICES, |site| {
            of(site, host, cut_at).iter().any(|line| matches!(line.what, What::Away(_)))
        });
    }
    site.pass(seconds(10));
    site.mend("wn01", "hub1");
    site.mend("wn02", "hub1");
    site.until("the links are back", CONVERGED_WITHIN, |site| site.converged("hub1"));
}

#[test]
fn a_slow_link_is_kept_and_one_that_is_too_slow_harms_nobody_else() {
    let mut site = Site::new(3);
    let slow_at = site.now_ms();
    site.slow_down("wn02", "hub1", Duration::from_millis(1_000));
    start_some(&mut site);
    site.pass(seconds(30));
    assert!(site.converged("hub1"));
    assert_eq!(lost(&site, slow_at), [""; 0], "a second each way is no reason to give up");

    site.slow_down("wn02", "hub1", Duration::from_millis(6_000));
    site.until("the agent gives it up", seconds(20), |site| {
        of(site, "wn02", slow_at).iter().any(|line| matches!(line.what, What::Away(_)))
    });
    for _ in 0..6 {
        site.start("hub1");
    }
    let others: Vec<_> = site.hosts().into_iter().filter(|host| host.as_str() != "wn02").collect();
    site.pass(seconds(1));
    site.until("the others go on", CONVERGED_WITHIN, |site| {
        others.iter().all(|host| site.has_converged("hub1", host))
    });
    assert!(lost(&site, slow_at).iter().all(|host| host == "wn02"));
    site.slow_down("wn02", "hub1", Duration::from_millis(10));
    // What was under way comes late, once.
    let late = seconds(12);
    site.until("the link is back", CONVERGED_WITHIN + late, |site| site.converged("hub1"));
}

#[test]
fn the_same_seed_gives_the_same_transcript() {
    let first = by_chance(4);
    assert_eq!(first, by_chance(4));
    assert_ne!(first, by_chance(5));
}

#[test]
fn whatever_happens_all_converge() {
    let seeds = if std::env::var_os("BERTH_LONG").is_some() { 200 } else { 2 };
    for seed in 4..4 + seeds {
        by_chance(seed);
    }
}

/// Ten faults, one upon the other, among starts and stops.
fn by_chance(seed: u64) -> String {
    let mut site = Site::new(seed);
    let mut chance = StdRng::seed_from_u64(seed);
    start_some(&mut site);
    let mut servers = Vec::new();
    let hosts: Vec<String> = site.hosts().iter().map(ToString::to_string).collect();
    let mut down = Vec::new();
    for _ in 0..10 {
        let host = hosts.choose(&mut chance).unwrap().clone();
        match chance.random_range(0..7) {
            0 => site.cut(&host, "hub1"),
            1 => site.cut_oneway(&host, "hub1"),
            2 => site.cut_oneway("hub1", &host),
            3 => {
                let takes = Duration::from_millis(chance.random_range(100..2_000));
                site.slow_down(&host, "hub1", takes);
            }
            4 => {
                site.kill("hub1");
                site.pass(Duration::from_millis(chance.random_range(10..3_000)));
                site.restart("hub1");
                site.until("the hub reigns", seconds(1), |site| site.shared.hub("hub1").is_some());
            }
            5 => {
                site.crash(&host);
                down.push(host.clone());
            }
            _ => site.mend(&host, "hub1"),
        }
        servers.push(site.start("hub1"));
        if chance.random() {
            let server = servers.swap_remove(chance.random_range(0..servers.len()));
            site.stop("hub1", &server);
        }
        site.pass(Duration::from_millis(chance.random_range(10..5_000)));
    }
    for host in &hosts {
        site.mend(host, "hub1");
        site.slow_down(host, "hub1", Duration::from_millis(10));
    }
    for host in &down {
        site.boot(host);
    }
    site.until(&format!("all converge, seed {seed}"), CONVERGED_WITHIN, |site| {
        site.converged("hub1")
    });
    site.shared.log.to_string()
}
