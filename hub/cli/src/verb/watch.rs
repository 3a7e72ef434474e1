//! `--watch`: the same answer again and again, until somebody has seen enough.

use std::time::Duration;

use super::{CommandLine, once};
use crate::print::{is_watched, note, say};
use crate::problem::{Exit, Problem};

/// Between two looks.
const EVERY: Duration = Duration::from_secs(2);
/// Clears a terminal, and goes to its first line.
const CLEAR: &str = "\u{1b}[2J\u{1b}[H";

/// Asks every two seconds; a hub that is away for a while, since it is replaced, is waited for.
///
/// # Errors
/// When the command changes something, or cannot be answered the first time.
pub async fn run(line: &CommandLine, only_reads: bool) -> Result<Exit, Problem> {
    if !only_reads {
        let why = "only what changes nothing is shown again and again";
        let advice = "Leave --watch out; what takes a while is watched anyway.";
        return Err(Problem::new(Exit::Usage, "cannot watch this command", why, advice));
    }
    let mut last = once(line).await?;
    let mut away = false;
    loop {
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            _ = tokio::signal::ctrl_c() => return Ok(last),
        }
        say(if is_watched() { CLEAR } else { "" })?;
        match once(line).await {
            Ok(exit) => {
                last = exit;
                away = false;
            }
            Err(problem) if problem.exit() == Exit::NotReachable => {
                // What was cleared says it again; a list of lines once is enough.
                if is_watched() || !away {
                    note("The hub is away; this is shown again when it is back.");
                }
                away = true;
            }
            Err(problem) => return Err(problem),
        }
    }
}
