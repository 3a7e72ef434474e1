//! What the engine lists, and when that is believed.

use super::*;

#[test]
fn a_list_from_before_a_removal_brings_nothing_back() {
    check(
        "
        list a.1 exited
          examine a.1
        look
        hub 1.1 a.1 stop
        examine a 0
          remove a.1
        remove a ok
        hub 1.2
        seen a.1 running
        report
          applied 1.2
        list
        report
          applied 1.2
        ",
    );
}

#[test]
fn an_engine_that_does_not_answer_is_unknown() {
    check(
        "
        list a.1 running
        hub 1.1 a.1 run
        list down
        hub 1.2 a.1 stop, b.1 run
        report
          applied 1.2
          unknown: no answer
        table
          table: a.1
        list a.1 running
          stop a.1 in 10 s
          create b.1
        ",
    );
}

#[test]
fn a_list_that_was_asked_for_before_an_act_says_nothing_about_it() {
    check(
        "
        list
        hub 1.1 a.1 run
          create a.1
        look
        create a ok
          start a.1
        start a ok
        seen
        report
          applied 1.1
          a.1 running
        list
        report
          applied 1.1
          a.1 stopped.crash: its container was removed, not by Berth
        ",
    );
    check(
        "
        list a.1 running
        look
        list a.1 exited 0
          examine a.1
        seen a.1 running
        examine a 0
        report
          applied 0.0
          a.1 stopped.crash: exit code 0 | last words
        ",
    );
}

/// Another container has nothing of the one before it but the server's name.
#[test]
fn a_container_that_took_anothers_place_is_looked_at_anew() {
    check(
        "
        list a.1 running
        answers a
        list a.2 running
        report
          applied 0.0
          a.2 running
        ",
    );
}

/// The start that an earlier process asked for comes through while what it made is being removed:
/// nobody has had that server, so it has not ended, and the hub's order to run it holds.
#[test]
fn what_a_late_start_sets_running_while_it_is_removed_is_made_anew() {
    for gone in ["remove a ok", "remove a timeout\n        list"] {
        check(&format!(
            "
        list a.1 created
          remove a.1
        hub 1.1 a.1 run
        list a.1 running
        {gone}
          create a.1
        report
          applied 1.1
          pending: create a.1
        "
        ));
    }
    // When the removal has come to nothing it runs, and whoever removes it then ends it.
    check(
        "
        list a.1 created
          remove a.1
        hub 1.1 a.1 run
        remove a timeout
        list a.1 running
        list a.1 running
        list
        report
          applied 1.1
          a.1 stopped.crash: its container was removed, not by Berth
        ",
    );
}
