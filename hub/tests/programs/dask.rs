//! `dask-gateway-server` as a service, which asks the hub who its visitors are.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use berth_hub::config::{self, Config};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::{Program, python, served};
use crate::site::Site;

const SERVICES: &str = "version = 1\n[service.dask-gateway]\nurl = \"http://127.0.0.1:1\"\n\
    api_token = { file = \"gateway-token\" }\n";
const ROLES: &str = "version = 1\n[role.dask]\nusers = [\"alice\"]\n\
    scopes = [\"access:services!service=dask-gateway\"]\n";
/// The gateway's own, by which it asks the hub.
pub const TOKEN: &str = "token-of-the-gateway";

/// Puts the service, and alice's right to use it, in force.
fn configure(site: &Site) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("hub.toml", "version = 1\n[hub]\npublic_url = \"http://127.0.0.1:8000\"\n"),
        ("services.toml", SERVICES),
        ("roles.toml", ROLES),
        ("gateway-token", TOKEN),
    ] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let (fresh, _) = config::load(folder.path(), berth_process::clock::now()).unwrap();
    let config = Config::clone(&site.hub.config());
    let people = config::People { roles: fresh.people.roles, ..config.people.clone() };
    site.hub.config.store(Arc::new(Config { people, services: fresh.services, ..config }));
}

/// The gateway with one of the configurations here, the address that it says after some words when
/// it starts, and what it says from then on.
pub fn gateway(
    hub: u16,
    config: &str,
    after: &str,
) -> (Program, String, UnboundedReceiver<String>) {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let child = Command::new(python().with_file_name("dask-gateway-server"))
        .arg("--config")
        .arg(here.join("tests/programs").join(config))
        .env("EXAMPLE", here.join("../examples/dask"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("JUPYTERHUB_API_URL", format!("http://127.0.0.1:{hub}/hub/api"))
        .env("JUPYTERHUB_API_TOKEN", TOKEN)
        .env("JUPYTERHUB_SERVICE_NAME", "dask-gateway")
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut gateway = Program(child);
    let mut lines = BufReader::new(gateway.0.stderr.take().unwrap()).lines().map_while(Result::ok);
    let mut address = String::new();
    let mut said = String::new();
    for line in lines.by_ref() {
        said += &format!("{line}\n");
        if let Some((_, told)) = line.split_once(after) {
            address = told.trim().to_owned();
        }
        if line.contains("- Private API server listening at ") {
            break;
        }
    }
    assert!(!address.is_empty(), "the gateway did not start:\n{said}");
    let (say, heard) = unbounded_channel();
    // Reads on, or the gateway would wait for its reader.
    std::thread::spawn(move || {
        for line in lines {
            println!("{line}");
            let _ = say.send(line);
        }
    });
    (gateway, address, heard)
}

#[tokio::test(flavor = "multi_thread")]
async fn dask_gateway_lets_in_whom_the_hub_lets_use_it() {
    let site = Site::new().await;
    configure(&site);
    let port = served(&site).await;
    let begun = tokio::task::spawn_blocking(move || {
        gateway(port, "gateway.py", "- Private API server listening at ")
    });
    let (_gateway, address, _said) = begun.await.unwrap();
    let client: Client<_, Body> = Client::builder(TokioExecutor::new()).build_http();
    let clusters = async |authorization: &str| {
        let request = Request::get(format!("{address}/api/v1/clusters/"));
        let request = request.header("Authorization", authorization).body(Body::empty()).unwrap();
        client.request(request).await.unwrap().status()
    };

    // As its client library sends it.
    let alice = site.token("alice", &["inherit"]).await;
    assert_eq!(clusters(&format!("jupyterhub {alice}")).await, StatusCode::OK);
    let narrow = site.token("alice", &["access:services!service=dask-gateway"]).await;
    assert_eq!(clusters(&format!("jupyterhub {narrow}")).await, StatusCode::OK);

    let bob = site.token("bob", &["inherit"]).await;
    assert_eq!(clusters(&format!("jupyterhub {bob}")).await, StatusCode::UNAUTHORIZED);
    let other = site.token("alice", &["read:users!user=alice"]).await;
    assert_eq!(clusters(&format!("jupyterhub {other}")).await, StatusCode::UNAUTHORIZED);
    assert_eq!(clusters(&format!("Bearer {alice}")).await, StatusCode::UNAUTHORIZED);
    // The hub's 403 for a token that it does not know is what it makes of it with JupyterHub too.
    let unknown = clusters("jupyterhub berth_pat_unknown").await;
    assert_eq!(unknown, StatusCode::INTERNAL_SERVER_ERROR);
}
