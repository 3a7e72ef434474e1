//! The link: the agent dials the hub and keeps one session open, heartbeats up, desired sets
//! down. While the hub is away nothing stops: the agent goes on and dials again.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use berth_common::link::{DesiredSet, Report};
use berth_process::{clock, crash_point};
use berth_proto::link::Heartbeat;
use berth_proto::link::link_client::LinkClient;
use berth_proto::tls::Credential;
use futures::stream;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::{mpsc, watch};

use crate::config::Config;
use crate::driver::Input;
use crate::identity::{self, IdentityError};
use crate::link::dial::{Network, Tcp};

mod asked;
pub mod dial;

/// Between two attempts to reach the hub, with chance in between so that a thousand agents do
/// not come back in the same moment.
const RETRY_MS: std::ops::RangeInclusive<u64> = 200..=5_000;

/// How often it is asked whether the certificate is to be renewed.
const RENEWAL_EVERY: Duration = Duration::from_secs(60);

/// Largest desired set that is read: 1,000 servers at 16 KB.
const DESIRED_MAX: usize = 16 << 20;

/// What the status page says of the link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkState {
    /// No session; why, for people.
    Away(String),
    /// A session is open.
    Up,
}

/// What the link does not have of itself.
#[derive(Debug)]
pub struct Outside<N> {
    /// What it dials over.
    pub network: N,
    /// What spreads hosts that would otherwise all come in the same moment.
    pub chance: StdRng,
}

impl Outside<Tcp> {
    /// The system's.
    pub fn real() -> Self {
        Self { network: Tcp, chance: StdRng::from_os_rng() }
    }
}

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
enum LinkError {
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error("the hub refuses the link: {0}")]
    Refused(String),
    #[error("the hub has closed the link")]
    Closed,
    #[error("the hub sends what this agent does not understand: {0}")]
    BadMessage(#[from] berth_proto::convert::BadMessage),
    #[error("the agent is ending")]
    Ending,
}

/// Keeps a session with the hub for as long as the driver lives.
pub async fn keep(
    config: Arc<Config>,
    credential: Arc<Credential>,
    outside: Outside<impl Network>,
    reports: watch::Receiver<Option<Report>>,
    driver: mpsc::Sender<Input>,
    state: watch::Sender<LinkState>,
) {
    let Outside { network, mut chance } = outside;
    let mut longest = *RETRY_MS.start();
    loop {
        let ended = session(&config, &credential, &network, &reports, &driver, &state).await;
        let was_up = *state.borrow() == LinkState::Up;
        let Err(error) = ended else { continue };
        if matches!(error, LinkError::Ending) {
            return;
        }
        // Told once: every further attempt with the same result would only fill the log.
        let news = state.send_if_modified(|state| {
            let next = LinkState::Away(error.to_string());
            let news = *state != next;
            *state = next;
            news
        });
        if news {
            tracing::warn!("{error}; servers run on, the agent keeps trying");
        }
        longest = if was_up { *RETRY_MS.start() } else { longest.saturating_mul(2) };
        longest = longest.clamp(RETRY_MS.start().saturating_mul(2), *RETRY_MS.end());
        let pause = chance.random_range(*RETRY_MS.start()..=longest);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
}

/// Renews the certificates in time, for ever. The tunnel's process finds its new ones by itself.
pub async fn renew(config: Arc<Config>, credential: Arc<Credential>, network: impl Network) {
    loop {
        match identity::renew_if_due(&config, &credential, &network, clock::now()).await {
            Ok(true) => tracing::info!("new certificates are in force"),
            Ok(false) => {}
            Err(error) => tracing::warn!("the certificates are not renewed: {error}"),
        }
        tokio::time::sleep(RENEWAL_EVERY).await;
    }
}

async fn session(
    config: &Config,
    credential: &Arc<Credential>,
    network: &impl Network,
    reports: &watch::Receiver<Option<Report>>,
    driver: &mpsc::Sender<Input>,
    state: &watch::Sender<LinkState>,
) -> Result<(), LinkError> {
    let channel = identity::connect(config, credential, network).await?;
    // The session begins with a heartbeat of now, not with the last one of the session before.
    driver.send(Input::Connected).await.map_err(|_| LinkError::Ending)?;
    let mut changes = reports.clone();
    changes.mark_unchanged();
    let heartbeats = stream::unfold(changes, next_heartbeat);
    let refused = |status: tonic::Status| match status.message() {
        "" => LinkError::Refused(status.code().to_string()),
        words => LinkError::Refused(words.to_owned()),
    };
    let mut client = LinkClient::new(channel).max_decoding_message_size(DESIRED_MAX);
    let mut desired = client.session(heartbeats).await.map_err(refused)?.into_inner();
    let mut answering = pin!(asked::answer(client, driver));
    loop {
        let message = tokio::select! {
            message = desired.message() => message.map_err(refused)?,
            never = &mut answering => match never {},
        };
        let Some(message) = message else { return Err(LinkError::Closed) };
        crash_point!("link.desired.received");
        if state.send_if_modified(|state| std::mem::replace(state, LinkState::Up) != LinkState::Up)
        {
            tracing::info!("linked to the hub at {}", config.agent.hub.as_str());
        }
        let set = DesiredSet::try_from(message)?;
        driver.send(Input::Desired(set)).await.map_err(|_| LinkError::Ending)?;
        crash_point!("link.desired.taken");
    }
}

/// The newest report, once there is one that was not sent; those between were overtaken.
async fn next_heartbeat(
    mut reports: watch::Receiver<Option<Report>>,
) -> Option<(Heartbeat, watch::Receiver<Option<Report>>)> {
    loop {
        reports.changed().await.ok()?;
        let report = reports.borrow_and_update().clone();
        if let Some(report) = report {
            crash_point!("link.heartbeat.send");
            return Some((report.into(), reports));
        }
    }
}
