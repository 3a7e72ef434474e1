//! What was measured of a container: use, refused limits, killed processes.

use berth_common::link::{Ending, Kernels, Kill, ResizeRefused, Terminals, Usage, Victim};
use berth_common::{ByteCount, Timestamp};

use super::{BadMessage, text, wire};

/// More killed processes of one container than this are not kept: the newest say what matters.
pub(super) const KILLS_MAX: usize = 16;

impl From<Usage> for wire::Usage {
    fn from(usage: Usage) -> Self {
        Self {
            memory_lately: usage.memory_lately.0,
            memory_highest: usage.memory_highest.0,
            cpu_us: usage.cpu_us,
            cpu_milli: usage.cpu_milli,
            network_bytes_s: usage.network_bytes_s,
            terminals: usage
                .terminals
                .map(|Terminals { open, working }| wire::Terminals { open, working }),
            kernels: usage
                .kernels
                .map(|Kernels { busy, quiet_ms }| wire::Kernels { busy, quiet_ms }),
        }
    }
}

impl From<wire::Usage> for Usage {
    fn from(message: wire::Usage) -> Self {
        Self {
            memory_lately: ByteCount(message.memory_lately),
            memory_highest: ByteCount(message.memory_highest),
            cpu_us: message.cpu_us,
            cpu_milli: message.cpu_milli,
            network_bytes_s: message.network_bytes_s,
            terminals: message
                .terminals
                .map(|wire::Terminals { open, working }| Terminals { open, working }),
            kernels: message
                .kernels
                .map(|wire::Kernels { busy, quiet_ms }| Kernels { busy, quiet_ms }),
        }
    }
}

impl From<ResizeRefused> for wire::ResizeRefused {
    fn from(refused: ResizeRefused) -> Self {
        let Ending { reason, detail } = refused.ending;
        Self { number: refused.number, reason: reason.code().to_owned(), detail }
    }
}

impl TryFrom<wire::ResizeRefused> for ResizeRefused {
    type Error = BadMessage;

    fn try_from(message: wire::ResizeRefused) -> Result<Self, BadMessage> {
        let reason = message.reason.parse().map_err(|_| BadMessage::Unknown("reason"))?;
        let ending = Ending { reason, detail: text(message.detail) };
        Ok(Self { number: message.number, ending })
    }
}

impl From<Kill> for wire::Kill {
    fn from(kill: Kill) -> Self {
        Self {
            number: kill.number,
            at_ms: kill.at.as_millis(),
            victim: kill.victim.map(|victim| wire::Victim {
                name: victim.name,
                notebook: victim.notebook,
                kernel: victim.kernel,
                memory: victim.memory.0,
            }),
            highest: kill.highest.0,
            limit: kill.limit.0,
            by_host: kill.by_host,
        }
    }
}

impl From<wire::Kill> for Kill {
    fn from(message: wire::Kill) -> Self {
        Self {
            number: message.number,
            at: Timestamp::from_millis(message.at_ms),
            victim: message.victim.map(|victim| Victim {
                name: text(victim.name),
                notebook: text(victim.notebook),
                kernel: text(victim.kernel),
                memory: ByteCount(victim.memory),
            }),
            highest: ByteCount(message.highest),
            limit: ByteCount(message.limit),
            by_host: message.by_host,
        }
    }
}
