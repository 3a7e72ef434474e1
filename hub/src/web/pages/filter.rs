//! The filter of the table of servers, as it is typed: words that must be found, and conditions
//! such as `user:alice pool:gpu idle:>12h mem.used:<1G state:running`. All must hold.

use std::collections::{BTreeMap, BTreeSet};

use berth_common::{ByteCount, HostId, Reason, Seconds, ServerId, Timestamp};
use berth_core::{Fleet, Server};

use super::floor::{Thought, WhatIf};

/// The keys that compare texts, those that compare amounts, and those that say what is so or would
/// be: `outdated:yes`, an image that a restart would replace; `nofit:HOST`, no room elsewhere if that
/// host went.
const TEXTS: [&str; 9] =
    ["user", "name", "group", "pool", "host", "state", "profile", "image", "reason"];
const AMOUNTS: [&str; 6] = ["idle", "age", "mem", "mem.used", "mem.full", "gpus"];
const OTHERS: [&str; 2] = ["outdated", "nofit"];

/// What is looked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    terms: Vec<Term>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Term {
    /// Found in any of the texts.
    Word(String),
    /// Found in this text.
    Text(&'static str, String),
    /// More or less than this; exactly, if neither.
    Amount(&'static str, Compare, u64),
    /// Whether a restart would give it another image.
    Outdated(bool),
    /// Without this host it would find no room.
    NoFit(HostId),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compare {
    More,
    Less,
    Exactly,
}

impl Filter {
    /// Reads what was typed.
    ///
    /// # Errors
    /// Says what is wrong and what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let terms = text.split_whitespace().map(|word| term(&word.to_lowercase()));
        Ok(Self { terms: terms.collect::<Result<_, _>>()? })
    }

    /// At this moment.
    pub fn on<'a>(&'a self, fleet: &'a Fleet, now: Timestamp) -> Finder<'a> {
        let nowhere = self.terms.iter().filter_map(|term| match term {
            Term::NoFit(host) => Some((host, nowhere_without(fleet, host, now))),
            _ => None,
        });
        Finder { terms: &self.terms, fleet, now, nowhere: nowhere.collect() }
    }
}

/// The servers of a host that would find no room elsewhere.
fn nowhere_without(fleet: &Fleet, host: &HostId, now: Timestamp) -> BTreeSet<ServerId> {
    WhatIf::of(fleet, &Thought { without: Some(host.clone()), ..Thought::default() }, now).nowhere()
}

/// A filter with the moment at which it looks.
pub struct Finder<'a> {
    terms: &'a [Term],
    fleet: &'a Fleet,
    now: Timestamp,
    nowhere: BTreeMap<&'a HostId, BTreeSet<ServerId>>,
}

impl Finder<'_> {
    /// Whether a server is among those looked for; `reason`: why it does not run, or will not.
    pub fn finds(&self, server: &Server, reason: Option<Reason>) -> bool {
        let (fleet, now) = (self.fleet, self.now);
        self.terms.iter().all(|term| match term {
            Term::Outdated(wanted) => fleet.is_outdated(server, now) == *wanted,
            Term::NoFit(host) => {
                self.nowhere.get(host).is_some_and(|nowhere| nowhere.contains(&server.id))
            }
            Term::Word(word) => {
                TEXTS.iter().any(|key| text(fleet, server, reason, key, now).contains(word))
            }
            Term::Text(key, wanted) => text(fleet, server, reason, key, now).contains(wanted),
            Term::Amount(key, compare, wanted) => {
                amount(fleet, server, key, now).is_some_and(|found| match compare {
                    Compare::More => found > *wanted,
                    Compare::Less => found < *wanted,
                    Compare::Exactly => found == *wanted,
                })
            }
        })
    }
}

fn term(word: &str) -> Result<Term, String> {
    let Some((key, value)) = word.split_once(':') else { return Ok(Term::Word(word.to_owned())) };
    let known = |all: &[&'static str]| all.iter().find(|known| **known == key).copied();
    if let Some(key) = known(&TEXTS) {
        return Ok(Term::Text(key, value.to_owned()));
    }
    let wrong = |example: &str| format!("\"{word}\": write e.g. {key}:{example}");
    match (key, value) {
        ("outdated", "yes") => return Ok(Term::Outdated(true)),
        ("outdated", "no") => return Ok(Term::Outdated(false)),
        ("outdated", _) => return Err(wrong("yes")),
        ("nofit", host) => return host.parse().map(Term::NoFit).map_err(|_| wrong("wn1")),
        _ => {}
    }
    let Some(key) = known(&AMOUNTS) else {
        let all = [TEXTS.as_slice(), &AMOUNTS, &OTHERS].concat().join(", ");
        return Err(format!("\"{key}\" is not known here; known are {all}"));
    };
    let (compare, number) = match value.split_at_checked(1) {
        Some((">", rest)) => (Compare::More, rest),
        Some(("<", rest)) => (Compare::Less, rest),
        _ => (Compare::Exactly, value),
    };
    let number = match key {
        "idle" | "age" => seconds(number).ok_or_else(|| wrong(">12h"))?,
        "gpus" => number.parse().map_err(|_| wrong(">0"))?,
        "mem.full" => {
            let percent = number.strip_suffix('%').unwrap_or(number);
            percent.parse().map_err(|_| wrong(">90%"))?
        }
        _ => number.to_uppercase().parse().map(|ByteCount(n)| n).map_err(|_| wrong(">8G"))?,
    };
    Ok(Term::Amount(key, compare, number))
}

/// `90m`, `12h`, `3d`.
fn seconds(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let each = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(each)
}

fn text(
    fleet: &Fleet,
    server: &Server,
    reason: Option<Reason>,
    key: &str,
    now: Timestamp,
) -> String {
    let profile = fleet.settings.profiles.get(&server.ask.profile);
    let found = match key {
        "user" => server.owner.to_string(),
        "name" => super::words::server_title(&server.name),
        "group" => server.groups().join(" "),
        "pool" => profile.map(|profile| profile.pool.clone()).unwrap_or_default(),
        "host" => server.holds_on().map(ToString::to_string).unwrap_or_default(),
        "state" => fleet.server_state(server, now).to_string(),
        "profile" => {
            let title = profile.map(|profile| profile.title.to_string()).unwrap_or_default();
            format!("{} {title}", server.ask.profile)
        }
        "image" => server.ask.image.clone(),
        "reason" => reason.map(|reason| reason.code().to_owned()).unwrap_or_default(),
        _ => String::new(),
    };
    found.to_lowercase()
}

/// `None`: what is asked for does not exist for this server.
fn amount(fleet: &Fleet, server: &Server, key: &str, now: Timestamp) -> Option<u64> {
    let placement = server.placement();
    let since = |at: Timestamp| Seconds(now.millis_since(at) / 1000).0;
    match key {
        "idle" => placement.map(|_| since(server.last_activity)),
        "age" => placement.map(|placement| since(placement.placed_at)),
        "mem" => placement.map(|placement| placement.reservation.memory.0),
        "mem.used" => super::card::used(fleet, server, now).map(|used| used.used.0),
        "mem.full" => super::card::used(fleet, server, now)
            .map(|used| used.used.0.saturating_mul(100) / used.limit.0.max(1)),
        "gpus" => placement.map(|it| u64::try_from(it.gpus.len()).unwrap_or(u64::MAX)),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_read_with_their_units() {
        let read = |text| Filter::parse(text).map(|filter| filter.terms);
        assert_eq!(
            read("Alice pool:GPU idle:>12h mem.used:<1G gpus:2 mem.full:>90%").unwrap(),
            [
                Term::Word("alice".into()),
                Term::Text("pool", "gpu".into()),
                Term::Amount("idle", Compare::More, 43_200),
                Term::Amount("mem.used", Compare::Less, 1 << 30),
                Term::Amount("gpus", Compare::Exactly, 2),
                Term::Amount("mem.full", Compare::More, 90),
            ]
        );
        let others = [Term::Outdated(true), Term::NoFit("wn1".parse().unwrap())];
        assert_eq!(read("outdated:yes nofit:wn1").unwrap(), others);
        assert_eq!(read("  ").unwrap(), []);
    }

    #[test]
    fn a_mistake_says_what_would_be_right() {
        let why = |text| Filter::parse(text).unwrap_err();
        assert!(why("usr:alice").contains("known are user, name"), "{}", why("usr:alice"));
        assert_eq!(why("idle:>12"), "\"idle:>12\": write e.g. idle:>12h");
        assert_eq!(why("mem:8"), "\"mem:8\": write e.g. mem:>8G");
        assert_eq!(why("gpus:>many"), "\"gpus:>many\": write e.g. gpus:>0");
        assert_eq!(why("outdated:maybe"), "\"outdated:maybe\": write e.g. outdated:yes");
        assert_eq!(why("mem.full:>lot"), "\"mem.full:>lot\": write e.g. mem.full:>90%");
        assert_eq!(why("age:"), "\"age:\": write e.g. age:>12h");
    }
}
