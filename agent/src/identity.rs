//! The host's keys and certificates: made when it joins, renewed while it runs.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use berth_common::{HostId, Timestamp};
use berth_process::crash_point;
use berth_process::file::{self, FileError};
use berth_proto::identity::{Identity, public_key_hash};
use berth_proto::link::enrolment_client::EnrolmentClient;
use berth_proto::link::{Certificates, JoinRequest, RenewRequest};
use berth_proto::tls::{self, Credential, TlsError};
use rcgen::{CertificateParams, KeyPair};
use tonic::transport::Channel;

use crate::config::{Config, HubAddress};
use crate::link::dial::{self, DialError, Network};

/// The protocol spoken on the link port.
pub const ALPN: &[&[u8]] = &[b"h2"];

/// A certificate lives 7 days; with less than this left a new one is fetched, so that a hub may
/// be away for six days before hosts fall off.
const RENEW_BELOW_MS: i64 = 6 * 24 * 3600 * 1000;

/// Where keys and certificates lie.
#[derive(Debug, Clone)]
pub struct Folder {
    state: PathBuf,
    tunnel_user: Option<String>,
}

/// Why the host has no usable identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file that joining makes is not there.
    #[error("{0} is not there: this host has not joined; run: berth-agent join TOKEN")]
    NotJoined(String),
    /// Keys or certificates are damaged.
    #[error("keys or certificates are damaged: {0}; run: berth-agent join TOKEN")]
    Damaged(#[from] TlsError),
    /// Keys cannot be made.
    #[error("keys cannot be made: {0}")]
    Key(#[from] rcgen::Error),
    /// The text is no join token.
    #[error("this is no join token: it looks like berth1.HASH.ID.SECRET; copy it whole")]
    Token,
    /// Puppet has nothing here.
    #[error(
        "Puppet's {0} is not there: has puppet agent run on this host? --puppet names its ssldir"
    )]
    NoPuppet(String),
    /// The hub's key is not known.
    #[error("this is no hash of the hub's key: --hub-key takes what `berth-hub key-hash` prints")]
    HubKey,
    /// The hub cannot be reached or trusted.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The hub says no.
    #[error("the hub refuses: {0}")]
    Refused(String),
    /// The certificates are not what they should be.
    #[error("the hub's answer cannot be used: {0}")]
    Answer(&'static str),
    /// Certificate and configuration name different hosts.
    #[error(
        "the certificate is for host {certificate}, but agent.toml names {configured}; \
             put [agent] name right, or join anew with a token for {configured}"
    )]
    OtherHost {
        /// What the hub says.
        certificate: String,
        /// What the file says.
        configured: HostId,
    },
    /// The tunnel's account is not there.
    #[error(
        "[agent] tunnel.user = \"{0}\": no such account on this host; make it, or leave it out"
    )]
    NoUser(String),
}

impl Folder {
    /// The folder that the configuration names.
    pub fn new(config: &Config) -> Self {
        Self { state: config.agent.state.clone(), tunnel_user: config.agent.tunnel.user.clone() }
    }

    /// The hub's CA.
    pub fn ca(&self) -> PathBuf {
        self.state.join("ca.pem")
    }

    /// The certificate for the link.
    pub fn link_certificate(&self) -> PathBuf {
        self.state.join("link.pem")
    }

    /// Its key.
    pub fn link_key(&self) -> PathBuf {
        self.state.join("link.key")
    }

    /// What the tunnel's process may read, and only that.
    pub fn tunnel(&self) -> PathBuf {
        self.state.join("tunnel")
    }

    /// Where the highest epoch is remembered.
    pub fn epoch(&self) -> PathBuf {
        self.state.join("epoch")
    }

    /// Makes the folders. The state's own can be entered, not listed: the tunnel's process, which
    /// is not root, must reach its part. All files in it are readable by their owner only.
    fn make(&self) -> Result<(), IdentityError> {
        file::make_folder(&self.state, 0o711)?;
        let tunnel = self.tunnel();
        file::make_folder(&tunnel, 0o700)?;
        self.give_to_tunnel(&tunnel)
    }

    fn give_to_tunnel(&self, path: &Path) -> Result<(), IdentityError> {
        let Some(name) = &self.tunnel_user else { return Ok(()) };
        if !berth_agent_sys::machine::is_root() {
            return Ok(());
        }
        let account = berth_agent_sys::account::by_name(name)
            .map_err(|error| FileError::new("look up the owner of", path, error))?
            .ok_or_else(|| IdentityError::NoUser(name.clone()))?;
        chown(path, Some(account.uid), Some(account.gid))
            .map_err(|error| FileError::new("give away", path, error).into())
    }

    fn write(&self, path: &Path, text: &str) -> Result<(), IdentityError> {
        crash_point!("identity.write.before");
        file::replace(path, text.as_bytes(), 0o600)?;
        if path.parent() == Some(&self.tunnel()) {
            self.give_to_tunnel(path)?;
        }
        crash_point!("identity.write.after");
        Ok(())
    }
}

/// Reads a file that joining has made.
///
/// # Errors
/// When it is not there or cannot be read.
pub fn read(path: &Path) -> Result<String, IdentityError> {
    file::read_if_there(path)?.ok_or_else(|| IdentityError::NotJoined(path.display().to_string()))
}

/// The link's certificate with its key, checked against the configured name.
///
/// # Errors
/// When the host has not joined, or has joined under another name.
pub fn link_credential(config: &Config) -> Result<Arc<Credential>, IdentityError> {
    let folder = Folder::new(config);
    let credential =
        Credential::new(&read(&folder.link_certificate())?, &read(&folder.link_key())?)?;
    let identity = credential.peer().map(|peer| peer.identity);
    match identity {
        Some(Identity::Host(host)) if host == config.agent.name => Ok(credential),
        Some(other) => Err(IdentityError::OtherHost {
            certificate: other.to_string(),
            configured: config.agent.name.clone(),
        }),
        None => Err(IdentityError::Answer("the certificate names nobody")),
    }
}

/// Connects to the hub as this host.
///
/// # Errors
/// When the hub cannot be reached, or one end does not prove itself.
pub async fn connect(
    config: &Config,
    credential: &Arc<Credential>,
    network: &impl Network,
) -> Result<Channel, IdentityError> {
    let roots = tls::roots(&read(&Folder::new(config).ca())?)?;
    let tls = tls::client_config(Some(credential.clone()), roots, Identity::Hub, ALPN)?;
    Ok(dial::connect(network, &config.agent.hub, tls).await?)
}

/// A join token's parts that this end needs: the whole is sent to the hub.
fn ca_hash(token: &str) -> Result<[u8; 32], IdentityError> {
    let parts: Vec<&str> = token.split('.').collect();
    let ["berth1", hash, id, secret] = parts.as_slice() else { return Err(IdentityError::Token) };
    if id.is_empty() || secret.is_empty() {
        return Err(IdentityError::Token);
    }
    hash_of(hash).ok_or(IdentityError::Token)
}

/// The bytes of 64 hexadecimal digits.
fn hash_of(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

/// Turns a join token into keys and certificates on this host.
///
/// # Errors
/// Says what is wrong and what to do; a token that the hub has accepted is used up then.
pub async fn join(
    config: &Config,
    network: &impl Network,
    hub: &HubAddress,
    token: &str,
) -> Result<(), IdentityError> {
    let token = token.trim();
    join_with(config, network, hub, (ca_hash(token)?, token), None).await
}

/// What Puppet's agent keeps on this host, as proof of its name.
#[derive(Debug, Clone)]
pub struct Puppet {
    /// Puppet's `ssldir`.
    pub ssl: PathBuf,
    /// The name in its certificate; `None`: the only one that has a key there.
    pub name: Option<String>,
    /// The hash of the hub's key, as `berth-hub key-hash` prints it.
    pub hub_key: String,
}

impl Puppet {
    fn credential(&self) -> Result<Arc<Credential>, IdentityError> {
        let name = match &self.name {
            Some(name) => name.clone(),
            None => self.only_name()?,
        };
        let file = |folder: &str| self.ssl.join(folder).join(format!("{name}.pem"));
        let read = |path: PathBuf| {
            file::read_if_there(&path)?
                .ok_or_else(|| IdentityError::NoPuppet(path.display().to_string()))
        };
        Ok(Credential::new(&read(file("certs"))?, &read(file("private_keys"))?)?)
    }

    fn only_name(&self) -> Result<String, IdentityError> {
        let folder = self.ssl.join("private_keys");
        let found =
            fs::read_dir(&folder).map_err(|error| FileError::new("read", &folder, error))?;
        let names = found.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let names: Vec<_> =
            names.filter_map(|name| name.strip_suffix(".pem").map(str::to_owned)).collect();
        match names.as_slice() {
            [name] => Ok(name.clone()),
            _ => Err(IdentityError::NoPuppet(format!("one key in {}", folder.display()))),
        }
    }
}

/// Turns the host's Puppet certificate into keys and certificates of ours. The hub takes it once.
///
/// # Errors
/// Says what is wrong and what to do.
pub async fn join_by_puppet(
    config: &Config,
    network: &impl Network,
    hub: &HubAddress,
    puppet: &Puppet,
) -> Result<(), IdentityError> {
    let hash = hash_of(puppet.hub_key.trim()).ok_or(IdentityError::HubKey)?;
    let credential = puppet.credential()?;
    join_with(config, network, hub, (hash, "puppet"), Some(credential)).await
}

async fn join_with(
    config: &Config,
    network: &impl Network,
    hub: &HubAddress,
    (hash, token): ([u8; 32], &str),
    credential: Option<Arc<Credential>>,
) -> Result<(), IdentityError> {
    let folder = Folder::new(config);
    folder.make()?;
    let (link_key, tunnel_key) = (KeyPair::generate()?, KeyPair::generate()?);
    // With the CA's hash the hub is authenticated before anything is sent to it.
    let channel = dial::connect(network, hub, tls::joining_config(hash, credential, ALPN)?).await?;
    crash_point!("identity.join.before");
    let answer = EnrolmentClient::new(channel)
        .join(JoinRequest {
            token: token.to_owned(),
            link_csr: csr(&link_key)?,
            tunnel_csr: csr(&tunnel_key)?,
        })
        .await
        .map_err(|status| refused(&status))?
        .into_inner();
    crash_point!("identity.join.after");
    if answer.host != config.agent.name.as_str() {
        return Err(IdentityError::OtherHost {
            certificate: answer.host,
            configured: config.agent.name.clone(),
        });
    }
    let cas = tls::certificates(&answer.ca_pem)?;
    if !cas.iter().any(|ca| public_key_hash(ca).is_ok_and(|found| found == hash)) {
        return Err(IdentityError::Answer("its CA is not the one that the token names"));
    }
    let keys = (link_key.serialize_pem(), tunnel_key.serialize_pem());
    check(config, &answer, &keys.0, &keys.1)?;
    let tunnel = folder.tunnel();
    folder.write(&folder.link_key(), &keys.0)?;
    folder.write(&tunnel.join("tunnel.key"), &keys.1)?;
    write_certificates(&folder, &answer)
}

/// Fetches new certificates if it is time, and puts them in force. `Ok(false)`: it was not time.
///
/// # Errors
/// Says what is wrong; the old certificates stay.
pub async fn renew_if_due(
    config: &Config,
    credential: &Arc<Credential>,
    network: &impl Network,
    now: Timestamp,
) -> Result<bool, IdentityError> {
    let until = credential.peer().map_or(0, |peer| peer.valid_until.as_millis());
    if until.saturating_sub(now.as_millis()) >= RENEW_BELOW_MS {
        return Ok(false);
    }
    let folder = Folder::new(config);
    // The same keys: then certificate and key cannot come apart when the agent dies in between.
    let keys = (read(&folder.link_key())?, read(&folder.tunnel().join("tunnel.key"))?);
    let channel = connect(config, credential, network).await?;
    crash_point!("identity.renew.before");
    let answer = EnrolmentClient::new(channel)
        .renew(RenewRequest {
            link_csr: csr(&KeyPair::from_pem(&keys.0)?)?,
            tunnel_csr: csr(&KeyPair::from_pem(&keys.1)?)?,
        })
        .await
        .map_err(|status| refused(&status))?
        .into_inner();
    crash_point!("identity.renew.after");
    check(config, &answer, &keys.0, &keys.1)?;
    write_certificates(&folder, &answer)?;
    credential.replace(&answer.link_pem, &keys.0)?;
    Ok(true)
}

fn csr(key: &KeyPair) -> Result<Vec<u8>, rcgen::Error> {
    // The hub writes names of its own; an empty request says that none are asked for.
    Ok(CertificateParams::new(Vec::<String>::new())?.serialize_request(key)?.der().to_vec())
}

/// Looks whether certificates belong to our keys and to this host before they replace others.
fn check(
    config: &Config,
    answer: &Certificates,
    link_key: &str,
    tunnel_key: &str,
) -> Result<(), IdentityError> {
    tls::roots(&answer.ca_pem)?;
    for (pem, key) in [(&answer.link_pem, link_key), (&answer.tunnel_pem, tunnel_key)] {
        let peer = Credential::new(pem, key)?.peer();
        let ours = Identity::Host(config.agent.name.clone());
        if peer.is_none_or(|peer| peer.identity != ours) {
            return Err(IdentityError::Answer("a certificate is not for this host"));
        }
    }
    Ok(())
}

fn write_certificates(folder: &Folder, answer: &Certificates) -> Result<(), IdentityError> {
    let tunnel = folder.tunnel();
    folder.write(&tunnel.join("ca.pem"), &answer.ca_pem)?;
    folder.write(&tunnel.join("tunnel.pem"), &answer.tunnel_pem)?;
    folder.write(&folder.ca(), &answer.ca_pem)?;
    folder.write(&folder.link_certificate(), &answer.link_pem)
}

/// A refusal of the hub, in its own words: it knows what to do about it.
fn refused(status: &tonic::Status) -> IdentityError {
    use tonic::Code;
    let words = match (status.message(), status.code()) {
        ("", code) => code.to_string(),
        (words, _) => words.to_owned(),
    };
    let again = matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded);
    let again = if again { "; it may be restarting: try again" } else { "" };
    IdentityError::Refused(format!("{words}{again}"))
}

/// Whether a key file can be read by others than its owner.
pub fn is_exposed(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o077 != 0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_token_pins_the_ca() {
        let hash = "0f".repeat(32);
        assert_eq!(ca_hash(&format!("berth1.{hash}.id.secret")).unwrap(), [15; 32]);
        let short = "0f".repeat(31);
        for bad in [
            String::new(),
            format!("berth2.{hash}.id.secret"),
            format!("berth1.{hash}.id"),
            format!("berth1.{hash}..secret"),
            format!("berth1.{short}.id.secret"),
            format!("berth1.{short}zz.id.secret"),
            format!("berth1.{short}é.id.secret"),
            format!("berth1.{short}+f.id.secret.more"),
        ] {
            assert!(matches!(ca_hash(&bad), Err(IdentityError::Token)), "{bad}");
        }
    }
}
