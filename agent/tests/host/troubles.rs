//! An engine that is away, slow or restarted, and containers that somebody else laid hands on: told
//! as it is, put right where that is right, and never made worse. The engine is the test's own.

use std::sync::Arc;

use berth_common::link::{Ending, Observed, ObservedState, Report, Verdict};
use berth_common::{ByteCount, Reason, ServerId};
use tokio::process::Child;

use super::engine::Engine;
use super::site::{Ca, Host, Hub, run, server_id, spec};

/// A host on an engine of its own, whose containers nobody outside hears answer: they are in a
/// network of their own.
struct Scene {
    engine: Engine,
    hub: Hub,
    host: Host,
    home: String,
    _agent: Child,
}

impl Scene {
    async fn new() -> Self {
        let engine = Engine::start();
        let hub = Hub::start(Arc::new(Ca::new())).await;
        let host = Host::joined(&hub).await;
        let docker = format!("docker = \"{}\"", engine.socket());
        host.configure_more(&hub.address, "users = \"hub\"", &docker);
        let home = host.home("alice", 20_001, 30_001);
        let agent = host.agent();
        Self { engine, hub, host, home, _agent: agent }
    }

    fn wanted(&self) -> Verdict {
        run(spec(self.engine.image(), &self.home))
    }

    /// A server that runs and, as far as the hub is concerned, has answered.
    async fn kept(&self) -> ServerId {
        let server = server_id();
        self.hub.say(&server, 1, self.wanted());
        self.hub.sees(&server, "that it runs", |it| *it == ObservedState::Running).await;
        self.hub.say(&server, 1, Verdict::Keep);
        let revision = self.hub.revision();
        self.hub.heard("that it is kept", |report| report.applied >= revision).await;
        server
    }

    fn name(&self, server: &ServerId) -> String {
        format!("berth.{}.{server}", self.host.name)
    }

    fn inspect(&self, server: &ServerId, what: &str) -> String {
        self.engine.docker(&["inspect", "-f", what, &self.name(server)])
    }

    async fn ends(&self, server: &ServerId) {
        self.hub.say(server, 1, Verdict::Stop { grace_s: 1 });
        self.hub.sees_nothing_of(server).await;
    }
}

fn end(state: &ObservedState) -> Option<&Ending> {
    match state {
        ObservedState::Exited(ending) | ObservedState::Failed(ending) => Some(ending),
        _ => None,
    }
}

/// It runs. Nobody answers in it, which a busy machine leaves the agent time to say.
fn is_there(state: &ObservedState) -> bool {
    match state {
        ObservedState::Running => true,
        ObservedState::Failed(ending) => ending.reason == Reason::FailedNoAnswer,
        _ => false,
    }
}

fn of<'a>(report: &'a Report, server: &ServerId) -> Option<&'a Observed> {
    report.engine.iter().flatten().find(|one| one.server == *server)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_by_hand_is_told_as_it_is_and_never_made_worse() {
    let scene = Scene::new().await;
    let (engine, hub) = (&scene.engine, &scene.hub);

    // Ended by hand: told with the exit code, and not made anew.
    for (command, code) in [(["kill", "-s", "KILL"], 137), (["stop", "-t", "5"], 143)] {
        let (server, name, ending) = loop {
            let server = scene.kept().await;
            let name = scene.name(&server);
            engine.docker(&[command.as_slice(), &[&name]].concat());
            let seen = hub.sees(&server, "its end", |state| end(state).is_some()).await;
            let ending = end(&seen.state).unwrap().clone();
            if ending.reason != Reason::FailedNoAnswer {
                break (server, name, ending);
            }
            // A busy machine needed a minute for that: once more.
            scene.ends(&server).await;
        };
        // The agent itself has heard no answer of it.
        assert_eq!(ending.reason, Reason::FailedExited, "{command:?}: {}", ending.detail);
        assert!(ending.detail.starts_with(&format!("exit code {code}")), "{}", ending.detail);
        let left = ["ps", "-aq", "--filter", &format!("name={name}")];
        while !engine.docker(&left).is_empty() {
            tokio::task::yield_now().await;
        }
        scene.ends(&server).await;
    }

    // Removed by hand: told, and not made anew, whether or not it has answered. Its owner's kernels
    // are gone, and a fresh one in its place would hide that.
    for answered in [true, false] {
        let server = scene.kept().await;
        if !answered {
            hub.say(&server, 1, scene.wanted());
            let revision = hub.revision();
            hub.heard("the order", |report| report.applied >= revision).await;
        }
        engine.docker(&["rm", "-f", &scene.name(&server)]);
        let seen = hub.sees(&server, "its end", |state| end(state).is_some()).await;
        let ending = end(&seen.state).unwrap();
        assert_eq!(ending.detail, "its container was removed, not by Berth");
        let report = hub.heard("a report", |_| true).await;
        let told = |next: &Report| of(next, &server).is_some_and(|one| end(&one.state).is_some());
        hub.heard("it still", |next| told(next) && next.sent > report.sent).await;
        assert_eq!(engine.docker(&["ps", "-aq"]), "");
        scene.ends(&server).await;
    }

    // Started again by hand: another notebook, without its owner's kernels. The end is what is told.
    let server = scene.kept().await;
    engine.docker(&["restart", "-t", "5", &scene.name(&server)]);
    hub.sees(&server, "its end", |state| end(state).is_some()).await;
    let sent = hub.heard("a report", |_| true).await.sent;
    let told = |next: &Report| of(next, &server).is_none_or(|one| end(&one.state).is_some());
    hub.heard("it still", |next| told(next) && next.sent > sent).await;
    scene.ends(&server).await;
    assert_eq!(engine.docker(&["ps", "-aq"]), "");

    // Paused by hand it is as it was.
    let server = server_id();
    hub.say(&server, 1, scene.wanted());
    hub.sees(&server, "that it runs", |it| *it == ObservedState::Running).await;
    let pid = scene.inspect(&server, "{{.State.Pid}}");
    for (command, state) in [("pause", "paused"), ("unpause", "running")] {
        // Version 1 of cgroups sometimes cannot freeze what a busy machine does not let run.
        while engine.try_docker(&[command, &scene.name(&server)]).is_err() {
            tokio::task::yield_now().await;
        }
        let sent = hub.heard("a report", |_| true).await.sent;
        let runs = |next: &Report| {
            of(next, &server).is_some_and(|one| one.state == ObservedState::Running)
        };
        hub.heard("that it runs", |next| next.sent > sent && runs(next)).await;
        assert_eq!(scene.inspect(&server, "{{.State.Status}}"), state);
    }
    assert_eq!(scene.inspect(&server, "{{.State.Pid}}"), pid);

    // Another limit by hand is the limit that is told.
    let limit = ["update", "--memory", "96m", "--memory-swap", "96m", &scene.name(&server)];
    engine.docker(&limit);
    let has = |report: &Report| {
        of(report, &server).is_some_and(|one| one.limit == Some(ByteCount(96 << 20)))
    };
    hub.heard("its limit", has).await;
    scene.ends(&server).await;

    // Somebody else's container has the name: said, and that container is left alone.
    let server = server_id();
    let image = engine.image();
    engine.docker(&["create", "--name", &scene.name(&server), image, "httpd", "-f"]);
    hub.say(&server, 1, scene.wanted());
    let seen = hub.sees(&server, "a conflict", |state| end(state).is_some()).await;
    let ending = end(&seen.state).unwrap();
    assert_eq!(ending.reason, Reason::FailedContainer);
    assert!(ending.detail.contains("a container of this name exists"), "{}", ending.detail);
    scene.ends(&server).await;
    assert_eq!(scene.inspect(&server, "{{.State.Status}}"), "created", "it is not ours to remove");

    // One whose files cannot be removed is not absent until they are.
    let server = scene.kept().await;
    engine.holds_files(&scene.name(&server), true);
    hub.say(&server, 1, Verdict::Stop { grace_s: 1 });
    let name = scene.name(&server);
    while scene.inspect(&server, "{{.State.Status}}") != "dead" {
        tokio::task::yield_now().await;
    }
    let revision = hub.revision();
    let half = |report: &Report| {
        report.applied >= revision
            && of(report, &server).is_some_and(|one| one.state == ObservedState::Stopping)
    };
    let report = hub.heard("a half of it", half).await;
    hub.heard("it still", |next| half(next) && next.sent > report.sent).await;
    engine.holds_files(&name, false);
    hub.sees_nothing_of(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_hangs_or_restarts_loses_nothing() {
    let mut scene = Scene::new().await;
    let server = scene.kept().await;
    let pid = scene.inspect(&server, "{{.State.Pid}}");

    // It hangs: unknown, not empty, and the agent goes on. What it is told meanwhile happens later,
    // once.
    scene.engine.hangs();
    let report = scene.hub.heard("trouble", |report| report.engine.is_err()).await;
    let trouble = report.engine.unwrap_err();
    assert!(trouble.contains("did not answer within 10 s"), "{trouble}");
    let late = server_id();
    scene.hub.say(&late, 1, scene.wanted());
    let revision = scene.hub.revision();
    scene.hub.heard("the order taken over", |report| report.applied >= revision).await;
    scene.engine.goes_on();
    scene.hub.sees(&late, "the late one", |it| *it == ObservedState::Running).await;
    scene.hub.sees(&server, "the other", is_there).await;
    let filter = format!("label=berth.server={late}");
    assert_eq!(scene.engine.docker(&["ps", "-aq", "--filter", &filter]).lines().count(), 1);
    scene.ends(&late).await;

    // It is stopped and comes back: the same containers, never touched.
    scene.engine.stop();
    let gone = |report: &Report| report.engine.as_ref().is_err_and(|it| it.contains("/sock"));
    scene.hub.heard("trouble", gone).await;
    scene.engine.start_again();
    scene.hub.sees(&server, "it again", is_there).await;
    assert_eq!(scene.inspect(&server, "{{.State.Pid}}"), pid);
    // The engine's word about changes comes again: this end is heard of.
    scene.engine.docker(&["kill", &scene.name(&server)]);
    scene.hub.sees(&server, "its end", |state| end(state).is_some()).await;
    scene.ends(&server).await;
}
