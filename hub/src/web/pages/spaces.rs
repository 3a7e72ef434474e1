//! The spaces that a server has beside HOME, and how they are on its host.

use berth_common::link::Space;
use berth_core::{Fleet, Server};

use crate::web::say;

/// A space that it has beside HOME.
#[derive(Debug, Clone)]
pub struct SpaceLine {
    /// Where it is inside.
    pub target: String,
    /// As the files call it.
    pub name: String,
    /// Whether nothing can be written there.
    pub read_only: bool,
    /// Whether its host looks after it and finds it well. One that is not watched is neither well
    /// nor in trouble.
    pub usable: bool,
    /// What is wrong with it on its host, if it is watched there.
    pub trouble: Option<String>,
}

/// The spaces that its owner's servers get by the files of now, and how they are on its host. A
/// folder that is mounted only where it exists may be missing inside.
pub fn of(fleet: &Fleet, server: &Server) -> Vec<SpaceLine> {
    let Some(account) = server.account.as_ref().filter(|_| server.is_active()) else {
        return Vec::new();
    };
    let host = server.placement().and_then(|placement| fleet.hosts.get(&placement.host));
    let watched = host.and_then(|host| host.heard.as_ref()).map(|heard| &heard.spaces);
    let health = |name: &str| watched?.iter().find(|space| space.name == name);
    let given = fleet.settings.mounts.given(account, &server.ask.profile).spaces.into_iter();
    let line = |space: Space| {
        let health = health(&space.name);
        let trouble = health.and_then(|health| health.trouble.as_ref());
        SpaceLine {
            usable: health.is_some() && trouble.is_none(),
            trouble: trouble.map(|ending| say::reason(ending.reason)),
            target: space.target,
            name: space.name,
            read_only: space.read_only,
        }
    };
    given.map(line).collect()
}
