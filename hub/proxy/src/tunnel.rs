//! The way to one start of one server: the host's port, its identity, the preamble, its answer.

use std::time::Duration;

use berth_process::{crash_inside_writes, crash_point};
use berth_proto::tls::server_name;
use berth_proto::tunnel::{Answer, Preamble, Status};
use berth_proto::{TUNNEL_VERSION, frame};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::credentials::Credentials;
use crate::io::Io;
use crate::route::Tunnel;
use crate::upstream::{self, UpstreamError};

/// For the TLS handshake and for the host's answer, each: a host that takes longer is not well.
const STEP_TIMEOUT: Duration = Duration::from_secs(5);

/// Opens a byte stream to the server's container. No byte of a request has been sent when this
/// fails.
///
/// # Errors
/// Says how far it came: nobody there, somebody else there, or what the host answered.
pub async fn open(tunnel: &Tunnel, credentials: &Credentials) -> Result<Io, UpstreamError> {
    let config = credentials.tls(&tunnel.host).ok_or(UpstreamError::NoCredentials)?;
    let tcp = upstream::dial(&tunnel.address).await?;
    let connected = timeout(STEP_TIMEOUT, TlsConnector::from(config).connect(server_name(), tcp))
        .await
        .map_err(|_| UpstreamError::Unreachable("tls handshake timed out".into()))?;
    let mut stream = connected.map_err(|error| {
        let refused = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match refused {
            Some(inner) => UpstreamError::Identity(inner.to_string()),
            None => UpstreamError::of_io(&error),
        }
    })?;
    let preamble = Preamble {
        version: TUNNEL_VERSION,
        server: tunnel.server.to_string(),
        generation: tunnel.generation,
    };
    let asked = async {
        crash_point!("proxy.tunnel.before_ask");
        let mut torn = crash_inside_writes!(&mut stream, "proxy.tunnel.inside_ask");
        frame::write(&mut torn, &preamble).await?;
        crash_point!("proxy.tunnel.after_ask");
        frame::read::<Answer>(&mut stream, frame::PREAMBLE_MAX).await
    };
    let answer = timeout(STEP_TIMEOUT, asked)
        .await
        .map_err(|_| UpstreamError::Unreachable("no answer to the preamble".into()))?;
    let answer = answer.map_err(|error| match error {
        frame::FrameError::Io(error) => UpstreamError::of_io(&error),
        other => UpstreamError::Unreachable(other.to_string()),
    })?;
    match answer.status() {
        Status::Ok => Ok(Io::connected(stream)),
        Status::NotReady => Err(UpstreamError::NotReady),
        Status::WrongGeneration => Err(UpstreamError::WrongGeneration),
        Status::Gone => Err(UpstreamError::Gone),
        Status::Unspecified => Err(UpstreamError::Unreachable("the host's answer is empty".into())),
    }
}
