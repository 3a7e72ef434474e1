//! TCP connections as we want them: small messages at once, dead peers found, live ones kept.

use std::os::fd::AsFd;
use std::time::Duration;

use rustix::net::sockopt;
use tokio::net::TcpStream;

/// Long enough that a cut that heals within the kernel's retransmissions costs nothing.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// Sets no-delay and keep-alive. A socket that refuses them still carries bytes, so that is not
/// an error.
pub fn tune(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    let _ = sockopt::set_socket_keepalive(stream, true);
    let _ = sockopt::set_tcp_keepidle(stream, KEEP_ALIVE);
    let _ = sockopt::set_tcp_keepintvl(stream, KEEP_ALIVE);
}

/// Has the kernel ask every `interval` whether a peer that has said its last is still there.
pub fn watch_closely(stream: &impl AsFd, interval: Duration) {
    let _ = sockopt::set_tcp_keepintvl(stream, interval);
    let _ = sockopt::set_tcp_keepidle(stream, interval);
}
