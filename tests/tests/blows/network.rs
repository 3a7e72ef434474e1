//! Five hosts in network namespaces of their own, each on a cable to the hub that can be cut in
//! either direction, and loses packets. All of it goes with the value.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};

use super::site::{Place, answerer};

/// What happens to packets between a host and the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cable {
    Whole,
    /// Nothing leaves the host.
    CutOutwards,
    /// Nothing reaches the host.
    CutInwards,
    Cut,
    /// Three of ten packets are lost, in both directions.
    Loses,
}

/// The hosts' network.
pub struct Network {
    namespaces: Vec<String>,
    /// Where the hosts are.
    pub places: Vec<Place>,
    /// The hub listens for agents here.
    pub link: SocketAddr,
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}: tests/run installs it"));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {}: {told}", arguments.join(" "));
}

impl Network {
    /// Makes it. Needs root.
    pub async fn new(hosts: u8) -> Self {
        let everywhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let free = std::net::TcpListener::bind(everywhere).unwrap().local_addr().unwrap().port();
        let answers = answerer(everywhere).await.port();
        let process = std::process::id();
        let [.., high, low] = process.to_be_bytes();
        let mut network = Self {
            namespaces: Vec::new(),
            places: Vec::new(),
            link: (Ipv4Addr::UNSPECIFIED, free).into(),
        };
        for host in 0..hosts {
            // 198.18.0.0/15 is for tests of networks (RFC 2544).
            let address = |last: u8| Ipv4Addr::new(198, 18 + (high & 1), low, host * 4 + last);
            let (namespace, cable) =
                (format!("berth-{process}-{host}"), format!("bt{process}-{host}"));
            run("ip", &["netns", "add", &namespace]);
            network.namespaces.push(namespace.clone());
            let peer = ["peer", "name", "eth0", "netns", &namespace];
            run("ip", &[&["link", "add", &cable, "type", "veth"], &peer[..]].concat());
            run("ip", &["addr", "add", &format!("{}/30", address(1)), "dev", &cable]);
            run("ip", &["link", "set", &cable, "up"]);
            let inside = |words: &[&str]| run("ip", &[&["-n", &namespace], words].concat());
            inside(&["addr", "add", &format!("{}/30", address(2)), "dev", "eth0"]);
            inside(&["link", "set", "eth0", "up"]);
            inside(&["link", "set", "lo", "up"]);
            network.places.push(Place {
                tunnel: (address(2), 8444).into(),
                hub: (address(1), free).into(),
                answers: (address(1), answers).into(),
                namespace: Some(namespace),
            });
        }
        network
    }

    /// From now on a host's cable is so.
    pub fn set(&self, host: usize, cable: Cable) {
        let (out, into) = match cable {
            Cable::Whole => ("accept", "accept"),
            Cable::CutOutwards => ("drop", "accept"),
            Cable::CutInwards => ("accept", "drop"),
            Cable::Cut => ("drop", "drop"),
            Cable::Loses => ("numgen random mod 100 < 30 drop", "numgen random mod 100 < 30 drop"),
        };
        let rules = format!(
            "table inet blow {{}}\ndelete table inet blow\ntable inet blow {{\n\
             chain out {{ type filter hook output priority 0; {out}; }}\n\
             chain into {{ type filter hook input priority 0; {into}; }}\n}}\n"
        );
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("rules");
        std::fs::write(&file, rules).unwrap();
        let nft = ["nft", "-f", file.to_str().unwrap()];
        run("ip", &[&["netns", "exec", &self.namespaces[host]], &nft[..]].concat());
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for namespace in &self.namespaces {
            // The cable goes with one of its ends.
            let delete = ["netns", "del", namespace];
            let _ = Command::new("ip").args(delete).stderr(Stdio::null()).status();
        }
    }
}
