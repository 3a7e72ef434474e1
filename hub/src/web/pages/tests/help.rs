//! Asking for help with a ticket filled in, being told, and what a choice means before it is made.

use std::sync::Arc;

use axum::http::StatusCode;
use berth_common::{ByteCount, Reason};
use percent_encoding::percent_decode_str;

use super::holds_nothing_inline;
use super::scene::HOSTILE;
use super::site::{PUBLIC_URL, Site, gb};

/// The site says where to ask for help.
pub fn offer(site: &Site, support: &str) {
    let mut config = (*site.hub.config()).clone();
    config.people.support = Some(support.parse().unwrap());
    site.hub.config.store(Arc::new(config));
}

/// The ticket that a page offers, as a mail program reads it.
fn ticket(page: &str) -> Option<String> {
    let link = page.split("href=\"mailto:").nth(1)?.split('"').next()?;
    Some(percent_decode_str(&link.replace("&#38;", "&")).decode_utf8().unwrap().into_owned())
}

#[tokio::test]
async fn a_ticket_says_which_server_where_when_and_why() {
    let site = Site::busy().await;
    let log = format!("no answer 60 s after its start\nSECRET=of-the-log {HOSTILE}");
    site.fail("carol", "fit-2", Reason::FailedNoAnswer, &log).await;
    site.vanish("carol", "fit-2").await;
    let failed = "/hub/spawn-pending/carol/fit-2";
    assert_eq!(ticket(&site.get("carol", failed).await.body), None, "the files say nowhere");

    offer(&site, "mailto:help@example.org");
    let server = site.server("carol", "fit-2");
    let host = server.last_host.as_ref().unwrap().to_string();
    let page = format!("/hub/servers/{}", server.id);
    for path in [failed, "/hub/home", &page] {
        let body = site.get("carol", path).await.body;
        holds_nothing_inline(path, "carol", &body);
        let tickets: Vec<_> = body.split("<article").filter_map(ticket).collect();
        let ticket = tickets.iter().find(|it| it.contains(server.id.as_str()));
        let ticket = ticket.unwrap_or_else(|| panic!("{path} offers no ticket:\n{body}"));
        let decision = server.decision.as_ref().unwrap();
        for fact in [
            "help@example.org?subject=Notebook server carol/fit-2&body=What I did",
            &format!("Server: {PUBLIC_URL}/hub/servers/{}", server.id),
            "Asked for: CPU, 2 GB, py",
            &format!("Host: {host}"),
            "UTC",
            "Reason: failed.no_answer",
            &format!("Decision: {PUBLIC_URL}/hub/decisions/{decision}"),
        ] {
            assert!(ticket.contains(fact), "{path}: the ticket lacks {fact:?}:\n{ticket}");
        }
        assert!(!ticket.contains("SECRET"), "the log is not the site's to send:\n{ticket}");
    }
    // What is followed says the same as the page.
    let live = site.live("carol", "/hub/live/home").await.until("mailto:").await;
    assert!(live.contains("help@example.org"), "{live}");
    let ended = site.get("dave", "/hub/user/dave/lab").await;
    assert!(ticket(&ended.body).is_some_and(|it| it.contains("stopped.oom")), "{}", ended.body);
    assert!(site.get("carol", "/hub/help").await.text().contains("mailto:help@example.org"));
}

#[tokio::test]
async fn a_tab_says_how_far_a_start_is() {
    let site = Site::busy().await;
    let title =
        |body: &str| body.split("<title>").nth(1).unwrap().split('<').next().unwrap().to_owned();
    let page = site.get("carol", "/hub/spawn-pending/carol").await;
    assert_eq!(title(&page.body), "Starting your server · Berth");
    // The button is for browsers that can tell: only a script shows it.
    assert!(page.body.contains("<button type=\"button\" id=\"tell\" hidden"), "{}", page.body);
    let mut live =
        site.live("carol", &format!("/hub/live/servers/{}", site.server("carol", "").id)).await;
    live.until("data-title=\"Starting your server\"").await;
    site.fail("carol", "", Reason::FailedNoAnswer, "no answer").await;
    live.until("data-tell=\"").await;
    for name in ["a", "b", "c", "d", "e"] {
        site.post("bob", "/hub/spawn/bob", &format!("profile=cpu&memory=15G&name={name}")).await;
    }
    let page = site.get("bob", "/hub/spawn-pending/bob/e").await;
    assert!(title(&page.body).starts_with("Place "), "{}", title(&page.body));
}

#[tokio::test]
async fn any_amount_within_the_limits_can_be_asked_for() {
    let site = Site::new().await;
    let page = site.get("alice", "/hub/spawn").await;
    let field = page.body.split("type=\"number\"").nth(1).unwrap().split('>').next().unwrap();
    for fact in ["name=\"own\"", "min=\"0.5\"", "max=\"15\"", "value=\"2\""] {
        assert!(field.contains(fact), "{fact} is missing: {field}");
    }
    let answer = site.post("alice", "/hub/spawn/alice", "profile=cpu&memory=own&own=6.5").await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text());
    let half = ByteCount(13 << 29);
    assert_eq!(site.server("alice", "").ask.memory, half);
    // One of those offered is not changed by what stands in the other field.
    site.post("bob", "/hub/spawn/bob", "profile=cpu&memory=4G&own=6.5").await;
    assert_eq!(site.server("bob", "").ask.memory, gb(4));
    // Too much is refused with the form, where it stands as an amount.
    let answer = site.post("carol", "/hub/spawn/carol", "profile=cpu&memory=own&own=640").await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    for wrong in ["", "much", "-1"] {
        let form = format!("profile=cpu&memory=own&own={wrong}");
        let answer = site.post("carol", "/hub/spawn/carol", &form).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
}
