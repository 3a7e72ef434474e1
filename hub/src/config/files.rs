//! The files as they are written: their keys, their places, and reading them without losing where
//! anything stood.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};

use berth_common::{ByteCount, Seconds};
use berth_core::settings::{Cite, Strategy};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::Spanned;

use super::diagnostic::{Diagnostic, Diagnostics};
use super::value;

/// Each subject is `SUBJECT.toml`, `SUBJECT.d/*.toml`, or both.
const SUBJECTS: [&str; 6] = ["hub", "hosts", "images", "pools", "profiles", "quotas"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HubToml {
    #[serde(rename = "version")]
    _version: Version,
    pub hub: HubSection,
    #[serde(default)]
    pub agents: AgentsSection,
    #[serde(default)]
    pub proxy: ProxySection,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HubSection {
    pub public_url: Spanned<String>,
    #[serde(default = "default_listen")]
    pub listen: Spanned<String>,
    #[serde(default = "default_state")]
    pub state: PathBuf,
    #[serde(default = "default_admin_socket")]
    pub admin_socket: PathBuf,
    pub api_url: Option<String>,
    #[serde(default)]
    pub insecure_cookies: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentsSection {
    #[serde(default = "default_agents_listen")]
    pub listen: Spanned<String>,
    pub lost_after: Option<Spanned<String>>,
}

impl Default for AgentsSection {
    fn default() -> Self {
        Self { listen: default_agents_listen(), lost_after: None }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProxySection {
    pub api: String,
}

impl Default for ProxySection {
    fn default() -> Self {
        Self { api: "unix:/run/berth/proxy.sock".into() }
    }
}

fn default_listen() -> Spanned<String> {
    Spanned::new(0..0, "127.0.0.1:8081".into())
}

fn default_agents_listen() -> Spanned<String> {
    Spanned::new(0..0, "0.0.0.0:8443".into())
}

fn default_state() -> PathBuf {
    "/var/lib/berth".into()
}

fn default_admin_socket() -> PathBuf {
    "/run/berth/admin.sock".into()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PoolsToml {
    #[serde(rename = "version")]
    _version: Version,
    #[serde(default)]
    pub pool: BTreeMap<Spanned<String>, PoolToml>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PoolToml {
    #[serde(default)]
    pub strategy: Strategy,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImagesToml {
    #[serde(rename = "version")]
    _version: Version,
    #[serde(default)]
    pub image: BTreeMap<Spanned<String>, ImageToml>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageToml {
    #[serde(rename = "ref")]
    pub reference: String,
    pub title: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfilesToml {
    #[serde(rename = "version")]
    _version: Version,
    #[serde(default)]
    pub profile: BTreeMap<Spanned<String>, ProfileToml>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileToml {
    pub title: Option<String>,
    #[serde(rename = "use")]
    pub use_case: Option<String>,
    pub pool: Spanned<String>,
    pub memory: MemoryToml,
    pub images: Spanned<Vec<Spanned<String>>>,
    #[serde(default)]
    pub default: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemoryToml {
    pub default: Spanned<String>,
    #[serde(default)]
    pub choices: Vec<Spanned<String>>,
    pub max: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostsToml {
    #[serde(rename = "version")]
    _version: Version,
    #[serde(default)]
    pub host: Vec<HostToml>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostToml {
    pub names: Spanned<String>,
    pub pool: Spanned<String>,
    pub memory: Option<Spanned<String>>,
    pub keep_free: Option<Spanned<String>>,
    pub address: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuotasToml {
    #[serde(rename = "version")]
    _version: Version,
    pub default: Option<QuotaToml>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuotaToml {
    pub servers: Option<u32>,
}

/// The only format version there is.
#[derive(Deserialize)]
#[serde(try_from = "i64")]
struct Version;

impl TryFrom<i64> for Version {
    type Error = &'static str;
    fn try_from(version: i64) -> Result<Self, Self::Error> {
        if version == 1 { Ok(Self) } else { Err("version must be 1") }
    }
}

struct Source {
    subject: String,
    name: String,
    text: String,
}

/// A name that must be defined somewhere.
struct Expected {
    kind: &'static str,
    name: String,
    file: usize,
    span: Range<usize>,
}

/// All files of the folder, with what was found wrong so far.
pub struct Sources {
    files: Vec<Source>,
    expected: Vec<Expected>,
    found: Vec<Diagnostic>,
}

impl Sources {
    /// Reads the folder: each subject's file, then its fragments in name order.
    pub fn read(folder: &Path) -> Self {
        let mut sources = Self { files: Vec::new(), expected: Vec::new(), found: Vec::new() };
        if let Err(error) = fs::read_dir(folder) {
            let message = format!("the configuration folder cannot be read: {error}");
            sources.found.push(Diagnostic::of_file(
                &folder.display().to_string(),
                "config.syntax",
                message,
            ));
        }
        for subject in SUBJECTS {
            sources.read_file(folder, subject, &format!("{subject}.toml"), false);
            let fragments = format!("{subject}.d");
            let Ok(entries) = fs::read_dir(folder.join(&fragments)) else { continue };
            let mut names: Vec<_> =
                entries.flatten().filter_map(|e| e.file_name().into_string().ok()).collect();
            names.retain(|name| name.ends_with(".toml"));
            names.sort();
            for name in names {
                sources.read_file(folder, subject, &format!("{fragments}/{name}"), true);
            }
        }
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.ends_with(".toml") && !SUBJECTS.contains(&name.trim_end_matches(".toml")) {
                sources.files.push(Source { subject: "?".into(), name, text: String::new() });
            }
        }
        sources
    }

    fn read_file(&mut self, folder: &Path, subject: &str, name: &str, must_be: bool) {
        match fs::read_to_string(folder.join(name)) {
            Ok(text) => {
                self.files.push(Source { subject: subject.into(), name: name.into(), text })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && !must_be => {}
            Err(error) => {
                let message = format!("cannot be read: {error}");
                self.found.push(Diagnostic::of_file(name, "config.syntax", message));
            }
        }
    }

    /// The parsed files of a subject, each with its number; unreadable ones are reported.
    pub fn all<T: DeserializeOwned>(&mut self, subject: &str) -> Vec<(usize, T)> {
        let mut parsed = Vec::new();
        for (index, source) in
            self.files.iter().enumerate().filter(|(_, source)| source.subject == subject)
        {
            match toml::from_str(&source.text) {
                Ok(value) => parsed.push((index, value)),
                Err(error) => {
                    self.found.push(Diagnostic::of_toml(&source.name, &source.text, &error))
                }
            }
        }
        parsed
    }

    /// The one parsed file of a subject that cannot be split.
    pub fn one<T: DeserializeOwned>(&mut self, subject: &str) -> Option<(usize, T)> {
        let had = self.files.iter().any(|source| source.subject == subject);
        if !had {
            let message =
                "is missing; it says at least [hub] public_url = \"https://...\"".to_owned();
            self.found.push(Diagnostic::of_file(
                &format!("{subject}.toml"),
                "config.syntax",
                message,
            ));
        }
        self.all(subject).into_iter().next()
    }

    /// Notes an error at a place.
    pub fn report(&mut self, file: usize, span: Range<usize>, code: &'static str, message: String) {
        if let Some(source) = self.files.get(file) {
            self.found.push(Diagnostic::at(&source.name, &source.text, span, code, message));
        }
    }

    /// Notes that a name is defined twice.
    pub fn duplicate(&mut self, file: usize, span: Range<usize>, kind: &str, name: &str) {
        self.report(file, span, "config.duplicate", format!("{kind} \"{name}\" is defined twice"));
    }

    /// The file and line of a place.
    pub fn cite(&self, file: usize, span: Range<usize>) -> Cite {
        let Some(source) = self.files.get(file) else { return Cite::default() };
        Cite { file: source.name.clone(), line: value::line_of(&source.text, span.start) }
    }

    /// An amount of memory.
    pub fn bytes(&mut self, file: usize, text: &Spanned<String>) -> Option<ByteCount> {
        self.parsed(file, text, |text| text.parse::<ByteCount>().map_err(|error| error.to_string()))
    }

    /// A span of time.
    pub fn duration(&mut self, file: usize, text: &Spanned<String>) -> Option<Seconds> {
        self.parsed(file, text, value::duration)
    }

    /// An address to listen on.
    pub fn address(&mut self, file: usize, text: &Spanned<String>) -> Option<SocketAddr> {
        self.parsed(file, text, |text| {
            text.parse().map_err(|_| "not an address, write e.g. \"127.0.0.1:8081\"".to_owned())
        })
    }

    fn parsed<T>(
        &mut self,
        file: usize,
        text: &Spanned<String>,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        match parse(text.get_ref()) {
            Ok(value) => Some(value),
            Err(why) => {
                let message = format!("\"{}\": {why}", text.get_ref());
                self.report(file, text.span(), "config.bad_value", message);
                None
            }
        }
    }

    /// Notes that a name must be defined in some file.
    pub fn expect_name(&mut self, kind: &'static str, name: &str, file: usize, span: Range<usize>) {
        self.expected.push(Expected { kind, name: name.to_owned(), file, span });
    }

    /// Reports the expected names that no file defines.
    pub fn check_expected(&mut self, known: &BTreeMap<&'static str, Vec<String>>) {
        for expected in std::mem::take(&mut self.expected) {
            let names = known.get(expected.kind).map(Vec::as_slice).unwrap_or_default();
            if !names.contains(&expected.name) {
                let hint = value::did_you_mean(&expected.name, names.iter().map(String::as_str));
                let message =
                    format!("{} \"{}\" is not defined{hint}", expected.kind, expected.name);
                self.report(expected.file, expected.span, "config.unknown_name", message);
            }
        }
    }

    /// Reports files that are no subject: a misspelt name would silently be ignored.
    pub fn refuse_strangers(&mut self) {
        for source in self.files.iter().filter(|source| source.subject == "?") {
            let stem = source.name.trim_end_matches(".toml");
            let hint = value::did_you_mean(stem, SUBJECTS.into_iter());
            let message =
                format!("no subject has this name{hint}; subjects are {}", SUBJECTS.join(", "));
            self.found.push(Diagnostic::of_file(&source.name, "config.unknown_name", message));
        }
    }

    /// All that was found, or nothing.
    pub fn into_diagnostics(self) -> Option<Diagnostics> {
        if self.found.is_empty() { None } else { Some(Diagnostics(self.found)) }
    }
}
