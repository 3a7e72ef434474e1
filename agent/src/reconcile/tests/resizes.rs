//! Other memory limits for containers that run.

use super::*;

/// A server that runs, with its limit as it was made.
const RUNS: &str = "
        list
        hub 1.1 a.1 run
          create a.1
        create a ok
          start a.1
        start a ok
        answers a
";

#[track_caller]
fn check_running(transcript: &str) {
    check(&format!("{RUNS}{}", transcript.trim_start_matches('\n')));
}

#[test]
fn a_limit_is_changed_once_and_told() {
    check_running(
        "
        hub 1.2 a.1 keep at 2 as 1
          resize a.1 to 2 GB
        report
          applied 1.2
          a.1 ready
          pending: resize a.1
        resize a ok
        report
          applied 1.2
          a.1 ready, 2 GB
        hub 1.3 a.1 keep at 2 as 1
        list a.1 running
        measure a 2
        hub 1.4 a.1 keep at 1 as 2
          resize a.1 to 1 GB
        resize a ok
        hub 1.5 a.1 keep
",
    );
}

#[test]
fn a_refusal_is_told_and_not_tried_again_until_another_order_comes() {
    check_running(
        "
        hub 1.2 a.1 keep at 2 as 1
          resize a.1 to 2 GB
        resize a failed
        wait 60s
        list a.1 running
        measure a 1
        report
          applied 1.2
          a.1 ready, order 1 refused: failed.container
        hub 1.3 a.1 keep at 2 as 2
          resize a.1 to 2 GB
        resize a ok
        report
          applied 1.3
          a.1 ready, 2 GB
",
    );
}

#[test]
fn a_limit_that_is_not_known_is_measured_before_anything_is_done() {
    check_running(
        "
        hub 1.2 a.1 keep at 2 as 1
          resize a.1 to 2 GB
        resize a ok
        restart
        list a.1 running
        hub 1.3 a.1 keep at 2 as 1
        report
          applied 1.3
          a.1 running
        measure a 2
        report
          applied 1.3
          a.1 running, 2 GB
        measure a 4
          resize a.1 to 2 GB
",
    );
}

#[test]
fn what_was_measured_before_a_change_says_nothing_about_it() {
    check_running(
        "
        look
        hub 1.2 a.1 keep at 2 as 1
          resize a.1 to 2 GB
        measured a 1
        resize a ok
        measured a 1
        report
          applied 1.2
          a.1 ready, 2 GB
",
    );
}

#[test]
fn a_change_whose_outcome_never_came_is_measured_and_tried_again() {
    check_running(
        "
        hub 1.2 a.1 keep at 2 as 1
          resize a.1 to 2 GB
        resize a timeout
        report
          applied 1.2
          a.1 ready
          pending: resize a.1
        list a.1 running
        report
          applied 1.2
          a.1 ready
        measure a 1
        wait 6s
          resize a.1 to 2 GB
",
    );
}

#[test]
fn a_stop_needs_no_other_limit_and_an_end_forgets_it() {
    check_running(
        "
        hub 1.2 a.1 keep at 2 as 1
          resize a.1 to 2 GB
        hub 1.3 a.1 stop
        resize a ok
          stop a.1 in 10 s
        stop a ok
          remove a.1
        remove a ok
        hub 1.4 a.2 run
          create a.2
        create a ok
          start a.2
        start a ok
        report
          applied 1.4
          a.2 running
",
    );
}
