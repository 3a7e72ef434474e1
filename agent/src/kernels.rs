//! Whether a server's kernels are busy: its notebook server knows, and tells whoever has the
//! server's own token. A cell that sleeps, waits, or stands in the debugger uses nothing that could
//! be seen from outside.

pub mod trial;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use berth_common::Timestamp;
use berth_common::link::Kernels;
use berth_process::clock;
use berth_proto::link::KernelSpec;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;

use crate::reconcile::Listening;
use crate::runtime::Runtime;

/// The most that a list of kernels may be long.
const LIST_MAX: usize = 1 << 20;

/// One question may take this long.
const ONE_QUESTION: Duration = Duration::from_secs(10);

/// An answer older than this is none: so many questions in a row went unanswered.
const BELIEVED: u32 = 3;

/// The servers whose kernels are asked for, and what was heard.
#[derive(Debug)]
pub struct Watched {
    every: Duration,
    tasks: BTreeMap<String, AbortHandle>,
    heard: Arc<Mutex<BTreeMap<String, Heard>>>,
}

/// One answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Heard {
    at: Timestamp,
    busy: u32,
    /// When any kernel last said something.
    said: Option<Timestamp>,
}

impl Watched {
    /// Each server is asked so often.
    pub fn new(every: Duration) -> Self {
        Self { every, tasks: BTreeMap::new(), heard: Arc::default() }
    }

    /// Asks these from now on, and no others.
    pub fn follow<R: Runtime>(&mut self, runtime: &R, servers: Vec<Listening>) {
        let ids: BTreeSet<&String> = servers.iter().map(|server| &server.container).collect();
        if ids.len() == self.tasks.len() && self.tasks.keys().all(|id| ids.contains(id)) {
            return;
        }
        self.tasks.retain(|id, task| {
            let still = ids.contains(id);
            if !still {
                task.abort();
                lock(&self.heard).remove(id);
            }
            still
        });
        for Listening { container, address, prefix, .. } in servers {
            let (heard, runtime, every) = (self.heard.clone(), runtime.clone(), self.every);
            self.tasks.entry(container.clone()).or_insert_with(|| {
                tokio::spawn(ask_for_ever(runtime, heard, container, address, prefix, every))
                    .abort_handle()
            });
        }
    }

    /// What the server in this container said last.
    pub fn of(&self, container: &str) -> Option<Kernels> {
        let heard = lock(&self.heard).get(container).copied()?;
        let now = clock::now();
        let limit = self.every.saturating_mul(BELIEVED);
        let fresh = u128::from(now.millis_since(heard.at)) <= limit.as_millis();
        fresh.then(|| Kernels {
            busy: heard.busy,
            quiet_ms: heard.said.map(|said| now.millis_since(said)),
        })
    }
}

fn lock(
    heard: &Mutex<BTreeMap<String, Heard>>,
) -> std::sync::MutexGuard<'_, BTreeMap<String, Heard>> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn ask_for_ever<R: Runtime>(
    runtime: R,
    heard: Arc<Mutex<BTreeMap<String, Heard>>>,
    container: String,
    address: SocketAddr,
    prefix: String,
    every: Duration,
) {
    let mut tick = tokio::time::interval(every);
    let mut token = None;
    loop {
        tick.tick().await;
        if token.is_none() {
            token = runtime.token(&container).await;
        }
        let Some(token) = &token else { continue };
        let question = ask(address, &prefix, token);
        if let Ok(Ok(Some(answer))) = tokio::time::timeout(ONE_QUESTION, question).await {
            lock(&heard).insert(container.clone(), answer);
        }
    }
}

/// A kernel as Jupyter Server lists it.
#[derive(Debug, Deserialize)]
struct Kernel {
    #[serde(default)]
    execution_state: String,
    #[serde(default)]
    last_activity: String,
}

pub(crate) type Trouble = Box<dyn std::error::Error + Send + Sync>;

/// Asks once. `None`: something else than a notebook server answers.
async fn ask(address: SocketAddr, prefix: &str, token: &str) -> Result<Option<Heard>, Trouble> {
    // The question itself is no activity.
    let body = read(address, &format!("{prefix}api/kernels?no_track_activity=1"), token).await?;
    Ok(body.and_then(|body| heard(&body)))
}

/// What a notebook server answers to a question; `None`: it does not say *OK*.
async fn read(address: SocketAddr, path: &str, token: &str) -> Result<Option<Bytes>, Trouble> {
    let (status, body) = send(address, Method::GET, path, token, String::new()).await?;
    Ok((status == StatusCode::OK).then_some(body))
}

/// One request to a notebook server.
async fn send(
    address: SocketAddr,
    method: Method,
    path: &str,
    token: &str,
    body: String,
) -> Result<(StatusCode, Bytes), Trouble> {
    let stream = TokioIo::new(TcpStream::connect(address).await?);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await?;
    let connection = tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, address.to_string())
        .header(AUTHORIZATION, format!("token {token}"))
        .body(Full::<Bytes>::from(body))?;
    let answer = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), LIST_MAX).collect().await?.to_bytes();
        Ok((status, body))
    };
    let answer = answer.await;
    connection.abort();
    answer
}

/// The kernels that a notebook server offers, by name: those of its image, of its owner's HOME and
/// of shared folders.
pub(crate) async fn offered(
    address: SocketAddr,
    prefix: &str,
    token: &str,
) -> Result<Option<Vec<KernelSpec>>, Trouble> {
    let body =
        read(address, &format!("{prefix}api/kernelspecs?no_track_activity=1"), token).await?;
    Ok(body.and_then(|body| specs(&body)))
}

/// As Jupyter Server lists them.
#[derive(Debug, Deserialize)]
struct Specs {
    kernelspecs: BTreeMap<String, Listed>,
}

#[derive(Debug, Deserialize)]
struct Listed {
    spec: Spec,
}

#[derive(Debug, Deserialize)]
struct Spec {
    #[serde(default)]
    argv: Vec<String>,
    #[serde(default)]
    display_name: String,
    #[serde(default)]
    language: String,
}

/// More than this of a kernel's words nobody reads.
const WORDS_MAX: usize = 300;

fn specs(body: &[u8]) -> Option<Vec<KernelSpec>> {
    let all: Specs = serde_json::from_slice(body).ok()?;
    let short = |text: String| text.chars().filter(|c| !c.is_control()).take(WORDS_MAX).collect();
    let spec = |(name, Listed { spec }): (String, Listed)| KernelSpec {
        name: short(name),
        title: short(spec.display_name),
        language: short(spec.language),
        program: short(spec.argv.into_iter().next().unwrap_or_default()),
    };
    Some(all.kernelspecs.into_iter().map(spec).collect())
}

fn heard(body: &[u8]) -> Option<Heard> {
    let kernels: Vec<Kernel> = serde_json::from_slice(body).ok()?;
    let busy = kernels.iter().filter(|kernel| kernel.execution_state == "busy").count();
    let said = kernels.iter().filter_map(|kernel| kernel.last_activity.parse().ok()).max();
    Some(Heard { at: clock::now(), busy: u32::try_from(busy).unwrap_or(u32::MAX), said })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_kernels_is_read_and_nothing_else_is() {
        let list = br#"[
            {"id": "1", "name": "python3", "last_activity": "2026-05-04T07:00:00.5Z",
             "execution_state": "idle", "connections": 1},
            {"id": "2", "name": "ir", "last_activity": "2026-05-04T06:00:00Z",
             "execution_state": "busy", "connections": 0}]"#;
        let found = heard(list).unwrap();
        assert_eq!(found.busy, 1);
        assert_eq!(found.said, Some("2026-05-04T07:00:00.5Z".parse().unwrap()));
        let none = heard(b"[]").unwrap();
        assert_eq!((none.busy, none.said), (0, None));
        assert_eq!(heard(b"{}"), None);
        assert_eq!(heard(b"<html>"), None);
    }

    #[test]
    fn the_kernels_on_offer_are_read() {
        let list = br#"{"default": "python3", "kernelspecs": {
            "python3": {"name": "python3", "resources": {}, "spec": {
                "argv": ["/opt/jupyter/bin/python", "-m", "ipykernel_launcher"],
                "display_name": "Python 3", "language": "python", "env": {}}},
            "bare": {"spec": {}}}}"#;
        let found = specs(list).unwrap();
        let titles: Vec<_> = found.iter().map(|it| (it.name.as_str(), it.title.as_str())).collect();
        assert_eq!(titles, [("bare", ""), ("python3", "Python 3")]);
        assert_eq!(found[1].program, "/opt/jupyter/bin/python");
        assert_eq!((specs(b"{}"), specs(b"<html>")), (None, None));
    }
}
