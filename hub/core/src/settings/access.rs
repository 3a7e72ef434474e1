//! Who may use which profile, until when, and on which hosts.

use std::collections::BTreeSet;
use std::sync::Arc;

use berth_common::{HostId, Timestamp, Username};
use serde::{Deserialize, Serialize};

use super::Cite;

/// A set of people.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct People {
    /// By name.
    pub users: BTreeSet<Username>,
    /// By group; `*` is everybody.
    pub groups: BTreeSet<String>,
    /// But not these.
    pub except_users: BTreeSet<Username>,
}

/// Where a person is named in a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Named<'a> {
    /// By name.
    User,
    /// By this group.
    Group(&'a str),
}

impl People {
    /// How this person belongs to the set; by name comes before by group.
    pub fn names<'a>(&'a self, user: &Username, groups: &[&str]) -> Option<Named<'a>> {
        if self.except_users.contains(user) {
            return None;
        }
        if self.users.contains(user) {
            return Some(Named::User);
        }
        let group =
            self.groups.iter().find(|group| *group == "*" || groups.contains(&group.as_str()));
        group.map(|group| Named::Group(group))
    }
}

/// All whitelists. A `deny` that matches ends it; a profile without any `allow` is open to every
/// valid account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// Who may.
    pub allow: Vec<Allow>,
    /// Who may not, whatever `allow` says.
    pub deny: Vec<Deny>,
    /// Where some people's servers go.
    pub place: Vec<Place>,
}

/// A whitelist entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allow {
    /// The profile.
    pub profile: String,
    /// Who.
    pub people: People,
    /// The first moment at which it no longer holds.
    pub until: Option<Timestamp>,
    /// Why, for the administrators.
    pub note: Option<String>,
    /// Where it stands.
    pub cite: Cite,
}

/// A closed door.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deny {
    /// The profile; `None`: all of them.
    pub profile: Option<String>,
    /// Who.
    pub people: People,
    /// What the person reads.
    pub reason: String,
    /// Where it stands.
    pub cite: Cite,
}

/// Special placement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The profile; `None`: all of them.
    pub profile: Option<String>,
    /// Who.
    pub people: People,
    /// Hosts that come first.
    pub prefer: Arc<BTreeSet<HostId>>,
    /// Hosts beyond which nothing is possible; empty: no such limit.
    pub require: Arc<BTreeSet<HostId>>,
    /// Where it stands.
    pub cite: Cite,
}
