//! Why a call to the engine has no result, and what its refusals mean.

use std::future::Future;
use std::time::Duration;

use berth_common::Reason;
use berth_common::link::Ending;
use bollard::errors::Error;

use super::gpus;
use crate::reconcile::Outcome;
use crate::runtime::Plan;

/// Why a call has no result.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The engine refused: its status and its words.
    Refused(u16, String),
    /// Nobody knows what became of it.
    Unknown(String),
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(_, text) | Self::Unknown(text) => f.write_str(text),
        }
    }
}

/// Runs a call within a limit.
pub(super) async fn within<T>(
    limit: Duration,
    call: impl Future<Output = Result<T, Error>>,
) -> Result<T, Trouble> {
    match tokio::time::timeout(limit, call).await {
        Ok(Ok(result)) => Ok(result),
        Ok(Err(Error::DockerResponseServerError { status_code, message })) => {
            Err(Trouble::Refused(status_code, message))
        }
        Ok(Err(other)) => Err(Trouble::Unknown(format!("the Docker Engine: {other}"))),
        Err(_) => Err(slow(limit)),
    }
}

pub(super) fn slow(limit: Duration) -> Trouble {
    Trouble::Unknown(format!("the Docker Engine did not answer within {} s", limit.as_secs()))
}

pub(super) fn settled(
    result: Result<Outcome, Trouble>,
    refused: impl FnOnce(u16, String) -> Outcome,
) -> Outcome {
    match result {
        Ok(outcome) => outcome,
        Err(Trouble::Refused(status, text)) => refused(status, text),
        Err(Trouble::Unknown(text)) => {
            tracing::warn!("a call is unsettled: {text}");
            Outcome::TimedOut
        }
    }
}

pub(super) fn gone_or_failed(status: u16, text: String) -> Outcome {
    match status {
        404 => Outcome::Gone,
        _ => Outcome::Failed(Ending { reason: Reason::FailedContainer, detail: text }),
    }
}

/// What an engine's refusal of a create means to people.
pub(super) fn refused(status: u16, text: &str, plan: &Plan) -> Ending {
    let (reason, detail) = if status == 404 && text.contains("No such image") {
        (Reason::FailedImage, format!("the image {} is not on this host", plan.image))
    } else if let Some((_, path)) = text.split_once("bind source path does not exist: ") {
        let path = path.trim();
        (Reason::FailedMount, format!("{path} is not on this host; tell the administrators"))
    } else {
        (gpus::refusal(text).unwrap_or(Reason::FailedContainer), text.to_owned())
    };
    Ending { reason, detail }
}

/// What an engine's refusal of a start means: it tells by text only.
pub(super) fn start_refused(text: &str) -> Ending {
    let mount = ["error mounting", "error while creating mount source path", "to rootfs at"];
    let reason = if mount.iter().any(|words| text.contains(words)) {
        Reason::FailedMount
    } else {
        gpus::refusal(text).unwrap_or(Reason::FailedContainer)
    };
    Ending { reason, detail: text.to_owned() }
}
