//! The program itself, started as a person or JupyterHub starts it.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader, Lines};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// A line that does not come in this time never will.
const PATIENCE: Duration = Duration::from_secs(90);

pub struct Program {
    pub child: Child,
    pub out: Lines<BufReader<Box<dyn AsyncRead + Unpin + Send>>>,
}

impl Program {
    /// configurable-http-proxy's command line; it logs on standard output.
    pub fn chp(arguments: &[&str]) -> Self {
        Self::start(arguments, &[("CONFIGPROXY_AUTH_TOKEN", crate::world::TOKEN)], true)
    }

    pub fn start(arguments: &[&str], environment: &[(&str, &str)], on_stdout: bool) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_berth-proxy"));
        command
            .args(arguments)
            .env_remove("CONFIGPROXY_AUTH_TOKEN")
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(if on_stdout { Stdio::piped() } else { Stdio::null() })
            .stderr(if on_stdout { Stdio::null() } else { Stdio::piped() })
            .kill_on_drop(true);
        Self::reading(command.spawn().unwrap())
    }

    /// Another program, which a package brings.
    pub fn of(program: &str, arguments: &[&str], package: &str) -> Self {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let child = command.spawn();
        Self::reading(child.unwrap_or_else(|error| panic!("{program}: {error}; install {package}")))
    }

    /// Whatever it was started by.
    pub fn reading(mut child: Child) -> Self {
        let out: Box<dyn AsyncRead + Unpin + Send> = match child.stdout.take() {
            Some(out) => Box::new(out),
            None => Box::new(child.stderr.take().unwrap()),
        };
        Self { child, out: BufReader::new(out).lines() }
    }

    /// The log, for a test that reads it otherwise.
    pub fn take_out(&mut self) -> Lines<BufReader<Box<dyn AsyncRead + Unpin + Send>>> {
        let nothing: Box<dyn AsyncRead + Unpin + Send> = Box::new(tokio::io::empty());
        std::mem::replace(&mut self.out, BufReader::new(nothing).lines())
    }

    /// The next line that holds a text.
    pub async fn line(&mut self, text: &str) -> String {
        let mut seen = Vec::new();
        let found = timeout(PATIENCE, async {
            while let Some(line) = self.out.next_line().await.unwrap() {
                if line.contains(text) {
                    return Some(line);
                }
                seen.push(line);
            }
            None
        });
        let found = found.await.ok().flatten();
        found.unwrap_or_else(|| panic!("no line with '{text}' in {seen:#?}"))
    }

    /// What stands behind a text in the line that holds it, up to a space or slash.
    pub async fn word(&mut self, text: &str) -> String {
        let line = self.line(text).await;
        let rest = line.split(text).nth(1).unwrap();
        rest.split([' ', '/', '"']).next().unwrap().to_owned()
    }

    pub fn signal(&self, name: &str) {
        signal(self.child.id().unwrap(), name);
    }

    pub async fn code(&mut self) -> Option<i32> {
        timeout(PATIENCE, self.child.wait()).await.expect("it does not end").unwrap().code()
    }
}

pub fn signal(process: u32, name: &str) {
    let done = std::process::Command::new("kill")
        .args([format!("-{name}"), process.to_string()])
        .status()
        .unwrap();
    assert!(done.success());
}
