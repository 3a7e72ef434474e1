//! Which servers a person is shown to have access to.

use std::collections::BTreeSet;

use berth_common::ServerName;
use berth_common::link::Account;

use super::{Filter, Reach, Scopes};

impl Scopes {
    /// What notebook servers are shown: of `access:servers` only what is the person's own, and the
    /// servers that the person visits. Others' servers are entered with a reason or not at all.
    #[must_use]
    pub fn with_visits(mut self, own: &Account, visited: &[(Account, ServerName)]) -> Self {
        let scope = "access:servers";
        let reached = visited.iter().filter(|(owner, name)| self.reach_server(scope, owner, name));
        let mut shown: BTreeSet<Filter> = reached
            .map(|(owner, name)| Filter::Server(owner.name.to_string(), name.to_string()))
            .collect();
        let Some(reach) = self.held.remove(scope) else { return self };
        let own = own.name.as_str();
        match reach {
            Reach::All => shown.extend([Filter::User(own.to_owned())]),
            Reach::Some(filters) => shown.extend(filters.into_iter().filter(|filter| {
                matches!(filter, Filter::User(name) | Filter::Server(name, _) if name == own)
            })),
        }
        if !shown.is_empty() {
            self.held.insert(scope, Reach::Some(shown));
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use berth_common::Timestamp;
    use berth_common::link::Group;
    use berth_store::User;

    use super::*;
    use crate::config::roles::Roles;

    fn account(name: &str) -> Account {
        let groups = vec![Group { name: "lab".into(), gid: 2000 }];
        Account { name: name.parse().unwrap(), uid: 1, gid: 1, groups, home: "/home/x".into() }
    }

    fn root() -> User {
        let account = account("root_");
        let (created, last_activity) = (Timestamp(0), Timestamp(0));
        User { account, admin: true, password: String::new(), created, last_activity }
    }

    #[test]
    fn others_servers_are_shown_while_they_are_visited() {
        let root = root();
        let bobs = [(account("bob"), "n1".parse().unwrap())];
        let shown = |text: &str, visited: &[(Account, ServerName)]| {
            let held = Scopes::parse(&[text.to_owned()], &root, &Roles::default()).unwrap();
            let held = held.with_visits(&root.account, visited);
            held.list().into_iter().filter(|scope| scope.starts_with("access:servers")).collect()
        };
        let check = |text: &str, visited: &[(Account, ServerName)], expected: &[&str]| {
            let shown: Vec<String> = shown(text, visited);
            assert_eq!(shown, expected, "{text}");
        };
        check("access:servers", &[], &["access:servers!user=root_"]);
        check(
            "access:servers",
            &bobs,
            &["access:servers!server=bob/n1", "access:servers!user=root_"],
        );
        check("access:servers!server=bob/n1", &[], &[]);
        check("access:servers!server=bob/n1", &bobs, &["access:servers!server=bob/n1"]);
        check("access:servers!server=bob/", &bobs, &[]);
        check("access:servers!user=bob", &bobs, &["access:servers!server=bob/n1"]);
        check("access:servers!group=lab", &bobs, &["access:servers!server=bob/n1"]);
        check("access:servers!group=other", &bobs, &[]);
        check("access:servers!server=root_/", &bobs, &["access:servers!server=root_/"]);
    }
}
