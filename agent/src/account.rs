//! Who a server runs as: the account as this host knows it, and the passwd and group files that
//! let `whoami` and `id -Gn` speak of names inside the container. All of it may block on a
//! directory server.

use std::collections::BTreeSet;
use std::io;

use berth_agent_sys::account as nss;
use berth_common::Reason;
use berth_common::link::{Account, Ending, Group};

use crate::config::{Limits, Users};

/// An account as a container on this host gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// Numbers, groups and HOME.
    pub account: Account,
    /// Name of the primary group.
    pub primary: String,
    /// Groups that nobody gets on this host, by number.
    pub denied: BTreeSet<u32>,
}

/// Finds out what the hub's account is on this host, by the host's own limits.
///
/// # Errors
/// `failed.account` when host and hub disagree, or the host's name service does not answer.
pub fn resolve(limits: &Limits, wanted: &Account) -> Result<Resolved, Ending> {
    let unanswered = |error: io::Error| {
        failed(format!("the host's name service cannot be asked about {}: {error}", wanted.name))
    };
    let denied = denied(limits).map_err(unanswered)?;
    let account = match limits.users {
        Users::Hub => wanted.clone(),
        Users::Nss => known_here(wanted, &denied)?,
    };
    let listed = account.groups.iter().find(|group| group.gid == account.gid);
    let primary = match listed {
        Some(group) => group.name.clone(),
        None => nss::group_name(account.gid)
            .map_err(unanswered)?
            .unwrap_or_else(|| account.name.to_string()),
    };
    Ok(Resolved { account, primary, denied })
}

/// The numbers of all groups that nobody gets.
fn denied(limits: &Limits) -> io::Result<BTreeSet<u32>> {
    let mut denied: BTreeSet<u32> = limits.deny_gids.iter().copied().collect();
    for name in &limits.deny_groups {
        denied.extend(nss::group_id(name)?);
    }
    Ok(denied)
}

fn known_here(wanted: &Account, denied: &BTreeSet<u32>) -> Result<Account, Ending> {
    let name = &wanted.name;
    let unanswered =
        |error: io::Error| failed(format!("the host's name service fails about {name}: {error}"));
    let found = nss::by_name(name.as_str()).map_err(unanswered)?;
    let found = found.ok_or_else(|| failed(format!("{name} is not known on this host")))?;
    if (found.uid, found.gid) != (wanted.uid, wanted.gid) {
        return Err(failed(format!(
            "{name} is {}:{} on this host, but {}:{} for the hub",
            found.uid, found.gid, wanted.uid, wanted.gid
        )));
    }
    let mut groups = Vec::new();
    for gid in nss::groups_of(name.as_str(), found.gid).map_err(unanswered)? {
        // A person may well be in group docker on the host; their server is not.
        if gid != found.gid && gid != 0 && !denied.contains(&gid) {
            let known = nss::group_name(gid).map_err(unanswered)?;
            groups.push(Group { name: known.unwrap_or_else(|| gid.to_string()), gid });
        }
    }
    Ok(Account { groups, ..wanted.clone() })
}

fn failed(detail: String) -> Ending {
    Ending { reason: Reason::FailedAccount, detail }
}

/// The container's `/etc/passwd`: root and nobody, which programs expect, and the user.
pub fn passwd_file(resolved: &Resolved) -> String {
    let Account { name, uid, gid, home, .. } = &resolved.account;
    format!(
        "root:x:0:0:root:/root:/bin/sh\n\
         nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n\
         {name}:x:{uid}:{gid}:{name}:{home}:/bin/bash\n"
    )
}

/// The container's `/etc/group`.
pub fn group_file(resolved: &Resolved) -> String {
    let account = &resolved.account;
    let mut lines = "root:x:0:\nnogroup:x:65534:\n".to_owned();
    let mut line = |name: &str, gid: u32, member: &str| {
        lines.push_str(&format!("{}:x:{gid}:{member}\n", group_word(name, gid)));
    };
    line(&resolved.primary, account.gid, "");
    for group in account.groups.iter().filter(|group| group.gid != account.gid) {
        line(&group.name, group.gid, account.name.as_str());
    }
    lines
}

/// A group's name as a word of the group file; its number where the name would break the file.
fn group_word(name: &str, gid: u32) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_.-$@\\+".contains(c);
    if !name.is_empty() && name.len() <= 256 && name.chars().all(plain) {
        name.to_owned()
    } else {
        gid.to_string()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn alice(groups: &[(&str, u32)]) -> Account {
        Account {
            name: "alice".parse().unwrap(),
            uid: 2001,
            gid: 3001,
            groups: groups
                .iter()
                .map(|(name, gid)| Group { name: (*name).into(), gid: *gid })
                .collect(),
            home: "/home/alice".into(),
        }
    }

    fn limits(users: &str) -> Limits {
        let text = format!(
            "version = 1\n[agent]\nhub = \"h:1\"\n[limits]\nusers = \"{users}\"\nmount_sources = []\nimages = []\n"
        );
        crate::config::parse("a", &text).unwrap().limits.unwrap()
    }

    #[test]
    fn names_that_would_break_the_file_become_numbers() {
        let account = alice(&[("atlas", 3002), ("a:x:0:\nroot", 3003), ("", 3004)]);
        let resolved = Resolved { account, primary: "people".into(), denied: BTreeSet::new() };
        assert_eq!(
            group_file(&resolved),
            "root:x:0:\nnogroup:x:65534:\npeople:x:3001:\natlas:x:3002:alice\n3003:x:3003:alice\n3004:x:3004:alice\n"
        );
        assert!(
            passwd_file(&resolved).ends_with("\nalice:x:2001:3001:alice:/home/alice:/bin/bash\n")
        );
    }

    #[test]
    fn the_hubs_word_counts_only_where_the_host_says_so() {
        let account = alice(&[("atlas", 3002)]);
        let believed = resolve(&limits("hub"), &account).unwrap();
        assert_eq!(believed.account, account);
        let unknown = Account { name: "no-such-account".parse().unwrap(), ..account };
        let refused = resolve(&limits("nss"), &unknown).unwrap_err();
        assert_eq!(refused.detail, "no-such-account is not known on this host");
        let other = Account { name: "nobody".parse().unwrap(), ..unknown };
        let refused = resolve(&limits("nss"), &other).unwrap_err();
        assert_eq!(refused.detail, "nobody is 65534:65534 on this host, but 2001:3001 for the hub");
        let same = Account { uid: 65534, gid: 65534, ..other };
        let found = resolve(&limits("nss"), &same).unwrap();
        assert_eq!(found.account.groups, [], "groups are the host's, not the hub's");
        assert_eq!(found.primary, "nogroup");
    }

    #[test]
    fn powerful_groups_are_denied_by_the_hosts_own_numbers() {
        assert!(
            denied(&limits("hub")).unwrap().contains(&nss::group_id("shadow").unwrap().unwrap())
        );
    }
}
