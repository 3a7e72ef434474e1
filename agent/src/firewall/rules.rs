//! The table as nftables' JSON, made of the configuration. No I/O but for the list of name servers.

use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::Path;
use std::str::FromStr;

use serde_json::{Value, json};

use super::Bridge;
use crate::config::{Allow, Farm, Place};

/// Addresses that are no public ones: private, shared, local, documentation and benchmarks, several
/// receivers; the cloud's metadata is among the link-local ones.
const PRIVATE: [&str; 10] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "224.0.0.0/4",
    "240.0.0.0/4",
];

/// The same of version 6, and those that lead to addresses of version 4.
const PRIVATE_6: [&str; 6] =
    ["::/127", "::ffff:0:0/96", "64:ff9b::/96", "fc00::/7", "fe80::/10", "ff00::/8"];

/// A range of addresses, e.g. `10.1.0.0/16`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefix {
    address: IpAddr,
    length: u8,
}

impl FromStr for Prefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{text}\" is no address, write e.g. \"10.1.0.0/16\"");
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let length = match length {
            Some(length) => length.parse().ok().filter(|it| *it <= most).ok_or_else(wrong)?,
            None => most,
        };
        Ok(Self { address, length })
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

impl From<IpAddr> for Prefix {
    fn from(address: IpAddr) -> Self {
        Self { address, length: if address.is_ipv4() { 32 } else { 128 } }
    }
}

impl Prefix {
    fn protocol(self) -> &'static str {
        if self.address.is_ipv4() { "ip" } else { "ip6" }
    }

    fn json(self) -> Value {
        json!({ "prefix": { "addr": self.address.to_string(), "len": self.length } })
    }
}

/// The name servers of the host.
pub fn name_servers(file: &Path) -> Vec<IpAddr> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let named = text.lines().filter_map(|line| line.strip_prefix("nameserver"));
    let addresses = named.filter_map(|rest| rest.trim().parse::<IpAddr>().ok());
    addresses.filter(|address| !address.is_loopback()).collect()
}

/// The document that removes the table.
pub fn removal(table: &str) -> Value {
    let it = json!({ "table": { "family": "inet", "name": table } });
    // Deleting what is not there is an error, adding what is there is none.
    json!({ "nftables": [{ "add": it }, { "delete": it }] })
}

/// The document that makes the table, in place of one that may be there.
pub fn table(
    name: &str,
    bridge: &Bridge,
    allow: &[Allow],
    names: &[IpAddr],
    farm: Option<&Farm>,
) -> Value {
    let it = json!({ "table": { "family": "inet", "name": name } });
    let mut document = vec![json!({ "add": it }), json!({ "delete": it }), json!({ "add": it })];
    for (chain, hook) in [("to_host", "input"), ("through", "forward")] {
        // Before Docker's own chains, which are at the priority 0.
        document.push(json!({ "add": { "chain": {
            "family": "inet", "table": name, "name": chain,
            "type": "filter", "hook": hook, "prio": -10, "policy": "accept",
        } } }));
        for rule in chain_rules(chain, bridge, allow, names, farm) {
            document.push(json!({ "add": { "rule": {
                "family": "inet", "table": name, "chain": chain, "expr": rule,
            } } }));
        }
    }
    json!({ "nftables": document })
}

/// The rules of a chain, in their order. Those about the bridge begin with its name.
fn chain_rules(
    chain: &str,
    bridge: &Bridge,
    allow: &[Allow],
    names: &[IpAddr],
    farm: Option<&Farm>,
) -> Vec<Vec<Value>> {
    let from = meta("iifname", json!(bridge.interface));
    let mut rules: Vec<Vec<Value>> = Vec::new();
    let mut rule = |parts: Vec<Value>, verdict: Value| {
        rules.push(std::iter::once(from.clone()).chain(parts).chain([verdict]).collect());
    };
    if chain == "to_host" {
        // Neighbours are asked for by link-local addresses; without that there is no version 6.
        let asks = json!(["nd-neighbor-solicit", "nd-neighbor-advert"]);
        rule(vec![payload("icmpv6", "type", json!({ "set": asks }))], accept());
    }
    for (protocol, is_own) in
        [("ip", IpAddr::is_ipv4 as fn(&IpAddr) -> bool), ("ip6", IpAddr::is_ipv6)]
    {
        // Under another address than a container's own: nothing. Counted, since it is an attack.
        let own = bridge.subnets.iter().filter(|subnet| is_own(&subnet.address));
        let mut parts: Vec<Value> =
            own.map(|subnet| unlike(protocol, "saddr", subnet.json())).collect();
        if parts.is_empty() {
            parts.push(meta("nfproto", json!(if protocol == "ip" { "ipv4" } else { "ipv6" })));
        }
        parts.push(json!({ "counter": null }));
        rule(parts, json!({ "drop": null }));
    }
    let known = json!({ "match": {
        "op": "in", "left": { "ct": { "key": "state" } }, "right": ["established", "related"],
    } });
    rule(vec![known], accept());
    // The farm's ports are the farm's: whatever is allowed, no container reaches another by them.
    if let Some(farm) = farm {
        rule(
            vec![to_address(Prefix::from(farm.address)), ports("tcp", &farm.port_range)],
            reject(),
        );
    }
    for entry in allow {
        let Some(to) = place(&entry.to, bridge) else { continue };
        rule(vec![to_address(to), ports("tcp", &entry.ports)], accept());
    }
    for name in names {
        for transport in ["tcp", "udp"] {
            rule(vec![to_address(Prefix::from(*name)), ports(transport, &(53..=53))], accept());
        }
    }
    if chain == "to_host" {
        rule(Vec::new(), reject());
        return rules;
    }
    for (protocol, ranges) in [("ip", &PRIVATE[..]), ("ip6", &PRIVATE_6[..])] {
        let ranges: Vec<_> =
            ranges.iter().filter_map(|it| Some(it.parse::<Prefix>().ok()?.json())).collect();
        rule(vec![payload(protocol, "daddr", json!({ "set": ranges }))], reject());
    }
    // What is published for the farm has the same port here, behind the address translation.
    if let Some(farm) = farm {
        for network in &farm.networks {
            let from = payload(network.protocol(), "saddr", network.json());
            let into = meta("oifname", json!(bridge.interface));
            rules.push(vec![into, from, ports("tcp", &farm.port_range), accept()]);
        }
    }
    // A neighbour of the host could send packets to containers, though no port is published.
    let into = meta("oifname", json!(bridge.interface));
    let new = json!({ "match": {
        "op": "in", "left": { "ct": { "key": "state" } }, "right": ["new"],
    } });
    rules.push(vec![into, new, json!({ "drop": null })]);
    rules
}

fn place(place: &Place, bridge: &Bridge) -> Option<Prefix> {
    match place {
        Place::Gateway => bridge.gateway.map(Prefix::from),
        Place::Range(range) => Some(*range),
    }
}

fn to_address(to: Prefix) -> Value {
    payload(to.protocol(), "daddr", to.json())
}

fn ports(transport: &str, ports: &RangeInclusive<u16>) -> Value {
    payload(transport, "dport", json!({ "range": [ports.start(), ports.end()] }))
}

fn meta(key: &str, right: Value) -> Value {
    json!({ "match": { "op": "==", "left": { "meta": { "key": key } }, "right": right } })
}

fn payload(protocol: &str, field: &str, right: Value) -> Value {
    let left = json!({ "payload": { "protocol": protocol, "field": field } });
    json!({ "match": { "op": "==", "left": left, "right": right } })
}

fn unlike(protocol: &str, field: &str, right: Value) -> Value {
    let left = json!({ "payload": { "protocol": protocol, "field": field } });
    json!({ "match": { "op": "!=", "left": left, "right": right } })
}

fn accept() -> Value {
    json!({ "accept": null })
}

/// Refused at once, so that a program says so instead of waiting.
fn reject() -> Value {
    json!({ "reject": { "type": "icmpx", "expr": "admin-prohibited" } })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_and_nothing_else_is() {
        for good in ["10.1.0.0/16", "::1/128", "192.0.2.7/32"] {
            assert_eq!(good.parse::<Prefix>().unwrap().to_string(), good);
        }
        assert_eq!("192.0.2.7".parse::<Prefix>().unwrap().to_string(), "192.0.2.7/32");
        for wrong in ["", "example.org", "10.0.0.0/33", "10.0.0/8", "::/129", "10.0.0.0/"] {
            assert!(wrong.parse::<Prefix>().is_err(), "{wrong}");
        }
        assert!(PRIVATE.iter().chain(&PRIVATE_6).all(|range| range.parse::<Prefix>().is_ok()));
    }
}
