//! The hub is restarted again and again, every other time by `kill -9`, under two hundred servers,
//! five hundred websockets through the proxy and fifty API requests a second: no websocket is
//! dropped, no request fails but those that were in the hub's hands when it died, and nothing is
//! other than it was.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::{SinkExt, StreamExt, stream};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use super::site::{PATIENCE, Site, until, user};

const HOSTS: usize = 4;
pub const PEOPLE: usize = 20;
const SERVERS_EACH: usize = 10;
const WEBSOCKETS: usize = 500;
const REQUESTS_A_SECOND: u32 = 50;
/// So long the proxy surely waits for a hub that is away.
const PROXY_WAITS: Duration = Duration::from_secs(4);
/// Each websocket sends something so often.
const TALK: Duration = Duration::from_secs(1);

/// Restarts in a run: a share of them, or all.
fn restarts() -> usize {
    if std::env::var_os("BERTH_LONG").is_some() { 100 } else { 6 }
}

/// What goes on beside the blows.
#[derive(Debug, Default)]
pub struct Traffic {
    pub over: AtomicBool,
    pub echoed: AtomicUsize,
    pub dropped: AtomicUsize,
    pub answered: AtomicUsize,
    /// Tokens whose making was acknowledged.
    pub tokens: Mutex<Vec<String>>,
    /// Begin and end of each request that failed, and how.
    pub failed: Mutex<Vec<(Instant, Instant, String)>>,
}

#[tokio::test(flavor = "multi_thread")]
async fn restarts_of_the_hub_cost_nobody_anything() {
    let mut site = Site::new(HOSTS).await;
    let watch = site.watch();
    let prefixes = people_with_servers(&site).await;
    let before = site.containers();
    assert_eq!(before.len(), prefixes.len());

    let traffic = Arc::new(Traffic::default());
    let front = site.url.trim_start_matches("http://").to_owned();
    let mut sockets = Vec::new();
    for number in 0..WEBSOCKETS {
        let prefix = &prefixes[number % prefixes.len()];
        let address = format!("ws://{front}{prefix}ws");
        sockets.push(tokio::spawn(talk(address, Arc::clone(&traffic))));
    }
    until("every websocket talks", async || {
        (traffic.echoed.load(Ordering::Relaxed) >= WEBSOCKETS).then_some(())
    })
    .await;
    let ask = ask(site.http.clone(), site.url.clone(), site.token.clone(), Arc::clone(&traffic));
    let asking = tokio::spawn(ask);

    let mut deaths = Vec::new();
    let mut away = Vec::new();
    for number in 0..restarts() {
        tokio::time::sleep(Duration::from_millis(700)).await;
        let hub = site.hub.as_mut().unwrap();
        let begun = Instant::now();
        if number % 2 == 0 {
            hub.kill().await.unwrap();
        } else {
            let pid = i32::try_from(hub.id().unwrap()).unwrap();
            let pid = rustix::process::Pid::from_raw(pid).unwrap();
            rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
            hub.wait().await.unwrap();
        }
        let died = Instant::now();
        site.start_hub(None);
        until("the hub answers", async || {
            site.ask(Method::GET, "/hub/api/berth/hosts", None).await
        })
        .await;
        away.push(begun.elapsed());
        // Requests wait for it in the proxy; a machine that lets them wait too long explains more.
        let in_time = begun.elapsed() < PROXY_WAITS;
        deaths.push((begun, if in_time { died } else { Instant::now() }));
        site.all_ready().await;
    }

    traffic.over.store(true, Ordering::Relaxed);
    asking.await.unwrap();
    for socket in sockets {
        socket.await.unwrap();
    }
    away.sort();
    println!(
        "{} restarts: away for {:?} in the middle, {:?} at most; {} messages echoed, {} requests \
         answered, {} failed in flight",
        away.len(),
        away[away.len() / 2],
        away[away.len() - 1],
        traffic.echoed.load(Ordering::Relaxed),
        traffic.answered.load(Ordering::Relaxed),
        traffic.failed.lock().unwrap().len(),
    );
    assert_eq!(traffic.dropped.load(Ordering::Relaxed), 0, "websockets were dropped");
    let failed = traffic.failed.lock().unwrap().clone();
    let in_flight = |(begun, ended, _): &&(Instant, Instant, String)| {
        deaths.iter().any(|(from, to)| begun <= to && ended >= from)
    };
    let wrong: Vec<_> = failed.iter().filter(|it| !in_flight(it)).collect();
    assert!(wrong.is_empty(), "requests that no death explains: {wrong:?}");
    assert_eq!(site.containers(), before, "the servers run on, and no other");
    site.assert_sound("after all restarts").await;
    for prefix in &prefixes {
        let answer = site.http.get(format!("{}{prefix}api", site.url)).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{prefix}");
    }
    let tokens = traffic.tokens.lock().unwrap().clone();
    assert!(!tokens.is_empty());
    for token in tokens {
        let (status, _) = site.ask_as(&token, Method::GET, "/hub/api/user", None).await.unwrap();
        assert_eq!(status, StatusCode::OK, "a token that was acknowledged");
    }
    watch.assert_nothing("after all restarts");
}

/// People with servers that are reached. Returns their paths.
pub async fn people_with_servers(site: &Site) -> Vec<String> {
    let names: Vec<_> = (0..PEOPLE).map(|number| format!("r{number}")).collect();
    for (number, name) in names.iter().enumerate() {
        let uid = 40_000 + u32::try_from(number).unwrap();
        site.insist(Method::POST, "/hub/api/berth/users", Some(user(name, uid))).await;
    }
    let all = names.iter().flat_map(|name| (0..SERVERS_EACH).map(move |it| (name, it)));
    let started = stream::iter(all).map(async |(name, number)| {
        let path = format!("/hub/api/users/{name}/servers/s{number}");
        let (status, answer) = site.insist(Method::POST, &path, Some(json!({}))).await;
        assert!(status.is_success(), "{path}: {status} {answer}");
        let prefix = format!("/user/{name}/s{number}/");
        until("the server is reached", async || {
            let answer = site.http.get(format!("{}{prefix}api", site.url)).send().await.ok()?;
            let reached = answer.status() == StatusCode::OK;
            (reached && answer.text().await.ok()? == "{}").then_some(())
        })
        .await;
        prefix
    });
    started.buffered(32).collect().await
}

/// A websocket that says something and hears it, again and again.
pub async fn talk(address: String, traffic: Arc<Traffic>) {
    // As a page of the site would: from elsewhere the proxy lets nobody open one.
    let mut request = address.as_str().into_client_request().unwrap();
    let origin = format!("http://{}", request.uri().authority().unwrap());
    request.headers_mut().insert("origin", origin.parse().unwrap());
    // A busy machine may refuse some of five hundred that are opened at once.
    let end = Instant::now() + PATIENCE;
    let mut socket = loop {
        match tokio_tungstenite::connect_async(request.clone()).await {
            Ok((socket, _)) => break socket,
            Err(error) => assert!(Instant::now() < end, "{address}: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    for number in 0_u64.. {
        let text = number.to_string();
        let there_and_back = async {
            socket.send(Message::text(text.clone())).await.ok()?;
            socket.next().await?.ok()
        };
        match there_and_back.await {
            Some(Message::Text(heard)) if heard == text.as_str() => {
                traffic.echoed.fetch_add(1, Ordering::Relaxed);
            }
            other => {
                println!("{address}: {other:?}");
                traffic.dropped.fetch_add(1, Ordering::Relaxed);
                return;
            }
        }
        if traffic.over.load(Ordering::Relaxed) {
            return;
        }
        tokio::time::sleep(TALK).await;
    }
}

/// Requests to the hub's API, at an even pace whether or not they are answered.
pub async fn ask(http: Client, url: String, token: String, traffic: Arc<Traffic>) {
    let mut pace = tokio::time::interval(Duration::from_secs(1) / REQUESTS_A_SECOND);
    let mut open = tokio::task::JoinSet::new();
    for number in 0.. {
        if traffic.over.load(Ordering::Relaxed) {
            break;
        }
        pace.tick().await;
        // Every tenth saves something.
        let path = format!("{url}/hub/api/users/r{}", number % PEOPLE);
        let request = match number % 10 {
            0 => http.post(format!("{path}/tokens")).json(&json!({ "note": "load" })),
            _ => http.get(path),
        };
        let request = request.header("authorization", format!("token {token}"));
        let traffic = Arc::clone(&traffic);
        open.spawn(async move {
            let begun = Instant::now();
            let answer = request.send().await;
            let told = match answer {
                Ok(answer) if answer.status() == StatusCode::CREATED => match answer.text().await {
                    Ok(made) => {
                        let made: Value = serde_json::from_str(&made).unwrap();
                        let token = made["token"].as_str().unwrap().to_owned();
                        traffic.tokens.lock().unwrap().push(token);
                        None
                    }
                    Err(error) => Some(error.to_string()),
                },
                Ok(answer) if answer.status() == StatusCode::OK => {
                    answer.text().await.err().map(|error| error.to_string())
                }
                Ok(answer) => Some(answer.status().to_string()),
                Err(error) => Some(format!("{error:?}")),
            };
            match told {
                None => drop(traffic.answered.fetch_add(1, Ordering::Relaxed)),
                Some(why) => {
                    traffic.failed.lock().unwrap().push((begun, Instant::now(), why));
                }
            }
        });
    }
    while open.join_next().await.is_some() {}
}
