//! `pools.toml`: how each set of hosts is filled, and how the queue is served.

use std::collections::BTreeMap;

use berth_common::{ByteCount, Seconds};
use berth_core::settings::{
    CpuServers, GpuSharing, MemoryRule, Order, Pool, QueueSettings, Relief, Strategy,
};
use serde::Deserialize;
use toml::Spanned;

use super::draft::{Draft, Once};
use super::sources::{File, Place, Version};
use super::value::{Thousandths, Written};

/// Beyond ten times a host's memory no limit means anything.
const OVERSUBSCRIBE_MILLI: std::ops::RangeInclusive<u32> = 1_000..=10_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PoolsToml {
    #[serde(rename = "version")]
    _version: Version,
    queue: Option<Spanned<QueueToml>>,
    #[serde(default)]
    pool: BTreeMap<Spanned<String>, PoolToml>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QueueToml {
    order: Option<Order>,
    hold: Option<Spanned<Written>>,
    max_wait: Option<Spanned<Written>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PoolToml {
    strategy: Option<Strategy>,
    memory_rule: Option<MemoryRule>,
    oversubscribe: Option<Spanned<Thousandths>>,
    used_ceiling: Option<Spanned<Thousandths>>,
    peak_window: Option<Spanned<Written>>,
    relief: Option<Relief>,
    open: Option<Open>,
    gpu_sharing: Option<GpuSharing>,
    cpu_servers: Option<Spanned<CpuServersToml>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Open {
    Trainings,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CpuServersToml {
    which: Which,
    min: Option<Spanned<Written>>,
    keep: Option<Spanned<Written>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Which {
    None,
    OnlyBig,
    Any,
}

/// Reads all pools, and the queue.
pub fn take(draft: &mut Draft) {
    let mut queue = Once::default();
    for (file, toml) in draft.sources.all::<PoolsToml>("pools") {
        if let Some(toml) = toml.queue
            && queue.is_first(&mut draft.sources, &file.at(&toml), "queue")
        {
            draft.settings.queue = take_queue(draft, file, toml.get_ref());
        }
        for (name, toml) in toml.pool {
            let place = file.at(&name);
            let name = name.into_inner();
            let pool = take_pool(draft, file, &place, &toml);
            if let Some(first) = draft.settings.pools.get(&name) {
                draft.sources.duplicate(&place, &format!("pool \"{name}\""), &first.cite);
            } else {
                draft.settings.pools.insert(name, pool);
            }
        }
    }
}

fn take_queue(draft: &mut Draft, file: File, toml: &QueueToml) -> QueueSettings {
    let silent = QueueSettings::default();
    let mut span = |text: &Option<_>| draft.sources.duration(file, text.as_ref()?);
    QueueSettings {
        order: toml.order.unwrap_or(silent.order),
        hold: span(&toml.hold).unwrap_or(silent.hold),
        max_wait: span(&toml.max_wait).unwrap_or(silent.max_wait),
    }
}

fn take_pool(draft: &mut Draft, file: File, place: &Place, toml: &PoolToml) -> Pool {
    let silent = Pool::default();
    let oversubscribe = toml.oversubscribe.as_ref().map(|milli| {
        if !OVERSUBSCRIBE_MILLI.contains(&milli.get_ref().0) {
            let message = "oversubscribe is from 1.0 (limits fit into the memory) to 10.0";
            draft.sources.bad_value(&file.at(milli), message.into());
        }
        milli.get_ref().0
    });
    let used_ceiling = toml.used_ceiling.as_ref().map(|milli| {
        if milli.get_ref().0 > 1000 {
            let message = "used_ceiling is a part of the memory, from 0 to 1, e.g. 0.85";
            draft.sources.bad_value(&file.at(milli), message.into());
        }
        milli.get_ref().0
    });
    let peak_window = toml.peak_window.as_ref().and_then(|text| {
        let window = draft.sources.duration(file, text)?;
        if window == Seconds(0) {
            draft.sources.bad_value(&file.at(text), "more than no time is needed".into());
        }
        Some(window)
    });
    let cpu_servers = toml.cpu_servers.as_ref().map(|rule| take_cpu_servers(draft, file, rule));
    Pool {
        strategy: toml.strategy.unwrap_or(silent.strategy),
        memory_rule: toml.memory_rule.unwrap_or(silent.memory_rule),
        oversubscribe_milli: oversubscribe.unwrap_or(silent.oversubscribe_milli),
        used_ceiling_milli: used_ceiling.unwrap_or(silent.used_ceiling_milli),
        relief: toml.relief.unwrap_or(silent.relief),
        peak_window: peak_window.unwrap_or(silent.peak_window),
        trainings_only: matches!(toml.open, Some(Open::Trainings)),
        gpu_sharing: toml.gpu_sharing.unwrap_or(silent.gpu_sharing),
        cpu_servers: cpu_servers.unwrap_or(silent.cpu_servers),
        cite: draft.sources.cite(place),
    }
}

fn take_cpu_servers(draft: &mut Draft, file: File, toml: &Spanned<CpuServersToml>) -> CpuServers {
    let rule = toml.get_ref();
    let min = rule.min.as_ref().and_then(|text| draft.sources.bytes(file, text));
    let keep = rule.keep.as_ref().and_then(|text| draft.sources.bytes(file, text));
    let wrong = match (&rule.which, &rule.min, &rule.keep) {
        (Which::OnlyBig, None, _) => Some("\"only-big\" needs min, e.g. min = \"32 GB\""),
        (Which::Any | Which::None, Some(_), _) => Some("min belongs to which = \"only-big\""),
        (Which::None, _, Some(_)) => Some("keep has no meaning where no server may come"),
        _ => None,
    };
    if let Some(wrong) = wrong {
        draft.sources.bad_value(&file.at(toml), wrong.into());
    }
    let min = match rule.which {
        Which::None => None,
        Which::OnlyBig => min,
        Which::Any => Some(ByteCount::ZERO),
    };
    CpuServers { min, keep: keep.unwrap_or_default() }
}
