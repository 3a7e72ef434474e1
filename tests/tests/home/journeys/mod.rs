//! What people and administrators come to do, in a real browser: a GPU, a training, a host that is
//! emptied, a host that Puppet adds. Each is a story of its own; they share one site, since bringing
//! it up takes longer than all of them. The first journey, with a real JupyterLab, is in
//! `tests/tests/site/journey.rs`.

mod clicks;
mod drain;
mod floor;
mod gpu;
mod puppet;
mod training;

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::site::{Site, told, until};

#[tokio::test(flavor = "multi_thread")]
async fn people_and_administrators_reach_what_they_came_for() {
    let site = Site::up();
    floor::an_admin_looks_at_the_floor(&site).await;
    clicks::two_clicks_lead_to_a_server(&site).await;
    gpu::bob_asks_for_a_gpu(&site).await;
    training::an_instructor_runs_a_training(&site).await;
    drain::an_admin_drains_a_host(&site).await;
    puppet::puppet_adds_a_host(&site).await;
}

/// A browser in which somebody of the site is logged in.
async fn browser_of(site: &Site, who: &str) -> Browser {
    let browser = Browser::open().await;
    browser.log_in(site, who, &site.password(who)).await;
    browser
}

/// Gives somebody of the site a password to log in with.
fn give_password(site: &Site, who: &str) {
    let file = site.state().join(format!("{who}.password"));
    std::fs::write(&file, format!("the notebook of {who}")).unwrap();
    let mut command = site.command("berth");
    let command = command.args(["user", "password", who, "--password-file"]).arg(file);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", told(&output));
}

/// Goes to a page of the site.
async fn go(browser: &Browser, site: &Site, path: &str) {
    browser.page.goto(&format!("{}{path}", site.url)).await.unwrap();
}

/// What a script returns that is given one text.
async fn asked(browser: &Browser, script: &str, text: &str) -> Value {
    browser.page.execute(script, vec![json!(text)]).await.unwrap_or_default()
}

/// Waits until the part of the page that a script finds by a text shows all of these.
async fn see_part(browser: &Browser, script: &str, text: &str, shown: &[&str]) {
    let what = format!("{text} shows {shown:?}");
    until(&what, async || {
        let part = asked(browser, script, text).await;
        let part = part.as_str()?.to_owned();
        shown.iter().all(|it| part.contains(it)).then_some(())
    })
    .await;
}

/// The text of the card of this title.
const CARD: &str = "
    const of = (it) => it.querySelector('h2').innerText.trim() === arguments[0];
    return [...document.querySelectorAll('article.card')].find(of)?.innerText ?? ''";

/// The text of the row of a table whose header is this.
const ROW: &str = "
    const of = (it) => it.querySelector('th')?.innerText.trim() === arguments[0];
    return [...document.querySelectorAll('tbody tr')].find(of)?.innerText ?? ''";
