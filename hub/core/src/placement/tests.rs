//! The rules at their very limits, and what they say.

use std::sync::Arc;

use berth_common::link::{Ending, GpuDevice, PortRange};
use berth_common::{ByteCount, GpuPart, Reason, Seconds, Timestamp};

use super::*;
use crate::example::{NOW, fleet, gb, heard_mut, host, placement_mut};
use crate::fleet::Fleet;
use crate::memory::{Alarm, Bound, Distrust, Refusal, Usable};
use crate::packing::Cost;
use crate::settings::{CpuServers, GpuSharing, Pool};

fn more(amount: ByteCount) -> ByteCount {
    ByteCount(amount.0 + 1)
}

/// A need of this much memory in the pool of the hosts.
fn need(limit: ByteCount) -> Need {
    Need { pool: "cpu".into(), limit, peak: gb(1), ..Need::default() }
}

/// The fleet after a change to the pool and to what h1 reports.
fn with(change: impl FnOnce(&mut Pool, &mut Fleet)) -> Fleet {
    let mut fleet = fleet();
    let mut pool = Pool::default();
    change(&mut pool, &mut fleet);
    Arc::make_mut(&mut fleet.settings).pools.insert("cpu".into(), pool);
    fleet.declare_hosts();
    fleet.settle(NOW);
    fleet
}

fn gpus(fleet: &mut Fleet, devices: &[(&str, u64, Option<&str>)]) {
    let devices = devices.iter().enumerate().map(|(at, (model, memory, trouble))| GpuDevice {
        gpu: format!("GPU-{at}").parse().unwrap(),
        model: (*model).into(),
        memory: gb(*memory),
        trouble: trouble.map(str::to_owned),
    });
    heard_mut(fleet, "h1").gpus = Arc::new(devices.collect());
}

/// What keeps a need from h1.
fn fails(fleet: &Fleet, need: &Need) -> Vec<Fail> {
    fleet.rows().fails(need, 0)
}

#[test]
fn a_host_takes_what_it_has_left_and_not_a_unit_more() {
    let fleet = with(|_, fleet| {
        placement_mut(fleet, 1).reservation.cpu_milli = 1_000;
        placement_mut(fleet, 1).farm_ports = vec![20_000];
        heard_mut(fleet, "h1").facts.farm = Some(PortRange { first: 20_000, last: 20_002 });
    });
    let asks = |cpu_milli, farm_ports| Need { cpu_milli, farm_ports, ..need(gb(4)) };
    assert_eq!(fails(&fleet, &asks(3_000, 2)), []);
    assert_eq!(fails(&fleet, &asks(3_001, 2)), [Fail::Cpu { asked: 3_001, left: 3_000 }]);
    let ports = Fail::FarmPorts { asked: 3, left: 2, all: 3 };
    assert_eq!(fails(&fleet, &asks(0, 3)), [ports]);
    assert_eq!(ports.reason(), Reason::WaitFarmPorts);
    assert_eq!(Fail::FarmPorts { asked: 4, left: 2, all: 3 }.reason(), Reason::HostNoFarm);
    assert!(matches!(fails(&fleet, &need(more(gb(4))))[..], [Fail::Memory(_), ..]));
    assert_eq!(fails(&fleet, &Need { pool: "gpu".into(), ..need(gb(1)) }), [Fail::NotInPool]);
    let require = Arc::new([host("h2")].into());
    assert_eq!(fails(&fleet, &Need { require, ..need(gb(1)) }), [Fail::NotAllowed]);
}

#[test]
fn devices_are_asked_for_one_by_one() {
    let fleet = with(|pool, fleet| {
        pool.gpu_sharing = GpuSharing::Shared;
        gpus(
            fleet,
            &[("T4", 16, None), ("T4", 16, None), ("K80", 12, None), ("T4", 16, Some("hot"))],
        );
        let part = GpuPart { gpu: "GPU-0".parse().unwrap(), milli: 400 };
        placement_mut(fleet, 1).gpus = vec![part];
    });
    let asks = |gpus, gpu_milli, models: &[&str], memory| Need {
        gpus,
        gpu_milli,
        models: models.iter().map(|model| (*model).to_owned()).collect(),
        gpu_memory: gb(memory),
        ..need(gb(1))
    };
    assert_eq!(fails(&fleet, &asks(3, 600, &[], 0)), []);
    let busy = |free, suitable, asked| Fail::GpuBusy { free, suitable, asked };
    assert_eq!(fails(&fleet, &asks(3, 601, &[], 0)), [busy(2, 3, 3)]);
    assert_eq!(fails(&fleet, &asks(1, 1000, &["T4"], 16)), []);
    assert_eq!(fails(&fleet, &asks(2, 1000, &["T4"], 16)), [busy(1, 2, 2)]);
    assert_eq!(fails(&fleet, &asks(3, 1000, &["T4"], 0)), [Fail::GpuAside { aside: 1 }]);
    assert_eq!(fails(&fleet, &asks(1, 1000, &[], 17)), [Fail::GpuAside { aside: 1 }]);
    let well = with(|_, fleet| gpus(fleet, &[("T4", 16, None)]));
    let none = |suitable, asked| [Fail::NoGpu { suitable, asked }];
    assert_eq!(fails(&well, &asks(2, 1000, &[], 0)), none(1, 2));
    assert_eq!(fails(&well, &asks(1, 1000, &["K80"], 0)), none(0, 1));
    assert_eq!(fails(&well, &asks(1, 500, &[], 0)), none(0, 1), "whole ones only");
    assert_eq!(fails(&well, &asks(1, 1000, &[], 16)), []);
}

#[test]
fn servers_without_gpu_beside_gpus() {
    let with_rule = |min, keep| {
        with(move |pool, fleet| {
            pool.cpu_servers = CpuServers { min, keep };
            gpus(fleet, &[("T4", 16, None)]);
        })
    };
    let closed = with_rule(None, ByteCount::ZERO);
    assert_eq!(fails(&closed, &need(gb(1))), [Fail::ForGpus { min: None }]);
    let min = Some(gb(2));
    let open = with_rule(min, ByteCount::ZERO);
    assert_eq!(fails(&open, &need(gb(2))), []);
    assert_eq!(fails(&open, &need(ByteCount(gb(2).0 - 1))), [Fail::ForGpus { min }]);
    // Of 12 GB 8 are given to servers without a GPU; two are kept.
    let kept = with_rule(min, gb(2));
    assert_eq!(fails(&kept, &need(gb(2))), []);
    let fail = Fail::KeptForGpus { limits: more(gb(10)), most: gb(10) };
    assert_eq!(fails(&kept, &need(more(gb(2)))), [fail]);
    let by_gpu = Need { gpus: 1, gpu_milli: 1000, ..need(gb(4)) };
    assert_eq!(fails(&kept, &by_gpu), [], "it is kept for this one");
}

#[test]
fn what_keeps_memory_away_has_its_reason() {
    let usable = Usable { bytes: gb(10), bound: Bound::Live { outside: gb(2) } };
    let limits = |limits| Fail::Memory(Refusal::Limits { limits, usable, distrust: None }).reason();
    assert_eq!(limits(gb(12)), Reason::WaitMemoryUsed, "it would fit but for what is outside");
    assert_eq!(limits(more(gb(12))), Reason::WaitMemoryReserved);
    let lately = |lately| {
        let refusal = Refusal::OneGrows { lately, growth: gb(4), newcomer: true, usable };
        Fail::Memory(refusal).reason()
    };
    assert_eq!(
        [lately(gb(8)), lately(more(gb(8)))],
        [Reason::WaitMemoryUsed, Reason::WaitMemoryReserved,]
    );
    let doubled = |doubled| Fail::Memory(Refusal::AllReturn { doubled, usable }).reason();
    assert_eq!(
        [doubled(gb(12)), doubled(more(gb(12)))],
        [Reason::WaitMemoryUsed, Reason::WaitMemoryReserved,]
    );
    let declared = Usable { bytes: gb(10), bound: Bound::Declared };
    let refusal = Refusal::AllReturn { doubled: gb(11), usable: declared };
    assert_eq!(Fail::Memory(refusal).reason(), Reason::WaitMemoryReserved);
    let over = Refusal::Oversubscribed { limits: gb(2), allowed: gb(1) };
    assert_eq!(Fail::Memory(over).reason(), Reason::WaitMemoryReserved);
    let ceiling = Refusal::UsedCeiling { used: gb(2), peak: gb(1), allowed: gb(2) };
    assert_eq!(Fail::Memory(ceiling).reason(), Reason::WaitMemoryUsed);
    let alarm = Refusal::Alarm(Alarm { used: gb(2), need: gb(3), usable: gb(2) });
    assert_eq!(Fail::Memory(alarm).reason(), Reason::WaitMemoryGrowth);
}

#[test]
fn every_rule_says_its_numbers() {
    let fleet = with(|_, fleet| gpus(fleet, &[("T4", 16, None), ("T4", 16, Some("hot"))]));
    let mut entry = (**fleet.floor.host(&host("h1")).unwrap()).clone();
    let says = |entry: &crate::floor::FloorHost, fail: Fail, now: Timestamp| {
        detail(fail, entry, &fleet.settings, &need(gb(4)), now)
    };
    let fails = [
        (Fail::NotInPool, "it serves the pool cpu"),
        (Fail::NotAllowed, "a rule sends this person's servers to other hosts"),
        (Fail::Space { number: 3 }, "a space (required): it does not answer"),
        (Fail::ForGpus { min: None }, "it takes servers with a GPU only"),
        (Fail::ForGpus { min: Some(gb(2)) }, "without a GPU it takes servers of 2 GB and more"),
        (
            Fail::KeptForGpus { limits: gb(11), most: gb(10) },
            "servers without a GPU would have 11 GB of at most 10 GB there",
        ),
        (Fail::Cpu { asked: 1_500, left: 250 }, "1.5 of a processor asked, 0.25 left"),
        (Fail::FarmPorts { asked: 2, left: 0, all: 0 }, "2 farm ports asked, and it gives none"),
        (Fail::FarmPorts { asked: 2, left: 1, all: 4 }, "1 of its 4 farm ports are free; 2 asked"),
        (Fail::NoGpu { suitable: 1, asked: 2 }, "1 of 2 suitable GPUs"),
        (Fail::GpuAside { aside: 1 }, "1 of its GPUs set aside: hot"),
        (
            Fail::GpuBusy { free: 0, suitable: 1, asked: 1 },
            "0 of 1 suitable GPUs are free; 1 asked",
        ),
    ];
    for (fail, text) in fails {
        assert_eq!(says(&entry, fail, NOW), text);
    }
    // States: when a host will be empty, since when it is silent, or what was noted.
    entry.note = "a new disk".into();
    entry.drains_by = Some(NOW.plus(Seconds(60)));
    let draining = Fail::State(Reason::HostDraining);
    assert_eq!(says(&entry, draining, NOW), "it will be empty in 1m");
    assert_eq!(says(&entry, draining, NOW.plus(Seconds(60))), "a new disk");
    entry.drains_by = None;
    assert_eq!(says(&entry, draining, NOW), "a new disk");
    assert_eq!(says(&entry, Fail::State(Reason::HostLost), NOW), "");
    entry.silent_since = Some(NOW);
    let later = NOW.plus(Seconds(90));
    assert_eq!(says(&entry, Fail::State(Reason::HostLost), later), "no report for 1m 30s");
    // How old a report is, is counted at the moment of the question.
    let usable = Usable { bytes: gb(12), bound: Bound::Declared };
    let distrust = Some(Distrust::Old { age: Seconds(u64::MAX) });
    let limits = Fail::Memory(Refusal::Limits { limits: gb(16), usable, distrust });
    let text = "limits on h1 would be 16 GB of 12 GB: its last report is 1m 30s old";
    assert_eq!(says(&entry, limits, later), text);
    let undeclared = crate::floor::FloorHost { host: host("h9"), ..entry.clone() };
    assert_eq!(says(&undeclared, Fail::NotInPool, NOW), "no file declares it");
    entry.sick.insert(
        "a space".into(),
        Ending { reason: Reason::MountSick, detail: "no answer for 10 s".into() },
    );
    assert_eq!(
        says(&entry, Fail::Space { number: 3 }, NOW),
        "a space (required): no answer for 10 s"
    );
}

#[test]
fn a_score_says_its_terms_and_a_cost_its_parts() {
    let score = |fill| Score {
        drains: true,
        not_preferred: false,
        image_absent: true,
        fill,
        not_last: false,
        position: 4,
    };
    let scored = |fill, worth| Scored { host: host("h1"), score: score(fill), worth };
    let says = |scored: Scored| {
        let terms = scored.terms();
        terms.iter().map(|term| format!("{}: {}", term.name, term.value)).collect::<Vec<_>>()
    };
    assert_eq!(
        says(scored(Fill::ReservedPart(333), None)),
        [
            "emptied while it may live: yes",
            "preferred by a rule: yes",
            "image present: no",
            "memory already reserved: 33.3 %",
            "was there last: yes",
            "place in the order of hosts: 5",
        ]
    );
    let nano = |milli: i64| Cost(milli * 1_000_000);
    let worth = crate::packing::Worth {
        value_lost: nano(1_000),
        fragmentation: nano(-200),
        scarcity: nano(30),
        consolidation: nano(4),
        used: Default::default(),
    };
    assert_eq!(worth.cost(), nano(834));
    let terms = says(scored(Fill::Waste(worth.cost()), Some(worth)));
    assert_eq!(
        terms[3..8],
        [
            "wasted by placing there: 0.834 GPU",
            "  worth that is lost: 1.000 GPU",
            "  GPU that becomes unusable: -0.200 GPU",
            "  scarcity: 0.030 GPU",
            "  place in the filling order: 0.004 GPU",
        ]
    );
    assert_eq!(terms.len(), 10);
}

#[test]
fn the_largest_start_is_what_the_emptiest_host_of_the_pool_has_left() {
    let mut fleet = with(|_, fleet| placement_mut(fleet, 3).reservation.memory = more(gb(5)));
    let largest = |fleet: &Fleet, pool: &str| crate::largest::largest_start(fleet, pool);
    // In whole MiB: of 12 GB 5 GB and a byte are taken.
    assert_eq!(largest(&fleet, "cpu"), ByteCount((7 << 30) - (1 << 20)));
    assert_eq!(largest(&fleet, "gpu"), ByteCount::ZERO);
    Arc::make_mut(&mut fleet.settings).pools.insert("gpu".into(), Pool::default());
    assert_eq!(largest(&fleet, "gpu"), ByteCount::ZERO, "no host serves it");
}

#[test]
fn which_host_is_nearest_to_taking_a_need() {
    let fleet = with(|_, _| ());
    let rows = fleet.rows();
    let (h1, h2, h3) = (host("h1"), host("h2"), host("h3"));
    // Of 12 GB h1 has 4 left and h2 8; h3 has not reported.
    assert!(rows.takes(&need(gb(8)), None));
    assert!(!rows.takes(&need(gb(8)), Some(1)), "it is kept for another");
    assert!(rows.takes(&need(gb(4)), Some(1)));
    assert!(!rows.takes(&need(more(gb(8))), None));
    let most = |kept| rows.largest_limit(&need(gb(20)), kept);
    assert_eq!(most(None), Some((h2.clone(), gb(8))));
    assert_eq!(most(Some(1)), Some((h1.clone(), gb(4))));
    assert_eq!(rows.largest_limit(&need(gb(3)), None), Some((h1.clone(), gb(3))), "as asked");
    assert_eq!(rows.least_missing(&need(gb(10))), Some(h2.clone()));
    let lack = |amount: u64| (0, i128::from(gb(amount).0));
    let all = [(lack(2), &h2), (lack(6), &h1)];
    assert_eq!(rows.lacking(&need(gb(10)), 2), all);
    assert_eq!(rows.lacking(&need(gb(10)), 1), all[..1]);
    assert_eq!(rows.lacking(&need(gb(10)), 9), all);
    assert!(rows.could_take(&need(gb(12)), &h1));
    assert!(!rows.could_take(&need(more(gb(12))), &h1));
    assert!(!rows.could_take(&need(gb(1)), &h3), "it is not up");
    assert_eq!(["cpu", "gpu"].map(|pool| rows.has_a_host_down(pool)), [true, false]);
    let up = with(|_, fleet| drop(Arc::make_mut(&mut fleet.settings).hosts.remove(&h3)));
    assert!(!up.rows().has_a_host_down("cpu"));
}

#[test]
fn devices_that_are_missing_come_before_memory() {
    let fleet = with(|_, fleet| {
        gpus(fleet, &[("T4", 16, None), ("T4", 16, None)]);
        placement_mut(fleet, 1).gpus = vec![GpuPart { gpu: "GPU-0".parse().unwrap(), milli: 1000 }];
    });
    let two = Need { gpus: 2, gpu_milli: 1000, ..need(gb(1)) };
    let lacks = fleet.rows().lacking(&two, 9);
    assert_eq!(lacks, [((1, i128::from(gb(1).0) - i128::from(gb(4).0)), &host("h1"))]);
    assert!(!fleet.rows().takes(&two, None));
    assert!(fleet.rows().takes(&Need { gpus: 1, ..two.clone() }, None));
    assert!(!fleet.rows().could_take(&Need { gpus: 3, ..two }, &host("h1")));
}

#[test]
fn a_host_that_is_away_would_help_if_its_state_is_all() {
    let cordoned = |amount: u64| {
        let fleet = with(|_, fleet| {
            let order = crate::fleet::Order { reason: "x".into(), who: "erin".into(), at: NOW };
            let h2 = Arc::make_mut(fleet.hosts.get_mut(&host("h2")).unwrap());
            h2.intent = crate::fleet::Intent::Cordoned(order);
        });
        let back = |can: fn(&berth_common::HostId) -> bool| {
            let need = need(gb(amount));
            fleet
                .rows()
                .if_it_were_back(&need, |host, _| can(host))
                .map(|(host, why)| (host.to_string(), why))
        };
        [back(|_| true), back(|host| host.as_str() != "h2"), back(|_| false)]
    };
    let (h2, h3) = (
        Some(("h2".to_owned(), Reason::HostCordoned)),
        Some(("h3".to_owned(), Reason::HostJoining)),
    );
    assert_eq!(cordoned(8), [h2, h3.clone(), None]);
    assert_eq!(cordoned(9), [h3.clone(), h3, None], "h2 has 8 left");
    assert_eq!(cordoned(13), [None, None, None], "no host is that large");
}

#[test]
fn a_sixteenth_of_new_requests_asks_for_other_prices() {
    let mut demand = Demand::default();
    assert!(!demand.take_new(), "nothing was asked");
    let note = |demand: &mut Demand, count: usize| {
        (0..count).for_each(|_| demand.note(&need(gb(1))));
    };
    note(&mut demand, 1);
    assert!(demand.take_new() && !demand.take_new());
    // 31 and two new ones are 32 sixteenths of 33; a third makes 48 of 34.
    note(&mut demand, 30);
    assert!(demand.take_new());
    note(&mut demand, 2);
    assert!(!demand.take_new());
    note(&mut demand, 1);
    assert!(demand.take_new());
    // The newest two thousand are remembered, and what is offered counts beside them.
    note(&mut demand, 2_100);
    let fleet = with(|_, _| ());
    let mix = demand.mix(fleet.rows(), [need(gb(1)), need(gb(4))].into_iter());
    assert_eq!(mix.iter().map(|(_, count)| count).collect::<Vec<_>>(), [2_049, 1]);
}

#[test]
fn memory_of_requests_is_told_apart_in_steps() {
    let fleet = with(|pool, _| pool.gpu_sharing = GpuSharing::Shared);
    let kind = |need: &Need| fleet.rows().kind(need);
    let memory = |bytes| kind(&need(bytes)).unwrap().memory_mib;
    assert_eq!([memory(gb(1)), memory(more(gb(1)))], [1_024, 1_280]);
    let gpu = |gpus, gpu_milli| {
        let kind = kind(&Need { gpus, gpu_milli, ..need(gb(1)) })?;
        Some((kind.gpu.count(), kind.gpu.each_milli()))
    };
    assert_eq!(
        [gpu(0, 0), gpu(1, 999), gpu(1, 1000)],
        [Some((0, 0)), Some((1, 999)), Some((1, 1000))]
    );
    assert_eq!([gpu(2, 1000), gpu(17, 1000)], [Some((2, 1000)), None]);
    assert_eq!(kind(&Need { pool: "gpu".into(), ..need(gb(1)) }), None);
}
