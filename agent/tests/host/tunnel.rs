//! The tunnel's process: who gets in, where they get, and what its end and its upgrade cost.

use std::fs;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use berth_agent::reconcile::TunnelEntry;
use berth_agent::tunnel::feed::{self, Feed};
use berth_agent::tunnel::table;
use berth_common::{Generation, ServerId};
use berth_proto::frame;
use berth_proto::identity::Identity;
use berth_proto::tls::{self, Credential};
use berth_proto::tunnel::{Answer, Preamble, Status, Table, TableApplied};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::process::{Child, ChildStderr};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::site::{Ca, Host, Hub, PATIENCE, Usage, server_id};

pub struct Site {
    ca: Arc<Ca>,
    hub: Hub,
    pub host: Host,
}

pub async fn site() -> Site {
    let ca = Arc::new(Ca::new());
    let hub = Hub::start(ca.clone()).await;
    let host = Host::joined(&hub).await;
    fs::create_dir_all(host.run()).unwrap();
    Site { ca, hub, host }
}

/// A tunnel's process, its address, and what it says.
pub struct Tunnel {
    pub process: Child,
    log: Lines<BufReader<ChildStderr>>,
    pub address: SocketAddr,
}

impl Tunnel {
    pub async fn start(host: &Host) -> Self {
        Self::start_with(host, None).await
    }

    /// With a crash point at which it dies.
    pub async fn start_with(host: &Host, crash: Option<&str>) -> Self {
        let mut command = host.command(&["tunnel"]);
        if let Some(point) = crash {
            command.env("BERTH_CRASH_AT", point);
        }
        let mut process = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap()).lines();
        let line = says(&mut log, "tunnel listens on ").await;
        let address = line.rsplit(' ').next().unwrap().parse().unwrap();
        Self { process, log, address }
    }

    pub fn signal(&self, signal: Signal) {
        signal_to(self.process.id().unwrap(), signal);
    }
}

fn signal_to(process: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(process).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

async fn says(log: &mut Lines<BufReader<ChildStderr>>, words: &str) -> String {
    let find = async {
        while let Some(line) = log.next_line().await.unwrap() {
            if line.contains(words) {
                return line;
            }
        }
        panic!("ended without saying: {words}");
    };
    tokio::time::timeout(PATIENCE, find).await.expect(words)
}

/// A container's server that sends back what it gets, and says goodbye when it gets no more.
pub async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                tokio::io::copy(&mut read, &mut write).await.unwrap();
                write.write_all(b"goodbye").await.unwrap();
            });
        }
    });
    address
}

fn entry(server: &ServerId, generation: u64, address: SocketAddr) -> TunnelEntry {
    TunnelEntry { server: server.clone(), generation: Generation(generation), address }
}

fn proxy(site: &Site) -> (String, String) {
    site.ca.leaf(&Identity::Proxy, Usage::Client, 7)
}

async fn dial(
    site: &Site,
    to: SocketAddr,
    leaf: Option<(String, String)>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let credential = leaf.map(|(chain, key)| Credential::new(&chain, &key).unwrap());
    let roots = tls::roots(&site.ca.pem).unwrap();
    let expected = Identity::Host(site.host.name.parse().unwrap());
    let config = tls::client_config(credential, roots, expected, &[]).unwrap();
    let stream = TcpStream::connect(to).await?;
    TlsConnector::from(Arc::new(config)).connect(tls::server_name(), stream).await
}

pub async fn ask(
    site: &Site,
    to: SocketAddr,
    server: &str,
    generation: u64,
) -> Result<(Status, TlsStream<TcpStream>), frame::FrameError> {
    let mut stream = dial(site, to, Some(proxy(site))).await?;
    frame::write(&mut stream, &Preamble { version: 1, server: server.into(), generation }).await?;
    let answer: Answer = frame::read(&mut stream, frame::PREAMBLE_MAX).await?;
    Ok((answer.status(), stream))
}

async fn round_trip(stream: &mut TlsStream<TcpStream>, text: &[u8]) {
    stream.write_all(text).await.unwrap();
    stream.flush().await.unwrap();
    let mut back = vec![0; text.len()];
    stream.read_exact(&mut back).await.unwrap();
    assert_eq!(back, text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_goes_to_exactly_its_server_and_bytes_go_both_ways() {
    let site = site().await;
    let (server, closed) = (server_id(), server_id());
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let entries = [entry(&server, 3, echo().await), entry(&closed, 1, nobody)];
    table::write(&table::file(&site.host.run()), &entries).unwrap();
    let tunnel = Tunnel::start(&site.host).await;
    let status = async |server: &str, generation| {
        ask(&site, tunnel.address, server, generation).await.unwrap().0
    };
    assert_eq!(status(server.as_str(), 2).await, Status::WrongGeneration);
    assert_eq!(status(server.as_str(), 4).await, Status::WrongGeneration);
    assert_eq!(status(server_id().as_str(), 3).await, Status::Gone);
    assert_eq!(status("../../etc", 3).await, Status::Gone);
    assert_eq!(status(closed.as_str(), 1).await, Status::NotReady);

    let (status, mut stream) = ask(&site, tunnel.address, server.as_str(), 3).await.unwrap();
    assert_eq!(status, Status::Ok);
    round_trip(&mut stream, b"hello").await;
    // More than all buffers, while nobody reads yet: it waits, and arrives whole.
    let large: Vec<u8> = (0..3_000_000_u32).map(|i| ((i * 31) >> 7) as u8).collect();
    let (mut read, mut write) = tokio::io::split(stream);
    let sent = large.clone();
    let writer = tokio::spawn(async move {
        write.write_all(&sent).await.unwrap();
        write.shutdown().await.unwrap(); // half closed: the other half goes on
    });
    let mut back = Vec::new();
    read.read_to_end(&mut back).await.unwrap();
    writer.await.unwrap();
    assert_eq!(back.len(), large.len() + 7);
    assert!(back.starts_with(&large) && back.ends_with(b"goodbye"));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_proxy_gets_in() {
    let site = site().await;
    let server = server_id();
    table::write(&table::file(&site.host.run()), &[entry(&server, 1, echo().await)]).unwrap();
    let tunnel = Tunnel::start(&site.host).await;
    let host = Identity::Host(site.host.name.parse().unwrap());
    for (who, leaf) in [
        ("nobody", None),
        ("a host", Some(site.ca.leaf(&host, Usage::Client, 7))),
        ("the hub", Some(site.ca.leaf(&Identity::Hub, Usage::Client, 7))),
        ("a proxy of yesterday", Some(site.ca.leaf(&Identity::Proxy, Usage::Client, -1))),
        ("a listener of the proxy", Some(site.ca.leaf(&Identity::Proxy, Usage::Server, 7))),
        ("a proxy of elsewhere", Some(Ca::new().leaf(&Identity::Proxy, Usage::Client, 7))),
    ] {
        // In TLS 1.3 a client may learn of its refusal with the first read only.
        let answer = async {
            let mut stream = dial(&site, tunnel.address, leaf).await?;
            let preamble = Preamble { version: 1, server: server.to_string(), generation: 1 };
            frame::write(&mut stream, &preamble).await?;
            frame::read::<Answer>(&mut stream, frame::PREAMBLE_MAX).await
        };
        let answer = tokio::time::timeout(PATIENCE, answer).await.unwrap();
        assert!(answer.is_err(), "{who} got {answer:?}");
    }
    // Nonsense after a good handshake ends the stream without an answer.
    let mut stream = dial(&site, tunnel.address, Some(proxy(&site))).await.unwrap();
    stream.write_all(&u32::MAX.to_be_bytes()).await.unwrap();
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    assert!(rest.is_empty());
    assert_eq!(ask(&site, tunnel.address, server.as_str(), 1).await.unwrap().0, Status::Ok);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agents_table_arrives_and_outlives_both() {
    let site = site().await;
    let run = site.host.run();
    let (first, second) = (server_id(), server_id());
    let (mut feed, fed) = Feed::new(&run);
    let agent = tokio::spawn(feed::keep(table::socket(&run), fed));
    let mut tunnel = Tunnel::start(&site.host).await;
    let status = async |tunnel: &Tunnel, server: &ServerId| {
        ask(&site, tunnel.address, server.as_str(), 1).await.unwrap().0
    };
    assert_eq!(status(&tunnel, &first).await, Status::Gone);
    feed.publish(Some(vec![entry(&first, 1, echo().await)]));
    assert_eq!(status(&tunnel, &first).await, Status::Ok, "at once, even before the socket tells");
    feed.publish(Some(vec![entry(&second, 1, echo().await)]));
    assert_eq!(status(&tunnel, &second).await, Status::Ok);
    let end = tokio::time::Instant::now() + PATIENCE;
    while status(&tunnel, &first).await != Status::Gone {
        assert!(tokio::time::Instant::now() < end, "the table did not arrive");
    }

    agent.abort();
    drop(feed);
    tunnel.signal(Signal::KILL);
    tunnel.process.wait().await.unwrap();
    let tunnel = Tunnel::start(&site.host).await;
    assert_eq!(status(&tunnel, &second).await, Status::Ok, "from the table on disk");
    assert_eq!(status(&tunnel, &first).await, Status::Gone);
}

/// The successor of a tunnel is nobody's child here: it must not outlive the test.
pub struct Successor(u32);

/// Asks the control socket which process serves it, without changing its table.
pub async fn successor(host: &Host) -> Successor {
    let entries = table::read(&table::file(&host.run())).unwrap().into_iter();
    let entries = entries.map(|(server, (generation, address))| berth_proto::tunnel::Entry {
        server: server.to_string(),
        generation: generation.0,
        address: address.to_string(),
    });
    let mut control = UnixStream::connect(table::socket(&host.run())).await.unwrap();
    frame::write(&mut control, &Table { entries: entries.collect() }).await.unwrap();
    let applied: TableApplied = frame::read(&mut control, frame::PREAMBLE_MAX).await.unwrap();
    Successor(applied.process)
}

impl Drop for Successor {
    fn drop(&mut self) {
        signal_to(self.0, Signal::KILL);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_keeps_open_streams_and_loses_no_connection() {
    let site = Arc::new(site().await);
    let run = site.host.run();
    let server = server_id();
    let (mut feed, fed) = Feed::new(&run);
    tokio::spawn(feed::keep(table::socket(&run), fed));
    let address = echo().await;
    feed.publish(Some(vec![entry(&server, 1, address)]));
    let mut tunnel = Tunnel::start(&site.host).await;
    let to = tunnel.address;
    let (_, mut open) = ask(&site, to, server.as_str(), 1).await.unwrap();
    round_trip(&mut open, b"before").await;

    // Connections all the time: each must get through.
    let (stop, mut stopped) = tokio::sync::watch::channel(false);
    let (busy, id) = (site.clone(), server.clone());
    let busy = tokio::spawn(async move {
        let mut count = 0;
        while !*stopped.borrow_and_update() {
            let (status, mut stream) = ask(&busy, to, id.as_str(), 1).await.unwrap();
            assert_eq!(status, Status::Ok);
            round_trip(&mut stream, b"busy").await;
            count += 1;
        }
        count
    });
    tunnel.signal(Signal::USR2);
    let line = says(&mut tunnel.log, "has taken over").await;
    let process: u32 =
        line.split("process ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert_ne!(Some(process), tunnel.process.id());
    round_trip(&mut open, b"after").await;

    // The agent's end has found the successor.
    let found = successor(&site.host).await;
    assert_eq!(found.0, process);
    let another = server_id();
    feed.publish(Some(vec![entry(&server, 1, address), entry(&another, 1, address)]));
    assert_eq!(ask(&site, to, another.as_str(), 1).await.unwrap().0, Status::Ok);
    round_trip(&mut open, b"still").await;

    stop.send_replace(true);
    assert!(busy.await.unwrap() > 0);
    assert!(tunnel.process.try_wait().unwrap().is_none(), "a stream is still open");
    open.shutdown().await.unwrap();
    let mut rest = Vec::new();
    open.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, b"goodbye");
    let ended =
        tokio::time::timeout(PATIENCE, tunnel.process.wait()).await.expect("it goes when done");
    assert!(ended.unwrap().success());
    assert_eq!(ask(&site, to, server.as_str(), 1).await.unwrap().0, Status::Ok);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_successor_that_cannot_serve_changes_nothing() {
    let site = site().await;
    let server = server_id();
    table::write(&table::file(&site.host.run()), &[entry(&server, 1, echo().await)]).unwrap();
    let mut tunnel = Tunnel::start(&site.host).await;
    let good = fs::read_to_string(&site.host.config).unwrap();
    fs::write(&site.host.config, "nonsense").unwrap();
    tunnel.signal(Signal::USR2);
    says(&mut tunnel.log, "no successor, this process goes on").await;
    assert_eq!(ask(&site, tunnel.address, server.as_str(), 1).await.unwrap().0, Status::Ok);
    fs::write(&site.host.config, good).unwrap();
    tunnel.signal(Signal::USR2);
    let line = says(&mut tunnel.log, "has taken over").await;
    let process = line.split("process ").nth(1).unwrap().split(' ').next().unwrap().parse();
    let _successor = Successor(process.unwrap());
    assert_eq!(ask(&site, tunnel.address, server.as_str(), 1).await.unwrap().0, Status::Ok);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_gives_up_root_and_upgrades_all_the_same() {
    let site = site().await;
    let server = server_id();
    table::write(&table::file(&site.host.run()), &[entry(&server, 1, echo().await)]).unwrap();
    let with_user = fs::read_to_string(&site.host.config).unwrap();
    let with_user = with_user.replace("127.0.0.1:0\"", "127.0.0.1:0\", user = \"nobody\"");
    fs::write(&site.host.config, with_user).unwrap();
    // Joining anew gives the tunnel's files to its user.
    let token = site.hub.token(&site.host.name);
    assert!(site.host.output(&["join", &token]).await.status.success());
    let mut tunnel = Tunnel::start(&site.host).await;
    let ids = |process: u32| {
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        let line = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().skip(1).map(str::to_owned).collect::<Vec<_>>()
        };
        (line("Uid:"), line("Gid:"), line("Groups:"), line("CapEff:"))
    };
    let nobody = || vec!["65534".to_owned(); 4];
    let expected = (nobody(), nobody(), vec!["65534".to_owned()], vec!["0".repeat(16)]);
    assert_eq!(ids(tunnel.process.id().unwrap()), expected);
    assert_eq!(ask(&site, tunnel.address, server.as_str(), 1).await.unwrap().0, Status::Ok);
    tunnel.signal(Signal::USR2);
    let line = says(&mut tunnel.log, "has taken over").await;
    let process =
        line.split("process ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    let _successor = Successor(process);
    assert_eq!(ids(process), expected);
    assert_eq!(ask(&site, tunnel.address, server.as_str(), 1).await.unwrap().0, Status::Ok);
}

#[tokio::test(flavor = "multi_thread")]
async fn new_certificates_are_used_without_a_restart() {
    let site = site().await;
    let tunnel = Tunnel::start(&site.host).await;
    let shown = async || {
        let stream = dial(&site, tunnel.address, Some(proxy(&site))).await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
    };
    let before = shown().await;
    let host = Identity::Host(site.host.name.parse().unwrap());
    let (chain, key) = site.ca.leaf(&host, Usage::Server, 7);
    let folder = site.host.state().join("tunnel");
    fs::write(folder.join("tunnel.key"), key).unwrap();
    fs::write(folder.join("tunnel.pem"), chain).unwrap();
    let end = tokio::time::Instant::now() + PATIENCE;
    while shown().await == before {
        assert!(tokio::time::Instant::now() < end, "the old certificate is still shown");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
