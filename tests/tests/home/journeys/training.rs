//! Journey 3: an instructor runs a training.

use crate::site::{Site, told, until};

use super::{ROW, browser_of, give_password, go, see_part};

/// The training of the site, and somebody who comes to it for the first time.
const TRAINING: &str = "root-school";
const GUEST: &str = "piotr";

pub async fn an_instructor_runs_a_training(site: &Site) {
    add_guest(site);
    let carol = browser_of(site, "carol").await;
    // She finds it in the menu, and sees of it only what is hers to see.
    carol.press("Trainings").await;
    carol.press("ROOT school").await;
    see_part(&carol, ROW, GUEST, &["no server"]).await;
    carol.shot("20-training").await;

    // A participant sees one button, and gets the training's server by it.
    let guest = browser_of(site, GUEST).await;
    guest.shot("21-training-participant").await;
    guest.see("main form button.big").await.click().await.unwrap();
    state(site, "running").await;
    go(&carol, site, &format!("/hub/trainings/{TRAINING}")).await;
    see_part(&carol, ROW, GUEST, &["running", "3 GB"]).await;

    // She starts it anew for somebody who is stuck.
    let before = site.server(GUEST, "").unwrap()["generation"].as_u64().unwrap();
    carol.press(&format!("Restart that of {GUEST}")).await;
    until("it was started anew", async || {
        let server = site.server(GUEST, "")?;
        let anew = server["state"] == "running" && server["generation"].as_u64()? > before;
        anew.then_some(())
    })
    .await;

    // One hour more, and a word to everybody.
    go(&carol, site, &format!("/hub/trainings/{TRAINING}")).await;
    carol.see("#why-extend").await.send_keys("the last exercise").await.unwrap();
    carol.press("One hour more").await;
    carol.see_text("the last exercise").await;
    carol.fill("text", "The data is in /sps/school").await;
    carol.press("Send").await;
    carol.at(&format!("/hub/trainings/{TRAINING}")).await;
    until("the participant reads it", async || {
        go(&guest, site, "/hub/home").await;
        guest.text().await.contains("The data is in /sps/school").then_some(())
    })
    .await;

    // Nothing about hosts or other people is hers.
    go(&carol, site, "/hub/admin/hosts").await;
    assert!(!carol.text().await.contains("ccjn01"), "{}", carol.text().await);
    guest.close().await;
    carol.close().await;
}

/// An account in the group of the training, as a directory would know it.
fn add_guest(site: &Site) {
    let users = site.berth(&["user", "list"]);
    let users = users["users"].as_array().unwrap();
    let mut groups = users.iter().flat_map(|it| it["groups"].as_array().unwrap());
    let group = groups.find(|it| it["name"] == "school-root").expect("the group of the training");
    let group = format!("school-root:{}", group["gid"]);
    let mut command = site.command("berth");
    command.args(["user", "add", GUEST, "--uid", "28000", "--gid", "38000", "--group", &group]);
    let output = command.arg("-q").output().unwrap();
    assert!(output.status.success(), "{}", told(&output));
    give_password(site, GUEST);
}

async fn state(site: &Site, state: &str) {
    until(&format!("{GUEST}'s server is {state}"), async || {
        site.server(GUEST, "").filter(|it| it["state"] == state).map(drop)
    })
    .await;
}
