//! `berth host`: machines with an agent.

use berth_common::{ByteCount, Seconds, Timestamp};
use clap::Subcommand;
use serde::Deserialize;

use crate::api::{self, ReasonText};
use crate::args::Common;
use crate::print::{Cell, Column, Tone};
use crate::problem::{Exit, Problem};
use crate::text;

mod add;
mod cordon;
mod drain;
pub mod intent;
mod list;
mod show;

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make a join token for a declared host
    Add(add::Args),
    /// List hosts with their state and memory
    List(list::Args),
    /// Show one host and its servers
    Show(show::Args),
    /// Let hosts take nothing new; what runs there goes on
    Cordon(cordon::Args),
    /// Let hosts take servers again
    Uncordon(cordon::OpenArgs),
    /// Empty hosts by a moment
    Drain(drain::Args),
    /// Let hosts that are emptied take servers again
    Undrain(cordon::OpenArgs),
}

/// Does what the verb says.
pub async fn run(verb: &Verb, common: &Common) -> Result<Exit, Problem> {
    match verb {
        Verb::Add(args) => add::run(args, common).await,
        Verb::List(args) => list::run(args, common).await,
        Verb::Show(args) => show::run(args, common).await,
        Verb::Cordon(args) => cordon::run(args, common).await,
        Verb::Uncordon(args) => cordon::open(args, "uncordon", common).await,
        Verb::Drain(args) => drain::run(args, common).await,
        Verb::Undrain(args) => cordon::open(args, "undrain", common).await,
    }
}

#[derive(Debug, Deserialize)]
struct Host {
    name: String,
    state: String,
    reason: Option<ReasonText>,
    detail: Option<String>,
    pool: Option<String>,
    memory: Memory,
    cpus: Option<u32>,
    #[serde(default)]
    load: Option<f64>,
    servers: Vec<String>,
    agent_version: Option<String>,
    engine_version: Option<String>,
    images: Option<Vec<String>>,
    #[serde(default)]
    gpus: Option<Vec<Gpu>>,
    #[serde(default)]
    gpu_driver: Option<String>,
    #[serde(default)]
    gpu_trouble: Option<String>,
    #[serde(default, deserialize_with = "api::moment")]
    last_report: Option<Timestamp>,
    last_report_age_s: Option<u64>,
    address: String,
    declared_at: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Gpu {
    gpu: String,
    model: String,
    memory: ByteCount,
    trouble: Option<String>,
    #[serde(default)]
    servers: Vec<String>,
    #[serde(rename = "use")]
    used: Option<GpuUse>,
}

#[derive(Debug, Deserialize)]
struct GpuUse {
    device: Option<String>,
    busy: Option<u32>,
    memory_used: Option<ByteCount>,
    temperature: Option<u32>,
    warning: Option<String>,
}

impl Gpu {
    /// One line for people.
    fn line(&self) -> String {
        let used = self.used.as_ref();
        let held = used.and_then(|used| used.memory_used);
        let mut words = vec![match held {
            Some(held) => format!("{}, {}", self.model, text::of(held, self.memory)),
            None => format!("{}, {}", self.model, self.memory),
        }];
        words.extend(used.and_then(|used| used.busy).map(|busy| format!("{busy} % busy")));
        words.extend(used.and_then(|used| used.temperature).map(|heat| format!("{heat} °C")));
        if !self.servers.is_empty() {
            words.push(format!("given to {}", self.servers.join(", ")));
        }
        words.extend(used.and_then(|used| used.warning.clone()));
        words.extend(self.trouble.as_ref().map(|trouble| format!("set aside: {trouble}")));
        let device = used.and_then(|used| used.device.as_deref());
        let device = device.map_or(String::new(), |device| format!(" ({device})"));
        format!("{}{device}: {}", self.gpu, words.join(", "))
    }
}

#[derive(Debug, Deserialize)]
struct Memory {
    keep_free: Option<ByteCount>,
    reported: Option<ByteCount>,
    usable: ByteCount,
    reserved: ByteCount,
    used: Option<ByteCount>,
    free: Option<ByteCount>,
}

impl Host {
    /// Whether its numbers are of now.
    fn is_fresh(&self) -> bool {
        !matches!(self.state.as_str(), "lost" | "joining")
    }

    /// Reserved and usable memory. What is usable is not known before the first report.
    fn reserved(&self) -> String {
        match self.memory.reported {
            Some(_) => text::of(self.memory.reserved, self.memory.usable),
            None => "?".to_owned(),
        }
    }

    /// Those of its GPUs that servers hold, and all.
    fn gpus(&self) -> Option<(usize, usize)> {
        let gpus = self.gpus.as_ref().filter(|gpus| !gpus.is_empty())?;
        Some((gpus.iter().filter(|gpu| !gpu.servers.is_empty()).count(), gpus.len()))
    }

    /// The load average, as long as it is of now.
    fn load(&self) -> Option<String> {
        self.load.filter(|_| self.is_fresh()).map(|load| format!("{load:.1}"))
    }

    /// Why it takes nothing new, in a few words.
    fn why(&self) -> String {
        match (self.state.as_str(), self.last_report_age_s, self.detail.as_deref()) {
            ("lost", Some(age), _) => format!("no report for {}", Seconds(age)),
            (_, _, Some(detail)) if !detail.is_empty() => detail.to_owned(),
            _ => self.reason.as_ref().map(|reason| reason.text.clone()).unwrap_or_default(),
        }
    }
}

const COLUMNS: &[Column<Host>] = &[
    Column::new("HOST", "name", |host: &Host, _| Cell::text(&host.name)),
    Column::new("POOL", "pool", |host: &Host, _| Cell::maybe(host.pool.as_ref())),
    Column::new("STATE", "state", |host: &Host, _| Cell::state(&host.state)),
    Column::new("SERVERS", "servers", |host: &Host, _| Cell::text(host.servers.len().to_string()))
        .right(),
    Column::new("MEM RESERVED", "", |host: &Host, _| Cell::text(host.reserved())).right().people(),
    Column::new("MEM USED", "", |host: &Host, _| match (host.memory.used, host.memory.reported) {
        (Some(used), Some(all)) if host.is_fresh() => Cell::text(text::of(used, all)),
        _ => Cell::text("?"),
    })
    .right()
    .people(),
    Column::programs("memory_usable_bytes", |host: &Host, _| Cell::bytes(Some(host.memory.usable))),
    Column::programs("memory_reserved_bytes", |host: &Host, _| {
        Cell::bytes(Some(host.memory.reserved))
    }),
    Column::programs("memory_used_bytes", |host: &Host, _| Cell::bytes(host.memory.used)),
    Column::programs("memory_free_bytes", |host: &Host, _| Cell::bytes(host.memory.free)),
    Column::programs("memory_total_bytes", |host: &Host, _| Cell::bytes(host.memory.reported)),
    Column::new("GPU", "", |host: &Host, _| {
        Cell::maybe(host.gpus().map(|(held, all)| format!("{held}/{all}")))
    })
    .right()
    .people(),
    Column::programs("gpus_held", |host: &Host, _| {
        Cell::maybe(host.gpus().map(|(held, _)| held.to_string()))
    }),
    Column::programs("gpus_total", |host: &Host, _| {
        Cell::maybe(host.gpus().map(|(_, all)| all.to_string()))
    }),
    Column::new("LOAD", "load", |host: &Host, _| match host.load() {
        Some(load) => Cell::text(load),
        None => Cell::both("?", ""),
    })
    .right(),
    Column::new("CPUS", "cpus", |host: &Host, _| {
        Cell::maybe(host.cpus.map(|cpus| cpus.to_string()))
    })
    .right()
    .wide(),
    Column::new("AGENT", "agent_version", |host: &Host, _| {
        Cell::maybe(host.agent_version.as_ref())
    })
    .wide(),
    Column::new("DOCKER", "engine_version", |host: &Host, _| {
        Cell::maybe(host.engine_version.as_ref())
    })
    .wide(),
    Column::new("REPORT", "last_report", |host: &Host, now| Cell::ago(host.last_report, now))
        .wide(),
    Column::new("DECLARED", "declared_at", |host: &Host, _| Cell::maybe(host.declared_at.as_ref()))
        .wide(),
    Column::new("CODE", "reason", |host: &Host, _| {
        Cell::maybe(host.reason.as_ref().map(|reason| reason.code.as_str()))
    })
    .wide(),
    Column::new("REASON", "detail", |host: &Host, _| Cell::text(host.why()).toned(Tone::Plain)),
];
