//! What support talks about has an address that stays, and shows to nobody what is not theirs.

use axum::http::StatusCode;

use super::scene::{HOSTILE, scene};
use super::site::Site;
use super::{administration, holds_nothing_inline, notices};

/// The first address on a page that begins so.
fn link(page: &str, start: &str) -> String {
    let rest = page.split(&format!("href=\"{start}")).nth(1);
    let rest = rest.unwrap_or_else(|| panic!("no link to {start}:\n{page}"));
    format!("{start}{}", rest.split('"').next().unwrap())
}

#[tokio::test]
async fn all_that_support_talks_about_has_one() {
    let site = scene().await;
    administration::prepare(&site).await;
    notices::write(&site).await;
    // Each is found on the page where one meets the thing, and shows it.
    for (found_on, start, facts) in [
        ("/hub/admin/hosts", "/hub/admin/pools/cpu", ["Limits may reach 1 times", "wn1"]),
        ("/hub/admin/pools/cpu", "/hub/admin/images/", ["Python 3.13", "nb:py"]),
        ("/hub/admin/hosts/wn1", "/hub/admin/images/", ["Python 3.13", "wn2 there"]),
        ("/hub/admin/audit", "/hub/admin/audit/", ["Entry ", "new disks"]),
    ] {
        let path = link(&site.get("erin", found_on).await.body, start);
        let page = site.get("erin", &path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        holds_nothing_inline(&path, "erin", &page.body);
        for fact in facts {
            let text = page.text().to_lowercase();
            assert!(text.contains(&fact.to_lowercase()), "{path} lacks {fact:?}:\n{text}");
        }
        if start.starts_with("/hub/admin") {
            assert_eq!(site.get("alice", &path).await.status, StatusCode::FORBIDDEN, "{path}");
        }
    }
}

#[tokio::test]
async fn a_notice_is_for_whom_it_is_written_for() {
    let site = Site::busy().await;
    let host = site.server("alice", "").placement().unwrap().host.to_string();
    let en: String = url::form_urlencoded::byte_serialize(HOSTILE.as_bytes()).collect();
    let form = format!("to=host:{host}&level=warning&en={en}&fr=");
    site.post("erin", "/hub/admin/notices", &form).await;
    let path = format!("/hub/notices/{}", site.hub.agenda.notices()[0].0);
    let page = site.get("alice", &path).await;
    assert!(page.body.contains("&#60;script"), "{}", page.body);
    assert!(!page.body.contains("<script>window") && !page.body.contains("<img src=x"));
    assert!(!page.text().contains(&format!("host:{host}")), "who reads it is the writers' matter");
    let page = site.get("erin", &path).await.text();
    assert!(page.contains(&format!("host:{host}")) && page.contains("erin"), "{page}");
    assert_eq!(site.get("bob", &path).await.status, StatusCode::NOT_FOUND);
    // Its board leads there.
    assert!(site.get("alice", "/hub/home").await.body.contains(&format!("href=\"{path}\"")));
}

#[tokio::test]
async fn the_table_of_servers_has_the_columns_of_its_address() {
    let site = Site::busy().await;
    let heads = |body: &str| -> Vec<String> {
        let head = body.split("<thead>").nth(1).unwrap().split("</thead>").next().unwrap();
        let cells = head.split("<th scope=\"col\">").skip(1);
        cells.map(|cell| cell.split('<').next().unwrap().to_owned()).collect()
    };
    let usual = site.get("erin", "/hub/admin").await.body;
    assert_eq!(
        heads(&usual),
        ["Owner", "State", "Host", "Profile", "Memory", "Last activity", ""],
        "{usual}"
    );
    let page = site.get("erin", "/hub/admin?q=user:alice&c=image&c=pool&c=age").await.body;
    holds_nothing_inline("/hub/admin", "erin", &page);
    assert_eq!(heads(&page), ["Owner", "Pool", "Image", "Age", ""], "{page}");
    // News come with the same columns, and what leads on keeps them.
    assert!(page.contains("data-live=\"/hub/live/admin?q=user%3Aalice&#38;c=pool,image,age\""));
    assert!(page.contains("href=\"/hub/admin?q=state:waiting&#38;c=pool,image,age\""), "{page}");
    let mut live = site.live("erin", "/hub/live/admin?q=user:alice&c=pool,image,age").await;
    let news = live.until("<thead>").await;
    assert_eq!(heads(&news), ["Owner", "Pool", "Image", "Age", ""], "{news}");
}
