//! Serves the pages of a site where something of everything happens, for a designer's eyes:
//! `cargo test -p berth-hub look_at -- --ignored --nocapture`, then open the printed addresses.

use axum::extract::Request;
use axum::http::HeaderValue;
use axum::http::header::COOKIE;
use axum::middleware::{Next, from_fn};
use berth_common::Reason;
use berth_common::link::{ObservedState, StartStep};

use super::site::{PEOPLE, Site, cookie};

/// Everybody's pages, each person on a port of his or her own.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs until it is ended"]
async fn look_at_the_pages() {
    let site = Site::busy().await;
    site.post("alice", "/hub/spawn/alice", "profile=cpu&memory=8G&name=fit-2").await;
    site.run("alice", "fit-2").await;
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
    let log = "no answer 60 s after its start\n[I 2026-11-22 15:27:58 ServerApp] jupyterlab | extension was loaded\nTraceback (most recent call last):\n  File \"/home/carol/.jupyter/jupyter_server_config.py\", line 3\n    c.ServerApp.tokn = \nSyntaxError: invalid syntax";
    site.fail("carol", "fit-2", Reason::FailedNoAnswer, log).await;
    site.vanish("carol", "fit-2").await;
    site.open_all();
    for person in PEOPLE.into_iter().chain(["nobody"]) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("{person} http://{}/hub/home", listener.local_addr().unwrap());
        let cookie = HeaderValue::from_str(&cookie(person)).unwrap();
        let log_in = from_fn(move |mut request: Request, next: Next| {
            request.headers_mut().insert(COOKIE, cookie.clone());
            next.run(request)
        });
        let router = crate::web::router(std::sync::Arc::clone(&site.hub)).layer(log_in);
        tokio::spawn(async move { axum::serve(listener, router).await });
    }
    // The hosts stay alive but for one, which becomes lost.
    loop {
        for host in ["wn1", "wn2", "wn9"] {
            let fleet = site.hub.fleet.fleet();
            let heard = fleet.hosts[&host.parse().unwrap()].heard.as_ref().unwrap();
            let seen = heard.observed.values().cloned().collect();
            site.report(host, Ok(seen)).await;
        }
        tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    }
}
