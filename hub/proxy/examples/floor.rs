//! The kernel's limit, beside which `tests/bench/proxy` holds the proxy: a relay that knows no HTTP.
//! One thread a core, one wait for many messages, one read and one write for each, nothing else.
//! What is faster than this makes other system calls, not fewer instructions.
//!
//! It is no proxy: small messages only, one target, and a connection that breaks is left to its end.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

/// As many as nginx takes from one wait.
const EVENTS: usize = 512;

/// More than a message or a head of the benchmark.
const PIECE: usize = 16 * 1024;

/// Both ends of one connection.
type Pair = Arc<[TcpStream; 2]>;

/// What one thread carries, and where it waits.
struct Lane {
    epoll: rustix::fd::OwnedFd,
    pairs: Mutex<Vec<Pair>>,
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [listen, target] = words.as_slice() else { panic!("floor LISTEN TARGET") };
    let lanes: Vec<Arc<Lane>> = (0..thread::available_parallelism().unwrap().get())
        .map(|_| {
            let epoll = epoll::create(CreateFlags::CLOEXEC).unwrap();
            let lane = Arc::new(Lane { epoll, pairs: Mutex::default() });
            thread::spawn({
                let lane = lane.clone();
                move || carry(&lane)
            });
            lane
        })
        .collect();
    let listener = TcpListener::bind(listen).unwrap();
    for lane in lanes.iter().cycle() {
        let client = listener.accept().unwrap().0;
        let server = TcpStream::connect(target).unwrap();
        let pair = Arc::new([client, server]);
        let mut pairs = lane.pairs.lock().unwrap();
        let number = pairs.len() as u64;
        pairs.push(pair.clone());
        drop(pairs);
        for (side, stream) in (0..).zip(pair.iter()) {
            stream.set_nodelay(true).unwrap();
            stream.set_nonblocking(true).unwrap();
            let data = EventData::new_u64(number * 2 + side);
            epoll::add(&lane.epoll, stream, data, EventFlags::IN | EventFlags::ET).unwrap();
        }
    }
}

fn carry(lane: &Lane) {
    let mut pairs: Vec<Pair> = Vec::new();
    let mut events = Vec::with_capacity(EVENTS);
    let mut piece = vec![0; PIECE];
    loop {
        events.clear();
        match epoll::wait(&lane.epoll, spare_capacity(&mut events), None) {
            Err(rustix::io::Errno::INTR) => continue,
            waited => waited.unwrap(),
        };
        for event in &events {
            let data = event.data.u64();
            let (number, side) = (usize::try_from(data / 2).unwrap(), data % 2);
            if number >= pairs.len() {
                pairs.clone_from(&lane.pairs.lock().unwrap());
            }
            let [client, server] = &*pairs[number];
            let (mut from, mut to) = if side == 0 { (client, server) } else { (server, client) };
            loop {
                match from.read(&mut piece) {
                    Ok(0) => {
                        // A shutdown is an event too: both ends would wake each other for ever.
                        epoll::delete(&lane.epoll, from).unwrap();
                        let _ = to.shutdown(std::net::Shutdown::Write);
                        break;
                    }
                    Ok(count) => {
                        let _ = to.write_all(&piece[..count]);
                        // Edge-triggered: less than there was room for is all there was.
                        if count < PIECE {
                            break;
                        }
                    }
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(_) => break,
                }
            }
        }
    }
}
