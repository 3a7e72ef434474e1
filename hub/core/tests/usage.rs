//! What people used, by day and by group: nothing is counted twice, and midnight parts it.

use std::sync::Arc;

use berth_common::link::{Account, Group};
use berth_common::{ByteCount, Epoch, Seconds, Timestamp};
use berth_core::Fleet;
use berth_core::fleet::{Ask, Phase, Server};
use berth_core::settings::{Metered, Settings};
use berth_core::usage::{Amount, Usage, UsageDay, by_group, days};

use super::running;

const GB: u64 = 1 << 30;
const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

fn at(seconds: i64) -> Timestamp {
    Timestamp(seconds * 1_000_000)
}

/// One of two shared GPUs' halves and 2 GB since a moment.
fn server(user: &str, since: i64, used_mib_s: u64) -> Server {
    let account = Account {
        name: user.parse().unwrap(),
        uid: 2000,
        gid: 3000,
        groups: vec![Group { name: "lsst".into(), gid: 3000 }],
        home: format!("/home/{user}"),
    };
    let ask = Ask { memory: ByteCount(2 * GB), gpus: 2, gpu_milli: 500, ..Ask::default() };
    let mut server = running::server(7, account, ask, at(since));
    if let Phase::Placed(placement) = &mut server.phase {
        // Of its GPUs it uses as many thousandths as MiB of memory.
        (placement.used.mib_s, placement.used.gpu_milli_s) = (used_mib_s, used_mib_s);
    }
    server
}

fn amount(seconds: u64, used_mib_s: u64) -> Amount {
    Amount {
        gpu_milli_s: 1000 * seconds,
        mib_s: 2048 * seconds,
        used_mib_s,
        used_gpu_milli_s: used_mib_s,
        server_s: seconds,
    }
}

fn day(user: &str, day: u32, group: &str, amount: Amount) -> UsageDay {
    UsageDay { user: user.parse().unwrap(), day, group: group.into(), amount }
}

/// A server that began an hour before the end of day 9, and what was used before.
fn fleet() -> Fleet {
    let running = server("ann", 10 * DAY - HOUR, 10_800_000);
    let mut fleet = Fleet::restore(Epoch(1), Arc::new(Settings::default()), [], [running]);
    fleet.usage = Usage::of([
        day("ann", 8, "lsst", amount(100, 1)),
        day("ann", 9, "lsst", amount(10, 2)),
        day("bob", 9, "euclid", amount(1, 0)),
        day("bob", 10, "euclid", amount(2, 0)),
    ]);
    fleet
}

/// Two hours after midnight.
const NOW: i64 = 10 * DAY + 2 * HOUR;

#[test]
fn midnight_parts_what_is_held_and_what_was_used_is_spread_evenly() {
    let fleet = fleet();
    let of = |from, to| days(&fleet, Timestamp(from), Timestamp(to), at(NOW));
    let whole = 1_000_000;
    let ann = |of, seconds, used| day("ann", of, "lsst", amount(seconds, used));
    let bob = |of, seconds| day("bob", of, "euclid", amount(seconds, 0));
    let ninth = [ann(9, 3_610, 3_600_002), bob(9, 1)];
    assert_eq!(of(9 * DAY * whole, 10 * DAY * whole), ninth, "a day that only begins is not in it");
    assert_eq!(of(10 * DAY * whole - 1, 10 * DAY * whole), ninth, "days count whole");
    let tenth = ann(10, 7_200, 7_200_000);
    let both = [ninth[0].clone(), tenth.clone(), bob(9, 1), bob(10, 2)];
    assert_eq!(of(9 * DAY * whole, 10 * DAY * whole + 1), both);
    assert_eq!(of(10 * DAY * whole, 11 * DAY * whole), [tenth, bob(10, 2)]);
    assert_eq!(of(7 * DAY * whole, 9 * DAY * whole), [ann(8, 100, 1)]);
}

#[test]
fn what_was_held_is_booked_once_and_added_up() {
    let mut usage = Usage::default();
    let mut ended = server("ann", 10 * DAY - HOUR, 10_800_000);
    let first = [
        day("ann", 9, "lsst", amount(3_600, 3_600_000)),
        day("ann", 10, "lsst", amount(7_200, 7_200_000)),
    ];
    assert_eq!(usage.book(&ended, at(NOW)), first);
    // What it holds from then on is another amount.
    if let Phase::Placed(placement) = &mut ended.phase {
        placement.held_since = Some(at(NOW));
        (placement.used.mib_s, placement.used.gpu_milli_s) = (50, 50);
    }
    assert_eq!(usage.book(&ended, at(NOW)), [], "no time is no use");
    assert_eq!(
        usage.book(&ended, at(NOW + 10)),
        [day("ann", 10, "lsst", amount(7_210, 7_200_050))]
    );
    ended.phase = Phase::Idle;
    assert_eq!(usage.book(&ended, at(NOW + 20)), []);
}

#[test]
fn a_person_and_a_group_used_what_lies_in_the_window() {
    let fleet = fleet();
    let ann = "ann".parse().unwrap();
    let of = |window| Usage::of_person(&fleet, &ann, Seconds(window), at(NOW));
    // Days count whole, and what runs only from the window's beginning.
    assert_eq!(of(2 * 86_400), {
        let mut all = amount(110, 3);
        all.add(amount(10_800, 10_800_000));
        all
    });
    assert_eq!(of(86_400).server_s, 10_810);
    assert_eq!(of(3 * 3_600 - 1).server_s, 10 + 10_799);
    assert_eq!(of(2 * 3_600 + 1).server_s, 10 + 7_201);
    assert_eq!(of(2 * 3_600).server_s, 7_200, "day 9 is not in it");
    // A GPU weighs like 32 GB, give or take a rounding.
    let weight = |seconds: u64| 2048 * seconds + 32 * 1000 * seconds;
    assert_eq!(amount(3, 9).weight(), weight(3));
    let groups =
        |window| by_group(&fleet, Seconds(window), at(NOW)).into_iter().collect::<Vec<_>>();
    assert_eq!(groups(2 * 86_400), [("euclid", weight(3)), ("lsst", weight(10_910))]);
    assert_eq!(groups(86_400), [("euclid", weight(3)), ("lsst", weight(10_810))]);
    assert_eq!(groups(2 * 3_600), [("euclid", weight(2)), ("lsst", weight(7_200))]);
}

#[test]
fn hours_are_whole_ones() {
    let hours = |gpu_milli_s, mib_s| {
        let amount = Amount { gpu_milli_s, mib_s, ..Amount::default() };
        (amount.hours(Metered::GpuHours), amount.hours(Metered::GibHours))
    };
    assert_eq!(hours(3_599_999, 1024 * 3600 - 1), (0, 0));
    assert_eq!(hours(3_600_000, 1024 * 3600), (1, 1));
    assert_eq!(hours(7_200_000, 1024 * 36_000), (2, 10));
    let used = Amount { used_gpu_milli_s: 7_199_999, used_mib_s: 1024 * 3600, ..Amount::default() };
    assert_eq!(used.used_hours(Metered::GpuHours), 1);
    assert_eq!(used.used_hours(Metered::GibHours), 1);
}
