//! The hub is killed again and again under load: notebooks notice nothing, and requests to the hub
//! wait for the next one.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use berth_proto::tunnel::Status;
use serde_json::json;
use tokio::process::{Child, Command};

use crate::mutation::share;
use crate::program::signal;
use crate::world::{Client, Host, Reply, SWITCH, World, ok, run_long, serve_unix};

const SOCKET: &str = "BERTH_TEST_HUB_SOCKET";

/// The hub's process: this program again, with the name of its socket in the environment.
#[test]
fn the_hubs_process() {
    let Some(path) = std::env::var_os(SOCKET) else { return };
    run_long(async {
        serve_unix(Path::new(&path), |request| {
            Reply::Say(ok(request.head.lines().next().unwrap_or_default()))
        })
        .await;
    });
}

fn start_hub(path: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "hub_kills::the_hubs_process", "--nocapture"])
        .env(SOCKET, path)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

async fn get(world: &World, path: &str) -> String {
    world.get(path, "").await.short()
}

#[test]
fn a_killed_hub_costs_notebooks_nothing_and_its_own_pages_a_moment() {
    run_long(async {
        let world = Arc::new(World::new().await);
        let host = Host::new(&world.authority, "wn01", "wn01", |request| {
            if request.head.to_ascii_lowercase().contains("upgrade: websocket") {
                return Reply::SayAndEcho(SWITCH.into());
            }
            Reply::Say(ok("notebook"))
        })
        .await;
        host.set(7, Status::Ok);
        world.alice(&host, 7).await;
        let socket = world.folder.path().join("hub.sock");
        let mut hub = start_hub(&socket);
        let escaped = socket.to_str().unwrap().replace('/', "%2F");
        let record = json!({"target": format!("http+unix://{escaped}"), "hub": true});
        assert_eq!(world.api_json("POST", "/api/routes/", &record).await.status, 201);
        assert_eq!(get(&world, "/hub/first").await, "200 GET /hub/first HTTP/1.1");

        let stop = Arc::new(AtomicBool::new(false));
        let answered = Arc::new(AtomicUsize::new(0));
        let load = (0..3).map(|_| {
            let (world, stop, answered) = (world.clone(), stop.clone(), answered.clone());
            tokio::spawn(async move {
                let mut socket = world.client().await;
                socket
                    .send(
                        "GET /user/alice/ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n\
                         Upgrade: websocket\r\nAuthorization: token x\r\n\
                         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n\r\n",
                    )
                    .await;
                assert_eq!(socket.response().await.status, 101);
                while !stop.load(Ordering::Relaxed) {
                    // A connection of its own for each: none may be refused.
                    assert_eq!(get(&world, "/user/alice/x").await, "200 notebook");
                    socket.send("ping").await;
                    assert_eq!(socket.bytes(4).await, b"ping");
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            })
        });
        let load: Vec<_> = load.collect();
        let kills = share(5, 200);
        for kill in 0..kills {
            signal(hub.id().unwrap(), "KILL");
            hub.wait().await.unwrap();
            // Asked while there is no hub; nothing was sent, so that any method may wait.
            let asking = tokio::spawn({
                let world = world.clone();
                async move {
                    let mut client = Client::new(
                        tokio::net::TcpStream::connect(world.proxy.front).await.unwrap(),
                    );
                    let method = if kill % 2 == 0 { "GET" } else { "POST" };
                    client
                        .send(&format!(
                            "{method} /hub/{kill} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
                        ))
                        .await;
                    (method, client.response().await.short())
                }
            });
            assert_eq!(get(&world, "/user/alice/x").await, "200 notebook");
            hub = start_hub(&socket);
            let (method, answer) = asking.await.unwrap();
            assert_eq!(answer, format!("200 {method} /hub/{kill} HTTP/1.1"));
        }
        stop.store(true, Ordering::Relaxed);
        for task in load {
            task.await.unwrap();
        }
        assert!(answered.load(Ordering::Relaxed) > kills);
    });
}
