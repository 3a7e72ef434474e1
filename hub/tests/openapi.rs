//! The OpenAPI documents are true: schemathesis, unchanged from PyPI, asks all that they describe,
//! rightly and wrongly, and finds no fault of the hub and no answer that is not described.
//! `BERTH_LONG=1` lets it ask fifty times as much.

use std::process::Output;

use tokio::net::TcpListener;
use tokio::process::Command;

use crate::site::{Site, host};
use crate::venv;

async fn schemathesis(site: &Site, document: &str, token: &str) -> Output {
    let python = venv::python("schemathesis", include_str!("programs/schemathesis.txt"));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = site.router.clone();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let folder = tempfile::tempdir().unwrap();
    let examples = if std::env::var_os("BERTH_LONG").is_some() { "100" } else { "2" };
    Command::new(python.with_file_name("st"))
        .args(["run", &format!("{url}{document}"), "--url", &url])
        .args([
            "--checks",
            "not_a_server_error,status_code_conformance,response_schema_conformance",
        ])
        .args(["--header", &format!("Authorization: token {token}")])
        .args(["--phases", "examples,coverage,fuzzing", "--max-examples", examples])
        .args(["--suppress-health-check", "all", "--no-shrink", "--warnings", "off"])
        .args(["--continue-on-failure", "--generation-database", "none"])
        .current_dir(folder.path())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap()
}

async fn check(document: &str) {
    let site = Site::new().await;
    host::serve_proxy(&site);
    site.running("alice", "n1").await;
    let token = site.token("root_", &["inherit"]).await;
    let done = tokio::select! {
        done = schemathesis(&site, document, &token) => done,
        () = host::work(&site) => unreachable!("the host works for ever"),
        () = host::answer(&site) => unreachable!("the host answers for ever"),
    };
    let said = String::from_utf8_lossy(&done.stdout);
    let wrong = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}{wrong}");
}

#[tokio::test(flavor = "multi_thread")]
async fn jupyterhubs_part_is_true() {
    check("/hub/api/spec").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn our_own_part_is_true() {
    check("/hub/api/berth/spec").await;
}
