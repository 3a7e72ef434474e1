//! Login and logout with a real provider.

use reqwest::StatusCode;

use crate::browser::{Browser, Page};
use crate::parts::{Hub, Provider};

fn site() -> (Hub, Provider) {
    let address = Hub::address();
    let provider = Provider::start(&address);
    let hub = Hub::start(&address, &Hub::oidc(&provider.issuer), None);
    (hub, provider)
}

/// To the provider, and its form filled in.
async fn log_in(browser: &Browser, hub: &Hub, path: &str, name: &str, password: &str) -> Page {
    let form = browser.open(&format!("{}{path}", hub.url)).await;
    assert!(form.text.contains("<title>CC login"), "{form:?}");
    let fields = [("username", name), ("password", password)];
    let page = browser.post(&form.url, &fields).await;
    browser.follow(page).await
}

#[tokio::test]
async fn a_person_logs_in_over_the_provider_and_out_of_both() {
    let (hub, provider) = site();
    let browser = Browser::new();
    let login = browser.open(&format!("{}/hub/token", hub.url)).await;
    assert!(login.text.contains("Log in with CC"), "{login:?}");
    let next = "/hub/oauth_login?next=/hub/token";
    let wrong = log_in(&browser, &hub, next, "alice", "wrong").await;
    assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
    let page = log_in(&browser, &hub, next, "alice", "apw").await;
    assert_eq!((page.status, page.url), (StatusCode::OK, format!("{}/hub/token", hub.url)));
    assert_eq!(browser.whoami(&hub.url).await.as_deref(), Some("alice"));
    let account = hub.account("alice").await;
    assert_eq!(
        (&account["account"]["uid"], &account["standing"]),
        (&20_001.into(), &"valid".into())
    );
    assert_eq!(account["identities"][0]["issuer"], provider.issuer.as_str());
    let names: Vec<_> = account["account"]["groups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|g| g["name"].clone())
        .collect();
    assert_eq!(names, ["atlas", "lsst"]);

    // The provider's session still stands: no form, straight in again.
    let again = browser.open(&format!("{}/hub/oauth_login", hub.url)).await;
    assert!(again.url.starts_with(&hub.url), "{again:?}");

    let home = browser.open(&format!("{}/hub/token", hub.url)).await;
    let logout = format!("{}/hub/logout", hub.url);
    let page = browser.post(&logout, &[("_xsrf", &home.field("_xsrf"))]).await;
    assert!(page.location.as_ref().unwrap().starts_with(&provider.issuer), "{page:?}");
    assert_eq!(browser.whoami(&hub.url).await, None);
    let asked = browser.follow(page).await;
    let action = asked.text.split("action=\"").nth(1).unwrap().split('"').next().unwrap();
    let fields = [("xsrf", asked.field("xsrf")), ("logout", "yes".into())];
    let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let page = browser.post(action, &fields).await;
    let page = browser.follow(page).await;
    assert!(page.url.starts_with(&format!("{}/hub/login", hub.url)), "back at our door: {page:?}");
    let form = browser.open(&format!("{}/hub/oauth_login", hub.url)).await;
    assert!(form.text.contains("<title>CC login"), "the provider's session has ended too");
}

#[tokio::test]
async fn a_logout_at_the_provider_ends_sessions_here() {
    let (hub, provider) = site();
    let (browser, bob) = (Browser::new(), Browser::new());
    log_in(&browser, &hub, "/hub/oauth_login", "alice", "apw").await;
    log_in(&bob, &hub, "/hub/oauth_login", "bob", "bpw").await;
    // As another client of the provider would: Berth hears of it by the back channel alone.
    let end = format!("{}/protocol/openid-connect/logout", provider.issuer);
    let asked = browser.get(&end).await;
    let action = asked.text.split("action=\"").nth(1).unwrap().split('"').next().unwrap();
    assert_eq!(browser.whoami(&hub.url).await.as_deref(), Some("alice"));
    // The provider answers only after it has told its clients.
    browser.post(action, &[("xsrf", &asked.field("xsrf")), ("logout", "yes")]).await;
    assert_eq!(browser.whoami(&hub.url).await, None);
    assert_eq!(bob.whoami(&hub.url).await.as_deref(), Some("bob"), "others go on");
}

#[tokio::test]
async fn new_keys_of_the_provider_are_found_and_its_absence_is_borne() {
    let (hub, mut provider) = site();
    let alice = Browser::new();
    log_in(&alice, &hub, "/hub/oauth_login", "alice", "apw").await;
    provider.restart();
    let bob = Browser::new();
    let page = log_in(&bob, &hub, "/hub/oauth_login", "bob", "bpw").await;
    assert_eq!(page.url, format!("{}/hub/home", hub.url), "{page:?}");

    // It dies in the middle of a login.
    let late = Browser::new();
    let form = late.open(&format!("{}/hub/oauth_login", hub.url)).await;
    let back = late.post(&form.url, &[("username", "bob"), ("password", "bpw")]).await;
    let back = late.get(&back.location.unwrap()).await.location.unwrap();
    assert!(back.starts_with(&format!("{}/hub/oauth_callback", hub.url)), "{back}");
    provider.stop();
    let page = late.get(&back).await;
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(page.text.contains("does not answer at the moment"), "{page:?}");
    assert_eq!(alice.whoami(&hub.url).await.as_deref(), Some("alice"), "sessions go on");
    assert_eq!(late.whoami(&hub.url).await, None);
}

#[tokio::test]
async fn a_code_works_once_and_only_where_it_was_asked_for() {
    let (hub, _provider) = site();
    let (alice, mallory) = (Browser::new(), Browser::new());
    let form = alice.open(&format!("{}/hub/oauth_login", hub.url)).await;
    let back = alice.post(&form.url, &[("username", "alice"), ("password", "apw")]).await;
    let callback = alice.get(&back.location.unwrap()).await.location.unwrap();
    // Mallory gets hold of the address that alice is sent back to, and has begun a login as well.
    mallory.get(&format!("{}/hub/oauth_login", hub.url)).await;
    assert_eq!(mallory.get(&callback).await.status, StatusCode::FORBIDDEN);
    assert_eq!(mallory.whoami(&hub.url).await, None);
    assert_eq!(alice.get(&callback).await.status, StatusCode::FOUND);
    assert_eq!(alice.whoami(&hub.url).await.as_deref(), Some("alice"));
    assert_eq!(alice.get(&callback).await.status, StatusCode::FORBIDDEN, "used up");
    assert_eq!(alice.whoami(&hub.url).await.as_deref(), Some("alice"));
}
