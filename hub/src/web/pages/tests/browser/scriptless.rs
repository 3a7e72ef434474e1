//! Every page without scripts: it is read, and its main action works, by links and forms alone.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::scene::{heartbeat, scene, serve};
use super::super::{administration, asked, notices, trainings};
use super::chromium::Chromium;
use super::{TRAININGS, pages};

/// One thing that somebody does on a page.
struct Deed {
    who: &'static str,
    path: String,
    /// Fills in what the form asks for.
    fill: &'static str,
    /// What is pressed.
    press: String,
    /// What holds afterwards.
    then: String,
}

fn deed(who: &'static str, path: &str, fill: &'static str, press: &str, then: &str) -> Deed {
    Deed { who, path: path.into(), fill, press: press.into(), then: then.into() }
}

/// The page's text holds this.
fn says(text: &str) -> String {
    format!("document.body.innerText.includes('{text}')")
}

/// The address holds this.
fn at(part: &str) -> String {
    format!("location.href.includes('{part}')")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Chromium: tests/run pages"]
async fn every_page_is_read_and_used_without_scripts() {
    let site = scene().await;
    site.newcomer("newcomer").await;
    administration::prepare(&site).await;
    notices::write(&site).await;
    let _wn1 = asked::link(&site, "wn1", asked::hostile).await;
    let _wn2 = asked::link(&site, "wn2", asked::hostile).await;
    let addresses = serve(&site).await;
    let browser = Chromium::open().await;
    browser.without_scripts().await;

    let mut troubles = Vec::new();
    for (name, who, path) in pages(&site) {
        if let Some(facts) = read(&browser, &format!("{}{path}", addresses[who])).await {
            troubles.push(format!("{name} {path}: {facts}"));
        }
    }
    assert!(troubles.is_empty(), "{}", troubles.join("\n"));

    heartbeat(&site).await;
    let id = |owner: &str, name: &str| site.server(owner, name).id.to_string();
    let deeds = [
        deed(
            "newcomer",
            "/hub/home",
            "",
            "form.tile-form .main",
            &at("/hub/spawn-pending/newcomer"),
        ),
        deed(
            "alice",
            "/hub/home",
            "",
            &format!("#stop-{}", id("alice", "fit-2")),
            &says("stopping"),
        ),
        deed("alice", "/hub/spawn-pending/alice/big", "", "#leave", &at("/hub/home")),
        deed(
            "dave",
            "/hub/home",
            "",
            &format!("#again-{}", id("dave", "")),
            &at("/hub/spawn-pending/dave"),
        ),
        deed("alice", "/hub/token", "#note=a robot", "form.card button.main", &says("a robot")),
        deed(
            "alice",
            "/hub/kernels",
            "#environment=~/envs/fit",
            "#make button",
            &says("--name fit"),
        ),
        deed("alice", "/hub/usage", "", "a[hreflang=fr]", "document.documentElement.lang === 'fr'"),
        deed("alice", "/hub/usage", "", "a[hreflang=en]", "document.documentElement.lang === 'en'"),
    ];
    for deed in deeds {
        do_it(&browser, &addresses, deed).await;
    }

    // Once a training is on, its hosts are for nobody else.
    trainings::begin(&site).await;
    for (_, who, path) in TRAININGS {
        let facts = read(&browser, &format!("{}{path}", addresses[who])).await;
        assert_eq!(facts, None, "{path}");
    }
    heartbeat(&site).await;
    let deeds = [
        deed(
            "bob",
            "/hub/trainings/school",
            "#text=Room 101",
            "form[action$=message] button",
            &at("/hub/trainings/school"),
        ),
        deed("alice", "/hub/home", "", ".brand", &says("Room 101")),
        deed("erin", "/hub/admin", "#q=user:alice", "form.filter button", &at("q=user")),
        deed("erin", "/hub/admin/floor", "#back=30", "form.fl-time button", &at("back=")),
        deed(
            "erin",
            "/hub/admin/hosts/wn2/drain",
            "#reason=new kernel",
            "form[role=search] button",
            &at("reason=new"),
        ),
    ];
    for deed in deeds {
        do_it(&browser, &addresses, deed).await;
    }
    browser.close().await;
}

/// Goes to a page; what keeps it from being read, if anything does.
async fn read(browser: &Chromium, address: &str) -> Option<Value> {
    browser.go(address).await;
    let facts = browser.script(READ).await;
    let fine = facts["said"].as_u64() >= Some(20) && facts["empty"] == false;
    (!fine || facts["hidden"] != false).then_some(facts)
}

/// Does what somebody does, and waits until it is done.
async fn do_it(browser: &Chromium, addresses: &BTreeMap<&'static str, String>, deed: Deed) {
    let Deed { who, path, fill, press, then } = deed;
    browser.go(&format!("{}{path}", addresses[who])).await;
    browser.until(&format!("document.querySelector('{press}:not([disabled])') !== null")).await;
    if let Some((field, value)) = fill.split_once('=') {
        browser.script(&format!("document.querySelector('{field}').value = '{value}'")).await;
    }
    browser.script(&format!("document.querySelector('{press}').click()")).await;
    browser.until(&format!("document.readyState === 'complete' && {then}")).await;
}

/// How much a page says, whether a part of it waits for a script, and whether one ran.
const READ: &str = "
    const parts = [...document.querySelectorAll('[data-live], [data-floor]')];
    return {
        said: document.querySelector('main').innerText.trim().length,
        empty: parts.some((it) => it.innerText.trim() === '' && it.querySelector('svg') === null),
        hidden: [...document.querySelectorAll('.refresh')].some((it) => it.hidden),
    };";
