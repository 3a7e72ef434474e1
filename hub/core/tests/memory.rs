//! The memory rule from outside: the worked example of section 4.4 of the scheduler's design, and
//! what must hold for any host.

use berth_common::{ByteCount, Seconds, Timestamp, Username};
use berth_core::memory::{
    Bound, Distrust, Floor, History, HostMemory, Kind, Member, Peaks, Refusal, Report, Resident,
    Rule, SETTLING, Sums, Thousandths, alarm, largest_limit, plan, refusals, rest,
};
use proptest::prelude::*;

/// Tenths of a GB, rounded up to whole bytes.
fn tenths(amount: u64) -> ByteCount {
    ByteCount((amount << 30) / 10)
}

fn gb(amount: u64) -> ByteCount {
    ByteCount(amount << 30)
}

/// A server that has shown its peak long ago and holds it.
fn settled(peak: ByteCount, limit: ByteCount) -> Member {
    Member { used: peak, lately: peak, peak, limit, young: false }
}

/// 32 GB, 1 GB kept free, all the rest used by its servers or free.
fn host(sums: &Sums) -> HostMemory {
    let used = ByteCount(sums.used as u64);
    let report = Report {
        age: Seconds(5),
        total: gb(32),
        free: Some(gb(32).minus(used)),
        above_limit: false,
    };
    HostMemory { declared: Some(gb(32)), keep_free: gb(1), report: Some(report) }
}

const PEAKS: Rule = Rule {
    kind: Kind::Peaks,
    oversubscribe: Thousandths::UNBOUNDED,
    used_ceiling: Thousandths::ONE,
};

fn refused(host: &HostMemory, sums: &Sums, newcomer: &Member, rule: &Rule) -> Vec<Refusal> {
    refusals(host, sums, newcomer, rule).collect()
}

#[test]
fn the_worked_example() {
    let check = |members: &[Member], newcomer: Member| {
        let sums = Sums::of(members);
        refused(&host(&sums), &sums, &newcomer, &PEAKS)
    };
    assert_eq!(check(&[], Member::newcomer(gb(1), gb(28))), []);
    let idle = settled(tenths(2), gb(28));
    assert_eq!(check(&[idle; 11], Member::newcomer(gb(1), gb(28))), []);
    assert_ne!(check(&[idle; 12], Member::newcomer(gb(1), gb(28))), []);
    assert_eq!(check(&[idle; 15], Member::newcomer(tenths(2), gb(28))), []);
    assert_ne!(check(&[idle; 16], Member::newcomer(tenths(2), gb(28))), []);
    let large = settled(gb(20), gb(28));
    assert_eq!(check(&[large], Member::newcomer(gb(1), gb(11))), []);

    let newcomer = Member::newcomer(gb(1), gb(28));
    let found = check(&[large], newcomer);
    assert_eq!(
        found.first().unwrap().sentence("w05", &newcomer, [("c01", &large)]),
        "if this server grew to its 28 GB beside c01's 20 GB, w05 would need 48 GB of 31 GB"
    );
    let sums = Sums::of(&[large]);
    assert_eq!(largest_limit(&host(&sums), &sums, &newcomer, &PEAKS), Some(gb(11)));
}

#[test]
fn memory_that_others_hold_is_not_there() {
    let large = settled(gb(20), gb(28));
    let sums = Sums::of(&[large]);
    let mut host = host(&sums);
    host.report.as_mut().unwrap().free = Some(gb(6));
    let newcomer = Member::newcomer(gb(1), gb(4));
    let found = refused(&host, &sums, &newcomer, &PEAKS);
    assert_eq!(host.usable(&sums).bytes, gb(25));
    assert_eq!(host.usable(&sums).bound, Bound::Live { outside: gb(6) });
    assert_eq!(
        found.first().unwrap().sentence("w05", &newcomer, [("c01", &large)]),
        "if c01 grew to its limit, w05 would need 29 GB of 25 GB; \
         something outside the servers holds 6 GB of w05"
    );
    // The same numbers ring the alarm: c01 alone could pass what is there.
    assert!(matches!(found.last(), Some(Refusal::Alarm(_))), "{found:?}");
}

#[test]
fn every_gate_says_its_numbers() {
    let sentences = |host: &HostMemory, members: &[Member], newcomer: Member, rule: &Rule| {
        let sums = Sums::of(members);
        let names = members.iter().map(|member| ("s1", member));
        let names: Vec<_> = names.collect();
        refusals(host, &sums, &newcomer, rule)
            .map(|refusal| refusal.sentence("w05", &newcomer, names.iter().copied()))
            .collect::<Vec<_>>()
    };
    let empty = Sums::default();
    let newcomer = Member::newcomer(gb(1), gb(28));
    let site = Rule {
        kind: Kind::Peaks,
        oversubscribe: Thousandths(1500),
        used_ceiling: Thousandths(850),
    };
    let large = settled(gb(28), gb(28));
    assert_eq!(
        sentences(&host(&Sums::of(&[large])), &[large], newcomer, &site),
        [
            "if this server grew to its 28 GB beside s1's 28 GB, w05 would need 56 GB of 31 GB",
            "limits on w05 would be 56 GB, its pool allows 46.5 GB",
            "28 GB of w05 are used now and 1 GB are expected of this server, its pool allows 27.2 GB",
        ]
    );
    let young = [Member::newcomer(tenths(2), gb(28)); 3];
    assert_eq!(
        sentences(&host(&empty), &young, newcomer, &PEAKS),
        [
            "servers of which nothing is known yet could take 112 GB of w05's 31 GB, a risk of 3.264 where 2 is allowed"
        ]
    );
    let shrunk = Member { used: gb(1), lately: gb(1), peak: gb(16), limit: gb(28), young: false };
    assert_eq!(
        sentences(
            &host(&Sums::of(&[shrunk; 2])),
            &[shrunk; 2],
            Member::newcomer(tenths(2), gb(1)),
            &PEAKS
        ),
        ["if all servers there grew to twice their highest use, w05 would need 56.4 GB of 31 GB"]
    );
    let mut silent = host(&empty);
    silent.report = None;
    let other = settled(gb(1), gb(10));
    assert_eq!(
        sentences(&silent, &[other], newcomer, &PEAKS),
        ["limits on w05 would be 38 GB of 31 GB: it has not reported yet"]
    );
    let grown = [settled(gb(15), gb(28)), settled(gb(15), gb(28))];
    let found = sentences(&host(&Sums::of(&grown)), &grown, Member::newcomer(gb(1), gb(1)), &PEAKS);
    assert_eq!(
        found.last().unwrap(),
        "w05 admits nobody: its servers use 30 GB now, and if s1 grew to its limit they would need 43 GB of 31 GB"
    );
}

#[test]
fn a_host_whose_word_does_not_count_admits_by_limits() {
    let members = [settled(gb(1), gb(16))];
    let sums = Sums::of(&members);
    let good = host(&sums);
    let newcomer = Member::newcomer(gb(1), gb(16));
    assert_eq!(refused(&good, &sums, &newcomer, &PEAKS), []);
    let with = |change: fn(&mut Report)| {
        let mut bad = good;
        change(bad.report.as_mut().unwrap());
        bad
    };
    let used = gb(1);
    for (bad, distrust) in [
        (with(|report| report.age = Seconds(31)), Distrust::Old { age: Seconds(31) }),
        (with(|report| report.free = None), Distrust::NoFree),
        (
            with(|report| report.free = Some(gb(33))),
            Distrust::TooMuch { used, free: gb(33), total: gb(32) },
        ),
        (with(|report| report.above_limit = true), Distrust::AboveLimit),
        (HostMemory { report: None, ..good }, Distrust::Silent),
    ] {
        assert_eq!(bad.distrust(&sums), Some(distrust));
        let found = refused(&bad, &sums, &newcomer, &PEAKS);
        assert!(
            matches!(found.first(), Some(Refusal::Limits { distrust: Some(it), .. }) if *it == distrust),
            "{found:?}"
        );
        assert_eq!(largest_limit(&bad, &sums, &newcomer, &PEAKS), Some(gb(15)));
    }
}

#[test]
fn the_default_rule_promises_nothing_twice() {
    let members = [settled(gb(1), gb(16))];
    let sums = Sums::of(&members);
    let check =
        |limit| refused(&host(&sums), &sums, &Member::newcomer(gb(1), limit), &Rule::default());
    assert_eq!(check(gb(15)), []);
    assert!(matches!(
        check(ByteCount(gb(15).0 + 1)).first(),
        Some(Refusal::Limits { distrust: None, .. })
    ));
    let newcomer = Member::newcomer(gb(1), gb(10));
    assert_eq!(rest(&host(&sums), &sums, &newcomer, &Rule::default()), Some(gb(5)));
}

#[test]
fn peaks_are_forgotten_in_their_time() {
    let start = Timestamp::from_millis(1_700_000_000_000);
    let after = |seconds| start.plus(Seconds(seconds));
    let (day, floor, limit) = (86_400, gb(1), gb(28));
    let mut peaks = Peaks::begin(start, Seconds(7 * day));
    let view = |peaks: &Peaks, at| {
        let member = peaks.member(after(at), floor, limit);
        (member.used.0 >> 30, member.lately.0 >> 30, member.peak.0 >> 30, member.young)
    };
    assert_eq!(view(&peaks, 0), (0, 1, 1, true));
    peaks.record(after(60), gb(9));
    peaks.record(after(120), ByteCount(0));
    assert_eq!(view(&peaks, 130), (0, 9, 9, true));
    assert_eq!(view(&peaks, 10 * 60), (0, 9, 9, true));
    // Settled: what it has given back is free, what it has shown is known.
    assert_eq!(view(&peaks, SETTLING.0), (0, 0, 9, false));
    assert_eq!(view(&peaks, 7 * day), (0, 0, 9, false));
    assert_eq!(view(&peaks, 8 * day), (0, 0, 0, false));
    assert_eq!(Peaks::begin(start, Seconds(0)).member(start, gb(40), limit).peak, limit);
    // It survives the store.
    let stored = serde_json::to_string(&peaks).unwrap();
    assert_eq!(serde_json::from_str::<Peaks>(&stored).unwrap(), peaks);
}

#[test]
fn what_is_expected_comes_from_the_closest_past() {
    let user = |name: &str| name.parse::<Username>().unwrap();
    let mut history = History::default();
    let expected = |history: &History, name: &str, image: &str| {
        history.expected(&user(name), image, "cpu", Floor::default(), gb(28)).0 >> 30
    };
    assert_eq!(expected(&history, "alice", "root"), 1);
    for peak in [2, 3, 4, 5] {
        history.add(&user("alice"), "root", "cpu", gb(peak));
    }
    assert_eq!(expected(&history, "alice", "root"), 1);
    history.add(&user("alice"), "root", "cpu", gb(6));
    assert_eq!(expected(&history, "alice", "root"), 6);
    assert_eq!(expected(&history, "bob", "root"), 1);
    for peak in 6..=20 {
        history.add(&user(&format!("u{peak}")), "root", "cpu", gb(peak));
    }
    // 20 of the image: the 19th; the same of the profile for another image.
    assert_eq!(expected(&history, "bob", "root"), 19);
    assert_eq!(expected(&history, "bob", "default"), 19);
    assert_eq!(expected(&history, "alice", "root"), 6);
    // Only the newest count, and never more than the limit.
    for _ in 0..64 {
        history.add(&user("alice"), "root", "cpu", gb(40));
    }
    assert_eq!(expected(&history, "alice", "root"), 28);
    let nothing = Floor::new(ByteCount(0));
    assert_eq!(history.expected(&user("bob"), "r", "other", nothing, gb(28)), ByteCount(1));
}

#[test]
fn relief_asks_the_longest_idle_first_and_no_busy_one() {
    let at = |minute: i64| Timestamp::from_millis(minute * 60_000);
    let resident = |id, used, idle_since: Option<i64>| Resident {
        id,
        memory: settled(gb(used), gb(28)),
        idle_since: idle_since.map(at),
        protected: false,
    };
    let mut residents =
        vec![resident("a", 1, Some(30)), resident("b", 12, None), resident("c", 1, Some(10))];
    let ids = |residents: &[Resident<&'static str>]| {
        let plan = plan(residents, gb(31));
        (plan.steps.iter().map(|step| step.id).collect::<Vec<_>>(), plan.clears)
    };
    // 12 + 1 and the growth of one from 1 to 28: 40. Alone, b needs no more than its limit.
    assert_eq!(ids(&residents), (vec!["c", "a"], true));
    // If the large one is idle, its leaving is enough, and nobody else is asked.
    residents[1].idle_since = Some(at(20));
    assert_eq!(ids(&residents), (vec!["b"], true));
    residents[1].protected = true;
    residents[0].idle_since = None;
    assert_eq!(ids(&residents), (vec!["c"], false));
    residents.remove(1);
    assert_eq!(ids(&residents), (vec![], true));
}

fn member() -> impl Strategy<Value = Member> {
    let part = 0..=40_u64 << 10;
    (part.clone(), part.clone(), part.clone(), part, any::<bool>()).prop_map(
        |(used, lately, peak, limit, young)| {
            let limit = ByteCount(limit + 1);
            let lately = used.max(lately);
            Member {
                used: ByteCount(used),
                lately: ByteCount(lately),
                peak: ByteCount(lately.max(peak)),
                limit,
                young,
            }
        },
    )
}

/// A host of at most 64 Ki bytes with its servers: small numbers meet their borders often.
fn world() -> impl Strategy<Value = (HostMemory, Vec<Member>, Member, Rule)> {
    let report = proptest::option::of((
        0..60_u64,
        0..64_u64 << 10,
        proptest::option::of(0..64_u64 << 10),
        any::<bool>(),
    ));
    let rule = (any::<bool>(), 500..4000_u32, 500..2000_u32).prop_map(
        |(peaks, oversubscribe, ceiling)| Rule {
            kind: if peaks { Kind::Peaks } else { Kind::Limits },
            oversubscribe: Thousandths(oversubscribe),
            used_ceiling: Thousandths(ceiling),
        },
    );
    let host = (proptest::option::of(0..64_u64 << 10), 0..2048_u64, report).prop_map(
        |(declared, keep_free, report)| HostMemory {
            declared: declared.map(ByteCount),
            keep_free: ByteCount(keep_free),
            report: report.map(|(age, total, free, above_limit)| Report {
                age: Seconds(age),
                total: ByteCount(total),
                free: free.map(ByteCount),
                above_limit,
            }),
        },
    );
    (host, proptest::collection::vec(member(), 0..6), member(), rule)
}

proptest! {
    #[test]
    fn sums_do_not_depend_on_what_came_and_went(
        members in proptest::collection::vec(member(), 1..12),
        steps in proptest::collection::vec((0..3_u8, any::<prop::sample::Index>(), member()), 0..40),
    ) {
        let mut there = members;
        let mut sums = Sums::of(&there);
        for (what, index, member) in steps {
            match what {
                0 => {
                    sums.add(&member);
                    there.push(member);
                }
                1 if !there.is_empty() => sums.remove(&there.swap_remove(index.index(there.len()))),
                _ if !there.is_empty() => {
                    let place = index.index(there.len());
                    sums.change(&there[place], &member);
                    there[place] = member;
                }
                _ => {}
            }
            prop_assert_eq!(&sums, &Sums::of(&there));
            let bounded = there.iter().map(|member| member.bounded());
            let lately: u128 = there.iter().map(|m| u128::from(m.lately.min(m.limit).0)).sum();
            let growth = bounded.map(|m| m.limit.0 - m.lately.0).max().unwrap_or(0);
            prop_assert_eq!(sums.one_grows(), lately + u128::from(growth));
            prop_assert!(sums.need() <= sums.limits);
        }
    }

    #[test]
    fn the_largest_limit_is_exact((host, members, newcomer, rule) in world()) {
        let sums = Sums::of(&members);
        let admits = |limit: u64| {
            let newcomer = Member { limit: ByteCount(limit), ..newcomer };
            refusals(&host, &sums, &newcomer, &rule).next().is_none()
        };
        match largest_limit(&host, &sums, &newcomer, &rule) {
            Some(limit) => {
                prop_assert!(admits(limit.0));
                prop_assert!(limit == newcomer.limit || !admits(limit.0 + 1));
                prop_assert!(limit < newcomer.limit || admits(newcomer.limit.0));
            }
            None => prop_assert!((1..=newcomer.limit.0).step_by(97).all(|limit| !admits(limit))),
        }
    }

    #[test]
    fn an_older_or_false_report_never_admits_more((host, members, newcomer, rule) in world()) {
        let sums = Sums::of(&members);
        let admits = |host: &HostMemory| refusals(host, &sums, &newcomer, &rule).next().is_none();
        let Some(report) = host.report else { return Ok(()) };
        let worse = |report: Report| HostMemory { report: Some(report), ..host };
        if !admits(&host) {
            let older = worse(Report { age: Seconds(report.age.0 + 31), ..report });
            prop_assert!(!admits(&older));
            let false_one = worse(Report { above_limit: true, ..report });
            prop_assert!(!admits(&false_one));
            if let (Some(free), None) = (report.free, host.distrust(&sums)) {
                let fuller = worse(Report { free: Some(ByteCount(free.0 / 2)), ..report });
                prop_assert!(!admits(&fuller));
            }
        }
    }

    #[test]
    fn who_is_admitted_may_grow_alone((host, members, newcomer, rule) in world()) {
        let sums = Sums::of(&members);
        let usable = host.usable(&sums).bytes;
        let left = rest(&host, &sums, &newcomer, &rule);
        prop_assert_eq!(left.is_some(), refusals(&host, &sums, &newcomer, &rule).next().is_none());
        if left.is_some() {
            prop_assert!(alarm(&sums, usable).is_none());
            let mut with = sums.clone();
            with.add(&newcomer);
            prop_assert!(with.one_grows() <= u128::from(usable.0));
            prop_assert!(with.need() <= u128::from(usable.0));
        }
    }

    #[test]
    fn a_plan_clears_or_leaves_no_idle_one(
        members in proptest::collection::vec((member(), proptest::option::of(0..5_i64), any::<bool>()), 0..8),
        usable in 0..64_u64 << 10,
    ) {
        let usable = ByteCount(usable);
        let residents: Vec<_> = members.iter().enumerate().map(|(id, (memory, idle, protected))| Resident {
            id,
            memory: *memory,
            idle_since: idle.map(Timestamp),
            protected: *protected,
        }).collect();
        let plan = plan(&residents, usable);
        let stays = |resident: &&Resident<usize>| plan.steps.iter().all(|step| step.id != resident.id);
        let left = Sums::of(residents.iter().filter(stays).map(|resident| &resident.memory));
        prop_assert_eq!(plan.clears, alarm(&left, usable).is_none());
        for step in &plan.steps {
            let resident = &residents[step.id];
            prop_assert!(resident.idle_since.is_some() && !resident.protected);
            if plan.clears {
                let mut back = left.clone();
                back.add(&resident.memory);
                prop_assert!(alarm(&back, usable).is_some(), "{} leaves for nothing", step.id);
            }
        }
        if !plan.clears {
            let idle = residents.iter().filter(stays).filter(|it| it.idle_since.is_some() && !it.protected);
            prop_assert_eq!(idle.count(), 0);
        }
        let since: Vec<_> = plan.steps.iter().map(|step| (step.idle_since, step.id)).collect();
        prop_assert!(since.is_sorted());
    }
}
