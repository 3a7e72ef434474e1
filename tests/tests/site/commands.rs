//! The real command against the real hub: what the one says the other must understand.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::site::Site;

#[tokio::test(flavor = "multi_thread")]
async fn every_command_that_reads_understands_the_hub() {
    let site = Site::running();
    let person = site.user("reader", 21_090).await;
    person.start(json!({})).await;
    person.ready().await;
    let record = person.record().await;
    let (server, decision) = (record["id"].as_str().unwrap(), record["decision"].as_str().unwrap());
    let host = site.laptop_host();
    let config = site.state.join("config");
    let config = config.to_str().unwrap();
    let commands: &[&[&str]] = &[
        &["host", "list"],
        &["host", "show", &host],
        &["host", "cordon", &host, "--reason", "a look", "--dry-run"],
        &["host", "drain", &host, "--by", "2h", "--reason", "a look", "--dry-run"],
        &["profile", "list"],
        &["queue", "list"],
        &["server", "list"],
        &["server", "show", server],
        &["server", "logs", server],
        &["decision", "list"],
        &["decision", "show", decision],
        &["explain", "server", server],
        &["explain", "server", server, "--why-not", &host],
        &["explain", "decision", decision],
        &["explain", "host", &host],
        &["explain", "request", "--user", "reader", "--memory", "2 GB"],
        &["plan", "remove-host", &host],
        &["plan", "add-host", "--like", &host],
        &["plan", "config", config, "--replay", "1d"],
        &["user", "list"],
        &["whoami"],
        &["whois", "reader"],
    ];
    let folder = std::env::var("BERTH_BIN").unwrap_or_else(|_| "target/release".into());
    for arguments in commands {
        let out = Command::new(Path::new(&folder).join("berth"))
            .args(*arguments)
            .env("BERTH_URL", &site.url)
            .env("BERTH_TOKEN_FILE", site.state.join("admin-token"))
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "berth {}: {told}", arguments.join(" "));
        if arguments.starts_with(&["server", "logs"]) {
            let log = String::from_utf8_lossy(&out.stdout);
            assert!(log.contains("ServerApp"), "its own words, over the link: {log}");
        }
        assert!(
            !out.stdout.is_empty() || !told.is_empty(),
            "berth {} says nothing",
            arguments.join(" ")
        );
    }
    person.stop().await;
}
