//! The site of `examples/site`, as somebody would try it: brought up, looked at by the commands that
//! administrators use, worked with in a real browser, and taken down. It needs the programs, built
//! in the same profile as this test, and Chromium for the journeys.

#[path = "../site/browser.rs"]
mod browser;
mod journeys;
mod prometheus;
mod site;

use site::{Site, told};

/// As an address says it.
fn a_day_ago() -> String {
    let now = berth_process::clock::now();
    berth_common::Timestamp(now.0 - 86_400 * 1_000_000).to_string()
}

#[test]
fn the_whole_platform_comes_up_can_be_looked_at_and_goes() {
    let site = Site::new();
    let up = site.script("up");
    assert!(up.status.success(), "{}", told(&up));

    let hosts = site.berth(&["host", "list"]);
    let hosts = hosts["hosts"].as_array().unwrap();
    assert_eq!(hosts.len(), 16);
    let of = |pool: &str| hosts.iter().filter(|host| host["pool"] == pool).count();
    assert_eq!((of("cpu"), of("training"), of("gpu")), (7, 4, 5));
    for host in hosts {
        assert_eq!(host["state"], "ready", "{host}");
        assert_eq!(host["engine_version"], "fake", "marked as what it is: {host}");
    }
    let gpus: usize = hosts.iter().filter_map(|host| Some(host["gpus"].as_array()?.len())).sum();
    assert_eq!(gpus, 20);

    let servers = site.berth(&["server", "list"]);
    let servers = servers["servers"].as_array().unwrap();
    let running: Vec<_> = servers.iter().filter(|server| server["state"] == "running").collect();
    assert!(running.len() >= 60, "{} of {} servers run", running.len(), servers.len());
    let with_gpu = running.iter().filter(|server| server["profile"] == "gpu").count();
    assert!(with_gpu >= 8, "{with_gpu}");

    let log = site.berth(&["server", "logs", running[0]["id"].as_str().unwrap()]);
    assert!(log["log"][0]["text"].as_str().unwrap().contains("this host is fake"), "{log}");

    // Days have been lived before: decisions, refusals among them, and the floor of then.
    let decisions = site.berth(&["decision", "list", "--limit", "500"]);
    let decisions = decisions["decisions"].as_array().unwrap();
    assert!(decisions.len() > 100, "{}", decisions.len());
    let yesterday = a_day_ago();
    let (status, past) = site.get(&format!("/hub/api/berth/floor?at={yesterday}"));
    assert!(status.contains(" 200 ") && past.contains("\"user\""), "{status} {past}");

    let (status, floor) = site.get("/hub/api/berth/floor");
    assert!(status.contains(" 200 "), "{status}");
    assert!(floor.contains("\"ccjngpu5\""), "{floor}");

    let (token, monitoring) =
        (site.state().join("admin-token"), site::root().join("packaging/monitoring"));
    prometheus::asks_all_that_boards_and_alerts_ask(site.port, &token, &monitoring);

    let again = site.script("up");
    assert!(told(&again).contains("all is running"), "{}", told(&again));
    assert!(site.script("status").status.success());
    let down = site.script("down");
    assert!(down.status.success(), "{}", told(&down));
    assert!(!site.state().exists());
    assert!(!site.script("status").status.success());
}
