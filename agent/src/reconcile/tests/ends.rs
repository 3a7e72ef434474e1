//! How servers end, and what is told of it.

use super::*;
use crate::reconcile::ending::{DETAIL_MAX, with_log};

#[test]
fn a_server_that_does_not_answer_has_failed() {
    check(
        "
        list
        hub 1.1 a.1 run
          create a.1
        create a ok
          start a.1
        start a ok
        wait 59s
        wait 1s
          examine a.1
        report
          applied 1.1
          a.1 stopping
        examine a 0
          remove a.1
        remove a ok
        report
          applied 1.1
          a.1 failed.no_answer: no answer 60 s after its start | last words
        list
        hub 1.2 a.1 run
        hub 1.3 a.1 run other-image
          create a.1
        ",
    );
    // One that was adopted has the same time again,
    check(
        "
        list a.1 running
        hub 1.1 a.1 run
        wait 59s
        wait 1s
          examine a.1
        ",
    );
    // but one that has answered to whomever is never given up.
    check(
        "
        list a.1 running
        hub 1.1 a.1 keep
        wait 3600s
        report
          applied 1.1
          a.1 running
        ",
    );
}

#[test]
fn an_end_is_told_before_its_container_goes() {
    check(
        "
        list a.1 running
        hub 1.1 a.1 keep
        answers a
        list a.1 exited 137
          examine a.1
        examine a 137 oom
        list a.1 exited 137
        report
          applied 1.1
          a.1 stopped.oom: the kernel ended it: it had used all its memory | last words
        hub 1.1 a.1 keep
          ignored: it is not newer than the one in force
          remove a.1
        remove a ok
        list
        report
          applied 1.1
          a.1 stopped.oom: the kernel ended it: it had used all its memory | last words
        hub 1.2 a.1 stop
        report
          applied 1.2
        ",
    );
    // A child killed for memory long ago does not explain the end of today.
    check(
        "
        list a.1 exited 0
          examine a.1
        examine a 0 oom
        report
          applied 0.0
          a.1 stopped.crash: exit code 0 | last words
        ",
    );
    // It ended while it was starting.
    check(
        "
        list
        hub 1.1 a.1 run
          create a.1
        create a ok
          start a.1
        start a ok
        list a.1 exited 3
          examine a.1
        examine a timeout
        list a.1 exited 3
        report
          applied 1.1
          a.1 failed.exited: exit code 3
        ",
    );
    // It could not be examined: what the list said of it is told.
    check(
        "
        list a.1 exited 3
          examine a.1
        examine a failed
        report
          applied 0.0
          a.1 stopped.crash: exit code 3
        ",
    );
    // The host was restarted.
    check(
        "
        list a.1 exited 255 boot-0
          examine a.1
        examine a 255
        report
          applied 0.0
          a.1 stopped.host_lost: the host was restarted while it ran | last words
        ",
    );
    // A stop that comes meanwhile needs no examination.
    check(
        "
        list a.1 exited 1
          examine a.1
        hub 1.1 a.1 stop
        examine a 1
          remove a.1
        remove a ok
        report
          applied 1.1
        ",
    );
}

#[test]
fn a_container_that_somebody_removes_is_an_end_and_no_reason_to_make_another() {
    check(
        "
        list a.1 running
        hub 1.1 a.1 run
        list
        report
          applied 1.1
          a.1 stopped.crash: its container was removed, not by Berth
        hub 1.2 a.1 keep
        list
        report
          applied 1.2
          a.1 stopped.crash: its container was removed, not by Berth
        ",
    );
    // Another order to run the same start makes no second one either.
    check(
        "
        list a.1 running
        hub 1.1 a.1 run
        list
        hub 1.2 a.1 run other-image
        report
          applied 1.2
          a.1 stopped.crash: its container was removed, not by Berth
        ",
    );
    // It had ended before anybody saw it run.
    check(
        "
        list
        hub 1.1 a.1 run
          create a.1
        create a ok
          start a.1
        start a timeout
        list a.1 exited 3
          examine a.1
        examine a gone
        report
          applied 1.1
          a.1 stopped.crash: its container was removed, not by Berth
        ",
    );
    // After a restart of the agent: keep never makes one.
    check(
        "
        list
        hub 1.1 a.1 keep
        report
          applied 1.1
        ",
    );
}

#[test]
fn a_server_may_answer_before_its_start_has_returned() {
    let mut world = World::new(1);
    let told = |world: &World| {
        let (capacity, facts) = (Capacity::default(), HostFacts::default());
        let report = world.keeper.report(world.now, capacity, facts, &BTreeMap::new());
        let one = report.engine.unwrap().remove(0);
        (one.state, one.steps.iter().map(|done| done.step).collect::<Vec<_>>())
    };
    for line in ["list", "hub 1.1 a.1 run", "create a ok", "list a.1 running"] {
        world.line(line);
    }
    let started = vec![StartStep::Container, StartStep::Started];
    assert_eq!(told(&world), (ObservedState::Running, started.clone()));
    let mut other = World::new(1);
    for line in ["list", "hub 1.1 a.1 run", "create a ok", "list a.1 running", "start a ok"] {
        other.line(line);
    }
    assert_eq!(told(&other), (ObservedState::Running, started), "each step is told once");
    for line in ["answers a", "start a ok"] {
        world.line(line);
    }
    let answers = vec![StartStep::Container, StartStep::Started, StartStep::Answers];
    assert_eq!(told(&world), (ObservedState::Ready, answers));
}

#[test]
fn a_server_that_ends_before_its_start_has_returned_has_ended() {
    check(
        "
        list
        hub 1.1 a.1 run
          create a.1
        create a ok
          start a.1
        list a.1 exited 3
        start a ok
          examine a.1
        examine a 3
        report
          applied 1.1
          a.1 failed.exited: exit code 3 | last words
        ",
    );
}

#[test]
fn a_log_is_cut_at_its_beginning() {
    let text = with_log("exit code 1", &"é".repeat(3_000));
    assert!(text.len() <= DETAIL_MAX && text.starts_with("exit code 1\né"));
    assert_eq!(with_log("exit code 1", " \n"), "exit code 1");
}

#[test]
fn the_kernels_word_of_an_end_is_told_before_the_engine_knows_it() {
    check(
        "
        list a.1 running
        hub 1.1 a.1 keep
        answers a
        over a
        report
          applied 1.1
          a.1 stopping
        list a.1 running
        report
          applied 1.1
          a.1 stopping
        list a.1 exited 137
          examine a.1
        examine a 137
        report
          applied 1.1
          a.1 stopped.crash: exit code 137 | last words
        ",
    );
    // The engine is asked when it takes too long; it may not have noticed yet.
    check(
        "
        list a.1 running
        hub 1.1 a.1 keep
        answers a
        over a
        wait 2s
          examine a.1
        examine a 0
        report
          applied 1.1
          a.1 stopping
        wait 2s
          examine a.1
        ",
    );
}

#[test]
fn what_was_started_again_by_hand_has_ended_all_the_same() {
    check(
        "
        list a.1 running
        hub 1.1 a.1 keep
        answers a
        over a
        list a.1 running
        wait 2s
          examine a.1
        examine a 0 again
        list a.1 running
        report
          applied 1.1
          a.1 stopped.crash: it was ended and its container started again, not by Berth: its kernels are gone | last words
        hub 1.2 a.1 stop
          stop a.1 in 10 s
        stop a ok
          remove a.1
        ",
    );
    // Also when the engine has shown the end in between.
    check(
        "
        list a.1 running
        hub 1.1 a.1 keep
        answers a
        list a.1 exited 143
          examine a.1
        examine a 143
        list a.1 running
        report
          applied 1.1
          a.1 stopped.crash: exit code 143 | last words
        hub 1.2 a.1 stop
          stop a.1 in 10 s
        ",
    );
}

/// A report of the very millisecond may have been made before the end was known.
#[test]
fn a_report_of_the_same_moment_has_not_told_the_end() {
    let mut world = World::new(1);
    for line in ["list a.1 exited 3", "hub 1.1 a.1 keep", "examine a 3"] {
        world.line(line);
    }
    let ended = world.now;
    world.heartbeat = ended;
    world.line("hub 1.2 a.1 keep");
    assert!(!world.issued.contains_key("remove a"), "{}", world.out);
    world.heartbeat = ended.plus_millis(1);
    world.line("hub 1.3 a.1 keep");
    assert!(world.issued.contains_key("remove a"), "{}", world.out);
}

/// What is said of a container counts for that one only, and only while it runs.
#[test]
fn the_word_on_another_container_is_not_taken() {
    let mut world = World::new(1);
    world.line("list a.1 running, b.1 exited 0");
    let now = world.now;
    for (server, container) in [("a", "a.0"), ("b", "b.1"), ("c", "c.1")] {
        world.keeper.ready(&id(server), container, now);
        world.keeper.ended(&id(server), container, now);
    }
    assert_eq!(world.keeper.answering(), []);
    assert_eq!(world.keeper.unanswered().len(), 1);
    world.line("report");
    assert!(world.out.contains("\n  a.1 running\n"), "{}", world.out);

    world.line("answers a");
    assert_eq!(world.keeper.unanswered(), []);
    let answering = world.keeper.answering();
    let [one] = &*answering else { panic!("{answering:?}") };
    assert_eq!((&one.server, &*one.container, &*one.prefix), (&id("a"), "a.1", "/user/alice/"));
    world.line("over a");
    assert_eq!(world.keeper.answering(), []);
}
