//! Slips of a hand in the files of a hub that runs: it tells each with file and line, and goes on as
//! before.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::hub::Hub;
use super::text::{Chance, mutate};

/// All subjects but what would call strangers: an account directory is a file, and services are
/// elsewhere.
const MORE: [(&str, &str); 7] = [
    ("directory.toml", "cache = \"10m\"\n[[source]]\nkind = \"file\"\npasswd = \"passwd\"\n"),
    ("services.toml", "[service.wiki]\nurl = \"http://127.0.0.1:1\"\nonly = [\"/api/\"]\n"),
    ("roles.toml", "[role.tutor]\nscopes = [\"read:users!group=school\"]\ngroups = [\"tutors\"]\n"),
    ("farm.toml", "every = \"1h\"\n[gateway]\nservice = \"wiki\"\n"),
    (
        "access.toml",
        "deny = [ { users = [\"mallory\"], reason = \"left\" } ]\n\
         allow = [ { profile = \"cpu\", groups = [\"*\"], until = 2999-12-31 } ]\n",
    ),
    ("mounts.toml", "mount = [ { name = \"SPS\", source = \"/sps\", mode = \"ro\" } ]\n"),
    ("lifecycle.toml", "idle = [ { profile = \"*\", stop_after = \"3d\" } ]\n"),
];

/// Slips in a run: a share of them, or all.
fn slips() -> u64 {
    if std::env::var_os("BERTH_LONG").is_some() { 10_000 } else { 300 }
}

/// What the files give a person, and what there is.
async fn effective(hub: &Hub) -> [Value; 3] {
    let rights = hub.ask("GET", "config/effective/alice").await.unwrap();
    let pools = hub.ask("GET", "pools").await.unwrap();
    [rights, pools["pools"].clone(), hub.ask("GET", "profiles").await.unwrap()["profiles"].clone()]
}

#[tokio::test]
async fn a_running_hub_goes_on_as_before_whatever_its_files_say() {
    let hub = Hub::start().await;
    std::fs::write(hub.etc().join("passwd"), "alice:x:2001:2001::/home/alice:/bin/sh\n").unwrap();
    for (name, text) in MORE {
        hub.write(name, text);
    }
    let reload = async || hub.ask("POST", "config/reload").await.unwrap()["config"].clone();
    let told = reload().await;
    assert_eq!((&told["applied"], &told["found"]), (&json!(true), &json!([])), "{told}");
    let user = json!({ "name": "alice", "uid": 2001, "gid": 2001, "groups": [],
        "home": "/home/alice", "admin": false });
    hub.call("POST", "/hub/api/berth/users", user).await.unwrap();
    let good: BTreeMap<String, String> = std::fs::read_dir(hub.etc())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".toml"))
        .map(|name| (name.clone(), std::fs::read_to_string(hub.etc().join(&name)).unwrap()))
        .collect();
    let names: Vec<&String> = good.keys().collect();
    assert_eq!(names.len(), 13, "{names:?}");
    let put = |name: &str, text: &str| {
        berth_process::file::replace(&hub.etc().join(name), text.as_bytes(), 0o644).unwrap();
    };

    let before = effective(&hub).await;
    let (mut refused, mut taken) = (0, 0);
    for seed in 0..slips() {
        let mut chance = Chance(seed);
        let name = names[chance.below(names.len())];
        let text = mutate(&good[name], &mut chance);
        put(name, &text);
        let told = reload().await;
        if told["applied"] == json!(true) {
            taken += 1;
        } else {
            refused += 1;
            let found = told["found"].as_array().unwrap();
            assert_eq!(found[0]["severity"], "error", "seed {seed}: {told}");
            for one in found {
                let named = names.iter().any(|name| **name == one["file"]);
                let line = one["line"].as_u64().unwrap();
                assert!(named && line > 0, "seed {seed}, {name}:\n{text}\n{told}");
            }
            assert_eq!(effective(&hub).await, before, "seed {seed}, {name}:\n{text}");
        }
        put(name, &good[name]);
        let told = reload().await;
        assert_eq!(told["applied"], json!(true), "seed {seed}, {name}: {told}");
    }
    println!("{refused} refused, {taken} taken");
    assert!(refused * 2 > slips(), "{refused} are too few: are the files changed?");
    assert_eq!(effective(&hub).await, before);
    assert_eq!(hub.config().await["same_as_disk"], true);
}
