//! What the engine shows of our containers, read.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use berth_common::link::Origin;
use berth_common::{ByteCount, HostId};
use berth_proto::link::LogLine;
use bollard::models::{ContainerInspectResponse, ContainerSummary, ContainerSummaryStateEnum};

use super::{LEFT_OUT, gpus};
use crate::reconcile::{Container, ContainerState};

/// Reads a container of ours from the engine's list. `None` for one whose name or labels are not
/// ours: a copy made by hand must not pass for the server.
pub(super) fn container(host: &HostId, summary: &ContainerSummary) -> Option<Container> {
    let labels = summary.labels.as_ref()?;
    let label = |name: &str| labels.get(name).map(String::as_str);
    let server = label("berth.server")?;
    let name = format!("/berth.{host}.{server}");
    if !summary.names.iter().flatten().any(|found| *found == name) {
        return None;
    }
    let number = |name: &str| label(name)?.parse::<u64>().ok();
    let networks = summary.network_settings.as_ref().and_then(|found| found.networks.as_ref());
    let ip: Option<IpAddr> = networks
        .into_iter()
        .flat_map(HashMap::values)
        .find_map(|endpoint| endpoint.ip_address.as_ref()?.parse().ok());
    let port: u16 = label("berth.port")?.parse().ok()?;
    let state = match summary.state? {
        ContainerSummaryStateEnum::CREATED => ContainerState::Created,
        ContainerSummaryStateEnum::RUNNING
        | ContainerSummaryStateEnum::PAUSED
        | ContainerSummaryStateEnum::RESTARTING
        | ContainerSummaryStateEnum::STOPPING => {
            ContainerState::Running { address: ip.map(|ip| SocketAddr::new(ip, port)) }
        }
        ContainerSummaryStateEnum::EXITED => {
            ContainerState::Exited { code: exit_code(summary.status.as_deref()) }
        }
        _ => ContainerState::Dead,
    };
    Some(Container {
        id: summary.id.clone()?,
        server: server.parse().ok()?,
        generation: berth_common::Generation(number("berth.generation")?),
        epoch: berth_common::Epoch(number("berth.epoch")?),
        boot: label("berth.boot")?.parse().ok()?,
        origin: Origin {
            user: label("berth.user")?.parse().ok()?,
            server_name: label("berth.server_name")?.parse().ok()?,
            profile: label("berth.profile")?.to_owned(),
            memory: ByteCount(number("berth.memory")?),
            gpus: gpus::from_label(label(gpus::LABEL).unwrap_or_default())?,
            decision: label("berth.decision")?.parse().ok(),
        },
        prefix: label("berth.prefix")?.to_owned(),
        // Older agents did not write it.
        left_out: label(LEFT_OUT)
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default(),
        state,
    })
}

/// The code in `Exited (137) 2 seconds ago`.
fn exit_code(status: Option<&str>) -> i64 {
    let code = status.and_then(|text| text.split_once('(')?.1.split_once(')')?.0.parse().ok());
    code.unwrap_or_default()
}

pub(super) fn address_of(found: &ContainerInspectResponse) -> Option<SocketAddr> {
    let networks = found.network_settings.as_ref()?.networks.as_ref()?;
    let ip = networks.values().find_map(|endpoint| endpoint.ip_address.as_ref()?.parse().ok())?;
    let labels = found.config.as_ref()?.labels.as_ref()?;
    Some(SocketAddr::new(ip, labels.get("berth.port")?.parse().ok()?))
}

/// A line that the engine has written a time before.
pub(super) fn log_line(line: &str) -> LogLine {
    let (at, text) = line.split_once(' ').unwrap_or((line, ""));
    LogLine { at: at.to_owned(), text: printable(text) }
}

/// A log as people can read it: no control characters of terminals.
pub(super) fn printable(log: &str) -> String {
    let mut plain = String::with_capacity(log.len());
    let mut chars = log.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            // ESC [ … letter: colours and cursor movements.
            '\u{1b}' if chars.next_if_eq(&'[').is_some() => {
                while chars.next_if(|c| !c.is_ascii_alphabetic()).is_some() {}
                chars.next();
            }
            '\n' | '\t' => plain.push(c),
            c if c.is_control() => {}
            c => plain.push(c),
        }
    }
    plain
}
