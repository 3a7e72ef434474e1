//! Chromium, driven from outside: every page in both languages, both themes and two
//! widths. `tests/run pages` runs it; the pictures are in `target/pages/shots`.

mod acts;
mod chromium;
mod floor;
mod keys;
mod live;
mod printed;
mod scriptless;
mod times;
mod told;
mod turn;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use axum::http::StatusCode;

use super::scene::{HOSTILE, Port, heartbeat, scene, serve};
use super::site::{Site, gb};
use super::{administration, asked, notices, trainings};
use chromium::Chromium;

const LANGUAGES: [&str; 2] = ["en", "fr"];
const THEMES: [&str; 2] = ["light", "dark"];
/// A desk and a phone.
const WIDTHS: [u32; 2] = [1280, 390];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/pages")
}

/// What a page is called, who looks at it, and where it is.
type Page = (&'static str, &'static str, String);

/// The pages of a training that is on.
const TRAININGS: [(&str, &str, &str); 6] = [
    acts::TRAINING,
    ("trainings", "erin", "/hub/trainings"),
    ("trainings-none", "carol", "/hub/trainings"),
    ("training", "alice", "/hub/trainings/school"),
    ("training-taught", "bob", "/hub/trainings/school"),
    ("training-all", "erin", "/hub/trainings/school"),
];

/// Every other page.
fn pages(site: &Site) -> Vec<Page> {
    let id = |owner, name| site.server(owner, name).id.to_string();
    let decision = |owner, name| site.server(owner, name).decision.as_ref().unwrap().to_string();
    let again = format!("/hub/decisions/{}?again=yes", decision("alice", "big"));
    let mut pages: Vec<Page> = vec![
        ("login", "nobody", "/hub/login".into()),
        ("home", "alice", "/hub/home".into()),
        ("home-ended", "dave", "/hub/home".into()),
        ("home-failed", "carol", "/hub/home".into()),
        ("spawn-first", "newcomer", "/hub/home".into()),
        ("spawn", "alice", "/hub/spawn".into()),
        ("spawn-again", "dave", "/hub/spawn/dave?opt-memory=8G".into()),
        ("starting", "carol", "/hub/spawn-pending/carol".into()),
        ("failed", "carol", "/hub/spawn-pending/carol/fit-2".into()),
        ("waiting", "alice", "/hub/spawn-pending/alice/big".into()),
        ("waiting-gpu", "dave", "/hub/spawn-pending/dave/net".into()),
        ("stopped", "dave", "/hub/user/dave/lab".into()),
        ("server", "alice", format!("/hub/servers/{}", id("alice", ""))),
        ("server-gpu", "alice", format!("/hub/servers/{}", id("alice", "nets"))),
        ("server-killed", "alice", format!("/hub/servers/{}", id("alice", "fit-2"))),
        ("server-ended", "dave", format!("/hub/servers/{}", id("dave", ""))),
        ("why-placed", "alice", format!("/hub/decisions/{}", decision("alice", ""))),
        ("why-waits", "alice", format!("/hub/decisions/{}", decision("alice", "big"))),
        ("usage", "alice", "/hub/usage".into()),
        ("tokens", "alice", "/hub/token".into()),
        ("help", "alice", "/hub/help".into()),
        ("kernels", "alice", "/hub/kernels".into()),
        ("kernels-none", "dave", "/hub/kernels".into()),
        ("notices", "alice", "/hub/notices".into()),
        ("calendar", "erin", "/hub/admin/notices".into()),
        ("reason", "nobody", "/hub/help/stopped.idle".into()),
        ("error", "alice", "/hub/nowhere".into()),
        ("error-server", "alice", "/hub/error/503".into()),
        ("why-again", "erin", again),
        ("servers", "erin", "/hub/admin".into()),
        ("servers-stop", "erin", "/hub/admin/servers/stop?q=user:alice".into()),
        ("servers-notify", "erin", "/hub/admin/servers/notify?q=user:alice".into()),
        ("floor-what-if", "erin", "/hub/admin/floor?like=wn1&count=1&pool=cpu&times=0.1".into()),
        ("floor", "erin", "/hub/admin/floor?host=wn1".into()),
        ("hosts", "erin", "/hub/admin/hosts".into()),
        ("host", "erin", "/hub/admin/hosts/wn1".into()),
        ("drain", "erin", "/hub/admin/hosts/wn1/drain?by=7200&hold=yes&reason=kernel".into()),
        ("queue", "erin", "/hub/admin/queue".into()),
        ("servers-columns", "erin", "/hub/admin?c=state,pool,image,gpus,age".into()),
        ("pool", "erin", "/hub/admin/pools/cpu".into()),
        ("image", "erin", "/hub/admin/images/py".into()),
        ("act", "erin", "/hub/admin/audit/1".into()),
        ("config-file", "erin", "/hub/admin/config/files/profiles.toml".into()),
    ];
    let entries = site.hub.agenda.entries();
    let ends = [("notice", entries.first()), ("maintenance", entries.last())];
    let ends = ends.into_iter().filter_map(|(name, entry)| Some((name, entry?.0)));
    pages.extend(ends.map(|(name, id)| (name, "alice", format!("/hub/notices/{id}"))));
    let more = administration::PAGES.map(|(name, path)| (name, "erin", path.to_owned()));
    pages.extend(more);
    pages
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Chromium and axe-core: tests/run pages"]
async fn every_page_in_both_languages_and_themes_on_a_desk_and_on_a_phone() {
    let site = scene().await;
    administration::prepare(&site).await;
    administration::course(&site);
    notices::write(&site).await;
    let _wn1 = asked::link(&site, "wn1", asked::hostile).await;
    let _wn2 = asked::link(&site, "wn2", asked::hostile).await;
    site.newcomer("newcomer").await;
    let addresses = serve(&site).await;
    let axe = folder().join("node_modules/axe-core/axe.min.js");
    let axe =
        std::fs::read_to_string(&axe).expect("axe-core is missing: tests/run pages installs it");
    let browser = Chromium::open().await;
    browser.go(&format!("{}/hub/login", addresses["nobody"])).await;
    // The browser's own first page is none of ours.
    browser.requests().await;
    let tour = Tour { site: &site, browser: &browser, axe: &axe, addresses: &addresses };
    let mut troubles = tour.of(pages).await;
    acts::prepare(&site).await;
    troubles += &tour.of(acts::pages).await;
    trainings::begin(&site).await;
    troubles +=
        &tour.of(|_| TRAININGS.map(|(name, who, path)| (name, who, path.into())).into()).await;
    browser.close().await;
    assert!(troubles.is_empty(), "{troubles}");
}

/// Looks at pages in every way that people do.
struct Tour<'a> {
    site: &'a Site,
    browser: &'a Chromium,
    axe: &'a str,
    addresses: &'a BTreeMap<&'static str, String>,
}

impl Tour<'_> {
    /// What is wrong with these pages; empty when nothing is.
    async fn of(&self, pages: impl Fn(&Site) -> Vec<Page>) -> String {
        let Self { site, browser, axe, addresses } = self;
        let mut troubles = String::new();
        for language in LANGUAGES {
            for theme in THEMES {
                let home = &addresses["alice"];
                browser.go(&format!("{home}/hub/reader?language={language}")).await;
                browser.go(&format!("{home}/hub/reader?theme={theme}")).await;
                for (name, person, path) in pages(site).into_iter().filter(|it| is_wanted(it.0)) {
                    let address = format!("{}{path}", addresses[person]);
                    heartbeat(site).await;
                    for width in WIDTHS {
                        let shot = format!("{name}-{language}-{theme}-{width}");
                        browser.width(width).await;
                        browser.go(&address).await;
                        if let Some(act) = acts::act(name) {
                            browser.script(&format!("{} {act}", acts::TOOLS)).await;
                            let there = "!window.isLeft && document.readyState === 'complete'";
                            browser.until(there).await;
                        }
                        let mut found = look(browser, axe, addresses, language).await;
                        // Whoever was logged out would see that page in place of all others.
                        if browser.script(ASKS_WHO).await != ["login", "logout"].contains(&name) {
                            found += "  it asks who somebody is, or does not\n";
                        }
                        if !found.is_empty() {
                            let _ = writeln!(troubles, "{shot} {path}:\n{found}");
                        }
                        browser.shot(&folder().join("shots"), &shot).await;
                    }
                }
            }
        }
        troubles
    }
}

/// Whether a page is to be looked at: those that BERTH_ONLY names, or all.
fn is_wanted(name: &str) -> bool {
    let only = std::env::var("BERTH_ONLY").ok();
    only.is_none_or(|only| only.split(',').any(|it| it == name))
}

/// What is wrong with the page that is shown; empty when nothing is.
async fn look(
    browser: &Chromium,
    axe: &str,
    addresses: &BTreeMap<&'static str, String>,
    language: &str,
) -> String {
    let mut troubles = String::new();
    for barrier in browser.axe(axe).await {
        let _ = writeln!(troubles, "  axe: {barrier}");
    }
    for line in browser.console().await {
        // A page that says "not found" is loaded with that status, which the browser notes.
        if !line.contains("the server responded with a status of 4") {
            let _ = writeln!(troubles, "  console: {line}");
        }
    }
    for url in browser.requests().await {
        // The browser's own controls are drawn from such addresses, which lead nowhere.
        let drawn = url.starts_with("data:");
        if !drawn && !addresses.values().any(|it| url.starts_with(&format!("{it}/"))) {
            let _ = writeln!(troubles, "  a request leaves the site: {url}");
        }
    }
    let facts = browser.script(FACTS).await;
    if facts["language"] != language {
        let _ = writeln!(troubles, "  its language is {}", facts["language"]);
    }
    if facts["hacked"] != false {
        let _ = writeln!(troubles, "  a hostile text was carried out");
    }
    if facts["wide"] != 0 {
        let _ = writeln!(troubles, "  it is {} pixels wider than the window", facts["wide"]);
    }
    troubles
}

/// Whether it is the page where one logs in.
const ASKS_WHO: &str = "return document.querySelector('input[type=password]') !== null";

/// What a page says about itself.
const FACTS: &str = "
    const root = document.documentElement;
    return {
        language: root.lang,
        hacked: 'hacked' in window || document.querySelector('main img, main script') !== null,
        wide: Math.max(0, root.scrollWidth - root.clientWidth),
    };";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Chromium: tests/run pages"]
async fn a_choice_changes_its_verdict_and_news_keep_what_was_typed() {
    let site = scene().await;
    let addresses = serve(&site).await;
    let alice = &addresses["alice"];
    let browser = Chromium::open().await;

    // The form: another image asks for the verdict again; the chosen link follows.
    browser.go(&format!("{alice}/hub/spawn")).await;
    browser.script("document.querySelector('label[for=m-1-1]').click()").await;
    browser.script("document.querySelector('label[for=i-1-2]').click()").await;
    browser.until("document.querySelector('.share').search.includes('opt-image=root')").await;
    browser.until("document.querySelector('.share').search.includes('opt-memory=512M')").await;

    // The cards: an amount that was chosen and not yet sent outlives news about the server.
    browser.go(&format!("{alice}/hub/home")).await;
    browser.script("document.querySelector('article details[id^=memory]').open = true").await;
    browser.script("document.querySelector('article select').selectedIndex = 2").await;
    let before = browser.script("return document.querySelector('article select').value").await;
    browser.script("window.part = document.querySelector('article')").await;
    site.out_of_memory("alice", "").await;
    browser.until("document.querySelector('article') !== window.part").await;
    let after = browser.script("return document.querySelector('article select').value").await;
    let open = "return document.querySelector('article details[id^=memory]').open";
    assert_eq!((after, browser.script(open).await), (before, true.into()));

    // The hub goes away and comes back: the page says so, quietly, and then knows the news.
    let hub = Port::open(&site, "alice", "127.0.0.1:0").await;
    browser.go(&format!("http://{}/hub/home", hub.address)).await;
    browser.until("document.querySelector('#live-lost').textContent === ''").await;
    let top = "return document.querySelector('article').getBoundingClientRect().top";
    let before = browser.script(top).await;
    let address = hub.close().await;
    browser
        .until("document.querySelector('#live-lost').textContent.includes('Reconnecting')")
        .await;
    assert_eq!(browser.script(top).await, before, "nothing moves for it");
    site.uses("alice", "", gb(2)).await;
    Port::open(&site, "alice", &address).await;
    browser.until("document.querySelector('#live-lost').textContent === ''").await;
    browser.until("document.body.innerText.includes('2 GB of memory used')").await;

    // Hostile texts are there to be read.
    browser.go(&format!("{}/hub/spawn-pending/carol/fit-2", addresses["carol"])).await;
    let text = browser.script("return document.body.innerText").await;
    assert!(text.as_str().unwrap().contains(HOSTILE), "{text}");
    browser.close().await;
    assert_eq!(site.get("carol", "/hub/home").await.status, StatusCode::OK);
}
