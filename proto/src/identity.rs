//! Who the other end of a connection is: read from its certificate and nowhere else.
//!
//! The identity is a SPIFFE id in the certificate's one URI name, e.g. `spiffe://berth/host/wn03`.

use std::fmt;
use std::str::FromStr;

use berth_common::{HostId, Timestamp};
use rustls_pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// One of the parties that hold a certificate of the hub's CA.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Identity {
    /// The hub's link port.
    Hub,
    /// The proxy, towards the tunnels.
    Proxy,
    /// A host: its agent on the link, its tunnel process towards the proxy.
    Host(HostId),
}

const PREFIX: &str = "spiffe://berth/";

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hub => write!(f, "{PREFIX}hub"),
            Self::Proxy => write!(f, "{PREFIX}proxy"),
            Self::Host(host) => write!(f, "{PREFIX}host/{host}"),
        }
    }
}

/// The certificate names nobody we know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoIdentity {
    /// Not an X.509 certificate.
    #[error("certificate cannot be read")]
    Unreadable,
    /// Not exactly one SPIFFE id of ours.
    #[error("certificate holds no identity of this site")]
    Foreign,
}

impl FromStr for Identity {
    type Err = NoIdentity;
    fn from_str(uri: &str) -> Result<Self, NoIdentity> {
        match uri.strip_prefix(PREFIX).ok_or(NoIdentity::Foreign)? {
            "hub" => Ok(Self::Hub),
            "proxy" => Ok(Self::Proxy),
            other => {
                let name = other.strip_prefix("host/").ok_or(NoIdentity::Foreign)?;
                Ok(Self::Host(name.parse().map_err(|_| NoIdentity::Foreign)?))
            }
        }
    }
}

/// The holder of a certificate whose chain was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Who it is.
    pub identity: Identity,
    /// Until when the certificate is valid. A later moment allows renewal and nothing else.
    pub valid_until: Timestamp,
}

impl Peer {
    /// Reads identity and validity from a certificate. The chain must have been verified before.
    ///
    /// # Errors
    /// When it is no certificate or does not hold exactly one identity of ours.
    pub fn of(certificate: &CertificateDer<'_>) -> Result<Self, NoIdentity> {
        let (_, parsed) =
            X509Certificate::from_der(certificate).map_err(|_| NoIdentity::Unreadable)?;
        let names = parsed.subject_alternative_name().map_err(|_| NoIdentity::Unreadable)?;
        let names = &names.ok_or(NoIdentity::Foreign)?.value.general_names;
        let [GeneralName::URI(uri)] = names.as_slice() else { return Err(NoIdentity::Foreign) };
        let seconds = parsed.validity().not_after.timestamp();
        Ok(Self {
            identity: uri.parse()?,
            valid_until: Timestamp::from_millis(seconds.saturating_mul(1000)),
        })
    }
}

/// SHA-256 of a certificate's public key (SubjectPublicKeyInfo, DER): what a join token pins.
///
/// # Errors
/// When it is no certificate.
pub fn public_key_hash(certificate: &CertificateDer<'_>) -> Result<[u8; 32], NoIdentity> {
    use sha2::Digest;
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| NoIdentity::Unreadable)?;
    Ok(sha2::Sha256::digest(parsed.public_key().raw).into())
}

/// The common name of a certificate whose chain was verified; `None`: it has not exactly one.
pub fn common_name(certificate: &CertificateDer<'_>) -> Option<String> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let mut names = parsed.subject().iter_common_name();
    let name = names.next()?.as_str().ok()?.to_owned();
    names.next().is_none().then_some(name)
}
