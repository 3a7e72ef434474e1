//! Names and numbers that identify things: one type each, checked once, at the edge.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Why a text is not a valid id. The message names the kind of id and the rule, never the whole
/// (possibly hostile and huge) text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} {rule}")]
pub struct BadId {
    kind: &'static str,
    rule: &'static str,
}

/// Declares a checked text id: `Display`, `FromStr`, serde as a plain string. Shared text: the
/// snapshots of a fleet copy ids by the thousand.
macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $check:expr, $rule:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = BadId;
            fn from_str(text: &str) -> Result<Self, BadId> {
                let check: fn(&str) -> bool = $check;
                if check(text) { Ok(Self(text.into())) } else { Err(BadId { kind: $kind, rule: $rule }) }
            }
        }

        text_of_id!($name);
    };
}

/// What every id is to readers and writers: its text.
macro_rules! text_of_id {
    ($name:ident) => {
        impl TryFrom<String> for $name {
            type Error = BadId;
            fn try_from(text: String) -> Result<Self, BadId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.as_str().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.as_str())
            }
        }
    };
}

/// Declares an id of 64 random bits, as 16 hexadecimal digits. It holds the digits themselves: maps of
/// thousands of servers are searched without following a pointer.
macro_rules! random_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name([u8; 16]);

        impl $name {
            /// The id made of 64 random bits, which the caller brings.
            pub fn from_random(bits: u64) -> Self {
                let nibble = |place: usize| usize::from(bits.to_be_bytes()[place / 2] >> (4 - place % 2 * 4) & 0xf);
                Self(std::array::from_fn(|place| DIGITS[nibble(place)]))
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                str::from_utf8(&self.0).unwrap_or_default()
            }
        }

        impl FromStr for $name {
            type Err = BadId;
            fn from_str(text: &str) -> Result<Self, BadId> {
                let digits = text.as_bytes().try_into().ok();
                digits
                    .filter(|digits: &[u8; 16]| digits.iter().all(|digit| DIGITS.contains(digit)))
                    .map(Self)
                    .ok_or(BadId { kind: $kind, rule: "is 16 hexadecimal digits" })
            }
        }

        text_of_id!($name);
    };
}

const DIGITS: [u8; 16] = *b"0123456789abcdef";

fn all(text: &str, allowed: fn(char) -> bool) -> bool {
    text.chars().all(allowed)
}

fn lower_or_digit(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit()
}

text_id!(
    /// A person's account name. The same rule as useradd's: it can never be a path, a URL escape
    /// or a shell word.
    Username,
    "a user name",
    |text| text.len() <= 32
        && text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && all(text, |c| lower_or_digit(c) || c == '_' || c == '-'),
    "is 1 to 32 characters: a-z or _ first, then a-z, 0-9, _ or -"
);

text_id!(
    /// A server's name within its owner's servers; empty for the default server. The rule is that
    /// of JupyterHub 6 for new names.
    ServerName,
    "a server name",
    |text| text.is_empty()
        || (text.len() <= 30
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.ends_with(lower_or_digit)
            && !text.contains("--")
            && all(text, |c| lower_or_digit(c) || c == '-')),
    "is at most 30 characters: a-z first, then a-z, 0-9 or single -, not - at the end"
);

impl ServerName {
    /// The default server's name: empty.
    pub fn default_server() -> Self {
        Self("".into())
    }

    /// Whether this is the default server.
    pub fn is_default(&self) -> bool {
        self.0.is_empty()
    }
}

text_id!(
    /// A host's name, as `hosts.d` declares it and its certificate says it.
    HostId,
    "a host name",
    |text| (1..=63).contains(&text.len())
        && text.starts_with(lower_or_digit)
        && text.ends_with(lower_or_digit)
        && all(text, |c| lower_or_digit(c) || c == '-' || c == '.'),
    "is 1 to 63 characters: a-z, 0-9, - and ., a letter or digit at both ends"
);

random_id!(
    /// The opaque id of one server (user and server name), kept over all its starts.
    ServerId,
    "a server id"
);

random_id!(
    /// The id of one decision: the record of why a request was accepted, waits or was refused.
    DecisionId,
    "a decision id"
);

text_id!(
    /// The kernel's boot id: another value means that nothing of the former boot runs any more.
    BootId,
    "a boot id",
    |text| (1..=64).contains(&text.len()) && all(text, |c| c.is_ascii_alphanumeric() || c == '-'),
    "is 1 to 64 letters, digits and -"
);

/// Declares a number that only ever grows.
macro_rules! counter {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl $name {
            /// The next higher number.
            #[must_use]
            pub fn next(self) -> Self {
                Self(self.0.saturating_add(1))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

text_id!(
    /// A GPU as NVML names it, `GPU-` and a UUID, or `MIG-` and one: the same after every reboot.
    GpuId,
    "a GPU id",
    |text| (1..=100).contains(&text.len()) && all(text, |c| c.is_ascii_alphanumeric() || "-/_".contains(c)),
    "is 1 to 100 letters, digits, -, / and _"
);

counter!(
    /// Number of a server's start: +1 at every start, on any host, never reused.
    Generation
);
counter!(
    /// Number of the hub's reign: +1 at every hub start, saved before the first message to a host.
    Epoch
);

/// Number of one start of an agent process: random, so that a hub cannot mistake an answer to an
/// earlier process for one to this.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(pub u64);

/// The order of desired sets: the reign first, then the number within it.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Revision {
    /// The hub's reign.
    pub epoch: Epoch,
    /// Number of the desired set for one host within the reign.
    pub seq: u64,
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usernames_can_never_be_paths_or_escapes() {
        for good in ["alice", "_svc", "a-b_c9", "x", &"a".repeat(32)] {
            assert!(good.parse::<Username>().is_ok(), "{good}");
        }
        let long = "a".repeat(33);
        for bad in [
            "", ".", "..", "a/b", "%2e", "a.b", "Alice", "-a", "1a", "a b", "é", "a\0", "a\n",
            &long,
        ] {
            assert!(bad.parse::<Username>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn server_names_follow_jupyterhub_6() {
        for good in ["", "a", "n1", "my-server", &"a".repeat(30)] {
            assert!(good.parse::<ServerName>().is_ok(), "{good}");
        }
        for bad in ["1a", "-a", "a-", "a--b", "A", "a_b", "a.b", "..", &"a".repeat(31)] {
            assert!(bad.parse::<ServerName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn random_ids_are_their_bits_in_hexadecimal_digits() {
        let id = ServerId::from_random(0x0123_4567_89ab_cdef);
        assert_eq!(id.as_str(), "0123456789abcdef");
        assert_eq!("0123456789abcdef".parse(), Ok(id));
        assert!(ServerId::from_random(9) < ServerId::from_random(10), "as their texts order");
        for bad in
            ["", "0123456789abcde", "0123456789abcdef0", "0123456789ABCDEF", "0123456789abcdeé"]
        {
            assert!(bad.parse::<ServerId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn revisions_order_by_reign_first() {
        let at = |epoch, seq| Revision { epoch: Epoch(epoch), seq };
        assert!(at(2, 1) > at(1, 99));
        assert!(at(2, 2) > at(2, 1));
    }

    #[test]
    fn a_bad_id_never_repeats_the_hostile_text() {
        let error = "x".repeat(100_000).parse::<Username>().unwrap_err();
        assert!(error.to_string().len() < 200);
    }
}
