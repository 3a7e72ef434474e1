//! Who waits, in the order in which they are served; and what was decided last, of all or of one
//! person, by reason.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use berth_common::{Seconds, Timestamp, Username};
use berth_core::decision::{Decision, Outcome};
use berth_core::queue::{Waiter, estimate, waiters};
use berth_core::{Fleet, Phase, Server};
use berth_process::clock::now;

use crate::auth::form::query_value;
use crate::auth::next::escape;
use crate::auth::{Right, Visitor};
use crate::site::Hub;
use crate::storage::StorageError;
use crate::web::live::{self, Part, Slowly, Streams};
use crate::web::pages::error::PageError;
use crate::web::pages::shell::{Here, Shell, page};
use crate::web::pages::words::{self, Moment, Relative};
use crate::web::say;

/// Decisions that are looked at, and shown, at most: newest first.
const LOOKED_AT: u32 = 2_000;
const SHOWN: usize = 100;

/// How far back.
const DAYS: i64 = 30;

#[derive(Template)]
#[template(path = "queue.html")]
struct QueuePage {
    shell: Shell,
    live: String,
    part: QueuePart,
}

/// The part of the page that is kept up to date.
#[derive(Template)]
#[template(path = "queue-part.html")]
struct QueuePart {
    wanted: Wanted,
    waiting: Vec<Waiting>,
    decisions: Vec<Row>,
}

/// Which decisions are looked for.
#[derive(Clone)]
struct Wanted {
    user: String,
    code: String,
}

/// Somebody who waits.
struct Waiting {
    id: String,
    owner: String,
    title: String,
    pool: String,
    /// Its place among those of its pool, or the host that is held for it.
    place: String,
    ask: String,
    reason: (String, &'static str),
    since: Relative,
    /// When it may start, as a span.
    expected: String,
    decision: Option<String>,
}

/// A decision.
#[derive(Clone)]
struct Row {
    id: String,
    at: Moment,
    user: String,
    ask: String,
    host: String,
    class: &'static str,
    text: String,
    code: &'static str,
}

/// `GET /hub/admin/queue?user=&code=`
pub async fn show(
    State(hub): State<Arc<Hub>>,
    visitor: Visitor,
    uri: Uri,
) -> Result<Response, PageError> {
    visitor.require(Right::SeeServers)?;
    let wanted = Wanted::of(&uri);
    let live = format!("/hub/live/queue?{}", wanted.query());
    let decisions = wanted.decisions(&hub, now())?;
    let part = QueuePart { waiting: waiting(&hub.fleet.fleet(), now()), wanted, decisions };
    let shell = Shell::of(&visitor, say::t("queue-title").to_string(), Here::Queue);
    Ok(page(StatusCode::OK, &QueuePage { shell, live, part }))
}

/// `GET /hub/live/queue?user=&code=`
pub async fn follow(
    State(hub): State<Arc<Hub>>,
    Extension(streams): Extension<Arc<Streams>>,
    visitor: Visitor,
    uri: Uri,
) -> Result<Response, PageError> {
    visitor.require(Right::SeeServers)?;
    let (wanted, decisions) = (Wanted::of(&uri), Slowly::default());
    let render = move |hub: &Hub| {
        let now = now();
        let decisions = decisions.get(|| wanted.decisions(hub, now).ok()).unwrap_or_default();
        let waiting = waiting(&hub.fleet.fleet(), now);
        Part::of(&QueuePart { wanted: wanted.clone(), waiting, decisions }, String::new())
    };
    Ok(live::stream(&hub, &streams, &visitor.user.account.name, render))
}

impl Wanted {
    fn of(uri: &Uri) -> Self {
        let word = |name| {
            let text = query_value(uri, name).unwrap_or_default();
            text.trim().to_lowercase().chars().take(100).collect::<String>()
        };
        Self { user: word("user"), code: word("code") }
    }

    fn query(&self) -> String {
        format!("user={}&code={}", escape(&self.user), escape(&self.code))
    }

    fn is_everything(&self) -> bool {
        self.user.is_empty() && self.code.is_empty()
    }

    /// The newest of them.
    fn decisions(&self, hub: &Hub, now: Timestamp) -> Result<Vec<Row>, StorageError> {
        let since = Timestamp(now.0.saturating_sub(DAYS * 86_400 * 1_000_000));
        let of = |user: Option<&Username>| {
            hub.storage.read(|reader| reader.newest_decisions(user, since, LOOKED_AT))
        };
        let decisions = match (self.user.as_str(), self.user.parse::<Username>()) {
            ("", _) => of(None)?,
            (_, Ok(name)) => of(Some(&name))?,
            // No account can have such a name.
            (_, Err(_)) => Vec::new(),
        };
        let rows = decisions.iter().map(Row::of).filter(|row| row.code.contains(&self.code));
        Ok(rows.take(SHOWN).collect())
    }
}

/// First those whose place is held, then the others in the order of their turns.
fn waiting(fleet: &Fleet, now: Timestamp) -> Vec<Waiting> {
    let held = fleet.waiting().filter(|server| server.holds_on().is_some());
    let mut all: Vec<Waiting> = held.map(|server| Waiting::of(server, now)).collect();
    let mut places: BTreeMap<String, u32> = BTreeMap::new();
    for Waiter { server, checked, .. } in &waiters(fleet, now) {
        let mut one = Waiting::of(server, now);
        if let Ok(need) = checked {
            let ahead = places.entry(need.pool.clone()).or_default();
            let foreseen = estimate(fleet, fleet.rows(), need, *ahead, now);
            one.pool.clone_from(&need.pool);
            one.expected = foreseen
                .map(|it| {
                    let said = say::t("span-to").with("from", whole_minutes(it.from));
                    said.with("to", whole_minutes(it.to)).to_string()
                })
                .unwrap_or_default();
            *ahead = ahead.saturating_add(1);
            one.place = ahead.to_string();
        }
        all.push(one);
    }
    all
}

fn whole_minutes(span: Seconds) -> String {
    words::long(Seconds(span.0.div_ceil(60).saturating_mul(60)))
}

impl Waiting {
    fn of(server: &Server, now: Timestamp) -> Self {
        let (reason, held) = match &server.phase {
            Phase::Waiting { reason, place, .. } => (Some(*reason), place.as_ref()),
            _ => (None, None),
        };
        Self {
            id: server.id.to_string(),
            owner: server.owner.to_string(),
            title: words::server_title(&server.name).to_owned(),
            pool: String::new(),
            place: held
                .map(|place| say::t("place-held").with("host", place.host.as_str()).to_string())
                .unwrap_or_default(),
            ask: asked(&server.ask),
            reason: reason.map(|reason| (say::reason(reason), reason.code())).unwrap_or_default(),
            since: server.waiting_since().map(|at| words::ago(at, now)).unwrap_or_default(),
            expected: String::new(),
            decision: server.decision.as_ref().map(ToString::to_string),
        }
    }
}

fn asked(ask: &berth_core::fleet::Ask) -> String {
    let gpus = if ask.gpus > 0 { format!(", {} GPU", ask.gpus) } else { String::new() };
    let model = ask.gpu_model.as_ref().map(|model| format!(" {model}")).unwrap_or_default();
    format!("{}, {}{gpus}{model}", ask.profile, ask.memory)
}

impl Row {
    fn of(decision: &Decision) -> Self {
        let (reason, class, host) = match &decision.outcome {
            Outcome::Placed { reason, host, .. } => (reason, "is-good", host.to_string()),
            Outcome::Waits { reason, .. } => (reason, "is-warn", String::new()),
            Outcome::Refused { reason, .. } => (reason, "is-bad", String::new()),
        };
        Self {
            id: decision.id.to_string(),
            at: Moment::from(decision.at),
            user: decision.user.to_string(),
            ask: asked(&decision.ask),
            host,
            class,
            text: say::reason(*reason),
            code: reason.code(),
        }
    }
}
