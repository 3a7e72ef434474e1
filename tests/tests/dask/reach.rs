//! Whom a scheduler in a notebook talks to: the farm, and nobody else's notebook.

use crate::farm::{self, ARRIVE, BY_JOBQUEUE, on_farm};
use crate::kernel::Kernel;
use crate::site::{Site, run};

/// Says `open` when an address takes a connection from a container of the image on a network.
fn from_beside(network: &str, address: &str, port: u16) -> String {
    run(
        "docker",
        &[
            "run",
            "--rm",
            "--network",
            network,
            "berth/notebook:dask",
            "python3",
            "-c",
            &knock(address, port),
        ],
    )
}

fn knock(address: &str, port: u16) -> String {
    format!(
        "import socket
try: socket.create_connection(('{address}', {port}), 3); print('open')
except OSError as error: print('shut:', error)"
    )
}

#[tokio::test]
#[ignore = "tests/run --long"]
async fn the_farm_reaches_a_scheduler_and_no_other_container_does() {
    let site = Site::running();
    let ann = farm::person(&site, "dask-ann", 21_001).await;
    farm::start(&ann).await;
    let mut kernel = Kernel::start(&ann, "python3").await;
    kernel.run(&format!("{BY_JOBQUEUE}{ARRIVE}")).await;
    let told = kernel
        .run("import os, socket; print('told', os.environ['BERTH_FARM_ADDRESS'], os.environ['BERTH_FARM_PORTS'].split(',')[0], \
              socket.gethostbyname(socket.gethostname()), cluster.scheduler.services['dashboard'].port)")
        .await;
    let words: Vec<&str> = told
        .lines()
        .find_map(|line| line.strip_prefix("told "))
        .expect("words")
        .split(' ')
        .collect();
    let [address, port, inside, dashboard] = words[..] else { panic!("{told}") };
    let (port, dashboard): (u16, u16) = (port.parse().unwrap(), dashboard.parse().unwrap());
    // The farm, by the published port: the workers are there already.
    let farm = on_farm(&format!("python3 -c \"{}\"", knock(address, port)));
    assert!(farm.contains("open"), "{farm}");
    // Containers beside it, and on the networks of other hosts: neither by the published port nor
    // by the container's own address.
    let port_of_site = std::env::var("BERTH_PORT").unwrap();
    for host in ["laptop1", "laptop2", "laptop3"] {
        let network = format!("berth-{host}-{port_of_site}");
        for (address, port) in [(address, port), (inside, port), (inside, dashboard)] {
            let said = from_beside(&network, address, port);
            assert!(said.contains("shut"), "{network} reaches {address}:{port}: {said}");
        }
    }
    // Nor by the proxy, where the dashboard is its owner's alone.
    let bob = farm::person(&site, "dask-bob", 21_002).await;
    let path = format!("/user/dask-ann/proxy/{dashboard}/status");
    let (status, _) = bob.call(reqwest::Method::GET, &path, None).await;
    assert_eq!(status, reqwest::StatusCode::FORBIDDEN);
    ann.stop().await;
    farm::no_jobs("dask-ann").await;
}
