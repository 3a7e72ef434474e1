//! Whether everything is as it should be: the invariants of the fleet, the hosts, the files, the
//! database, the certificates, and whoever the hub needs. Each finding says what to do.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use berth_common::{Reason, Seconds, Timestamp};
use berth_core::{Fleet, HostState, check};
use berth_process::clock::now;
use berth_proto::tls;
use serde::Serialize;

use crate::reload::Origin;
use crate::site::Hub;
use crate::web::say;
use crate::{backup, mail, routes};

pub mod past;

use past::Took;

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
    fn ok(check: &'static str, text: impl Display) -> Self {
        Self { check, verdict: Verdict::Ok, text: text.to_string(), remedy: String::new() }
    }

    fn of(check: &'static str, verdict: Verdict, text: impl Display, remedy: impl Display) -> Self {
        Self { check, verdict, text: text.to_string(), remedy: remedy.to_string() }
    }

    fn failed(check: &'static str, text: impl Display, remedy: impl Display) -> Self {
        Self::of(check, Verdict::Failed, text, remedy)
    }
}

/// Looks at everything. Takes as long as the slowest of those who are asked, five seconds at most.
/// What it says is in the language of whoever reads it now.
pub async fn examine(hub: &Hub) -> Vec<Finding> {
    let fleet = hub.fleet.fleet();
    let mut found = invariants(&fleet);
    found.extend(restore(&fleet));
    found.extend(hosts(&fleet, now()));
    found.push(configuration(hub));
    let mut took = Took::default();
    found.push(took.of("database", database(hub)).await);
    found.push(disk(hub));
    found.push(last_backup(hub));
    found.push(certificate(hub));
    found.push(took.of("proxy", proxy(hub)).await);
    found.extend(took.of("directory", directory(hub)).await);
    found.extend(took.of("mail", mail_server(hub)).await);
    hub.checked.note(&found, &took, now());
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
        let text = say::t("doctor-fleet").with("hosts", hosts).with("servers", servers);
        return vec![Finding::ok("fleet", text)];
    }
    let advice = say::t("doctor-fleet-remedy");
    violations.iter().map(|it| Finding::failed("fleet", it, &advice)).collect()
}

fn restore(fleet: &Fleet) -> Option<Finding> {
    let open: Vec<_> = fleet.unsettled().map(ToString::to_string).collect();
    let text = say::t("doctor-restore").with("hosts", open.join(", "));
    let advice = say::t("doctor-restore-remedy");
    (!open.is_empty()).then(|| Finding::failed("restore", text, advice))
}

fn hosts(fleet: &Fleet, now: Timestamp) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut well = 0_usize;
    for host in fleet.hosts.values() {
        found.extend(spaces(host));
        found.extend(images(fleet, host));
        let state = fleet.host_state(host, now);
        let verdict = match state {
            HostState::Lost | HostState::EngineDown | HostState::Doubled => Verdict::Failed,
            HostState::Joining | HostState::Mismatch | HostState::Undeclared => Verdict::Warning,
            _ => Verdict::Ok,
        };
        let Some(reason) = state.obstacle().filter(|_| verdict != Verdict::Ok) else {
            well += 1;
            continue;
        };
        let note = host.note(fleet.host_settings(&host.id), state);
        let more = if note.is_empty() { note } else { format!(" ({note})") };
        let text = format!("{}: {}{more}", host.id, say::reason(reason));
        found.push(Finding::of("hosts", verdict, text, say::remedy(reason)));
    }
    let text = say::t("doctor-hosts").with("well", well).with("all", fleet.hosts.len());
    found.insert(0, Finding::ok("hosts", text));
    found
}

fn spaces(host: &berth_core::Host) -> impl Iterator<Item = Finding> + '_ {
    let heard = host.heard.iter();
    heard.flat_map(|heard| &heard.spaces).filter_map(|space| {
        let trouble = space.trouble.as_ref()?;
        let text = format!("{}: {}: {}", host.id, space.name, trouble.detail);
        Some(Finding::of("spaces", Verdict::Warning, text, say::remedy(Reason::MountSick)))
    })
}

/// Images whose names stand for something else here than on most hosts.
fn images<'a>(fleet: &'a Fleet, host: &'a berth_core::Host) -> impl Iterator<Item = Finding> + 'a {
    let facts = host.heard.iter().map(|heard| &heard.facts);
    facts.flat_map(|facts| fleet.settings.references().map(move |name| (name, facts))).filter_map(
        |(name, facts)| {
            let (own, usual) = fleet.builds.other(name, facts)?;
            let text = say::t("doctor-images").with("host", host.id.as_str());
            let text = text.with("image", name).with("own", own).with("usual", usual);
            Some(Finding::of("images", Verdict::Warning, text, say::t("doctor-images-remedy")))
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
            say::t("doctor-config-kept").with("first", &first),
            say::t("doctor-config-remedy"),
        ),
        (_, true) => Finding::failed(
            "configuration",
            say::t("doctor-config-wrong").with("first", &first),
            say::t("doctor-config-remedy"),
        ),
        (Origin::RolledBack, false) => Finding::of(
            "configuration",
            Verdict::Warning,
            say::t("doctor-config-back"),
            say::t("doctor-config-back-remedy"),
        ),
        (Origin::Disk, false) => {
            let text = say::t("doctor-config").with("since", minute(now.since));
            Finding::ok("configuration", text)
        }
    }
}

async fn database(hub: &Hub) -> Finding {
    let done = hub.storage.write(|database| database.try_write(now())).await;
    match done {
        Ok(()) => Finding::ok("database", say::t("doctor-database")),
        Err(error) => Finding::failed("database", error, say::t("doctor-database-remedy")),
    }
}

fn disk(hub: &Hub) -> Finding {
    let state = &hub.config().hub.state;
    match berth_store::free_bytes(state) {
        Ok(free) => {
            let text = say::t("doctor-disk").with("free", berth_common::ByteCount(free));
            let text = text.with("folder", state.display().to_string());
            match free < DISK_SHORT {
                true => Finding::failed("disk", text, say::t("doctor-disk-short")),
                false => Finding::ok("disk", text),
            }
        }
        Err(error) => Finding::failed("disk", error, say::t("doctor-disk-remedy")),
    }
}

fn last_backup(hub: &Hub) -> Finding {
    let advice = say::t("doctor-backup-remedy");
    match backup::last(&hub.config().hub.state) {
        None => Finding::of("backup", Verdict::Warning, say::t("doctor-backup-none"), advice),
        Some(at) => {
            let old = at.plus(BACKUP_OLD) < now();
            let text = say::t("doctor-backup").with("at", minute(at));
            match old {
                true => Finding::of("backup", Verdict::Warning, text, advice),
                false => Finding::ok("backup", text),
            }
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
    let advice = say::t("doctor-certificate-remedy");
    match until {
        None => Finding::failed("certificate", say::t("doctor-certificate-none"), advice),
        Some(until) => {
            let late = until < now().plus(CERTIFICATE_SOON);
            let text = say::t("doctor-certificate").with("until", minute(until));
            match late {
                true => Finding::failed("certificate", text, advice),
                false => Finding::ok("certificate", text),
            }
        }
    }
}

async fn proxy(hub: &Hub) -> Finding {
    let wanted = berth_core::route::routes(&hub.fleet.fleet());
    if routes::table(hub).await.is_none() {
        let advice = say::t("doctor-proxy-remedy");
        return Finding::failed("proxy", say::t("doctor-proxy-silent"), advice);
    }
    let has = hub.routed.borrow();
    let lacks = wanted.iter().filter(|(path, route)| has.get(*path) != Some(&route.generation));
    match lacks.count() {
        0 => Finding::ok("proxy", say::t("doctor-proxy").with("routes", wanted.len())),
        lacks => {
            let text = say::t("doctor-proxy-lacks").with("lacks", lacks);
            let text = text.with("routes", wanted.len());
            Finding::of("proxy", Verdict::Warning, text, say::t("doctor-proxy-lacks-remedy"))
        }
    }
}

/// Each source is asked about the first account that the hub knows.
async fn directory(hub: &Hub) -> Vec<Finding> {
    let somebody = match hub.storage.read(berth_store::Reader::users) {
        Ok(users) => users.into_iter().next().map(|user| user.account.name),
        Err(error) => return vec![Finding::failed("directory", error, "")],
    };
    let Some(name) = somebody else {
        return vec![Finding::ok("directory", say::t("doctor-directory-nobody"))];
    };
    let words = match hub.directory.words(hub, &name, None).await {
        Ok((_, words)) => words,
        Err(error) => return vec![Finding::failed("directory", error, "")],
    };
    let one = |word: crate::directory::Word| match (word.down, word.at) {
        (None, _) => {
            Finding::ok("directory", say::t("doctor-answers").with("who", word.source.clone()))
        }
        (Some(why), at) => {
            let last = at.map_or_else(|| say::t("doctor-never").to_string(), minute);
            let text = say::t("doctor-directory-down").with("who", word.source.clone());
            let text = text.with("why", &why).with("name", name.as_str()).with("last", &last);
            Finding::failed("directory", text, say::t("doctor-directory-remedy"))
        }
    };
    words.into_iter().map(one).collect()
}

async fn mail_server(hub: &Hub) -> Option<Finding> {
    let config = hub.config().hub.mail.clone()?;
    let place = format!("{}:{}", config.host, config.port);
    Some(match mail::answers(&config).await {
        Ok(()) => Finding::ok("mail", say::t("doctor-answers").with("who", &place)),
        Err(why) => {
            Finding::failed("mail", format!("{place}: {why}"), say::t("doctor-mail-remedy"))
        }
    })
}

/// A moment to the minute.
fn minute(at: Timestamp) -> String {
    crate::web::pages::words::Moment::from(at).text
}
