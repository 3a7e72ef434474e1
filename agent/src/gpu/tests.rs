#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::Mutex as StdMutex;
use std::sync::mpsc;

use berth_common::link::{Account, Origin, RunSpec};
use berth_common::{ByteCount, Epoch, Generation, ServerId};

use super::reading::{Absence, Events, Found, Memory, Place, Process, Reading, Round};
use super::*;
use crate::fake::FakeEngine;
use crate::perform::{Workplace, perform};
use crate::reconcile::{Act, Operation, Outcome, Step};
use crate::runtime::Runtime;

/// A GPU in memory. Every round waits for a word of the test once it is told to hang.
#[derive(Clone, Default)]
struct InMemory {
    processes: Arc<StdMutex<Vec<Process>>>,
    hang: Arc<StdMutex<Option<mpsc::Receiver<()>>>>,
}

impl Source for InMemory {
    fn round(&mut self) -> Result<Round, Absence> {
        if let Some(word) = self.hang.lock().unwrap().take() {
            let _ = word.recv();
        }
        let total = ByteCount(80 << 30);
        let device = Reading {
            gpu: gpu(),
            model: "NVIDIA H200".into(),
            bus: "00000000:01:00.0".into(),
            minor: Some(0),
            index: 0,
            board: None,
            capability: Some((9, 0)),
            memory: Memory { total, reserved: None, free: total },
            busy: Some(0),
            temperature: Some(30),
            slowdown_at: Some(89),
            slowed_down: false,
            power: Some(80_000),
            clock: Some(345),
            ecc_uncorrected: Some(0),
            retired: None,
            remapped: None,
            processes: self.processes.lock().unwrap().clone(),
        };
        let found = Ok(Found { device, instances: None });
        let place = Place { index: 0, gpu: Some(gpu()), found };
        Ok(Round { driver: "580".into(), places: vec![place] })
    }

    fn events(&mut self) -> Option<Box<dyn Events>> {
        None
    }
}

fn gpu() -> GpuId {
    "GPU-0".parse().unwrap()
}

fn whole() -> Vec<GpuPart> {
    vec![GpuPart { gpu: gpu(), milli: 1000 }]
}

struct Site {
    folder: tempfile::TempDir,
    source: InMemory,
    engine: FakeEngine,
    work: Arc<Workplace<FakeEngine>>,
    /// Milestones go here.
    _inputs: tokio::sync::mpsc::Receiver<crate::driver::Input>,
}

impl Site {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().display();
        let text = format!(
            "version = 1\n[agent]\nhub = \"hub:1\"\nstate = \"{root}\"\nrun = \"{root}\"\n\
             [home]\ncreate = \"missing\"\n\
             [limits]\nusers = \"hub\"\nmount_sources = [\"{root}\"]\nimages = [\"berth/\"]\n"
        );
        let config = Arc::new(crate::config::parse("agent.toml", &text).unwrap());
        let engine = FakeEngine::new(&["berth/x"], ([127, 0, 0, 1], 1).into());
        let source = InMemory::default();
        let boot: BootId = "boot".parse().unwrap();
        let gpus = Gpus::start(source.clone(), folder.path(), &boot, &[]).unwrap();
        let (inputs, _inputs) = tokio::sync::mpsc::channel(16);
        let runtime = engine.clone();
        let helper = crate::helper::Helper::thread();
        let work = Arc::new(Workplace { runtime, config, boot, gpus, helper, inputs });
        Self { folder, source, engine, work, _inputs }
    }

    fn step(&self, server: &ServerId, act: Act) -> Step {
        let operation = Operation { server: server.clone(), generation: Generation(1), number: 1 };
        Step { operation, act }
    }

    async fn create(&self, server: &ServerId) -> Outcome {
        let spec = RunSpec {
            origin: Origin {
                user: "alice".parse().unwrap(),
                server_name: "".parse().unwrap(),
                profile: "gpu".into(),
                memory: ByteCount(1 << 30),
                gpus: whole(),
                decision: None,
            },
            account: Account {
                name: "alice".parse().unwrap(),
                uid: 20_001,
                gid: 30_001,
                groups: Vec::new(),
                home: self.folder.path().join("alice").display().to_string(),
            },
            pool: "gpu".into(),
            image: "berth/x".into(),
            build: String::new(),
            command: Vec::new(),
            env: Default::default(),
            api_url: "http://hub".into(),
            prefix: "/user/alice/".into(),
            port: 8888,
            farm_ports: Vec::new(),
            shm: None,
            cpu: Default::default(),
            spaces: Vec::new(),
            shown: Default::default(),
        };
        let act = Act::Create { epoch: Epoch(1), spec: Box::new(spec) };
        perform(self.work.clone(), self.step(server, act)).await
    }

    /// Somebody else, this process for example, is on the GPU from now on.
    fn stranger_enters(&self) {
        let memory = Some(ByteCount(1 << 30));
        let process = Process { pid: std::process::id(), memory, instance: None };
        self.source.processes.lock().unwrap().push(process);
    }
}

#[tokio::test]
async fn somebody_who_came_between_create_and_start_keeps_it_from_starting() {
    let site = Site::new().await;
    let server = ServerId::from_random(1);
    let Outcome::Created { container } = site.create(&server).await else { panic!("not made") };
    site.stranger_enters();
    let start = Act::Start { container: container.clone() };
    let outcome = perform(site.work.clone(), site.step(&server, start.clone())).await;
    let Outcome::Failed(ending) = outcome else { panic!("{outcome:?}") };
    assert_eq!(ending.reason, Reason::FailedGpu);
    assert!(ending.detail.starts_with("GPU-0: used by somebody else: "), "{}", ending.detail);
    let listed = site.engine.list().await.unwrap();
    assert!(matches!(listed[0].state, crate::reconcile::ContainerState::Created));

    site.source.processes.lock().unwrap().clear();
    let outcome = perform(site.work.clone(), site.step(&server, start)).await;
    assert!(matches!(outcome, Outcome::Started { .. }), "{outcome:?}");
    let refused = {
        site.stranger_enters();
        site.create(&ServerId::from_random(2)).await
    };
    assert!(matches!(refused, Outcome::Failed(ending) if ending.reason == Reason::FailedGpu));
}

#[tokio::test]
async fn a_driver_that_hangs_holds_up_no_start_for_ever() {
    let site = Site::new().await;
    site.work.gpus.check(&whole()).await.unwrap();
    let (let_go, word) = mpsc::channel();
    *site.source.hang.lock().unwrap() = Some(word);
    let ending = site.work.gpus.check(&whole()).await.unwrap_err();
    assert!(ending.detail.contains("NVML does not answer"), "{}", ending.detail);
    let_go.send(()).unwrap();
}
