//! Trainings as the people who care for them see them: who takes part and how far each is, and who
//! may look after whom. An instructor sees, starts and stops the own training's servers of its
//! participants, and nothing else.

use std::collections::BTreeSet;
use std::sync::Arc;

use berth_common::link::Account;
use berth_common::{Reason, ServerName, Timestamp, Username};
use berth_core::fleet::{Fleet, Phase, Server};
use berth_core::settings::Training;
use berth_store::User;

use crate::site::Hub;
use crate::storage::StorageError;

pub mod care;
pub mod check;
pub mod dress;
pub mod orders;
pub mod rehearsal;

/// What somebody is in a training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Takes part: sees when it is.
    Participant,
    /// Teaches: looks after the participants.
    Instructor,
    /// May do everything.
    Admin,
}

impl Role {
    /// What an account is in a training; `None`: nothing.
    pub fn of(account: &Account, admin: bool, training: &Training) -> Option<Self> {
        let groups: Vec<&str> = account.groups.iter().map(|group| group.name.as_str()).collect();
        if admin {
            Some(Self::Admin)
        } else if training.instructors.contains(&account.name) {
            Some(Self::Instructor)
        } else {
            let named = training.participants.names(&account.name, &groups);
            named.map(|_| Self::Participant)
        }
    }

    /// The stable word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Participant => "participant",
            Self::Instructor => "instructor",
            Self::Admin => "admin",
        }
    }
}

/// Somebody who takes part.
#[derive(Debug, Clone)]
pub struct Participant {
    /// Who.
    pub name: Username,
    /// Whether the hub knows an account of that name: otherwise nobody of it was ever here.
    pub known: bool,
    /// The training's server of this person, if there was one.
    pub server: Option<Arc<Server>>,
}

impl Participant {
    /// Whether the training's server of this person is asked for, starts or runs.
    pub fn is_active(&self) -> bool {
        self.server.as_ref().is_some_and(|server| server.is_active())
    }

    /// Whether it runs.
    pub fn is_connected(&self) -> bool {
        self.server.as_ref().is_some_and(|server| server.is_ready())
    }
}

/// Everybody who takes part, as far as they are known by name: those whom the file names, accounts
/// of its groups, and whoever has a server of it.
///
/// # Errors
/// When the store cannot be read.
pub fn participants(
    hub: &Hub,
    fleet: &Fleet,
    name: &str,
    training: &Training,
) -> Result<Vec<Participant>, StorageError> {
    let users = hub.storage.read(berth_store::Reader::users)?;
    Ok(participants_of(fleet, &users, name, training))
}

fn participants_of(
    fleet: &Fleet,
    users: &[User],
    name: &str,
    training: &Training,
) -> Vec<Participant> {
    let people = &training.participants;
    // A training for everybody is not a list of all accounts.
    let named = people.users.iter().filter(|user| !people.except_users.contains(*user));
    let mut names: BTreeSet<Username> = named.cloned().collect();
    for user in users {
        let member = user.account.groups.iter().any(|it| people.groups.contains(&it.name));
        if member && !people.except_users.contains(&user.account.name) {
            names.insert(user.account.name.clone());
        }
    }
    let own = |server: &&Arc<Server>| server.ask.profile == name && !server.is_rehearsal();
    let own = fleet.servers.values().filter(own);
    names.extend(own.map(|server| server.owner.clone()));
    let known: BTreeSet<&Username> = users.iter().map(|user| &user.account.name).collect();
    names
        .into_iter()
        .map(|user| Participant {
            known: known.contains(&user),
            server: server_of(fleet, &user, name).cloned(),
            name: user,
        })
        .collect()
}

/// The training's server of a person: one that is active, else the one that was asked for last.
pub fn server_of<'a>(fleet: &'a Fleet, user: &'a Username, name: &str) -> Option<&'a Arc<Server>> {
    let own = |server: &&Arc<Server>| server.ask.profile == name && !server.is_rehearsal();
    let own = fleet.servers_of(user).filter(own);
    own.max_by_key(|server| (server.is_active(), server.last_activity))
}

/// The name under which somebody's server of a training starts: the one that it had, or the default.
pub fn name_to_start(fleet: &Fleet, user: &Username, name: &str) -> ServerName {
    let known = server_of(fleet, user, name).map(|server| server.name.clone());
    known.unwrap_or_else(ServerName::default_server)
}

/// Why a participant is not connected, for who looks after them; hosts are not named.
pub fn stuck(server: &Server) -> Option<Reason> {
    match &server.phase {
        Phase::Waiting { reason, .. } => Some(*reason),
        Phase::Placed(_) => None,
        Phase::Idle => server.last_end.as_ref().map(|end| end.reason),
    }
}

/// The state of a training at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is on, until then.
    Open(Timestamp),
    /// It opens then.
    Planned(Timestamp),
    /// It is over.
    Over,
}

impl State {
    /// Of a training at a moment.
    pub fn of(training: &Training, now: Timestamp) -> Self {
        match (training.open_span(now), training.next_window(now)) {
            (Some(span), _) => Self::Open(span.to),
            (None, Some(next)) => Self::Planned(next.from),
            (None, None) => Self::Over,
        }
    }

    /// The stable word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Open(_) => "open",
            Self::Planned(_) => "planned",
            Self::Over => "over",
        }
    }
}
