//! Other people's programs, unchanged from PyPI, against the hub: JupyterHub's idle culler, Dask's
//! gateway, and a mail server that takes the hub's mail. And the calls of one that runs in an editor.

mod dask;
mod farm;
mod vscode;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use berth_common::{Reason, Seconds, ServerId, Timestamp};
use berth_core::event::Row;
use berth_core::life::Evidence;
use berth_core::settings::{Channel, Cite, IdleRule, Lifecycle, Warn, Whose};
use berth_core::store::Store;
use berth_core::{Event, Fleet, Phase, Server};
use berth_hub::config::{Config, HubConfig, MailConfig, MailTls};
use berth_hub::mail;
use berth_process::clock::now;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::site::{self, Site};
use crate::venv;

/// A Python with the programs in it.
fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| venv::python("programs", include_str!("programs/requirements.txt")))
}

/// A program that ends with the test.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn until(site: &Site, what: &str, is: impl Fn(&Fleet) -> bool) {
    let mut fleet = site.hub.fleet.watch();
    let wait = fleet.wait_for(|fleet| is(fleet));
    let waited = tokio::time::timeout(Duration::from_secs(120), wait).await;
    waited.unwrap_or_else(|_| panic!("never: {what}")).unwrap();
}

/// The hub's port, with everything that it answers.
async fn served(site: &Site) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let router = site.router.clone();
    tokio::spawn(async move { axum::serve(listener, router).await });
    port
}

/// What the culler's documentation gives it.
const CULLER: &[&str] = &["list:users", "read:users:activity", "read:servers", "delete:servers"];

#[tokio::test(flavor = "multi_thread")]
async fn the_idle_culler_stops_idle_servers_and_no_others() {
    let python = python();
    let site = Site::new().await;
    let (idle, busy) = (site.running("alice", "").await, site.running("bob", "").await);
    let named = site.running("alice", "n1").await;
    let port = served(&site).await;
    let token = site.token("root_", CULLER).await;

    let hub = Arc::clone(&site.hub);
    let id = busy.id.clone();
    let works = tokio::spawn(async move {
        let mut every = tokio::time::interval(Duration::from_millis(100));
        loop {
            every.tick().await;
            let (server, kind) = (id.clone(), Evidence::Kernel);
            hub.fleet.send(Event::Activity { server, kind, at: now() }).await;
        }
    });
    let culler = Command::new(python)
        .args(["-m", "jupyterhub_idle_culler", "--timeout=5", "--cull-every=1"])
        .arg(format!("--url=http://127.0.0.1:{port}/hub/api"))
        .env("JUPYTERHUB_API_TOKEN", &token)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut culler = Program(culler);
    for server in [&idle, &named] {
        until(&site, "the culler stops an idle server", |fleet| {
            !fleet.servers[&server.id].is_ready()
        })
        .await;
    }
    site.report(vec![site.seen(&busy, berth_common::link::ObservedState::Ready)]).await;
    for (user, name) in [("alice", ""), ("alice", "n1")] {
        let ended = site.server(user, name);
        assert!(!ended.is_active());
        // It acts for an administrator, and people read that.
        assert_eq!(ended.last_end.as_ref().unwrap().reason, Reason::StoppedAdmin);
    }
    assert!(site.server("bob", "").is_ready(), "who works is left alone");
    works.abort();
    let mut log = culler.0.stderr.take().unwrap();
    drop(culler);
    let mut text = String::new();
    std::io::Read::read_to_string(&mut log, &mut text).unwrap();
    assert!(!text.contains("ERROR") && !text.contains("Traceback"), "{text}");
}

/// A small real mail server: its port, and the mails that it takes, one line of JSON each.
fn mail_server(python: &Path) -> (Program, u16, BufReader<ChildStdout>) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/programs/smtp.py");
    let server = Command::new(python).arg(script).stdout(Stdio::piped()).spawn().unwrap();
    let mut server = Program(server);
    let mut lines = BufReader::new(server.0.stdout.take().unwrap());
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    let port = line.trim().parse().expect("its port");
    (server, port, lines)
}

/// A site that sends its mail to this port.
async fn site_with_mail(port: u16) -> Site {
    let site = Site::new().await;
    send_mail_to(&site, port);
    site
}

fn send_mail_to(site: &Site, port: u16) {
    let mail = MailConfig {
        host: "127.0.0.1".into(),
        port,
        tls: MailTls::None,
        from: "Notebooks <notebook@example.org>".into(),
        to: "{user}@example.org".into(),
        login: None,
    };
    let config = site.hub.config();
    let hub = HubConfig { mail: Some(mail), ..config.hub.clone() };
    site.hub.config.store(Arc::new(Config { hub, ..Config::clone(&config) }));
}

async fn next_mail(mut mails: BufReader<ChildStdout>) -> Value {
    let line = tokio::task::spawn_blocking(move || {
        let mut line = String::new();
        mails.read_line(&mut line).unwrap();
        line
    });
    let line = tokio::time::timeout(Duration::from_secs(60), line).await.expect("a mail").unwrap();
    serde_json::from_str(&line).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warning_reaches_its_person_by_mail_once() {
    let (_server, port, mails) = mail_server(python());
    let site = site_with_mail(port).await;
    let mut settings = (*site.hub.fleet.fleet().settings).clone();
    settings.lifecycle = Lifecycle {
        idle: vec![IdleRule {
            whose: Whose::default(),
            stop_after: Some(Seconds(4)),
            cite: Cite::default(),
        }],
        warn: Warn { leads: vec![Seconds(2)], ..Warn::default() },
        ..Lifecycle::default()
    };
    site.hub.fleet.send(Event::SettingsChanged(settings.into())).await;
    site.hub.fleet.send(Event::ActivityTold { until: now() }).await;
    let server = site.running("alice", "n1").await;
    let mailer = tokio::spawn(mail::keep(Arc::clone(&site.hub)));
    let mail = next_mail(mails).await;
    assert_eq!(mail["to"], "alice@example.org");
    assert_eq!(mail["from"], "Notebooks <notebook@example.org>");
    let subject = mail["subject"].as_str().unwrap();
    assert!(subject.starts_with("\"n1\" will stop on "), "{subject}");
    let text = mail["text"].as_str().unwrap();
    assert!(text.contains("nothing is going on in it"), "{text}");
    assert!(text.contains(&format!("{}/hub/servers/{}", site::SITE, server.id)), "{text}");
    let id = mail["id"].as_str().unwrap();
    assert!(id.starts_with(&format!("<{}.{}.", server.id, server.generation)), "{id}");
    until(&site, "it is noted that the mail has left", |fleet| {
        let placement = fleet.servers[&server.id].placement();
        placement.is_some_and(|placement| placement.life.told.iter().all(|told| told.mailed))
    })
    .await;
    assert!(!mailer.is_finished());
    mailer.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_on_a_host_that_is_emptied_is_told_by_mail() {
    let (_server, port, mails) = mail_server(python());
    let site = site_with_mail(port).await;
    let mut settings = (*site.hub.fleet.fleet().settings).clone();
    settings.lifecycle.warn = Warn { channels: [Channel::Mail].into(), ..Warn::default() };
    site.hub.fleet.send(Event::SettingsChanged(settings.into())).await;
    let server = site.running("alice", "n1").await;
    let mailer = tokio::spawn(mail::keep(Arc::clone(&site.hub)));
    let by = now().plus(Seconds(6 * 3_600));
    let order =
        serde_json::json!({ "intent": "draining", "by": by.to_string(), "reason": "driver 470" });
    let admin = site.program("root_").await;
    let sent = admin.json("PUT", "/hub/api/berth/hosts/wn1/intent", &order.to_string()).await;
    assert_eq!(sent.status, axum::http::StatusCode::OK, "{}", sent.text);
    let mail = next_mail(mails).await;
    assert_eq!(mail["to"], "alice@example.org");
    let subject = mail["subject"].as_str().unwrap();
    assert!(subject.starts_with("\"n1\" will be stopped on "), "{subject}");
    let text = mail["text"].as_str().unwrap();
    for words in ["wn1 is to be empty by", "driver 470", "ordered by root_", "on another host"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    until(&site, "it is noted that the mail has left", |fleet| {
        fleet.leaving(&fleet.servers[&server.id]).is_some_and(|leaving| leaving.told.mailed)
    })
    .await;
    mailer.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn whose_turn_has_come_is_told_by_mail_while_the_place_is_held() {
    let (_server, port, mails) = mail_server(python());
    // It was asked for an hour ago, and nobody has looked since.
    let asked = Timestamp(now().0 - 3_600_000_000);
    let account = serde_json::json!({
        "name": "alice", "uid": 1000, "gid": 1000, "groups": [], "home": "/home/alice",
    });
    let waiting = serde_json::json!({
        "id": waiting_id(), "owner": "alice", "name": "n1", "generation": 0,
        "phase": {
            "phase": "waiting", "since": asked, "reason": "wait.memory.reserved", "watched": asked,
        },
        "ask": { "profile": "cpu", "memory": 1 << 30, "image": "base", "gpu_milli": 1000 },
        "user_options": "{}", "account": account, "decision": null,
        "created": asked, "last_activity": asked, "last_end": null,
    });
    let waiting: Server = serde_json::from_value(waiting).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let rows = [Row::Server(waiting.into())];
    berth_store::Database::open(folder.path()).unwrap().commit(&rows).unwrap();
    let site = Site::at(site::SITE, false, folder, "wn1:8444").await;
    send_mail_to(&site, port);
    let mailer = tokio::spawn(mail::keep(Arc::clone(&site.hub)));
    let mail = next_mail(mails).await;
    assert_eq!(mail["to"], "alice@example.org");
    let subject = mail["subject"].as_str().unwrap();
    assert!(subject.starts_with("A place is held for \"n1\" until "), "{subject}");
    assert!(subject.contains(" / Une place est gardée pour « n1 » jusqu’à "), "{subject}");
    let text = mail["text"].as_str().unwrap();
    for words in ["its turn has come", "La place est gardée pour vous jusqu’à"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let page = format!("{}/hub/spawn-pending/alice/n1", site::SITE);
    assert!(text.trim_end().ends_with(&page), "{text}");
    until(&site, "it is noted that the mail has left", |fleet| {
        matches!(&fleet.servers[&waiting_id()].phase,
            Phase::Waiting { place: Some(place), .. } if place.mailed)
    })
    .await;
    mailer.abort();
}

fn waiting_id() -> ServerId {
    ServerId::from_random(7)
}
