//! Journey 4: an administrator empties a host.

use serde_json::Value;

use crate::site::{Site, until};

use super::{CARD, ROW, browser_of, give_password, go, see_part};

const REASON: &str = "driver update";

pub async fn an_admin_drains_a_host(site: &Site) {
    let (owner, host) = somebody_on_a_host(site);
    give_password(site, &owner);
    let admin = browser_of(site, "admin").await;

    // The dialog says who is hit and how before anything is done.
    go(&admin, site, &format!("/hub/admin/hosts/{host}")).await;
    admin.press("Drain…").await;
    admin.see("#by option[value='7200']").await.click().await.unwrap();
    admin.fill("reason", REASON).await;
    admin.press("Look again").await;
    // A row names its owner, and the owner's server below.
    let first_line = ROW.replace("innerText.trim()", "innerText.trim().split('\\n')[0]");
    see_part(&admin, &first_line, &owner, &["GB"]).await;
    assert_eq!(state(site, &host), "ready", "looking does nothing");
    admin.shot("30-drain-preview").await;
    admin.press(&format!("Drain {host}")).await;
    until("the host is emptied", async || (state(site, &host) == "draining").then_some(())).await;

    // Nobody is stopped without having been told: the card says until when, and why.
    let person = browser_of(site, &owner).await;
    see_part(&person, CARD, "My server", &[&host, REASON]).await;
    person.shot("31-drain-told").await;
    let server = site.server(&owner, "").unwrap();
    assert_eq!(server["state"], "running", "two hours are left: {server}");

    // The work is done: it takes servers again, and the card is as it was.
    go(&admin, site, &format!("/hub/admin/hosts/{host}")).await;
    admin.press("Take servers again").await;
    until("it is ready", async || (state(site, &host) == "ready").then_some(())).await;
    until("the card says no more of it", async || {
        let card = super::asked(&person, CARD, "My server").await;
        let card = card.as_str().filter(|it| !it.is_empty())?;
        (!card.contains(REASON)).then_some(())
    })
    .await;
    person.close().await;
    admin.close().await;
}

/// Somebody whose default server runs on a host for everybody, and that host.
fn somebody_on_a_host(site: &Site) -> (String, String) {
    let servers = site.berth(&["server", "list"]);
    let text = |it: &Value| it.as_str().unwrap_or_default().to_owned();
    let servers = servers["servers"].as_array().unwrap();
    let fitting = servers
        .iter()
        .find(|it| it["state"] == "running" && it["name"] == "" && it["profile"] == "cpu");
    let fitting = fitting.expect("a CPU server runs");
    (text(&fitting["user"]), text(&fitting["host"]))
}

fn state(site: &Site, host: &str) -> String {
    let shown = site.berth(&["host", "show", host]);
    shown["host"]["state"].as_str().unwrap().to_owned()
}
