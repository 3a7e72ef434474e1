//! Streams end and begin again: nobody need hear of it.

use serde_json::json;

use super::super::scene::{Port, heartbeat, scene};
use super::chromium::Chromium;

/// Writes down all that a page ever says of its streams, and counts how often one was opened.
const LISTEN: &str = "
    window.said = [];
    window.opened = 0;
    addEventListener('DOMContentLoaded', () => {
        const note = document.getElementById('live-lost');
        const look = new MutationObserver(() => window.said.push(note.textContent));
        if (note) look.observe(note, { childList: true, characterData: true, subtree: true });
    });
    const Source = window.EventSource;
    window.EventSource = class extends Source {
        constructor(url) {
            super(url);
            this.addEventListener('open', () => { window.opened += 1; });
        }
    };";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Chromium: tests/run pages"]
async fn a_stream_that_ends_is_followed_by_the_next_without_a_word() {
    let site = scene().await;
    let browser = Chromium::open().await;
    browser.before_every_page(LISTEN).await;
    for (who, path) in [("alice", "/hub/home"), ("erin", "/hub/admin/floor")] {
        let port = Port::open(&site, who, "127.0.0.1:0").await;
        browser.go(&format!("http://{}{path}", port.address)).await;
        for opened in 1..=3 {
            browser.until(&format!("window.opened === {opened}")).await;
            port.end_streams();
        }
        browser.until("window.opened === 4").await;
        assert_eq!(browser.script("return window.said").await, json!([]), "{path}");
    }
    browser.close().await;
}

/// What is kept up to date, what happens, and what is read then without a new look.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Chromium: tests/run pages"]
async fn pages_of_administrators_tell_what_happens() {
    let site = scene().await;
    let browser = Chromium::open().await;
    let erin = Port::open(&site, "erin", "127.0.0.1:0").await;
    let says = |text: &str| format!("document.body.innerText.includes('{text}')");
    let go = async |path: &str| browser.go(&format!("http://{}{path}", erin.address)).await;

    go("/hub/admin/queue").await;
    browser.until("document.querySelector('#user') !== null").await;
    browser.script("document.querySelector('#user').value = 'typed'").await;
    site.post("bob", "/hub/spawn/bob", "profile=cpu&memory=15G&name=late").await;
    browser.until(&says("late")).await;
    browser.until("document.querySelector('#user').value === 'typed'").await;

    go("/hub/admin/hosts/wn1").await;
    browser.until(&says("of 32 GB used")).await;
    heartbeat(&site).await;
    site.post("erin", "/hub/admin/hosts/wn1/intent", "intent=cordoned&reason=new+disk").await;
    browser.until("document.querySelector('#open') !== null").await;
    browser.script("document.querySelector('#open').focus()").await;
    go("/hub/admin/pools/cpu").await;
    heartbeat(&site).await;
    browser.until(&says("cordoned")).await;
    site.post("erin", "/hub/admin/hosts/wn1/intent", "intent=open").await;
    browser.until(&format!("!{}", says("cordoned"))).await;
    browser.close().await;
}
