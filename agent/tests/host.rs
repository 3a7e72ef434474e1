//! The real program on this machine: joining, the link, the tunnel, and the Docker Engine.
//!
//! Needs a Docker Engine (`examples/engine up`) and root; without them it fails, loudly.

mod host {
    pub mod advisories;
    pub mod crash;
    pub mod docker;
    pub mod engine;
    pub mod firewall;
    pub mod gpus;
    pub mod images;
    pub mod join;
    pub mod lab;
    pub mod life;
    pub mod memory;
    pub mod nvml;
    pub mod scenarios;
    pub mod site;
    pub mod soon;
    pub mod spaces;
    pub mod status;
    pub mod troubles;
    pub mod tunnel;
}
