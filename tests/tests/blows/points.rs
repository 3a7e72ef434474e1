//! Hub and proxy die at each of their crash points, as if by `kill -9`, in the middle of what people
//! and hosts do, and are started again. Then what was acknowledged is there, nothing was started
//! twice, and all is as it was meant. A point that no scenario reaches is a failure, and so is one
//! that has none. Those of agent and tunnel are tried in `agent/tests/host/crash.rs`, with Docker.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use berth_common::Timestamp;
use futures::{StreamExt, stream};
use reqwest::{Method, StatusCode};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use super::site::{Site, killed, listed, until, user};

/// Sites beside each other, each with a share of the points.
const SITES: usize = 2;

/// Points that the hub passes while a person lives through a day, and which passages end it.
const HUB_LIFE: [(&str, &[u32]); 23] = [
    ("store.epoch.before_commit", &[1]),
    ("store.epoch.after_commit", &[1]),
    ("store.commit.before", &[1, 4]),
    ("store.commit.inside", &[1, 5]),
    ("store.commit.after", &[1, 4]),
    ("store.together.inside", &[1, 3]),
    ("store.user.after", &[1]),
    ("hub.write.before", &[4, 9, 14]),
    ("hub.write.after", &[4, 9, 14]),
    ("hub.write_later.before", &[1]),
    ("hub.write_later.after", &[1]),
    ("hub.before_reply", &[1, 2]),
    ("hub.after_reply", &[1, 2]),
    ("hub.web.before_answer", &[1, 2, 3]),
    ("hub.link.before_send", &[1, 4]),
    ("hub.link.after_send", &[1, 4]),
    ("hub.routes.before_revoke", &[1, 2]),
    ("hub.routes.after_revoke", &[1, 2]),
    ("hub.routes.before_sync", &[1]),
    ("hub.routes.after_sync", &[1]),
    ("hub.routes.before_add", &[1]),
    ("hub.routes.after_add", &[1]),
    ("hub.routes.before_remove", &[1]),
];
const HUB_LIFE_TOO: [(&str, &[u32]); 6] = [
    // The handshake, and what comes later.
    ("hub.link.inside_send", &[1, 12]),
    ("hub.routes.inside_send", &[1, 3]),
    ("hub.web.inside_answer", &[1, 4, 7]),
    ("hub.routes.after_remove", &[1]),
    ("store.statement.row", &[3, 9, 15, 21]),
    ("store.statement.commit", &[1, 5, 9, 13]),
];
const HUB_FILES: [&str; 3] = ["file.inside", "file.before_rename", "file.after_rename"];
const HUB_JOIN: [&str; 3] = ["hub.join.before_use", "hub.join.after_use", "hub.join.before_answer"];
const HUB_RENEW: [&str; 1] = ["hub.renew.before_answer"];
const HUB_MAIL: [&str; 2] = ["hub.mail.before_send", "hub.mail.after_send"];
const HUB_RESTORE: [&str; 3] = ["restore.staged", "restore.aside", "restore.in_place"];

const PROXY_LIFE: [(&str, &[u32]); 14] = [
    ("proxy.api.before_answer", &[1, 3]),
    ("proxy.api.inside_answer", &[1, 3]),
    ("proxy.tunnel.before_ask", &[1]),
    ("proxy.tunnel.inside_ask", &[1]),
    ("proxy.tunnel.after_ask", &[1]),
    ("proxy.table.changed", &[1, 2]),
    ("proxy.routes.before_save", &[1, 2]),
    ("proxy.routes.former_kept", &[1, 2]),
    ("proxy.routes.after_save", &[1, 2]),
    ("proxy.hub_users.before_save", &[1]),
    ("proxy.hub_users.after_save", &[1]),
    ("file.inside", &[1]),
    ("file.before_rename", &[1]),
    ("file.after_rename", &[1]),
];
const PROXY_UPGRADE: [&str; 3] =
    ["proxy.handover.before", "proxy.handover.after", "proxy.handover.ready"];

fn names(life: &[(&'static str, &[u32])]) -> Vec<&'static str> {
    life.iter().map(|(name, _)| *name).collect()
}

#[tokio::test]
async fn every_crash_point_has_a_scenario() {
    let owned = |all: Vec<&str>| all.into_iter().map(str::to_owned).collect::<BTreeSet<_>>();
    let hub = [
        &names(&HUB_LIFE)[..],
        &names(&HUB_LIFE_TOO),
        &HUB_FILES,
        &HUB_JOIN,
        &HUB_RENEW,
        &HUB_MAIL,
        &HUB_RESTORE,
    ];
    assert_eq!(listed("berth-hub", &["crash-points"]).await, owned(hub.concat()));
    let proxy = [&names(&PROXY_LIFE)[..], &PROXY_UPGRADE];
    // Without a file's name it would be configurable-http-proxy.
    let list = ["--config", "none", "--crash-points"];
    assert_eq!(listed("berth-proxy", &list).await, owned(proxy.concat()));
}

/// Each point with each of its passages.
fn passages(life: &[(&'static str, &'static [u32])]) -> Vec<String> {
    let each = |(name, passages): &(&str, &'static [u32])| {
        let name = (*name).to_owned();
        passages.iter().map(move |passage| format!("{name}:{passage}")).collect::<Vec<_>>()
    };
    life.iter().flat_map(each).collect()
}

/// Tries all points of a scenario, shared out over some sites.
pub async fn each(
    points: Vec<String>,
    more: &str,
    try_one: impl AsyncFnMut(&mut Site, &str) + Clone,
) {
    let share = points.len().div_ceil(SITES);
    stream::iter(points.chunks(share))
        .map(|points| {
            let mut try_one = try_one.clone();
            async move {
                let mut site = Site::with(2, more).await;
                let watch = site.watch();
                for point in points {
                    try_one(&mut site, point).await;
                    site.all_ready().await;
                    site.assert_sound(point).await;
                    watch.assert_nothing(point);
                }
            }
        })
        .buffer_unordered(SITES)
        .collect::<()>()
        .await;
}

/// The hub is replaced by one that dies at a point while something is done, and comes back.
pub async fn hub_dies(site: &mut Site, point: &str, act: impl AsyncFn(&Site)) {
    site.hub.as_mut().unwrap().kill().await.unwrap();
    site.start_hub(Some(point));
    let mut armed = site.hub.take().unwrap();
    let again = while_acting(site, &mut armed, point, act, |site| site.hub_process(None)).await;
    site.hub = Some(again);
}

/// The same with the proxy.
async fn proxy_dies(site: &mut Site, point: &str, act: impl AsyncFn(&Site)) {
    site.proxy.as_mut().unwrap().kill().await.unwrap();
    site.start_proxy(Some(point));
    let mut armed = site.proxy.take().unwrap();
    let again = while_acting(site, &mut armed, point, act, |site| site.proxy_process(None)).await;
    site.proxy = Some(again);
}

/// Acts, again and again if need be, until the armed process has died and the act after it is done.
async fn while_acting(
    site: &Site,
    armed: &mut tokio::process::Child,
    point: &str,
    act: impl AsyncFn(&Site),
    again: impl Fn(&Site) -> tokio::process::Child,
) -> tokio::process::Child {
    let dead = Cell::new(false);
    let death = async {
        killed(armed, point).await;
        dead.set(true);
        again(site)
    };
    let acts = async {
        loop {
            act(site).await;
            if dead.get() {
                return;
            }
        }
    };
    tokio::join!(death, acts).0
}

/// A person of whom nobody has heard.
pub fn somebody() -> (String, u32) {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    (format!("p{number}"), 30_000 + number)
}

/// A person appears, gets tokens, starts a server, uses it, ends a token and stops the server.
/// Whatever was acknowledged is looked at again at the end.
async fn life(site: &Site) {
    let (name, uid) = somebody();
    let made = site.insist(Method::POST, "/hub/api/berth/users", Some(user(&name, uid))).await;
    // Without an answer it may have been made all the same; asked again, it is there.
    assert!([StatusCode::CREATED, StatusCode::CONFLICT].contains(&made.0), "{name}: {made:?}");
    let (keeps, _) = token(site, &name).await;
    let (ended, id) = token(site, &name).await;
    for token in [&keeps, &ended] {
        assert_eq!(whoami(site, token).await, StatusCode::OK, "{name}: a token that was given");
    }

    let path = format!("/hub/api/users/{name}/server");
    let started = site.insist(Method::POST, &path, Some(json!({}))).await;
    let there = started.0.is_success() || started.0 == StatusCode::BAD_REQUEST;
    assert!(there, "{name}: {started:?}");
    until(&format!("{name} reaches the server"), async || reaches(site, &name).await.then_some(()))
        .await;

    let one = format!("/hub/api/users/{name}/tokens/{id}");
    let gone = site.insist(Method::DELETE, &one, None).await.0;
    assert!([StatusCode::NO_CONTENT, StatusCode::NOT_FOUND].contains(&gone), "{name}: {gone}");

    let stopped = site.insist(Method::DELETE, &path, None).await;
    assert!(stopped.0.is_success(), "{name}: {stopped:?}");
    let server = until(&format!("the server of {name} has ended"), async || {
        let (_, all) = site.ask(Method::GET, "/hub/api/berth/servers", None).await?;
        let server =
            all["servers"].as_array()?.iter().find(|it| it["user"] == json!(name))?.clone();
        let id = server["id"].as_str()?;
        let any = site.containers().iter().any(|it| it.server == id);
        (!any && server["state"] == "ended" && !reaches(site, &name).await).then_some(server)
    })
    .await;
    assert_eq!(server["generation"], 1, "one wish, one start: {server}");
    assert_eq!(whoami(site, &keeps).await, StatusCode::OK, "{name}: a token that nobody ended");
    // While the hub is away, the proxy goes by what it was told last.
    until(&format!("{name}: the token that has ended is refused"), async || {
        (whoami(site, &ended).await == StatusCode::FORBIDDEN).then_some(())
    })
    .await;
}

/// A new token and its id.
async fn token(site: &Site, name: &str) -> (String, String) {
    let path = format!("/hub/api/users/{name}/tokens");
    let (status, made) = site.insist(Method::POST, &path, Some(json!({ "note": "a day" }))).await;
    assert_eq!(status, StatusCode::CREATED, "{name}: {made}");
    let text = |key: &str| made[key].as_str().unwrap().to_owned();
    (text("token"), text("id"))
}

async fn whoami(site: &Site, token: &str) -> StatusCode {
    until("an answer about a token", async || {
        site.ask_as(token, Method::GET, "/hub/api/user", None).await
    })
    .await
    .0
}

/// Whether the person's address leads to the server.
pub async fn reaches(site: &Site, name: &str) -> bool {
    let answer = site.http.get(format!("{}/user/{name}/api", site.url)).send().await;
    let Ok(answer) = answer else { return false };
    answer.status() == StatusCode::OK && answer.text().await.is_ok_and(|text| text == "{}")
}

#[tokio::test]
async fn the_hub_dies_while_people_live() {
    let points = [passages(&HUB_LIFE), passages(&HUB_LIFE_TOO)].concat();
    each(points, "", async |site: &mut Site, point: &str| hub_dies(site, point, life).await).await;
}

#[tokio::test]
async fn the_proxy_dies_while_people_live() {
    let points = passages(&PROXY_LIFE);
    each(points, "", async |site: &mut Site, point: &str| proxy_dies(site, point, life).await)
        .await;
}

#[tokio::test]
async fn the_hub_dies_while_its_files_change() {
    let mut site = Site::new(1).await;
    for point in HUB_FILES {
        hub_dies(&mut site, point, async |site| {
            let profiles = site.folder.path().join("config/profiles.toml");
            let text = fs::read_to_string(&profiles).unwrap();
            fs::write(&profiles, text.replacen("title = \"", "title = \"A", 1)).unwrap();
            site.insist(Method::GET, "/hub/api/berth/hosts", None).await;
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        })
        .await;
        site.all_ready().await;
        let (_, found) = site.insist(Method::GET, "/hub/api/berth/doctor", None).await;
        let found = found["doctor"].as_array().unwrap().iter();
        let found: Vec<_> = found.filter(|it| it["check"] == "configuration").collect();
        assert_eq!(found[0]["verdict"], "ok", "{point}: {found:?}");
    }
}

#[tokio::test]
async fn the_hub_dies_while_a_host_joins_or_renews() {
    let mut site = Site::new(1).await;
    for point in HUB_JOIN {
        hub_dies(&mut site, point, async |site| site.join(0).await).await;
        site.all_ready().await;
    }
    let config = site.machines[0].folder.join("agent.toml");
    let config = berth_agent::config::read(&config).unwrap();
    for point in HUB_RENEW {
        hub_dies(&mut site, point, async |_| {
            let credential = berth_agent::identity::link_credential(&config).unwrap();
            let much_later = Timestamp(i64::MAX / 2);
            until("new certificates", async || {
                berth_agent::identity::renew_if_due(
                    &config,
                    &credential,
                    &berth_agent::link::dial::Tcp,
                    much_later,
                )
                .await
                .ok()
            })
            .await;
        })
        .await;
        site.all_ready().await;
    }
}

#[tokio::test]
async fn the_hub_dies_while_it_sends_mail() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let smtp = listener.local_addr().unwrap();
    let received = Arc::new(std::sync::Mutex::new(Vec::new()));
    tokio::spawn(take_mail(listener, Arc::clone(&received)));
    let mail = format!(
        "[mail]\nsmtp = \"{smtp}\"\nfrom = \"hub@example.org\"\nto = \"{{user}}@example.org\"\ntls = \"none\"\n"
    );
    let mut site = Site::with(1, &mail).await;
    let mut told = BTreeSet::new();
    for point in HUB_MAIL {
        let (name, uid) = somebody();
        site.insist(Method::POST, "/hub/api/berth/users", Some(user(&name, uid))).await;
        site.insist(Method::POST, &format!("/hub/api/users/{name}/server"), Some(json!({}))).await;
        until("the server is there", async || reaches(&site, &name).await.then_some(())).await;
        hub_dies(&mut site, point, async |site| {
            let drain = ["host", "drain", "h1", "--by", "2h", "--reason", "a blow", "--yes"];
            until("the host is to be emptied", async || site.berth(&drain).await.ok()).await;
            until("the mail has come", async || {
                let to = format!("{name}@example.org");
                received.lock().unwrap().iter().any(|it: &Mail| it.to == to).then_some(())
            })
            .await;
        })
        .await;
        let all = received.lock().unwrap().clone();
        let mine: Vec<_> = all.iter().filter(|it| it.to.starts_with(&name)).collect();
        let ids: BTreeSet<_> = mine.iter().map(|it| it.id.clone()).collect();
        assert_eq!(ids.len(), 1, "{point}: one letter, however often it was sent: {mine:?}");
        assert!(told.is_disjoint(&ids), "{point}");
        told.extend(ids);
        until("the host takes servers again", async || {
            site.berth(&["host", "undrain", "h1"]).await.ok()
        })
        .await;
        let path = format!("/hub/api/users/{name}/server");
        assert!(site.insist(Method::DELETE, &path, None).await.0.is_success());
    }
}

/// A letter as the mail server got it.
#[derive(Debug, Clone)]
struct Mail {
    to: String,
    id: String,
}

/// A mail server that takes everything.
async fn take_mail(listener: tokio::net::TcpListener, all: Arc<std::sync::Mutex<Vec<Mail>>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let all = Arc::clone(&all);
        tokio::spawn(async move {
            let (read, mut write) = stream.into_split();
            let mut lines = BufReader::new(read).lines();
            let (mut mail, mut data) = (Mail { to: String::new(), id: String::new() }, false);
            let mut say = write.write_all(b"220 here\r\n").await;
            while let (Ok(()), Ok(Some(line))) = (&say, lines.next_line().await) {
                let upper = line.to_uppercase();
                if let Some(to) = upper.strip_prefix("RCPT TO:<").filter(|_| !data) {
                    mail.to = to.trim_end_matches('>').to_lowercase();
                }
                if data && upper.starts_with("MESSAGE-ID:") {
                    mail.id = line.clone();
                }
                if data && line != "." {
                    continue;
                }
                if data {
                    all.lock().unwrap().push(mail.clone());
                }
                data = !data && upper == "DATA";
                let answer: &[u8] = if data { b"354 go on\r\n" } else { b"250 good\r\n" };
                say = write.write_all(answer).await;
            }
        });
    }
}

/// A backup of an hour ago, as it were: since then people started servers and stopped others.
#[tokio::test]
async fn the_store_of_before_is_restored_and_the_restore_dies() {
    let mut site = Site::new(2).await;
    let watch = site.watch();
    let people: Vec<_> = (0..6).map(|_| somebody()).collect();
    for (name, uid) in &people {
        site.insist(Method::POST, "/hub/api/berth/users", Some(user(name, *uid))).await;
    }
    let start = async |site: &Site, name: &str| {
        let path = format!("/hub/api/users/{name}/server");
        let (status, answer) = site.insist(Method::POST, &path, Some(json!({}))).await;
        assert!(status.is_success(), "{name}: {status} {answer}");
        until("the server is there", async || reaches(site, name).await.then_some(())).await;
    };
    let stop = async |site: &Site, name: &str| {
        let path = format!("/hub/api/users/{name}/server");
        assert!(site.insist(Method::DELETE, &path, None).await.0.is_success());
        until("the server has ended", async || (!reaches(site, name).await).then_some(())).await;
    };
    for point in HUB_RESTORE {
        for (name, _) in &people[..4] {
            start(&site, name).await;
        }
        let root = site.folder.path().to_owned();
        let (state, file) = (root.join("hub"), root.join(format!("backup-{point}")));
        let (state, file) = (state.to_str().unwrap(), file.to_str().unwrap());
        let backup = site.command("berth-hub", &["backup", file, "--state", state], "hub.log");
        assert!({ backup }.status().await.unwrap().success());
        // An hour passes.
        for (name, _) in &people[..2] {
            stop(&site, name).await;
        }
        start(&site, &people[0].0).await;
        for (name, _) in &people[4..] {
            start(&site, name).await;
        }
        let before = site.containers();
        site.hub.as_mut().unwrap().kill().await.unwrap();
        let restore = ["restore", file, "--state", state, "--replace"];
        let mut armed = site.command("berth-hub", &restore, "hub.log");
        let mut armed = armed.env("BERTH_CRASH_AT", point).stdin(Stdio::null()).spawn().unwrap();
        killed(&mut armed, point).await;
        let again = site.command("berth-hub", &restore, "hub.log").status().await.unwrap();
        assert!(again.success(), "{point}");
        site.start_hub(None);
        site.all_ready().await;
        // Who ran runs on, the same containers, and can be reached.
        for (name, _) in [&people[0], &people[2], &people[3], &people[4], &people[5]] {
            until("the server is reached", async || reaches(&site, name).await.then_some(())).await;
        }
        assert_eq!(site.containers(), before, "{point}: nothing was started or ended");
        site.assert_sound(point).await;
        for (name, _) in people.iter().filter(|(name, _)| *name != people[1].0) {
            stop(&site, name).await;
        }
        watch.assert_nothing(point);
    }
}

/// A proxy that dies while it is replaced, or whose successor does, is started again with all
/// routes; whoever dies of the two, people are served by one of them.
#[tokio::test]
async fn the_proxy_dies_while_it_is_replaced() {
    let mut site = Site::new(1).await;
    let (name, uid) = somebody();
    site.insist(Method::POST, "/hub/api/berth/users", Some(user(&name, uid))).await;
    site.insist(Method::POST, &format!("/hub/api/users/{name}/server"), Some(json!({}))).await;
    until("the server is there", async || reaches(&site, &name).await.then_some(())).await;
    for point in PROXY_UPGRADE {
        site.proxy.as_mut().unwrap().kill().await.unwrap();
        site.start_proxy(Some(point));
        until("the server is reached", async || reaches(&site, &name).await.then_some(())).await;
        let mut proxy = site.proxy.take().unwrap();
        let pid = rustix::process::Pid::from_raw(i32::try_from(proxy.id().unwrap()).unwrap());
        rustix::process::kill_process(pid.unwrap(), rustix::process::Signal::USR2).unwrap();
        if point == "proxy.handover.ready" {
            // The successor dies of it, and the proxy says so and goes on.
            until("the successor has died", async || site.log_says("proxy.log", "it has ended"))
                .await;
            assert!(proxy.try_wait().unwrap().is_none(), "{point}");
            site.proxy = Some(proxy);
        } else {
            killed(&mut proxy, point).await;
            site.start_proxy(None);
        }
        until("the server is reached", async || reaches(&site, &name).await.then_some(())).await;
        let (_, answer) = site.insist(Method::GET, "/hub/api/berth/hosts", None).await;
        assert!(answer["hosts"].is_array(), "{point}: {answer}");
    }
}
