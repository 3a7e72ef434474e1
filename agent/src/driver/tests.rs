//! The driver on a fake engine; the test is its hub.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use berth_common::link::{Account, CpuShare, Desired, ObservedState, Origin, RunSpec, Verdict};
use berth_common::{BootId, ByteCount, Generation, Incarnation, Reason, Revision};

use tokio::net::UnixDatagram;

use super::*;
use crate::fake::FakeEngine;
use crate::gpu::Gpus;
use crate::helper::Helper;
use crate::reconcile::Remains;
use crate::tunnel::table;

/// A driver on a fake engine; the test is its hub, and systemd.
struct Agent {
    engine: FakeEngine,
    inputs: mpsc::Sender<Input>,
    reports: watch::Receiver<Option<Report>>,
    folder: tempfile::TempDir,
    systemd: UnixDatagram,
    seq: u64,
}

impl Agent {
    async fn start(limits: &str) -> Self {
        let (agent, driver) = Self::made(limits).await;
        tokio::spawn(driver);
        agent
    }

    /// With a driver that nobody drives yet.
    async fn made(limits: &str) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().display();
        let text = format!(
            "version = 1\n[agent]\nname = \"h\"\nhub = \"hub:1\"\nstate = \"{root}\"\nrun = \"{root}\"\n\
             starts_at_once = 4\n[home]\ncreate = \"missing\"\n{limits}"
        );
        let text = text.replace("ROOT", &root.to_string());
        let config = Arc::new(crate::config::parse("agent.toml", &text).unwrap());
        let address = FakeEngine::answerer().await.unwrap();
        let engine = FakeEngine::new(&["berth/notebook:6"], address);
        let (inputs, received) = mpsc::channel(INPUTS);
        let (sender, reports) = watch::channel(None);
        let (feed, _) = Feed::new(folder.path());
        let link = watch::channel(LinkState::Up).1;
        let boot: BootId = "boot".parse().unwrap();
        let keeper = Keeper::new(Incarnation(7), boot.clone(), 4, Epoch(0));
        let runtime = engine.clone();
        let gpus = Gpus::none(&boot);
        let helper = Helper::thread();
        let inputs_of = inputs.clone();
        let work = Arc::new(Workplace { runtime, config, boot, gpus, helper, inputs: inputs_of });
        let notify = folder.path().join("notify");
        let systemd = UnixDatagram::bind(&notify).unwrap();
        let watchdog = Watchdog::new(notify.as_os_str(), Duration::from_secs(30)).unwrap();
        let watch = watch::Sender::default();
        let outlets = Outlets { reports: sender, feed, watch, link, watchdog };
        let driver = run(keeper, work, received, outlets);
        let (watched, wake) = (engine.clone(), inputs.clone());
        tokio::spawn(async move {
            watched.changes(|| drop(wake.try_send(Input::Changed))).await;
        });
        (Self { engine, inputs, reports, folder, systemd, seq: 0 }, driver)
    }

    /// The next sign of life.
    async fn breathes(&self) {
        let mut heard = [0; 64];
        let heard_of = tokio::time::timeout(Duration::from_secs(60), self.systemd.recv(&mut heard));
        let length = heard_of.await.expect("no sign of life").unwrap();
        assert_eq!(&heard[..length], b"WATCHDOG=1\n");
    }

    async fn say(&mut self, servers: &[(&ServerId, u64, Verdict)]) {
        self.seq += 1;
        let one = |(server, generation, what): &(&ServerId, u64, Verdict)| {
            let generation = Generation(*generation);
            ((*server).clone(), Desired { generation, what: what.clone(), limit: None })
        };
        let set = DesiredSet {
            revision: Revision { epoch: Epoch(1), seq: self.seq },
            incarnation: Incarnation(7),
            echo: clock::steady(),
            servers: servers.iter().map(one).collect(),
            watch: Watch::default(),
        };
        self.inputs.send(Input::Desired(set)).await.unwrap();
    }

    async fn hears(&mut self, wanted: impl Fn(&Report) -> bool) -> Report {
        let found = self.reports.wait_for(|report| report.as_ref().is_some_and(&wanted));
        let found = tokio::time::timeout(Duration::from_secs(180), found).await;
        found.expect("never heard").unwrap().clone().unwrap()
    }

    async fn sees(&mut self, server: &ServerId, wanted: impl Fn(&ObservedState) -> bool) -> Report {
        self.hears(|report| {
            let mut all = report.engine.iter().flatten();
            all.any(|one| one.server == *server && wanted(&one.state))
        })
        .await
    }
}

fn spec(root: &Path, user: &str) -> Verdict {
    let name: berth_common::Username = user.parse().unwrap();
    Verdict::Run(Box::new(RunSpec {
        origin: Origin {
            user: name.clone(),
            server_name: "".parse().unwrap(),
            profile: "small".into(),
            memory: ByteCount(1 << 30),
            gpus: Vec::new(),
            decision: None,
        },
        account: Account {
            name,
            uid: 20_001,
            gid: 30_001,
            groups: Vec::new(),
            home: root.join(user).display().to_string(),
        },
        pool: "cpu".into(),
        image: "berth/notebook:6".into(),
        build: String::new(),
        command: Vec::new(),
        spaces: Vec::new(),
        shown: BTreeMap::new(),
        env: BTreeMap::from([("NVIDIA_VISIBLE_DEVICES".to_owned(), "all".to_owned())]),
        api_url: "http://hub:8081/hub/api/".into(),
        prefix: "/user/alice/".into(),
        port: 8888,
        farm_ports: Vec::new(),
        shm: Some(ByteCount(512 << 20)),
        cpu: CpuShare { weight_milli: Some(1500), limit_milli: Some(4000) },
    }))
}

const LIMITS: &str =
    "[limits]\nusers = \"hub\"\nmount_sources = [\"ROOT\"]\nimages = [\"berth/\"]\n";

#[tokio::test]
async fn a_server_starts_ends_and_is_told_of() {
    let mut agent = Agent::start(LIMITS).await;
    let server = ServerId::from_random(1);
    let wanted = spec(agent.folder.path(), "alice");
    agent.say(&[(&server, 1, wanted)]).await;
    agent.sees(&server, |state| *state == ObservedState::Ready).await;
    assert!(agent.folder.path().join("alice").is_dir(), "made, as [home] says");
    assert_eq!(table::read(&table::file(agent.folder.path())).unwrap().len(), 1);
    let plan = agent.engine.plan(&server).unwrap();
    let passwd = plan.binds.iter().find(|bind| bind.target == "/etc/passwd").unwrap();
    for folder in passwd.source.ancestors().skip(1).take(2) {
        let mode = std::fs::metadata(folder).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o711, "{}", folder.display());
    }
    assert_eq!(plan.shm, Some(ByteCount(512 << 20)));
    assert_eq!((plan.cpu.weight_milli, plan.cpu.limit_milli), (Some(1500), Some(4000)));
    let env = |name: &str| plan.env.get(name).map(String::as_str);
    assert_eq!(env("NVIDIA_VISIBLE_DEVICES"), Some("void"));
    assert_eq!(env("JUPYTERHUB_API_URL"), Some("http://hub:8081/hub/api"));
    assert_eq!(
        env("JUPYTERHUB_ACTIVITY_URL"),
        Some("http://hub:8081/hub/api/users/alice/activity")
    );

    agent
        .engine
        .end(&server, Remains { code: 137, oom: true, log: "boom".into(), ..Remains::default() });
    let oom = |state: &ObservedState| matches!(state, ObservedState::Exited(ending) if ending.reason == Reason::StoppedOom);
    agent.sees(&server, oom).await;
    agent.say(&[(&server, 1, Verdict::Stop { grace_s: 1 })]).await;
    agent
        .hears(|report| {
            report.applied.seq == 2
                && report.pending.is_empty()
                && report.engine.as_ref().is_ok_and(Vec::is_empty)
        })
        .await;
    assert!(agent.engine.plan(&server).is_none());
}

#[tokio::test]
async fn an_engine_in_trouble_is_told_at_once_and_recovers() {
    let mut agent = Agent::start(LIMITS).await;
    agent.hears(|report| report.engine.is_ok()).await;
    agent.engine.trouble(Some("out of order"));
    agent.hears(|report| report.engine == Err("out of order".into())).await;
    agent.engine.trouble(None);
    agent.hears(|report| report.engine.is_ok()).await;
}

#[tokio::test]
async fn without_limits_a_start_fails_with_a_sentence() {
    let mut agent = Agent::start("").await;
    let server = ServerId::from_random(1);
    let wanted = spec(agent.folder.path(), "alice");
    agent.say(&[(&server, 1, wanted)]).await;
    let policy = |state: &ObservedState| {
        matches!(state, ObservedState::Failed(ending) if ending.reason == Reason::FailedPolicy
            && ending.detail.contains("no section [limits]"))
    };
    agent.sees(&server, policy).await;
}

#[tokio::test]
async fn many_servers_start_and_stop_together() {
    let mut agent = Agent::start(LIMITS).await;
    agent.engine.slow_down(Duration::from_millis(1));
    let servers: Vec<_> = (0..100).map(ServerId::from_random).collect();
    let wanted = spec(agent.folder.path(), "alice");
    let all =
        |what: Verdict| servers.iter().map(|server| (server, 1, what.clone())).collect::<Vec<_>>();
    agent.say(&all(wanted)).await;
    agent
        .hears(|report| {
            let ready =
                report.engine.iter().flatten().filter(|one| one.state == ObservedState::Ready);
            ready.count() == 100
        })
        .await;
    agent.say(&all(Verdict::Stop { grace_s: 1 })).await;
    agent
        .hears(|report| report.applied.seq == 2 && report.engine.as_ref().is_ok_and(Vec::is_empty))
        .await;
}

#[tokio::test]
async fn a_loop_that_hangs_gives_systemd_no_sign_of_life() {
    let (agent, driver) = Agent::made(LIMITS).await;
    let other = Agent::start(LIMITS).await;
    let mut driver = std::pin::pin!(driver);
    tokio::select! {
        () = &mut driver => panic!("the driver ends"),
        () = agent.breathes() => {}
    }
    // Nobody drives it any more; all else in its process goes on, as another agent here does.
    while agent.systemd.try_recv(&mut [0; 64]).is_ok() {}
    for _ in 0..3 {
        other.breathes().await;
    }
    let silent = agent.systemd.try_recv(&mut [0; 64]).unwrap_err();
    assert_eq!(silent.kind(), std::io::ErrorKind::WouldBlock);
    tokio::select! {
        () = &mut driver => panic!("the driver ends"),
        () = agent.breathes() => {}
    }
}
