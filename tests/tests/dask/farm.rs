//! The farm: who may use it, what runs there.

use fantoccini::Locator;
use reqwest::Method;
use serde_json::{Value, json};

use crate::browser::Browser;
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

/// Starts a person's server with the profile for the farm, and waits until it is ready.
pub async fn start(person: &Person<'_>) {
    start_of(person, "dask").await;
}

/// The same with another profile, which the hub may still have to read. A start that a busy machine
/// did not finish in its minute is asked for again.
pub async fn start_of(person: &Person<'_>, profile: &str) {
    let path = format!("/hub/api/users/{}/server", person.name);
    until(&format!("the server of {} is ready", person.name), async || {
        let server = person.server().await;
        if server.as_ref().is_none_or(|it| it["stopped"] == json!(true)) {
            let options = json!({ "profile": profile });
            let (status, answer) = person.call(Method::POST, &path, Some(options)).await;
            let is_unread = answer.to_string().contains("There is no profile");
            assert!(status.is_success() || is_unread, "{}: {status} {answer}", person.name);
        }
        server.filter(|it| it["ready"] == json!(true)).map(drop)
    })
    .await;
}

/// The jobs of a person: how many are in some states, as Slurm says.
pub fn jobs(name: &str, states: &str) -> usize {
    on_farm(&format!("squeue -h -u {name} -t {states} -o %i")).lines().count()
}

/// The jobs of a person that have not ended. Slurm remembers those that have for more than a minute.
pub fn unfinished(name: &str) -> usize {
    jobs(name, "pending,running,completing")
}

/// Waits until a person has no job any more.
pub async fn no_jobs(name: &str) {
    until(&format!("{name} has no jobs"), async || (unfinished(name) == 0).then_some(())).await;
}

/// What `berth server show` says of the person's server.
pub fn show(person: &Person<'_>) -> String {
    let berth = format!("{}/berth", std::env::var("BERTH_BIN").expect("BERTH_BIN"));
    let token = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(token.path(), &person.token).unwrap();
    let out = std::process::Command::new(berth)
        .args(["server", "show", &person.name])
        .env("BERTH_URL", &person.site.url)
        .env("BERTH_TOKEN_FILE", token.path())
        .output()
        .expect("berth");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

/// Follows a link on the page to a dashboard, and waits until it is drawn.
pub async fn see_dashboard(browser: &Browser, site: &Site, link: &str) {
    // The card is drawn anew meanwhile: an element may be gone before it is asked.
    let path = until("the link is there", async || {
        let link = browser.page.find(Locator::Css(link)).await.ok()?;
        link.attr("href").await.ok()?
    })
    .await;
    browser.page.goto(&format!("{}{path}", site.url)).await.unwrap();
    until("the dashboard has its figures, which come by its websocket", async || {
        let script = "return window.Bokeh !== undefined && Bokeh.documents.length > 0";
        let drawn = browser.page.execute(script, Vec::new()).await.ok()?;
        (drawn == true).then_some(())
    })
    .await;
}
