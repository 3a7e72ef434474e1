//! The Floor, as an administrator reads it.

use axum::http::StatusCode;

use super::site::Site;

/// The markup of one host's bar.
fn bar<'a>(page: &'a str, host: &str) -> &'a str {
    let (_, rest) = page.split_once(&format!("<li id=\"h-{host}\">")).expect("the host is drawn");
    rest.split("</li>").next().unwrap()
}

#[tokio::test]
async fn a_server_is_drawn_with_what_is_reserved_and_what_is_used() {
    let site = Site::busy().await;
    let page = site.get("erin", "/hub/admin/floor").await;
    let alice = site.server("alice", "");
    let host = alice.holds_on().unwrap().to_string();
    let drawn = bar(&page.body, &host);
    // 4 GB are 40 tenths: the outline ends there, the tint is as long.
    assert!(drawn.contains("h40"), "{drawn}");
    assert!(drawn.contains("4 GB reserved") || drawn.contains("6 GB reserved"), "{drawn}");
    assert!(drawn.contains("of 32 GB"), "{drawn}");
    // The machine itself, 32 GB, and the 2 GB of it that are kept free.
    assert!(drawn.contains("M0 0h320v24h-320z"), "{drawn}");
    assert!(drawn.contains("M300 12H320"), "{drawn}");
    let text = page.text();
    for fact in ["largest that can start now, in cpu", "waiting", "Colour by", "Group", "Age"] {
        assert!(text.contains(fact), "{fact:?} is missing:\n{text}");
    }
}

#[tokio::test]
async fn a_host_has_few_marks_however_many_servers_it_has() {
    let site = Site::busy().await;
    let count = |page: &str| bar(page, "wn1").matches("<path").count();
    let before = count(&site.get("erin", "/hub/admin/floor").await.body);
    for name in ["a", "b", "c", "d"] {
        let form = format!("profile=cpu&memory=512M&name={name}");
        site.post("alice", "/hub/spawn/alice", &form).await;
    }
    let after = count(&site.get("erin", "/hub/admin/floor").await.body);
    assert!(after <= before + 2, "{before} marks, then {after}");
}

#[tokio::test]
async fn the_panel_names_the_servers_of_a_host_and_what_would_become_of_them() {
    let site = Site::busy().await;
    let alice = site.server("alice", "");
    let host = alice.holds_on().unwrap().to_string();
    let panel = site.get("erin", &format!("/hub/admin/floor?host={host}")).await;
    assert!(panel.body.contains(&format!("/hub/servers/{}", alice.id)), "{}", panel.body);
    assert!(panel.text().contains("What if it went?"));
    let alone = site.get("erin", &format!("/hub/admin/floor/hosts/{host}")).await;
    assert!(alone.body.contains(&format!("/hub/servers/{}", alice.id)));
    assert!(!alone.body.contains("<html"), "the panel alone: {}", alone.body);

    let without = site.get("erin", &format!("/hub/admin/floor?without={host}")).await.text();
    assert!(without.contains(&format!("Without {host}")), "{without}");
    assert!(without.contains("servers would find room elsewhere"), "{without}");
    let nobody = site.get("erin", "/hub/admin/floor?without=nowhere").await.text();
    assert!(nobody.contains("There is no such host."), "{nobody}");
}

#[tokio::test]
async fn more_hosts_and_other_limits_are_thought_of() {
    let site = Site::busy().await;
    for name in ["one", "two", "three", "four"] {
        site.post("bob", "/hub/spawn/bob", &format!("profile=cpu&memory=15G&name={name}")).await;
    }
    let page = site.get("erin", "/hub/admin/floor?like=wn1&count=1").await;
    let text = page.text();
    assert!(text.contains("With one more host like wn1"), "{text}");
    assert!(text.contains("No server would have to go."), "{text}");
    // Who waits today would be on it.
    assert!(text.contains("who wait, "), "{text}");
    assert!(bar(&page.body, "new-1").contains("30 GB reserved"), "{text}");
    assert!(!site.get("erin", "/hub/admin/floor").await.body.contains("h-new-1"));

    let tight = site.get("erin", "/hub/admin/floor?pool=cpu&times=0.1").await;
    assert!(tight.text().contains("up to 0.1 times the usable memory"), "{}", tight.text());
    assert!(tight.body.contains("\"t cx\"") && tight.text().contains("nowhere"));
    let same = site.get("erin", "/hub/admin/floor?pool=cpu&times=1").await;
    assert!(same.text().contains("No server would have to go."), "{}", same.text());
    let nobody = site.get("erin", "/hub/admin/floor?like=nowhere&count=2").await.text();
    assert!(nobody.contains("There is no such host."), "{nobody}");
    let none = site.get("erin", "/hub/admin/floor?pool=nowhere&times=2").await.text();
    assert!(none.contains("There is no such pool."), "{none}");
}

#[tokio::test]
async fn what_fits_nowhere_is_said_and_marked() {
    let site = Site::busy().await;
    // More than any other host of the pool can give beside what it has.
    site.post("bob", "/hub/spawn/bob", "profile=cpu&memory=15G&name=one").await;
    site.post("bob", "/hub/spawn/bob", "profile=cpu&memory=15G&name=two").await;
    site.post("bob", "/hub/spawn/bob", "profile=cpu&memory=15G&name=three").await;
    let hosts = ["wn1", "wn2"];
    let mut lost = 0;
    for host in hosts {
        let page = site.get("erin", &format!("/hub/admin/floor?without={host}")).await;
        let said = page.text().contains("nowhere");
        assert_eq!(said, bar(&page.body, host).contains("\"t cx\""), "{}", page.text());
        lost += usize::from(said);
    }
    assert!(lost > 0, "60 GB in use cannot go into 30");
}

#[tokio::test]
async fn the_past_is_shown_as_it_was() {
    let site = Site::new().await;
    site.post("alice", "/hub/spawn/alice", "profile=cpu&memory=4G").await;
    let past = site.get("erin", "/hub/admin/floor?back=60").await.text();
    assert!(past.contains("Nothing was recorded by then."), "{past}");
    assert!(past.contains("1 h ago"), "{past}");
    let at = berth_process::clock::now();
    let later = berth_common::Timestamp(at.0 + 60_000_000);
    let present = site.get("erin", &format!("/hub/admin/floor?at={later}")).await;
    assert!(present.body.contains("data-floor="), "a moment to come is now");
    let then = site.get("erin", &format!("/hub/admin/floor?at={at}")).await;
    assert!(!then.body.contains("data-floor="), "the past does not change");
    assert!(then.text().contains("As it was at"), "{}", then.text());
    assert!(bar(&then.body, "wn1").contains("of 32 GB"), "it is recorded to the minute");
}

#[tokio::test]
async fn only_hosts_that_changed_are_sent() {
    let site = Site::new().await;
    let mut live = site.live("erin", "/hub/live/floor?by=group").await;
    let first = live.next().await;
    assert!(first.contains("\\\"n-wn1\\\"") && first.contains("\\\"n-wn4\\\""), "{first}");
    site.post("alice", "/hub/spawn/alice", "profile=cpu&memory=4G").await;
    let alice = site.server("alice", "");
    let host = alice.holds_on().unwrap().to_string();
    let news = live.until("4 GB reserved, ").await;
    assert!(news.contains(&format!("\\\"n-{host}\\\"")), "{news}");
    let others = ["wn1", "wn2", "wn4"].into_iter().filter(|other| *other != host);
    for other in others {
        assert!(!news.contains(&format!("\\\"n-{other}\\\"")), "{other} did not change: {news}");
    }
}

#[tokio::test]
async fn it_is_for_administrators() {
    let site = Site::busy().await;
    for path in ["/hub/admin/floor", "/hub/admin/floor/hosts/wn1", "/hub/live/floor"] {
        assert_eq!(site.status("alice", path).await, StatusCode::FORBIDDEN, "{path}");
    }
}
