//! Moments are told in the reader's zone; one that is told as a span has the moment on hover.

use serde_json::json;

use super::super::scene::{scene, serve};
use super::chromium::Chromium;

/// What a moment reads here, half a day from where it is told in UTC.
const HERE: &str = "
    const here = (time) => new Date(time.dateTime).toLocaleString(document.documentElement.lang,
        { dateStyle: 'medium', timeStyle: 'short', timeZone: 'Pacific/Auckland' });
    const of = (css) => [...document.querySelectorAll(css)];
    const exact = of('time:not(.ago)'), spans = of('time.ago');
    return {
        exact: exact.length,
        spans: spans.length,
        wrong: [
            ...exact.filter((it) => it.textContent !== here(it) || !it.title.endsWith(' UTC')),
            ...spans.filter((it) => it.title !== here(it) || it.textContent === here(it)),
        ].map((it) => it.outerHTML),
    }";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Chromium: tests/run pages"]
async fn moments_are_told_where_the_reader_is() {
    let site = scene().await;
    let addresses = serve(&site).await;
    let browser = Chromium::open().await;
    browser.zone("Pacific/Auckland").await;
    for (who, path) in [
        ("alice", "/hub/home"),
        ("alice", "/hub/token"),
        ("erin", "/hub/admin"),
        ("erin", "/hub/admin/hosts/wn1"),
        ("erin", "/hub/admin/queue"),
        ("erin", "/hub/admin/people"),
    ] {
        browser.go(&format!("{}{path}", addresses[who])).await;
        let found = browser.script(HERE).await;
        assert_eq!(found["wrong"], json!([]), "{path}");
        assert!(found["exact"].as_u64().unwrap() + found["spans"].as_u64().unwrap() > 0, "{path}");
        if path != "/hub/token" {
            assert!(found["spans"].as_u64().unwrap() > 0, "{path}: {found}");
        }
    }

    // News about a card are told so, too.
    browser.go(&format!("{}/hub/home", addresses["alice"])).await;
    browser.script("window.part = document.querySelector('article')").await;
    site.out_of_memory("alice", "").await;
    browser.until("document.querySelector('article') !== window.part").await;
    assert_eq!(browser.script(HERE).await["wrong"], json!([]));
    browser.close().await;
}
