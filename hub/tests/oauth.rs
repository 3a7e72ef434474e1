//! The OAuth provider: the flow of both majors' single-user servers, and every error of the
//! contract.

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{Request, StatusCode};
use serde_json::json;

use crate::site::{Client, FORM, Reply, Site};

const AUTHORIZE: &str = "/hub/api/oauth2/authorize?client_id=jupyterhub-user-alice\
    &redirect_uri=%2Fuser%2Falice%2Foauth_callback&response_type=code";
/// RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

async fn code(browser: &Client<'_>, extra: &str) -> String {
    let reply = browser.get(&format!("{AUTHORIZE}{extra}")).await;
    assert_eq!(reply.status, StatusCode::FOUND, "{}", reply.text);
    let query = reply.location().strip_prefix("/user/alice/oauth_callback?code=").unwrap();
    query.split('&').next().unwrap().to_owned()
}

async fn exchange(site: &Site, fields: &[(&str, &str)]) -> Reply {
    let body: Vec<_> = fields.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let request = Request::post("/hub/api/oauth2/token").header(CONTENT_TYPE, FORM);
    site.send(request.body(Body::from(body.join("&"))).unwrap()).await
}

fn fields<'a>(secret: &'a str, code: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("client_id", "jupyterhub-user-alice"),
        ("client_secret", secret),
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", "/user/alice/oauth_callback"),
    ]
}

fn with<'a>(
    mut fields: Vec<(&'a str, &'a str)>,
    key: &'a str,
    value: &'a str,
) -> Vec<(&'a str, &'a str)> {
    fields.retain(|(name, _)| *name != key);
    if !value.is_empty() {
        fields.push((key, value));
    }
    fields
}

#[tokio::test]
async fn a_visitor_gets_a_token_without_and_with_pkce() {
    let site = Site::new().await;
    let secret = site.server_token(&*site.running("alice", "").await);
    let browser = site.browser("alice").await;
    for (challenge, verifier) in [
        (String::new(), ""),
        (String::new(), "a-verifier-that-nobody-asked-for"),
        (format!("&code_challenge={CHALLENGE}&code_challenge_method=S256"), VERIFIER),
        ("&code_challenge=plain-text&code_challenge_method=plain".to_owned(), "plain-text"),
        ("&code_challenge=plain-text".to_owned(), "plain-text"),
    ] {
        let code = code(&browser, &format!("{challenge}&state=abc&unknown=1")).await;
        let fields = with(fields(&secret, &code), "code_verifier", verifier);
        let reply = exchange(&site, &fields).await;
        assert_eq!(reply.status, StatusCode::OK, "{challenge}: {}", reply.text);
        assert_eq!(reply.header("cache-control"), "no-store");
        assert_eq!(reply.header("pragma"), "no-cache");
        let token = reply.json();
        assert_eq!(
            (&token["token_type"], &token["expires_in"]),
            (&json!("Bearer"), &json!(1_209_600))
        );
        assert_eq!(
            token["scope"],
            "read:users:name!user read:users:groups!user access:servers!server=alice/"
        );
        let me = site.by_token(token["access_token"].as_str().unwrap()).get("/hub/api/user").await;
        let me = me.json();
        let mut keys: Vec<_> = me.as_object().unwrap().keys().map(String::as_str).collect();
        keys.sort_unstable();
        assert_eq!(
            keys,
            ["admin", "groups", "kind", "name", "scopes", "session_id", "token_id", "user_info"]
        );
        assert_eq!(
            me["scopes"],
            json!([
                "access:servers!server=alice/",
                "read:users:groups!user=alice",
                "read:users:name!user=alice"
            ])
        );
    }
    let state = browser.get(&format!("{AUTHORIZE}&state=a%20b%26c")).await;
    assert!(state.location().ends_with("&state=a+b%26c"), "{}", state.location());
    let post = Request::get("/hub/api/oauth2/token").body(Body::empty()).unwrap();
    assert_eq!(site.send(post).await.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn strangers_log_in_first_and_others_stay_out() {
    let site = Site::new().await;
    site.running("alice", "").await;
    let reply = site.get(AUTHORIZE).await;
    assert_eq!(reply.status, StatusCode::FOUND);
    assert!(
        reply.location().starts_with("/hub/login?next=/hub/api/oauth2/authorize%3Fclient_id%3D"),
        "{}",
        reply.location()
    );
    for user in ["bob", "root_"] {
        let reply = site.browser(user).await.get(AUTHORIZE).await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN, "{user}");
        assert!(reply.header("content-type").starts_with("text/html"));
        assert!(reply.headers.get("location").is_none());
    }
}

#[tokio::test]
async fn wrong_authorization_requests() {
    let site = Site::new().await;
    site.running("alice", "").await;
    let browser = site.browser("alice").await;
    let base = "/hub/api/oauth2/authorize?";
    let client = "client_id=jupyterhub-user-alice";
    for (query, message) in [
        (
            "client_id=jupyterhub-user-bob&response_type=code".to_owned(),
            "Invalid client_id parameter value.",
        ),
        ("response_type=code".to_owned(), "Invalid client_id parameter value."),
        (
            format!("{client}&response_type=code&redirect_uri=/user/alice/oauth_callback/"),
            "Mismatching redirect URI.",
        ),
        (
            format!("{client}&response_type=code&redirect_uri=https://evil.example/"),
            "Mismatching redirect URI.",
        ),
        (
            format!("{client}&response_type=code&redirect_uri=/user/bob/oauth_callback"),
            "Mismatching redirect URI.",
        ),
    ] {
        let reply = browser.get(&format!("{base}{query}")).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{query}");
        assert!(reply.text.contains(message), "{query}: {}", reply.text);
    }
    let target = "/user/alice/oauth_callback?error=";
    for (query, error) in [
        ("", "invalid_request&error_description=Missing+response_type+parameter."),
        ("&response_type=token", "unsupported_response_type"),
        ("&response_type=code&scope=admin:users", "invalid_scope"),
        ("&response_type=code&scope=nonsense", "invalid_scope"),
        ("&response_type=code&scope=access:servers!server=bob/", "invalid_scope"),
        (
            "&response_type=code&code_challenge=x&code_challenge_method=S512",
            "invalid_request&error_description=Transform+algorithm+not+supported.",
        ),
    ] {
        let reply = browser.get(&format!("{base}{client}{query}&state=s")).await;
        assert_eq!(reply.status, StatusCode::FOUND, "{query}");
        assert_eq!(reply.location(), format!("{target}{error}&state=s"), "{query}");
    }
    let absent = browser.get(&format!("{base}{client}&response_type=code")).await;
    assert!(absent.location().starts_with("/user/alice/oauth_callback?code="));
    let own = browser.get(&format!("{AUTHORIZE}&scope=read:users:name!user")).await;
    assert!(own.location().contains("?code="), "{}", own.location());
}

#[tokio::test]
async fn wrong_exchanges() {
    let site = Site::new().await;
    let secret = site.server_token(&*site.running("alice", "").await);
    let bobs = site.server_token(&*site.running("bob", "").await);
    let browser = site.browser("alice").await;
    let code_1 = code(&browser, "").await;
    let good = fields(&secret, &code_1);
    let (bad, unauthorized) = (StatusCode::BAD_REQUEST, StatusCode::UNAUTHORIZED);
    let error = |error: &str| json!({ "error": error });
    let described = |error: &str, text: &str| json!({ "error": error, "error_description": text });
    for (key, value, status, body) in [
        ("client_secret", "wrong", unauthorized, error("invalid_client")),
        ("client_secret", "", unauthorized, error("invalid_client")),
        ("client_secret", bobs.as_str(), unauthorized, error("invalid_client")),
        ("client_id", "jupyterhub-user-nobody", unauthorized, error("invalid_client")),
        ("client_id", "", unauthorized, error("invalid_client")),
        ("code", "unknown", bad, error("invalid_grant")),
        ("code", "", bad, described("invalid_request", "Missing code parameter.")),
        (
            "redirect_uri",
            "/user/alice/other",
            bad,
            described("invalid_request", "Mismatching redirect URI."),
        ),
        ("grant_type", "", bad, error("unsupported_grant_type")),
        ("grant_type", "password", bad, error("unsupported_grant_type")),
    ] {
        let reply = exchange(&site, &with(good.clone(), key, value)).await;
        assert_eq!((reply.status, reply.json()), (status, body), "{key}={value}");
    }
    let stolen =
        with(with(good.clone(), "client_id", "jupyterhub-user-bob"), "client_secret", &bobs);
    let reply = exchange(&site, &stolen).await;
    assert_eq!(
        (reply.status, reply.json()),
        (bad, error("invalid_grant")),
        "another client's code"
    );

    let absent = exchange(&site, &with(good.clone(), "redirect_uri", "")).await;
    assert_eq!(absent.status, StatusCode::OK, "none of the above used the code up");
    let again = exchange(&site, &good).await;
    assert_eq!((again.status, again.json()), (bad, error("invalid_grant")), "used");

    let challenge = format!("&code_challenge={CHALLENGE}&code_challenge_method=S256");
    let code_2 = code(&browser, &challenge).await;
    let good = fields(&secret, &code_2);
    let none = exchange(&site, &good).await;
    assert_eq!(none.json(), described("invalid_request", "Code verifier required."));
    let wrong = exchange(&site, &with(good.clone(), "code_verifier", "wrong")).await;
    assert_eq!((wrong.status, wrong.json()), (bad, error("invalid_grant")));
    let right = exchange(&site, &with(good, "code_verifier", VERIFIER)).await;
    assert_eq!(right.status, StatusCode::OK, "the code stays usable with the right verifier");
}

#[tokio::test]
async fn of_two_that_present_one_code_one_wins() {
    let site = Site::new().await;
    let secret = site.server_token(&*site.running("alice", "").await);
    let browser = site.browser("alice").await;
    let code = code(&browser, "").await;
    let fields = fields(&secret, &code);
    // The store's writer is held until both have read the code.
    let (release, held) = std::sync::mpsc::channel::<()>();
    site.hub.storage.write_later("the hold", move |_| {
        let _ = held.recv();
        Ok(())
    });
    let (a, b, ()) = tokio::join!(exchange(&site, &fields), exchange(&site, &fields), async {
        release.send(()).unwrap()
    });
    let mut statuses = [a.status, b.status];
    statuses.sort();
    assert_eq!(statuses, [StatusCode::OK, StatusCode::BAD_REQUEST]);
}

#[tokio::test]
async fn an_expired_code_is_an_unknown_one() {
    let site = Site::new().await;
    let server = site.running("alice", "").await;
    let past = berth_store::OauthCode {
        user: "alice".parse().unwrap(),
        client: "jupyterhub-user-alice".into(),
        server: Some((server.id.clone(), server.generation)),
        redirect: "/user/alice/oauth_callback".into(),
        scopes: Vec::new(),
        challenge: None,
        session: "s".into(),
        expires: berth_process::clock::now(),
    };
    let hash = berth_hub::keys::hash("old");
    site.hub.storage.write(move |database| database.add_code(&hash, &past)).await.unwrap();
    let reply = exchange(&site, &fields(&site.server_token(&server), "old")).await;
    assert_eq!(reply.json(), json!({ "error": "invalid_grant" }));
}

#[tokio::test]
async fn client_and_tokens_end_with_the_servers_start() {
    let site = Site::new().await;
    let server = site.running("alice", "").await;
    let secret = site.server_token(&server);
    let browser = site.browser("alice").await;
    let code_1 = code(&browser, "").await;
    let token = exchange(&site, &fields(&secret, &code_1)).await.json();
    let token = token["access_token"].as_str().unwrap().to_owned();
    let code_2 = code(&browser, "").await;
    berth_hub::actions::stop(&site.hub, &server.id, berth_common::Reason::StoppedUser)
        .await
        .unwrap();

    assert_eq!(site.by_token(&token).get("/hub/api/user").await.status, StatusCode::FORBIDDEN);
    let reply = exchange(&site, &fields(&secret, &code_2)).await;
    assert_eq!(
        (reply.status, reply.json()),
        (StatusCode::UNAUTHORIZED, json!({ "error": "invalid_client" }))
    );
    assert_eq!(browser.get(AUTHORIZE).await.status, StatusCode::BAD_REQUEST);

    site.report(Vec::new()).await;
    let again = site.running("alice", "").await;
    assert_eq!(site.by_token(&token).get("/hub/api/user").await.status, StatusCode::FORBIDDEN);
    let reply = exchange(&site, &fields(&site.server_token(&again), &code_2)).await;
    assert_eq!(
        reply.json(),
        json!({ "error": "invalid_grant" }),
        "the code was for the former start"
    );
}

#[tokio::test]
async fn clients_of_one_id_are_told_apart_by_their_address() {
    let site = Site::new().await;
    site.add_user("alice-n1", 4000, false).await;
    site.running("alice-n1", "").await;
    let secret = site.server_token(&*site.running("alice", "n1").await);
    let alice = site.browser("alice").await;
    let path = "/hub/api/oauth2/authorize?client_id=jupyterhub-user-alice-n1&response_type=code";
    let own = alice.get(&format!("{path}&redirect_uri=/user/alice/n1/oauth_callback")).await;
    let code = own.location().strip_prefix("/user/alice/n1/oauth_callback?code=").unwrap();
    let others = alice.get(&format!("{path}&redirect_uri=/user/alice-n1/oauth_callback")).await;
    assert_eq!(others.status, StatusCode::FORBIDDEN);
    assert_eq!(alice.get(path).await.status, StatusCode::BAD_REQUEST);
    let reply = exchange(
        &site,
        &[
            ("client_id", "jupyterhub-user-alice-n1"),
            ("client_secret", &secret),
            ("grant_type", "authorization_code"),
            ("code", code),
        ],
    )
    .await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
    assert!(reply.text.contains("access:servers!server=alice/n1"), "{}", reply.text);
}
