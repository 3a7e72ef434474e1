//! All of them at once.

use std::time::Duration;

use berth_wire::network::PORT;
use berth_wire::site::{CONVERGED_WITHIN, HOSTS, Site};
use berth_wire::transcript::{Line, What};
use turmoil::net::TcpStream;

use crate::{lost, of, seconds, start_some};

/// The most lines within a quarter of a second.
fn densest(lines: &[Line]) -> usize {
    let begins = |first: &Line| {
        let within = first.at_ms..first.at_ms + 250;
        lines.iter().filter(|line| within.contains(&line.at_ms)).count()
    };
    lines.iter().map(begins).max().unwrap_or(0)
}

#[test]
fn hosts_that_lose_the_hub_at_once_come_back_spread_and_try_less_and_less_often() {
    let mut site = Site::new(11);
    start_some(&mut site);
    let killed_at = site.now_ms();
    site.kill("hub1");
    site.pass(seconds(60));
    let dials = |since_ms: u64| -> Vec<Line> {
        let lines = site.since(since_ms).into_iter();
        lines.filter(|line| matches!(line.what, What::Dials(_))).collect()
    };
    for host in site.hosts() {
        let times = dials(killed_at).iter().filter(|line| line.who == host.as_str()).count();
        assert!((10..=40).contains(&times), "{host} dialled {times} times in a minute");
    }
    let settled = dials(killed_at + 10_000);
    let at_once = densest(&settled);
    assert!(at_once <= HOSTS / 2, "{at_once} hosts dialled within a quarter of a second");

    let back_at = site.now_ms();
    site.restart("hub1");
    site.until("everybody is back", CONVERGED_WITHIN, |site| site.converged("hub1"));
    let accepted: Vec<Line> = site
        .since(back_at)
        .into_iter()
        .filter(|line| matches!(line.what, What::Accepted(_)))
        .collect();
    assert_eq!(accepted.len(), HOSTS, "each came once");
    assert!(densest(&accepted) <= HOSTS / 2, "{accepted:?}");
}

#[test]
fn strangers_who_connect_and_say_nothing_take_a_bounded_share() {
    const STRANGERS: usize = 200;
    let mut site = Site::new(12);
    start_some(&mut site);
    let begun = site.now_ms();
    site.add("stranger", || async {
        for _ in 0..STRANGERS {
            tokio::spawn(async {
                let stream = TcpStream::connect(("hub1", PORT)).await;
                tokio::time::sleep(Duration::from_secs(120)).await;
                drop(stream);
            });
        }
        std::future::pending().await
    });
    site.pass(seconds(1));
    // One of ours comes in the middle of it.
    site.crash("wn07");
    site.boot("wn07");
    site.until("all strangers were heard out", seconds(45), |site| {
        of(site, "stranger", begun).len() == 2 * STRANGERS
    });
    let mut held = 0;
    for line in of(&site, "stranger", begun) {
        match line.what {
            What::Accepted(_) => held += 1,
            What::LetGo(_) => held -= 1,
            _ => {}
        }
        assert!(held <= 64, "the hub holds {held} connections that have not said who they are");
    }
    site.until("ours is in", CONVERGED_WITHIN, |site| site.converged("hub1"));
    let others = lost(&site, begun).into_iter().filter(|host| host != "wn07");
    assert_eq!(others.count(), 0, "whoever was linked did not notice");
}
