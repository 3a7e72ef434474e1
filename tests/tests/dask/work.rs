//! Work that is done on the farm.

use reqwest::{Method, StatusCode};

use crate::farm::{self, ARRIVE, BY_GATEWAY, BY_JOBQUEUE, COMPUTE, jobs, no_jobs};
use crate::kernel::Kernel;
use crate::site::{Person, Site};

/// Begins a cluster, computes with it, looks at its dashboard, and stops the server: then nothing is
/// left. `running` are the person's jobs meanwhile.
async fn computes_and_ends(person: &Person<'_>, begin: &str, running: usize) {
    farm::start(person).await;
    let mut kernel = Kernel::start(person, "python3").await;
    let said = kernel.run(&format!("{begin}{ARRIVE}{COMPUTE}")).await;
    assert!(said.contains("328350"), "{said}");
    assert_eq!(jobs(&person.name, "running"), running, "all are the user's");
    let (status, page) = dashboard(person, &mut kernel).await;
    assert_eq!(status, StatusCode::OK, "{page}");
    assert!(page.contains("Dask"), "{page}");
    person.stop().await;
    no_jobs(&person.name).await;
}

/// The dashboard of the cluster `cluster`, opened as the person by the link that Dask gives.
async fn dashboard(person: &Person<'_>, kernel: &mut Kernel<'_>) -> (StatusCode, String) {
    let link = kernel.run("print(cluster.dashboard_link)").await;
    let path = link.lines().find(|line| line.starts_with('/')).expect("a link of this site");
    if path.starts_with("/hub/") {
        let answer = person.log_in().await.get(person.site, path).await;
        return (answer.status(), answer.text().await.unwrap());
    }
    let request = person.site.http.get(format!("{}{path}", person.site.url));
    let answer =
        request.header("authorization", format!("token {}", person.token)).send().await.unwrap();
    (answer.status(), answer.text().await.unwrap())
}

#[tokio::test]
#[ignore = "tests/run --long"]
async fn gateways_cluster_computes_as_the_user_and_ends_with_the_server() {
    let site = Site::running();
    let ann = farm::person(&site, "dask-ann", 21_001).await;
    farm::allow(&ann).await;
    // Which image it is for is in the environment, too.
    let begin = format!(
        "{BY_GATEWAY}\nassert Gateway().list_clusters()[0].options['image'] == 'berth/notebook:dask'"
    );
    // A scheduler and three workers.
    computes_and_ends(&ann, &begin, 4).await;
}

#[tokio::test]
async fn a_scheduler_in_the_notebook_has_workers_on_the_farm() {
    let site = Site::running();
    let ann = farm::person(&site, "dask-ann", 21_001).await;
    computes_and_ends(&ann, BY_JOBQUEUE, 3).await;
}

#[tokio::test]
async fn the_terminals_slurm_commands_work_as_the_user() {
    let site = Site::running();
    let ann = farm::person(&site, "dask-ann", 21_001).await;
    farm::start(&ann).await;
    let mut kernel = Kernel::start(&ann, "python3").await;
    // The proof of concept of the site: one scheduler and three workers in one job.
    let said = kernel
        .run(
            r##"
import subprocess, os, time
from dask.distributed import Client
script = """#!/bin/bash
export PATH=/opt/jupyter/bin:$PATH
dask scheduler --port 20786 --no-dashboard --scheduler-file $HOME/scheduler.json &
while [ ! -s $HOME/scheduler.json ]; do sleep 0.1; done
for i in 1 2 3; do dask worker --scheduler-file $HOME/scheduler.json --nthreads 1 --no-dashboard --memory-limit 400MB & done
wait
"""
file = os.path.expanduser("~/scheduler.json")
if os.path.exists(file): os.remove(file)
sent = subprocess.run(["sbatch", "--parsable", "-n4", "--mem-per-cpu=500", "-o", "/tmp/poc.log"],
    input=script, text=True, capture_output=True)
assert sent.returncode == 0, sent.stderr
while not os.path.exists(file): time.sleep(0.1)
client = Client(scheduler_file=file)
for _ in range(180):
    if len(client.scheduler_info(n_workers=-1)["workers"]) >= 3: break
    print(".", flush=True); time.sleep(1)
print(sum(client.gather(client.map(lambda x: x * x, range(100)))), set(client.run(os.getuid).values()))
subprocess.run(["scancel", sent.stdout.strip()], check=True)"##,
        )
        .await;
    assert!(said.contains("328350 {21001}"), "{said}");
    no_jobs("dask-ann").await;
    ann.stop().await;
}

/// Kills the hub while a cluster computes: nothing is lost, and the new hub serves the cluster's end.
async fn a_killed_hub_disturbs_nothing(begin: &str, end: &str) {
    let site = Site::running();
    let ann = farm::person(&site, "dask-ann", 21_001).await;
    farm::allow(&ann).await;
    farm::start(&ann).await;
    let mut kernel = Kernel::start(&ann, "python3").await;
    kernel.run(&format!("{begin}{ARRIVE}")).await;
    // The tasks wait for a file, so that they are at work when the hub dies, and after it is back.
    kernel
        .send(
            "
import os
go = os.path.expanduser('~/go')
if os.path.exists(go): os.remove(go)
def wait(x, go):
    import os, time
    while not os.path.exists(go): time.sleep(0.1)
    return x * x
futures = client.map(wait, range(30), go=go)
while not client.processing() or not any(client.processing().values()): time.sleep(0.1)
print('--begun--', flush=True)
print('total', sum(client.gather(futures)))",
        )
        .await;
    kernel.output_until("--begun--").await;
    let former = site.kill("hub");
    site.replaced("hub", former).await;
    site.hub_answers().await;
    std::fs::write(ann.home.join("go"), "").unwrap();
    let said = kernel.output_until("total").await;
    assert!(said.contains("total 8555"), "{said}");
    let said = kernel.run(end).await;
    assert!(said.contains("left: []"), "{said}");
    no_jobs("dask-ann").await;
    let (status, _) = ann.call(Method::GET, "/user/dask-ann/api/status", None).await;
    assert_eq!(status, StatusCode::OK);
    ann.stop().await;
}

#[tokio::test]
async fn a_hub_that_is_killed_disturbs_no_computation_by_the_gateway() {
    // Which asks the new hub as it did the former.
    let end = "client.close(); cluster.shutdown(); print('left:', Gateway().list_clusters())";
    a_killed_hub_disturbs_nothing(BY_GATEWAY, end).await;
}

#[tokio::test]
#[ignore = "tests/run --long"]
async fn a_hub_that_is_killed_disturbs_no_computation_by_jobqueue() {
    let end = "client.close(); cluster.close(); print('left:', list(cluster.workers))";
    a_killed_hub_disturbs_nothing(BY_JOBQUEUE, end).await;
}
