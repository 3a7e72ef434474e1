//! One host as a picture: a bar as long as its memory, drawn with a handful of paths however many
//! servers it has, and a square for each GPU.

use std::fmt::Write;

use askama::Template;
use berth_common::link::{GpuDevice, GpuUse};
use berth_common::{ByteCount, ServerId};
use berth_core::Phase;
use berth_core::floor::{FloorHost, FloorServer};

use super::{Sight, words};
use crate::web::say;

/// The unit of a bar's length: a tenth of a GB.
const UNIT: u64 = (1 << 30) / 10;

/// An amount as a length.
pub fn length(amount: ByteCount) -> u64 {
    (amount.0.saturating_add(UNIT / 2)) / UNIT
}

/// How long a host's bar is: its memory, or what is reserved if that is more.
pub fn extent(host: &FloorHost) -> u64 {
    let total = host.memory.map_or(ByteCount::ZERO, |memory| memory.total);
    length(total).max(segments(host).iter().map(|(_, width)| width).sum()).max(1)
}

/// What each server takes of the length: at least one, or it could not be seen.
fn segments(host: &FloorHost) -> Vec<(&FloorServer, u64)> {
    host.servers.iter().map(|held| (held, length(held.memory.limit).max(1))).collect()
}

/// One host.
#[derive(Template)]
#[template(path = "floor-host.html")]
pub struct HostBar {
    pub name: String,
    url: String,
    state: String,
    sum: String,
    chosen: bool,
    without: bool,
    /// Its length beside the longest, in hundredths of a percent.
    width: String,
    extent: u64,
    total: u64,
    /// From where memory is kept free.
    usable: u64,
    /// All that is reserved.
    reserved: u64,
    /// By class of colour: what is reserved, and what is used.
    colours: Vec<Colour>,
    /// Promised to the queue.
    promised: String,
    /// The highest use of each.
    peaks: String,
    /// Between the servers.
    lines: String,
    gpus: Vec<GpuSquare>,
}

struct Colour {
    class: String,
    tint: String,
    /// Where the tint ends: who follows there goes on with it.
    end: u64,
    fill: String,
}

/// One GPU.
struct GpuSquare {
    class: &'static str,
    /// How much of it is filled, from below, of 16.
    fill: u32,
    title: String,
    /// Whether it has a bar to hold room for.
    left: usize,
}

/// A server's place on its host's bar.
pub struct Place<'a> {
    pub held: &'a FloorServer,
    pub number: usize,
    pub from: u64,
    pub width: u64,
}

/// The servers of a host in the order in which they are drawn: by colour, then by owner.
pub fn places<'a>(sight: &Sight, host: &'a FloorHost) -> Vec<Place<'a>> {
    let mut all: Vec<_> = segments(host)
        .into_iter()
        .map(|(held, width)| (sight.shades.number(sight.fleet, held), held, width))
        .collect();
    all.sort_by(|a, b| (a.0, &a.1.owner, &a.1.server).cmp(&(b.0, &b.1.owner, &b.1.server)));
    let mut at = 0;
    let place = |(number, held, width)| {
        let from = at;
        at += width;
        Place { held, number, from, width }
    };
    all.into_iter().map(place).collect()
}

impl HostBar {
    /// A host beside the longest one.
    pub fn of(sight: &Sight, host: &FloorHost, longest: u64) -> Self {
        let Sight { fleet, view, .. } = sight;
        let places = places(sight, host);
        let total = host.memory.map_or(ByteCount::ZERO, |memory| memory.total);
        let kept = fleet.host_settings(&host.host).map_or(ByteCount::ZERO, |it| it.keep_free);
        let sum = |of: fn(&FloorServer) -> ByteCount| {
            host.servers.iter().fold(ByteCount::ZERO, |sum, held| sum.plus(of(held)))
        };
        let (reserved, used) = (sum(|held| held.memory.limit), sum(|held| held.memory.used));
        let extent = extent(host);
        let hundredths = extent.saturating_mul(10_000) / longest.max(1);
        let (mut peaks, mut lines, mut promised) = (String::new(), String::new(), String::new());
        let mut colours: Vec<Colour> = Vec::new();
        for place in &places {
            let Place { held, number, from, width } = *place;
            let lost = sight.nowhere.contains(&held.server);
            let class = if lost { "cx".to_owned() } else { sight.shades.class(number) };
            // Writing to a string cannot fail.
            let _ = write!(lines, "m{width}-18v18");
            if sight.is_now() && is_promised(sight, &held.server) {
                let _ = write!(promised, "M{from} 12h{width}");
                continue;
            }
            let fill = length(held.memory.used).max(1).min(width);
            let peak = length(held.memory.peak).min(width);
            if peak > fill {
                let _ = write!(peaks, "M{} 4v16", from + peak);
            }
            let colour = match colours.iter_mut().find(|colour| colour.class == class) {
                Some(colour) => colour,
                None => {
                    colours.push(Colour {
                        class,
                        tint: String::new(),
                        end: 0,
                        fill: String::new(),
                    });
                    let Some(last) = colours.last_mut() else { continue };
                    last
                }
            };
            let _ = match colour.end == from && !colour.tint.is_empty() {
                true => write!(colour.tint, "h{width}"),
                false => write!(colour.tint, "M{from} 12h{width}"),
            };
            colour.end = from + width;
            let _ = write!(colour.fill, "M{from} 12h{fill}");
        }
        Self {
            name: host.host.to_string(),
            url: view.of_host(&host.host),
            state: words::state(host.state),
            sum: words::sum(reserved, used, total),
            chosen: view.host.as_ref() == Some(&host.host),
            without: view.thought.without.as_ref() == Some(&host.host),
            width: format!("{}.{:02}%", hundredths / 100, hundredths % 100),
            extent,
            total: length(total),
            usable: length(total.minus(kept)),
            reserved: places.last().map_or(0, |last| last.from + last.width),
            colours,
            promised,
            peaks,
            lines,
            gpus: squares(sight, host),
        }
    }
}

fn is_promised(sight: &Sight, server: &ServerId) -> bool {
    let server = sight.fleet.servers.get(server);
    server.is_some_and(|server| matches!(server.phase, Phase::Waiting { .. }))
}

fn squares(sight: &Sight, host: &FloorHost) -> Vec<GpuSquare> {
    // Of the past only who held what is known.
    let heard = sight.fleet.hosts.get(&host.host).and_then(|known| known.heard.as_ref());
    let heard = heard.filter(|_| sight.is_now());
    let square = |(left, device): (usize, &GpuDevice)| {
        let used = heard
            .and_then(|heard| heard.facts.gpus.used.iter().find(|used| used.gpu == device.gpu));
        let holder =
            host.servers.iter().find(|held| held.gpus.iter().any(|part| part.gpu == device.gpu));
        gpu(device, used, holder, left)
    };
    host.gpus.iter().enumerate().map(square).collect()
}

fn gpu(
    device: &GpuDevice,
    used: Option<&GpuUse>,
    holder: Option<&FloorServer>,
    left: usize,
) -> GpuSquare {
    let busy = used.and_then(|used| used.busy).unwrap_or_default().min(100);
    let who = holder.map(|held| held.owner.to_string()).unwrap_or_default();
    let (class, title) = match (&device.trouble, holder) {
        (Some(trouble), _) => ("broken", say::t("gpu-set-aside").with("why", trouble)),
        (None, None) => ("free", say::t("gpu-is-free")),
        (None, Some(_)) if used.is_none() => ("held", say::t("gpu-held-by").with("who", who)),
        (None, Some(_)) if busy == 0 => ("idle", say::t("gpu-held-idle").with("who", who)),
        (None, Some(_)) => ("busy", say::t("gpu-held-busy").with("who", who).with("busy", busy)),
    };
    let fill = if class == "busy" { (busy * 16).div_ceil(100) } else { 0 };
    GpuSquare { class, fill, title: format!("{}: {title}", device.model), left: left * 22 }
}
