//! Scripts and their transcripts. A line is something that happens; the indented lines below it
//! are the steps that the keeper gives then, or the report that was asked for.
//!
//! ```text
//! hub 1.2 a.1 run, b.3 stop     a desired set: reign 1, number 2
//! list a.1 running              the engine's whole answer; `list down`: it does not answer
//! look … seen a.1 created       the same, asked earlier than answered
//! create a ok                   what became of the newest such step
//! measure a 2                   its limit is 2 GB; `measured`: seen at the look before
//! over a                        its main process has ended, says the kernel
//! answers a    wait 30s    wait 20ms    heartbeat    report    restart
//! ```
//! After each line the clock moves on by a millisecond.

use std::collections::BTreeMap;

use super::*;
use berth_common::link::{Account, Ending, Limit, ObservedState, Origin, RunSpec, Watch};
use berth_common::{ByteCount, Reason};

mod calls;
mod ends;
mod lists;
mod resizes;
mod verdicts;

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

fn gigabytes(text: &str) -> ByteCount {
    ByteCount(text.parse::<u64>().unwrap() << 30)
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
        build: String::new(),
        command: Vec::new(),
        spaces: Vec::new(),
        shown: BTreeMap::new(),
        env: BTreeMap::new(),
        api_url: String::new(),
        prefix: "/user/alice/".into(),
        port: 8888,
        farm_ports: Vec::new(),
        shm: None,
        cpu: Default::default(),
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
    Container {
        id,
        server,
        generation,
        epoch: Epoch(1),
        boot,
        origin: origin(),
        prefix,
        left_out: Vec::new(),
        state,
    }
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
            "over" => {
                let found = self.keeper.running().remove(&id(rest)).unwrap();
                self.keeper.ended(&id(rest), &found, self.now);
            }
            "wait" => {
                let millis: u64 = match rest.strip_suffix("ms") {
                    Some(millis) => millis.parse().unwrap(),
                    None => rest.trim_end_matches('s').parse::<u64>().unwrap() * 1000,
                };
                self.now = self.now.plus_millis(millis);
            }
            "measure" => {
                let look = self.keeper.looking();
                self.measure(look, rest);
            }
            "measured" => self.measure(self.look, rest),
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
                Act::Resize { limit, .. } => format!(" to {}", limit.memory),
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
            let limit = what.split_once(" at ").map(|(_, limit)| {
                let (gb, number) = limit.split_once(" as ").unwrap();
                Limit { number: number.parse().unwrap(), ..Limit::of(gigabytes(gb)) }
            });
            let what = what.split_once(" at ").map_or(what, |(what, _)| what);
            let what = match what.split_once(' ').unwrap_or((what, "image")) {
                ("run", image) => Verdict::Run(Box::new(spec(image))),
                ("keep", _) => Verdict::Keep,
                ("stop", _) => Verdict::Stop { grace_s: 10 },
                other => panic!("{other:?}"),
            };
            servers.insert(server, Desired { generation, what, limit });
        }
        let set = DesiredSet {
            revision: Revision { epoch: Epoch(epoch.parse().unwrap()), seq: seq.parse().unwrap() },
            incarnation: Incarnation(incarnation),
            echo: self.heartbeat,
            servers,
            watch: Watch::default(),
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

    fn measure(&mut self, look: Look, rest: &str) {
        let (server, gb) = rest.split_once(' ').unwrap();
        let container = self.keeper.running().remove(&id(server)).unwrap();
        let limit = Some(gigabytes(gb));
        let measured = Measured { container, limit, ..Measured::default() };
        self.keeper.measured(look, &BTreeMap::from([(id(server), measured)]));
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
            ("resize", "ok") => Outcome::Resized,
            ("stop", "ok") => Outcome::Stopped,
            ("remove", "ok") => Outcome::Removed,
            (_, "failed") => Outcome::Failed(ending(Reason::FailedContainer)),
            (_, "timeout") => Outcome::TimedOut,
            (_, "gone") => Outcome::Gone,
            ("examine", code) => Outcome::Examined(Remains {
                code: code.parse().unwrap(),
                oom: words.contains(&"oom"),
                kill: None,
                again: words.contains(&"again"),
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
                    // As it was made, a server has 1 GB.
                    let limit = one.limit.filter(|limit| *limit != gigabytes("1"));
                    let limit = limit.map_or(String::new(), |limit| format!(", {limit}"));
                    let refused = one.resize_refused.map_or(String::new(), |refused| {
                        format!(", order {} refused: {}", refused.number, refused.ending.reason)
                    });
                    let (server, generation) = (name(&one.server), one.generation);
                    self.say(&format!("{server}.{generation} {state}{limit}{refused}"));
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
