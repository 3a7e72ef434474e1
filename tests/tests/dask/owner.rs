//! Whom schedulers answer: their owner, and no other person's notebook, wherever they run.

use reqwest::Method;

use crate::farm::{self, ARRIVE, BY_GATEWAY, BY_JOBQUEUE, no_jobs};
use crate::kernel::Kernel;
use crate::site::Site;

/// Defines `ask`: what an address says to a notebook that shows a certificate. Dask's programs greet
/// whom they let in.
const ASK: &str = "
import os, socket, ssl
own = os.environ['DASK_DISTRIBUTED__COMM__TLS__CLIENT__CERT']
def ask(host, port, certificate, name=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.load_cert_chain(certificate)
    try:
        with socket.create_connection((host, port), 60) as raw:
            with context.wrap_socket(raw, server_hostname=name) as tls:
                return 'answers' if tls.recv(1) else 'hangs up'
    except OSError as error:
        return f'refuses: {type(error).__name__}'
";

/// A scheduler in a job that the person sends by hand, on one of the farm's ports that all notebooks
/// reach.
const BY_HAND: &str = r##"
import json, subprocess, time
file = os.path.expanduser('~/by-hand.json')
if os.path.exists(file): os.remove(file)
script = f'#!/bin/sh\nexec /opt/jupyter/bin/dask scheduler --port 20987 --no-dashboard --scheduler-file {file}'
subprocess.run(['sbatch', '-o', '/dev/null'], input=script, text=True, check=True)
while not (os.path.exists(file) and os.path.getsize(file)): time.sleep(0.1)
"##;

/// The word after `key` at the beginning of a line.
fn told<'a>(said: &'a str, key: &str) -> &'a str {
    let mut lines = said.lines().filter_map(|line| line.strip_prefix(key));
    lines.next().unwrap_or_else(|| panic!("no {key}: {said}")).trim()
}

#[tokio::test]
async fn a_scheduler_answers_its_owner_alone() {
    let site = Site::running();
    let ann = farm::person(&site, "dask-ann", 21_001).await;
    let bob = farm::person(&site, "dask-bob", 21_002).await;
    for person in [&ann, &bob] {
        farm::allow(person).await;
        farm::start(person).await;
    }
    let mut hers = Kernel::start(&ann, "python3").await;
    let mut his = Kernel::start(&bob, "python3").await;

    // By the gateway: its port for schedulers, where the name of the cluster says which.
    let said = hers
        .run(&format!(
            "{ASK}{BY_GATEWAY}
from urllib.parse import urlparse
farm = urlparse(os.environ['DASK_GATEWAY__PROXY_ADDRESS'])
with open(os.path.expanduser('~/cluster.pem'), 'w') as out:
    out.write(cluster.security.tls_key + cluster.security.tls_cert)
print('name', cluster.name)
print('gateway', ask(farm.hostname, farm.port, out.name, f'daskgateway-{{cluster.name}}'))"
        ))
        .await;
    assert_eq!(told(&said, "gateway "), "answers", "{said}");
    let name = told(&said, "name ");
    let said = his
        .run(&format!(
            "{ASK}
from dask_gateway import Gateway
from urllib.parse import urlparse
farm = urlparse(os.environ['DASK_GATEWAY__PROXY_ADDRESS'])
print('gateway', ask(farm.hostname, farm.port, own, 'daskgateway-{name}'))
try: print('api', Gateway().connect('{name}'))
except Exception as error: print('api refuses:', error)
print('list', Gateway().list_clusters())"
        ))
        .await;
    assert_ne!(told(&said, "gateway "), "answers", "{said}");
    assert!(told(&said, "api ").starts_with("refuses"), "{said}");
    assert_eq!(told(&said, "list "), "[]", "{said}");
    hers.run("client.close(); cluster.shutdown()").await;

    // In a job of hers: the port is open to his notebook, and she alone is answered.
    let said = hers
        .run(&format!(
            "{BY_HAND}
from distributed import Client
print('job', ask(farm.hostname, 20987, own))
print('client', Client(scheduler_file=file).status)"
        ))
        .await;
    assert_eq!(told(&said, "job "), "answers", "{said}");
    assert_eq!(told(&said, "client "), "running", "{said}");
    let said = his
        .run(
            "
from distributed import Client
from distributed.security import Security
print('job', ask(farm.hostname, 20987, own))
for scheme in ('tls', 'tcp'):
    security = Security(require_encryption=scheme == 'tls')
    try: print(scheme, Client(f'{scheme}://{farm.hostname}:20987', security=security, timeout=10).status)
    except Exception as error: print(scheme, 'refuses:', type(error).__name__)",
        )
        .await;
    assert_ne!(told(&said, "job "), "answers", "{said}");
    for way in ["tls ", "tcp "] {
        assert!(told(&said, way).starts_with("refuses"), "{said}");
    }
    hers.run("subprocess.run(['scancel', '--me'])").await;
    no_jobs("dask-ann").await;

    // In her notebook: the farm's workers are there, and his notebook comes by no way to it, nor to
    // the workers, whose ports it reaches.
    let said = hers
        .run(&format!(
            "{BY_JOBQUEUE}{ARRIVE}
address, port = os.environ['BERTH_FARM_ADDRESS'], os.environ['BERTH_FARM_PORTS'].split(',')[0]
inside, dashboard = socket.gethostbyname(socket.gethostname()), cluster.scheduler.services['dashboard'].port
worker = urlparse(list(client.scheduler_info(n_workers=-1)['workers'])[0])
print('places', address, port, inside, dashboard)
print('worker', worker.hostname, worker.port)
print('hers', ask(worker.hostname, worker.port, own))"
        ))
        .await;
    assert_eq!(told(&said, "hers "), "answers", "{said}");
    let places: Vec<&str> = told(&said, "places ").split(' ').collect();
    let [address, port, inside, dashboard] = places[..] else { panic!("{said}") };
    let (host, at) = told(&said, "worker ").split_once(' ').expect("host and port");
    let said = his
        .run(&format!(
            "
for place in (('{address}', {port}), ('{inside}', {port}), ('{inside}', {dashboard})):
    try: print('place', socket.create_connection(place, 5))
    except OSError as error: print('place refuses:', error)
print('worker', ask('{host}', {at}, own))"
        ))
        .await;
    assert_eq!(said.matches("place refuses").count(), 3, "{said}");
    assert_ne!(told(&said, "worker "), "answers", "{said}");
    // Nor by the proxy, where the dashboard is its owner's.
    let path = format!("/user/dask-ann/proxy/{dashboard}/status");
    let (status, _) = bob.call(Method::GET, &path, None).await;
    assert_eq!(status, reqwest::StatusCode::FORBIDDEN);
    ann.stop().await;
    bob.stop().await;
    no_jobs("dask-ann").await;
}
