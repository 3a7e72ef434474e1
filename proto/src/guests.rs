//! Holders of certificates of another authority, such as Puppet's: they may connect to prove a name,
//! and for nothing else. The files are read at each handshake, so what was revoked a minute ago is
//! refused now.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::Error;
use rustls::crypto::ring::default_provider;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};

use crate::tls::{self, TlsError};

/// Whose certificates are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guests {
    /// A file with the authority's certificates, as PEM.
    pub ca: PathBuf,
    /// A file with its revocation lists, as PEM; `None`: nothing was ever revoked.
    pub revoked: Option<PathBuf>,
}

impl Guests {
    /// Checks chain, validity, use and revocation of a certificate.
    ///
    /// # Errors
    /// When it is not good, or the files cannot be used.
    pub fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verifier = self.verifier().map_err(|error| Error::General(error.to_string()))?;
        verifier.verify_client_cert(leaf, intermediates, now)
    }

    fn verifier(&self) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
        let roots = Arc::new(tls::roots(&read(&self.ca)?)?);
        let provider = Arc::new(default_provider());
        let builder = WebPkiClientVerifier::builder_with_provider(roots, provider);
        let Some(file) = &self.revoked else { return Ok(builder.build()?) };
        let text = read(file)?;
        let lists = CertificateRevocationListDer::pem_slice_iter(text.as_bytes());
        let lists = lists.collect::<Result<Vec<_>, _>>();
        let lists = lists
            .map_err(|error| TlsError::Pem { what: "revocation list", why: error.to_string() })?;
        Ok(builder.with_crls(lists).only_check_end_entity_revocation().build()?)
    }
}

fn read(path: &Path) -> Result<String, TlsError> {
    std::fs::read_to_string(path).map_err(|error| TlsError::Pem {
        what: "file",
        why: format!("{}: {error}", path.display()),
    })
}
