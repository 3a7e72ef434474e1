//! Several sources, one account. The sources are believed in their order: uid, gid and HOME are
//! those of the first that says them; groups are those of all, a group's number being that of the
//! first that knows it; one source that says *no* is enough.

use std::collections::BTreeMap;

use berth_common::link::{Account, Group};
use berth_common::{Reason, Username};
use berth_store::Entry;
use serde_json::Value;

use crate::config::directory::{Directory, Part, Source};

/// More groups than this are a mistake; the kernel's own limit is higher.
const MOST_GROUPS: usize = 1_000;

/// How an account stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It may be used.
    Valid(Account),
    /// It exists and may not be used, for this reason.
    Invalid(String),
    /// Nobody who counts knows it.
    Unknown(String),
    /// Somebody who counts cannot be asked.
    Unavailable(String),
}

impl Standing {
    /// The code and the sentence of a refusal. A valid account has none to give.
    pub fn refusal(&self, rules: &Directory) -> (Reason, String) {
        let (reason, why) = match self {
            Self::Valid(_) => (Reason::RefusedAccountInvalid, ""),
            Self::Invalid(why) => (Reason::RefusedAccountInvalid, why.as_str()),
            Self::Unknown(why) => (Reason::RefusedAccountUnknown, why.as_str()),
            Self::Unavailable(why) => (Reason::RefusedAccountUnavailable, why.as_str()),
        };
        let contact = match rules.contact.as_str() {
            "" => String::new(),
            contact => format!(" Ask {contact}."),
        };
        (reason, format!("{why}{contact}"))
    }

    /// The word for it in the API.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Valid(_) => "valid",
            Self::Invalid(_) => "invalid",
            Self::Unknown(_) => "unknown",
            Self::Unavailable(_) => "unavailable",
        }
    }
}

/// What a source says about an account.
#[derive(Debug, Clone)]
pub enum Said {
    /// It knows it.
    Entry(Entry),
    /// It does not know it.
    Unknown,
    /// It cannot be asked, and nothing recent is known.
    Down(String),
}

/// A source's answer.
#[derive(Debug, Clone)]
pub struct Answer<'a> {
    /// Whose.
    pub source: &'a Source,
    /// What.
    pub said: Said,
}

/// Makes one account of what the sources say.
pub fn merge(name: &Username, answers: &[Answer<'_>]) -> Standing {
    let mut known = Vec::new();
    for Answer { source, said } in answers {
        match said {
            Said::Entry(entry) => known.push((*source, entry)),
            Said::Unknown if source.must_know => {
                return Standing::Unknown(format!("{name} is not known to {}.", source.name));
            }
            Said::Unknown => {}
            Said::Down(why) => {
                let source = &source.name;
                return Standing::Unavailable(format!("{source} does not answer ({why})."));
            }
        }
    }
    if known.is_empty() {
        return Standing::Unknown(format!("No source of the account directory knows {name}."));
    }
    let taken = |part| known.iter().filter(move |(source, _)| source.takes.contains(&part));
    if let Some((source, entry)) = taken(Part::Valid).find(|(_, entry)| entry.valid == Some(false))
    {
        let why = entry.why.trim_end_matches('.');
        let why = if why.is_empty() { String::new() } else { format!(": {why}") };
        return Standing::Invalid(format!("{} says that {name} is not valid{why}.", source.name));
    }
    let uid = taken(Part::Uid).find_map(|(_, entry)| entry.uid);
    let gid = taken(Part::Gid).find_map(|(_, entry)| entry.gid);
    let (Some(uid), Some(gid)) = (uid, gid) else {
        let missing = if uid.is_none() { "uid" } else { "gid" };
        return Standing::Unknown(format!("No source says the {missing} of {name}."));
    };
    let home = taken(Part::Home).find_map(|(_, entry)| entry.home.clone());
    let home = home.unwrap_or_else(|| format!("/home/{name}"));
    let groups = taken(Part::Groups).filter_map(|(_, entry)| entry.groups.as_ref());
    let account = Account { name: name.clone(), uid, gid, groups: joined(groups), home };
    match check_account(&account) {
        Ok(()) => Standing::Valid(account),
        Err(why) => Standing::Invalid(format!("The account of {name} cannot be used: {why}.")),
    }
}

/// Groups by name. What is no group's name is left out, not refused: one odd group of thousands
/// must not lock a person out.
fn joined<'a>(lists: impl Iterator<Item = &'a Vec<Group>>) -> Vec<Group> {
    let mut order = Vec::new();
    let mut numbers: BTreeMap<&str, u32> = BTreeMap::new();
    for group in lists.flatten().filter(|group| is_group_name(&group.name)) {
        let number = numbers.entry(&group.name).or_insert_with(|| {
            order.push(&group.name);
            0
        });
        if *number == 0 {
            *number = group.gid;
        }
    }
    let group = |name: &String| Group {
        name: name.clone(),
        gid: numbers.get(name.as_str()).copied().unwrap_or(0),
    };
    order.into_iter().take(MOST_GROUPS).map(group).collect()
}

/// Whether a text can be a group's name.
pub fn is_group_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    !name.is_empty() && name.len() <= 64 && name.chars().all(plain)
}

/// Whether an account can be used on the hosts; else why not.
///
/// # Errors
/// What is wrong with it.
pub fn check_account(account: &Account) -> Result<(), &'static str> {
    if account.uid == 0 || account.gid == 0 {
        return Err("uid and gid must not be 0: no server runs as root");
    }
    if account.groups.len() > MOST_GROUPS
        || !account.groups.iter().all(|group| is_group_name(&group.name))
    {
        return Err("groups: each is {name, gid} with a Unix group's name");
    }
    let home = &account.home;
    let is_plain = home.starts_with('/')
        && home.len() <= 255
        && home.chars().all(|c| c.is_ascii_graphic() && c != ':' && c != '\\')
        && home.split('/').skip(1).all(|part| !part.is_empty() && part != "." && part != "..");
    if is_plain { Ok(()) } else { Err("home: an absolute path without . or .. is needed") }
}

/// Groups as providers and services write them: a name, a list of names, or a list of objects with
/// `name` and `gid`. The slash before Keycloak's groups is not part of the name.
pub fn groups_of(value: &Value) -> Vec<Group> {
    let plain = |name: &str, gid| Group { name: name.trim_start_matches('/').to_owned(), gid };
    let one = |value: &Value| match value {
        Value::String(name) => Some(plain(name, 0)),
        Value::Object(object) => {
            let gid = object.get("gid").and_then(Value::as_u64).unwrap_or(0);
            Some(plain(object.get("name")?.as_str()?, u32::try_from(gid).ok()?))
        }
        _ => None,
    };
    match value {
        Value::Array(list) => list.iter().filter_map(one).collect(),
        value => one(value).into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::directory::Kind;

    fn source(name: &str, must_know: bool, takes: &[Part]) -> Source {
        let (kind, cite) = (Kind::Nss, Default::default());
        Source { name: name.into(), kind, must_know, takes: takes.iter().copied().collect(), cite }
    }

    fn entry(json: Value) -> Said {
        Said::Entry(serde_json::from_value(json).unwrap())
    }

    fn merged(answers: &[(&Source, Said)]) -> Standing {
        let answers: Vec<_> =
            answers.iter().map(|(source, said)| Answer { source, said: said.clone() }).collect();
        merge(&"alice".parse().unwrap(), &answers)
    }

    #[test]
    fn the_first_that_says_it_is_believed_and_groups_are_joined() {
        let (ldap, idnum) = (source("ldap", false, &Part::ALL), source("idnum", true, &Part::ALL));
        let standing = merged(&[
            (
                &ldap,
                entry(
                    json!({"uid": 20001, "gid": 30001, "groups": [{"name": "atlas", "gid": 30001}]}),
                ),
            ),
            (
                &idnum,
                entry(json!({"valid": true, "uid": 7, "home": "/pbs/home/a/alice",
                "groups": [{"name": "lsst", "gid": 0}, {"name": "atlas", "gid": 9}, {"name": "bad name", "gid": 5}]})),
            ),
        ]);
        let Standing::Valid(account) = standing else { panic!("{standing:?}") };
        assert_eq!(
            (account.uid, account.gid, account.home.as_str()),
            (20001, 30001, "/pbs/home/a/alice")
        );
        let groups: Vec<_> = account.groups.iter().map(|g| (g.name.as_str(), g.gid)).collect();
        assert_eq!(groups, [("atlas", 30001), ("lsst", 0)]);
    }

    #[test]
    fn one_no_is_enough_and_unknown_is_not_down() {
        let (ldap, idnum) = (source("ldap", false, &Part::ALL), source("idnum", true, &Part::ALL));
        let good = entry(json!({"uid": 1, "gid": 1}));
        let no = entry(json!({"valid": false, "why": "contract ended"}));
        let standing = |said| merged(&[(&ldap, good.clone()), (&idnum, said)]);
        let Standing::Invalid(why) = standing(no) else { panic!() };
        assert_eq!(why, "idnum says that alice is not valid: contract ended.");
        assert!(matches!(standing(Said::Unknown), Standing::Unknown(_)));
        assert!(matches!(standing(Said::Down("x".into())), Standing::Unavailable(_)));
        assert!(matches!(merged(&[(&ldap, Said::Unknown)]), Standing::Unknown(_)));
        assert!(matches!(merged(&[(&ldap, entry(json!({"uid": 5})))]), Standing::Unknown(_)));
    }

    #[test]
    fn what_a_source_is_not_taken_for_does_not_count() {
        let (ldap, nss) = (source("ldap", false, &Part::ALL), source("nss", true, &[]));
        let good = entry(json!({"uid": 1, "gid": 1}));
        let other = entry(json!({"valid": false, "uid": 2, "groups": [{"name": "x", "gid": 3}]}));
        let Standing::Valid(account) = merged(&[(&nss, other), (&ldap, good)]) else { panic!() };
        assert_eq!((account.uid, account.groups.len()), (1, 0));
    }

    #[test]
    fn root_is_never_an_account() {
        let ldap = source("ldap", false, &Part::ALL);
        for bad in [
            json!({"uid": 0, "gid": 5}),
            json!({"uid": 5, "gid": 0}),
            json!({"uid": 5, "gid": 5, "home": "/home/../etc"}),
        ] {
            assert!(matches!(merged(&[(&ldap, entry(bad))]), Standing::Invalid(_)));
        }
    }

    #[test]
    fn groups_come_in_many_shapes() {
        let names = |value: Value| {
            groups_of(&value)
                .into_iter()
                .map(|g| format!("{}:{}", g.name, g.gid))
                .collect::<Vec<_>>()
        };
        assert_eq!(names(json!(["/atlas", "lsst"])), ["atlas:0", "lsst:0"]);
        assert_eq!(names(json!("lsst")), ["lsst:0"]);
        assert_eq!(names(json!([{"name": "a", "gid": 5}, {"gid": 5}, 7])), ["a:5"]);
        assert_eq!(names(json!(null)), Vec::<String>::new());
    }
}
