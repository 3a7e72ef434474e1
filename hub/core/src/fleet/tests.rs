//! Hosts, servers and the floor at their very limits.

use berth_common::link::{GpuDevice, Limit, Pending};
use berth_common::{Generation, Reason};

use super::*;
use crate::drain::intent::{Goal, Intent as Plan, Told};
use crate::drain::single::AtDeadline;
use crate::example::{NOW, fleet, gb, heard_mut, host, id, observed, placed};
use crate::example::{promised, server_mut};
use crate::floor::{FloorHost, ReportedMemory, first_of_reign};
use crate::settings::DeclaredGpus;

fn later(from: Timestamp, micros: i64) -> Timestamp {
    Timestamp(from.0 + micros)
}

fn host_mut<'a>(fleet: &'a mut Fleet, name: &str) -> &'a mut Host {
    Arc::make_mut(fleet.hosts.get_mut(&host(name)).unwrap())
}

fn order(reason: &str) -> Order {
    Order { reason: reason.into(), who: "erin".into(), at: NOW }
}

fn draining(by: Option<Timestamp>, at_deadline: AtDeadline) -> Intent {
    let plan = Plan::new(Goal::Drain { by }, [host("h1")], Vec::new(), at_deadline, 1);
    Intent::Draining { order: order("a new disk."), by, plan }
}

/// What is said of the host h1 after a change, at a moment.
fn state(change: impl FnOnce(&mut Fleet), now: Timestamp) -> (HostState, String) {
    let mut fleet = fleet();
    let settings = Arc::make_mut(&mut fleet.settings);
    settings.lost_after = Seconds(15);
    change(&mut fleet);
    let host = &fleet.hosts[&host("h1")];
    let state = fleet.host_state(host, now);
    (state, host.note(fleet.host_settings(&host.id), state))
}

#[test]
fn a_host_is_lost_after_its_time_and_doubled_for_a_minute() {
    let lost_at = NOW.plus(Seconds(15));
    let says = |change: fn(&mut Fleet), now| state(change, now).0;
    assert_eq!(says(|_| (), lost_at), HostState::Ready, "the last moment");
    assert_eq!(says(|_| (), later(lost_at, 1)), HostState::Lost);
    let silent = |fleet: &mut Fleet| host_mut(fleet, "h1").heard = None;
    assert_eq!(says(silent, later(lost_at, 1)), HostState::Joining);
    let doubled = |fleet: &mut Fleet| {
        host_mut(fleet, "h1").doubled_at = Some(NOW);
        heard_mut(fleet, "h1").at = NOW.plus(Seconds(59));
    };
    assert_eq!(says(doubled, later(NOW.plus(Seconds(60)), -1)), HostState::Doubled);
    assert_eq!(says(doubled, NOW.plus(Seconds(60))), HostState::Ready);
    let undeclared = |fleet: &mut Fleet| {
        Arc::make_mut(&mut fleet.settings).hosts.remove(&host("h1"));
        heard_mut(fleet, "h1").engine_trouble = Some("no answer".into());
    };
    assert_eq!(says(undeclared, NOW), HostState::Undeclared);
}

#[test]
fn what_keeps_a_host_from_taking_servers_is_said() {
    let engine = |fleet: &mut Fleet| {
        heard_mut(fleet, "h1").engine_trouble = Some("no answer".into());
    };
    assert_eq!(state(engine, NOW), (HostState::EngineDown, "no answer".into()));
    let cordoned = |fleet: &mut Fleet| {
        host_mut(fleet, "h1").intent = Intent::Cordoned(order("noisy"));
    };
    assert_eq!(state(cordoned, NOW), (HostState::Cordoned, "noisy".into()));
    let drains = |fleet: &mut Fleet| {
        host_mut(fleet, "h1").intent = draining(None, AtDeadline::Stop);
    };
    assert_eq!(state(drains, NOW), (HostState::Draining, "a new disk.".into()));
    let drained = |fleet: &mut Fleet| {
        drains(fleet);
        fleet.set_phase(&id(1), Phase::Idle);
        fleet.set_phase(&id(2), Phase::Idle);
    };
    assert_eq!(state(drained, NOW), (HostState::Drained, "a new disk.".into()));
    assert_eq!(state(|_| (), NOW), (HostState::Ready, String::new()));
}

#[test]
fn a_host_with_less_than_its_file_declares_takes_nothing() {
    let with = |reported: u64| {
        state(move |fleet| heard_mut(fleet, "h1").capacity.memory_total = ByteCount(reported), NOW)
    };
    assert_eq!(with(gb(14).0).0, HostState::Ready, "an eighth may be the kernel's");
    let (state_then, note) = with(gb(14).0 - 1);
    assert_eq!(state_then, HostState::Mismatch);
    assert_eq!(note, "memory: 16 GB declared, 14.0 GB reported");
    let gpus = |models: &[&str], trouble: &str| {
        let models: Vec<String> = models.iter().map(|model| (*model).to_owned()).collect();
        state(
            move |fleet| {
                let hosts = &mut Arc::make_mut(&mut fleet.settings).hosts;
                hosts.get_mut(&host("h1")).unwrap().gpus =
                    Some(DeclaredGpus { model: "T4".into(), count: 2, memory: gb(16) });
                let heard = heard_mut(fleet, "h1");
                heard.facts.gpus.trouble = trouble.into();
                let devices = models.into_iter().enumerate().map(|(at, model)| GpuDevice {
                    gpu: format!("GPU-{at}").parse().unwrap(),
                    model,
                    memory: gb(16),
                    trouble: None,
                });
                heard.gpus = Arc::new(devices.collect());
            },
            NOW,
        )
    };
    assert_eq!(gpus(&["T4", "T4"], "").0, HostState::Ready);
    assert_eq!(gpus(&["T4", "T4", "T4"], "").0, HostState::Ready);
    let one = (HostState::Mismatch, "GPUs T4: 2 declared, 1 reported".to_owned());
    assert_eq!(gpus(&["T4", "K80"], ""), one);
    assert_eq!(gpus(&[], "no driver").0, HostState::Ready, "nobody knows how many there are");
}

#[test]
fn every_state_has_its_reason() {
    use HostState::{
        Cordoned, Doubled, Drained, Draining, EngineDown, Joining, Lost, Mismatch, Ready,
        Undeclared,
    };
    let all = [
        (Ready, None, true),
        (Joining, Some(Reason::HostJoining), false),
        (Mismatch, Some(Reason::HostMismatch), true),
        (Lost, Some(Reason::HostLost), false),
        (EngineDown, Some(Reason::HostEngineDown), false),
        (Undeclared, Some(Reason::HostUndeclared), true),
        (Doubled, Some(Reason::HostDoubled), true),
        (Cordoned, Some(Reason::HostCordoned), true),
        (Draining, Some(Reason::HostDraining), true),
        (Drained, Some(Reason::HostDrained), true),
    ];
    for (state, obstacle, reports) in all {
        assert_eq!((state.obstacle(), state.is_reporting()), (obstacle, reports), "{state}");
    }
}

#[test]
fn what_is_pending_on_a_host() {
    let mut fleet = fleet();
    let pending = |number, operation| Pending {
        server: id(number),
        generation: Generation(1),
        operation,
        percent: Some(41),
    };
    heard_mut(&mut fleet, "h1").pending = vec![pending(1, "fetch"), pending(2, "create")];
    let seen = &fleet.hosts[&host("h1")];
    let found = [1, 2, 3].map(|it| (seen.is_fetching(&id(it)), seen.is_pending(&id(it))));
    assert_eq!(found, [(true, true), (false, true), (false, false)]);
    assert_eq!([1, 2, 3].map(|it| seen.fetched(&id(it))), [Some(41), None, None]);
}

#[test]
fn who_is_to_leave_reads_why_and_when() {
    let says = |by: Option<Timestamp>, at_deadline, told_of: &str| {
        let mut fleet = fleet();
        let mut intent = draining(by, at_deadline);
        if let Intent::Draining { plan, .. } = &mut intent {
            let told =
                Told { host: host(told_of), at: NOW, lead: None, newest: NOW, mailed: false };
            plan.told.insert(id(1), told);
        }
        host_mut(&mut fleet, "h1").intent = intent;
        let sentence = |number: u64| {
            let leaving = fleet.leaving(&fleet.servers[&id(number)])?;
            Some((leaving.sentence(|_| "noon".into()), leaving.stops_at()))
        };
        assert_eq!([sentence(2), sentence(3)], [None, None], "not told, and elsewhere");
        sentence(1)
    };
    let (stop, hold) = (AtDeadline::Stop, AtDeadline::Hold);
    let begin = "h1 is to be empty by noon: a new disk.";
    let stopped = format!("{begin} What runs there then is stopped.");
    assert_eq!(says(Some(NOW), stop, "h1"), Some((stopped, Some(NOW))));
    let held = format!("{begin} Nothing is stopped by force.");
    assert_eq!(says(Some(NOW), hold, "h1"), Some((held, None)));
    let open = "h1 is being emptied: a new disk. Nothing is stopped by force.".to_owned();
    assert_eq!(says(None, stop, "h1"), Some((open, None)));
    assert_eq!(says(Some(NOW), stop, "h2"), None, "that was another host");
    let mut stopping = fleet();
    host_mut(&mut stopping, "h1").intent = draining(None, stop);
    assert!(stopping.leaving(&stopping.servers[&id(1)]).is_none());
}

#[test]
fn use_is_added_up_once_a_minute_and_not_over_a_silence() {
    let mut used = RealUse::default();
    assert!(used.is_due(NOW));
    used.add(gb(1), 500, NOW);
    assert_eq!((used.mib_s, used.gpu_milli_s, used.until), (0, 0, Some(NOW)));
    let minute = NOW.plus(Seconds(60));
    assert!(!used.is_due(later(minute, -1)));
    assert!(used.is_due(minute));
    used.add(gb(1), 500, minute);
    assert_eq!((used.mib_s, used.gpu_milli_s), (1024 * 60, 500 * 60));
    let at_most = minute.plus(Seconds(600));
    used.add(gb(1), 0, at_most);
    assert_eq!((used.mib_s, used.gpu_milli_s), (1024 * 660, 500 * 60));
    used.add(gb(1), 1000, later(at_most.plus(Seconds(600)), 1));
    assert_eq!((used.mib_s, used.gpu_milli_s), (1024 * 660, 500 * 60), "nobody knows");
    let old: RealUse = serde_json::from_str(r#"{"mib_s":7}"#).unwrap();
    assert_eq!((old.mib_s, old.gpu_milli_s), (7, 0), "of before");
}

#[test]
fn limits_reservations_and_loans() {
    let mut server = placed(1, "h1");
    let placement = server.placement_mut().unwrap();
    assert_eq!(
        (placement.limit(), placement.own_limit(), placement.is_lent()),
        (gb(4), gb(4), false)
    );
    let resize = |memory, lent| {
        let limit = Limit { lent, ..Limit::of(memory) };
        Resize {
            limit,
            before: gb(4),
            at: NOW,
            state: ResizeState::UnderWay,
            said: Revision::default(),
        }
    };
    placement.resize = Some(Box::new(resize(gb(6), false)));
    assert_eq!(
        (placement.limit(), placement.own_limit(), placement.is_lent()),
        (gb(6), gb(6), false)
    );
    let loan = Loan { own: gb(4), lent: gb(2), at: NOW, until: NOW, over: None };
    let sentence = loan.sentence();
    assert!(
        sentence.starts_with(
            "It had nearly used up its 4 GB of memory, so its host lends it 2 GB until 1970-01-01 00:16 UTC."
        ),
        "{sentence}"
    );
    placement.loan = Some(Box::new(loan.clone()));
    assert_eq!(placement.own_limit(), gb(6), "it is not lent any more");
    placement.resize = Some(Box::new(resize(gb(6), true)));
    assert_eq!(
        (placement.limit(), placement.own_limit(), placement.is_lent()),
        (gb(6), gb(4), true)
    );
    assert_eq!(placement.loan(), Some(&loan));
    placement.loan = Some(Box::new(Loan { over: Some(NOW), ..loan }));
    assert_eq!((placement.loan(), placement.own_limit()), (None, gb(6)));
}

#[test]
fn an_end_is_a_failure_if_nothing_had_run() {
    let is = |reason| End { reason, detail: String::new(), at: NOW }.is_failure();
    assert!(is(Reason::FailedNoAnswer) && is(Reason::RefusedNeverFits));
    assert!(!is(Reason::StoppedIdle) && !is(Reason::StoppedCrash));
}

#[test]
fn what_a_server_says_of_itself() {
    let seen = |server: &Server| (server.is_active(), server.is_ready(), server.is_kept());
    let mut server = placed(1, "h1");
    assert_eq!(seen(&server), (true, true, true));
    assert_eq!(
        (server.state(true), server.state(false)),
        (ServerState::Running, ServerState::Unreachable)
    );
    server.placement_mut().unwrap().ready_at = None;
    assert_eq!(seen(&server), (true, false, false));
    assert_eq!(server.state(true), ServerState::Starting);
    server.account = None;
    assert_eq!(seen(&server), (true, false, true), "it cannot be made anew");
    let end = End { reason: Reason::StoppedUser, detail: String::new(), at: NOW };
    let stop = StopOrder { end, said: Revision::default() };
    server.placement_mut().unwrap().stop = Some(stop.clone());
    assert_eq!(seen(&server), (true, false, false));
    server.placement_mut().unwrap().ready_at = Some(NOW);
    assert_eq!(seen(&server), (true, false, false));
    assert_eq!(server.state(false), ServerState::Stopping);
    let waits = promised(4, "h1", |_| ());
    assert_eq!(seen(&waits), (true, false, false));
    assert_eq!((waits.waiting_since(), waits.moved()), (Some(NOW), None));
    assert_eq!((waits.holds_on(), waits.state(false)), (Some(&host("h1")), ServerState::Waiting));
    server.phase = Phase::Idle;
    assert_eq!(seen(&server), (false, false, false));
    assert_eq!((server.holds_on(), server.state(true)), (None, ServerState::Ended));
    assert_eq!((server.waiting_since(), server.moved()), (None, None));
    assert_eq!((server.main_group(), server.groups().len()), ("", 0));
    let named = "n1".parse().unwrap();
    assert_eq!(server::prefix(&server.owner, &named), "/user/u1/n1/");
    assert_eq!(server.prefix(), "/user/u1/");
}

#[test]
fn a_promise_counts_as_what_is_expected() {
    let promise = promised(4, "h1", |place| {
        place.expected = gb(3);
        place.expected_known = true;
    });
    let member = promise.member(NOW, gb(8));
    assert_eq!((member.lately, member.limit, member.young), (gb(3), gb(8), false));
    let mut server = placed(1, "h1");
    let member = server.member(NOW, gb(8));
    assert_eq!((member.lately, member.young), (gb(1), true));
    server.placement_mut().unwrap().expected_known = true;
    assert!(!server.member(NOW, gb(8)).young);
    let mut peaks = memory::Peaks::begin(Timestamp::default(), Seconds(3_600));
    peaks.record(NOW, gb(2));
    server.peaks = Some(peaks);
    assert_eq!(server.member(NOW, gb(8)).used, gb(2));
    server.phase = Phase::Idle;
    let member = server.member(NOW, gb(8));
    assert_eq!((member.used, member.lately), (ByteCount::ZERO, ByteCount::ZERO));
}

#[test]
fn a_servers_state_goes_by_its_hosts_word() {
    let says = |change: fn(&mut Fleet), now| {
        let mut fleet = fleet();
        Arc::make_mut(&mut fleet.settings).lost_after = Seconds(15);
        change(&mut fleet);
        fleet.server_state(&fleet.servers[&id(1)], now)
    };
    let lost = NOW.plus(Seconds(16));
    assert_eq!(says(|_| (), NOW), ServerState::Running);
    assert_eq!(says(|_| (), lost), ServerState::Unreachable);
    // Until it has spoken in this reign it is shown as it was.
    assert_eq!(says(|fleet| host_mut(fleet, "h1").heard = None, lost), ServerState::Running);
    let ends = |fleet: &mut Fleet| {
        let seen = &mut heard_mut(fleet, "h1").observed;
        seen.get_mut(&id(1)).unwrap().state = ObservedState::Stopping;
    };
    assert_eq!(says(ends, NOW), ServerState::Stopping);
    assert_eq!(says(ends, lost), ServerState::Unreachable);
    let former = |fleet: &mut Fleet| {
        let seen = &mut heard_mut(fleet, "h1").observed;
        seen.get_mut(&id(1)).unwrap().state = ObservedState::Stopping;
        server_mut(fleet, 1).generation = Generation(2);
    };
    assert_eq!(says(former, NOW), ServerState::Running, "that is a former start");
}

#[test]
fn what_servers_may_reserve_on_a_host() {
    let usable = |change: fn(&mut Fleet)| {
        let mut fleet = fleet();
        change(&mut fleet);
        let usable = fleet.usable_on(&fleet.hosts[&host("h1")]);
        (usable.memory.0 >> 30, usable.cpu_milli)
    };
    assert_eq!(usable(|_| ()), (12, 4_000));
    assert_eq!(usable(|fleet| heard_mut(fleet, "h1").capacity.memory_total = gb(15)), (11, 4_000));
    assert_eq!(usable(|fleet| heard_mut(fleet, "h1").capacity.memory_total = gb(17)), (12, 4_000));
    assert_eq!(usable(|fleet| host_mut(fleet, "h1").heard = None), (0, 0));
    let mut fleet = fleet();
    assert_eq!(fleet.reserved_on(&host("h1")).memory, gb(8));
    assert_eq!(fleet.servers_of(&"u1".parse().unwrap()).count(), 1);
    fleet.insert(promised(4, "h1", |_| ()));
    assert_eq!(fleet.holding_on(&host("h1")).count(), 3);
    assert_eq!(fleet.placed_on(&host("h1")).count(), 2);
    assert_eq!(fleet.waiting().map(|it| it.id.clone()).collect::<Vec<_>>(), [id(4)]);
}

#[test]
fn a_restore_leaps_over_what_may_have_been_used() {
    let servers = [placed(1, "h1"), placed(2, "h1")];
    let at = NOW.plus(Seconds(3_659));
    let restored = Restored::new(at, NOW, &servers, Generation(0), [host("h3")]);
    assert_eq!(restored.above, Generation(1 + 1_024 + 60));
    assert_eq!(restored.epoch_above(Epoch(5)), Epoch(5 + 1_024 + 60));
    assert_eq!(Restored::new(at, NOW, &servers, Generation(7), []).above.0, 7 + 1_024 + 60);
    assert_eq!(Restored::new(at, NOW, &[], Generation(0), []).above.0, 1_024 + 60);

    let mut fleet = fleet();
    assert_eq!(fleet.above(&fleet.servers[&id(1)]), Generation(1));
    assert!(fleet.restoring().is_none());
    fleet.restored = Some(Arc::new(restored));
    assert_eq!(fleet.above(&fleet.servers[&id(1)]), Generation(1_085));
    let waits = |fleet: &Fleet| fleet.restoring().map(|refusal| refusal.detail);
    let text = "The hub was restored from a backup and waits for h1";
    assert_eq!(waits(&fleet), Some(format!("{text} and 1 more to report.")));
    assert!(fleet.settle_restored(&host("h2")).is_some());
    assert!(fleet.settle_restored(&host("h2")).is_none(), "it was taken in before");
    assert_eq!(waits(&fleet), Some(format!("{text} to report.")));
    assert!(fleet.settle_restored(&host("h1")).is_some());
    assert_eq!(waits(&fleet), None);
}

#[test]
fn a_container_of_a_later_start_is_known_to_be_ahead() {
    let ahead = |generation: u64| {
        let mut fleet = fleet();
        let mut seen = observed(&fleet.servers[&id(1)], ObservedState::Ready);
        seen.generation = Generation(generation);
        heard_mut(&mut fleet, "h2").observed.insert(id(1), seen);
        fleet.heard(&host("h2"));
        assert_eq!(fleet.strays_of(&id(1)), [host("h2")]);
        fleet.ahead_of(&fleet.servers[&id(1)])
    };
    assert_eq!(ahead(1), []);
    assert_eq!(ahead(2), [host("h2")]);
}

#[test]
fn the_floor_is_rounded_against_whoever_asks() {
    let mib = |amount: u64| ByteCount(amount << 20);
    let mut fleet = fleet();
    let entry = |fleet: &Fleet, now| FloorHost::of(fleet, &fleet.hosts[&host("h1")], now);
    heard_mut(&mut fleet, "h1").capacity.memory_free = ByteCount(mib(32).0 - 1);
    let mut peaks = memory::Peaks::begin(Timestamp::default(), Seconds(3_600));
    peaks.record(NOW, ByteCount(mib(16).0 + 1));
    server_mut(&mut fleet, 1).peaks = Some(peaks);
    let seen = entry(&fleet, NOW);
    let memory = seen.memory.unwrap();
    assert_eq!((memory.free, memory.total, memory.above_limit), (mib(16), gb(16), false));
    assert_eq!(seen.cpu_milli, 4_000);
    let used = |entry: &FloorHost| {
        let of = |server: &crate::floor::FloorServer| (server.server.clone(), server.memory.used);
        entry.servers.iter().map(of).collect::<BTreeMap<_, _>>()[&id(1)]
    };
    assert_eq!(used(&seen), mib(32));
    // Without one of its servers, what that used is free.
    let without = seen.without(&id(1));
    assert_eq!(without.servers.len(), 1);
    let free = without.memory.unwrap();
    assert_eq!(free, ReportedMemory { free: mib(48), ..memory });
    assert_eq!(seen.without(&id(9)), seen);
    // More than its limit, but for what rounding may be.
    let above = |fleet: &mut Fleet, used| {
        heard_mut(fleet, "h1").observed.get_mut(&id(1)).unwrap().memory_used = used;
        entry(fleet, NOW).memory.unwrap().above_limit
    };
    let most = gb(4).plus(mib(16));
    assert!(!above(&mut fleet, most));
    assert!(above(&mut fleet, ByteCount(most.0 + 1)));
}

#[test]
fn a_host_is_silent_after_half_a_minute() {
    let mut fleet = fleet();
    Arc::make_mut(&mut fleet.settings).lost_after = Seconds(60);
    let of = |fleet: &Fleet, now| FloorHost::of(fleet, &fleet.hosts[&host("h1")], now);
    let next = |fleet: &Fleet, now| FloorHost::next_change(fleet, &fleet.hosts[&host("h1")], now);
    let fresh = NOW.plus(Seconds(30));
    assert_eq!(of(&fleet, fresh).silent_since, None);
    assert_eq!(of(&fleet, later(fresh, 1)).silent_since, Some(NOW));
    assert_eq!(next(&fleet, NOW), Some(later(fresh, 1)));
    let lost = later(NOW.plus(Seconds(60)), 1);
    assert_eq!(next(&fleet, later(fresh, 1)), Some(lost), "the moment itself has come");
    assert_eq!(next(&fleet, lost), None);
    host_mut(&mut fleet, "h1").doubled_at = Some(later(NOW, -1));
    assert_eq!(next(&fleet, later(fresh, 1)), Some(later(NOW.plus(Seconds(60)), -1)));
    assert_eq!(next(&fleet, lost), None);
    // The version of a floor says in which reign it was.
    assert_eq!([before_reign(Epoch(3)), first_of_reign(before_reign(Epoch(3)) + 77)], [3 << 40; 2]);
}

#[test]
fn the_highest_of_several_builds_counts_until_its_last_server_ends() {
    let with = |number, build: &str| {
        let mut server = placed(number, "h1");
        let pin = ImagePin { name: "nb:1".into(), build: build.into() };
        server.placement_mut().unwrap().image = Some(Box::new(pin));
        server
    };
    let mut fleet = fleet();
    assert_eq!(fleet.decided("nb:1"), None);
    for server in [with(4, "b"), with(5, "b"), with(6, "a"), with(7, "")] {
        fleet.insert(server);
    }
    assert_eq!(fleet.decided("nb:1"), Some("b"));
    fleet.set_phase(&id(4), Phase::Idle);
    assert_eq!(fleet.decided("nb:1"), Some("b"));
    fleet.set_phase(&id(5), Phase::Idle);
    assert_eq!(fleet.decided("nb:1"), Some("a"));
    fleet.set_phase(&id(6), Phase::Idle);
    assert_eq!((fleet.decided("nb:1"), fleet.decided("nb:2")), (None, None));
}

#[test]
fn a_server_that_was_never_measured_teaches_nothing() {
    let begun = Timestamp::default();
    let peaks = |used: ByteCount| {
        let mut peaks = memory::Peaks::begin(begun, Seconds(3_600));
        peaks.record(NOW, used);
        Some(peaks)
    };
    let ended = |used: ByteCount| {
        let servers = (0..5).map(|number| {
            let mut server = placed(number + 10, "h1");
            server.owner = "u1".parse().unwrap();
            server.name = format!("n{number}").parse().unwrap();
            server.phase = Phase::Idle;
            server.peaks = peaks(used);
            server
        });
        Fleet::restore(Epoch(1), Arc::default(), [], servers)
    };
    let u1: Username = "u1".parse().unwrap();
    assert_eq!(ended(gb(2)).own_peak(&u1, ""), Some(gb(2)));
    assert_eq!(ended(ByteCount::ZERO).own_peak(&u1, ""), None);
    // What is expected once one ends counts that one, if anything is known of it.
    let after = |used: ByteCount| {
        let mut fleet = fleet();
        let ask = Ask { memory: gb(4), ..Ask::default() };
        for _ in 0..4 {
            fleet.history_mut().add(&u1, "", "", gb(2));
        }
        server_mut(&mut fleet, 1).peaks = peaks(used);
        fleet.expected_after(&fleet.servers[&id(1)], NOW, &ask)
    };
    assert_eq!(after(gb(3)), (gb(3), true));
    assert_eq!(after(ByteCount::ZERO), (gb(1), false), "four are not enough");
}
