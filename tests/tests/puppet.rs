//! A host joins with its Puppet certificate as proof, once: a real link port and a real agent's
//! joining, and an authority laid out as Puppet lays out its `ssldir`.

use std::path::{Path, PathBuf};

use berth_agent::fake::host::config;
use berth_agent::identity::{self, Folder, IdentityError, Puppet};
use berth_agent::link::dial::Tcp;
use berth_common::HostId;
use berth_hub::reload::Configuration;
use berth_hub::{link, serve};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    RevokedCertParams, SerialNumber, date_time_ymd,
};
use tokio::net::TcpListener;

/// What a Puppet server signs with.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    folder: tempfile::TempDir,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "Puppet CA: puppet.example.org");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let pem = params.self_signed(&key).unwrap().pem();
        let authority =
            Self { issuer: Issuer::new(params, key), pem, folder: tempfile::tempdir().unwrap() };
        std::fs::write(authority.ca(), &authority.pem).unwrap();
        authority.revoke(&[]);
        authority
    }

    fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    fn crl(&self) -> PathBuf {
        self.folder.path().join("crl.pem")
    }

    fn revoke(&self, serials: &[u64]) {
        let revoked = serials.iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2026, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2026, 1, 1),
            next_update: date_time_ymd(2060, 1, 1),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        std::fs::write(self.crl(), list.signed_by(&self.issuer).unwrap().pem().unwrap()).unwrap();
    }

    /// The ssldir of a machine whose certificate ends in this year.
    fn machine(&self, name: &str, serial: u64, until: i32) -> tempfile::TempDir {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.serial_number = Some(SerialNumber::from(serial));
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let ssl = tempfile::tempdir().unwrap();
        for (folder, text) in [("certs", certificate.pem()), ("private_keys", key.serialize_pem())]
        {
            let folder = ssl.path().join(folder);
            std::fs::create_dir(&folder).unwrap();
            std::fs::write(folder.join(format!("{name}.pem")), text).unwrap();
        }
        // Puppet's agents keep the authority's certificate beside their own.
        std::fs::write(ssl.path().join("certs/ca.pem"), &self.pem).unwrap();
        ssl
    }
}

/// A hub with the files of examples/site that trusts an authority.
struct Hub {
    address: String,
    key: String,
    _folder: tempfile::TempDir,
}

impl Hub {
    async fn start(puppet: &Authority) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files = folder.path().join("config");
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/site/config"), &files);
        let state = folder.path().join("state");
        let text = format!(
            "version = 1\n[hub]\npublic_url = \"http://127.0.0.1:8010\"\nstate = {state:?}\n\
             [agents]\npuppet_ca = {ca:?}\npuppet_crl = {crl:?}\n",
            ca = puppet.ca(),
            crl = puppet.crl(),
        );
        std::fs::write(files.join("hub.toml"), text).unwrap();
        let (config, configuration) = Configuration::open(&files).unwrap();
        let parts = serve::open(config, configuration).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let key = parts.hub.ca.key_hash().unwrap();
        tokio::spawn(link::serve(parts.hub, listener));
        Self { address, key, _folder: folder }
    }

    /// A host's try to join; what it has then, in a folder of its own.
    async fn join(&self, name: &str, ssl: &Path, key: &str) -> Result<(), IdentityError> {
        let folder = tempfile::tempdir().unwrap();
        let host: HostId = name.parse().unwrap();
        let config = config(&host, &self.address, folder.path()).unwrap();
        let puppet = Puppet { ssl: ssl.to_owned(), name: None, hub_key: key.to_owned() };
        let joined = identity::join_by_puppet(&config, &Tcp, &config.agent.hub, &puppet).await;
        let has = Folder::new(&config).link_certificate().exists();
        assert_eq!(has, joined.is_ok(), "certificates come with success only: {joined:?}");
        if has {
            let credential = identity::link_credential(&config).unwrap();
            let holder = credential.peer().unwrap().identity.to_string();
            assert_eq!(holder, format!("spiffe://berth/host/{name}"));
        }
        joined
    }

    async fn refuses(&self, name: &str, ssl: &Path, words: &str) {
        let error = self.join(name, ssl, &self.key).await.unwrap_err().to_string();
        assert!(error.contains(words), "{name}: {error}");
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

#[tokio::test]
async fn a_host_joins_with_its_puppet_certificate_once() {
    let puppet = Authority::new();
    let hub = Hub::start(&puppet).await;
    let first = puppet.machine("ccjn01.example.org", 1, 2060);

    // Somebody else's hub is not told anything.
    let wrong = "0".repeat(64);
    assert!(hub.join("ccjn01", first.path(), &wrong).await.is_err());
    let malformed = hub.join("ccjn01", first.path(), "abc").await.unwrap_err().to_string();
    assert!(malformed.contains("berth-hub key-hash"), "{malformed}");

    hub.join("ccjn01", first.path(), &hub.key).await.unwrap();
    hub.refuses("ccjn01", first.path(), "was enrolled before").await;

    let stranger = puppet.machine("elsewhere.example.org", 2, 2060);
    hub.refuses("elsewhere", stranger.path(), "no file in hosts.d declares").await;

    // A certificate of another machine gives no other name.
    let second = puppet.machine("ccjn02.example.org", 3, 2060);
    hub.refuses("ccjn03", second.path(), "is for host ccjn02").await;

    puppet.revoke(&[4]);
    let revoked = puppet.machine("ccjn04.example.org", 4, 2060);
    assert!(hub.join("ccjn04", revoked.path(), &hub.key).await.is_err(), "it is revoked");
    let expired = puppet.machine("ccjn04.example.org", 5, 2024);
    assert!(hub.join("ccjn04", expired.path(), &hub.key).await.is_err(), "it has expired");
    let other = Authority::new().machine("ccjn04.example.org", 6, 2060);
    assert!(hub.join("ccjn04", other.path(), &hub.key).await.is_err(), "another authority's");

    // None of them has used up the host's one time.
    let good = puppet.machine("ccjn04.example.org", 7, 2060);
    hub.join("ccjn04", good.path(), &hub.key).await.unwrap();
}

#[tokio::test]
async fn what_puppet_lacks_is_said() {
    let puppet = Authority::new();
    let hub = Hub::start(&puppet).await;
    let empty = tempfile::tempdir().unwrap();
    let error = hub.join("ccjn01", empty.path(), &hub.key).await.unwrap_err().to_string();
    assert!(error.contains("private_keys"), "{error}");
    let machine = puppet.machine("ccjn01.example.org", 1, 2060);
    std::fs::remove_file(machine.path().join("certs/ccjn01.example.org.pem")).unwrap();
    hub.refuses("ccjn01", machine.path(), "certs/ccjn01.example.org.pem is not there").await;
}
