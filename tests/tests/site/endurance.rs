//! What a `kill -9` costs: hub and agent nothing, tunnel and proxy a reconnect, with the hub away
//! too.

use std::time::Duration;

use futures::StreamExt;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::kernel::Kernel;
use crate::site::{Person, Site, until};

/// A cell that prints a number every tenth of a second, and ends when the file `stop` appears.
const COUNTING: &str = "
import time, os, itertools
for n in itertools.count():
    print(n, flush=True)
    time.sleep(0.1)
    if os.path.exists('stop'):
        break
print('--counted--')";

/// Downloads a large file slowly, in the background; returns its size.
fn download(person: &Person<'_>) -> tokio::task::JoinHandle<usize> {
    let request = person
        .site
        .http
        .get(format!("{}/user/{}/files/big.bin", person.site.url, person.name))
        .header("authorization", format!("token {}", person.token));
    tokio::spawn(async move {
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let mut body = response.bytes_stream();
        let mut size = 0;
        while let Some(part) = body.next().await {
            size += part.expect("the download broke").len();
            // Slow on purpose, so that it is under way while things die. Not a wait for anything.
            if size % (8 << 20) < (64 << 10) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        size
    })
}

const BIG: u64 = 400 << 20;

/// Numbers must follow each other without a gap: nothing was lost and nothing began anew.
fn assert_counts_on(output: &str) {
    let numbers: Vec<u64> = output.lines().filter_map(|line| line.parse().ok()).collect();
    assert!(numbers.len() > 5, "{output}");
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "a gap in {numbers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_hub_and_agent_disturbs_neither_cell_nor_download() {
    let site = Site::running();
    let person = site.user("steady", 21_020).await;
    person.start(json!({})).await;
    let before = person.record().await;
    let host = before["host"].as_str().unwrap().to_owned();
    let mut kernel = Kernel::start(&person, "python3").await;
    kernel.run("import os\nif os.path.exists('stop'): os.remove('stop')").await;
    kernel.run(&format!("with open('big.bin', 'wb') as f: f.truncate({BIG})")).await;

    kernel.send(COUNTING).await;
    let mut output = kernel.output_until("3\n").await;
    let downloading = download(&person);

    let hub = site.kill("hub");
    let agent = site.kill(&format!("agent-{host}"));
    output.push_str(&kernel.output_until("20\n").await);
    site.replaced("hub", hub).await;
    site.replaced(&format!("agent-{host}"), agent).await;
    site.hub_answers().await;

    std::fs::write(person.home.join("stop"), "").unwrap();
    output.push_str(&kernel.output_until("--counted--").await);
    assert_counts_on(&output);
    assert_eq!(downloading.await.unwrap() as u64, BIG, "the download is whole");

    // The new hub adopts the server and shows the same state, once its host has spoken.
    let after = until("the new hub shows the server running", async || {
        let record = person.record().await;
        (record["state"] == json!("running")).then_some(record)
    })
    .await;
    for same in ["id", "generation", "host", "decision", "placed_at"] {
        assert_eq!(after[same], before[same], "{same}");
    }
    assert_eq!(site.containers(after["id"].as_str().unwrap()).len(), 1);
    person.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_death_of_tunnel_or_proxy_websockets_are_back_within_five_seconds() {
    let site = Site::running();
    let person = site.user("patient", 21_021).await;
    person.start(json!({})).await;
    let host = person.record().await["host"].as_str().unwrap().to_owned();
    let mut kernel = Kernel::start(&person, "python3").await;
    kernel.run("import threading, time\nticks = []\ndef tick():\n    while True: ticks.append(1); time.sleep(0.05)\nthreading.Thread(target=tick, daemon=True).start()").await;

    for hub_away in [false, true] {
        if hub_away {
            site.take_away("hub");
        }
        for name in [format!("tunnel-{host}"), "proxy".to_owned()] {
            let before: u64 = ticks(&mut kernel).await;
            let former = site.kill(&name);
            kernel.cut().await;
            let took = kernel.reconnect(Duration::from_secs(5)).await;
            println!("{name} killed, hub away: {hub_away}: the websocket was back after {took:?}");
            site.replaced(&name, former).await;
            assert!(ticks(&mut kernel).await > before, "the computation went on");
        }
    }
    site.bring_back("hub");
    site.hub_answers().await;
    person.stop().await;
}

async fn ticks(kernel: &mut Kernel<'_>) -> u64 {
    let output = kernel.run("print('ticks', len(ticks))").await;
    output.lines().find_map(|line| line.strip_prefix("ticks ")?.parse().ok()).expect(&output)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_killed_during_a_start_goes_on_with_it() {
    let site = Site::running();
    let person = site.user("unlucky", 21_022).await;
    let path = "/hub/api/users/unlucky/server";
    let before = person.generation().await;
    let begin = person.site.http.post(format!("{}{path}", site.url));
    let asked = begin.header("authorization", format!("token {}", person.token)).send();
    let asked = tokio::spawn(asked);
    until("the start is accepted", async || {
        let server = person.server().await?;
        (server["pending"] == json!("spawn")).then_some(())
    })
    .await;
    let hub = site.kill("hub");
    let _ = asked.await;
    site.replaced("hub", hub).await;
    site.hub_answers().await;
    person.ready().await;
    let record = person.record().await;
    assert_eq!(
        person.generation().await,
        before + 1,
        "the start that was begun was finished: {record}"
    );
    let (status, user) = person.call(Method::GET, "/user/unlucky/api/status", None).await;
    assert_eq!(status, StatusCode::OK, "{user}");
    person.stop().await;
}
