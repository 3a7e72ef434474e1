//! A host that has less than its file declares.

use std::sync::Arc;

use berth_core::settings::{DeclaredGpus, HostSettings, Settings};
use berth_core::{Event, HostState};

use super::site::{Site, gb};
use crate::web::reader::{Language, Reader};

/// Another file comes into force for a host.
async fn declare(site: &Site, host: &str, change: impl FnOnce(&mut HostSettings)) {
    let mut settings = Settings::clone(&site.hub.fleet.fleet().settings);
    settings.version += 1;
    change(settings.hosts.get_mut(&host.parse().unwrap()).unwrap());
    site.hub.fleet.send(Event::SettingsChanged(Arc::new(settings))).await;
    site.report(host, Ok(Vec::new())).await;
}

fn state(site: &Site, host: &str) -> HostState {
    let fleet = site.hub.fleet.fleet();
    fleet.host_state(&fleet.hosts[&host.parse().unwrap()], berth_process::clock::now())
}

#[tokio::test]
async fn a_host_with_less_than_declared_takes_nothing_and_says_both_numbers() {
    let site = Site::new().await;
    declare(&site, "wn1", |host| host.memory = Some(gb(64))).await;
    assert_eq!(state(&site, "wn1"), HostState::Mismatch);
    let page = site.get("erin", "/hub/admin/hosts").await.text();
    for fact in ["wn1 joining", "64 GB of memory declared, 32 GB reported", "host.mismatch"] {
        assert!(page.contains(fact), "{fact:?} is missing:\n{page}");
    }
    let reader = Reader { language: Language::French, ..Reader::default() };
    let french = reader.served(site.get("erin", "/hub/admin/hosts/wn1")).await.text();
    assert!(french.contains("64 GB de mémoire déclarés, 32 GB annoncés"), "{french}");

    for name in ["", "b"] {
        let form = format!("profile=cpu&memory=2G&name={name}");
        site.post("alice", "/hub/spawn/alice", &form).await;
        let host = site.server("alice", name).placement().unwrap().host.to_string();
        assert_eq!(host, "wn2", "nothing is placed on a host that differs");
    }

    // What the firmware keeps for itself is no difference, and neither is more than declared.
    for memory in [gb(34), gb(8)] {
        declare(&site, "wn1", |host| host.memory = Some(memory)).await;
        assert_eq!(state(&site, "wn1"), HostState::Ready, "{memory}");
    }

    let gpus = DeclaredGpus { model: "Tesla K80".into(), count: 4, memory: gb(12) };
    declare(&site, "wn1", |host| host.gpus = Some(gpus)).await;
    let page = site.get("erin", "/hub/admin/hosts").await.text();
    assert!(page.contains("4 GPUs Tesla K80 declared, 0 reported"), "{page}");
}
