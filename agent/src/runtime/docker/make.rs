//! The container in the engine's words, and whether what it made is what was asked for.

use std::collections::HashMap;

use berth_common::HostId;
use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, HostConfig, HostConfigLogConfig, Mount,
    MountBindOptions, MountBindOptionsPropagationEnum as Propagation, MountType, PortBinding,
    PortMap, ResourcesUlimits, RestartPolicy, RestartPolicyNameEnum,
};

use super::gpus::{self, Form};
use super::{HOST, LEFT_OUT};
use crate::runtime::{Bind, PIDS_LIMIT, Plan, Published};

/// Size of a container's log on the host, and how many old ones are kept.
const LOG_FILE: (&str, &str) = ("10m", "2");

pub(super) fn container_name(host: &HostId, plan: &Plan) -> String {
    format!("berth.{host}.{}", plan.server)
}

/// Labels from which everything is known again after the agent's own restart. No secrets.
fn labels(host: &HostId, plan: &Plan) -> HashMap<String, String> {
    let origin = &plan.origin;
    let pairs = [
        (HOST, host.to_string()),
        ("berth.server", plan.server.to_string()),
        ("berth.generation", plan.generation.to_string()),
        ("berth.epoch", plan.epoch.to_string()),
        ("berth.boot", plan.boot.to_string()),
        ("berth.user", origin.user.to_string()),
        ("berth.server_name", origin.server_name.to_string()),
        ("berth.profile", origin.profile.clone()),
        ("berth.pool", plan.pool.clone()),
        ("berth.decision", origin.decision.as_ref().map(ToString::to_string).unwrap_or_default()),
        ("berth.memory", origin.memory.0.to_string()),
        ("berth.prefix", plan.prefix.clone()),
        ("berth.port", plan.port.to_string()),
        (gpus::LABEL, gpus::label(&origin.gpus)),
        (LEFT_OUT, serde_json::to_string(&plan.left_out).unwrap_or_default()),
    ];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The container in the engine's words. What is not configurable is fixed here. `recursive`: the
/// engine makes read-only mounts so with all that is mounted below them.
pub(super) fn body(host: &HostId, plan: &Plan, form: Form, recursive: bool) -> ContainerCreateBody {
    let words = |list: &[&str]| Some(list.iter().map(|word| (*word).to_owned()).collect());
    let memory = i64::try_from(plan.memory().0).ok();
    let (weight, limit) = (plan.cpu.weight_milli.map(shares), nanos(plan.cpu.limit_milli));
    let (size, files) = LOG_FILE;
    let log = [("max-size", size), ("max-file", files)];
    let host_config = HostConfig {
        memory,
        memory_swap: memory,
        shm_size: plan.shm.and_then(|size| i64::try_from(size.0).ok()),
        cpu_shares: weight,
        nano_cpus: limit,
        pids_limit: Some(PIDS_LIMIT),
        ulimits: Some(vec![ResourcesUlimits {
            name: Some("core".into()),
            soft: Some(0),
            hard: Some(0),
        }]),
        init: Some(true),
        network_mode: Some(plan.network.clone()),
        port_bindings: plan.published.as_ref().map(port_bindings),
        restart_policy: Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::NO),
            maximum_retry_count: None,
        }),
        mounts: Some(plan.binds.iter().map(|bind| mount(bind, recursive)).collect()),
        cap_drop: words(&["ALL"]),
        group_add: Some(plan.groups.iter().map(ToString::to_string).collect()),
        ipc_mode: Some("private".into()),
        privileged: Some(false),
        security_opt: words(&["no-new-privileges"]),
        log_config: Some(HostConfigLogConfig {
            typ: Some("json-file".into()),
            config: Some(log.map(|(name, value)| (name.to_owned(), value.to_owned())).into()),
        }),
        device_requests: gpus::requests(form, &plan.origin.gpus),
        runtime: gpus::runtime(form),
        ..HostConfig::default()
    };
    let env = gpus::environment(form, &plan.origin.gpus, plan.env.clone());
    let exposed = plan.published.as_ref().map(|it| it.ports.iter().map(in_words).collect());
    let command = (!plan.command.is_empty()).then(|| plan.command.clone());
    ContainerCreateBody {
        user: Some(format!("{}:{}", plan.uid, plan.gid)),
        env: Some(env.iter().map(|(name, value)| format!("{name}={value}")).collect()),
        cmd: command,
        image: Some(plan.image.clone()),
        working_dir: Some(plan.home.clone()),
        labels: Some(labels(host, plan)),
        stop_signal: Some("SIGTERM".into()),
        stop_timeout: Some(30),
        exposed_ports: exposed,
        host_config: Some(host_config),
        ..ContainerCreateBody::default()
    }
}

/// A weight as cgroups count it, where a processor is 1024, within what the kernel takes.
fn shares(milli: u32) -> i64 {
    (i64::from(milli) * 1024 / 1000).clamp(2, 262_144)
}

/// A limit in billionths of a processor. What all of the host's processors would not exceed is no
/// limit, and an engine refuses to be given more than there are.
fn nanos(milli: Option<u32>) -> Option<i64> {
    let here = berth_agent_sys::machine::processors().saturating_mul(1000);
    milli.filter(|milli| *milli < here).map(|milli| i64::from(milli) * 1_000_000)
}

fn in_words(port: &u16) -> String {
    format!("{port}/tcp")
}

fn port_bindings(published: &Published) -> PortMap {
    let binding = |port: &u16| PortBinding {
        host_ip: Some(published.address.to_string()),
        host_port: Some(port.to_string()),
    };
    published.ports.iter().map(|port| (in_words(port), Some(vec![binding(port)]))).collect()
}

fn mount(bind: &Bind, recursive: bool) -> Mount {
    Mount {
        typ: Some(MountType::BIND),
        source: Some(bind.source.to_string_lossy().into_owned()),
        target: Some(bind.target.clone()),
        read_only: Some(bind.read_only),
        bind_options: Some(MountBindOptions {
            propagation: Some(if bind.follows {
                Propagation::RSLAVE
            } else {
                Propagation::RPRIVATE
            }),
            // An engine that cannot make what is mounted below read-only, too, leaves it out: it
            // would be writable. What follows its source needs it, and is the administrators'.
            non_recursive: (bind.read_only && !bind.follows && !recursive).then_some(true),
            ..MountBindOptions::default()
        }),
        ..Mount::default()
    }
}

/// What about a made container is not as asked; `None` when all is.
pub(super) fn differs(
    plan: &Plan,
    form: Form,
    found: &ContainerInspectResponse,
) -> Option<&'static str> {
    let (Some(config), Some(host)) = (&found.config, &found.host_config) else {
        return Some("it cannot be inspected");
    };
    let empty = |list: &Option<Vec<String>>| list.as_ref().is_none_or(Vec::is_empty);
    let memory = i64::try_from(plan.memory().0).ok();
    let mut asked = plan.binds.clone();
    asked.sort();
    let mut got: Vec<Bind> = host
        .mounts
        .iter()
        .flatten()
        .map(|mount| Bind {
            source: mount.source.clone().unwrap_or_default().into(),
            target: mount.target.clone().unwrap_or_default(),
            read_only: mount.read_only.unwrap_or_default(),
            follows: mount.bind_options.as_ref().and_then(|options| options.propagation)
                == Some(Propagation::RSLAVE),
        })
        .collect();
    got.sort();
    let bindings = plan.published.as_ref().map(port_bindings).unwrap_or_default();
    let groups: Vec<String> = plan.groups.iter().map(ToString::to_string).collect();
    // What is left to the engine may be anything.
    let same = |asked: Option<i64>, found: Option<i64>| asked.is_none() || asked == found;
    let has =
        |list: &Option<Vec<String>>, word: &str| list.iter().flatten().any(|found| found == word);
    let restart = host.restart_policy.as_ref().and_then(|policy| policy.name);
    let own =
        |mode: &Option<String>| mode.as_deref().is_none_or(|mode| matches!(mode, "" | "private"));
    let rules = [
        (config.user.as_deref() == Some(&format!("{}:{}", plan.uid, plan.gid)), "user"),
        (found.image.as_deref() == Some(&plan.image_id), "image"),
        (host.group_add.clone().unwrap_or_default() == groups, "groups"),
        (host.privileged != Some(true), "privileges"),
        (has(&host.cap_drop, "ALL") && empty(&host.cap_add), "capabilities"),
        (has(&host.security_opt, "no-new-privileges"), "security options"),
        (got == asked && empty(&host.binds) && empty(&host.volumes_from), "mounts"),
        (host.devices.as_ref().is_none_or(Vec::is_empty), "devices"),
        (gpus::are_as_asked(form, &plan.origin.gpus, config, host), "GPUs"),
        (host.network_mode.as_deref() == Some(&plan.network), "network"),
        (host.port_bindings.clone().unwrap_or_default() == bindings, "published ports"),
        (own(&host.ipc_mode) && own(&host.pid_mode) && own(&host.uts_mode), "namespaces"),
        (own(&host.userns_mode), "namespaces"),
        (config.tty != Some(true), "terminal"),
        // An engine that names them masks some.
        (host.masked_paths.as_ref().is_none_or(|paths| !paths.is_empty()), "masked paths"),
        (host.memory == memory && host.memory_swap == memory, "memory"),
        (same(plan.shm.and_then(|size| i64::try_from(size.0).ok()), host.shm_size), "/dev/shm"),
        (same(plan.cpu.weight_milli.map(shares), host.cpu_shares), "weight of processors"),
        (nanos(plan.cpu.limit_milli).unwrap_or(0) == host.nano_cpus.unwrap_or(0), "processors"),
        (host.pids_limit == Some(PIDS_LIMIT), "number of processes"),
        (
            matches!(
                restart,
                None | Some(RestartPolicyNameEnum::EMPTY | RestartPolicyNameEnum::NO)
            ),
            "restart policy",
        ),
    ];
    rules.into_iter().find_map(|(holds, what)| (!holds).then_some(what))
}
