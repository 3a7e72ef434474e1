//! What JupyterLab is told: each kind, asked as the extension of the example's image asks.

use std::sync::Arc;

use berth_common::{ByteCount, Seconds, Timestamp};
use berth_core::fleet::{Loan, Placement};
use berth_core::life::Evidence;
use berth_core::settings::{Cite, GpuAction, GpuRule, IfBusy, Whose};
use berth_core::{Fleet, Phase, Server};
use berth_process::clock::now;
use serde_json::Value;

use super::scene::scene;
use super::site::{Site, gb};
use crate::web::api::berth::lab::notices_of;

/// The kinds and texts of what is to be said of a server.
fn told(fleet: &Fleet, site: &Site, name: &str) -> Vec<(String, String)> {
    let server = &fleet.servers[&site.server("alice", name).id];
    let text = |notice: &Value, key: &str| notice[key].as_str().unwrap().to_owned();
    let notices = notices_of(fleet, server, now());
    notices.iter().map(|it| (text(it, "kind"), text(it, "text"))).collect()
}

/// So many hundredths of the 4 GB that alice's server has.
fn part(hundredths: u64) -> ByteCount {
    ByteCount(gb(4).0 / 100 * hundredths)
}

fn placed(server: &mut Server) -> &mut Placement {
    match &mut server.phase {
        Phase::Placed(placement) => placement,
        other => panic!("{other:?}"),
    }
}

fn is_told(told: &[(String, String)], kind: &str, part: &str) -> bool {
    told.iter().any(|(it, text)| it == kind && text.contains(part))
}

#[tokio::test]
async fn a_killed_kernel_and_little_memory_are_told() {
    let site = Site::busy().await;
    let fleet = || site.hub.fleet.fleet();
    assert_eq!(told(&fleet(), &site, ""), []);
    site.uses("alice", "", part(80)).await;
    assert_eq!(told(&fleet(), &site, ""), [], "a tenth of the limit is left");
    site.uses("alice", "", part(92)).await;
    let high = told(&fleet(), &site, "");
    assert!(is_told(&high, "memory_high", "of its 4 GB of memory"), "{high:?}");
    // It is told once a start, not whenever it goes up and down.
    site.uses("alice", "", gb(1)).await;
    assert_eq!(told(&fleet(), &site, ""), high);
    site.out_of_memory("alice", "").await;
    let killed = told(&fleet(), &site, "");
    assert!(is_told(&killed, "memory_killed", "python3"), "{killed:?}");
    assert!(is_told(&killed, "memory_killed", "fit.ipynb"), "{killed:?}");
    assert_eq!(killed[0].0, "memory_killed", "the most urgent first");
}

#[tokio::test]
async fn a_lent_limit_is_told_in_place_of_little_memory() {
    let site = Site::busy().await;
    site.uses("alice", "", part(97)).await;
    let mut fleet = Fleet::clone(&site.hub.fleet.fleet());
    let id = site.server("alice", "").id.clone();
    let server = Arc::make_mut(fleet.servers.get_mut(&id).unwrap());
    let until = now().plus(Seconds(3_600));
    let loan = Loan { own: gb(4), lent: gb(1), at: now(), until, over: None };
    placed(server).loan = Some(Box::new(loan));
    let lent = told(&fleet, &site, "");
    assert!(is_told(&lent, "memory_lent", "lends it 1 GB"), "{lent:?}");
    assert!(!is_told(&lent, "memory_high", ""), "{lent:?}");
}

#[tokio::test]
async fn a_gpu_that_is_not_used_or_not_well_is_told() {
    let site = scene().await;
    let mut fleet = Fleet::clone(&site.hub.fleet.fleet());
    assert_eq!(told(&fleet, &site, "nets"), []);
    // Held and not used.
    let rule = GpuRule {
        whose: Whose::default(),
        after: Seconds(60),
        action: GpuAction::OfferCpu,
        then_stop_after: Some(Seconds(86_400)),
        if_kernel_busy: IfBusy::Report,
        cite: Cite::default(),
    };
    Arc::make_mut(&mut fleet.settings).lifecycle.gpu_unused = vec![rule];
    let id = site.server("alice", "nets").id.clone();
    let server = Arc::make_mut(fleet.servers.get_mut(&id).unwrap());
    let life = &mut placed(server).life;
    life.signs.remove(&Evidence::Gpu);
    life.gpu.since = Some(Timestamp(now().0 - 3_600_000_000));
    let unused = told(&fleet, &site, "nets");
    assert!(is_told(&unused, "gpu_unused", "held and not used"), "{unused:?}");

    // Set aside under it, and gone without a word.
    let host = site.server("alice", "nets").placement().unwrap().host.clone();
    let heard = |fleet: &mut Fleet, change: &dyn Fn(&mut Vec<_>)| {
        let host = Arc::make_mut(fleet.hosts.get_mut(&host).unwrap());
        change(Arc::make_mut(&mut Arc::make_mut(host.heard.as_mut().unwrap()).gpus));
    };
    heard(&mut fleet, &|gpus| gpus[0].trouble = Some("48 retired pages".into()));
    let sick = told(&fleet, &site, "nets");
    assert!(is_told(&sick, "gpu_trouble", "48 retired pages"), "{sick:?}");
    heard(&mut fleet, &|gpus| gpus.truncate(1));
    let gone = told(&fleet, &site, "nets");
    assert!(is_told(&gone, "gpu_trouble", "does not see it any more"), "{gone:?}");
}
