//! A place in the queue: how long it will take, the turn that comes, and who is told of it; and how
//! few clicks lead to a server.

use berth_common::{ByteCount, Reason, Seconds, Timestamp};
use berth_core::event::Row;
use berth_core::queue::Life;
use berth_core::{Outcome, Phase, Server};
use berth_process::clock::now;
use serde_json::{Value, json};

use crate::web::pages::words;
use crate::web::reader::{Language, Reader};

use super::super::scene::{heartbeat, serve};
use super::super::site::{Site, forgotten};
use super::chromium::Chromium;
use super::{THEMES, WIDTHS, folder};

/// In place of the browser's own: it allows what is asked for, writes down what it is asked and
/// told, over all pages of the tab, and lets the test say whether the page is in sight.
const BELL: &str = "
    const list = (name) => JSON.parse(sessionStorage.getItem(name) ?? '[]');
    const note = (name, what) => sessionStorage.setItem(name, JSON.stringify([...list(name), what]));
    window.Notification = class {
        static get permission() { return sessionStorage.getItem('allowed') ?? 'default'; }
        static requestPermission() {
            note('asked', navigator.userActivation.isActive);
            sessionStorage.setItem('allowed', 'granted');
            return Promise.resolve('granted');
        }
        constructor(text) { note('told', text); }
    };
    Object.defineProperty(Document.prototype, 'hidden', {
        get: () => sessionStorage.getItem('away') === 'yes',
    });";

/// Counts what people click, over all pages of the tab.
const CLICKS: &str = "
    addEventListener('click', (event) => {
        const before = Number(sessionStorage.getItem('clicks') ?? 0);
        if (event.isTrusted) sessionStorage.setItem('clicks', before + 1);
    }, true);";

/// What was written down under a name.
async fn noted(browser: &Chromium, name: &str) -> Value {
    let script = format!("return JSON.parse(sessionStorage.getItem('{name}') ?? '[]')");
    browser.script(&script).await
}

async fn go_away(browser: &Chromium) {
    browser.script("sessionStorage.setItem('away', 'yes')").await;
}

async fn come_back(browser: &Chromium) {
    browser.script("sessionStorage.removeItem('away')").await;
}

/// Until when a place is held for alice's server.
fn held_until(server: &Server) -> Option<Timestamp> {
    match &server.phase {
        Phase::Waiting { place, .. } => place.as_ref().map(|place| place.until),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Chromium: tests/run pages"]
async fn nobody_is_told_who_did_not_ask() {
    let site = Site::new().await;
    let addresses = serve(&site).await;
    let browser = Chromium::open().await;
    browser.before_every_page(BELL).await;
    site.post("bob", "/hub/spawn/bob", "memory=2G").await;
    browser.go(&format!("{}/hub/spawn-pending/bob", addresses["bob"])).await;
    // Another site's page of this tab, or an earlier day, may have allowed it.
    browser.script("sessionStorage.setItem('allowed', 'granted')").await;
    go_away(&browser).await;
    site.run("bob", "").await;
    site.open_all();
    browser.until("!location.pathname.startsWith('/hub/spawn-pending')").await;
    assert_eq!(noted(&browser, "told").await, json!([]));
    assert_eq!(noted(&browser, "asked").await, json!([]));
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Chromium: tests/run pages"]
async fn a_place_that_is_held_is_told_and_taken() {
    let site = Site::silent(vec![forgotten()], |_| ()).await;
    let addresses = serve(&site).await;
    let alice = &addresses["alice"];
    let browser = Chromium::open().await;
    browser.before_every_page(BELL).await;
    // She asked to be told on the page of another wait.
    site.post("alice", "/hub/spawn/alice", "memory=2G&name=n1").await;
    browser.go(&format!("{alice}/hub/spawn-pending/alice/n1")).await;
    browser.press("#tell").await;
    browser.until("document.querySelector('#tell').disabled").await;

    browser.go(&format!("{alice}/hub/home")).await;
    browser.until("document.body.innerText.includes('Place 1 in the queue.')").await;
    let title = browser.script("return document.title").await;
    go_away(&browser).await;
    site.everybody_reports().await;
    browser.until("document.body.innerText.includes('A place is held for you until')").await;
    let server = site.server("alice", "");
    let until = held_until(&server).expect("a place is held").to_string();
    let shown = "return document.querySelector('.note.good time').dateTime";
    assert_eq!(browser.script(shown).await, json!(until));
    assert_eq!(noted(&browser, "told").await, json!(["A place is held for My server"]));
    browser.until("document.title.startsWith('A place is held for My server')").await;
    come_back(&browser).await;
    shots(&browser, alice, "/hub/home", "held").await;
    shots(&browser, alice, &format!("/hub/servers/{}", server.id), "held-server").await;

    browser.go(&format!("{alice}/hub/home")).await;
    browser.press(&format!("#take-{}", server.id)).await;
    browser.until("location.pathname === '/hub/spawn-pending/alice'").await;
    assert!(site.server("alice", "").placement().is_some(), "it starts");
    go_away(&browser).await;
    site.run("alice", "").await;
    site.open_all();
    browser.until("!location.pathname.startsWith('/hub/spawn-pending')").await;
    let told = json!(["A place is held for My server", "My server is ready"]);
    assert_eq!(noted(&browser, "told").await, told);
    heartbeat(&site).await;
    browser.go(&format!("{alice}/hub/home")).await;
    browser.until("document.body.innerText.includes('running')").await;
    browser.until(&format!("document.title === {title}")).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Chromium: tests/run pages"]
async fn a_place_that_nobody_takes_is_passed_on_and_one_may_be_let_pass() {
    let site = Site::silent(vec![forgotten()], |settings| settings.queue.hold = Seconds(1)).await;
    let addresses = serve(&site).await;
    let browser = Chromium::open().await;
    browser.go(&format!("{}/hub/home", addresses["alice"])).await;
    browser.until("document.body.innerText.includes('Place 1 in the queue.')").await;
    site.everybody_reports().await;
    browser
        .until("document.body.innerText.includes('Its place was held for 1s, and nobody came.')")
        .await;
    browser
        .until("document.body.innerText.includes('Start it again and keep its page open.')")
        .await;
    assert!(!site.server("alice", "").is_active());
    browser.close().await;

    let site = Site::silent(vec![forgotten()], |_| ()).await;
    let addresses = serve(&site).await;
    let browser = Chromium::open().await;
    // Without scripts nobody follows the page, so it is not taken by looking at it.
    browser.without_scripts().await;
    site.everybody_reports().await;
    browser.go(&format!("{}/hub/spawn-pending/alice", addresses["alice"])).await;
    browser.until("document.body.innerText.includes('A place is held for you until')").await;
    assert!(held_until(&site.server("alice", "")).is_some(), "reading it takes nothing");
    shots(&browser, &addresses["alice"], "/hub/spawn-pending/alice", "held-waiting").await;
    browser.go(&format!("{}/hub/spawn-pending/alice", addresses["alice"])).await;
    browser.until("document.querySelector('#leave').innerText === 'Let it pass'").await;
    browser.press("#leave").await;
    browser.until("location.pathname === '/hub/home'").await;
    assert!(!site.server("alice", "").is_active());
    browser.close().await;
}

/// Servers of the pool that ended lately, after 20 to 75 minutes.
fn lives() -> Vec<Row> {
    let life = |number: u64| {
        let ended = Timestamp(now().0 - i64::try_from(number).unwrap() * 600_000_000);
        Row::Life(Life { pool: "cpu".into(), ended, lasted: Seconds(1_200 + 300 * number) })
    };
    (0..12).map(life).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Chromium: tests/run pages"]
async fn a_wait_says_how_long_half_of_such_waits_take() {
    let site = Site::silent(lives(), |_| ()).await;
    site.everybody_reports().await;
    for (user, memory) in [("carol", "15G"), ("dave", "15G"), ("bob", "12G"), ("erin", "12G")] {
        site.post(user, &format!("/hub/spawn/{user}"), &format!("memory={memory}")).await;
        site.run(user, "").await;
    }
    let addresses = serve(&site).await;
    let browser = Chromium::open().await;
    let alice = &addresses["alice"];
    // What is known of lives is looked at once the hub's clock has ticked.
    let decision = loop {
        site.post("alice", "/hub/spawn/alice", "memory=8G").await;
        let server = site.server("alice", "");
        let id = server.decision.clone().unwrap();
        let decision = site.hub.storage.read(|reader| reader.decision(&id)).unwrap().unwrap();
        match &decision.outcome {
            Outcome::Waits { estimate: Some(_), .. } => break decision,
            Outcome::Waits { .. } => {
                site.post("alice", &format!("/hub/servers/{}/stop", server.id), "").await;
            }
            other => panic!("there is no room: {other:?}"),
        }
    };
    for (language, lead, between) in [
        (Language::English, "Half of such waits end after", "to"),
        (Language::French, "La moitié de ces attentes durent de", "à"),
    ] {
        let reader = Reader { language, ..Reader::default() };
        let (from, to) = reader.shown(|| words::between(&decision)).unwrap();
        assert!(from != to && from.ends_with("min"), "{from} to {to}");
        browser.go(&format!("{alice}/hub/reader?language={}", language.tag())).await;
        browser.go(&format!("{alice}/hub/spawn-pending/alice")).await;
        let said = format!("{lead} {from} {between} {to}.");
        browser.until(&format!("document.body.innerText.includes('{said}')")).await;
    }
    shots(&browser, alice, "/hub/spawn-pending/alice", "waiting-range").await;
    let reason = match &site.server("alice", "").phase {
        Phase::Waiting { reason, .. } => *reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(reason, Reason::WaitMemoryReserved);
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Chromium: tests/run pages"]
async fn one_click_starts_a_server_and_one_opens_it_again() {
    let site = Site::new().await;
    site.newcomer("newcomer").await;
    let addresses = serve(&site).await;
    let browser = Chromium::open().await;
    browser.before_every_page(CLICKS).await;
    let home = format!("{}/hub/home", addresses["newcomer"]);
    browser.go(&home).await;
    browser.press("form.tile-form .main").await;
    browser.until("location.pathname === '/hub/spawn-pending/newcomer'").await;
    site.run("newcomer", "").await;
    site.open_all();
    // The hub alone answers here, which says where the proxy would have led.
    browser.until("location.href.includes('/user/newcomer/')").await;
    assert_eq!(noted(&browser, "clicks").await, json!(1));

    browser.go(&home).await;
    browser.press("article .actions .main").await;
    browser.until("location.href.includes('/user/newcomer/')").await;
    assert_eq!(noted(&browser, "clicks").await, json!(2));
    assert_eq!(site.server("newcomer", "").ask.memory, ByteCount(2 << 30));
    browser.close().await;
}

/// Pictures of a page in both themes and widths, in the language that was chosen.
async fn shots(browser: &Chromium, address: &str, path: &str, name: &str) {
    for theme in THEMES {
        browser.go(&format!("{address}/hub/reader?theme={theme}")).await;
        for width in WIDTHS {
            browser.width(width).await;
            browser.go(&format!("{address}{path}")).await;
            browser.shot(&folder().join("shots"), &format!("{name}-{theme}-{width}")).await;
        }
    }
    browser.width(WIDTHS[0]).await;
}
