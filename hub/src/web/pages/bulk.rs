//! One act on many servers: those that a filter leaves are shown, each can be left out, and then it
//! is done.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use berth_common::{Reason, ServerId};
use berth_core::Answer;
use berth_process::clock::now;

use crate::actions;
use crate::audit;
use crate::auth::next::escape;
use crate::auth::{AdminVisitor, CheckedForm};
use crate::site::Hub;
use crate::web::pages::admin::{self, ServerRow};
use crate::web::pages::error::PageError;
use crate::web::pages::filter::Filter;
use crate::web::pages::shell::{Here, Shell, page};
use crate::web::say;

/// So many at a time: nobody looks through more before pressing the button.
const MOST: usize = 200;

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Stop,
    Extend,
}

impl Act {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "stop" => Some(Self::Stop),
            "extend" => Some(Self::Extend),
            _ => None,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Extend => "extend",
        }
    }

    /// As the audit has it.
    fn recorded(self) -> &'static str {
        match self {
            Self::Stop => "server-stop",
            Self::Extend => "server-extend",
        }
    }

    fn title(self) -> say::Said {
        match self {
            Self::Stop => say::t("bulk-stop-title"),
            Self::Extend => say::t("bulk-extend-title"),
        }
    }

    fn button(self) -> say::Said {
        match self {
            Self::Stop => say::t("bulk-stop-button"),
            Self::Extend => say::t("bulk-extend-button"),
        }
    }
}

#[derive(Template)]
#[template(path = "bulk.html")]
struct BulkPage {
    shell: Shell,
    xsrf: String,
    act: Act,
    filter: String,
    back: String,
    rows: Vec<ServerRow>,
    left_off: usize,
    mistake: String,
    /// What was done, a line a server.
    done: Vec<(String, String)>,
}

/// `GET /hub/admin/servers/{act}?q=`: changes nothing.
pub async fn show(
    State(hub): State<Arc<Hub>>,
    AdminVisitor(visitor): AdminVisitor,
    Path(act): Path<String>,
    uri: Uri,
) -> Result<Response, PageError> {
    let act = Act::parse(&act).ok_or(PageError::NotFound)?;
    let text = admin::filter(&uri);
    let (fleet, now) = (hub.fleet.fleet(), now());
    let (filter, mistake) = match Filter::parse(&text) {
        Ok(filter) => (Some(filter), String::new()),
        Err(mistake) => (None, mistake),
    };
    let mut servers: Vec<_> = fleet.servers.values().filter(|server| server.is_active()).collect();
    servers.sort_by_key(|server| (&server.owner, &server.name));
    let found = servers.into_iter().filter(|server| {
        let reason = ServerRow::reason_of(&fleet, server, now);
        filter.as_ref().is_some_and(|filter| filter.finds(&fleet, server, reason, now))
    });
    let mut rows: Vec<_> = found.map(|server| ServerRow::of(&fleet, server, now)).collect();
    rows.retain(|row| act == Act::Extend || row.can_stop);
    let left_off = rows.len().saturating_sub(MOST);
    rows.truncate(MOST);
    Ok(page(
        StatusCode::OK,
        &BulkPage {
            shell: Shell::of(&visitor, act.title().to_string(), Here::Servers),
            xsrf: visitor.xsrf.clone(),
            act,
            back: format!("/hub/admin?q={}", escape(&text)),
            filter: text,
            rows,
            left_off,
            mistake,
            done: Vec::new(),
        },
    ))
}

/// `POST /hub/admin/servers/{act}` with an `id` for each server that was not left out.
pub async fn act(
    State(hub): State<Arc<Hub>>,
    Path(act): Path<String>,
    CheckedForm { visitor, form }: CheckedForm<Vec<(String, String)>>,
) -> Result<Response, PageError> {
    if !visitor.admin {
        return Err(PageError::NotFound);
    }
    let act = Act::parse(&act).ok_or(PageError::NotFound)?;
    let by = visitor.user.account.name.to_string();
    let mut done = Vec::new();
    for text in fields(&form, "id").take(MOST) {
        let id: ServerId = text.parse().map_err(|_| PageError::NotFound)?;
        let fleet = hub.fleet.fleet();
        let Some(server) = fleet.servers.get(&id) else { continue };
        let owner = server.owner.as_str();
        audit::on_server(&hub, &visitor, act.recorded(), owner, id.as_str()).await?;
        let answer = match act {
            Act::Stop => actions::stop(&hub, &id, Reason::StoppedAdmin).await?,
            Act::Extend => actions::extend(&hub, &id, 1, true).await?,
        };
        tracing::info!(server = %id, user = %server.owner, act = act.word(), by, "one of many");
        done.push((format!("{} {}", server.owner, server.name), words(&answer).to_string()));
    }
    let filter = fields(&form, "q").next().unwrap_or_default().to_owned();
    Ok(page(
        StatusCode::OK,
        &BulkPage {
            shell: Shell::of(&visitor, act.title().to_string(), Here::Servers),
            xsrf: visitor.xsrf.clone(),
            act,
            back: format!("/hub/admin?q={}", escape(&filter)),
            filter,
            rows: Vec::new(),
            left_off: 0,
            mistake: String::new(),
            done,
        },
    ))
}

fn fields<'a>(form: &'a [(String, String)], wanted: &'a str) -> impl Iterator<Item = &'a str> {
    form.iter().filter(move |(name, _)| name == wanted).map(|(_, value)| value.as_str())
}

fn words(answer: &Answer) -> say::Said {
    match answer {
        Answer::StopUnderWay => say::t("bulk-stopping"),
        Answer::NotRunning | Answer::NoSuchServer => say::t("bulk-not-running"),
        Answer::Extended { .. } => say::t("bulk-later"),
        Answer::StopsForNothing => say::t("bulk-no-stop"),
        _ => say::t("bulk-stays"),
    }
}
