//! What people see of their work on the farm, and who sees a dashboard.

use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::farm::{self, ARRIVE, BY_GATEWAY, COMPUTE, no_jobs, on_farm, show};
use crate::kernel::Kernel;
use crate::site::{Person, Site, location, run, until};

/// The person's server as API, page and command tell of it.
async fn record(person: &Person<'_>) -> Value {
    let (status, said) = person.call(Method::GET, "/hub/api/berth/servers", None).await;
    assert_eq!(status, StatusCode::OK, "{said}");
    said["servers"]
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["user"] == *person.name)
        .unwrap()
        .clone()
}

#[tokio::test]
async fn clusters_and_jobs_are_shown_and_a_dashboard_is_its_owners() {
    let site = Site::running();
    let ann = farm::person(&site, "dask-ann", 21_001).await;
    let bob = farm::person(&site, "dask-bob", 21_002).await;
    farm::allow(&ann).await;
    farm::allow(&bob).await;
    farm::start(&ann).await;
    let mut kernel = Kernel::start(&ann, "python3").await;
    kernel
        .run(&format!(
            "{BY_GATEWAY}{ARRIVE}{COMPUTE}
import subprocess
subprocess.run(['sbatch', '-J', 'mine', '-o', '/dev/null', '--wrap', 'sleep 600'], check=True)
def slow(x): time.sleep(600)
future = client.submit(slow, 1)"
        ))
        .await;
    let farm = until("cluster and job are shown", async || {
        let farm = record(&ann).await["farm"].clone();
        let cluster = &farm["clusters"][0];
        let busy = cluster["busy"] == true && cluster["workers"] == 3;
        (busy && farm["jobs"][0]["state"] == "running").then_some(farm)
    })
    .await;
    let cluster = &farm["clusters"][0];
    assert_eq!(cluster["state"], "running", "{farm}");
    assert_eq!((&cluster["workers"], &cluster["cores"]), (&3.into(), &3.into()), "{farm}");
    assert!(cluster["memory"].as_u64().is_some_and(|it| it >= 1_500_000_000), "{farm}");
    assert_eq!(farm["jobs"].as_array().unwrap().len(), 1, "workers are their cluster's: {farm}");
    assert_eq!((&farm["jobs"][0]["name"], &farm["jobs"][0]["cores"]), (&"mine".into(), &1.into()));
    // It computes, so that its notebook is not idle although no cell runs.
    until("the cluster is a sign of work", async || {
        let life = record(&ann).await["life"].clone();
        let signs = life["signs"].as_array()?.clone();
        signs
            .iter()
            .find(|it| it["text"] == "a busy Dask cluster" && it["counts"] == true)
            .map(drop)
    })
    .await;

    let name = cluster["name"].as_str().unwrap();
    let told = show(&ann);
    assert!(told.contains(&format!("{name} running, workers 3, cores 3, ")), "{told}");
    assert!(told.contains("mine running, cores 1"), "{told}");
    let mut browser = ann.log_in().await;
    let id = record(&ann).await["id"].as_str().unwrap().to_owned();
    let dashboard = cluster["dashboard"].as_str().unwrap();
    assert!(told.contains(&format!("{}{dashboard}", site.url)), "{told}");
    for path in ["/hub/home".to_owned(), format!("/hub/servers/{id}")] {
        let page = browser.get(&site, &path).await.text().await.unwrap();
        assert!(page.contains(name) && page.contains("3 workers, 3 cores"), "{page}");
        assert!(page.contains("mine") && page.contains(dashboard), "{page}");
    }

    // The dashboard: its owner's, by nobody else's session, and not beside the hub.
    let answer = browser.get(&site, dashboard).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(answer.text().await.unwrap().contains("Dask"));
    let others = bob.log_in().await.get(&site, dashboard).await.status();
    assert_eq!(others, StatusCode::NOT_FOUND);
    let nobody = site.http.get(format!("{}{dashboard}", site.url)).send().await.unwrap();
    assert!(nobody.status().is_redirection(), "{}", nobody.status());
    let beside = format!("/services/dask-gateway/clusters/{name}/status");
    let answer = browser.get(&site, &beside).await;
    assert_eq!(location(answer.headers()), format!("/hub{beside}"), "no route of the proxy's");
    let status = browser.get(&site, &format!("/hub{beside}")).await.status();
    assert_eq!(status, StatusCode::NOT_FOUND);
    // Nor from another notebook, at the farm itself.
    farm::start(&bob).await;
    let mut other = Kernel::start(&bob, "python3").await;
    // All that listens there, but Slurm's controller and the gateway's port for schedulers.
    let ports = on_farm(
        r#"awk '$4 == "0A" && $2 !~ /^0100007F/ {sub(/.*:/, "", $2); print $2}' /proc/net/tcp /proc/net/tcp6 |
           sort -u | while read port; do echo $((16#$port)); done | grep -vx -e 6817 -e 27001 | tr '\n' ','"#,
    );
    let said = other
        .run(&format!(
            "
import os, socket
from urllib.parse import urlparse
farm = urlparse(os.environ['DASK_GATEWAY__PROXY_ADDRESS'])
for port in [{ports}]:
    try: socket.create_connection((farm.hostname, port), 2); print('open:', port)
    except OSError: print('shut')
socket.create_connection((farm.hostname, farm.port), 2); print('the gateway itself')"
        ))
        .await;
    assert!(said.contains("the gateway itself") && !said.contains("open:"), "{said}");
    assert!(said.matches("shut").count() >= 6, "scheduler, dashboards, workers, pages: {said}");
    bob.stop().await;

    // Slurm is down: that is said, and what it told last stays.
    on_farm("kill $(cat /run/slurmctld.pid); while [ -e /run/slurmctld.pid ]; do sleep 0.1; done");
    let farm = until("it is said that Slurm is down", async || {
        let farm = record(&ann).await["farm"].clone();
        farm["slurm_trouble"].is_string().then_some(farm)
    })
    .await;
    assert_eq!(farm["jobs"][0]["name"], "mine", "{farm}");
    assert!(farm["gateway_trouble"].is_null(), "{farm}");
    let page = browser.get(&site, "/hub/home").await.text().await.unwrap();
    assert!(page.contains("How the jobs are is not known"), "{page}");
    assert!(show(&ann).contains("not known: "), "{}", show(&ann));
    let said = kernel.run(REFUSED).await;
    assert!(
        said.contains("refused:") && said.contains("The farm takes no jobs now. Slurm:"),
        "{said}"
    );
    assert!(said.contains("Clusters that run go on. Try again later"), "{said}");
    on_farm("SLURM_CONF=/opt/slurm/etc/slurm.conf slurmctld");
    until("Slurm is known again", async || {
        record(&ann).await["farm"]["slurm_trouble"].is_null().then_some(())
    })
    .await;

    // Killed, not stopped: the hub ends its cluster; a job that was sent by hand is the person's.
    let container = &site.containers(&id)[0];
    run("docker", &["kill", container]);
    until("the cluster ends", async || (farm::unfinished("dask-ann") == 1).then_some(())).await;
    on_farm("scancel -u dask-ann");
    no_jobs("dask-ann").await;
    ann.stopped().await;
}

/// A cluster that is refused.
const REFUSED: &str = "
try: Gateway().new_cluster()
except Exception as error: print('refused:', type(error).__name__, error)
else: print('made')";
