//! Calls that fail, hang, or come late.

use super::*;

#[test]
fn a_late_create_is_removed_and_made_again() {
    check(
        "
        list
        hub 1.1 a.1 run
          create a.1
        create a timeout
        report
          applied 1.1
          pending: create a.1
        wait 20s
        list a.1 created
          remove a.1
        remove a ok
          create a.1
        create a ok
          start a.1
        ",
    );
    // It never came.
    check(
        "
        list
        hub 1.1 a.1 run
          create a.1
        create a timeout
        list
          create a.1
        ",
    );
    // Its late answer is not believed.
    check(
        "
        list
        hub 1.1 a.1 run
          create a.1
        create a timeout
        hub 1.2 a.1 stop
        create a ok
          remove a.1
        remove a ok
        report
          applied 1.2
        ",
    );
    // It is told as long as it has not settled, also when the hub asks for nothing any more.
    check(
        "
        list
        hub 1.1 a.1 run
          create a.1
        hub 1.2
        list
        report
          applied 1.2
          pending: create a.1
        create a ok
          remove a.1
        ",
    );
}

#[test]
fn the_barrier_removes_what_an_earlier_process_has_only_created() {
    check(
        "
        list
        hub 1.1 a.1 run
          create a.1
        create a ok
          start a.1
        restart
        list a.1 created, b.1 running, c.1 exited 1
          remove a.1
          examine c.1
        report
          applied 0.0
          a.1 stopping
          b.1 running
          c.1 stopping
          pending: remove a.1
        hub 1.2 a.1 run, b.1 keep
        list a.1 created, b.1 running, c.1 exited 1
        remove a ok
          create a.1
        ",
    );
    // The hung start of the earlier process completes before the removal: it is adopted.
    check(
        "
        list a.1 created
          remove a.1
        remove a timeout
        list a.1 running
        hub 1.1 a.1 run
        report
          applied 1.1
          a.1 running
        ",
    );
    // One that appears later, by a create still in flight when the process died.
    check(
        "
        list
        hub 1.1 b.1 run
          create b.1
        list a.1 created
          remove a.1
        ",
    );
}

#[test]
fn a_hung_start_is_neither_success_nor_failure() {
    check(
        "
        list
        hub 1.1 a.1 run
          create a.1
        create a ok
          start a.1
        start a timeout
        list a.1 created
        list a.1 created
        report
          applied 1.1
          a.1 created
          pending: start a.1
        list a.1 running
        report
          applied 1.1
          a.1 running
        ",
    );
    // Stop: the removal waits behind the start.
    check(
        "
        list
        hub 1.1 a.1 run
          create a.1
        create a ok
          start a.1
        start a timeout
        hub 1.2 a.1 stop
          remove a.1
        start a ok
        report
          applied 1.2
          a.1 stopping
          pending: remove a.1
        remove a ok
        report
          applied 1.2
        ",
    );
    // It never starts: given up after a minute.
    check(
        "
        list
        hub 1.1 a.1 run
          create a.1
        create a ok
          start a.1
        start a timeout
        wait 59s
        list a.1 created
        wait 1s
          remove a.1
        remove a ok
        report
          applied 1.1
          a.1 failed.no_answer: no answer 60 s after its start
        ",
    );
}

#[test]
fn a_create_that_fails_after_its_stop_is_not_told() {
    check(
        "
        list
        hub 1.1 a.1 run
          create a.1
        hub 1.2 a.1 stop
        create a failed
        report
          applied 1.2
        ",
    );
}

#[test]
fn what_the_barrier_removes_has_not_ended() {
    check(
        "
        list a.1 created
          remove a.1
        hub 1.1 a.1 run
        list a.1 dead
        remove a ok
          create a.1
        ",
    );
}

#[test]
fn a_failed_start_is_told_until_the_hub_says_otherwise() {
    check(
        "
        list
        hub 1.1 a.1 run, b.1 run
          create a.1
          create b.1
        create a failed
        create b ok
          start b.1
        start b failed
          remove b.1
        remove b ok
        list
        report
          applied 1.1
          a.1 failed.container: because
          b.1 failed.container: because
        hub 1.2 b.1 stop
        report
          applied 1.2
        hub 1.3 a.1 run
          create a.1
        ",
    );
    // Whoever hears now that it need not be made anew has still to hear why it was not made.
    check(
        "
        list
        hub 1.1 a.1 run
          create a.1
        create a failed
        hub 1.2 a.1 keep
        report
          applied 1.2
          a.1 failed.container: because
        ",
    );
    // Not what was asked for: it never starts.
    check(
        "
        list
        hub 1.1 a.1 run
          create a.1
        create a spoiled
          remove a.1
        remove a ok
        report
          applied 1.1
          a.1 failed.policy: because
        ",
    );
}

#[test]
fn a_name_that_is_taken_is_looked_up_and_then_told() {
    check(
        "
        list
        hub 1.1 a.1 run
          create a.1
        create a conflict
        list a.1 created
          remove a.1
        ",
    );
    check(
        "
        list
        hub 1.1 a.1 run
          create a.1
        create a conflict
        wait 1s
          create a.1
        create a conflict
        wait 1s
          create a.1
        create a conflict
        wait 1s
          create a.1
        create a conflict
        report
          applied 1.1
          a.1 failed.container: a container of this name exists that is not of this host's Berth
        ",
    );
}

#[test]
fn a_stop_that_does_not_help_ends_in_force() {
    check(
        "
        list a.1 running
        hub 1.1 a.1 stop
          stop a.1 in 10 s
        stop a timeout
        list a.1 running
          remove a.1
        remove a failed
        report
          applied 1.1
          a.1 stopping
        wait 5s
          remove a.1
        remove a timeout
        list a.1 running
        wait 5s
          remove a.1
        remove a timeout
        list
        report
          applied 1.1
        ",
    );
    check(
        "
        list a.1 running
        hub 1.1 a.1 stop
          stop a.1 in 10 s
        stop a failed
          remove a.1
        ",
    );
}

#[test]
fn half_removed_containers_are_removed_again() {
    check(
        "
        list a.1 dead
          remove a.1
        report
          applied 0.0
          a.1 stopping
          pending: remove a.1
        remove a failed
        list a.1 dead
        wait 5s
          remove a.1
        list
        remove a gone
        report
          applied 0.0
        ",
    );
}

#[test]
fn what_failed_is_tried_again_after_its_time_and_no_sooner() {
    // Each line takes a millisecond of its own.
    check(
        "
        list a.1 dead
          remove a.1
        remove a failed
        wait 4998ms
        wait 0ms
          remove a.1
        ",
    );
    check(
        "
        list
        hub 1.1 a.1 run
          create a.1
        create a conflict
        wait 998ms
        wait 0ms
          create a.1
        ",
    );
}

#[test]
fn what_is_settled_takes_no_memory() {
    let mut world = World::new(1);
    let stopped =
        ["list a.1 exited 0", "hub 1.1 a.1 stop", "examine a 0", "remove a ok", "hub 1.2", "list"];
    for line in stopped {
        assert!(world.keeper.servers.len() <= 1);
        world.line(line);
    }
    assert!(world.keeper.servers.is_empty(), "{:?}", world.keeper.servers);
}
