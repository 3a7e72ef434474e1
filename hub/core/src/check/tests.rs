use std::sync::Arc;

use berth_common::{ByteCount, Generation, GpuPart};

use super::*;
use crate::example::{
    NOW, fleet, gb, heard_mut, host, id, observed, placed, placement_mut, promised, server_mut,
};

/// What is wrong after a change to the good fleet.
#[track_caller]
fn wrong(change: impl FnOnce(&mut Fleet)) -> Vec<String> {
    let mut fleet = fleet();
    assert_eq!(violations(&fleet), []);
    assert_eq!(violations_near(&fleet, fleet.servers.keys(), fleet.hosts.keys()), []);
    assert_eq!(doubled(&fleet), []);
    change(&mut fleet);
    violations(&fleet).iter().map(ToString::to_string).collect()
}

#[test]
fn each_name_has_one_server_and_the_index_agrees() {
    let found = wrong(|fleet| server_mut(fleet, 1).owner = "eve".parse().unwrap());
    assert_eq!(found, [format!("one-server-per-name: {} is not the server of its name", id(1))]);
    // Two servers of one name: one of them is not found.
    let found = wrong(|fleet| {
        let mut second = placed(4, "h2");
        second.owner = "u3".parse().unwrap();
        fleet.insert(second);
    });
    let lost = format!("one-server-per-name: {} is not the server of its name", id(3));
    let gone = "one-server-per-name: the index names servers that are not there".to_owned();
    assert_eq!(found, [lost, gone.clone()]);
    let found = wrong(|fleet| {
        let nobody = ("nobody".parse().unwrap(), "".parse().unwrap());
        Arc::make_mut(&mut fleet.by_name).insert(nobody, id(9));
    });
    assert_eq!(found, [gone]);
}

#[test]
fn what_is_promised_fits() {
    let larger = |more: u64| {
        move |fleet: &mut Fleet| {
            let memory = ByteCount(gb(8).0 + more);
            placement_mut(fleet, 1).reservation.memory = memory;
        }
    };
    assert_eq!(wrong(larger(0)), [] as [&str; 0], "12 of 12 GB");
    assert_eq!(wrong(larger(1)), ["S3-capacity: h1: 12.0 GB reserved"]);
    // What runs already is exempt, and so are a host that has not reported, one of no file, and a
    // pool that goes by what is used.
    let after = |exempt: fn(&mut Fleet)| {
        wrong(|fleet| {
            larger(1)(fleet);
            exempt(fleet);
        })
    };
    assert_eq!(after(|fleet| server_mut(fleet, 2).account = None), [] as [&str; 0]);
    assert_eq!(after(|fleet| server_mut(fleet, 3).account = None).len(), 1, "on another host");
    let silent = after(|fleet| {
        Arc::make_mut(fleet.hosts.get_mut(&host("h1")).unwrap()).heard = None;
    });
    assert_eq!(silent, [] as [&str; 0]);
    let undeclared = after(|fleet| {
        Arc::make_mut(&mut fleet.settings).hosts.remove(&host("h1"));
    });
    assert_eq!(undeclared, [] as [&str; 0]);
    let by_use = after(|fleet| {
        let pools = &mut Arc::make_mut(&mut fleet.settings).pools;
        pools.get_mut("cpu").unwrap().memory_rule = MemoryRule::Peaks;
    });
    assert_eq!(by_use, [] as [&str; 0]);
}

#[test]
fn no_part_of_a_gpu_is_given_twice() {
    let part = |milli| vec![GpuPart { gpu: "GPU-1".parse().unwrap(), milli }];
    let both = |first, second| {
        move |fleet: &mut Fleet| {
            placement_mut(fleet, 1).gpus = part(first);
            placement_mut(fleet, 2).gpus = part(second);
        }
    };
    assert_eq!(wrong(both(400, 600)), [] as [&str; 0]);
    let twice = ["S4-gpu: GPU-1 is given 1001 thousandths of"];
    assert_eq!(wrong(both(401, 600)), twice);
    // A promise counts as well.
    let with_promise = |milli| {
        wrong(move |fleet| {
            placement_mut(fleet, 1).gpus = part(600);
            fleet.insert(promised(4, "h1", |place| place.gpus = part(milli)));
        })
    };
    assert_eq!(with_promise(400), [] as [&str; 0]);
    assert_eq!(with_promise(401), twice);
    // Of an adopted server what its host shows of this very start.
    let adopted = |shown: Option<u64>| {
        wrong(move |fleet| {
            both(401, 600)(fleet);
            server_mut(fleet, 1).account = None;
            let observed = &mut heard_mut(fleet, "h1").observed;
            match shown {
                Some(generation) => {
                    observed.get_mut(&id(1)).unwrap().generation = Generation(generation);
                }
                None => drop(observed.remove(&id(1))),
            }
        })
    };
    assert_eq!(adopted(Some(1)), twice);
    assert_eq!(adopted(Some(2)), [] as [&str; 0]);
    assert_eq!(adopted(None), [] as [&str; 0]);
}

#[test]
fn no_port_of_a_host_is_given_twice() {
    let twice = ["S4-farm-port: port 20000 of h1 is given twice"];
    let given = |other: u64, port| {
        wrong(|fleet| {
            placement_mut(fleet, 1).farm_ports = vec![20_000];
            placement_mut(fleet, other).farm_ports = vec![port];
        })
    };
    assert_eq!(given(2, 20_000), twice);
    assert_eq!(given(2, 20_001), [] as [&str; 0]);
    assert_eq!(given(3, 20_000), [] as [&str; 0], "on another host");
    let with_promise = wrong(|fleet| {
        placement_mut(fleet, 1).farm_ports = vec![20_000];
        fleet.insert(promised(4, "h1", |place| place.farm_ports = vec![20_000]));
    });
    assert_eq!(with_promise, twice);
}

#[test]
fn what_is_placed_was_started_and_is_on_a_host() {
    let found = wrong(|fleet| server_mut(fleet, 3).generation = Generation(0));
    assert_eq!(found, [format!("S8-generation: {} is placed without a start", id(3))]);
    let found = wrong(|fleet| drop(fleet.hosts.remove(&host("h2"))));
    assert_eq!(found, [format!("known-host: {} is on h2, which nobody knows", id(3))]);
}

#[test]
fn a_route_leads_to_its_own_server() {
    // The record that stands under a server's id is another server's, or another start's.
    let leads = |change: fn(&mut Server)| {
        wrong(|fleet| {
            let mut other = (*fleet.servers[&id(1)]).clone();
            change(&mut other);
            fleet.servers.insert(id(9), Arc::new(other));
        })
    };
    let found = |number| format!("S12-route: /user/u{number}/ leads to {}", id(1));
    assert!(leads(|server| server.generation = Generation(2)).contains(&found(1)));
    assert!(leads(|server| server.owner = "u8".parse().unwrap()).contains(&found(8)));
    let nobody = wrong(|fleet| {
        let server = fleet.servers.remove(&id(1)).unwrap();
        fleet.servers.insert(id(9), server);
    });
    assert!(nobody.contains(&found(1)), "{nobody:?}");
}

#[test]
fn what_is_remembered_is_what_is_there() {
    let found = wrong(|fleet| Arc::make_mut(&mut fleet.floor.hosts[0]).drains_by = Some(NOW));
    assert_eq!(found, ["drains: that a host drains is true, and the index errs"]);
    // A container that no server of this host's has, and of which nobody made a note.
    let found = wrong(|fleet| {
        let stray = observed(&placed(7, "h2"), ObservedState::Ready);
        heard_mut(fleet, "h2").observed.insert(id(7), stray);
    });
    assert_eq!(found, [format!("strays: {} on h2: held false, and the index errs", id(7))]);
    // One that was noted, of a server that holds room there by now.
    let noted = |fleet: &mut Fleet| {
        let stray = observed(&placed(7, "h2"), ObservedState::Ready);
        heard_mut(fleet, "h2").observed.insert(id(7), stray);
        fleet.heard(&host("h2"));
    };
    assert_eq!(wrong(noted), [] as [&str; 0]);
    let found = wrong(|fleet| {
        noted(fleet);
        fleet.servers.insert(id(7), Arc::new(placed(7, "h2")));
    });
    let held = format!("strays: {} on h2: held true, and the index errs", id(7));
    assert!(found.contains(&held), "{found:?}");
    let found = wrong(|fleet| {
        noted(fleet);
        heard_mut(fleet, "h2").observed.remove(&id(7));
    });
    assert_eq!(found, [format!("strays: {} is not on h2", id(7))]);
    // The note of a host that is no more.
    let found = wrong(|fleet| {
        noted(fleet);
        fleet.server_mut(&id(3)).unwrap().phase = Phase::Idle;
        fleet.hosts.remove(&host("h2"));
    });
    assert_eq!(found, [format!("strays: {} is not on h2", id(7))]);
}

#[test]
fn a_server_that_lives_on_two_hosts_is_found() {
    let lives = |state: ObservedState| {
        let mut fleet = fleet();
        let seen = observed(&placed(1, "h1"), state);
        heard_mut(&mut fleet, "h2").observed.insert(id(1), seen);
        doubled(&fleet).iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let twice = [format!("S1-one-container: {} lives on h1 and h2", id(1))];
    for state in [ObservedState::Running, ObservedState::Ready, ObservedState::Stopping] {
        assert_eq!(lives(state.clone()), twice, "{state:?}");
    }
    assert_eq!(lives(ObservedState::Created), [] as [&str; 0]);
}

#[test]
fn whoever_looks_near_sees_what_is_wrong_there_and_nothing_else() {
    let mut fleet = fleet();
    server_mut(&mut fleet, 1).generation = Generation(0);
    placement_mut(&mut fleet, 2).reservation.memory = gb(13);
    for number in [1, 2] {
        let gpu = GpuPart { gpu: "GPU-1".parse().unwrap(), milli: 600 };
        placement_mut(&mut fleet, number).gpus = vec![gpu];
        placement_mut(&mut fleet, number).farm_ports = vec![20_000];
    }
    let near = |servers: &[u64], hosts: &[&str]| {
        let servers: Vec<_> = servers.iter().map(|number| id(*number)).collect();
        let hosts: Vec<_> = hosts.iter().map(|name| host(name)).collect();
        let found = violations_near(&fleet, &servers, &hosts);
        found.iter().map(|it| it.invariant).collect::<Vec<_>>()
    };
    let of_host = ["S3-capacity", "S4-gpu", "S4-farm-port"];
    assert_eq!(near(&[], &["h1"]), of_host);
    assert_eq!(near(&[2], &[]), of_host, "its host is near");
    assert_eq!(near(&[1], &[]), [&["S8-generation"][..], &of_host].concat());
    assert_eq!(near(&[3, 99], &["h2", "h3"]), [] as [&str; 0]);
    let all: BTreeSet<_> = violations(&fleet).iter().map(|it| it.invariant).collect();
    assert_eq!(all, BTreeSet::from(["S8-generation", "S3-capacity", "S4-gpu", "S4-farm-port"]));
}
