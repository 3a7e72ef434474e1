//! What is wrong in a file: file, line, a caret under the place, and what to do.

use std::fmt;
use std::ops::Range;

pub use berth_process::mistake::Severity;
use berth_process::mistake::{self, Mistake};

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
        let line = mistake::line_of(text, span.start);
        let rendered = mistake::mark(severity, file, text, span, code, &message);
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

    /// The first mistake in a file, which cannot be read further.
    pub fn of_mistake(file: &str, mistake: &Mistake) -> Self {
        let Mistake { code, line, message, .. } = mistake;
        let (file, message, rendered) = (file.into(), message.clone(), mistake.to_string());
        Self { severity: Severity::Error, file, line: *line, code, message, rendered }
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
