//! A mistake in a configuration file as people read it: file and line, the place with a caret under
//! it, and what to do. All programs' files are read and refused in these words.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use serde::de::DeserializeOwned;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Nothing is applied.
    Error,
    /// It is applied; somebody should look at it.
    Warning,
}

/// A mistake in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The stable code.
    pub code: &'static str,
    /// The line, from 1.
    pub line: u32,
    /// What is wrong and what to do.
    pub message: String,
    /// The same with the place marked.
    marked: String,
}

impl Mistake {
    /// About a place in a text; `file` is its name in messages.
    pub fn at(
        file: &str,
        text: &str,
        span: Range<usize>,
        code: &'static str,
        message: String,
    ) -> Self {
        let line = line_of(text, span.start);
        let marked = mark(Severity::Error, file, text, span, code, &message);
        Self { code, line, message, marked }
    }

    /// The same of a value that is not possible.
    pub fn bad_value(file: &str, text: &str, span: Range<usize>, message: String) -> Self {
        Self::at(file, text, span, "config.bad_value", message)
    }

    /// The TOML reader's error: the text is no TOML.
    fn of_syntax(file: &str, text: &str, error: &toml::de::Error) -> Self {
        let message = error.message();
        let span = error.span().unwrap_or(0..0);
        let (code, message) = if message.starts_with("duplicate key") {
            let key = text.get(span.clone()).unwrap_or_default();
            ("config.duplicate", format!("key {key} is already there: it may stand once"))
        } else {
            ("config.syntax", message.to_owned())
        };
        Self::at(file, text, span, code, message)
    }

    /// The TOML reader's error: a key or a value is not what is expected there.
    fn of_value(file: &str, text: &str, error: &toml::de::Error) -> Self {
        let span = error.span().unwrap_or(0..0);
        let (code, message) = in_our_words(error.message());
        let message = match key_before(text, span.start) {
            Some(key) if code == "config.bad_value" => format!("{key}: {message}"),
            _ => message,
        };
        Self::at(file, text, span, code, message)
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.marked)
    }
}

impl std::error::Error for Mistake {}

/// Reads a TOML text; `file` is its name in messages.
///
/// # Errors
/// The first mistake in it.
pub fn read<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, Mistake> {
    let toml =
        toml::Deserializer::parse(text).map_err(|error| Mistake::of_syntax(file, text, &error))?;
    T::deserialize(toml).map_err(|error| Mistake::of_value(file, text, &error))
}

/// Where a key stands: its value, else its table, else the beginning of the text. The path leads
/// through tables, e.g. `["hub", "listen"]`.
pub fn place_of(text: &str, path: &[&str]) -> Range<usize> {
    let mut found = 0..0;
    let Ok(document) = toml::de::DeTable::parse(text) else { return found };
    let mut table = document.get_ref();
    for (number, key) in path.iter().enumerate() {
        let Some((name, value)) = table.get_key_value(*key) else { return found };
        match value.get_ref() {
            toml::de::DeValue::Table(inner) if number + 1 < path.len() => {
                (found, table) = (name.span(), inner);
            }
            _ => return value.span(),
        }
    }
    found
}

/// A message with the place marked.
pub fn mark(
    severity: Severity,
    file: &str,
    text: &str,
    span: Range<usize>,
    code: &str,
    message: &str,
) -> String {
    // The reader counts bytes, the renderer takes whole characters only.
    let start = text.floor_char_boundary(span.start);
    let end = text.ceil_char_boundary(span.end.max(span.start.saturating_add(1)));
    let level = match severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(message).id(code);
    let snippet =
        Snippet::source(text).path(file).annotation(AnnotationKind::Primary.span(start..end));
    Renderer::plain().render(&[title.element(snippet)])
}

/// Turns serde's sentences into ours; an unknown word gets the nearest known one.
fn in_our_words(message: &str) -> (&'static str, String) {
    // serde's own: unknown field `x`, expected one of `a`, `b`
    let mut quoted = message.split('`').skip(1).step_by(2);
    let word = quoted.next().unwrap_or_default();
    let known: Vec<_> = quoted.collect();
    let list = known.join(", ");
    let hint = match did_you_mean(word, known.iter().copied()) {
        hint if hint.is_empty() => format!("; possible here: {list}"),
        hint => format!("{hint} Possible here: {list}"),
    };
    // How the reader hands on a date to a place that expects a table.
    if word.starts_with("$__toml") {
        return ("config.bad_value", "a date is not expected here".into());
    }
    if message.starts_with("unknown field") {
        match instead_of(word) {
            Some(instead) => ("config.unknown_key", format!("there is no \"{word}\": {instead}")),
            None => ("config.unknown_key", format!("unknown key \"{word}\"{hint}")),
        }
    } else if message.starts_with("unknown variant") {
        ("config.bad_value", format!("unknown word \"{word}\"{hint}"))
    } else if message.starts_with("missing field") {
        ("config.missing_key", format!("key \"{word}\" is missing here"))
    } else {
        // invalid type: string "x", expected u32
        let parts = ["invalid type: ", "invalid value: "]
            .iter()
            .find_map(|start| message.strip_prefix(start)?.rsplit_once(", expected "));
        let message = parts.map_or_else(
            || message.to_owned(),
            |(found, expected)| format!("found {found}, expected {}", kind(expected)),
        );
        ("config.bad_value", message)
    }
}

/// What to write in the place of a key that a site might expect, and that is deliberately absent.
fn instead_of(key: &str) -> Option<&'static str> {
    Some(match key {
        "lend_to" => {
            "give the hosts of a pool that stands idle to another one by their line in hosts.d, \
             when no training is near"
        }
        "prepare" => {
            "images are fetched a day ahead by themselves; 'berth training check' looks at the \
             accounts of those who come, and 'berth training rehearse' rehearses"
        }
        "keep_homes" => "HOMEs are never removed",
        "label_prefix" => {
            "labels begin with \"berth.\", and several agents on one engine are told apart by \
             their host's name"
        }
        "stop_servers_if_hub_lost" => "a host that has lost its hub never stops what runs",
        "languages" => "every page is there in each language, as the reader's browser asks for it",
        "kubernetes_names" => {
            "the series of pods and nodes are Kubernetes' own; the boards in packaging/monitoring \
             show the same by berth_* and jupyterhub_*"
        }
        "jupyterhub_names" => "jupyterhub_* are always told",
        _ => return None,
    })
}

/// What a site's administrator calls a type.
fn kind(expected: &str) -> &str {
    match expected {
        "u16" | "u32" | "u64" | "usize" => "a whole number from 0",
        "a string" => "text in quotes",
        "a boolean" => "true or false",
        "a sequence" => "a list in [ ]",
        "a map" => "a table",
        // Named after the types of this program.
        other if other.starts_with("struct ") => "a table",
        other if other.starts_with("enum ") || other.starts_with("variant ") => "a word in quotes",
        other => other,
    }
}

/// The line of a byte offset, from 1.
pub fn line_of(text: &str, offset: usize) -> u32 {
    let before = text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count();
    u32::try_from(before.saturating_add(1)).unwrap_or(u32::MAX)
}

/// The key to which the value at an offset belongs, if one stands before it.
pub fn key_before(text: &str, offset: usize) -> Option<&str> {
    let before = text.get(..offset)?.trim_end().strip_suffix('=')?.trim_end();
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let key = &before[before.trim_end_matches(part).len()..];
    (!key.is_empty()).then_some(key)
}

/// `; did you mean "x"?` for the nearest known name, or nothing.
pub fn did_you_mean<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let nearest = known
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 2.max(candidate.len() / 3))
        .min();
    nearest.map_or_else(String::new, |(_, candidate)| format!("; did you mean \"{candidate}\"?"))
}
