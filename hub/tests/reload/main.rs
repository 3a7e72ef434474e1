//! The site's files as a hub lives with them: taken over all or not at all, the last good ones kept
//! for a restart, and the way back. With the program itself, over its administrators' socket.

mod hub;
mod slips;
#[path = "../../../tests/src/slips.rs"]
mod text;

use std::process::Command;
use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

use hub::Hub;

const WRONG: &str = "[default]\nmemory = \"16\"\n";
const OTHER: &str = "[default]\nservers = 3\nmemory = \"32 GB\"\n";

#[tokio::test]
async fn wrong_files_change_nothing_also_over_a_restart() {
    let mut hub = Hub::start().await;
    assert_eq!(hub.config().await["same_as_disk"], true);
    hub.write("quotas.toml", WRONG);
    let told = hub.ask("POST", "config/reload").await.unwrap()["config"].clone();
    assert_eq!(told["applied"], false);
    assert_eq!(
        (&told["found"][0]["file"], &told["found"][0]["line"]),
        (&"quotas.toml".into(), &3.into())
    );
    let now = hub.config().await;
    assert_eq!((&now["valid"], &now["same_as_disk"]), (&false.into(), &false.into()));
    // The hub is killed, and finds the wrong file again.
    hub.kill();
    hub.run().await;
    let now = hub.config().await;
    assert_eq!((&now["from"], &now["valid"]), (&"kept".into(), &false.into()), "{now}");
    hub.until_kept("16 GB").await;
    // Put right, it is taken over by itself.
    hub.write("quotas.toml", OTHER);
    hub.until("the file that was put right", |now| now["from"] == "disk").await;
    hub.until_kept("32 GB").await;
}

#[tokio::test]
async fn a_signal_takes_files_over_and_a_rollback_goes_back() {
    let mut hub = Hub::start().await;
    hub.write("quotas.toml", OTHER);
    hub.hang_up();
    hub.until("the other file", |now| now["same_as_disk"] == true).await;
    let told = hub.ask("POST", "config/rollback").await.unwrap()["config"].clone();
    assert_eq!(told["applied"], true, "{told}");
    hub.until_kept("16 GB").await;
    let diff = hub.ask("GET", "config/diff").await.unwrap()["diff"].clone();
    assert_eq!(diff[0]["file"], "quotas.toml");
    assert!(diff[0]["on_disk"].as_str().unwrap().contains("32 GB"), "{diff}");
    // What somebody went back to stays, as long as the disk says what was left.
    hub.kill();
    hub.run().await;
    assert_eq!(hub.config().await["from"], "rolled back");
    hub.write("quotas.toml", "[default]\nmemory = \"64 GB\"\n");
    hub.until("new files end it", |now| now["from"] == "disk").await;
    hub.until_kept("64 GB").await;
}

#[tokio::test]
async fn what_only_a_restart_takes_over_is_said_until_then() {
    let mut hub = Hub::start().await;
    assert_eq!(hub.config().await["found"], json!([]));
    let text = std::fs::read_to_string(hub.etc().join("hub.toml")).unwrap();
    let text = text.strip_prefix("version = 1\n").unwrap();
    let socket = hub.folder.path().join("proxy.sock").display().to_string();
    let other = text.replace(&socket, "/run/other.sock").replace("1:8000", "1:9000");
    // Nobody answers there, which the doctor says.
    let mail = "[mail]\nsmtp = \"127.0.0.1:1\"\nfrom = \"notebooks@example.org\"\n";
    hub.write("hub.toml", &format!("{other}{mail}"));
    let lines = |found: &Value| -> Vec<Value> {
        let all = found.as_array().unwrap().iter();
        all.filter(|one| one["code"] == "config.warning.restart")
            .map(|one| json!([one["file"], one["line"], one["severity"]]))
            .collect()
    };
    let expected = [json!(["hub.toml", 3, "warning"]), json!(["hub.toml", 10, "warning"])];
    let now = hub.config().await;
    assert_eq!((lines(&now["found"]), &now["valid"]), (expected.to_vec(), &json!(true)), "{now}");
    let diff = hub.ask("GET", "config/diff").await.unwrap()["diff"].clone();
    let told = diff[0]["restart"][0].as_str().unwrap();
    let words = "[hub] public_url takes effect when berth-hub is restarted";
    assert!(told.starts_with(words) && told.ends_with("it is \"http://127.0.0.1:8000\""), "{told}");
    // By the program alone, which asks no hub.
    let check = || {
        let check = Command::new(env!("CARGO_BIN_EXE_berth-hub"))
            .args(["config", "check"])
            .arg(hub.etc())
            .output()
            .unwrap();
        String::from_utf8(check.stderr).unwrap()
    };
    assert_eq!(check().matches("config.warning.restart").count(), 2, "{}", check());

    let told = hub.ask("POST", "config/reload").await.unwrap()["config"].clone();
    assert_eq!((&told["applied"], lines(&told["found"])), (&json!(true), expected.to_vec()));
    assert_eq!(lines(&hub.config().await["found"]), expected, "still not in force");
    // The rest of the same file holds.
    let mail = async |hub: &Hub| {
        let found = hub.ask("GET", "doctor").await.unwrap().to_string();
        found.contains("127.0.0.1:1")
    };
    assert!(mail(&hub).await, "the doctor asks the new mail server");

    hub.kill();
    hub.run().await;
    assert_eq!(lines(&hub.config().await["found"]), [] as [Value; 0]);
}

#[tokio::test]
async fn the_log_is_as_the_file_says_from_the_reload_on() {
    let hub = Hub::start().await;
    let log = || std::fs::read_to_string(hub.folder.path().join("log")).unwrap();
    assert!(log().contains(" INFO ") && !log().contains("event.kind"), "{}", log());
    let text = std::fs::read_to_string(hub.etc().join("hub.toml")).unwrap();
    let text = text.strip_prefix("version = 1\n").unwrap();
    let with = async |logs: &str| {
        hub.write("hub.toml", &format!("{text}{logs}"));
        hub.ask("POST", "config/reload").await.unwrap()["config"].clone()
    };
    assert_eq!(with("[logs]\nformat = \"ecs\"\n").await["applied"], true);
    let lines = log();
    let reloaded = lines.lines().rfind(|line| line.contains("configuration reloaded")).unwrap();
    let line: Value = serde_json::from_str(reloaded).unwrap();
    assert_eq!(line["service.name"], "berth-hub", "{line}");
    // Nothing of what happens, and wrong files change nothing of that.
    assert_eq!(with("[logs]\nlevel = \"error\"\n").await["applied"], true);
    let before = log().len();
    let told = with("[logs]\nlevel = \"loud\"\n").await;
    assert_eq!(
        (&told["applied"], &told["found"][0]["line"]),
        (&json!(false), &json!(12)),
        "{told}"
    );
    assert_eq!(with("[logs]\nlevel = \"error\"\n").await["applied"], true);
    let lines = log();
    assert!(
        lines[before..].contains("not reloaded") && !lines[before..].contains(" INFO "),
        "{lines}"
    );
}

const SCHOOL: &str = "[training.school]\npool = \"training\"\nfrom = 2020-01-01T08:00:00Z\n\
    to = 2020-01-01T18:00:00Z\nparticipants = { users = [\"alice\"], expected = 1 }\n\
    profile = { memory = \"4 GB\", image = \"base\" }\n";

#[tokio::test]
async fn the_calendar_survives_a_hub_that_is_killed() {
    let mut hub = Hub::start().await;
    hub.write("pools.toml", "[pool.cpu]\n[pool.training]\nopen = \"trainings\"\n");
    hub.write("hosts.d/20.toml", "host = [ { names = \"tr1\", pool = \"training\" } ]\n");
    hub.write("trainings.d/school.toml", SCHOOL);
    let told = hub.ask("POST", "config/reload").await.unwrap()["config"].clone();
    assert_eq!(told["applied"], true, "{told}");
    let order = json!({ "order": "open", "for_s": 3600, "reason": "visitors" });
    let given = hub.send("POST", "trainings/school/orders", order).await.unwrap();
    assert_eq!(given["training"]["state"], "open", "{given}");
    let now = berth_process::clock::now();
    let after = |hours: u64| now.plus(berth_common::Seconds(hours * 3600)).to_string();
    let body = json!({ "hosts": ["wn1"], "from": after(1), "to": after(2), "reason": "disks" });
    let planned = hub.send("POST", "maintenance", body).await.unwrap();
    assert_eq!(planned["maintenance"]["state"], "begun", "a day ahead is now: {planned}");

    hub.kill();
    hub.run().await;
    let school = hub.ask("GET", "trainings/school").await.unwrap()["training"].clone();
    assert_eq!(school["state"], "open", "{school}");
    let order = &school["orders"][0];
    assert_eq!((&order["who"], &order["reason"]), (&json!("local-admin"), &json!("visitors")));
    let planned = hub.ask("GET", "maintenance").await.unwrap()["maintenance"].clone();
    assert_eq!(planned[0]["state"], "begun", "{planned}");
    let drains = hub.ask("GET", "drains").await.unwrap()["drains"].clone();
    assert_eq!(
        (&drains[0]["host"], &drains[0]["intent"]["reason"]),
        (&json!("wn1"), &json!("disks"))
    );
    // Taken back, its host takes servers again.
    let id = &planned[0]["id"];
    hub.ask("DELETE", &format!("maintenance/{id}")).await;
    let drains = hub.ask("GET", "drains").await.unwrap()["drains"].clone();
    assert_eq!(drains, json!([]));
}

/// People who ask, all the time.
const PEOPLE: usize = 8;
/// What each of them asks for, one after the other.
const WISHES: usize = 12;

#[tokio::test]
async fn a_reload_under_load_loses_nothing() {
    let hub = Hub::start().await;
    let person = async |number: usize| {
        for wish in 0..WISHES {
            let id = 30_000 + number * WISHES + wish;
            let name = format!("u{id}");
            let user = json!({ "name": name, "uid": id, "gid": id, "groups": [],
                "home": format!("/home/{name}"), "admin": false });
            let (status, answer) = hub.call("POST", "/hub/api/berth/users", user).await.unwrap();
            assert_eq!(status, StatusCode::CREATED, "{answer}");
            // No host reports: each of them waits, and none may be forgotten.
            let path = format!("/hub/api/users/{name}/server");
            let (status, answer) = hub.call("POST", &path, json!({})).await.unwrap();
            assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
        }
    };
    let people = futures::future::join_all((0..PEOPLE).map(person));
    let mut people = std::pin::pin!(people);
    let mut reloads = 0;
    loop {
        // Sizes that are all allowed; now and then files that are wrong and change nothing.
        let text = match reloads % 3 {
            0 => OTHER,
            1 => WRONG,
            _ => "[default]\nservers = 3\nmemory = \"64 GB\"\n",
        };
        let reload = async {
            hub.write("quotas.toml", text);
            hub.ask("POST", "config/reload").await.unwrap()["config"]["applied"].clone()
        };
        tokio::select! {
            _ = &mut people => break,
            applied = reload => assert_eq!(applied, json!(text != WRONG), "{text}"),
        }
        reloads += 1;
    }
    assert!(reloads > 3, "only {reloads} reloads while people asked");
    let servers = hub.ask("GET", "servers").await.unwrap()["servers"].clone();
    let waiting = servers.as_array().unwrap().iter().filter(|it| it["state"] == "waiting").count();
    assert_eq!(waiting, PEOPLE * WISHES, "after {reloads} reloads");
    // What was written last is what holds.
    hub.write("quotas.toml", "[default]\nservers = 3\nmemory = \"24 GB\"\n");
    let told = hub.ask("POST", "config/reload").await.unwrap()["config"].clone();
    assert_eq!(told["applied"], true, "{told}");
    hub.until_kept("24 GB").await;
}

#[tokio::test]
async fn a_hub_that_is_asked_to_end_answers_first_and_ends_well() {
    let mut hub = Hub::start().await;
    for (body, status) in [
        (json!({ "proxy": "yes" }), 400),
        (json!({ "servers": 7 }), 400),
        // The proxy serves on: it is not the hub's to end.
        (json!({ "proxy": true }), 400),
    ] {
        let (told, answer) = hub.call("POST", "/hub/api/shutdown", body).await.unwrap();
        assert_eq!(told, status, "{answer}");
    }
    let (status, answer) = hub.call("POST", "/hub/api/shutdown", json!({})).await.unwrap();
    assert_eq!((status.as_u16(), answer), (202, json!({ "message": "Shutting down Hub" })));
    let mut process = hub.process.take().unwrap();
    let ended = tokio::task::spawn_blocking(move || process.wait().unwrap());
    let ended = tokio::time::timeout(Duration::from_secs(60), ended).await;
    assert!(ended.expect("it ends").unwrap().success());
    hub.run().await;
    let acts = hub.ask("GET", "audit?action=hub-shutdown").await.unwrap();
    assert_eq!(acts["audit"].as_array().unwrap().len(), 1, "{acts}");
}
