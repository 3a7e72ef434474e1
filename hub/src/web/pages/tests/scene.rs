//! A site where something of everything happens, hostile texts included, and its pages on real
//! ports: each person has one, and is logged in there.

use std::collections::BTreeMap;

use axum::extract::Request;
use axum::http::HeaderValue;
use axum::http::header::COOKIE;
use axum::middleware::{Next, from_fn};
use berth_common::Reason;
use berth_common::link::{ObservedState, StartStep};

use super::site::{PEOPLE, Site, cookie};

/// What somebody hostile would write wherever they may write.
pub const HOSTILE: &str = "<script>window.hacked=1</script><img src=x onerror=\"window.hacked=1\">";

/// Starts everything that there is to be seen.
pub async fn scene() -> Site {
    let site = Site::busy().await;
    site.post("alice", "/hub/spawn/alice", "profile=cpu&memory=8G&name=fit-2").await;
    site.run("alice", "fit-2").await;
    site.out_of_memory("alice", "fit-2").await;
    for (user, memory) in
        [("bob", "15G"), ("erin", "15G"), ("bob", "12G&name=b"), ("dave", "15G&name=b")]
    {
        site.post(user, &format!("/hub/spawn/{user}"), &format!("profile=cpu&memory={memory}"))
            .await;
    }
    site.post("alice", "/hub/spawn/alice", "profile=cpu&memory=8G&name=big").await;
    let steps = [StartStep::Image, StartStep::Spaces, StartStep::Container];
    site.reach("carol", "", &steps, ObservedState::Created).await;
    site.reach("carol", "fit-2", &[StartStep::Image], ObservedState::Created).await;
    let log = format!(
        "no answer 60 s after its start\n[I 2026-11-22 15:27:58 ServerApp] jupyterlab | extension was loaded\n{HOSTILE}\nSyntaxError: invalid syntax"
    );
    site.fail("carol", "fit-2", Reason::FailedNoAnswer, &log).await;
    site.vanish("carol", "fit-2").await;
    site.post("alice", "/hub/token", "note=%3Cscript%3Ewindow.hacked=1%3C/script%3E&days=7").await;
    site.open_all();
    site
}

/// Serves the pages; the addresses by person, `nobody` is logged in nowhere, and
/// `newcomer` is whom [`Site::newcomer`] lets in.
pub async fn serve(site: &Site) -> BTreeMap<&'static str, String> {
    let mut addresses = BTreeMap::new();
    for person in PEOPLE.into_iter().chain(["nobody", "newcomer"]) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        addresses.insert(person, format!("http://{}", listener.local_addr().unwrap()));
        let session = cookie(person);
        let log_in = from_fn(move |mut request: Request, next: Next| {
            // Beside the cookies that the browser keeps, such as the reader's language.
            let session = HeaderValue::from_str(&session).unwrap();
            request.headers_mut().append(COOKIE, session);
            next.run(request)
        });
        let router = crate::web::router(std::sync::Arc::clone(&site.hub)).layer(log_in);
        tokio::spawn(async move { axum::serve(listener, router).await });
    }
    addresses
}

/// The hosts that live report once more.
pub async fn heartbeat(site: &Site) {
    for host in ["wn1", "wn2", "wn9"] {
        let fleet = site.hub.fleet.fleet();
        let heard = fleet.hosts[&host.parse().unwrap()].heard.as_ref().unwrap();
        let seen = heard.observed.values().cloned().collect();
        site.report(host, Ok(seen)).await;
    }
}
