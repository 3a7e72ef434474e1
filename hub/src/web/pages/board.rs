//! What stands above a person's servers: notices, maintenance of the hosts that these are on, and
//! the trainings of these days.

use std::collections::BTreeSet;

use askama::Template;
use berth_common::{Seconds, Timestamp};
use berth_core::Fleet;
use berth_core::agenda::{Level, Notice};
use berth_store::User;

use crate::site::Hub;
use crate::trainings::{Role, State};
use crate::web::pages::words::{self, Moment};
use crate::web::reader::{Language, Reader};
use crate::web::say;

/// Trainings that begin within this time are told to who takes part.
const SOON: Seconds = Seconds(7 * 86_400);

/// The notes. Empty for most people on most days.
#[derive(Debug, Default, Template)]
#[template(path = "board.html")]
pub struct Board {
    /// For the buttons that put notices away; without it there are none.
    xsrf: String,
    /// Where these come back to.
    here: &'static str,
    notices: Vec<Note>,
    away: Vec<Away>,
    trainings: Vec<Course>,
}

/// A notice as its reader sees it.
#[derive(Debug)]
pub struct Note {
    /// Its number, for its address.
    pub id: i64,
    /// What it says.
    pub text: String,
    /// The language of the text, where it is not the reader's.
    pub lang: &'static str,
    class: &'static str,
    /// When it ends.
    pub until: Moment,
    /// Whether its reader is to say that it was read.
    must_read: bool,
}

/// A host under the person's servers that is to be empty for a while.
#[derive(Debug)]
struct Away {
    id: i64,
    host: String,
    reason: String,
    from: Moment,
    to: Moment,
}

/// A training that the person takes part in, or teaches.
#[derive(Debug)]
struct Course {
    title: String,
    when: String,
    at: Moment,
    /// The page of who teaches it.
    path: Option<String>,
}

impl Board {
    /// What a person should read now.
    pub fn of(hub: &Hub, fleet: &Fleet, user: &User, now: Timestamp) -> Self {
        let notices = hub.agenda.notices_for(fleet, &user.account, now);
        Self {
            notices: notices.iter().map(|(id, notice)| Note::of(*id, notice)).collect(),
            away: away(hub, fleet, user),
            trainings: courses(fleet, user, now),
            ..Self::default()
        }
    }

    /// The same without the notices that the person has read or put away, and with buttons to do
    /// so, which come back to `here`.
    pub fn unread(
        hub: &Hub,
        fleet: &Fleet,
        user: &User,
        read: &BTreeSet<i64>,
        (xsrf, here): (&str, &'static str),
        now: Timestamp,
    ) -> Self {
        let mut board = Self { xsrf: xsrf.to_owned(), here, ..Self::of(hub, fleet, user, now) };
        board.notices.retain(|note| !read.contains(&note.id));
        board
    }
}

impl Note {
    /// As its reader sees it.
    pub fn of(id: i64, notice: &Notice) -> Self {
        let french = Reader::now().language == Language::French;
        let translated = french && !notice.fr.is_empty();
        Self {
            id,
            text: if translated { &notice.fr } else { &notice.en }.clone(),
            lang: if french && !translated { "en" } else { "" },
            class: if notice.level == Level::Warning { " warn" } else { "" },
            until: Moment::from(notice.window.to),
            must_read: notice.must_read,
        }
    }
}

fn away(hub: &Hub, fleet: &Fleet, user: &User) -> Vec<Away> {
    let own = fleet.servers_of(&user.account.name);
    let hosts = own.filter_map(|server| Some(server.placement()?.host.clone()));
    let hosts: BTreeSet<_> = hosts.collect();
    let ahead = hosts.iter().filter_map(|host| Some((host, hub.agenda.ahead_of(host)?)));
    ahead
        .map(|(host, (id, it))| Away {
            id,
            host: host.to_string(),
            reason: it.order.reason,
            from: Moment::from(it.window.from),
            to: Moment::from(it.window.to),
        })
        .collect()
}

fn courses(fleet: &Fleet, user: &User, now: Timestamp) -> Vec<Course> {
    let mut courses = Vec::new();
    for (name, training) in &fleet.settings.trainings {
        let Some(role) = Role::of(&user.account, false, training) else { continue };
        let (when, at) = match State::of(training, now) {
            State::Open(until) => (say::t("training-open-until"), until),
            State::Planned(from) if from <= now.plus(SOON) => (say::t("training-opens"), from),
            State::Planned(_) | State::Over => continue,
        };
        courses.push(Course {
            title: words::written(&fleet.settings, &training.title),
            when: when.to_string(),
            at: Moment::from(at),
            path: (role >= Role::Instructor).then(|| format!("/hub/trainings/{name}")),
        });
    }
    courses
}
