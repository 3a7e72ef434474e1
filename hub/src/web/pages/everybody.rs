//! What all groups and people used between two days, the most first; also as a table for programs.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use berth_common::{Seconds, Timestamp};
use berth_process::clock::now;

use crate::auth::AdminVisitor;
use crate::auth::form::query_value;
use crate::auth::next::escape;
use crate::site::Hub;
use crate::web::api::berth::usage::{By, Sum, hours, sums};
use crate::web::pages::bar::Bar;
use crate::web::pages::sheet;
use crate::web::pages::shell::{Here, Shell, page};
use crate::web::say;

/// Where nothing is said.
const MONTH: Seconds = Seconds(30 * 86_400);

#[derive(Template)]
#[template(path = "everybody.html")]
struct UsagePage {
    shell: Shell,
    /// What the form asks for, as it was typed.
    wanted: Wanted,
    rows: Vec<Row>,
    total: Row,
    csv: String,
    /// The same rows from the API, which knows no single group.
    json: Option<String>,
    /// The same rows in the other order.
    reordered: String,
    /// The same days by the other.
    other: String,
}

/// Which days, and by what.
#[derive(Clone)]
struct Wanted {
    by_group: bool,
    /// Only this group.
    group: String,
    /// Who held most that was not used comes first, not who held most.
    by_waste: bool,
    from: String,
    to: String,
}

/// What one group or person used.
#[derive(Default)]
struct Row {
    name: String,
    /// The person's group, or how many people of the group.
    beside: String,
    server_hours: f64,
    gib_hours: f64,
    gib_hours_used: f64,
    gpu_hours: f64,
    gpu_hours_used: f64,
    /// Its memory beside that of the first.
    bar: Option<Bar>,
}

impl Wanted {
    fn of(uri: &Uri, now: Timestamp) -> Self {
        let word = |name| query_value(uri, name).unwrap_or_default().trim().to_owned();
        let day = |name, otherwise: Timestamp| {
            let text = word(name);
            if sheet::day(&text).is_some() { text } else { sheet::day_of(otherwise) }
        };
        let month_ago = Timestamp(now.0.saturating_sub(Timestamp(0).plus(MONTH).0));
        let group = word("group");
        Self {
            by_group: word("by") != "user" && group.is_empty(),
            group,
            by_waste: word("order") == "waste",
            from: day("from", month_ago),
            to: day("to", now),
        }
    }

    fn query(&self) -> String {
        let by = if self.by_group { "group" } else { "user" };
        let order = if self.by_waste { "&order=waste" } else { "" };
        format!("by={by}&group={}&from={}&to={}{order}", escape(&self.group), self.from, self.to)
    }

    /// The address of the same in the other order.
    fn reordered(&self) -> String {
        let other = Self { by_waste: !self.by_waste, ..self.clone() };
        format!("/hub/admin/usage?{}", other.query())
    }

    /// The days as the API takes them, the second one not included.
    fn json(&self) -> Option<String> {
        let (from, to) = (sheet::day(&self.from)?, sheet::next_day(sheet::day(&self.to)?));
        let by = if self.by_group { "group" } else { "user" };
        let url = format!("/hub/api/berth/usage?by={by}&from={from}&to={to}");
        self.group.is_empty().then_some(url)
    }

    fn sums(&self, hub: &Hub, now: Timestamp) -> Vec<Sum> {
        let from = sheet::day(&self.from).unwrap_or(now);
        let to = sheet::day(&self.to).map_or(now, sheet::next_day).min(now);
        let by = if self.by_group { By::Group } else { By::User };
        let mut all = sums(&hub.fleet.fleet(), by, from, to, now, |day| {
            self.group.is_empty() || day.group == self.group
        });
        all.sort_by_key(|sum| {
            std::cmp::Reverse(match self.by_waste {
                true => (sum.amount.mib_s.saturating_sub(sum.amount.used_mib_s), 0),
                false => (sum.amount.gpu_milli_s, sum.amount.mib_s),
            })
        });
        all
    }
}

impl Row {
    fn of(sum: &Sum, by_group: bool) -> Self {
        let beside = if by_group {
            sum.others.len().to_string()
        } else {
            sum.others.last().cloned().unwrap_or_default()
        };
        Self {
            name: sum.name.clone(),
            beside,
            server_hours: hours(sum.amount.server_s, 1),
            gib_hours: hours(sum.amount.mib_s, 1024),
            gib_hours_used: hours(sum.amount.used_mib_s, 1024),
            gpu_hours: hours(sum.amount.gpu_milli_s, 1000),
            gpu_hours_used: hours(sum.amount.used_gpu_milli_s, 1000),
            bar: None,
        }
    }
}

/// The part of the memory that was held and not used, in percent.
fn unused(row: &Row) -> String {
    let unused = (row.gib_hours - row.gib_hours_used).max(0.0);
    if row.gib_hours > 0.0 {
        format!("{:.0} %", unused * 100.0 / row.gib_hours)
    } else {
        String::new()
    }
}

/// Hours as people read them: one decimal while it says something.
fn told(hours: f64) -> String {
    if hours < 100.0 { format!("{hours:.1}") } else { format!("{hours:.0}") }
}

/// `GET /hub/admin/usage?by=group|user&group=&from=&to=&order=waste`: whole days, both included.
pub async fn show(
    State(hub): State<Arc<Hub>>,
    AdminVisitor(visitor): AdminVisitor,
    uri: Uri,
) -> Response {
    let now = now();
    let wanted = Wanted::of(&uri, now);
    let sums = wanted.sums(&hub, now);
    let most = sums.iter().map(|sum| sum.amount.mib_s).max().unwrap_or_default().max(1);
    let mut total = Row::default();
    let rows = sums.iter().map(|sum| {
        let mut row = Row::of(sum, wanted.by_group);
        total.server_hours += row.server_hours;
        total.gib_hours += row.gib_hours;
        total.gib_hours_used += row.gib_hours_used;
        total.gpu_hours += row.gpu_hours;
        total.gpu_hours_used += row.gpu_hours_used;
        let percent = sum.amount.mib_s.saturating_mul(100) / most;
        row.bar = Some(Bar::percent(u32::try_from(percent).unwrap_or(100)));
        row
    });
    let rows = rows.collect();
    let by = if wanted.by_group { "user" } else { "group" };
    let view = UsagePage {
        shell: Shell::of(&visitor, say::t("everybody-title").to_string(), Here::AllUsage),
        rows,
        total,
        csv: format!("/hub/admin/usage.csv?{}", wanted.query()),
        json: wanted.json(),
        reordered: wanted.reordered(),
        other: format!("/hub/admin/usage?by={by}&from={}&to={}", wanted.from, wanted.to),
        wanted,
    };
    page(StatusCode::OK, &view)
}

/// `GET /hub/admin/usage.csv`: the same rows, for programs.
pub async fn table(
    State(hub): State<Arc<Hub>>,
    AdminVisitor(_): AdminVisitor,
    uri: Uri,
) -> Response {
    let now = now();
    let wanted = Wanted::of(&uri, now);
    let (name, beside) = if wanted.by_group { ("group", "users") } else { ("user", "group") };
    let hours = ["server_hours", "gib_hours", "gib_hours_used", "gpu_hours", "gpu_hours_used"];
    let head = [&[name, beside][..], &hours, &["from", "to"]].concat();
    let rows = wanted.sums(&hub, now);
    let rows = rows.iter().map(|sum| {
        let row = Row::of(sum, wanted.by_group);
        let amounts = [
            row.server_hours,
            row.gib_hours,
            row.gib_hours_used,
            row.gpu_hours,
            row.gpu_hours_used,
        ];
        let mut cells = vec![row.name, row.beside];
        cells.extend(amounts.map(|hours| format!("{hours:.1}")));
        cells.extend([wanted.from.clone(), wanted.to.clone()]);
        cells
    });
    sheet::answer("usage.csv", &head, rows)
}
