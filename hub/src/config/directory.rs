//! `directory.toml`: where the hub learns whether an account is valid, and its numbers on the
//! hosts.

mod read;

use std::collections::BTreeSet;
use std::path::PathBuf;

use berth_common::Seconds;
use berth_core::settings::Cite;
use serde::Deserialize;

pub(super) use read::take;

use super::secret::Secret;

/// Longer outages than this are bridged only where a site says so.
const CACHE_MAX: Seconds = Seconds(86_400);
/// An answer is good for this long.
const CACHE: Seconds = Seconds(600);
/// Between an account's end and that of its servers.
const GRACE: Seconds = Seconds(7 * 86_400);

/// The account directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// The sources, in the order in which they are believed.
    pub sources: Vec<Source>,
    /// An answer that is younger is not asked for again.
    pub cache: Seconds,
    /// A source that does not answer is taken at its last word, if that is younger. Zero: never.
    pub cache_max: Seconds,
    /// What happens to running servers of an account that is no longer valid.
    pub servers: WhenInvalid,
    /// How long after the account's end.
    pub grace: Seconds,
    /// Whom people ask when their account is not valid.
    pub contact: String,
}

/// What happens to running servers of an account that is no longer valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhenInvalid {
    /// Nothing.
    Keep,
    /// The administrators read it in the log, the owner on the home page.
    Warn,
    /// The same, and they are stopped after the grace time.
    Stop,
}

/// A source of the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its name, for people and for what is kept of it.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Whether an account that it does not know is unknown, whatever others say.
    pub must_know: bool,
    /// What of its answers counts.
    pub takes: BTreeSet<Part>,
    /// Where it is declared.
    pub cite: Cite,
}

/// A part of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// Whether it may be used.
    Valid,
    /// User id.
    Uid,
    /// Primary group id.
    Gid,
    /// HOME.
    Home,
    /// Groups.
    Groups,
}

impl Part {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Valid, Self::Uid, Self::Gid, Self::Home, Self::Groups];
}

/// What a source is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Accounts that administrators made in the hub.
    Local,
    /// The claims of a person's last login.
    Login,
    /// Files in the formats of passwd(5) and group(5).
    File {
        /// Accounts; without it, groups are all that is told.
        passwd: Option<PathBuf>,
        /// Groups.
        group: Option<PathBuf>,
    },
    /// The name service of the hub's machine.
    Nss,
    /// An LDAP server with posixAccount and posixGroup.
    Ldap(Box<Ldap>),
    /// A web service that answers in JSON.
    Http(Box<Http>),
}

/// An LDAP server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ldap {
    /// `ldaps://`, or `ldap://` with StartTLS or on this machine.
    pub url: String,
    /// Whether to encrypt after connecting.
    pub starttls: bool,
    /// As whom to ask; `None`: anonymously.
    pub bind: Option<(String, Secret)>,
    /// Where accounts are.
    pub people: String,
    /// Where groups are.
    pub groups: Option<String>,
    /// Certificates to trust besides the system's.
    pub ca: Option<PathBuf>,
}

/// A web service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http {
    /// The address of an account, with `{user}` in it.
    pub url: String,
    /// Sent as a bearer token.
    pub token: Option<Secret>,
    /// Where in the answer things are.
    pub fields: Fields,
    /// The values of the field `valid` that mean yes, besides true.
    pub valid_if: Vec<String>,
    /// Certificates to trust besides the system's.
    pub ca: Option<PathBuf>,
}

/// Fields of a JSON answer; a dot leads into an object.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fields {
    /// Whether the account may be used.
    pub valid: String,
    /// Why not.
    pub why: String,
    /// User id.
    pub uid: String,
    /// Primary group id.
    pub gid: String,
    /// HOME.
    pub home: String,
    /// Groups: names, or objects with `name` and `gid`.
    pub groups: String,
}

impl Default for Fields {
    fn default() -> Self {
        let [valid, why, uid, gid, home, groups] =
            ["valid", "why", "uid", "gid", "home", "groups"].map(str::to_owned);
        Self { valid, why, uid, gid, home, groups }
    }
}

impl Default for Directory {
    /// What holds without the file: accounts are those that administrators made, and those that
    /// the identity provider's claims describe.
    fn default() -> Self {
        let source = |name: &str, kind| Source {
            name: name.into(),
            kind,
            must_know: false,
            takes: Part::ALL.into(),
            cite: Cite::default(),
        };
        Self {
            sources: vec![source("local", Kind::Local), source("login", Kind::Login)],
            cache: CACHE,
            cache_max: CACHE_MAX,
            servers: WhenInvalid::Keep,
            grace: GRACE,
            contact: String::new(),
        }
    }
}
