//! Mutual TLS 1.3 for both ends, terminated by us and not by a framework: only so can keys be
//! swapped without dropping connections, identities be checked where they belong, and an expired
//! certificate be let in for its renewal and for nothing else.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::default_provider;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    ServerConfig, SignatureScheme,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

use crate::guests::Guests;
use crate::identity::{Identity, Peer, public_key_hash};

/// Why keys or certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The PEM text holds no usable certificate or key.
    #[error("{what} cannot be read: {why}")]
    Pem {
        /// What was to be read.
        what: &'static str,
        /// The parser's reason.
        why: String,
    },
    /// rustls refuses them.
    #[error("tls: {0}")]
    Rustls(#[from] Error),
    /// rustls cannot make a verifier of these roots.
    #[error("tls: {0}")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
}

/// Reads all certificates of a PEM text, at least one.
///
/// # Errors
/// When there is none or one is damaged.
pub fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bad = |why: String| TlsError::Pem { what: "certificate", why };
    let chain: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|error| bad(error.to_string()))?;
    if chain.is_empty() { Err(bad("the file holds none".into())) } else { Ok(chain) }
}

/// The trust anchors of a PEM text.
///
/// # Errors
/// When there is none or one is damaged.
pub fn roots(ca_pem: &str) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(ca_pem)? {
        store.add(certificate)?;
    }
    Ok(store)
}

/// A certificate with its key that can be replaced while connections live: new handshakes use
/// the new one, open connections go on.
#[derive(Debug)]
pub struct Credential(RwLock<Arc<CertifiedKey>>);

impl Credential {
    /// Takes chain and key as PEM texts.
    ///
    /// # Errors
    /// When one is damaged or they do not belong together.
    pub fn new(chain_pem: &str, key_pem: &str) -> Result<Arc<Self>, TlsError> {
        Ok(Arc::new(Self(RwLock::new(certified(chain_pem, key_pem)?))))
    }

    /// Replaces chain and key for all later handshakes.
    ///
    /// # Errors
    /// As for [`Credential::new`]; the old ones then stay.
    pub fn replace(&self, chain_pem: &str, key_pem: &str) -> Result<(), TlsError> {
        let fresh = certified(chain_pem, key_pem)?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// Whose certificate it is and until when it is valid.
    pub fn peer(&self) -> Option<Peer> {
        self.current().cert.first().and_then(|leaf| Peer::of(leaf).ok())
    }

    fn current(&self) -> Arc<CertifiedKey> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn certified(chain_pem: &str, key_pem: &str) -> Result<Arc<CertifiedKey>, TlsError> {
    let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes())
        .map_err(|error| TlsError::Pem { what: "private key", why: error.to_string() })?;
    Ok(Arc::new(CertifiedKey::from_der(certificates(chain_pem)?, key, &default_provider())?))
}

impl ResolvesServerCert for Credential {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}

impl ResolvesClientCert for Credential {
    fn resolve(&self, _hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// What a listener asks of those who connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admit {
    /// The link port: a certificate of the CA, an expired one, or none. The services decide by
    /// [`Peer`] what the connection may do.
    Enrolling,
    /// The tunnel port: only a valid certificate of exactly the proxy.
    ProxyOnly,
}

/// TLS for a listener.
///
/// # Errors
/// When the roots are unusable.
pub fn server_config(
    credential: Arc<Credential>,
    roots: RootCertStore,
    admit: Admit,
    alpn: &[&[u8]],
) -> Result<ServerConfig, TlsError> {
    server_config_with(credential, roots, admit, None, alpn)
}

/// The same for a link port at which holders of another authority's certificates may ask for one
/// of ours.
///
/// # Errors
/// When the roots are unusable.
pub fn server_config_with(
    credential: Arc<Credential>,
    roots: RootCertStore,
    admit: Admit,
    guests: Option<Guests>,
    alpn: &[&[u8]],
) -> Result<ServerConfig, TlsError> {
    let provider = Arc::new(default_provider());
    let chain = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .allow_unauthenticated()
        .build()?;
    let mut config = ServerConfig::builder_with_details(provider, Arc::new(WallClock))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(Arc::new(ClientVerifier { chain, admit, guests }))
        .with_cert_resolver(credential);
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    // No resumption: a resumed session would not show the certificate again.
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// TLS towards a listener that must be exactly `expected`; `credential` is our own certificate.
///
/// # Errors
/// When the roots are unusable.
pub fn client_config(
    credential: Option<Arc<Credential>>,
    roots: RootCertStore,
    expected: Identity,
    alpn: &[&[u8]],
) -> Result<ClientConfig, TlsError> {
    client_with(ServerVerifier { trust: Trust::Roots(roots), expected }, credential, alpn)
}

/// TLS towards the hub for a host that knows nothing but the CA's hash. `credential` is another
/// authority's certificate that proves its name, if it has no join token.
///
/// # Errors
/// Never for a sound build; rustls' own checks are passed on.
pub fn joining_config(
    ca_hash: [u8; 32],
    credential: Option<Arc<Credential>>,
    alpn: &[&[u8]],
) -> Result<ClientConfig, TlsError> {
    client_with(
        ServerVerifier { trust: Trust::CaHash(ca_hash), expected: Identity::Hub },
        credential,
        alpn,
    )
}

fn client_with(
    verifier: ServerVerifier,
    credential: Option<Arc<Credential>>,
    alpn: &[&[u8]],
) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(default_provider());
    let builder = ClientConfig::builder_with_details(provider, Arc::new(WallClock))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match credential {
        Some(credential) => builder.with_client_cert_resolver(credential),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}

/// What is valid now is judged by the clock that everything else goes by.
#[derive(Debug)]
struct WallClock;

impl TimeProvider for WallClock {
    fn current_time(&self) -> Option<UnixTime> {
        let since = u64::try_from(berth_process::clock::now().as_millis()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_millis(since)))
    }
}

/// The name that connections ask for. Identity is the URI in the certificate, so any would do.
///
/// # Panics
/// Never: the name is a constant.
pub fn server_name() -> ServerName<'static> {
    ServerName::try_from("berth").unwrap_or_else(|_| unreachable!("a constant name"))
}

/// Verifies chains against the CA, and lets an expired leaf in where renewal is served.
#[derive(Debug)]
struct ClientVerifier {
    chain: Arc<dyn ClientCertVerifier>,
    admit: Admit,
    guests: Option<Guests>,
}

impl ClientCertVerifier for ClientVerifier {
    fn offer_client_auth(&self) -> bool {
        true
    }

    fn client_auth_mandatory(&self) -> bool {
        self.admit == Admit::ProxyOnly
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let peer = match (Peer::of(leaf), &self.guests) {
            (Ok(peer), _) => peer,
            (Err(_), Some(guests)) if self.admit == Admit::Enrolling => {
                return guests.verify(leaf, intermediates, now);
            }
            (Err(_), _) => return Err(application_failure()),
        };
        match self.admit {
            Admit::ProxyOnly if peer.identity != Identity::Proxy => Err(application_failure()),
            Admit::ProxyOnly => self.chain.verify_client_cert(leaf, intermediates, now),
            Admit::Enrolling => {
                // An expired leaf is verified as of its last valid second; whoever serves the
                // connection sees `valid_until` and allows renewal only.
                let last = u64::try_from(peer.valid_until.as_millis() / 1000).unwrap_or(0);
                let at = now.as_secs().min(last);
                let at = UnixTime::since_unix_epoch(Duration::from_secs(at));
                self.chain.verify_client_cert(leaf, intermediates, at)
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}

fn application_failure() -> Error {
    Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)
}

#[derive(Debug)]
enum Trust {
    Roots(RootCertStore),
    /// The presented chain must hold a CA with this public key, and the leaf must be signed by it.
    CaHash([u8; 32]),
}

/// Verifies that the listener holds a certificate of the CA with exactly the expected identity.
#[derive(Debug)]
struct ServerVerifier {
    trust: Trust,
    expected: Identity,
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let algorithms = provider().signature_verification_algorithms.all;
        let parsed = ParsedCertificate::try_from(leaf)?;
        match &self.trust {
            Trust::Roots(roots) => {
                verify_server_cert_signed_by_trust_anchor(
                    &parsed,
                    roots,
                    intermediates,
                    now,
                    algorithms,
                )?;
            }
            Trust::CaHash(hash) => {
                let ca = intermediates
                    .iter()
                    .find(|certificate| {
                        public_key_hash(certificate).is_ok_and(|found| found == *hash)
                    })
                    .ok_or(CertificateError::UnknownIssuer)?;
                let mut roots = RootCertStore::empty();
                roots.add(ca.clone().into_owned())?;
                verify_server_cert_signed_by_trust_anchor(&parsed, &roots, &[], now, algorithms)?;
            }
        }
        let peer = Peer::of(leaf).map_err(|_| application_failure())?;
        if peer.identity == self.expected {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(application_failure())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            cert,
            dss,
            &provider().signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            cert,
            dss,
            &provider().signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

fn provider() -> CryptoProvider {
    default_provider()
}
