//! Login, sessions, and requests that other sites make a browser send.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, COOKIE};
use axum::http::{Request, StatusCode};

use crate::site::{self, FORM, PASSWORD, SITE, Site};

/// Sends the login form with these fields and cookies.
async fn log_in(site: &Site, cookie: &str, fields: &str, extra: &[(&str, &str)]) -> site::Reply {
    let mut request = Request::post("/hub/login").header(CONTENT_TYPE, FORM).header(COOKIE, cookie);
    for (name, value) in extra {
        request = request.header(*name, *value);
    }
    site.send(request.body(Body::from(fields.to_owned())).unwrap()).await
}

#[tokio::test]
async fn a_login_needs_the_form_that_this_browser_was_shown() {
    let site = Site::new().await;
    let form = site.get("/hub/login?next=/user/alice/lab%3Fx=1").await;
    let cookie = form.cookie("__Host-berth-login");
    let xsrf = cookie.split_once('=').unwrap().1.to_owned();
    assert!(form.text.contains(&xsrf), "the page carries the token");
    let set = form.header("set-cookie");
    for word in ["Secure", "HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(set.contains(word), "{set}");
    }
    let login = format!("username=Alice&password={}", PASSWORD.replace(' ', "+"));
    let fields = format!("{login}&_xsrf={xsrf}&next=/user/alice/lab%3Fx=1");

    for (cookie, fields, extra) in [
        (cookie.as_str(), login.as_str(), None),
        (cookie.as_str(), &format!("{login}&_xsrf=wrong"), None),
        ("__Host-berth-login=other", fields.as_str(), None),
        ("", fields.as_str(), None),
        (cookie.as_str(), fields.as_str(), Some(("sec-fetch-site", "cross-site"))),
        (cookie.as_str(), fields.as_str(), Some(("origin", "https://evil.example"))),
    ] {
        let extra: Vec<_> = extra.into_iter().collect();
        let reply = log_in(&site, cookie, fields, &extra).await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN, "{cookie} {fields} {extra:?}");
        assert!(reply.headers.get("set-cookie").is_none());
    }

    let wrong = fields.replace("correct", "incorrect");
    let refused = log_in(&site, &cookie, &wrong, &[]).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(refused.text.contains("Invalid username or password"), "{}", refused.text);

    let own = [("origin", SITE), ("sec-fetch-site", "same-origin")];
    let reply = log_in(&site, &cookie, &fields, &own).await;
    assert_eq!((reply.status, reply.location()), (StatusCode::FOUND, "/user/alice/lab?x=1"));
    let evil = fields.replace("next=/user", "next=//evil.example/user");
    let reply = log_in(&site, &cookie, &evil, &own).await;
    assert_eq!(reply.location(), "/hub/home");
}

#[tokio::test]
async fn a_session_is_rotated_at_login_and_ends_at_logout() {
    let mut site = Site::new().await;
    let server = site.running("alice", "").await;
    let browser = site.browser("alice").await;
    let old = browser.headers[0].1.clone();
    assert_eq!(browser.get("/hub/api/user").await.json()["name"], "alice");
    let session = browser.get("/hub/api/user").await.json()["session_id"].clone();
    assert!(old.contains(session.as_str().unwrap()), "the number is the one of the cookie");

    let authorize = "/hub/api/oauth2/authorize?client_id=jupyterhub-user-alice&response_type=code";
    let code = browser.get(authorize).await;
    let code = code.location().split_once("code=").unwrap().1.to_owned();
    let form = format!(
        "client_id=jupyterhub-user-alice&client_secret={}&grant_type=authorization_code&code={code}",
        site.server_token(&server)
    );
    let request = Request::post("/hub/api/oauth2/token").header(CONTENT_TYPE, FORM);
    let token = site.send(request.body(form.into()).unwrap()).await.json();
    let token = token["access_token"].as_str().unwrap().to_owned();
    assert_eq!(site.by_token(&token).get("/hub/api/user").await.status, StatusCode::OK);

    let leave = [(CONTENT_TYPE.as_str(), FORM)];
    let forged = browser.send("POST", "/hub/logout", &leave, "").await;
    assert_eq!(forged.status, StatusCode::FORBIDDEN, "logging out needs the token too");
    let body = format!("_xsrf={}", browser.xsrf);
    let left = browser.send("POST", "/hub/logout", &leave, &body).await;
    assert_eq!((left.status, left.location()), (StatusCode::FOUND, "/hub/login"));
    assert!(left.cookie("__Host-berth").ends_with('='));
    assert_eq!(browser.get("/hub/api/user").await.status, StatusCode::FORBIDDEN);
    let dead = site.by_token(&token).get("/hub/api/user").await;
    assert_eq!(dead.status, StatusCode::FORBIDDEN, "OAuth tokens of the session end with it");
    drop((browser, dead));
    let forgotten = site.revoked.try_recv().unwrap();
    assert_eq!(forgotten, berth_hub::keys::hash(&token), "the proxy is told");
}

#[tokio::test]
async fn pages_send_strangers_to_the_login() {
    let site = Site::new().await;
    let reply = site.get("/hub/token?a=1&b=2").await;
    assert_eq!(reply.status, StatusCode::FOUND);
    assert_eq!(reply.location(), "/hub/login?next=/hub/token%3Fa%3D1%26b%3D2");
    let forged = Request::get("/hub/token").header(COOKIE, "__Host-berth=forged");
    let forged = site.send(forged.body(Body::empty()).unwrap()).await;
    assert_eq!(forged.status, StatusCode::FOUND);
    let number = "__Host-berth=0123456789abcdef0123456789abcdef; jupyterhub-session-id=x";
    let number = Request::get("/hub/api/user").header(COOKIE, number).body(Body::empty()).unwrap();
    assert_eq!(site.send(number).await.status, StatusCode::FORBIDDEN);
    let alice = site.browser("alice").await;
    assert_eq!(alice.get("/hub/admin").await.status, StatusCode::FORBIDDEN);
    let root = site.browser("root_").await;
    assert_eq!(root.get("/hub/admin").await.status, StatusCode::OK);
}

#[tokio::test]
async fn cookies_open_the_api_only_to_our_own_pages() {
    let site = Site::new().await;
    let alice = site.browser("alice").await;
    let xsrf = alice.xsrf.as_str();
    let json = (CONTENT_TYPE.as_str(), "application/json");
    let token = ("x-xsrftoken", xsrf);
    let path = "/hub/api/users/alice/tokens";
    let ok = StatusCode::CREATED;
    let no = StatusCode::FORBIDDEN;
    for (extra, status) in [
        (vec![json, token], ok),
        (vec![json, token, ("origin", SITE), ("sec-fetch-site", "same-origin")], ok),
        (vec![json], no),
        (vec![json, ("x-xsrftoken", "wrong")], no),
        (vec![json, token, ("origin", "https://evil.example")], no),
        (vec![json, token, ("origin", "null")], no),
        (vec![json, token, ("sec-fetch-site", "cross-site")], no),
        (vec![json, token, ("sec-fetch-site", "same-site")], no),
        (vec![json, token, ("sec-fetch-site", "none")], no),
        (vec![(CONTENT_TYPE.as_str(), FORM), token], no),
        (vec![(CONTENT_TYPE.as_str(), "text/plain"), token], no),
    ] {
        let reply = alice.send("POST", path, &extra, "{}").await;
        assert_eq!(reply.status, status, "{extra:?}: {}", reply.text);
    }
    let query = alice.send("POST", &format!("{path}?_xsrf={xsrf}"), &[json], "{}").await;
    assert_eq!(query.status, ok);

    let cors = ("sec-fetch-mode", "cors");
    for (extra, status) in [
        (vec![], StatusCode::OK),
        (vec![("sec-fetch-mode", "navigate")], StatusCode::OK),
        (vec![cors, token], StatusCode::OK),
        (vec![cors], no),
        (vec![("sec-fetch-mode", "no-cors"), ("sec-fetch-site", "cross-site")], no),
        (vec![("sec-fetch-mode", "no-cors"), ("sec-fetch-site", "same-origin")], StatusCode::OK),
    ] {
        let reply = alice.send("GET", "/hub/api/user", &extra, "").await;
        assert_eq!(reply.status, status, "{extra:?}");
    }
    let others = site.browser("bob").await;
    let stolen = alice.send("POST", path, &[json, ("x-xsrftoken", &others.xsrf)], "{}").await;
    assert_eq!(stolen.status, no, "another session's token opens nothing");
}

#[tokio::test]
async fn plain_http_logs_in_only_where_it_is_allowed() {
    let refused = Site::with("http://nb.example.org", false).await;
    let reply = refused.get("/hub/login").await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
    assert!(reply.text.contains("insecure_cookies"), "{}", reply.text);

    let allowed = Site::with("http://nb.example.org", true).await;
    let form = allowed.get("/hub/login").await;
    assert_eq!(form.status, StatusCode::OK);
    let set = form.header("set-cookie");
    assert!(set.starts_with("berth-login=") && !set.contains("Secure"), "{set}");
    let xsrf = form.cookie("berth-login");
    let fields =
        format!("username=alice&password=correct+horse&_xsrf={}", xsrf.split_once('=').unwrap().1);
    let reply = log_in(&allowed, &xsrf, &fields, &[]).await;
    assert_eq!(reply.status, StatusCode::FOUND, "{}", reply.text);
    assert!(reply.cookie("berth-session").len() > 43);
    assert!(allowed.get("/hub/login").await.headers.get("strict-transport-security").is_none());
}

#[tokio::test]
async fn wrong_passwords_are_slowed_by_sender() {
    let site = Site::new().await;
    let form = site.get("/hub/login").await;
    let cookie = form.cookie("__Host-berth-login");
    let xsrf = cookie.split_once('=').unwrap().1;
    let wrong = format!("username=alice&password=wrong&_xsrf={xsrf}");
    let from = |address: &'static str| [("x-forwarded-for", address)];
    for _ in 0..10 {
        let reply = log_in(&site, &cookie, &wrong, &from("10.0.0.66")).await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN);
    }
    let reply = log_in(&site, &cookie, &wrong, &from("10.0.0.66")).await;
    assert_eq!(reply.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(reply.header("retry-after").parse::<u64>().unwrap() > 0);
    let right = format!("username=alice&password=correct+horse&_xsrf={xsrf}");
    let reply = log_in(&site, &cookie, &right, &from("10.0.0.1")).await;
    assert_eq!(reply.status, StatusCode::FOUND, "the owner is not locked out");
    let huge = format!("username={}&password=x&_xsrf={xsrf}", "a".repeat(70_000));
    let reply = log_in(&site, &cookie, &huge, &from("10.0.0.2")).await;
    assert_eq!(reply.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn a_new_password_ends_all_sessions_that_the_old_one_began() {
    let site = Site::new().await;
    let browser = site.browser("alice").await;
    assert_eq!(browser.get("/hub/home").await.status, StatusCode::OK);
    site.add_user("warden", 9_001, true).await;
    let admin = site.program("warden").await;
    let body = r#"{"password": "another horse entirely"}"#;
    let set = admin.json("POST", "/hub/api/berth/users/alice/password", body).await;
    assert_eq!(set.status, StatusCode::OK, "{}", set.text);
    let reply = browser.get("/hub/home").await;
    assert_eq!(reply.status, StatusCode::FOUND, "logged out");
    assert!(reply.location().starts_with("/hub/login"), "{}", reply.location());
}
