//! `[activity]`: what counts as somebody being at work.

use berth_common::ByteCount;
use berth_core::settings::{Above, ClockFrom, Terminal};
use serde::Deserialize;
use toml::Spanned;

use super::limit;
use crate::config::draft::Draft;
use crate::config::sources::File;
use crate::config::value::{Thousandths, Written};

/// The section as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActivityToml {
    kernel_busy: Option<bool>,
    clock_from: Option<ClockFrom>,
    terminal: Option<Terminal>,
    cpu_above: Option<CpuToml>,
    gpu_above: Option<GpuUseToml>,
    network_above: Option<NetworkToml>,
    cluster_busy: Option<bool>,
    browser_input: Option<bool>,
    open_tab_alone: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CpuToml {
    cores: Spanned<Thousandths>,
    during: Spanned<Written>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GpuUseToml {
    percent: Spanned<u32>,
    during: Spanned<Written>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NetworkToml {
    rate: Spanned<Written>,
    during: Spanned<Written>,
}

/// Reads the section.
pub fn take(draft: &mut Draft, file: File, toml: &ActivityToml) {
    let cpu = toml.cpu_above.as_ref().and_then(|above| {
        let cores = u64::from(above.cores.get_ref().0);
        if cores == 0 {
            let message = "more than no use is needed, e.g. 0.2".to_owned();
            draft.sources.bad_value(&file.at(&above.cores), message);
        }
        Some(Above { amount: cores, during: limit(draft, file, &above.during)? })
    });
    let gpu = toml.gpu_above.as_ref().and_then(|above| {
        let percent = *above.percent.get_ref();
        if !(1..=100).contains(&percent) {
            let message = "per cent of a GPU, from 1 to 100".to_owned();
            draft.sources.bad_value(&file.at(&above.percent), message);
        }
        Some(Above { amount: u64::from(percent), during: limit(draft, file, &above.during)? })
    });
    let network = toml.network_above.as_ref().and_then(|above| {
        let place = file.at(&above.rate);
        let rate = draft.sources.parsed(place, &above.rate.get_ref().0, rate);
        let during = limit(draft, file, &above.during);
        Some(Above { amount: rate?.0, during: during? })
    });
    let activity = &mut draft.settings.lifecycle.activity;
    activity.kernel_busy = toml.kernel_busy.unwrap_or(activity.kernel_busy);
    activity.clock_from = toml.clock_from.unwrap_or(activity.clock_from);
    activity.terminal = toml.terminal.unwrap_or(activity.terminal);
    activity.cpu = cpu.or(activity.cpu);
    activity.gpu = gpu.or(activity.gpu);
    activity.network = network.or(activity.network);
    activity.cluster_busy = toml.cluster_busy.unwrap_or(activity.cluster_busy);
    activity.browser_input = toml.browser_input.unwrap_or(activity.browser_input);
    activity.open_tab_alone = toml.open_tab_alone.unwrap_or(activity.open_tab_alone);
}

/// `1 MB/s`.
fn rate(text: &str) -> Result<ByteCount, &'static str> {
    let wrong = "not a rate, write e.g. \"1 MB/s\"";
    let amount = text.trim().strip_suffix("/s").ok_or(wrong)?;
    let amount: ByteCount = amount.parse().map_err(|_| wrong)?;
    if amount == ByteCount::ZERO { Err(wrong) } else { Ok(amount) }
}
