//! In-place upgrade under load, and systemd's sockets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::net::TcpStream;

use crate::program::{Program, signal};
use crate::world::{Client, Reply, SWITCH, TOKEN, Upstream, run_long};

/// In the normal run; `BERTH_LONG=1` makes it the 200 of the goal.
fn upgrades() -> usize {
    if std::env::var_os("BERTH_LONG").is_some() { 200 } else { 6 }
}

async fn api(address: SocketAddr, method: &str, path: &str, body: &str) -> u16 {
    let mut client = Client::new(TcpStream::connect(address).await.unwrap());
    client
        .send(&format!(
            "{method} {path} HTTP/1.1\r\nHost: api\r\nAuthorization: token {TOKEN}\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        ))
        .await;
    client.response().await.status
}

async fn websocket(front: SocketAddr, path: &str) -> Client<TcpStream> {
    let mut client = Client::new(TcpStream::connect(front).await.unwrap());
    client
        .send(&format!(
            "GET {path} HTTP/1.1\r\nHost: hub.example\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n\r\n"
        ))
        .await;
    assert!(client.head().await.unwrap().starts_with("HTTP/1.1 101"));
    client
}

pub async fn echoes(socket: &mut Client<TcpStream>) -> bool {
    socket.send_bytes(b"\x82\x04ping").await;
    let mut back = [0; 6];
    let read = tokio::io::AsyncReadExt::read_exact(&mut socket.stream, &mut back).await;
    read.is_ok() && &back == b"\x82\x04ping"
}

#[test]
fn upgrades_lose_nothing_and_websockets_live_through_two() {
    run_long(async {
        let upstream = Upstream::new(|request| {
            if request.head.to_ascii_lowercase().contains("upgrade: websocket") {
                return Reply::SayAndEcho(SWITCH.into());
            }
            Reply::Say(crate::world::ok("fine"))
        })
        .await;
        let mut program = Program::chp(&[
            "--ip=127.0.0.1",
            "--port=0",
            "--api-ip=127.0.0.1",
            "--api-port=0",
            "--default-target",
            &upstream.url(),
            "--pid-file",
            tempfile::tempdir().unwrap().keep().join("pid").to_str().unwrap(),
        ]);
        let front: SocketAddr = program.word("Proxying http://").await.parse().unwrap();
        let control: SocketAddr = program.word("Proxy API at http://").await.parse().unwrap();
        let pid_line = program.child.id().unwrap();
        let record = format!(r#"{{"target": "{}"}}"#, upstream.url());
        assert_eq!(api(control, "POST", "/api/routes/user/alice", &record).await, 201);

        // Load that never stops: each request on a connection of its own must be answered.
        let stop = Arc::new(AtomicBool::new(false));
        let answered = Arc::new(AtomicUsize::new(0));
        let load: Vec<_> = (0..4)
            .map(|_| {
                let (stop, answered) = (stop.clone(), answered.clone());
                tokio::spawn(async move {
                    while !stop.load(Ordering::Relaxed) {
                        let mut client = Client::new(TcpStream::connect(front).await.unwrap());
                        for _ in 0..3 {
                            client.send("GET /user/alice/x HTTP/1.1\r\nHost: a\r\n\r\n").await;
                            let response = client.response().await;
                            assert_eq!(response.short(), "200 fine");
                            answered.fetch_add(1, Ordering::Relaxed);
                            if response.field("connection").as_deref() == Some("close") {
                                break;
                            }
                        }
                    }
                })
            })
            .collect();

        let mut current = pid_line;
        let mut sockets: Vec<(usize, Client<TcpStream>)> = Vec::new();
        for round in 0..upgrades() {
            sockets.push((round, websocket(front, "/user/alice/ws").await));
            signal(current, "USR2");
            program.line("a successor serves").await;
            // Of the youngest process only the pid file tells.
            current = youngest(current).await;
            for (born, socket) in &mut sockets {
                if round - *born < 2 {
                    assert!(echoes(socket).await, "a websocket of round {born} in round {round}");
                }
            }
            sockets.retain(|(born, _)| round - *born < 2);
            assert_eq!(api(control, "GET", "/api/routes/user/alice", "").await, 200);
        }
        // The end of a route reaches the websockets of the processes before.
        let (_, mut last) = sockets.pop().unwrap();
        assert!(echoes(&mut last).await);
        assert_eq!(api(control, "DELETE", "/api/routes/user/alice", "").await, 204);
        assert_eq!(last.rest().await, [0x88, 0x02, 0x03, 0xe9]);
        stop.store(true, Ordering::Relaxed);
        for task in load {
            task.await.unwrap();
        }
        assert!(answered.load(Ordering::Relaxed) > 10 * upgrades());
        signal(current, "TERM");
    });
}

/// The child of a process that hands over.
pub async fn youngest(parent: u32) -> u32 {
    loop {
        let path = format!("/proc/{parent}/task");
        for task in std::fs::read_dir(&path).unwrap() {
            let children = task.unwrap().path().join("children");
            if let Some(child) = std::fs::read_to_string(children)
                .ok()
                .and_then(|text| text.split_whitespace().next()?.parse().ok())
            {
                return child;
            }
        }
        tokio::task::yield_now().await;
    }
}

#[test]
fn a_successor_that_cannot_start_changes_nothing() {
    run_long(async {
        let folder = tempfile::tempdir().unwrap();
        let upstream = Upstream::echo().await;
        // The binary is replaced by one that ends at once.
        let binary = folder.path().join("berth-proxy");
        std::fs::copy(env!("CARGO_BIN_EXE_berth-proxy"), &binary).unwrap();
        let child = tokio::process::Command::new(&binary)
            .args(["--ip=127.0.0.1", "--port=0", "--api-ip=127.0.0.1", "--api-port=0"])
            .args(["--default-target", &upstream.url()])
            .env("CONFIGPROXY_AUTH_TOKEN", TOKEN)
            .stdout(std::process::Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut program = Program::reading(child);
        let front: SocketAddr = program.word("Proxying http://").await.parse().unwrap();
        let control: SocketAddr = program.word("Proxy API at http://").await.parse().unwrap();
        std::fs::remove_file(&binary).unwrap();
        std::fs::copy("/bin/false", &binary).unwrap();
        program.signal("USR2");
        program.line("no successor: this process goes on").await;
        let record = format!(r#"{{"target": "{}"}}"#, upstream.url());
        assert_eq!(api(control, "POST", "/api/routes/a", &record).await, 201);
        let mut client = Client::new(TcpStream::connect(front).await.unwrap());
        client.send("GET /a HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(client.response().await.status, 200);
    });
}

#[test]
fn sockets_of_systemd_are_taken_by_name() {
    run_long(async {
        let upstream = Upstream::echo().await;
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let front = listener.local_addr().unwrap();
        // The shell puts the socket where systemd would, under its own process id.
        let descriptor = std::os::fd::OwnedFd::from(listener);
        let script = format!(
            "exec 3<&0 </dev/null; export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=front; \
             exec {} --port 1 --api-ip=127.0.0.1 --api-port=0 --default-target {}",
            env!("CARGO_BIN_EXE_berth-proxy"),
            upstream.url()
        );
        let child = tokio::process::Command::new("/bin/sh")
            .args(["-c", &script])
            .stdin(descriptor)
            .stdout(std::process::Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut program = Program::reading(child);
        assert_eq!(program.word("Proxying http://").await, front.to_string());
        let mut client = Client::new(TcpStream::connect(front).await.unwrap());
        client.send("GET /a HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(client.response().await.status, 200);
    });
}

#[test]
fn draining_processes_have_a_memory_cap_and_the_oldest_websocket_goes_first() {
    run_long(async {
        let upstream = Upstream::new(|_| Reply::SayAndEcho(SWITCH.into())).await;
        let folder = tempfile::tempdir().unwrap();
        let credentials = folder.path().join("credentials");
        std::fs::create_dir(&credentials).unwrap();
        std::fs::write(credentials.join("api-token"), TOKEN).unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let config = format!(
            "version = 1\nlisten = [\"127.0.0.1:0\"]\nhub = \"{}\"\napi = \"127.0.0.1:0\"\n\
             state = \"{}\"\ncredentials = \"{}\"\ndrain_memory_mib = 0\n",
            upstream.url(),
            path("state"),
            path("credentials"),
        );
        std::fs::write(path("proxy.toml"), config).unwrap();
        let environment = [("BERTH_LOG_FORMAT", "text"), ("NO_COLOR", "1")];
        let mut program = Program::start(&["--config", &path("proxy.toml")], &environment, false);
        let line = program.line("listening").await;
        let front: SocketAddr = address_in(&line, "listen=");
        let mut sockets = Vec::new();
        for _ in 0..3 {
            let mut client = Client::new(TcpStream::connect(front).await.unwrap());
            client
                .send(
                    "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                     Authorization: token x\r\nSec-WebSocket-Version: 13\r\n\
                     Sec-WebSocket-Key: x\r\n\r\n",
                )
                .await;
            assert_eq!(client.response().await.status, 101);
            sockets.push(client);
        }
        program.signal("USR2");
        program.line("this process drains").await;
        let successor = youngest(program.child.id().unwrap()).await;
        // One after the other: while the first has gone, the last still works.
        let mut last = sockets.pop().unwrap();
        assert_eq!(sockets[0].rest().await, [0x88, 0x02, 0x03, 0xe9]);
        assert!(echoes(&mut last).await, "the youngest went with the oldest");
        assert_eq!(sockets[1].rest().await, [0x88, 0x02, 0x03, 0xe9]);
        assert_eq!(last.rest().await, [0x88, 0x02, 0x03, 0xe9]);
        assert_eq!(program.code().await, Some(0));
        signal(successor, "TERM");
    });
}

/// The address behind a word of a log line, however the log quotes it.
pub fn address_in(line: &str, word: &str) -> SocketAddr {
    let rest = line.split(word).nth(1).unwrap_or_else(|| panic!("no {word} in {line}"));
    let end = |c: char| !(c.is_ascii_digit() || c == '.' || c == ':');
    rest.trim_start_matches('"').split(end).next().unwrap().parse().unwrap()
}
