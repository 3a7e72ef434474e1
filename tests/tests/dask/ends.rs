//! How clusters end: by themselves when they are idle, with their server where the site wants it, and
//! not where it does not.

use std::path::PathBuf;

use reqwest::{Method, StatusCode};

use crate::farm::{self, ARRIVE, BY_GATEWAY, BY_JOBQUEUE, COMPUTE, no_jobs, unfinished};
use crate::kernel::Kernel;
use crate::site::{Person, Site, run, until};

#[tokio::test]
#[ignore = "tests/run --long"]
async fn idle_clusters_end_by_themselves() {
    let site = Site::running();
    let ann = farm::person(&site, "dask-ann", 21_001).await;
    farm::allow(&ann).await;
    farm::start(&ann).await;
    let mut kernel = Kernel::start(&ann, "python3").await;
    // Nobody closes anything: the notebook only waits.
    let brief = BY_GATEWAY.replace("new_cluster()", "new_cluster(idle_timeout=4)");
    let said = kernel
        .run(&format!(
            "{brief}
import time
end = time.monotonic() + 170
while Gateway().list_clusters() and time.monotonic() < end: time.sleep(1)
print('left:', Gateway().list_clusters())"
        ))
        .await;
    assert!(said.contains("left: []"), "{said}");
    no_jobs("dask-ann").await;
    // The same of a scheduler in the notebook.
    kernel
        .run(&format!(
            "
import dask
dask.config.set({{'distributed.scheduler.idle-timeout': '4s'}}){BY_JOBQUEUE}"
        ))
        .await;
    no_jobs("dask-ann").await;
    // The server itself is there.
    let (status, _) = ann.call(Method::GET, "/user/dask-ann/api/status", None).await;
    assert_eq!(status, StatusCode::OK);
    ann.stop().await;
}

#[tokio::test]
#[ignore = "tests/run --long"]
async fn an_idle_cluster_that_its_gateway_has_forgotten_ends_by_itself() {
    let site = Site::running();
    let ann = farm::person(&site, "dask-ann", 21_001).await;
    farm::allow(&ann).await;
    farm::start(&ann).await;
    let mut kernel = Kernel::start(&ann, "python3").await;
    // It computes while its gateway is killed, so that this one cannot have ended it before.
    let brief = BY_GATEWAY.replace("new_cluster()", "new_cluster(idle_timeout=20)");
    let work = "
import time
def wait(): time.sleep(600)
future = client.submit(wait)";
    let begun = "
while not any(client.processing().values()): time.sleep(0.1)";
    kernel.run(&format!("{brief}{work}{ARRIVE}{begun}")).await;
    farm::on_farm("pkill -KILL -x dask-gateway-se");
    // Nobody waits for what it computes any more, and the next gateway knows nothing of it.
    let said = kernel
        .run(
            "
client.close()
for _ in range(120):
    try: print('left:', Gateway().list_clusters()); break
    except Exception: time.sleep(1)",
        )
        .await;
    assert!(said.contains("left: []"), "{said}");
    no_jobs("dask-ann").await;
    ann.stop().await;
}

/// Whether clusters end with their server, as the site's file says while this lives.
struct EndWithServer {
    file: PathBuf,
    former: String,
}

impl EndWithServer {
    /// Says no, and waits until the hub has read it.
    async fn off(site: &Site) -> Self {
        let file = site.state.join("config/farm.toml");
        let former = std::fs::read_to_string(&file).unwrap();
        let off = former.replace("end_with_server = true", "end_with_server = false");
        assert_ne!(off, former, "the example says that clusters end");
        std::fs::write(&file, off).unwrap();
        let it = Self { file, former };
        read(site, 61).await;
        it
    }
}

impl Drop for EndWithServer {
    fn drop(&mut self) {
        std::fs::write(&self.file, &self.former).unwrap();
    }
}

/// Waits until the hub has read the files: they are taken over together, so a quota tells.
async fn read(site: &Site, cores: u64) {
    let folder = site.state.join("config/quotas.d");
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("nobody.toml");
    let quota = format!("version = 1\n[user.dask-none]\nfarm_cores = {cores}\n");
    std::fs::write(&file, quota).unwrap();
    // Of those who may use the gateway the hub says what they have.
    let none = farm::person(site, "dask-none", 21_009).await;
    farm::allow(&none).await;
    until("the hub has read the files", async || {
        let path = "/hub/api/berth/users/dask-none/farm";
        let (_, said) = site.admin(Method::GET, path, None).await;
        (said["farm"]["cores"]["limit"] == cores).then_some(())
    })
    .await;
    std::fs::remove_file(&file).unwrap();
}

/// Kills the person's container, and waits until the hub knows.
async fn kill_server(person: &Person<'_>) {
    let id = person.record().await["id"].as_str().unwrap().to_owned();
    run("docker", &["kill", &person.site.containers(&id)[0]]);
    person.stopped().await;
}

#[tokio::test]
#[ignore = "tests/run --long"]
async fn where_the_site_does_not_want_it_a_cluster_goes_on_after_its_server() {
    let site = Site::running();
    let ann = farm::person(&site, "dask-ann", 21_001).await;
    farm::allow(&ann).await;
    let off = EndWithServer::off(&site).await;
    farm::start(&ann).await;
    let mut kernel = Kernel::start(&ann, "python3").await;
    let begin = BY_GATEWAY.replace("new_cluster()", "new_cluster(cores=4, memory=2 << 30)");
    let said = kernel.run(&format!("{begin}{ARRIVE}\nprint('name', cluster.name)")).await;
    let name = said.lines().find_map(|line| line.strip_prefix("name ")).expect("a name").to_owned();
    kill_server(&ann).await;
    // The next start finds it at work. A cluster that this one begins is shown: so the hub has
    // looked at what the person has on the farm, and ended nothing.
    farm::start(&ann).await;
    let mut kernel = Kernel::start(&ann, "python3").await;
    kernel
        .run(
            "from dask_gateway import Gateway\ngateway = Gateway()\n\
             second = gateway.submit(cores=2, memory=1000 << 20)",
        )
        .await;
    until("the new cluster is shown", async || {
        let shown = ann.record().await["farm"]["clusters"].as_array()?.len();
        (shown == 1).then_some(())
    })
    .await;
    let said = kernel
        .run(&format!(
            "cluster = gateway.connect('{name}')\nclient = cluster.get_client(){COMPUTE}"
        ))
        .await;
    assert!(said.contains("328350"), "{said}");
    // A site that changes its mind has it ended.
    drop(off);
    until("the cluster of the former start ends", async || {
        (unfinished("dask-ann") <= 1).then_some(())
    })
    .await;
    kernel.run("client.close()\ngateway.stop_cluster(second)").await;
    no_jobs("dask-ann").await;
    ann.stop().await;
}
