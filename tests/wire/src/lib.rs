//! The link between hub and agents on a simulated network: the real link port with its driver and
//! store, the real dialling, joining and renewing, the real TLS and gRPC between them. Hosts are
//! the agent's fake ones. Time is simulated and one seed decides everything, so that the same seed
//! gives the same [`transcript`].

pub mod clock;
pub mod host;
pub mod hub;
pub mod network;
pub mod shared;
pub mod site;
pub mod transcript;
