//! `/hub/notices/{id}`: one notice or one maintenance, at an address that stays.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use berth_common::Timestamp;
use berth_core::Fleet;
use berth_core::agenda::{Entry, Maintenance, Notice, Progress};
use berth_core::settings::Window;
use berth_process::clock::now;

use crate::auth::Visitor;
use crate::site::Hub;
use crate::web::pages::board::Note;
use crate::web::pages::error::PageError;
use crate::web::pages::shell::{Here, Shell, page};
use crate::web::pages::words::Moment;
use crate::web::say;

#[derive(Template)]
#[template(path = "notice.html")]
struct NoticePage {
    shell: Shell,
    state: String,
    class: &'static str,
    text: String,
    /// The language of the text, where it is not the reader's.
    lang: &'static str,
    from: Moment,
    to: Moment,
    /// The hosts of a maintenance.
    hosts: Vec<String>,
    /// Whether a server of the reader's is there.
    yours: bool,
    admin: bool,
    /// For administrators: whom it is for and who wrote it.
    audience: String,
    who: String,
    /// How many have said that they have read it, where they are to.
    readers: Option<u32>,
}

/// `GET /hub/notices/{id}`: for whom it is for, and for administrators. All may know of maintenance.
pub async fn show(
    State(hub): State<Arc<Hub>>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    let id: i64 = id.parse().map_err(|_| PageError::NotFound)?;
    let fleet = hub.fleet.fleet();
    let entries = hub.agenda.entries();
    let entry = entries.iter().find(|(other, _)| *other == id).map(|(_, entry)| entry);
    let title = say::t("entry-number").with("id", id.to_string()).to_string();
    let shell = Shell::of(&visitor, title, Here::Notices);
    let view = match entry {
        Some(Entry::Notice(notice)) if is_for(notice, &fleet, &visitor) => {
            let readers = match visitor.admin && notice.must_read {
                true => Some(hub.storage.read(|reader| reader.readers_of(id))?),
                false => None,
            };
            NoticePage { readers, ..of_notice(shell, notice, visitor.admin, now()) }
        }
        Some(Entry::Maintenance(it)) => of_maintenance(shell, it, &fleet, &visitor, now()),
        _ => return Err(PageError::NotFound),
    };
    Ok(page(StatusCode::OK, &view))
}

fn is_for(notice: &Notice, fleet: &Fleet, visitor: &Visitor) -> bool {
    visitor.admin || reaches(notice, fleet, visitor)
}

/// Whether it is one for this person to read. What will be shown is for its writers until then.
pub fn reaches(notice: &Notice, fleet: &Fleet, visitor: &Visitor) -> bool {
    let account = &visitor.user.account;
    let groups: Vec<&str> = account.groups.iter().map(|group| group.name.as_str()).collect();
    notice.window.from <= now() && notice.audience.has(fleet, &account.name, &groups)
}

fn of_notice(shell: Shell, notice: &Notice, admin: bool, now: Timestamp) -> NoticePage {
    let (state, class) = state(notice.window, now);
    let Note { text, lang, .. } = Note::of(0, notice);
    NoticePage {
        shell,
        state: say::t(state).to_string(),
        class,
        text,
        lang,
        from: Moment::from(notice.window.from),
        to: Moment::from(notice.window.to),
        hosts: Vec::new(),
        yours: false,
        admin,
        audience: notice.audience.to_string(),
        who: notice.who.clone(),
        readers: None,
    }
}

fn of_maintenance(
    shell: Shell,
    it: &Maintenance,
    fleet: &Fleet,
    visitor: &Visitor,
    now: Timestamp,
) -> NoticePage {
    let own = fleet.servers_of(&visitor.user.account.name);
    let mut placed = own.filter_map(|server| server.placement());
    let (state, class) = match it.state {
        Progress::Cancelled => ("notice-cancelled", ""),
        Progress::Over => ("notice-over", ""),
        Progress::Planned | Progress::Begun => state(it.window, now),
    };
    NoticePage {
        shell,
        state: say::t(state).to_string(),
        class,
        text: it.order.reason.clone(),
        lang: "",
        from: Moment::from(it.window.from),
        to: Moment::from(it.window.to),
        hosts: it.hosts.iter().map(ToString::to_string).collect(),
        yours: it.is_ahead() && placed.any(|placement| it.hosts.contains(&placement.host)),
        admin: visitor.admin,
        audience: String::new(),
        who: it.order.who.clone(),
        readers: None,
    }
}

fn state(window: Window, now: Timestamp) -> (&'static str, &'static str) {
    if now < window.from {
        ("calendar-planned", "is-wait")
    } else if now < window.to {
        ("notice-now", "is-warn")
    } else {
        ("notice-over", "")
    }
}
