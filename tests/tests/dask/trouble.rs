//! A farm that cannot do what it is asked.

use reqwest::Method;

use crate::farm::{self, ARRIVE, BY_JOBQUEUE, COMPUTE, no_jobs, on_farm};
use crate::kernel::Kernel;
use crate::site::{Site, until};

#[tokio::test]
async fn a_farm_that_is_full_or_down_says_so_and_nothing_is_left_behind() {
    let site = Site::running();
    let ann = farm::person(&site, "dask-ann", 21_001).await;
    farm::allow(&ann).await;
    farm::start(&ann).await;
    let mut kernel = Kernel::start(&ann, "python3").await;

    // Full: somebody else has all three nodes.
    let fill = "sbatch --array=1-3 -c4 -o /dev/null --wrap 'sleep 600'";
    on_farm(&format!("cd /tmp; {fill}"));
    until("the farm is full", async || (farm::jobs("root", "running") == 3).then_some(())).await;
    let said = kernel
        .run(
            "
from dask.distributed import Client
from dask_jobqueue import SLURMCluster
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
    no_jobs("dask-ann").await;
    // By the gateway: the cluster waits, and its owner sees that it does.
    kernel
        .run("from dask_gateway import Gateway\ngateway = Gateway()\nname = gateway.submit()")
        .await;
    until("the cluster is shown to wait", async || {
        let (_, said) = ann.call(Method::GET, "/hub/api/berth/servers", None).await;
        let own = said["servers"].as_array()?.iter().find(|it| it["user"] == *ann.name)?;
        (own["farm"]["clusters"][0]["state"] == "pending").then_some(())
    })
    .await;
    kernel.run("gateway.stop_cluster(name)").await;
    no_jobs("dask-ann").await;
    on_farm("scancel -u root");
    no_jobs("root").await;

    // Down.
    on_farm("kill $(cat /run/slurmctld.pid); while [ -e /run/slurmctld.pid ]; do sleep 0.1; done");
    let said = kernel
        .run(
            "
sent = subprocess.run(['sbatch', '--wrap', 'id'], capture_output=True, text=True)
print('down:', sent.returncode, sent.stderr)",
        )
        .await;
    on_farm("SLURM_CONF=/opt/slurm/etc/slurm.conf slurmctld");
    assert!(
        said.contains("down: 1") && said.contains("Unable to contact slurm controller"),
        "{said}"
    );

    // Back.
    until("Slurm answers", async || {
        on_farm("sinfo -h -t idle -o %D || true").contains('3').then_some(())
    })
    .await;
    let said = kernel.run(&format!("{BY_JOBQUEUE}{ARRIVE}{COMPUTE}")).await;
    assert!(said.contains("328350"), "{said}");
    ann.stop().await;
    no_jobs("dask-ann").await;
}
