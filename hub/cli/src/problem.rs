//! What went wrong, in three lines for people (what, why, what to do), and the exit code for
//! programs.

use std::fmt;
use std::process::ExitCode;

/// How the command ends. The numbers are part of the manual.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done; with `--exit-code`: it would start now.
    Done = 0,
    /// Failed.
    Failed = 1,
    /// Bad usage.
    Usage = 2,
    /// Refused by the site's rules.
    Refused = 3,
    /// No such object.
    NotFound = 4,
    /// With `--exit-code`: something would change.
    WouldChange = 5,
    /// Not watched any more; the operation continues.
    Continues = 6,
    /// The hub cannot be reached.
    NotReachable = 7,
    /// Not allowed for this token.
    NotAllowed = 8,
    /// It would wait.
    WouldWait = 9,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// Why a command did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    exit: Exit,
    what: String,
    reason: Option<String>,
    why: String,
    advice: String,
}

impl Problem {
    /// What was to be done and did not happen, why, and what to do about it.
    pub fn new(
        exit: Exit,
        what: impl Into<String>,
        why: impl fmt::Display,
        advice: impl Into<String>,
    ) -> Self {
        let why = why.to_string();
        Self { exit, what: what.into(), reason: None, why, advice: advice.into() }
    }

    /// With the reason code behind it.
    #[must_use]
    pub fn because(mut self, reason: Option<&str>) -> Self {
        self.reason = reason.map(str::to_owned);
        self
    }

    /// The exit code.
    pub fn exit(&self) -> Exit {
        self.exit
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", plain(&self.what))?;
        if let Some(reason) = &self.reason {
            write!(f, " [{}]", plain(reason))?;
        }
        for line in self.why.lines().chain(self.advice.lines()) {
            let line = format!("       {}", plain(line));
            write!(f, "\n{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// Without control characters: texts of others must not steer the terminal.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_has_three_lines_and_cannot_steer_the_terminal() {
        let problem = Problem::new(Exit::Refused, "cannot start", "too\u{1b}[2J big", "Ask less.")
            .because(Some("refused.too_big"));
        assert_eq!(
            problem.to_string(),
            "error: cannot start [refused.too_big]\n       too [2J big\n       Ask less."
        );
    }
}
