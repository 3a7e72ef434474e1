//! Quota and usage: what a person holds, may hold and has used, with the line of the site's files
//! that says so; also as a table for programs.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use berth_common::link::Account;
use berth_common::{ByteCount, Seconds, Timestamp};
use berth_core::rules::{Person, quota_of};
use berth_core::settings::{Cite, Metered};
use berth_core::usage::Usage;
use berth_core::{Decision, Fleet, Server};
use berth_process::clock::now;

use crate::auth::Visitor;
use crate::site::Hub;
use crate::web::pages::bar::Bar;
use crate::web::pages::error::PageError;
use crate::web::pages::sheet;
use crate::web::pages::shell::{Here, Shell, page};
use crate::web::pages::words::{self, Moment};
use crate::web::say;

/// What "lately" means on this page.
const WINDOW: Seconds = Seconds(30 * 86_400);
/// The same in microseconds.
const MICROS: i64 = 30 * 86_400 * 1_000_000;
/// More rows than this nobody reads on a page.
const MOST_ROWS: u32 = 100;
/// More rows than this no table program likes.
const MOST_LINES: u32 = 10_000;

#[derive(Template)]
#[template(path = "usage.html")]
struct UsagePage {
    shell: Shell,
    amounts: Vec<Amount>,
    /// Held and really used.
    gpu_hours: [u64; 2],
    gib_hours: [u64; 2],
    past: Vec<Past>,
}

/// Something that is held, of a limit.
pub struct Amount {
    pub(super) name: String,
    pub(super) words: String,
    pub(super) bar: Option<Bar>,
    /// The line that gave the limit.
    pub(super) cite: Option<String>,
}

/// A request of the past.
struct Past {
    id: String,
    at: Moment,
    server: String,
    profile: String,
    memory: ByteCount,
    gpus: u32,
    host: String,
    code: &'static str,
}

/// `GET /hub/usage`
pub async fn show(State(hub): State<Arc<Hub>>, visitor: Visitor) -> Result<Response, PageError> {
    let fleet = hub.fleet.fleet();
    let at = now();
    let used = Usage::of_person(&fleet, &visitor.user.account.name, WINDOW, at);
    let hours = |resource| [used.hours(resource), used.used_hours(resource)];
    let view = UsagePage {
        shell: Shell::of(&visitor, say::t("usage-title").to_string(), Here::Usage),
        amounts: amounts(&fleet, &visitor.user.account, at),
        gpu_hours: hours(Metered::GpuHours),
        gib_hours: hours(Metered::GibHours),
        past: past(&hub, &visitor, MOST_ROWS, at)?,
    };
    Ok(page(StatusCode::OK, &view))
}

/// `GET /hub/usage.csv`: the same rows, for programs.
pub async fn table(State(hub): State<Arc<Hub>>, visitor: Visitor) -> Result<Response, PageError> {
    let head = ["at", "server", "profile", "memory_bytes", "gpus", "host", "reason", "decision"];
    let line = |row: Past| {
        let (memory, gpus) = (row.memory.0.to_string(), row.gpus.to_string());
        let code = row.code.to_owned();
        vec![row.at.iso, row.server, row.profile, memory, gpus, row.host, code, row.id]
    };
    let rows = past(&hub, &visitor, MOST_LINES, now())?;
    Ok(sheet::answer("usage.csv", &head, rows.into_iter().map(line)))
}

fn past(hub: &Hub, visitor: &Visitor, most: u32, at: Timestamp) -> Result<Vec<Past>, PageError> {
    let name = &visitor.user.account.name;
    let since = Timestamp(at.0.saturating_sub(MICROS));
    let decisions = hub.storage.read(|reader| reader.newest_decisions(Some(name), since, most))?;
    Ok(decisions.iter().map(row).collect())
}

fn row(decision: &Decision) -> Past {
    Past {
        id: decision.id.to_string(),
        at: Moment::from(decision.at),
        server: decision.name.to_string(),
        profile: decision.ask.profile.clone(),
        memory: decision.ask.memory,
        gpus: decision.ask.gpus,
        host: decision.host().map(ToString::to_string).unwrap_or_default(),
        code: decision.reason().code(),
    }
}

/// What somebody holds of each limit.
pub fn amounts(fleet: &Fleet, account: &Account, at: Timestamp) -> Vec<Amount> {
    let groups: Vec<_> = account.groups.iter().map(|group| group.name.as_str()).collect();
    let limits =
        quota_of(&fleet.settings.quotas, Person { name: &account.name, groups: &groups }, at);
    let (mut servers, mut memory, mut gpus) = (0_u32, ByteCount::ZERO, 0_u32);
    let counts = |server: &&Arc<Server>| server.is_active() && !server.is_rehearsal();
    for server in fleet.servers_of(&account.name).filter(counts) {
        let placed = server.placement().map(|placement| placement.reservation.memory);
        servers = servers.saturating_add(1);
        memory = memory.plus(placed.unwrap_or(server.ask.memory));
        gpus = gpus.saturating_add(server.ask.gpus);
    }
    let count = |of: u32| ByteCount(u64::from(of));
    let counted = |name, used: u32, limit: Option<(u32, Cite)>| {
        let limit = limit.map(|(limit, cite)| (count(limit), limit.to_string(), cite));
        amount(name, count(used), used.to_string(), limit)
    };
    let memory_limit = limits.memory.map(|(limit, cite)| (limit, limit.to_string(), cite));
    let mut all = vec![
        amount(say::t("memory"), memory, memory.to_string(), memory_limit),
        counted(say::t("usage-servers"), servers, limits.servers),
        counted(say::t("usage-gpus"), gpus, limits.gpus),
    ];
    for budget in &fleet.settings.quotas.budgets {
        if budget.people.names(&account.name, &groups).is_none() {
            continue;
        }
        let used = Usage::of_person(fleet, &account.name, budget.window, at).hours(budget.resource);
        let name = match budget.resource {
            Metered::GpuHours => say::t("gpu-hours"),
            Metered::GibHours => say::t("gib-hours"),
        };
        let words = say::t("budget-of")
            .with("used", used)
            .with("limit", budget.limit_hours)
            .with("window", words::long(budget.window));
        all.push(Amount {
            name: name.to_string(),
            words: words.to_string(),
            bar: Some(Bar::used(ByteCount(used), ByteCount(budget.limit_hours))),
            cite: Some(budget.cite.to_string()),
        });
    }
    all
}

fn amount(
    name: say::Said,
    used: ByteCount,
    words: String,
    limit: Option<(ByteCount, String, Cite)>,
) -> Amount {
    let name = name.to_string();
    match limit {
        Some((limit, limit_words, cite)) => Amount {
            name,
            words: say::t("usage-held").with("used", words).with("limit", limit_words).to_string(),
            bar: Some(Bar::used(used, limit)),
            // What holds when no file says anything stands in none.
            cite: (!cite.file.is_empty()).then(|| cite.to_string()),
        },
        None => {
            let words = say::t("usage-no-limit").with("used", words).to_string();
            Amount { name, words, bar: None, cite: None }
        }
    }
}
