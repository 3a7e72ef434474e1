//! Packing from outside: hosts and requests in, choices out.

use berth_core::packing::{
    Cost, Devices, Gpu, Group, Groups, Kind, Mix, Prices, Rows, Shape, Used,
};
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// A host with nothing on it.
fn host(group: u8, cpu: u32, memory_gib: u32, devices: u8) -> Shape {
    let (cpu_milli, memory_mib) = (1000 * cpu, 1024 * memory_gib);
    Shape {
        group: Group::new(group).unwrap(),
        cpu_total_milli: cpu_milli,
        memory_total_mib: memory_mib,
        cpu_milli,
        memory_mib,
        devices: Devices::free(devices).unwrap(),
    }
}

fn kind(gpu: Gpu, cpu: u32, memory_gib: u32) -> Kind {
    Kind { gpu, cpu_milli: 1000 * cpu, memory_mib: 1024 * memory_gib, groups: Groups::ALL }
}

fn share(milli: u16) -> Kind {
    kind(Gpu::share(milli).unwrap(), 2, 4)
}

fn whole(count: u8) -> Kind {
    kind(Gpu::whole(count).unwrap(), 8, 16)
}

fn only(kind: Kind, group: u8) -> Kind {
    Kind { groups: Groups::NONE.with(Group::new(group).unwrap()), ..kind }
}

fn rows(mix: &[Kind], hosts: &[Shape]) -> Rows {
    Rows::new(Prices::of(1, &mix.iter().copied().collect(), hosts.iter()), hosts.to_vec())
}

/// Places a request, and says where.
fn place(rows: &mut Rows, kind: &Kind) -> Option<(usize, Used)> {
    let choice = rows.best(kind, |_| true)?;
    assert!(rows.place(choice.host, kind, choice.used), "chosen without room");
    Some((choice.host, choice.used))
}

#[test]
fn what_nobody_wants_is_worth_nothing() {
    // Beside 810 thousandths nothing fits, so a device with 810 left is as good as a free one;
    // a share of 500 fits beside its like only.
    let mix = [share(810), share(810), share(500), share(500), whole(1)];
    let hosts = [host(0, 64, 256, 4)];
    let mut rows = rows(&mix, &hosts);
    let (_, first) = place(&mut rows, &share(500)).unwrap();
    let (_, second) = place(&mut rows, &share(810)).unwrap();
    let (_, third) = place(&mut rows, &share(500)).unwrap();
    assert_eq!(first, third);
    assert_ne!(first, second);
    assert_eq!(rows.shape(0).devices.left_milli(), [0, 190, 1000, 1000]);
}

#[test]
fn requests_for_many_devices_find_a_host_with_so_many_free() {
    let mix = [whole(1), whole(1), whole(1), whole(8)];
    let mut rows = rows(&mix, &[host(0, 96, 384, 8); 3]);
    for first in [0, 0, 0, 0, 0, 0, 0, 0, 1] {
        assert_eq!(place(&mut rows, &whole(1)).unwrap().0, first);
    }
    assert_eq!(place(&mut rows, &whole(8)).unwrap().0, 2);
    assert_eq!(place(&mut rows, &whole(8)), None);
}

#[test]
fn scarce_models_are_kept_for_those_who_can_use_no_other() {
    let mut mix = vec![only(whole(1), 1); 4];
    mix.extend([whole(1); 6]);
    // The scarce model stands first, so that no order helps.
    let hosts = [host(1, 32, 128, 2), host(1, 32, 128, 2), host(0, 64, 256, 6)];
    let mut rows = rows(&mix, &hosts);
    for _ in 0..6 {
        assert_eq!(place(&mut rows, &whole(1)).unwrap().0, 2);
    }
    for _ in 0..4 {
        assert!(place(&mut rows, &only(whole(1), 1)).unwrap().0 < 2);
    }
    assert_eq!(place(&mut rows, &whole(1)), None);
}

#[test]
fn requests_that_need_much_cpu_go_where_cpu_is_left_over() {
    let light = kind(Gpu::whole(1).unwrap(), 4, 8);
    let heavy = kind(Gpu::whole(1).unwrap(), 24, 8);
    let mix = [light, light, heavy];
    let hosts = [host(0, 32, 256, 8), host(0, 96, 256, 4)];
    let mut rows = rows(&mix, &hosts);
    for _ in 0..4 {
        assert_eq!(place(&mut rows, &heavy).unwrap().0, 1);
    }
    for _ in 0..8 {
        assert_eq!(place(&mut rows, &light).unwrap().0, 0);
    }
}

#[test]
fn requests_without_gpu_stay_off_devices_while_there_is_room_elsewhere() {
    let small = kind(Gpu::NONE, 1, 8);
    let mix = [small, small, whole(1)];
    let hosts = [host(0, 64, 128, 4), host(1, 16, 32, 0), host(1, 16, 32, 0)];
    let mut rows = rows(&mix, &hosts);
    let found: Vec<usize> = (0..9).map(|_| place(&mut rows, &small).unwrap().0).collect();
    assert_eq!(found, [1, 1, 1, 1, 2, 2, 2, 2, 0]);
}

#[test]
fn a_fleet_sorted_by_type_fills_its_types_side_by_side() {
    let mix = [share(500)];
    let hosts: Vec<Shape> = (0..8).map(|n| host(n / 4, 32, 128, 1)).collect();
    let mut rows = rows(&mix, &hosts);
    let found: Vec<usize> = (0..8).map(|_| place(&mut rows, &share(500)).unwrap().0).collect();
    assert_eq!(found, [0, 0, 4, 4, 1, 1, 5, 5]);
}

#[test]
fn costs_are_read_as_devices() {
    let texts =
        [0, 1_500_000, -2_000_499_999, 400_000, -600_000].map(|nano| Cost(nano).to_string());
    assert_eq!(texts, ["0.000 GPU", "0.002 GPU", "-2.000 GPU", "0.000 GPU", "-0.001 GPU"]);
}

/// Hosts of a few types, one of them without devices.
fn hosts() -> impl Strategy<Value = Vec<Shape>> {
    let types = vec![
        host(0, 96, 384, 8),
        host(1, 104, 512, 2),
        host(1, 96, 384, 4),
        host(2, 8, 32, 1),
        host(3, 16, 32, 0),
    ];
    prop::collection::vec(select(types), 1..12)
}

/// Any request.
fn any_kind() -> impl Strategy<Value = Kind> {
    let gpu = prop_oneof![
        Just(Gpu::NONE),
        (1u16..1000).prop_map(|milli| Gpu::share(milli).unwrap()),
        select(vec![100u16, 250, 333, 470, 500, 810]).prop_map(|milli| Gpu::share(milli).unwrap()),
        (1u8..=8).prop_map(|count| Gpu::whole(count).unwrap()),
    ];
    let groups = prop_oneof![
        3 => Just(Groups::ALL),
        1 => prop::collection::vec(0u8..4, 0..3).prop_map(|groups| {
            groups.into_iter().fold(Groups::NONE, |all, group| all.with(Group::new(group).unwrap()))
        }),
    ];
    (gpu, 0u32..24_000, 0u32..65_536, groups).prop_map(|(gpu, cpu_milli, memory_mib, groups)| {
        Kind { gpu, cpu_milli, memory_mib, groups }
    })
}

/// Requests of some kinds, with when each leaves again.
fn requests() -> impl Strategy<Value = Vec<(Kind, Option<Index>)>> {
    prop::collection::vec(any_kind(), 1..8).prop_flat_map(|kinds| {
        prop::collection::vec((select(kinds), prop::option::weighted(0.3, any::<Index>())), 1..80)
    })
}

proptest! {
    /// No host gives more than it has, no device more than 1000 thousandths, nobody is where he
    /// may not be, and nobody is refused who has room.
    #[test]
    fn capacity_holds(hosts in hosts(), requests in requests(), known in 0usize..80) {
        let mix: Vec<Kind> = requests.iter().map(|(kind, _)| *kind).take(known).collect();
        let mut rows = rows(&mix, &hosts);
        let mut running: Vec<(usize, Kind, Used)> = Vec::new();
        for (kind, leaves) in requests {
            match place(&mut rows, &kind) {
                Some((host, used)) => {
                    prop_assert!(kind.groups.contains(hosts[host].group));
                    prop_assert_eq!(used.devices().count(), usize::from(kind.gpu.count()));
                    running.push((host, kind, used));
                }
                None => prop_assert!((0..hosts.len()).all(|host| !rows.shape(host).fits(&kind))),
            }
            if let Some(leaves) = leaves.filter(|_| !running.is_empty()) {
                let (host, kind, used) = running.swap_remove(leaves.index(running.len()));
                prop_assert!(rows.release(host, &kind, used));
            }
            for (position, empty) in hosts.iter().enumerate() {
                let here = || running.iter().filter(|(host, ..)| *host == position);
                let cpu: u32 = here().map(|(_, kind, _)| kind.cpu_milli).sum();
                let memory: u32 = here().map(|(_, kind, _)| kind.memory_mib).sum();
                prop_assert_eq!(rows.shape(position).cpu_milli.checked_add(cpu), Some(empty.cpu_milli));
                prop_assert_eq!(rows.shape(position).memory_mib.checked_add(memory), Some(empty.memory_mib));
                for (device, left) in rows.shape(position).devices.left_milli().iter().enumerate() {
                    let used = here().filter(|(.., used)| used.devices().any(|one| one == device));
                    let taken: u16 = used.map(|(_, kind, _)| kind.gpu.each_milli()).sum();
                    prop_assert_eq!(taken + left, 1000);
                }
            }
        }
    }

    /// The choice is the first host of the least cost among all, whatever was kept from before;
    /// and its cost is the sum of the terms that explain it.
    #[test]
    fn the_least_cost_wins(hosts in hosts(), requests in requests(), closed in any::<Index>()) {
        let mix: Vec<Kind> = requests.iter().map(|(kind, _)| *kind).collect();
        let mut rows = rows(&mix, &hosts);
        let closed = closed.index(hosts.len());
        for (kind, _) in requests {
            let shapes: Vec<Shape> = (0..hosts.len()).map(|host| *rows.shape(host)).collect();
            let fresh = Rows::new(rows.prices().clone(), shapes);
            let least = (0..hosts.len())
                .filter(|host| *host != closed)
                .filter_map(|host| Some((fresh.worth(host, &kind)?, host)))
                .min_by_key(|(worth, host)| (worth.cost(), *host));
            let choice = rows.best(&kind, |host| host != closed);
            prop_assert_eq!(
                choice.map(|choice| (choice.host, choice.cost, choice.used)),
                least.map(|(worth, host)| (host, worth.cost(), worth.used))
            );
            if let Some(choice) = choice {
                rows.place(choice.host, &kind, choice.used);
            }
        }
    }

    /// Prices know no order, neither of hosts nor of history; and stored prices decide the same.
    #[test]
    fn the_same_input_decides_the_same(
        (hosts, other_hosts) in hosts().prop_flat_map(|hosts| (Just(hosts.clone()), Just(hosts).prop_shuffle())),
        (requests, history) in requests().prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle())),
    ) {
        let mix = |requests: &[(Kind, Option<Index>)]| requests.iter().map(|(kind, _)| *kind).collect::<Mix>();
        let prices = Prices::of(7, &mix(&requests), hosts.iter());
        prop_assert_eq!(&prices, &Prices::of(7, &mix(&history), other_hosts.iter()));
        let stored: Prices = serde_json::from_str(&serde_json::to_string(&prices).unwrap()).unwrap();
        let decide = |prices: Prices| {
            let mut rows = Rows::new(prices, hosts.clone());
            requests.iter().map(|(kind, _)| place(&mut rows, kind)).collect::<Vec<_>>()
        };
        prop_assert_eq!(decide(prices), decide(stored));
    }

    /// New prices, hosts told anew and hosts added leave nothing of the former costs.
    #[test]
    fn changes_count_at_once(hosts in hosts(), told in hosts(), requests in requests()) {
        let mix: Vec<Kind> = requests.iter().map(|(kind, _)| *kind).collect();
        let mut changed = rows(&[], &hosts);
        for kind in &mix {
            changed.best(kind, |_| true);
        }
        changed.set_prices(Prices::of(2, &mix.iter().copied().collect(), hosts.iter()));
        for (position, shape) in told.iter().enumerate() {
            if position < hosts.len() { changed.set(position, *shape) } else { changed.push(*shape) }
        }
        let shapes: Vec<Shape> = told.iter().chain(hosts.iter().skip(told.len())).copied().collect();
        let mut fresh = Rows::new(changed.prices().clone(), shapes);
        for kind in &mix {
            prop_assert_eq!(place(&mut changed, kind), place(&mut fresh, kind));
        }
    }

    /// With no GPU anywhere, equal hosts fill one after the other.
    #[test]
    fn without_devices_the_first_host_with_room_is_taken(
        sizes in prop::collection::vec(1u32..30, 1..60), hosts in 1usize..9,
    ) {
        let kinds: Vec<Kind> = sizes.into_iter().map(|gib| kind(Gpu::NONE, 0, gib)).collect();
        let mut rows = rows(&kinds, &vec![host(0, 8, 31, 0); hosts]);
        for kind in kinds {
            let first = (0..hosts).find(|host| rows.shape(*host).fits(&kind));
            prop_assert_eq!(place(&mut rows, &kind).map(|(host, _)| host), first);
        }
    }
}
