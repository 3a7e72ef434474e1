//! Asking on the terminal before something is changed.

use std::io::{self, BufRead, IsTerminal, Write};

use crate::print::say;
use crate::problem::{Exit, Problem};

/// Options of what changes something.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub struct Sure {
    /// Only say what would happen
    #[arg(long)]
    pub dry_run: bool,
    /// With --dry-run: exit code 5 if it would change
    #[arg(long, requires = "dry_run")]
    pub exit_code: bool,
    /// Do not ask whether it is meant
    #[arg(long, short)]
    pub yes: bool,
}

impl Sure {
    /// In a dry run says what would happen, and how the command ends then; else `None`.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn only_looks(&self, sentence: &str) -> Result<Option<Exit>, Problem> {
        if !self.dry_run {
            return Ok(None);
        }
        say("DRY RUN - nothing is changed")?;
        say(sentence)?;
        Ok(Some(self.looked()))
    }

    /// How a dry run ends that would change something.
    pub fn looked(&self) -> Exit {
        if self.exit_code { Exit::WouldChange } else { Exit::Done }
    }

    /// Asks, unless it was said to be meant.
    ///
    /// # Errors
    /// When the answer is no.
    pub fn ask(&self, question: &str, nothing: &str) -> Result<(), Problem> {
        if self.yes { Ok(()) } else { confirm(question, nothing) }
    }
}

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
