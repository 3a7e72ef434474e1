//! Attacks from inside a real container on this machine and its private networks.
//!
//! Needs nftables, and root.

use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener};
use std::process::Command;
use std::sync::Arc;

use berth_common::ServerId;
use berth_common::link::ObservedState;
use serde_json::Value;

use super::docker::{IMAGE, docker, image};
use super::site::{Ca, Host, Hub, run, server_id, spec};

fn sh(script: &str) -> String {
    let output = Command::new("sh").args(["-ec", script]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}: {said}\nIs nftables installed?");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Something that answers every connection; its port.
fn answers(address: &str) -> u16 {
    let listener = TcpListener::bind((address, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            // An end before the question was read would be a reset.
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nin");
        }
    });
    port
}

/// A machine of a private network behind this one.
struct Farm {
    name: String,
    address: String,
}

impl Farm {
    fn new() -> Self {
        let (name, net) = (format!("f{:07x}", rand::random::<u32>() >> 4), rand::random::<u16>());
        let net = format!("10.{}.{}", 128 + (net >> 9), net & 0xff);
        let address = format!("{net}.2");
        sh(&format!(
            "export PATH=$PATH:/sbin:/usr/sbin
             ip netns add {name}
             ip link add {name} type veth peer name inside netns {name}
             ip addr add {net}.1/30 dev {name}; ip link set {name} up
             ip -n {name} addr add {address}/30 dev inside
             ip -n {name} link set inside up; ip -n {name} link set lo up
             for port in 4001 4002; do
                 ip netns exec {name} busybox httpd -p {address}:$port -h /usr/share; done"
        ));
        Self { name, address }
    }
}

impl Drop for Farm {
    fn drop(&mut self) {
        let name = &self.name;
        let script = format!(
            "PATH=$PATH:/sbin:/usr/sbin; kill $(ip netns pids {name}); ip netns del {name}"
        );
        let _ = Command::new("sh").args(["-c", &script]).output();
    }
}

struct Wall {
    table: String,
}

impl Wall {
    fn of(host: &Host) -> Self {
        Self { table: format!("inet berth_{}", host.name) }
    }

    fn rules(&self) -> Value {
        serde_json::from_str(&sh(&format!("/usr/sbin/nft -j list table {}", self.table))).unwrap()
    }

    /// Packets under a false address that were thrown away.
    fn false_packets(&self) -> u64 {
        let rules = self.rules();
        let parts = rules["nftables"].as_array().unwrap().iter();
        let parts = parts.flat_map(|it| it["rule"]["expr"].as_array().cloned().unwrap_or_default());
        parts.filter_map(|part| part["counter"]["packets"].as_u64()).sum()
    }
}

impl Drop for Wall {
    fn drop(&mut self) {
        let script = format!("/usr/sbin/nft delete table {}", self.table);
        let _ = Command::new("sh").args(["-c", &script]).output();
    }
}

async fn site(firewall: &str) -> (Hub, Host) {
    image();
    let hub = Hub::start(Arc::new(Ca::new())).await;
    let host = Host::joined(&hub).await;
    let text = std::fs::read_to_string(&host.config).unwrap();
    std::fs::write(&host.config, format!("{text}\n[firewall]\n{firewall}\n")).unwrap();
    (hub, host)
}

async fn ready(hub: &Hub, host: &Host, user: &str) -> ServerId {
    let (server, home) = (server_id(), host.home(user, 20_001, 30_001));
    hub.say(&server, 1, run(spec(IMAGE, &home)));
    hub.sees(&server, "ready", |state| *state == ObservedState::Ready).await;
    server
}

/// Whether a server reaches a place.
fn reaches(host: &Host, server: &ServerId, place: &str, port: u16) -> bool {
    let name = format!("berth.{}.{server}", host.name);
    let ask = format!("printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 3 {place} {port}");
    let output = Command::new("docker").args(["exec", &name, "sh", "-c", &ask]).output().unwrap();
    // Any answer of a web server is one.
    output.stdout.starts_with(b"HTTP/1.")
}

fn gateway(host: &Host) -> IpAddr {
    let network = format!("berth-{}", host.name);
    let format = "{{range .IPAM.Config}}{{.Gateway}}{{end}}";
    docker(&["network", "inspect", "-f", format, &network]).parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_reach_what_is_allowed_and_nothing_else() {
    let farm = Farm::new();
    let (api, other) = (answers("0.0.0.0"), answers("0.0.0.0"));
    let (hub, host) = site("mode = \"off\"").await;
    let wall = Wall::of(&host);
    let mut open = host.agent();
    let server = ready(&hub, &host, "alice").await;
    let address = gateway(&host).to_string();
    // Without it all of this is open: what is refused below is refused by the firewall.
    for (place, port) in
        [(address.as_str(), api), (&address, other), (&farm.address, 4001), (&farm.address, 4002)]
    {
        assert!(reaches(&host, &server, place, port), "{place}:{port} is closed by something else");
    }

    open.kill().await.unwrap();
    let allow = format!(
        "mode = \"required\"\nallow = [{{ to = \"gateway\", ports = \"{api}\" }}, \
         {{ to = \"{}\", ports = \"4000-4001\" }}]",
        farm.address
    );
    let text = std::fs::read_to_string(&host.config).unwrap();
    std::fs::write(&host.config, text.replace("mode = \"off\"", &allow)).unwrap();
    let _agent = host.agent();
    // A second start is made behind the wall only.
    ready(&hub, &host, "bob").await;
    assert!(reaches(&host, &server, &address, api), "the API");
    assert!(reaches(&host, &server, &farm.address, 4001), "the farm");
    assert!(!reaches(&host, &server, &address, other), "another port of the host");
    assert!(!reaches(&host, &server, &farm.address, 4002), "another port of the farm");
    let elsewhere = sh("ip -4 -o addr show docker0 | sed 's/.* inet //; s,/.*,,'");
    assert!(!reaches(&host, &server, &elsewhere, api), "another address of the host");
    for metadata in ["169.254.169.254", "100.100.100.200"] {
        assert!(!reaches(&host, &server, metadata, 80), "{metadata}");
    }

    // Under a false address, as root with rights that no server has.
    let network = format!("berth-{}", host.name);
    let send = format!(
        "busybox ip addr add 10.99.99.99/32 dev eth0
         busybox ip route change default via {address} src 10.99.99.99
         nc -w 1 {} {api}; true",
        farm.address
    );
    let before = wall.false_packets();
    docker(&[
        "run",
        "--rm",
        "--network",
        &network,
        "--cap-add",
        "NET_ADMIN",
        "--entrypoint",
        "sh",
        IMAGE,
        "-c",
        &send,
    ]);
    assert!(wall.false_packets() > before, "a packet under a false address got through");

    // Somebody flushes the rules: the next start is behind the wall again.
    let rules = wall.rules();
    sh(&format!("/usr/sbin/nft flush table {}", wall.table));
    assert!(reaches(&host, &server, &address, other));
    ready(&hub, &host, "carol").await;
    assert!(!reaches(&host, &server, &address, other));
    assert_eq!(
        rules["nftables"].as_array().unwrap().len(),
        wall.rules()["nftables"].as_array().unwrap().len()
    );
    let output = host.output(&["check"]).await;
    let said = super::site::text(&output);
    assert!(
        said.contains(&format!("ok    firewall: the table berth_{} is there", host.name)),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_firewall_that_is_required_nothing_starts() {
    let (hub, host) = site("mode = \"required\"\nnft = \"/nonexistent/nft\"").await;
    let _agent = host.agent();
    let (server, home) = (server_id(), host.home("alice", 20_001, 30_001));
    hub.say(&server, 1, run(spec(IMAGE, &home)));
    let refused = |state: &ObservedState| {
        matches!(state, ObservedState::Failed(ending) if ending.detail.contains(
            "This host's firewall is not in place: nft cannot be run"))
    };
    hub.sees(&server, "a refusal", refused).await;
    let said = super::site::text(&host.output(&["check"]).await);
    assert!(said.contains("WRONG firewall: nft cannot be run"), "{said}");
    assert!(said.contains("no server is started without it"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn version_6_is_no_way_around() {
    let (api, other) = (answers("::"), answers("::"));
    let (hub, host) = site("mode = \"off\"").await;
    let wall = Wall::of(&host);
    // A network as the agent makes it, with version 6 as well: an administrator may have done so.
    let net = format!("fd{:02x}:{:x}", rand::random::<u8>(), rand::random::<u16>());
    let (gateway, label) = (format!("{net}::1"), format!("berth.host={}", host.name));
    let (network, subnet) = (format!("berth-{}", host.name), format!("{net}::/64"));
    let closed = "com.docker.network.bridge.enable_icc=false";
    docker(
        &[
            ["network", "create", "--ipv6", "--subnet", &subnet].as_slice(),
            &["--label", &label, "-o", closed, &network],
        ]
        .concat(),
    );
    let farm = Farm::new();
    let behind = format!("fd{:02x}:{:x}", rand::random::<u8>(), rand::random::<u16>());
    let machine = format!("{behind}::2");
    sh(&format!(
        "export PATH=$PATH:/sbin:/usr/sbin; name={}
         ip -6 addr add {behind}::1/64 dev $name nodad
         ip -n $name -6 addr add {machine}/64 dev inside nodad
         ip -n $name -6 route add default via {behind}::1
         for port in 4001 4002; do
             ip netns exec $name busybox httpd -p [{machine}]:$port -h /usr/share; done",
        farm.name
    ));
    let mut open = host.agent();
    let server = ready(&hub, &host, "alice").await;
    for (place, port) in [(&gateway, api), (&gateway, other), (&machine, 4001), (&machine, 4002)] {
        assert!(reaches(&host, &server, place, port), "{place}:{port} is closed by something else");
    }

    open.kill().await.unwrap();
    let allow = format!(
        "mode = \"required\"\nallow = [{{ to = \"{gateway}\", ports = \"{api}\" }}, \
         {{ to = \"{behind}::/64\", ports = \"4001\" }}]"
    );
    let text = std::fs::read_to_string(&host.config).unwrap();
    std::fs::write(&host.config, text.replace("mode = \"off\"", &allow)).unwrap();
    let _agent = host.agent();
    ready(&hub, &host, "bob").await;
    assert!(reaches(&host, &server, &gateway, api), "the API");
    assert!(reaches(&host, &server, &machine, 4001), "the farm");
    for (place, port) in [
        (gateway.as_str(), other),
        (&format!("{behind}::1"), api),
        (&machine, 4002),
        ("fd00:ec2::254", 80),
    ] {
        assert!(!reaches(&host, &server, place, port), "{place}:{port}");
    }

    // Under a false address. The first packet, under its own, learns the gateway's neighbour.
    let send = format!(
        "nc -w 2 {machine} 4001 </dev/null
         busybox ip -6 addr add fd99::99/128 dev eth0
         busybox ip -6 route change default via {gateway} dev eth0 src fd99::99
         nc -w 2 {machine} 4001 </dev/null; true"
    );
    let before = wall.false_packets();
    let root = ["run", "--rm", "--network", &network, "--cap-add", "NET_ADMIN"];
    docker(&[root.as_slice(), &["--entrypoint", "sh", IMAGE, "-c", &send]].concat());
    assert!(wall.false_packets() > before, "a packet under a false address got through");
}
