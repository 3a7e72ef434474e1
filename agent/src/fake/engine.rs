//! The containers of one fake host: made, started and ended in memory, and kept in a file, so that
//! they outlive the process as Docker's containers outlive an agent.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use berth_common::link::{Ending, GpuProcess, GpuUse, Kill, Limit, Origin, Usage, Victim};
use berth_common::{
    BootId, ByteCount, DecisionId, Epoch, Generation, GpuId, GpuPart, Reason, ServerId, ServerName,
    Timestamp, Username,
};
use berth_process::file::{self, FileError};
use berth_proto::link::{HostAnswer, Question};
use serde::{Deserialize, Serialize};

use crate::fake::answer;
use crate::fake::nature::{Life, Nature};
use crate::reconcile::{Act, Container, ContainerState, Measured, Operation, Outcome, Remains};

/// Nobody listens there: users are not led to fake servers, unless the inventory says where.
const NOWHERE: std::net::SocketAddr =
    std::net::SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9);

/// One host's containers.
#[derive(Debug)]
pub struct Engine {
    nature: Nature,
    boot: BootId,
    gpus: Vec<GpuId>,
    file: PathBuf,
    address: std::net::SocketAddr,
    made: u64,
    containers: BTreeMap<String, Made>,
}

#[derive(Debug)]
struct Made {
    kept: Kept,
    life: Life,
    highest: ByteCount,
    cpu_us: u64,
    looked: Timestamp,
}

/// What is written down of a container.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Kept {
    id: String,
    server: ServerId,
    generation: Generation,
    epoch: Epoch,
    user: Username,
    name: ServerName,
    profile: String,
    memory: ByteCount,
    gpus: Vec<GpuPart>,
    decision: Option<DecisionId>,
    prefix: String,
    started: Option<Timestamp>,
    /// The boot that it was made in.
    #[serde(default)]
    boot: Option<BootId>,
    /// The exit code, and whether memory ran out.
    ended: Option<(i64, bool)>,
}

/// Where a host's containers are remembered, in its state folder.
pub fn file(state: &Path) -> PathBuf {
    state.join("containers.json")
}

impl Engine {
    /// The host's GPUs.
    pub fn gpus(&self) -> &[GpuId] {
        &self.gpus
    }

    /// The containers that the file remembers.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn open(
        nature: Nature,
        boot: BootId,
        gpus: Vec<GpuId>,
        file: PathBuf,
    ) -> Result<Self, FileError> {
        let text = file::read_if_there(&file)?.unwrap_or_else(|| "[]".into());
        let kept: Vec<Kept> = serde_json::from_str(&text)
            .map_err(|error| FileError::new("read", &file, error.into()))?;
        let mut engine = Self {
            nature,
            boot,
            gpus,
            file,
            address: NOWHERE,
            made: 0,
            containers: BTreeMap::new(),
        };
        for mut kept in kept {
            if kept.runs() && kept.boot.as_ref().is_some_and(|boot| *boot != engine.boot) {
                kept.ended = Some((137, false));
            }
            engine.insert(kept);
        }
        Ok(engine)
    }

    /// Its servers listen there.
    pub fn listen_at(&mut self, address: std::net::SocketAddr) {
        self.address = address;
    }

    fn insert(&mut self, kept: Kept) {
        let life = Life::of(&self.nature, &kept.server, kept.generation);
        let number = u64::from_str_radix(&kept.id, 16).unwrap_or_default();
        self.made = self.made.max(number);
        let looked = kept.started.unwrap_or_default();
        let made = Made { life, highest: ByteCount::ZERO, cpu_us: 0, looked, kept };
        self.containers.insert(made.kept.id.clone(), made);
    }

    fn save(&self) {
        let kept: Vec<&Kept> = self.containers.values().map(|made| &made.kept).collect();
        let text = serde_json::to_vec(&kept).unwrap_or_default();
        if let Err(error) = file::replace(&self.file, &text, 0o600) {
            tracing::error!("the fake containers are not remembered: {error}");
        }
    }

    /// All containers, as an engine lists them.
    pub fn list(&self) -> Vec<Container> {
        self.containers.values().map(|made| made.kept.container(&self.boot, self.address)).collect()
    }

    /// Seconds from this moment until a running container answers.
    pub fn answers_in(&self, container: &str, now: Timestamp) -> f64 {
        self.containers
            .get(container)
            .map_or(0.0, |made| (made.life.answers_after - made.age(now)).max(0.0))
    }

    /// Ends the servers whose time has come.
    pub fn pass(&mut self, now: Timestamp) {
        let mut ended = false;
        for made in self.containers.values_mut() {
            let due = made.life.end.filter(|end| made.kept.runs() && made.age(now) >= end.after);
            if let Some(end) = due {
                made.kept.ended = Some((if end.oom { 137 } else { 1 }, end.oom));
                ended = true;
            }
        }
        if ended {
            self.save();
        }
    }

    /// Does at once what the keeper wants done.
    pub fn act(&mut self, operation: &Operation, act: &Act, now: Timestamp) -> Outcome {
        let outcome = match act {
            Act::Create { epoch, spec } => {
                let origin = &spec.origin;
                if let Some(part) = origin.gpus.iter().find(|part| !self.gpus.contains(&part.gpu)) {
                    let detail = format!("{}: this fake host has no such GPU", part.gpu);
                    return Outcome::Failed(Ending { reason: Reason::FailedGpu, detail });
                }
                if self.containers.values().any(|made| made.kept.server == operation.server) {
                    return Outcome::Conflict;
                }
                let id = format!("{:08x}", self.made.saturating_add(1));
                self.insert(Kept {
                    id: id.clone(),
                    server: operation.server.clone(),
                    generation: operation.generation,
                    epoch: *epoch,
                    user: origin.user.clone(),
                    name: origin.server_name.clone(),
                    profile: origin.profile.clone(),
                    memory: origin.memory,
                    gpus: origin.gpus.clone(),
                    decision: origin.decision.clone(),
                    prefix: spec.prefix.clone(),
                    started: None,
                    boot: Some(self.boot.clone()),
                    ended: None,
                });
                Outcome::Created { container: id }
            }
            Act::Start { container } => {
                let address = Some(self.address);
                self.change(container, |made| {
                    made.kept.started = Some(now);
                    made.looked = now;
                    Outcome::Started { address }
                })
            }
            Act::Resize { container, limit } => self.change(container, |made| {
                let used = made.life.used(made.age(now), made.kept.memory);
                let least = Limit::least(used);
                if limit.memory < made.kept.memory && limit.memory < least {
                    let detail = format!("It uses {used} now. Ask for {least} or more.");
                    return Outcome::Failed(Ending { reason: Reason::RefusedInUse, detail });
                }
                made.kept.memory = limit.memory;
                Outcome::Resized
            }),
            Act::Stop { container, .. } => self.change(container, |made| {
                made.kept.ended.get_or_insert((143, false));
                Outcome::Stopped
            }),
            Act::Remove { container } => match self.containers.remove(container) {
                Some(_) => Outcome::Removed,
                None => Outcome::Gone,
            },
            Act::Examine { container } => {
                let found = self.containers.get(container);
                return found.map_or(Outcome::Gone, |made| Outcome::Examined(made.remains(now)));
            }
        };
        self.save();
        outcome
    }

    fn change(&mut self, id: &str, change: impl FnOnce(&mut Made) -> Outcome) -> Outcome {
        self.containers.get_mut(id).map_or(Outcome::Gone, change)
    }

    /// What it says of a server when the hub asks.
    ///
    /// # Errors
    /// When it has no such server.
    pub fn answer(&self, question: Question) -> Result<HostAnswer, String> {
        let is_asked = |kept: &Kept| {
            kept.server.as_str() == question.server && kept.generation.0 == question.generation
        };
        let mut all = self.containers.values().map(|made| &made.kept);
        let kept = all.find(|kept| is_asked(kept));
        let kept = kept.ok_or("the server has no container on this host")?;
        answer::about(question.what, kept.started.unwrap_or_default(), &kept.prefix)
    }

    /// What is measured of the running ones.
    pub fn measure(&mut self, now: Timestamp) -> BTreeMap<ServerId, Measured> {
        let running = self.containers.values_mut().filter(|made| made.kept.runs());
        running.map(|made| (made.kept.server.clone(), made.measure(now))).collect()
    }

    /// How the host's GPUs are used, each `memory` large.
    pub fn gpu_use(&self, now: Timestamp, memory: ByteCount) -> Vec<GpuUse> {
        let one = |(at, gpu): (usize, &GpuId)| {
            let on = |made: &&Made| {
                made.kept.runs() && made.kept.gpus.iter().any(|part| part.gpu == *gpu)
            };
            let holders: Vec<&Made> = self.containers.values().filter(on).collect();
            let busy = holders.iter().map(|made| made.life.gpu_busy(made.age(now))).max();
            let busy = busy.unwrap_or_default();
            let held = ByteCount(memory.0 / 100 * u64::from(busy));
            let at = u32::try_from(at).unwrap_or_default();
            let process = |made: &Made| GpuProcess {
                pid: 10_000_u32.saturating_add(at),
                memory: Some(held),
                server: Some(made.kept.server.clone()),
                uid: 0,
                program: "python3".into(),
            };
            GpuUse {
                device: Some(format!("nvidia{at}")),
                index: Some(at),
                board: Some(at / 2),
                busy: Some(busy),
                memory_used: Some(held),
                temperature: Some(31_u32.saturating_add(busy / 3)),
                power_mw: Some(27_000_u32.saturating_add(busy.saturating_mul(1_100))),
                ecc_uncorrected: Some(0),
                processes: holders.into_iter().filter(|_| busy > 0).map(process).collect(),
                ..GpuUse::unknown(gpu.clone())
            }
        };
        self.gpus.iter().enumerate().map(one).collect()
    }
}

impl Kept {
    fn runs(&self) -> bool {
        self.started.is_some() && self.ended.is_none()
    }

    fn container(&self, boot: &BootId, address: std::net::SocketAddr) -> Container {
        let state = match (self.started, self.ended) {
            (_, Some((code, _))) => ContainerState::Exited { code },
            (Some(_), None) => ContainerState::Running { address: Some(address) },
            (None, None) => ContainerState::Created,
        };
        Container {
            id: self.id.clone(),
            server: self.server.clone(),
            generation: self.generation,
            epoch: self.epoch,
            boot: self.boot.as_ref().unwrap_or(boot).clone(),
            origin: Origin {
                user: self.user.clone(),
                server_name: self.name.clone(),
                profile: self.profile.clone(),
                memory: self.memory,
                gpus: self.gpus.clone(),
                decision: self.decision.clone(),
            },
            prefix: self.prefix.clone(),
            left_out: Vec::new(),
            state,
        }
    }
}

impl Made {
    /// Seconds since its start.
    fn age(&self, now: Timestamp) -> f64 {
        self.kept.started.map_or(0.0, |started| now.millis_since(started) as f64 / 1000.0)
    }

    fn measure(&mut self, now: Timestamp) -> Measured {
        let (age, limit) = (self.age(now), self.kept.memory);
        let used = self.life.used(age, limit);
        // A minute back, as the meter of a real host looks.
        let lately = [0.0, 20.0, 40.0, 60.0].map(|back| self.life.used(age - back, limit));
        let lately = lately.into_iter().max().unwrap_or(used);
        self.highest = self.highest.max(lately);
        let cpu_milli = self.life.cpu_milli(age);
        let passed = now.millis_since(self.looked);
        self.cpu_us = self.cpu_us.saturating_add(passed.saturating_mul(u64::from(cpu_milli)));
        self.looked = now;
        Measured {
            container: self.kept.id.clone(),
            used,
            usage: Usage {
                memory_lately: lately,
                memory_highest: self.highest,
                cpu_us: self.cpu_us,
                cpu_milli,
                ..Usage::default()
            },
            limit: Some(limit),
            largest: None,
            kills: Vec::new(),
        }
    }

    fn remains(&self, now: Timestamp) -> Remains {
        let (code, oom) = self.kept.ended.unwrap_or_default();
        let limit = self.kept.memory;
        let victim = Victim {
            name: "python3".into(),
            notebook: "analysis.ipynb".into(),
            kernel: String::new(),
            memory: limit,
        };
        let kill = oom.then_some(Kill {
            number: 1,
            at: now,
            victim: Some(victim),
            highest: limit,
            limit,
            by_host: false,
        });
        Remains { code, oom, kill, again: false, log: String::new() }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn containers_outlive_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let open = || {
            let boot = "boot".parse().unwrap();
            let file = folder.path().join("containers.json");
            Engine::open(Nature::default(), boot, Vec::new(), file).unwrap()
        };
        let mut engine = open();
        assert!(engine.list().is_empty());
        let kept = Kept {
            id: "00000001".into(),
            server: ServerId::from_random(1),
            generation: Generation(3),
            epoch: Epoch(1),
            user: "alice".parse().unwrap(),
            name: "".parse().unwrap(),
            profile: "cpu".into(),
            memory: ByteCount(1 << 30),
            gpus: Vec::new(),
            decision: None,
            prefix: "/user/alice/".into(),
            started: None,
            boot: None,
            ended: None,
        };
        engine.insert(kept);
        let now = Timestamp(1_000_000);
        let operation =
            Operation { server: ServerId::from_random(1), generation: Generation(3), number: 1 };
        let start = Act::Start { container: "00000001".into() };
        assert!(matches!(engine.act(&operation, &start, now), Outcome::Started { .. }));
        let mut again = open();
        assert_eq!(again.list(), engine.list());
        assert_eq!(again.measure(now), engine.measure(now));
        let remove = Act::Remove { container: "00000001".into() };
        assert_eq!(again.act(&operation, &remove, now), Outcome::Removed);
        assert!(open().list().is_empty());
    }
}
