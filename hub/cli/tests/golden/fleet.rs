//! The small site's answers about rooms, queue, plans and intents.

use serde_json::{Value, json};

use crate::decisions::decision_of;
use crate::site::{Answer, GB, because_of, ok, part, reason, refusal};

/// The answer to a call, if it is one of these.
pub fn answer(who: &str, method: &str, parts: &[&str], sent: &Value) -> Option<Answer> {
    let admin = matches!(who, "admin" | "socket");
    let for_administrators = matches!(
        parts,
        ["berth", "queue" | "plan" | "drains" | "config" | "doctor", ..]
            | ["berth", "servers", _, "why-not", _]
    );
    if for_administrators && !admin {
        return Some(because_of("admin-ui"));
    }
    Some(match (method, parts) {
        ("GET", ["berth", "hosts", "ccjn01", "explain"]) => ok(part("host", ready())),
        ("GET", ["berth", "hosts", "ccjngpu2", "explain"]) => ok(part("host", cordoned())),
        ("PUT", ["berth", "hosts", name, "intent"]) => intent(name, sent),
        ("GET", ["berth", "servers", id, "why-not", host]) => why_not(id, host),
        ("GET", ["berth", "config"]) => ok(part("config", config())),
        ("GET", ["berth", "config", "diff"]) => ok(part(
            "diff",
            json!([{
                "file": "hub.toml", "in_force": "version = 1\n[hub]\nlisten = \"127.0.0.1:8081\"\n",
                "on_disk": "version = 1\n[hub]\nlisten = \"127.0.0.1:8082\"\n",
                "restart": ["[hub] listen takes effect when berth-hub is restarted, which stops \
                             nobody; until then it is \"127.0.0.1:8081\""],
            }, {
                "file": "quotas.toml", "in_force": "version = 1\n[default]\nmemory = \"16 GB\"\n",
                "on_disk": "version = 1\n[default]\nmemory = \"32 GB\"\n", "restart": [],
            }]),
        )),
        ("POST", ["berth", "config", verb]) => ok(part("config", applied(verb))),
        ("GET", ["berth", "config", "effective", "alice"]) => ok(part("effective", effective())),
        ("GET", ["berth", "config", "effective", name]) => {
            refusal(404, format!("There is no user {name}."))
        }
        ("GET", ["berth", "usage"]) => ok(part("usage", usage())),
        ("GET", ["berth", "doctor"]) => ok(part("doctor", doctor())),
        ("GET", ["berth", "drains"]) => ok(part("drains", drains())),
        ("GET", ["berth", "drains", id]) => drain(id),
        ("GET", ["berth", "queue"]) => ok(part("queue", queue())),
        ("GET", ["berth", "decisions"]) => ok(part("decisions", decisions(admin))),
        ("GET", ["berth", "audit"]) => {
            ok(json!({ "schema_version": 1, "audit": audit(), "next": null }))
        }
        ("POST", ["berth", "servers", id, "visits"]) => visit(id, sent),
        ("POST", ["berth", "plan"]) => plan(sent),
        ("POST", ["berth", "plan", "config"]) => ok(plan_config(sent)),
        ("GET", ["berth", "hosts", name, "explain"]) => {
            refusal(404, format!("There is no host {name}."))
        }
        _ => return None,
    })
}

fn held(id: &str, user: &str, profile: &str, gb: [f64; 3], gpus: usize) -> Value {
    let [limit, peak, used] = gb.map(|gb| (gb * GB as f64) as u64);
    let gpus: Vec<_> =
        (0..gpus).map(|n| json!({ "gpu": format!("GPU-{n}"), "milli": 1000 })).collect();
    json!({
        "id": id, "user": user, "name": "", "profile": profile,
        "memory": { "limit": limit, "peak": peak, "used": used }, "cpu_milli": 0, "gpus": gpus,
    })
}

fn ready() -> Value {
    json!({
        "name": "ccjn01", "pool": "cpu", "state": "ready", "reason": null, "detail": "",
        "intent": { "intent": "open", "reason": null, "who": null, "since": null, "by": null,
            "at_deadline": null, "message": null },
        "takes": { "memory": 13 * GB, "memory_with_gpu": null },
        "would_take": { "memory": 13 * GB, "memory_with_gpu": null },
        "memory": {
            "usable": 29 * GB, "live": 26 * GB, "rule": "limits", "limits": 16 * GB,
            "limits_most": 29 * GB, "peaks": 5 * GB, "headroom": 6 * GB, "used": 4 * GB,
        },
        "gpus": [],
        "servers": [
            held("8f2c4e0000000000", "alice", "cpu", [8.0, 3.0, 1.2], 0),
            held("8f2d000000000000", "bob", "cpu", [8.0, 2.0, 2.8], 0),
        ],
        "declared_at": "hosts.d/10-cpu.toml:4",
    })
}

fn cordoned() -> Value {
    json!({
        "name": "ccjngpu2", "pool": "gpu", "state": "draining", "reason": reason("host.draining"),
        "detail": "driver 470.256",
        "intent": {
            "intent": "draining", "reason": "driver 470.256", "who": "erin",
            "since": "2026-05-11T12:02:00.000000Z", "by": "2026-05-15T18:00:00.000000Z",
            "at_deadline": "stop", "message": null,
        },
        "takes": { "memory": null, "memory_with_gpu": null },
        "would_take": { "memory": 68 * GB, "memory_with_gpu": 68 * GB },
        "memory": {
            "usable": 124 * GB, "live": 124 * GB, "rule": "peaks", "limits": 56 * GB,
            "limits_most": 186 * GB, "peaks": 30 * GB, "headroom": 26 * GB, "used": 22 * GB,
        },
        "gpus": [
            { "model": "Tesla K80", "trouble": null, "users": ["carol"] },
            { "model": "Tesla K80", "trouble": "xid 79", "users": [] },
            { "model": "Tesla K80", "trouble": null, "users": [] },
        ],
        "servers": [held("9c01000000000000", "carol", "gpu", [28.0, 28.0, 21.4], 1)],
        "declared_at": "hosts.d/30-gpu.toml:2",
    })
}

fn intent(name: &str, sent: &Value) -> Answer {
    if !matches!(name, "ccjn01" | "ccjn02" | "ccjngpu2") {
        return refusal(404, format!("There is no host {name}."));
    }
    let word = sent["intent"].as_str().unwrap();
    let dry = sent["dry_run"] == true;
    let state = match (dry, word) {
        (true, _) | (false, "open") => "ready",
        (false, word) => word,
    };
    let by = &sent["by"];
    ok(json!({
        "schema_version": 1, "host": name, "state": state, "dry_run": dry,
        "drain": if word == "draining" && !dry { json!("d-0042") } else { Value::Null },
        "servers": if name == "ccjn02" { 0 } else { 2 },
        "intent": {
            "intent": word, "reason": sent["reason"], "who": "erin",
            "since": "2026-05-11T14:03:00.000000Z", "by": by, "at_deadline": sent["at_deadline"],
            "message": sent["message"],
        },
        "outlook": if word == "draining" { outlook(name, sent) } else { Value::Null },
    }))
}

/// Bob's server is idle, and carol's works.
fn outlook(host: &str, sent: &Value) -> Value {
    let by = &sent["by"];
    let end = if by.is_null() { "held" } else { "interrupted" };
    let hit = |id: &str, user: &str, gb: [f64; 2], gpu: u32, kernels: Value| {
        let [limit, used] = gb.map(|gb| (gb * GB as f64) as u64);
        json!({
            "id": id, "user": user, "name": "", "profile": "gpu",
            "memory": { "limit": limit, "used": used },
            "gpus": [{
                "gpu": format!("GPU-5a1d3b7e-{user}"), "model": "Tesla K80", "busy": gpu,
                "memory_used": u64::from(gpu) << 26,
            }],
            "kernels": kernels, "terminals": { "open": 0, "working": 0 },
            "last_activity": null, "end": null, "at": null, "place": null,
        })
    };
    let mut bob =
        hit("1a77000000000000", "bob", [28.0, 0.2], 0, json!({ "busy": 0, "quiet_s": 72_060 }));
    bob["last_activity"] = json!("2026-05-10T18:02:00.000000Z");
    (bob["end"], bob["at"]) = (json!("idle"), json!("2026-05-11T18:02:00.000000Z"));
    bob["place"] = json!("ccjngpu5");
    let mut carol =
        hit("9c01000000000000", "carol", [28.0, 21.4], 97, json!({ "busy": 1, "quiet_s": 0 }));
    carol["last_activity"] = json!("2026-05-11T14:02:00.000000Z");
    (carol["end"], carol["at"]) = (json!(end), by.clone());
    let why = sent["message"].as_str().or(sent["reason"].as_str()).unwrap().trim_end_matches('.');
    let text = match by.as_str() {
        Some(_) => format!("{host} is to be empty by 2026-05-15 18:00 UTC: {why}."),
        None => format!("{host} is being emptied: {why}."),
    };
    let leads = if by.is_null() { json!([]) } else { json!([86_400, 7_200, 600]) };
    json!({
        "empty_at": by, "without_place": 1, "servers": [bob, carol],
        "telling": {
            "people": ["bob", "carol"], "leads_s": leads, "channels": ["lab", "card", "mail"],
            "text": format!("{text} Save your work, then stop the server and start it again."),
        },
    })
}

fn why_not(id: &str, host: &str) -> Answer {
    let known = ["ccjn01", "ccjn02", "ccjn03", "ccjngpu1"];
    if !known.contains(&host) {
        return refusal(404, format!("There is no host {host}."));
    }
    let bob = id.starts_with("1a77");
    let decision = decision_of(if bob { "d2d2d2d2d2d2d2d2" } else { "d1d1d1d1d1d1d1d1" }, true);
    let decision = decision.unwrap();
    let lines = decision["hosts"].as_array().unwrap();
    let find = |name: &str| lines.iter().find(|line| line["host"] == name).cloned();
    let line = find(host);
    let obstacles = match &line {
        Some(line) if line["verdict"] == "excluded" => json!([
            { "reason": line["reason"], "detail": line["detail"] }
        ]),
        _ => json!([]),
    };
    let fits = if obstacles == json!([]) { 1 } else { 0 };
    ok(part(
        "why_not",
        json!({
            "server": id, "user": decision["user"], "name": "", "ask": decision["ask"],
            "on": decision["host"], "host": host,
            "decision": {
                "id": decision["id"], "at": decision["at"],
                "chosen": find(decision["host"].as_str().unwrap_or("")), "line": line,
            },
            "now": { "count": 1, "fits": fits, "obstacles": obstacles },
        }),
    ))
}

fn config() -> Value {
    json!({
        "in_force_since": "2026-05-11T09:12:00.000000Z", "from": "disk",
        "files": ["hosts.d/10-cpu.toml", "hub.toml", "profiles.toml", "quotas.toml"],
        "same_as_disk": false, "valid": false,
        "found": [
            {
                "severity": "error", "file": "profiles.toml", "line": 20,
                "code": "config.unknown_name",
                "message": "pool \"gpus\" is not defined; did you mean \"gpu\"?",
            },
            {
                "severity": "warning", "file": "lifecycle.toml", "line": 26,
                "code": "config.warning.lead",
                "message": "lead \"24h\" is not used for profile gpu: over half of 1 d",
            },
        ],
    })
}

fn applied(verb: &str) -> Value {
    let mut told = config();
    told["applied"] = json!(verb == "rollback");
    if verb == "rollback" {
        told["found"] = json!([]);
    }
    told
}

fn effective() -> Value {
    let rule = |text: &str, passed: bool, cite: Value| json!({ "text": text, "passed": passed, "cite": cite });
    json!({
        "user": "alice", "groups": ["lsst"], "admin": false,
        "profiles": [
            {
                "profile": "cpu", "declared_at": "profiles.toml:3", "allowed": true,
                "reason": null, "why": null, "idle_stop_s": 259_200, "idle_at": "lifecycle.toml:9",
                "rules": [
                    rule("profile cpu is open to everybody", true, json!("profiles.toml:3")),
                    rule("memory 4 + 4 of 64 GB", true, json!("quotas.toml:9")),
                ],
            },
            {
                "profile": "gpu", "declared_at": "profiles.toml:12", "allowed": false,
                "reason": "refused.access.profile", "idle_stop_s": 86_400,
                "idle_at": "lifecycle.toml:8",
                "why": "Profile \"gpu\" is given to certain people only.",
                "rules": [rule("whitelist gpu", false, json!("access.toml:4"))],
            },
        ],
    })
}

/// The stub does not read the query: these are the answers by user, with the group's number.
fn usage() -> Value {
    let row = |name: &str, group: &str, hours: [f64; 3]| {
        let [server, gib, gpu] = hours;
        json!({
            "name": name, "group": group, "users": 2, "server_hours": server, "gib_hours": gib,
            "gib_hours_used": gib / 4.0,
            "gpu_hours": gpu,
            "gpu_hours_used": gpu / 2.0,
        })
    };
    json!({
        "from": "2026-05-01T00:00:00.000000Z", "to": "2026-06-01T00:00:00.000000Z",
        "rows": [
            row("alice", "lsst", [61.5, 246.0, 0.0]),
            row("carol", "euclid", [300.2, 8405.6, 300.2]),
        ],
    })
}

fn doctor() -> Value {
    let found = |check: &str, verdict: &str, text: &str, remedy: &str| json!({ "check": check, "verdict": verdict, "text": text, "remedy": remedy });
    json!([
        found("fleet", "ok", "every invariant holds over 16 hosts and 94 servers", ""),
        found("hosts", "ok", "15 of 16 report", ""),
        found(
            "hosts",
            "failed",
            "ccjngpu3: The host does not report.",
            "Check berth-agent and the network on that host."
        ),
        found(
            "backup",
            "warning",
            "the last: 2026-05-08 02:00 UTC",
            "Let 'berth-hub backup FILE' run every night."
        ),
        found("proxy", "ok", "answers, and has all 94 routes", ""),
    ])
}

fn drains() -> Value {
    let order = |word: &str, reason: &str, who: &str, since: &str, by: Value, then: Value| {
        json!({
            "intent": word, "reason": reason, "who": who, "since": since, "by": by,
            "at_deadline": then, "message": null,
        })
    };
    json!([
        {
            "id": null, "host": "ccjn06", "pool": "cpu", "state": "cordoned", "left": 14,
            "ended": null, "servers": [],
            "intent": order("cordoned", "kernel update", "frank", "2026-05-11T09:12:00.000000Z",
                            Value::Null, Value::Null),
        },
        {
            "id": "d-0042", "host": "ccjngpu2", "pool": "gpu", "state": "draining", "left": 1,
            "ended": null,
            "intent": order("draining", "driver 470.256", "erin", "2026-05-11T12:02:00.000000Z",
                            json!("2026-05-15T18:00:00.000000Z"), json!("stop")),
            "servers": [{
                "id": "9c01000000000000", "user": "carol", "name": "", "stopping": false,
                "told_at": "2026-05-11T12:02:00.000000Z", "mailed": true,
                "last_activity": "2026-05-11T14:02:00.000000Z",
            }],
        },
    ])
}

/// One that goes on, and one that is over.
fn drain(id: &str) -> Answer {
    let all = drains();
    match id {
        "d-0042" => ok(part("drain", all[1].clone())),
        "d-0007" => {
            let mut over = all[1].clone();
            over["id"] = json!(id);
            over["state"] = json!("over");
            over["left"] = json!(0);
            over["ended"] = json!("2026-05-11T13:30:00.000000Z");
            over["servers"] = json!([]);
            over["intent"]["message"] = json!("Its fan is loud; a new one comes.");
            ok(part("drain", over))
        }
        _ => refusal(404, format!("There is no drain {id}.")),
    }
}

/// The same after some looks: its last server ends before the second, and it is let back at last.
pub fn drains_later(looks: usize) -> Value {
    let mut all = drains();
    if looks >= 1 {
        all[1]["left"] = json!(0);
        all[1]["state"] = json!("drained");
        all[1]["servers"] = json!([]);
    }
    all
}

fn queue() -> Value {
    let waiter = |server: &str, user: &str, place: Value, code: &str, since: &str| {
        json!({
            "server": server, "user": user, "name": "", "pool": "gpu", "place": place,
            "ask": { "profile": "gpu", "memory": 28 * GB, "image": "base", "gpus": 1,
                "gpu_model": null },
            "reason": reason(code), "since": since, "estimate_s": null, "held": null,
            "decision": "d2d2d2d2d2d2d2d2",
        })
    };
    let mut held =
        waiter("77aa000000000000", "frank", Value::Null, "wait.place_held", "2026-05-11T12:00:00Z");
    held["held"] = json!({ "host": "ccjngpu4", "until": "2026-05-11T14:15:00.000000Z" });
    held["pool"] = Value::Null;
    let mut bob =
        waiter("1a77000000000000", "bob", json!(1), "wait.gpu.busy", "2026-05-11T13:20:00Z");
    bob["estimate_s"] = json!([1500, 4200]);
    let last = waiter("2b88000000000000", "grace", json!(2), "wait.order", "2026-05-11T14:01:00Z");
    json!([held, bob, last])
}

fn decisions(admin: bool) -> Value {
    let mut all = Vec::new();
    for id in ["d2d2d2d2d2d2d2d2", "d1d1d1d1d1d1d1d1"] {
        let mut decision = decision_of(id, false).unwrap();
        decision.as_object_mut().unwrap().remove("room");
        if admin || decision["user"] == "alice" {
            all.push(decision);
        }
    }
    json!(all)
}

fn audit() -> Value {
    json!([
        {
            "id": 12, "at": "2026-05-11T13:58:00.000000Z", "actor": "carol",
            "action": "enter-server", "user": "alice", "from": "192.0.2.7",
            "subject": "8f2c000000000000", "reason": "ticket 8812: the kernel does not start",
        },
        {
            "id": 11, "at": "2026-05-11T08:00:00.000000Z", "actor": "local-admin",
            "action": "host-cordon", "user": null, "from": "admin-socket", "subject": "ccjngpu2",
            "reason": "",
        },
    ])
}

fn visit(id: &str, sent: &Value) -> Answer {
    if sent["reason"].as_str().unwrap_or_default().trim().is_empty() {
        return refusal(400, "Say why: the owner reads it.");
    }
    ok(part(
        "visit",
        json!({
            "server": id, "owner": "alice", "visitor": "carol", "reason": sent["reason"],
            "begun": "2026-05-11T14:03:00.000000Z", "until": "2026-05-11T15:03:00.000000Z",
            "under_way": true, "url": "http://hub:8000/user/alice/",
        }),
    ))
}

fn replay() -> Value {
    let verdict = |outcome: &str, code: &str, cite: Value| json!({ "outcome": outcome, "reason": reason(code), "cite": cite });
    json!({
        "requests": 1284, "same": 1283, "now_accepted": 0, "now_refused": 1, "now_starts": 0,
        "now_waits": 0, "refused_otherwise": 0,
        "others": [{
            "decision": "d4d4d4d4d4d4d4d4", "at": "2026-05-08T10:02:00.000000Z", "user": "erin",
            "ask": { "profile": "gpu", "memory": 28 * GB, "gpus": 1 },
            "before": verdict("placed", "placed.now", Value::Null),
            "after": verdict("refused", "refused.quota.gpu", json!("quotas.toml:4")),
        }],
    })
}

fn plan(sent: &Value) -> Answer {
    if sent["add_hosts"][0]["like"] == "moon" {
        return refusal(404, "add_hosts: there is no declared host or pool moon");
    }
    let removed = sent["remove_hosts"].as_array().cloned().unwrap_or_default();
    let server = |id: &str, user: &str, by_limits: Value| {
        json!({
            "id": id, "user": user, "name": "", "host": "ccjn01", "pool": "cpu",
            "memory": { "limit": 8 * GB, "peak": 3 * GB, "used": GB }, "gpus": 0,
            "by_limits": by_limits, "by_used": "ccjn02", "by_rule": by_limits,
        })
    };
    let starting = if removed.is_empty() { 1 } else { 0 };
    let (servers, fit, then) = if removed.is_empty() {
        (json!([]), [0, 0], 61 * GB)
    } else if removed[0] == "ccjn03" {
        (json!([]), [0, 0], 29 * GB)
    } else {
        let servers = json!([
            server("8f2c4e0000000000", "alice", json!("ccjn02")),
            server("8f2d000000000000", "dave", Value::Null),
        ]);
        (servers, [2, 1], 6 * GB)
    };
    let added = if removed.is_empty() { json!(["new-1", "new-2"]) } else { json!([]) };
    ok(json!({
        "schema_version": 1, "removed": removed, "added": added, "servers": servers,
        "fit": { "of": fit[0], "by_limits": fit[1], "by_used": fit[0], "by_rule": fit[1] },
        "pools": [
            { "pool": "cpu", "largest_now": 29 * GB, "largest_then": then,
              "largest_with_gpu_now": null, "largest_with_gpu_then": null },
            { "pool": "gpu", "largest_now": 12 * GB, "largest_then": 12 * GB,
              "largest_with_gpu_now": 4 * GB, "largest_with_gpu_then": 4 * GB },
        ],
        "queue": { "waiting": 2, "start_now": 0, "would_start": starting },
        "replay": if sent["replay_since"].is_null() { Value::Null } else { replay() },
    }))
}

fn plan_config(sent: &Value) -> Value {
    let pools = sent["files"]["pools.toml"].as_str().unwrap_or("");
    if !pools.contains("[pool.cpu]") {
        return json!({
            "schema_version": 1, "valid": false, "replay": null,
            "errors": [{
                "file": "profiles.toml", "line": 3, "code": "config.unknown_name",
                "message": "pool \"cpu\" is not defined; did you mean \"cpuu\"?",
            }],
        });
    }
    json!({
        "schema_version": 1, "valid": true, "errors": [], "same_as_running": false,
        "replay": replay(),
    })
}
