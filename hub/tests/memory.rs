//! Memory of running servers over the API: other limits, and what was killed.

use axum::http::StatusCode;
use berth_common::ByteCount;
use berth_common::link::{Ending, Kill, ObservedState, ResizeRefused, Victim};
use berth_common::{Reason, Timestamp};
use berth_hub::spec::desired_set;
use serde_json::json;

use crate::site::Site;

fn gb(amount: u64) -> ByteCount {
    ByteCount(amount << 30)
}

#[tokio::test]
async fn a_limit_is_changed_by_its_owner_and_told_to_the_host() {
    let site = Site::new().await;
    let server = site.running("alice", "").await;
    let before = server.ask.memory;
    let path = format!("/hub/api/berth/servers/{}/memory", server.id);
    let alice = site.program("alice").await;

    let dry = alice.json("PUT", &path, r#"{"memory": "8 GB", "dry_run": true}"#).await;
    assert_eq!((dry.status, &dry.json()["server"]["resize"]), (StatusCode::OK, &json!(null)));
    let changed = alice.json("PUT", &path, r#"{"memory": "8 GB"}"#).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.text);
    let resize = &changed.json()["server"]["resize"];
    assert_eq!(resize["state"], "under_way");
    assert_eq!((&resize["limit"], &resize["before"]), (&json!(gb(8)), &json!(before)));

    let set = |site: &Site| {
        let fleet = site.hub.fleet.fleet();
        let config = site.hub.config();
        desired_set(
            &fleet,
            &"wn1".parse().unwrap(),
            &config.hub,
            &site.hub.keys,
            berth_process::clock::now(),
        )
        .unwrap()
    };
    let told = set(&site).servers[&server.id].limit.unwrap();
    assert_eq!((told.memory, told.number), (gb(8), 1));

    let mut seen = site.seen(&site.server("alice", ""), ObservedState::Ready);
    seen.limit = Some(gb(8));
    site.report(vec![seen.clone()]).await;
    let shown = alice.get(&format!("/hub/api/berth/servers/{}", server.id)).await.json();
    assert_eq!(shown["server"]["resize"]["state"], "done");
    assert_eq!(shown["server"]["memory"]["limit"], json!(gb(8)));

    let changed = alice.json("PUT", &path, &format!(r#"{{"memory": {}}}"#, gb(16).0)).await;
    assert_eq!(changed.status, StatusCode::OK, "bytes are an amount, too");
    let detail = "16 GB is more than memory_max = 10 GB of this host".to_owned();
    let ending = Ending { reason: Reason::FailedPolicy, detail };
    seen.resize_refused = Some(ResizeRefused { number: 2, ending });
    site.report(vec![seen]).await;
    let shown = alice.get(&format!("/hub/api/berth/servers/{}", server.id)).await.json();
    let resize = &shown["server"]["resize"];
    assert_eq!((&resize["state"], &resize["limit"]), (&json!("refused"), &json!(gb(8))));
    assert_eq!(resize["refused"]["reason"]["code"], Reason::FailedPolicy.code());
    assert_eq!(set(&site).servers[&server.id].limit.unwrap().memory, gb(8));
}

#[tokio::test]
async fn refusals_name_their_code_and_what_would_work() {
    let site = Site::new().await;
    let server = site.running("alice", "").await;
    let path = format!("/hub/api/berth/servers/{}/memory", server.id);
    let alice = site.program("alice").await;
    let refused = alice.json("PUT", &path, r#"{"memory": "1 TB"}"#).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.text);
    assert_eq!(refused.header("x-berth-reason"), "refused.too_big");
    let would = "64 GB at most. 30 GB would work now.";
    assert!(refused.message().ends_with(would), "{}", refused.text);

    for (body, why) in [
        (r#"{"memory": "8"}"#, "memory: a unit is needed"),
        (r#"{"memory": -1}"#, "memory: a whole number of bytes is needed"),
        ("{}", "memory: say how much"),
        (r#"{"memory": "8 GB", "swap": 1}"#, "swap"),
    ] {
        let bad = alice.json("PUT", &path, body).await;
        assert_eq!(bad.status, StatusCode::BAD_REQUEST, "{body}");
        assert!(bad.message().contains(why), "{body}: {}", bad.message());
    }

    let body = r#"{"memory": "4 GB"}"#;
    let bob = site.program("bob").await.json("PUT", &path, body).await;
    assert_eq!(bob.status, StatusCode::NOT_FOUND, "not there, or not to be seen: the same");
    let reader = site.token("alice", &["read:servers"]).await;
    let reader = site.by_token(&reader).json("PUT", &path, body).await;
    assert_eq!(reader.status, StatusCode::FORBIDDEN);
    let admin = site.program("root_").await.json("PUT", &path, body).await;
    assert_eq!(admin.status, StatusCode::OK, "{}", admin.text);
}

#[tokio::test]
async fn a_killed_kernel_stands_with_its_server() {
    let site = Site::new().await;
    let server = site.running("alice", "").await;
    let mut seen = site.seen(&server, ObservedState::Ready);
    let victim = Victim {
        name: "python3".into(),
        notebook: "fit.ipynb".into(),
        kernel: "1f-2a".into(),
        memory: gb(1),
    };
    let at = Timestamp::from_millis(1_700_000_000_000);
    seen.kills.push(Kill {
        number: 1,
        at,
        victim: Some(victim),
        highest: gb(2),
        limit: gb(2),
        by_host: false,
    });
    seen.usage.memory_highest = gb(2);
    site.report(vec![seen]).await;
    let shown = site.program("alice").await;
    let shown = shown.get(&format!("/hub/api/berth/servers/{}", server.id)).await.json();
    assert_eq!(shown["server"]["state"], "running");
    assert_eq!(shown["server"]["memory"]["highest"], json!(gb(2)));
    let kill = &shown["server"]["kills"][0];
    assert_eq!(
        (&kill["process"], &kill["notebook"], &kill["kernel"]),
        (&json!("python3"), &json!("fit.ipynb"), &json!("1f-2a"))
    );
    assert_eq!((&kill["limit"], &kill["at"]), (&json!(gb(2)), &json!(at.to_string())));
    assert!(kill["text"].as_str().unwrap().starts_with("python3 (notebook fit.ipynb) was killed"));
}
