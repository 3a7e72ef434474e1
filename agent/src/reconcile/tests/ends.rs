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
    let lines =
        ["list", "hub 1.1 a.1 run", "create a ok", "list a.1 running", "answers a", "start a ok"];
    for line in lines {
        world.line(line);
    }
    let none = BTreeMap::new();
    let report = world.keeper.report(world.now, Capacity::default(), HostFacts::default(), &none);
    let one = report.engine.unwrap().remove(0);
    assert_eq!(one.state, ObservedState::Ready);
    let steps: Vec<_> = one.steps.iter().map(|done| done.step).collect();
    assert_eq!(steps, [StartStep::Container, StartStep::Started, StartStep::Answers]);
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
        ",
    );
}
