//! The small site's decisions, with their explanations.

use serde_json::{Value, json};

use crate::site::{GB, reason};

fn rules(user: &str, profile: &str, memory: &str, last: bool) -> Value {
    let line = if profile == "gpu" { 14 } else { 3 };
    let cite = format!("profiles.toml:{line}");
    json!([
        { "text": format!("profile {profile} is open to everybody"), "passed": true, "reason": null, "cite": cite },
        { "text": format!("{memory} of at most 32 GB in this profile"), "passed": true, "reason": null, "cite": cite },
        { "text": "image base is offered by this profile", "passed": true, "reason": null, "cite": cite },
        { "text": if user == "erin" { "5 of 5 servers in use" } else { "1 of 5 servers in use" },
          "passed": last, "reason": if last { Value::Null } else { json!("refused.quota.servers") },
          "cite": null },
    ])
}

fn terms(present: &str, left: &str, last: &str) -> Value {
    json!([
        { "name": "image present", "value": present },
        { "name": "memory left after placing", "value": left },
        { "name": "was there last", "value": last },
    ])
}

fn excluded(host: &str, code: &str, detail: &str) -> Value {
    json!({
        "host": host, "verdict": "excluded", "reason": reason(code), "detail": detail, "also": [],
    })
}

/// What there was in a pool, with and without hosts' names.
fn room(pool: &str, [limits, used]: [u64; 2], largest: Value, missing: Value) -> Value {
    json!({
        "pool": pool, "hosts": 3, "ready": 1, "free_by_limits": limits * GB,
        "free_by_used": used * GB, "free_gpus": 0, "largest_piece": largest, "missing": missing,
    })
}

/// An answer to a request.
pub fn placed(user: &str, ask: Value) -> Value {
    json!({
        "id": "d1d1d1d1d1d1d1d1", "at": "2026-05-11T09:41:00.000000Z",
        "server": "8f2c4e0000000000", "user": user, "name": "", "ask": ask,
        "outcome": "placed", "reason": reason("placed.now"),
        "sentence": "Placed on ccjn01: image present yes there, no on ccjn02.",
        "host": "ccjn01", "ahead": null, "detail": null, "estimate_s": null,
        "nearest_memory": null, "nearest": [], "possible_hosts": 2,
        "excluded_hosts": [
            { "reason": reason("host.engine_down"), "hosts": 1 },
            { "reason": reason("host.not_in_pool"), "hosts": 3 },
        ],
        "room": room("cpu", [29, 40], json!({ "host": "ccjn02", "memory": 29 * GB }), Value::Null),
        "rules": rules(user, "cpu", "8 GB", true),
        "hosts": [
            { "host": "ccjn01", "verdict": "chosen", "terms": terms("yes", "1.9 GB", "no") },
            { "host": "ccjn02", "verdict": "possible", "terms": terms("no", "17.1 GB", "yes") },
            excluded("ccjn03", "host.engine_down", "cannot connect to the Docker daemon"),
            excluded("ccjngpu1", "host.not_in_pool", "it serves the pool gpu"),
            excluded("ccjngpu2", "host.not_in_pool", "it serves the pool gpu"),
            excluded("ccjngpu3", "host.not_in_pool", "it serves the pool gpu"),
        ],
    })
}

/// An answer to a request.
pub fn waits(user: &str, ask: Value) -> Value {
    let mut full = excluded(
        "ccjngpu1",
        "wait.memory.reserved",
        "112 GB of 124 GB are promised; 28 GB more do not fit",
    );
    full["also"] = json!([{
        "reason": reason("wait.gpu.busy"), "detail": "0 of 4 suitable GPUs are free; 1 asked",
    }]);
    json!({
        "id": "d2d2d2d2d2d2d2d2", "at": "2026-05-11T13:20:00.000000Z",
        "server": "1a77000000000000", "user": user, "name": "", "ask": ask,
        "outcome": "waits", "reason": reason("wait.memory.reserved"),
        "sentence": "Waits in place 3: All memory is promised to running servers. A server with 4 GB would start now.",
        "host": null, "ahead": 2, "detail": null, "estimate_s": [1500, 4200],
        "nearest_memory": 4 * GB,
        "nearest": [
            { "change": "memory", "memory": 4 * GB, "text": "A server with 4 GB would start now." },
            { "change": "profile", "profile": "cpu", "text": "Profile cpu would start now." },
            { "change": "host", "host": "ccjngpu3", "reason": reason("host.lost"),
              "text": "It would start if ccjngpu3 were back (host.lost)." },
        ],
        "possible_hosts": 0,
        "excluded_hosts": [
            { "reason": reason("wait.memory.reserved"), "hosts": 1 },
            { "reason": reason("host.lost"), "hosts": 1 },
            { "reason": reason("host.joining"), "hosts": 1 },
        ],
        "room": room(
            "gpu",
            [12, 80],
            json!({ "host": "ccjngpu1", "memory": 12 * GB }),
            json!({ "host": "ccjngpu1", "memory": 16 * GB, "gpus": 0, "because_of": "asked" }),
        ),
        "rules": rules(user, "gpu", "28 GB", true),
        "hosts": [
            full,
            excluded("ccjngpu3", "host.lost", "no report for 3m 10s"),
            excluded("ccjn08", "host.joining", ""),
        ],
    })
}

/// An answer to a request.
pub fn refused(user: &str, ask: Value) -> Value {
    json!({
        "id": "d3d3d3d3d3d3d3d3", "at": "2026-05-11T14:03:00.000000Z",
        "server": "5555000000000000", "user": user, "name": "", "ask": ask,
        "outcome": "refused", "reason": reason("refused.quota.servers"),
        "sentence": "You have 5 servers and may have 5. Stop one of them first.",
        "host": null, "ahead": null,
        "detail": "You have 5 servers and may have 5. Stop one of them first.",
        "estimate_s": null, "nearest_memory": null, "nearest": [], "possible_hosts": 0,
        "excluded_hosts": [], "rules": rules(user, "cpu", "4 GB", false), "hosts": [],
    })
}

/// A decision that is kept.
pub fn decision_of(id: &str, admin: bool) -> Option<Value> {
    let ask = |profile: &str, gb: u64| json!({ "profile": profile, "memory": gb * GB, "image": "base", "gpus": 0, "gpu_model": null });
    let decision = match id {
        "d1d1d1d1d1d1d1d1" => placed("alice", ask("cpu", 8)),
        "d2d2d2d2d2d2d2d2" => waits("bob", ask("gpu", 28)),
        _ => return None,
    };
    Some(seen_by(admin, decision))
}

/// An answer to a request.
pub fn explain(user: &str, sent: &Value, admin: bool) -> Value {
    let ask = json!({
        "profile": sent["profile"].as_str().unwrap_or("cpu"),
        "memory": sent["memory"].as_u64().unwrap_or(4 * GB),
        "image": "base",
        "gpus": sent["gpus"].as_u64().unwrap_or(0),
        "gpu_model": sent["gpu_model"],
    });
    let decision = match (user, sent["profile"].as_str()) {
        ("erin", _) => refused(user, ask),
        (_, Some("gpu")) => waits(user, ask),
        _ => placed(user, ask),
    };
    seen_by(admin, decision)
}

/// How each host fared is for administrators.
pub fn seen_by(admin: bool, mut decision: Value) -> Value {
    if !admin {
        decision.as_object_mut().unwrap().remove("hosts");
        for part in ["largest_piece", "missing"] {
            if let Some(part) = decision.pointer_mut(&format!("/room/{part}/host")) {
                *part = Value::Null;
            }
        }
    }
    decision
}
