//! Orders about trainings: opened, kept open for longer, or closed, beside what the file says. They
//! are kept in the store with who gave them and why, and hold over restarts.

use berth_common::{Seconds, Timestamp};
use berth_core::agenda::{Entry, Maintenance, TrainingOrder};
use berth_core::fleet::{Fleet, Order};
use berth_core::settings::{Training, Window};
use berth_store::Act;

use super::Role;
use super::check::{LONGEST_EXTENSION, in_the_way};
use crate::agenda;
use crate::site::Hub;
use crate::storage::StorageError;

/// What somebody wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wish {
    /// It is open from now on.
    Open,
    /// It closes later than it would.
    Extend,
    /// It is closed for the rest of the hours that are on.
    Close,
}

impl Wish {
    /// The act, as the audit has it.
    pub fn action(self) -> &'static str {
        match self {
            Self::Open => "training-open",
            Self::Extend => "training-extend",
            Self::Close => "training-close",
        }
    }
}

/// Why there is no such order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Only administrators may.
    #[error("only administrators open and close trainings; an instructor extends one that is on")]
    NotYours,
    /// It has no end to put off.
    #[error("the training is not on: there is no end to put off")]
    NotOn,
    /// Nothing to close.
    #[error("the training is not on: there is nothing to close")]
    NothingToClose,
    /// It is open for as long already.
    #[error("the training is on until {0} anyway")]
    OpenAnyway(Timestamp),
    /// More than somebody who teaches may give.
    #[error("an instructor puts the end off by {LONGEST_EXTENSION} at once at most")]
    TooLong,
    /// The calendar has something else.
    #[error("{0}")]
    InTheWay(String),
}

/// Somebody's order, if the calendar has room for it; of administrators it is only said what is in
/// the way, to others it is refused.
///
/// # Errors
/// Why not.
pub fn order(
    fleet: &Fleet,
    (name, training): (&str, &Training),
    (wish, lasts): (Wish, Seconds),
    (role, order): (Role, Order),
    maintenance: &[Maintenance],
) -> Result<(TrainingOrder, Option<String>), Refused> {
    let now = order.at;
    if role < Role::Instructor || (role == Role::Instructor && wish != Wish::Extend) {
        return Err(Refused::NotYours);
    }
    let on = training.open_span(now);
    let window = match (wish, on) {
        (Wish::Open, Some(on)) if on.to >= now.plus(lasts) => {
            return Err(Refused::OpenAnyway(on.to));
        }
        (Wish::Open, _) => Window { from: now, to: now.plus(lasts) },
        (Wish::Extend, Some(on)) => Window { from: on.to, to: on.to.plus(lasts) },
        (Wish::Extend, None) => return Err(Refused::NotOn),
        (Wish::Close, Some(on)) => Window { from: now, to: on.to },
        (Wish::Close, None) => return Err(Refused::NothingToClose),
    };
    if role == Role::Instructor && lasts > LONGEST_EXTENSION {
        return Err(Refused::TooLong);
    }
    let open = wish != Wish::Close;
    let obstacle = in_the_way(fleet, name, training, window, maintenance).filter(|_| open);
    match obstacle {
        Some(why) if role == Role::Instructor => Err(Refused::InTheWay(why)),
        obstacle => {
            let training = name.to_owned();
            Ok((TrainingOrder { training, open, window, order }, obstacle))
        }
    }
}

/// Keeps an order, which is in force then.
///
/// # Errors
/// When it could not be saved.
pub async fn give(hub: &Hub, act: Act, order: TrainingOrder) -> Result<i64, StorageError> {
    agenda::add(hub, act, Entry::Training(order)).await
}
