//! Wire messages to and from the types of `berth_common::link`. Strings of the other side become
//! checked ids here; what does not pass never reaches a planner.

use berth_common::id::BadId;
use berth_common::link::{
    Account, Capacity, CpuShare, Desired, DesiredSet, Ending, GpuDevice, GpuFacts, GpuProcess,
    GpuUse, Group, HostFacts, Limit, Observed, ObservedState, Origin, Pending, PortRange,
    RemappedRows, Report, RetiredPages, RunSpec, StartStep, StepDone, Verdict,
};
use berth_common::{ByteCount, Epoch, Generation, GpuPart, Incarnation, Revision, Timestamp};

use crate::link as wire;

mod measured;
mod spaces;

/// Longest text of an agent that is kept, in bytes: the rest is cut, since it goes to pages and logs.
const TEXT_MAX: usize = 2_000;

/// Why a message of the other side cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadMessage {
    /// An id breaks its rule.
    #[error(transparent)]
    Id(#[from] BadId),
    /// A required part is not there.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A value is not one of those known.
    #[error("{0} has an unknown value")]
    Unknown(&'static str),
}

impl From<Revision> for wire::Revision {
    fn from(revision: Revision) -> Self {
        Self { epoch: revision.epoch.0, seq: revision.seq }
    }
}

fn revision(message: Option<wire::Revision>) -> Revision {
    message.map_or_else(Revision::default, |r| Revision { epoch: Epoch(r.epoch), seq: r.seq })
}

fn text(mut text: String) -> String {
    if text.len() > TEXT_MAX {
        let cut = (0..=TEXT_MAX).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(cut);
    }
    text
}

impl From<Report> for wire::Heartbeat {
    fn from(report: Report) -> Self {
        let (engine_known, engine_trouble, observed) = match report.engine {
            Ok(observed) => (true, String::new(), observed),
            Err(trouble) => (false, trouble, Vec::new()),
        };
        Self {
            incarnation: report.incarnation.0,
            boot_id: report.boot_id.to_string(),
            sent_ms: report.sent.as_millis(),
            applied: Some(report.applied.into()),
            engine_known,
            engine_trouble,
            observed: observed.into_iter().map(Into::into).collect(),
            pending: report
                .pending
                .into_iter()
                .map(|pending| wire::Pending {
                    server: pending.server.to_string(),
                    generation: pending.generation.0,
                    operation: pending.operation.to_owned(),
                    percent: pending.percent,
                })
                .collect(),
            capacity: Some(wire::Capacity {
                memory_total: report.capacity.memory_total.0,
                memory_free: report.capacity.memory_free.0,
                cpus: report.capacity.cpus,
                memory_pressure: report.capacity.memory_pressure,
            }),
            agent_version: report.facts.agent_version,
            engine_version: report.facts.engine_version,
            images: report.facts.images,
            builds: report.facts.builds.into_iter().collect(),
            offered: report.facts.offered.into_iter().collect(),
            gpus: report.gpus.into_iter().map(Into::into).collect(),
            gpu_facts: Some(report.facts.gpus.into()),
            load: report.facts.load,
            farm: report.facts.farm.map(|range| wire::PortRange {
                first: range.first.into(),
                last: range.last.into(),
            }),
            spaces: report.spaces.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<wire::Heartbeat> for Report {
    type Error = BadMessage;

    fn try_from(message: wire::Heartbeat) -> Result<Self, BadMessage> {
        let capacity = message.capacity.ok_or(BadMessage::Missing("capacity"))?;
        let engine = if message.engine_known {
            Ok(message.observed.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?)
        } else {
            Err(text(message.engine_trouble))
        };
        let pending = message.pending.into_iter().map(|pending| {
            Ok(Pending {
                server: pending.server.parse()?,
                generation: Generation(pending.generation),
                operation: match pending.operation.as_str() {
                    "fetch" => "fetch",
                    "create" => "create",
                    "start" => "start",
                    "stop" => "stop",
                    "remove" => "remove",
                    "resize" => "resize",
                    _ => return Err(BadMessage::Unknown("operation")),
                },
                percent: pending.percent.filter(|percent| *percent <= 100),
            })
        });
        Ok(Self {
            incarnation: Incarnation(message.incarnation),
            boot_id: message.boot_id.parse()?,
            sent: Timestamp::from_millis(message.sent_ms),
            applied: revision(message.applied),
            engine,
            pending: pending.collect::<Result<_, BadMessage>>()?,
            capacity: Capacity {
                memory_total: ByteCount(capacity.memory_total),
                memory_free: ByteCount(capacity.memory_free),
                cpus: capacity.cpus,
                memory_pressure: capacity.memory_pressure,
            },
            gpus: message.gpus.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            spaces: message
                .spaces
                .into_iter()
                .take(spaces::SPACES_MAX)
                .map(TryInto::try_into)
                .collect::<Result<_, _>>()?,
            facts: HostFacts {
                agent_version: text(message.agent_version),
                engine_version: text(message.engine_version),
                images: message.images.into_iter().map(text).collect(),
                builds: message
                    .builds
                    .into_iter()
                    .map(|(name, build)| (text(name), text(build)))
                    .collect(),
                offered: message
                    .offered
                    .into_iter()
                    .take(spaces::IMAGES_MAX)
                    .map(|(name, build)| (text(name), text(build)))
                    .collect(),
                gpus: message.gpu_facts.unwrap_or_default().try_into()?,
                load: message.load,
                farm: message.farm.map(port_range).transpose()?,
            },
        })
    }
}

fn port_range(range: wire::PortRange) -> Result<PortRange, BadMessage> {
    let port = |port| u16::try_from(port).map_err(|_| BadMessage::Unknown("port"));
    Ok(PortRange { first: port(range.first)?, last: port(range.last)? })
}

impl From<GpuDevice> for wire::Gpu {
    fn from(device: GpuDevice) -> Self {
        Self {
            id: device.gpu.to_string(),
            model: device.model,
            memory: device.memory.0,
            trouble: device.trouble.unwrap_or_default(),
        }
    }
}

impl TryFrom<wire::Gpu> for GpuDevice {
    type Error = BadMessage;

    fn try_from(message: wire::Gpu) -> Result<Self, BadMessage> {
        Ok(Self {
            gpu: message.id.parse()?,
            model: text(message.model),
            memory: ByteCount(message.memory),
            trouble: Some(text(message.trouble)).filter(|trouble| !trouble.is_empty()),
        })
    }
}

impl From<GpuFacts> for wire::GpuFacts {
    fn from(facts: GpuFacts) -> Self {
        Self {
            driver: facts.driver,
            trouble: facts.trouble,
            used: facts.used.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<wire::GpuFacts> for GpuFacts {
    type Error = BadMessage;

    fn try_from(message: wire::GpuFacts) -> Result<Self, BadMessage> {
        Ok(Self {
            driver: text(message.driver),
            trouble: text(message.trouble),
            used: message.used.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
        })
    }
}

impl From<GpuUse> for wire::GpuUse {
    fn from(used: GpuUse) -> Self {
        let process = |it: GpuProcess| wire::GpuProcess {
            pid: it.pid,
            memory: it.memory.map(|memory| memory.0),
            server: it.server.map(String::from).unwrap_or_default(),
            uid: it.uid,
            program: it.program,
        };
        Self {
            id: used.gpu.to_string(),
            device: used.device,
            board: used.board,
            busy: used.busy,
            memory_used: used.memory_used.map(|memory| memory.0),
            temperature: used.temperature,
            power_mw: used.power_mw,
            ecc_uncorrected: used.ecc_uncorrected,
            index: used.index,
            bus: used.bus,
            memory_free: used.memory_free.map(|memory| memory.0),
            clock_mhz: used.clock_mhz,
            retired: used.retired.map(|it| wire::RetiredPages {
                single_bit: it.single_bit,
                double_bit: it.double_bit,
                pending: it.pending,
            }),
            remapped: used.remapped.map(|it| wire::RemappedRows {
                correctable: it.correctable,
                uncorrectable: it.uncorrectable,
                pending: it.pending,
                failed: it.failed,
            }),
            last_xid: used.last_xid,
            warning: used.warning,
            processes: used.processes.into_iter().map(process).collect(),
        }
    }
}

impl TryFrom<wire::GpuUse> for GpuUse {
    type Error = BadMessage;

    fn try_from(message: wire::GpuUse) -> Result<Self, BadMessage> {
        let process = |it: wire::GpuProcess| -> Result<GpuProcess, BadMessage> {
            Ok(GpuProcess {
                pid: it.pid,
                memory: it.memory.map(ByteCount),
                server: match it.server.as_str() {
                    "" => None,
                    id => Some(id.parse()?),
                },
                uid: it.uid,
                program: text(it.program),
            })
        };
        Ok(Self {
            gpu: message.id.parse()?,
            device: message.device.map(text),
            board: message.board,
            busy: message.busy,
            memory_used: message.memory_used.map(ByteCount),
            temperature: message.temperature,
            power_mw: message.power_mw,
            ecc_uncorrected: message.ecc_uncorrected,
            index: message.index,
            bus: message.bus.map(text),
            memory_free: message.memory_free.map(ByteCount),
            clock_mhz: message.clock_mhz,
            retired: message.retired.map(|it| RetiredPages {
                single_bit: it.single_bit,
                double_bit: it.double_bit,
                pending: it.pending,
            }),
            remapped: message.remapped.map(|it| RemappedRows {
                correctable: it.correctable,
                uncorrectable: it.uncorrectable,
                pending: it.pending,
                failed: it.failed,
            }),
            last_xid: message.last_xid,
            warning: message.warning.map(text),
            processes: message.processes.into_iter().map(process).collect::<Result<_, _>>()?,
        })
    }
}

impl From<GpuPart> for wire::GpuPart {
    fn from(part: GpuPart) -> Self {
        Self { id: part.gpu.to_string(), milli: part.milli }
    }
}

impl TryFrom<wire::GpuPart> for GpuPart {
    type Error = BadMessage;

    fn try_from(message: wire::GpuPart) -> Result<Self, BadMessage> {
        match message.milli {
            milli @ 1..=1000 => Ok(Self { gpu: message.id.parse()?, milli }),
            _ => Err(BadMessage::Unknown("part of a GPU")),
        }
    }
}

impl From<Observed> for wire::Observed {
    fn from(observed: Observed) -> Self {
        let (state, ending) = match observed.state {
            ObservedState::Created => (wire::State::Created, None),
            ObservedState::Running => (wire::State::Running, None),
            ObservedState::Ready => (wire::State::Ready, None),
            ObservedState::Stopping => (wire::State::Stopping, None),
            ObservedState::Exited(ending) => (wire::State::Exited, Some(ending)),
            ObservedState::Failed(ending) => (wire::State::Failed, Some(ending)),
        };
        let (reason, detail) =
            ending.map_or_else(Default::default, |e| (e.reason.code().to_owned(), e.detail));
        Self {
            server: observed.server.to_string(),
            generation: observed.generation.0,
            epoch: observed.epoch.0,
            state: state.into(),
            reason,
            detail,
            steps: observed
                .steps
                .iter()
                .map(|done| wire::StepDone {
                    name: done.step.name().into(),
                    at_ms: done.at.as_millis(),
                })
                .collect(),
            memory_used: observed.memory_used.0,
            usage: Some(observed.usage.into()),
            limit: observed.limit.map_or(0, |limit| limit.0),
            resize_refused: observed.resize_refused.map(Into::into),
            kills: observed.kills.into_iter().map(Into::into).collect(),
            left_out: observed.left_out,
            origin: Some(wire::Origin {
                user: observed.origin.user.to_string(),
                server_name: observed.origin.server_name.to_string(),
                profile: observed.origin.profile,
                memory: observed.origin.memory.0,
                decision: observed.origin.decision.map(String::from).unwrap_or_default(),
                gpus: observed.origin.gpus.into_iter().map(Into::into).collect(),
            }),
        }
    }
}

impl TryFrom<wire::Observed> for Observed {
    type Error = BadMessage;

    fn try_from(message: wire::Observed) -> Result<Self, BadMessage> {
        let origin = message.origin.ok_or(BadMessage::Missing("origin"))?;
        let state =
            wire::State::try_from(message.state).map_err(|_| BadMessage::Unknown("state"))?;
        let ending = |reason: String, detail: String| -> Result<Ending, BadMessage> {
            Ok(Ending {
                reason: reason.parse().map_err(|_| BadMessage::Unknown("reason"))?,
                detail: text(detail),
            })
        };
        let state = match state {
            wire::State::Unspecified => return Err(BadMessage::Unknown("state")),
            wire::State::Created => ObservedState::Created,
            wire::State::Running => ObservedState::Running,
            wire::State::Ready => ObservedState::Ready,
            wire::State::Stopping => ObservedState::Stopping,
            wire::State::Exited => ObservedState::Exited(ending(message.reason, message.detail)?),
            wire::State::Failed => ObservedState::Failed(ending(message.reason, message.detail)?),
        };
        let steps = message.steps.into_iter().filter_map(|done| {
            // A newer agent may know milestones that this hub does not: they are left out.
            let step = StartStep::of_name(&done.name)?;
            Some(StepDone { step, at: Timestamp::from_millis(done.at_ms) })
        });
        Ok(Self {
            server: message.server.parse()?,
            generation: Generation(message.generation),
            epoch: Epoch(message.epoch),
            state,
            steps: steps.take(StartStep::ALL.len() + 1).collect(),
            memory_used: ByteCount(message.memory_used),
            usage: message.usage.map(Into::into).unwrap_or_default(),
            limit: Some(ByteCount(message.limit)).filter(|limit| *limit > ByteCount::ZERO),
            resize_refused: message.resize_refused.map(TryInto::try_into).transpose()?,
            kills: message.kills.into_iter().take(measured::KILLS_MAX).map(Into::into).collect(),
            left_out: message.left_out.into_iter().take(spaces::SPACES_MAX).map(text).collect(),
            origin: Origin {
                user: origin.user.parse()?,
                server_name: origin.server_name.parse()?,
                profile: text(origin.profile),
                memory: ByteCount(origin.memory),
                gpus: origin.gpus.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
                decision: match origin.decision.as_str() {
                    "" => None,
                    id => Some(id.parse()?),
                },
            },
        })
    }
}

impl From<DesiredSet> for wire::Desired {
    fn from(set: DesiredSet) -> Self {
        let servers = set.servers.into_iter().map(|(server, desired)| wire::DesiredServer {
            server: server.to_string(),
            generation: desired.generation.0,
            limit: desired.limit.map(|Limit { memory, number, lent }| wire::Limit {
                memory: memory.0,
                number,
                lent,
            }),
            what: Some(match desired.what {
                Verdict::Run(spec) => wire::desired_server::What::Run((*spec).into()),
                Verdict::Keep => wire::desired_server::What::Keep(wire::Keep {}),
                Verdict::Stop { grace_s } => {
                    wire::desired_server::What::Stop(wire::Stop { grace_s })
                }
            }),
        });
        Self {
            revision: Some(set.revision.into()),
            incarnation: set.incarnation.0,
            sent_ms: set.echo.as_millis(),
            lease_s: 0,
            servers: servers.collect(),
            watch: Some(set.watch.into()),
        }
    }
}

impl TryFrom<wire::Desired> for DesiredSet {
    type Error = BadMessage;

    fn try_from(message: wire::Desired) -> Result<Self, BadMessage> {
        let servers = message.servers.into_iter().map(|desired| {
            let what = match desired.what.ok_or(BadMessage::Missing("verdict"))? {
                wire::desired_server::What::Run(run) => Verdict::Run(Box::new(run.try_into()?)),
                wire::desired_server::What::Keep(wire::Keep {}) => Verdict::Keep,
                wire::desired_server::What::Stop(stop) => Verdict::Stop { grace_s: stop.grace_s },
            };
            Ok((
                desired.server.parse()?,
                Desired {
                    generation: Generation(desired.generation),
                    what,
                    limit: desired.limit.map(|limit| Limit {
                        memory: ByteCount(limit.memory),
                        number: limit.number,
                        lent: limit.lent,
                    }),
                },
            ))
        });
        Ok(Self {
            revision: revision(message.revision),
            incarnation: Incarnation(message.incarnation),
            echo: Timestamp::from_millis(message.sent_ms),
            servers: servers.collect::<Result<_, BadMessage>>()?,
            watch: message.watch.map(Into::into).unwrap_or_default(),
        })
    }
}

impl From<RunSpec> for wire::Run {
    fn from(spec: RunSpec) -> Self {
        let groups = spec.account.groups.into_iter();
        Self {
            user: spec.account.name.to_string(),
            server_name: spec.origin.server_name.to_string(),
            uid: spec.account.uid,
            gid: spec.account.gid,
            groups: groups.map(|group| wire::Group { name: group.name, gid: group.gid }).collect(),
            home: spec.account.home,
            image: spec.image,
            build: spec.build,
            spaces: spec.spaces.into_iter().map(Into::into).collect(),
            shown: spec.shown.into_iter().collect(),
            command: spec.command,
            env: spec.env.into_iter().collect(),
            api_url: spec.api_url,
            memory: spec.origin.memory.0,
            profile: spec.origin.profile,
            pool: spec.pool,
            decision: spec.origin.decision.map(String::from).unwrap_or_default(),
            gpus: spec.origin.gpus.into_iter().map(Into::into).collect(),
            prefix: spec.prefix,
            port: spec.port.into(),
            farm_ports: spec.farm_ports.into_iter().map(Into::into).collect(),
            shm: spec.shm.map(|size| size.0),
            cpu_weight_milli: spec.cpu.weight_milli,
            cpu_limit_milli: spec.cpu.limit_milli,
        }
    }
}

impl TryFrom<wire::Run> for RunSpec {
    type Error = BadMessage;

    fn try_from(run: wire::Run) -> Result<Self, BadMessage> {
        let user: berth_common::Username = run.user.parse()?;
        Ok(Self {
            origin: Origin {
                user: user.clone(),
                server_name: run.server_name.parse()?,
                profile: run.profile,
                memory: ByteCount(run.memory),
                gpus: run.gpus.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
                decision: match run.decision.as_str() {
                    "" => None,
                    id => Some(id.parse()?),
                },
            },
            account: Account {
                name: user,
                uid: run.uid,
                gid: run.gid,
                groups: run
                    .groups
                    .into_iter()
                    .map(|g| Group { name: g.name, gid: g.gid })
                    .collect(),
                home: run.home,
            },
            pool: run.pool,
            image: run.image,
            build: run.build,
            spaces: run.spaces.into_iter().map(Into::into).collect(),
            shown: run.shown.into_iter().collect(),
            command: run.command,
            env: run.env.into_iter().collect(),
            api_url: run.api_url,
            prefix: run.prefix,
            port: u16::try_from(run.port).map_err(|_| BadMessage::Unknown("port"))?,
            farm_ports: run
                .farm_ports
                .into_iter()
                .map(|port| u16::try_from(port).map_err(|_| BadMessage::Unknown("port")))
                .collect::<Result<_, _>>()?,
            shm: run.shm.map(ByteCount),
            cpu: CpuShare { weight_milli: run.cpu_weight_milli, limit_milli: run.cpu_limit_milli },
        })
    }
}
