//! The wire and nothing but the wire: the messages between hub, agent, tunnel and proxy, their
//! conversion to and from the types of `berth-common`, and mutual TLS for both ends.

pub mod convert;
pub mod frame;
pub mod guests;
pub mod identity;
pub mod tls;

/// Messages and services of `link.proto`.
#[allow(missing_docs, clippy::all)]
pub mod link {
    tonic::include_proto!("berth.link.v1");
}

/// Messages of `tunnel.proto`.
#[allow(missing_docs, clippy::all)]
pub mod tunnel {
    tonic::include_proto!("berth.tunnel.v1");
}

/// Version of the tunnel's preamble.
pub const TUNNEL_VERSION: u32 = 1;
