//! What people may have on the farm.

use reqwest::Method;

use crate::farm::{self, no_jobs};
use crate::kernel::Kernel;
use crate::site::{Site, until};

/// Asks for a cluster within the quota, for more workers than it has room for, and for a second.
const ASK: &str = "
import warnings
from dask_gateway import Gateway
cluster = Gateway().new_cluster(cores=3, memory=1500 << 20)
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter('always')
    cluster.scale(5)
print('told:', [str(it.message) for it in told])
for more in ({'cores': 3, 'memory': 1000 << 20}, {'cores': 2, 'memory': 1 << 30}):
    try: Gateway().new_cluster(**more)
    except Exception as error: print('refused:', type(error).__name__, error)";

/// Puts a quota in force: its name, its lines, and a person of whom the hub then says this limit.
async fn quota(site: &Site, name: &str, lines: &str, person: &str, cores: u64) {
    let folder = site.state.join("config/quotas.d");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(format!("{name}.toml")), format!("version = 1\n{lines}")).unwrap();
    until("the hub knows the quota", async || {
        let path = format!("/hub/api/berth/users/{person}/farm");
        let (_, said) = site.admin(Method::GET, &path, None).await;
        (said["farm"]["cores"]["limit"] == cores).then_some(())
    })
    .await;
}

/// A person with a quota of five cores and two gigabytes, as these lines say, comes by no more, and
/// reads which line says so.
async fn holds(who: &str, uid: u32, section: &str) {
    let site = Site::running();
    let person = farm::person(&site, who, uid).await;
    farm::allow(&person).await;
    let lines = format!("[{section}]\nfarm_cores = 5\nfarm_memory = \"2 GB\"\n");
    quota(&site, who, &lines, who, 5).await;
    farm::start(&person).await;
    let mut kernel = Kernel::start(&person, "python3").await;
    let said = kernel.run(ASK).await;
    // A scheduler and two workers are three cores and 1500 MB.
    assert!(said.contains("would exceed resource limit of 2 workers"), "{said}");
    let refusal = |asked: &str, left: &str, limit: &str, taken: &str, less: &str| {
        format!(
            "You ask for {asked}, and {left} are left of your quota on the farm: it is {limit} \
             (quotas.d/{who}.toml:2), of which your other clusters may take {taken}. {less} down one \
             of those that Gateway().list_clusters() shows. Your administrators can give you more."
        )
    };
    let less = "Ask for less with new_cluster(cores=...), or shut";
    let cores = refusal("3 cores", "2 cores", "5 cores", "3 cores", less);
    // No cluster is as small as what is left of the memory.
    let memory = refusal("1024.00 MiB", "548.00 MiB", "2.00 GiB", "1.46 GiB", "Shut");
    assert!(said.contains(&cores) && said.contains(&memory), "{said}");
    person.stop().await;
    no_jobs(who).await;
    std::fs::remove_file(site.state.join(format!("config/quotas.d/{who}.toml"))).unwrap();
}

#[tokio::test]
async fn a_persons_own_quota_holds_on_the_farm() {
    holds("dask-ann", 21_001, "user.dask-ann").await;
}

#[tokio::test]
#[ignore = "tests/run --long"]
async fn a_groups_quota_holds_on_the_farm() {
    // All people of these tests are in the group lsst.
    holds("dask-bob", 21_002, "group.lsst").await;
}
