//! One hub: the real driver over the real store, and the real link port. What people and proxies
//! talk to is not there.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use berth_agent::identity::Folder;
use berth_common::{ByteCount, HostId, Seconds};
use berth_core::settings::{Cite, HostSettings, Image, Pool, Profile, Settings};
use berth_hub::ca::Ca;
use berth_hub::config::services::Services;
use berth_hub::config::{Config, HubConfig, People};
use berth_hub::driver;
use berth_hub::keys::Keys;
use berth_hub::link::{self, enroll};
use berth_hub::metrics::Metrics;
use berth_hub::site::Hub;
use berth_hub::storage::Storage;
use tokio::sync::{mpsc, watch};

use crate::network::Port;
use crate::shared::Shared;

/// Reigns until the machine goes down. Hosts that have no certificate get a token each.
///
/// # Errors
/// When the hub's state cannot be used.
pub async fn reign(shared: Arc<Shared>, name: &'static str) -> turmoil::Result {
    until_ended(&shared, name, false).await;
    let state = shared.folder.join(name);
    let storage = Storage::on_the_spot(&state)?;
    let settings = settings(&shared.hosts);
    let metrics = Arc::new(Metrics::new()?);
    let shared_settings = Arc::new(settings.clone());
    let started =
        driver::start(storage.clone(), shared_settings, metrics.clone(), Default::default());
    let fleet = started.await?;
    let (revoked, _) = mpsc::unbounded_channel();
    let hub = Arc::new(Hub {
        config: ArcSwap::from_pointee(Config {
            settings,
            hub: config(&state),
            people: People::default(),
            services: Services::default(),
            farm: Default::default(),
        }),
        configuration: Default::default(),
        fleet,
        agenda: Default::default(),
        storage,
        keys: Keys::open(&state.join("ca"))?,
        providers: Default::default(),
        directory: Default::default(),
        ca: Ca::open(&state.join("ca"))?,
        revoked,
        metrics,
        services: Default::default(),
        samples: Default::default(),
        routed: watch::Sender::new(BTreeMap::new()),
        end: Default::default(),
        checked: Default::default(),
        asked: Default::default(),
        farm: Default::default(),
    });
    for host in &shared.hosts {
        if shared.join_anew() || !has_joined(&shared, host) {
            let (token, _) = enroll::new_join_token(&hub, host.clone()).await?;
            shared.hand(host, Some(token));
        }
    }
    let (port, plug) = Port::open(name, shared.log.clone()).await?;
    shared.set_hub(name, Some(Arc::clone(&hub)));
    tokio::select! {
        served = link::serve(hub, port) => Ok(served?),
        () = until_ended(&shared, name, true) => {
            plug.pull();
            std::future::pending().await
        }
    }
}

async fn until_ended(shared: &Shared, name: &str, ended: bool) {
    while shared.has_ended(name) != ended {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Whether a host has a certificate.
pub fn has_joined(shared: &Shared, host: &HostId) -> bool {
    let config = berth_agent::fake::host::config(host, "hub:8443", &shared.folder);
    config.is_ok_and(|config| Folder::new(&config).link_certificate().exists())
}

fn config(state: &Path) -> HubConfig {
    HubConfig {
        public_url: "http://127.0.0.1:8000".into(),
        listen: ([127, 0, 0, 1], 1).into(),
        state: state.to_owned(),
        admin_socket: state.join("admin.sock"),
        api_url: "http://127.0.0.1:8000/hub/api".into(),
        keep_decisions: Seconds(90 * 86_400),
        keep_audit: Seconds(1_095 * 86_400),
        per_user: Default::default(),
        puppet: None,
        insecure_cookies: false,
        agents_listen: ([127, 0, 0, 1], 2).into(),
        proxy_api: format!("unix:{}", state.join("proxy.sock").display()),
        keep_ended_cards: None,
        logs: Default::default(),
        mail: None,
    }
}

fn settings(hosts: &[HostId]) -> Settings {
    let host = |id: &HostId| {
        let settings = HostSettings {
            pool: "cpu".into(),
            memory: None,
            keep_free: ByteCount(2 << 30),
            gpus: None,
            address: format!("{id}:8600"),
            cite: Cite::default(),
        };
        (id.clone(), settings)
    };
    let profile = Profile {
        title: "CPU".into(),
        pool: "cpu".into(),
        memory_default: ByteCount(4 << 30),
        memory_choices: vec![ByteCount(4 << 30)],
        memory_max: ByteCount(4 << 30),
        images: vec!["base".into()],
        default: true,
        ..Profile::default()
    };
    let image =
        Image { reference: "nb:1".into(), title: "Base".into(), shm: None, cite: Cite::default() };
    Settings {
        hosts: hosts.iter().map(host).collect(),
        pools: BTreeMap::from([("cpu".to_owned(), Pool::default())]),
        profiles: BTreeMap::from([("cpu".to_owned(), profile)]),
        images: BTreeMap::from([("base".to_owned(), image)]),
        lost_after: Seconds(15),
        ..Settings::default()
    }
}
