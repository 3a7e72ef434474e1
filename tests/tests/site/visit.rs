//! An administrator enters another person's real notebook server: asked why, let in, seen by the owner,
//! and out again when the visit ends. Nobody else is even asked.

use fantoccini::Locator;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::site::{Site, until};

const UID: u32 = 21_070;
const REASON: &str = "ticket 8812: the kernel does not start";
/// Opens a websocket of the notebook server, and remembers how it goes.
const LISTEN: &str = "window.state = 'opening';
    const at = location.origin.replace('http', 'ws') + '/user/hypatia/api/events/subscribe';
    const socket = new WebSocket(at);
    socket.onopen = () => { window.state = 'open'; };
    socket.onclose = (event) => { window.state = `closed ${event.code}`; };";

/// What became of the websocket.
async fn websocket_is(browser: &Browser, wanted: &str) {
    until(&format!("the visitor's websocket is {wanted}"), async || {
        let state = browser.page.execute("return window.state", Vec::new()).await.ok()?;
        (state == json!(wanted)).then_some(())
    })
    .await;
}

async fn status_of(browser: &Browser) -> Value {
    let script = "return performance.getEntriesByType('navigation')[0].responseStatus";
    browser.page.execute(script, Vec::new()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_enters_with_a_reason_that_the_owner_reads() {
    let site = Site::running();
    let owner = site.user("hypatia", UID).await;
    let stranger = site.user("stranger", 21_051).await;
    owner.start(json!({})).await;
    let lab = format!("{}/user/hypatia/lab", site.url);
    let id = owner.record().await["id"].as_str().unwrap().to_owned();
    let visits = format!("/hub/api/berth/servers/{id}/visits");

    // Who may not is not asked why, and cannot begin a visit by the API.
    let browser = Browser::open().await;
    browser.log_in(&site, "stranger", &stranger.password).await;
    browser.page.goto(&lab).await.unwrap();
    assert_eq!(status_of(&browser).await, json!(403));
    assert!(browser.page.find(Locator::Css("[name='reason']")).await.is_err());
    browser.close().await;
    let why = Some(json!({ "reason": REASON }));
    let (status, _) = stranger.call(Method::POST, &visits, why).await;
    assert_eq!(status, StatusCode::NOT_FOUND);

    // Who may is refused too until a reason is given.
    let password = std::fs::read_to_string(site.state.join("admin.password")).unwrap();
    let browser = Browser::open().await;
    browser.log_in(&site, "admin", password.trim()).await;
    browser.page.goto(&lab).await.unwrap();
    assert_eq!(status_of(&browser).await, json!(403));
    browser.see("[name='reason']").await;
    browser.shot("11-enter").await;
    browser.press("Enter").await;
    browser.see("[name='reason']").await;
    let (_, none) = owner.call(Method::GET, &visits, None).await;
    assert_eq!(none["visits"], json!([]), "the form was sent without a reason");
    browser.fill("reason", REASON).await;
    browser.press("Enter").await;
    browser.at("/user/hypatia/lab").await;
    browser.see("#jp-main-dock-panel, .jp-LabShell, #main").await;
    browser.page.execute(LISTEN, Vec::new()).await.unwrap();
    websocket_is(&browser, "open").await;

    // The owner reads who came and why, on the page and by the API.
    let mut cookies = owner.log_in().await;
    let home = cookies.get(&site, "/hub/home").await.text().await.unwrap();
    assert!(home.contains("admin entered") && home.contains(REASON), "{home}");
    let (_, list) = owner.call(Method::GET, &visits, None).await;
    let visit = &list["visits"][0];
    let said = (&visit["visitor"], &visit["reason"], &visit["under_way"]);
    assert_eq!(said, (&json!("admin"), &json!(REASON), &json!(true)), "{list}");

    // At its end what is open is closed, and the question is asked again.
    let (status, answer) = site.admin(Method::DELETE, &visits, None).await;
    assert_eq!(status, StatusCode::NO_CONTENT, "{answer}");
    websocket_is(&browser, "closed 4401").await;
    browser.page.delete_cookie("jupyterhub-user-hypatia").await.unwrap();
    browser.page.goto(&lab).await.unwrap();
    browser.see("[name='reason']").await;
    assert_eq!(status_of(&browser).await, json!(403));
    browser.close().await;
    let home = cookies.get(&site, "/hub/home").await.text().await.unwrap();
    assert!(home.contains("admin entered"), "it is still told: {home}");
    owner.stop().await;
}
