//! What scripts add to pages: a slider, and news that take nothing away.

use super::super::scene::serve;
use super::super::site::Site;
use super::super::trainings;
use super::chromium::Chromium;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Chromium: tests/run pages"]
async fn a_slider_chooses_what_lies_between() {
    let site = Site::new().await;
    let addresses = serve(&site).await;
    let browser = Chromium::open().await;
    browser.go(&format!("{}/hub/spawn", addresses["alice"])).await;
    let field = "document.querySelector('.tile-form input[name=own]')";
    // There is none for whoever has no scripts: it shows itself when it works.
    browser.until("!document.querySelector('.tile-form input[type=range]').hidden").await;
    browser
        .script(
            "const range = document.querySelector('.tile-form input[type=range]');
             range.value = '6.5';
             range.dispatchEvent(new Event('input', { bubbles: true }));",
        )
        .await;
    browser.until(&format!("{field}.value === '6.5'")).await;
    browser.until("document.querySelector('.share').search.includes('opt-memory=6.5G')").await;
    let verdict = "document.querySelector('#v-1-own')";
    browser.until(&format!("{verdict}.checkVisibility()")).await;
    // What it changes is said: another verdict comes for an amount that nobody offers.
    browser
        .script(&format!("{field}.value = '15'; {field}.dispatchEvent(new Event('input'))"))
        .await;
    browser.until("document.querySelector('.share').search.includes('opt-memory=15G')").await;
    browser.until("document.querySelector('.tile-form input[type=range]').value === '15'").await;
    browser.script("document.querySelector('.tile-form button.main').click()").await;
    browser.until("location.href.includes('/hub/spawn-pending/alice')").await;
    assert_eq!(site.server("alice", "").ask.memory, super::gb(15));
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Chromium: tests/run pages"]
async fn news_of_a_room_leave_what_is_being_written() {
    let site = Site::new().await;
    trainings::begin(&site).await;
    let addresses = serve(&site).await;
    let browser = Chromium::open().await;
    browser.go(&format!("{}/hub/trainings/school", addresses["bob"])).await;
    browser
        .script(
            "const text = document.querySelector('#text');
             text.value = 'The data is in';
             text.focus();
             window.first = document.querySelector('tbody tr');",
        )
        .await;
    site.post("bob", "/hub/trainings/school/participants/alice/start", "").await;
    site.run("alice", "").await;
    browser.until("document.body.innerText.includes('1 connected of 2 expected')").await;
    browser.until("document.querySelector('tbody tr') !== window.first").await;
    browser.until("document.querySelector('#text').value === 'The data is in'").await;
    browser.until("document.activeElement.id === 'text'").await;
    // A button that has the focus keeps it, too.
    browser.script("document.querySelector('#restart-alice').focus()").await;
    site.post("bob", "/hub/trainings/school/participants/alice/stop", "").await;
    browser.until("document.body.innerText.includes('0 connected of 2 expected')").await;
    browser.close().await;
}
