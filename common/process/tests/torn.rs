//! A process that dies inside of a write has sent the first half of it, and nothing more; one that
//! dies when all has left has sent what it wrote until then.

#![allow(clippy::unwrap_used)]

use std::io::Read;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use berth_process::{crash_inside_writes, registered_point};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

const TO: &str = "BERTH_TEST_TORN_TO";

/// What the process sends: three writes, and the first two leave together.
async fn send(to: SocketAddr) {
    let stream = crash_inside_writes!(TcpStream::connect(to).await.unwrap(), "test.inside");
    let mut stream = stream.and_sent(registered_point!("test.sent"));
    stream.flush().await.unwrap();
    for word in ["first.", "second"] {
        stream.write_all(word.as_bytes()).await.unwrap();
    }
    stream.flush().await.unwrap();
    stream.flush().await.unwrap();
    stream.write_all(b"third.").await.unwrap();
    stream.flush().await.unwrap();
    stream.write_all(b"fourth").await.unwrap();
}

#[tokio::test]
async fn half_of_a_write_leaves() {
    if let Ok(to) = std::env::var(TO) {
        return send(to.parse().unwrap()).await;
    }
    for (at, heard, ends) in [
        ("test.inside:2", "first.sec", Some(9)),
        ("test.sent", "first.second", Some(9)),
        ("test.sent:2", "first.secondthird.", Some(9)),
        ("test.other", "first.secondthird.fourth", None),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "half_of_a_write_leaves"])
            .env(TO, listener.local_addr().unwrap().to_string())
            .env("BERTH_CRASH_AT", at)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut text = String::new();
        listener.accept().unwrap().0.read_to_string(&mut text).unwrap();
        assert_eq!(text, heard, "{at}");
        let signal = process.wait().unwrap().signal();
        assert_eq!(signal, ends, "{at}");
    }
}
