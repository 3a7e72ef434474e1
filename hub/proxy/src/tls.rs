//! TLS towards browsers, towards the hub's calls of the API, and towards `https` targets: from
//! PEM files, read anew when they change. The tunnels' TLS is `credentials`' and `tunnel`'s.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme};
use tokio::time::Instant;

/// How often the files of a busy listener are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Certificate and key, and whom to ask for theirs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files {
    /// The private key.
    pub key: PathBuf,
    /// The certificate with its chain.
    pub certificate: PathBuf,
    /// Who signs the other side's certificates.
    pub authority: Option<PathBuf>,
    /// Whether clients are asked for a certificate.
    pub ask: bool,
    /// Whether those without one are refused.
    pub require: bool,
}

/// Why files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Holds nothing of use.
    #[error("{} holds no {what}", path.display())]
    Pem {
        /// Which file.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
    },
    /// Key and certificate do not fit, or an authority is none.
    #[error("{0}")]
    Refused(String),
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|source| TlsError::File { path: path.to_owned(), source })
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(TlsError::Pem { path: path.to_owned(), what: "certificate" }),
    }
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let what = "private key that is not encrypted";
    PrivateKeyDer::from_pem_slice(&read(path)?)
        .map_err(|_| TlsError::Pem { path: path.to_owned(), what })
}

fn roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| TlsError::Refused(error.to_string()))?;
    }
    Ok(roots)
}

fn refused(error: impl std::fmt::Display) -> TlsError {
    TlsError::Refused(error.to_string())
}

fn server_config(files: &Files, alpn: &[&[u8]]) -> Result<ServerConfig, TlsError> {
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(refused)?;
    let builder = match &files.authority {
        Some(authority) if files.ask => {
            let verifier = WebPkiClientVerifier::builder_with_provider(
                Arc::new(roots(authority)?),
                Arc::new(ring::default_provider()),
            );
            let verifier = if files.require { verifier } else { verifier.allow_unauthenticated() };
            builder.with_client_cert_verifier(verifier.build().map_err(refused)?)
        }
        _ => builder.with_no_client_auth(),
    };
    let mut config = builder
        .with_single_cert(certificates(&files.certificate)?, key(&files.key)?)
        .map_err(refused)?;
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    Ok(config)
}

/// A listener's TLS: the files as they were when last seen whole.
#[derive(Debug)]
pub struct Terminator {
    files: Files,
    alpn: Vec<&'static [u8]>,
    current: Mutex<Current>,
}

#[derive(Debug)]
struct Current {
    config: Arc<ServerConfig>,
    stamps: [Option<SystemTime>; 3],
    looked: Instant,
}

impl Terminator {
    /// Reads the files.
    ///
    /// # Errors
    /// When they cannot be used.
    pub fn new(files: Files, alpn: &[&'static [u8]]) -> Result<Self, TlsError> {
        let stamps = stamps(&files);
        let config = Arc::new(server_config(&files, alpn)?);
        let current = Mutex::new(Current { config, stamps, looked: Instant::now() });
        Ok(Self { files, alpn: alpn.to_vec(), current })
    }

    /// The configuration for the next handshake. Files that changed are read anew; while they are
    /// half replaced, what was in force stays.
    pub fn config(&self) -> Arc<ServerConfig> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.looked.elapsed() >= LOOK_EVERY {
            current.looked = Instant::now();
            let stamps = stamps(&self.files);
            if stamps != current.stamps {
                match server_config(&self.files, &self.alpn) {
                    Ok(config) => {
                        tracing::info!("certificate read anew");
                        current.config = Arc::new(config);
                        current.stamps = stamps;
                    }
                    Err(error) => tracing::warn!(%error, "the new certificate cannot be used yet"),
                }
            }
        }
        current.config.clone()
    }
}

fn stamps(files: &Files) -> [Option<SystemTime>; 3] {
    let stamp = |path: &Path| fs::metadata(path).and_then(|found| found.modified()).ok();
    [stamp(&files.key), stamp(&files.certificate), files.authority.as_deref().and_then(stamp)]
}

/// TLS towards `https` targets: verified by the given authority or the system's, with our own
/// certificate if there is one. `insecure` verifies nothing.
///
/// # Errors
/// When the files cannot be used.
pub fn client_config(
    own: Option<(&Path, &Path)>,
    authority: Option<&Path>,
    insecure: bool,
) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(refused)?;
    let builder = if insecure {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider)))
    } else {
        let roots = match authority {
            Some(path) => roots(path)?,
            None => {
                let mut roots = RootCertStore::empty();
                let found = rustls_native_certs::load_native_certs();
                roots.add_parsable_certificates(found.certs);
                roots
            }
        };
        builder.with_root_certificates(roots)
    };
    match own {
        Some((key_file, certificate)) => builder
            .with_client_auth_cert(certificates(certificate)?, key(key_file)?)
            .map_err(refused),
        None => Ok(builder.with_no_client_auth()),
    }
}

/// Takes every certificate, as `--insecure` asks. Signatures are checked all the same.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
