//! Hosts that are cut off in one direction or both, for a moment or again and again, whose cable
//! loses packets, whose agent stands still, or which are booted anew; while people start and stop
//! servers. Each server lives at most once all the time, and when the network is whole again all is
//! soon as the hub says.

use std::cell::Cell;
use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::network::{Cable, Network};
use super::site::{Site, own_address, until_for, user};

const HOSTS: usize = 5;
const PEOPLE: usize = 10;
/// A host that is silent for so long is taken for lost.
const LOST_AFTER: &str = "5s";
/// Longest wait for all to be as it should; what the bar says is printed beside it.
const PATIENCE: Duration = Duration::from_secs(90);
/// After the network is whole, all should be as the hub says within this time.
const BAR: Duration = Duration::from_secs(10);

fn long() -> bool {
    std::env::var_os("BERTH_LONG").is_some()
}

/// What happens to a host.
#[derive(Debug, Clone, Copy)]
enum Blow {
    Cable(Cable),
    Flaps,
    AgentStands,
    Boots,
}

#[tokio::test]
async fn a_host_that_is_cut_off_never_costs_a_second_server() {
    let network = Network::new(HOSTS as u8).await;
    let places = network.places.clone();
    let mut site = Site::at(own_address(), network.link, places, "", LOST_AFTER).await;
    let watch = site.watch();
    for number in 0..PEOPLE {
        let uid = 50_000 + u32::try_from(number).unwrap();
        let person = user(&format!("n{number}"), uid);
        site.insist(Method::POST, "/hub/api/berth/users", Some(person)).await;
    }
    let blows = [
        Blow::Cable(Cable::CutOutwards),
        Blow::Cable(Cable::CutInwards),
        Blow::Cable(Cable::Cut),
        Blow::Flaps,
        Blow::Cable(Cable::Loses),
        Blow::AgentStands,
        Blow::Boots,
    ];
    let rounds = if long() { 10 } else { 1 };
    let mut slowest = Duration::ZERO;
    for round in 0..rounds {
        for (number, blow) in blows.into_iter().enumerate() {
            let what = format!("round {round}, {blow:?}");
            let host = (round + number) % HOSTS;
            settled(&site, &what).await;
            let over = Cell::new(false);
            let (healed, ()) = tokio::join!(
                async {
                    let healed = strike(&network, &site, host, blow).await;
                    over.set(true);
                    healed
                },
                people(&site, &over),
            );
            if let Blow::Boots = blow {
                boot(&mut site, host).await;
            }
            settled(&site, &what).await;
            let took = healed.elapsed();
            println!("{what}: as it should be {took:?} after it was whole");
            slowest = slowest.max(took);
            watch.assert_nothing(&what);
            site.assert_sound(&what).await;
        }
    }
    let beside = if slowest <= BAR { "within" } else { "beyond" };
    println!("{} blows, the slowest healed in {slowest:?}, {beside} {BAR:?}", rounds * blows.len());
}

/// Does something to a host, and undoes it. Returns when that was.
async fn strike(network: &Network, site: &Site, host: usize, blow: Blow) -> Instant {
    let lasts = Duration::from_secs(if long() { 20 } else { 7 });
    match blow {
        Blow::Cable(cable) => {
            network.set(host, cable);
            tokio::time::sleep(lasts).await;
            network.set(host, Cable::Whole);
        }
        Blow::Flaps => {
            for _ in 0..8 {
                network.set(host, Cable::Cut);
                tokio::time::sleep(Duration::from_millis(500)).await;
                network.set(host, Cable::Whole);
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
        }
        Blow::AgentStands => {
            let agent = site.machines[host].agent.as_ref().unwrap().id().unwrap();
            let agent = Pid::from_raw(i32::try_from(agent).unwrap()).unwrap();
            kill_process(agent, Signal::STOP).unwrap();
            tokio::time::sleep(if long() { Duration::from_secs(60) } else { lasts }).await;
            kill_process(agent, Signal::CONT).unwrap();
        }
        // What is left of it happens when nobody else holds the site.
        Blow::Boots => tokio::time::sleep(Duration::from_secs(1)).await,
    }
    Instant::now()
}

/// Everything on a host ends at once, and comes up with another boot.
async fn boot(site: &mut Site, host: usize) {
    let machine = &mut site.machines[host];
    machine.agent.as_mut().unwrap().kill().await.unwrap();
    machine.tunnel_process.as_mut().unwrap().kill().await.unwrap();
    machine.boots += 1;
    site.configure_machine(host);
    site.start_machine(host);
}

/// People start and stop servers until it is over; nobody insists on anything.
async fn people(site: &Site, over: &Cell<bool>) {
    let mut number = 0;
    while !over.get() {
        let path = format!("/hub/api/users/n{}/server", number % PEOPLE);
        let answer = match number % 3 {
            2 => site.ask(Method::DELETE, &path, None).await,
            _ => site.ask(Method::POST, &path, Some(json!({}))).await,
        };
        let (status, answer) = answer.expect("the hub is there all the time");
        assert!(!status.is_server_error(), "{path}: {status} {answer}");
        number += 7;
        number += usize::from(number % PEOPLE == 0);
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
}

/// Waits until every host reports and what runs is what the hub says, and is reached.
async fn settled(site: &Site, what: &str) {
    let mut why = String::new();
    let look = async || {
        let found = unsettled(site).await;
        why = found.unwrap_or_default();
        why.is_empty().then_some(())
    };
    let settled = tokio::time::timeout(PATIENCE, until_for(what, PATIENCE * 2, look)).await;
    assert!(settled.is_ok(), "{what}: not within {PATIENCE:?}: {why}");
}

/// Why not all is as it should be, if so.
async fn unsettled(site: &Site) -> Option<String> {
    let Some((StatusCode::OK, hosts)) = site.ask(Method::GET, "/hub/api/berth/hosts", None).await
    else {
        return Some("the hub does not answer".into());
    };
    let hosts = hosts["hosts"].as_array().unwrap();
    if let Some(host) = hosts.iter().find(|host| host["state"] != "ready") {
        return Some(format!("{host}"));
    }
    let (_, servers) = site.ask(Method::GET, "/hub/api/berth/servers", None).await?;
    let servers = servers["servers"].as_array().unwrap();
    let containers = site.containers();
    if let Some(other) =
        servers.iter().find(|it| !["running", "ended"].contains(&text(it, "state")))
    {
        return Some(format!("{other}"));
    }
    for container in &containers {
        let known = servers.iter().find(|it| text(it, "id") == container.server);
        let right = known.is_some_and(|it| {
            text(it, "state") == "running"
                && it["generation"] == container.generation
                && text(it, "host") == site.machines[container.host].name
        });
        if !right || !container.runs {
            return Some(format!("{container:?} beside {known:?}"));
        }
    }
    for server in servers.iter().filter(|it| text(it, "state") == "running") {
        if !containers.iter().any(|it| it.server == text(server, "id")) {
            return Some(format!("no container of {server}"));
        }
        let url = format!("{}/user/{}/api", site.url, text(server, "user"));
        let answer = site.http.get(url).send().await;
        if !answer.is_ok_and(|answer| answer.status() == StatusCode::OK) {
            return Some(format!("{server} is not reached"));
        }
    }
    None
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}
