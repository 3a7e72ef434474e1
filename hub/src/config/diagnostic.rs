//! What is wrong in a file: file, line, a caret under the place, and what to do.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use super::value;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Nothing is applied.
    Error,
    /// It is applied; somebody should look at it.
    Warning,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// The file, relative to the folder.
    pub file: String,
    /// The line, from 1; 0 if it is about the whole file.
    pub line: u32,
    /// The stable code.
    pub code: &'static str,
    /// What is wrong and what to do.
    pub message: String,
    /// The message with the place marked.
    rendered: String,
}

/// All that is wrong, errors first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl Diagnostic {
    /// About a place in a file.
    pub fn at(
        severity: Severity,
        file: &str,
        text: &str,
        span: Range<usize>,
        code: &'static str,
        message: String,
    ) -> Self {
        let line = value::line_of(text, span.start);
        // The reader counts bytes, the renderer takes whole characters only.
        let start = text.floor_char_boundary(span.start);
        let end = text.ceil_char_boundary(span.end.max(span.start.saturating_add(1)));
        let level = match severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let title = level.primary_title(message.as_str()).id(code);
        let snippet =
            Snippet::source(text).path(file).annotation(AnnotationKind::Primary.span(start..end));
        let rendered = Renderer::plain().render(&[title.element(snippet)]);
        Self { severity, file: file.into(), line, code, message, rendered }
    }

    /// About a whole file.
    pub fn of_file(file: &str, code: &'static str, message: String) -> Self {
        let rendered = format!("error[{code}]: {file}: {message}");
        Self { severity: Severity::Error, file: file.into(), line: 0, code, message, rendered }
    }

    /// Makes a warning of an error.
    pub fn weaken(&mut self) {
        self.severity = Severity::Warning;
        if let Some(rest) = self.rendered.strip_prefix("error") {
            self.rendered = format!("warning{rest}");
        }
    }

    /// The TOML reader's error: the text is no TOML.
    pub fn of_syntax(file: &str, text: &str, error: &toml::de::Error) -> Self {
        let message = error.message();
        let span = error.span().unwrap_or(0..0);
        let (code, message) = if message.starts_with("duplicate key") {
            let key = text.get(span.clone()).unwrap_or_default();
            ("config.duplicate", format!("key {key} is already there: it may stand once"))
        } else {
            ("config.syntax", message.to_owned())
        };
        Self::at(Severity::Error, file, text, span, code, message)
    }

    /// The TOML reader's error: a key or a value is not what is expected there.
    pub fn of_value(file: &str, text: &str, error: &toml::de::Error) -> Self {
        let span = error.span().unwrap_or(0..0);
        let (code, message) = in_our_words(error.message());
        let message = match value::key_before(text, span.start) {
            Some(key) if code == "config.bad_value" => format!("{key}: {message}"),
            _ => message,
        };
        Self::at(Severity::Error, file, text, span, code, message)
    }
}

/// Turns serde's sentences into ours; an unknown word gets the nearest known one.
fn in_our_words(message: &str) -> (&'static str, String) {
    // serde's own: unknown field `x`, expected one of `a`, `b`
    let mut quoted = message.split('`').skip(1).step_by(2);
    let word = quoted.next().unwrap_or_default();
    let known: Vec<_> = quoted.collect();
    let list = known.join(", ");
    let hint = match value::did_you_mean(word, known.iter().copied()) {
        hint if hint.is_empty() => format!("; possible here: {list}"),
        hint => format!("{hint} Possible here: {list}"),
    };
    // How the reader hands on a date to a place that expects a table.
    if word.starts_with("$__toml") {
        return ("config.bad_value", "a date is not expected here".into());
    }
    if message.starts_with("unknown field") {
        ("config.unknown_key", format!("unknown key \"{word}\"{hint}"))
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

/// What a site's administrator calls a type.
fn kind(expected: &str) -> &str {
    match expected {
        "u32" | "u64" => "a whole number from 0",
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

impl Diagnostics {
    /// Whether one of them forbids to apply anything.
    pub fn has_errors(&self) -> bool {
        self.count(Severity::Error) > 0
    }

    /// How many there are of a severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.0.iter().filter(|one| one.severity == severity).count()
    }

    /// Writes warnings to the log, if there are any.
    pub fn log(&self) {
        if !self.0.is_empty() {
            tracing::warn!("the configuration can be used, but:\n{self}");
        }
    }

    /// `2 errors, 1 warning`, without what there is none of.
    fn counted(&self) -> String {
        let words = [(Severity::Error, "error"), (Severity::Warning, "warning")];
        let counted: Vec<_> = words
            .into_iter()
            .filter_map(|(severity, word)| match self.count(severity) {
                0 => None,
                1 => Some(format!("1 {word}")),
                count => Some(format!("{count} {word}s")),
            })
            .collect();
        counted.join(", ")
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for diagnostic in &self.0 {
            writeln!(f, "{}", diagnostic.rendered)?;
        }
        let counted = self.counted();
        if self.has_errors() {
            write!(f, "{counted}: nothing is applied, the running configuration stays.")
        } else {
            write!(f, "{counted}: the files can be used.")
        }
    }
}

impl std::error::Error for Diagnostics {}
