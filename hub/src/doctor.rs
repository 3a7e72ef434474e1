//! Whether everything is as it should be: the invariants of the fleet, the hosts, the files, the
//! database, the certificates, and whoever the hub needs. Each finding says what to do.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use berth_common::{Reason, Seconds, Timestamp};
use berth_core::{Fleet, HostState, check};
use berth_process::clock::now;
use berth_proto::tls;
use serde::Serialize;

use crate::reload::Origin;
use crate::site::Hub;
use crate::{backup, mail, routes};

/// How often the metric is made anew.
const EVERY: Duration = Duration::from_secs(60);
/// A certificate that ends sooner was not renewed as it should have been.
const CERTIFICATE_SOON: Seconds = Seconds(3 * 86_400);
/// A backup should be younger than this.
const BACKUP_OLD: Seconds = Seconds(2 * 86_400);
/// Less free disk than this is soon none.
const DISK_SHORT: u64 = 1 << 30;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// Somebody should look at it.
    Warning,
    /// Something does not work.
    Failed,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at, in one word.
    pub check: &'static str,
    /// How bad it is.
    pub verdict: Verdict,
    /// What was found.
    pub text: String,
    /// What to do; empty if nothing.
    pub remedy: String,
}

impl Finding {
    fn ok(check: &'static str, text: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Ok, text: text.into(), remedy: String::new() }
    }

    fn of(check: &'static str, verdict: Verdict, text: impl Into<String>, remedy: &str) -> Self {
        Self { check, verdict, text: text.into(), remedy: remedy.to_owned() }
    }

    fn failed(check: &'static str, text: impl Into<String>, remedy: &str) -> Self {
        Self::of(check, Verdict::Failed, text, remedy)
    }
}

/// Looks at everything. Takes as long as the slowest of those who are asked, five seconds at most.
pub async fn examine(hub: &Hub) -> Vec<Finding> {
    let fleet = hub.fleet.fleet();
    let mut found = invariants(&fleet);
    found.extend(restore(&fleet));
    found.extend(hosts(&fleet, now()));
    found.push(configuration(hub));
    found.push(database(hub).await);
    found.push(disk(hub));
    found.push(last_backup(hub));
    found.push(certificate(hub));
    found.push(proxy(hub).await);
    found.extend(directory(hub).await);
    found.extend(mail_server(hub).await);
    found
}

/// Keeps the metric up to date until the hub ends.
pub async fn keep(hub: Arc<Hub>) {
    let mut every = tokio::time::interval(EVERY);
    loop {
        every.tick().await;
        let found = examine(&hub).await;
        let mut worst: BTreeMap<&'static str, Verdict> = BTreeMap::new();
        for finding in &found {
            let one = worst.entry(finding.check).or_insert(Verdict::Ok);
            *one = finding.verdict.max(*one);
        }
        hub.metrics.examined(&worst);
        for finding in found.iter().filter(|it| it.check == "fleet" && it.verdict != Verdict::Ok) {
            tracing::error!("an invariant does not hold: {}", finding.text);
        }
    }
}

fn invariants(fleet: &Fleet) -> Vec<Finding> {
    let mut violations = check::violations(fleet);
    violations.extend(check::doubled(fleet));
    if violations.is_empty() {
        let (hosts, servers) = (fleet.hosts.len(), fleet.servers.len());
        let text = format!("every invariant holds over {hosts} hosts and {servers} servers");
        return vec![Finding::ok("fleet", text)];
    }
    let advice = "This is a mistake of Berth: report it with the hub's log. Nothing is stopped \
                  for it; do not restart servers by hand.";
    violations.iter().map(|it| Finding::failed("fleet", it.to_string(), advice)).collect()
}

fn restore(fleet: &Fleet) -> Option<Finding> {
    let open: Vec<_> = fleet.unsettled().map(ToString::to_string).collect();
    let text = format!("restored from a backup; not heard since of {}", open.join(", "));
    let advice = "No server is started before they report. Start their agents; take a host that \
                  is gone for good out of hosts.d.";
    (!open.is_empty()).then(|| Finding::failed("restore", text, advice))
}

fn hosts(fleet: &Fleet, now: Timestamp) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut well = 0;
    for host in fleet.hosts.values() {
        found.extend(spaces(host));
        found.extend(images(fleet, host));
        let state = fleet.host_state(host, now);
        let verdict = match state {
            HostState::Lost | HostState::EngineDown | HostState::Doubled => Verdict::Failed,
            HostState::Joining | HostState::Undeclared => Verdict::Warning,
            _ => Verdict::Ok,
        };
        let Some(reason) = state.obstacle().filter(|_| verdict != Verdict::Ok) else {
            well += 1;
            continue;
        };
        let note = host.note(state);
        let more = if note.is_empty() { note } else { format!(" ({note})") };
        let text = format!("{}: {}{more}", host.id, reason.text());
        found.push(Finding::of("hosts", verdict, text, reason.remedy()));
    }
    found.insert(0, Finding::ok("hosts", format!("{well} of {} report", fleet.hosts.len())));
    found
}

fn spaces(host: &berth_core::Host) -> impl Iterator<Item = Finding> + '_ {
    let heard = host.heard.iter();
    heard.flat_map(|heard| &heard.spaces).filter_map(|space| {
        let trouble = space.trouble.as_ref()?;
        let text = format!("{}: {}: {}", host.id, space.name, trouble.detail);
        Some(Finding::of("spaces", Verdict::Warning, text, Reason::MountSick.remedy()))
    })
}

/// Images whose names stand for something else here than on most hosts.
fn images<'a>(fleet: &'a Fleet, host: &'a berth_core::Host) -> impl Iterator<Item = Finding> + 'a {
    const REMEDY: &str = "Servers run what most hosts have, fetched by its digest; an image \
                          without a registry is run as it is there. Load or pull the right one on \
                          the host, or remove its name there: docker rmi.";
    let facts = host.heard.iter().map(|heard| &heard.facts);
    facts.flat_map(|facts| fleet.settings.references().map(move |name| (name, facts))).filter_map(
        |(name, facts)| {
            let (own, usual) = fleet.builds.other(name, facts)?;
            let text = format!("{}: {name} is {own}, and {usual} on most hosts", host.id);
            Some(Finding::of("images", Verdict::Warning, text, REMEDY))
        },
    )
}

fn configuration(hub: &Hub) -> Finding {
    let now = hub.configuration.in_force();
    let wrong = now.said.has_errors();
    let first = now.said.0.first().map(|it| format!("{}:{}: {}", it.file, it.line, it.message));
    let first = first.unwrap_or_default();
    match (now.origin, wrong) {
        (Origin::Kept, _) => Finding::failed(
            "configuration",
            format!("the last good files are in force; those on disk are wrong: {first}"),
            "'berth config check' says what is wrong; put it right.",
        ),
        (_, true) => Finding::failed(
            "configuration",
            format!("the files on disk are wrong and not in force: {first}"),
            "'berth config check' says what is wrong; put it right.",
        ),
        (Origin::RolledBack, false) => Finding::of(
            "configuration",
            Verdict::Warning,
            "somebody went back to earlier files",
            "'berth config diff' shows what is on disk; change that, or 'berth config reload'.",
        ),
        (Origin::Disk, false) => {
            Finding::ok("configuration", format!("in force since {}", minute(now.since)))
        }
    }
}

async fn database(hub: &Hub) -> Finding {
    let done = hub.storage.write(|database| database.try_write(now())).await;
    match done {
        Ok(()) => Finding::ok("database", "takes a write"),
        Err(error) => Finding::failed(
            "database",
            error.to_string(),
            "Look at the disk of the state folder and at the hub's log; 'berth-hub restore' \
             goes back to a backup.",
        ),
    }
}

fn disk(hub: &Hub) -> Finding {
    let state = &hub.config().hub.state;
    match berth_store::free_bytes(state) {
        Ok(free) => {
            let text = format!("{} free for {}", berth_common::ByteCount(free), state.display());
            let short = "Make room: without it nothing can be started or stopped.";
            let verdict = if free < DISK_SHORT { Verdict::Failed } else { Verdict::Ok };
            Finding::of("disk", verdict, text, if free < DISK_SHORT { short } else { "" })
        }
        Err(error) => Finding::failed("disk", error.to_string(), "Look at the state folder."),
    }
}

fn last_backup(hub: &Hub) -> Finding {
    let advice = "Let 'berth-hub backup FILE' run every night.";
    match backup::last(&hub.config().hub.state) {
        None => Finding::of("backup", Verdict::Warning, "there was none", advice),
        Some(at) => {
            let old = at.plus(BACKUP_OLD) < now();
            let verdict = if old { Verdict::Warning } else { Verdict::Ok };
            let advice = if old { advice } else { "" };
            Finding::of("backup", verdict, format!("the last: {}", minute(at)), advice)
        }
    }
}

/// The proxy's certificate is the one that the hub renews in a file; hosts renew their own.
fn certificate(hub: &Hub) -> Finding {
    let folder = hub.config().hub.state.join("proxy");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).ok();
    let credential = read("cert.pem")
        .zip(read("key.pem"))
        .and_then(|(it, key)| tls::Credential::new(&it, &key).ok());
    let until = credential.and_then(|credential| credential.peer()).map(|peer| peer.valid_until);
    let advice = "Restart berth-hub: it writes a new one. Then look why it was not renewed.";
    match until {
        None => Finding::failed("certificate", "the proxy has none that can be read", advice),
        Some(until) => {
            let late = until < now().plus(CERTIFICATE_SOON);
            let verdict = if late { Verdict::Failed } else { Verdict::Ok };
            let text = format!("the proxy's is valid until {}", minute(until));
            Finding::of("certificate", verdict, text, if late { advice } else { "" })
        }
    }
}

async fn proxy(hub: &Hub) -> Finding {
    let wanted = berth_core::route::routes(&hub.fleet.fleet());
    let advice =
        "Look at berth-proxy: 'systemctl status berth-proxy', and [proxy] api in hub.toml.";
    if routes::table(hub).await.is_none() {
        return Finding::failed("proxy", "it does not answer", advice);
    }
    let has = hub.routed.borrow();
    let lacks = wanted.iter().filter(|(path, route)| has.get(*path) != Some(&route.generation));
    match lacks.count() {
        0 => Finding::ok("proxy", format!("answers, and has all {} routes", wanted.len())),
        lacks => {
            let text = format!("lacks {lacks} of {} routes", wanted.len());
            Finding::of(
                "proxy",
                Verdict::Warning,
                text,
                "Ask again in a minute; then look at its log.",
            )
        }
    }
}

/// Each source is asked about the first account that the hub knows.
async fn directory(hub: &Hub) -> Vec<Finding> {
    let advice = "Until it answers, its last word counts as long as directory.toml says.";
    let somebody = match hub.storage.read(berth_store::Reader::users) {
        Ok(users) => users.into_iter().next().map(|user| user.account.name),
        Err(error) => return vec![Finding::failed("directory", error.to_string(), "")],
    };
    let Some(name) = somebody else {
        return vec![Finding::ok("directory", "nobody is known yet")];
    };
    let words = match hub.directory.words(hub, &name, None).await {
        Ok((_, words)) => words,
        Err(error) => return vec![Finding::failed("directory", error.to_string(), "")],
    };
    let one = |word: crate::directory::Word| match (word.down, word.at) {
        (None, _) => Finding::ok("directory", format!("{} answers", word.source)),
        (Some(why), at) => {
            let last = at.map_or_else(|| "never".to_owned(), minute);
            let text =
                format!("{} does not answer: {why}; last word about {name}: {last}", word.source);
            Finding::failed("directory", text, advice)
        }
    };
    words.into_iter().map(one).collect()
}

async fn mail_server(hub: &Hub) -> Option<Finding> {
    let config = hub.config().hub.mail.clone()?;
    let place = format!("{}:{}", config.host, config.port);
    Some(match mail::answers(&config).await {
        Ok(()) => Finding::ok("mail", format!("{place} answers")),
        Err(why) => Finding::failed(
            "mail",
            format!("{place}: {why}"),
            "Warnings are kept and sent once it answers. Look at [mail] in hub.toml.",
        ),
    })
}

/// A moment to the minute.
fn minute(at: Timestamp) -> String {
    crate::web::pages::words::Moment::from(at).text
}
