//! What the engine works by, whichever way it was told: by the configuration file (policy `berth`)
//! or by configurable-http-proxy's command line (policy `chp`).

use std::net::IpAddr;
use std::path::PathBuf;

use rustls::ClientConfig;

use crate::access;
use crate::config::Config;
use crate::credentials::Credentials;
use crate::limits::Numbers;
use crate::listen::Place;
use crate::route::{BadRecord, Record};
use crate::rules::Rules;
use crate::tls::{self, Files, TlsError};

/// Everything.
#[derive(Debug)]
pub struct Setup {
    /// Where users' traffic comes in. The first must be there at the start.
    pub front: Vec<Place>,
    /// TLS of the front.
    pub front_tls: Option<Files>,
    /// Whether it has TLS; `front_tls` goes to the listener.
    pub front_is_tls: bool,
    /// Where the hub posts routes.
    pub api: Place,
    /// TLS of the API.
    pub api_tls: Option<Files>,
    /// Whether it has TLS.
    pub api_is_tls: bool,
    /// Where metrics are read.
    pub metrics: Option<Place>,
    /// A plain listener that sends browsers to this port's `https`.
    pub redirect: Option<(Place, u16)>,
    /// The route `/` while the hub has posted none.
    pub root: Option<Record>,
    /// The folder of routes and hub answers; without one nothing is kept.
    pub state: Option<PathBuf>,
    /// Token and certificates.
    pub credentials: Credentials,
    /// Proxies before this one.
    pub trusted_proxies: Vec<IpAddr>,
    /// Origins besides our own whose pages may open websockets.
    pub origins: Vec<String>,
    /// For how many hours a token is good while the hub is away.
    pub hub_away_hours: u32,
    /// The policy `chp`; none is `berth`.
    pub rules: Option<Rules>,
    /// How much may be open.
    pub limits: Numbers,
    /// How much memory the processes may have that drain, in MiB.
    pub drain_memory_mib: u64,
    /// Where answers are noted.
    pub access: Option<access::Settings>,
}

/// Why a configuration cannot be used, though it reads well.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The hub's address is none.
    #[error("hub: {0}")]
    Hub(#[from] BadRecord),
    /// Certificates cannot be used.
    #[error("{0}")]
    Tls(#[from] TlsError),
}

impl Setup {
    /// By the configuration file.
    ///
    /// # Errors
    /// When an address or a file in it cannot be used.
    pub fn of_config(config: &Config) -> Result<Self, SetupError> {
        let outward: ClientConfig = tls::client_config(None, None, false)?;
        let front_tls = match (&config.key, &config.certificate) {
            (Some(key), Some(certificate)) => Some(Files {
                key: key.clone(),
                certificate: certificate.clone(),
                ..Files::default()
            }),
            _ => None,
        };
        let port = config.listen.first().map_or(443, |address| address.port());
        Ok(Self {
            front: config.listen.iter().map(|address| (*address).into()).collect(),
            front_is_tls: front_tls.is_some(),
            front_tls,
            api: (&config.api).into(),
            api_tls: None,
            api_is_tls: false,
            metrics: config.metrics.as_ref().map(Place::from),
            redirect: config.redirect.map(|address| (address.into(), port)),
            root: Some(Record::of_url(&config.hub)?),
            state: Some(config.state.clone()),
            credentials: Credentials::new(&config.credentials, outward),
            trusted_proxies: config.trusted_proxies.clone(),
            origins: config.origins.clone(),
            hub_away_hours: config.hub_away_hours,
            rules: None,
            limits: config.limits.clone(),
            drain_memory_mib: config.drain_memory_mib,
            access: config.access_log.clone(),
        })
    }
}
