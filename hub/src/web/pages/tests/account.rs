//! What a person has: use and tokens.

use axum::http::StatusCode;

use super::site::Site;

#[tokio::test]
async fn usage_shows_limits_and_requests_as_a_page_and_as_a_table() {
    let site = Site::busy().await;
    let text = site.get("alice", "/hub/usage").await.text();
    for fact in ["Memory 4 GB, no limit", "Servers 1 of", "cpu 4 GB 0 wn", "placed.now"] {
        assert!(text.contains(fact), "{fact:?} is missing:\n{text}");
    }
    let table = site.get("alice", "/hub/usage.csv").await;
    assert_eq!(table.headers["content-type"], "text/csv; charset=utf-8");
    let lines: Vec<_> = table.body.lines().collect();
    assert_eq!(lines[0], "at,server,profile,memory_bytes,gpus,host,reason,decision");
    assert!(lines.len() == 2 && lines[1].contains(",,cpu,4294967296,0,wn"), "{}", table.body);
}

#[tokio::test]
async fn tokens_are_shown_once_and_revoked() {
    let site = Site::new().await;
    let page = site.post("alice", "/hub/token", "note=nightly+%3Cb%3E&days=7").await;
    assert_eq!(page.body.matches("berth_pat_").count(), 1, "{}", page.body);
    let list = site.get("alice", "/hub/token").await;
    assert!(
        list.body.contains("nightly &#60;b&#62;") && !list.body.contains("berth_pat_"),
        "{}",
        list.body
    );
    assert_eq!(site.post("bob", "/hub/token/1/revoke", "").await.status, StatusCode::NOT_FOUND);
    assert_eq!(site.post("alice", "/hub/token/1/revoke", "").await.status, StatusCode::SEE_OTHER);
    assert!(site.get("alice", "/hub/token").await.text().contains("You have no tokens."));
}
