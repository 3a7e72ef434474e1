//! The farm: who may use it, what runs there.

use reqwest::Method;
use serde_json::{Value, json};

use crate::site::{Person, Site, run, until};

/// What a server token needs for Dask Gateway.
const SCOPE: &str = "access:services!service=dask-gateway";

/// Makes a cluster by the gateway, as the first cell of a notebook would.
pub const BY_GATEWAY: &str = "
from dask_gateway import Gateway
cluster = Gateway().new_cluster()
cluster.scale(3)
client = cluster.get_client()";

/// Makes one whose scheduler is in the notebook.
pub const BY_JOBQUEUE: &str = "
from dask.distributed import Client
from dask_jobqueue import SLURMCluster
cluster = SLURMCluster()
cluster.scale(jobs=3)
client = Client(cluster)";

/// Waits for the three workers, and says a word meanwhile: a busy machine takes its time.
pub const ARRIVE: &str = "
import time
for _ in range(180):
    if len(client.scheduler_info(n_workers=-1)['workers']) >= 3: break
    print('.', flush=True); time.sleep(1)
else: raise TimeoutError('the workers did not come')";

/// Computes what can be checked: 328350.
pub const COMPUTE: &str = "
print(sum(client.gather(client.map(lambda x: x * x, range(100)))))";

/// Runs a command on the farm.
pub fn on_farm(command: &str) -> String {
    run("docker", &["exec", &container(), "bash", "-c", command])
}

fn container() -> String {
    format!("berth-farm-{}", std::env::var("BERTH_PORT").expect("BERTH_PORT"))
}

/// A person who has an account on the farm; whether they may use Dask Gateway is said by `allow`.
pub async fn person<'a>(site: &'a Site, name: &str, uid: u32) -> Person<'a> {
    let person = site.user(name, uid).await;
    let home = person.home.display();
    on_farm(&format!("id {name} 2>/dev/null || useradd -M -u {uid} -d {home} {name}"));
    // An earlier test may have failed in the middle.
    on_farm(&format!("scancel -u {name}; scancel -u root"));
    person
}

/// Gives somebody the right to use Dask Gateway, and waits until the hub knows.
pub async fn allow(person: &Person<'_>) {
    let (site, name) = (person.site, &person.name);
    let folder = site.state.join("config/roles.d");
    std::fs::create_dir_all(&folder).unwrap();
    let role =
        format!("version = 1\n[role.test-{name}]\nscopes = [\"{SCOPE}\"]\nusers = [\"{name}\"]\n");
    std::fs::write(folder.join(format!("{name}.toml")), role).unwrap();
    until(&format!("{name} has the right"), async || {
        let (_, user) = person.call(Method::GET, "/hub/api/user", None).await;
        let scopes = user["scopes"].as_array()?;
        scopes.contains(&Value::from(SCOPE)).then_some(())
    })
    .await;
}

/// Starts a person's server with the profile for the farm.
pub async fn start(person: &Person<'_>) {
    person.start(json!({ "profile": "dask" })).await;
}

/// The jobs of a person: how many are in a state, as Slurm says.
pub fn jobs(name: &str, state: &str) -> usize {
    on_farm(&format!("squeue -h -u {name} -t {state} -o %i")).lines().count()
}

/// Waits until a person has no job any more.
pub async fn no_jobs(name: &str) {
    until(&format!("{name} has no jobs"), async || (jobs(name, "all") == 0).then_some(())).await;
}
