//! One host: the agent's link, joining and renewing on a fake host.

use std::sync::Arc;
use std::time::Duration;

use berth_agent::driver::{INPUTS, Input};
use berth_agent::fake::host::{FakeHost, config};
use berth_agent::fake::inventory::Hosts;
use berth_agent::fake::nature::Nature;
use berth_agent::identity::{self, Folder};
use berth_agent::link::{self, LinkState, Outside};
use berth_common::{ByteCount, HostId};
use berth_proto::tls::Credential;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use crate::network::Cable;
use crate::shared::{Agent, Shared};
use crate::transcript::{Transcript, What};

/// The memory of each.
pub const MEMORY: ByteCount = ByteCount(64 << 30);

/// Lives until the machine goes down.
///
/// # Errors
/// When the host's state cannot be used.
pub async fn live(shared: Arc<Shared>, name: HostId) -> turmoil::Result {
    let config = Arc::new(config(&name, "hub:8443", &shared.folder)?);
    let network = Cable { host: name.clone(), shared: Arc::clone(&shared) };
    // As an administrator would: again and again, until it has joined.
    loop {
        match shared.token(&name) {
            Some(token) => {
                match identity::join(&config, &network, &config.agent.hub, &token).await {
                    Ok(()) => {
                        shared.log.note(name.as_str(), What::Joined);
                        shared.hand(&name, None);
                        break;
                    }
                    Err(error) => {
                        shared.log.note(name.as_str(), What::NotJoined(error.to_string()));
                    }
                }
            }
            None if Folder::new(&config).link_certificate().exists() => break,
            None => {}
        }
        sleep(Duration::from_secs(1)).await;
    }
    let credential = identity::link_credential(&config)?;
    let mut chance = StdRng::seed_from_u64(shared.chance());
    let nature = Nature { answer_s: 1, ends_after_days: 0, ..Nature::default() };
    let (host, reports) = FakeHost::open(Arc::clone(&config), has(&name), nature, &mut chance)?;
    let agent = Agent { credential: Arc::clone(&credential), reports: reports.clone() };
    shared.set_agent(&name, agent);
    let (inputs, heard) = mpsc::channel(INPUTS);
    let (passed_on, received) = mpsc::channel(INPUTS);
    let state = watch::Sender::new(LinkState::Away("not linked yet".into()));
    let log = &shared.log;
    let known = Arc::clone(&credential);
    tokio::spawn(listen(log.clone(), name.clone(), known, heard, passed_on));
    tokio::spawn(follow(log.clone(), name, state.subscribe()));
    tokio::spawn(link::renew(Arc::clone(&config), Arc::clone(&credential), network.clone()));
    let outside = Outside { network, chance };
    tokio::spawn(link::keep(config, credential, outside, reports, inputs, state));
    host.run(received).await;
    Ok(())
}

fn has(name: &HostId) -> Hosts {
    Hosts {
        names: vec![name.clone()],
        memory: MEMORY,
        cpus: 16,
        images: vec!["nb:1".into()],
        gpus: None,
        answers: None,
        boots: 0,
    }
}

/// Notes new certificates, and what the hub says on its way to the host.
async fn listen(
    log: Transcript,
    name: HostId,
    credential: Arc<Credential>,
    mut heard: mpsc::Receiver<Input>,
    passed_on: mpsc::Sender<Input>,
) {
    let mut certified = None;
    let mut often = tokio::time::interval(Duration::from_millis(500));
    loop {
        let input = tokio::select! {
            biased;
            input = heard.recv() => input.map(Some),
            _ = often.tick() => Some(None),
        };
        let Some(input) = input else { return };
        let until = credential.peer().map(|peer| peer.valid_until.as_millis() / 1000);
        if let Some(until) = until.filter(|until| certified != Some(*until)) {
            certified = Some(until);
            log.note(name.as_str(), What::Certified(until));
        }
        let Some(input) = input else { continue };
        if let Input::Desired(set) = &input {
            let servers = set.servers.keys().cloned().collect();
            log.note(name.as_str(), What::Told(set.revision, servers));
        }
        if passed_on.send(input).await.is_err() {
            return;
        }
    }
}

/// Notes what the link takes itself for.
async fn follow(log: Transcript, name: HostId, mut state: watch::Receiver<LinkState>) {
    while state.changed().await.is_ok() {
        let what = match &*state.borrow_and_update() {
            LinkState::Up => What::Linked,
            LinkState::Away(why) => What::Away(why.clone()),
        };
        log.note(name.as_str(), what);
    }
}
