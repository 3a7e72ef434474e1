//! The twenty scenarios of `hub/core/tests/life/scenarios.rs` in real containers: what is done in
//! each, what the agent then tells of it from outside, and what the hub's rules make of that.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use berth_common::link::{
    Kernels, Observed, ObservedState, Report, RunSpec, Terminals, Usage, Verdict,
};
use berth_common::{ByteCount, ServerId};
use berth_core::life::Evidence;

use super::docker::{IMAGE, docker, image};
use super::engine::Engine;
use super::gpus::{agent, all_well, gpu_spec, runs};
use super::lab::{self, Lab, NOTEBOOK, Open};
use super::life::{Facts, HOUR, Life};
use super::nvml::{Fake, Flavour};
use super::site::{Ca, Host, Hub, run, server_id, spec};

/// Data a second that count.
const MOVES: u64 = 1 << 20;

/// What a person, or a program of theirs, does.
enum Done {
    /// A script beside the notebook server.
    Beside(String),
    /// A command in a terminal.
    Terminal(String),
    /// A cell with this code in a kernel of its own, followed until it is so.
    Cell(&'static str, &'static str),
    /// JupyterLab's page with a kernel, left open.
    Tab,
    /// A program that asks the notebook server something every five seconds.
    Polls,
    /// A page that Voilà has made of a notebook, left open.
    Voila,
    /// A scheduler of Dask whose worker, on another machine, has nothing to do.
    Scheduler,
    /// What is done in the scenario of this number.
    As(u32),
}

struct Scenario {
    number: u32,
    what: &'static str,
    done: Done,
    /// What the agent tells of it.
    seen: fn(&Usage) -> bool,
    /// What others tell of it beside the agent.
    told: Option<Evidence>,
    /// What keeps the server alive; `None`: nothing does.
    kept_by: Option<Evidence>,
}

fn busy(usage: &Usage) -> bool {
    usage.kernels.is_some_and(|kernels| kernels.busy == 1)
}

fn works(usage: &Usage) -> bool {
    usage.terminals == Some(Terminals { open: 1, working: 1 })
}

/// Nothing that counts. A terminal that just opened is at work for a moment, and so is a program
/// that just started.
fn rests(usage: &Usage) -> bool {
    usage.terminals.is_some_and(|terminals| terminals.working == 0)
        && usage.kernels.is_none_or(|kernels| kernels.busy == 0)
        && usage.cpu_milli < 200
        && usage.network_bytes_s.is_some_and(|bytes| bytes < MOVES)
}

/// The same with a terminal.
fn waits(usage: &Usage) -> bool {
    rests(usage) && usage.terminals.is_some_and(|terminals| terminals.open == 1)
}

/// The same, and its notebook server says that there is no kernel.
fn lists_none(usage: &Usage) -> bool {
    rests(usage) && usage.kernels == Some(Kernels { busy: 0, quiet_ms: None })
}

/// The same with a kernel that has said something once.
fn is_idle(usage: &Usage) -> bool {
    let said = |kernels: Kernels| kernels.quiet_ms.is_some();
    rests(usage) && usage.kernels.is_some_and(said)
}

/// All but those of GPUs. `slow` and `fast` are ports that send data without an end.
fn scenarios(slow: u16, fast: u16) -> Vec<Scenario> {
    // The gateway is the first address of the network: the one way out that the image knows of.
    let route = "route() { a=$(cat /proc/net/route | while read i d g r; do
                   test $d = 00000000 && echo $g; done); printf '%d.%d.%d.%d' \
                   0x${a#??????} 0x$(b=${a#????}; echo ${b%??}) 0x$(b=${a#??}; echo ${b%????}) 0x${a%??????}; }";
    let get = |port, file| format!("{route}; wget -q -O - http://$(route):{port}/ >{file}");
    let spin = "i=0; while test $i -lt 3000; do i=$((i + 1)); done";
    let scenario = |number, what, done, seen, kept_by| Scenario {
        number,
        what,
        done,
        seen,
        told: None,
        kept_by: Some(kept_by),
    };
    let idle =
        |number, what, done, seen, told| Scenario { number, what, done, seen, told, kept_by: None };
    let beside = |script: &str| Done::Beside(script.to_owned());
    let terminal = |script: &str| Done::Terminal(script.to_owned());
    let page = Some(Evidence::Notebook);
    vec![
        scenario(
            1,
            "a cell computes",
            Done::Cell("while True: pass", "busy"),
            busy,
            Evidence::Kernel,
        ),
        scenario(2, "a cell sleeps", Done::Cell(SLEEP, "busy"), busy, Evidence::Kernel),
        scenario(3, "a cell in the debugger", Done::Cell(SLEEP, "stopped"), busy, Evidence::Kernel),
        scenario(4, "wget in a terminal", terminal(&get(slow, "got")), works, Evidence::Terminal),
        scenario(
            5,
            "a compiler in a terminal",
            terminal(&format!("while :; do sh -c '{spin}'; done")),
            works,
            Evidence::Terminal,
        ),
        // A loop gets little where many others want the processor; what waits uses less still.
        scenario(
            6,
            "a computation in the background",
            beside("while :; do :; done &"),
            |usage| usage.cpu_milli >= BUSY,
            Evidence::Cpu,
        ),
        scenario(
            8,
            "a copy in the background",
            beside(&format!("{} &", get(fast, "/dev/null"))),
            |usage| usage.network_bytes_s.is_some_and(|bytes| bytes > MOVES),
            Evidence::Network,
        ),
        Scenario {
            told: Some(Evidence::Browser),
            ..scenario(9, "somebody scrolls", Done::As(19), is_idle, Evidence::Browser)
        },
        scenario(10, "a cell ended", Done::Cell("1 + 1", "idle"), is_idle, Evidence::Kernel),
        idle(11, "a tab left open", Done::Tab, is_idle, page),
        idle(12, "an extension that polls", Done::Polls, lists_none, page),
        idle(13, "a prompt in a terminal", terminal("exec sh"), waits, None),
        idle(14, "a sleep in a terminal", terminal("sleep 100000"), waits, None),
        idle(15, "tail in a terminal", terminal("echo a >file; tail -f file"), waits, None),
        idle(16, "a daemon", beside(&format!("while :; do {spin}; sleep 5; done &")), rests, None),
        idle(18, "an idle scheduler of Dask", Done::Scheduler, rests, None),
        idle(19, "a page of Voil\u{e0} left open", Done::Voila, is_idle, page),
        idle(20, "a cell ended long ago", Done::As(10), is_idle, None),
    ]
}

impl Done {
    fn takes_a_lab(&self) -> bool {
        !matches!(self, Self::Beside(_) | Self::Terminal(_))
    }
}

/// Does what is to be done in a notebook server.
type Hand = dyn FnOnce() -> Open + Send;

const SLEEP: &str = "import time; time.sleep(100000)";

/// Thousandths of a processor that a loop gets even where many others want it.
const BUSY: u32 = 50;

#[tokio::test(flavor = "multi_thread")]
async fn twenty_scenarios_in_containers() {
    image();
    docker(&["image", "inspect", NOTEBOOK]); // examples/image/build 6
    let hub = Hub::start(Arc::new(Ca::new())).await;
    let host = Host::joined(&hub).await;
    let _agent = host.agent();
    let all = scenarios(lab::source(40_000), lab::source(6 << 20));
    let mut facts = BTreeMap::new();
    let (labs, small): (Vec<_>, Vec<_>) = all.iter().partition(|one| one.done.takes_a_lab());
    let _more = lab::Weight::more();
    let mut servers = BTreeMap::new();
    for one in &small {
        servers.insert(one.number, Started::new(&hub, &host, one));
    }
    for one in &small {
        let started = servers.get_mut(&one.number).unwrap();
        started.answers(&hub, one.what).await;
        if let Done::Terminal(script) = &one.done {
            docker(&["exec", "-dt", &host.container(&started.server), "sh", "-c", script]);
        }
    }
    for one in &small {
        facts.insert(one.number, tells(&hub, one, &servers[&one.number].server).await);
    }
    for started in servers.values() {
        started.stops(&hub).await;
    }

    // One after the other, and what computes last: they take their time to start.
    let mut hands = Vec::new();
    for one in labs.iter().rev() {
        if let Done::As(_) = one.done {
            continue;
        }
        let mut started = Started::new(&hub, &host, one);
        started.answers(&hub, one.what).await;
        let lab = Lab::of(&host.container(&started.server));
        servers.insert(one.number, started);
        hands.push(std::thread::spawn(match one.done {
            Done::Cell(code, until) => Box::new(move || lab.runs(code, until)) as Box<Hand>,
            Done::Tab => Box::new(move || lab.opens_a_tab()),
            Done::Polls => Box::new(move || lab.polls()),
            Done::Voila => Box::new(move || lab.opens_a_page()),
            _ => Box::new(move || lab.has_a_worker()),
        }));
    }
    // What stays open while the host is listened to.
    let _open: Vec<_> = hands.into_iter().map(|hand| hand.join().unwrap()).collect();
    for one in &labs {
        let number = if let Done::As(number) = one.done { number } else { one.number };
        facts.insert(one.number, tells(&hub, one, &servers[&number].server).await);
    }
    for one in &all {
        let mut life = Life::new(if one.number == 6 { BUSY } else { 200 });
        match one.number {
            10 | 20 => life.passes(10 * HOUR, facts[&2]),
            _ => {}
        }
        let passes = if one.number == 10 { 60 } else { 6 * HOUR };
        life.passes(passes, facts[&one.number]);
        life.ends_as_expected(one.number, one.what, one.kept_by);
    }
}

/// A server in which that can be done.
struct Started {
    server: ServerId,
    generation: u64,
    wanted: RunSpec,
}

impl Started {
    fn new(hub: &Hub, host: &Host, one: &Scenario) -> Self {
        let home = host.home(&format!("u{}", one.number), 20_001, 30_001);
        let (image, script) = match &one.done {
            Done::Terminal(_) => (IMAGE, "exec httpd -f -p 8888 -h /www".to_owned()),
            Done::Beside(script) => (IMAGE, format!("{script}\nexec httpd -f -p 8888 -h /www")),
            Done::Scheduler => (NOTEBOOK, format!("{}\n{}", lab::SCHEDULER, lab::COMMAND)),
            _ => (NOTEBOOK, lab::COMMAND.to_owned()),
        };
        let mut wanted = spec(image, &home);
        wanted.command = ["sh", "-c", &script].map(str::to_owned).to_vec();
        if image == NOTEBOOK {
            fs::write(format!("{home}/page.ipynb"), lab::NOTEBOOK_FILE).unwrap();
            wanted.origin.memory = ByteCount(1 << 30);
        }
        let server = server_id();
        hub.say(&server, 1, run(wanted.clone()));
        Self { server, generation: 1, wanted }
    }

    /// Waits until it answers. One that a busy machine kept from that is started again, as its owner
    /// would do.
    async fn answers(&mut self, hub: &Hub, what: &str) {
        let settled = |state: &ObservedState| {
            matches!(state, ObservedState::Ready | ObservedState::Failed(_))
        };
        while hub.sees(&self.server, what, settled).await.state != ObservedState::Ready {
            self.stops(hub).await;
            self.generation += 1;
            hub.say(&self.server, self.generation, run(self.wanted.clone()));
        }
    }

    async fn stops(&self, hub: &Hub) {
        hub.say(&self.server, self.generation, Verdict::Stop { grace_s: 0 });
        hub.sees_nothing_of(&self.server).await;
    }
}

fn of<'a>(report: &'a Report, server: &ServerId) -> Option<&'a Observed> {
    report.engine.iter().flatten().find(|one| one.server == *server)
}

/// Waits until the host tells what is expected.
async fn tells(hub: &Hub, one: &Scenario, server: &ServerId) -> Facts {
    let is = |report: &Report| of(report, server).is_some_and(|it| (one.seen)(&it.usage));
    let report = hub.heard(&format!("{}: {}", one.number, one.what), is).await;
    Facts { usage: of(&report, server).unwrap().usage, told: one.told, gpu: None }
}

#[tokio::test(flavor = "multi_thread")]
async fn scenarios_of_a_gpu() {
    let engine = Engine::start();
    let fake = Fake::new(Flavour::K80);
    let hub = Hub::start(Arc::new(Ca::new())).await;
    let host = Host::joined(&hub).await;
    let socket = format!("docker = \"{}\"", engine.socket());
    host.configure_more(&hub.address, "users = \"hub\"", &socket);
    let _agent = agent(&host, &fake);
    hub.heard("well GPUs", all_well).await;
    let home = host.home("alice", 20_001, 30_001);
    let server = runs(&hub, gpu_spec(engine.image(), &home, &[0])).await;
    let pid = engine.pid(&host.name, &server);
    let all = [
        (7, "a GPU at 30 % from outside any kernel", 30, Some(Evidence::Gpu)),
        (17, "memory of a GPU that is held, GPU at 0 %", 0, None),
    ];
    for (number, what, percent, kept_by) in all {
        fake.says(&format!("gpu0.procs = {pid}:1000\ngpu0.util = {percent}\n"));
        let is = |report: &Report| {
            let gpu = report.facts.gpus.used.first();
            let holds = gpu.is_some_and(|gpu| {
                let mut holders = gpu.processes.iter();
                gpu.busy == Some(percent) && holders.any(|it| it.server.as_ref() == Some(&server))
            });
            holds && of(report, &server).is_some_and(|it| rests(&it.usage))
        };
        let report = hub.heard(what, is).await;
        let usage = of(&report, &server).unwrap().usage;
        let mut life = Life::new(200);
        life.passes(6 * HOUR, Facts { usage, told: None, gpu: Some(percent) });
        life.ends_as_expected(number, what, kept_by);
    }
}
