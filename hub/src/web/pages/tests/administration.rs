//! The administrators' pages about people, usage, files, acts and health.

use axum::http::StatusCode;
use berth_process::clock::now;
use berth_store::Act;

use super::scene::HOSTILE;
use super::site::Site;

/// Pages with something on them: acts, one of them hostile.
pub async fn prepare(site: &Site) {
    let act = Act::new(now(), "erin", "server-stop", "203.0.113.7").about("alice");
    let act = act.on(HOSTILE).because(HOSTILE);
    site.hub.storage.write(move |database| database.record(&act)).await.unwrap();
    let act = Act::new(now(), "bob", "token-create", "198.51.100.9").on("=1+1");
    site.hub.storage.write(move |database| database.record(&act)).await.unwrap();
}

/// Time goes by, and what servers use is looked at.
pub fn course(site: &Site) {
    let (fleet, now) = (site.hub.fleet.fleet(), now());
    for tens in (0_i64..200).rev() {
        let at = berth_common::Timestamp(now.0 - tens * 10_000_000);
        site.hub.samples.look(&fleet, at);
    }
}

#[tokio::test]
async fn a_server_shows_its_course_without_what_is_not_known() {
    let site = Site::busy().await;
    let path = format!("/hub/servers/{}", site.server("alice", "").id);
    assert!(!site.get("alice", &path).await.body.contains("<figure"));
    course(&site);
    let page = site.get("alice", &path).await;
    let text = page.text();
    assert!(text.contains("Over time") && text.contains("at most 1.5 GB, limit 4 GB"), "{text}");
    assert_eq!(page.body.matches("<figure class=\"chart\"").count(), 2, "{}", page.body);
}

/// Where they are.
pub const PAGES: [(&str, &str); 10] = [
    ("audit", "/hub/admin/audit"),
    ("audit-none", "/hub/admin/audit?actor=nobody"),
    ("health", "/hub/admin/health"),
    ("usage-groups", "/hub/admin/usage"),
    ("usage-people", "/hub/admin/usage?by=user"),
    ("people", "/hub/admin/people"),
    ("person", "/hub/admin/people/alice"),
    ("view-as", "/hub/admin/people/alice/home"),
    ("view-as-none", "/hub/admin/people/erin/home"),
    ("config", "/hub/admin/config"),
];

#[tokio::test]
async fn they_are_for_administrators_only() {
    let site = Site::busy().await;
    let tables = [("", "/hub/admin/audit.csv"), ("", "/hub/admin/usage.csv")];
    for (_, path) in PAGES.into_iter().chain(tables) {
        assert_eq!(site.get("alice", path).await.status, StatusCode::FORBIDDEN, "{path}");
        assert_eq!(site.get("erin", path).await.status, StatusCode::OK, "{path}");
    }
    for path in ["/hub/admin/people/nobody", "/hub/admin/people/nobody/home"] {
        assert_eq!(site.get("erin", path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    for path in ["/hub/admin/config/reload", "/hub/admin/config/rollback"] {
        assert_eq!(site.post("alice", path, "").await.status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn acts_are_found_by_who_whom_what_and_when() {
    let site = Site::busy().await;
    prepare(&site).await;
    let all = site.get("erin", "/hub/admin/audit").await;
    assert!(!all.body.contains("<script>") && !all.body.contains("<img"), "{}", all.body);
    for (query, stop, token) in [
        ("", true, true),
        ("actor=erin", true, false),
        ("about=alice", true, false),
        ("about=%3D1%2B1", false, true),
        ("action=token-create", false, true),
        ("actor=erin&action=token-create", false, false),
        ("to=2020-01-01", false, false),
        ("from=2020-01-01", true, true),
        ("from=2200-01-01", false, false),
    ] {
        for path in ["/hub/admin/audit", "/hub/admin/audit.csv"] {
            let body = site.get("erin", &format!("{path}?{query}")).await.body;
            let found = (body.contains("203.0.113.7"), body.contains("198.51.100.9"));
            assert_eq!(found, (stop, token), "{path}?{query}");
        }
    }
}

#[tokio::test]
async fn a_person_shows_each_right_with_its_line_and_usage_adds_up() {
    let site = Site::busy().await;
    let text = site.get("erin", "/hub/admin/people?q=ali").await.text();
    assert!(text.contains("alice") && !text.contains("dave"), "{text}");
    let page = site.get("erin", "/hub/admin/people/alice").await;
    for fact in ["uid, gid", "4 GB", "/hub/admin/people/alice/home", "profiles.toml:"] {
        assert!(page.body.contains(fact), "{fact:?} is missing:\n{}", page.body);
    }
    // What was held for less than a second is nothing yet.
    let table = loop {
        let table = site.get("erin", "/hub/admin/usage.csv?by=user").await.body;
        if table.contains("\nalice,") {
            break table;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    assert!(table.starts_with("user,group,server_hours,gib_hours,gib_hours_used,"), "{table}");
    let people = site.get("erin", "/hub/admin/usage?by=user&order=waste").await;
    assert!(people.text().contains("really used") && people.text().contains("Not used"));
    assert!(people.body.contains("/hub/api/berth/usage?by=user&#38;from="), "{}", people.body);
    assert!(people.text().contains("Most held first"), "it says the other order");
    let groups = site.get("erin", "/hub/admin/usage").await;
    assert!(groups.text().contains("without a group"), "{}", groups.text());
}

#[tokio::test]
async fn somebodys_home_is_seen_not_used_and_that_is_recorded() {
    let site = Site::busy().await;
    let page = site.get("erin", "/hub/admin/people/alice/home").await;
    let cards = page.body.split("<fieldset class=\"still section\" disabled>").nth(1).unwrap();
    let cards = cards.split("</fieldset>").next().unwrap();
    let stop = format!("/hub/servers/{}/stop", site.server("alice", "").id);
    assert!(cards.contains(&stop), "{cards}");
    // Outside what is disabled there is only the button that logs out.
    assert_eq!(page.body.replace(cards, "").matches("<button").count(), 1, "{}", page.body);
    let told = site.get("erin", "/hub/admin/audit?action=view-as&about=alice").await.text();
    assert!(told.contains("erin"), "{told}");
}

#[tokio::test]
async fn health_says_what_doctor_says_with_the_worst_first() {
    let site = Site::busy().await;
    let text = site.get("erin", "/hub/admin/health").await.text();
    let at = |word: &str| text.find(word).unwrap_or_else(|| panic!("{word:?} is missing:\n{text}"));
    assert!(at("does not work") < at("takes a write"), "{text}");
    assert!(text.contains("wn9"), "{text}");
    assert!(text.contains("All well last") && text.contains("Answer after"), "{text}");
    assert!(text.contains(" ms "), "how long the database took: {text}");
    let mut live = site.live("erin", "/hub/live/health").await;
    live.until("takes a write").await;
}

#[tokio::test]
async fn files_are_shown_with_what_is_wrong_and_taken_over_or_not() {
    let site = Site::busy().await;
    let page = site.get("erin", "/hub/admin/config").await;
    assert!(page.text().contains("The disk says the same"), "{}", page.text());
    let file = site.get("erin", "/hub/admin/config/files/profiles.toml").await;
    assert!(file.body.contains("<li id=\"l2\">"), "{}", file.body);
    assert_eq!(
        site.get("erin", "/hub/admin/config/files/../hub.db").await.status,
        StatusCode::NOT_FOUND
    );

    site.change_file("profiles.toml", |text| format!("{text}\n# {HOSTILE}\n"));
    let page = site.get("erin", "/hub/admin/config").await;
    assert!(page.body.contains("class=\"added\""), "{}", page.body);
    assert!(!page.body.contains("<script>window"), "{}", page.body);
    assert_eq!(
        site.post("erin", "/hub/admin/config/reload", "").await.status,
        StatusCode::SEE_OTHER
    );
    let text = site.get("erin", "/hub/admin/config").await.text();
    assert!(text.contains("The disk says the same"), "{text}");
    assert!(text.contains("config-reload") && text.contains("config-in-force"), "{text}");

    site.change_file("profiles.toml", |text| format!("{text}# again\n"));
    site.post("erin", "/hub/admin/config/reload", "").await;
    site.change_file("profiles.toml", |text| format!("{text}\n[profile.x]\nmemry = 1\n"));
    assert_eq!(
        site.post("erin", "/hub/admin/config/reload", "").await.status,
        StatusCode::SEE_OTHER
    );
    let text = site.get("erin", "/hub/admin/config").await.text();
    assert!(text.contains("nothing of them is in force") && text.contains("^"), "{text}");
    assert_eq!(
        site.post("erin", "/hub/admin/config/rollback", "").await.status,
        StatusCode::SEE_OTHER
    );
    let text = site.get("erin", "/hub/admin/config").await.text();
    assert!(text.contains("Somebody went back to earlier files"), "{text}");
}

#[tokio::test]
async fn the_last_days_are_replayed_under_the_files_on_disk() {
    let site = Site::busy().await;
    let replayed = async || site.post("erin", "/hub/admin/config/replay", "").await.text();
    let same = replayed().await;
    assert!(same.contains("Each would get the answer that it got."), "{same}");
    site.change_file("profiles.toml", |text| text.replace("\"4 GB\", \"8 GB\"", "\"1 GB\""));
    site.change_file("profiles.toml", |text| text.replace("max = \"15 GB\"", "max = \"3 GB\""));
    let other = replayed().await;
    assert!(other.contains("1 accepted then, refused now"), "{other}");
    assert!(other.contains("alice") && other.contains("refused."), "{other}");
    site.change_file("profiles.toml", |text| format!("{text}\n[profile.x]\nmemry = 1\n"));
    assert!(replayed().await.contains("memry"), "what is wrong is shown");
    let refused = site.post("alice", "/hub/admin/config/replay", "").await;
    assert_eq!(refused.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_decision_is_decided_again_for_administrators() {
    let site = Site::busy().await;
    let id = site.server("alice", "").decision.clone().unwrap();
    let path = format!("/hub/decisions/{id}?again=yes");
    let text = site.get("erin", &path).await.text();
    for fact in ["the hosts and files of its time", "the files of now", "today"] {
        assert!(text.contains(fact), "{fact:?} is missing:\n{text}");
    }
    assert!(!site.get("alice", &path).await.text().contains("Decide again"));
}
