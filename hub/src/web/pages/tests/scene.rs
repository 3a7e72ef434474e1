//! A site where something of everything happens, hostile texts included, and its pages on real
//! ports: each person has one, and is logged in there.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::HeaderValue;
use axum::http::header::COOKIE;
use axum::middleware::{Next, from_fn};
use berth_common::link::{ObservedState, StartStep};
use berth_common::{ByteCount, Reason};
use berth_core::settings::{Allow, Cite, GpuChoice, HostSettings, People, Pool, Profile};

use futures::StreamExt;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::agenda;
use crate::config::Config;
use crate::config::services::{Service, Services};
use crate::farm::{Cluster, Job, Work};

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
    add_work(&site);
    site.open_all();
    site
}

/// Work on the compute farm: at one server of alice's more than a card shows, and long; at another
/// what was known before the farm fell silent.
fn add_work(site: &Site) {
    let cluster = |number: u32, state: &str, known: Option<(u64, bool)>| Cluster {
        name: format!("{number:032x}"),
        state: state.into(),
        workers: known.map(|(workers, _)| workers),
        cores: known.map(|(workers, _)| workers * 16),
        memory: known.map(|(workers, _)| gb(workers * 64)),
        busy: known.map(|(_, busy)| busy),
        dashboard: (state == "running")
            .then(|| format!("/hub/dask/dask-gateway/clusters/{number:032x}/status")),
    };
    let job = |id: u32, name: &str, state: &str, reason: Option<&str>| Job {
        id: id.to_string(),
        name: name.into(),
        state: state.into(),
        cores: 1,
        memory: reason.is_none().then(|| gb(4)),
        reason: reason.map(str::to_owned),
    };
    let long = "reweighting_of_the_2026_samples_with_systematics_by_eleven_variations".to_owned();
    let blocked = "Nodes_required_for_job_are_DOWN,_DRAINED_or_reserved_for_jobs_in_higher_prio";
    let work = Work {
        clusters: vec![
            cluster(0xa1, "running", Some((12, true))),
            cluster(0xb2, "running", Some((1, false))),
            cluster(0xc3, "running", None),
            cluster(0xd4, "pending", None),
            cluster(0xe5, "stopping", None),
            Cluster { dashboard: None, ..cluster(7, "running", Some((3, true))) },
        ],
        jobs: [
            job(4_194_303, &long, "running", None),
            job(4_194_304, HOSTILE, "pending", Some(blocked)),
        ]
        .into_iter()
        .chain((5..15).map(|id| job(id, "fit", "pending", Some("Priority"))))
        .collect(),
        slurm_trouble: None,
        gateway_trouble: None,
    };
    site.hub.farm.tell(&site.server("alice", "").id, work);
    let silent = Work {
        clusters: vec![cluster(0xf6, "running", Some((2, false)))],
        jobs: vec![job(77, "fit", "running", None)],
        slurm_trouble: Some(
            "slurm_load_jobs error: Unable to contact slurm controller (connect failure)".into(),
        ),
        gateway_trouble: Some("Dask Gateway does not answer: no answer within 5 s".into()),
    };
    site.hub.farm.tell(&site.server("alice", "nets").id, silent);
}

/// A host with two GPUs, and a profile that gives one or both, of whichever model.
async fn add_gpus(site: &Site) {
    let config = site.hub.config();
    let mut settings = config.settings.clone();
    let cpu = settings.profiles["cpu"].clone();
    let host = settings.hosts[&"wn1".parse().unwrap()].clone();
    settings.pools.insert("k80".into(), Pool::default());
    settings.hosts.insert("gpu1".parse().unwrap(), HostSettings { pool: "k80".into(), ..host });
    let gpus = GpuChoice {
        default: 1,
        max: 2,
        share_milli: 1000,
        models: vec!["Tesla K80".into(), "Tesla V100".into()],
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
    // Given to others than anybody here.
    let people = People { groups: ["euclid".into()].into(), ..People::default() };
    let (until, note, cite) = Default::default();
    settings.access.allow = vec![Allow { profile: "gpu".into(), people, until, note, cite }];
    let (people, farm) = Default::default();
    let services = Services([("news".to_owned(), Arc::new(service()))].into());
    let fresh = Config { settings, people, services, farm, hub: config.hub.clone() };
    site.hub.config.store(Arc::new(fresh));
    agenda::put_in_force(&site.hub).await;
    site.report("gpu1", Ok(Vec::new())).await;
}

/// A service at another site, which asks who its visitors are.
fn service() -> Service {
    Service {
        name: "news".into(),
        url: None,
        only: Vec::new(),
        command: Vec::new(),
        folder: None,
        environment: BTreeMap::new(),
        token: None,
        token_hash: Some([7; 32]),
        admin: false,
        scopes: Vec::new(),
        client_id: "service-news".into(),
        redirect: "https://news.example/oauth_callback".into(),
        visitor_scopes: ["read:users!user", "access:servers!user", "servers"]
            .map(str::to_owned)
            .into(),
        no_confirm: false,
        display: true,
        info: serde_json::Value::Null,
        cite: Cite::default(),
    }
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
    streams: watch::Sender<()>,
}

impl Port {
    /// Serves them at an address; port 0 is any free one.
    pub async fn open(site: &Site, person: &str, address: &str) -> Self {
        let listener = tokio::net::TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let session = HeaderValue::from_str(&cookie(person)).unwrap();
        let streams = watch::Sender::new(());
        let ends = streams.clone();
        let log_in = from_fn(move |mut request: Request, next: Next| {
            // Beside the cookies that the browser keeps, such as the reader's language.
            request.headers_mut().append(COOKIE, session.clone());
            let is_stream = request.uri().path().starts_with("/hub/live/");
            let mut ends = ends.subscribe();
            async move {
                let answer = next.run(request).await;
                if !is_stream {
                    return answer;
                }
                let end = async move { ends.changed().await.unwrap_or_default() };
                let end = Box::pin(end);
                answer.map(|body| Body::from_stream(body.into_data_stream().take_until(end)))
            }
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
        Self { address, task, streams }
    }

    /// Ends all streams, as the hub does after some minutes; it goes on answering.
    pub fn end_streams(&self) {
        self.streams.send_replace(());
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
        let known = fleet.hosts.get(&host.parse().unwrap());
        let Some(heard) = known.and_then(|host| host.heard.as_ref()) else { continue };
        let seen = heard.observed.values().cloned().collect();
        site.report(host, Ok(seen)).await;
    }
}
