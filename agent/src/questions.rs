//! What the hub asks about a server when somebody looks at it: its log, its kernels, and whether one
//! of these starts.

use std::net::SocketAddr;

use berth_proto::link::question::What;
use berth_proto::link::{HostAnswer, LogLine, Question};

use crate::kernels::{self, trial};
use crate::reconcile::{Container, ContainerState};
use crate::runtime::Runtime;

/// The most lines of a log that are sent, and the most bytes.
const LINES_MAX: u32 = 1_000;
const BYTES_MAX: usize = 128 << 10;

/// The answer to a question.
///
/// # Errors
/// Why there is none, for people.
pub async fn find<R: Runtime>(runtime: &R, question: Question) -> Result<HostAnswer, String> {
    let is_asked = |it: &Container| {
        it.server.as_str() == question.server && it.generation.0 == question.generation
    };
    let container = runtime.list().await?.into_iter().find(is_asked);
    let container = container.ok_or("the server has no container on this host")?;
    match question.what {
        Some(What::LogLines(lines)) => {
            let log = runtime.log(&container.id, lines.min(LINES_MAX)).await?;
            Ok(HostAnswer { log: newest(log), ..HostAnswer::default() })
        }
        Some(What::Kernels(_)) => {
            let (address, token) = notebook(runtime, &container).await?;
            let asked = kernels::offered(address, &container.prefix, &token).await;
            let offered = asked.map_err(|error| format!("the server does not say: {error}"))?;
            let offered = offered.ok_or("the server is no notebook server")?;
            Ok(HostAnswer { kernels: offered, ..HostAnswer::default() })
        }
        Some(What::TryKernel(kernel)) => {
            let (address, token) = notebook(runtime, &container).await?;
            let tried = trial::try_out(address, &container.prefix, &token, &kernel).await;
            let tried = tried.map_err(|error| format!("the server does not say: {error}"))?;
            Ok(HostAnswer { tried: Some(tried), ..HostAnswer::default() })
        }
        None => Err("this agent does not understand the question; it is older than the hub".into()),
    }
}

/// Where a server's notebook server listens, and the token that it knows.
async fn notebook<R: Runtime>(
    runtime: &R,
    container: &Container,
) -> Result<(SocketAddr, String), String> {
    let ContainerState::Running { address: Some(address) } = container.state else {
        return Err("the server does not run".into());
    };
    let token = runtime.token(&container.id).await;
    Ok((address, token.ok_or("this host may not ask the server")?))
}

/// The newest lines of a log that are not too much together.
pub(crate) fn newest(log: Vec<LogLine>) -> Vec<LogLine> {
    let mut left = BYTES_MAX;
    let mut from = log.len();
    for line in log.iter().rev() {
        let Some(rest) = left.checked_sub(line.text.len()) else { break };
        (left, from) = (rest, from.saturating_sub(1));
    }
    log.into_iter().skip(from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_log_the_end_is_sent() {
        let line =
            |number: usize, length| LogLine { at: number.to_string(), text: "x".repeat(length) };
        let log: Vec<_> = (0..1_000).map(|number| line(number, 1_000)).collect();
        let sent = newest(log);
        assert_eq!(sent.len(), BYTES_MAX / 1_000);
        assert_eq!(sent.last().map(|line| line.at.as_str()), Some("999"));
        assert_eq!(newest(vec![line(1, BYTES_MAX + 1), line(2, 10)]).len(), 1);
        assert!(newest(Vec::new()).is_empty());
    }
}
