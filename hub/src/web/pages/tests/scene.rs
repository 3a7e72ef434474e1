//! A site where something of everything happens, hostile texts included, and its pages on real
//! ports: each person has one, and is logged in there.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::Request;
use axum::http::HeaderValue;
use axum::http::header::COOKIE;
use axum::middleware::{Next, from_fn};
use berth_common::link::{ObservedState, StartStep};
use berth_common::{ByteCount, Reason};
use berth_core::Event;
use berth_core::settings::{GpuChoice, HostSettings, Pool, Profile, Settings};

use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::task::{JoinHandle, JoinSet};

use super::site::{PEOPLE, Site, cookie, gb};

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
    site.uses("alice", "", gb(3)).await;
    site.uses("alice", "", gb(1)).await;
    add_gpus(&site).await;
    site.post("alice", "/hub/spawn/alice", "profile=two-gpus&memory=8G&gpus=2&name=nets").await;
    site.run("alice", "nets").await;
    site.post("dave", "/hub/spawn/dave", "profile=two-gpus&memory=2G&name=net").await;
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

/// A host with two GPUs, and a profile that gives one or both.
async fn add_gpus(site: &Site) {
    let mut settings = Settings::clone(&site.hub.fleet.fleet().settings);
    let cpu = settings.profiles["cpu"].clone();
    let host = settings.hosts[&"wn1".parse().unwrap()].clone();
    settings.version += 1;
    settings.pools.insert("k80".into(), Pool::default());
    settings.hosts.insert("gpu1".parse().unwrap(), HostSettings { pool: "k80".into(), ..host });
    let gpus = GpuChoice {
        default: 1,
        max: 2,
        share_milli: 1000,
        models: Vec::new(),
        memory: ByteCount::ZERO,
    };
    let profile = Profile {
        title: "Two GPUs".into(),
        use_case: "Larger networks".into(),
        pool: "k80".into(),
        gpus: Some(gpus),
        default: false,
        ..cpu
    };
    settings.profiles.insert("two-gpus".into(), profile);
    site.hub.fleet.send(Event::SettingsChanged(Arc::new(settings))).await;
    site.report("gpu1", Ok(Vec::new())).await;
}

/// Serves the pages; the addresses by person, `nobody` is logged in nowhere, and
/// `newcomer` is whom [`Site::newcomer`] lets in.
pub async fn serve(site: &Site) -> BTreeMap<&'static str, String> {
    let mut addresses = BTreeMap::new();
    for person in PEOPLE.into_iter().chain(["nobody", "newcomer"]) {
        let port = Port::open(site, person, "127.0.0.1:0").await;
        addresses.insert(person, format!("http://{}", port.address));
    }
    addresses
}

/// One person's pages on a port of their own; closed only by [`Port::close`].
pub struct Port {
    /// Name and port.
    pub address: String,
    task: JoinHandle<()>,
}

impl Port {
    /// Serves them at an address; port 0 is any free one.
    pub async fn open(site: &Site, person: &str, address: &str) -> Self {
        let listener = tokio::net::TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let session = HeaderValue::from_str(&cookie(person)).unwrap();
        let log_in = from_fn(move |mut request: Request, next: Next| {
            // Beside the cookies that the browser keeps, such as the reader's language.
            request.headers_mut().append(COOKIE, session.clone());
            next.run(request)
        });
        let router = crate::web::router(Arc::clone(&site.hub)).layer(log_in);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let service = TowerToHyperService::new(router.clone());
                let http = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                connections.spawn(async move { drop(http.await) });
            }
        });
        Self { address, task }
    }

    /// Ends it with all its connections, as the death of a hub does.
    pub async fn close(self) -> String {
        self.task.abort();
        let _ = self.task.await;
        self.address
    }
}

/// The hosts that live report once more.
pub async fn heartbeat(site: &Site) {
    for host in ["wn1", "wn2", "wn9", "gpu1"] {
        let fleet = site.hub.fleet.fleet();
        let heard = fleet.hosts[&host.parse().unwrap()].heard.as_ref().unwrap();
        let seen = heard.observed.values().cloned().collect();
        site.report(host, Ok(seen)).await;
    }
}
