//! Signs, clocks and outlooks at their very moments.

use berth_common::{GpuPart, Reason, Seconds, Timestamp};

use super::*;
use crate::example::{NOW, placed};
use crate::fleet::{Phase, Placement, Server};
use crate::settings::{
    Above, Activity, GpuAction, GpuRule, IdleRule, IfBusy, Lifecycle, Settings, Warn, Whose,
};

const MICRO: i64 = 1;

fn after(seconds: u64) -> Timestamp {
    NOW.plus(Seconds(seconds))
}

fn moved(at: Timestamp, micros: i64) -> Timestamp {
    Timestamp(at.0 + micros)
}

#[test]
fn every_sign_has_its_words() {
    use Evidence::{Browser, Cluster, Cpu, Gpu, Kernel, Network, Notebook, Terminal};
    let words = [Notebook, Browser, Kernel, Terminal, Cpu, Gpu, Network, Cluster];
    let words = words.map(|kind| kind.to_string());
    assert_eq!(
        words,
        [
            "the notebook server's report",
            "a browser",
            "a busy kernel",
            "a terminal",
            "use of the processor",
            "use of the GPU",
            "data that moves",
            "a busy Dask cluster",
        ]
    );
}

#[test]
fn signs_move_only_forward() {
    let mut life = Life::default();
    assert!(life.sign(Evidence::Browser, after(10)));
    assert!(!life.sign(Evidence::Browser, after(10)), "the same again is no news");
    assert!(!life.sign(Evidence::Browser, after(9)));
    assert_eq!(life.signs[&Evidence::Browser], after(10));
    assert!(life.sign(Evidence::Browser, after(11)));
    assert_eq!(life.signs[&Evidence::Browser], after(11));
}

#[test]
fn what_a_host_told_of_kernels_is_believed_for_five_minutes() {
    let mut life = Life::default();
    assert!(!life.is_seen_inside(NOW));
    life.kernels_told = Some(NOW);
    assert!(life.is_seen_inside(moved(after(300), -MICRO)));
    assert!(!life.is_seen_inside(after(300)));
}

#[test]
fn a_promise_is_spent_until_activity_has_moved_the_stop_beyond_it() {
    let life = Life { kept_until: Some(after(100)), extended: 2, ..Life::default() };
    assert_eq!(life.spent(moved(after(100), -MICRO)), 2);
    assert_eq!(life.spent(after(100)), 0);
    assert_eq!(Life { kept_until: None, ..life }.spent(NOW), 0);
}

fn told(lead: u64, at: u64, mailed: bool) -> Told {
    Told { lead: Seconds(lead), at: after(at), stop: after(at + lead), mailed }
}

#[test]
fn warnings_speak_of_one_target_and_owe_their_mail() {
    let mut life = Life { told_of: after(100), ..Life::default() };
    life.told = vec![told(60, 40, true), told(10, 90, false)];
    life.gpu.asked = Some(told(600, 0, false));
    assert_eq!(life.told_of(after(100)), life.told);
    assert_eq!(life.told_of(after(101)), []);
    assert_eq!(life.owes_mail().map(|told| told.lead.0).collect::<Vec<_>>(), [10, 600]);
}

#[test]
fn a_shorter_limit_begins_anew_and_an_equal_one_goes_on() {
    let limit = |seconds| Some(Seconds(seconds));
    let former = Clock::under(None, limit(100), NOW);
    assert_eq!(former, Some(Clock { limit: Seconds(100), since: NOW }));
    let since = |seconds| Clock::under(former, limit(seconds), after(50)).unwrap().since;
    assert_eq!([since(99), since(100), since(101)], [after(50), NOW, NOW]);
    assert_eq!(Clock::under(former, None, after(50)), None);
}

/// The seconds at which steady use, measured every `step` seconds, is a sign.
fn signs_of(used: Use, rules: &Activity, step: u64, until: u64) -> Vec<u64> {
    let mut meter = Meter::default();
    let times = (0..=until).step_by(step as usize);
    times.filter(|at| !meter.take(after(*at), used, rules).is_empty()).collect()
}

#[test]
fn use_is_a_sign_once_it_comes_to_the_average_of_the_span() {
    let during = Seconds(600);
    let cpu = Some(Above { amount: 200, during });
    let rules = Activity { cpu, gpu: None, network: None, ..Activity::default() };
    let used = |milli| Use { cpu_milli: Some(milli), ..Use::default() };
    assert_eq!(signs_of(used(200), &rules, 60, 1_800), [600, 1_200, 1_800]);
    assert_eq!(signs_of(used(199), &rules, 60, 1_800), [] as [u64; 0]);
    assert_eq!(signs_of(used(400), &rules, 60, 900), [300, 600, 900]);
    // Of two minutes without a measurement one counts.
    assert_eq!(signs_of(used(400), &rules, 120, 1_200), [600, 1_200]);
    assert_eq!(
        signs_of(used(0), &Activity { cpu: Some(Above { amount: 0, during }), ..rules }, 60, 900),
        [] as [u64; 0]
    );
}

#[test]
fn use_of_a_gpu_is_measured_also_where_it_does_not_count() {
    let rules = Activity { gpu: None, ..Activity::default() };
    let used = Use { gpu_percent: Some(5), ..Use::default() };
    assert_eq!(signs_of(used, &rules, 60, 600), [600]);
    let used = Use { gpu_percent: Some(4), ..Use::default() };
    assert_eq!(signs_of(used, &rules, 60, 1_200), [] as [u64; 0]);
    let mut meter = Meter::default();
    let kinds = |meter: &mut Meter, used| meter.take(NOW, used, &Activity::default());
    let both = Use { kernel_busy: Some(true), terminal_works: Some(true), ..Use::default() };
    assert_eq!(kinds(&mut meter, both), [Evidence::Kernel, Evidence::Terminal]);
    let rests = Use { kernel_busy: Some(false), terminal_works: Some(true), ..Use::default() };
    assert_eq!(kinds(&mut meter, rests), [Evidence::Terminal]);
}

fn warn(leads: &[u64]) -> Warn {
    Warn { leads: leads.iter().map(|lead| Seconds(*lead)).collect(), ..Warn::default() }
}

#[test]
fn leads_of_at_most_half_of_the_limit_are_used() {
    let of = |limit, given: &[u64]| {
        leads(Seconds(limit), &warn(given)).iter().map(|lead| lead.0).collect::<Vec<_>>()
    };
    assert_eq!(of(1_200, &[600, 300]), [600, 300], "half of it still is");
    assert_eq!(of(1_199, &[600, 300]), [300]);
    assert_eq!(of(599, &[600, 300]), [299], "none is: half of it");
    assert_eq!(of(7_200, &[300, 600, 300]), [600, 300]);
    assert_eq!(of(7_200, &[]), [] as [u64; 0]);
}

#[test]
fn a_stop_waits_for_its_warnings() {
    let leads = warn(&[100, 10]);
    let at = |target: u64, told: &[Told], now: u64| {
        let schedule = schedule(after(target), Seconds(1_000), told, &leads, after(now));
        let seconds = |at: Timestamp| (at.0 - NOW.0) / 1_000_000;
        (seconds(schedule.stop), schedule.warning.map(|(lead, at)| (lead.0, seconds(at))))
    };
    // Nobody was told: the longest lead first.
    assert_eq!(at(1_000, &[], 0), (1_000, Some((100, 900))));
    assert_eq!(at(1_000, &[], 899), (1_000, Some((100, 900))));
    // Once the shorter one is due, only that is given.
    assert_eq!(at(1_000, &[], 990), (1_000, Some((10, 990))));
    // Nobody looked for long: it is told, and stops the shortest lead later.
    assert_eq!(at(1_000, &[], 995), (1_005, Some((10, 995))));
    assert_eq!(at(1_000, &[], 2_000), (2_010, Some((10, 2_000))));
    // The first is given, then the second, then the stop.
    let first = [told(100, 900, false)];
    assert_eq!(at(1_000, &first, 900), (1_000, Some((10, 990))));
    let both = [told(100, 900, false), told(10, 990, false)];
    assert_eq!(at(1_000, &both, 990), (1_000, None));
    assert_eq!(at(1_000, &both, 1_000), (1_000, None));
    assert_eq!(at(1_000, &both, 1_003), (1_003, None), "overdue");
    // The last warning keeps its distance, also when it was given late.
    let late = [told(100, 900, false), told(10, 997, false)];
    assert_eq!(at(1_000, &late, 997), (1_007, None));
    assert_eq!(at(1_000, &first, 997).0, 1_007, "it is to be given yet");
}

/// A server with a GPU under these rules, and its settings.
fn with(rules: Lifecycle, life: impl FnOnce(&mut Life)) -> (Settings, Server) {
    let mut server = placed(1, "h1");
    if let Phase::Placed(placement) = &mut server.phase {
        placement.gpus = vec![GpuPart { gpu: "GPU-1".parse().unwrap(), milli: 1000 }];
        life(&mut placement.life);
    }
    (Settings { lifecycle: rules, ..Settings::default() }, server)
}

fn placement(server: &Server) -> &Placement {
    server.placement().unwrap()
}

#[test]
fn the_earliest_of_all_limits_is_the_natural_stop() {
    let next = |idle: u64, age: u64, kept: Option<u64>| {
        let clock = |limit| Some(Clock { limit: Seconds(limit), since: NOW });
        let (settings, server) = with(Lifecycle::default(), |life| {
            life.idle = clock(idle);
            life.age = clock(age);
            life.signs.insert(Evidence::Kernel, after(1_000));
            life.kept_until = kept.map(after);
        });
        let plan = plan(&settings, &server, placement(&server), NOW).unwrap();
        assert_eq!(
            plan.limit,
            Seconds(if plan.reason == Reason::StoppedIdle { idle } else { age })
        );
        (plan.reason, (plan.natural.0 - NOW.0) / 1_000_000, (plan.target.0 - NOW.0) / 1_000_000)
    };
    // Idleness counts from the newest sign, age from its beginning.
    assert_eq!(next(7_000, 9_000, None), (Reason::StoppedIdle, 8_000, 8_000));
    assert_eq!(next(7_000, 7_999, None), (Reason::StoppedAge, 7_999, 7_999));
    assert_eq!(next(7_000, 9_000, Some(8_500)), (Reason::StoppedIdle, 8_000, 8_500));
    assert_eq!(next(7_000, 9_000, Some(7_500)), (Reason::StoppedIdle, 8_000, 8_000));
    let (settings, server) = with(Lifecycle::default(), |_| ());
    assert_eq!(plan(&settings, &server, placement(&server), NOW), None);
    assert_eq!(stops_at(&settings, &server, NOW), None);
}

#[test]
fn who_has_done_nothing_for_ten_minutes_is_idle() {
    let (settings, server) = with(Lifecycle::default(), |life| {
        life.signs.insert(Evidence::Kernel, after(100));
        life.signs.insert(Evidence::Browser, after(90));
    });
    let seen = |now| outlook(&settings, &server, placement(&server), now);
    assert_eq!(seen(moved(after(700), -MICRO)).idle_since, None);
    assert_eq!(seen(after(700)).idle_since, Some(after(100)));
    assert_eq!(idle_since(&settings, &server), after(100));
    let signs = [(Evidence::Kernel, after(100), true), (Evidence::Browser, after(90), true)];
    assert_eq!(seen(NOW).signs, signs);
    assert_eq!(seen(NOW).stop, None);
    // What came before it answered is not of this start; without signs its beginning counts.
    let (settings, server) = with(Lifecycle::default(), |life| {
        life.signs.insert(Evidence::Kernel, moved(NOW, -5));
    });
    assert_eq!(idle_since(&settings, &server), NOW);
    let mut idle = placed(2, "h1");
    idle.phase = Phase::Idle;
    idle.last_activity = after(7);
    assert_eq!(idle_since(&settings, &idle), after(7));
}

#[test]
fn a_gpu_is_asked_about_when_it_was_unused_for_so_long() {
    let rule = |action| GpuRule {
        whose: Whose::default(),
        after: Seconds(1_000),
        action,
        then_stop_after: Some(Seconds(500)),
        if_kernel_busy: IfBusy::Report,
        cite: Default::default(),
    };
    let rules = |action| Lifecycle { gpu_unused: vec![rule(action)], ..Lifecycle::default() };
    let lives = |life: &mut Life| {
        life.gpu.since = Some(NOW);
        life.signs.insert(Evidence::Gpu, after(100));
        life.kernel_busy = Some(false);
        life.gpu.asked = Some(told(0, 1_100, true));
    };
    let (settings, mut server) = with(rules(GpuAction::OfferCpu), lives);
    let question = |settings: &Settings, server: &Server, now| {
        outlook(settings, server, placement(server), now).question
    };
    assert_eq!(question(&settings, &server, moved(after(1_100), -MICRO)), None);
    let asked = Question { unused_since: after(100), offers_cpu: true, listed: false };
    assert_eq!(question(&settings, &server, after(1_100)), Some(asked));
    assert_eq!(stops_at(&settings, &server, after(1_100)), Some(after(1_600)));
    assert_eq!(stops_at(&settings, &server, moved(after(1_100), -MICRO)), None);
    // A kernel that is busy, or may be, is only listed.
    for busy in [Some(true), None] {
        if let Phase::Placed(placement) = &mut server.phase {
            placement.life.kernel_busy = busy;
        }
        let listed = Question { listed: true, ..asked };
        assert_eq!(question(&settings, &server, after(1_100)), Some(listed));
        assert_eq!(stops_at(&settings, &server, after(1_100)), None);
    }
    let (settings, server) = with(rules(GpuAction::Report), lives);
    let listed = Question { offers_cpu: false, listed: true, ..asked };
    assert_eq!(question(&settings, &server, after(1_100)), Some(listed));
    // Without a GPU, or if nothing was ever measured, there is no question.
    let (settings, server) = with(rules(GpuAction::OfferCpu), |life| life.gpu.since = None);
    assert_eq!(question(&settings, &server, after(9_000)), None);
    let mut without = placed(1, "h1");
    if let Phase::Placed(placement) = &mut without.phase {
        lives(&mut placement.life);
    }
    assert_eq!(question(&settings, &without, after(9_000)), None);
}

#[test]
fn the_outlook_says_what_is_left_of_the_budget() {
    let rule = IdleRule {
        whose: Whose::default(),
        stop_after: Some(Seconds(1_000)),
        cite: Default::default(),
    };
    let rules = Lifecycle { idle: vec![rule], ..Lifecycle::default() };
    let (settings, server) = with(rules, |life| {
        life.idle = Some(Clock { limit: Seconds(1_000), since: NOW });
        life.kept_until = Some(after(90_000));
        life.extended = 2;
        life.told_of = after(90_000);
        life.told = vec![told(86_400, 3_600, true), told(7_200, 82_800, true)];
    });
    let seen = outlook(&settings, &server, placement(&server), after(82_800));
    let extension = Extension { step: Seconds(86_400), left: 1, of: 3 };
    assert_eq!(seen.extension, extension);
    assert_eq!(seen.stop, Some((after(90_000), Reason::StoppedIdle)));
    assert_eq!(seen.warned, Some(told(7_200, 82_800, true)));
    assert_eq!(limits(&settings, &server).idle, Some(Seconds(1_000)));
}
