//! `roles.toml`: what people may do beyond their own servers, in JupyterHub's scopes.

use std::collections::{BTreeMap, BTreeSet};

use berth_common::Username;
use berth_common::link::Account;
use berth_core::settings::{Cite, People};
use serde::Deserialize;
use toml::Spanned;

use super::draft::Draft;
use super::sources::{File, Version};
use crate::auth::scopes;

/// The role whose scopes are built in: a file only says who has it.
pub const ADMIN: &str = "admin";
/// Roles that everybody, every server and every token has.
const BUILT_IN: [&str; 3] = ["user", "server", "token"];

/// A role of the site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// For people.
    pub description: String,
    /// What it allows.
    pub scopes: Vec<String>,
    /// Who has it.
    pub people: People,
    /// Which services have it.
    pub services: BTreeSet<String>,
    /// Where it is written.
    pub cite: Cite,
}

/// All roles of the site, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roles(pub BTreeMap<String, Role>);

impl Roles {
    /// The roles of somebody, by name and by group.
    pub fn of<'a>(&'a self, account: &Account) -> impl Iterator<Item = (&'a str, &'a Role)> {
        let groups: Vec<&str> = account.groups.iter().map(|group| group.name.as_str()).collect();
        let held: Vec<_> = self
            .0
            .iter()
            .filter(|(_, role)| role.people.names(&account.name, &groups).is_some())
            .map(|(name, role)| (name.as_str(), role))
            .collect();
        held.into_iter()
    }

    /// The roles of a service.
    pub fn of_service<'a>(&'a self, service: &'a str) -> impl Iterator<Item = (&'a str, &'a Role)> {
        let held = self.0.iter().filter(move |(_, role)| role.services.contains(service));
        held.map(|(name, role)| (name.as_str(), role))
    }

    /// Whether the files make somebody an administrator.
    pub fn make_admin(&self, account: &Account) -> bool {
        self.of(account).any(|(name, _)| name == ADMIN)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RolesToml {
    #[serde(rename = "version")]
    _version: Version,
    #[serde(default)]
    role: BTreeMap<Spanned<String>, Spanned<RoleToml>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RoleToml {
    #[serde(default)]
    description: String,
    #[serde(default)]
    scopes: Vec<Spanned<String>>,
    #[serde(default)]
    users: BTreeSet<Username>,
    #[serde(default)]
    groups: BTreeSet<String>,
    #[serde(default)]
    except_users: BTreeSet<Username>,
    #[serde(default)]
    services: Vec<Spanned<String>>,
}

/// Reads all roles.
pub(super) fn take(draft: &mut Draft) -> Roles {
    let mut roles = Roles::default();
    for (file, toml) in draft.sources.all::<RolesToml>("roles") {
        for (name, role) in toml.role {
            take_role(draft, file, &name, role, &mut roles);
        }
    }
    roles
}

fn take_role(
    draft: &mut Draft,
    file: File,
    name: &Spanned<String>,
    entry: Spanned<RoleToml>,
    roles: &mut Roles,
) {
    let (place, entry_place) = (file.at(name), file.at(&entry));
    let (name, toml) = (name.get_ref().clone(), entry.into_inner());
    if !is_role_name(&name) {
        let message = format!(
            "\"{name}\" is no role's name: 3 to 255 of a-z, 0-9 and -_~., a letter first, a \
             letter or digit last"
        );
        draft.sources.bad_value(&place, message);
    }
    if BUILT_IN.contains(&name.as_str()) {
        let message = format!("the role \"{name}\" is built in and cannot be changed");
        draft.sources.bad_value(&place, message);
    }
    if name == ADMIN && !toml.scopes.is_empty() {
        let message = "the scopes of \"admin\" are built in: say only who has it, or choose \
                       another name";
        draft.sources.bad_value(&place, message.into());
    }
    if name != ADMIN && toml.scopes.is_empty() {
        draft.sources.bad_value(&place, "a role without scopes allows nothing".into());
    }
    for scope in &toml.scopes {
        if let Err(error) = scopes::check_text(scope.get_ref()) {
            draft.sources.bad_value(&file.at(scope), error.to_string());
        }
    }
    if let Some(first) = roles.0.get(&name).map(|first| first.cite.clone()) {
        draft.sources.duplicate(&place, &format!("role \"{name}\""), &first);
    }
    for service in &toml.services {
        draft.sources.expect_name("service", service.get_ref(), file.at(service));
    }
    // A role may be for services alone.
    let people = if toml.services.is_empty() || !(toml.users.is_empty() && toml.groups.is_empty()) {
        draft.people(&entry_place, toml.users, toml.groups, toml.except_users)
    } else {
        People::default()
    };
    let role = Role {
        description: toml.description,
        scopes: toml.scopes.into_iter().map(Spanned::into_inner).collect(),
        people,
        services: toml.services.into_iter().map(Spanned::into_inner).collect(),
        cite: draft.sources.cite(&place),
    };
    roles.0.insert(name, role);
}

/// JupyterHub's rule: `^[a-z][a-z0-9\-_~\.]{1,253}[a-z0-9]$`.
fn is_role_name(name: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_~.".contains(c);
    (3..=255).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.ends_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && name.chars().all(inner)
}
