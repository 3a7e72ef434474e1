//! What goes to the hub beside the reconciler's own knowledge: measured memory, capacity; and the
//! same for people at the host.

use std::collections::{BTreeMap, BTreeSet};

use berth_common::link::{
    Capacity, GpuFacts, GpuUse, HostFacts, ObservedState, Report, SpaceHealth,
};
use berth_common::{ByteCount, GpuPart, ServerId};
use berth_process::clock;
use serde_json::{Value, json};

use crate::config::Config;
use crate::gpu::access;
use crate::link::LinkState;
use crate::mem;
use crate::meter::{Meter, Meters};
use crate::runtime::Runtime;

/// Looks at the running containers and the host; those that were not looked at before are taken
/// up first. `there` are all containers, `running` those that run.
pub async fn measure<R: Runtime>(
    runtime: &R,
    mut meter: Meter,
    running: BTreeMap<ServerId, String>,
    there: BTreeSet<String>,
) -> (Meter, Meters) {
    meter.keep(&there);
    for (server, id) in running.iter().filter(|(_, id)| !meter.knows(id)).collect::<Vec<_>>() {
        if let Some(pid) = runtime.process(id).await {
            meter.take_up(server, id, pid);
        }
    }
    let look = move || {
        let meters = meter.look(clock::steady());
        (meter, meters)
    };
    // A thread that died takes what was remembered with it: the next look begins anew.
    tokio::task::spawn_blocking(look).await.unwrap_or_default()
}

/// What the host offers.
pub fn capacity(claimed: Option<ByteCount>, meters: &Meters) -> Capacity {
    let total = claimed.map_or(meters.host.total, |claimed| claimed.min(meters.host.total));
    Capacity {
        memory_total: total,
        memory_free: mem::free(total, meters.servers.values().map(|one| one.used), meters.host),
        cpus: berth_agent_sys::machine::processors(),
        memory_pressure: meters.pressure,
    }
}

/// Says of a server, to its owner and beside its GPUs, that it has lost them.
pub fn lost_gpus(report: &mut Report, server: &ServerId, gpus: &[GpuPart]) {
    let mut all = report.engine.iter_mut().flatten();
    if let Some(one) = all.find(|one| one.server == *server) {
        one.left_out.push(access::LOST.to_owned());
    }
    let is_its = |used: &&mut GpuUse| gpus.iter().any(|part| part.gpu == used.gpu);
    for used in report.facts.gpus.used.iter_mut().filter(is_its) {
        used.warning = Some(format!("server {server} has lost its access to it: start it again"));
    }
}

/// Whether a report says something that the last one did not, beside measurements and time.
pub fn is_news(last: &Report, next: &Report) -> bool {
    let said = |report: &Report| {
        let observed = report.engine.as_ref().map(|observed| {
            let told = observed.iter();
            told.map(|one| {
                let killed = one.kills.last().map(|kill| kill.number);
                // Who is about to run out can be lent some, if the hub hears of it at once.
                let short = one.limit.is_some_and(|limit| one.memory_used.0 / 19 >= limit.0 / 20);
                (
                    one.server.clone(),
                    one.generation,
                    one.state.clone(),
                    one.steps.len(),
                    killed,
                    short,
                    one.left_out.clone(),
                )
            })
            .collect::<Vec<_>>()
        });
        // How far a fetch is waits, too.
        let pending = report.pending.iter();
        let pending: Vec<_> =
            pending.map(|it| (it.server.clone(), it.generation, it.operation)).collect();
        (observed.map_err(Clone::clone), pending, report.applied)
    };
    // How busy the host or a GPU is, and who is on it, waits for the next regular heartbeat.
    let facts = |report: &Report| {
        let gpus = GpuFacts { used: Vec::new(), ..report.facts.gpus.clone() };
        HostFacts { gpus, load: None, ..report.facts.clone() }
    };
    said(last) != said(next)
        || last.gpus != next.gpus
        || facts(last) != facts(next)
        // So does how long a look at a space took.
        || !last.spaces.iter().map(SpaceHealth::state).eq(next.spaces.iter().map(SpaceHealth::state))
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
            "memory_highest": one.usage.memory_highest,
            "cpu_milli": one.usage.cpu_milli,
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
