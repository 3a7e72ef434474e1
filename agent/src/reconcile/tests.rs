//! Scripts and their transcripts. A line is something that happens; the indented lines below it
//! are the steps that the keeper gives then, or the report that was asked for.
//!
//! ```text
//! hub 1.2 a.1 run, b.3 stop     a desired set: reign 1, number 2
//! list a.1 running              the engine's whole answer; `list down`: it does not answer
//! look … seen a.1 created       the same, asked earlier than answered
//! create a ok                   what became of the newest such step
//! answers a    wait 30s    heartbeat    report    restart
//! ```
//! After each line the clock moves on by a millisecond.

use std::collections::BTreeMap;

use super::*;
use berth_common::link::Account;

struct World {
    keeper: Keeper,
    now: Timestamp,
    process: u64,
    heartbeat: Timestamp,
    look: Look,
    issued: BTreeMap<String, Operation>,
    out: String,
}

fn id(name: &str) -> ServerId {
    ServerId::from_random(u64::from(name.as_bytes()[0] - b'a'))
}

fn name(server: &ServerId) -> char {
    char::from(b'a' + u8::from_str_radix(server.as_str(), 16).unwrap())
}

fn boot() -> BootId {
    "boot-1".parse().unwrap()
}

fn origin() -> Origin {
    Origin {
        user: "alice".parse().unwrap(),
        server_name: "".parse().unwrap(),
        profile: "small".into(),
        memory: ByteCount(1 << 30),
        gpus: Vec::new(),
        decision: None,
    }
}

fn spec(image: &str) -> RunSpec {
    RunSpec {
        origin: origin(),
        account: Account {
            name: "alice".parse().unwrap(),
            uid: 2001,
            gid: 3001,
            groups: Vec::new(),
            home: "/home/alice".into(),
        },
        pool: "cpu".into(),
        image: image.into(),
        command: Vec::new(),
        env: BTreeMap::new(),
        api_url: String::new(),
        prefix: "/user/alice/".into(),
        port: 8888,
    }
}

/// `a.3` as server and generation.
fn numbered(text: &str) -> (ServerId, Generation) {
    let (server, generation) = text.split_once('.').unwrap();
    (id(server), Generation(generation.parse().unwrap()))
}

fn container(text: &str) -> Container {
    let words: Vec<&str> = text.split(' ').collect();
    let (server, generation) = numbered(words[0]);
    let state = match words[1] {
        "created" => ContainerState::Created,
        "running" => ContainerState::Running { address: Some("10.0.0.2:8888".parse().unwrap()) },
        "exited" => ContainerState::Exited { code: words.get(2).map_or(0, |c| c.parse().unwrap()) },
        "dead" => ContainerState::Dead,
        other => panic!("{other}"),
    };
    let boot = if words.contains(&"boot-0") { "boot-0".parse().unwrap() } else { boot() };
    let prefix = "/user/alice/".into();
    let id = words[0].to_owned();
    Container { id, server, generation, epoch: Epoch(1), boot, origin: origin(), prefix, state }
}

impl World {
    fn new(slots: usize) -> Self {
        Self {
            keeper: Keeper::new(Incarnation(1), boot(), slots, Epoch(0)),
            now: Timestamp::from_millis(1_000_000),
            process: 1,
            heartbeat: Timestamp::default(),
            look: Look::default(),
            issued: BTreeMap::new(),
            out: String::new(),
        }
    }

    fn line(&mut self, line: &str) {
        self.out.push_str(line);
        self.out.push('\n');
        self.now = self.now.plus_millis(1);
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "hub" | "stranger" => self.hub(rest, if word == "hub" { self.process } else { 99 }),
            "list" => {
                let look = self.keeper.looking();
                self.see(look, rest);
            }
            "look" => self.look = self.keeper.looking(),
            "seen" => self.see(self.look, rest),
            "answers" => {
                let found = self.keeper.running().remove(&id(rest)).unwrap();
                self.keeper.ready(&id(rest), &found, self.now);
            }
            "wait" => {
                let seconds: u64 = rest.trim_end_matches('s').parse().unwrap();
                self.now = self.now.plus_millis(seconds * 1000);
            }
            "heartbeat" => self.heartbeat = self.now,
            "report" => self.report(),
            "table" => {
                let table = self.keeper.tunnel_table();
                let words = table.map(|entries| {
                    let word = |entry: &TunnelEntry| {
                        format!("{}.{}", name(&entry.server), entry.generation)
                    };
                    entries.iter().map(word).collect::<Vec<_>>().join(" ")
                });
                let words = words.map(|text| if text.is_empty() { "empty".into() } else { text });
                self.say(&format!("table: {}", words.unwrap_or_else(|| "unknown".into())));
            }
            "restart" => {
                self.process += 1;
                self.issued.clear();
                let highest = self.keeper.highest_epoch();
                self.keeper = Keeper::new(Incarnation(self.process), boot(), 2, highest);
            }
            act => self.settle(act, rest),
        }
        for step in self.keeper.steps(self.now) {
            let act = step.act.name().unwrap_or("examine");
            let Operation { server, generation, .. } = &step.operation;
            let grace = match step.act {
                Act::Stop { grace_s, .. } => format!(" in {grace_s} s"),
                _ => String::new(),
            };
            self.say(&format!("{act} {}.{generation}{grace}", name(server)));
            self.issued.insert(format!("{act} {}", name(server)), step.operation);
        }
    }

    fn say(&mut self, text: &str) {
        self.out.push_str("  ");
        self.out.push_str(text);
        self.out.push('\n');
    }

    fn hub(&mut self, rest: &str, incarnation: u64) {
        let (revision, verdicts) = rest.split_once(' ').unwrap_or((rest, ""));
        let (epoch, seq) = revision.split_once('.').unwrap();
        let mut servers = BTreeMap::new();
        for verdict in verdicts.split(", ").filter(|text| !text.is_empty()) {
            let (server, what) = verdict.split_once(' ').unwrap();
            let (server, generation) = numbered(server);
            let what = match what.split_once(' ').unwrap_or((what, "image")) {
                ("run", image) => Verdict::Run(Box::new(spec(image))),
                ("keep", _) => Verdict::Keep,
                ("stop", _) => Verdict::Stop { grace_s: 10 },
                other => panic!("{other:?}"),
            };
            servers.insert(server, Desired { generation, what });
        }
        let set = DesiredSet {
            revision: Revision { epoch: Epoch(epoch.parse().unwrap()), seq: seq.parse().unwrap() },
            incarnation: Incarnation(incarnation),
            echo: self.heartbeat,
            servers,
        };
        if let Err(why) = self.keeper.take(set) {
            self.say(&format!("ignored: {why}"));
        }
    }

    fn see(&mut self, look: Look, rest: &str) {
        let answer = match rest {
            "down" => Err("no answer".to_owned()),
            rest => Ok(rest.split(", ").filter(|text| !text.is_empty()).map(container).collect()),
        };
        self.keeper.observe(look, answer, self.now);
    }

    fn settle(&mut self, act: &str, rest: &str) {
        let words: Vec<&str> = rest.split(' ').collect();
        let operation = self.issued.get(&format!("{act} {}", words[0])).unwrap().clone();
        let made = format!("{}.{}", words[0], operation.generation);
        let ending = |reason| Ending { reason, detail: "because".into() };
        let outcome = match (act, words[1]) {
            ("create", "ok") => Outcome::Created { container: made },
            ("create", "spoiled") => {
                Outcome::Spoiled { container: made, ending: ending(Reason::FailedPolicy) }
            }
            ("create", "conflict") => Outcome::Conflict,
            ("start", "ok") => Outcome::Started { address: Some("10.0.0.2:8888".parse().unwrap()) },
            ("stop", "ok") => Outcome::Stopped,
            ("remove", "ok") => Outcome::Removed,
            (_, "failed") => Outcome::Failed(ending(Reason::FailedContainer)),
            (_, "timeout") => Outcome::TimedOut,
            (_, "gone") => Outcome::Gone,
            ("examine", code) => Outcome::Examined(Remains {
                code: code.parse().unwrap(),
                oom: words.contains(&"oom"),
                log: "last words\n".into(),
            }),
            other => panic!("{other:?}"),
        };
        self.keeper.settle(&operation, outcome, self.now);
    }

    fn report(&mut self) {
        self.heartbeat = self.now;
        let report = self.keeper.report(
            self.now,
            Capacity::default(),
            HostFacts::default(),
            &BTreeMap::new(),
        );
        self.say(&format!("applied {}", report.applied));
        match report.engine {
            Err(trouble) => self.say(&format!("unknown: {trouble}")),
            Ok(observed) => {
                for one in observed {
                    let state = match one.state {
                        ObservedState::Exited(ending) | ObservedState::Failed(ending) => {
                            format!("{}: {}", ending.reason, ending.detail.replace('\n', " | "))
                        }
                        other => format!("{other:?}").to_lowercase(),
                    };
                    self.say(&format!("{}.{} {state}", name(&one.server), one.generation));
                }
            }
        }
        for pending in report.pending {
            let (server, generation) = (name(&pending.server), pending.generation);
            self.say(&format!("pending: {} {server}.{generation}", pending.operation));
        }
    }
}

/// Plays a transcript's lines and compares what comes of them with what it says.
#[track_caller]
fn check_with(slots: usize, transcript: &str) {
    let mut world = World::new(slots);
    let mut expected = String::new();
    for line in transcript.lines().map(str::trim_end).filter(|line| !line.trim().is_empty()) {
        let line = line.strip_prefix("        ").unwrap_or(line);
        expected.push_str(line);
        expected.push('\n');
        if !line.starts_with("  ") {
            world.line(line);
        }
    }
    assert!(world.out == expected, "\n--- expected\n{expected}\n--- got\n{}", world.out);
}

#[track_caller]
fn check(transcript: &str) {
    check_with(2, transcript);
}

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
}

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
fn milestones_are_told_in_their_order_once() {
    let mut world = World::new(1);
    for line in ["list", "hub 1.1 a.1 run"] {
        world.line(line);
    }
    let create = world.issued["create a"].clone();
    world.keeper.milestone(&create, StartStep::Image, world.now);
    world.keeper.milestone(&create, StartStep::Spaces, world.now);
    world.keeper.milestone(&create, StartStep::Image, world.now);
    for line in ["create a ok", "start a ok", "answers a"] {
        world.line(line);
    }
    let report =
        world.keeper.report(world.now, Capacity::default(), HostFacts::default(), &BTreeMap::new());
    let steps = report.engine.unwrap().remove(0).steps;
    assert_eq!(steps.iter().map(|done| done.step).collect::<Vec<_>>(), StartStep::ALL);
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
