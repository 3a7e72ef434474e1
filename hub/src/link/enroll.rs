//! How a host gets its identity: a single-use join token for a declared host, then a certificate,
//! then a new one every day.

use std::sync::Arc;

use berth_common::{HostId, Seconds, Timestamp};
use berth_process::clock::now;
use berth_process::crash_point;
use berth_proto::link::enrolment_server::Enrolment;
use berth_proto::link::{Certificates, JoinRequest, RenewRequest};
use berth_store::JoinToken;
use tonic::{Request, Response, Status};

use super::{Who, known_host, puppet};
use crate::ca::CaError;
use crate::keys::{hash, secret};
use crate::site::Hub;
use crate::storage::StorageError;

/// Long enough to walk over to the machine, short enough to be worthless in a ticket.
const JOIN_TOKEN_LIFE: Seconds = Seconds(3_600);
/// After this long without renewal a host has to join anew.
const RENEWABLE_AFTER_EXPIRY: Seconds = Seconds(90 * 86_400);

/// What a host says in place of a token when its certificate of another authority is the proof.
const PUPPET: &str = "puppet";

/// Why no join token was made.
#[derive(Debug, thiserror::Error)]
pub enum JoinTokenError {
    /// No file declares the host.
    #[error("host {0} is not declared; add it to a file in hosts.d, for example\n\n{lines}", lines = lines_to_add(.0))]
    Undeclared(HostId),
    /// It could not be saved.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The CA's own certificate.
    #[error(transparent)]
    Ca(#[from] CaError),
}

fn lines_to_add(host: &HostId) -> String {
    format!(
        "version = 1\nhost = [\n  {{ names = \"{host}\", pool = \"cpu\", memory = \"32 GB\", keep_free = \"3 GB\" }},\n]"
    )
}

/// Makes a join token for a declared host; earlier ones of the same host end. It carries the hash
/// of the CA's public key, so the host knows the hub before it sends anything.
///
/// # Errors
/// When the host is not declared, or the token cannot be saved.
pub async fn new_join_token(
    hub: &Hub,
    host: HostId,
) -> Result<(String, Timestamp), JoinTokenError> {
    if !hub.config().settings.hosts.contains_key(&host) {
        return Err(JoinTokenError::Undeclared(host));
    }
    let id = format!("{:016x}", rand::random::<u64>());
    let secret = secret();
    let expires = now().plus(JOIN_TOKEN_LIFE);
    let text = format!("berth1.{}.{id}.{secret}", hub.ca.key_hash()?);
    let token = JoinToken { id, hash: hash(&secret), host, expires };
    hub.storage.write(move |database| database.add_join_token(&token)).await?;
    Ok((text, expires))
}

/// Serves `Enrolment`.
pub struct Service {
    hub: Arc<Hub>,
}

impl Service {
    /// Over the hub's shared parts.
    pub fn new(hub: Arc<Hub>) -> Self {
        Self { hub }
    }

    fn certificates(
        &self,
        host: &HostId,
        link: &[u8],
        tunnel: &[u8],
    ) -> Result<Response<Certificates>, Status> {
        let leaves = self.hub.ca.host_leaves(host, link, tunnel);
        let (link_pem, tunnel_pem) =
            leaves.map_err(|error| Status::invalid_argument(error.to_string()))?;
        let ca_pem = self.hub.ca.pem().to_owned();
        Ok(Response::new(Certificates { host: host.to_string(), ca_pem, link_pem, tunnel_pem }))
    }
}

#[tonic::async_trait]
impl Enrolment for Service {
    async fn join(&self, request: Request<JoinRequest>) -> Result<Response<Certificates>, Status> {
        let who = request.extensions().get::<Who>().cloned();
        let address = who.as_ref().map(|who| who.address);
        let request = request.into_inner();
        if request.token == PUPPET {
            let guest = who.and_then(|who| who.guest);
            let host = puppet::admit(&self.hub, guest.as_deref(), address).await?;
            return self.certificates(&host, &request.link_csr, &request.tunnel_csr);
        }
        let ip = address.map(|address| tracing::field::display(address.ip()));
        let mut parts = request.token.splitn(4, '.');
        let (Some("berth1"), Some(_ca), Some(id), Some(secret)) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Status::invalid_argument(
                "this is no join token; make one with `berth host add NAME`",
            ));
        };
        let (id, hash) = (id.to_owned(), hash(secret));
        crash_point!("hub.join.before_use");
        let used =
            self.hub.storage.write(move |database| database.use_join_token(&id, &hash)).await;
        crash_point!("hub.join.after_use");
        let token = used.map_err(|error| Status::unavailable(error.to_string()))?;
        let Some(token) = token.filter(|token| token.expires > now()) else {
            tracing::warn!(address = ip, "a join token was refused");
            return Err(Status::permission_denied(
                "this join token was used before, replaced or has expired; make a new one with `berth host add NAME`",
            ));
        };
        if !self.hub.config().settings.hosts.contains_key(&token.host) {
            return Err(Status::failed_precondition(format!(
                "host {} is no longer declared in hosts.d",
                token.host
            )));
        }
        tracing::info!(host = %token.host, address = ip, "host joined");
        let answer = self.certificates(&token.host, &request.link_csr, &request.tunnel_csr);
        crash_point!("hub.join.before_answer");
        answer
    }

    async fn renew(
        &self,
        request: Request<RenewRequest>,
    ) -> Result<Response<Certificates>, Status> {
        let (host, _) = known_host(&request)?;
        let expired_at = request
            .extensions()
            .get::<Who>()
            .and_then(|who| who.peer.as_ref())
            .map(|peer| peer.valid_until)
            .unwrap_or_default();
        if now() > expired_at.plus(RENEWABLE_AFTER_EXPIRY) {
            return Err(Status::permission_denied(format!(
                "the certificate of {host} expired more than 90 days ago; join anew with `berth host add {host}`"
            )));
        }
        let request = request.into_inner();
        tracing::info!(%host, "certificates renewed");
        let answer = self.certificates(&host, &request.link_csr, &request.tunnel_csr);
        crash_point!("hub.renew.before_answer");
        answer
    }
}
