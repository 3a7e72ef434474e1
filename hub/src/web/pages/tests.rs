//! Every page of a small site, asked as a browser asks: the facts that it must show, hostile names
//! as text, nothing inline, every form a POST with its token.

mod account;
mod addresses;
mod administration;
mod asked;
mod browser;
mod bulk;
mod cards;
mod decisions;
mod drain;
mod farm;
mod floor;
mod forms;
mod french;
mod help;
mod hosts;
mod lab;
mod live;
mod look;
mod mismatch;
mod notices;
mod queue;
mod readers;
mod scene;
mod site;
mod starts;
mod support;
mod trainings;
mod verdicts;

use axum::http::StatusCode;
use berth_common::Reason;

use site::Site;

/// All pages of a site where something of everything happens, as one person sees them.
async fn all_pages(site: &Site, user: &str) -> Vec<(String, String)> {
    let fleet = site.hub.fleet.fleet();
    let mut paths: Vec<String> = [
        "/hub/home",
        "/hub/spawn",
        "/hub/spawn?opt-memory=2G&next=/user/alice/lab",
        "/hub/token",
        "/hub/usage",
        "/hub/help",
        "/hub/trainings",
        "/hub/kernels",
        "/hub/notices",
        "/hub/admin/notices",
        "/hub/help/stopped.oom",
        "/hub/admin",
        "/hub/admin?q=ended",
        "/hub/admin?q=usr:alice",
        "/hub/admin/servers/stop?q=user:alice",
        "/hub/admin/servers/extend",
        "/hub/admin/servers/notify?q=user:alice",
        "/hub/admin/floor",
        "/hub/admin/floor?by=idle&host=wn1",
        "/hub/admin/floor?by=age&back=5",
        "/hub/admin/floor?without=wn1",
        "/hub/admin/floor?like=wn1&count=2&pool=cpu&times=0.5",
        "/hub/admin/floor/hosts/wn1",
        "/hub/admin/queue",
        "/hub/admin/queue?user=bob&code=refused",
        "/hub/admin/hosts",
        "/hub/admin/hosts/wn1",
        "/hub/admin/hosts/wn4",
        "/hub/admin/pools/cpu",
        "/hub/admin/images/py",
        "/hub/admin?c=pool,image,gpus,age",
        "/hub/admin/hosts/wn1/drain?by=7200&hold=yes&reason=why",
        "/hub/admin/audit",
        "/hub/admin/health",
        "/hub/admin/usage",
        "/hub/admin/usage?by=user",
        "/hub/admin/people?q=a",
        "/hub/admin/people/alice",
        "/hub/admin/people/alice/home",
        "/hub/admin/config",
        "/hub/error/503",
        "/hub/nowhere",
        "/hub/user/alice/none/",
    ]
    .map(str::to_owned)
    .into();
    for server in fleet.servers.values() {
        let path = super::words::server_path(&server.owner, &server.name);
        paths.push(format!("/hub/spawn-pending/{path}"));
        paths.push(format!("/hub/user/{path}/lab"));
        paths.push(format!("/hub/servers/{}", server.id));
        paths.extend(server.decision.as_ref().map(|id| format!("/hub/decisions/{id}")));
    }
    let mut pages = Vec::new();
    for path in paths {
        pages.push((path.clone(), site.get(user, &path).await.body));
    }
    pages.push(("login".to_owned(), site.get("", "/hub/login?next=/hub/home").await.body));
    pages
}

#[tokio::test]
async fn pages_hold_nothing_inline_and_every_form_carries_its_token() {
    let site = Site::busy().await;
    for user in ["alice", "erin"] {
        for (path, html) in all_pages(&site, user).await {
            holds_nothing_inline(&path, user, &html);
        }
    }
}

/// No script or style in the page, every form a POST with its token, every id once.
fn holds_nothing_inline(path: &str, user: &str, html: &str) {
    for bad in
        ["<script>", "<style", " style=", "onclick", "onload", "javascript:", "http://", "https://"]
    {
        let html = html.replace(site::PUBLIC_URL, "");
        assert!(!html.contains(bad), "{path} as {user} holds {bad}:\n{html}");
    }
    for form in html.split("<form").skip(1) {
        let form = form.split("</form>").next().unwrap();
        let posts = form.contains("method=\"post\"");
        let search = form.contains("role=\"search\"");
        assert_eq!(posts, form.contains("name=\"_xsrf\" value=\""), "{path}: {form}");
        assert!(posts || search, "{path}: a form that is no POST: {form}");
        assert!(form.contains("type=\"submit\""), "{path}: {form}");
    }
    let ids: Vec<_> = html.split(" id=\"").skip(1).filter_map(|it| it.split('"').next()).collect();
    let mut unique = ids.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), ids.len(), "{path}: an id stands twice: {ids:?}");
    for label in html.split(" for=\"").skip(1).filter_map(|it| it.split('"').next()) {
        assert!(ids.contains(&label), "{path}: a label for nothing: {label}");
    }
}

#[tokio::test]
async fn hostile_texts_are_shown_as_text() {
    let site = Site::busy().await;
    site.fail(
        "carol",
        "",
        Reason::FailedExited,
        "<script>alert(1)</script>\n<img src=x onerror=alert(2)>",
    )
    .await;
    let page = site.get("carol", "/hub/spawn-pending/carol").await;
    assert!(page.body.contains("&#60;script&#62;alert(1)"), "{}", page.body);
    assert!(!page.body.contains("<script>") && !page.body.contains("<img"), "{}", page.body);
    let page = site.get("erin", "/hub/admin?q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E").await;
    assert!(!page.body.contains("<script>alert") && page.body.contains("&#34;&#62;&#60;script"));
    let page =
        site.get("alice", "/hub/spawn?name=%22%20autofocus%20x=%22&next=//evil.example").await;
    assert!(page.body.contains("&#34; autofocus x=&#34;") && !page.body.contains("evil.example"));
}

#[tokio::test]
async fn nothing_is_changed_without_the_token() {
    let site = Site::new().await;
    let answer = site.post_raw("alice", "/hub/spawn/alice", "profile=cpu").await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert!(site.hub.fleet.fleet().servers.is_empty());
}
