//! A small fleet for the tests of this crate.

use std::collections::BTreeMap;
use std::sync::Arc;

use berth_common::link::{Account, Capacity, HostFacts, Observed, ObservedState, Origin, Usage};
use berth_common::{
    ByteCount, Epoch, Generation, HostId, Incarnation, Reason, Resources, Revision, ServerId,
    Timestamp, Username,
};

use crate::fleet::{Fleet, Heard, HeldPlace, Host, Phase, Placement, Server};
use crate::settings::{HostSettings, Pool, Settings};

pub const NOW: Timestamp = Timestamp(1_000_000_000);

pub fn gb(amount: u64) -> ByteCount {
    ByteCount(amount << 30)
}

pub fn id(number: u64) -> ServerId {
    ServerId::from_random(number)
}

pub fn host(name: &str) -> HostId {
    name.parse().unwrap()
}

/// A server of a person of its own: 4 GB on a host, one start old.
pub fn placed(number: u64, on: &str) -> Server {
    let owner: Username = format!("u{number}").parse().unwrap();
    let account = Account {
        name: owner.clone(),
        uid: 1001,
        gid: 1001,
        groups: Vec::new(),
        home: format!("/home/u{number}"),
    };
    let placement = Placement {
        host: host(on),
        reservation: Resources { memory: gb(4), cpu_milli: 0 },
        gpus: Vec::new(),
        farm_ports: Vec::new(),
        expected: gb(1),
        expected_known: false,
        placed_at: NOW,
        said: Revision::default(),
        image: None,
        ready_at: Some(NOW),
        steps: Vec::new(),
        life: Box::default(),
        asked_to_leave: None,
        held_since: None,
        used: Default::default(),
        resize: None,
        loan: None,
        stop: None,
    };
    Server {
        id: id(number),
        owner,
        name: "".parse().unwrap(),
        generation: Generation(1),
        phase: Phase::Placed(placement),
        ask: Default::default(),
        user_options: String::new(),
        account: Some(account),
        decision: None,
        created: NOW,
        last_activity: NOW,
        peaks: None,
        last_host: None,
        gpu_turn: None,
        last_end: None,
        last_start: None,
        kills: Vec::new(),
        activity_saved: NOW,
    }
}

pub fn observed(server: &Server, state: ObservedState) -> Observed {
    Observed {
        server: server.id.clone(),
        generation: server.generation,
        epoch: Epoch(1),
        state,
        steps: Vec::new(),
        memory_used: gb(1),
        usage: Usage::default(),
        limit: Some(gb(4)),
        resize_refused: None,
        kills: Vec::new(),
        left_out: Vec::new(),
        origin: Origin {
            user: server.owner.clone(),
            server_name: server.name.clone(),
            profile: "cpu".into(),
            memory: gb(4),
            gpus: Vec::new(),
            decision: None,
        },
    }
}

/// Three servers on two hosts of 16 GB, of which 4 are kept free, as the hosts show them, and a host
/// that has not reported.
pub fn fleet() -> Fleet {
    let declared = |name: &str| {
        let settings = HostSettings {
            pool: "cpu".into(),
            memory: Some(gb(16)),
            keep_free: gb(4),
            gpus: None,
            address: format!("{name}:8444"),
            cite: Default::default(),
        };
        (host(name), settings)
    };
    let settings = Settings {
        hosts: BTreeMap::from(["h1", "h2", "h3"].map(declared)),
        pools: BTreeMap::from([("cpu".into(), Pool::default())]),
        ..Settings::default()
    };
    let servers = [placed(1, "h1"), placed(2, "h1"), placed(3, "h2")];
    let hosts = ["h1", "h2"].map(|name| {
        let mut host = Host::new(host(name));
        let on = servers.iter().filter(|server| server.holds_on() == Some(&host.id));
        let shown = on.map(|server| (server.id.clone(), observed(server, ObservedState::Ready)));
        let capacity =
            Capacity { memory_total: gb(16), memory_free: gb(16), cpus: 4, memory_pressure: None };
        host.heard = Some(Arc::new(Heard {
            at: NOW,
            sent: NOW,
            incarnation: Incarnation(1),
            applied: Revision::default(),
            observed: shown.collect(),
            pending: Vec::new(),
            engine_trouble: None,
            capacity,
            gpus: Arc::default(),
            spaces: Vec::new(),
            images: Arc::default(),
            facts: HostFacts::default(),
        }));
        host
    });
    Fleet::restore(Epoch(1), Arc::new(settings), hosts, servers)
}

pub fn server_mut(fleet: &mut Fleet, number: u64) -> &mut Server {
    fleet.server_mut(&id(number)).unwrap()
}

pub fn placement_mut(fleet: &mut Fleet, number: u64) -> &mut Placement {
    server_mut(fleet, number).placement_mut().unwrap()
}

pub fn heard_mut<'a>(fleet: &'a mut Fleet, name: &str) -> &'a mut Heard {
    let host = Arc::make_mut(fleet.hosts.get_mut(&host(name)).unwrap());
    Arc::make_mut(host.heard.as_mut().unwrap())
}

/// A server that waits and is promised a place like this.
pub fn promised(number: u64, on: &str, place: impl FnOnce(&mut HeldPlace)) -> Server {
    let mut server = placed(number, on);
    let mut held = HeldPlace {
        host: host(on),
        gpus: Vec::new(),
        farm_ports: Vec::new(),
        expected: gb(1),
        expected_known: false,
        until: NOW,
        mailed: false,
    };
    place(&mut held);
    server.phase = Phase::Waiting {
        since: NOW,
        reason: Reason::WaitNoHost,
        watched: None,
        foreseen: None,
        place: Some(held),
        moved: None,
    };
    server
}
