//! What was decided about emptying hosts, and what is done next, at the very moments.

use std::collections::BTreeMap;

use berth_common::{ByteCount, HostId, Resources, Seconds, ServerId, Timestamp};

use super::intent::{Emptying, Goal, Handover, Intent, State, Told};
use super::next::{HostView, ServerView, Step, View, Why, next, wake};
use super::single::{Action, AtDeadline, End, Occupant, Opening, Request, Span, What, plan};

fn at(seconds: i64) -> Timestamp {
    Timestamp(seconds * 1_000_000)
}

fn host(name: &str) -> HostId {
    name.parse().unwrap()
}

fn id(number: u64) -> ServerId {
    ServerId::from_random(number)
}

fn gb(amount: u64) -> Resources {
    Resources { memory: ByteCount(amount << 30), cpu_milli: 0 }
}

fn view(servers: &[(u64, &str)]) -> View {
    let seen = |name: &str| {
        let boot = Some("boot-0".parse().unwrap());
        (host(name), HostView { room: gb(16), takes: vec![0], open: true, boot })
    };
    let server = |(number, on): &(u64, &str)| {
        let about = Occupant {
            need: gb(4),
            kind: 0,
            busy: Vec::new(),
            idle_since: Some(at(0)),
            idle_limit: None,
            may_restart: true,
        };
        (id(*number), ServerView { host: host(on), moving_to: None, stopping: false, about })
    };
    View {
        hosts: BTreeMap::from(["h1", "h2", "h3"].map(seen)),
        servers: servers.iter().map(server).collect(),
    }
}

fn drain(by: Option<i64>, at_deadline: AtDeadline, leads: &[u64]) -> Intent {
    let leads = leads.iter().map(|lead| Seconds(*lead)).collect();
    Intent::new(Goal::Drain { by: by.map(at) }, [host("h1")], leads, at_deadline, 1)
}

/// Takes the steps of a moment, and gives back what they were.
fn take(intent: &mut Intent, view: &View, now: i64) -> Vec<Step> {
    let steps = next(intent, view, at(now));
    steps.iter().for_each(|step| intent.record(step, at(now)));
    steps
}

fn tells(number: u64, lead: Option<u64>) -> Step {
    Step::Tell { server: id(number), host: host("h1"), lead: lead.map(Seconds) }
}

fn begins(since: i64, by: Option<i64>) -> Step {
    let emptying = Emptying {
        since: at(since),
        deadline: by.map(at),
        boot: Some("boot-0".parse().unwrap()),
        moves: Vec::new(),
    };
    Step::Begin { host: host("h1"), emptying }
}

#[test]
fn people_are_told_at_once_and_at_each_lead_and_stopped_at_the_deadline() {
    let mut view = view(&[(1, "h1"), (2, "h2")]);
    // Busy for ever, so that nothing else is done about it.
    let busy = &mut view.servers.get_mut(&id(1)).unwrap().about;
    busy.busy = vec![Span { from: at(0), until: Timestamp(i64::MAX) }];
    busy.idle_since = None;
    let mut intent = drain(Some(1_000), AtDeadline::Stop, &[600, 100]);
    assert_eq!(take(&mut intent, &view, 100), [begins(100, Some(1_000))]);
    assert_eq!(take(&mut intent, &view, 100), [tells(1, None)]);
    assert_eq!(take(&mut intent, &view, 399), []);
    assert_eq!(wake(&intent, &view, at(399)), Some(at(400)));
    assert_eq!(take(&mut intent, &view, 400), [tells(1, Some(600))]);
    let told = &intent.told[&id(1)];
    assert_eq!((told.at, told.newest, told.lead), (at(100), at(400), Some(Seconds(600))));
    assert_eq!(take(&mut intent, &view, 400), [], "once");
    assert_eq!(wake(&intent, &view, at(400)), Some(at(900)));
    assert_eq!(take(&mut intent, &view, 900), [tells(1, Some(100))]);
    assert_eq!(take(&mut intent, &view, 999), []);
    assert_eq!(wake(&intent, &view, at(999)), Some(at(1_000)));
    let stop = Step::Stop { server: id(1), why: Why::Deadline };
    assert_eq!(next(&intent, &view, at(1_000)), [stop]);
    intent.at_deadline = AtDeadline::Hold;
    assert_eq!(next(&intent, &view, at(1_000)), []);
    assert_eq!(wake(&intent, &view, at(2_000)), None);
    // A lead that had passed when it began is none; one who comes late hears that it is emptied.
    let mut late = drain(Some(1_000), AtDeadline::Stop, &[600, 100]);
    assert_eq!(take(&mut late, &view, 400), [begins(400, Some(1_000))]);
    assert_eq!(take(&mut late, &view, 400), [tells(1, None)]);
    assert_eq!(take(&mut late, &view, 899), []);
    assert_eq!(take(&mut late, &view, 950), [tells(1, Some(100))]);
}

#[test]
fn whoever_may_restart_does_so_a_lead_after_being_told() {
    let mut view = view(&[(1, "h1"), (2, "h2")]);
    view.hosts.get_mut(&host("h3")).unwrap().open = false;
    // Rests until 500, and will be busy at the deadline.
    let about = &mut view.servers.get_mut(&id(1)).unwrap().about;
    about.busy = vec![Span { from: at(500), until: at(5_000) }];
    let mut intent = drain(Some(1_000), AtDeadline::Stop, &[100]);
    assert_eq!(take(&mut intent, &view, 0).len(), 1);
    assert_eq!(take(&mut intent, &view, 0), [tells(1, None)]);
    assert_eq!(take(&mut intent, &view, 99), []);
    assert_eq!(wake(&intent, &view, at(99)), Some(at(100)));
    let go = Step::Restart(Handover { server: id(1), from: host("h1"), to: host("h2") });
    assert_eq!(next(&intent, &view, at(100)), [go]);
    // One at a time.
    view.servers.get_mut(&id(2)).unwrap().moving_to = Some(host("h3"));
    assert_eq!(next(&intent, &view, at(100)), []);
    view.servers.get_mut(&id(2)).unwrap().moving_to = None;
    // Whoever should have ended by now may not end at all; what will end makes room then.
    let full = |view: &mut View, idle_limit: u64| {
        let about = &mut view.servers.get_mut(&id(2)).unwrap().about;
        (about.need, about.idle_limit) = (gb(16), Some(Seconds(idle_limit)));
    };
    let mut later = view.clone();
    full(&mut later, 100);
    assert_eq!(next(&intent, &later, at(100)), []);
    assert_eq!(wake(&intent, &later, at(100)), Some(at(900)));
    full(&mut later, 200);
    assert_eq!(next(&intent, &later, at(100)), []);
    assert_eq!(wake(&intent, &later, at(100)), Some(at(200)));
    // A host that does not report is asked for nothing.
    view.hosts.get_mut(&host("h1")).unwrap().open = false;
    assert_eq!(next(&intent, &view, at(100)), []);
}

#[test]
fn an_empty_host_is_worked_on_and_back_with_another_boot() {
    let mut view = view(&[(1, "h2")]);
    view.servers.get_mut(&id(1)).unwrap().moving_to = Some(host("h1"));
    let each = Some(Seconds(600));
    let mut intent = Intent::new(
        Goal::Reboot { each },
        [host("h1"), host("h2")],
        Vec::new(),
        AtDeadline::Stop,
        1,
    );
    let told =
        |on: &str| Told { host: host(on), at: at(0), lead: None, newest: at(0), mailed: true };
    intent.told = BTreeMap::from([(id(1), told("h1")), (id(2), told("h2"))]);
    assert_eq!(intent.position(&host("h2")), Some(1));
    assert!(!intent.is_closed(&host("h1")));
    let steps = take(&mut intent, &view, 0);
    let [Step::Begin { emptying, .. }] = &steps[..] else { panic!("{steps:?}") };
    assert_eq!(emptying.deadline, Some(at(600)));
    assert!(intent.is_closed(&host("h1")) && !intent.is_done());
    assert_eq!(take(&mut intent, &view, 1), [], "one is on its way there");
    view.servers.get_mut(&id(1)).unwrap().moving_to = None;
    let boot = Some("boot-0".parse().unwrap());
    assert_eq!(take(&mut intent, &view, 2), [Step::Empty { host: host("h1"), boot: boot.clone() }]);
    assert!(intent.is_closed(&host("h1")) && !intent.is_done());
    assert_eq!(take(&mut intent, &view, 3), []);
    let h1 = |view: &mut View, boot: Option<&str>, open| {
        let seen = view.hosts.get_mut(&host("h1")).unwrap();
        seen.boot = boot.map(|boot| boot.parse().unwrap());
        seen.open = open;
    };
    h1(&mut view, Some("boot-1"), false);
    assert_eq!(take(&mut intent, &view, 4), [], "it does not report yet");
    h1(&mut view, None, true);
    assert_eq!(take(&mut intent, &view, 5), [], "nor its boot");
    h1(&mut view, Some("boot-1"), true);
    assert_eq!(take(&mut intent, &view, 6), [Step::Finish { host: host("h1") }]);
    assert_eq!(intent.told.keys().collect::<Vec<_>>(), [&id(2)]);
    assert!(!intent.is_closed(&host("h1")));
    assert_eq!(intent.position(&host("h1")), None);
    assert_eq!(intent.position(&host("h2")), Some(0));
    // Its turn has come; a host that is gone for good is done, too.
    assert!(matches!(&take(&mut intent, &view, 7)[..], [Step::Begin { .. }]));
    view.servers.clear();
    view.hosts.remove(&host("h2"));
    assert!(matches!(&take(&mut intent, &view, 8)[..], [Step::Empty { .. }]));
    assert_eq!(take(&mut intent, &view, 9), [Step::Finish { host: host("h2") }]);
    assert!(intent.is_done());
    assert_eq!(take(&mut intent, &view, 10), []);
}

#[test]
fn a_drain_is_done_when_its_hosts_are_empty_and_begins_anew_if_something_runs_there() {
    let mut view = view(&[]);
    let mut intent = drain(None, AtDeadline::Stop, &[]);
    assert_eq!(take(&mut intent, &view, 0), [begins(0, None)]);
    assert!(matches!(&take(&mut intent, &view, 0)[..], [Step::Empty { .. }]));
    assert!(intent.is_done());
    assert_eq!(intent.state(&host("h9")), None);
    view.servers = self::view(&[(1, "h1")]).servers;
    assert_eq!(take(&mut intent, &view, 5), [begins(5, None)]);
    assert!(!intent.is_done());
    assert!(matches!(intent.state(&host("h1")), Some(State::Emptying(_))));
}

/// How a server leaves that cannot be restarted, with a deadline after 1,000 s.
fn leaves(idle_limit: Option<u64>, busy: &[(i64, i64)]) -> (End, Vec<Action>) {
    let busy = busy.iter().map(|(from, until)| Span { from: at(*from), until: at(*until) });
    let occupant = Occupant {
        need: gb(4),
        kind: 0,
        busy: busy.collect(),
        idle_since: Some(at(0)),
        idle_limit: idle_limit.map(Seconds),
        may_restart: false,
    };
    let plan = plan(&Request {
        now: at(0),
        told: at(0),
        deadline: Some(at(1_000)),
        leads: vec![Seconds(100)],
        at_deadline: AtDeadline::Stop,
        servers: vec![occupant],
        openings: vec![Opening { free: gb(4), later: Vec::new(), takes: vec![0] }],
    });
    (plan.fates[0].end, plan.actions)
}

#[test]
fn a_span_ends_before_its_last_moment() {
    let end = |idle_limit, busy: &[(i64, i64)]| leaves(idle_limit, busy).0;
    // At the deadline: what ends then has ended, and what begins then is interrupted.
    assert_eq!(end(None, &[(500, 1_000)]), End::Stopped(at(1_000)));
    assert_eq!(end(None, &[(500, 1_001)]), End::Interrupted(at(1_000)));
    assert_eq!(end(None, &[(1_000, 2_000)]), End::Interrupted(at(1_000)));
    assert_eq!(end(None, &[(1_001, 2_000)]), End::Stopped(at(1_000)));
    // A rest that is as long as the limit, or ends when it would be.
    assert_eq!(end(Some(1_000), &[]), End::Idle(at(1_000)));
    assert_eq!(end(Some(1_001), &[]), End::Stopped(at(1_000)));
    assert_eq!(end(Some(100), &[(101, 200)]), End::Idle(at(100)));
    assert_eq!(end(Some(100), &[(100, 200)]), End::Idle(at(300)));
    // Nobody is warned at the moment at which it ends.
    let what = |idle_limit| {
        let actions = leaves(Some(idle_limit), &[]).1;
        actions.iter().map(|action| (action.at, action.what)).collect::<Vec<_>>()
    };
    let (told, lead) = ((at(0), What::Tell(None)), (at(900), What::Tell(Some(Seconds(100)))));
    assert_eq!(what(900), [told, (at(900), What::StopIdle)]);
    assert_eq!(what(901), [told, lead, (at(901), What::StopIdle)]);
}
