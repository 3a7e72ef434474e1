//! Hosts and all servers, for administrators.

use axum::http::StatusCode;

use super::site::Site;

#[tokio::test]
async fn admins_see_all_hosts_and_servers_and_others_do_not() {
    let site = Site::busy().await;
    let text = site.get("erin", "/hub/admin/hosts").await.text();
    for fact in [
        "2 of 5 hosts ready",
        "wn1 ready",
        "cpu",
        "of 30 GB reserved",
        "of 32 GB used",
        "0.1.0",
        "Docker 28.1",
        "Docker does not answer on the host.",
        "host.engine_down",
        "cannot connect to /run/docker.sock",
        "To let its agent in: berth host add wn4",
        "The host is not declared in hosts.toml",
    ] {
        assert!(text.contains(fact), "{fact:?} is missing:\n{text}");
    }
    let text = site.get("erin", "/hub/admin").await.text();
    for fact in ["alice", "running", "dave", "ended", "stopped.oom", "1.5 GB used"] {
        assert!(text.contains(fact), "{fact:?} is missing:\n{text}");
    }
    let filtered = site.get("erin", "/hub/admin?q=stopped.oom").await.text();
    assert!(filtered.contains("dave") && !filtered.contains("alice"), "{filtered}");
    let host = site.get("erin", "/hub/admin/hosts/wn1").await.text();
    for fact in
        ["hosts.toml:", "wn1:8444", "32 GB declared, 32 GB reported, 2 GB kept free", "nb:py", "16"]
    {
        assert!(host.contains(fact), "{fact:?} is missing:\n{host}");
    }
    for path in ["/hub/admin", "/hub/admin/hosts", "/hub/admin/hosts/wn1"] {
        assert_eq!(site.get("alice", path).await.status, StatusCode::FORBIDDEN, "{path}");
    }
}
