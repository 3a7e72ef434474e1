//! The fields and kinds of what the API answers, kept in `hub/cli/tests/golden/shapes.json`: the
//! command's own tests compare the answers with which they are written to it. JSON is a promise, so
//! a field that goes, or changes its kind, shows in that file.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::StatusCode;
use berth_common::link::{Kernels, Observed, ObservedState, Terminals, Usage};
use berth_common::{Seconds, ServerId};
use berth_process::clock::now;
use serde_json::{Map, Value, json};

use crate::site::{Client, Site};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/cli/tests/golden/shapes.json");

/// What there is of a value: its kind, or the fields of an object, or what is in an array. Null
/// says nothing.
fn shape(value: &Value) -> Value {
    match value {
        Value::Null => Value::Null,
        Value::Bool(_) => json!("bool"),
        Value::Number(_) => json!("number"),
        Value::String(_) => json!("string"),
        Value::Array(items) => {
            json!([items.iter().map(shape).fold(Value::Null, |all, one| merged(&all, &one))])
        }
        Value::Object(fields) => {
            let mut all = Map::new();
            for (name, field) in fields {
                // A map by servers has as many fields as there are.
                let name = if name.parse::<ServerId>().is_ok() { "{id}" } else { name };
                let known = all.get(name).cloned().unwrap_or(Value::Null);
                all.insert(name.to_owned(), merged(&known, &shape(field)));
            }
            Value::Object(all)
        }
    }
}

/// What is known from two of them. A field that only some have ends with a question mark.
fn merged(one: &Value, other: &Value) -> Value {
    match (one, other) {
        (Value::Null, known) | (known, Value::Null) => known.clone(),
        (Value::Array(one), Value::Array(other)) => json!([merged(&one[0], &other[0])]),
        (Value::Object(one), Value::Object(other)) => {
            let names = one.keys().chain(other.keys());
            let names: BTreeSet<&str> = names.map(|name| name.trim_end_matches('?')).collect();
            let field = |name: &str| {
                let optional = format!("{name}?");
                let of = |all: &Map<String, Value>| {
                    all.get(name)
                        .map(|it| (it.clone(), true))
                        .or_else(|| all.get(&optional).map(|it| (it.clone(), false)))
                };
                let (one, other) = (of(one), of(other));
                let is_always = [&one, &other].iter().all(|it| matches!(it, Some((_, true))));
                let of = |it: Option<(Value, bool)>| it.map_or(Value::Null, |(shape, _)| shape);
                let name = if is_always { name.to_owned() } else { optional };
                (name, merged(&of(one), &of(other)))
            };
            Value::Object(names.into_iter().map(field).collect())
        }
        (one, other) => {
            assert_eq!(one, other, "one field, two kinds");
            one.clone()
        }
    }
}

/// What was answered so far, by the call with its variable parts in braces.
#[derive(Default)]
struct Seen(BTreeMap<String, Value>);

impl Seen {
    async fn ask(&mut self, admin: &Client<'_>, call: &str, path: &str, body: Value) -> Value {
        let (method, _) = call.split_once(' ').unwrap();
        let path = format!("/hub/api/{path}");
        let reply = match method {
            "GET" => admin.get(&path).await,
            method => admin.json(method, &path, &body.to_string()).await,
        };
        assert!(reply.status.is_success(), "{call}: {} {}", reply.status, reply.text);
        let answer = reply.json();
        let known = self.0.entry(call.to_owned()).or_default();
        *known = merged(known, &shape(&answer));
        answer
    }

    /// Reads what there is at this moment.
    async fn look(&mut self, admin: &Client<'_>) {
        for path in [
            "user",
            "berth/hosts",
            "berth/servers",
            "berth/drains",
            "berth/queue",
            "berth/doctor",
            "berth/pools",
            "berth/profiles",
            "berth/images",
            "berth/access?profile=cpu",
            "berth/users",
            "berth/audit",
            "berth/usage?by=user",
            "berth/usage?by=group",
            "berth/decisions",
        ] {
            let (call, _) = path.split_once('?').unwrap_or((path, ""));
            self.ask(admin, &format!("GET {call}"), path, Value::Null).await;
        }
        for (call, path) in [
            ("GET berth/hosts/{host}", "berth/hosts/wn1"),
            ("GET berth/hosts/{host}/explain", "berth/hosts/wn1/explain"),
            ("GET berth/users/{user}/quota", "berth/users/alice/quota"),
            ("GET berth/users/{user}/account", "berth/users/alice/account"),
            ("GET users/{user}/tokens", "users/root_/tokens"),
        ] {
            self.ask(admin, call, path, Value::Null).await;
        }
    }
}

#[tokio::test]
async fn the_shapes_of_answers_are_those_that_are_kept() {
    let site = Site::new().await;
    let admin = site.program("root_").await;
    let mut seen = Seen::default();
    seen.look(&admin).await;

    let server = site.running("alice", "").await;
    let usage = Usage {
        cpu_us: 1,
        kernels: Some(Kernels { busy: 1, quiet_ms: Some(0) }),
        terminals: Some(Terminals { open: 1, working: 0 }),
        ..Usage::default()
    };
    let observed = site.seen(&server, ObservedState::Ready);
    site.report(vec![Observed { usage, ..observed }]).await;
    let decision = server.decision.as_ref().unwrap();
    let path = format!("berth/decisions/{decision}");
    seen.ask(&admin, "GET berth/decisions/{id}", &path, Value::Null).await;
    let request = json!({ "user": "alice", "profile": "cpu" });
    seen.ask(&admin, "POST berth/explain", "berth/explain", request).await;
    // It waits, since nothing is so large.
    let large = json!({ "memory": 30_u64 << 30 });
    let asked = site.program("bob").await;
    asked.json("POST", "/hub/api/users/bob/server", &large.to_string()).await;
    seen.look(&admin).await;

    let by = now().plus(Seconds(6 * 3_600)).to_string();
    let order = json!({ "intent": "draining", "by": by, "reason": "kernel" });
    let intent = "PUT berth/hosts/{host}/intent";
    let done = seen.ask(&admin, intent, "berth/hosts/wn1/intent", order).await;
    let drain = format!("berth/drains/{}", done["drain"].as_str().unwrap());
    seen.ask(&admin, "GET berth/drains/{id}", &drain, Value::Null).await;
    let mut fleet = site.hub.fleet.watch();
    let told = fleet.wait_for(|fleet| fleet.leaving(&fleet.servers[&server.id]).is_some());
    told.await.unwrap();
    // Nothing has room now.
    let request = json!({ "user": "bob", "profile": "cpu" });
    seen.ask(&admin, "POST berth/explain", "berth/explain", request).await;
    let waits = asked.json("POST", "/hub/api/users/bob/server", "{}").await;
    assert!(waits.status.is_success(), "{}", waits.text);
    let bob = site.server("bob", "");
    let path = format!("berth/decisions/{}", bob.decision.as_ref().unwrap());
    seen.ask(&admin, "GET berth/decisions/{id}", &path, Value::Null).await;
    seen.look(&admin).await;
    let stop = admin.json("DELETE", "/hub/api/users/alice/server", "").await;
    assert_eq!(stop.status, StatusCode::ACCEPTED, "{}", stop.text);
    seen.look(&admin).await;

    let found = format!("{:#}\n", json!(seen.0));
    if std::env::var_os("BERTH_BLESS").is_some() {
        std::fs::write(FILE, &found).unwrap();
    }
    let kept = std::fs::read_to_string(FILE).unwrap_or_default();
    assert!(found == kept, "{FILE} is not what the hub answers; BERTH_BLESS=1 writes it:\n{found}");
}
