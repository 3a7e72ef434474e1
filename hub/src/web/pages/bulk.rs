//! One act on many servers: those that a filter leaves are shown, each can be left out, and then it
//! is done.

use std::collections::BTreeSet;
use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use berth_common::{Reason, Seconds, ServerId};
use berth_core::Answer;
use berth_core::agenda::{Audience, Entry, Level, Notice};
use berth_core::settings::Window;
use berth_process::clock::now;

use crate::actions;
use crate::agenda;
use crate::audit::{self, Actor};
use crate::auth::next::escape;
use crate::auth::{CheckedForm, Right, Visitor};
use crate::site::Hub;
use crate::web::error::cut;
use crate::web::pages::admin::{self, ServerRow};
use crate::web::pages::error::{PageError, error_page};
use crate::web::pages::shell::{Here, Shell, page};
use crate::web::say;

/// So many at a time: nobody looks through more before pressing the button.
const MOST: usize = 200;
/// How long people can be told something, in hours: a week at most.
const HOURS: [u64; 4] = [1, 8, 24, MOST_HOURS];
const MOST_HOURS: u64 = 7 * 24;
/// A notice is a few sentences.
const LONGEST_TEXT: usize = 1_000;

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Stop,
    Extend,
    Notify,
}

impl Act {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "stop" => Some(Self::Stop),
            "extend" => Some(Self::Extend),
            "notify" => Some(Self::Notify),
            _ => None,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Extend => "extend",
            Self::Notify => "notify",
        }
    }

    /// As the audit has it.
    fn recorded(self) -> &'static str {
        match self {
            Self::Stop => "server-stop",
            Self::Extend => "server-extend",
            Self::Notify => "notice-add",
        }
    }

    /// The right that it takes; none: it is for administrators.
    fn right(self) -> Option<Right> {
        match self {
            Self::Stop => Some(Right::StopServers),
            Self::Extend => Some(Right::StartServers),
            Self::Notify => None,
        }
    }

    /// Requires that somebody may see all servers and do this with them.
    fn check(self, visitor: &Visitor) -> Result<(), PageError> {
        visitor.require(Right::SeeServers)?;
        match self.right() {
            Some(right) => visitor.require(right),
            None if visitor.admin => Ok(()),
            None => Err(PageError::NotFound),
        }
    }

    fn title(self) -> say::Said {
        match self {
            Self::Stop => say::t("bulk-stop-title"),
            Self::Extend => say::t("bulk-extend-title"),
            Self::Notify => say::t("bulk-notify-title"),
        }
    }

    fn button(self) -> say::Said {
        match self {
            Self::Stop => say::t("bulk-stop-button"),
            Self::Extend => say::t("bulk-extend-button"),
            Self::Notify => say::t("bulk-notify-button"),
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
    visitor: Visitor,
    Path(act): Path<String>,
    uri: Uri,
) -> Result<Response, PageError> {
    let act = Act::parse(&act).ok_or(PageError::NotFound)?;
    act.check(&visitor)?;
    let text = admin::filter(&uri);
    let (fleet, now) = (hub.fleet.fleet(), now());
    let (servers, mistake) = match admin::found(&fleet, &text, now) {
        Ok(servers) => (servers, String::new()),
        Err(mistake) => (Vec::new(), mistake),
    };
    let active = servers.into_iter().filter(|server| server.is_active());
    let mut rows: Vec<_> = active.map(|server| ServerRow::of(&fleet, server, now)).collect();
    rows.retain(|row| act != Act::Stop || row.can_stop);
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
    let act = Act::parse(&act).ok_or(PageError::NotFound)?;
    act.check(&visitor)?;
    let by = visitor.user.account.name.to_string();
    let mut done = Vec::new();
    if act == Act::Notify {
        match notify(&hub, &visitor, &form).await? {
            Some(told) => done = told,
            None => {
                let title = act.title().to_string();
                let why = say::t("bulk-notify-empty").to_string();
                return Ok(error_page(StatusCode::BAD_REQUEST, &title, &why));
            }
        }
    }
    let each = fields(&form, "id").take(MOST).filter(|_| act != Act::Notify);
    for text in each {
        let id: ServerId = text.parse().map_err(|_| PageError::NotFound)?;
        let fleet = hub.fleet.fleet();
        let Some(server) = fleet.servers.get(&id) else { continue };
        let owner = server.owner.as_str();
        audit::on_server(&hub, &visitor, act.recorded(), owner, id.as_str()).await?;
        let answer = match act {
            Act::Stop => actions::stop(&hub, &id, Reason::StoppedAdmin).await?,
            Act::Extend => actions::extend(&hub, &id, 1, true).await?,
            Act::Notify => continue,
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

/// One notice to the owners of all servers that were not left out; none without a text.
async fn notify(
    hub: &Hub,
    visitor: &Visitor,
    form: &[(String, String)],
) -> Result<Option<Vec<(String, String)>>, PageError> {
    let text: String = fields(form, "text").next().unwrap_or_default().trim().to_owned();
    if text.is_empty() {
        return Ok(None);
    }
    let fleet = hub.fleet.fleet();
    let mut owners = BTreeSet::new();
    for id in fields(form, "id").take(MOST) {
        let id: ServerId = id.parse().map_err(|_| PageError::NotFound)?;
        owners.extend(fleet.servers.get(&id).map(|server| server.owner.clone()));
    }
    if owners.is_empty() {
        return Ok(Some(Vec::new()));
    }
    let hours = fields(form, "hours").next().and_then(|hours| hours.parse().ok());
    let lasts = Seconds(hours.unwrap_or(24_u64).clamp(1, MOST_HOURS) * 3_600);
    let told = owners.iter().map(|it| (it.to_string(), say::t("bulk-told").to_string())).collect();
    let at = now();
    let notice = Notice {
        audience: Audience::Users(owners),
        level: Level::Info,
        window: Window { from: at, to: at.plus(lasts) },
        en: text.chars().take(LONGEST_TEXT).collect(),
        fr: String::new(),
        must_read: false,
        who: visitor.actor(),
        at,
    };
    let audience = cut(&notice.audience.to_string());
    let act = visitor.act(Act::Notify.recorded()).on(&audience).because(&notice.en);
    agenda::add(hub, act, Entry::Notice(notice)).await?;
    Ok(Some(told))
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
