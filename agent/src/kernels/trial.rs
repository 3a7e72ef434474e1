//! Tries a kernel in its owner's running server: the notebook server starts it, and says whether it
//! answers. Nothing of it is left afterwards.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use berth_proto::link::KernelTrial;
use hyper::body::Bytes;
use hyper::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::{Trouble, WORDS_MAX, send};

/// A kernel that has not answered by then is said not to.
const ANSWERS_WITHIN: Duration = Duration::from_secs(20);

/// A kernel that the notebook server has started.
#[derive(Debug, Deserialize)]
struct Started {
    id: String,
}

/// Why it has not, as Jupyter Server tells it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Refusal {
    message: Option<String>,
    reason: Option<String>,
}

/// Starts a kernel, waits until it answers, and ends it.
///
/// # Errors
/// When the notebook server cannot be asked.
pub async fn try_out(
    address: SocketAddr,
    prefix: &str,
    token: &str,
    kernel: &str,
) -> Result<KernelTrial, Trouble> {
    let all = format!("{prefix}api/kernels");
    let begun = Instant::now();
    let wish = json!({ "name": kernel }).to_string();
    let (status, body) = send(address, Method::POST, &all, token, wish).await?;
    if status != StatusCode::CREATED {
        return Ok(failed(status, &body));
    }
    let one = format!("{all}/{}", serde_json::from_slice::<Started>(&body)?.id);
    // A start is answered as soon as there is a process. A restart is answered once the new process
    // has answered itself.
    let again = format!("{one}/restart");
    let restart = send(address, Method::POST, &again, token, String::new());
    let answer = tokio::time::timeout(ANSWERS_WITHIN, restart).await;
    let millis = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    send(address, Method::DELETE, &one, token, String::new()).await?;
    match answer {
        Ok(answer) => {
            let (status, body) = answer?;
            let answered = KernelTrial { answered_ms: millis, failed: String::new() };
            Ok(if status == StatusCode::OK { answered } else { failed(status, &body) })
        }
        Err(_) => {
            let failed = format!("it did not answer within {} s", ANSWERS_WITHIN.as_secs());
            Ok(KernelTrial { answered_ms: 0, failed })
        }
    }
}

fn failed(status: StatusCode, body: &Bytes) -> KernelTrial {
    let Refusal { message, reason } = serde_json::from_slice(body).unwrap_or_default();
    let said = [reason, message].into_iter().flatten().filter(|it| !it.is_empty());
    let said = said.collect::<Vec<_>>().join(": ");
    let said =
        if said.is_empty() { format!("the notebook server answered {status}") } else { said };
    let said = said.chars().filter(|c| !c.is_control()).take(WORDS_MAX).collect();
    KernelTrial { answered_ms: 0, failed: said }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_a_kernel_did_not_start_is_told_in_the_servers_words() {
        let told = |body: &'static str| {
            failed(StatusCode::INTERNAL_SERVER_ERROR, &Bytes::from_static(body.as_bytes())).failed
        };
        assert_eq!(
            told(r#"{"message": "Exception restarting kernel", "reason": null}"#),
            "Exception restarting kernel"
        );
        assert_eq!(told(r#"{"message": "x", "reason": "no such kernel"}"#), "no such kernel: x");
        assert_eq!(told("<html>"), "the notebook server answered 500 Internal Server Error");
    }
}
