//! What a caller may do, in JupyterHub's words: scopes with filters.
//!
//! Kept expanded (every contained scope is listed) and reduced (a filtered scope is dropped where
//! the unfiltered one is held), since clients test for membership and resolve nothing.

mod lattice;
mod visits;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::LazyLock;

use berth_common::ServerName;
use berth_common::link::{Account, Group};
use berth_store::User;

pub use lattice::IDENTIFY;
use lattice::{ADMIN, CONTAINS, SELF};

use crate::config::roles::{self, Roles};
use crate::config::services::Service;

/// The narrowing of a scope to some resources.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Filter {
    /// A person and the person's servers.
    User(String),
    /// One server: its owner and its name.
    Server(String, String),
    /// The members of a group and their servers.
    Group(String),
    /// One service.
    Service(String),
}

/// How far a scope reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Reach {
    All,
    Some(BTreeSet<Filter>),
}

/// A set of scopes, expanded and reduced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scopes {
    held: BTreeMap<&'static str, Reach>,
}

/// A scope that this version does not know, or a filter that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Scope '{0}' does not exist")]
pub struct UnknownScope(String);

impl UnknownScope {
    /// As it was written.
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl Scopes {
    /// Everything that an administrator may do.
    pub fn admin() -> Self {
        // The same for everybody, and asked for at each request of an administrator's program.
        static ALL: LazyLock<Scopes> = LazyLock::new(|| {
            let mut scopes = Scopes::default();
            for scope in ADMIN {
                scopes.add(scope, None);
            }
            scopes
        });
        ALL.clone()
    }

    /// What a person may do.
    pub fn of_user(user: &User, roles: &Roles) -> Self {
        let is_admin = user.admin || roles.make_admin(&user.account);
        let mut scopes = if is_admin { Self::admin() } else { Self::default() };
        scopes.add_self(&user.account);
        for (_, role) in roles.of(&user.account) {
            for text in &role.scopes {
                // Roles were checked when they were read.
                let _ = scopes.add_text(text, user);
            }
        }
        scopes
    }

    /// What a service may do in its own right.
    pub fn of_service(service: &Service, roles: &Roles) -> Self {
        let roles: Vec<_> = roles.of_service(&service.name).collect();
        let is_admin = service.admin || roles.iter().any(|(name, _)| *name == roles::ADMIN);
        let mut scopes = if is_admin { Self::admin() } else { Self::default() };
        for text in roles.iter().flat_map(|(_, role)| &role.scopes).chain(&service.scopes) {
            match read(text) {
                Ok((name, None)) => scopes.add(name, None),
                Ok((name, Some(Written::Of(filter)))) => scopes.add(name, Some(filter)),
                // A role that people have too: what is theirs is nobody's here. The rest was
                // checked when it was read.
                Ok((_, Some(Written::Own))) | Err(_) => {}
            }
        }
        scopes
    }

    fn add_self(&mut self, account: &Account) {
        for scope in SELF {
            self.add(scope, Some(Filter::User(account.name.to_string())));
        }
    }

    /// Reads a token's list. `inherit` is all that its owner may do.
    ///
    /// # Errors
    /// The first scope that is not known.
    pub fn parse(list: &[String], owner: &User, roles: &Roles) -> Result<Self, UnknownScope> {
        let mut scopes = Self::default();
        for text in list {
            match text.as_str() {
                "inherit" | "all" => scopes.join(Self::of_user(owner, roles)),
                "self" => scopes.add_self(&owner.account),
                "(no_scope)" => {}
                text => scopes.add_text(text, owner)?,
            }
        }
        Ok(scopes)
    }

    fn add_text(&mut self, text: &str, owner: &User) -> Result<(), UnknownScope> {
        let (name, filter) = read(text)?;
        let filter = filter.map(|filter| match filter {
            Written::Own => Filter::User(owner.account.name.to_string()),
            Written::Of(filter) => filter,
        });
        self.add(name, filter);
        Ok(())
    }

    /// Adds a scope with all that it contains.
    fn add(&mut self, name: &'static str, filter: Option<Filter>) {
        let mut todo = vec![name];
        while let Some(name) = todo.pop() {
            // A server is not a person: its filter says nothing about people.
            let about_people = name.starts_with("read:users");
            if matches!(filter, Some(Filter::Server(..))) && about_people {
                continue;
            }
            self.put(name, filter.clone());
            let contained = CONTAINS.iter().find(|(scope, _)| *scope == name);
            todo.extend(contained.into_iter().flat_map(|(_, contained)| *contained));
        }
    }

    fn put(&mut self, name: &'static str, filter: Option<Filter>) {
        let reach = self.held.entry(name).or_insert_with(|| Reach::Some(BTreeSet::new()));
        match (reach, filter) {
            (Reach::All, _) => {}
            (reach, None) => *reach = Reach::All,
            (Reach::Some(filters), Some(filter)) => {
                filters.insert(filter);
            }
        }
    }

    fn join(&mut self, other: Self) {
        for (name, reach) in other.held {
            match reach {
                Reach::All => self.put(name, None),
                Reach::Some(filters) => {
                    for filter in filters {
                        self.put(name, Some(filter));
                    }
                }
            }
        }
    }

    /// What both allow. `groups` are those of the person whom `self` is about.
    #[must_use]
    pub fn intersect(&self, other: &Self, groups: &[Group]) -> Self {
        let mut both = Self::default();
        for (name, reach) in &self.held {
            match (reach, other.held.get(name)) {
                (_, None) => {}
                (Reach::All, Some(reach)) | (reach, Some(Reach::All)) => {
                    both.held.insert(name, reach.clone());
                }
                (Reach::Some(ours), Some(Reach::Some(theirs))) => {
                    let pairs = ours.iter().flat_map(|a| theirs.iter().map(move |b| (a, b)));
                    for filter in pairs.filter_map(|(a, b)| narrower(a, b, groups)) {
                        both.put(name, Some(filter.clone()));
                    }
                }
            }
        }
        both
    }

    /// Whether these allow all that `other` allows.
    pub fn cover(&self, other: &Self, groups: &[Group]) -> bool {
        other.intersect(self, groups) == *other
    }

    /// Whether these allow what a scope in writing would allow anybody: `!user` is every person.
    pub fn cover_text(&self, text: &str) -> bool {
        let mut wanted = Self::default();
        match read(text) {
            Ok((name, None | Some(Written::Own))) => wanted.add(name, None),
            Ok((name, Some(Written::Of(filter)))) => wanted.add(name, Some(filter)),
            // `inherit` and `self`: what somebody may do who may do all.
            Err(_) => wanted = Self::admin(),
        }
        self.cover(&wanted, &[])
    }

    /// Whether a scope is held at all, for whatever resources.
    pub fn hold(&self, scope: &str) -> bool {
        self.held.contains_key(scope)
    }

    /// Whether a scope reaches everything.
    pub fn hold_for_all(&self, scope: &str) -> bool {
        self.held.get(scope) == Some(&Reach::All)
    }

    /// Whether a scope reaches a person.
    pub fn reach_user(&self, scope: &str, account: &Account) -> bool {
        self.reaches(scope, |filter| match filter {
            Filter::User(user) => user == account.name.as_str(),
            Filter::Group(group) => is_member(&account.groups, group),
            Filter::Server(..) | Filter::Service(_) => false,
        })
    }

    /// Whether a scope reaches a group itself.
    pub fn reach_group(&self, scope: &str, name: &str) -> bool {
        self.reaches(scope, |filter| matches!(filter, Filter::Group(group) if group == name))
    }

    /// Whether a scope reaches a service.
    pub fn reach_service(&self, scope: &str, name: &str) -> bool {
        self.reaches(scope, |filter| matches!(filter, Filter::Service(service) if service == name))
    }

    /// Whether a scope reaches a person's server.
    pub fn reach_server(&self, scope: &str, account: &Account, name: &ServerName) -> bool {
        let this_one = |filter: &Filter| {
            matches!(filter, Filter::Server(user, server)
                if user == account.name.as_str() && server == name.as_str())
        };
        self.reach_user(scope, account) || self.reaches(scope, this_one)
    }

    fn reaches(&self, scope: &str, matches: impl Fn(&Filter) -> bool) -> bool {
        match self.held.get(scope) {
            None => false,
            Some(Reach::All) => true,
            Some(Reach::Some(filters)) => filters.iter().any(matches),
        }
    }

    /// All of them as text, sorted.
    pub fn list(&self) -> Vec<String> {
        let mut list = Vec::new();
        for (name, reach) in &self.held {
            match reach {
                Reach::All => list.push((*name).to_owned()),
                Reach::Some(filters) => {
                    list.extend(filters.iter().map(|filter| format!("{name}!{filter}")));
                }
            }
        }
        list.sort();
        list
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(user) => write!(f, "user={user}"),
            Self::Server(user, server) => write!(f, "server={user}/{server}"),
            Self::Group(group) => write!(f, "group={group}"),
            Self::Service(service) => write!(f, "service={service}"),
        }
    }
}

/// A filter as it is written.
enum Written {
    /// `!user`: whoever holds the scope.
    Own,
    Of(Filter),
}

/// A scope's name and filter.
fn read(text: &str) -> Result<(&'static str, Option<Written>), UnknownScope> {
    let unknown = || UnknownScope(text.chars().take(80).collect());
    let (name, filter) = match text.split_once('!') {
        Some((name, filter)) => (name, Some(filter)),
        None => (text, None),
    };
    let name = known(name).ok_or_else(unknown)?;
    let filter = match filter.map(|filter| filter.split_once('=').ok_or(filter)) {
        None => return Ok((name, None)),
        Some(Err("user")) => Written::Own,
        Some(Ok((_, ""))) => return Err(unknown()),
        Some(Ok(("user", user))) => Written::Of(Filter::User(user.to_owned())),
        Some(Ok(("group", group))) => Written::Of(Filter::Group(group.to_owned())),
        Some(Ok(("service", service))) => Written::Of(Filter::Service(service.to_owned())),
        Some(Ok(("server", server))) => {
            let (user, server) = server.split_once('/').ok_or_else(unknown)?;
            Written::Of(Filter::Server(user.to_owned(), server.to_owned()))
        }
        Some(_) => return Err(unknown()),
    };
    Ok((name, Some(filter)))
}

/// Whether a scope of a role exists and its filter makes sense.
///
/// # Errors
/// When not.
pub fn check_text(text: &str) -> Result<(), UnknownScope> {
    read(text).map(|_| ())
}

/// The names of all scopes.
pub fn names() -> Vec<&'static str> {
    CONTAINS.iter().map(|(scope, _)| *scope).collect()
}

/// Whether a scope is another, or contains it.
pub fn contains(outer: &str, inner: &str) -> bool {
    let directly = CONTAINS.iter().find(|(scope, _)| *scope == outer);
    outer == inner || directly.is_some_and(|(_, all)| all.iter().any(|it| contains(it, inner)))
}

fn known(name: &str) -> Option<&'static str> {
    CONTAINS.iter().map(|(scope, _)| *scope).find(|scope| *scope == name)
}

fn is_member(groups: &[Group], name: &str) -> bool {
    groups.iter().any(|group| group.name == name)
}

/// The narrower of two filters, if one lies within the other.
fn narrower<'a>(a: &'a Filter, b: &'a Filter, groups: &[Group]) -> Option<&'a Filter> {
    if is_within(a, b, groups) {
        Some(a)
    } else if is_within(b, a, groups) {
        Some(b)
    } else {
        None
    }
}

fn is_within(inner: &Filter, outer: &Filter, groups: &[Group]) -> bool {
    match (inner, outer) {
        (Filter::Server(owner, _), Filter::User(user)) => owner == user,
        (Filter::User(_) | Filter::Server(..), Filter::Group(group)) => is_member(groups, group),
        (inner, outer) => inner == outer,
    }
}

#[cfg(test)]
mod tests {
    use berth_common::Timestamp;

    use super::*;

    fn user(name: &str, admin: bool) -> User {
        User {
            account: Account {
                name: name.parse().unwrap(),
                uid: 1000,
                gid: 1000,
                groups: vec![Group { name: "lab".into(), gid: 2000 }],
                home: "/home/x".into(),
            },
            admin,
            password: String::new(),
            created: Timestamp(0),
            last_activity: Timestamp(0),
        }
    }

    fn scopes(text: &str, owner: &User) -> Scopes {
        let list: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        Scopes::parse(&list, owner, &Roles::default()).unwrap()
    }

    #[test]
    fn a_person_holds_what_jupyterhub_6_gives() {
        let expected = "access:servers delete:servers read:servers read:shares read:tokens read:users \
            read:users:activity read:users:groups read:users:name read:users:shares servers \
            start:servers tokens users:activity users:shares";
        let expected: Vec<_> =
            expected.split_whitespace().map(|scope| format!("{scope}!user=alice")).collect();
        assert_eq!(Scopes::of_user(&user("alice", false), &Roles::default()).list(), expected);
        assert_eq!(scopes("inherit", &user("alice", false)).list(), expected);
        assert_eq!(scopes("self", &user("alice", true)).list(), expected);
    }

    #[test]
    fn an_administrator_holds_everything_unfiltered() {
        let list = Scopes::of_user(&user("root_", true), &Roles::default()).list();
        for scope in ["admin:users", "servers", "access:servers", "list:users", "tokens"] {
            assert!(list.iter().any(|held| held == scope), "{scope}");
        }
        assert!(list.iter().all(|scope| !scope.contains('!')), "reduced: {list:?}");
    }

    #[test]
    fn a_token_never_exceeds_its_owner() {
        let alice = user("alice", false);
        let own = Scopes::of_user(&alice, &Roles::default());
        let check = |text: &str| {
            own.intersect(&scopes(text, &alice), &alice.account.groups).list().join(" ")
        };
        assert_eq!(
            check("admin:users shutdown"),
            "read:users!user=alice \
             read:users:activity!user=alice read:users:groups!user=alice \
             read:users:name!user=alice users:activity!user=alice"
        );
        assert_eq!(check("access:servers"), "access:servers!user=alice");
        assert_eq!(check("access:servers!user=bob"), "");
        assert_eq!(check("access:servers!server=alice/n1"), "access:servers!server=alice/n1");
        assert_eq!(check("access:servers!server=bob/"), "");
        assert_eq!(check("access:servers!group=lab"), "access:servers!user=alice");
        assert_eq!(check("access:servers!group=other"), "");
        assert_eq!(check("access:services"), "");
    }

    #[test]
    fn an_oauth_token_lists_what_the_single_user_server_looks_for() {
        let alice = user("alice", false);
        let token = scopes(
            "read:users:name!user read:users:groups!user access:servers!server=alice/",
            &alice,
        );
        assert_eq!(
            Scopes::of_user(&alice, &Roles::default()).intersect(&token, &[]).list(),
            [
                "access:servers!server=alice/",
                "read:users:groups!user=alice",
                "read:users:name!user=alice"
            ]
        );
    }

    #[test]
    fn a_server_filter_says_nothing_about_people() {
        let list = scopes("servers!server=alice/n1", &user("alice", false)).list().join(" ");
        assert_eq!(
            list,
            "delete:servers!server=alice/n1 read:servers!server=alice/n1 \
             servers!server=alice/n1 start:servers!server=alice/n1"
        );
    }

    #[test]
    fn unknown_scopes_are_refused() {
        let alice = user("alice", false);
        for bad in ["nonsense", "servers!", "servers!server", "servers!server=a", "servers!x=y"] {
            assert!(Scopes::parse(&[bad.to_owned()], &alice, &Roles::default()).is_err(), "{bad}");
        }
    }

    #[test]
    fn coverage_is_the_rule_for_new_tokens() {
        let alice = user("alice", false);
        let all = Scopes::of_user(&alice, &Roles::default());
        let narrow = scopes("tokens!user", &alice);
        assert!(all.cover(&narrow, &[]));
        assert!(!narrow.cover(&all, &[]));
        assert!(Scopes::admin().cover(&all, &[]));
    }
}
