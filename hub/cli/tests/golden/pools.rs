//! Pools, quotas, access, images, the life of a server, and the queue's order.

use serde_json::{Value, json};

use crate::site::{Answer, GB, ok, part, reason, refusal};

/// What the hub says of these; `None`: it is about something else.
pub fn answer(who: &str, method: &str, parts: &[&str], sent: &Value) -> Option<Answer> {
    let admin = matches!(who, "admin" | "socket");
    Some(match (method, parts) {
        ("GET", ["berth", "pools" | "images" | "access"]) | ("PUT", ["berth", "queue", _])
            if !admin =>
        {
            crate::site::because_of("admin-ui")
        }
        ("GET", ["berth", "pools"]) => ok(part("pools", pools())),
        ("GET", ["berth", "images"]) => ok(part("images", images())),
        ("POST", ["berth", "images", name, "orders"]) => image_order(name, sent),
        ("GET", ["berth", "access"]) => ok(part("access", access())),
        ("GET", ["berth", "users", user, "quota"]) if admin || *user == who => {
            ok(part("quota", quota()))
        }
        ("GET", ["berth", "servers", id, "decisions"]) if id.starts_with("8f2c") => {
            ok(part("decisions", json!([decision()])))
        }
        ("PUT", ["berth", "queue", id]) if id.starts_with("1a77") => {
            let place = if sent["to"] == "first" { 1 } else { 4 };
            ok(part("queue", json!({ "server": id, "place": place })))
        }
        ("PUT", ["berth", "queue", _]) => refusal(409, "It does not wait."),
        _ => return None,
    })
}

fn pools() -> Value {
    let pool = |name: &str,
                state: &str,
                hosts: &[&str],
                ready: u64,
                gb: [u64; 4],
                gpus: [u64; 2]| {
        let [usable, reserved, used, largest] = gb.map(|gb| gb * GB);
        json!({
            "name": name, "state": state, "hosts": hosts, "ready": ready, "servers": 20,
            "waiting": gpus[1] / 2, "memory": { "usable": usable, "reserved": reserved, "used": used },
            "gpus": { "all": gpus[0], "held": gpus[1] }, "largest_start": largest,
            "strategy": "pack", "memory_rule": "peaks", "oversubscribe": 1.5,
            "declared_at": "pools.toml:2", "trainings_only": name == "training",
        })
    };
    json!([
        pool("cpu", "open", &["ccjn01", "ccjn02", "ccjn03"], 2, [87, 69, 22, 17], [0, 0]),
        pool("gpu", "open", &["ccjn01", "ccjn02"], 1, [248, 168, 40, 28], [8, 4]),
        pool("training", "for trainings", &[], 0, [0, 0, 0, 0], [0, 0]),
    ])
}

fn images() -> Value {
    json!([
        {
            "name": "default", "title": "Python", "reference": "images.example.org/berth/notebook:2026.05",
            "previous": "images.example.org/berth/notebook:2026.04", "stage": "canary",
            "until": "2026-05-14T08:00:00.000000Z", "wanted_on": ["ccjn01", "ccjn02", "ccjn03"],
            "present_on": ["ccjn01", "ccjn02"], "running": 17, "running_previous": 12, "order": null,
        },
        {
            "name": "root-6.30", "title": "ROOT", "reference": "images.example.org/berth/root:6.30",
            "previous": null, "stage": "everybody", "until": null,
            "wanted_on": ["ccjn01"], "present_on": ["ccjn01"], "running": 3, "running_previous": 0, "order": null,
        },
    ])
}

fn image_order(name: &str, sent: &Value) -> Answer {
    let word = sent["order"].as_str().unwrap();
    let mut image = match (name, word) {
        ("default", _) => images()[0].clone(),
        ("root-6.30", "pull") => images()[1].clone(),
        ("root-6.30", _) => {
            let why =
                "images.toml names no version of root-6.30 before this one (previous = \"...\")";
            return refusal(409, why);
        }
        _ => return refusal(404, format!("There is no image {name} in images.toml.")),
    };
    image["stage"] = match word {
        "promote" => json!("everybody"),
        "revert" => json!("taken back"),
        _ => image["stage"].clone(),
    };
    image["order"] = json!({
        "order": word, "who": "erin", "reason": sent["reason"], "at": "2026-05-11T14:03:00Z",
    });
    ok(json!({ "schema_version": 1, "dry_run": sent["dry_run"], "image": image }))
}

fn access() -> Value {
    json!([
        {
            "rule": "allow", "profile": "gpu", "users": [], "groups": ["lsst"],
            "except_users": ["mallory"], "until": null, "note": "agreed in March",
            "cite": "access.toml:4",
        },
        {
            "rule": "allow", "profile": "gpu", "users": ["bob"], "groups": [], "except_users": [],
            "until": "2026-06-01T00:00:00.000000Z", "note": null, "cite": "access.toml:9",
        },
        {
            "rule": "deny", "profile": null, "users": ["trent"], "groups": [], "except_users": [],
            "until": null, "note": "left the laboratory", "cite": "access.toml:20",
        },
    ])
}

fn quota() -> Value {
    json!([
        { "resource": "servers", "unit": "", "held": 2, "limit": 5, "cite": "quotas.toml:3" },
        { "resource": "memory", "unit": "bytes", "held": 12 * GB, "limit": 64 * GB,
          "cite": "quotas.toml:9" },
        { "resource": "GPUs", "unit": "", "held": 0, "limit": 1, "cite": "quotas.toml:9" },
        { "resource": "farm cores", "unit": "", "held": 0, "limit": null, "cite": null },
    ])
}

fn decision() -> Value {
    json!({
        "id": "d1d1d1d1d1d1d1d1", "at": "2026-05-11T09:41:00.000000Z",
        "reason": reason("placed.now"),
        "sentence": "Placed on ccjn01: image present yes there, no on ccjn02.",
    })
}
