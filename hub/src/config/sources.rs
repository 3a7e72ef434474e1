//! The files of the folder: reading them without losing where anything stood, and noting what is
//! wrong in them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use berth_common::{ByteCount, Seconds};
use berth_core::settings::Cite;
use berth_process::mistake;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::Spanned;

use super::candidate::Candidate;
use super::diagnostic::{Diagnostic, Diagnostics, Severity};
use super::files::Files;
use super::value::{self, Written};

/// Each subject is `SUBJECT.toml`, `SUBJECT.d/*.toml`, or both.
const SUBJECTS: [&str; 14] = [
    "hub",
    "hosts",
    "images",
    "mounts",
    "pools",
    "profiles",
    "access",
    "quotas",
    "trainings",
    "directory",
    "lifecycle",
    "roles",
    "services",
    "farm",
];

/// Files of other programs, which packages put into the same folder.
const OTHERS: [&str; 1] = ["proxy"];

/// The only format version there is.
#[derive(Deserialize)]
#[serde(try_from = "i64")]
pub struct Version;

impl TryFrom<i64> for Version {
    type Error = &'static str;
    fn try_from(version: i64) -> Result<Self, Self::Error> {
        if version == 1 { Ok(Self) } else { Err("version must be 1") }
    }
}

/// One of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct File(usize);

/// A place in one of the files.
#[derive(Debug, Clone)]
pub struct Place {
    file: File,
    span: Range<usize>,
}

impl File {
    /// Where a key or value of this file stands.
    pub fn at<T>(self, spanned: &Spanned<T>) -> Place {
        Place { file: self, span: spanned.span() }
    }
}

struct Source {
    subject: &'static str,
    name: String,
    text: String,
}

/// A name that must be defined somewhere.
struct Expected {
    kind: &'static str,
    name: String,
    place: Place,
}

/// All files of the folder, with what was found wrong so far.
pub struct Sources {
    /// Where the files lie that these name, such as those of secrets; `None`: they are not opened.
    folder: Option<PathBuf>,
    files: Vec<Source>,
    /// Subjects of which a file could not be read: names that it may define are not missed.
    broken: BTreeSet<&'static str>,
    expected: Vec<Expected>,
    found: Vec<Diagnostic>,
}

impl Sources {
    /// Reads the folder: each subject's file, then its fragments in name order. A candidate is read
    /// in the place of the file it would replace.
    pub fn read(folder: &Path, candidate: Option<&Candidate>) -> Self {
        let mut sources = Self {
            folder: Some(folder.to_owned()),
            files: Vec::new(),
            broken: BTreeSet::new(),
            expected: Vec::new(),
            found: Vec::new(),
        };
        if let Some(candidate) = candidate {
            let name = candidate.name.split('/').next().unwrap_or_default();
            sources.refuse_stranger(name);
        }
        match file_names(folder) {
            Ok(names) => names.iter().for_each(|name| sources.refuse_stranger(name)),
            Err(error) => {
                let message = format!("the configuration folder cannot be read: {error}");
                let name = folder.display().to_string();
                sources.found.push(Diagnostic::of_file(&name, "config.syntax", message));
            }
        }
        for subject in SUBJECTS {
            sources.read_file(folder, candidate, subject, &format!("{subject}.toml"), false);
            let fragments = format!("{subject}.d");
            let mut names =
                BTreeSet::from_iter(file_names(&folder.join(&fragments)).unwrap_or_default());
            let added = candidate.and_then(|one| one.name.strip_prefix(&format!("{fragments}/")));
            names.extend(added.map(str::to_owned));
            for name in names.iter().filter(|name| name.ends_with(".toml")) {
                let name = format!("{fragments}/{name}");
                sources.read_file(folder, candidate, subject, &name, true);
            }
        }
        sources
    }

    /// The same of texts that are at hand.
    pub fn of(files: &Files, folder: &Path) -> Self {
        let mut sources = Self {
            folder: Some(folder.to_owned()),
            files: Vec::new(),
            broken: BTreeSet::new(),
            expected: Vec::new(),
            found: Vec::new(),
        };
        for subject in SUBJECTS {
            let fragments = format!("{subject}.d/");
            let whole = files.0.get_key_value(&format!("{subject}.toml")).into_iter();
            let parts = files.0.iter().filter(|(name, _)| name.starts_with(&fragments));
            let texts = whole.chain(parts);
            sources.files.extend(texts.map(|(name, text)| Source {
                subject,
                name: name.clone(),
                text: text.clone(),
            }));
        }
        sources
    }

    /// The texts as they were read.
    pub fn texts(&self) -> Files {
        Files(self.files.iter().map(|it| (it.name.clone(), it.text.clone())).collect())
    }

    /// The same, but the files that these name are not opened: somebody else wrote them.
    pub fn read_alone(folder: &Path) -> Self {
        Self { folder: None, ..Self::read(folder, None) }
    }

    /// Where a file lies that one of these names; a relative path begins at their folder. `None`
    /// when it is not to be opened.
    pub fn other_file(&self, path: &Path) -> Option<PathBuf> {
        self.folder.as_ref().map(|folder| folder.join(path))
    }

    fn read_file(
        &mut self,
        folder: &Path,
        candidate: Option<&Candidate>,
        subject: &'static str,
        name: &str,
        must_be: bool,
    ) {
        let candidate = candidate.filter(|candidate| candidate.name == name);
        let path = candidate.map_or_else(|| folder.join(name), |candidate| candidate.path.clone());
        match fs::read_to_string(path) {
            Ok(text) => self.files.push(Source { subject, name: name.into(), text }),
            Err(error)
                if error.kind() == io::ErrorKind::NotFound && !must_be && candidate.is_none() => {}
            Err(error) => {
                self.broken.insert(subject);
                let message = format!("cannot be read: {error}");
                self.found.push(Diagnostic::of_file(name, "config.syntax", message));
            }
        }
    }

    /// Reports what is no subject: a misspelt name would silently be ignored.
    fn refuse_stranger(&mut self, name: &str) {
        let Some((stem, "toml" | "d")) = name.rsplit_once('.') else { return };
        if !SUBJECTS.contains(&stem) && !OTHERS.contains(&stem) {
            let hint = mistake::did_you_mean(stem, SUBJECTS.into_iter());
            let message =
                format!("no subject has this name{hint}; subjects are {}", SUBJECTS.join(", "));
            self.found.push(Diagnostic::of_file(name, "config.unknown_name", message));
        }
    }

    /// The parsed files of a subject; unreadable ones are reported.
    pub fn all<T: DeserializeOwned>(&mut self, subject: &str) -> Vec<(File, T)> {
        let mut parsed = Vec::new();
        for (number, Source { subject, name, text }) in
            self.files.iter().enumerate().filter(|(_, source)| source.subject == subject)
        {
            let value = mistake::read(name, text);
            match value {
                Ok(value) => parsed.push((File(number), value)),
                Err(wrong) => {
                    self.broken.insert(subject);
                    self.found.push(Diagnostic::of_mistake(name, &wrong));
                }
            }
        }
        parsed
    }

    /// The one parsed file of a subject that cannot be split.
    pub fn one<T: DeserializeOwned>(&mut self, subject: &str) -> Option<(File, T)> {
        let names = self.files.iter().filter(|source| source.subject == subject);
        let names: Vec<_> = names.map(|source| source.name.clone()).collect();
        if names.is_empty() {
            let name = format!("{subject}.toml");
            let message = "is missing; it says at least [hub] public_url = \"https://...\"".into();
            self.found.push(Diagnostic::of_file(&name, "config.syntax", message));
        }
        for name in names.iter().skip(1) {
            let message = format!("{} says it already: this subject is one file", names[0]);
            self.found.push(Diagnostic::of_file(name, "config.duplicate", message));
        }
        self.all(subject).into_iter().next()
    }

    /// The same for a subject that need not be there.
    pub fn one_if_any<T: DeserializeOwned>(&mut self, subject: &str) -> Option<(File, T)> {
        let is_there = self.files.iter().any(|source| source.subject == subject);
        if is_there { self.one(subject) } else { None }
    }

    /// Notes an error at a place.
    pub fn error(&mut self, place: &Place, code: &'static str, message: String) {
        self.note(Severity::Error, place, code, message);
    }

    /// Notes a value that is not possible.
    pub fn bad_value(&mut self, place: &Place, message: String) {
        self.error(place, "config.bad_value", message);
    }

    /// Notes something that is possible, but hardly meant.
    pub fn warn(&mut self, place: &Place, code: &'static str, message: String) {
        self.note(Severity::Warning, place, code, message);
    }

    fn note(&mut self, severity: Severity, place: &Place, code: &'static str, message: String) {
        if let Some(Source { name, text, .. }) = self.files.get(place.file.0) {
            let span = place.span.clone();
            self.found.push(Diagnostic::at(severity, name, text, span, code, message));
        }
    }

    /// Notes that a name is defined twice.
    pub fn duplicate(&mut self, place: &Place, what: &str, first: &Cite) {
        let message = format!("{what} is defined twice; first in {first}");
        self.error(place, "config.duplicate", message);
    }

    /// The file and line of a place.
    pub fn cite(&self, place: &Place) -> Cite {
        let Some(Source { name, text, .. }) = self.files.get(place.file.0) else {
            return Cite::default();
        };
        Cite { file: name.clone(), line: mistake::line_of(text, place.span.start) }
    }

    /// Where a key of a subject's only file stands: its value, else its section, else the beginning.
    pub fn place_of(&self, subject: &str, path: &[&str]) -> Option<Place> {
        let number = self.files.iter().position(|source| source.subject == subject)?;
        let span = mistake::place_of(&self.files.get(number)?.text, path);
        Some(Place { file: File(number), span })
    }

    /// The whole line that is cited.
    pub fn cited(&self, cite: &Cite) -> Option<Place> {
        let file = self.files.iter().position(|source| source.name == cite.file)?;
        let before = usize::try_from(cite.line.checked_sub(1)?).ok()?;
        let mut start = 0;
        for (number, line) in self.files.get(file)?.text.split('\n').enumerate() {
            if number == before {
                let indent = line.len() - line.trim_start().len();
                let span = start + indent..start + line.trim_end().len();
                return Some(Place { file: File(file), span });
            }
            start += line.len() + 1;
        }
        None
    }

    /// An amount of memory.
    pub fn bytes(&mut self, file: File, text: &Spanned<Written>) -> Option<ByteCount> {
        self.parsed(file.at(text), &text.get_ref().0, |text| text.parse::<ByteCount>())
    }

    /// A span of time.
    pub fn duration(&mut self, file: File, text: &Spanned<Written>) -> Option<Seconds> {
        self.parsed(file.at(text), &text.get_ref().0, value::duration)
    }

    /// What a text means; if it means nothing, the error says which key has it.
    pub fn parsed<T, E: std::fmt::Display>(
        &mut self,
        place: Place,
        text: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        let why = match parse(text) {
            Ok(value) => return Some(value),
            Err(why) => why,
        };
        let source = self.files.get(place.file.0);
        let key = source.and_then(|source| mistake::key_before(&source.text, place.span.start));
        let key = key.map_or_else(String::new, |key| format!("{key} = "));
        self.bad_value(&place, format!("{key}\"{text}\": {why}"));
        None
    }

    /// Notes that a name must be defined in some file.
    pub fn expect_name(&mut self, kind: &'static str, name: &str, place: Place) {
        self.expected.push(Expected { kind, name: name.to_owned(), place });
    }

    /// Reports the expected names that no file defines. Each kind comes with its subjects and the
    /// names that these define.
    pub fn check_names(
        &mut self,
        known: &BTreeMap<&'static str, (&[&'static str], BTreeSet<String>)>,
    ) {
        for Expected { kind, name, place } in std::mem::take(&mut self.expected) {
            let Some((subjects, names)) = known.get(kind) else { continue };
            let complete = subjects.iter().all(|subject| !self.broken.contains(subject));
            if complete && !names.contains(&name) {
                let hint = mistake::did_you_mean(&name, names.iter().map(String::as_str));
                let message = format!("{kind} \"{name}\" is not defined{hint}");
                self.error(&place, "config.unknown_name", message);
            }
        }
    }

    /// Whether anything that was found forbids to apply the files.
    pub fn has_errors(&self) -> bool {
        self.found.iter().any(|one| one.severity == Severity::Error)
    }

    /// Whether every file could be read.
    pub fn are_whole(&self) -> bool {
        self.broken.is_empty()
    }

    /// All that was found, errors first, each in the order of the files.
    pub fn into_diagnostics(mut self) -> Diagnostics {
        let order = |name: &str| self.files.iter().position(|source| source.name == name);
        self.found
            .sort_by_key(|one| (one.severity == Severity::Warning, order(&one.file), one.line));
        Diagnostics(self.found)
    }
}

/// The names in a folder, in order.
fn file_names(folder: &Path) -> io::Result<Vec<String>> {
    let mut names: Vec<_> = fs::read_dir(folder)?
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    Ok(names)
}
