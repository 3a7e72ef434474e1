//! Questions that may hang for ever, each asked in a process of its own. A process that waits for a
//! dead file server cannot always be killed; a thread of the agent could not even be abandoned.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use berth_common::Reason;
use berth_common::link::Ending;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use crate::mounts::{Answer, Question};

/// The agent's own command that answers one question and ends.
pub const COMMAND: &str = "ask";

/// So many helpers at a time: beyond that most of them hang, and more would too.
const HELPERS_MAX: usize = 128;

/// Longest answer that is read, in bytes.
const ANSWER_MAX: u64 = 64 << 10;

/// Asks questions.
#[derive(Debug, Clone)]
pub struct Helper {
    how: How,
    running: Arc<AtomicUsize>,
}

#[derive(Debug, Clone)]
enum How {
    /// In a process of this program.
    Process(PathBuf),
    /// On a thread of this process.
    Thread,
}

impl Helper {
    /// One that starts this program for each question.
    pub fn process(program: PathBuf) -> Self {
        Self { how: How::Process(program), running: Arc::default() }
    }

    /// One that uses a thread for each question: for tests, which have no program to start.
    pub fn thread() -> Self {
        Self { how: How::Thread, running: Arc::default() }
    }

    /// Asks, and waits no longer than this. Who does not answer is left behind.
    ///
    /// # Errors
    /// The host's answer that something is wrong, or that none came.
    pub async fn ask(&self, question: Question, limit: Duration) -> Answer {
        let unanswered = question.unanswered();
        match &self.how {
            How::Thread => {
                let asked = tokio::task::spawn_blocking(move || question.ask());
                match tokio::time::timeout(limit, asked).await {
                    Ok(Ok(answer)) => answer,
                    Ok(Err(_)) | Err(_) => Err(unanswered),
                }
            }
            How::Process(program) => {
                self.ask_process(program, &question, limit).await.unwrap_or(Err(unanswered))
            }
        }
    }

    /// `None`: no answer in time.
    async fn ask_process(
        &self,
        program: &PathBuf,
        question: &Question,
        limit: Duration,
    ) -> Option<Answer> {
        let broken = |what: &str| {
            let detail = format!("the agent's helper {what}; tell the administrators");
            Some(Err(Ending { reason: Reason::FailedAgent, detail }))
        };
        let place = Place::take(&self.running)?;
        let Ok(text) = serde_json::to_vec(question) else { return broken("cannot be asked") };
        let mut command = Command::new(program);
        command.arg(COMMAND).env_clear().stderr(Stdio::null());
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let Ok(mut child) = command.spawn() else { return broken("cannot be started") };
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let talk = async {
            let (mut stdin, stdout) = (stdin?, stdout?);
            stdin.write_all(&text).await.ok()?;
            drop(stdin);
            let mut answer = Vec::new();
            stdout.take(ANSWER_MAX).read_to_end(&mut answer).await.ok()?;
            Some(answer)
        };
        let answer = tokio::time::timeout(limit, talk).await;
        // Reaped whenever it ends: where a file server is dead that may be never.
        tokio::spawn(async move {
            let _ = child.start_kill();
            let _ = child.wait().await;
            drop(place);
        });
        match answer {
            Err(_) => None,
            Ok(answer) => match answer.map(|text| serde_json::from_slice(&text)) {
                Some(Ok(answer)) => Some(answer),
                Some(Err(_)) | None => broken("ended without an answer"),
            },
        }
    }
}

/// A place among the helpers; given back when its process is gone.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(running: &Arc<AtomicUsize>) -> Option<Self> {
        let place = Self(Arc::clone(running));
        // The place counts from here on, whether it is one too many or not.
        (running.fetch_add(1, Ordering::Relaxed) < HELPERS_MAX).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// `berth-agent ask`: one question on standard input, its answer on standard output.
///
/// # Errors
/// When either cannot be used.
pub fn answer() -> std::io::Result<()> {
    let question: Question = serde_json::from_reader(std::io::stdin().lock())?;
    serde_json::to_writer(std::io::stdout().lock(), &question.ask_and_become())?;
    Ok(())
}
