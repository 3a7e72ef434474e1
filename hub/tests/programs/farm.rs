//! Clusters of the unmodified `dask-gateway-server`, with the example's files for it: what the hub
//! sees of them and ends, and how much of the farm they may take together.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use berth_common::Seconds;
use berth_core::{Event, Server};
use berth_hub::config::{self, Config};
use berth_hub::farm;
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;

use super::dask::{self, TOKEN};
use super::{Program, served};
use crate::site::Site;

const ROLES: &str = "version = 1\n[role.dask]\nusers = [\"alice\"]\n\
    scopes = [\"access:services!service=dask-gateway\"]\n";
const NO_ROLES: &str = "version = 1\n";
const QUOTAS: &str = "version = 1\n[user.alice]\nfarm_cores = 8\nfarm_memory = \"8 GB\"\n";
const MIB: u64 = 1 << 20;

/// A hub with a gateway.
struct Farm {
    site: Site,
    /// Where the gateway is.
    address: String,
    said: UnboundedReceiver<String>,
    _gateway: Program,
}

impl Farm {
    async fn new() -> Self {
        let site = Site::new().await;
        let port = served(&site).await;
        let begun = tokio::task::spawn_blocking(move || {
            dask::gateway(port, "farm.py", "- HTTP routes listening at ")
        });
        let (_gateway, address, said) = begun.await.unwrap();
        let farm = Self { site, address, said, _gateway };
        farm.configure(ROLES).await;
        // Its own proxy asks it a moment later what leads where.
        let mut every = tokio::time::interval(Duration::from_millis(50));
        let leads = async {
            let is_there = |answer: Option<(StatusCode, Value)>| {
                answer.is_some_and(|(status, _)| status != StatusCode::NOT_FOUND)
            };
            while !is_there(farm.try_ask("GET", "", "", Value::Null).await) {
                every.tick().await;
            }
        };
        let leads = tokio::time::timeout(Duration::from_secs(60), leads).await;
        leads.expect("the gateway's proxy leads to it");
        farm
    }

    /// Puts the gateway, alice's quota and these roles in force.
    async fn configure(&self, roles: &str) {
        let folder = tempfile::tempdir().unwrap();
        let services = format!(
            "version = 1\n[service.dask-gateway]\nurl = \"{}\"\nscopes = [\"read:users\"]\n\
             api_token = {{ file = \"gateway-token\" }}\n",
            self.address
        );
        for (name, text) in [
            ("hub.toml", "version = 1\n[hub]\npublic_url = \"http://127.0.0.1:8000\"\n"),
            ("services.toml", &services),
            ("roles.toml", roles),
            ("quotas.toml", QUOTAS),
            ("gateway-token", TOKEN),
        ] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let (fresh, _) = config::load(folder.path(), berth_process::clock::now()).unwrap();
        let hub = &self.site.hub;
        let mut settings = (*hub.fleet.fleet().settings).clone();
        settings.quotas.users.clone_from(&fresh.settings.quotas.users);
        hub.fleet.send(Event::SettingsChanged(settings.into())).await;
        self.site.settle().await;
        let config = Config::clone(&hub.config());
        let people = config::People { roles: fresh.people.roles, ..config.people.clone() };
        let farm = config::farm::Farm {
            gateway: Some("dask-gateway".into()),
            end_with_server: true,
            every: Seconds(1),
            ..Default::default()
        };
        hub.config.store(Arc::new(Config { people, services: fresh.services, farm, ..config }));
    }

    /// Asks the gateway as its client library does.
    async fn ask(&self, method: &str, path: &str, token: &str, body: Value) -> (StatusCode, Value) {
        self.try_ask(method, path, token, body).await.expect("the gateway answers")
    }

    /// The same; `None` when nobody answers.
    async fn try_ask(
        &self,
        method: &str,
        path: &str,
        token: &str,
        body: Value,
    ) -> Option<(StatusCode, Value)> {
        let client: Client<_, Body> = Client::builder(TokioExecutor::new()).build_http();
        let request = Request::builder()
            .method(method)
            .uri(format!("{}/services/dask-gateway/api/v1/clusters/{path}", self.address))
            .header("Authorization", format!("jupyterhub {token}"));
        let answer = client.request(request.body(body.to_string().into()).unwrap()).await.ok()?;
        let status = answer.status();
        let bytes = answer.into_body().collect().await.ok()?.to_bytes();
        Some((status, serde_json::from_slice(&bytes).unwrap_or(Value::Null)))
    }

    /// Stops a server of alice's, as its owner does: by this path, with this body.
    async fn stop(&self, name: &str, path: &str, body: &str) {
        let alice = self.site.program("alice").await;
        let stop = alice.json("DELETE", path, body);
        let (stopped, ()) = tokio::join!(stop, async {
            while self.site.server("alice", name).is_ready() {
                tokio::task::yield_now().await;
            }
            self.site.report(Vec::new()).await;
        });
        assert_eq!(stopped.status, StatusCode::NO_CONTENT, "{}", stopped.text);
    }

    /// Makes a cluster, which is alice's and of a server; its name.
    async fn cluster(&self, server: &Server) -> String {
        let token = self.site.token("alice", &["inherit"]).await;
        let mark = farm::mark(&server.id, server.generation);
        let options = json!({ "cluster_options": { "server": mark } });
        let (status, said) = self.ask("POST", "", &token, options).await;
        assert_eq!(status, StatusCode::CREATED, "{said}");
        said["name"].as_str().unwrap().to_owned()
    }

    /// Begins to look at the farm, as the hub does.
    fn look(&self) -> JoinHandle<()> {
        tokio::spawn(farm::keep(Arc::clone(&self.site.hub)))
    }

    /// The only cluster that alice's server shows, when it is as wanted.
    async fn shown(&self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let alice = self.site.program("alice").await;
        let mut every = tokio::time::interval(Duration::from_millis(50));
        let seen = async {
            loop {
                every.tick().await;
                let said = alice.get("/hub/api/berth/servers").await.json();
                let cluster = &said["servers"][0]["farm"]["clusters"][0];
                if cluster.is_object() && is(cluster) {
                    return cluster.clone();
                }
            }
        };
        let seen = tokio::time::timeout(Duration::from_secs(60), seen).await;
        seen.unwrap_or_else(|_| panic!("never: {what}"))
    }

    /// Waits until the gateway says so.
    async fn said(&mut self, words: &str) {
        let heard = async {
            loop {
                let line = self.said.recv().await.expect("the gateway lives");
                if line.contains(words) {
                    return;
                }
            }
        };
        let heard = tokio::time::timeout(Duration::from_secs(60), heard).await;
        heard.unwrap_or_else(|_| panic!("the gateway never said: {words}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whose_right_is_gone_still_has_clusters_that_are_seen_and_end_with_their_server() {
    let mut farm = Farm::new().await;
    let server = farm.site.running("alice", "").await;
    let name = farm.cluster(&server).await;
    let looks = farm.look();
    let opens = farm.shown("her cluster", |it| it["dashboard"].is_string()).await;
    assert_eq!(opens["name"], *name);
    let dashboard = opens["dashboard"].as_str().unwrap().to_owned();

    farm.configure(NO_ROLES).await;
    let kept = farm.shown("a cluster that opens no more", |it| it["dashboard"].is_null()).await;
    assert_eq!(kept["name"], *name);
    let closed = farm.site.browser("alice").await.get(&dashboard).await;
    assert_eq!(closed.status, StatusCode::NOT_FOUND);
    let token = farm.site.token("alice", &["inherit"]).await;
    let (status, said) = farm.ask("GET", "", &token, Value::Null).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "the gateway lets her in no more: {said}");

    farm.stop("", "/hub/api/users/alice/server", "").await;
    farm.said(&format!("Stopping cluster {name}")).await;
    looks.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_starts_finds_what_servers_left_behind_whatever_became_of_the_right() {
    let mut farm = Farm::new().await;
    let server = farm.site.running("alice", "").await;
    let name = farm.cluster(&server).await;
    // No hub looks.
    farm.stop("", "/hub/api/users/alice/server", "").await;
    farm.configure(NO_ROLES).await;
    let looks = farm.look();
    farm.said(&format!("Stopping cluster {name}")).await;
    looks.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_ends_with_a_server_that_is_removed_at_once() {
    let mut farm = Farm::new().await;
    let server = farm.site.running("alice", "n1").await;
    let name = farm.cluster(&server).await;
    let looks = farm.look();
    farm.shown("her cluster", |it| it["name"] == *name).await;
    farm.stop("n1", "/hub/api/users/alice/servers/n1", r#"{"remove": true}"#).await;
    assert!(farm.site.hub.fleet.fleet().servers.is_empty());
    farm.said(&format!("Stopping cluster {name}")).await;
    looks.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn clusters_made_and_scaled_in_the_same_instant_stay_within_the_quota_together() {
    let farm = Farm::new().await;
    let token = farm.site.token("alice", &["inherit"]).await;
    let make = async |cores: u64, memory: u64| {
        let options = json!({ "cores": cores, "memory": memory * MIB });
        farm.ask("POST", "", &token, json!({ "cluster_options": options })).await
    };
    // Each takes three of eight cores.
    let asked = futures::future::join_all((0..6).map(|_| make(3, 1500))).await;
    let made = asked.iter().filter(|(status, _)| *status == StatusCode::CREATED);
    let names: Vec<_> = made.map(|(_, said)| said["name"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 2, "{asked:?}");
    for (status, said) in asked.iter().filter(|(status, _)| *status != StatusCode::CREATED) {
        assert_eq!(*status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(
            said["error"],
            "You ask for 3 cores, and 2 cores are left of your quota on the farm: it is 8 cores \
             (quotas.toml:2), of which your other clusters may take 6 cores. Ask for less with \
             new_cluster(cores=...), or shut down one of those that Gateway().list_clusters() \
             shows. Your administrators can give you more."
        );
    }
    // A scheduler and two workers fit into each, whoever asks for more at the same moment.
    let scale = async |name: &str| {
        farm.ask("POST", &format!("{name}/scale"), &token, json!({ "count": 9 })).await
    };
    let scaled = futures::future::join_all(names.iter().map(|name| scale(name)));
    for (status, said) in scaled.await {
        assert_eq!(status, StatusCode::OK, "{said}");
        let words = "Scale request of 9 workers would exceed resource limit of 2 workers. Scaling to 2 instead.";
        assert_eq!(said["msg"], words);
    }
    // What is no cluster is refused, too, and so is a sum that only memory exceeds.
    let (_, said) = make(1, 1000).await;
    let words = "You ask for 1 core, and a cluster needs at least 2 cores: for its scheduler and one worker. \
                 Ask for more with new_cluster(cores=...).";
    assert_eq!(said["error"], words);
    let (_, said) = make(2, 6000).await;
    let words = "You ask for 5.86 GiB, and 5.07 GiB are left of your quota on the farm: it is 8.00 GiB (quotas.toml:2), ";
    assert!(said["error"].as_str().unwrap().starts_with(words), "{said}");
    // Who says nothing takes what is left, and the next finds too little for any cluster.
    let (status, said) = farm.ask("POST", "", &token, json!({})).await;
    assert_eq!(status, StatusCode::CREATED, "{said}");
    let (_, said) = farm.ask("POST", "", &token, json!({})).await;
    let words =
        "A cluster needs at least 2 cores, and 0 cores are left of your quota on the farm: ";
    assert!(said["error"].as_str().unwrap().starts_with(words), "{said}");
    // What has ended counts no more.
    let (status, _) = farm.ask("DELETE", names[0], &token, Value::Null).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let mut every = tokio::time::interval(Duration::from_millis(50));
    let fits = async {
        while make(3, 1000).await.0 != StatusCode::CREATED {
            every.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), fits).await.expect("it fits at last");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_let_in_reads_why_and_what_to_do() {
    let farm = Farm::new().await;
    let make = async |token: &str| farm.ask("POST", "", token, json!({})).await;
    let bob = farm.site.token("bob", &["inherit"]).await;
    let (status, said) = make(&bob).await;
    assert_eq!(
        (status, said["error"].as_str().unwrap()),
        (
            StatusCode::UNPROCESSABLE_ENTITY,
            "You may not use Dask Gateway by this token. Your administrators give the right to it; \
             who has it starts a server of a profile for the farm, which carries it."
        )
    );
    let (status, said) = make("berth_pat_revoked").await;
    assert_eq!(
        (status, said["error"].as_str().unwrap()),
        (
            StatusCode::UNPROCESSABLE_ENTITY,
            "The hub does not take this token: it was revoked, or its server has been stopped. In \
             a notebook, stop the server and start it anew; in a program of your own, make a new \
             token on the hub's page Tokens."
        )
    );
}
