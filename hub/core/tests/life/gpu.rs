//! GPUs that are held and not used.

use berth_common::{Reason, Seconds, ServerId, Timestamp};
use berth_core::Answer;
use berth_core::life::Use;
use berth_core::settings::{Cite, GpuAction, GpuRule, IfBusy, Lifecycle, Whose};

use super::bench::{Bench, HOUR, MONDAY};

fn after(seconds: u64) -> Timestamp {
    MONDAY.parse::<Timestamp>().unwrap().plus(Seconds(seconds))
}

fn rules(action: GpuAction, if_kernel_busy: IfBusy) -> Lifecycle {
    let rule = GpuRule {
        whose: Whose { profile: Some("gpu".into()), ..Whose::default() },
        after: Seconds(12 * HOUR),
        action,
        then_stop_after: Some(Seconds(12 * HOUR)),
        if_kernel_busy,
        cite: Cite::default(),
    };
    Lifecycle { gpu_unused: vec![rule], ..Lifecycle::default() }
}

/// So many minutes of this use, measured every minute.
fn minutes(bench: &mut Bench, id: &ServerId, minutes: u64, gpu_percent: u32, busy: bool) {
    for _ in 0..minutes {
        bench.goes_to(bench.now.plus(Seconds(60)));
        let used =
            Use { gpu_percent: Some(gpu_percent), kernel_busy: Some(busy), ..Use::default() };
        bench.measured(id, used);
    }
}

#[test]
fn an_owner_is_asked_and_then_the_server_stops() {
    let mut bench = Bench::new(rules(GpuAction::OfferCpu, IfBusy::Report));
    let id = bench.runs("bob", "gpu");
    minutes(&mut bench, &id, 12 * 60, 0, false);
    assert_eq!(bench.outlook(&id).question, None);
    minutes(&mut bench, &id, 2, 0, false);
    let question = bench.outlook(&id).question.unwrap();
    assert!(question.offers_cpu && !question.listed);
    assert_eq!(question.unused_since, after(60));
    let asked = bench.servers[&id].placement().unwrap().life.gpu.asked.unwrap();
    assert_eq!(asked.at, after(12 * HOUR + 60));
    // A hub that dies meanwhile goes on.
    bench.reborn(rules(GpuAction::OfferCpu, IfBusy::Report));
    minutes(&mut bench, &id, 12 * 60 - 3, 0, false);
    assert!(bench.end(&id).is_none());
    minutes(&mut bench, &id, 3, 0, false);
    let (reason, at, detail) = bench.end(&id).unwrap();
    assert_eq!((reason, at), (Reason::StoppedGpuUnused, after(24 * HOUR + 60)));
    assert_eq!(
        detail,
        "Its GPU was not used since 2026-05-04 07:01 UTC; asked 2026-05-04 19:01 UTC."
    );
    let told = &bench.servers[&id];
    assert!(told.last_end.is_none() || told.last_end.as_ref().unwrap().reason == reason);
}

#[test]
fn use_of_the_gpu_and_an_extension_are_answers() {
    let mut bench = Bench::new(rules(GpuAction::OfferCpu, IfBusy::Report));
    let id = bench.runs("bob", "gpu");
    minutes(&mut bench, &id, 13 * 60, 0, false);
    assert!(bench.outlook(&id).question.is_some());
    let before = bench.outlook(&id).stop.unwrap().0;
    let stop = before.plus(Seconds(24 * HOUR));
    assert_eq!(bench.extend(&id, 1), Answer::Extended { stop, left: 2 });
    minutes(&mut bench, &id, 12 * 60, 0, false);
    assert!(bench.end(&id).is_none());
    minutes(&mut bench, &id, 20, 80, true);
    let outlook = bench.outlook(&id);
    assert_eq!((outlook.question, outlook.stop), (None, None));
    assert_eq!(bench.servers[&id].placement().unwrap().life.gpu.asked, None);
}

#[test]
fn a_busy_kernel_is_listed_and_not_stopped_unless_the_site_says_so() {
    for (if_busy, told_of_kernels, stops) in [
        (IfBusy::Report, true, false),
        (IfBusy::Stop, true, true),
        // Of this one nobody has said whether its kernels are busy.
        (IfBusy::Report, false, false),
    ] {
        let mut bench = Bench::new(rules(GpuAction::OfferCpu, if_busy));
        let id = bench.runs("bob", "gpu");
        for _ in 0..26 * 60 {
            bench.goes_to(bench.now.plus(Seconds(60)));
            let kernel_busy = told_of_kernels.then_some(true);
            let used = Use { gpu_percent: Some(0), kernel_busy, ..Use::default() };
            bench.measured(&id, used);
            if bench.end(&id).is_some() {
                break;
            }
        }
        assert_eq!(bench.end(&id).is_some(), stops, "{if_busy:?}");
        if !stops {
            assert!(bench.outlook(&id).question.unwrap().listed);
        }
    }
}

#[test]
fn what_a_gpu_does_is_added_up_beside_the_time_it_is_held() {
    let mut bench = Bench::new(Lifecycle::default());
    let id = bench.runs("bob", "gpu");
    let worked = |bench: &mut Bench, percent: Option<u32>| {
        let so_far = |bench: &Bench| bench.server(&id).placement().unwrap().used.gpu_milli_s;
        let before = so_far(bench);
        bench.gpu_busy = percent;
        for _ in 0..60 {
            bench.goes_to(bench.now.plus(Seconds(60)));
        }
        so_far(bench) - before
    };
    bench.goes_to(bench.now.plus(Seconds(60)));
    let hour = 3_600;
    assert_eq!(worked(&mut bench, Some(50)), 500 * hour, "half of one for an hour");
    assert_eq!(worked(&mut bench, Some(0)), 0);
    assert_eq!(worked(&mut bench, None), 0, "nobody tells");
    assert_eq!(worked(&mut bench, Some(100)), 1_000 * hour);
}

#[test]
fn a_gpu_of_which_nothing_is_told_is_not_unused() {
    let mut bench = Bench::new(rules(GpuAction::OfferCpu, IfBusy::Stop));
    let id = bench.runs("bob", "gpu");
    bench.passes(40 * HOUR);
    assert_eq!(bench.outlook(&id).question, None);
    // A gap in what is told begins the time anew.
    minutes(&mut bench, &id, 11 * 60, 0, false);
    bench.passes(HOUR);
    minutes(&mut bench, &id, 2 * 60, 0, false);
    assert_eq!(bench.outlook(&id).question, None);
    assert!(bench.end(&id).is_none());
}

#[test]
fn who_gives_a_gpu_back_when_asked_keeps_the_place_in_the_queue() {
    // Bob has the only GPU; carol waits for it, then dave. Bob gives it back and carol has it.
    // When bob asks again he comes before dave; a stop without having been asked gives no place.
    for asked in [true, false] {
        let mut bench = Bench::new(rules(GpuAction::OfferCpu, IfBusy::Report));
        let bob = bench.runs("bob", "gpu");
        minutes(&mut bench, &bob, if asked { 13 * 60 } else { 60 }, 0, false);
        let carol = bench.waits("carol", "gpu");
        bench.stops(&bob);
        bench.beat();
        bench.beat();
        assert!(bench.server(&carol).placement().is_some());
        assert_eq!(bench.servers[&bob].gpu_turn.is_some(), asked);
        bench.reborn(rules(GpuAction::OfferCpu, IfBusy::Report));
        bench.passes(60);
        let dave = bench.waits("dave", "gpu");
        bench.passes(60);
        let again = bench.waits("bob", "gpu");
        let place = |bench: &Bench, id| {
            berth_core::queue::place_of(&bench.fleet, bench.server(id), bench.now).unwrap()
        };
        let expected = if asked { (1, 2) } else { (2, 1) };
        assert_eq!((place(&bench, &again), place(&bench, &dave)), expected);
        // The place is used once.
        bench.stops(&carol);
        bench.beat();
        bench.beat();
        let (first, other) = if asked { (&again, &dave) } else { (&dave, &again) };
        assert!(bench.server(first).placement().is_some());
        assert!(bench.server(other).placement().is_none());
        assert_eq!(bench.servers[&again].gpu_turn, None);
    }
}

#[test]
fn a_site_that_only_wants_a_list_asks_nobody() {
    let mut bench = Bench::new(rules(GpuAction::Report, IfBusy::Report));
    let id = bench.runs("bob", "gpu");
    minutes(&mut bench, &id, 30 * 60, 0, false);
    let outlook = bench.outlook(&id);
    let question = outlook.question.unwrap();
    assert!(question.listed && !question.offers_cpu);
    assert_eq!(outlook.stop, None);
    let cpu = bench.runs("alice", "cpu");
    minutes(&mut bench, &cpu, 30 * 60, 0, false);
    assert_eq!(bench.outlook(&cpu).question, None, "it has no GPU");
}

#[test]
fn use_is_measured_anew_after_a_gap_of_more_than_ten_minutes() {
    for (seconds, anew) in [(600, false), (601, true)] {
        let mut bench = Bench::new(rules(GpuAction::Report, IfBusy::Report));
        let id = bench.runs("bob", "gpu");
        let used = Use { gpu_percent: Some(0), ..Use::default() };
        bench.measured(&id, used);
        bench.goes_to(bench.now.plus(Seconds(seconds)));
        bench.measured(&id, used);
        let since = bench.servers[&id].placement().unwrap().life.gpu.since.unwrap();
        assert_eq!(since == bench.now, anew, "{seconds} s between them");
    }
}
