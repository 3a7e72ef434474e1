//! The site's files change again and again, every other time with a mistake, under two hundred
//! servers with websockets, fifty API requests a second and people who start more: no websocket is
//! dropped, no request fails, every start comes to its end, and what was wrong has changed nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::{StreamExt, stream};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::restarts::{PEOPLE, Traffic, ask, people_with_servers, talk};
use super::site::{Site, until};

const WEBSOCKETS: usize = 100;
/// Servers that are started while the files change, so many of them at a time.
const STARTS: usize = 100;
const AT_ONCE: usize = 4;

/// A file, what stands there for a while, and whether it can be used.
const CHANGES: [(&str, &str, bool); 6] = [
    ("quotas.toml", "default = { servers = 1000, memory = \"900 GB\" }\n", true),
    ("quotas.toml", "default = { servers = 1000, memory = \"900\" }\n", false),
    ("pools.toml", "[pool.cpu]\nstrategy = \"pack\"\n", true),
    ("pools.toml", "[pool.cpu\n", false),
    ("access.toml", "deny = [ { users = [\"nobody\"], reason = \"gone\" } ]\n", true),
    ("access.toml", "allow = [ { profile = \"cpus\", groups = [\"*\"] } ]\n", false),
];

#[tokio::test(flavor = "multi_thread")]
async fn reloads_cost_nobody_anything() {
    // Room for three hundred servers of a gigabyte: on two hosts the last of them would wait.
    let site = Site::new(4).await;
    let watch = site.watch();
    let prefixes = people_with_servers(&site).await;
    let before = site.containers();
    let traffic = Arc::new(Traffic::default());
    let front = site.url.trim_start_matches("http://").to_owned();
    let sockets: Vec<_> = prefixes
        .iter()
        .take(WEBSOCKETS)
        .map(|prefix| tokio::spawn(talk(format!("ws://{front}{prefix}ws"), Arc::clone(&traffic))))
        .collect();
    until("every websocket talks", async || {
        (traffic.echoed.load(Ordering::Relaxed) >= WEBSOCKETS).then_some(())
    })
    .await;
    let asking = ask(site.http.clone(), site.url.clone(), site.token.clone(), Arc::clone(&traffic));
    let asking = tokio::spawn(asking);

    let started = AtomicUsize::new(0);
    let reloads = tokio::join!(start_more(&site, &started), change_files(&site, &started)).1;
    assert!(reloads > CHANGES.len(), "only {reloads} reloads while people started");

    traffic.over.store(true, Ordering::Relaxed);
    asking.await.unwrap();
    for socket in sockets {
        socket.await.unwrap();
    }
    println!(
        "{reloads} reloads: {} messages echoed, {} requests answered, {STARTS} starts",
        traffic.echoed.load(Ordering::Relaxed),
        traffic.answered.load(Ordering::Relaxed),
    );
    assert_eq!(traffic.dropped.load(Ordering::Relaxed), 0, "websockets were dropped");
    let failed = traffic.failed.lock().unwrap().clone();
    assert!(failed.is_empty(), "requests failed: {failed:?}");
    let after = site.containers();
    assert_eq!(after.len(), before.len() + STARTS);
    assert!(before.iter().all(|one| after.contains(one)), "the servers run on");
    site.assert_sound("after all reloads").await;
    let tokens = traffic.tokens.lock().unwrap().clone();
    for token in tokens {
        let (status, _) = site.ask_as(&token, Method::GET, "/hub/api/user", None).await.unwrap();
        assert_eq!(status, StatusCode::OK, "a token that was acknowledged");
    }
    watch.assert_nothing("after all reloads");
}

/// People start servers, until each of these is reached.
async fn start_more(site: &Site, started: &AtomicUsize) {
    let all = stream::iter(0..STARTS).map(async |number| {
        let name = format!("r{}", number % PEOPLE);
        let path = format!("/hub/api/users/{name}/servers/more{number}");
        let (status, answer) = site.ask(Method::POST, &path, Some(json!({}))).await.unwrap();
        assert!(status.is_success(), "{path}: {status} {answer}");
        let address = format!("{}/user/{name}/more{number}/api", site.url);
        until("the server is reached", async || {
            let answer = site.http.get(&address).send().await.ok()?;
            let reached = answer.status() == StatusCode::OK;
            (reached && answer.text().await.ok()? == "{}").then_some(())
        })
        .await;
        started.fetch_add(1, Ordering::Relaxed);
    });
    all.buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
}

/// Changes the files until all have started; returns how often.
async fn change_files(site: &Site, started: &AtomicUsize) -> usize {
    let config = site.folder.path().join("config");
    let reload = async || -> Value {
        let path = "/hub/api/berth/config/reload";
        let (status, answer) = site.ask(Method::POST, path, None).await.unwrap();
        assert_eq!(status, StatusCode::OK, "{answer}");
        answer["config"].clone()
    };
    let effective = async || {
        let path = "/hub/api/berth/config/effective/r0";
        site.ask(Method::GET, path, None).await.unwrap().1
    };
    let mut reloads = 0;
    for (name, text, is_good) in CHANGES.iter().cycle() {
        if started.load(Ordering::Relaxed) == STARTS {
            break;
        }
        let path = config.join(name);
        let good = std::fs::read(&path).unwrap_or_else(|_| b"version = 1\n".to_vec());
        let before = effective().await;
        berth_process::file::replace(&path, format!("version = 1\n{text}").as_bytes(), 0o644)
            .unwrap();
        let told = reload().await;
        assert_eq!(told["applied"], json!(is_good), "{text}: {told}");
        if !is_good {
            let first = &told["found"][0];
            assert_eq!(first["file"], json!(name), "{told}");
            assert!(first["line"].as_u64().unwrap() > 0, "{told}");
            assert_eq!(effective().await, before, "nothing is applied");
        }
        berth_process::file::replace(&path, &good, 0o644).unwrap();
        assert_eq!(reload().await["applied"], json!(true));
        reloads += 1;
    }
    reloads
}
