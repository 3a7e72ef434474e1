//! Who did what, from where, to whom and why: filtered, page by page, and as a table for programs.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use berth_store::{Act, Acts, Recorded};

use crate::auth::AdminVisitor;
use crate::auth::form::query_value;
use crate::auth::next::escape;
use crate::site::Hub;
use crate::web::pages::error::PageError;
use crate::web::pages::sheet;
use crate::web::pages::shell::{Here, Shell, page};
use crate::web::pages::words::Moment;
use crate::web::say;

/// Acts on a page.
const MOST_ROWS: usize = 100;
/// More rows than this no table program likes.
const MOST_LINES: usize = 10_000;

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditPage {
    shell: Shell,
    wanted: Wanted,
    rows: Vec<Row>,
    /// Where the acts before these are.
    older: Option<String>,
    /// The same acts as a table.
    csv: String,
}

/// What the form asks for, as it was typed.
struct Wanted {
    actor: String,
    about: String,
    action: String,
    from: String,
    to: String,
}

/// An act.
struct Row {
    id: i64,
    at: Moment,
    act: Act,
}

impl Wanted {
    fn of(uri: &Uri) -> Self {
        let word = |name| {
            let text = query_value(uri, name).unwrap_or_default();
            text.trim().chars().take(200).collect::<String>()
        };
        Self {
            actor: word("actor"),
            about: word("about"),
            action: word("action"),
            from: word("from"),
            to: word("to"),
        }
    }

    /// The acts that fit. A day that is none is as good as not said: the field shows it.
    fn acts(&self, before: Option<i64>, limit: usize) -> Acts {
        let said = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        Acts {
            actor: said(&self.actor),
            about: said(&self.about),
            action: said(&self.action),
            since: sheet::day(&self.from),
            until: sheet::day(&self.to).map(sheet::next_day),
            before,
            limit,
            ..Acts::default()
        }
    }

    fn is_empty(&self) -> bool {
        [&self.actor, &self.about, &self.action, &self.from, &self.to]
            .iter()
            .all(|it| it.is_empty())
    }

    fn query(&self) -> String {
        let fields = [
            ("actor", &self.actor),
            ("about", &self.about),
            ("action", &self.action),
            ("from", &self.from),
            ("to", &self.to),
        ];
        let said = fields.iter().filter(|(_, text)| !text.is_empty());
        let said: Vec<_> = said.map(|(name, text)| format!("{name}={}", escape(text))).collect();
        said.join("&")
    }
}

/// `GET /hub/admin/audit?actor=&about=&action=&from=&to=&before=`
pub async fn show(
    State(hub): State<Arc<Hub>>,
    AdminVisitor(visitor): AdminVisitor,
    uri: Uri,
) -> Result<Response, PageError> {
    let wanted = Wanted::of(&uri);
    let before = query_value(&uri, "before").and_then(|number| number.parse().ok());
    let which = wanted.acts(before, MOST_ROWS.saturating_add(1));
    let mut acts = hub.storage.read(|reader| reader.acts(&which))?;
    let more = acts.len() > MOST_ROWS;
    acts.truncate(MOST_ROWS);
    let query = wanted.query();
    let last = acts.last().filter(|_| more).map(|last| last.id);
    let view = AuditPage {
        shell: Shell::of(&visitor, say::t("audit-title").to_string(), Here::Audit),
        older: last.map(|id| format!("/hub/admin/audit?{query}&before={id}").replace("?&", "?")),
        csv: format!("/hub/admin/audit.csv?{query}"),
        rows: acts.into_iter().map(row).collect(),
        wanted,
    };
    Ok(page(StatusCode::OK, &view))
}

fn row(Recorded { id, act }: Recorded) -> Row {
    Row { id, at: Moment::from(act.at), act }
}

#[derive(Template)]
#[template(path = "act.html")]
struct ActPage {
    shell: Shell,
    row: Row,
}

/// `GET /hub/admin/audit/{id}`: one act, at an address that stays.
pub async fn show_one(
    State(hub): State<Arc<Hub>>,
    AdminVisitor(visitor): AdminVisitor,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    let id: i64 = id.parse().map_err(|_| PageError::NotFound)?;
    let newest = Acts { before: id.checked_add(1), limit: 1, ..Acts::default() };
    let acts = hub.storage.read(|reader| reader.acts(&newest))?;
    // Whoever asks for one that is forgotten gets none, not the one before it.
    let act = acts.into_iter().find(|it| it.id == id).ok_or(PageError::NotFound)?;
    let title = say::t("audit-entry").with("id", id.to_string()).to_string();
    let view = ActPage { shell: Shell::of(&visitor, title, Here::Audit), row: row(act) };
    Ok(page(StatusCode::OK, &view))
}

/// `GET /hub/admin/audit.csv`: the same acts, for programs.
pub async fn table(
    State(hub): State<Arc<Hub>>,
    AdminVisitor(_): AdminVisitor,
    uri: Uri,
) -> Result<Response, PageError> {
    let which = Wanted::of(&uri).acts(None, MOST_LINES);
    let acts = hub.storage.read(|reader| reader.acts(&which))?;
    let head = ["id", "at", "actor", "action", "user", "subject", "reason", "from"];
    let line = |Recorded { id, act }: Recorded| {
        let user = act.user.unwrap_or_default();
        let at = act.at.to_string();
        vec![id.to_string(), at, act.actor, act.action, user, act.subject, act.reason, act.from]
    };
    Ok(sheet::answer("audit.csv", &head, acts.into_iter().map(line)))
}
