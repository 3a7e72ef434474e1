//! Explanations, plans, the queue and the hosts' intents over the API: what they say, and to whom.

use std::sync::Arc;

use axum::http::StatusCode;
use berth_common::link::ObservedState;
use berth_common::{ByteCount, Reason, ServerName, Timestamp, Username};
use berth_core::Decision;
use berth_core::event::Row;
use berth_core::store::Store;
use berth_hub::actions;
use berth_hub::plan::replay;
use serde_json::{Value, json};

use crate::site::{Client, Site};

const GB: u64 = 1 << 30;

/// A call of each route that is for administrators only.
const FOR_ADMINISTRATORS: [(&str, &str, &str); 9] = [
    ("GET", "/hub/api/berth/hosts/wn1/explain", ""),
    ("PUT", "/hub/api/berth/hosts/wn1/intent", r#"{"intent": "cordoned", "reason": "kernel"}"#),
    ("GET", "/hub/api/berth/queue", ""),
    ("GET", "/hub/api/berth/floor", ""),
    ("POST", "/hub/api/berth/plan", r#"{"remove_hosts": ["wn1"]}"#),
    ("POST", "/hub/api/berth/plan/config", r#"{"files": {}}"#),
    ("GET", "/hub/api/berth/servers/SERVER/why-not/wn1", ""),
    ("GET", "/hub/api/berth/consolidation", ""),
    ("GET", "/hub/api/berth/reboots", ""),
];

#[tokio::test]
async fn what_is_for_administrators_is_told_to_nobody_else() {
    let site = Site::new().await;
    let server = site.running("alice", "").await;
    let alice = site.program("alice").await;
    let narrow = site.token("root_", &["read:servers"]).await;
    let narrow = site.by_token(&narrow);
    let admin = site.program("root_").await;
    for (method, path, body) in FOR_ADMINISTRATORS {
        let path = path.replace("SERVER", server.id.as_str());
        let nobody = axum::http::Request::builder().method(method).uri(&path);
        let nobody = nobody.body(axum::body::Body::from(body)).unwrap();
        let nobody = site.send(nobody).await;
        assert_eq!(nobody.message(), "Missing or invalid credentials.", "{path}");
        // Also not to the server's owner: hosts are none of a person's business.
        for other in [&alice, &narrow] {
            let reply = other.json(method, &path, body).await;
            assert_eq!(reply.status, StatusCode::FORBIDDEN, "{path}");
            assert!(reply.message().contains("requires any of [admin-ui]"), "{path}");
        }
        let reply = admin.json(method, &path, body).await;
        assert_eq!(reply.status, StatusCode::OK, "{path}: {}", reply.text);
        assert_eq!(reply.json()["schema_version"], 1, "{path}");
    }
}

#[tokio::test]
async fn decisions_are_listed_to_those_who_may_read_the_servers() {
    let site = Site::new().await;
    site.running("alice", "").await;
    site.running("bob", "").await;
    let admin = site.program("root_").await;
    let alice = site.program("alice").await;
    let users = |reply: Value| -> Vec<String> {
        let list = reply["decisions"].as_array().unwrap();
        list.iter().map(|it| it["user"].as_str().unwrap().to_owned()).collect()
    };
    let list = "/hub/api/berth/decisions";
    assert_eq!(users(admin.get(list).await.json()), ["bob", "alice"]);
    assert_eq!(users(admin.get(&format!("{list}?user=bob")).await.json()), ["bob"]);
    assert_eq!(users(admin.get(&format!("{list}?limit=1")).await.json()), ["bob"]);
    let later = format!("{list}?since=2999-01-01T00:00:00Z");
    assert_eq!(users(admin.get(&later).await.json()), [""; 0]);
    assert_eq!(users(alice.get(list).await.json()), ["alice"]);
    assert_eq!(users(alice.get(&format!("{list}?user=bob")).await.json()), [""; 0]);
    assert_eq!(users(alice.get(&format!("{list}?user=nobody")).await.json()), [""; 0]);
    let none = site.token("alice", &["tokens"]).await;
    assert_eq!(site.by_token(&none).get(list).await.status, StatusCode::FORBIDDEN);
    for bad in ["since=soon", "limit=many", "stranger=1"] {
        let reply = admin.get(&format!("{list}?{bad}")).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{bad}: {}", reply.text);
    }
}

/// The six questions of Nomad's issue 3833.
#[tokio::test]
async fn an_explanation_tells_what_there_is_and_what_is_missing() {
    let site = Site::new().await;
    site.running("alice", "").await;
    let admin = site.program("root_").await;
    let bob = site.program("bob").await;
    let ask = r#"{"user": "bob", "memory": "28 GB"}"#;
    let decision = &admin.json("POST", "/hub/api/berth/explain", ask).await.json()["decision"];
    let room = json!({
        "pool": "cpu", "hosts": 1, "ready": 1,
        "free_by_limits": 26 * GB, "free_by_used": 29 * GB, "free_gpus": 0,
        "largest_piece": { "host": "wn1", "memory": 26 * GB },
        "missing": { "host": "wn1", "memory": 2 * GB, "gpus": 0, "because_of": "asked" },
    });
    assert_eq!(decision["room"], room);
    assert_eq!(decision["possible_hosts"], 0);
    assert_eq!(decision["excluded_hosts"][0]["hosts"], 1);
    // What is told to bob names no host.
    let decision = &bob.json("POST", "/hub/api/berth/explain", ask).await.json()["decision"];
    assert_eq!(decision["room"]["missing"]["memory"], 2 * GB);
    assert!(!decision["room"].to_string().contains("wn1"), "{decision}");
    assert!(decision.get("hosts").is_none());
}

#[tokio::test]
async fn why_not_answers_for_then_and_for_now() {
    let site = Site::new().await;
    let server = site.running("alice", "").await;
    let admin = site.program("root_").await;
    let path = format!("/hub/api/berth/servers/{}/why-not", &server.id.as_str()[..6]);
    let told = admin.get(&format!("{path}/wn1?count=9")).await.json()["why_not"].clone();
    assert_eq!((&told["user"], &told["on"]), (&json!("alice"), &json!("wn1")));
    assert_eq!(told["decision"]["line"]["verdict"], "chosen");
    // 30 GB hold seven servers of 4 GB.
    assert_eq!(told["now"], json!({ "count": 9, "fits": 7, "obstacles": [] }));
    let body = r#"{"intent": "cordoned", "reason": "kernel update"}"#;
    admin.json("PUT", "/hub/api/berth/hosts/wn1/intent", body).await;
    let told = admin.get(&format!("{path}/wn1")).await.json()["why_not"]["now"].clone();
    assert_eq!(told["fits"], 0);
    assert_eq!(told["obstacles"][0]["reason"]["code"], "host.cordoned");
    assert_eq!(told["obstacles"][0]["detail"], "kernel update");
    assert_eq!(admin.get(&format!("{path}/wn9")).await.status, StatusCode::NOT_FOUND);
    assert_eq!(admin.get(&format!("{path}/..")).await.status, StatusCode::BAD_REQUEST);
    for bad in ["count=0", "count=1001", "count=x"] {
        let reply = admin.get(&format!("{path}/wn1?{bad}")).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{bad}");
    }
    let nowhere = admin.get("/hub/api/berth/servers/ffffff/why-not/wn1").await;
    assert_eq!(nowhere.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_host_tells_what_it_would_take_and_who_holds_it() {
    let site = Site::new().await;
    site.running("alice", "").await;
    let admin = site.program("root_").await;
    let path = "/hub/api/berth/hosts/wn1/explain";
    let host = admin.get(path).await.json()["host"].clone();
    assert_eq!(host["state"], "ready");
    assert_eq!(host["takes"], json!({ "memory": 26 * GB, "memory_with_gpu": null }));
    assert_eq!(host["memory"]["limits"], 4 * GB);
    assert_eq!(host["memory"]["used"], GB);
    assert_eq!(host["memory"]["usable"], 30 * GB);
    for field in ["live", "limits_most", "peaks", "headroom"] {
        assert!(host["memory"][field].is_u64(), "{field}: {}", host["memory"]);
    }
    assert_eq!(host["servers"][0]["user"], "alice");
    let body = r#"{"intent": "cordoned", "reason": "kernel update"}"#;
    admin.json("PUT", "/hub/api/berth/hosts/wn1/intent", body).await;
    let host = admin.get(path).await.json()["host"].clone();
    assert_eq!((&host["state"], &host["detail"]), (&json!("cordoned"), &json!("kernel update")));
    assert_eq!(host["takes"]["memory"], Value::Null);
    assert_eq!(host["would_take"]["memory"], 26 * GB);
    assert_eq!(host["intent"]["who"], "root_");
    let missing = admin.get("/hub/api/berth/hosts/wn9/explain").await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_intent_is_previewed_then_followed() {
    let site = Site::new().await;
    let server = site.running("alice", "").await;
    let admin = site.program("root_").await;
    let path = "/hub/api/berth/hosts/wn1/intent";
    let drain = r#"{"intent": "draining", "reason": "driver", "by": "2999-01-01T00:00:00Z",
                    "at_deadline": "hold", "dry_run": true}"#;
    let told = admin.json("PUT", path, drain).await.json();
    assert_eq!((&told["dry_run"], &told["state"]), (&json!(true), &json!("ready")));
    assert_eq!(told["outlook"]["without_place"], 1, "there is no other host");
    assert_eq!(told["outlook"]["empty_at"], Value::Null);
    assert_eq!(told["outlook"]["servers"][0]["id"], server.id.as_str());
    assert_eq!(told["outlook"]["servers"][0]["end"], "held");
    assert_eq!(admin.get("/hub/api/berth/hosts/wn1").await.json()["host"]["state"], "ready");
    let drain = drain.replace("true", "false").replace("hold", "stop");
    let told = admin.json("PUT", path, &drain).await.json();
    assert_eq!(told["state"], "draining");
    assert_eq!(told["outlook"]["servers"][0]["end"], "stopped");
    assert_eq!(told["intent"]["by"], "2999-01-01T00:00:00.000000Z");
    let dry = admin.json("POST", "/hub/api/berth/explain", r#"{"user": "bob"}"#).await.json();
    assert_eq!(dry["decision"]["outcome"], "waits", "the host takes nothing new");
    let open = admin.json("PUT", path, r#"{"intent": "open"}"#).await.json();
    assert_eq!((&open["state"], &open["outlook"]), (&json!("ready"), &Value::Null));
    for (bad, why) in [
        ("{}", "intent: say open"),
        (r#"{"intent": "closed"}"#, "intent: unknown variant"),
        (r#"{"intent": "cordoned"}"#, "reason: say why"),
        (r#"{"intent": "draining", "reason": "  "}"#, "reason: say why"),
        (r#"{"intent": "cordoned", "reason": "x", "by": "2999-01-01T00:00:00Z"}"#, "draining only"),
        (r#"{"intent": "draining", "reason": "x", "by": "2001-01-01T00:00:00Z"}"#, "is over"),
        (r#"{"intent": "draining", "reason": "x", "by": "friday"}"#, "by: "),
        (r#"{"intent": "open", "why": "x"}"#, "Invalid JSON keys: why"),
    ] {
        let reply = admin.json("PUT", path, bad).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{bad}");
        assert!(reply.message().contains(why), "{bad}: {}", reply.message());
    }
    let missing = admin.json("PUT", "/hub/api/berth/hosts/wn9/intent", &drain).await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_queue_tells_who_waits_for_what() {
    let site = Site::new().await;
    site.running("alice", "").await;
    let admin = site.program("root_").await;
    assert_eq!(admin.get("/hub/api/berth/queue").await.json()["queue"], json!([]));
    let bob = site.program("bob").await;
    let ask = r#"{"memory": "28 GB"}"#;
    let asked = bob.json("POST", "/hub/api/users/bob/server", ask).await;
    assert_eq!(asked.status, StatusCode::ACCEPTED);
    let queue = admin.get("/hub/api/berth/queue").await.json()["queue"].clone();
    assert_eq!(queue.as_array().unwrap().len(), 1);
    assert_eq!((&queue[0]["user"], &queue[0]["place"]), (&json!("bob"), &json!(1)));
    assert_eq!(queue[0]["ask"]["memory"], 28 * GB);
    assert_eq!(queue[0]["reason"]["code"], "wait.memory.reserved");
    assert_eq!((&queue[0]["pool"], &queue[0]["held"]), (&json!("cpu"), &Value::Null));
    // One host more, and it starts.
    let body = r#"{"add_hosts": [{"like": "cpu", "memory": "64 GB"}]}"#;
    let plan = admin.json("POST", "/hub/api/berth/plan", body).await.json();
    assert_eq!(plan["queue"], json!({ "waiting": 1, "start_now": 0, "would_start": 1 }));
    assert_eq!(plan["pools"][0]["largest_now"], 26 * GB);
    assert_eq!(plan["pools"][0]["largest_then"], 62 * GB);
}

#[tokio::test]
async fn a_plan_tells_who_would_have_no_place() {
    let site = Site::new().await;
    site.running("alice", "").await;
    let admin = site.program("root_").await;
    let plan = async |body: &str| admin.json("POST", "/hub/api/berth/plan", body).await;
    let told = plan(r#"{"remove_hosts": ["wn1"], "replay_since": "monday"}"#).await;
    assert_eq!(told.status, StatusCode::BAD_REQUEST, "no moment");
    let body = r#"{"remove_hosts": ["wn1"], "replay_since": "2020-01-01T00:00:00Z"}"#;
    let told = plan(body).await.json();
    assert_eq!(told["fit"], json!({ "of": 1, "by_limits": 0, "by_used": 0, "by_rule": 0 }));
    assert_eq!(told["servers"][0]["user"], "alice");
    assert_eq!(told["pools"][0]["largest_then"], Value::Null);
    assert_eq!(told["replay"]["requests"], 1);
    assert_eq!(told["replay"]["now_waits"], 1, "nothing could have started: {told}");
    // Another one like it takes all of them.
    let both = r#"{"remove_hosts": ["wn1"], "add_hosts": [{"like": "wn1"}]}"#;
    let told = plan(both).await.json();
    assert_eq!(told["fit"], json!({ "of": 1, "by_limits": 1, "by_used": 1, "by_rule": 1 }));
    assert_eq!(told["servers"][0]["by_rule"], "new-1");
    assert_eq!(site.hub.fleet.fleet().hosts.len(), 1, "a plan changes nothing");
    for (bad, status) in [
        ("{}", StatusCode::BAD_REQUEST),
        (r#"{"remove_hosts": ["wn9"]}"#, StatusCode::NOT_FOUND),
        (r#"{"add_hosts": [{"like": "moon"}]}"#, StatusCode::NOT_FOUND),
        (r#"{"add_hosts": [{"like": "cpu", "disk": 1}]}"#, StatusCode::BAD_REQUEST),
        (r#"{"add_hosts": [{"like": "cpu", "count": 5000}]}"#, StatusCode::BAD_REQUEST),
    ] {
        assert_eq!(plan(bad).await.status, status, "{bad}");
    }
}

/// What replays stand on: decided again on its recorded floor and files, a request has the answer
/// that it had.
#[tokio::test]
async fn a_request_decided_again_has_the_same_answer() {
    let site = Site::new().await;
    let users = ["alice", "bob", "root_"];
    // Every way of a mixed history: placed, waiting, over the quota, too large.
    for round in 0_u64..90 {
        let user: Username = users[(round % 3) as usize].parse().unwrap();
        let name: ServerName = format!("n{}", round * 7 % 5).parse().unwrap();
        let account = site.hub.storage.read(|reader| reader.user(&user)).unwrap().unwrap().account;
        let memory = [1, 2, 20, 65, 3][(round * 11 % 5) as usize];
        let memory = Some(ByteCount(memory * GB));
        let wish = berth_core::event::Wish { memory, ..Default::default() };
        actions::start(&site.hub, account, name, wish, None, false).await.unwrap();
        let fleet = site.hub.fleet.fleet();
        // Who waits holds no room, and is not on the floor; and now and then somebody leaves.
        let waiting = fleet.waiting().next().map(|server| server.id.clone());
        let leaves = fleet.servers.keys().nth((round % 11) as usize).cloned();
        for server in waiting.into_iter().chain(leaves.filter(|_| round % 6 == 5)) {
            actions::stop(&site.hub, &server, Reason::StoppedUser).await.unwrap();
        }
        site.report(Vec::new()).await;
    }
    let read = |since| site.hub.storage.read(|reader| reader.decisions_since(since, 1_000));
    let decisions = read(Timestamp(0)).unwrap();
    let mut outcomes = std::collections::BTreeSet::new();
    for decision in decisions.iter().filter(|decision| replay::is_request(decision)) {
        let version = decision.inputs.floor;
        let floor = site.hub.storage.read(|reader| reader.floor(version)).unwrap();
        let verdict = replay::again(decision, &floor, &site.hub.fleet.fleet().settings);
        assert_eq!(verdict.reason, decision.reason(), "{decision:?}");
        outcomes.insert(verdict.reason.code());
    }
    let all = ["placed.now", "refused.quota.servers", "refused.too_big", "wait.memory.reserved"];
    assert_eq!(outcomes.into_iter().collect::<Vec<_>>(), all);
}

/// Files under which alice's 4 GB are too much, or not.
fn files(most: &str) -> Value {
    json!({
        "hub.toml": "version = 1\n[hub]\npublic_url = \"https://notebook.example.org\"\n",
        "pools.toml": "version = 1\n[pool.cpu]\n",
        "images.toml": "version = 1\n[image.base]\nref = \"nb:1\"\n",
        "profiles.toml": format!(
            "version = 1\n[profile.cpu]\npool = \"cpu\"\nimages = [\"base\"]\n\
             memory = {{ default = \"1 GB\", max = \"{most}\" }}\n"
        ),
        "hosts.d/10-cpu.toml": "version = 1\nhost = [{ names = \"wn1\", pool = \"cpu\" }]\n",
    })
}

#[tokio::test]
async fn other_files_are_checked_and_recorded_requests_replayed_on_them() {
    let site = Site::new().await;
    site.running("alice", "").await;
    let admin = site.program("root_").await;
    let plan = async |files: Value| {
        let body = json!({ "files": files, "replay_since": "2020-01-01T00:00:00Z" });
        admin.json("POST", "/hub/api/berth/plan/config", &body.to_string()).await
    };
    let same = plan(files("8 GB")).await.json();
    assert_eq!((&same["valid"], &same["same_as_running"]), (&json!(true), &json!(false)));
    assert_eq!((&same["replay"]["requests"], &same["replay"]["same"]), (&json!(1), &json!(1)));
    let less = plan(files("2 GB")).await.json();
    assert_eq!(less["replay"]["now_refused"], 1);
    let other = &less["replay"]["others"][0];
    assert_eq!((&other["user"], &other["before"]["outcome"]), (&json!("alice"), &json!("placed")));
    assert_eq!(other["after"]["reason"]["code"], "refused.too_big");
    assert_eq!(other["after"]["cite"], "profiles.toml:2");
    let mut wrong = files("8 GB");
    wrong["pools.toml"] = json!("version = 1\n[pool.gpu]\n");
    let wrong = plan(wrong).await.json();
    assert_eq!((&wrong["valid"], &wrong["replay"]), (&json!(false), &Value::Null));
    let errors = wrong["errors"].as_array().unwrap();
    let files: Vec<_> = errors.iter().map(|error| error["file"].as_str().unwrap()).collect();
    assert!(errors.iter().all(|error| error["code"] == "config.unknown_name"), "{errors:?}");
    assert_eq!(files, ["hosts.d/10-cpu.toml", "profiles.toml"]);
    for bad in ["../hub.toml", "/etc/hub.toml", "a/b.toml", "hosts.d/../x.toml", "hub.txt"] {
        let reply = plan(json!({ bad: "version = 1" })).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{bad}: {}", reply.text);
    }
    let none = admin.json("POST", "/hub/api/berth/plan/config", "{}").await;
    assert_eq!(none.status, StatusCode::BAD_REQUEST);
    let left = std::fs::read_dir(&site.hub.config().hub.state).unwrap().flatten();
    let left = left.filter(|entry| entry.file_name().to_string_lossy().starts_with("plan-"));
    assert_eq!(left.count(), 0, "nothing of a plan is left");
}

#[tokio::test]
async fn the_floor_is_told_as_it_was() {
    let site = Site::new().await;
    let server = site.running("alice", "").await;
    let admin = site.program("root_").await;
    let floor = admin.get("/hub/api/berth/floor").await.json()["floor"].clone();
    assert_eq!(floor["hosts"][0]["servers"][0]["id"], server.id.as_str());
    assert_eq!(floor["hosts"][0]["servers"][0]["memory"]["used"], GB);
    // The decision saved the floor that it saw: without the server.
    let decision = server.decision.as_ref().unwrap();
    let decision = site.hub.storage.read(|reader| reader.decision(decision)).unwrap().unwrap();
    let then = admin.get(&format!("/hub/api/berth/floor?at={}", decision.at)).await.json();
    assert_eq!(then["floor"]["hosts"][0]["name"], "wn1");
    assert_eq!(then["floor"]["hosts"][0]["servers"], json!([]));
    let before = admin.get("/hub/api/berth/floor?at=2020-01-01T00:00:00Z").await.json();
    assert_eq!(before["floor"]["hosts"], json!([]));
    let bad = admin.get("/hub/api/berth/floor?at=yesterday").await;
    assert_eq!(bad.status, StatusCode::BAD_REQUEST);
}

/// The lines of a decision stay the same although the fleet has moved on.
#[tokio::test]
async fn an_old_decision_is_told_as_on_its_day() {
    let site = Site::new().await;
    let server = site.running("alice", "").await;
    let admin = site.program("root_").await;
    let path = format!("/hub/api/berth/decisions/{}", server.decision.as_ref().unwrap());
    let told = admin.get(&path).await.json();
    site.running("bob", "").await;
    site.report(vec![site.seen(&server, ObservedState::Ready)]).await;
    let body = r#"{"intent": "cordoned", "reason": "kernel update"}"#;
    admin.json("PUT", "/hub/api/berth/hosts/wn1/intent", body).await;
    assert_eq!(admin.get(&path).await.json(), told);
}

#[tokio::test]
async fn the_first_letters_of_a_decision_are_enough_while_they_are_its_alone() {
    let site = Site::new().await;
    let server = site.running("alice", "").await;
    let (alice, bob) = (site.program("alice").await, site.program("bob").await);
    let id = server.decision.clone().unwrap();
    let get =
        async |who: &Client<'_>, id: &str| who.get(&format!("/hub/api/berth/decisions/{id}")).await;
    let beginning = &id.as_str()[..8];
    assert_eq!(get(&alice, beginning).await.json()["decision"]["id"], id.as_str());
    assert_eq!(get(&bob, beginning).await.status, StatusCode::NOT_FOUND, "it is not theirs");
    for bad in [&id.as_str()[..3], "D1D1D1", "12345678901234567"] {
        assert_eq!(get(&alice, bad).await.status, StatusCode::BAD_REQUEST, "{bad}");
    }

    let decision = site.hub.storage.read(|reader| reader.decision(&id)).unwrap().unwrap();
    let last = if id.as_str().ends_with('0') { '1' } else { '0' };
    let alike =
        Decision { id: format!("{}{last}", &id.as_str()[..15]).parse().unwrap(), ..decision };
    let rows = [Row::Decision(Arc::new(alike.clone()))];
    site.hub.storage.write(move |database| database.commit(&rows)).await.unwrap();
    let two = get(&alice, beginning).await;
    assert_eq!(two.status, StatusCode::CONFLICT, "{}", two.text);
    assert!(two.message().contains("2 decisions begin with"), "{}", two.text);
    for one in [&id, &alike.id] {
        assert_eq!(get(&alice, one.as_str()).await.json()["decision"]["id"], one.as_str());
    }
}

#[tokio::test]
async fn a_rolling_reboot_is_ordered_shown_and_taken_back() {
    const PATH: &str = "/hub/api/berth/reboots";
    let site = Site::new().await;
    let admin = site.program("root_").await;
    assert_eq!(admin.json("GET", PATH, "").await.json()["reboot"], Value::Null);
    for (body, wrong) in [
        (r#"{"hosts": [], "reason": "x"}"#, "at least one"),
        (r#"{"hosts": ["wn1"]}"#, "say why"),
        (r#"{"hosts": ["wn9"], "reason": "x"}"#, "no host wn9"),
        (r#"{"hosts": ["wn1"], "reason": "x", "at_deadline": "hold"}"#, "each_s"),
    ] {
        let reply = admin.json("POST", PATH, body).await;
        assert!(reply.status.is_client_error(), "{body}");
        assert!(reply.message().contains(wrong), "{body}: {}", reply.text);
    }
    let body = r#"{"hosts": ["wn1"], "reason": "new kernel", "each_s": 3600, "dry_run": DRY}"#;
    let dry = admin.json("POST", PATH, &body.replace("DRY", "true")).await.json();
    assert_eq!(dry["reboot"]["turns"].as_array().unwrap().len(), 1);
    assert_eq!(dry["reboot"]["forecast"]["without_room"], json!([]));
    assert_eq!(admin.json("GET", PATH, "").await.json()["reboot"], Value::Null, "only asked");

    let body = body.replace("DRY", "false");
    assert_eq!(admin.json("POST", PATH, &body).await.status, StatusCode::OK);
    let shown = admin.json("GET", PATH, "").await.json();
    assert_eq!(
        (&shown["reboot"]["reason"], &shown["reboot"]["done"]),
        (&json!("new kernel"), &json!(false))
    );
    let again = admin.json("POST", PATH, &body).await;
    assert_eq!(again.status, StatusCode::CONFLICT, "{}", again.text);
    assert_eq!(admin.json("DELETE", PATH, "").await.status, StatusCode::NO_CONTENT);
    assert_eq!(admin.json("GET", PATH, "").await.json()["reboot"], Value::Null);
}
