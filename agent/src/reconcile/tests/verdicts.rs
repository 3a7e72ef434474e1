//! What the hub says, and what is done for it.

use super::*;

#[test]
fn a_server_lives() {
    check(
        "
        report
          applied 0.0
          unknown: the container engine was not asked yet
        table
          table: unknown
        list
        table
          table: empty
        hub 1.1 a.1 run
          create a.1
        report
          applied 1.1
          pending: create a.1
        create a ok
          start a.1
        report
          applied 1.1
          a.1 created
          pending: start a.1
        start a ok
        report
          applied 1.1
          a.1 running
        answers a
        report
          applied 1.1
          a.1 ready
        table
          table: a.1
        hub 1.2 a.1 keep
        list a.1 running
        hub 1.3 a.1 stop
          stop a.1 in 10 s
        table
          table: empty
        report
          applied 1.3
          a.1 stopping
          pending: stop a.1
        stop a ok
          remove a.1
        remove a ok
        report
          applied 1.3
        ",
    );
}

#[test]
fn nothing_is_done_before_the_engine_and_the_hub_have_spoken() {
    check(
        "
        hub 1.1 a.1 run, b.1 stop
        list b.1 running
          create a.1
          stop b.1 in 10 s
        ",
    );
    check(
        "
        list b.1 running
        wait 100s
        report
          applied 0.0
          b.1 running
        hub 1.1 a.1 run, b.1 stop
          create a.1
          stop b.1 in 10 s
        ",
    );
}

#[test]
fn a_stop_overtakes_its_start_at_every_point() {
    // Before anything is made.
    check(
        "
        hub 1.1 a.1 run
        hub 1.2 a.1 stop
        list
        report
          applied 1.2
        ",
    );
    // While it is being made.
    check(
        "
        list
        hub 1.1 a.1 run
          create a.1
        hub 1.2 a.1 stop
        create a ok
          remove a.1
        remove a ok
        report
          applied 1.2
        ",
    );
    // The verdict is withdrawn between create and start.
    check(
        "
        list
        hub 1.1 a.1 run
          create a.1
        hub 1.2
        create a ok
          remove a.1
        remove a ok
        ",
    );
    // While it starts.
    check(
        "
        list
        hub 1.1 a.1 run
          create a.1
        create a ok
          start a.1
        hub 1.2 a.1 stop
        start a ok
          stop a.1 in 10 s
        stop a ok
          remove a.1
        remove a gone
        report
          applied 1.2
        ",
    );
}

#[test]
fn stop_is_final() {
    check(
        "
        list
        hub 1.1 a.1 run
          create a.1
        hub 1.2 a.1 stop
        create a ok
          remove a.1
        remove a ok
        hub 1.3 a.1 run
        hub 1.4
        hub 1.5 a.1 run
        hub 1.6 a.2 run
          create a.2
        ",
    );
}

#[test]
fn older_words_are_not_heard() {
    check(
        "
        list a.5 running
        stranger 1.1 a.5 stop
          ignored: it is for another agent process
        hub 3.1 a.5 run
        hub 3.1 a.5 stop
          ignored: it is not newer than the one in force
        hub 2.9 a.5 stop
          ignored: it is of an earlier reign of the hub
        hub 3.2 a.4 stop
        hub 3.3 a.4 run
        report
          applied 3.3
          a.5 running
        restart
        list a.5 running
        hub 2.10 a.5 stop
          ignored: it is of an earlier reign of the hub
        hub 3.1 a.5 stop
          stop a.5 in 10 s
        ",
    );
}

#[test]
fn a_newer_generation_replaces_an_older_one() {
    check(
        "
        list a.1 running
        hub 1.1 a.2 run
          stop a.1 in 30 s
        stop a ok
          remove a.1
        remove a ok
          create a.2
        create a ok
          start a.2
        ",
    );
    check(
        "
        list a.1 running
        hub 1.1 a.2 stop
          stop a.1 in 10 s
        ",
    );
    // The end of an older one says nothing about a newer one.
    check(
        "
        hub 1.1 a.1 stop
        list a.2 running
        report
          applied 1.1
          a.2 running
        ",
    );
}

#[test]
fn strays_are_kept_and_told() {
    check(
        "
        list a.1 running, b.1 exited 0
          examine b.1
        examine b 0
        hub 1.1
        wait 3600s
        report
          applied 1.1
          a.1 running
          b.1 stopped.crash: exit code 0 | last words
        table
          table: a.1
        hub 1.2
          remove b.1
        remove b ok
        report
          applied 1.2
          a.1 running
        ",
    );
}

#[test]
fn only_so_many_start_at_once_and_one_that_is_stuck_holds_up_nobody() {
    check_with(
        1,
        "
        list
        hub 1.1 c.1 run
          create c.1
        hub 1.2 a.1 run, b.1 run, c.1 run
        create c ok
          start c.1
        start c ok
        wait 29s
        answers c
          create a.1
        create a timeout
        wait 28s
        wait 2s
          create b.1
        create b failed
        list c.1 running
          create a.1
        create a ok
          start a.1
        hub 1.3 a.1 run, c.1 stop
          stop c.1 in 10 s
        ",
    );
}

#[test]
fn a_slot_is_free_thirty_seconds_after_its_start_was_asked_for() {
    check_with(
        1,
        "
        list
        hub 1.1 a.1 run, b.1 run
          create a.1
        wait 29998ms
        wait 0ms
          create b.1
        ",
    );
}

#[test]
fn servers_do_not_wait_for_one_another() {
    check(
        "
        list a.1 created, b.1 running
          remove a.1
        remove a timeout
        hub 1.1 a.1 run, b.1 stop, c.1 run
          stop b.1 in 10 s
          create c.1
        ",
    );
}

#[test]
fn milestones_are_told_in_their_order_once() {
    let mut world = World::new(1);
    for line in ["list", "hub 1.1 a.1 run"] {
        world.line(line);
    }
    let create = world.issued["create a"].clone();
    world.line("report");
    assert!(world.out.ends_with("  pending: create a.1\n"), "{}", world.out);
    world.keeper.milestone(&create, StartStep::Fetch, world.now);
    world.line("report");
    assert!(world.out.ends_with("  pending: fetch a.1\n"), "{}", world.out);
    let percent = |world: &World| {
        let (capacity, facts) = Default::default();
        let report = world.keeper.report(world.now, capacity, facts, &BTreeMap::new());
        report.pending[0].percent
    };
    assert_eq!(percent(&world), None);
    world.keeper.fetched(&create, 41);
    assert_eq!(percent(&world), Some(41));
    world.keeper.milestone(&create, StartStep::Image, world.now);
    assert_eq!(percent(&world), None, "the fetch is over");
    world.line("report");
    assert!(world.out.ends_with("  pending: create a.1\n"), "{}", world.out);
    world.keeper.milestone(&create, StartStep::Spaces, world.now);
    world.keeper.milestone(&create, StartStep::Image, world.now);
    for line in ["create a ok", "start a ok", "answers a"] {
        world.line(line);
    }
    let report =
        world.keeper.report(world.now, Capacity::default(), HostFacts::default(), &BTreeMap::new());
    let steps = report.engine.unwrap().remove(0).steps;
    let told: Vec<_> = steps.iter().map(|done| done.step).collect();
    assert_eq!(told[0], StartStep::Fetch);
    assert_eq!(told[1..], StartStep::ALL);
}

/// With one slot, whoever asked first starts first; a later start of the same server asks anew.
#[test]
fn the_queue_for_slots_keeps_the_order_of_wishes() {
    check_with(
        1,
        "
        hub 1.1 c.1 run
        hub 1.2 a.1 run, c.1 run
        list
          create c.1
        ",
    );
    check_with(
        1,
        "
        hub 1.1 a.1 run
        hub 1.2 a.1 run, b.1 run
        hub 1.3 a.2 run, b.1 run
        list
          create b.1
        ",
    );
}

#[test]
fn a_keeper_says_which_set_is_in_force_and_for_whom() {
    let mut world = World::new(1);
    assert_eq!(world.keeper.applied(), Revision::default());
    world.line("hub 2.3 a.1 stop");
    assert_eq!(world.keeper.applied(), Revision { epoch: Epoch(2), seq: 3 });
    let process = Keeper::new(Incarnation(7), boot(), 1, Epoch(0));
    assert_eq!(process.incarnation(), Incarnation(7));
}
