//! Shapes and amounts at their very limits.

use super::*;

fn group(number: u8) -> Group {
    Group::new(number).unwrap()
}

fn kind(gpu: Gpu, cpu_milli: u32, memory_mib: u32) -> Kind {
    Kind { gpu, cpu_milli, memory_mib, groups: Groups::ALL }
}

/// Of 8 CPUs and 64 MiB half is left.
fn shape(left: &[u16]) -> Shape {
    Shape {
        group: group(1),
        cpu_total_milli: 8_000,
        memory_total_mib: 64,
        cpu_milli: 4_000,
        memory_mib: 32,
        devices: Devices::of(left).unwrap(),
    }
}

#[test]
fn amounts_that_there_can_be() {
    assert_eq!([Group::new(63).is_some(), Group::new(64).is_some()], [true, false]);
    let is = |gpu: Option<Gpu>| gpu.map(|it| (it.count(), it.each_milli(), it.is_share()));
    let shares = [0, 1, 999, 1000].map(|milli| is(Gpu::share(milli)));
    assert_eq!(shares, [None, Some((1, 1, true)), Some((1, 999, true)), None]);
    let wholes = [0, 1, 16, 17].map(|count| is(Gpu::whole(count)));
    assert_eq!(wholes, [None, Some((1, 1000, false)), Some((16, 1000, false)), None]);
    assert_eq!(Gpu::whole(3).unwrap().total_milli(), 3_000);
    assert_eq!((Gpu::NONE.total_milli(), Gpu::NONE.is_share()), (0, false));
    let free = [0, 16, 17].map(|count| Devices::free(count).map(|it| it.idle_milli()));
    assert_eq!(free, [Some(0), Some(16_000), None]);
    assert_eq!(Devices::of(&[1000, 0, 250]).unwrap().idle_milli(), 1_250);
    assert_eq!((Devices::of(&[1001]), Devices::of(&[0; 17])), (None, None));
    let groups = Groups::NONE.with(group(0)).with(group(5));
    let has = [0, 1, 5, 6].map(|number| groups.contains(group(number)));
    assert_eq!(has, [true, false, true, false]);
    assert_eq!(groups.with(group(5)), groups);
    let used = Used::one(3).and(0).and(15).and(3);
    assert_eq!(used.devices().collect::<Vec<_>>(), [0, 3, 15]);
}

#[test]
fn a_request_fits_up_to_the_last_unit() {
    let host = shape(&[1000, 500, 400]);
    let half = Gpu::share(500).unwrap();
    assert!(host.fits(&kind(half, 4_000, 32)));
    assert!(!host.fits(&kind(half, 4_001, 32)));
    assert!(!host.fits(&kind(half, 4_000, 33)));
    assert!(!host.fits(&Kind { groups: Groups::NONE.with(group(2)), ..kind(half, 1, 1) }));
    assert_eq!(host.choices(&kind(half, 1, 1)).collect::<Vec<_>>(), [0, 1]);
    let whole = |count| kind(Gpu::whole(count).unwrap(), 1, 1);
    assert!(host.fits(&whole(1)));
    assert!(!host.fits(&whole(2)));
    assert!(host.fits(&kind(Gpu::NONE, 4_000, 32)));
}

#[test]
fn what_is_placed_can_be_taken_away_again() {
    let host = shape(&[1000, 500]);
    let asked = kind(Gpu::share(500).unwrap(), 4_000, 32);
    let used = Used::one(1);
    let full = host.after(&asked, used).unwrap();
    assert_eq!(
        (full.cpu_milli, full.memory_mib, full.devices.left_milli()),
        (0, 0, &[1000, 0][..])
    );
    assert_eq!(full.before(&asked, used), Some(host));
    let after = |asked, used| host.after(&asked, used).is_some();
    assert!(!after(kind(asked.gpu, 4_001, 32), used));
    assert!(!after(kind(asked.gpu, 4_000, 33), used));
    assert!(!after(kind(Gpu::share(501).unwrap(), 1, 1), used));
    assert!(!after(asked, Used::one(2)), "there is no such device");
    // Nothing ends that was not here: not more than there is in all.
    let before = |asked, used| host.before(&asked, used).is_some();
    assert!(before(kind(asked.gpu, 4_000, 32), used));
    assert!(!before(kind(asked.gpu, 4_001, 32), used));
    assert!(!before(kind(asked.gpu, 4_000, 33), used));
    assert!(!before(kind(Gpu::share(501).unwrap(), 1, 1), used));
    assert!(!before(kind(asked.gpu, 1, 1), Used::one(0)));
    assert!(!before(kind(asked.gpu, 1, 1), Used::one(2)));
    let empty = full.empty();
    assert_eq!((empty.cpu_milli, empty.memory_mib), (8_000, 64));
    assert_eq!(empty.devices, Devices::free(2).unwrap());
    assert_eq!(Shape::nothing().devices.left_milli(), [] as [u16; 0]);
}

#[test]
fn the_size_of_a_request_is_what_it_takes_of_devices_or_leaves_without() {
    let host = shape(&[1000, 500, 400]);
    let size = |gpu, cpu, memory| host.size_milli(&kind(gpu, cpu, memory));
    assert_eq!(size(Gpu::NONE, 4_000, 0), 1_500, "half of the CPUs, of three devices");
    assert_eq!(size(Gpu::NONE, 4_000, 48), 2_250);
    assert_eq!(size(Gpu::whole(2).unwrap(), 4_000, 0), 2_000);
    let nothing = Shape { cpu_total_milli: 0, memory_total_mib: 0, ..host };
    assert_eq!(nothing.size_milli(&kind(Gpu::NONE, 1, 0)), 3_000);
}

#[test]
fn a_mix_counts_each_kind() {
    let (one, other) = (kind(Gpu::NONE, 1, 1), kind(Gpu::NONE, 2, 1));
    let mix: Mix = [one, other, one].into_iter().collect();
    assert_eq!(mix.iter().collect::<Vec<_>>(), [(&one, 2), (&other, 1)]);
}

#[test]
fn prices_of_what_is_short() {
    // Two hosts of two devices in one group, one of four in another; all asked for whole devices.
    let host = |number, devices| Shape {
        group: group(number),
        cpu_milli: 0,
        memory_mib: 0,
        ..Shape { devices: Devices::free(devices).unwrap(), ..shape(&[]) }
    };
    let hosts = [host(1, 2), host(1, 2), host(2, 4)];
    let only_second =
        Kind { groups: Groups::NONE.with(group(2)), ..kind(Gpu::whole(1).unwrap(), 1_000, 1) };
    let any = kind(Gpu::whole(2).unwrap(), 1_000, 1);
    let none = kind(Gpu::NONE, 1_000, 1);
    let mix: Mix = [only_second, only_second, any, none].into_iter().collect();
    let prices = Prices::of(7, &mix, hosts.iter());
    assert_eq!(prices.version, 7);
    // 8 devices, 24 CPUs and 192 MiB.
    assert_eq!((prices.cpu_nano, prices.memory_nano), (333_333, 41_666_666));
    let often: Vec<_> = prices.kinds.iter().map(|it| (it.kind, it.often_ppm)).collect();
    assert_eq!(often[0], (only_second, 500_000), "the most frequent first");
    assert_eq!(often[1..].iter().map(|(_, ppm)| ppm).sum::<i64>(), 500_000);
    // 4 devices are asked for in all: 2 of the second group's 4 by those who need it, and 2 by
    // whoever takes any, spread over all 8.
    let pressure: Vec<_> = prices.pressure_ppm.iter().map(|(group, ppm)| (*group, *ppm)).collect();
    assert_eq!(pressure, [(group(1), 500_000), (group(2), 1_500_000)]);
    let empty = Prices::of(1, &Mix::default(), [].into_iter());
    assert_eq!((empty.cpu_nano, empty.memory_nano, empty.kinds.len()), (0, 0, 0));
}

/// So many devices in a group, with more than enough of all else.
fn devices(number: u8, count: u8) -> Shape {
    Shape { group: group(number), devices: Devices::free(count).unwrap(), ..shape(&[]) }
}

fn only(number: u8, gpu: Option<Gpu>) -> Kind {
    Kind { groups: Groups::NONE.with(group(number)), ..kind(gpu.unwrap(), 0, 0) }
}

#[test]
fn what_is_short_earns_its_devices_and_what_is_not_nothing() {
    let earns = |hosts: &[Shape], asked: &[(Kind, usize)]| {
        let mix = asked.iter().flat_map(|(kind, count)| std::iter::repeat_n(*kind, *count));
        let prices = Prices::of(1, &mix.collect(), hosts.iter());
        let of = |kind: &Kind| prices.kinds.iter().find(|it| it.kind == *kind).unwrap().earns_nano;
        asked.iter().map(|(kind, _)| of(kind)).collect::<Vec<_>>()
    };
    let hosts = [devices(1, 2), devices(2, 2)];
    // Demand for a little more than the four devices: one of the first group's two, three of the
    // second's two.
    let (first, second) = (only(1, Gpu::whole(1)), only(2, Gpu::whole(1)));
    assert_eq!(earns(&hosts, &[(first, 1), (second, 3)]), [0, 1_000_000_000]);
    assert_eq!(earns(&hosts, &[(first, 3), (second, 1)]), [1_000_000_000, 0]);
    // All are as short, and two at once earn as much as two.
    let two = only(2, Gpu::whole(2));
    assert_eq!(earns(&hosts, &[(first, 2), (two, 1)]), [1_000_000_000, 2_000_000_000]);
    let half = only(1, Gpu::share(500));
    assert_eq!(earns(&hosts[..1], &[(half, 1)]), [500_000_000]);
    // Nobody has what it wants.
    assert_eq!(earns(&hosts, &[(only(3, Gpu::whole(1)), 1), (first, 1)])[0], 0);
}

#[test]
fn a_placement_costs_the_sum_of_its_terms() {
    let half = kind(Gpu::share(500).unwrap(), 0, 0);
    let prices = Prices {
        kinds: vec![Priced { kind: half, often_ppm: 1_000_000, earns_nano: 600 }],
        pressure_ppm: BTreeMap::from([(group(1), 200_000)]),
        ..Prices::default()
    };
    let mut valuation = Valuation::new(prices);
    let mut costs = |left: &[u16], part, kind: &Kind| {
        let worth = valuation.worth(&shape(left), part, kind)?;
        let Worth { value_lost, fragmentation, scarcity, consolidation, used } = worth;
        let terms = [value_lost.0, fragmentation.0, scarcity.0, consolidation.0];
        assert_eq!(worth.cost().0, terms.iter().sum::<i64>());
        Some((terms, used.devices().collect::<Vec<_>>()))
    };
    // One of three halves is lost, a hundredfold; a quarter of the class is filled before.
    let quarter = 250_000_000;
    let terms = [60_000, 0, 20_000_000, 500_000_000];
    assert_eq!(costs(&[1000, 500], quarter, &half), Some((terms, vec![0])));
    // What is left of the device is of no use to anybody.
    let less = kind(Gpu::share(400).unwrap(), 0, 0);
    let terms = [60_000, 100_000_000, 16_000_000, 0];
    assert_eq!(costs(&[500], 0, &less), Some((terms, vec![0])));
    // So it goes where the rest still is: the first device leaves 600, the second 100.
    let terms = [60_000, 0, 16_000_000, 0];
    assert_eq!(costs(&[1000, 500], 0, &less), Some((terms, vec![0])));
    let terms = [0, -400_000_000, 16_000_000, 0];
    assert_eq!(costs(&[1000, 400], 0, &less), Some((terms, vec![1])));
    assert_eq!(costs(&[300], 0, &less), None);
    // Without GPU: hosts without devices first, and there nothing else counts.
    let none = kind(Gpu::NONE, 4_000, 0);
    assert_eq!(costs(&[], quarter, &none), Some(([0, 0, 0, 500_000_000], vec![])));
    let (terms, used) = costs(&[1000], quarter, &none).unwrap();
    assert_eq!((terms[2], terms[3], used), (20_000_000, 2_500_000_000, vec![]));
    let two = kind(Gpu::whole(2).unwrap(), 0, 0);
    assert_eq!(costs(&[1000, 300, 1000, 1000], 0, &two).unwrap().1, [0, 2]);
}

#[test]
fn hosts_of_a_class_fill_in_their_order() {
    let none = kind(Gpu::NONE, 1_000, 0);
    let hosts = [devices(1, 0), devices(2, 0), devices(1, 0)];
    let mut rows = Rows::new(Prices::default(), hosts);
    let costs = |rows: &mut Rows| {
        let mut all = Vec::new();
        rows.each(&none, |host, cost, _| all.push((host, cost.0)));
        all
    };
    // The third has half of its class before it.
    assert_eq!(costs(&mut rows), [(0, 0), (1, 0), (2, 1_000_000_000)]);
    assert_eq!(rows.best(&none, |_| true).unwrap().host, 0, "among equals the first");
    assert_eq!(rows.best(&none, |host| host > 0).unwrap().host, 1);
    rows.push(devices(1, 0));
    let third = 2 * (1_000_000_000 / 3);
    assert_eq!(costs(&mut rows), [(0, 0), (1, 0), (2, third), (3, 2 * (2_000_000_000 / 3))]);
    // A host of which nothing is left costs nothing, since it takes nothing, until it ends again.
    let all = kind(Gpu::NONE, 4_000, 0);
    assert!(rows.place(0, &all, Used::default()));
    assert!(!rows.place(0, &all, Used::default()));
    assert_eq!(costs(&mut rows)[0].0, 1);
    assert!(rows.release(0, &all, Used::default()));
    assert_eq!(costs(&mut rows)[0], (0, 0));
    // Another class: it stands first there, and those behind it move up.
    rows.set(0, devices(3, 0));
    assert_eq!(costs(&mut rows), [(0, 0), (1, 0), (2, 0), (3, 1_000_000_000)]);
    assert_eq!(rows.worth(3, &none).unwrap().cost().0, 1_000_000_000);
}
