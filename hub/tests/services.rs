//! Services: who they are to the API, and that the hub keeps those alive that it starts.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::http::header::CONTENT_TYPE;
use axum::http::{Request, StatusCode};
use berth_hub::config::services::Services;
use berth_hub::config::{self, Config};
use berth_hub::services::Keeper;
use serde_json::json;

use crate::site::{Client, FORM, Reply, Site};

const HUB: &str = "version = 1\n[hub]\npublic_url = \"http://127.0.0.1:8000\"\n";

/// Puts services and roles in force, as their files say them.
fn configure(site: &Site, services: &str, roles: &str) {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| std::fs::write(folder.path().join(name), text).unwrap();
    write("hub.toml", HUB.into());
    write("services.toml", format!("version = 1\n{services}"));
    write("roles.toml", format!("version = 1\n{roles}"));
    write("news-token", "token-of-the-news".into());
    let (fresh, _) = config::load(folder.path(), berth_process::clock::now()).unwrap();
    let config = Config::clone(&site.hub.config());
    let people = config::People { roles: fresh.people.roles, ..config.people.clone() };
    site.hub.config.store(Arc::new(Config { people, services: fresh.services, ..config }));
}

const NEWS: &str = r#"[service.news]
url = "http://127.0.0.1:10101"
api_token = { file = "news-token" }
info = { text = "what is new" }
"#;

#[tokio::test]
async fn a_service_is_itself_and_may_do_what_its_roles_say() {
    let site = Site::new().await;
    configure(&site, NEWS, "[role.counting]\nscopes = [\"list:users\"]\nservices = [\"news\"]\n");
    let news = site.by_token("token-of-the-news");
    let me = news.get("/hub/api/user").await.json();
    let expected = json!({
        "kind": "service", "name": "news", "admin": false, "session_id": null,
        "token_id": "service-news", "scopes": ["list:users", "read:users:name"],
    });
    assert_eq!(me, expected);
    assert_eq!(news.get("/hub/api/users").await.json().as_array().unwrap().len(), 3);
    assert_eq!(
        news.get("/hub/api/users/alice").await.json(),
        json!({"admin": false, "kind": "user", "name": "alice", "user_info": null})
    );
    assert_eq!(
        news.json("POST", "/hub/api/users/alice/server", "").await.status,
        StatusCode::FORBIDDEN
    );
    for wrong in ["token-of-the-new", "token-of-the-newss", ""] {
        let reply = site.by_token(wrong).get("/hub/api/user").await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN, "{wrong}");
    }
    configure(&site, "", "");
    let gone = site.by_token("token-of-the-news").get("/hub/api/user").await;
    assert_eq!(gone.status, StatusCode::FORBIDDEN, "a service that is gone");
}

#[tokio::test]
async fn services_are_listed_by_rights() {
    let site = Site::new().await;
    let roles = "[role.seeing]\nscopes = [\"read:services!service=news\"]\nusers = [\"alice\"]\n\
                 [role.admin]\nservices = [\"other\"]\n";
    let other = "[service.other]\nurl = \"http://127.0.0.1:1\"\n";
    configure(&site, &format!("{NEWS}{other}"), roles);
    let news = json!({
        "kind": "service", "name": "news", "admin": false, "roles": [], "display": true,
        "url": "http://127.0.0.1:10101/", "prefix": "/services/news/", "command": [], "pid": 0,
        "info": {"text": "what is new"},
    });
    let root = site.program("root_").await;
    let list = root.get("/hub/api/services").await.json();
    assert_eq!(list["news"], news);
    assert_eq!(
        (&list["other"]["admin"], &list["other"]["roles"]),
        (&json!(true), &json!(["admin"]))
    );
    assert_eq!(root.get("/hub/api/services/news").await.json(), news);
    assert_eq!(root.get("/hub/api/services/none").await.status, StatusCode::NOT_FOUND);

    let alice = site.program("alice").await;
    assert_eq!(alice.get("/hub/api/services").await.status, StatusCode::FORBIDDEN);
    let shown = alice.get("/hub/api/services/news").await.json();
    assert!(shown.get("roles").is_none() && shown["prefix"] == "/services/news/", "{shown}");
    assert_eq!(alice.get("/hub/api/services/other").await.status, StatusCode::NOT_FOUND);
    let bob = site.program("bob").await;
    assert_eq!(bob.get("/hub/api/services/news").await.status, StatusCode::FORBIDDEN);
    let change = root.json("DELETE", "/hub/api/services/news", "").await;
    assert_eq!(change.status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(change.message().contains("it stands in services.toml:2"), "{}", change.text);
    let again = root.json("POST", "/hub/api/services/news", r#"{"display": false}"#).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
}

const READERS: &str =
    "[role.readers]\nscopes = [\"access:services!service=news\"]\nusers = [\"alice\", \"root_\"]\n";
const AUTHORIZE: &str = "/hub/api/oauth2/authorize?client_id=service-news&response_type=code\
    &redirect_uri=%2Fservices%2Fnews%2Foauth_callback&state=s";
const SCOPES: &str = "read:users:name!user read:users:groups!user access:services!service=news";

/// The fields of the consent page, as a browser sends them.
fn grants(text: &str) -> Vec<String> {
    let fields = text.split("name=\"scopes\" value=\"").skip(1);
    fields.map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
}

async fn allow(browser: &Client<'_>, scopes: &[String]) -> Reply {
    let fields = scopes.iter().map(|scope| format!("scopes={scope}&")).collect::<String>();
    let form = [(CONTENT_TYPE.as_str(), FORM)];
    browser.send("POST", AUTHORIZE, &form, &format!("{fields}_xsrf={}", browser.xsrf)).await
}

async fn exchange(site: &Site, location: &str, secret: &str) -> Reply {
    let code = location.strip_prefix("/services/news/oauth_callback?code=");
    let code = code.unwrap_or_else(|| panic!("{location}")).split('&').next().unwrap();
    let body = format!(
        "client_id=service-news&client_secret={secret}&grant_type=authorization_code&code={code}\
         &redirect_uri=/services/news/oauth_callback"
    );
    let request = Request::post("/hub/api/oauth2/token").header(CONTENT_TYPE, FORM);
    site.send(request.body(body.into()).unwrap()).await
}

#[tokio::test]
async fn a_service_knows_its_visitor_after_the_visitor_has_agreed() {
    let mut site = Site::new().await;
    configure(&site, NEWS, READERS);
    let stranger = site.get(AUTHORIZE).await;
    assert!(stranger.location().starts_with("/hub/login?next="), "{stranger:?}");
    let alice = site.browser("alice").await;
    let asked = alice.get(AUTHORIZE).await;
    assert_eq!(asked.status, StatusCode::OK, "{}", asked.text);
    assert_eq!(grants(&asked.text).join(" "), SCOPES);
    assert!(asked.header("content-security-policy").contains("frame-ancestors 'none'"));

    // Nobody else agrees for her.
    let form = [(CONTENT_TYPE.as_str(), FORM)];
    let forged = alice.send("POST", AUTHORIZE, &form, "scopes=inherit").await;
    assert_eq!(forged.status, StatusCode::FORBIDDEN);
    let other_site = [(CONTENT_TYPE.as_str(), FORM), ("sec-fetch-site", "cross-site")];
    let body = format!("scopes=inherit&_xsrf={}", alice.xsrf);
    let forged = alice.send("POST", AUTHORIZE, &other_site, &body).await;
    assert_eq!(forged.status, StatusCode::FORBIDDEN);

    let mut more = grants(&asked.text);
    more.push("inherit".into());
    let agreed = allow(&alice, &more).await;
    assert_eq!(agreed.status, StatusCode::FOUND, "{}", agreed.text);
    assert!(agreed.location().ends_with("&state=s"), "{}", agreed.location());
    let wrong = exchange(&site, agreed.location(), "another-token").await;
    assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
    let token = exchange(&site, agreed.location(), "token-of-the-news").await.json();
    assert_eq!(token["scope"], SCOPES, "nothing that was not on the page");
    let token = token["access_token"].as_str().unwrap().to_owned();
    let me = site.by_token(&token).get("/hub/api/user").await.json();
    assert_eq!((&me["kind"], &me["name"]), (&json!("user"), &json!("alice")));
    assert!(me["scopes"].to_string().contains("access:services!service=news"), "{me}");

    let again = alice.get(AUTHORIZE).await;
    assert!(again.location().contains("?code="), "she has agreed already");
    let logout = format!("_xsrf={}", alice.xsrf);
    alice.send("POST", "/hub/logout", &form, &logout).await;
    let ended = site.by_token(&token).get("/hub/api/user").await;
    assert_eq!(ended.status, StatusCode::FORBIDDEN, "logout ends it");
    let hash = berth_hub::keys::hash(&token).to_vec();
    let mut told = std::iter::from_fn(|| site.revoked.try_recv().ok());
    assert!(told.any(|revoked| revoked == hash), "the proxy is told");
}

#[tokio::test]
async fn a_service_gets_no_more_than_its_visitor_and_the_site_give() {
    let site = Site::new().await;
    let more = "oauth_client_allowed_scopes = [\"read:users\", \"admin:groups\"]\n";
    configure(&site, &format!("{NEWS}{more}"), READERS);
    let alice = site.browser("alice").await;
    let asked = alice.get(AUTHORIZE).await;
    let shown = grants(&asked.text);
    assert!(shown.iter().any(|scope| scope == "read:users"), "{shown:?}");
    assert!(!shown.iter().any(|scope| scope == "admin:groups"), "she has none to give");
    let agreed = allow(&alice, &[]).await;
    let token = exchange(&site, agreed.location(), "token-of-the-news").await.json();
    assert_eq!(token["scope"], "read:users:name!user read:users:groups!user", "identity only");
    let beyond = alice.get(&format!("{AUTHORIZE}&scope=tokens")).await;
    assert!(beyond.location().contains("?error=invalid_scope"), "{}", beyond.location());

    // Who may use it finds it at home.
    site.running("alice", "").await;
    site.running("bob", "").await;
    let bob = site.browser("bob").await;
    let link = "href=\"/services/news/\"";
    assert!(alice.get("/hub/home").await.text.contains(link));
    assert!(!bob.get("/hub/home").await.text.contains(link));
    let bob = bob.get(AUTHORIZE).await;
    assert_eq!(bob.status, StatusCode::FORBIDDEN, "{}", bob.text);
    assert!(bob.headers.get("location").is_none());
    let elsewhere = AUTHORIZE.replace("%2Fservices", "https://evil.example%2Fservices");
    assert_eq!(alice.get(&elsewhere).await.status, StatusCode::BAD_REQUEST);

    configure(&site, &format!("{NEWS}oauth_no_confirm = true\n"), READERS);
    let trusted = alice.get(AUTHORIZE).await;
    let token = exchange(&site, trusted.location(), "token-of-the-news").await.json();
    let token = token["access_token"].as_str().unwrap().to_owned();
    assert_eq!(site.by_token(&token).get("/hub/api/user").await.status, StatusCode::OK);
    configure(&site, "", "");
    assert_eq!(alice.get(AUTHORIZE).await.status, StatusCode::BAD_REQUEST);
    let ended = site.by_token(&token).get("/hub/api/user").await;
    assert_eq!(ended.status, StatusCode::FORBIDDEN, "it ends with the service");
}

const MADE: &str = r#"{"url": "http://127.0.0.1:10101", "api_token": "token-of-the-news",
    "info": {"text": "what is new"}, "oauth_client_allowed_scopes": ["read:users"]}"#;

#[tokio::test]
async fn a_service_that_the_api_made_is_one_until_it_is_removed() {
    let mut site = Site::new().await;
    configure(&site, "", READERS.replace("news", "made").as_str());
    let root = site.program("root_").await;
    let path = "/hub/api/services/made";
    let made = root.json("POST", path, MADE).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let model = json!({
        "kind": "service", "name": "made", "admin": false, "roles": [], "display": true,
        "url": "http://127.0.0.1:10101/", "prefix": "/services/made/", "command": [], "pid": 0,
        "info": {"text": "what is new"},
    });
    assert_eq!(made.json(), model);
    assert_eq!(root.get("/hub/api/services").await.json()["made"], model);
    assert_eq!(root.json("POST", path, MADE).await.status, StatusCode::CONFLICT);
    let routes = site.hub.services.routes().borrow().clone();
    assert_eq!(routes["/services/made"].target, "http://127.0.0.1:10101");
    let me = site.by_token("token-of-the-news").get("/hub/api/user").await.json();
    assert_eq!((&me["kind"], &me["name"]), (&json!("service"), &json!("made")));
    assert_eq!(site.by_token("token-of-the-new").get("/hub/api/user").await.status, 403);

    let alice = site.browser("alice").await;
    let (authorize, callback) = (of_made(AUTHORIZE), "/services/made/oauth_callback");
    let asked = alice.get(&authorize).await;
    let fields: String =
        grants(&asked.text).iter().map(|scope| format!("scopes={scope}&")).collect();
    let form = [(CONTENT_TYPE.as_str(), FORM)];
    let agreed = format!("{fields}_xsrf={}", alice.xsrf);
    let agreed = alice.send("POST", &authorize, &form, &agreed).await;
    let code = agreed.location().split("code=").nth(1).expect("a code").split('&').next().unwrap();
    let body = format!(
        "client_id=service-made&client_secret=token-of-the-news&grant_type=authorization_code\
         &code={code}&redirect_uri={callback}"
    );
    let request = Request::post("/hub/api/oauth2/token").header(CONTENT_TYPE, FORM);
    let token = site.send(request.body(body.into()).unwrap()).await.json();
    let token = token["access_token"].as_str().unwrap().to_owned();
    let me = site.by_token(&token).get("/hub/api/user").await.json();
    assert!(me["scopes"].to_string().contains("access:services!service=made"), "{me}");

    assert_eq!(root.json("DELETE", path, "").await.status, StatusCode::OK);
    assert_eq!(root.json("DELETE", path, "").await.status, StatusCode::NOT_FOUND);
    assert!(!site.hub.services.routes().borrow().contains_key("/services/made"));
    for ended in ["token-of-the-news", &token] {
        let reply = site.by_token(ended).get("/hub/api/user").await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN, "{ended}");
    }
    assert_eq!(alice.get(&authorize).await.status, StatusCode::BAD_REQUEST);
    let hash = berth_hub::keys::hash(&token).to_vec();
    let mut told = std::iter::from_fn(|| site.revoked.try_recv().ok());
    assert!(told.any(|revoked| revoked == hash), "the proxy is told");
}

fn of_made(text: &str) -> String {
    text.replace("news", "made")
}

#[tokio::test]
async fn nobody_makes_a_service_mightier_than_themselves() {
    let site = Site::new().await;
    configure(&site, NEWS, "[role.clerk]\nscopes = [\"admin:services\"]\nusers = [\"bob\"]\n");
    let (root, bob) = (site.program("root_").await, site.program("bob").await);
    let taken = site.token("alice", &["inherit"]).await;
    let taken = json!({ "api_token": taken }).to_string();
    for bad in [
        "",
        "{}",
        "[]",
        r#"{"colour": "blue"}"#,
        r#"{"admin": "yes"}"#,
        r#"{"url": "ftp://x"}"#,
        r#"{"url": "http://u:p@x"}"#,
        r#"{"command": ["sh"]}"#,
        r#"{"cwd": "/"}"#,
        r#"{"api_token": "short"}"#,
        r#"{"api_token": "token-of-the-news"}"#,
        &taken,
        r#"{"oauth_client_id": "jupyterhub-user-alice"}"#,
        r#"{"oauth_client_id": "service-news"}"#,
        r#"{"oauth_redirect_uri": "javascript:alert(1)"}"#,
        r#"{"oauth_client_allowed_scopes": ["nonsense"]}"#,
    ] {
        let reply = root.json("POST", "/hub/api/services/x", bad).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{bad}: {}", reply.text);
    }
    for name in ["..%2Fx", "a.b", "%2e%2e"] {
        let reply = root.json("POST", &format!("/hub/api/services/{name}"), MADE).await;
        assert!(reply.status.is_client_error(), "{name}: {}", reply.text);
    }
    for mighty in [
        r#"{"admin": true}"#,
        r#"{"oauth_client_allowed_scopes": ["admin:users"]}"#,
        r#"{"oauth_client_allowed_scopes": ["servers!user"]}"#,
        r#"{"oauth_client_allowed_scopes": ["inherit"]}"#,
    ] {
        let reply = bob.json("POST", "/hub/api/services/x", mighty).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{mighty}: {}", reply.text);
        let name = mighty.len();
        let reply = root.json("POST", &format!("/hub/api/services/x{name}"), mighty).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{mighty}: {}", reply.text);
    }
    let own = r#"{"oauth_client_allowed_scopes": ["list:services"], "display": false}"#;
    assert_eq!(bob.json("POST", "/hub/api/services/x", own).await.status, StatusCode::CREATED);
}

async fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let wait = async {
        loop {
            if let Some(found) = look() {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(60), wait).await;
    waited.unwrap_or_else(|_| panic!("never: {what}"))
}

/// What a process found in its environment.
fn environment(path: &Path) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(path).ok()?;
    let complete = text.ends_with("the end\n");
    complete.then(|| text.lines().map(str::to_owned).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hub_starts_its_services_keeps_them_alive_and_stops_them() {
    let site = Site::new().await;
    let folder = tempfile::tempdir().unwrap();
    let told = folder.path().join("told");
    // The shell's child belongs to the service too.
    let script = format!("env > {0}; echo the end >> {0}; sleep 1000 & wait", told.display());
    let service = format!(
        "[service.sh]\nurl = \"http://127.0.0.1:10101\"\ncommand = [\"/bin/sh\", \"-c\", \"{script}\"]\n\
         environment = {{ COLOUR = \"blue\", JUPYTERHUB_SERVICE_NAME = \"other\" }}\n"
    );
    configure(&site, &service, "");
    let keeper = Keeper::start(Arc::clone(&site.hub));
    let found = until("its environment", || environment(&told)).await;
    let has = |line: &str| assert!(found.iter().any(|one| one == line), "{line}: {found:#?}");
    for line in [
        "COLOUR=blue",
        "JUPYTERHUB_SERVICE_NAME=sh",
        "JUPYTERHUB_SERVICE_PREFIX=/services/sh/",
        "JUPYTERHUB_SERVICE_URL=http://127.0.0.1:10101",
        "JUPYTERHUB_API_URL=http://127.0.0.1:1/hub/api",
        "JUPYTERHUB_BASE_URL=/",
        "JUPYTERHUB_CLIENT_ID=service-sh",
        "JUPYTERHUB_OAUTH_CALLBACK_URL=/services/sh/oauth_callback",
        "JUPYTERHUB_OAUTH_ACCESS_SCOPES=[\"access:services\",\"access:services!service=sh\"]",
    ] {
        has(line);
    }
    assert!(!found.iter().any(|line| line.starts_with("CARGO")), "nothing else of the hub's own");
    let token = found.iter().find_map(|line| line.strip_prefix("JUPYTERHUB_API_TOKEN=")).unwrap();
    let me = site.by_token(token).get("/hub/api/user").await.json();
    assert_eq!((&me["kind"], &me["name"]), (&json!("service"), &json!("sh")));
    let routes = site.hub.services.routes().borrow().clone();
    assert_eq!(routes["/services/sh"].target, "http://127.0.0.1:10101");

    let pid = || site.hub.services.pid("sh");
    let first = until("its process", pid).await;
    kill(first);
    let second = until("another process", || pid().filter(|pid| *pid != first)).await;

    // Killed at once, but whoever takes in orphans may be late to let them go.
    until("the end of what it started", || members(first).is_empty().then_some(())).await;

    configure(&site, &service.replace("blue", "red"), "");
    let third = until("a process of the new kind", || pid().filter(|pid| *pid != second)).await;
    assert!(!is_there(second));
    // What does not concern the process leaves it alone.
    let more = "[service.more]\ncommand = [\"/bin/sleep\", \"1000\"]\n";
    configure(&site, &format!("{more}{}display = false\n", service.replace("blue", "red")), "");
    until("another service", || site.hub.services.pid("more")).await;
    assert_eq!(pid(), Some(third));
    let red = || environment(&told).filter(|found| found.iter().any(|line| line == "COLOUR=red"));
    until("the new environment", red).await;
    keeper.stop().await;
    assert!(!is_there(third) && pid().is_none());
    // Killed at once, but whoever takes in orphans may be late to let them go.
    until("the end of what it started", || members(third).is_empty().then_some(())).await;

    site.hub.config.store(Arc::new(Config {
        services: Services::default(),
        ..Config::clone(&site.hub.config())
    }));
}

fn kill(pid: u32) {
    let done = std::process::Command::new("kill").args(["-9", &pid.to_string()]).status();
    assert!(done.unwrap().success());
}

fn is_there(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

/// The processes of a group that still run.
fn members(group: u32) -> Vec<u32> {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let in_group = pids.filter(|pid| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
        fields.get(2) == Some(&group.to_string().as_str()) && fields.first() != Some(&"Z")
    });
    in_group.collect()
}
