//! Under systemd: what it is told in which order, and the sockets that it holds for us.

use std::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;
use tokio::net::{TcpStream, UnixStream};

use crate::program::{Program, signal};
use crate::upgrade::{address_in, echoes};
use crate::world::{Client, Reply, SWITCH, TOKEN, Upstream, ok, run_long};

/// The socket of systemd's side: one datagram a call of sd_notify(3).
struct Notified {
    socket: UnixDatagram,
    path: String,
}

impl Notified {
    fn new(folder: &Path) -> Self {
        let path = folder.join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Self { socket, path: path.to_str().unwrap().to_owned() }
    }

    /// The next message, as lines.
    fn next(&self) -> Vec<String> {
        let mut bytes = [0; 4096];
        let count = loop {
            // The end of a child is a signal to whoever waits here.
            match self.socket.recv(&mut bytes) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                received => break received.expect("systemd is told nothing"),
            }
        };
        let text = std::str::from_utf8(&bytes[..count]).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    fn ready(&self) -> u32 {
        let said = self.next();
        assert_eq!(said[0], "READY=1");
        said[1].strip_prefix("MAINPID=").unwrap().parse().unwrap()
    }

    fn reloading(&self) {
        let said = self.next();
        assert_eq!(said[0], "RELOADING=1");
        let micros: u64 = said[1].strip_prefix("MONOTONIC_USEC=").unwrap().parse().unwrap();
        assert!(micros > 0);
    }
}

async fn upstream() -> Upstream {
    Upstream::new(|request| {
        if request.head.to_ascii_lowercase().contains("upgrade: websocket") {
            return Reply::SayAndEcho(SWITCH.into());
        }
        Reply::Say(ok("fine"))
    })
    .await
}

/// A configuration with these listening addresses.
fn configured(folder: &Path, hub: &str, listen: &[&str]) -> String {
    let credentials = folder.join("credentials");
    std::fs::create_dir(&credentials).unwrap();
    std::fs::write(credentials.join("api-token"), TOKEN).unwrap();
    let config = format!(
        "version = 1\nlisten = {}\nhub = \"{hub}\"\napi = \"127.0.0.1:0\"\nstate = \"{1}/state\"\n\
         credentials = \"{1}/credentials\"\n",
        json!(listen),
        folder.display()
    );
    let path = folder.join("proxy.toml");
    std::fs::write(&path, config).unwrap();
    path.to_str().unwrap().to_owned()
}

/// The proxy by a configuration of one address, with systemd's socket.
async fn watched(folder: &Path, upstream: &Upstream) -> (Program, Notified, String, SocketAddr) {
    let notified = Notified::new(folder);
    let config = configured(folder, &upstream.url(), &["127.0.0.1:0"]);
    let environment =
        [("BERTH_LOG_FORMAT", "text"), ("NO_COLOR", "1"), ("NOTIFY_SOCKET", &notified.path)];
    let mut program = Program::start(&["--config", &config], &environment, false);
    let front = address_in(&program.line("listening").await, "listen=");
    (program, notified, config, front)
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn a_reload_names_the_new_main_process_and_a_stop_ends_those_that_drain() {
    run_long(async {
        let (folder, upstream) = (folder(), upstream().await);
        let (mut program, notified, _, front) = watched(folder.path(), &upstream).await;
        assert_eq!(notified.ready(), program.child.id().unwrap());
        let mut socket = Client::new(TcpStream::connect(front).await.unwrap());
        socket
            .send(
                "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Authorization: token x\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n\r\n",
            )
            .await;
        assert_eq!(socket.response().await.status, 101);

        program.signal("USR2");
        notified.reloading();
        let successor = notified.ready();
        assert_ne!(successor, program.child.id().unwrap());
        program.line("this process drains").await;
        assert!(echoes(&mut socket).await);

        // systemd signals the main process only; what drains behind it is told by it.
        signal(successor, "TERM");
        assert_eq!(notified.next(), ["STOPPING=1"]);
        assert_eq!(socket.rest().await, [0x88, 0x02, 0x03, 0xe9]);
        assert_eq!(program.code().await, Some(0));
    });
}

#[test]
fn a_reload_that_fails_leaves_the_main_process_as_it_was() {
    run_long(async {
        let (folder, upstream) = (folder(), upstream().await);
        let (mut program, notified, config, front) = watched(folder.path(), &upstream).await;
        let main = notified.ready();
        // The new program would not understand its configuration.
        std::fs::write(&config, "version = 1\nnonsense = 1\n").unwrap();
        program.signal("USR2");
        notified.reloading();
        program.line("this process goes on").await;
        assert_eq!(notified.ready(), main);
        let mut client = Client::new(TcpStream::connect(front).await.unwrap());
        client.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(client.response().await.short(), "200 fine");
        program.signal("TERM");
        assert_eq!(notified.next(), ["STOPPING=1"]);
        assert_eq!(program.code().await, Some(0));
    });
}

#[test]
fn signs_of_life_come_as_often_as_the_unit_wants_them_and_from_whoever_serves() {
    run_long(async {
        let (folder, upstream) = (folder(), upstream().await);
        let notified = Notified::new(folder.path());
        let config = configured(folder.path(), &upstream.url(), &["127.0.0.1:0"]);
        let environment = [("NOTIFY_SOCKET", &*notified.path), ("WATCHDOG_USEC", "300000")];
        let mut program = Program::start(&["--config", &config], &environment, false);
        notified.ready();
        for _ in 0..3 {
            assert_eq!(notified.next(), ["WATCHDOG=1"]);
        }
        program.signal("USR2");
        let successor: u32 = loop {
            let said = notified.next();
            if said[0] == "READY=1" {
                break said[1].strip_prefix("MAINPID=").unwrap().parse().unwrap();
            }
        };
        // The process before has nothing left to carry.
        assert_eq!(program.code().await, Some(0));
        for _ in 0..5 {
            assert_eq!(notified.next(), ["WATCHDOG=1"]);
        }
        signal(successor, "TERM");
    });
}

#[test]
fn a_watchdog_of_another_process_hears_nothing() {
    run_long(async {
        let (folder, upstream) = (folder(), upstream().await);
        let notified = Notified::new(folder.path());
        let config = configured(folder.path(), &upstream.url(), &["127.0.0.1:0"]);
        let environment = [
            ("NOTIFY_SOCKET", &*notified.path),
            ("WATCHDOG_USEC", "300000"),
            ("WATCHDOG_PID", "1"),
        ];
        let program = Program::start(&["--config", &config], &environment, false);
        notified.ready();
        program.signal("TERM");
        assert_eq!(notified.next(), ["STOPPING=1"]);
    });
}

#[test]
fn an_abstract_notify_socket_is_one_too() {
    use std::os::linux::net::SocketAddrExt;
    run_long(async {
        let name = format!("berth-proxy-test-{}", std::process::id());
        let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
        let socket = UnixDatagram::bind_addr(&address).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let notified = Notified { socket, path: format!("@{name}") };
        let options = ["--ip=127.0.0.1", "--port=0", "--api-ip=127.0.0.1", "--api-port=0"];
        let program = Program::start(&options, &[("NOTIFY_SOCKET", &notified.path)], true);
        assert_eq!(notified.ready(), program.child.id().unwrap());
    });
}

/// Starts the proxy by systemd's own program for socket activation, which holds these sockets until
/// somebody connects.
fn activated(sockets: &[&Path], names: &str, command: &[&str]) -> Program {
    let mut options: Vec<&str> = Vec::new();
    for socket in sockets {
        options.extend(["-l", socket.to_str().unwrap()]);
    }
    let names = format!("--fdname={names}");
    let token = format!("--setenv=CONFIGPROXY_AUTH_TOKEN={TOKEN}");
    options.extend([names.as_str(), &token, "--setenv=BERTH_LOG_FORMAT=text"]);
    options.push(env!("CARGO_BIN_EXE_berth-proxy"));
    options.extend(command);
    Program::of("systemd-socket-activate", &options, "the Debian package systemd")
}

/// A client over a Unix socket that systemd's program makes in its own time.
async fn connected(path: &Path) -> Client<UnixStream> {
    loop {
        match UnixStream::connect(path).await {
            Ok(stream) => return Client::new(stream),
            Err(_) => tokio::task::yield_now().await,
        }
    }
}

#[test]
fn sockets_that_systemd_holds_are_served_whatever_their_kind() {
    run_long(async {
        let (folder, upstream) = (folder(), upstream().await);
        let (front, api) = (folder.path().join("front"), folder.path().join("api"));
        // The command line names TCP ports that nobody may open; the sockets count.
        let target = format!("--default-target={}", upstream.url());
        let command = ["--ip=127.0.0.1", "--port=1", "--api-ip=127.0.0.1", "--api-port=1", &target];
        let _program = activated(&[&front, &api], "front:api", &command);
        // The first connection waits while the process starts.
        let mut client = connected(&front).await;
        client.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(client.response().await.short(), "200 fine");
        let mut hub = connected(&api).await;
        hub.send(&format!(
            "GET /api/routes HTTP/1.1\r\nHost: a\r\nAuthorization: token {TOKEN}\r\n\r\n"
        ))
        .await;
        assert_eq!(hub.response().await.status, 200);
    });
}

#[test]
fn a_socket_unit_with_two_addresses_gives_both() {
    run_long(async {
        let (folder, upstream) = (folder(), upstream().await);
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        let config = configured(folder.path(), &upstream.url(), &["127.0.0.1:1", "127.0.0.1:2"]);
        let _program = activated(&[&one, &two], "front:front", &["--config", &config]);
        for path in [&one, &two] {
            let mut client = connected(path).await;
            client.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n").await;
            assert_eq!(client.response().await.short(), "200 fine");
        }
    });
}

#[test]
fn without_names_the_order_counts() {
    run_long(async {
        let (folder, upstream) = (folder(), upstream().await);
        let (front, api) = (folder.path().join("front"), folder.path().join("api"));
        let target = format!("--default-target={}", upstream.url());
        let command = ["--ip=127.0.0.1", "--port=1", "--api-ip=127.0.0.1", "--api-port=1", &target];
        let names = "berth-proxy.socket:berth-proxy-api.socket";
        let _program = activated(&[&front, &api], names, &command);
        let mut client = connected(&front).await;
        client.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(client.response().await.short(), "200 fine");
        let mut hub = connected(&api).await;
        hub.send("GET /api/routes HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(hub.response().await.status, 403);
    });
}
