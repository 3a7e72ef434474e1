//! Journey 2: bob asks for a GPU.

use reqwest::Method;
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::site::{Site, until};

use super::{CARD, asked, browser_of, give_password, go, see_part};

/// What the tile of this title says, whether it lets nobody start, and where access is asked for.
const TILE: &str = "
    const of = (it) => it.querySelector('h2').innerText.trim() === arguments[0];
    const tile = [...document.querySelectorAll('form.tile-form')].find(of);
    return { said: tile.innerText, closed: tile.querySelector('button[type=submit]').disabled,
             ask: tile.querySelector('.verdict a')?.href ?? '' }";

const GPU: &str = "GPU (K80)";
/// Bob's form for one more server, with a GPU chosen.
const FORM: &str = "/hub/spawn/bob/fit?opt-profile=gpu&opt-memory=14G";

/// People who may have a GPU, one each.
const ALLOWED: [&str; 20] = [
    "mallory", "niaj", "olivia", "peggy", "quentin", "rupert", "sybil", "trent", "alice", "carol",
    "dave", "erin", "frank", "grace", "heidi", "ivan", "judy", "kevin", "laura", "bob",
];

pub async fn bob_asks_for_a_gpu(site: &Site) {
    who_may_not_is_told_who_may(site).await;
    let bob = browser_of(site, "bob").await;

    // A GPU is free: it starts, and the card says which one it is.
    go(&bob, site, FORM).await;
    let tile = asked(&bob, TILE, GPU).await;
    assert!(tile["said"].as_str().unwrap().contains("Starts now"), "{tile}");
    start(&bob).await;
    state(site, "fit", "running").await;
    go(&bob, site, "/hub/home").await;
    see_part(&bob, CARD, "fit", &["running", "GPU", "Tesla K80", "ccjngpu"]).await;
    bob.shot("10-gpu-card").await;
    press_of(site, &bob, "stop", "fit").await;
    gone(site, "fit").await;

    // All are held: a place in the queue before the click and after it, and the way out.
    let holder = hold_all(site).await;
    go(&bob, site, FORM).await;
    let tile = asked(&bob, TILE, GPU).await;
    let said = tile["said"].as_str().unwrap();
    assert!(said.contains("Would wait, place 1"), "{said}");
    assert_eq!(tile["closed"], json!(false), "he may wait: {said}");
    start(&bob).await;
    bob.see_text("Waiting for a place").await;
    bob.see_text("GPU").await;
    bob.see("#meanwhile").await;
    bob.shot("11-gpu-waiting").await;
    bob.press("Leave the queue").await;
    gone(site, "fit").await;

    // He waits after all. Somebody gives a GPU back, and he has it by himself, and nobody else.
    go(&bob, site, FORM).await;
    start(&bob).await;
    bob.see_text("Waiting for a place").await;
    site.call(Method::DELETE, &format!("/hub/api/users/{}/servers/gpu", holder), Value::Null).await;
    state(site, "fit", "running").await;
    nobody_shares(site);
    go(&bob, site, "/hub/home").await;
    see_part(&bob, CARD, "fit", &["running", "Tesla K80"]).await;
    bob.close().await;
}

/// The tile is grey, names the groups that have it, and says where to ask.
async fn who_may_not_is_told_who_may(site: &Site) {
    give_password(site, "marc");
    let marc = browser_of(site, "marc").await;
    go(&marc, site, "/hub/spawn").await;
    let tile = asked(&marc, TILE, GPU).await;
    let said = tile["said"].as_str().unwrap();
    assert!(said.contains("lsst") && said.contains("euclid"), "{said}");
    assert_eq!(tile["closed"], json!(true), "{said}");
    assert!(tile["ask"].as_str().unwrap().contains("support.example.org"), "{tile}");
    marc.shot("12-gpu-not-for-you").await;
    marc.close().await;
}

/// Presses the start of the first tile, which is the one that the address chose.
async fn start(browser: &Browser) {
    browser.see("form.tile-form button[type=submit]").await.click().await.unwrap();
}

/// Presses a button of the card of bob's server.
async fn press_of(site: &Site, browser: &Browser, button: &str, name: &str) {
    let id = site.server("bob", name).unwrap()["id"].as_str().unwrap().to_owned();
    browser.see(&format!("#{button}-{id}")).await.click().await.unwrap();
}

/// Waits until bob's server is in a state.
async fn state(site: &Site, name: &str, state: &str) {
    until(&format!("bob's {name} is {state}"), async || {
        site.server("bob", name).filter(|it| it["state"] == state).map(drop)
    })
    .await;
}

/// Waits until nothing of bob's server is left.
async fn gone(site: &Site, name: &str) {
    let ended = |it: Option<Value>| it.is_none_or(|it| it["state"] == "ended").then_some(());
    until(&format!("bob's {name} has ended"), async || ended(site.server("bob", name))).await;
}

/// Starts servers with a GPU until one has to wait; says who has got the last.
async fn hold_all(site: &Site) -> &'static str {
    let mut holder = None;
    for who in ALLOWED {
        let path = format!("/hub/api/users/{who}/servers/gpu");
        let options = json!({ "profile": "gpu", "memory": "14G" });
        site.call(Method::POST, &path, options).await;
        // Refused: this one has a GPU already.
        let Some(server) = site.server(who, "gpu") else { continue };
        match server["state"].as_str() {
            Some("waiting") => {
                site.call(Method::DELETE, &path, Value::Null).await;
                return holder.expect("somebody got a GPU before all were held");
            }
            Some("starting" | "running") => holder = Some(who),
            _ => {}
        }
    }
    holder.expect("all GPUs are held")
}

/// No GPU is held twice.
fn nobody_shares(site: &Site) {
    let hosts = site.berth(&["host", "list"]);
    for host in hosts["hosts"].as_array().unwrap() {
        for gpu in host["gpus"].as_array().into_iter().flatten() {
            assert!(gpu["servers"].as_array().unwrap().len() <= 1, "{gpu}");
        }
    }
}
