//! `berth host show NAME`.

use berth_common::{ByteCount, HostId};
use serde_json::Value;

use super::{COLUMNS, Host};
use crate::api;
use crate::args::Common;
use crate::print::{Cell, Format, Listing, reason, say};
use crate::problem::{Exit, Problem};
use crate::text::{self, plural};
use crate::verb::server;

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which host
    #[arg(value_name = "HOST")]
    pub name: HostId,
}

/// Asks and prints.
pub async fn run(args: &Args, common: &Common) -> Result<Exit, Problem> {
    let what = format!("show the host {}", args.name);
    let hub = common.connection()?;
    let path = api::path(&["berth", "hosts", args.name.as_str()]);
    let answer = api::get(&hub, &what, &path).await?;
    let host: Host = api::read(&what, answer.body.get("host").unwrap_or(&Value::Null))?;
    let style = common.style();
    style.sheet(
        sheet(&host, style.format),
        &Listing {
            json: &answer.body,
            columns: COLUMNS,
            rows: std::slice::from_ref(&host),
            name: |host| host.name.clone(),
            now: answer.now,
            empty: "",
        },
    )?;
    if !style.is_for_programs() && !host.servers.is_empty() {
        say("")?;
        let mut all = server::all(&hub, &what).await?;
        all.keep(|server| server.host.as_deref() == Some(args.name.as_str()));
        all.print(&style)?;
    }
    Ok(Exit::Done)
}

fn sheet(host: &Host, format: Format) -> Vec<(&'static str, Cell)> {
    let mut lines = vec![("host", Cell::text(&host.name)), ("state", Cell::state(&host.state))];
    if let Some(known) = &host.reason {
        lines.push(("reason", Cell::text(reason(&known.code, &host.why()))));
        if !known.remedy.is_empty() {
            lines.push(("remedy", Cell::text(&known.remedy)));
        }
    }
    lines.push(("pool", Cell::maybe(host.pool.as_ref())));
    let memory = &host.memory;
    lines.push(("reserved", Cell::text(host.reserved())));
    if let Some(all) = memory.reported {
        let used = memory.used.unwrap_or(ByteCount::ZERO);
        let free = memory.free.unwrap_or(ByteCount::ZERO);
        let kept = memory.keep_free.map_or(String::new(), |kept| format!("; {kept} are kept free"));
        let age = if host.is_fresh() { "" } else { " at the last report" };
        let used = text::of(used, all);
        lines.push(("used", Cell::text(format!("{used} by servers, {free} free{age}{kept}"))));
    }
    if let Some(cpus) = host.cpus {
        lines.push(("cpus", Cell::text(cpus.to_string())));
    }
    if let Some(load) = host.load() {
        lines.push(("load", Cell::text(format!("{load} in the last minute"))));
    }
    if let (Some(agent), Some(engine)) = (&host.agent_version, &host.engine_version) {
        lines.push(("agent", Cell::text(format!("{agent}, Docker {engine}"))));
    }
    let gpus = host.gpus.as_deref().unwrap_or_default();
    let trouble = host.gpu_trouble.as_deref().filter(|trouble| !trouble.is_empty());
    if !gpus.is_empty() || trouble.is_some() {
        let mut words = vec![gpus.len().to_string()];
        let driver = host.gpu_driver.as_deref().filter(|driver| !driver.is_empty());
        words.extend(driver.map(|driver| format!("driver {driver}")));
        words.extend(trouble.map(str::to_owned));
        lines.push(("gpus", Cell::text(words.join(", "))));
        lines.extend(gpus.iter().map(|gpu| ("", Cell::text(gpu.line()))));
    }
    lines.push(("tunnel", Cell::text(&host.address)));
    if let Some(images) = &host.images {
        let count = images.len();
        lines.push(match format {
            Format::Wide => ("images", Cell::text(images.join(" "))),
            _ => ("images", Cell::text(format!("{count} image{}", plural(count)))),
        });
    }
    if let Some(age) = host.last_report_age_s {
        lines.push(("report", Cell::text(format!("{} ago", berth_common::Seconds(age)))));
    }
    lines.push(("declared", Cell::maybe(host.declared_at.as_ref())));
    lines
}
