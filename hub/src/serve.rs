//! Assembly: opens what the hub needs, in the order in which one thing needs the other, and runs
//! it until the process is asked to end.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use arc_swap::ArcSwap;
use berth_process::crash::Torn;
use berth_process::signal::EndSignals;
use berth_process::systemd::{self, Watchdog};
use berth_process::{crash_inside_writes, file, logging};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};

use crate::admin_socket;
use crate::agenda::{self, Agenda};
use crate::auth::oidc::Providers;
use crate::ca::Ca;
use crate::config::Config;
use crate::directory::{self, Directory};
use crate::keys::Keys;
use crate::metrics::Metrics;
use crate::reload::Configuration;
use crate::site::Hub;
use crate::storage::Storage;
use crate::{
    doctor, driver, farm, housekeeping, link, mail, metrics, reload, routes, samples, services,
    trainings, visits, web,
};

/// What a hub is made of, before anything listens.
pub struct Parts {
    /// The shared value.
    pub hub: Arc<Hub>,
    /// Tokens that the proxy should forget.
    pub revoked: mpsc::UnboundedReceiver<Vec<u8>>,
}

/// Opens store, keys and CA in the state folder and begins a reign.
///
/// # Errors
/// When one of them cannot be opened.
pub async fn open(config: Config, configuration: Configuration) -> anyhow::Result<Parts> {
    let state = config.hub.state.clone();
    file::make_folder(&state, 0o700)?;
    let storage = Storage::open(&state)?;
    let keys = Keys::open(&state.join("ca"))?;
    let ca = Ca::open(&state.join("ca"))?;
    ca.refresh_proxy(&state.join("proxy"))?;
    let metrics = Arc::new(Metrics::new()?);
    let agenda = Agenda::open(&storage)?;
    let settings = Arc::new(agenda.applied(&config.settings));
    let fleet =
        driver::start(storage.clone(), settings, Arc::clone(&metrics), Watchdog::of_the_unit())
            .await?;
    let services = services::Shared::open(&storage)?;
    let (revoked_in, revoked) = mpsc::unbounded_channel();
    let hub = Hub {
        config: ArcSwap::from_pointee(config),
        configuration,
        fleet,
        agenda,
        storage,
        keys,
        providers: Providers::default(),
        directory: Directory::default(),
        ca,
        revoked: revoked_in,
        metrics,
        services,
        asked: Default::default(),
        farm: farm::Shared::default(),
        samples: Default::default(),
        checked: Default::default(),
        routed: watch::Sender::new(BTreeMap::new()),
        end: Default::default(),
    };
    Ok(Parts { hub: Arc::new(hub), revoked })
}

/// Runs the hub on a configuration folder until SIGTERM or SIGINT.
///
/// # Errors
/// When the configuration is wrong, or something it needs cannot be opened.
pub async fn run(folder: &Path) -> anyhow::Result<()> {
    let begun = Instant::now();
    let (config, configuration) = Configuration::open(folder)?;
    logging::set(config.hub.logs);
    let addresses = config.hub.clone();
    let pages = TcpListener::bind(addresses.listen).await.with_context(|| {
        format!("hub.toml: cannot listen on {}: is another hub running?", addresses.listen)
    })?;
    let agents = TcpListener::bind(addresses.agents_listen).await.with_context(|| {
        format!(
            "hub.toml: cannot listen for agents on {}: is another hub running?",
            addresses.agents_listen
        )
    })?;
    let (admins, own) = admin_socket::listen(&addresses.admin_socket)?;
    let Parts { hub, revoked } = open(config, configuration).await?;

    let router = web::router(Arc::clone(&hub));
    let for_admins = admin_socket::guarded(router.clone(), own)
        .into_make_service_with_connect_info::<admin_socket::Peer>();
    // Made into a service here: a router that is served as it is copies its table, 140 kB, for
    // each connection.
    let router = router.into_make_service();
    tokio::spawn(routes::keep(Arc::clone(&hub), revoked));
    tokio::spawn(housekeeping::end_tokens(Arc::clone(&hub)));
    tokio::spawn(housekeeping::collect_activity(Arc::clone(&hub)));
    tokio::spawn(housekeeping::expire(Arc::clone(&hub)));
    tokio::spawn(directory::watch::watch(Arc::clone(&hub)));
    let services = services::Keeper::start(Arc::clone(&hub));
    tokio::spawn(visits::close(Arc::clone(&hub)));
    tokio::spawn(agenda::keeper::keep(Arc::clone(&hub)));
    tokio::spawn(trainings::dress::keep(Arc::clone(&hub)));
    tokio::spawn(mail::keep(Arc::clone(&hub)));
    tokio::spawn(doctor::keep(Arc::clone(&hub)));
    tokio::spawn(samples::keep(Arc::clone(&hub)));
    tokio::spawn(farm::keep(Arc::clone(&hub)));
    tokio::spawn(reload::follow(Arc::clone(&hub), folder.to_owned()));
    tokio::spawn(metrics::tell_changes(hub.fleet.clone()));
    tokio::spawn(metrics::watch_runtime(Arc::clone(&hub.metrics)));
    let mut end = EndSignals::hear().context("signals")?;
    hub.metrics.work.ready(begun);
    tracing::info!(url = addresses.public_url, listen = %addresses.listen, "hub is ready");
    systemd::ready();
    tokio::select! {
        ended = axum::serve(Pages(pages), router) => ended.context("pages and API")?,
        ended = axum::serve(admins, for_admins) => ended.context("admin socket")?,
        ended = link::serve(Arc::clone(&hub), agents) => ended.context("link port")?,
        () = end.asked() => {}
        () = hub.end.notified() => {}
    }
    systemd::stopping();
    services.stop().await;
    tracing::info!("hub ends; servers, routes and agents go on without it");
    Ok(())
}

/// Where people and programs ask.
struct Pages(TcpListener);

impl axum::serve::Listener for Pages {
    type Io = Torn<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        let (stream, address) = axum::serve::Listener::accept(&mut self.0).await;
        (crash_inside_writes!(stream, "hub.web.inside_answer"), address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}
