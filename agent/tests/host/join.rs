//! Joining a site, and staying in it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use berth_proto::identity::Identity;
use berth_proto::tls::Credential;

use super::site::{Ca, Host, Hub, text};

async fn site() -> Hub {
    Hub::start(Arc::new(Ca::new())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_becomes_keys_that_only_root_can_read() {
    let hub = site().await;
    let host = Host::joined(&hub).await;
    let state = host.state();
    for (file, mode) in [
        ("", 0o711),
        ("link.key", 0o600),
        ("link.pem", 0o600),
        ("ca.pem", 0o600),
        ("tunnel", 0o700),
        ("tunnel/tunnel.key", 0o600),
        ("tunnel/tunnel.pem", 0o600),
        ("tunnel/ca.pem", 0o600),
    ] {
        let found = fs::metadata(state.join(file)).unwrap().mode() & 0o777;
        assert_eq!(found, mode, "{file}: {found:o}");
    }
    let read = |name: &str| fs::read_to_string(state.join(name)).unwrap();
    let link = Credential::new(&read("link.pem"), &read("link.key")).unwrap();
    let ours = Identity::Host(host.name.parse().unwrap());
    assert_eq!(link.peer().unwrap().identity, ours);
    assert_ne!(read("link.key"), read("tunnel/tunnel.key"));
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_say_what_to_do() {
    let hub = site().await;
    let host = Host::new(&hub.address);
    let join = async |host: &Host, token: &str| {
        let output = host.output(&["join", token]).await;
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).trim().to_owned()
    };

    let token = hub.token(&host.name);
    assert!(host.output(&["join", &token]).await.status.success());
    let used = join(&host, &token).await;
    assert_eq!(
        used,
        "berth-agent: the hub refuses: this join token was used before or has expired"
    );

    let nonsense = join(&host, "secret").await;
    assert!(nonsense.starts_with("berth-agent: this is no join token"), "{nonsense}");

    let foreign = format!("berth1.{}.id.secret", Ca::new().hash());
    let wrong_ca = join(&host, &foreign).await;
    assert!(wrong_ca.contains("does not prove that it is the hub"), "{wrong_ca}");

    let other = join(&host, &hub.token("another-host")).await;
    let expected =
        format!("the certificate is for host another-host, but agent.toml names {}", host.name);
    assert!(other.contains(&expected), "{other}");

    hub.stop();
    let away = join(&host, &hub.token(&host.name)).await;
    let expected = format!("berth-agent: the hub at {} cannot be reached: ", hub.address);
    assert!(away.starts_with(&expected), "{away}");

    let stranger = Host::new(&hub.address);
    let output = stranger.output(&["run"]).await;
    assert!(text(&output).contains("this host has not joined; run: berth-agent join TOKEN"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_certificate_is_renewed_and_the_link_comes_up() {
    let hub = site().await;
    hub.certificates_live(-1);
    let host = Host::joined(&hub).await;
    let before = fs::read_to_string(host.state().join("link.pem")).unwrap();
    hub.certificates_live(7);
    let _agent = host.agent();
    hub.heard("a heartbeat", |_| true).await;
    let renewals = hub.renewals();
    let ours = Identity::Host(host.name.parse().unwrap());
    assert_eq!(renewals[0].as_ref().unwrap().identity, ours, "proved by the expired certificate");
    assert_ne!(fs::read_to_string(host.state().join("link.pem")).unwrap(), before);
    let tunnel = host.state().join("tunnel");
    let read = |name: &str| fs::read_to_string(tunnel.join(name)).unwrap();
    Credential::new(&read("tunnel.pem"), &read("tunnel.key")).unwrap();
}
