//! A host on which every server is ready at once, and a proxy that leads there.

use std::sync::Arc;

use axum::routing::get;
use berth_common::link::ObservedState;
use berth_core::Server;
use berth_proto::link::{HostAnswer, Question};
use serde_json::json;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;

use super::Site;

/// A proxy's API with the one route that every proxy has.
pub fn serve_proxy(site: &Site) {
    let state = &site.hub.config().hub.state;
    std::fs::create_dir_all(state.join("proxy")).unwrap();
    std::fs::write(state.join("proxy/api-token"), "secret").unwrap();
    let listener = tokio::net::UnixListener::bind(state.join("proxy.sock")).unwrap();
    let hub = json!({ "target": "http://127.0.0.1:8081", "hub": true });
    let table = json!({ "/": hub });
    let routes = axum::Router::new().route("/api/routes", get(|| async { axum::Json(table) }));
    tokio::spawn(async move { axum::serve(listener, routes).await });
}

/// Answers whatever the hub asks about a server of the host `wn1`, with nothing in the answer.
pub async fn answer(site: &Site) {
    let (out, questions) = mpsc::channel(1);
    let answers = ReceiverStream::new(questions).map(|question: Result<Question, _>| {
        question.map(|it| HostAnswer { number: it.number, ..HostAnswer::default() })
    });
    site.hub.asked.serve("wn1".parse().unwrap(), answers, out).await;
}

/// Makes ready what is placed, and ends what is to end.
pub async fn work(site: &Site) {
    let mut fleet = site.hub.fleet.watch();
    loop {
        let now = fleet.borrow_and_update().clone();
        let placed = |it: &&Arc<Server>| it.placement().is_some();
        let placed: Vec<_> = now.servers.values().filter(placed).collect();
        let stays = |it: &Server| it.placement().is_some_and(|it| it.stop.is_none());
        if placed.iter().any(|server| !server.is_ready() || !stays(server)) {
            let staying: Vec<_> = placed.iter().filter(|server| stays(server)).collect();
            let seen = staying.iter().map(|it| site.seen(it, ObservedState::Ready)).collect();
            site.report(seen).await;
            site.hub.routed.send_modify(|routed| {
                *routed = staying.iter().map(|it| (it.prefix(), it.generation)).collect();
            });
        } else {
            fleet.changed().await.unwrap();
        }
    }
}
