//! One wish, one server: double clicks, two tabs, a start during a stop.

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::site::{Site, hidden_field, location, run, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_double_click_starts_one_container() {
    let site = Site::running();
    let person = site.user("clicker", 21_001).await;
    let path = "/hub/api/users/clicker/server";
    let before = person.generation().await;
    let (one, two, three) = tokio::join!(
        person.call(Method::POST, path, Some(json!({}))),
        person.call(Method::POST, path, Some(json!({}))),
        person.call(Method::POST, path, Some(json!({}))),
    );
    for (status, answer) in [&one, &two, &three] {
        let fine = *status == StatusCode::CREATED
            || *status == StatusCode::ACCEPTED
            || (*status == StatusCode::BAD_REQUEST
                && answer["message"].to_string().contains("already running"));
        assert!(fine, "{status} {answer}");
    }
    person.ready().await;
    let record = person.record().await;
    let id = record["id"].as_str().unwrap();
    assert_eq!(site.containers(id).len(), 1, "{record}");
    assert_eq!(person.generation().await, before + 1, "one start, one generation: {record}");
    person.stop().await;
    assert_eq!(site.containers(id), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_tabs_that_press_start_get_the_same_server() {
    let site = Site::running();
    let person = site.user("tabber", 21_002).await;
    let (mut one, mut two) = (person.log_in().await, person.log_in().await);
    let before = person.generation().await;
    let form = one.get(&site, "/hub/spawn").await.text().await.unwrap();
    let (xsrf_one, xsrf_two) = (
        hidden_field(&form, "_xsrf"),
        hidden_field(&two.get(&site, "/hub/spawn").await.text().await.unwrap(), "_xsrf"),
    );
    let (fields_one, fields_two) = ([("_xsrf", xsrf_one)], [("_xsrf", xsrf_two)]);
    let (a, b) = tokio::join!(
        one.post(&site, "/hub/spawn", &fields_one),
        two.post(&site, "/hub/spawn", &fields_two),
    );
    for answer in [&a, &b] {
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        let to = location(answer.headers());
        assert!(to.contains("/hub/spawn-pending/tabber") || to.contains("/user/tabber"), "{to}");
    }
    person.ready().await;
    let record = person.record().await;
    assert_eq!(site.containers(record["id"].as_str().unwrap()).len(), 1);
    assert_eq!(person.generation().await, before + 1, "{record}");
    person.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_during_a_stop_never_gives_two() {
    let site = Site::running();
    let person = site.user("restless", 21_003).await;
    person.start(json!({})).await;
    let id = person.record().await["id"].as_str().unwrap().to_owned();
    let before = person.generation().await;
    let path = "/hub/api/users/restless/server";
    let (status, _) = person.call(Method::DELETE, path, None).await;
    assert!(status.is_success());
    let mut most = 0;
    until("a start is accepted", async || {
        let (status, answer) = person.call(Method::POST, path, Some(json!({}))).await;
        assert!(
            status.is_success() || answer["message"].to_string().contains("pending stop"),
            "{status} {answer}"
        );
        status.is_success().then_some(())
    })
    .await;
    for _ in 0..20 {
        let filter = format!("label=berth.server={id}");
        let living = run("docker", &["ps", "--filter", &filter, "--format", "{{.Names}}"]);
        most = most.max(living.lines().count());
    }
    person.ready().await;
    assert!(most <= 1, "{most} containers lived at once");
    assert_eq!(site.containers(&id).len(), 1);
    assert_eq!(person.generation().await, before + 1);
    person.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_spread_over_all_three_hosts_and_each_decision_says_why() {
    let site = Site::running();
    let mut hosts = std::collections::BTreeSet::new();
    let mut people = Vec::new();
    for (index, name) in ["spread1", "spread2", "spread3"].into_iter().enumerate() {
        let person = site.user(name, 21_010 + index as u32).await;
        let path = format!("/hub/api/users/{name}/server");
        let (status, answer) = person.call(Method::POST, &path, Some(json!({}))).await;
        assert!(status.is_success(), "{answer}");
        let record = person.record().await;
        hosts.insert(record["host"].to_string());
        let decision = format!("/hub/api/berth/decisions/{}", record["decision"].as_str().unwrap());
        // The hosts by name are for administrators.
        let (status, answer) = site.admin(Method::GET, &decision, None).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        let named = answer["decision"]["hosts"].as_array().unwrap().len();
        assert!(named >= 3, "every host is named: {answer}");
        people.push(person);
    }
    assert_eq!(hosts.len(), 3, "{hosts:?}");
    for person in people {
        person.ready().await;
        person.stop().await;
    }
}
