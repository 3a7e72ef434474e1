//! `directory.toml`: where the hub learns whether an account is valid, and its numbers on the
//! hosts.

use std::collections::BTreeSet;
use std::path::PathBuf;

use berth_common::Seconds;
use berth_core::settings::Cite;
use serde::Deserialize;
use toml::Spanned;
use url::Url;

use super::draft::Draft;
use super::login::{check_encrypted, existing};
use super::secret::{self, Secret, SecretFile};
use super::sources::{File, Place, Version};
use super::value::{self, Written};

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
        /// Accounts.
        passwd: PathBuf,
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DirectoryToml {
    #[serde(rename = "version")]
    _version: Version,
    cache: Option<Spanned<Written>>,
    cache_max: Option<Spanned<Written>>,
    if_down: Option<IfDown>,
    when_invalid: Option<WhenInvalidToml>,
    contact: Option<String>,
    #[serde(default)]
    source: Vec<Spanned<SourceToml>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum IfDown {
    UseCache,
    Refuse,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WhenInvalidToml {
    servers: WhenInvalid,
    grace: Option<Spanned<Written>>,
}

/// All that any kind of source says; which keys belong to which kind is checked after reading,
/// so that the error can name the kind.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SourceToml {
    kind: KindWord,
    name: Option<Spanned<String>>,
    #[serde(default)]
    must_know: bool,
    takes: Option<BTreeSet<Part>>,
    passwd: Option<Spanned<PathBuf>>,
    group: Option<Spanned<PathBuf>>,
    url: Option<Spanned<String>>,
    starttls: Option<Spanned<bool>>,
    bind: Option<Spanned<BindToml>>,
    people: Option<Spanned<String>>,
    groups: Option<Spanned<String>>,
    token: Option<Spanned<SecretFile>>,
    fields: Option<Spanned<Fields>>,
    valid_if: Option<Spanned<Vec<String>>>,
    ca: Option<Spanned<PathBuf>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BindToml {
    dn: String,
    password: Spanned<SecretFile>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum KindWord {
    Local,
    Login,
    File,
    Nss,
    Ldap,
    Http,
}

impl KindWord {
    fn word(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Login => "login",
            Self::File => "file",
            Self::Nss => "nss",
            Self::Ldap => "ldap",
            Self::Http => "http",
        }
    }

    /// The keys that belong to it, besides those of every source.
    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Local | Self::Login | Self::Nss => &[],
            Self::File => &["passwd", "group"],
            Self::Ldap => &["url", "starttls", "bind", "people", "groups", "ca"],
            Self::Http => &["url", "token", "fields", "valid_if", "ca"],
        }
    }
}

/// Reads `directory.toml`, if there is one.
pub(super) fn take(draft: &mut Draft) -> Directory {
    let mut directory = Directory::default();
    let Some((file, toml)) = draft.sources.one_if_any::<DirectoryToml>("directory") else {
        return directory;
    };
    let mut duration = |text: Option<&Spanned<Written>>, default| {
        text.and_then(|text| draft.sources.duration(file, text)).unwrap_or(default)
    };
    directory.cache = duration(toml.cache.as_ref(), CACHE);
    directory.cache_max = match toml.if_down {
        Some(IfDown::Refuse) => Seconds(0),
        _ => duration(toml.cache_max.as_ref(), CACHE_MAX),
    };
    if let Some(when) = toml.when_invalid {
        directory.servers = when.servers;
        directory.grace = duration(when.grace.as_ref(), GRACE);
    }
    directory.contact = toml.contact.unwrap_or_default();
    if !toml.source.is_empty() {
        directory.sources.clear();
    }
    for source in toml.source {
        take_source(draft, file, source, &mut directory.sources);
    }
    directory
}

fn take_source(
    draft: &mut Draft,
    file: File,
    entry: Spanned<SourceToml>,
    sources: &mut Vec<Source>,
) {
    let place = file.at(&entry);
    let toml = entry.into_inner();
    let kind = toml.kind;
    refuse_strange_keys(draft, file, &toml);
    let name_place = toml.name.as_ref().map_or_else(|| place.clone(), |name| file.at(name));
    let name = toml.name.as_ref().map_or(kind.word(), |name| name.get_ref()).to_owned();
    // What is kept of the two has these names.
    let reserved = ["local", "login"].contains(&name.as_str()) && name != kind.word();
    let odd = matches!(kind, KindWord::Local | KindWord::Login) && name != kind.word();
    if reserved || odd {
        let message = format!("a source of kind \"{}\" cannot be named \"{name}\"", kind.word());
        draft.sources.bad_value(&name_place, message);
    }
    if let Some(first) = sources.iter().find(|source| source.name == name) {
        let (what, first) = (format!("source \"{name}\""), first.cite.clone());
        draft.sources.duplicate(&name_place, &what, &first);
    }
    let (must_know, takes) = (toml.must_know, toml.takes.clone());
    let kind = match kind {
        KindWord::Local => Some(Kind::Local),
        KindWord::Login => Some(Kind::Login),
        KindWord::Nss => Some(Kind::Nss),
        KindWord::File => take_file(draft, file, &place, toml),
        KindWord::Ldap => take_ldap(draft, file, &place, toml),
        KindWord::Http => take_http(draft, file, &place, toml),
    };
    let cite = draft.sources.cite(&place);
    let takes = takes.unwrap_or_else(|| Part::ALL.into());
    sources.extend(kind.map(|kind| Source { name, kind, must_know, takes, cite }));
}

fn refuse_strange_keys(draft: &mut Draft, file: File, toml: &SourceToml) {
    fn at<T>(file: File, value: Option<&Spanned<T>>) -> Option<Place> {
        value.map(|value| file.at(value))
    }
    let written = [
        ("passwd", at(file, toml.passwd.as_ref())),
        ("group", at(file, toml.group.as_ref())),
        ("url", at(file, toml.url.as_ref())),
        ("starttls", at(file, toml.starttls.as_ref())),
        ("bind", at(file, toml.bind.as_ref())),
        ("people", at(file, toml.people.as_ref())),
        ("groups", at(file, toml.groups.as_ref())),
        ("token", at(file, toml.token.as_ref())),
        ("fields", at(file, toml.fields.as_ref())),
        ("valid_if", at(file, toml.valid_if.as_ref())),
        ("ca", at(file, toml.ca.as_ref())),
    ];
    let (kind, keys) = (toml.kind.word(), toml.kind.keys());
    for (key, place) in written.into_iter().filter(|(key, _)| !keys.contains(key)) {
        let Some(place) = place else { continue };
        let hint = value::did_you_mean(key, keys.iter().copied());
        let message = format!("a source of kind \"{kind}\" has no key \"{key}\"{hint}");
        draft.sources.error(&place, "config.unknown_key", message);
    }
}

/// Reports a key that a kind cannot do without.
fn needed<T>(
    draft: &mut Draft,
    place: &Place,
    key: &str,
    kind: KindWord,
    value: Option<T>,
) -> Option<T> {
    if value.is_none() {
        let message = format!("a source of kind \"{}\" needs the key \"{key}\"", kind.word());
        draft.sources.error(place, "config.missing_key", message);
    }
    value
}

fn take_file(draft: &mut Draft, file: File, place: &Place, toml: SourceToml) -> Option<Kind> {
    let passwd = needed(draft, place, "passwd", KindWord::File, toml.passwd);
    let passwd = passwd.map(|path| existing(&mut draft.sources, file, &path));
    let group = toml.group.map(|path| existing(&mut draft.sources, file, &path));
    Some(Kind::File { passwd: passwd?, group })
}

fn take_ldap(draft: &mut Draft, file: File, place: &Place, toml: SourceToml) -> Option<Kind> {
    let starttls = toml.starttls.is_some_and(Spanned::into_inner);
    let url = needed(draft, place, "url", KindWord::Ldap, toml.url).and_then(|url| {
        draft.sources.parsed(file.at(&url), url.get_ref(), |text| {
            let parsed = Url::parse(text).map_err(|error| format!("not a URL: {error}"))?;
            match parsed.scheme() {
                "ldap" | "ldaps" if starttls => Ok(text.to_owned()),
                "ldap" | "ldaps" => check_encrypted(&parsed)
                    .map(|()| text.to_owned())
                    .map_err(|why| format!("{why}; use ldaps://, or starttls = true")),
                _ => Err("write e.g. \"ldaps://ldap.example.org\"".to_owned()),
            }
        })
    });
    let people = needed(draft, place, "people", KindWord::Ldap, toml.people);
    let bind = toml.bind.map(|bind| {
        let BindToml { dn, password } = bind.into_inner();
        secret::read(&mut draft.sources, file, &password).map(|password| (dn, password))
    });
    let ca = toml.ca.map(|path| existing(&mut draft.sources, file, &path));
    Some(Kind::Ldap(Box::new(Ldap {
        url: url?,
        starttls,
        bind: match bind {
            Some(bind) => Some(bind?),
            None => None,
        },
        people: people?.into_inner(),
        groups: toml.groups.map(Spanned::into_inner),
        ca,
    })))
}

fn take_http(draft: &mut Draft, file: File, place: &Place, toml: SourceToml) -> Option<Kind> {
    let url = needed(draft, place, "url", KindWord::Http, toml.url).and_then(|url| {
        draft.sources.parsed(file.at(&url), url.get_ref(), |text| {
            let (before, _) = text.split_once("{user}").ok_or_else(|| {
                "it must hold {user}, e.g. \"https://id.example.org/accounts/{user}\"".to_owned()
            })?;
            let parsed = Url::parse(before).map_err(|error| format!("not a URL: {error}"))?;
            check_encrypted(&parsed).map(|()| text.to_owned())
        })
    });
    let token = toml.token.map(|token| secret::read(&mut draft.sources, file, &token));
    let ca = toml.ca.map(|path| existing(&mut draft.sources, file, &path));
    Some(Kind::Http(Box::new(Http {
        url: url?,
        token: match token {
            Some(token) => Some(token?),
            None => None,
        },
        fields: toml.fields.map(Spanned::into_inner).unwrap_or_default(),
        valid_if: toml.valid_if.map(Spanned::into_inner).unwrap_or_default(),
        ca,
    })))
}
