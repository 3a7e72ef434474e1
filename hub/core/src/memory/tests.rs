//! The rules at their very limits.

use berth_common::{ByteCount, Seconds, Timestamp, Username};

use super::*;

fn gb(amount: u64) -> ByteCount {
    ByteCount(amount << 30)
}

fn more(amount: ByteCount) -> ByteCount {
    ByteCount(amount.0 + 1)
}

/// 32 GB, all of which servers may have, and so much free.
fn host(free: ByteCount) -> HostMemory {
    let report = Report { age: Seconds(5), total: gb(32), free: Some(free), above_limit: false };
    HostMemory { declared: Some(gb(32)), keep_free: ByteCount::ZERO, report: Some(report) }
}

fn using(used: ByteCount) -> Sums {
    Sums::of(&[Member { used, lately: used, peak: used, limit: gb(64), young: false }])
}

const PEAKS: Rule = Rule {
    kind: Kind::Peaks,
    oversubscribe: Thousandths::UNBOUNDED,
    used_ceiling: Thousandths::ONE,
};

#[test]
fn how_far_a_hosts_word_is_believed() {
    let reported = |change: fn(&mut Report)| {
        let mut host = host(gb(32));
        host.report.as_mut().unwrap().age = Seconds(30);
        change(host.report.as_mut().unwrap());
        host
    };
    assert_eq!(reported(|_| ()).distrust(&Sums::default()), None, "30 s old, and all is free");
    let old = reported(|report| report.age = Seconds(31));
    assert_eq!(old.distrust(&Sums::default()), Some(Distrust::Old { age: Seconds(31) }));
    let free = reported(|report| report.free = Some(more(gb(32))));
    let too_much = |used, free| Some(Distrust::TooMuch { used, free, total: gb(32) });
    assert_eq!(free.distrust(&Sums::default()), too_much(ByteCount::ZERO, more(gb(32))));
    // An eighth may have moved between the two readings.
    assert_eq!(reported(|_| ()).distrust(&using(gb(4))), None);
    assert_eq!(reported(|_| ()).distrust(&using(more(gb(4)))), too_much(more(gb(4)), gb(32)));
}

#[test]
fn the_least_of_what_is_said_bounds_a_host() {
    let usable = |declared: Option<u64>, report: Option<(u64, Option<u64>)>| {
        let report = report.map(|(total, free)| Report {
            age: Seconds(5),
            total: gb(total),
            free: free.map(gb),
            above_limit: false,
        });
        let host = HostMemory { declared: declared.map(gb), keep_free: gb(1), report };
        let Usable { bytes, bound } = host.usable(&using(gb(4)));
        (bytes.0 >> 30, bound)
    };
    assert_eq!(usable(None, None), (0, Bound::Unknown));
    assert_eq!(usable(Some(32), None), (31, Bound::Declared));
    assert_eq!(usable(Some(32), Some((32, None))), (31, Bound::Declared), "both say the same");
    assert_eq!(usable(Some(32), Some((31, None))), (30, Bound::Reported));
    assert_eq!(usable(None, Some((31, None))), (30, Bound::Reported));
    assert_eq!(usable(Some(32), Some((32, Some(28)))), (31, Bound::Declared), "nobody else's");
    assert_eq!(usable(Some(32), Some((40, Some(28)))), (31, Bound::Declared));
    let outside = |amount| Bound::Live { outside: gb(amount) };
    assert_eq!(usable(Some(32), Some((40, Some(26)))), (29, outside(2)), "of 32 that count");
    assert_eq!(usable(None, Some((40, Some(26)))), (29, outside(10)));
}

#[test]
fn what_is_really_used_is_what_is_not_free() {
    let used = |free: Option<u64>| {
        let mut host = host(gb(32));
        host.report.as_mut().unwrap().free = free.map(gb);
        host.really_used(&using(gb(4))).0 >> 30
    };
    assert_eq!([used(Some(20)), used(Some(30)), used(None)], [12, 4, 4]);
}

#[test]
fn a_part_is_rounded_up_and_an_amount_down() {
    let parts = |part, whole| Thousandths::from_parts(part, whole).0;
    assert_eq!([parts(1, 3), parts(1, 2), parts(0, 5)], [334, 500, 0]);
    assert_eq!([parts(3, 0), parts(u128::MAX, 1)], [3_000, u32::MAX]);
    let of = |part, amount| Thousandths(part).of(ByteCount(amount)).0;
    assert_eq!([of(850, 1_000), of(850, 1_001), of(1_500, 3)], [850, 850, 4]);
    assert_eq!(of(u32::MAX, u64::MAX), u64::MAX);
}

#[test]
fn a_refusal_says_how_much_is_missing() {
    let usable = Usable { bytes: gb(31), bound: Bound::Declared };
    let alarm = Alarm { used: gb(30), need: gb(43), usable: gb(31) };
    let (squares, allowed) = (Thousandths(3264), Thousandths(2000));
    let missing = [
        Refusal::OneGrows { lately: gb(10), growth: gb(28), newcomer: true, usable },
        Refusal::AllReturn { doubled: gb(40), usable },
        Refusal::TooManyYoung { limits: gb(112), squares, allowed, usable },
        Refusal::Limits { limits: gb(36), usable, distrust: None },
        Refusal::Oversubscribed { limits: gb(56), allowed: gb(46) },
        Refusal::UsedCeiling { used: gb(28), peak: gb(3), allowed: gb(27) },
        Refusal::Alarm(alarm),
    ]
    .map(|refusal| refusal.missing().0 >> 30);
    assert_eq!(missing, [7, 9, 81, 5, 10, 4, 12]);
}

/// The gates that stay shut.
fn shut(host: &HostMemory, there: &[Member], newcomer: &Member, rule: &Rule) -> Vec<&'static str> {
    let shut = refusals(host, &Sums::of(there), newcomer, rule);
    let names = shut.map(|refusal| match refusal {
        Refusal::OneGrows { newcomer: true, .. } => "it grows",
        Refusal::OneGrows { .. } => "one grows",
        Refusal::AllReturn { .. } => "all return",
        Refusal::TooManyYoung { .. } => "young",
        Refusal::Limits { .. } => "limits",
        Refusal::Oversubscribed { .. } => "oversubscribed",
        Refusal::UsedCeiling { .. } => "ceiling",
        Refusal::Alarm(_) => "alarm",
    });
    names.collect()
}

const OPEN: [&str; 0] = [];

#[test]
fn a_gate_of_use_is_open_up_to_its_last_byte() {
    let rests = |peak, limit| Member {
        used: ByteCount::ZERO,
        lately: ByteCount::ZERO,
        peak,
        limit,
        young: false,
    };
    let host = host(gb(32));
    // A newcomer of 1 GB beside one that may grow by 31: 32 of 32.
    let one = [rests(ByteCount::ZERO, gb(31))];
    assert_eq!(shut(&host, &one, &Member::newcomer(gb(1), gb(1)), &PEAKS), OPEN);
    assert_eq!(shut(&host, &one, &Member::newcomer(more(gb(1)), gb(2)), &PEAKS), ["one grows"]);
    // Two that have used 8 GB each, doubled, beside one that uses nothing.
    let nothing = Member::newcomer(ByteCount::ZERO, gb(1));
    assert_eq!(shut(&host, &[rests(gb(8), gb(20)); 2], &nothing, &PEAKS), OPEN);
    let higher = [rests(gb(8), gb(20)), rests(more(gb(8)), gb(20))];
    assert_eq!(shut(&host, &higher, &nothing, &PEAKS), ["all return"]);
    // Two that are young and could fill the host.
    let young = |limit| Member::newcomer(ByteCount::ZERO, limit);
    assert_eq!(shut(&host, &[young(gb(32))], &young(gb(32)), &PEAKS), OPEN);
    let found = shut(&host, &[young(gb(32))], &young(more(gb(32))), &PEAKS);
    assert_eq!(found, ["it grows", "young"]);
}

#[test]
fn a_gate_of_limits_is_open_up_to_its_last_byte() {
    let there = [Member { young: false, ..Member::newcomer(gb(1), gb(31)) }];
    let by_limits = Rule::default();
    let it = |limit| Member::newcomer(gb(1), limit);
    let mut host = host(gb(32));
    assert_eq!(shut(&host, &there, &it(gb(1)), &by_limits), OPEN);
    let found = shut(&host, &there, &it(more(gb(1))), &by_limits);
    assert_eq!(found, ["limits", "oversubscribed"]);
    let half = |part| Rule { oversubscribe: Thousandths(part), ..PEAKS };
    let there = [Member { young: false, ..Member::newcomer(gb(1), gb(15)) }];
    assert_eq!(shut(&host, &there, &it(gb(1)), &half(500)), OPEN);
    assert_eq!(shut(&host, &there, &it(more(gb(1))), &half(500)), ["oversubscribed"]);
    // Of 32 GB 15 are used by anybody, and half may be.
    let ceiling = Rule { used_ceiling: Thousandths(500), ..PEAKS };
    let there = [Member { young: false, ..Member::newcomer(ByteCount::ZERO, gb(4)) }];
    let free = |host: &mut HostMemory, free| host.report.as_mut().unwrap().free = Some(free);
    free(&mut host, gb(17));
    assert_eq!(shut(&host, &there, &it(gb(1)), &ceiling), OPEN);
    free(&mut host, ByteCount(gb(17).0 - 1));
    assert_eq!(shut(&host, &there, &it(gb(1)), &ceiling), ["ceiling"]);
}

#[test]
fn an_alarm_rings_beyond_what_there_is() {
    let sums = Sums::of(&[
        Member { used: gb(4), lately: gb(4), peak: gb(4), limit: gb(28), young: false },
        Member { used: gb(3), lately: gb(3), peak: gb(3), limit: gb(5), young: false },
    ]);
    assert_eq!(alarm(&sums, gb(31)), None, "4 + 3 and the growth of one by 24");
    let less = ByteCount(gb(31).0 - 1);
    assert_eq!(alarm(&sums, less), Some(Alarm { used: gb(7), need: gb(31), usable: less }));
}

#[test]
fn use_that_hardly_changes_is_steady() {
    let at = |seconds: u64| Timestamp::from_millis(1_700_000_000_000).plus(Seconds(seconds));
    let mb = |amount: u64| ByteCount(amount << 20);
    let mut peaks = Peaks::begin(at(0), PEAK_WINDOW);
    peaks.record(at(10), mb(32));
    assert_eq!(peaks.steady_since(), at(0));
    peaks.record(at(20), more(mb(32)));
    assert_eq!(peaks.steady_since(), at(20));
    peaks.record(at(30), more(mb(64)));
    peaks.record(at(40), more(ByteCount::ZERO));
    assert_eq!(peaks.steady_since(), at(20), "as far above as below");
    peaks.record(at(50), ByteCount::ZERO);
    assert_eq!(peaks.steady_since(), at(50));
}

#[test]
fn a_spike_counts_for_ten_minutes_and_in_the_long_run() {
    let at = |minutes: u64| Timestamp::from_millis(1_700_000_040_000).plus(Seconds(minutes * 60));
    let mut peaks = Peaks::begin(at(0), PEAK_WINDOW);
    peaks.record(at(60), gb(2));
    peaks.record_peak(at(60), gb(9));
    let (learned, limit) = (gb(1), gb(28));
    let lately = |now| peaks.member(at(now), learned, limit).lately;
    assert_eq!([lately(60), lately(70), lately(71)], [gb(9), gb(9), gb(2)]);
    assert_eq!(peaks.member(at(71), learned, limit).used, gb(2));
    assert_eq!(peaks.highest(at(71)), gb(9));
    // Of what comes in one minute the highest counts, and an older moment counts as the newest.
    let mut peaks = Peaks::begin(at(0), PEAK_WINDOW);
    for used in [3, 5, 4] {
        peaks.record(at(60), gb(used));
    }
    peaks.record(at(50), gb(1));
    let seen = peaks.member(at(60), learned, limit);
    assert_eq!((seen.used, seen.lately, seen.peak), (gb(1), gb(5), gb(5)));
    assert_eq!(Peaks::begin(at(0), PEAK_WINDOW).highest(at(1)), ByteCount::ZERO);
}

#[test]
fn what_is_expected_of_the_young_is_forgotten_at_the_windows_end() {
    let begun = Timestamp::from_millis(1_700_000_000_000);
    let mut peaks = Peaks::begin(begun, Seconds(28 * 100));
    peaks.record(begun, gb(1));
    let peak = |after| peaks.member(begun.plus(Seconds(after)), gb(8), gb(28)).peak;
    assert_eq!([peak(2_799), peak(2_800)], [gb(8), gb(1)]);
    let lately = |after| peaks.member(begun.plus(Seconds(after)), gb(8), gb(28)).lately;
    assert_eq!([lately(SETTLING.0 - 1), lately(SETTLING.0)], [gb(8), gb(1)]);
}

#[test]
fn the_newest_sixty_four_of_a_kind_count() {
    let alice: Username = "alice".parse().unwrap();
    let mut history = History::default();
    let ends = |history: &mut History, peak, count| {
        for _ in 0..count {
            history.add(&alice, "root", "cpu", gb(peak));
        }
    };
    ends(&mut history, 20, 5);
    ends(&mut history, 2, 60);
    assert_eq!(history.of_owner(&alice, "root"), Some(gb(20)), "4 of 64 are large");
    ends(&mut history, 2, 1);
    assert_eq!(history.of_owner(&alice, "root"), Some(gb(2)), "3 of 64 are");
}

#[test]
fn whether_enough_is_known() {
    let user = |name: &str| name.parse::<Username>().unwrap();
    let (alice, bob) = (user("alice"), user("bob"));
    let mut history = History::default();
    for _ in 0..4 {
        history.add(&alice, "root", "cpu", gb(2));
    }
    let all = [("root", "cpu"), ("root", "gpu"), ("other", "cpu"), ("other", "gpu")];
    let known = |history: &History, owner: &Username| {
        all.map(|(image, profile)| history.knows(owner, image, profile))
    };
    assert_eq!(known(&history, &alice), [false; 4]);
    assert_eq!(history.of_owner(&alice, "root"), None);
    history.add(&alice, "root", "cpu", gb(2));
    assert_eq!(known(&history, &alice), [true, true, false, false]);
    assert_eq!(known(&history, &bob), [false; 4]);
    for _ in 0..14 {
        history.add(&user("carol"), "root", "cpu", gb(3));
    }
    assert_eq!(known(&history, &bob), [false; 4], "19 of many");
    history.add(&user("carol"), "root", "cpu", gb(3));
    assert_eq!(known(&history, &bob), [true, true, true, false]);
    // A part of it says the same of what it is a part of, and nothing of the rest.
    let part = history.of(&alice, ["root", "x"], ["y", "z"]);
    assert_eq!(known(&part, &alice), [true, true, false, false]);
    assert_eq!(known(&part, &bob), [true, true, false, false]);
    let part = history.of(&bob, ["x", "y"], ["cpu", "z"]);
    assert_eq!(known(&part, &bob), [true, false, true, false]);
}

#[test]
fn a_shut_gate_names_whom_it_is_about() {
    let usable = Usable { bytes: gb(31), bound: Bound::Declared };
    let it = Member::newcomer(gb(1), gb(4));
    let of = |used, lately, limit| Member { used, lately, peak: lately, limit, young: false };
    // The most is held by one, grows from lately in another, and from now in a third.
    let there = [
        ("b", of(gb(1), gb(9), gb(10))),
        ("a", of(gb(8), gb(9), gb(10))),
        ("d", of(gb(1), gb(2), gb(12))),
        ("c", of(gb(4), gb(4), gb(14))),
    ];
    let says = |refusal: Refusal, there: &[(&'static str, Member)]| {
        refusal.sentence("w05", &it, there.iter().map(|(name, member)| (*name, member)))
    };
    let grows = |newcomer| Refusal::OneGrows { lately: gb(25), growth: gb(10), newcomer, usable };
    let need = "w05 would need 35 GB of 31 GB";
    assert_eq!(
        says(grows(true), &there),
        format!("if this server grew to its 4 GB beside a's 9 GB, {need}")
    );
    assert_eq!(says(grows(false), &there), format!("if c grew to its limit, {need}"));
    assert_eq!(says(grows(true), &[]), format!("if this server grew to its 4 GB, {need}"));
    assert_eq!(says(grows(false), &[]), format!("if one of them grew to its limit, {need}"));
    let alarm = Refusal::Alarm(Alarm { used: gb(12), need: gb(35), usable: gb(31) });
    assert!(says(alarm, &there).contains("if d grew to its limit"), "from 1 to 12 GB");

    let limits =
        |distrust| says(Refusal::Limits { limits: gb(38), usable, distrust: Some(distrust) }, &[]);
    let why = "limits on w05 would be 38 GB of 31 GB: ";
    let old = Distrust::Old { age: Seconds(90) };
    assert_eq!(limits(old), format!("{why}its last report is {} old", Seconds(90)));
    assert_eq!(limits(Distrust::NoFree), format!("{why}it does not report its free memory"));
    let much = Distrust::TooMuch { used: gb(4), free: gb(33), total: gb(32) };
    assert_eq!(limits(much), format!("{why}it reports 4 GB used and 33 GB free of 32 GB"));
    let above = format!("{why}it reports a server with more than its limit");
    assert_eq!(limits(Distrust::AboveLimit), above);
}
