//! Another hub takes over while the former still runs, believes in itself and has sessions open.

use std::collections::BTreeMap;
use std::path::Path;

use berth_common::{Epoch, HostId};
use berth_wire::site::{CONVERGED_WITHIN, Site};
use berth_wire::transcript::What;

use crate::{of, seconds, start_some};

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[test]
fn whoever_has_heard_the_new_hub_obeys_the_old_one_no_more() {
    let mut site = Site::new(21);
    start_some(&mut site);
    let (old, new) = (site.fleet("hub1").epoch, Epoch(site.fleet("hub1").epoch.0 + 1));

    // Another machine goes on with a copy; nobody has told the first one.
    copy(&site.shared.folder.join("hub1"), &site.shared.folder.join("hub2"));
    site.add_hub("hub2");
    let (moved, stays) = {
        let mut hosts = site.hosts();
        let stays = hosts.split_off(6);
        (hosts, stays)
    };
    for host in &moved {
        site.shared.lead(host, "hub2");
        site.cut(host.as_str(), "hub1");
    }
    site.until("half of them are with the new hub", CONVERGED_WITHIN, |site| {
        moved.iter().all(|host| site.report(host).is_some_and(|report| report.applied.epoch == new))
    });
    assert!(stays.iter().all(|host| site.has_converged("hub1", host)), "the others are not");

    // The old hub gets some of them back, and orders what it likes.
    let ran: BTreeMap<HostId, _> =
        moved.iter().map(|host| (host.clone(), site.containers(host))).collect();
    let back_at = site.now_ms();
    for host in &moved {
        site.shared.lead(host, "hub1");
        site.mend(host.as_str(), "hub1");
        site.cut(host.as_str(), "hub2");
    }
    site.until("they are with the old hub", CONVERGED_WITHIN, |site| {
        moved.iter().all(|host| {
            let told = |what: &What| matches!(what, What::Told(it, _) if it.epoch == old);
            of(site, host.as_str(), back_at).iter().any(|line| told(&line.what))
        })
    });
    let ordered_at = site.now_ms();
    for server in ran.values().flatten() {
        site.stop("hub1", server);
    }
    for _ in 0..12 {
        site.start("hub1");
    }
    site.pass(seconds(15));
    for host in &moved {
        let heard = of(&site, host.as_str(), ordered_at);
        let told = heard.iter().any(|line| matches!(line.what, What::Told(..)));
        assert!(told, "{host} heard the orders");
        assert_eq!(site.report(host).unwrap().applied.epoch, new, "{host} took no order over");
        assert_eq!(site.containers(host), ran[host], "{host} runs what it ran");
    }

    // The old hub is found out and ends; everybody belongs to the new one.
    for host in site.hosts() {
        site.shared.lead(&host, "hub2");
        site.mend(host.as_str(), "hub2");
    }
    site.kill("hub1");
    site.until("one hub has them all", CONVERGED_WITHIN, |site| {
        let epoch = |host| site.report(host).map(|report| report.applied.epoch);
        site.hosts().iter().all(|host| epoch(host) == Some(new))
    });
    for host in &moved {
        assert_eq!(site.containers(host), ran[host], "{host} runs what it ran");
    }
}
