//! A farm that cannot do what it is asked: it says why, and nothing is left behind.

use crate::farm::{self, ARRIVE, BY_JOBQUEUE, COMPUTE, no_jobs, on_farm};
use crate::kernel::Kernel;
use crate::site::{Person, Site, until};

/// Defines `new_cluster`, by the gateway, which says what comes of it. The client of a cluster that was
/// refused closes when Python collects it, and where that is within the start of another cluster the
/// two wait for each other (distributed's `LoopRunner`): so it is collected at once.
const ASK: &str = "
import gc
from contextlib import suppress
from dask_gateway import Gateway
from dask_jobqueue import SLURMCluster
def new_cluster(**asked):
    try: Gateway().new_cluster(**asked)
    except Exception as error: print('refused:', type(error).__name__, error)
    else: print('made')
    gc.collect()";

/// A worker's job by dask-jobqueue, which is not taken: waits until the notebook shows these words,
/// and closes the cluster.
async fn one_job(kernel: &mut Kernel<'_>, words: &str) {
    kernel.send("cluster = SLURMCluster()\ncluster.scale(jobs=1)").await;
    kernel.output_until(words).await;
    // Of a job that was not taken Dask says here that it was never ended; the rest has ended.
    kernel.run("with suppress(AssertionError): cluster.close()").await;
}

/// Slurm's own words.
const DOWN: &str = "Unable to contact slurm controller";

/// A farm that is broken until this ends, also with a test that fails: the others have the same farm.
struct Broken {
    heal: &'static str,
}

impl Broken {
    fn by(harm: &str, heal: &'static str) -> Self {
        on_farm(harm);
        Self { heal }
    }
}

impl Drop for Broken {
    fn drop(&mut self) {
        on_farm(self.heal);
    }
}

/// Somebody with the right, in a notebook that knows how to ask.
async fn asker<'a>(ann: &'a Person<'a>) -> Kernel<'a> {
    farm::allow(ann).await;
    farm::start(ann).await;
    let mut kernel = Kernel::start(ann, "python3").await;
    kernel.run(ASK).await;
    kernel
}

/// No job, no cluster, and no folder with a cluster's key.
async fn nothing_is_left(person: &Person<'_>) {
    no_jobs(&person.name).await;
    until("the hub knows of no cluster", async || {
        let farm = person.record().await["farm"].clone();
        farm["clusters"].as_array().is_none_or(Vec::is_empty).then_some(())
    })
    .await;
    let folder = person.home.join(".dask-gateway");
    let left: Vec<_> = std::fs::read_dir(folder).into_iter().flatten().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn a_full_farm_says_so_and_nothing_is_left_behind() {
    let site = Site::running();
    let ann = farm::person(&site, "dask-ann", 21_001).await;
    let mut kernel = asker(&ann).await;
    // Somebody else has all three nodes.
    let fill = "sbatch --array=1-3 -c4 -o /dev/null --wrap 'sleep 600'";
    on_farm(&format!("cd /tmp; {fill}"));
    until("the farm is full", async || (farm::jobs("root", "running") == 3).then_some(())).await;
    let said = kernel
        .run(
            "
from dask.distributed import Client
import subprocess
with SLURMCluster() as cluster, Client(cluster) as client:
    cluster.scale(jobs=1)
    try: client.wait_for_workers(1, timeout=5)
    except TimeoutError as error: print('waited:', error)
    print(subprocess.run(['squeue', '-h', '--me', '-o', '%T %r'], capture_output=True, text=True).stdout)",
        )
        .await;
    assert!(said.contains("waited: Only 0/1 workers arrived"), "{said}");
    assert!(said.contains("PENDING Resources"), "{said}");
    nothing_is_left(&ann).await;
    // By the gateway: the cluster waits, and its owner sees that it does.
    kernel.run("gateway = Gateway()\nname = gateway.submit()").await;
    until("the cluster is shown to wait", async || {
        let own = ann.record().await;
        (own["farm"]["clusters"][0]["state"] == "pending").then_some(())
    })
    .await;
    let home = ann.log_in().await.get(&site, "/hub/home").await.text().await.unwrap();
    assert!(home.contains("waits for its turn"), "{home}");
    kernel.run("gateway.stop_cluster(name)").await;
    nothing_is_left(&ann).await;
    // Whoever waits in a cell reads why in the end.
    let said = kernel.run("new_cluster(wait=1)").await;
    let words = "refused: GatewayClusterError The farm had no place for this cluster within 1 s. \
                 Slurm: Resources. It waits no longer, and nothing of it is left. Try again later, or \
                 wait longer (at most 600 s): new_cluster(wait=600).";
    assert!(said.contains(words), "{said}");
    nothing_is_left(&ann).await;
    on_farm("scancel -u root");
    no_jobs("root").await;
    ann.stop().await;
}

#[tokio::test]
async fn a_slurm_that_takes_no_jobs_is_quoted_and_nothing_is_left_behind() {
    let site = Site::running();
    let ann = farm::person(&site, "dask-ann", 21_001).await;
    let mut kernel = asker(&ann).await;
    // It answers whoever asks: before a job is sent nobody knows.
    let drained = Broken::by(
        "scontrol update PartitionName=htc State=DRAIN",
        "scontrol update PartitionName=htc State=UP",
    );
    let by_gateway = kernel.run("new_cluster()").await;
    one_job(&mut kernel, "Required partition not available").await;
    drop(drained);
    let words = "refused: GatewayClusterError The farm did not take the job of this cluster's \
                 scheduler: sbatch: error: Batch job submission failed: Required partition not \
                 available (inactive or drain). Nothing of it is left.";
    assert!(by_gateway.contains(words), "{by_gateway}");
    nothing_is_left(&ann).await;
    ann.stop().await;
}

#[tokio::test]
async fn a_slurm_that_is_down_is_quoted_and_nothing_is_left_behind() {
    let site = Site::running();
    let ann = farm::person(&site, "dask-ann", 21_001).await;
    let mut kernel = asker(&ann).await;
    let down = Broken::by(
        "kill $(cat /run/slurmctld.pid); while [ -e /run/slurmctld.pid ]; do sleep 0.1; done",
        "SLURM_CONF=/opt/slurm/etc/slurm.conf slurmctld",
    );
    // Some seconds later the hub knows, and the gateway refuses at once; until then the job is.
    let by_gateway = kernel.run("new_cluster()").await;
    one_job(&mut kernel, DOWN).await;
    let by_hand = kernel
        .run(
            "
import subprocess
sent = subprocess.run(['sbatch', '--wrap', 'id'], capture_output=True, text=True)
print('refused:', sent.returncode, sent.stderr)",
        )
        .await;
    drop(down);
    for said in [by_gateway, by_hand] {
        assert!(said.contains("refused: ") && said.contains(DOWN), "{said}");
    }

    until("Slurm answers", async || {
        on_farm("sinfo -h -t idle -o %D || true").contains('3').then_some(())
    })
    .await;
    nothing_is_left(&ann).await;
    let said = kernel.run(&format!("{BY_JOBQUEUE}{ARRIVE}{COMPUTE}")).await;
    assert!(said.contains("328350"), "{said}");
    ann.stop().await;
    no_jobs("dask-ann").await;
}
