//! What goes to the hub beside the reconciler's own knowledge: measured memory, capacity; and the
//! same for people at the host.

use std::collections::BTreeMap;

use berth_common::link::{Capacity, GpuFacts, HostFacts, ObservedState, Report};
use berth_common::{ByteCount, ServerId};
use serde_json::{Value, json};

use crate::config::Config;
use crate::link::LinkState;
use crate::mem::{self, Cgroup, HostMemory};
use crate::runtime::Runtime;

/// What was measured last.
#[derive(Debug, Clone, Default)]
pub struct Meters {
    /// The host's memory.
    pub host: HostMemory,
    /// Working sets.
    pub used: BTreeMap<ServerId, ByteCount>,
    /// Where each container's memory is counted, by the engine's id: found once.
    pub cgroups: BTreeMap<String, Cgroup>,
}

/// Measures the host and the running containers. `known` are the cgroups found before.
pub async fn measure<R: Runtime>(
    runtime: &R,
    running: BTreeMap<ServerId, String>,
    mut known: BTreeMap<String, Cgroup>,
) -> Meters {
    known.retain(|id, _| running.values().any(|running| running == id));
    for id in running.values() {
        if !known.contains_key(id)
            && let Some(pid) = runtime.process(id).await
            && let Some(cgroup) = mem::cgroup_of(pid)
        {
            known.insert(id.clone(), cgroup);
        }
    }
    let read = move || {
        let used = running
            .iter()
            .filter_map(|(server, id)| Some((server.clone(), mem::working_set(known.get(id)?)?)));
        Meters { host: mem::host(), used: used.collect(), cgroups: known }
    };
    tokio::task::spawn_blocking(read).await.unwrap_or_default()
}

/// What the host offers.
pub fn capacity(claimed: Option<ByteCount>, meters: &Meters) -> Capacity {
    let total = claimed.map_or(meters.host.total, |claimed| claimed.min(meters.host.total));
    Capacity {
        memory_total: total,
        memory_free: mem::free(total, &meters.used, meters.host),
        cpus: berth_agent_sys::machine::processors(),
    }
}

/// Whether a report says something that the last one did not, beside measurements and time.
pub fn is_news(last: &Report, next: &Report) -> bool {
    let said = |report: &Report| {
        let observed = report.engine.as_ref().map(|observed| {
            let told = observed.iter();
            told.map(|one| (one.server.clone(), one.generation, one.state.clone(), one.steps.len()))
                .collect::<Vec<_>>()
        });
        (observed.map_err(Clone::clone), report.pending.clone(), report.applied)
    };
    // How busy a GPU is, and who is on it, waits for the next regular heartbeat.
    let facts = |report: &Report| {
        let gpus = GpuFacts { used: Vec::new(), ..report.facts.gpus.clone() };
        HostFacts { gpus, ..report.facts.clone() }
    };
    said(last) != said(next) || last.gpus != next.gpus || facts(last) != facts(next)
}

/// The same for people, as JSON for `berth-agent status`.
pub fn status(config: &Config, report: &Report, link: &LinkState) -> Value {
    let servers = report.engine.iter().flatten().map(|one| {
        json!({
            "server": one.server,
            "generation": one.generation,
            "user": one.origin.user,
            "server_name": one.origin.server_name,
            "profile": one.origin.profile,
            "state": state_word(&one.state),
            "memory_used": one.memory_used,
            "memory": one.origin.memory,
        })
    });
    let pending = report.pending.iter().map(|one| {
        json!({ "server": one.server, "generation": one.generation, "operation": one.operation })
    });
    json!({
        "host": config.agent.name,
        "hub": config.agent.hub.as_str(),
        "link": match link { LinkState::Up => "up", LinkState::Away(_) => "away" },
        "link_trouble": match link { LinkState::Up => "", LinkState::Away(why) => why },
        "applied": report.applied.to_string(),
        "engine": report.facts.engine_version,
        "engine_trouble": report.engine.as_ref().err(),
        "memory_total": report.capacity.memory_total,
        "memory_free": report.capacity.memory_free,
        "version": report.facts.agent_version,
        "gpus": report.gpus,
        "gpu_driver": report.facts.gpus.driver,
        "gpu_trouble": report.facts.gpus.trouble,
        "gpu_use": report.facts.gpus.used,
        "servers": servers.collect::<Vec<_>>(),
        "pending": pending.collect::<Vec<_>>(),
    })
}

fn state_word(state: &ObservedState) -> &'static str {
    match state {
        ObservedState::Created => "created",
        ObservedState::Running => "starting",
        ObservedState::Ready => "ready",
        ObservedState::Stopping => "stopping",
        ObservedState::Exited(_) => "exited",
        ObservedState::Failed(_) => "failed",
    }
}
