//! What the hub asks a host about a server when somebody looks at it: its log, its kernels, whether
//! one of them starts. A few questions at a time and host; nothing is kept, and nothing depends on
//! the answer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use berth_common::HostId;
use berth_core::Server;
use berth_proto::link::question::What;
use berth_proto::link::{HostAnswer, Question};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::{Stream, StreamExt};
use tonic::Status;

/// So many may wait for one host; whoever comes then is told so.
const MOST_WAITING: usize = 8;
/// Longer than this nobody looks at an empty page.
const LIMIT: Duration = Duration::from_secs(6);
/// A kernel that is tried may take as long as the host lets it.
const TRIAL_LIMIT: Duration = Duration::from_secs(32);
/// So many questions are with one host at a time. What carries them has room for all: if one had to
/// wait to be asked, and an answer to be taken, each would wait for the other.
pub const MOST_OPEN: usize = 4;
/// A log is cut after so many lines, and a line after so many letters, whatever the host sends.
const MOST_LINES: usize = 1_000;
const MOST_LETTERS: usize = 4_000;

/// So many pages follow logs of one host at a time.
const MOST_FOLLOWERS: u32 = 4;

type Asked = (Question, oneshot::Sender<HostAnswer>);

/// The hosts that can be asked.
#[derive(Debug, Default)]
pub struct Hosts {
    linked: Mutex<BTreeMap<HostId, mpsc::Sender<Asked>>>,
    followed: Arc<Mutex<BTreeMap<HostId, u32>>>,
}

/// A place among those who follow a log of a host; free again when it is dropped.
#[derive(Debug)]
pub struct Following {
    host: HostId,
    followed: Arc<Mutex<BTreeMap<HostId, u32>>>,
}

impl Following {
    /// The host.
    pub fn host(&self) -> &HostId {
        &self.host
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let mut followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = followed.get_mut(&self.host) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                followed.remove(&self.host);
            }
        }
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoAnswer {
    /// The server runs nowhere.
    NotPlaced,
    /// Its host is not linked, or its agent is too old.
    Away,
    /// The host did not answer in time, or too many ask.
    Slow,
    /// What the host says, for people.
    Said(String),
}

impl Hosts {
    /// Asks the host of a server.
    ///
    /// # Errors
    /// Says why there is no answer.
    pub async fn ask(&self, server: &Server, what: What) -> Result<HostAnswer, NoAnswer> {
        let host = &server.placement().ok_or(NoAnswer::NotPlaced)?.host;
        let linked = self.lock().get(host).cloned().ok_or(NoAnswer::Away)?;
        let question = Question {
            number: 0,
            server: server.id.to_string(),
            generation: server.generation.0,
            what: Some(what),
        };
        let limit = match &question.what {
            Some(What::TryKernel(_)) => TRIAL_LIMIT,
            _ => LIMIT,
        };
        let (reply, answer) = oneshot::channel();
        linked.try_send((question, reply)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => NoAnswer::Slow,
            mpsc::error::TrySendError::Closed(_) => NoAnswer::Away,
        })?;
        let answer = tokio::time::timeout(limit, answer).await.map_err(|_| NoAnswer::Slow)?;
        let mut answer = answer.map_err(|_| NoAnswer::Away)?;
        if !answer.trouble.is_empty() {
            return Err(NoAnswer::Said(short(answer.trouble)));
        }
        answer.log.truncate(MOST_LINES);
        if let Some(tried) = &mut answer.tried {
            tried.failed = short(std::mem::take(&mut tried.failed));
        }
        for line in &mut answer.log {
            line.text = short(std::mem::take(&mut line.text));
        }
        Ok(answer)
    }

    /// A place among those who follow a log of a host, asking it again and again; `None` while
    /// there are as many as it is asked to bear.
    pub fn follow(&self, host: &HostId) -> Option<Following> {
        let mut followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
        let count = followed.entry(host.clone()).or_default();
        if *count >= MOST_FOLLOWERS {
            return None;
        }
        *count = count.saturating_add(1);
        Some(Following { host: host.clone(), followed: Arc::clone(&self.followed) })
    }

    /// How many follow logs of a host.
    #[cfg(test)]
    pub(crate) fn followers(&self, host: &HostId) -> u32 {
        let followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
        followed.get(host).copied().unwrap_or_default()
    }

    /// Passes questions on to a host for as long as its stream lives, which takes [`MOST_OPEN`] at
    /// once. A host that dials again takes the place of its own old stream.
    pub async fn serve(
        &self,
        host: HostId,
        mut answers: impl Stream<Item = Result<HostAnswer, Status>> + Unpin,
        out: mpsc::Sender<Result<Question, Status>>,
    ) {
        let (asks, mut asked) = mpsc::channel::<Asked>(MOST_WAITING);
        self.lock().insert(host.clone(), asks.clone());
        let mut number = 0_u64;
        let mut open: BTreeMap<u64, oneshot::Sender<HostAnswer>> = BTreeMap::new();
        loop {
            tokio::select! {
                ask = asked.recv(), if open.len() < MOST_OPEN => {
                    let Some((question, reply)) = ask else { break };
                    number = number.wrapping_add(1);
                    if out.try_send(Ok(Question { number, ..question })).is_err() {
                        break;
                    }
                    open.insert(number, reply);
                }
                answer = answers.next() => {
                    let Some(Ok(answer)) = answer else { break };
                    if let Some(reply) = open.remove(&answer.number) {
                        // Whoever asked may be gone.
                        let _ = reply.send(answer);
                    }
                }
            }
        }
        let mut linked = self.lock();
        if linked.get(&host).is_some_and(|now| now.same_channel(&asks)) {
            linked.remove(&host);
        }
    }

    /// Whether a host can be asked.
    #[cfg(test)]
    pub(crate) fn knows(&self, host: &HostId) -> bool {
        self.lock().contains_key(host)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<HostId, mpsc::Sender<Asked>>> {
        self.linked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn short(text: String) -> String {
    match text.char_indices().nth(MOST_LETTERS) {
        Some((at, _)) => text.get(..at).unwrap_or_default().to_owned(),
        None => text,
    }
}
