//! By the keyboard alone: all of Home is reached, and a server is asked for.

use serde_json::Value;

use super::super::scene::serve;
use super::super::site::Site;
use super::chromium::Chromium;

/// More stops than any page has.
const MOST: usize = 150;

/// What has the focus, whether that is seen, and whether it lies in the window.
const FOCUS: &str = "
    const it = document.activeElement;
    const box = it.getBoundingClientRect();
    const look = getComputedStyle(it);
    const label = it.matches('.choices input') ? it.nextElementSibling : it;
    return {
        id: it.id,
        name: it.tagName + ' ' + (it.innerText || it.value || '').trim(),
        main: it.matches('main *'),
        outlined: getComputedStyle(label).outlineStyle !== 'none' || look.boxShadow !== 'none',
        inside: box.bottom > 0 && box.top < innerHeight,
    }";

/// Goes on by Tab until something has the focus; returns all that had it before.
async fn tab_to(browser: &Chromium, css: &str) -> Vec<Value> {
    let mut passed = Vec::new();
    for _ in 0..MOST {
        browser.key("Tab").await;
        let focus = browser.script(FOCUS).await;
        assert_eq!(focus["outlined"], true, "the focus is not seen on {focus}");
        assert_eq!(focus["inside"], true, "the focus is out of sight: {focus}");
        passed.push(focus);
        if browser.script(&format!("return document.activeElement.matches({css:?})")).await == true
        {
            return passed;
        }
    }
    panic!("Tab does not lead to {css}: {passed:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Chromium: tests/run pages"]
async fn a_server_is_asked_for_by_tab_and_enter_alone() {
    let site = Site::busy().await;
    let addresses = serve(&site).await;
    let browser = Chromium::open().await;
    browser.width(1280).await;
    browser.go(&format!("{}/hub/home", addresses["alice"])).await;
    let first = tab_to(&browser, ".skip").await;
    assert_eq!(first.len(), 1, "the way past the menu comes first: {first:?}");

    // Everything that can be done on a card is reached, news or not.
    let all = browser
        .script(
            "return [...document.querySelectorAll('article a[href], article button')]
                .filter((it) => it.checkVisibility()).map((it) => it.id)",
        )
        .await;
    let all = all.as_array().unwrap().clone();
    assert!(all.len() > 3 && all.iter().all(|id| id != ""), "{all:?}");
    let last = format!("#{}", all.last().unwrap().as_str().unwrap());
    let passed = tab_to(&browser, &last).await;
    for id in &all {
        assert!(passed.iter().any(|it| it["id"] == *id), "Tab passes over {id}: {passed:?}");
    }

    browser.go(&format!("{}/hub/home", addresses["alice"])).await;
    tab_to(&browser, "main a[href='/hub/spawn']").await;
    browser.key("Enter").await;
    browser.until("location.pathname === '/hub/spawn'").await;
    browser.until("document.querySelector('.tile-form button.main') !== null").await;
    // A person with a server asks for one more: it needs a name.
    let name = "input[name=name]";
    if browser.script(&format!("return document.querySelector({name:?})?.required === true")).await
        == true
    {
        tab_to(&browser, name).await;
        browser.script("document.activeElement.value = 'second'").await;
    }
    tab_to(&browser, ".tile-form button.main").await;
    browser.key("Enter").await;
    browser.until("location.pathname.startsWith('/hub/spawn-pending/alice')").await;
    browser.close().await;
}
