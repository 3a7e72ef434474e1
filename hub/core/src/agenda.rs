//! What people put into the site's calendar beside its files: orders about trainings and images,
//! notices, and maintenance. Plain values that the hub keeps in its store; they outlive it.
//!
//! An order about a training changes the windows of the settings in force, as if the file said so,
//! and one about an image changes who starts with its new version:
//! rules, placement and lives look at windows alone, and a decision names the settings that it was
//! made from, this order included.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use berth_common::{HostId, Timestamp, Username};
use serde::{Deserialize, Serialize};

use crate::fleet::{Fleet, Order, Server};
use crate::settings::{Settings, Window};

mod image;
mod rehearsal;

pub use image::{ImageOrder, ImageWish};
pub use rehearsal::{Rehearsal, Seat, Spread, Stage, Took};

/// One entry of the calendar.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Entry {
    /// A training is open, or closed, otherwise than its file says.
    Training(TrainingOrder),
    /// Something that people should know.
    Notice(Notice),
    /// Hosts that are to be empty for a while.
    Maintenance(Maintenance),
    /// A version of an image is fetched ahead, given to everybody, or taken back.
    Image(ImageOrder),
    /// Throw-away servers of a training are started, measured and ended.
    Rehearsal(Rehearsal),
}

impl Entry {
    /// When it is over: what is over for long may be forgotten.
    pub fn ends(&self) -> Timestamp {
        match self {
            Self::Training(order) => order.window.to,
            Self::Notice(notice) => notice.window.to,
            Self::Maintenance(maintenance) => maintenance.window.to,
            // The files end it, with another version.
            Self::Image(_) => Timestamp(i64::MAX),
            Self::Rehearsal(rehearsal) => rehearsal.until().unwrap_or(rehearsal.deadline),
        }
    }
}

/// A training is open, or closed, for a while, whatever its file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrainingOrder {
    /// The training's name.
    pub training: String,
    /// Open, or closed.
    pub open: bool,
    /// For how long.
    pub window: Window,
    /// Who, why and when.
    pub order: Order,
}

/// Something that people should know for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Who reads it.
    pub audience: Audience,
    /// How urgent it is.
    pub level: Level,
    /// While it is shown.
    pub window: Window,
    /// In English.
    pub en: String,
    /// In French; empty: the English text is shown.
    #[serde(default)]
    pub fr: String,
    /// Whether whom it is for is to say that they have read it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub must_read: bool,
    /// Who wrote it.
    pub who: String,
    /// When.
    pub at: Timestamp,
}

/// How urgent a notice is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Good to know.
    #[default]
    Info,
    /// Something will not work as usual.
    Warning,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Info => "info",
            Self::Warning => "warning",
        })
    }
}

/// Hosts that are to be empty for a while: drained beforehand, opened again afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Maintenance {
    /// Which.
    pub hosts: BTreeSet<HostId>,
    /// When they are empty.
    pub window: Window,
    /// When their drains begin.
    pub drain_at: Timestamp,
    /// Who, why and when. The drains carry the same order: by it they are known as this one's.
    pub order: Order,
    /// How far it is.
    #[serde(default)]
    pub state: Progress,
}

/// How far a maintenance is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Progress {
    /// Its drains have not begun.
    #[default]
    Planned,
    /// Its hosts are being emptied, or empty.
    Begun,
    /// Its hosts take servers again.
    Over,
    /// Somebody took it back.
    Cancelled,
}

impl Progress {
    /// The stable word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Begun => "begun",
            Self::Over => "over",
            Self::Cancelled => "cancelled",
        }
    }
}

impl Maintenance {
    /// Whether it is planned or under way.
    pub fn is_ahead(&self) -> bool {
        matches!(self.state, Progress::Planned | Progress::Begun)
    }
}

/// Who reads a notice: `all`, or `group:`, `pool:`, `host:` or `training:` with a name, or `users:`
/// with names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Audience {
    /// Everybody.
    All,
    /// The members of a group.
    Group(String),
    /// Whoever has a server in a pool.
    Pool(String),
    /// Whoever has a server on a host.
    Host(HostId),
    /// Whoever takes part in a training, or teaches it.
    Training(String),
    /// These people.
    Users(BTreeSet<Username>),
}

/// The text names no audience.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("write all, group:NAME, pool:NAME, host:NAME, training:NAME or users:NAME,NAME")]
pub struct NoAudience;

impl FromStr for Audience {
    type Err = NoAudience;

    fn from_str(text: &str) -> Result<Self, NoAudience> {
        match text.split_once(':') {
            None if text == "all" => Ok(Self::All),
            Some((_, "")) | None => Err(NoAudience),
            Some(("group", name)) => Ok(Self::Group(name.to_owned())),
            Some(("pool", name)) => Ok(Self::Pool(name.to_owned())),
            Some(("host", name)) => name.parse().map(Self::Host).map_err(|_| NoAudience),
            Some(("training", name)) => Ok(Self::Training(name.to_owned())),
            Some(("users", names)) => {
                let names: Result<_, _> = names.split(',').map(str::parse).collect();
                names.map(Self::Users).map_err(|_| NoAudience)
            }
            Some(_) => Err(NoAudience),
        }
    }
}

impl TryFrom<String> for Audience {
    type Error = NoAudience;

    fn try_from(text: String) -> Result<Self, NoAudience> {
        text.parse()
    }
}

impl fmt::Display for Audience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.pad("all"),
            Self::Group(name) => write!(f, "group:{name}"),
            Self::Pool(name) => write!(f, "pool:{name}"),
            Self::Host(name) => write!(f, "host:{name}"),
            Self::Training(name) => write!(f, "training:{name}"),
            Self::Users(names) => {
                let names: Vec<_> = names.iter().map(Username::as_str).collect();
                write!(f, "users:{}", names.join(","))
            }
        }
    }
}

impl From<Audience> for String {
    fn from(audience: Audience) -> Self {
        audience.to_string()
    }
}

impl Audience {
    /// Whether somebody belongs to it now.
    pub fn has(&self, fleet: &Fleet, user: &Username, groups: &[&str]) -> bool {
        let any_server = |concerns: &dyn Fn(&Server) -> bool| {
            fleet.servers_of(user).any(|server| server.is_active() && concerns(server))
        };
        match self {
            Self::All => true,
            Self::Group(name) => groups.contains(&name.as_str()),
            Self::Pool(name) => any_server(&|server| pool_of(fleet, server) == Some(name)),
            Self::Host(host) => {
                any_server(&|server| server.placement().is_some_and(|it| it.host == *host))
            }
            Self::Training(name) => fleet.settings.trainings.get(name).is_some_and(|training| {
                training.instructors.contains(user)
                    || training.participants.names(user, groups).is_some()
            }),
            Self::Users(names) => names.contains(user),
        }
    }
}

/// The pool of the host that a server is on, or that of its profile while it waits.
fn pool_of<'a>(fleet: &'a Fleet, server: &Server) -> Option<&'a String> {
    match server.placement() {
        Some(placement) => fleet.settings.hosts.get(&placement.host).map(|host| &host.pool),
        None => fleet.settings.profiles.get(&server.ask.profile).map(|profile| &profile.pool),
    }
}

/// Settings with the orders about trainings and images, in the order in which these were given; `None`: they
/// change nothing.
pub fn ordered<'a>(
    settings: &Settings,
    entries: impl IntoIterator<Item = &'a Entry>,
) -> Option<Settings> {
    let mut changed = settings.clone();
    for entry in entries {
        match entry {
            Entry::Training(order) => {
                if let Some(training) = changed.trainings.get_mut(&order.training) {
                    training.put(order.open, order.window);
                }
            }
            Entry::Image(order) => order.apply(&mut changed),
            Entry::Notice(_) | Entry::Maintenance(_) | Entry::Rehearsal(_) => {}
        }
    }
    (changed != *settings).then_some(changed)
}

#[cfg(test)]
mod tests;
