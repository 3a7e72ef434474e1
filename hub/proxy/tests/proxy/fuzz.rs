//! Mutated requests: the reader against the grammar, and the whole proxy against an upstream that
//! notes what it gets and from whom.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use berth_proxy::framing::{State, Step, step};
use berth_proxy::path;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::task::JoinSet;

use crate::grammar::{self, End};
use crate::mutation::{Chance, seed, share, sound, spoil};
use crate::world::{Reply, Upstream, World, field, run_long};

/// What the proxy's reader passes of a connection's bytes that come in pieces: (bytes, end).
fn passed(bytes: &[u8], chance: &mut Chance) -> (usize, End) {
    let mut state = State::default();
    let (mut pending, mut passed, mut at) = (Vec::new(), 0, 0);
    while at < bytes.len() {
        let end = (at + 1 + chance.below(64)).min(bytes.len());
        let mut scanned = pending.len();
        pending.extend_from_slice(&bytes[at..end]);
        at = end;
        loop {
            match step(&mut state, &pending, scanned) {
                Step::Pass(count) => {
                    pending.drain(..count);
                    passed += count;
                    scanned = 0;
                }
                Step::More => break,
                // Refused, what is held is read as requests.
                Step::Hold => state = State::Head,
                Step::Refuse(_) | Step::TooLong => return (passed, End::Broken),
            }
        }
    }
    let whole = matches!(state, State::Head | State::Held) && pending.is_empty();
    (passed, if whole { End::Whole } else { End::Within })
}

#[test]
fn the_reader_and_the_grammar_agree_on_every_mutation() {
    let mut chance = Chance::new(seed());
    let (mut whole, mut broken) = (0, 0);
    for round in 0..share(300_000, 10_000_000) {
        let mut bytes = Vec::new();
        for _ in 0..1 + chance.below(3) {
            bytes.extend(sound(&mut chance));
        }
        spoil(&mut chance, &mut bytes);
        let (requests, expected) = grammar::requests(&bytes);
        let (passed, end) = passed(&bytes, &mut chance);
        let shown = || format!("round {round}: {}", String::from_utf8_lossy(&bytes));
        let sound: usize = requests.iter().map(|request| request.length).sum();
        // The reader refuses a broken line when it is whole, the grammar at its first bad byte.
        match expected {
            End::Whole => assert_eq!((passed, end), (sound, End::Whole), "{}", shown()),
            End::Within => {
                assert_eq!(end, End::Within, "{}", shown());
                assert!(passed >= sound, "{}", shown());
            }
            End::Broken => {
                assert_ne!(end, End::Whole, "{}", shown());
                assert!(passed >= sound, "{}", shown());
            }
        }
        whole += usize::from(expected == End::Whole);
        broken += usize::from(expected == End::Broken);
    }
    assert!(whole > 1000 && broken > 1000, "{whole} {broken}: the mutations test nothing");
}

type Seen = Arc<Mutex<HashMap<String, Vec<(String, Vec<u8>)>>>>;

/// Requests of one connection.
const EACH: usize = 5;

/// The bytes of the connection of this number: sound requests, then spoilt ones.
fn bytes_of(number: u32) -> Vec<u8> {
    let mut chance = Chance::new(seed() ^ (u64::from(number) << 32));
    let spoilt = chance.below(EACH);
    let mut bytes = Vec::new();
    for position in 0..EACH {
        let mut one = sound(&mut chance);
        if position >= spoilt {
            spoil(&mut chance, &mut one);
        }
        bytes.extend(one);
    }
    bytes
}

/// Each connection has an address of its own, by which the proxy names it to the upstream whatever
/// its bytes say.
fn address_of(number: u32) -> Ipv4Addr {
    let [_, b, c, d] = number.to_be_bytes();
    Ipv4Addr::new(127, 1 + b, c, d)
}

fn number_of(address: &str) -> u32 {
    let [_, b, c, d] = address.parse::<Ipv4Addr>().unwrap().octets();
    u32::from_be_bytes([0, b - 1, c, d])
}

/// Sends a connection's bytes and closes that half; what comes back.
async fn send(front: SocketAddr, number: u32) -> Vec<u8> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((address_of(number), 0).into()).unwrap();
    let mut stream = socket.connect(front).await.unwrap();
    let _ = stream.write_all(&bytes_of(number)).await;
    let _ = stream.shutdown().await;
    let mut back = Vec::new();
    let _ = stream.read_to_end(&mut back).await;
    back
}

/// Whether a request that the grammar accepts is one that the proxy sends to an upstream.
fn goes_up(request: &grammar::Request) -> bool {
    let target = String::from_utf8(request.target.clone()).unwrap();
    let path = match target.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |at| &rest[at..]),
        None => &target,
    };
    path::segments(path.split('?').next().unwrap()).is_ok()
}

#[test]
fn upstreams_get_the_bytes_of_accepted_requests_and_nobody_elses() {
    run_long(async {
        let seen: Seen = Arc::default();
        let noted = seen.clone();
        let upstream = Upstream::new(move |request| {
            let from = field(&request.head, "x-forwarded-for").unwrap();
            let line = request.head.lines().next().unwrap().to_owned();
            noted.lock().unwrap().entry(from.clone()).or_default().push((line, request.body));
            let length = if request.head.starts_with("HEAD ") { String::new() } else { from };
            Reply::Say(crate::world::ok(&length))
        })
        .await;
        let world = World::with_hub(Upstream::new(|_| Reply::Say(crate::world::ok("hub"))).await);
        let world = world.await;
        let record = serde_json::json!({"target": upstream.url()});
        assert_eq!(world.api_json("POST", "/api/routes/user", &record).await.status, 201);
        let front = world.proxy.front;
        let total = share(20_000, 1_000_000);
        let (mut arrived, mut refused) = (0, 0);
        let mut count = |(up, down): (usize, usize)| {
            arrived += up;
            refused += down;
        };
        let mut tasks = JoinSet::new();
        for number in 0..u32::try_from(total / EACH).unwrap() {
            tasks.spawn(async move { (number, send(front, number).await) });
            if tasks.len() >= 32 {
                let (number, back) = tasks.join_next().await.unwrap().unwrap();
                count(check(&seen, number, &back));
            }
        }
        while let Some(done) = tasks.join_next().await {
            let (number, back) = done.unwrap();
            count(check(&seen, number, &back));
        }
        // A connection may break before its last request has arrived.
        let late: Vec<String> = seen.lock().unwrap().keys().cloned().collect();
        for address in late {
            count(check(&seen, number_of(&address), b""));
        }
        assert!(arrived > total / 10 && refused > total / 50, "{arrived} {refused} of {total}");
        // And it serves on.
        assert_eq!(world.get("/user/alice/x", "").await.status, 200);
    });
}

/// What arrived of one connection is, in order, what the grammar accepts of it, and what came back
/// is for it. Returns how many requests arrived and whether one was refused.
fn check(seen: &Seen, number: u32, back: &[u8]) -> (usize, usize) {
    let (from, bytes) = (address_of(number), bytes_of(number));
    let shown = || format!("{from}: {:?}", String::from_utf8_lossy(&bytes));
    let arrived = seen.lock().unwrap().remove(&from.to_string()).unwrap_or_default();
    let (requests, _) = grammar::requests(&bytes);
    let mut accepted = requests.iter().filter(|request| goes_up(request));
    for (line, body) in &arrived {
        let found = accepted.any(|request| {
            let method = std::str::from_utf8(&request.method).unwrap();
            line.starts_with(&format!("{method} ")) && request.body == *body
        });
        assert!(found, "{line} with {body:?} is no accepted request of {}", shown());
    }
    let back = String::from_utf8_lossy(back);
    // Bodies of the upstream name the address whose request they answer.
    for word in back.split(|c: char| !(c.is_ascii_digit() || c == '.')) {
        if word.starts_with("127.") && word.matches('.').count() == 3 {
            assert!(word.starts_with(&from.to_string()), "{word} came back to {}", shown());
        }
    }
    (arrived.len(), usize::from(back.contains("HTTP/1.1 400")))
}
