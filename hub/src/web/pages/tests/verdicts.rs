//! The verdicts of what one cannot have: it is for others, it is closed, it is not possible.

use std::sync::Arc;

use berth_common::{Seconds, Timestamp};
use berth_core::settings::{Allow, Cite, People, Pool, Settings};
use berth_process::clock::now;

use super::site::Site;
use super::trainings;
use crate::agenda;
use crate::config::Config;
use crate::web::reader::{Language, Reader};

/// A change of the site's files.
async fn change(site: &Site, change: impl FnOnce(&mut Settings)) {
    let mut fresh = Config::clone(&site.hub.config());
    change(&mut fresh.settings);
    site.hub.config.store(Arc::new(fresh));
    agenda::put_in_force(&site.hub).await;
}

fn given(profile: &str, people: People, until: Option<Timestamp>) -> Allow {
    Allow { profile: profile.into(), people, until, note: None, cite: Cite::default() }
}

#[tokio::test]
async fn what_is_given_to_others_says_to_whom_and_where_to_ask() {
    let site = Site::new().await;
    let groups = People { groups: ["euclid".into(), "lsst".into()].into(), ..People::default() };
    change(&site, |settings| {
        settings.access.allow = vec![given("gpu", groups, None)];
        settings.profiles.get_mut("gpu").unwrap().ask_access = Some("/ask".into());
    })
    .await;
    let page = site.get("alice", "/hub/spawn").await;
    let tile = page.body.split("value=\"gpu\"").nth(1).unwrap();
    assert!(tile.contains("class=\"verdict off\""), "{tile}");
    assert!(tile.contains("<a href=\"/ask\">Ask for access</a>"), "{tile}");
    assert!(tile.contains("disabled"), "{tile}");
    let text = page.text();
    assert!(text.contains("Not for you. It is given by group; those that have it: euclid, lsst."));
    assert!(!text.contains("Not possible."), "{text}");
    let french = Reader { language: Language::French, ..Reader::default() };
    let text = french.served(site.get("alice", "/hub/spawn")).await.text();
    assert!(
        text.contains("Pas pour vous. Il est donné par groupe ; ceux qui l’ont : euclid, lsst.")
    );

    // Who had it is told until when, to the minute and in the reader's zone.
    let until = Timestamp(now().0 - 3_600_000_000);
    let alice = People { users: ["alice".parse().unwrap()].into(), ..People::default() };
    change(&site, |settings| {
        settings.access.allow = vec![given("gpu", alice, Some(until))];
        settings.profiles.get_mut("gpu").unwrap().ask_access = None;
    })
    .await;
    let page = site.get("alice", "/hub/spawn").await;
    let said = format!("You had it until <time datetime=\"{until}\">{}</time>", until.to_minute());
    assert!(page.body.contains(&said), "{}", page.body);
    assert!(page.text().contains("Ask the administrators for it."), "{}", page.text());
}

#[tokio::test]
async fn what_is_closed_says_until_when() {
    let site = Site::new().await;
    trainings::begin(&site).await;
    let hour = |hours: i64| Timestamp(now().0 + hours * 3_600_000_000);
    let opens = hour(5);
    change(&site, |settings| {
        let training = settings.trainings.get_mut("school").unwrap();
        training.windows[0].from = opens;
        training.windows[0].to = opens.plus(Seconds(3_600));
        let pool = Pool { trainings_only: true, ..settings.pools["cpu"].clone() };
        settings.pools.insert("cpu".into(), pool);
    })
    .await;
    let time = format!("<time datetime=\"{opens}\">{}</time>", opens.to_minute());
    let alice = site.get("alice", "/hub/spawn").await;
    // Five amounts on each of two tiles: the pool's own profile, and the training's.
    assert_eq!(alice.body.matches(&format!("Closed until {time}.")).count(), 10, "{}", alice.body);
    assert!(alice.text().contains("opens them for you then"), "{}", alice.text());
    assert!(alice.text().contains("is not on now."), "{}", alice.text());
    // Whom it never opens for is not told of a time.
    let carol = site.get("carol", "/hub/spawn").await;
    assert!(
        carol.text().contains("Closed. Only trainings use these machines."),
        "{}",
        carol.text()
    );
    assert!(carol.text().contains("Not for you. It is for those who take part in ROOT"));
    assert!(!carol.body.contains("Closed until"), "{}", carol.body);
    // No moment of the page has decimals outside of its machine-readable part.
    for page in [alice, carol] {
        assert!(!page.text().contains(".000000Z"), "{}", page.text());
    }
}
