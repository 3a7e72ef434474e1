//! The columns of the table of servers: chosen in the address, as `berth server list -c` takes them,
//! so that a link shows what its sender saw.

use axum::http::Uri;

use crate::auth::form::query_pairs;
use crate::web::say;

/// One that can be chosen. Owner and buttons are always there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// Running, waiting, ended and the like, with the reason.
    State,
    /// Where it is.
    Host,
    /// Whose hosts it may be on.
    Pool,
    /// What was picked.
    Profile,
    /// What it runs.
    Image,
    /// Used, and the limit.
    Memory,
    /// How many it holds.
    Gpus,
    /// Since its start.
    Age,
    /// The newest sign of its owner.
    Activity,
}

use Column::{Activity, Age, Gpus, Host, Image, Memory, Pool, Profile, State};

impl Column {
    /// All, in the order of the table.
    pub const ALL: [Self; 9] = [State, Host, Pool, Profile, Image, Memory, Gpus, Age, Activity];
    /// What is shown when nothing is said.
    const USUAL: [Self; 5] = [State, Host, Profile, Memory, Activity];

    /// As addresses name it.
    pub fn name(self) -> &'static str {
        match self {
            State => "state",
            Host => "host",
            Pool => "pool",
            Profile => "profile",
            Image => "image",
            Memory => "memory",
            Gpus => "gpus",
            Age => "age",
            Activity => "activity",
        }
    }

    /// As people read it.
    pub fn title(self) -> String {
        let said = match self {
            State => say::t("state"),
            Host => say::t("host"),
            Pool => say::t("pool"),
            Profile => say::t("profile"),
            Image => say::t("image"),
            Memory => say::t("memory"),
            Gpus => say::t("usage-gpus"),
            Age => say::t("age"),
            Activity => say::t("last-sign"),
        };
        said.to_string()
    }
}

/// Those that are shown, in the order of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns(Vec<Column>);

impl Columns {
    /// Those that an address names: `c=state,memory`, or one `c` each, as a form sends them. Names
    /// that there are not are passed over, and without any that is one the usual are shown.
    pub fn of(uri: &Uri) -> Self {
        let pairs = query_pairs(uri);
        let named = pairs.iter().filter(|(key, _)| key == "c").flat_map(|(_, it)| it.split(','));
        let named: Vec<&str> = named.map(str::trim).collect();
        let chosen = Column::ALL.into_iter().filter(|column| named.contains(&column.name()));
        let chosen: Vec<_> = chosen.collect();
        Self(if chosen.is_empty() { Column::USUAL.to_vec() } else { chosen })
    }

    /// Those that are shown.
    pub fn shown(&self) -> &[Column] {
        &self.0
    }

    /// Whether this one is.
    pub fn has(&self, column: Column) -> bool {
        self.0.contains(&column)
    }

    /// For an address; empty: the usual.
    pub fn query(&self) -> String {
        if self.0 == Column::USUAL {
            return String::new();
        }
        let names: Vec<_> = self.0.iter().map(|column| column.name()).collect();
        format!("&c={}", names.join(","))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_link_shows_what_its_sender_saw() {
        let of = |query: &str| Columns::of(&format!("/hub/admin?{query}").parse().unwrap());
        assert_eq!(of("q=x").query(), "", "the usual need not be said");
        assert_eq!(of("c=memory,state").query(), "&c=state,memory");
        assert_eq!(of("c=age&c=image&c=nothing").query(), "&c=image,age");
        assert_eq!(of("c=nothing"), of(""));
    }
}
