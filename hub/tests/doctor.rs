//! What is wrong with a site is found, named, and told with what to do about it.

use axum::http::StatusCode;
use serde_json::Value;

use crate::site::Site;

async fn examine(site: &Site) -> Vec<Value> {
    let reply = site.program("root_").await.get("/hub/api/berth/doctor").await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
    reply.json()["doctor"].as_array().unwrap().clone()
}

fn of<'a>(found: &'a [Value], check: &str) -> Vec<&'a Value> {
    found.iter().filter(|it| it["check"] == check).collect()
}

#[tokio::test]
async fn each_trouble_is_named_with_what_to_do() {
    let site = Site::new().await;
    let found = examine(&site).await;
    for check in ["fleet", "hosts", "configuration", "database", "disk", "directory"] {
        assert_eq!(of(&found, check)[0]["verdict"], "ok", "{found:?}");
    }
    // Nobody answers for the proxy here, no certificate was written, and there was no backup.
    assert_eq!(of(&found, "proxy")[0]["verdict"], "failed");
    assert_eq!(of(&found, "certificate")[0]["verdict"], "failed");
    assert_eq!(of(&found, "backup")[0]["verdict"], "warning");
    for trouble in found.iter().filter(|it| it["verdict"] != "ok") {
        assert!(!trouble["remedy"].as_str().unwrap().is_empty(), "{trouble}");
    }

    let state = site.hub.config().hub.state.clone();
    site.hub.ca.refresh_proxy(&state.join("proxy")).unwrap();
    let backup = state.join("berth.backup");
    berth_hub::backup::back_up(&state, &backup, berth_process::clock::now()).unwrap();
    site.silence_host().await;
    let found = examine(&site).await;
    assert_eq!(of(&found, "certificate")[0]["verdict"], "ok", "{found:?}");
    assert_eq!(of(&found, "backup")[0]["verdict"], "ok");
    let hosts = of(&found, "hosts");
    assert!(hosts.iter().any(|it| it["verdict"] == "failed"), "{hosts:?}");
    let told = hosts.iter().find(|it| it["verdict"] == "failed").unwrap();
    assert!(told["text"].as_str().unwrap().starts_with("wn1: "), "{told}");

    let refused = site.program("alice").await.get("/hub/api/berth/doctor").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
}
