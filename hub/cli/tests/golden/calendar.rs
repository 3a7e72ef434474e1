//! The small site's answers about trainings, notices and maintenance.

use serde_json::{Value, json};

use crate::site::{Answer, GB, because_of, empty, ok, part, refusal};

const OPENS: &str = "2026-05-12T08:00:00.000000Z";
const ENDS: &str = "2026-05-14T19:00:00.000000Z";

/// The answer to a call, if it is one of these.
pub fn answer(who: &str, method: &str, parts: &[&str], sent: &Value) -> Option<Answer> {
    let admin = matches!(who, "admin" | "socket");
    Some(match (method, parts) {
        (_, ["berth", "maintenance", ..]) if !admin => because_of("admin-ui"),
        ("GET", ["berth", "maintenance"]) => ok(part("maintenance", json!([maintenance(7)]))),
        ("POST", ["berth", "maintenance"]) => ok(json!({
            "schema_version": 1,
            "dry_run": sent["dry_run"],
            "maintenance": maintenance(if sent["dry_run"] == true { 0 } else { 7 }),
            "trainings": ["root-school"],
        })),
        ("DELETE", ["berth", "maintenance", "7"]) => empty(204),
        ("DELETE", ["berth", "site-notices", "3"]) => empty(204),
        ("GET", ["berth", "site-notices"]) if !admin => because_of("admin-ui"),
        ("GET", ["berth", "site-notices"]) => ok(part("notices", notices())),
        ("POST", ["berth", "site-notices"]) => ok(json!({
            "schema_version": 1,
            "dry_run": sent["dry_run"],
            "notice": {
                "id": if sent["dry_run"] == true { 0 } else { 5 }, "to": sent["to"],
                "level": sent["level"], "from": "2026-05-11T14:03:00.000000Z",
                "until": "2026-05-12T14:03:00.000000Z", "shown": true, "en": sent["en"],
                "fr": "", "must_read": sent["must_read"] == true, "who": "erin", "at": "2026-05-11T14:03:00.000000Z",
            },
        })),
        ("GET", ["berth", "trainings"]) if admin => ok(part("trainings", json!(trainings()))),
        ("GET", ["berth", "trainings"]) => {
            let own = json!([brief("root-school", "participant")]);
            ok(part("trainings", own))
        }
        ("GET", ["berth", "trainings", "root-school"]) if admin => ok(part("training", shown())),
        ("GET", ["berth", "trainings", "root-school", "check"]) if admin => ok(checked()),
        ("POST", ["berth", "trainings", "root-school", "rehearsal"]) if admin => {
            ok(part("rehearsal", rehearsal(sent)))
        }
        (_, ["berth", "trainings", name, "rehearsal", "servers"]) if admin => {
            rehearsed(who, method, name, sent)
        }
        ("POST", ["berth", "trainings", "geant4", "orders"]) => ordered(sent),
        ("POST", ["berth", "trainings", "root-school", "orders"]) => {
            refusal(409, "the training is not on: there is no end to put off")
        }
        (_, ["berth", "reboots" | "consolidation"]) if !admin => because_of("admin-ui"),
        ("GET", ["berth", "reboots"]) => ok(part("reboot", reboot("kernel update"))),
        ("POST", ["berth", "reboots"]) => {
            let mut begun = reboot(sent["reason"].as_str().unwrap());
            begun["forecast"] = json!({ "restarts": 5, "without_room": [] });
            ok(json!({ "schema_version": 1, "dry_run": sent["dry_run"], "reboot": begun }))
        }
        ("DELETE", ["berth", "reboots"]) => empty(204),
        ("GET", ["berth", "consolidation"]) => ok(part("proposals", proposals())),
        ("PUT", ["berth", "servers", id, "memory"]) => resize(id, sent),
        (_, ["berth", "maintenance" | "site-notices" | "trainings", ..]) => {
            refusal(404, "No access to resources or resources not found")
        }
        _ => return None,
    })
}

fn brief(name: &str, role: &str) -> Value {
    json!({
        "name": name, "title": "ROOT school", "role": role, "state": "planned", "opens": OPENS,
        "closes": null, "from": OPENS, "to": ENDS, "pool": "training",
        "windows": [{ "from": OPENS, "to": ENDS }],
        "file": "trainings.d/2026-05-root-school.toml", "line": 2,
    })
}

fn trainings() -> Vec<Value> {
    let mut school = brief("root-school", "admin");
    school["expected"] = json!(30);
    school["connected"] = json!(0);
    let mut geant4 = brief("geant4", "admin");
    geant4["title"] = json!("Geant4 for beginners");
    geant4["state"] = json!("open");
    geant4["opens"] = Value::Null;
    geant4["closes"] = json!("2026-05-11T17:00:00.000000Z");
    geant4["from"] = json!("2026-05-11T08:00:00.000000Z");
    geant4["to"] = json!("2026-05-11T17:00:00.000000Z");
    geant4["expected"] = json!(12);
    geant4["connected"] = json!(11);
    vec![geant4, school]
}

fn shown() -> Value {
    let mut shown = brief("root-school", "admin");
    let person = |user: &str, known: bool, state: &str, reason: Value, used: Value| {
        json!({
            "user": user, "known": known, "state": state, "server": null, "reason": reason,
            "last_activity": if state == "absent" { Value::Null } else {
                json!("2026-05-11T13:52:00.000000Z")
            },
            "memory": { "limit": if state == "absent" { Value::Null } else { json!(3 * GB) },
                "used": used },
        })
    };
    let oom = crate::site::reason("stopped.oom");
    for (name, value) in [
        ("expected", json!(30)),
        ("known", json!(4)),
        ("active", json!(1)),
        ("connected", json!(1)),
        ("memory", json!(3 * GB)),
        ("image", json!("root-6.30")),
        ("overflow", json!("cpu")),
        ("stop_after_s", json!(7200)),
        ("instructors", json!(["carol", "dave"])),
        (
            "orders",
            json!([{ "id": 4, "open": true, "from": "2026-05-11T13:00:00.000000Z",
                "to": "2026-05-11T15:00:00.000000Z", "who": "erin", "reason": "dress rehearsal",
                "at": "2026-05-11T12:58:00.000000Z" }]),
        ),
        (
            "participants",
            json!([
                person("alice", true, "running", Value::Null, json!(GB + GB / 5)),
                person("bob", true, "ended", oom, Value::Null),
                person("dora", true, "absent", Value::Null, Value::Null),
                person("zoe", false, "absent", Value::Null, Value::Null),
            ]),
        ),
    ] {
        shown[name] = value;
    }
    shown
}

fn checked() -> Value {
    let finding = |check: &str, ok: bool, text: &str, lines: &[(&str, u32)]| {
        let lines: Vec<_> =
            lines.iter().map(|(file, line)| json!({ "file": file, "line": line })).collect();
        json!({ "check": check, "ok": ok, "text": text, "where": lines })
    };
    let here = ("trainings.d/2026-05-root-school.toml", 2);
    json!({
        "schema_version": 1, "training": "root-school", "ok": false,
        "findings": [
            finding("memory", true,
                "30 x 3 GB have room on 4 hosts; without ccjntr1 27 of them, 3 in pool cpu", &[]),
            finding("image", false, "root-6.30 is on 3 of 4 hosts, not on ccjntr4",
                &[here, ("images.toml", 11)]),
            finding("people", true,
                "27 are known here, 30 expected; others of school-root-2026 at their first login",
                &[]),
            finding("maintenance", false,
                "ccjntr2 is away from 2026-05-13 08:00 UTC to 2026-05-13 12:00 UTC: new disks",
                &[here, ("hosts.d/20-training.toml", 2)]),
            finding("clash", true, "no other training has pool training then", &[]),
            finding("start_rate", true,
                "30 starts at once take 48s (6s a start, the median of 41); 5m are allowed", &[]),
        ],
    })
}

fn rehearsal(sent: &Value) -> Value {
    let people = sent["people"].as_u64().unwrap_or(30);
    let host = |number: u64, people: u64, fetches: bool| {
        json!({ "host": format!("ccjntr{number}"), "people": people, "takes_s": people.div_ceil(4) * 6,
            "fetches_image": fetches })
    };
    let hosts: Vec<_> =
        (1..=4).map(|n| host(n, if n < 4 { 9 } else { people.min(36) - 27 }, n == 4)).collect();
    json!({
        "training": "root-school", "people": people, "placed": people.min(36),
        "without_place": people.saturating_sub(36), "overflow": 0, "takes_s": 18,
        "one_start_s": 6, "measured_starts": 41, "start_within_s": 300, "fetching": 1,
        "hosts": hosts,
    })
}

/// A rehearsal with real servers: over at the first look. Of four one fails.
fn rehearsed(who: &str, method: &str, training: &str, sent: &Value) -> Answer {
    match (method, training) {
        ("POST", _) if who == "socket" => refusal(
            400,
            "The servers of a rehearsal run under the account of whoever orders it, and this way \
             in has none: log in as a person.",
        ),
        ("POST", "geant4") => refusal(
            409,
            "carol rehearses root-school since 2026-05-11 13:58 UTC; it has to end first.",
        ),
        ("GET", "endless") => ok(part("rehearsal", staged("running", 4))),
        ("DELETE", "geant4") => refusal(404, "Nobody rehearses geant4 at the moment."),
        // Four take until the next look; fewer have done all at once.
        ("POST", _) => {
            let servers = sent["servers"].as_u64().unwrap();
            let stage = match servers {
                4 => "running",
                _ if sent["keep"] == true => "kept",
                _ => "over",
            };
            let begun = part("rehearsal", staged(stage, servers));
            crate::site::created(begun)
        }
        _ => ok(part("rehearsal", staged("over", 4))),
    }
}

fn staged(stage: &str, servers: u64) -> Value {
    let seat = |number: u64| {
        let name = format!("rehearsal-{number}");
        let host = format!("ccjntr{number}");
        if stage == "running" && number > 2 {
            return json!({
                "name": name, "state": "starting", "host": host, "queued_ms": null,
                "image_ms": null, "container_ms": null, "ready_ms": null, "total_ms": null,
                "reason": null, "detail": null,
            });
        }
        if number == 4 {
            return json!({
                "name": name, "state": "gone", "host": host, "queued_ms": null, "image_ms": null,
                "container_ms": null, "ready_ms": null, "total_ms": null,
                "reason": crate::site::reason("failed.container"),
                "detail": "no space left on device",
            });
        }
        let image = if number == 3 { 21_000 } else { 0 };
        json!({
            "name": name, "state": if stage == "over" { "gone" } else { "running" }, "host": host,
            "queued_ms": 120 * number, "image_ms": image, "container_ms": 800, "ready_ms": 2100,
            "total_ms": 2900 + 120 * number + image, "reason": null, "detail": null,
        })
    };
    let seats: Vec<_> = (1..=servers).map(seat).collect();
    let ready = seats.iter().filter(|it| !it["total_ms"].is_null()).count();
    let of = |part: &str| {
        let mut all: Vec<_> = seats.iter().filter_map(|it| it[part].as_u64()).collect();
        all.sort_unstable();
        json!({ "min": all[0], "median": all[all.len().div_ceil(2) - 1], "p95": all[all.len() - 1],
            "max": all[all.len() - 1] })
    };
    let slowest = of("total_ms")["max"].as_u64().unwrap();
    let failed = seats.iter().filter(|it| !it["reason"].is_null()).count();
    json!({
        "training": "root-school", "stage": stage, "owner": "erin", "who": "erin",
        "at": "2026-05-11T14:03:00.000000Z", "keep": stage == "kept",
        "until": (stage == "kept").then_some("2026-05-11T15:03:25.000000Z"),
        "hub_restarted": false, "expected": 30,
        "servers": servers, "ready": ready, "failed": failed,
        "left": if stage == "over" { 0 } else { servers }, "start_within_s": 300,
        "foreseen_ms": slowest * 30 / servers,
        "in_time": if stage == "running" { Value::Null } else { json!(failed == 0) },
        "times": {
            "queued_ms": of("queued_ms"), "image_ms": of("image_ms"),
            "container_ms": of("container_ms"), "ready_ms": of("ready_ms"),
            "total_ms": of("total_ms"),
        },
        "seats": seats,
    })
}

fn ordered(sent: &Value) -> Answer {
    let closed = sent["order"] == "close";
    let mut training = trainings().remove(0);
    if closed && sent["dry_run"] != true {
        training["state"] = json!("over");
        training["closes"] = Value::Null;
    }
    ok(json!({
        "schema_version": 1, "dry_run": sent["dry_run"],
        "order": { "id": 9, "open": !closed,
            "from": if closed { "2026-05-11T14:03:00.000000Z" } else { "2026-05-11T17:00:00.000000Z" },
            "to": if closed { "2026-05-11T17:00:00.000000Z" } else { "2026-05-11T18:00:00.000000Z" },
            "who": "erin", "reason": sent["reason"], "at": "2026-05-11T14:03:00.000000Z" },
        "in_the_way": if closed { Value::Null } else {
            json!("hosts of the pool are away from 2026-05-11 17:30 UTC")
        },
        "training": training,
    }))
}

fn notices() -> Value {
    let notice = |id: u32, to: &str, level: &str, shown: bool, text: &str| {
        json!({
            "id": id, "to": to, "level": level, "from": "2026-05-12T06:00:00.000000Z",
            "until": "2026-05-13T18:00:00.000000Z", "shown": shown, "en": text, "fr": "",
            "must_read": level == "warning", "who": "erin", "at": "2026-05-11T09:12:00.000000Z",
        })
    };
    json!([
        notice(3, "all", "info", true, "A new image, root-6.34, can be chosen."),
        notice(4, "pool:gpu", "warning", false, "The GPU hosts are rebooted on Wednesday evening."),
    ])
}

fn maintenance(id: u32) -> Value {
    json!({
        "id": id, "hosts": ["ccjntr1", "ccjntr2"], "from": "2026-05-13T08:00:00.000000Z",
        "to": "2026-05-13T12:00:00.000000Z", "drain_at": "2026-05-12T08:00:00.000000Z",
        "state": "planned", "servers": 3, "who": "erin", "reason": "new disks",
        "at": "2026-05-11T14:03:00.000000Z",
    })
}

/// A rolling reboot whose second host is being emptied.
fn reboot(reason: &str) -> Value {
    let turn = |host: &str, state: &str, by: Value, servers: u32| json!({ "host": host, "state": state, "since": null, "by": by, "servers": servers });
    json!({
        "reason": reason, "who": "erin", "at": "2026-05-11T12:00:00.000000Z", "done": false,
        "turns": [
            turn("ccjn02", "done", Value::Null, 4),
            turn("ccjn01", "emptying", json!("2026-05-11T16:00:00.000000Z"), 2),
            turn("ccjn03", "waiting", Value::Null, 11),
        ],
    })
}

fn proposals() -> Value {
    let to = |user: &str| json!({ "server": "8f2c", "user": user, "name": "", "from": "ccjn02", "to": "ccjn01" });
    json!([{ "host": "ccjn02", "frees": 29 * GB, "moves": [to("alice"), to("bob")] }])
}

fn resize(id: &str, sent: &Value) -> Answer {
    if sent["memory"] == json!(64 * GB) {
        let mut refused = refusal(409, "ccjn01 has 4 GB left. 12 GB would work now.");
        let mut body: Value = serde_json::from_str(&refused.body).unwrap();
        body["reason"] = crate::site::reason("refused.resize.no_room");
        refused.body = body.to_string();
        return refused;
    }
    let servers = crate::site::servers();
    let mut server = servers.into_iter().find(|server| server["id"] == *id).unwrap();
    server["resize"] = json!({
        "before": 8 * GB, "limit": sent["memory"], "state": "done", "refused": null,
        "at": "2026-05-11T14:02:00.000000Z", "number": 1, "lent": false,
    });
    ok(json!({ "schema_version": 1, "dry_run": sent["dry_run"], "server": server }))
}
