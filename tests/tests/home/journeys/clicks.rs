//! Journey 1, as far as fake hosts go: from the login to one's own server in two clicks.

use crate::browser::Browser;
use crate::site::{Site, told};

use super::give_password;

/// Somebody who comes for the first time.
const NEW: &str = "noether";

pub async fn two_clicks_lead_to_a_server(site: &Site) {
    let mut command = site.command("berth");
    command.args(["user", "add", NEW, "--uid", "28200", "--gid", "38200", "-q"]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", told(&output));
    give_password(site, NEW);
    let browser = Browser::open().await;
    browser.count_clicks().await;
    browser.log_in(site, NEW, &site.password(NEW)).await;
    assert_eq!(browser.clicks().await, 1, "the login");
    browser.see("form.tile-form button.main").await.click().await.unwrap();
    browser.at(&format!("/user/{NEW}/")).await;
    assert_eq!(browser.clicks().await, 2, "the start; the page goes on by itself");
    assert_eq!(site.server(NEW, "").unwrap()["state"], "running");
    browser.close().await;
}
