//! The published replay, and what is wrong with files.

use std::collections::BTreeMap;
use std::path::Path;

use super::*;
use crate::verb::simulate::table::Table;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/openb");

fn published() -> Trace {
    let file = |name: &str| Path::new(FOLDER).join(name);
    let nodes = file("openb_node_list_gpu_node.csv");
    Trace::read(&nodes, &file("openb_pod_list_default.csv")).unwrap()
}

/// The keys with their values, but for times.
fn lines(report: &Report) -> BTreeMap<String, String> {
    let report = serde_json::to_value(report).unwrap();
    let lines = report.as_object().unwrap().iter();
    lines
        .filter(|(key, _)| !["_s", "_us"].iter().any(|time| key.ends_with(time)))
        .map(|(key, value)| (key.clone(), value.to_string()))
        .collect()
}

fn percent(trace: &Trace, seed: u64, name: Name) -> f64 {
    lines(&replay(trace, seed, name))["alloc_pct_100"].parse().unwrap()
}

#[test]
fn the_peers_reach_the_published_values() {
    let trace = published();
    for (name, expected) in [
        (Name::Random, [84.51, 85.20, 85.80, 86.22, 86.54, 86.88, 87.01, 10850.0, 2717.0]),
        (Name::Dotprod, [90.02, 90.74, 90.81, 90.83, 90.87, 90.95, 91.03, 10850.0, 2795.0]),
        (Name::Bestfit, [90.02, 92.87, 92.94, 92.97, 93.00, 93.06, 93.11, 10850.0, 2649.0]),
        (Name::Fgd, [90.02, 94.95, 95.36, 95.39, 95.43, 95.45, 95.48, 10850.0, 2480.0]),
    ] {
        let lines = lines(&replay(&trace, 42, name));
        let keys = [90, 95, 100, 105, 110, 120, 130].map(|percent| format!("alloc_pct_{percent}"));
        let keys = keys.into_iter().chain(["arrivals".into(), "refused".into()]);
        let found: Vec<f64> = keys.map(|key| lines[&key].parse().unwrap()).collect();
        assert_eq!(found, expected, "{name:?}");
    }
}

#[test]
fn berth_allocates_more_than_the_bar() {
    let trace = published();
    let seeds = if std::env::var_os("BERTH_LONG").is_some() { 42..52 } else { 42..44 };
    for seed in seeds {
        let percent = percent(&trace, seed, Name::Berth);
        assert!(percent > 95.8, "{percent} with seed {seed}");
    }
}

/// A list made of the published one: every eighth task with one GPU may use T4 only, so that T4
/// is asked for more than there is of it.
#[test]
fn berth_keeps_scarce_models_for_those_who_need_them() {
    let mut trace = published();
    let host = trace.nodes.iter().position(|node| node.gpus == 2 && node.cpu_milli == 104_000);
    let model = trace.nodes[host.unwrap()].model;
    for task in trace.tasks.iter_mut().filter(|task| task.gpus == 1).step_by(8) {
        (task.spec, task.models) = ("T4".into(), 1 << model);
    }
    let (berth, fgd) = (percent(&trace, 42, Name::Berth), percent(&trace, 42, Name::Fgd));
    assert!(berth > 95.3 && berth > fgd + 1.0, "berth {berth}, fgd {fgd}");
}

#[test]
fn the_same_seed_gives_the_same_and_another_does_not() {
    let trace = published();
    let once = lines(&replay(&trace, 42, Name::Berth));
    assert_eq!(once, lines(&replay(&trace, 42, Name::Berth)));
    assert_ne!(once, lines(&replay(&trace, 43, Name::Berth)));
}

fn parse(nodes: &str, pods: &str) -> Result<Trace, String> {
    let table = |name: &str, text: &str, columns: &[&str]| {
        Table::parse(name.into(), text.as_bytes(), columns).map_err(|problem| problem.to_string())
    };
    let nodes = table("n.csv", nodes, &trace::NODE_COLUMNS)?;
    let pods = table("p.csv", pods, &trace::POD_COLUMNS)?;
    Trace::of(&nodes, &pods).map_err(|problem| problem.to_string())
}

const NODES: &str =
    "model,sn,cpu_milli,memory_mib,gpu\nT4,a,8000,1024,2\n,b,8000,1024,0\nP100,c,8000,1024,1\n";

#[test]
fn files_are_read_as_the_format_says() {
    let pods = "gpu_spec,name,cpu_milli,memory_mib,num_gpu,gpu_milli,qos\n\
        P100|T4|T4,a,1000,1,1,500,x\n\nnonsense,b,1000,1,0,0,x\n,c,1000,1,2,1000,x\n";
    let trace = parse(NODES, pods).unwrap();
    let tasks: Vec<_> =
        trace.tasks.iter().map(|task| (task.gpu_total_milli(), task.models)).collect();
    assert_eq!(tasks, [(500, 0b101), (0, u64::MAX), (2000, u64::MAX)]);
    assert_eq!((trace.capacity_milli(), trace.nodes.len()), (3000, 3));
    // A host without GPU takes what needs none; without the column every model is permitted.
    let pods = "name,cpu_milli,memory_mib,num_gpu,gpu_milli\na,6000,1,0,0\nb,6000,1,2,1000\nc,6000,1,1,10\n";
    for name in [Name::Berth, Name::Fgd, Name::Bestfit, Name::Dotprod] {
        let lines = lines(&replay(&parse(NODES, pods).unwrap(), 1, name));
        assert!(lines["alloc_pct_90"].parse::<f64>().unwrap() > 0.0, "{name:?}: {lines:?}");
    }
}

#[test]
fn what_is_wrong_has_its_place() {
    let head = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec\n";
    let expect = |nodes: &str, pods: &str, words: &[&str]| {
        let problem = parse(nodes, pods).unwrap_err();
        for word in words {
            assert!(problem.contains(word), "{problem:?} does not say {word:?}");
        }
    };
    let task = |line: &str, words: &[&str]| {
        let good = "a,1,1,1,500,\n";
        expect(NODES, &format!("{head}{good}{line}\n"), &[&["p.csv:3"], words].concat());
    };
    task("b,-1,1,1,500,", &["column cpu_milli", "\"-1\"", "from 0"]);
    task("b,1,-1,1,500,", &["column memory_mib", "\"-1\""]);
    task("b,1,1,17,1000,", &["column num_gpu", "from 0 to 16"]);
    task("b,1,1,1,1001,", &["column gpu_milli", "from 1 to 1000"]);
    task("b,1,1,1,0,", &["column gpu_milli", "from 1 to 1000"]);
    task("b,1,1,2,500,", &["column gpu_milli", "\"500\"", "from 1000 to 1000"]);
    task("b,1,1,0,500,", &["column gpu_milli", "from 0 to 0"]);
    task("b,1,1,1,500,T4|K80", &["column gpu_spec", "T4|K80", "T4, P100"]);
    task("b,1,1,1,500,T4|", &["column gpu_spec"]);
    expect(NODES, "name,cpu_milli,memory_mib,num_gpu\n", &["p.csv:1", "no column gpu_milli"]);
    expect(NODES, head, &["p.csv", "no tasks"]);
    expect(NODES, &format!("{head}a,1,1,0,0,\n"), &["p.csv", "No task asks"]);
    let node = |line: &str, words: &[&str]| {
        let nodes = format!("{NODES}{line}\n");
        expect(&nodes, &format!("{head}a,1,1,1,500,\n"), &[&["n.csv:5"], words].concat());
    };
    node("T4,d,8000,1024,-2", &["column gpu", "\"-2\"", "from 0 to 16"]);
    node("T4,d,-8000,1024,2", &["column cpu_milli"]);
    node(",d,8000,1024,2", &["column model"]);
    expect("sn,cpu_milli,memory_mib,gpu,model\na,1,1,0,\n", head, &["n.csv", "No node has a GPU"]);
}
