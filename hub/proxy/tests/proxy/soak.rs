//! What goes wrong leaves nothing behind: after thousands of broken clients, upstreams and error
//! targets, and after upgrades, the descriptors are those of the start (configurable-http-proxy
//! #434, #557). `BERTH_LONG=1` makes it a hundred times as many.

use std::time::Duration;

use serde_json::json;
use tokio::net::{TcpListener, TcpStream};

use crate::chp::{Started, start};
use crate::program::signal;
use crate::upgrade::youngest;
use crate::world::{Client, Reply, SWITCH, Upstream, ok, run_long};

/// What can go wrong with one connection.
const KINDS: usize = 9;

fn rounds() -> usize {
    if std::env::var_os("BERTH_LONG").is_some() { 20_000 } else { 200 }
}

fn descriptors(process: u32) -> usize {
    std::fs::read_dir(format!("/proc/{process}/fd")).unwrap().count()
}

fn resident_kib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// One trouble, to its end.
async fn trouble(started: &Started, kind: usize) {
    let mut client = Client::new(TcpStream::connect(started.front).await.unwrap());
    let handshake = |path: &str| {
        format!(
            "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n\r\n"
        )
    };
    match kind {
        // Clients that leave: before the answer, in the middle of a head, of a body.
        0 => client.send("GET /silent/x HTTP/1.1\r\nHost: a\r\n\r\n").await,
        1 => client.send("GET /up HTTP/1.1\r\nHo").await,
        2 => client.send("POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nab").await,
        // Websockets: left open on one side, answered with a page, without a server or a route.
        3 => {
            client.send(&handshake("/ws")).await;
            assert_eq!(client.response().await.status, 101);
            let _ = tokio::io::AsyncWriteExt::shutdown(&mut client.stream).await;
        }
        4 => {
            client.send(&handshake("/up")).await;
            assert_eq!(client.response().await.status, 200);
        }
        5 => {
            client.send(&handshake("/down")).await;
            assert_eq!(client.response().await.status, 503);
        }
        // Upstreams that refuse, and that break off; each asks the error target for words.
        6 => {
            client.send("GET /down HTTP/1.1\r\nHost: a\r\n\r\n").await;
            assert_eq!(client.response().await.short(), "503 words");
        }
        7 => {
            client.send("GET /broken HTTP/1.1\r\nHost: a\r\n\r\n").await;
            assert_eq!(client.response().await.short(), "503 words");
        }
        _ => {
            client.send("GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n").await;
            assert_eq!(client.response().await.short(), "404 words");
        }
    }
    if kind.is_multiple_of(2) {
        client.stream.into_inner().set_zero_linger().unwrap();
    }
}

async fn troubles(started: &Started, count: usize) {
    for round in 0..count {
        let kinds = (0..KINDS).map(|kind| trouble(started, (kind + round) % KINDS));
        for trouble in kinds {
            trouble.await;
        }
    }
}

/// Waits until a process has no more descriptors than before; one that leaks hangs here.
async fn returns_to(process: u32, before: usize) {
    let looks = async {
        while descriptors(process) > before {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let done = tokio::time::timeout(Duration::from_secs(60), looks).await;
    assert!(done.is_ok(), "{} descriptors, {before} at the start", descriptors(process));
}

#[test]
fn descriptors_and_memory_return_to_their_start() {
    run_long(async {
        let upstream = Upstream::new(|request| match request.head.split(' ').nth(1).unwrap() {
            "/ws" => Reply::SayAndEcho(SWITCH.into()),
            "/broken" => Reply::SayAndClose(b"HTTP/1.1 200".to_vec()),
            _ => Reply::Say(ok("fine")),
        })
        .await;
        let words = Upstream::new(|_| Reply::Say(ok("words"))).await;
        // It takes connections and says nothing.
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let error_target = format!("--error-target={}", words.url());
        let mut started = start(&[&error_target], "http").await;
        for (path, target) in [
            ("/up", upstream.url()),
            ("/ws", upstream.url()),
            ("/broken", upstream.url()),
            ("/down", "http://127.0.0.1:1".to_owned()),
            ("/silent", format!("http://{}", silent.local_addr().unwrap())),
        ] {
            let record = json!({"target": target}).to_string();
            let path = format!("/api/routes{path}");
            assert_eq!(started.api("POST", &path, &record).await.status, 201);
        }
        tokio::spawn(async move {
            while let Ok((stream, _)) = silent.accept().await {
                tokio::spawn(async move { Client::new(stream).rest().await });
            }
        });
        let process = started.program.child.id().unwrap();
        // Each trouble is a line, and nobody's log may fill the pipe.
        let mut log = started.program.take_out();
        let log = tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
        // Threads and allocator take what they need once.
        let before = descriptors(process);
        troubles(&started, rounds() / 4).await;
        let warm_kib = resident_kib(process);
        troubles(&started, rounds()).await;
        let (grown_kib, open) =
            (resident_kib(process).saturating_sub(warm_kib), descriptors(process));
        println!(
            "{} troubles: {before} descriptors before, {open} just after, memory +{grown_kib} KiB",
            rounds() * KINDS
        );
        assert!(grown_kib < 16 * 1024, "memory grew by {grown_kib} KiB");
        // Idle connections to the upstream may be kept; with it they end.
        drop((upstream, words));
        returns_to(process, before).await;

        // An upgrade hands its sockets over and ends; the new process has as many as the old one had.
        signal(process, "USR2");
        let successor = youngest(process).await;
        assert_eq!(started.program.code().await, Some(2));
        returns_to(successor, before + 1).await;
        troubles_without_upstream(&started).await;
        returns_to(successor, before + 1).await;
        signal(successor, "TERM");
        log.await.unwrap();
    });
}

async fn troubles_without_upstream(started: &Started) {
    for _ in 0..rounds() {
        let mut client = Client::new(TcpStream::connect(started.front).await.unwrap());
        client.send("GET /up HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(client.response().await.status, 503);
    }
}
