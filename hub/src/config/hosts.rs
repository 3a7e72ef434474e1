//! `hosts.d`: the machines, their pools, and what they are declared to have.

use berth_common::HostId;
use berth_core::settings::{DeclaredGpus, HostSettings};
use serde::Deserialize;
use toml::Spanned;

use super::draft::Draft;
use super::host_range;
use super::sources::{File, Version};
use super::value::Written;

/// The tunnel's port where a host's address names none.
const TUNNEL_PORT: u16 = 8444;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HostsToml {
    #[serde(rename = "version")]
    _version: Version,
    #[serde(default)]
    host: Vec<HostToml>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HostToml {
    names: Spanned<String>,
    pool: Spanned<String>,
    memory: Option<Spanned<Written>>,
    keep_free: Option<Spanned<Written>>,
    gpus: Option<GpusToml>,
    address: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GpusToml {
    model: String,
    count: Spanned<u32>,
    memory: Spanned<Written>,
}

/// Reads all hosts.
pub fn take(draft: &mut Draft) {
    for (file, toml) in draft.sources.all::<HostsToml>("hosts") {
        for entry in toml.host {
            take_entry(draft, file, &entry);
        }
    }
}

fn take_entry(draft: &mut Draft, file: File, entry: &HostToml) {
    let sources = &mut draft.sources;
    let memory = entry.memory.as_ref().and_then(|text| sources.bytes(file, text));
    let keep_free = entry.keep_free.as_ref().and_then(|text| sources.bytes(file, text));
    if let (Some(memory), Some(keep_free), Some(text)) = (memory, keep_free, &entry.keep_free)
        && keep_free >= memory
    {
        let message = format!("keep_free leaves nothing of the host's {memory}: write less");
        sources.bad_value(&file.at(text), message);
    }
    let gpus = entry.gpus.as_ref().and_then(|gpus| take_gpus(draft, file, gpus));
    let place = file.at(&entry.names);
    draft.sources.expect_name("pool", entry.pool.get_ref(), file.at(&entry.pool));
    let names = draft.sources.parsed(place.clone(), entry.names.get_ref(), host_range::expand);
    let mut clashes = Vec::new();
    for name in names.unwrap_or_default() {
        let host = HostSettings {
            pool: entry.pool.get_ref().clone(),
            memory,
            keep_free: keep_free.unwrap_or_default(),
            gpus: gpus.clone(),
            address: host_range::address(entry.address.as_deref(), &name, TUNNEL_PORT),
            cite: draft.sources.cite(&place),
        };
        match draft.settings.hosts.get(&name) {
            Some(other) => clashes.push(clash(&name, other, &host)),
            None => _ = draft.settings.hosts.insert(name, host),
        }
    }
    if let [first, more @ ..] = clashes.as_slice() {
        let more =
            if more.is_empty() { String::new() } else { format!(", and {} more", more.len()) };
        draft.sources.error(&place, "config.duplicate", format!("{first}{more}"));
    }
}

fn take_gpus(draft: &mut Draft, file: File, toml: &GpusToml) -> Option<DeclaredGpus> {
    if *toml.count.get_ref() == 0 {
        let message = "a host without a GPU has no gpus: remove the key".to_owned();
        draft.sources.bad_value(&file.at(&toml.count), message);
    }
    let memory = draft.sources.bytes(file, &toml.memory)?;
    Some(DeclaredGpus { model: toml.model.clone(), count: *toml.count.get_ref(), memory })
}

fn clash(name: &HostId, first: &HostSettings, second: &HostSettings) -> String {
    let pools = if first.pool == second.pool {
        "is declared twice".to_owned()
    } else {
        format!("is in two pools, \"{}\" and \"{}\"", first.pool, second.pool)
    };
    format!("host {name} {pools}; first in {}", first.cite)
}
