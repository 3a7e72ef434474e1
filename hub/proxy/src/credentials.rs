//! What the hub gives the proxy: the API token, and certificate, key and CA for the tunnels. The
//! files may come after the proxy's start and change at any time.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use berth_common::HostId;
use berth_process::file::{self, FileError};
use berth_proto::identity::Identity;
use berth_proto::tls::{self, Credential, TlsError};
use rustls::{ClientConfig, RootCertStore};
use subtle::ConstantTimeEq;

/// How often the files are looked at: a new certificate has hours, a first one has a person
/// waiting.
const LOOK_EVERY: Duration = Duration::from_secs(3);
const WAIT_EVERY: Duration = Duration::from_secs(1);

const TOKEN: &str = "api-token";
const CA: &str = "ca.pem";
const CERTIFICATE: &str = "cert.pem";
const KEY: &str = "key.pem";

/// Why the files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// One cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// One is damaged, or two do not belong together.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A token that nobody should use.
    #[error("{TOKEN} is empty")]
    EmptyToken,
}

/// The credentials in force.
#[derive(Debug)]
pub struct Credentials {
    /// Where they come from; without a folder the token is fixed.
    folder: Option<PathBuf>,
    /// Without a token in the environment, configurable-http-proxy asks for none.
    open: bool,
    /// Towards `https` targets.
    outward: Arc<ClientConfig>,
    loaded: RwLock<Loaded>,
}

#[derive(Debug, Default)]
struct Loaded {
    token: Option<String>,
    tls: Option<Tls>,
    /// When the files were last changed, as of the load.
    stamps: [Option<SystemTime>; 4],
}

#[derive(Debug)]
struct Tls {
    credential: Arc<Credential>,
    roots: RootCertStore,
    /// One configuration a host: each accepts only that host's certificate.
    hosts: HashMap<HostId, Arc<ClientConfig>>,
}

impl Credentials {
    /// Those of a folder; none are loaded yet.
    pub fn new(folder: &Path, outward: ClientConfig) -> Self {
        let folder = Some(folder.to_owned());
        Self { folder, open: false, outward: Arc::new(outward), loaded: RwLock::default() }
    }

    /// One token that never changes, or none, which lets everybody in.
    pub fn fixed(token: Option<String>, outward: ClientConfig) -> Self {
        let open = token.is_none();
        let loaded = RwLock::new(Loaded { token, ..Loaded::default() });
        Self { folder: None, open, outward: Arc::new(outward), loaded }
    }

    /// TLS towards `https` targets.
    pub fn outward(&self) -> Arc<ClientConfig> {
        self.outward.clone()
    }

    /// Whether there is a certificate to show to hosts.
    pub fn can_tunnel(&self) -> bool {
        self.loaded.read().unwrap_or_else(PoisonError::into_inner).tls.is_some()
    }

    /// Whether the files may change.
    pub fn come_from_files(&self) -> bool {
        self.folder.is_some()
    }

    /// Whether this is the API's token; `None` when there is no token yet. Takes as long for a
    /// wrong one as for the right one.
    pub fn is_token(&self, given: &str) -> Option<bool> {
        if self.open {
            return Some(true);
        }
        let loaded = self.loaded.read().unwrap_or_else(PoisonError::into_inner);
        loaded.token.as_ref().map(|token| token.as_bytes().ct_eq(given.as_bytes()).into())
    }

    /// TLS towards exactly this host; `None` when the hub has not yet written the certificate.
    pub fn tls(&self, host: &HostId) -> Option<Arc<ClientConfig>> {
        let known = |loaded: &Loaded| loaded.tls.as_ref()?.hosts.get(host).cloned();
        if let Some(config) = known(&self.loaded.read().unwrap_or_else(PoisonError::into_inner)) {
            return Some(config);
        }
        let mut loaded = self.loaded.write().unwrap_or_else(PoisonError::into_inner);
        let tls = loaded.tls.as_mut()?;
        let expected = Identity::Host(host.clone());
        match tls::client_config(Some(tls.credential.clone()), tls.roots.clone(), expected, &[]) {
            Ok(config) => {
                let config = Arc::new(config);
                tls.hosts.insert(host.clone(), config.clone());
                Some(config)
            }
            Err(error) => {
                tracing::error!(%error, "the CA's certificate cannot be used");
                None
            }
        }
    }

    /// The files that are still missing.
    pub fn missing(&self) -> Vec<&'static str> {
        let loaded = self.loaded.read().unwrap_or_else(PoisonError::into_inner);
        [TOKEN, CA, CERTIFICATE, KEY]
            .into_iter()
            .zip(loaded.stamps)
            .filter(|(_, stamp)| stamp.is_none())
            .map(|(name, _)| name)
            .collect()
    }

    /// Loads what has changed since the last call; whether anything has.
    ///
    /// # Errors
    /// When a file is damaged; what was in force stays, and the next call tries again.
    pub fn reload(&self) -> Result<bool, CredentialError> {
        let Some(folder) = &self.folder else { return Ok(false) };
        let stamps = [TOKEN, CA, CERTIFICATE, KEY]
            .map(|name| fs::metadata(folder.join(name)).and_then(|found| found.modified()).ok());
        let before = self.loaded.read().unwrap_or_else(PoisonError::into_inner).stamps;
        if stamps == before {
            return Ok(false);
        }
        let read = |name: &str| file::read_if_there(&folder.join(name));
        let token = match read(TOKEN)?.map(|text| text.trim().to_owned()) {
            Some(token) if token.is_empty() => return Err(CredentialError::EmptyToken),
            token => token,
        };
        let tls = match (read(CA)?, read(CERTIFICATE)?, read(KEY)?) {
            (Some(ca), Some(certificate), Some(key)) => Some(Tls {
                credential: Credential::new(&certificate, &key)?,
                roots: tls::roots(&ca)?,
                hosts: HashMap::new(),
            }),
            _ => None,
        };
        let mut loaded = self.loaded.write().unwrap_or_else(PoisonError::into_inner);
        // A file that vanished takes nothing away: whoever replaces it is in the middle of that.
        loaded.token = token.or(loaded.token.take());
        loaded.tls = tls.or(loaded.tls.take());
        loaded.stamps = stamps;
        Ok(true)
    }
}

/// Keeps credentials fresh, for ever. `said` is what was said last.
pub async fn keep_fresh(credentials: Arc<Credentials>, mut said: String) {
    loop {
        let missing = credentials.missing();
        tokio::time::sleep(if missing.is_empty() { LOOK_EVERY } else { WAIT_EVERY }).await;
        look(&credentials, &mut said);
    }
}

/// Looks at the files once; `said` is what was said last, which is not said again before something
/// changes.
pub fn look(credentials: &Credentials, said: &mut String) {
    let say = match credentials.reload() {
        Err(error) => format!("credentials cannot be used, the former stay: {error}"),
        Ok(fresh) => {
            if fresh {
                said.clear();
            }
            let missing = credentials.missing();
            if missing.is_empty() {
                "credentials loaded".to_owned()
            } else {
                format!(
                    "waiting for the hub to write {} in {}",
                    missing.join(", "),
                    credentials.folder.as_deref().unwrap_or(Path::new("")).display()
                )
            }
        }
    };
    if *said != say {
        tracing::info!("{say}");
        *said = say;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn files_may_come_late_and_a_damaged_one_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let outward = crate::tls::client_config(None, None, true).unwrap();
        let credentials = Credentials::new(folder.path(), outward);
        let host: HostId = "wn01".parse().unwrap();
        assert!(!credentials.reload().unwrap());
        assert_eq!(credentials.is_token("x"), None);
        assert_eq!(credentials.missing(), ["api-token", "ca.pem", "cert.pem", "key.pem"]);

        fs::write(folder.path().join(TOKEN), "secret\n").unwrap();
        assert!(credentials.reload().unwrap());
        assert_eq!(credentials.is_token("secret"), Some(true));
        assert_eq!(credentials.is_token("secre"), Some(false));
        assert_eq!(credentials.missing(), ["ca.pem", "cert.pem", "key.pem"]);
        assert!(credentials.tls(&host).is_none());

        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::default().self_signed(&key).unwrap();
        fs::write(folder.path().join(CA), certificate.pem()).unwrap();
        fs::write(folder.path().join(CERTIFICATE), certificate.pem()).unwrap();
        fs::write(folder.path().join(KEY), key.serialize_pem()).unwrap();
        assert!(credentials.reload().unwrap());
        let first = credentials.tls(&host).unwrap();
        assert!(Arc::ptr_eq(&first, &credentials.tls(&host).unwrap()));
        assert!(!credentials.reload().unwrap(), "nothing changed");

        let other = rcgen::KeyPair::generate().unwrap();
        fs::write(folder.path().join(KEY), other.serialize_pem()).unwrap();
        let far = SystemTime::UNIX_EPOCH + Duration::from_secs(4_000_000_000);
        fs::File::options()
            .write(true)
            .open(folder.path().join(KEY))
            .unwrap()
            .set_modified(far)
            .unwrap();
        assert!(credentials.reload().is_err(), "the key of another certificate");
        assert!(Arc::ptr_eq(&first, &credentials.tls(&host).unwrap()));
    }
}
