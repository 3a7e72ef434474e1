//! The other sides of the benchmark `tests/bench/proxy`: an upstream with and without a tunnel, and
//! clients that load a proxy and print one JSON line.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use berth_proto::frame;
use berth_proto::tls::{self, Admit, Credential};
use berth_proto::tunnel::{Answer, Preamble, Status};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    SanType,
};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

const SMALL: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, world!";
const SWITCH: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n";
const BIG: usize = 100 * 1024 * 1024;

/// Threads with a runtime each, so that no message wakes a second thread: what is measured is the
/// proxy.
const LANES: usize = 2;

fn lanes() -> &'static [Handle] {
    static RUNNING: OnceLock<Vec<Handle>> = OnceLock::new();
    RUNNING.get_or_init(|| {
        let lane = |_| {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let handle = runtime.handle().clone();
            std::thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
            handle
        };
        (0..LANES).map(lane).collect()
    })
}

fn lane(number: usize) -> &'static Handle {
    &lanes()[number % LANES]
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let number = |text: &str| text.parse::<usize>().unwrap();
    match words.as_slice() {
        ["upstream", folder] => upstream(Path::new(folder)).await,
        ["get", address, path, clients, seconds] => {
            get(address, path, number(clients), number(seconds)).await;
        }
        ["download", address, path, times] => download(address, path, number(times)).await,
        ["echo", address, path, clients, seconds, rate] => {
            echo(address, path, number(clients), number(seconds), number(rate)).await;
        }
        ["idle", address, path, count] => idle(address, path, number(count)).await,
        ["add", address, record, count, clients] => {
            add(address, record, number(count), number(clients)).await;
        }
        ["steady", address, path, seconds] => steady(address, path, number(seconds)).await,
        _ => panic!("upstream FOLDER | get | download | echo | idle | add | steady"),
    }
}

/// Prints its two ports; writes what the proxy shows to the tunnel into the folder.
async fn upstream(folder: &Path) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let leaf = |uri: &str, usage| {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::URI(uri.try_into().unwrap())];
        params.extended_key_usages = vec![usage];
        (params.signed_by(&key, &authority).unwrap().pem(), key.serialize_pem())
    };
    let (certificate, key) = leaf("spiffe://berth/proxy", ExtendedKeyUsagePurpose::ClientAuth);
    let files = [
        ("ca.pem", authority.pem()),
        ("cert.pem", certificate),
        ("key.pem", key),
        ("api-token", "secret".into()),
    ];
    for (name, content) in files {
        std::fs::write(folder.join(name), content).unwrap();
    }
    let (certificate, key) = leaf("spiffe://berth/host/wn01", ExtendedKeyUsagePurpose::ServerAuth);
    let credential = Credential::new(&certificate, &key).unwrap();
    let roots = tls::roots(&authority.pem()).unwrap();
    let config = tls::server_config(credential, roots, Admit::ProxyOnly, &[]).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let tunnel = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ports = [&plain, &tunnel].map(|listener| listener.local_addr().unwrap().port());
    println!("{}", json!({"plain": ports[0], "tunnel": ports[1]}));
    tokio::spawn(async move {
        for number in 0.. {
            let tcp = tunnel.accept().await.unwrap().0.into_std().unwrap();
            let acceptor = acceptor.clone();
            lane(number).spawn(async move {
                let tcp = TcpStream::from_std(tcp).unwrap();
                tcp.set_nodelay(true).unwrap();
                let Ok(mut stream) = acceptor.accept(tcp).await else { return };
                let Ok(_) = frame::read::<Preamble>(&mut stream, frame::PREAMBLE_MAX).await else {
                    return;
                };
                let answer = Answer { status: Status::Ok.into() };
                if frame::write(&mut stream, &answer).await.is_ok() {
                    serve(stream).await;
                }
            });
        }
    });
    for number in 0.. {
        let tcp = plain.accept().await.unwrap().0.into_std().unwrap();
        lane(number).spawn(async move {
            let tcp = TcpStream::from_std(tcp).unwrap();
            tcp.set_nodelay(true).unwrap();
            serve(tcp).await;
        });
    }
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let block = vec![b'x'; 256 * 1024];
    let mut buffer = vec![0; 4096];
    let mut filled = 0;
    loop {
        let Ok(count) = stream.read(&mut buffer[filled..]).await else { return };
        filled += count;
        if count == 0 {
            return;
        }
        let head = &buffer[..filled];
        if !head.ends_with(b"\r\n\r\n") {
            continue;
        }
        let text = String::from_utf8_lossy(head).to_ascii_lowercase();
        filled = 0;
        if text.contains("upgrade: websocket") {
            if stream.write_all(SWITCH).await.is_err() {
                return;
            }
            // Small, as thousands of these wait at once.
            drop((block, std::mem::take(&mut buffer)));
            let mut piece = [0; 1024];
            loop {
                match stream.read(&mut piece).await {
                    Ok(0) | Err(_) => return,
                    Ok(count) if stream.write_all(&piece[..count]).await.is_err() => return,
                    Ok(_) => {}
                }
            }
        } else if text.split(' ').nth(1).is_some_and(|path| path.ends_with("/big")) {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {BIG}\r\n\r\n");
            if stream.write_all(head.as_bytes()).await.is_err() {
                return;
            }
            for _ in 0..BIG / block.len() {
                if stream.write_all(&block).await.is_err() {
                    return;
                }
            }
        } else if stream.write_all(SMALL).await.is_err() {
            return;
        }
        let _ = stream.flush().await;
    }
}

async fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address.parse::<SocketAddr>().unwrap()).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

fn quantiles(mut times: Vec<u32>) -> (u32, u32) {
    times.sort_unstable();
    let at = |share: usize| times.get(times.len() * share / 100).copied().unwrap_or_default();
    (at(50), at(99))
}

/// Requests one after the other on each of so many connections; a `%` in the path is the number
/// of the request, so that each goes to another route.
async fn get(address: &str, path: &str, clients: usize, seconds: usize) {
    let end = Instant::now() + Duration::from_secs(seconds as u64);
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for client in 0..clients {
        let (address, path) = (address.to_owned(), path.to_owned());
        let asking = async move {
            let mut stream = connect(&address).await;
            let mut times = Vec::new();
            let mut buffer = vec![0; 8192];
            let mut number = client * 7919;
            let plain = format!(
                "GET {path} HTTP/1.1\r\nHost: bench.example\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n"
            );
            while Instant::now() < end {
                let request = if path.contains('%') {
                    number = (number + 6151) % 10_000;
                    plain.replace('%', &number.to_string())
                } else {
                    plain.clone()
                };
                let sent = Instant::now();
                stream.write_all(request.as_bytes()).await.unwrap();
                let mut filled = 0;
                while !buffer[..filled].ends_with(b"Hello, world!") {
                    let count = stream.read(&mut buffer[filled..]).await.unwrap();
                    assert!(count > 0, "closed: {}", String::from_utf8_lossy(&buffer[..filled]));
                    filled += count;
                }
                times.push(u32::try_from(sent.elapsed().as_micros()).unwrap());
            }
            times
        };
        tasks.spawn_on(asking, lane(client));
    }
    let times: Vec<u32> = tasks.join_all().await.into_iter().flatten().collect();
    let count = times.len();
    let (p50, p99) = quantiles(times);
    let each_s = count as f64 / begun.elapsed().as_secs_f64();
    println!("{}", json!({"count": count, "per_s": each_s, "p50_us": p50, "p99_us": p99}));
}

async fn download(address: &str, path: &str, times: usize) {
    let begun = Instant::now();
    let mut buffer = vec![0; 256 * 1024];
    let mut stream = connect(address).await;
    for _ in 0..times {
        let request = format!("GET {path} HTTP/1.1\r\nHost: bench.example\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        assert!(head.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&head));
        let mut missing = BIG;
        while missing > 0 {
            let most = missing.min(buffer.len());
            let count = stream.read(&mut buffer[..most]).await.unwrap();
            assert!(count > 0);
            missing -= count;
        }
    }
    let mb_s = (times * BIG) as f64 / 1e6 / begun.elapsed().as_secs_f64();
    println!("{}", json!({"gb": (times * BIG) as f64 / 1e9, "mb_per_s": mb_s}));
}

async fn websocket(address: &str, path: &str) -> TcpStream {
    let mut stream = connect(address).await;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: bench.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Authorization: token x\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
    stream
}

/// Messages of 64 bytes there and back on so many websockets; with a rate, so many a second in all.
async fn echo(address: &str, path: &str, clients: usize, seconds: usize, rate: usize) {
    let mut open = Vec::new();
    for client in 0..clients {
        let (address, path) = (address.to_owned(), path.to_owned());
        let opening = lane(client).spawn(async move { websocket(&address, &path).await });
        open.push(opening.await.unwrap());
    }
    let begun = Instant::now();
    let end = begun + Duration::from_secs(seconds as u64);
    let mut tasks = JoinSet::new();
    for (index, mut stream) in open.into_iter().enumerate() {
        let echoing = async move {
            let mut message = [b'm'; 64];
            message[..2].copy_from_slice(&[0x82, 62]);
            let mut back = [0; 64];
            let mut times = Vec::new();
            let between = (rate > 0).then(|| Duration::from_secs_f64(clients as f64 / rate as f64));
            let mut due =
                begun + between.unwrap_or_default().mul_f64(index as f64 / clients as f64);
            while Instant::now() < end {
                if let Some(between) = between {
                    tokio::time::sleep_until(due.into()).await;
                    due += between;
                }
                let sent = Instant::now();
                stream.write_all(&message).await.unwrap();
                stream.read_exact(&mut back).await.unwrap();
                times.push(u32::try_from(sent.elapsed().as_micros()).unwrap());
            }
            times
        };
        tasks.spawn_on(echoing, lane(index));
    }
    let times: Vec<u32> = tasks.join_all().await.into_iter().flatten().collect();
    let count = times.len();
    let (p50, p99) = quantiles(times);
    let each_s = count as f64 / begun.elapsed().as_secs_f64();
    println!("{}", json!({"count": count, "per_s": each_s, "p50_us": p50, "p99_us": p99}));
}

/// Opens websockets and holds them until standard input ends.
async fn idle(address: &str, path: &str, count: usize) {
    let begun = Instant::now();
    let mut open = Vec::new();
    for _ in 0..count {
        open.push(websocket(address, path).await);
    }
    println!("{}", json!({"open": open.len(), "seconds": begun.elapsed().as_secs_f64()}));
    let held =
        tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
    let _ = held.await;
}

/// Posts so many routes over so many connections of the API, one call in flight on each.
async fn add(address: &str, record: &str, count: usize, clients: usize) {
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for client in 0..clients {
        let (address, record) = (address.to_owned(), record.to_owned());
        tasks.spawn(async move {
            let mut stream = connect(&address).await;
            let mut buffer = [0; 4096];
            for number in (client..count).step_by(clients) {
                let length = record.len();
                let request = format!(
                    "POST /api/routes/r{number} HTTP/1.1\r\nHost: a\r\nAuthorization: token secret\r\n\
                     Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{record}"
                );
                stream.write_all(request.as_bytes()).await.unwrap();
                // configurable-http-proxy answers in chunks, with none in them.
                let mut filled = 0;
                while !buffer[..filled].ends_with(b"\r\n\r\n")
                    || (buffer[..filled].windows(7).any(|part| part == b"chunked")
                        && !buffer[..filled].ends_with(b"0\r\n\r\n"))
                {
                    let got = stream.read(&mut buffer[filled..]).await.unwrap();
                    assert!(got > 0);
                    filled += got;
                }
                assert!(buffer.starts_with(b"HTTP/1.1 201"));
            }
        });
    }
    tasks.join_all().await;
    println!("{}", json!({"seconds": begun.elapsed().as_secs_f64()}));
}

/// 200 GETs a second, each on a connection of its own, and 100 websockets with a message each in a
/// second: how many of them are lost.
async fn steady(address: &str, path: &str, seconds: usize) {
    let mut open = JoinSet::new();
    for _ in 0..100 {
        let mut stream = websocket(address, &format!("{path}/ws")).await;
        open.spawn(async move {
            let mut message = [b'm'; 64];
            message[..2].copy_from_slice(&[0x82, 62]);
            for _ in 0..seconds {
                tokio::time::sleep(Duration::from_secs(1)).await;
                let mut back = [0; 64];
                if stream.write_all(&message).await.is_err()
                    || stream.read_exact(&mut back).await.is_err()
                {
                    return 1;
                }
            }
            0
        });
    }
    let mut asked = JoinSet::new();
    for _ in 0..200 * seconds {
        tokio::time::sleep(Duration::from_millis(5)).await;
        let (address, path) = (address.to_owned(), path.to_owned());
        asked.spawn(async move {
            let asking = async {
                let mut stream = TcpStream::connect(&address).await.ok()?;
                let request = format!(
                    "GET {path}/x HTTP/1.1\r\nHost: bench.example\r\nConnection: close\r\n\r\n"
                );
                stream.write_all(request.as_bytes()).await.ok()?;
                let mut answer = Vec::new();
                stream.read_to_end(&mut answer).await.ok()?;
                (answer.starts_with(b"HTTP/1.1 200") && answer.ends_with(b"world!")).then_some(())
            };
            let answered = tokio::time::timeout(Duration::from_secs(10), asking).await;
            usize::from(!matches!(answered, Ok(Some(()))))
        });
    }
    let gets: usize = asked.join_all().await.into_iter().sum();
    let websockets: usize = open.join_all().await.into_iter().sum();
    println!("{}", json!({"lost_gets": gets, "lost_websockets": websockets}));
}
