//! Reading `directory.toml`.

use std::collections::BTreeSet;
use std::path::PathBuf;

use berth_common::Seconds;
use serde::Deserialize;
use toml::Spanned;
use url::Url;

use super::super::draft::Draft;
use super::super::login::{check_encrypted, existing};
use super::super::secret::{self, SecretFile};
use super::super::sources::{File, Place, Version};
use super::super::value::Written;
use super::{
    CACHE, CACHE_MAX, Directory, Fields, GRACE, Http, Kind, Ldap, Part, Source, WhenInvalid,
};

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
pub(in crate::config) fn take(draft: &mut Draft) -> Directory {
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
        let hint = berth_process::mistake::did_you_mean(key, keys.iter().copied());
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
    if toml.group.is_none() {
        needed(draft, place, "passwd", KindWord::File, toml.passwd.as_ref())?;
    }
    let mut read = |path: Spanned<PathBuf>| existing(&mut draft.sources, file, &path);
    Some(Kind::File { passwd: toml.passwd.map(&mut read), group: toml.group.map(&mut read) })
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
