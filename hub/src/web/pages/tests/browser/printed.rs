//! Pages on paper: what they say, and nothing to press.

use super::super::administration;
use super::super::scene::{scene, serve};
use super::chromium::Chromium;
use super::folder;

/// What of a printed page can only be pressed, or is dark.
const LOOK: &str = "
    const shown = (css) => [...document.querySelectorAll(css)].filter((it) => it.checkVisibility());
    return {
        pressed: shown('nav, button, .button, form, input, select, summary:has(+ form)')
            .map((it) => it.outerHTML.slice(0, 80)),
        ground: getComputedStyle(document.body).backgroundColor,
        said: document.querySelector('main').innerText.trim().length,
    }";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Chromium: tests/run pages"]
async fn a_printed_page_says_all_and_has_nothing_to_press() {
    let site = scene().await;
    administration::prepare(&site).await;
    let addresses = serve(&site).await;
    let browser = Chromium::open().await;
    browser.go(&format!("{}/hub/reader?theme=dark", addresses["erin"])).await;
    browser.as_printed().await;
    let server = format!("/hub/servers/{}", site.server("alice", "").id);
    let mut troubles = Vec::new();
    for (name, who, path) in [
        ("home", "alice", "/hub/home"),
        ("server", "alice", server.as_str()),
        ("usage", "alice", "/hub/usage"),
        ("help", "alice", "/hub/help"),
        ("floor", "erin", "/hub/admin/floor?host=wn1"),
        ("servers", "erin", "/hub/admin"),
        ("host", "erin", "/hub/admin/hosts/wn1"),
        ("queue", "erin", "/hub/admin/queue"),
        ("everybody", "erin", "/hub/admin/usage"),
        ("audit", "erin", "/hub/admin/audit"),
    ] {
        browser.go(&format!("{}{path}", addresses[who])).await;
        let seen = browser.script(LOOK).await;
        browser.shot(&folder().join("shots"), &format!("printed-{name}")).await;
        let white = seen["ground"] == "rgb(255, 255, 255)";
        let said = seen["said"].as_u64().unwrap_or_default() > 40;
        if !white || !said || seen["pressed"] != serde_json::json!([]) {
            troubles.push(format!("{name}: {seen}"));
        }
    }
    browser.close().await;
    assert!(troubles.is_empty(), "{}", troubles.join("\n"));
}
