//! How every host fared, in words: made of the rows that decided, at the time or years later.

use berth_common::{HostId, Reason, Seconds, Timestamp};

use crate::decision::{HostLine, HostVerdict, Inputs, Obstacle};
use crate::floor::{Floor, FloorHost};
use crate::memory::{Distrust, Member, Refusal};
use crate::placement::Scored;
use crate::placement::need::Need;
use crate::placement::room::{Ask, Fail, all_fails};
use crate::placement::rows::Rows;
use crate::settings::Settings;

/// What a decision about hosts looked at.
#[derive(Debug, Clone, Copy)]
pub struct Sight<'a> {
    /// The hosts.
    pub floor: &'a Floor,
    /// The same under the site's rules.
    pub rows: &'a Rows,
    /// The site's rules.
    pub settings: &'a Settings,
    /// The moment.
    pub now: Timestamp,
}

/// Every host for one need: possible ones in the order of preference, then excluded ones in the
/// order of names, each with all rules that exclude it.
pub fn lines(sight: Sight<'_>, inputs: &Inputs) -> Vec<HostLine> {
    let Some(need) = &inputs.need else { return Vec::new() };
    let ranked = sight.rows.ranked(need, inputs.last_host.as_ref());
    let possible = ranked.into_iter().filter(|scored| inputs.kept.as_ref() != Some(&scored.host));
    let possible = possible.enumerate().map(|(place, scored)| scored_line(scored, place == 0));
    let mut lines: Vec<_> = possible.collect();
    let (ask, allowed) = (sight.rows.ask(need), sight.rows.allowed(need));
    let positions = 0..sight.floor.hosts.len();
    lines.extend(positions.filter_map(|position| {
        excluded_line(sight, inputs, need, &ask, allowed.at(position), position)
    }));
    lines
}

/// The line of one host, the same as among those of all; `best` is the host that the decision found
/// best, if it found any possible.
pub fn line(
    sight: Sight<'_>,
    inputs: &Inputs,
    best: Option<&HostId>,
    host: &HostId,
) -> Option<HostLine> {
    let need = inputs.need.as_ref()?;
    let position = sight.floor.position(host)?;
    let (ask, allowed) = (sight.rows.ask(need), sight.rows.allowed(need));
    excluded_line(sight, inputs, need, &ask, allowed.at(position), position).or_else(|| {
        let scored = sight.rows.score_of(need, position, inputs.last_host.as_ref())?;
        Some(scored_line(scored, best == Some(host)))
    })
}

fn scored_line(scored: Scored, best: bool) -> HostLine {
    let terms = scored.terms();
    let verdict = if best { HostVerdict::Best { terms } } else { HostVerdict::Possible { terms } };
    HostLine { host: scored.host, verdict }
}

/// The line of a host that is not possible; `None` if it is.
fn excluded_line(
    sight: Sight<'_>,
    inputs: &Inputs,
    need: &Need,
    ask: &Ask,
    allowed: bool,
    position: usize,
) -> Option<HostLine> {
    let (host, row) = sight.floor.hosts.get(position).zip(sight.rows.row(position))?;
    let fails = all_fails(row, ask, allowed);
    let obstacle = |fail: &Fail| Obstacle {
        reason: fail.reason(),
        detail: detail(*fail, host, sight.settings, need, sight.now),
    };
    let order = (inputs.kept.as_ref() == Some(&host.host)).then(|| Obstacle {
        reason: Reason::WaitOrder,
        detail: "it is kept for who waits first".into(),
    });
    let obstacles: Vec<_> = fails.iter().map(obstacle).chain(order).collect();
    let verdict = (!obstacles.is_empty()).then_some(HostVerdict::Excluded { obstacles })?;
    Some(HostLine { host: host.host.clone(), verdict })
}

/// A rule's numbers in one sentence.
pub(crate) fn detail(
    fail: Fail,
    host: &FloorHost,
    settings: &Settings,
    need: &Need,
    now: Timestamp,
) -> String {
    match fail {
        Fail::NotInPool => settings.hosts.get(&host.host).map_or_else(
            || "no file declares it".into(),
            |declared| format!("it serves the pool {}", declared.pool),
        ),
        Fail::State(reason) => state(reason, host, now),
        Fail::NotAllowed => "a rule sends this person's servers to other hosts".into(),
        Fail::Space { number } => space(number, host, settings),
        Fail::ForGpus { min: None } => "it takes servers with a GPU only".into(),
        Fail::ForGpus { min: Some(min) } => {
            format!("without a GPU it takes servers of {min} and more")
        }
        Fail::KeptForGpus { limits, most } => {
            format!("servers without a GPU would have {limits} of at most {most} there")
        }
        Fail::Memory(refusal) => memory(refusal, host, need, now),
        Fail::Cpu { asked, left } => {
            format!("{} of a processor asked, {} left", milli(asked), milli(left))
        }
        Fail::FarmPorts { asked, all: 0, .. } => {
            format!("{asked} farm ports asked, and it gives none")
        }
        Fail::FarmPorts { asked, left, all } => {
            format!("{left} of its {all} farm ports are free; {asked} asked")
        }
        Fail::NoGpu { suitable, asked } => format!("{suitable} of {asked} suitable GPUs"),
        Fail::GpuAside { aside } => {
            let trouble =
                host.gpus.iter().find_map(|gpu| gpu.trouble.as_deref()).unwrap_or_default();
            format!("{aside} of its GPUs set aside: {trouble}")
        }
        Fail::GpuBusy { free, suitable, asked } => {
            format!("{free} of {suitable} suitable GPUs are free; {asked} asked")
        }
    }
}

/// A gate of the memory rule in words; how old a report is, is known here only.
fn memory(refusal: Refusal, host: &FloorHost, need: &Need, now: Timestamp) -> String {
    let refusal = match (refusal, host.silent_since) {
        (Refusal::Limits { limits, usable, distrust: Some(Distrust::Old { .. }) }, Some(since)) => {
            let age = Seconds(now.millis_since(since) / 1000);
            Refusal::Limits { limits, usable, distrust: Some(Distrust::Old { age }) }
        }
        (refusal, _) => refusal,
    };
    let newcomer = Member { young: !need.peak_known, ..Member::newcomer(need.peak, need.limit) };
    let holders = host.servers.iter().map(|server| (server.owner.as_str(), &server.memory));
    refusal.sentence(host.host.as_str(), &newcomer, holders)
}

fn state(reason: Reason, host: &FloorHost, now: Timestamp) -> String {
    match (reason, host.drains_by) {
        (Reason::HostDraining, Some(by)) if by > now => {
            format!("it will be empty in {}", Seconds(by.millis_since(now) / 1000))
        }
        (Reason::HostLost, _) => host.silent_since.map_or_else(String::new, |since| {
            format!("no report for {}", Seconds(now.millis_since(since) / 1000))
        }),
        _ => host.note.clone(),
    }
}

/// Which space, and what the host says of it.
fn space(number: u32, host: &FloorHost, settings: &Settings) -> String {
    let mount = settings.mounts.mounts.get(number as usize);
    let name = mount.map_or("a space", |mount| mount.name.as_str());
    let trouble = host.sick.get(name).map_or("it does not answer", |it| it.detail.as_str());
    format!("{name} (required): {trouble}")
}

fn milli(thousandths: u32) -> f64 {
    f64::from(thousandths) / 1000.0
}
