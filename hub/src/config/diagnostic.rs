//! What is wrong in a file: file, line, a caret under the place, and what to do.

use std::fmt;
use std::ops::Range;
use std::path::Path;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use super::value;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
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

/// All that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl Diagnostic {
    /// About a place in a file.
    pub fn at(
        file: &str,
        text: &str,
        span: Range<usize>,
        code: &'static str,
        message: String,
    ) -> Self {
        let line = value::line_of(text, span.start);
        let end = span.end.min(text.len()).max(span.start.saturating_add(1).min(text.len()));
        let start = span.start.min(text.len());
        let title = Level::ERROR.primary_title(message.as_str()).id(code);
        let snippet = Snippet::source(text)
            .path(file)
            .annotation(AnnotationKind::Primary.span(start..end.max(start)));
        let rendered = Renderer::plain().render(&[title.element(snippet)]);
        Self { file: file.into(), line, code, message, rendered }
    }

    /// About a whole file.
    pub fn of_file(file: &str, code: &'static str, message: String) -> Self {
        let rendered = format!("error[{code}]: {file}: {message}");
        Self { file: file.into(), line: 0, code, message, rendered }
    }

    /// The TOML reader's error; an unknown key gets the nearest known one.
    pub fn of_toml(file: &str, text: &str, error: &toml::de::Error) -> Self {
        let message = error.message();
        // serde's own sentence: unknown field `x`, expected one of `a`, `b`
        let mut quoted = message.split('`').skip(1).step_by(2);
        let (code, message) = match (message.starts_with("unknown field"), quoted.next()) {
            (true, Some(unknown)) => {
                let known: Vec<_> = quoted.collect();
                let hint = value::did_you_mean(unknown, known.iter().copied());
                let list = known.join(", ");
                (
                    "config.unknown_key",
                    format!("unknown key \"{unknown}\"{hint}; known here: {list}"),
                )
            }
            _ => ("config.syntax", message.to_owned()),
        };
        Self::at(file, text, error.span().unwrap_or(0..0), code, message)
    }
}

impl Diagnostics {
    /// A file that must be there is not.
    pub fn missing(folder: &Path, file: &str) -> Self {
        let name = folder.join(file).display().to_string();
        Self(vec![Diagnostic::of_file(&name, "config.syntax", "is missing".into())])
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for diagnostic in &self.0 {
            writeln!(f, "{}", diagnostic.rendered)?;
        }
        let count = self.0.len();
        let errors = if count == 1 { "error" } else { "errors" };
        write!(f, "{count} {errors}: nothing is applied, a running configuration stays as it is.")
    }
}

impl std::error::Error for Diagnostics {}
