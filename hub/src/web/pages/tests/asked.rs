//! What hosts are asked when somebody looks: logs and kernels.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use berth_proto::link::question::What;
use berth_proto::link::{HostAnswer, KernelSpec, KernelTrial, LogLine, Question};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::scene::HOSTILE;
use super::site::Site;
use crate::link::asked::MOST_OPEN;

/// A host that answers until this is dropped.
pub struct Linked(tokio::task::JoinHandle<()>);

impl Drop for Linked {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Links a host that answers so.
pub async fn link(
    site: &Site,
    host: &str,
    answer: impl Fn(Question) -> HostAnswer + Send + 'static,
) -> Linked {
    let (out, mut questions) = mpsc::channel(MOST_OPEN);
    let (send, answers) = mpsc::channel(1);
    let host: berth_common::HostId = host.parse().unwrap();
    // One that was dropped before goes in a task of its own.
    while site.hub.asked.knows(&host) {
        tokio::task::yield_now().await;
    }
    let (hub, name) = (Arc::clone(&site.hub), host.clone());
    let serving = async move { hub.asked.serve(name, ReceiverStream::new(answers), out).await };
    tokio::spawn(serving);
    let task = tokio::spawn(async move {
        while let Some(Ok(question)) = questions.recv().await {
            let number = question.number;
            if send.send(Ok(HostAnswer { number, ..answer(question) })).await.is_err() {
                return;
            }
        }
    });
    // And so does the new one come.
    while !site.hub.asked.knows(&host) {
        tokio::task::yield_now().await;
    }
    Linked(task)
}

/// A log and kernels, with something hostile in each.
pub fn hostile(question: Question) -> HostAnswer {
    let line =
        |text: &str| LogLine { at: "2026-11-22T15:27:58.000000000Z".into(), text: text.into() };
    let kernel = |name: &str, title: &str| KernelSpec {
        name: name.into(),
        title: title.into(),
        language: "python".into(),
        program: "/opt/jupyter/bin/python".into(),
    };
    match question.what {
        Some(What::LogLines(_)) => HostAnswer {
            log: vec![
                line("[I 2026-11-22 15:27:58 ServerApp] Jupyter Server 2.17 is running at:"),
                line(HOSTILE),
                line("[W 2026-11-22 15:28:03 ServerApp] 404 GET /api/contents/none.ipynb"),
            ],
            ..HostAnswer::default()
        },
        Some(What::TryKernel(kernel)) if kernel == "python3" => HostAnswer {
            tried: Some(KernelTrial { answered_ms: 1_250, failed: String::new() }),
            ..HostAnswer::default()
        },
        Some(What::TryKernel(_)) => HostAnswer {
            tried: Some(KernelTrial { answered_ms: 0, failed: HOSTILE.into() }),
            ..HostAnswer::default()
        },
        _ => HostAnswer {
            kernels: vec![kernel("python3", "Python 3 (ipykernel)"), kernel("own", HOSTILE)],
            ..HostAnswer::default()
        },
    }
}

#[tokio::test]
async fn a_log_is_shown_as_text_and_why_there_is_none_is_said() {
    let site = Site::busy().await;
    let path = format!("/hub/servers/{}", site.server("alice", "").id);
    let host = site.server("alice", "").placement().unwrap().host.to_string();
    let text = site.get("alice", &path).await.text();
    assert!(text.contains("The host cannot be asked at this moment."), "{text}");

    let linked = link(&site, &host, hostile).await;
    let page = site.get("alice", &path).await;
    assert!(page.body.contains("<pre class=\"log\""), "{}", page.body);
    assert!(page.text().contains("404 GET /api/contents/none.ipynb"), "{}", page.text());
    assert!(!page.body.contains("<script>window") && !page.body.contains("<img src=x"));
    // Nobody runs there: nothing is asked.
    let ended = site.get("dave", &format!("/hub/servers/{}", site.server("dave", "").id)).await;
    assert!(!ended.body.contains("log-title"), "{}", ended.body);
    // Another's is not to be seen.
    assert_eq!(site.get("carol", &path).await.status, axum::http::StatusCode::NOT_FOUND);
    drop(linked);

    let trouble = |_| HostAnswer { trouble: HOSTILE.into(), ..HostAnswer::default() };
    let _linked = link(&site, &host, trouble).await;
    let page = site.get("alice", &path).await;
    assert!(page.text().contains("The host says: "), "{}", page.text());
    assert!(!page.body.contains("<script>window"), "{}", page.body);
}

#[tokio::test]
async fn a_log_is_followed_while_somebody_looks_by_a_few_at_a_time() {
    let site = Site::busy().await;
    let server = site.server("alice", "");
    let host = server.placement().unwrap().host.clone();
    let questions = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&questions);
    let growing = move |_| {
        let lines = 1..=count.fetch_add(1, Ordering::Relaxed) + 1;
        let line = |number| LogLine { at: String::new(), text: format!("line {number} <b>") };
        HostAnswer { log: lines.map(line).collect(), ..HostAnswer::default() }
    };
    let _linked = link(&site, host.as_str(), growing).await;
    let path = format!("/hub/live/log/{}", server.id);
    let mut first = site.live("alice", &path).await;
    let part = first.until("line 1 &#60;b&#62;").await;
    assert!(part.contains("event: part") && !part.contains("line 2"), "{part}");
    first.until("line 3").await;

    let mut others = Vec::new();
    for _ in 0..3 {
        let mut other = site.live("erin", &path).await;
        other.until("line 1 ").await;
        others.push(other);
    }
    let before = questions.load(Ordering::Relaxed);
    let mut late = site.live("erin", &path).await;
    let full = late.next().await;
    assert!(full.contains("Others follow logs of this host"), "{full}");
    assert_eq!(site.hub.asked.followers(&host), 4, "one more is not let in");
    assert!(before >= 6, "each of the four was answered");
    // A place comes free, and is taken without the page being loaded anew.
    drop(first);
    late.until("line 1").await;

    // Nobody looks any more: those who asked are gone.
    drop((others, late));
    while site.hub.asked.followers(&host) > 0 {
        tokio::task::yield_now().await;
    }
    // Who has no server there has nothing to follow.
    assert_eq!(site.status("carol", &path).await, axum::http::StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn kernels_are_those_of_running_servers() {
    let site = Site::busy().await;
    let text = site.get("dave", "/hub/kernels").await.text();
    assert!(text.contains("None of your servers runs."), "{text}");
    let host = site.server("alice", "").placement().unwrap().host.to_string();
    let text = site.get("alice", "/hub/kernels").await.text();
    assert!(text.contains("The host cannot be asked at this moment."), "{text}");
    let _linked = link(&site, &host, hostile).await;
    let page = site.get("alice", "/hub/kernels").await;
    assert!(page.text().contains("Python 3 (ipykernel) python3 python"), "{}", page.text());
    assert!(!page.body.contains("<script>window"), "{}", page.body);
}

#[tokio::test]
async fn a_kernel_is_tried_in_ones_own_server() {
    let site = Site::busy().await;
    let server = site.server("alice", "");
    let host = server.placement().unwrap().host.to_string();
    let _linked = link(&site, &host, hostile).await;
    let form = |kernel: &str| format!("server={}&kernel={kernel}", server.id);
    let page = site.post("alice", "/hub/kernels", &form("python3")).await;
    assert!(page.text().contains("python3 started and answered after 1.2 s."), "{}", page.text());
    let page = site.post("alice", "/hub/kernels", &form("own")).await;
    assert!(page.text().contains("own did not start: "), "{}", page.text());
    assert!(!page.body.contains("<script>window"), "{}", page.body);
    // Nobody tries anything in another's server, administrators neither.
    for other in ["carol", "erin"] {
        let answer = site.post(other, "/hub/kernels", &form("python3")).await;
        assert_eq!(answer.status, axum::http::StatusCode::NOT_FOUND, "{other}");
    }
}

#[tokio::test]
async fn an_environment_gets_its_commands() {
    let site = Site::new().await;
    let ask = |path: &'static str| site.get("alice", path);
    let page = ask("/hub/kernels?environment=%7E/envs/%3Cfit%3E").await;
    assert!(page.text().contains("ipykernel install --user --name fit"), "{}", page.text());
    assert!(!page.body.contains("<fit>"), "{}", page.body);
    let page = ask("/hub/kernels?environment=fit").await;
    assert!(page.text().contains("This is no path"), "{}", page.text());
}
