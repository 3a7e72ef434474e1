//! How much one client and one route may have at once, so that nobody takes the proxy from the
//! others. The defaults are far above what people do: a whole site may stand behind one address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Deserialize;

use crate::route::Live;

/// The numbers, as the configuration names them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Numbers {
    /// Connections of all clients. Each may need a second one to an upstream, so it is at most half
    /// of the descriptors that the system allows.
    pub connections: Option<usize>,
    /// Connections of one client address.
    pub client_connections: usize,
    /// Websockets of one client address.
    pub client_websockets: usize,
    /// Requests under way of one client address.
    pub client_requests: usize,
    /// Websockets of one route.
    pub route_websockets: usize,
    /// Requests under way of one route.
    pub route_requests: usize,
    /// A body that comes slower than so many bytes a second, over half a minute in which the proxy
    /// waits for it, is broken off.
    pub body_bytes_per_second: u64,
}

impl Default for Numbers {
    fn default() -> Self {
        Self {
            connections: None,
            client_connections: 10_000,
            client_websockets: 10_000,
            client_requests: 4_000,
            route_websockets: 10_000,
            route_requests: 4_000,
            body_bytes_per_second: 240,
        }
    }
}

/// Who has too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Excess {
    /// The client's address.
    Client,
    /// The route.
    Route,
}

/// What one client address has.
#[derive(Debug, Default)]
pub struct Client {
    connections: AtomicUsize,
    websockets: AtomicUsize,
    requests: AtomicUsize,
}

/// The limits and what counts against them.
#[derive(Debug)]
pub struct Limits {
    numbers: Numbers,
    most: usize,
    connections: Arc<AtomicUsize>,
    clients: Mutex<HashMap<IpAddr, Arc<Client>>>,
}

/// A number that is up for as long as this lives.
#[derive(Debug)]
struct Up(Arc<AtomicUsize>);

/// An open connection of a client.
#[derive(Debug)]
pub struct Connection {
    _all: Up,
    /// Whose it is, by the other end's address.
    pub client: Arc<Client>,
}

/// A request or websocket under way.
#[derive(Debug)]
pub struct Passage {
    client: Arc<Client>,
    live: Arc<Live>,
    websocket: bool,
}

impl Limits {
    /// With these numbers.
    pub fn new(numbers: Numbers) -> Self {
        let half = usize::try_from(raise_descriptors() / 2).unwrap_or(usize::MAX);
        let most = numbers.connections.unwrap_or(half).min(half);
        Self { numbers, most, connections: Arc::default(), clients: Mutex::default() }
    }

    /// A client's address connects. Proxies before this one have only the limit of all.
    pub fn connection(&self, peer: IpAddr, trusted: bool) -> Option<Connection> {
        let all = up(&self.connections, self.most)?;
        let client = self.client(peer);
        let most = if trusted { usize::MAX } else { self.numbers.client_connections };
        if client.connections.fetch_add(1, Ordering::Relaxed) >= most {
            client.connections.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Connection { _all: all, client })
    }

    /// What this address has.
    pub fn client(&self, address: IpAddr) -> Arc<Client> {
        self.clients().entry(network(address)).or_default().clone()
    }

    /// A request of a client to a route.
    ///
    /// # Errors
    /// Says who has too much.
    pub fn pass(
        &self,
        client: &Arc<Client>,
        live: &Arc<Live>,
        websocket: bool,
    ) -> Result<Passage, Excess> {
        let numbers = &self.numbers;
        let (clients, routes) = if websocket {
            (numbers.client_websockets, numbers.route_websockets)
        } else {
            (numbers.client_requests, numbers.route_requests)
        };
        let passage = Passage { client: client.clone(), live: live.clone(), websocket };
        let (of_client, of_route) = passage.counts();
        let before =
            (of_client.fetch_add(1, Ordering::Relaxed), of_route.fetch_add(1, Ordering::Relaxed));
        if before.0 >= clients {
            return Err(Excess::Client);
        }
        if before.1 >= routes {
            return Err(Excess::Route);
        }
        Ok(passage)
    }

    /// The slowest body, in bytes a second.
    pub fn body_bytes_per_second(&self) -> u64 {
        self.numbers.body_bytes_per_second
    }

    /// Forgets addresses that have nothing.
    pub fn sweep(&self) {
        self.clients().retain(|_, client| Arc::strong_count(client) > 1);
    }

    fn clients(&self) -> MutexGuard<'_, HashMap<IpAddr, Arc<Client>>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Passage {
    fn counts(&self) -> (&AtomicUsize, &AtomicUsize) {
        if self.websocket {
            (&self.client.websockets, &self.live.websockets)
        } else {
            (&self.client.requests, &self.live.in_flight)
        }
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        let (of_client, of_route) = self.counts();
        of_client.fetch_sub(1, Ordering::Relaxed);
        of_route.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.client.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn up(count: &Arc<AtomicUsize>, most: usize) -> Option<Up> {
    let before = count.fetch_add(1, Ordering::Relaxed);
    let up = Up(count.clone());
    (before < most).then_some(up)
}

/// One client of IPv6 has a network of 64 bits to itself.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let bits = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from(bits))
        }
        address => address,
    }
}

/// Takes all the descriptors that the system allows, and says how many.
fn raise_descriptors() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    // A unit of systemd that forbids the call has mostly set both alike. Refused, the old one stands.
    if limit.current != limit.maximum {
        let _ = setrlimit(Resource::Nofile, raised);
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use berth_common::Timestamp;

    use super::*;

    fn limits() -> Limits {
        Limits::new(Numbers {
            connections: Some(3),
            client_connections: 2,
            client_websockets: 2,
            client_requests: 2,
            route_websockets: 1,
            route_requests: 3,
            body_bytes_per_second: 1,
        })
    }

    #[test]
    fn connections_are_limited_by_address_and_in_all_and_come_free() {
        let limits = limits();
        let from = |text: &str| limits.connection(text.parse().unwrap(), false);
        let first = from("192.0.2.1").unwrap();
        let _second = from("::ffff:192.0.2.1").unwrap();
        assert!(from("192.0.2.1").is_none());
        let third = from("2001:db8::1").unwrap();
        assert!(from("192.0.2.9").is_none(), "of all");
        drop(first);
        assert!(from("192.0.2.1").is_some());
        drop(third);
        let one = from("2001:db8::1").unwrap();
        let other = from("2001:db8::2").unwrap();
        assert_eq!(limits.clients().len(), 2, "a network of IPv6 is one client");
        drop((one, other));
        limits.sweep();
        assert_eq!(limits.clients().len(), 1);
    }

    #[test]
    fn a_trusted_proxy_has_only_the_limit_of_all() {
        let limits = limits();
        let from = || limits.connection("192.0.2.1".parse().unwrap(), true);
        let held = [from(), from(), from()];
        assert!(held.iter().all(Option::is_some));
        assert!(from().is_none());
    }

    #[test]
    fn requests_and_websockets_are_counted_apart() {
        let limits = limits();
        let client = |text: &str| limits.client(text.parse().unwrap());
        let (one, other) = (client("192.0.2.1"), client("192.0.2.2"));
        let live = Live::new(Timestamp(0));
        let held = [limits.pass(&one, &live, false), limits.pass(&one, &live, false)];
        assert!(held.iter().all(Result::is_ok));
        assert_eq!(limits.pass(&one, &live, false).unwrap_err(), Excess::Client);
        let _third = limits.pass(&other, &live, false).unwrap();
        assert_eq!(limits.pass(&other, &live, false).unwrap_err(), Excess::Route);
        let socket = limits.pass(&one, &live, true).unwrap();
        assert_eq!(limits.pass(&one, &live, true).unwrap_err(), Excess::Route);
        drop(socket);
        assert!(limits.pass(&one, &live, true).is_ok());
        drop(held);
        assert!(limits.pass(&one, &live, false).is_ok());
    }
}
