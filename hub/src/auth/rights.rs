//! What somebody may see and do on the pages beyond what is theirs: by the scopes that they hold
//! over everything. Who holds all of them is an administrator; a role of the site may hold some.

use std::collections::BTreeSet;

use crate::auth::scopes::Scopes;

/// One such thing. Pages and buttons that no right is for are the administrators'.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// All servers with their pages and logs, the queue and all decisions.
    SeeServers,
    /// Hosts with their pools, GPUs, images and drains.
    SeeHosts,
    /// Everybody's account, rights and home.
    SeePeople,
    /// How the site is.
    SeeHealth,
    /// Others' servers: starting them, keeping them, giving them another amount of memory.
    StartServers,
    /// Others' servers: ending and forgetting them.
    StopServers,
    /// Others' servers: going in, with a reason.
    EnterServers,
}

impl Right {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::SeeServers,
        Self::SeeHosts,
        Self::SeePeople,
        Self::SeeHealth,
        Self::StartServers,
        Self::StopServers,
        Self::EnterServers,
    ];

    /// The scopes that it takes, all of them and over everything: what they let a program read or do,
    /// the page shows or does.
    pub const fn scopes(self) -> &'static [&'static str] {
        match self {
            Self::SeeServers => &["read:servers"],
            Self::SeeHosts => &["read:hub", "read:servers"],
            Self::SeePeople => &["list:users", "read:users", "read:roles:users", "read:servers"],
            Self::SeeHealth => &["read:hub"],
            Self::StartServers => &["start:servers"],
            Self::StopServers => &["delete:servers"],
            Self::EnterServers => &["access:servers"],
        }
    }
}

/// The rights of somebody.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rights(BTreeSet<Right>);

impl Rights {
    /// What these scopes give.
    pub fn of(scopes: &Scopes) -> Self {
        let held = |right: &Right| right.scopes().iter().all(|scope| scopes.hold_for_all(scope));
        Self(Right::ALL.into_iter().filter(held).collect())
    }

    /// Whether this is one of them.
    pub fn has(&self, right: Right) -> bool {
        self.0.contains(&right)
    }

    /// Whether any page is theirs that is about more than themselves.
    pub fn see_anything(&self) -> bool {
        use Right::{SeeHealth, SeeHosts, SeePeople, SeeServers};
        [SeeServers, SeeHosts, SeePeople, SeeHealth].into_iter().any(|right| self.has(right))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn administrators_have_all_of_them() {
        let rights = Rights::of(&Scopes::admin());
        assert!(Right::ALL.into_iter().all(|right| rights.has(right)));
        assert!(!Rights::default().see_anything());
    }
}
