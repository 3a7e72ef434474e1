//! The fleet file: hosts and servers as TOML. What is wrong is said with file, line and key.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use berth_common::{ByteCount, Resources};
use berth_core::drain::{Host, Server};
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};
use toml::Spanned;

use crate::problem::{Exit, Problem};

/// A fleet. All servers are of one kind, and every host takes it.
#[derive(Debug)]
pub struct Fleet {
    pub hosts: Vec<Host>,
    pub servers: Vec<Server>,
}

/// Reads a fleet.
///
/// # Errors
/// When the file cannot be read or its content is wrong.
pub fn read(path: &Path) -> Result<Fleet, Problem> {
    let file = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| {
        let advice = "Name a file that is there, may be read and is UTF-8.";
        Problem::new(Exit::Usage, format!("cannot read {file}"), error, advice)
    })?;
    Source { file, text: &text }.fleet()
}

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    host: Vec<WrittenHost>,
    #[serde(default)]
    server: Vec<WrittenServer>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenHost {
    name: Spanned<String>,
    memory_bytes: Bytes,
    #[serde(default = "yes")]
    reboot: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenServer {
    name: Spanned<String>,
    host: Spanned<String>,
    memory_bytes: Spanned<Bytes>,
}

fn yes() -> bool {
    true
}

/// An amount of memory that is not nothing.
struct Bytes(u64);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Whole;
        impl Visitor<'_> for Whole {
            type Value = Bytes;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a whole number of bytes, at least 1")
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Bytes, E> {
                match u64::try_from(number) {
                    Ok(bytes) if bytes > 0 => Ok(Bytes(bytes)),
                    _ => Err(E::invalid_value(de::Unexpected::Signed(number), &self)),
                }
            }
        }
        deserializer.deserialize_i64(Whole)
    }
}

/// A file and where in it something is wrong.
struct Source<'a> {
    file: String,
    text: &'a str,
}

impl Source<'_> {
    fn fleet(&self) -> Result<Fleet, Problem> {
        let written: Written =
            toml::from_str(self.text).map_err(|error| self.unreadable(&error))?;
        let found = "Found none";
        if written.host.is_empty() {
            return Err(self.wrong(
                None,
                "host",
                format!("{found}; expected at least one [[host]]."),
            ));
        }
        if written.server.is_empty() {
            return Err(self.wrong(
                None,
                "server",
                format!("{found}; expected at least one [[server]]."),
            ));
        }
        let positions = self.names(written.host.iter().map(|host| &host.name))?;
        self.names(written.server.iter().map(|server| &server.name))?;
        let hosts: Vec<Host> = written
            .host
            .iter()
            .map(|host| Host {
                room: memory(host.memory_bytes.0),
                takes: vec![0],
                reboots: host.reboot,
            })
            .collect();
        let mut free: Vec<Resources> = hosts.iter().map(|host| host.room).collect();
        let mut servers = Vec::with_capacity(written.server.len());
        for server in &written.server {
            let name = server.host.get_ref();
            let Some(&host) = positions.get(name.as_str()) else {
                let near = did_you_mean(name, positions.keys().copied());
                let why = format!("Found \"{name}\"; expected the name of a [[host]]{near}.");
                return Err(self.wrong(Some(server.host.span().start), "host", why));
            };
            let need = memory(server.memory_bytes.get_ref().0);
            if !need.fits(&free[host]) {
                let why = format!(
                    "Found {} ({}); expected at most the {} that are free on {name} at the start.",
                    need.memory.0, need.memory, free[host].memory
                );
                return Err(self.wrong(
                    Some(server.memory_bytes.span().start),
                    "memory_bytes",
                    why,
                ));
            }
            free[host] = free[host].minus(&need);
            servers.push(Server { host, need, kind: 0, movable: true });
        }
        Ok(Fleet { hosts, servers })
    }

    /// Each name's position in its list.
    fn names<'n>(
        &self,
        names: impl Iterator<Item = &'n Spanned<String>>,
    ) -> Result<BTreeMap<&'n str, usize>, Problem> {
        let mut positions = BTreeMap::new();
        let mut lines = BTreeMap::new();
        for (index, name) in names.enumerate() {
            let (text, start) = (name.get_ref().as_str(), name.span().start);
            if text.is_empty() {
                return Err(self.wrong(
                    Some(start),
                    "name",
                    "Found an empty text; expected a name.",
                ));
            }
            if positions.insert(text, index).is_some() {
                let line = lines.get(text).copied().unwrap_or_default();
                let why = format!(
                    "Found \"{text}\", which line {line} has already; expected another name."
                );
                return Err(self.wrong(Some(start), "name", why));
            }
            lines.insert(text, self.line(start));
        }
        Ok(positions)
    }

    /// What the TOML reader found.
    fn unreadable(&self, error: &toml::de::Error) -> Problem {
        let start = error.span().map(|span| span.start);
        let message = error.message();
        // serde's own sentences: unknown field `x`, expected one of `a`, `b`; missing field `x`
        let mut quoted = message.split('`').skip(1).step_by(2);
        match quoted.next() {
            Some(key) if message.starts_with("unknown field") => {
                let known: Vec<_> = quoted.collect();
                let near = did_you_mean(key, known.iter().copied());
                let why = format!(
                    "Found a key that is not known; expected one of {}{near}.",
                    known.join(", ")
                );
                self.wrong(start, key, why)
            }
            Some(key) if message.starts_with("missing field") => {
                self.wrong(start, key, "Found no such key here; it is needed.")
            }
            _ => {
                let key = start.map_or_else(String::new, |start| self.key(start));
                self.wrong(start, &key, sentence(message))
            }
        }
    }

    /// A problem at a place of the file.
    fn wrong(&self, start: Option<usize>, key: &str, why: impl fmt::Display) -> Problem {
        let line = start.map_or_else(String::new, |start| format!(":{}", self.line(start)));
        let key = if key.is_empty() { String::new() } else { format!(", key {key}") };
        let what = format!("cannot use {}{line}{key}", self.file);
        Problem::new(
            Exit::Usage,
            what,
            why,
            "Mend that line of the file, and run the command again.",
        )
    }

    /// The line of a place, from 1.
    fn line(&self, start: usize) -> usize {
        self.text.bytes().take(start).filter(|byte| *byte == b'\n').count() + 1
    }

    /// The key on the line of a place, if there is one.
    fn key(&self, start: usize) -> String {
        let line = self.text.lines().nth(self.line(start) - 1).unwrap_or_default();
        line.split_once('=').map_or_else(String::new, |(key, _)| key.trim().to_owned())
    }
}

fn memory(bytes: u64) -> Resources {
    Resources { memory: ByteCount(bytes), ..Resources::default() }
}

/// ` (did you mean "x"?)` for the nearest known name, or nothing.
fn did_you_mean<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let nearest = known
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 2.max(candidate.len() / 3))
        .min();
    nearest.map_or_else(String::new, |(_, candidate)| format!(" (did you mean \"{candidate}\"?)"))
}

/// A message with a capital letter and a full stop.
fn sentence(message: &str) -> String {
    let message = message.lines().collect::<Vec<_>>().join("; ");
    let mut letters = message.chars();
    letters
        .next()
        .map_or_else(String::new, |first| format!("{}{}.", first.to_uppercase(), letters.as_str()))
}
