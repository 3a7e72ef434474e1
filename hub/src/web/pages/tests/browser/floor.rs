//! The Floor with a pointer: the panel follows it and stays true, a person's servers light up, a
//! click opens one, the slider goes back, and a thought changes the picture.

use super::super::scene::serve;
use super::super::site::{Site, gb};
use super::chromium::Chromium;
use super::folder;

/// Where alice's first server is, and where another of hers: no host takes two of 15 GB.
async fn two_hosts(site: &Site) -> (String, String) {
    let host = |name| site.server("alice", name).holds_on().unwrap().to_string();
    for name in ["two", "three"] {
        let form = format!("profile=cpu&memory=15G&name={name}");
        site.post("alice", "/hub/spawn/alice", &form).await;
        site.run("alice", name).await;
    }
    // On the first there is nothing else of hers.
    let (beside, there) =
        if host("two") == host("") { ("two", host("three")) } else { ("three", host("two")) };
    site.post("alice", &format!("/hub/servers/{}/stop", site.server("alice", beside).id), "").await;
    site.vanish("alice", beside).await;
    (host(""), there)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Chromium: tests/run pages"]
async fn the_panel_follows_the_pointer_and_stays_true() {
    let site = Site::busy().await;
    let (here, there) = two_hosts(&site).await;
    assert_ne!(here, there);
    let addresses = serve(&site).await;
    let browser = Chromium::open().await;
    browser.width(1280).await;
    let floor = format!("{}/hub/admin/floor", addresses["erin"]);
    browser.go(&floor).await;

    // Her server is the first on its bar.
    let bar = format!("#h-{here} svg.h");
    let id = site.server("alice", "").id.to_string();
    browser.point(&bar, 2).await;
    browser.until("document.querySelector('#panel tr.lit') !== null").await;
    let lit = format!("document.querySelector('#panel tr.lit a').pathname === '/hub/servers/{id}'");
    browser.until(&lit).await;
    let rects = |host: &str, class: &str| {
        format!("document.querySelectorAll('#h-{host} rect.{class}').length === 1")
    };
    browser.until(&rects(&here, "u")).await;
    browser.until(&rects(&there, "also")).await;
    browser.shot(&folder().join("shots"), "floor-pointed").await;

    // News come to the bar and to the panel beside it.
    browser.script(&format!("window.bar = document.querySelector('{bar}')")).await;
    site.uses("alice", "", gb(3)).await;
    browser.until(&format!("document.querySelector('{bar}') !== window.bar")).await;
    let told = "document.querySelector('#panel').innerText.includes('3 GB of 4 GB')";
    browser.until(told).await;
    // A pointer that a program moves leaves with the bar that was under it.
    browser.point(&bar, 3).await;
    browser.until(&lit).await;

    // On another host it is another panel.
    browser.point(&format!("#h-{there} svg.h"), 2).await;
    browser
        .until(&format!("document.querySelector('#panel h2').innerText.includes('{there}')"))
        .await;
    browser.point(&bar, 2).await;
    browser.until(&lit).await;
    browser.click_at(&bar, 2).await;
    browser.until(&format!("location.pathname === '/hub/servers/{id}'")).await;

    // Back in time: the slider says where it is, and goes there when it is let go.
    browser.go(&floor).await;
    let slide = "
        const slider = document.querySelector('#back');
        slider.value = '60';
        slider.dispatchEvent(new Event('input', { bubbles: true }));
        const said = document.querySelector('#back-is').value;
        slider.dispatchEvent(new Event('change', { bubbles: true }));
        return said";
    assert_ne!(browser.script(slide).await, "now");
    browser.until("location.search.includes('back=60')").await;
    browser.until("document.body.innerText.includes('Nothing was recorded by then.')").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Chromium: tests/run pages"]
async fn a_thought_changes_the_picture_and_nothing_else() {
    let site = Site::busy().await;
    let addresses = serve(&site).await;
    let browser = Chromium::open().await;
    browser.width(1280).await;
    browser.go(&format!("{}/hub/admin/floor", addresses["erin"])).await;
    browser.press("#what-if summary").await;
    let fill =
        |field: &str, value: &str| format!("document.querySelector('#{field}').value = '{value}'");
    browser.script(&fill("count", "2")).await;
    browser.script(&fill("like", "cpu")).await;
    browser.script(&fill("pool", "cpu")).await;
    browser.script(&fill("times", "0.1")).await;
    browser.press("#what-if button").await;
    browser.until("document.body.innerText.includes('With 2 more hosts like cpu')").await;
    let new =
        "document.querySelector('#h-new-1 svg.h') && document.querySelector('#h-new-2 svg.h')";
    browser.until(&format!("({new}) !== null")).await;
    browser.until("document.body.innerText.includes('0.1 times the usable memory')").await;
    browser.until("document.querySelector('#panel .fl-bad') !== null").await;
    browser.until("document.querySelector('#fl-floor path.cx') !== null").await;
    browser.shot(&folder().join("shots"), "floor-thought").await;
    assert_eq!(site.hub.config().settings.pools["cpu"].oversubscribe_milli, 1_000);
    assert!(!site.hub.fleet.fleet().hosts.keys().any(|host| host.as_str().starts_with("new-")));
    browser.press("#panel .actions a").await;
    browser.until("location.search === ''").await;
    browser.close().await;
}
