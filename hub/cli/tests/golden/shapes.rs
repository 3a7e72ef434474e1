//! The stub answers in the hub's own fields and kinds: `shapes.json` has those, and a test of the
//! hub (`hub/tests/shapes.rs`) keeps it true.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::site;

/// Calls as the file names them, and as the stub is asked them.
const ASKED: &[(&str, &[&str])] = &[
    ("GET user", &["user"]),
    ("GET berth/hosts", &["berth/hosts"]),
    ("GET berth/hosts/{host}", &["berth/hosts/ccjn01", "berth/hosts/ccjngpu3"]),
    (
        "GET berth/hosts/{host}/explain",
        &["berth/hosts/ccjn01/explain", "berth/hosts/ccjngpu2/explain"],
    ),
    ("PUT berth/hosts/{host}/intent", &["berth/hosts/ccjngpu2/intent"]),
    ("GET berth/servers", &["berth/servers"]),
    ("GET berth/drains", &["berth/drains"]),
    ("GET berth/drains/{id}", &["berth/drains/d-0042", "berth/drains/d-0007"]),
    ("GET berth/queue", &["berth/queue"]),
    ("GET berth/doctor", &["berth/doctor"]),
    ("GET berth/pools", &["berth/pools"]),
    ("GET berth/profiles", &["berth/profiles"]),
    ("GET berth/images", &["berth/images"]),
    ("GET berth/access", &["berth/access"]),
    ("GET berth/users", &["berth/users"]),
    ("GET berth/audit", &["berth/audit"]),
    ("GET berth/usage", &["berth/usage"]),
    ("GET berth/decisions", &["berth/decisions"]),
    ("GET berth/decisions/{id}", &["berth/decisions/d1d1d1d1d1d1d1d1"]),
    ("POST berth/explain", &["berth/explain"]),
    ("GET berth/users/{user}/quota", &["berth/users/alice/quota"]),
    ("GET berth/users/{user}/account", &["berth/users/alice/account"]),
    ("GET users/{user}/tokens", &["users/alice/tokens"]),
];

/// How a value of the stub's differs from the hub's shape, by where it stands.
fn compare(at: &str, shape: &Value, value: &Value, wrong: &mut Vec<String>) {
    match (shape, value) {
        // The small site of the hub's test never had one, or here is none.
        (Value::Null, _) | (_, Value::Null) => {}
        // Each kind of change has fields of its own, and that site has one of the kinds.
        _ if at.ends_with(".nearest") => {}
        (Value::Array(shape), Value::Array(items)) => {
            items.iter().for_each(|item| compare(&format!("{at}[]"), &shape[0], item, wrong));
        }
        (Value::Object(shape), Value::Object(fields)) => {
            for (name, shape) in shape {
                let known = name.trim_end_matches('?');
                match fields.get(known) {
                    Some(field) => compare(&format!("{at}.{known}"), shape, field, wrong),
                    None if name.ends_with('?') => {}
                    None => wrong.push(format!("{at}.{name} is missing in the stub")),
                }
            }
            let is_known = |name: &&String| {
                shape.contains_key(*name) || shape.contains_key(&format!("{name}?"))
            };
            let unknown = fields.keys().filter(|name| !is_known(name));
            wrong.extend(unknown.map(|name| format!("{at}.{name} is none of the hub's fields")));
        }
        (Value::String(kind), value) if kind == kind_of(value) => {}
        (shape, value) => wrong.push(format!("{at}: {value} is not {shape}")),
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[test]
fn the_stub_has_the_hubs_fields() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/shapes.json");
    let shapes: BTreeMap<String, Value> =
        serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let mut wrong = Vec::new();
    for (call, paths) in ASKED {
        let shape = shapes.get(*call).unwrap_or_else(|| panic!("the hub is not asked {call}"));
        for path in *paths {
            let (method, _) = call.split_once(' ').unwrap();
            let sent = serde_json::json!({
                "intent": "draining", "reason": "x", "by": "2026-05-15T18:00:00.000000Z",
                "at_deadline": "stop", "user": "alice", "profile": "cpu", "memory": site::GB,
            });
            let answer = site::answer("admin", &format!("{method} /hub/api/{path}"), &sent, 0);
            assert_eq!(answer.status, 200, "{call}: {}", answer.body);
            compare(call, shape, &serde_json::from_str(&answer.body).unwrap(), &mut wrong);
        }
    }
    wrong.sort();
    wrong.dedup();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(shapes.len(), ASKED.len(), "each call is compared");
}
