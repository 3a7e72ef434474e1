//! The access log: one line an answer, as text or as JSON of the Elastic Common Schema (ECS 8), all
//! of them or a share. Answers of 500 and above are never left out. A query is never written: it may
//! hold a token. Users never wait for the disk: what it cannot take is dropped and counted.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use berth_common::Timestamp;
use berth_process::clock;
use hyper::header::{HeaderMap, HeaderValue, USER_AGENT};
use hyper::{Method, Request, StatusCode, Uri, Version};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::metrics::count;
use crate::route::iso_millis;

/// Lines that wait for the disk: a second of a busy proxy.
const WAITING: usize = 16_384;

/// Written at once when many wait.
const BATCH: usize = 64 * 1024;

/// How often the file's name is looked at: somebody may have moved the file away.
const LOOK: Duration = Duration::from_secs(1);

/// The longest path or agent in a line, in bytes.
const FIELD_MAX: usize = 1024;

/// How the log is written, as the configuration says it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The file, made anew when somebody moves it away; `-` is standard output.
    pub path: PathBuf,
    /// How a line looks.
    #[serde(default)]
    pub format: Format,
    /// The share of answers below 500 that is written, from 0 to 1.
    #[serde(default = "all")]
    pub sample: f64,
}

fn all() -> f64 {
    1.0
}

/// How a line looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// The combined format of web servers, with seconds and route behind it.
    #[default]
    Text,
    /// JSON of the Elastic Common Schema.
    Ecs,
}

/// The open log.
#[derive(Debug)]
pub struct AccessLog {
    settings: Settings,
    lines: SyncSender<Message>,
    answers: AtomicU64,
    /// Lines that the disk could not take.
    pub dropped: AtomicU64,
}

enum Message {
    Line(Vec<u8>),
    /// Answered when all before it is written.
    Flush(SyncSender<()>),
}

/// What is known of a request before its answer.
#[derive(Debug)]
pub struct Asked {
    at: Timestamp,
    begun: Instant,
    method: Method,
    uri: Uri,
    version: Version,
    agent: Option<HeaderValue>,
}

impl Asked {
    /// Of a request as it came.
    pub fn of<B>(request: &Request<B>) -> Self {
        Self {
            at: clock::now(),
            begun: Instant::now(),
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            agent: agent(request.headers()),
        }
    }
}

fn agent(headers: &HeaderMap) -> Option<HeaderValue> {
    headers.get(USER_AGENT).cloned()
}

/// One answer on its way; the line is written when it ends.
#[derive(Debug)]
pub struct Entry {
    log: Arc<AccessLog>,
    asked: Asked,
    client: IpAddr,
    route: Option<String>,
    status: StatusCode,
    /// Bytes of the body that went down.
    pub bytes: u64,
    /// Whether it came to its end.
    pub whole: bool,
}

impl AccessLog {
    /// Opens the file and starts its writer.
    ///
    /// # Errors
    /// When the file cannot be opened or the system has no thread left.
    pub fn open(settings: Settings) -> io::Result<Arc<Self>> {
        let out = Out::open(&settings.path)?;
        let (lines, queue) = sync_channel(WAITING);
        let log = Arc::new(Self {
            settings,
            lines,
            answers: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        });
        thread::Builder::new().name("access log".into()).spawn(move || write_all(&queue, out))?;
        Ok(log)
    }

    /// Notes an answer, if it is one of the share.
    pub fn entry(
        self: &Arc<Self>,
        asked: Asked,
        client: IpAddr,
        route: Option<&str>,
        status: StatusCode,
    ) -> Option<Box<Entry>> {
        let number = self.answers.fetch_add(1, Ordering::Relaxed);
        if !status.is_server_error() && !in_share(number, self.settings.sample) {
            return None;
        }
        let route = route.map(str::to_owned);
        let log = self.clone();
        Some(Box::new(Entry { log, asked, client, route, status, bytes: 0, whole: false }))
    }

    /// Waits until all that has been noted is written, or for a second.
    pub fn flush(&self) {
        let (done, wait) = sync_channel(1);
        if self.lines.send(Message::Flush(done)).is_ok() {
            let _ = wait.recv_timeout(Duration::from_secs(1));
        }
    }
}

/// Spreads the share evenly: of ten answers at 0.3, three.
fn in_share(number: u64, share: f64) -> bool {
    #[allow(clippy::cast_precision_loss)] // exact up to 2^53 answers
    let before = |number: u64| (number as f64 * share).floor();
    before(number.saturating_add(1)) > before(number)
}

impl Drop for Entry {
    fn drop(&mut self) {
        let took = self.asked.begun.elapsed();
        let line = match self.log.settings.format {
            Format::Text => self.text(took),
            Format::Ecs => self.ecs(took).to_string(),
        };
        let line = Message::Line(format!("{line}\n").into_bytes());
        if let Err(TrySendError::Full(_)) = self.log.lines.try_send(line) {
            count(&self.log.dropped);
        }
    }
}

impl Entry {
    fn path(&self) -> &str {
        cut(self.asked.uri.path())
    }

    fn agent(&self) -> Option<String> {
        let agent = self.asked.agent.as_ref()?;
        Some(cut(&String::from_utf8_lossy(agent.as_bytes())).to_owned())
    }

    fn text(&self, took: Duration) -> String {
        let agent = self.agent().unwrap_or_else(|| "-".into()).replace(['"', '\\'], "'");
        format!(
            "{} - - [{}] \"{} {} {:?}\" {} {} \"-\" \"{agent}\" {:.6} {}{}",
            self.client,
            iso_millis(self.asked.at),
            self.asked.method,
            self.path(),
            self.asked.version,
            self.status.as_u16(),
            self.bytes,
            took.as_secs_f64(),
            self.route.as_deref().unwrap_or("-"),
            if self.whole { "" } else { " aborted" },
        )
    }

    /// <https://www.elastic.co/docs/reference/ecs>
    fn ecs(&self, took: Duration) -> Value {
        let good = self.whole && !self.status.is_server_error();
        let version = format!("{:?}", self.asked.version);
        json!({
            "@timestamp": iso_millis(self.asked.at),
            "ecs": {"version": "8.17.0"},
            "event": {
                "kind": "event", "category": ["web"], "type": ["access"],
                "dataset": "berth.proxy.access",
                "duration": u64::try_from(took.as_nanos()).unwrap_or(u64::MAX),
                "outcome": if good { "success" } else { "failure" },
            },
            "client": {"ip": self.client.to_string()},
            "http": {
                "version": version.strip_prefix("HTTP/").unwrap_or(&version),
                "request": {"method": self.asked.method.as_str()},
                "response": {
                    "status_code": self.status.as_u16(), "body": {"bytes": self.bytes},
                },
            },
            "url": {"path": self.path()},
            "user_agent": self.agent().map(|agent| json!({"original": agent})),
            "labels": {"route": self.route, "sample": self.log.settings.sample.to_string()},
        })
    }
}

/// A text without what lies behind the longest that is written.
fn cut(text: &str) -> &str {
    let mut end = text.len().min(FIELD_MAX);
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    text.get(..end).unwrap_or_default()
}

enum Out {
    Standard,
    File { path: PathBuf, file: File, looked: Instant },
}

impl Out {
    fn open(path: &Path) -> io::Result<Self> {
        if path == Path::new("-") {
            return Ok(Self::Standard);
        }
        Ok(Self::File { path: path.to_owned(), file: open_file(path)?, looked: Instant::now() })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Standard => io::stdout().write_all(bytes),
            Self::File { path, file, looked } => {
                if looked.elapsed() >= LOOK {
                    *looked = Instant::now();
                    let there = std::fs::metadata(&*path).map(|found| (found.dev(), found.ino()));
                    let ours = file.metadata().map(|found| (found.dev(), found.ino()))?;
                    if there.ok() != Some(ours) {
                        *file = open_file(path)?;
                    }
                }
                file.write_all(bytes)
            }
        }
    }
}

fn open_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o640).open(path)
}

/// The writer's life: it ends with the log.
fn write_all(queue: &Receiver<Message>, mut out: Out) {
    let mut failing = false;
    while let Ok(first) = queue.recv() {
        let mut batch = Vec::new();
        let mut waiting = Vec::new();
        let mut take = |message| match message {
            Message::Line(line) => batch.extend(line),
            Message::Flush(done) => waiting.push(done),
        };
        take(first);
        let mut taken = 0_usize;
        while taken < BATCH / 128
            && let Ok(more) = queue.try_recv()
        {
            take(more);
            taken = taken.saturating_add(1);
        }
        match out.write(&batch) {
            Ok(()) => failing = false,
            Err(error) if !failing => {
                failing = true;
                tracing::error!(%error, "the access log cannot be written");
            }
            Err(_) => {}
        }
        for done in waiting {
            let _ = done.send(());
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn written(format: Format, sample: f64, answers: &[(&str, u16)]) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        let log = AccessLog::open(Settings { path: path.clone(), format, sample }).unwrap();
        for (uri, status) in answers {
            let request = Request::get(*uri).header(USER_AGENT, "a \"browser\"").body(()).unwrap();
            let status = StatusCode::from_u16(*status).unwrap();
            let client = "192.0.2.1".parse().unwrap();
            if let Some(mut entry) = log.entry(Asked::of(&request), client, Some("/user/a"), status)
            {
                (entry.bytes, entry.whole) = (12, true);
            }
        }
        log.flush();
        std::fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn lines_hold_what_was_asked_but_never_its_query() {
        let text = written(Format::Text, 1.0, &[("/user/a/x?token=secret", 200)]).remove(0);
        assert!(text.starts_with("192.0.2.1 - - ["), "{text}");
        assert!(text.contains("] \"GET /user/a/x HTTP/1.1\" 200 12 \"-\" \"a 'browser'\" 0."));
        assert!(text.ends_with(" /user/a"), "{text}");
        let line = written(Format::Ecs, 0.5, &[("/y?token=secret", 502)]).remove(0);
        assert!(!line.contains("secret"), "{line}");
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(line["http"]["response"], json!({"status_code": 502, "body": {"bytes": 12}}));
        assert_eq!(line["http"]["version"], "1.1");
        assert_eq!(line["url"]["path"], "/y");
        assert_eq!(line["client"]["ip"], "192.0.2.1");
        assert_eq!(line["event"]["outcome"], "failure");
        assert_eq!(line["user_agent"]["original"], "a \"browser\"");
        assert_eq!(line["labels"]["sample"], "0.5");
    }

    #[test]
    fn a_share_is_even_and_failures_are_always_there() {
        for (sample, expected) in [(0.0, 10), (0.1, 20), (0.5, 60), (1.0, 100)] {
            let answers: Vec<(&str, u16)> =
                (0..100).map(|i| ("/x", if i % 10 == 4 { 503 } else { 200 })).collect();
            let lines = written(Format::Text, sample, &answers);
            assert_eq!(lines.len(), expected, "{sample}");
        }
    }

    #[test]
    fn a_file_that_was_moved_away_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut out = Out::open(&path).unwrap();
        out.write(b"1\n").unwrap();
        std::fs::rename(&path, folder.path().join("log.1")).unwrap();
        if let Out::File { looked, .. } = &mut out {
            *looked = Instant::now().checked_sub(LOOK).unwrap();
        }
        out.write(b"2\n").unwrap();
        assert_eq!(std::fs::read_to_string(path).unwrap(), "2\n");
        assert_eq!(std::fs::read_to_string(folder.path().join("log.1")).unwrap(), "1\n");
    }
}
