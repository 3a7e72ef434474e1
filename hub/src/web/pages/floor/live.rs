//! The Floor kept up to date: once a second the hosts that changed, and nothing else.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use berth_common::HostId;
use berth_process::clock::now;
use serde_json::json;

use super::draw::HostBar;
use super::scene::{Totals, bars};
use super::{Sight, View};
use crate::auth::AdminVisitor;
use crate::site::Hub;
use crate::web::live::{News, Streams, stream_news};

/// `GET /hub/live/floor?by=`
pub async fn follow(
    State(hub): State<Arc<Hub>>,
    Extension(streams): Extension<Arc<Streams>>,
    AdminVisitor(visitor): AdminVisitor,
    uri: Uri,
) -> Response {
    let view = View { at: None, thought: Default::default(), ..View::of(&uri, now()) };
    let mut sent = Sent::default();
    let owner = visitor.user.account.name.clone();
    stream_news(&hub, &streams, &owner, move |hub| sent.news(hub, &view))
}

/// What the browser has.
#[derive(Default)]
struct Sent {
    hosts: Option<BTreeMap<HostId, String>>,
    totals: String,
}

impl Sent {
    fn news(&mut self, hub: &Hub, view: &View) -> News {
        let fleet = hub.fleet.fleet();
        let sight = Sight::new(&fleet, &fleet.floor, view, Default::default(), now());
        let render =
            |(host, bar): (&HostId, HostBar)| (host.clone(), bar.render().unwrap_or_default());
        let hosts: BTreeMap<HostId, String> = bars(&sight).map(render).collect();
        let totals = Totals::of(&sight).render().unwrap_or_default();
        if let Some(before) = &self.hosts
            && !before.keys().eq(hosts.keys())
        {
            // Hosts have come or gone: the page is laid out anew.
            return News::Gone;
        }
        let before = self.hosts.take().unwrap_or_default();
        let changed: BTreeMap<&HostId, &String> =
            hosts.iter().filter(|(host, html)| before.get(*host) != Some(*html)).collect();
        let news = (!changed.is_empty() || totals != self.totals)
            .then(|| json!({ "hosts": changed, "totals": totals }).to_string());
        self.hosts = Some(hosts);
        self.totals = totals;
        news.map_or(News::None, News::Part)
    }
}
