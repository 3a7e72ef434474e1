//! `berth server show ID|USER[/NAME]`.

use std::iter;

use berth_common::{ByteCount, Timestamp};

use super::{Extension, Farm, Life, Server, all};
use crate::args::{Common, ServerRef};
use crate::connection::HubUrl;
use crate::print::{Cell, Listing, reason, versioned};
use crate::problem::{Exit, Problem};
use crate::text;

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// An id or its beginning, USER, or USER/NAME
    #[arg(value_name = "SERVER")]
    pub server: ServerRef,
}

/// Asks and prints.
pub async fn run(args: &Args, common: &Common) -> Result<Exit, Problem> {
    let what = "show the server";
    let hub = common.connection()?;
    let mut servers = all(&hub, what).await?;
    let server = servers.find(&args.server, what)?.clone();
    servers.keep(|other| other.id == server.id);
    let style = common.style();
    let json = versioned("server", servers.one().clone());
    let lines = sheet(&server, &hub.url, servers.now);
    style.sheet(lines, &Listing { json: &json, ..servers.listing() })?;
    Ok(Exit::Done)
}

fn sheet(server: &Server, hub: &HubUrl, now: Timestamp) -> Vec<(&'static str, Cell)> {
    let mut lines = vec![
        ("server", Cell::text(server.title())),
        ("id", Cell::text(&server.id)),
        ("state", state(server, now)),
    ];
    if let Some(waits) = &server.waits {
        lines.push(("reason", Cell::text(reason(&waits.code, &waits.text))));
        lines.push(("remedy", Cell::text(&waits.remedy)));
    }
    match (&server.host, &server.last_host) {
        (Some(host), _) => lines.push(("host", Cell::text(host))),
        (None, Some(last)) => lines.push(("host", Cell::text(format!("none; last on {last}")))),
        (None, None) => lines.push(("host", Cell::text("none"))),
    }
    lines.push(("profile", Cell::text(&server.profile)));
    lines.push(("image", Cell::text(&server.image)));
    let limit = server.memory.limit;
    lines.push(match server.memory.used {
        Some(used) => {
            let highest = server.memory.highest.map(|most| format!(", {most} at most"));
            let highest = highest.unwrap_or_default();
            ("memory", Cell::text(format!("{} used{highest}", text::of(used, limit))))
        }
        None => ("memory", Cell::text(limit.to_string())),
    });
    let label = if matches!(hub, HubUrl::Tcp { .. }) { "url" } else { "path" };
    lines.push((label, Cell::text(place(hub, &server.url))));
    if let Some(resize) = &server.resize {
        lines.push(("resize", Cell::text(super::resize::sentence(resize))));
    }
    if let Some(loan) = &server.loan {
        lines.push(("lent", Cell::text(&loan.text)));
    }
    for space in server.left_out.iter().flatten() {
        lines.push(("without", Cell::text(space)));
    }
    for kill in &server.kills {
        let when = kill.at.map_or(String::new(), |at| format!("{} ", text::local(at, now)));
        lines.push(("killed", Cell::text(format!("{when}{}", kill.text))));
    }
    if let Some(activity) = server.last_activity {
        lines.push(("active", Cell::text(format!("{} ago", text::ago(activity, now)))));
    }
    if let Some(life) = &server.life {
        lines.push(("life", Cell::text(life_of(life, now))));
    }
    let farm = server.farm.iter().flat_map(|farm| on_farm(farm, hub));
    lines.extend(farm.map(|(name, text)| (name, Cell::text(text))));
    if let Some(steps) = steps(server) {
        lines.push(("start", Cell::text(steps)));
    }
    if let Some(end) = &server.last_end {
        let label = if server.state == "stopping" { "stop" } else { "last end" };
        let when = end.at.map_or(String::new(), |at| format!("{} ", text::local(at, now)));
        let detail = [end.reason.text.as_str(), end.detail.as_str()].join(" ");
        let what = reason(&end.reason.code, detail.trim());
        lines.push((label, Cell::text(format!("{when}{what}"))));
    }
    if let Some(decision) = &server.decision {
        lines.push((
            "decision",
            Cell::text(format!("{decision} (berth explain server {})", server.title())),
        ));
    }
    lines
}

fn state(server: &Server, now: Timestamp) -> Cell {
    let since = match server.state.as_str() {
        "waiting" => server.waiting_since,
        "starting" => server.placed_at,
        "running" | "unreachable" => server.ready_at,
        _ => None,
    };
    let since = since.map_or(String::new(), |at| {
        format!(" since {} ({})", text::local(at, now), text::ago(at, now))
    });
    let place = server.place.map_or(String::new(), |place| format!(" in place {place}"));
    Cell::state(&server.state).followed_by(&format!("{place}{since}"))
}

/// Where the browser finds a path of the site: with its address where that is known.
fn place(hub: &HubUrl, path: &str) -> String {
    match hub {
        HubUrl::Tcp { .. } => format!("{hub}{path}"),
        HubUrl::Unix(_) => path.to_owned(),
    }
}

/// Work on the compute farm, a line each, and below a cluster its dashboard.
fn on_farm(farm: &Farm, hub: &HubUrl) -> Vec<(&'static str, String)> {
    let has = |cores: u64, memory: Option<ByteCount>| {
        let memory = memory.map_or(String::new(), |memory| format!(", {memory}"));
        format!("cores {cores}{memory}")
    };
    let clusters = farm.clusters.iter().flat_map(|it| {
        let workers = it.workers.map_or(String::new(), |count| format!(", workers {count}"));
        let has = match it.cores {
            Some(cores) => format!(", {}", has(cores, it.memory)),
            None if it.state == "running" => ", size not known yet".to_owned(),
            None => String::new(),
        };
        let busy = match it.busy {
            Some(true) => ", computing",
            Some(false) => ", not computing",
            None => "",
        };
        let cluster = ("cluster", format!("{} {}{workers}{has}{busy}", it.name, it.state));
        let dashboard = it.dashboard.as_ref().map(|path| ("dashboard", place(hub, path)));
        iter::once(cluster).chain(dashboard)
    });
    let jobs = farm.jobs.iter().map(|it| {
        let reason = it.reason.as_ref().map_or(String::new(), |reason| format!(" ({reason})"));
        ("job", format!("{} {} {}{reason}, {}", it.id, it.name, it.state, has(it.cores, it.memory)))
    });
    let unknown = [("clusters", &farm.gateway_trouble), ("jobs", &farm.slurm_trouble)];
    let unknown = unknown
        .into_iter()
        .filter_map(|(what, why)| Some((what, format!("not known: {}", why.as_ref()?))));
    clusters.chain(jobs).chain(unknown).collect()
}

/// What keeps a server alive and when it stops.
fn life_of(life: &Life, now: Timestamp) -> String {
    let newest = life.signs.iter().find(|sign| sign.counts);
    let kept = match (life.idle_since, newest) {
        (Some(since), _) => format!("idle since {}", text::local(since, now)),
        (None, Some(sign)) => {
            let ago = sign.at.map_or("?".into(), |at| text::ago(at, now));
            format!("kept alive by {} ({ago} ago)", sign.text)
        }
        (None, None) => "just started".to_owned(),
    };
    let Some(stops_at) = life.stops_at else { return format!("{kept}; nothing stops it") };
    let Extension { left, of, step_s } = life.extension;
    let step = berth_common::Seconds(step_s);
    let stop = text::local(stops_at, now);
    let why = life.stops_for.as_ref().map_or(String::new(), |why| format!(" [{}]", why.code));
    format!("{kept}; stops {stop}{why}, can be put off {left} of {of} times by {step}")
}

/// The milestones with the seconds since the host was chosen, or how far the fetch before them is.
fn steps(server: &Server) -> Option<String> {
    let begun = server.placed_at?;
    let words = server.steps.iter().flatten().map(|step| {
        let after = step.at.map_or("?".into(), |at| text::seconds(at.millis_since(begun)));
        format!("{} {after}", step.step)
    });
    let fetch = server.fetch.as_ref().map(|fetch| match fetch.percent {
        Some(percent) => format!("pulling {percent} %"),
        None => "pulling".to_owned(),
    });
    let words: Vec<_> = words.chain(fetch).collect();
    (!words.is_empty()).then(|| words.join(", "))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    fn start(steps: Value, fetch: Value) -> Option<String> {
        let json = json!({
            "id": "8f2c000000000000", "user": "alice", "name": "", "state": "starting",
            "profile": "cpu", "image": "base", "memory": { "limit": 1 }, "url": "/",
            "placed_at": "2026-05-11T09:41:00.000000Z", "steps": steps, "fetch": fetch,
        });
        super::steps(&serde_json::from_value(json).unwrap())
    }

    #[test]
    fn a_start_says_how_far_the_fetch_of_its_image_is() {
        let fetched = json!([{ "step": "fetch", "at": "2026-05-11T09:41:00.200000Z" }]);
        let said = |percent| start(fetched.clone(), json!({ "percent": percent }));
        assert_eq!(said(Some(41)).unwrap(), "fetch 0.2 s, pulling 41 %");
        assert_eq!(said(None).unwrap(), "fetch 0.2 s, pulling");
        assert_eq!(start(json!([]), json!({ "percent": 7 })).unwrap(), "pulling 7 %");
        assert_eq!(start(json!([]), Value::Null), None);
        assert_eq!(start(Value::Null, Value::Null), None);
    }
}
