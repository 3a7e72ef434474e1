//! Other people's servers: nobody enters without a reason, the owner reads it, and it ends. And the
//! record of who did what.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use berth_common::{Seconds, Timestamp};
use berth_hub::visits;
use berth_process::clock::now;
use berth_store::Visit;
use serde_json::{Value, json};

use crate::site::{Client, FORM, Reply, Site};

const AUTHORIZE: &str = "/hub/api/oauth2/authorize?client_id=jupyterhub-user-alice\
    &redirect_uri=%2Fuser%2Falice%2Foauth_callback&response_type=code&state=s";
const REASON: &str = "ticket 8812: the <kernel> does not start";

async fn enter(browser: &Client<'_>, id: &str, reason: &str) -> Reply {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.append_pair("reason", reason).append_pair("next", AUTHORIZE);
    form.append_pair("_xsrf", &browser.xsrf);
    let path = format!("/hub/servers/{id}/enter");
    browser.send("POST", &path, &[(CONTENT_TYPE.as_str(), FORM)], &form.finish()).await
}

fn access(whoami: &Value) -> Vec<&str> {
    let scopes = whoami["scopes"].as_array().unwrap().iter().filter_map(Value::as_str);
    scopes.filter(|scope| scope.starts_with("access:servers")).collect()
}

#[tokio::test]
async fn nobody_enters_without_a_reason() {
    let site = Site::new().await;
    let server = site.running("alice", "").await;
    let (root, bob) = (site.browser("root_").await, site.browser("bob").await);
    let asked = root.get(AUTHORIZE).await;
    assert_eq!(asked.status, StatusCode::FORBIDDEN);
    assert!(asked.text.contains("Why do you enter?"), "{}", asked.text);
    let refused = bob.get(AUTHORIZE).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(!refused.text.contains("Why do you enter?"), "{}", refused.text);
    let program = site.program("root_").await;
    let me = program.get("/hub/api/user").await.json();
    assert_eq!(access(&me), ["access:servers!user=root_"], "a token opens no more than a session");
    let narrow = site.token("root_", &["access:servers!server=alice/"]).await;
    assert_eq!(access(&site.by_token(&narrow).get("/hub/api/user").await.json()), [""; 0]);

    assert_eq!(enter(&root, server.id.as_str(), "  ").await.status, StatusCode::BAD_REQUEST);
    assert_eq!(enter(&bob, server.id.as_str(), REASON).await.status, StatusCode::NOT_FOUND);
    let mut forged = site.browser("root_").await;
    forged.xsrf = "x".into();
    let forged = enter(&forged, server.id.as_str(), REASON).await;
    assert_eq!(forged.status, StatusCode::FORBIDDEN);
    let path = format!("/hub/api/berth/servers/{}/visits", server.id);
    for (body, status) in [
        ("{}", StatusCode::BAD_REQUEST),
        (r#"{"reason": " "}"#, StatusCode::BAD_REQUEST),
        (r#"{"reason": "x", "for": 60}"#, StatusCode::BAD_REQUEST),
        (r#"{"reason": "x", "for": 864000}"#, StatusCode::BAD_REQUEST),
        (r#"{"reason": "x", "why": "y"}"#, StatusCode::BAD_REQUEST),
    ] {
        assert_eq!(program.json("POST", &path, body).await.status, status, "{body}");
    }
    let bobs = site.program("bob").await.json("POST", &path, r#"{"reason": "x"}"#).await;
    assert_eq!(bobs.status, StatusCode::NOT_FOUND);
    let own = site.program("alice").await.json("POST", &path, r#"{"reason": "x"}"#).await;
    assert_eq!(own.status, StatusCode::BAD_REQUEST);
    let still = root.get(AUTHORIZE).await;
    assert_eq!(still.status, StatusCode::FORBIDDEN, "none of these let anybody in");
    assert_eq!(program.get(&path).await.json()["visits"], json!([]));
}

#[tokio::test]
async fn with_a_reason_the_visitor_is_let_in_and_the_owner_reads_it() {
    let site = Site::new().await;
    let server = site.running("alice", "").await;
    let secret = site.server_token(&server);
    let root = site.browser("root_").await;
    let entered = enter(&root, server.id.as_str(), REASON).await;
    assert_eq!(entered.location(), AUTHORIZE);
    let back = root.get(AUTHORIZE).await;
    let code = back.location().strip_prefix("/user/alice/oauth_callback?code=").unwrap();
    let body = format!(
        "client_id=jupyterhub-user-alice&client_secret={secret}&grant_type=authorization_code&code={}",
        code.split('&').next().unwrap()
    );
    let request = axum::http::Request::post("/hub/api/oauth2/token").header(CONTENT_TYPE, FORM);
    let token = site.send(request.body(body.into()).unwrap()).await.json();
    let life = token["expires_in"].as_u64().unwrap();
    assert!((3_000..=3_300).contains(&life), "it ends before the visit does: {life}");
    let token = site.by_token(token["access_token"].as_str().unwrap());
    let me = token.get("/hub/api/user").await.json();
    assert_eq!((&me["name"], access(&me)), (&json!("root_"), vec!["access:servers!server=alice/"]));

    let alice = site.browser("alice").await;
    for path in ["/hub/home".to_owned(), format!("/hub/servers/{}", server.id)] {
        let page = alice.get(&path).await.text;
        assert!(page.contains("root_ entered"), "{path}: {page}");
        assert!(
            page.contains("ticket 8812: the &#60;kernel&#62; does not start"),
            "{path}: {page}"
        );
    }
    let path = format!("/hub/api/berth/servers/{}/visits", server.id);
    let alices = site.program("alice").await;
    let visits = alices.get(&path).await.json();
    let visit = &visits["visits"][0];
    let said = (&visit["visitor"], &visit["reason"], &visit["under_way"]);
    assert_eq!(said, (&json!("root_"), &json!(REASON), &json!(true)));
    let acts = alices.get("/hub/api/berth/audit?action=enter-server").await.json();
    let act = &acts["audit"][0];
    let said = (&act["actor"], &act["user"], &act["subject"], &act["reason"]);
    let id = json!(server.id);
    assert_eq!(said, (&json!("root_"), &json!("alice"), &id, &json!(REASON)));

    let left = site.program("root_").await.json("DELETE", &path, "").await;
    assert_eq!(left.status, StatusCode::NO_CONTENT);
    let me = token.get("/hub/api/user").await.json();
    assert_eq!(access(&me), [""; 0], "the visit is over");
    assert_eq!(root.get(AUTHORIZE).await.status, StatusCode::FORBIDDEN);
    let page = alice.get("/hub/home").await.text;
    assert!(page.contains("root_ entered") && !page.contains("may stay until"), "{page}");
}

#[tokio::test]
async fn what_a_visitor_has_open_is_closed_at_the_end() {
    let mut site = Site::new().await;
    let server = site.running("alice", "").await;
    let token = site.token("root_", &["inherit"]).await;
    let over = Visit {
        server: server.id.clone(),
        owner: "alice".parse().unwrap(),
        visitor: "root_".parse().unwrap(),
        reason: "over".into(),
        begun: Timestamp(now().0 - 3_600_000_000),
        until: Timestamp(now().0 - 1_000_000),
    };
    site.hub.storage.write(move |database| database.add_visit(&over)).await.unwrap();
    let closing = tokio::spawn(visits::close(Arc::clone(&site.hub)));
    let hash = berth_hub::keys::hash(&token).to_vec();
    let wait = async { while site.revoked.recv().await.unwrap() != hash {} };
    tokio::time::timeout(Duration::from_secs(60), wait).await.expect("the proxy is told");
    closing.abort();
}

#[tokio::test]
async fn a_visit_lets_nobody_in_when_it_is_about_to_end() {
    let site = Site::new().await;
    let server = site.running("alice", "").await;
    let root = site.program("root_").await;
    let at = now();
    let ending = Visit {
        server: server.id.clone(),
        owner: "alice".parse().unwrap(),
        visitor: "root_".parse().unwrap(),
        reason: "r".into(),
        begun: at,
        until: at.plus(Seconds(299)),
    };
    let longer = Visit { until: at.plus(Seconds(900)), ..ending.clone() };
    site.hub.storage.write(move |database| database.add_visit(&ending)).await.unwrap();
    // A notebook server may believe the last yes for five minutes.
    assert_eq!(access(&root.get("/hub/api/user").await.json()), ["access:servers!user=root_"]);
    site.hub.storage.write(move |database| database.add_visit(&longer)).await.unwrap();
    let expected = ["access:servers!server=alice/", "access:servers!user=root_"];
    assert_eq!(access(&root.get("/hub/api/user").await.json()), expected);
}

/// Actions with their actors, whom they are about and what they are on.
fn told(reply: &Reply) -> Vec<String> {
    let acts = reply.json()["audit"].as_array().unwrap().clone();
    let word = |act: &Value, key: &str| act[key].as_str().unwrap_or("-").to_owned();
    acts.iter().map(|act| ["actor", "action", "user"].map(|key| word(act, key)).join(" ")).collect()
}

#[tokio::test]
async fn acts_are_recorded_with_who_whom_and_from_where() {
    let site = Site::new().await;
    let server = site.running("alice", "").await;
    let (root, alice) = (site.program("root_").await, site.program("alice").await);
    let from = [("x-forwarded-for", "192.0.2.7"), (CONTENT_TYPE.as_str(), "application/json")];
    let body = r#"{"note": "nightly"}"#;
    root.send("POST", "/hub/api/users/alice/tokens", &from, body).await;
    root.json("POST", "/hub/api/berth/users/bob/password", r#"{"password": "a longer one"}"#).await;
    root.json("PATCH", "/hub/api/users/bob", r#"{"admin": true}"#).await;
    let cordon = r#"{"intent": "cordoned", "reason": "new disk"}"#;
    let cordoned = root.json("PUT", "/hub/api/berth/hosts/wn1/intent", cordon).await;
    assert_eq!(cordoned.status, StatusCode::OK, "{}", cordoned.text);
    alice.json("DELETE", "/hub/api/users/alice/tokens/a99", "").await;
    let stop = tokio::time::timeout(
        Duration::from_secs(30),
        root.json("DELETE", "/hub/api/users/alice/server", ""),
    );
    stop.await.unwrap();
    let browser = site.browser("alice").await;
    let logout = format!("_xsrf={}", browser.xsrf);
    browser.send("POST", "/hub/logout", &[(CONTENT_TYPE.as_str(), FORM)], &logout).await;

    let all = root.get("/hub/api/berth/audit").await;
    assert_eq!(
        told(&all),
        [
            "alice logout alice",
            "alice login alice",
            "root_ server-stop alice",
            "root_ host-cordon -",
            "root_ admin-make bob",
            "root_ password-set bob",
            "root_ token-create alice",
        ]
    );
    let acts = all.json();
    let last = &acts["audit"][6];
    assert_eq!((&last["from"], &last["reason"]), (&json!("192.0.2.7"), &json!("nightly")));
    assert!(last["subject"].as_str().unwrap().starts_with('a'), "{last}");
    assert_eq!(acts["audit"][2]["subject"], json!(server.id));
    assert_eq!(acts["audit"][3]["reason"], "new disk");
    assert_eq!(acts["next"], Value::Null);

    let page = root.get("/hub/api/berth/audit?actor=root_&limit=2").await;
    assert_eq!(told(&page), ["root_ server-stop alice", "root_ host-cordon -"]);
    let next = page.json()["next"].as_i64().unwrap();
    let page = root.get(&format!("/hub/api/berth/audit?actor=root_&limit=2&before={next}")).await;
    assert_eq!(told(&page), ["root_ admin-make bob", "root_ password-set bob"]);
    let of_bob = root.get("/hub/api/berth/audit?user=bob&action=admin-make").await;
    assert_eq!(told(&of_bob), ["root_ admin-make bob"]);
    let later = now().plus(Seconds(60)).to_string();
    assert_eq!(told(&root.get(&format!("/hub/api/berth/audit?since={later}")).await), [""; 0]);
    for bad in ["since=yesterday", "limit=many", "who=bob"] {
        let reply = root.get(&format!("/hub/api/berth/audit?{bad}")).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{bad}");
    }

    let own = told(&alice.get("/hub/api/berth/audit").await);
    assert_eq!(own.len(), 4, "what was done to her: {own:?}");
    for others in ["user=bob", "actor=root_"] {
        let reply = alice.get(&format!("/hub/api/berth/audit?{others}")).await;
        assert_eq!(reply.status, StatusCode::NOT_FOUND, "{others}");
    }
    assert_eq!(site.get("/hub/api/berth/audit").await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_refused_login_is_recorded_for_accounts_that_are_there() {
    let site = Site::new().await;
    for name in ["alice", "correct horse", "nobody"] {
        let form = site.get("/hub/login").await;
        let cookie = form.cookie("__Host-berth-login");
        let xsrf = cookie.split_once('=').unwrap().1;
        let body = format!("username={}&password=wrong&_xsrf={xsrf}", name.replace(' ', "+"));
        let request = axum::http::Request::post("/hub/login").header("cookie", &cookie);
        let request = request.header(CONTENT_TYPE, FORM).body(body.into()).unwrap();
        assert_eq!(site.send(request).await.status, StatusCode::FORBIDDEN);
    }
    site.hub.storage.write(|_| Ok(())).await.unwrap();
    let root = site.program("root_").await;
    let acts = root.get("/hub/api/berth/audit").await;
    assert_eq!(told(&acts), ["alice login-refused alice"]);
    assert!(!acts.text.contains("wrong\""), "no password is kept: {}", acts.text);
}
