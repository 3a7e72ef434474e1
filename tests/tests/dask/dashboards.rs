//! Schedulers in a notebook: each is a cluster of its own, and its dashboard opens in the browser.

use reqwest::{Method, StatusCode};

use crate::browser::Browser;
use crate::farm::{self, ARRIVE, BY_JOBQUEUE, no_jobs, see_dashboard, show};
use crate::kernel::Kernel;
use crate::site::{Site, until};

/// A second scheduler, on the server's next port, as `packaging/docs/farm.md` says.
const SECOND: &str = "
import dask, os
options = dask.config.get('jobqueue.slurm.scheduler-options')
port = os.environ['BERTH_FARM_PORTS'].split(',')[1]
contact = options['contact_address'].rpartition(':')[0] + ':' + port
second = SLURMCluster(
    job_name='dask-worker-' + port,
    scheduler_options={**options, 'port': int(port), 'contact_address': contact, 'dashboard_address': '127.0.0.1:8801'},
)
second.scale(jobs=1)
print('links', cluster.dashboard_link, second.dashboard_link)
print('ports', os.environ['BERTH_FARM_PORTS'])";

#[tokio::test(flavor = "multi_thread")]
async fn each_scheduler_of_a_notebook_is_a_cluster_whose_dashboard_opens() {
    let site = Site::running();
    let ann = farm::person(&site, "dask-ann", 21_001).await;
    farm::start(&ann).await;
    let mut kernel = Kernel::start(&ann, "python3").await;
    let said = kernel.run(&format!("{BY_JOBQUEUE}{ARRIVE}{SECOND}")).await;
    let told = |key: &str| {
        let line = said.lines().find_map(|line| line.strip_prefix(key)).expect("a line");
        line.trim().replace(',', " ").split(' ').map(str::to_owned).collect::<Vec<_>>()
    };
    let (links, ports) = (told("links "), told("ports "));
    let clusters = until("two clusters are shown with their workers", async || {
        let clusters = ann.record().await["farm"]["clusters"].as_array()?.clone();
        let workers: Vec<_> = clusters.iter().map(|it| it["workers"].as_u64()).collect();
        (workers == [Some(3), Some(1)]).then_some(clusters)
    })
    .await;
    for (cluster, (link, port)) in clusters.iter().zip(links.iter().zip(&ports)) {
        assert_eq!(cluster["name"], format!("dask-jobqueue:{port}"));
        assert_eq!(cluster["dashboard"], **link, "where Dask itself says that it is");
        assert!(show(&ann).contains(&format!("{}{link}", site.url)), "{}", show(&ann));
    }
    // Each leads to its own scheduler.
    for (link, workers) in links.iter().zip([3, 1]) {
        let counts = link.replace("/status", "/json/counts.json");
        let (status, said) = ann.call(Method::GET, &counts, None).await;
        assert_eq!((status, &said["workers"]), (StatusCode::OK, &workers.into()), "{said}");
    }

    let browser = Browser::open().await;
    browser.log_in(&site, "dask-ann", &ann.password).await;
    for link in &links {
        browser.page.goto(&format!("{}/hub/home", site.url)).await.unwrap();
        see_dashboard(&browser, &site, &format!("a[href='{link}']")).await;
    }
    browser.shot("farm-4-dashboard-in-the-notebook").await;
    browser.close().await;
    ann.stop().await;
    no_jobs("dask-ann").await;
}
