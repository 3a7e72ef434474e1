//! A notebook server in a container, and what a person's browser and programs do with it.

use std::fs;
use std::io::{BufRead, BufReader, Read, Result, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::docker::docker;
use super::site::PATIENCE;

/// JupyterLab, as `examples/image/build` makes it.
pub const NOTEBOOK: &str = "berth/notebook:6";

/// JupyterHub's own start asks a hub for every visitor; all else is the same.
pub const COMMAND: &str = "exec jupyter server --ip=0.0.0.0 --port=8888 \
    --ServerApp.base_url=/user/alice/ --IdentityProvider.token=a-secret";

/// A scheduler of Dask beside it.
pub const SCHEDULER: &str = "dask scheduler --port 8786 --no-dashboard &";

/// A notebook that Voilà makes a page of.
pub const NOTEBOOK_FILE: &str = r#"{"cells": [{"cell_type": "code", "execution_count": null, "id": "a",
    "metadata": {}, "outputs": [], "source": "print('a page')"}], "metadata": {"kernelspec":
    {"display_name": "Python 3", "language": "python", "name": "python3"}}, "nbformat": 4,
    "nbformat_minor": 5}"#;

/// Starts a kernel and has it run a cell, as a browser would; it goes on when the browser is gone.
const CELL: &str = r#"
import json, sys, urllib.request
from jupyter_client import BlockingKernelClient, find_connection_file
code, until = sys.argv[1:]
ask = urllib.request.Request("http://127.0.0.1:8888/user/alice/api/kernels", b"{}",
                             {"Authorization": "token a-secret"})
kernel = json.load(urllib.request.urlopen(ask))["id"]
while True:
    client = BlockingKernelClient(connection_file=find_connection_file(f"kernel-{kernel}.json"))
    client.load_connection_file()
    client.start_channels()
    try: client.wait_for_ready(timeout=60); break
    except RuntimeError: client.stop_channels()  # it has not begun to beat
def debug(command, **arguments):
    request = {"type": "request", "seq": 1, "command": command, "arguments": arguments}
    client.control_channel.send(client.session.msg("debug_request", request))
    return client.get_control_msg(timeout=150)["content"]
if until == "stopped":  # in the order in which JupyterLab asks
    debug("initialize", clientID="a", clientName="a", adapterID="", pathFormat="path",
          linesStartAt1=True, columnsStartAt1=True, locale="en")
    debug("attach")
    source = debug("dumpCell", code=code)["body"]["sourcePath"]
    debug("setBreakpoints", breakpoints=[{"line": 1}], source={"path": source})
    debug("configurationDone")
cell = client.execute(code)
while True:
    message = client.get_iopub_msg(timeout=150)
    content, of = message["content"], message["parent_header"].get("msg_id")
    if content.get("event") == until or of == cell and content.get("execution_state") == until: break
if until == "stopped": debug("stackTrace", threadId=content["body"]["threadId"])
"#;

/// What somebody has open; it ends with this.
pub enum Open {
    Nothing,
    Connection(#[expect(dead_code, reason = "held")] TcpStream),
    Worker(String),
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Self::Worker(name) = self {
            let _ = std::process::Command::new("docker").args(["rm", "-f", name]).output();
        }
    }
}

/// A notebook server.
pub struct Lab {
    container: String,
    address: SocketAddr,
}

/// Where version 1 of cgroups is laid out by the engine itself, all containers together weigh as
/// much as one process outside: on a busy machine a notebook server would not answer in time. Until
/// this is dropped they weigh more.
pub struct Weight(Option<String>);

const SHARES: &str = "/sys/fs/cgroup/cpu/docker/cpu.shares";

impl Weight {
    pub fn more() -> Self {
        let before = fs::read_to_string(SHARES).ok();
        if before.is_some() {
            fs::write(SHARES, "65536").unwrap();
        }
        Self(before)
    }
}

impl Drop for Weight {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = fs::write(SHARES, before);
        }
    }
}

impl Lab {
    /// The one in this container.
    pub fn of(container: &str) -> Self {
        let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}:8888";
        let address = docker(&["inspect", "-f", format, container]).parse().unwrap();
        Self { container: container.to_owned(), address }
    }

    /// Runs a cell in a new kernel until it is in this state.
    pub fn runs(&self, code: &str, until: &str) -> Open {
        docker(&["exec", &self.container, "python3", "-c", CELL, code, until]);
        Open::Nothing
    }

    /// Opens a notebook with a kernel, and leaves it open.
    pub fn opens_a_tab(&self) -> Open {
        let kernel: Value = serde_json::from_str(&self.ask("POST", "api/kernels", "{}")).unwrap();
        self.follows(&kernel)
    }

    /// Has Voilà run a notebook, and leaves its page open.
    pub fn opens_a_page(&self) -> Open {
        let page = self.ask("GET", "voila/render/page.ipynb", "");
        assert!(page.contains("a page"), "{page}");
        let kernels: Value = serde_json::from_str(&self.ask("GET", "api/kernels", "")).unwrap();
        self.follows(&kernels[0])
    }

    /// What a page holds open: the websocket of its kernel.
    fn follows(&self, kernel: &Value) -> Open {
        let path = format!("api/kernels/{}/channels", kernel["id"].as_str().unwrap());
        let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        let mut answer = BufReader::new(self.send("GET", &path, upgrade, "").unwrap());
        let mut line = String::new();
        answer.read_line(&mut line).unwrap();
        assert!(line.starts_with("HTTP/1.1 101"), "{line}");
        Open::Connection(answer.into_inner())
    }

    /// Asks it something every five seconds.
    pub fn polls(self) -> Open {
        std::thread::spawn(move || {
            // Until the server has gone.
            while self.answer("GET", "api/terminals", "").is_ok() {
                std::thread::sleep(Duration::from_secs(5));
            }
        });
        Open::Nothing
    }

    /// Gives its scheduler a worker that comes from outside, and waits until it has come.
    pub fn has_a_worker(&self) -> Open {
        let name = format!("worker.{}", self.container);
        let scheduler = format!("tcp://{}:8786", self.address.ip());
        let worker = ["dask", "worker", "--no-dashboard", "--nthreads=1", &scheduler];
        docker(
            &[&["run", "-d", "--network=host", "--name", &name, NOTEBOOK][..], &worker].concat(),
        );
        let open = Open::Worker(name);
        let end = Instant::now() + PATIENCE;
        let log = || std::process::Command::new("docker").args(["logs", &self.container]).output();
        while !String::from_utf8_lossy(&log().unwrap().stderr).contains("Register worker") {
            assert!(Instant::now() < end, "no worker came");
            std::thread::sleep(Duration::from_millis(200));
        }
        open
    }

    fn send(&self, method: &str, path: &str, headers: &str, body: &str) -> Result<TcpStream> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let length = body.len();
        write!(
            stream,
            "{method} /user/alice/{path} HTTP/1.1\r\nHost: {}\r\nAuthorization: token a-secret\r\n\
             Content-Length: {length}\r\n{headers}\r\n{body}",
            self.address
        )?;
        Ok(stream)
    }

    fn answer(&self, method: &str, path: &str, body: &str) -> Result<String> {
        let mut text = Vec::new();
        self.send(method, path, "Connection: close\r\n", body)?.read_to_end(&mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// The body of its answer.
    fn ask(&self, method: &str, path: &str, body: &str) -> String {
        let text = self.answer(method, path, body).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 2"), "{text}");
        body.to_owned()
    }
}

/// Sends without an end, so many bytes a second to each who asks; its port.
pub fn source(bytes_s: usize) -> u16 {
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let head = b"HTTP/1.0 200 OK\r\n\r\n";
                let mut sent = stream.write_all(head);
                let part = vec![b'x'; bytes_s / 20];
                while sent.is_ok() {
                    std::thread::sleep(Duration::from_millis(50));
                    sent = stream.write_all(&part);
                }
            });
        }
    });
    port
}
