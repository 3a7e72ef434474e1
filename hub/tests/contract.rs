//! The API answers like JupyterHub: real ones, 5 and 6 from PyPI, and this hub are asked the same
//! requests by the same callers. Statuses, and the shape of bodies, are compared. What differs is in
//! `contract/differences.toml`, with its reason, or fails the test.

mod compare;
mod here;
mod series;

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

use compare::{Answer, differences};
use serde::{Deserialize, Serialize};

use crate::venv;

/// Callers, in the order in which `*` asks.
const CALLERS: [&str; 11] = [
    "nobody", "bad", "expired", "alice", "bob", "admin", "narrow", "server", "reader", "tutor",
    "culler",
];

/// One request.
#[derive(Debug, Clone, Serialize)]
struct Call {
    who: String,
    method: String,
    path: String,
    /// Whether it accepts JupyterHub's pages.
    pages: bool,
    body: String,
    /// JupyterHub's major version, if only that one is asked.
    #[serde(skip)]
    only: Option<u32>,
    /// As the table writes it.
    #[serde(skip)]
    shown: String,
}

/// A difference that was looked at and is meant to be.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reviewed {
    /// Requests as the table writes them, without the body; `*` stands for anything.
    requests: Vec<String>,
    /// Callers; all if it is left out.
    #[serde(default)]
    who: Vec<String>,
    /// JupyterHub's major version, if it is about one only.
    only: Option<u32>,
    /// What is different, as the test prints it.
    found: Vec<String>,
    reason: String,
}

#[derive(Debug, Deserialize)]
struct ReviewedFile {
    difference: Vec<Reviewed>,
}

#[derive(Debug, Deserialize)]
struct There {
    answers: Vec<Answer>,
    series: Vec<series::Series>,
}

/// What JupyterHubs of this major version are asked.
fn calls(major: u32) -> Vec<Call> {
    let lines = include_str!("contract/requests.txt").lines();
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.flat_map(read).filter(|call| call.only.is_none_or(|only| only == major)).collect()
}

fn read(line: &str) -> Vec<Call> {
    let (only, mut rest) = match line.strip_prefix("6: ") {
        Some(rest) => (Some(6), rest),
        None => (None, line),
    };
    let mut word = || {
        let (word, after) = rest.split_once(' ').unwrap_or((rest, ""));
        rest = after.trim_start();
        word
    };
    let (who, method, path) = (word(), word(), word());
    let body = rest.to_owned();
    let who: Vec<&str> = if who == "*" { CALLERS.to_vec() } else { who.split(',').collect() };
    let full = match path.strip_prefix('/') {
        Some(page) if page.starts_with('/') => page.to_owned(),
        _ => format!("/hub/api{path}"),
    };
    let call = |who: &str| {
        assert!(CALLERS.contains(&who), "{line}: nobody is called {who}");
        Call {
            who: who.to_owned(),
            method: if method == "LIST" { "GET" } else { method }.to_owned(),
            path: full.clone(),
            pages: method == "LIST",
            body: body.clone(),
            only,
            shown: format!("{method} {path}"),
        }
    };
    who.into_iter().map(call).collect()
}

/// What a real JupyterHub of this major version answers.
fn there(major: u32, calls: &[Call]) -> There {
    let requirements = match major {
        5 => include_str!("contract/jupyterhub-5.txt"),
        _ => include_str!("contract/jupyterhub-6.txt"),
    };
    let python = venv::python(&format!("jupyterhub-{major}"), requirements);
    let folder = tempfile::tempdir().unwrap();
    let mut hub = Command::new(python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/contract/answers.py"))
        .arg(folder.path().join("jupyterhub.sqlite"))
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let table = serde_json::to_vec(calls).unwrap();
    hub.stdin.take().unwrap().write_all(&table).unwrap();
    let done = hub.wait_with_output().unwrap();
    let log = String::from_utf8_lossy(&done.stderr);
    let there: There = serde_json::from_slice(&done.stdout)
        .unwrap_or_else(|error| panic!("JupyterHub {major}: {error}\n{log}"));
    assert_eq!(there.answers.len(), calls.len(), "{log}");
    there
}

/// Whether a text is as a pattern says, in which `*` stands for anything.
fn is_like(text: &str, pattern: &str) -> bool {
    match pattern.split_once('*') {
        None => text == pattern,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|text| {
            let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
            ends.into_iter().any(|at| is_like(&text[at..], rest))
        }),
    }
}

impl Reviewed {
    fn covers(&self, major: u32, call: &Call, found: &str) -> bool {
        let any = |patterns: &[String], text: &str| patterns.iter().any(|it| is_like(text, it));
        self.only.is_none_or(|only| only == major)
            && (self.who.is_empty() || self.who.contains(&call.who))
            && any(&self.requests, &call.shown)
            && any(&self.found, found)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jupyterhub_5_and_6_answer_the_same() {
    let asked = [5, 6].map(|major| {
        let calls = calls(major);
        let copy = calls.clone();
        (major, calls, tokio::task::spawn_blocking(move || there(major, &copy)))
    });
    let file = include_str!("contract/differences.toml");
    let reviewed: ReviewedFile = toml::from_str(file).unwrap();
    let mut used = BTreeSet::new();
    let mut strange = Vec::new();
    for (major, calls, there) in asked {
        let here = here::answers(&calls).await;
        let there = there.await.unwrap();
        let mut look = |call: &Call, found: &str, bodies: [&str; 2]| {
            let covering = reviewed.difference.iter().enumerate();
            let covering: Vec<_> = covering
                .filter(|(_, it)| it.covers(major, call, found))
                .map(|(number, _)| number)
                .collect();
            if covering.is_empty() {
                let [there, here] = bodies;
                strange.push(format!(
                    "{major}: {} {} {}: {found}\n   there {there}\n   here  {here}",
                    call.who, call.shown, call.body
                ));
            }
            used.extend(covering);
        };
        for ((call, there), here) in calls.iter().zip(&there.answers).zip(&here.answers) {
            for found in differences(there, here) {
                look(call, &found, [&there.body, &here.body]);
            }
        }
        let [metrics] = &read("admin GET //hub/metrics")[..] else { panic!("one call") };
        assert!(there.series.len() > 10, "{:?}", there.series);
        for found in series::differences(&there.series, &here.metrics) {
            look(metrics, &found, ["", ""]);
        }
    }
    let stale = reviewed.difference.iter().enumerate().filter(|(number, _)| !used.contains(number));
    let stale: Vec<_> = stale.map(|(_, it)| format!("{:?}: {}", it.requests, it.reason)).collect();
    assert!(strange.is_empty(), "{} unknown differences:\n{}", strange.len(), strange.join("\n"));
    assert!(stale.is_empty(), "no longer different:\n{}", stale.join("\n"));
}
