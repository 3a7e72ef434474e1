//! The twenty scenarios: what keeps a server alive, and what does not. The facts are those that the
//! agent, the notebook server and the proxy tell of each; `agent/tests/host/scenarios.rs` makes them
//! in real containers.

use berth_common::link::{Kernels, Terminals, Usage};
use berth_common::{Reason, Seconds};
use berth_core::life::Evidence;
use berth_core::settings::{
    Activity, Cite, GpuAction, GpuRule, IfBusy, Lifecycle, Terminal, Whose,
};

use super::bench::{Bench, HOUR, idle_after};

/// What is told of a server, over and over.
#[derive(Clone, Copy, Default)]
struct Facts {
    usage: Usage,
    gpu: Option<u32>,
    /// Its own report moves: an open tab, an extension that polls.
    notebook: bool,
    /// A person does something in a browser.
    browser: bool,
    /// A Dask cluster that it began computes on the farm.
    cluster: bool,
}

/// An idle server: a kernel that has said nothing since the start, a little of everything.
fn idle() -> Facts {
    let usage = Usage {
        cpu_us: 1_000_000,
        cpu_milli: 3,
        network_bytes_s: Some(200),
        terminals: Some(Terminals::default()),
        kernels: Some(Kernels { busy: 0, quiet_ms: Some(100 * HOUR * 1000) }),
        ..Usage::default()
    };
    Facts { usage, ..Facts::default() }
}

fn using(change: impl FnOnce(&mut Usage)) -> Facts {
    let mut facts = idle();
    change(&mut facts.usage);
    facts
}

fn busy() -> Facts {
    using(|usage| usage.kernels = Some(Kernels { busy: 1, quiet_ms: Some(100 * HOUR * 1000) }))
}

fn terminal(working: u32, more: impl FnOnce(&mut Usage)) -> Facts {
    let mut facts = using(more);
    facts.usage.terminals = Some(Terminals { open: 1, working });
    facts
}

fn computes(facts: Facts) -> Facts {
    Facts { usage: Usage { cpu_milli: 990, ..facts.usage }, ..facts }
}

/// Whether a server of which this is told for six hours is then still there, where two hours
/// without activity are the limit.
fn lives(activity: Activity, facts: Facts) -> bool {
    let idle = vec![idle_after(2 * HOUR)];
    let mut bench = Bench::new(Lifecycle { idle, activity, ..Lifecycle::default() });
    let id = bench.runs("alice", "gpu");
    let end = bench.now.plus(Seconds(6 * HOUR));
    bench.usage = facts.usage;
    bench.gpu_busy = facts.gpu;
    while bench.now < end && bench.end(&id).is_none() {
        bench.goes_to(bench.now.plus(Seconds(30)));
        let told = [
            (Evidence::Notebook, facts.notebook),
            (Evidence::Browser, facts.browser),
            (Evidence::Cluster, facts.cluster),
        ];
        for (kind, _) in told.into_iter().filter(|(_, is)| *is) {
            bench.sign(&id, kind);
        }
    }
    if let Some((reason, ..)) = bench.end(&id) {
        assert_eq!(reason, Reason::StoppedIdle);
    }
    bench.end(&id).is_none()
}

#[test]
fn twenty_scenarios() {
    let tab = |facts: Facts| Facts { notebook: true, ..facts };
    let keeps = [
        (1, "a cell that computes and prints nothing, no browser", computes(busy())),
        (2, "a cell in time.sleep", busy()),
        (3, "a cell stopped in the debugger", busy()),
        (4, "wget in a terminal", terminal(1, |usage| usage.network_bytes_s = Some(300_000))),
        (5, "a compiler in a terminal", computes(terminal(1, |_| {}))),
        (6, "nohup python train.py &, one core", computes(idle())),
        (7, "a GPU at 30 % from outside any kernel", Facts { gpu: Some(30), ..idle() }),
        (8, "a copy at 2 MB/s in the background", using(|it| it.network_bytes_s = Some(2 << 20))),
        (9, "somebody who types or scrolls", Facts { browser: true, ..idle() }),
        (
            10,
            "a cell of ten hours that ended a minute ago",
            using(|it| it.kernels = Some(Kernels { busy: 0, quiet_ms: Some(60_000) })),
        ),
    ];
    let keeps_not = [
        (11, "a tab left open", tab(idle())),
        (12, "an extension that polls every 5 s", tab(idle())),
        (13, "a shell prompt in a terminal", tab(terminal(0, |_| {}))),
        (14, "sleep infinity in a terminal", terminal(0, |_| {})),
        (15, "tail -f of a file that does not grow", terminal(0, |_| {})),
        (16, "a daemon at 0.05 core", using(|usage| usage.cpu_milli = 50)),
        (17, "memory of a GPU that is held, GPU at 0 %", Facts { gpu: Some(0), ..idle() }),
        (
            18,
            "heartbeats of an idle Dask scheduler",
            using(|usage| {
                usage.cpu_milli = 30;
                usage.network_bytes_s = Some(5_000);
            }),
        ),
        (19, "a page of Voil\u{e0} left open", tab(idle())),
        (
            20,
            "a cell that ended longer ago than the limit",
            using(|it| it.kernels = Some(Kernels { busy: 0, quiet_ms: Some(3 * HOUR * 1000) })),
        ),
    ];
    for (number, what, facts) in keeps {
        assert!(lives(Activity::default(), facts), "{number} does not keep it alive: {what}");
    }
    for (number, what, facts) in keeps_not {
        assert!(!lives(Activity::default(), facts), "{number} keeps it alive: {what}");
    }
}

#[test]
fn the_site_says_what_counts() {
    let activity = Activity::default;
    let open = terminal(0, |_| {});
    assert!(lives(Activity { terminal: Terminal::Any, ..activity() }, open));
    let works = terminal(1, |_| {});
    assert!(!lives(Activity { terminal: Terminal::Ignore, ..activity() }, works));
    assert!(!lives(Activity { kernel_busy: false, ..activity() }, busy()));
    let tab = Facts { notebook: true, ..idle() };
    assert!(lives(Activity { open_tab_alone: true, ..activity() }, tab));
    // Of something else than Jupyter, which lists no kernels, its own report is all there is.
    let other = Facts { usage: Usage { kernels: None, ..tab.usage }, ..tab };
    assert!(lives(activity(), other));
}

#[test]
fn a_busy_kernel_keeps_the_server_and_not_its_unused_gpu() {
    let rule = GpuRule {
        whose: Whose::default(),
        after: Seconds(HOUR),
        action: GpuAction::OfferCpu,
        then_stop_after: Some(Seconds(HOUR)),
        if_kernel_busy: IfBusy::Report,
        cite: Cite::default(),
    };
    let rules = Lifecycle {
        idle: vec![idle_after(2 * HOUR)],
        gpu_unused: vec![rule],
        ..Lifecycle::default()
    };
    let mut bench = Bench::new(rules);
    let id = bench.runs("bob", "gpu");
    bench.usage = busy().usage;
    bench.gpu_busy = Some(0);
    let end = bench.now.plus(Seconds(4 * HOUR));
    while bench.now < end {
        bench.goes_to(bench.now.plus(Seconds(30)));
    }
    assert!(bench.end(&id).is_none(), "its kernel is busy");
    assert!(bench.outlook(&id).question.is_some_and(|question| question.listed));
}

#[test]
fn a_cluster_that_computes_keeps_its_notebook_alive() {
    let facts = Facts { cluster: true, ..idle() };
    assert!(lives(Activity::default(), facts));
    // Unless the site has said otherwise.
    assert!(!lives(Activity { cluster_busy: false, ..Activity::default() }, facts));
}
