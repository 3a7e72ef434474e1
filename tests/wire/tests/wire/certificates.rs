//! Certificates that are replaced in time, that expire, and that are too old to be renewed.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use berth_agent::identity::{self, Folder};
use berth_common::{HostId, Seconds, Timestamp};
use berth_proto::link::enrolment_client::EnrolmentClient;
use berth_proto::link::link_client::LinkClient;
use berth_proto::link::{Heartbeat, HostWish, RenewRequest};
use berth_proto::tls::Credential;
use berth_wire::network::Cable;
use berth_wire::site::{CONVERGED_WITHIN, Site, days};
use berth_wire::transcript::What;
use berth_wire::{clock, transcript};

use crate::{lost, of, seconds, start_some};

/// Whether it is time is asked once a minute.
const RENEWED_WITHIN: Duration = Duration::from_secs(65);

fn valid_until(site: &Site, host: &HostId) -> Timestamp {
    site.shared.agent(host).unwrap().credential.peer().unwrap().valid_until
}

fn are_fresh(site: &Site, hosts: &[HostId]) -> bool {
    let fresh = clock::now().plus(Seconds(days(6).0));
    hosts.iter().all(|host| valid_until(site, host) > fresh)
}

#[test]
fn certificates_are_replaced_under_living_sessions() {
    let mut site = Site::new(31);
    start_some(&mut site);
    let hosts = site.hosts();
    for _ in 0..3 {
        let begun = site.now_ms();
        clock::leap(Seconds(days(1).0 + 3_600));
        assert!(!are_fresh(&site, &hosts));
        site.until("all are renewed", RENEWED_WITHIN, |site| are_fresh(site, &hosts));
        site.until("all is as before", CONVERGED_WITHIN, |site| site.converged("hub1"));
        assert_eq!(lost(&site, begun), [""; 0], "no link was given up for it");
    }
    // The new ones are good for new sessions, at both ends.
    site.crash("wn04");
    site.boot("wn04");
    site.until("a new session", CONVERGED_WITHIN, |site| site.converged("hub1"));
}

#[test]
fn a_host_whose_certificate_expires_renews_it_and_is_not_lost() {
    let mut site = Site::new(32);
    start_some(&mut site);
    let host: HostId = "wn05".parse().unwrap();
    let others: Vec<HostId> = site.hosts().into_iter().filter(|other| *other != host).collect();
    let (ran, old) = (site.containers(&host), credential(&site, &host));
    site.cut("wn05", "hub1");
    for _ in 0..2 {
        clock::leap(days(4));
        site.until("the others renew", RENEWED_WITHIN, |site| are_fresh(site, &others));
    }
    assert!(valid_until(&site, &host) < clock::now(), "it has expired");

    let said = ask_with(&mut site, "stranger", &host, Some(old));
    let said: Vec<&str> = said.iter().map(String::as_str).collect();
    let expired = "the certificate of wn05 has expired: renew it first";
    assert_eq!(said, [expired, expired, "renewed"], "session, wish and renewal");

    let mended_at = site.now_ms();
    site.mend("wn05", "hub1");
    site.until("it renews", RENEWED_WITHIN, |site| are_fresh(site, std::slice::from_ref(&host)));
    site.until("it is linked", CONVERGED_WITHIN, |site| site.converged("hub1"));
    site.pass(seconds(1));
    let happened: Vec<transcript::What> =
        of(&site, "wn05", mended_at).into_iter().map(|line| line.what).collect();
    let certified = happened.iter().position(|what| matches!(what, What::Certified(_))).unwrap();
    let told = happened.iter().position(|what| matches!(what, What::Told(..))).unwrap();
    assert!(certified <= told, "first the certificate, then orders: {happened:?}");
    assert!(
        happened[..certified]
            .iter()
            .any(|what| matches!(what, What::Away(why) if why.contains(expired))),
        "it was told why: {happened:?}"
    );
    assert_eq!(site.containers(&host), ran, "its servers ran on");
}

#[test]
fn nobody_is_served_without_a_certificate_and_after_ninety_days_hosts_join_anew() {
    let mut site = Site::new(33);
    start_some(&mut site);
    let host: HostId = "wn05".parse().unwrap();
    let said = ask_with(&mut site, "stranger", &host, None);
    let join = "this connection shows no host certificate: join first";
    assert_eq!(said, [join; 3], "session, wish and renewal");

    // A long summer.
    let hosts = site.hosts();
    let ran: Vec<_> = hosts.iter().map(|host| site.containers(host)).collect();
    let old = credential(&site, &host);
    for machine in hosts.iter().map(HostId::as_str).chain(["hub1"]) {
        site.crash(machine);
    }
    clock::leap(days(7 + 91));
    let back_at = site.now_ms();
    for machine in hosts.iter().map(HostId::as_str).chain(["hub1"]) {
        site.boot(machine);
    }
    site.pass(RENEWED_WITHIN);
    let told =
        |site: &Site| site.since(back_at).iter().any(|line| matches!(line.what, What::Told(..)));
    assert!(!told(&site), "nobody is in");
    let said = ask_with(&mut site, "stranger2", &host, Some(old));
    assert!(said[2].contains("join anew with `berth host add wn05`"), "{said:?}");

    site.shared.let_join_anew();
    site.kill("hub1");
    site.restart("hub1");
    site.until("there are tokens", seconds(2), |site| site.shared.hub("hub1").is_some());
    for host in &hosts {
        site.crash(host.as_str());
        site.boot(host.as_str());
    }
    site.until("all are back", CONVERGED_WITHIN, |site| site.converged("hub1"));
    for (host, ran) in hosts.iter().zip(ran) {
        assert_eq!(site.containers(host), ran, "{host} kept its servers");
    }
}

/// A host's certificate and key as they lie on its disk now.
fn credential(site: &Site, host: &HostId) -> Arc<Credential> {
    let config = berth_agent::fake::host::config(host, "hub:8443", &site.shared.folder).unwrap();
    let folder = Folder::new(&config);
    let read = |path| std::fs::read_to_string(path).unwrap();
    Credential::new(&read(folder.link_certificate()), &read(folder.link_key())).unwrap()
}

/// Asks the link port for a session, a wish and a renewal from another machine, and says what
/// came of each.
fn ask_with(
    site: &mut Site,
    machine: &str,
    host: &HostId,
    credential: Option<Arc<Credential>>,
) -> Vec<String> {
    let answers: Arc<Mutex<Vec<String>>> = Arc::default();
    let config = berth_agent::fake::host::config(host, "hub:8443", &site.shared.folder).unwrap();
    let config = Arc::new(config);
    let cable = Cable { host: machine.parse().unwrap(), shared: Arc::clone(&site.shared) };
    let said = Arc::clone(&answers);
    site.add(machine, move || {
        let (config, cable, said) = (Arc::clone(&config), cable.clone(), Arc::clone(&said));
        let credential = credential.clone();
        async move {
            let channel = match &credential {
                Some(credential) => identity::connect(&config, credential, &cable).await?,
                None => connect_as_nobody(&config, &cable).await?,
            };
            let mut link = LinkClient::new(channel.clone());
            let nothing = tokio_stream::empty::<Heartbeat>();
            let session = link.session(nothing).await.map(|_| "linked");
            let wish = HostWish { reason: "because".into(), ..HostWish::default() };
            let wish = link.intend(wish).await.map(|_| "intended");
            let csr = rcgen::CertificateParams::default()
                .serialize_request(&rcgen::KeyPair::generate()?)?;
            let request =
                RenewRequest { link_csr: csr.der().to_vec(), tunnel_csr: csr.der().to_vec() };
            let renewal = EnrolmentClient::new(channel).renew(request).await.map(|_| "renewed");
            let all = [session, wish, renewal].map(|answer| match answer {
                Ok(done) => done.to_owned(),
                Err(status) => status.message().to_owned(),
            });
            said.lock().unwrap().extend(all);
            std::future::pending().await
        }
    });
    site.until("there are answers", seconds(5), |_| !answers.lock().unwrap().is_empty());
    let answers = answers.lock().unwrap();
    answers.clone()
}

async fn connect_as_nobody(
    config: &berth_agent::config::Config,
    cable: &Cable,
) -> anyhow::Result<tonic::transport::Channel> {
    let ca = std::fs::read_to_string(Folder::new(config).ca())?;
    let roots = berth_proto::tls::roots(&ca)?;
    let hub = berth_proto::identity::Identity::Hub;
    let tls = berth_proto::tls::client_config(None, roots, hub, identity::ALPN)?;
    Ok(berth_agent::link::dial::connect(cable, &config.agent.hub, tls).await?)
}
