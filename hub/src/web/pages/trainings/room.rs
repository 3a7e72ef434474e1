//! The part of a training's page that is kept up to date: whether it is open, and how far each of
//! those is who take part.

use askama::Template;
use berth_common::Timestamp;
use berth_core::Fleet;
use berth_core::settings::{Profile, Training};

use crate::site::Hub;
use crate::storage::StorageError;
use crate::trainings::{Participant, Role, participants, stuck};
use crate::web::pages::trainings::Row;
use crate::web::pages::words::{self, Relative};
use crate::web::say;

/// The room, as who looks after it sees it.
#[derive(Template)]
#[template(path = "training-room.html")]
pub struct Room {
    xsrf: String,
    row: Row,
    expected: u32,
    connected: usize,
    memory: String,
    image: String,
    people: Vec<Person>,
}

/// Somebody who takes part.
struct Person {
    name: String,
    state: String,
    class: &'static str,
    /// Why there is no server to work in.
    why: Option<(String, &'static str)>,
    active: Relative,
    memory: String,
    /// What each button does, the path that it posts to, and what stands on it.
    acts: Vec<(&'static str, String, String)>,
}

/// A training with its name and its profile.
pub type Course<'a> = (&'a str, &'a Training, &'a Profile);

impl Room {
    /// The room at this moment.
    ///
    /// # Errors
    /// When the accounts cannot be read.
    pub fn of(
        hub: &Hub,
        fleet: &Fleet,
        (name, training, profile): Course<'_>,
        role: Role,
        xsrf: &str,
        now: Timestamp,
    ) -> Result<Self, StorageError> {
        let taking_part = participants(hub, fleet, name, training)?;
        let path = format!("/hub/trainings/{name}");
        Ok(Self {
            xsrf: xsrf.to_owned(),
            row: Row::of(&fleet.settings, (name, training), role, now),
            expected: training.expected,
            connected: taking_part.iter().filter(|it| it.is_connected()).count(),
            memory: profile.memory_default.to_string(),
            image: profile.images.first().cloned().unwrap_or_default(),
            people: taking_part.iter().map(|it| Person::of(fleet, it, &path, now)).collect(),
        })
    }

    /// One sentence for people who listen.
    pub fn spoken(&self) -> String {
        let said = say::t("training-connected").with("connected", self.connected);
        said.with("expected", self.expected).to_string()
    }
}

impl Person {
    fn of(fleet: &Fleet, it: &Participant, path: &str, now: Timestamp) -> Self {
        let server = it.server.as_deref();
        let state = server.map(|server| fleet.server_state(server, now));
        let used = server.and_then(|server| {
            let host = fleet.floor.host(server.holds_on()?)?;
            let held = host.servers.iter().find(|held| held.server == server.id)?;
            Some(format!("{} / {}", held.memory.used, held.memory.limit))
        });
        let acts: &[_] = match (it.known, it.is_active(), it.is_connected()) {
            (false, ..) => &[],
            (true, false, _) => &[("start", "training-start")],
            (true, true, false) => &[("stop", "training-stop")],
            (true, true, true) => &[("restart", "training-restart"), ("stop", "training-stop")],
        };
        let button = |&(act, words): &(&'static str, &'static str)| {
            let path = format!("{path}/participants/{}/{act}", it.name);
            (act, path, say::t(words).with("user", it.name.as_str()).to_string())
        };
        Self {
            name: it.name.to_string(),
            state: match state {
                Some(state) => words::state(state),
                None if it.known => say::t("training-no-server").to_string(),
                None => say::t("training-never-here").to_string(),
            },
            class: state.map_or("", words::state_class),
            why: server.and_then(stuck).map(|why| (say::reason(why), why.code())),
            active: server.map(|it| words::ago(it.last_activity, now)).unwrap_or_default(),
            memory: used.unwrap_or_default(),
            acts: acts.iter().map(button).collect(),
        }
    }
}
