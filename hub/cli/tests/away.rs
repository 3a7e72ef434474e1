//! A hub that is replaced under a command that watches something long: its listener goes away, the
//! proxy answers in its place, and then there is another one.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError, channel};

/// What the hub has on all of its answers.
const OF_THE_HUB: &str = "X-JupyterHub-Version: 5.5.4\r\nDate: Mon, 11 May 2026 14:03:00 GMT\r\n";

/// An address on the loopback that is this test's alone, so that nobody else takes the port while
/// nothing listens there.
fn own_address() -> SocketAddr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [high, low] = (std::process::id() as u16).to_be_bytes();
    let at = Ipv4Addr::new(127, 0x80 | high >> 1, low, NEXT.fetch_add(1, Ordering::Relaxed));
    TcpListener::bind((at, 0)).unwrap().local_addr().unwrap()
}

/// The next request's first line, and where its answer goes.
fn asked(hub: &TcpListener) -> (String, TcpStream) {
    let (stream, _) = hub.accept().unwrap();
    (heard(&stream), stream)
}

/// What is asked there; nothing, if nobody asks any more.
fn heard(stream: &TcpStream) -> String {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first).unwrap();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if line.trim_end().is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    first.rsplit_once(' ').map(|(call, _)| call.to_owned()).unwrap_or_default()
}

/// Answers the next request, which must be this one.
fn answer(hub: &TcpListener, call: &str, status: &str, headers: &str, body: &str) {
    let (heard, stream) = asked(hub);
    assert_eq!(heard, call);
    say(stream, status, headers, body);
}

fn say(mut stream: TcpStream, status: &str, headers: &str, body: &str) {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\n{headers}Connection: close\r\n");
    write!(stream, "{head}Content-Length: {length}\r\n\r\n{body}").unwrap();
}

/// What the proxy says to a program while there is no hub.
fn answer_as_the_proxy(hub: &TcpListener, call: &str) {
    let body = r#"{"status": 503, "message": "The hub is being updated. Notebooks go on."}"#;
    let headers = "Content-Type: application/json\r\nRetry-After: 5\r\n";
    answer(hub, call, "503 Service Unavailable", headers, body);
}

/// Begins a stream of events with these, and leaves it open.
fn begin_stream(mut stream: TcpStream, call: &str, events: &[&str]) -> TcpStream {
    let heard = heard(&stream);
    if heard.is_empty() {
        return stream;
    }
    assert_eq!(heard, call);
    let head = "Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n";
    let mut text = format!("HTTP/1.1 200 OK\r\n{OF_THE_HUB}{head}\r\n");
    for event in events {
        let event = format!("data: {event}\n\n");
        text += &format!("{:x}\r\n{event}\r\n", event.len());
    }
    // Who has asked may be gone.
    let _ = stream.write_all(text.as_bytes());
    stream
}

/// The command, as somebody who knows a token.
struct Watching {
    child: Child,
    said: Receiver<String>,
    _home: tempfile::TempDir,
}

impl Watching {
    fn new(hub: SocketAddr, args: &[&str]) -> Self {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("token"), "admin").unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_berth"))
            .args(args)
            .env_clear()
            .env("HOME", home.path())
            .env("TZ", "UTC")
            .env("BERTH_URL", format!("http://{hub}"))
            .env("BERTH_TOKEN_FILE", home.path().join("token"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (line, said) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for heard in stderr.lines().map_while(Result::ok) {
                let _ = line.send(heard);
            }
            // It has ended: a test that waits for its next words or question fails, and does not hang.
            drop(line);
            while TcpStream::connect(hub).is_ok() {}
        });
        Self { child, said, _home: home }
    }

    /// Its next words beside what it was asked for.
    fn says(&mut self, line: &str) {
        assert_eq!(self.said.recv().unwrap(), line);
    }

    /// Whether it has said them by now.
    fn has_said(&mut self, line: &str) -> bool {
        match self.said.try_recv() {
            Ok(heard) => {
                assert_eq!(heard, line);
                true
            }
            Err(TryRecvError::Empty) => false,
            Err(TryRecvError::Disconnected) => panic!("it ended and did not say: {line}"),
        }
    }

    /// Ends well, without further words beside; what it was asked for.
    fn ends(mut self) -> String {
        let mut out = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        assert_eq!(self.said.iter().collect::<Vec<_>>(), [""; 0]);
        assert!(self.child.wait().unwrap().success(), "{out}");
        out
    }
}

fn drains(left: usize) -> String {
    let server = r#"{"user": "carol", "name": "", "id": "9c01"}"#;
    let servers = if left == 0 { "" } else { server };
    format!(
        r#"{{"drains": [{{"host": "n1", "state": "draining", "left": {left},
            "servers": [{servers}], "intent": {{}}}}]}}"#
    )
}

#[test]
fn a_drain_is_watched_past_a_hub_that_is_replaced() {
    const CALL: &str = "GET /hub/api/berth/drains";
    let at = own_address();
    let hub = TcpListener::bind(at).unwrap();
    let mut watching = Watching::new(at, &["drain", "watch", "--every", "1s"]);
    answer(&hub, CALL, "200 OK", OF_THE_HUB, &drains(1));
    watching.says("Ctrl-C leaves, and the drain goes on; 'berth drain watch' comes back to it.");
    drop(hub);
    watching.says("The hub is away; the drain goes on when it is back.");
    let hub = TcpListener::bind(at).unwrap();
    answer_as_the_proxy(&hub, CALL);
    // One that dies over its answer.
    drop(asked(&hub));
    answer(&hub, CALL, "200 OK", OF_THE_HUB, &drains(1));
    watching.says("The hub is back.");
    answer(&hub, CALL, "200 OK", OF_THE_HUB, &drains(0));
    assert_eq!(
        watching.ends(),
        "14:03:00  n1 is emptied; 1 left\n14:03:00  n1: carol is gone; 0 left\n\
         14:03:00  n1 is empty; 'berth host undrain n1' when done\n"
    );
}

#[test]
fn a_list_is_shown_again_past_a_hub_that_is_replaced() {
    const CALL: &str = "GET /hub/api/berth/drains";
    let at = own_address();
    let hub = TcpListener::bind(at).unwrap();
    let mut watching = Watching::new(at, &["drain", "list", "-q", "--watch"]);
    answer(&hub, CALL, "200 OK", OF_THE_HUB, r#"{"drains": []}"#);
    answer_as_the_proxy(&hub, CALL);
    watching.says("The hub is away; this is shown again when it is back.");
    answer_as_the_proxy(&hub, CALL);
    answer(&hub, CALL, "200 OK", OF_THE_HUB, r#"{"drains": []}"#);
    drop(hub);
    // Said once while it was away, and once more now.
    watching.says("The hub is away; this is shown again when it is back.");
    watching.child.kill().unwrap();
    watching.child.wait().unwrap();
}

#[test]
fn a_start_is_followed_past_a_hub_that_is_replaced() {
    const START: &str = "POST /hub/api/users/alice/server";
    const STEPS: &str = "GET /hub/api/users/alice/server/progress";
    let at = own_address();
    let hub = TcpListener::bind(at).unwrap();
    let mut watching = Watching::new(at, &["server", "start", "--user", "alice"]);
    // While the hub has not answered, the command may look for steps, or not.
    let asked_for_a_start = || loop {
        let (call, stream) = asked(&hub);
        if call == START {
            return stream;
        }
    };
    // One that dies before it has answered: nobody knows whether it has heard it.
    drop(asked_for_a_start());
    watching.says("The hub is away; the start is followed on when it is back.");
    let taken = r#"{"status": 400, "message": "alice is already running"}"#;
    say(asked_for_a_start(), "400 Bad Request", OF_THE_HUB, taken);
    // Those that nobody reads any more are among them.
    hub.set_nonblocking(true).unwrap();
    let mut open = Vec::new();
    while !watching.has_said("The hub is back.") {
        match hub.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false).unwrap();
                open.push(begin_stream(stream, STEPS, &[r#"{"message": "On n1"}"#]));
            }
            Err(_) => std::thread::yield_now(),
        }
    }
    drop((open, hub));
    watching.says("The hub is away; the start is followed on when it is back.");
    let hub = TcpListener::bind(at).unwrap();
    answer_as_the_proxy(&hub, STEPS);
    let ready = r#"{"message": "Ready", "ready": true, "url": "/user/alice/"}"#;
    let (stream, _) = hub.accept().unwrap();
    let _open = begin_stream(stream, STEPS, &[r#"{"message": "On n1"}"#, ready]);
    watching.says("The hub is back.");
    let out = watching.ends();
    let told: Vec<&str> = out.lines().map(|line| line.split_once(" s  ").unwrap().1).collect();
    assert_eq!(told, ["On n1", &format!("alice is ready: http://{at}/user/alice/")]);
}

#[test]
fn a_start_that_nobody_can_have_heard_is_not_waited_for() {
    let at = own_address();
    let hub = TcpListener::bind(at).unwrap();
    let mut watching = Watching::new(at, &["server", "start", "--user", "alice"]);
    answer_as_the_proxy(&hub, "POST /hub/api/users/alice/server");
    watching.says("error: cannot start server alice");
    assert_eq!(watching.child.wait().unwrap().code(), Some(7));
}
