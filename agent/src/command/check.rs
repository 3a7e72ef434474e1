//! `berth-agent check`: is this host ready? Exit code 0, or a list with what to do.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use berth_common::Timestamp;
use berth_process::clock;
use berth_proto::tls::Credential;
use tonic::transport::Channel;

use crate::cgroup;
use crate::config::{self, Config};
use crate::firewall::Wall;
use crate::floors;
use crate::gpu::nvml::Library;
use crate::gpu::reading::{Absence, Source};
use crate::identity::{self, Folder};
use crate::link::dial::{self, Tcp};
use crate::mem;
use crate::registries::{self, Login};
use crate::runtime::Runtime;
use crate::runtime::docker::Docker;

/// A certificate that ends sooner than this was not renewed for days.
const SOON_MS: u64 = 2 * 24 * 3600 * 1000;

/// Clocks that are as far apart as this follow no time server.
const CLOCKS_APART_S: u64 = 10;

/// What was looked at, and what is wrong with it.
type Finding = (String, Result<String, String>);

/// Looks at everything and prints it, a line each.
pub fn check(file: &Path) -> ExitCode {
    let mut findings: Vec<Finding> = Vec::new();
    match config::read(file) {
        Err(error) => findings.push(("configuration".into(), Err(error.to_string()))),
        Ok(config) => {
            findings.push(("configuration".into(), Ok(file.display().to_string())));
            findings.push(("host".into(), Ok(config.agent.name.to_string())));
            match super::runtime() {
                Ok(runtime) => runtime.block_on(look(&config, &mut findings)),
                Err(error) => findings.push(("threads".into(), Err(error.to_string()))),
            }
        }
    }
    let mut code = ExitCode::SUCCESS;
    for (what, found) in findings {
        match found {
            Ok(text) => println!("ok    {what}: {text}"),
            Err(text) => {
                code = ExitCode::FAILURE;
                println!("WRONG {what}: {text}");
            }
        }
    }
    code
}

async fn look(config: &Config, findings: &mut Vec<Finding>) {
    findings.push(("memory".into(), memory(config)));
    findings.push(("cgroups".into(), cgroup::host()));
    findings.push(("pressure".into(), Ok(pressure())));
    certificates(config, findings);
    hub(config, findings).await;
    let docker = Docker::new(config.agent.name.clone(), &config.agent.docker);
    findings.extend(registries(config));
    engine(config, &docker, findings).await;
    limits(config, findings);
    let (firewall, farm) = (config.firewall.clone(), config.farm.clone());
    let wall = Wall::new(config.agent.name.as_str(), firewall, farm);
    findings.push(("firewall".into(), wall.look().await));
    findings.push(("gpus".into(), gpus(config)));
    findings.push(("tunnel".into(), tunnel(config).await));
}

/// What is missing here hurts nobody: a card says less.
fn pressure() -> String {
    match mem::pressure() {
        Some(_) => "the kernel tells how much stands still for want of memory".into(),
        None => "the kernel does not tell; psi=1 on its command line would make it".into(),
    }
}

fn registries(config: &Config) -> Option<Finding> {
    let found = registries::read(config.agent.registries.as_deref()?);
    let words = |known: BTreeMap<String, Login>| {
        let names: Vec<_> = known.into_keys().collect();
        format!("logins for {}", names.join(", "))
    };
    Some(("registries".into(), found.map(words)))
}

fn memory(config: &Config) -> Result<String, String> {
    let host = mem::host();
    match config.agent.memory {
        Some(claimed) if claimed > host.total => Err(format!(
            "[agent] memory = {claimed} is more than this host has ({}): put it right",
            host.total
        )),
        Some(claimed) => Ok(format!("{claimed} of {} for servers", host.total)),
        None => Ok(format!("{}, all for servers", host.total)),
    }
}

fn certificates(config: &Config, findings: &mut Vec<Finding>) {
    let folder = Folder::new(config);
    let link = identity::link_credential(config).map_err(|error| error.to_string());
    findings.push(("link certificate".into(), link.and_then(|held| dates(&held))));
    let tunnel = folder.tunnel();
    let held = || -> Result<_, identity::IdentityError> {
        let pem = identity::read(&tunnel.join("tunnel.pem"))?;
        Ok(Credential::new(&pem, &identity::read(&tunnel.join("tunnel.key"))?)?)
    };
    let held = held().map_err(|error| error.to_string());
    findings.push(("tunnel certificate".into(), held.and_then(|held| dates(&held))));
    for key in [folder.link_key(), tunnel.join("tunnel.key")] {
        if identity::is_exposed(&key) {
            let path = key.display();
            let text = format!("others can read {path}: chmod 600 {path}");
            findings.push(("keys".into(), Err(text)));
        }
    }
}

fn dates(held: &Credential) -> Result<String, String> {
    let until = held.peer().map(|peer| peer.valid_until).unwrap_or_default();
    let now = clock::now();
    if until <= now {
        return Err(format!(
            "expired at {until}; now is {now} here: check the clock; a running agent renews it"
        ));
    }
    if until.millis_since(now) < SOON_MS {
        return Err(format!("ends at {until}: is the agent running, and does it reach the hub?"));
    }
    Ok(format!("until {}", whole_seconds(until)))
}

fn whole_seconds(moment: Timestamp) -> Timestamp {
    Timestamp::from_millis(moment.as_millis().div_euclid(1000).saturating_mul(1000))
}

async fn hub(config: &Config, findings: &mut Vec<Finding>) {
    let dialled = dial_hub(config).await;
    let words = |_: &_| {
        let hub = config.agent.hub.as_str();
        format!("{hub} proves itself, and the clocks agree with the certificates")
    };
    findings.push(("hub".into(), dialled.as_ref().map(words).map_err(Clone::clone)));
    if let Ok(channel) = dialled
        && let Some(theirs) = dial::time_of(channel).await
    {
        findings.push(("clock".into(), clocks(clock::now(), theirs)));
    }
}

/// Whether the two agree, as far as whole seconds and the way between them tell.
fn clocks(ours: Timestamp, theirs: Timestamp) -> Result<String, String> {
    let (ahead, behind) = (ours.millis_since(theirs), theirs.millis_since(ours));
    let off = ahead.max(behind) / 1000;
    if off < CLOCKS_APART_S {
        return Ok("agrees with the hub's".into());
    }
    let where_to = if ahead > behind { "ahead of" } else { "behind" };
    Err(format!(
        "this host is {off} s {where_to} the hub: have both follow a time server (chrony, \
         systemd-timesyncd)"
    ))
}

/// TLS in both directions proves address and CA, and that no clock is off by a certificate's life.
async fn dial_hub(config: &Config) -> Result<Channel, String> {
    let words = |error: identity::IdentityError| error.to_string();
    let credential = identity::link_credential(config).map_err(words)?;
    identity::connect(config, &credential, &Tcp).await.map_err(words)
}

async fn engine(config: &Config, docker: &Docker, findings: &mut Vec<Finding>) {
    let found = match docker.facts().await {
        Ok(facts) => {
            let allowed = config.limits.as_ref().map(|limits| {
                let fits = |image: &&String| crate::policy::allows_image(limits, image);
                facts.images.iter().filter(fits).count()
            });
            let images = allowed.unwrap_or_default();
            findings.push((
                "images".into(),
                if images == 0 {
                    Err("no image on this host may be started; pull or load one".into())
                } else {
                    Ok(format!("{images} may be started"))
                },
            ));
            Ok(format!("Docker {}", facts.version))
        }
        Err(trouble) if trouble.contains("Podman") => Err(format!("{trouble}; see [agent] docker")),
        Err(trouble) => Err(format!("{trouble}; is dockerd running? see [agent] docker")),
    };
    let answers = found.is_ok();
    findings.push(("engine".into(), found));
    if answers {
        programs(config, docker, findings).await;
        let network = docker.network().await;
        findings.push((
            "network".into(),
            network.map(|network| {
                let gateway = network.gateway.map(|gateway| gateway.to_string());
                format!("berth-{}, gateway {}", config.agent.name, gateway.unwrap_or_default())
            }),
        ));
    }
}

/// What makes the containers: old versions have ways out of them.
async fn programs(config: &Config, docker: &Docker, findings: &mut Vec<Finding>) {
    let floors = &config.floors;
    let programs = docker.programs().await.unwrap_or_default();
    let mut judge = |key: &str, found: Option<&String>, floor, holes| {
        let untold = "its version is not told".to_owned();
        let said = found.map_or(Ok(untold), |found| floors::judge(key, found, floor, holes));
        findings.push((key.to_owned(), said));
    };
    judge("runc", programs.get("runc"), floors.runc.as_ref(), Some(&floors::RUNC));
    if let Some(floor) = &floors.engine {
        judge("engine", programs.get("Engine"), Some(floor), None);
    }
    if let Some(toolkit) = floors::toolkit().await {
        judge("toolkit", Some(&toolkit), floors.toolkit.as_ref(), Some(&floors::TOOLKIT));
    }
}

fn limits(config: &Config, findings: &mut Vec<Finding>) {
    let Some(limits) = &config.limits else {
        let text = "there is no section [limits], so nothing may be created here: write one";
        findings.push(("limits".into(), Err(text.into())));
        return;
    };
    for root in &limits.mount_sources {
        // A thread of its own: a dead file server must not hold up the check.
        let (sender, answer) = std::sync::mpsc::channel();
        let path = root.clone();
        std::thread::spawn(move || {
            let is_folder = std::fs::metadata(&path).map(|found| found.is_dir());
            sender.send(is_folder)
        });
        let text = match answer.recv_timeout(std::time::Duration::from_secs(5)) {
            Ok(Ok(true)) => Ok("is there".to_owned()),
            Ok(Ok(false)) => Err("is not a folder; see [limits] mount_sources".to_owned()),
            Ok(Err(error)) => Err(format!("{error}; mount it, or see [limits] mount_sources")),
            Err(_) => Err("does not answer: its file server is away".to_owned()),
        };
        findings.push((root.display().to_string(), text));
    }
    if limits.images.iter().any(|prefix| prefix == "*") {
        findings.push(("limits".into(), Ok("images = \"*\": any image may be started".into())));
    }
}

/// Asks on a thread of its own: a driver that hangs must not hold up the check.
fn gpus(config: &Config) -> Result<String, String> {
    if !config.gpus.manage {
        return Ok("[gpus] manage = false: Berth gives none".into());
    }
    let mut library = Library::new(config.gpus.library.clone());
    let (sender, answer) = std::sync::mpsc::channel();
    std::thread::spawn(move || sender.send(library.round()));
    // With persistence off the driver needs seconds for each GPU.
    let round = match answer.recv_timeout(std::time::Duration::from_secs(30)) {
        Ok(Ok(round)) => round,
        Ok(Err(none @ Absence::None(_))) => return Ok(none.to_string()),
        Ok(Err(other)) => return Err(other.to_string()),
        Err(_) => return Err("NVML does not answer: the driver hangs, reboot the host".into()),
    };
    let sick = round.places.iter().filter_map(|place| {
        let fault = place.found.as_ref().err()?;
        let name = place.gpu.as_ref().map(ToString::to_string);
        Some(format!("{} {fault}", name.unwrap_or_else(|| format!("number {}", place.index))))
    });
    let sick: Vec<_> = sick.collect();
    if !sick.is_empty() {
        return Err(sick.join("; "));
    }
    let here = |wanted: &berth_common::GpuId| {
        round.places.iter().filter_map(|place| place.found.as_ref().ok()).any(|found| {
            let parts = found.instances.iter().flatten();
            std::iter::once(&found.device).chain(parts).any(|it| it.gpu == *wanted)
        })
    };
    if let Some(missing) = config.gpus.only.iter().find(|wanted| !here(wanted)) {
        return Err(format!("[gpus] only names {missing}, which is not in this host"));
    }
    Ok(format!("{} with driver {}", round.places.len(), round.driver))
}

async fn tunnel(config: &Config) -> Result<String, String> {
    let path = crate::tunnel::table::socket(&config.agent.run);
    match tokio::net::UnixStream::connect(&path).await {
        Ok(_) => Ok(format!("listens on {}", config.agent.tunnel.listen)),
        Err(error) => Err(format!(
            "no tunnel at {}: {error}; start berth-agent-tunnel, users reach no server without it",
            path.display()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_that_are_apart_are_told_with_the_way_to_put_them_right() {
        let at = |second: i64| Timestamp::from_millis(1_000_000_000_000 + second * 1000);
        for (ours, theirs) in [(0, 0), (9, 0), (0, 9)] {
            assert!(clocks(at(ours), at(theirs)).is_ok(), "{ours} {theirs}");
        }
        assert!(clocks(at(90), at(0)).is_err_and(|it| it.contains("90 s ahead of the hub")));
        assert!(clocks(at(0), at(90)).is_err_and(|it| it.contains("90 s behind the hub")));
    }
}
