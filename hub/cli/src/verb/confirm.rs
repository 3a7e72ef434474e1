//! Asking on the terminal before something is changed.

use std::io::{self, BufRead, IsTerminal, Write};

use crate::problem::{Exit, Problem};

/// Asks. Without a terminal nobody can answer, and scripts have always meant it.
///
/// # Errors
/// When the answer is no; `nothing` says what did not happen.
pub fn confirm(question: &str, nothing: &str) -> Result<(), Problem> {
    if !io::stdin().is_terminal() {
        return Ok(());
    }
    let _ = write!(io::stderr(), "{question} [y/N] ");
    let mut line = String::new();
    let _ = io::stdin().lock().read_line(&mut line);
    if matches!(line.trim(), "y" | "Y" | "yes") {
        return Ok(());
    }
    let advice = "Answer y, or use --yes.";
    Err(Problem::new(Exit::Failed, nothing, "it was not confirmed", advice))
}
