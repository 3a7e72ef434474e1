//! All that is known of a host's GPUs at one moment, and what it means for placement: which may be
//! given, and who is on them.

use std::collections::BTreeMap;

use berth_common::link::{GpuDevice, GpuFacts, GpuProcess, GpuUse};
use berth_common::{ByteCount, GpuId, ServerId, Timestamp};

use super::owner::Owner;
use super::reading::{Absence, Process, Reading};

/// Rounds come every second. Without one for so long NVML hangs, and nothing is known: neither
/// that the GPUs are idle nor that they are gone.
pub const STALE_MS: u64 = 10_000;

/// What is said then.
const SILENT: &str = "unknown: NVML does not answer, the driver may hang";

/// A process that has just begun may belong to a container that this agent does not know yet, and
/// one that ends is still listed for a moment: so long it is no stranger in reports.
const STRANGER_MS: u64 = 1_500;

/// What is known at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    /// Its number: +1 with each round.
    pub round: u64,
    /// When the last round ended, by the steady clock.
    pub looked: Timestamp,
    /// The driver's version.
    pub driver: String,
    /// Why nothing is known of any GPU.
    pub absence: Option<Absence>,
    /// GPUs that never told their names, in words.
    pub unnamed: Vec<String>,
    /// The GPUs, and instances of split ones, that can be given or could once.
    pub gpus: BTreeMap<GpuId, Gpu>,
}

/// A GPU that can be given, or an instance of a split one.
#[derive(Debug, Clone, PartialEq)]
pub struct Gpu {
    /// The model.
    pub model: String,
    /// Its memory.
    pub memory: ByteCount,
    /// Why nobody may be given it, whoever is on it.
    pub aside: Option<String>,
    /// What an administrator should look at.
    pub warning: Option<String>,
    /// The last reading; `None` while it does not tell.
    pub reading: Option<Reading>,
    /// Use in percent, once it means something.
    pub busy: Option<u32>,
    /// Who is on it.
    pub users: Vec<User>,
    /// The last XID error.
    pub last_xid: Option<u64>,
}

/// A process on a GPU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// On which.
    pub gpu: GpuId,
    /// What NVML says of it.
    pub process: Process,
    /// What the kernel says of it.
    pub owner: Owner,
    /// When it was first seen there, by the steady clock.
    pub since: Timestamp,
}

impl User {
    /// For people. Without numbers that change: what sets a GPU aside is told at once, and kept.
    fn words(&self) -> String {
        let Owner { uid, program, container, .. } = &self.owner;
        let place = match container {
            Some(id) => format!(" in container {}", id.get(..12).unwrap_or(id)),
            None => String::new(),
        };
        format!("{program} (process {}, uid {uid}{place})", self.process.pid)
    }
}

/// The containers of this host's servers by the engine's id, and what each was given.
pub type Holders = BTreeMap<String, Holder>;

/// A container that may be on GPUs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Whose.
    pub server: ServerId,
    /// What it was given.
    pub gpus: Vec<GpuId>,
}

/// How a process stands to the GPU that it is on.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Standing<'a> {
    /// Its server was given that GPU.
    Right(&'a ServerId),
    /// Its server was not.
    Trespass(&'a ServerId),
    /// No server of this host.
    Stranger,
}

fn standing<'a>(user: &User, holders: &'a Holders) -> Standing<'a> {
    let holder = user.owner.container.as_ref().and_then(|id| holders.get(id));
    match holder {
        Some(holder) if holder.gpus.contains(&user.gpu) => Standing::Right(&holder.server),
        Some(holder) => Standing::Trespass(&holder.server),
        None => Standing::Stranger,
    }
}

/// Whose word counts about strangers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// Who is new may be one of ours that is not known yet: for reports.
    Some,
    /// Nobody may be there: for the look just before a start.
    None,
}

impl Picture {
    /// Why nothing is known, when NVML has not answered for too long.
    fn silence(&self, now: Timestamp) -> Option<String> {
        (now.millis_since(self.looked) >= STALE_MS).then(|| SILENT.to_owned())
    }

    /// The same of a library that did not answer when it was asked: nothing may be given on it.
    #[must_use]
    pub fn silent(&self) -> Self {
        Self { absence: Some(Absence::Other(SILENT.to_owned())), ..self.clone() }
    }

    /// Why a GPU may not be given now.
    ///
    /// # Errors
    /// The trouble, for people.
    pub fn can_be_given(
        &self,
        gpu: &GpuId,
        holders: &Holders,
        patience: Patience,
        now: Timestamp,
    ) -> Result<(), String> {
        if let Some(silence) = self.silence(now) {
            return Err(silence);
        }
        if let Some(absence) = &self.absence {
            return Err(absence.to_string());
        }
        let known = self.gpus.get(gpu).ok_or_else(|| format!("this host has no GPU {gpu}"))?;
        if let Some(aside) = &known.aside {
            return Err(aside.clone());
        }
        let is_new =
            |user: &&User| patience == Patience::Some && now.millis_since(user.since) < STRANGER_MS;
        for user in known.users.iter().filter(|user| !is_new(user)) {
            match standing(user, holders) {
                Standing::Right(_) => {}
                Standing::Trespass(server) => {
                    return Err(format!(
                        "used by server {server}, which was not given it: {}",
                        user.words()
                    ));
                }
                Standing::Stranger => {
                    return Err(format!("used by somebody else: {}", user.words()));
                }
            }
        }
        Ok(())
    }

    /// The GPUs for placement.
    pub fn devices(&self, holders: &Holders, now: Timestamp) -> Vec<GpuDevice> {
        let device = |(id, gpu): (&GpuId, &Gpu)| GpuDevice {
            gpu: id.clone(),
            model: gpu.model.clone(),
            memory: gpu.memory,
            trouble: self.can_be_given(id, holders, Patience::Some, now).err(),
        };
        self.gpus.iter().map(device).collect()
    }

    /// How the GPUs are, for people.
    pub fn facts(&self, holders: &Holders, now: Timestamp) -> GpuFacts {
        let mut troubles = Vec::from_iter(self.silence(now));
        match &self.absence {
            // A host that never had a GPU has no trouble with it.
            Some(Absence::None(_)) if self.gpus.is_empty() => {}
            Some(absence) => troubles.push(absence.to_string()),
            None => {}
        }
        troubles.extend(self.unnamed.iter().cloned());
        GpuFacts {
            driver: self.driver.clone(),
            trouble: troubles.join("; "),
            used: self.gpus.iter().map(|(id, gpu)| gpu.used(id, holders)).collect(),
        }
    }
}

impl Gpu {
    fn used(&self, id: &GpuId, holders: &Holders) -> GpuUse {
        let reading = self.reading.as_ref();
        let process = |user: &User| GpuProcess {
            pid: user.process.pid,
            memory: user.process.memory,
            server: match standing(user, holders) {
                Standing::Right(server) | Standing::Trespass(server) => Some(server.clone()),
                Standing::Stranger => None,
            },
            uid: user.owner.uid,
            program: user.owner.program.clone(),
        };
        GpuUse {
            gpu: id.clone(),
            device: reading.and_then(|it| it.minor).map(|minor| format!("nvidia{minor}")),
            board: reading.and_then(|it| it.board),
            busy: self.busy,
            index: reading.map(|it| it.index),
            bus: reading.map(|it| it.bus.clone()).filter(|bus| !bus.is_empty()),
            memory_used: reading.map(|it| it.memory.used()),
            memory_free: reading.map(|it| it.memory.free),
            temperature: reading.and_then(|it| it.temperature),
            power_mw: reading.and_then(|it| it.power),
            clock_mhz: reading.and_then(|it| it.clock),
            ecc_uncorrected: reading.and_then(|it| it.ecc_uncorrected),
            retired: reading.and_then(|it| it.retired),
            remapped: reading.and_then(|it| it.remapped),
            last_xid: self.last_xid,
            warning: self.warning.clone(),
            processes: self.users.iter().map(process).collect(),
        }
    }
}
