//! What there is to break: cargo-mutants' own list.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};

/// One small change of the code, as cargo-mutants names it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mutant {
    /// File, place, and what is changed: unique.
    pub name: String,
    /// From the root of the workspace.
    pub file: String,
    /// What is replaced.
    pub span: Span,
    /// By what; empty if it is deleted.
    pub replacement: String,
    /// What kind of change.
    pub genre: Genre,
}

/// Kinds of changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Genre {
    /// A function does nothing but to return this.
    FnValue,
    /// Another operator between the same operands.
    BinaryOperator,
    /// No `!`, no `-`.
    UnaryOperator,
    /// An arm is missing, and the arm for all the rest takes its cases.
    MatchArm,
    /// A guard is always true, or never.
    MatchArmGuard,
    /// A field is what the base of the literal says.
    StructField,
}

/// Part of a file, the end excluded.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Span {
    /// Its first character.
    pub start: Place,
    /// The character after the last.
    pub end: Place,
}

/// A character of a file, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// Of the file.
    pub line: usize,
    /// Of the line.
    pub column: usize,
}

impl Place {
    /// The same as an offset in bytes.
    pub fn offset(self, text: &str) -> usize {
        let before: usize = text.split_inclusive('\n').take(self.line - 1).map(str::len).sum();
        let line = &text[before..];
        before + line.chars().take(self.column - 1).map(char::len_utf8).sum::<usize>()
    }
}

/// Asks cargo-mutants, which reads `.cargo/mutants.toml`, or reads what it has said once.
///
/// # Errors
/// cargo-mutants is missing, or says something else than a list.
pub fn list(root: &Path, said: Option<&Path>) -> anyhow::Result<Vec<Mutant>> {
    let text = match said {
        Some(file) => fs::read(file).with_context(|| file.display().to_string())?,
        None => {
            let output = Command::new("cargo")
                .args(["mutants", "--list", "--json"])
                .args(["--package=berth-core", "--package=berth-agent"])
                .current_dir(root)
                .output()
                .context("cargo mutants")?;
            let trouble = String::from_utf8_lossy(&output.stderr);
            ensure!(output.status.success(), "cargo mutants --list failed:\n{trouble}");
            output.stdout
        }
    };
    serde_json::from_slice(&text).context("the list of cargo mutants")
}
