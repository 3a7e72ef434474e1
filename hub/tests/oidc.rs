//! Login by OpenID Connect, against a provider that also lies.

use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, COOKIE};
use axum::http::{Request, StatusCode};
use berth_hub::config::Config;
use serde_json::{Value, json};

use crate::provider::{Key, Provider, Sign, seconds, unsigned};
use crate::site::{FORM, Reply, Site};

const COOKIE_NAME: &str = "__Host-berth-oidc";

/// A site with a provider.
async fn with_provider() -> (Site, Provider) {
    let (site, provider) = (Site::new().await, Provider::start().await);
    configure(&site, |config| config.people.login.oidc = Some(provider.config()));
    (site, provider)
}

fn configure(site: &Site, change: impl FnOnce(&mut Config)) {
    let mut config = (*site.hub.config()).clone();
    change(&mut config);
    site.hub.config.store(Arc::new(config));
}

/// A login under way: what the browser holds, and what the provider gave it.
struct Begun {
    cookie: String,
    code: String,
    state: String,
}

async fn begin(site: &Site, provider: &Provider, path: &str) -> Begun {
    let reply = site.get(path).await;
    assert_eq!(reply.status, StatusCode::FOUND, "{}", reply.text);
    let (code, state) = provider.authorize(reply.location());
    Begun { cookie: reply.cookie(COOKIE_NAME), code, state }
}

async fn come_back(site: &Site, cookie: &str, query: &str) -> Reply {
    let request = Request::get(format!("/hub/oauth_callback?{query}")).header(COOKIE, cookie);
    site.send(request.body(Body::empty()).unwrap()).await
}

async fn finish(site: &Site, begun: &Begun) -> Reply {
    come_back(site, &begun.cookie, &format!("code={}&state={}", begun.code, begun.state)).await
}

async fn log_in(site: &Site, provider: &Provider) -> Reply {
    let begun = begin(site, provider, "/hub/oauth_login").await;
    finish(site, &begun).await
}

/// The API with the session of a login.
async fn whoami(site: &Site, login: &Reply) -> Reply {
    let request = Request::get("/hub/api/user").header(COOKIE, login.cookie("__Host-berth"));
    site.send(request.body(Body::empty()).unwrap()).await
}

fn refused(reply: &Reply, status: StatusCode, words: &str) {
    assert_eq!(reply.status, status, "{words}: {}", reply.text);
    assert!(reply.text.contains(words), "{words}: {}", reply.text);
    let cookies = reply.headers.get_all("set-cookie").iter();
    assert!(!cookies.into_iter().any(|it| it.to_str().unwrap().starts_with("__Host-berth=")));
}

#[tokio::test]
async fn a_person_logs_in_and_is_known_again_by_subject() {
    let (site, provider) = with_provider().await;
    let page = site.get("/hub/login?next=/user/alice2/lab%3Fx=1").await;
    assert!(page.text.contains("href=\"/hub/oauth_login?next=/user/alice2/lab%3Fx%3D1\""));
    assert!(page.text.contains("Log in with CC") && page.text.contains("name=\"password\""));

    let path = "/hub/oauth_login?next=/user/alice2/lab%3Fx%3D1";
    let first = begin(&site, &provider, path).await;
    let login = finish(&site, &first).await;
    assert_eq!((login.status, login.location()), (StatusCode::FOUND, "/user/alice2/lab?x=1"));
    let me = whoami(&site, &login).await.json();
    assert_eq!((&me["name"], &me["admin"]), (&json!("alice2"), &json!(false)));
    assert_eq!(me["groups"], json!(["atlas", "lsst"]));
    let user = site.hub.storage.read(|reader| reader.user(&"alice2".parse().unwrap()));
    let account = user.unwrap().unwrap().account;
    assert_eq!((account.uid, account.gid), (20001, 30001));

    // The name is a claim, the subject is the person.
    provider.claims(|claims| {
        claims.insert("preferred_username".into(), "renamed".into());
        claims.insert("groups".into(), "lsst".into());
    });
    let me = whoami(&site, &log_in(&site, &provider).await).await.json();
    assert_eq!((&me["name"], &me["groups"]), (&json!("alice2"), &json!(["lsst"])));
}

#[tokio::test]
async fn a_login_belongs_to_the_browser_that_began_it() {
    let (site, provider) = with_provider().await;
    let begun = begin(&site, &provider, "/hub/oauth_login").await;
    let other = begin(&site, &provider, "/hub/oauth_login").await;
    let good = format!("code={}&state={}", begun.code, begun.state);
    let forged = begun.state.replace('.', ".A");
    let again = "Log in again";
    for (cookie, query) in [
        ("a=b", good.clone()),
        (other.cookie.as_str(), good.clone()),
        (begun.cookie.as_str(), format!("code={}&state={forged}", begun.code)),
        (begun.cookie.as_str(), format!("code={}&state={}", begun.code, other.state)),
        (begun.cookie.as_str(), format!("code={}", begun.code)),
        (begun.cookie.as_str(), format!("code={}&state=", begun.code)),
        (begun.cookie.as_str(), format!("state={}", begun.state)),
    ] {
        refused(&come_back(&site, cookie, &query).await, StatusCode::FORBIDDEN, again);
    }
    assert_eq!(provider.behaviour.lock().unwrap().token_calls, 0, "no code was given away");
    // A code that another login got does not fit this one's PKCE.
    let stolen = format!("code={}&state={}", other.code, begun.state);
    refused(&come_back(&site, &begun.cookie, &stolen).await, StatusCode::FORBIDDEN, again);

    // Two tabs of one browser.
    let one = begin(&site, &provider, "/hub/oauth_login?next=/hub/token").await;
    let request = Request::get("/hub/oauth_login").header(COOKIE, &one.cookie);
    let reply = site.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(reply.cookie(COOKIE_NAME), one.cookie, "a second login must not spoil the first");
    let (code, state) = provider.authorize(reply.location());
    let two = Begun { cookie: one.cookie.clone(), code, state };
    assert_eq!(finish(&site, &two).await.location(), "/hub/home");
    assert_eq!(finish(&site, &one).await.location(), "/hub/token");
    // Used up.
    refused(&finish(&site, &one).await, StatusCode::FORBIDDEN, again);
}

#[tokio::test]
async fn a_next_that_leaves_the_site_is_dropped() {
    let (site, provider) = with_provider().await;
    for next in [
        "//evil.example",
        "https://evil.example/",
        "/%5Cevil.example",
        "%2F%2Fevil.example",
        "https:%2F%2F127.0.0.1:8000%2F%2Fevil.example",
        "javascript:alert(1)",
        "/%09/evil.example",
    ] {
        let begun = begin(&site, &provider, &format!("/hub/oauth_login?next={next}")).await;
        assert_eq!(finish(&site, &begun).await.location(), "/hub/home", "{next}");
    }
}

#[tokio::test]
async fn a_token_is_believed_only_if_all_of_it_is_right() {
    let (site, provider) = with_provider().await;
    let wrong: Vec<(&str, &str, Value)> = vec![
        ("nonce", "another login (nonce)", "x".into()),
        ("nonce", "claim nonce is missing", Value::Null),
        ("iss", "names somebody else", "https://evil.example".into()),
        ("iss", "names somebody else", format!("{}/", provider.issuer).into()),
        ("aud", "names somebody else", "other".into()),
        ("aud", "names somebody else", json!(["other"])),
        ("aud", "claim azp is missing", json!(["berth", "other"])),
        ("azp", "names somebody else", "other".into()),
        ("exp", "not valid at this time (exp)", (seconds() - 61).into()),
        ("exp", "claim exp is missing", Value::Null),
        ("iat", "not valid at this time (iat)", (seconds() + 120).into()),
        ("iat", "not valid at this time (iat)", (seconds() - 3_600).into()),
        ("nbf", "not valid at this time (nbf)", (seconds() + 120).into()),
        ("sub", "claim sub is missing", Value::Null),
        ("sub", "claim sub is missing", "".into()),
        ("sub", "claim sub is missing", "x".repeat(256).into()),
        ("at_hash", "another login (at_hash)", "AAAAAAAAAAAAAAAAAAAAAA".into()),
        ("events", "not a token of this kind", json!({})),
    ];
    for (claim, words, value) in wrong {
        provider.claims(move |claims| match &value {
            Value::Null => drop(claims.remove(claim)),
            value => drop(claims.insert(claim.into(), value.clone())),
        });
        refused(&log_in(&site, &provider).await, StatusCode::FORBIDDEN, words);
    }
    // Within the skew of two clocks.
    provider.claims(|claims| {
        claims.insert("exp".into(), (seconds() - 30).into());
        claims.insert("iat".into(), (seconds() + 30).into());
        claims.insert("aud".into(), json!(["berth", "other"]));
        claims.insert("azp".into(), "berth".into());
        // SHA-256 of "at", the left half.
        let hash = ring::digest::digest(&ring::digest::SHA256, b"at");
        use base64::Engine;
        let half = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(&hash.as_ref()[..16]);
        claims.insert("at_hash".into(), half.into());
    });
    assert_eq!(log_in(&site, &provider).await.status, StatusCode::FOUND);
}

#[tokio::test]
async fn a_signature_is_the_providers_or_none() {
    let (site, provider) = with_provider().await;
    let stranger = Key::new("k1");
    let ways: Vec<(&str, Sign)> = vec![
        ("not allowed", Box::new(|_, c| format!("{}.", unsigned(&json!({"alg": "none"}), c)))),
        ("not allowed", Box::new(|_, c| format!("{}.", unsigned(&json!({"alg": "None"}), c)))),
        (
            "not allowed",
            Box::new(|key, c| {
                // The public key taken for a shared secret.
                let message = unsigned(&json!({"alg": "HS256", "kid": key.kid}), c);
                let secret = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key.public());
                use base64::Engine;
                let signature = ring::hmac::sign(&secret, message.as_bytes());
                let signature = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(signature);
                format!("{message}.{signature}")
            }),
        ),
        ("signature is wrong", Box::new(move |_, c| stranger.sign(c))),
        (
            "not one of the provider",
            Box::new(|key, c| key.sign_under(&json!({"alg": "RS256", "kid": key.kid}), c)),
        ),
        (
            "not one of the provider",
            Box::new(|key, c| key.sign_under(&json!({"alg": "ES256", "kid": "unknown"}), c)),
        ),
        (
            "signature is wrong",
            Box::new(|key, c| {
                let token = key.sign(c);
                let (start, _) = token.rsplit_once('.').unwrap();
                format!("{start}.")
            }),
        ),
        ("not allowed", Box::new(|_, _| "nonsense".into())),
        ("not allowed", Box::new(|_, _| "..".into())),
        ("malformed", Box::new(|key, c| format!("{}{}", key.sign(c), "A".repeat(70_000)))),
    ];
    for (number, (words, sign)) in ways.into_iter().enumerate() {
        provider.set(|behaviour| behaviour.sign = sign);
        let reply = log_in(&site, &provider).await;
        assert!(reply.text.contains(words), "{number} {words}: {}", reply.text);
        refused(&reply, StatusCode::FORBIDDEN, words);
    }
}

#[tokio::test]
async fn a_new_key_is_asked_for_once() {
    let (site, provider) = with_provider().await;
    assert_eq!(log_in(&site, &provider).await.status, StatusCode::FOUND);
    assert_eq!(provider.behaviour.lock().unwrap().keys_read, 1);
    let new = Key::new("k2");
    provider.set(|behaviour| {
        behaviour.published = vec![Arc::clone(&new)];
        behaviour.key = new;
    });
    assert_eq!(log_in(&site, &provider).await.status, StatusCode::FOUND);
    assert_eq!(log_in(&site, &provider).await.status, StatusCode::FOUND);
    assert_eq!(provider.behaviour.lock().unwrap().keys_read, 2);
    // Whoever sends nonsense does not make us ask all the time.
    let header = |claims: &Value| unsigned(&json!({"alg": "ES256", "kid": "x"}), claims);
    for _ in 0..20 {
        let token = format!("{}.AAAA", header(&json!({})));
        assert_eq!(tell(&site, &token).await.status, StatusCode::BAD_REQUEST);
    }
    assert!(provider.behaviour.lock().unwrap().keys_read <= 7);
}

#[tokio::test]
async fn another_provider_cannot_answer_for_ours() {
    let (site, provider) = with_provider().await;
    let begun = begin(&site, &provider, "/hub/oauth_login").await;
    let query = |iss: &str| format!("code={}&state={}{iss}", begun.code, begun.state);
    let evil = come_back(&site, &begun.cookie, &query("&iss=https://evil.example")).await;
    refused(&evil, StatusCode::FORBIDDEN, "another identity provider");
    let iss = format!("&iss={}", provider.issuer);
    assert_eq!(come_back(&site, &begun.cookie, &query(&iss)).await.status, StatusCode::FOUND);

    let (site, provider) = with_provider().await;
    let name = "authorization_response_iss_parameter_supported";
    provider.set(|behaviour| drop(behaviour.document.insert(name.into(), true.into())));
    refused(&log_in(&site, &provider).await, StatusCode::FORBIDDEN, "another identity provider");

    let (site, provider) = with_provider().await;
    provider.set(|b| drop(b.document.insert("issuer".into(), "https://evil.example".into())));
    let reply = site.get("/hub/oauth_login").await;
    refused(&reply, StatusCode::SERVICE_UNAVAILABLE, "does not answer at the moment");
}

#[tokio::test]
async fn the_providers_refusal_is_shown_and_harmless() {
    let (site, provider) = with_provider().await;
    let begun = begin(&site, &provider, "/hub/oauth_login").await;
    let long = "y".repeat(9_000);
    let query = format!(
        "error=access_denied&error_description=%3Cscript%3Ealert(1){long}&state={}",
        begun.state
    );
    let reply = come_back(&site, &begun.cookie, &query).await;
    refused(&reply, StatusCode::FORBIDDEN, "access_denied");
    assert!(!reply.text.contains("<script>alert"), "{}", reply.text);
    assert!(reply.text.len() < 8_000, "what a stranger sends is shown shortened");
}

#[tokio::test]
async fn while_the_provider_is_away_sessions_and_passwords_go_on() {
    let (site, provider) = with_provider().await;
    let login = log_in(&site, &provider).await;
    let begun = begin(&site, &provider, "/hub/oauth_login").await;
    provider.set(|behaviour| behaviour.down = true);
    let reply = finish(&site, &begun).await;
    refused(&reply, StatusCode::SERVICE_UNAVAILABLE, "Running servers and sessions are not");
    assert!(!reply.header("retry-after").is_empty());
    assert_eq!(whoami(&site, &login).await.status, StatusCode::OK);
    site.browser("alice").await;
    // Its description is known: people are sent there, where they see for themselves.
    assert_eq!(site.get("/hub/oauth_login").await.status, StatusCode::FOUND);

    // Never seen: said at once, and not asked at every click.
    let (site, provider) = with_provider().await;
    provider.set(|behaviour| behaviour.down = true);
    for _ in 0..5 {
        let reply = site.get("/hub/oauth_login").await;
        refused(&reply, StatusCode::SERVICE_UNAVAILABLE, "does not answer");
    }
    assert_eq!(site.get("/hub/login").await.status, StatusCode::OK, "the login page stays");
}

#[tokio::test]
async fn a_name_of_somebody_else_is_refused_until_an_administrator_links_it() {
    let (site, provider) = with_provider().await;
    provider.claims(|claims| drop(claims.insert("preferred_username".into(), "Alice".into())));
    let reply = log_in(&site, &provider).await;
    refused(&reply, StatusCode::CONFLICT, "belongs to an account of this site");

    let root = site.program("root_").await;
    let identity = json!({"issuer": provider.issuer, "subject": "s-alice"}).to_string();
    let identities = "/hub/api/berth/users/alice/identities";
    let bob = site.program("bob").await.json("POST", identities, &identity).await;
    assert_eq!(bob.status, StatusCode::FORBIDDEN);
    let unknown = root.json("POST", "/hub/api/berth/users/nobody/identities", &identity).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    let linked = root.json("POST", identities, &identity).await;
    assert_eq!(linked.status, StatusCode::CREATED, "{}", linked.text);
    let me = whoami(&site, &log_in(&site, &provider).await).await.json();
    assert_eq!(me["name"], "alice");
    let user = site.hub.storage.read(|reader| reader.user(&"alice".parse().unwrap()));
    assert_eq!(user.unwrap().unwrap().account.uid, 1000, "a local account keeps its numbers");
    site.browser("alice").await;

    // Now the name is a subject's: another one cannot have it.
    provider.claims(|claims| {
        claims.insert("preferred_username".into(), "alice".into());
        claims.insert("sub".into(), "s-mallory".into());
    });
    let reply = log_in(&site, &provider).await;
    refused(&reply, StatusCode::CONFLICT, "already belongs to another person");
    configure(&site, |config| {
        config.people.login.oidc.as_mut().unwrap().link_existing = true;
    });
    let reply = log_in(&site, &provider).await;
    refused(&reply, StatusCode::CONFLICT, "already belongs to another person");

    // An administrator's account is never taken over by its name.
    provider.claims(|claims| {
        claims.insert("preferred_username".into(), "root_".into());
        claims.insert("sub".into(), "s-mallory".into());
    });
    let reply = log_in(&site, &provider).await;
    refused(&reply, StatusCode::CONFLICT, "belongs to an account of this site");
    // Taking over other local accounts is the site's to allow; bob has no identity yet.
    provider.claims(|claims| {
        claims.insert("preferred_username".into(), "bob".into());
        claims.insert("sub".into(), "s-bob".into());
    });
    let me = whoami(&site, &log_in(&site, &provider).await).await.json();
    assert_eq!(me["name"], "bob");

    let query = format!("?issuer={}&subject=s-alice", provider.issuer);
    let unlinked = root.send("DELETE", &format!("{identities}{query}"), &[], "").await;
    assert_eq!(unlinked.status, StatusCode::NO_CONTENT, "{}", unlinked.text);
    let gone = root.send("DELETE", &format!("{identities}{query}"), &[], "").await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn people_without_a_usable_account_do_not_come_in() {
    let (site, provider) = with_provider().await;
    for (claim, value, status, words) in [
        ("preferred_username", Value::Null, 403, "no account name"),
        ("preferred_username", json!("a/../b"), 403, "cannot be an account"),
        ("preferred_username", json!("x".repeat(5_000)), 403, "cannot be an account"),
        ("uidNumber", Value::Null, 403, "No source says the uid"),
        ("uidNumber", json!(0), 403, "no server runs as root"),
        ("gidNumber", json!("0"), 403, "no server runs as root"),
        ("uidNumber", json!(1001), 403, "is that of bob"),
    ] {
        provider.claims(move |claims| match &value {
            Value::Null => drop(claims.remove(claim)),
            value => drop(claims.insert(claim.into(), value.clone())),
        });
        let reply = log_in(&site, &provider).await;
        refused(&reply, StatusCode::from_u16(status).unwrap(), words);
        let user = site.hub.storage.read(|reader| reader.user(&"alice2".parse().unwrap()));
        assert_eq!(user.unwrap(), None, "nothing is left of it");
    }
}

#[tokio::test]
async fn missing_claims_come_from_userinfo_of_the_same_person() {
    let (site, provider) = with_provider().await;
    provider.claims(|claims| {
        for name in ["preferred_username", "uidNumber", "gidNumber", "groups"] {
            claims.remove(name);
        }
    });
    let mut info = json!({"sub": "s-mallory", "preferred_username": "carol", "uidNumber": 5,
        "gidNumber": 6, "groups": "x"});
    provider.set(|behaviour| behaviour.userinfo = info.clone());
    let reply = log_in(&site, &provider).await;
    refused(&reply, StatusCode::SERVICE_UNAVAILABLE, "does not answer");
    info["sub"] = "s-alice".into();
    provider.set(|behaviour| behaviour.userinfo = info);
    let me = whoami(&site, &log_in(&site, &provider).await).await.json();
    assert_eq!((&me["name"], &me["groups"]), (&json!("carol"), &json!(["x"])));
}

async fn tell(site: &Site, token: &str) -> Reply {
    let request = Request::post("/hub/backchannel_logout").header(CONTENT_TYPE, FORM);
    site.send(request.body(format!("logout_token={token}").into()).unwrap()).await
}

#[tokio::test]
async fn the_providers_logout_ends_what_came_of_its_login() {
    let (mut site, provider) = with_provider().await;
    let login = log_in(&site, &provider).await;
    provider.claims(|claims| drop(claims.insert("sid".into(), "sid-2".into())));
    let elsewhere = log_in(&site, &provider).await;
    let by_password = site.browser("alice").await.headers[0].1.clone();

    type Change = fn(&mut serde_json::Map<String, Value>);
    let wrong: [(&str, Change); 9] = [
        ("iss", |c| drop(c.insert("iss".into(), "https://evil.example".into()))),
        ("aud", |c| drop(c.insert("aud".into(), "other".into()))),
        ("nonce", |c| drop(c.insert("nonce".into(), "x".into()))),
        ("events", |c| drop(c.remove("events"))),
        ("events", |c| drop(c.insert("events".into(), json!({"x": {}})))),
        ("jti", |c| drop(c.remove("jti"))),
        ("exp", |c| drop(c.insert("exp".into(), (seconds() - 61).into()))),
        ("iat", |c| drop(c.insert("iat".into(), (seconds() - 3_600).into()))),
        ("sub or sid", |c| {
            c.remove("sub");
            c.remove("sid");
        }),
    ];
    for (word, change) in wrong {
        let reply = tell(&site, &provider.logout_token(change)).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{word}");
        assert!(reply.text.contains(word), "{word}: {}", reply.text);
    }
    let key = Key::new("k1");
    let header = json!({"alg": "ES256", "kid": "k1", "typ": "logout+jwt"});
    assert_eq!(tell(&site, &key.sign_under(&header, &json!({}))).await.status, 400);
    assert_eq!(tell(&site, "").await.status, 400);
    assert_eq!(whoami(&site, &login).await.status, StatusCode::OK, "nothing has ended");

    let token = provider.logout_token(|_| ());
    assert_eq!(tell(&site, &token).await.status, StatusCode::OK);
    assert_eq!(whoami(&site, &login).await.status, StatusCode::FORBIDDEN);
    assert_eq!(whoami(&site, &elsewhere).await.status, StatusCode::OK, "another session of hers");
    let secret = login.cookie("__Host-berth").split_once('=').unwrap().1.to_owned();
    let hash = berth_hub::keys::hash(&secret).to_vec();
    assert_eq!(site.revoked.try_recv().unwrap(), hash, "the proxy cuts its websockets");

    // The same token again does nothing to sessions begun since.
    provider.claims(|_| ());
    let later = log_in(&site, &provider).await;
    assert_eq!(tell(&site, &token).await.status, StatusCode::OK);
    assert_eq!(whoami(&site, &later).await.status, StatusCode::OK);

    let all = provider.logout_token(|claims| drop(claims.remove("sid")));
    assert_eq!(tell(&site, &all).await.status, StatusCode::OK);
    for ended in [&elsewhere, &later] {
        assert_eq!(whoami(&site, ended).await.status, StatusCode::FORBIDDEN);
    }
    let request = Request::get("/hub/api/user").header(COOKIE, by_password);
    let still = site.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(still.status, StatusCode::OK, "a login by password is not the provider's");
}

#[tokio::test]
async fn a_logout_here_goes_on_to_the_provider() {
    let (site, provider) = with_provider().await;
    let login = log_in(&site, &provider).await;
    let cookie = login.cookie("__Host-berth");
    let hash = berth_hub::keys::hash(cookie.split_once('=').unwrap().1);
    let session = site.hub.storage.read(|reader| reader.session(&hash)).unwrap().unwrap();
    let home = Request::get("/hub/home").header(COOKIE, &cookie);
    let home = site.send(home.body(Body::empty()).unwrap()).await;
    let origin = provider.issuer.trim_end_matches("/realms/cc");
    let policy = home.header("content-security-policy");
    assert!(policy.contains(&format!("form-action 'self' {origin};")), "{policy}");
    let request = Request::post("/hub/logout").header(COOKIE, &cookie).header(CONTENT_TYPE, FORM);
    let body = format!("_xsrf={}", session.xsrf);
    let reply = site.send(request.body(body.into()).unwrap()).await;
    let url = url::Url::parse(reply.location()).unwrap();
    assert!(reply.location().starts_with(&format!("{}/logout?id_token_hint=ey", provider.issuer)));
    let back = url.query_pairs().find(|(name, _)| name == "post_logout_redirect_uri").unwrap().1;
    assert_eq!(back, "http://127.0.0.1:8000/");
    assert_eq!(whoami(&site, &login).await.status, StatusCode::FORBIDDEN);
    // A login by password ends here.
    let alice = site.browser("alice").await;
    let body = format!("_xsrf={}", alice.xsrf);
    let reply = alice.send("POST", "/hub/logout", &[(CONTENT_TYPE.as_str(), FORM)], &body).await;
    assert_eq!(reply.location(), "/hub/login");
}

#[tokio::test]
async fn nonsense_is_slowed_and_a_room_of_people_is_not() {
    let (site, provider) = with_provider().await;
    let from = ("x-forwarded-for", "192.0.2.1");
    let nonsense = async || {
        let request = Request::get("/hub/oauth_callback?state=x").header(from.0, from.1);
        site.send(request.body(Body::empty()).unwrap()).await
    };
    let mut slowed = None;
    for _ in 0..70 {
        let reply = nonsense().await;
        if reply.status == StatusCode::TOO_MANY_REQUESTS {
            slowed = Some(reply);
            break;
        }
    }
    assert!(!slowed.expect("slowed").header("retry-after").is_empty());
    // From another address people come in, eighty at once.
    for number in 0..80 {
        provider.claims(move |claims| {
            claims.insert("sub".into(), format!("s-{number}").into());
            claims.insert("preferred_username".into(), format!("u{number}").into());
            claims.insert("uidNumber".into(), (30_000 + number).into());
        });
        assert_eq!(log_in(&site, &provider).await.status, StatusCode::FOUND, "{number}");
    }
}

#[tokio::test]
async fn a_site_without_passwords_or_provider_says_so() {
    let site = Site::new().await;
    assert_eq!(site.get("/hub/oauth_login").await.status, StatusCode::NOT_FOUND);
    assert_eq!(site.get("/hub/oauth_callback?state=x").await.status, StatusCode::NOT_FOUND);
    assert!(!site.get("/hub/login").await.text.contains("oauth_login"));
    configure(&site, |config| config.people.login.passwords = false);
    let form = site.get("/hub/login").await;
    assert!(!form.text.contains("name=\"password\""));
    let cookie = form.cookie("__Host-berth-login");
    let xsrf = cookie.split_once('=').unwrap().1;
    let body = format!("username=alice&password={}&_xsrf={xsrf}", "correct+horse");
    let request = Request::post("/hub/login").header(COOKIE, &cookie).header(CONTENT_TYPE, FORM);
    let reply = site.send(request.body(body.into()).unwrap()).await;
    refused(&reply, StatusCode::FORBIDDEN, "Nobody logs in by password here");
}
