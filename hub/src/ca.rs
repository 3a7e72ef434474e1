//! The site's certificate authority: for hosts, the proxy and the hub's own link port.
//!
//! Its key never leaves the state folder. Names in requests are ignored; what a certificate says
//! is decided here.

use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use berth_common::{HostId, Seconds, Timestamp};
use berth_process::clock::now;
use berth_process::file::{self, FileError};
use berth_proto::identity::{Identity, public_key_hash};
use berth_proto::tls;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use rustls_pki_types::CertificateSigningRequestDer;

/// Leaves live for a week and are renewed daily: a stolen one is soon worthless, and a host may
/// be cut off for days without losing its identity.
const LEAF_LIFE: Duration = Duration::from_secs(7 * 86_400);
/// The CA outlives every plan for its replacement.
const CA_LIFE: Duration = Duration::from_secs(20 * 365 * 86_400);
/// Clocks of hosts may be this far behind.
const BACKDATED: Duration = Duration::from_secs(3_600);

/// Why the CA cannot do something.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// A file of the CA.
    #[error(transparent)]
    File(#[from] FileError),
    /// Making or signing a certificate.
    #[error("certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// Reading one back.
    #[error(transparent)]
    Tls(#[from] tls::TlsError),
    /// The request of a host is unusable.
    #[error("the certificate request cannot be read: {0}")]
    Request(String),
    /// A moment out of range.
    #[error("the clock shows an impossible date")]
    Clock,
}

/// What a leaf may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Usage {
    Client,
    Server,
}

/// The certificate authority.
pub struct Ca {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl std::fmt::Debug for Ca {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ca")
    }
}

/// A certificate chain and its key, as PEM texts.
#[derive(Debug)]
pub struct Leaf {
    /// The leaf, then the CA.
    pub chain_pem: String,
    /// Its private key.
    pub key_pem: String,
}

impl Ca {
    /// Reads the CA from `FOLDER/ca.pem` and `FOLDER/ca.key`, or makes it there.
    ///
    /// # Errors
    /// When the files cannot be read, written, or do not belong together.
    pub fn open(folder: &Path) -> Result<Self, CaError> {
        file::make_folder(folder, 0o700)?;
        let (certificate, key) = (folder.join("ca.pem"), folder.join("ca.key"));
        if let (Some(pem), Some(key)) =
            (file::read_if_there(&certificate)?, file::read_if_there(&key)?)
        {
            let issuer = Issuer::from_ca_cert_pem(&pem, KeyPair::from_pem(&key)?)?;
            return Ok(Self { pem, issuer });
        }
        let pair = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "Berth CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        set_life(&mut params, CA_LIFE)?;
        let pem = params.self_signed(&pair)?.pem();
        // The key first: without it a certificate on disk could never be used again.
        file::replace(&key, pair.serialize_pem().as_bytes(), 0o600)?;
        file::replace(&certificate, pem.as_bytes(), 0o644)?;
        let issuer = Issuer::from_ca_cert_pem(&pem, pair)?;
        Ok(Self { pem, issuer })
    }

    /// The CA's certificate.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// SHA-256 of the CA's public key in hexadecimal: what a join token carries.
    ///
    /// # Errors
    /// When the CA's own certificate cannot be read back.
    pub fn key_hash(&self) -> Result<String, CaError> {
        let chain = tls::certificates(&self.pem)?;
        let hash = chain.first().and_then(|ca| public_key_hash(ca).ok()).ok_or(CaError::Clock)?;
        Ok(hash.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The hub's own certificate for its link port, and its key.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn hub_leaf(&self) -> Result<Leaf, CaError> {
        self.own_leaf(&Identity::Hub, Usage::Server)
    }

    /// A host's two certificates for the public keys of its two requests: the link's and the
    /// tunnel's. Two, because one with both usages would let an agent pose as a server elsewhere.
    ///
    /// # Errors
    /// When a request is damaged.
    pub fn host_leaves(
        &self,
        host: &HostId,
        link: &[u8],
        tunnel: &[u8],
    ) -> Result<(String, String), CaError> {
        let identity = Identity::Host(host.clone());
        Ok((
            self.sign(&identity, Usage::Client, link)?,
            self.sign(&identity, Usage::Server, tunnel)?,
        ))
    }

    /// Writes the proxy's certificate, its key, the CA and the API token to a folder, unless they
    /// are there and fresh. The proxy notices the change.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn refresh_proxy(&self, folder: &Path) -> Result<(), CaError> {
        file::make_folder(folder, 0o700)?;
        let token = folder.join("api-token");
        if file::read_if_there(&token)?.is_none() {
            let secret = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
            file::replace(&token, secret.as_bytes(), 0o600)?;
        }
        if proxy_is_fresh(folder)? {
            return Ok(());
        }
        let leaf = self.own_leaf(&Identity::Proxy, Usage::Client)?;
        file::replace(&folder.join("ca.pem"), self.pem.as_bytes(), 0o600)?;
        file::replace(&folder.join("key.pem"), leaf.key_pem.as_bytes(), 0o600)?;
        file::replace(&folder.join("cert.pem"), leaf.chain_pem.as_bytes(), 0o600)?;
        Ok(())
    }

    fn own_leaf(&self, identity: &Identity, usage: Usage) -> Result<Leaf, CaError> {
        let pair = KeyPair::generate()?;
        let leaf = leaf_params(identity, usage)?.signed_by(&pair, &self.issuer)?;
        Ok(Leaf { chain_pem: self.chain(&leaf.pem()), key_pem: pair.serialize_pem() })
    }

    fn sign(&self, identity: &Identity, usage: Usage, request: &[u8]) -> Result<String, CaError> {
        let request = CertificateSigningRequestDer::from(request.to_vec());
        let mut request = CertificateSigningRequestParams::from_der(&request)
            .map_err(|error| CaError::Request(error.to_string()))?;
        request.params = leaf_params(identity, usage)?;
        Ok(self.chain(&request.signed_by(&self.issuer)?.pem()))
    }

    fn chain(&self, leaf: &str) -> String {
        format!("{leaf}{}", self.pem)
    }
}

fn proxy_is_fresh(folder: &Path) -> Result<bool, CaError> {
    let read = |name: &str| -> Result<Option<String>, FileError> {
        let path: PathBuf = folder.join(name);
        file::read_if_there(&path)
    };
    let (Some(chain), Some(key), Some(_)) = (read("cert.pem")?, read("key.pem")?, read("ca.pem")?)
    else {
        return Ok(false);
    };
    let credential = tls::Credential::new(&chain, &key);
    Ok(credential.is_ok_and(|credential| is_fresh(&credential)))
}

/// Whether a certificate of this CA is less than a day old, so that it need not be renewed yet.
pub fn is_fresh(credential: &tls::Credential) -> bool {
    let renew_at = now().plus(Seconds(LEAF_LIFE.as_secs() - 86_400));
    credential.peer().is_some_and(|peer| peer.valid_until > renew_at)
}

fn leaf_params(identity: &Identity, usage: Usage) -> Result<CertificateParams, CaError> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "berth");
    params.subject_alt_names = vec![SanType::URI(identity.to_string().try_into()?)];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![match usage {
        Usage::Client => ExtendedKeyUsagePurpose::ClientAuth,
        Usage::Server => ExtendedKeyUsagePurpose::ServerAuth,
    }];
    params.use_authority_key_identifier_extension = true;
    set_life(&mut params, LEAF_LIFE)?;
    Ok(params)
}

fn set_life(params: &mut CertificateParams, life: Duration) -> Result<(), CaError> {
    let seconds = |at: Timestamp| at.as_millis().div_euclid(1000);
    let moment = |seconds: i64| {
        time::OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| CaError::Clock)
    };
    let begin = seconds(now()).saturating_sub(BACKDATED.as_secs().try_into().unwrap_or(i64::MAX));
    let end = seconds(now()).saturating_add(life.as_secs().try_into().unwrap_or(i64::MAX));
    params.not_before = moment(begin)?;
    params.not_after = moment(end)?;
    Ok(())
}
