//! A small site on the afternoon of Monday 11 May 2026, in the hub's own field names
//! (`hub/src/web/api`).

use serde_json::{Value, json};

use crate::decisions::{decision_of, explain, placed, refused, seen_by, waits};
use crate::{calendar, fleet};

/// Bytes.
pub const GB: u64 = 1 << 30;

/// An answer of the stub.
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
}

/// What the hub says to this person. `before` counts earlier calls of the same kind.
pub fn answer(who: &str, call: &str, sent: &Value, before: usize) -> Answer {
    let (method, path) = call.split_once(' ').unwrap();
    let parts: Vec<_> = path.strip_prefix("/hub/api/").unwrap_or(path).split('/').collect();
    // Tokens that stand for what can be in the way of a hub.
    match who {
        "gateway" => return page(503, "<h1>The hub is away</h1>"),
        // As the proxy says it to programs.
        "updating" => return refusal(503, "The hub is being updated. Notebooks go on."),
        "stranger" => return page(200, "<h1>It works!</h1>"),
        "moved" => {
            let mut moved = page(308, "");
            moved.headers.push(("location", "https://notebook.example.org/".into()));
            return moved;
        }
        "busy" => {
            let mut busy = refusal(429, "Too many requests. Try again in 30 seconds.");
            busy.headers.push(("retry-after", "30".into()));
            return busy;
        }
        "broken" => return refusal(503, "The hub cannot use its store at the moment."),
        _ => {}
    }
    if (method, parts.as_slice()) == ("POST", &["users", "alice", "tokens"]) {
        return create_token(who, sent);
    }
    match who {
        "nobody" if path == "/hub/api/user" => return refusal(403, Value::Null),
        "nobody" | "ended" => return refusal(403, "Missing or invalid credentials."),
        _ => {}
    }
    // Over the socket a drain goes on, from look to look.
    if (who, call) == ("socket", "GET /hub/api/berth/drains") {
        return ok(part("drains", crate::fleet::drains_later(before)));
    }
    if let Some(answer) = crate::pools::answer(who, method, &parts, sent) {
        return answer;
    }
    let admin = matches!(who, "admin" | "socket");
    if !admin && matches!(parts.as_slice(), ["berth", "hosts" | "users", ..]) {
        return because_of(if parts[1] == "hosts" { "admin-ui" } else { "admin:users" });
    }
    if let Some(answer) = calendar::answer(who, method, &parts, sent) {
        return answer;
    }
    if let Some(answer) = fleet::answer(who, method, &parts, sent) {
        return answer;
    }
    match (method, parts.as_slice()) {
        ("GET", ["user"]) => ok(whoami(who)),
        ("GET", ["berth", "hosts"]) => ok(part("hosts", json!(hosts()))),
        ("GET", ["berth", "hosts", name]) => {
            match hosts().into_iter().find(|host| host["name"] == **name) {
                Some(host) => ok(part("host", host)),
                None => refusal(404, format!("There is no host {name}.")),
            }
        }
        ("POST", ["berth", "hosts", "ccjn08", "join-token"]) => created(json!({
            "schema_version": 1,
            "host": "ccjn08",
            "token": "berth1.4f1c9a.00d1.s3cr3t",
            "expires_at": "2026-05-11T15:03:00.000000Z",
        })),
        ("POST", ["berth", "hosts", name, "join-token"]) => refusal(
            404,
            format!(
                "host {name} is not declared; add it to a file in hosts.d, for example\n\n\
                 version = 1\nhost = [\n  {{ names = \"{name}\", pool = \"cpu\", \
                 memory = \"32 GB\", keep_free = \"3 GB\" }},\n]"
            ),
        ),
        ("GET", ["berth", "servers"]) => {
            let mut servers = servers();
            servers.retain(|server| admin || server["user"] == who);
            ok(part("servers", json!(servers)))
        }
        ("POST", ["berth", "servers", id, "extend"]) => extend(id, sent),
        ("GET", ["berth", "decisions", "d1d1"]) => {
            ok(part("decision", decision_of("d1d1d1d1d1d1d1d1", admin).unwrap()))
        }
        ("GET", ["berth", "decisions", id]) => match decision_of(id, admin) {
            Some(decision) => ok(part("decision", decision)),
            None => refusal(404, "No access to resources or resources not found"),
        },
        ("POST", ["berth", "explain"]) => {
            let user = sent["user"].as_str().unwrap_or(who);
            ok(part("decision", explain(user, sent, admin)))
        }
        ("GET", ["berth", "profiles"]) => ok(part("profiles", profiles(admin))),
        ("GET", ["berth", "users"]) => ok(part("users", users())),
        ("POST", ["berth", "users"]) => add_user(sent),
        ("GET", ["berth", "users", "alice", "account"]) => ok(part("account", account())),
        ("GET", ["berth", "users", "dora", "account"]) => ok(part("account", ended_account())),
        ("POST", ["berth", "users", "alice", "identities"]) => {
            created(part("identity", sent.clone()))
        }
        ("DELETE", ["berth", "users", "alice", "identities"]) => empty(204),
        ("POST", ["berth", "users", name, "password"]) => set_password(name, sent),
        ("GET", ["users", "alice", "tokens"]) => ok(json!({ "api_tokens": tokens() })),
        ("DELETE", ["users", "alice", "tokens", "a12" | "a20"]) => empty(204),
        ("DELETE", ["users", _, "tokens", _]) => refusal(404, "No such token"),
        ("POST", ["users", user, "server" | "servers", ..]) => start(user),
        ("GET", ["users", user, .., "progress"]) => progress(user),
        ("DELETE", ["users", "bob", "server"]) if before == 0 => empty(202),
        ("DELETE", ["users", _, "server" | "servers", ..]) => empty(204),
        _ => refusal(404, "There is no such endpoint."),
    }
}

/// What a source says of an account.
fn says() -> Value {
    json!({
        "uid": 20001, "gid": 30001, "home": "/pbs/home/a/alice",
        "groups": [{ "name": "atlas", "gid": 30001 }],
    })
}

fn account() -> Value {
    json!({
        "name": "alice", "standing": "valid", "reason": null, "why": "", "known_here": true,
        "admin": false, "invalid_since": null,
        "account": { "name": "alice", "uid": 20001, "gid": 30001, "home": "/pbs/home/a/alice",
            "groups": [{ "name": "atlas", "gid": 30001 }, { "name": "school", "gid": 0 }] },
        "sources": [
            { "source": "ldap", "knows": true, "says": says(), "down": null,
              "at": "2026-05-11T14:00:00.000000Z" },
            { "source": "idnum", "knows": true, "says": says(), "down": "no answer within 5 s",
              "at": "2026-05-11T12:03:00.000000Z" },
        ],
        "identities": [
            { "issuer": "https://keycloak.example.org/realms/cc", "subject": "4711",
              "linked": "2026-05-01T08:00:00.000000Z" },
        ],
    })
}

fn ended_account() -> Value {
    json!({
        "name": "dora", "standing": "invalid", "reason": "refused.account.invalid",
        "why": "idnum says that dora is not valid: contract ended.", "known_here": true,
        "admin": false, "invalid_since": "2026-05-10T08:00:00.000000Z", "account": null,
        "sources": [{ "source": "idnum", "knows": true, "says": says(), "down": null, "at": null }],
        "identities": [],
    })
}

pub fn ok(body: Value) -> Answer {
    Answer { status: 200, headers: Vec::new(), body: body.to_string() }
}

pub fn created(body: Value) -> Answer {
    Answer { status: 201, ..ok(body) }
}

pub fn empty(status: u16) -> Answer {
    Answer { status, headers: vec![("content-type", "text/plain".into())], body: String::new() }
}

fn page(status: u16, body: &str) -> Answer {
    Answer { status, headers: vec![("content-type", "text/html".into())], body: body.into() }
}

pub fn refusal(status: u16, message: impl Into<Value>) -> Answer {
    let message: Value = message.into();
    Answer { status, ..ok(json!({ "status": status, "message": message })) }
}

/// The refusal for want of a scope.
pub fn because_of(scope: &str) -> Answer {
    let message =
        format!("Action is not authorized with current scopes; requires any of [{scope}]");
    refusal(403, message)
}

fn because(mut answer: Answer, code: &str) -> Answer {
    answer.headers.push(("x-berth-reason", code.into()));
    answer
}

pub fn part(name: &str, value: Value) -> Value {
    json!({ "schema_version": 1, name: value })
}

pub fn reason(code: &str) -> Value {
    let known: berth_common::Reason = code.parse().unwrap();
    json!({ "code": code, "text": known.text(), "remedy": known.remedy() })
}

fn whoami(who: &str) -> Value {
    if who == "socket" {
        return json!({
            "kind": "service", "name": "local-admin", "admin": true,
            "token_id": null, "session_id": null, "scopes": ["admin-ui", "admin:users"],
        });
    }
    json!({
        "kind": "user", "name": who, "admin": who == "admin", "token_id": "a20", "groups": ["lsst"],
        "roles": ["user"], "created": "2026-05-01T08:00:00.000000Z",
        "last_activity": "2026-05-11T14:00:00.000000Z", "auth_state": null, "user_info": null,
        "pending": null, "server": null, "servers": {}, "session_id": null, "scopes": [format!("read:servers!user={who}"), format!("tokens!user={who}")],
    })
}

fn hosts() -> Vec<Value> {
    let host = |name: &str, pool: &str, state: &str, why: Value, servers: Value, gb: [f64; 4]| {
        let [total, keep, reserved, used] = gb.map(|gb| (gb * GB as f64) as u64);
        json!({
            "name": name,
            "state": state,
            "reason": why,
            "detail": null,
            "pool": pool,
            "memory": {
                "declared": total, "keep_free": keep, "reported": total, "usable": total - keep,
                "reserved": reserved, "unreserved": (total - keep).saturating_sub(reserved),
                "used": used, "free": total - keep - used,
            },
            "cpus": 8,
            "load": used as f64 / GB as f64 / 4.0,
            "servers": servers,
            "agent_version": "0.1.0",
            "engine_version": "28.1.1",
            "images": ["registry.example.org/base:2026.05", "registry.example.org/root:6.30"],
            "last_report": "2026-05-11T14:02:58.000000Z",
            "last_report_age_s": 2,
            "boot_id": "3d1c7b1e-0000-4000-8000-000000000001",
            "intent": { "intent": "open", "reason": null, "who": null, "since": null, "by": null,
                "at_deadline": null, "message": null }, "opens": null, "gpus": [], "gpu_driver": "",
            "gpu_trouble": "", "spaces": [], "memory_pressure": null,
            "address": format!("{name}:8444"),
            "declared_at": "hosts.d/10-cpu.toml:4",
        })
    };
    let mut lost = host(
        "ccjngpu3",
        "gpu",
        "lost",
        reason("host.lost"),
        json!(["9c01000000000000"]),
        [128.0, 4.0, 56.0, 3.0],
    );
    lost["last_report"] = json!("2026-05-11T13:59:50.000000Z");
    lost["last_report_age_s"] = json!(190);
    let gpu = |minor: u32, trouble: Option<&str>, servers: &[&str], busy: u32| {
        let id = format!("GPU-5a1d3b7e-0000-4000-8000-{minor:012x}");
        json!({
            "gpu": id, "model": "Tesla K80", "memory": 11_996_954_624_u64, "trouble": trouble,
            "servers": servers,
            "use": {
                "gpu": id, "device": format!("nvidia{minor}"), "board": 768, "busy": busy,
                "memory_used": u64::from(busy) << 26, "temperature": 40 + busy / 2,
                "power_mw": 62_000, "ecc_uncorrected": 0, "last_xid": null, "warning": null,
                "processes": [],
            },
        })
    };
    let aside = "failed: XID 79: it fell off the bus; reboot the host, or berth-agent gpu-clear";
    lost["gpus"] = json!([gpu(0, None, &["9c01"], 93), gpu(1, Some(aside), &[], 0)]);
    lost["gpu_driver"] = json!("470.256.02");
    lost["gpu_trouble"] = json!("");
    let mut down = host(
        "ccjn03",
        "cpu",
        "engine down",
        reason("host.engine_down"),
        json!([]),
        [32.0, 3.0, 0.0, 0.0],
    );
    down["detail"] = json!("cannot connect to the Docker daemon");
    let mut new =
        host("ccjn08", "cpu", "joining", reason("host.joining"), json!([]), [32.0, 3.0, 0.0, 0.0]);
    for field in [
        "cpus",
        "load",
        "gpus",
        "gpu_driver",
        "gpu_trouble",
        "spaces",
        "agent_version",
        "engine_version",
        "images",
        "last_report",
        "last_report_age_s",
    ] {
        new[field] = Value::Null;
    }
    new["memory"]["usable"] = json!(0);
    new["memory"]["unreserved"] = json!(0);
    for field in ["reported", "used", "free"] {
        new["memory"][field] = Value::Null;
    }
    vec![
        host(
            "ccjn01",
            "cpu",
            "ready",
            Value::Null,
            json!(["8f2c4e0000000000", "8f2d000000000000"]),
            [32.0, 3.0, 16.0, 9.1],
        ),
        host("ccjn02", "cpu", "ready", Value::Null, json!([]), [32.0, 3.0, 0.0, 0.0]),
        down,
        new,
        lost,
    ]
}

/// What keeps alice's server alive.
fn life(stops_at: &str, left: u64) -> Value {
    json!({
        "signs": [
            {
                "kind": "notebook", "text": "the notebook server's report",
                "at": "2026-05-11T14:00:00.000000Z", "counts": true,
            },
        ],
        "idle_since": null, "stops_at": stops_at, "stops_for": reason("stopped.idle"),
        "warned_at": null, "extension": { "step_s": 86_400, "left": left, "of": 3 },
        "gpu_unused": null,
    })
}

fn extend(id: &str, sent: &Value) -> Answer {
    let mut server = match servers().into_iter().find(|server| server["id"] == id) {
        Some(server) => server,
        None => return refusal(404, "No access to resources or resources not found"),
    };
    if server["life"].is_null() {
        return refusal(409, "It does not run.");
    }
    match sent["for"].as_u64().unwrap_or(86_400).div_ceil(86_400) {
        1 => server["life"] = life("2026-05-15T14:00:00.000000Z", 2),
        _ => {
            let refused = refusal(409, "It can be put off 3 more times of 3, by 1d each.");
            return because(refused, "refused.extension.used_up");
        }
    }
    ok(part("server", server))
}

pub fn servers() -> Vec<Value> {
    let server = |id: &str, user: &str, name: &str, state: &str, host: Value, limit: u64| {
        let url = if name.is_empty() {
            format!("/user/{user}/")
        } else {
            format!("/user/{user}/{name}/")
        };
        json!({
            "id": id, "user": user, "name": name, "state": state, "open": state == "running",
            "generation": 3, "host": host, "last_host": host, "profile": "cpu", "pool": "cpu",
            "image": "base", "gpus": 0, "gpu_unused_since": null,
            "memory": { "limit": limit * GB, "used": null, "highest": null }, "url": url,
            "cpu_milli": null, "resize": null, "loan": null, "left_out": [], "kills": [],
            "asked_to_leave": null, "farm": null, "leaving": null, "decision": null,
            "waits": null, "place": null, "waiting_since": null, "placed_at": null,
            "ready_at": null, "steps": null, "fetch": null, "last_end": null,
            "created": "2026-05-01T08:00:00.000000Z",
            "last_activity": "2026-05-11T14:00:00.000000Z", "life": null,
        })
    };
    let cluster = |name: &str, state: &str, workers: Value, busy: Value| {
        let known = workers.as_u64();
        json!({
            "name": name, "state": state, "workers": workers, "cores": known,
            "memory": known.map(|workers| workers * 2 * GB), "busy": busy,
            "dashboard": (state == "running").then(|| format!("/hub/dask/dask-gateway/clusters/{name}/status")),
        })
    };
    let mut alice = server("8f2c4e0000000000", "alice", "", "running", json!("ccjn01"), 8);
    alice["memory"]["used"] = json!(GB * 6 / 5);
    alice["decision"] = json!("d1d1d1d1d1d1d1d1");
    alice["placed_at"] = json!("2026-05-11T09:41:00.000000Z");
    alice["ready_at"] = json!("2026-05-11T09:41:03.400000Z");
    alice["steps"] = json!([
        { "step": "image", "at": "2026-05-11T09:41:00.100000Z" },
        { "step": "spaces", "at": "2026-05-11T09:41:00.150000Z" },
        { "step": "container", "at": "2026-05-11T09:41:00.900000Z" },
        { "step": "started", "at": "2026-05-11T09:41:01.200000Z" },
        { "step": "answers", "at": "2026-05-11T09:41:03.300000Z" },
    ]);
    alice["life"] = life("2026-05-14T14:00:00.000000Z", 3);
    alice["farm"] = json!({
        "clusters": [
            cluster("3f9c52d07be84a1e9d6c0b7a5e21f4c8", "running", json!(3), json!(true)),
            cluster("b04e7a1d6c3f48529e8d7f6a0c1b2e93", "running", Value::Null, Value::Null),
            cluster("c7d81e2f3a4b45c6978d0e1f2a3b4c5d", "pending", Value::Null, Value::Null),
        ],
        "jobs": [
            { "id": "41", "name": "reweight", "state": "running", "cores": 8, "memory": 4 * GB, "reason": null },
            { "id": "42", "name": "fit", "state": "pending", "cores": 1, "memory": null, "reason": "Resources" },
        ],
        "slurm_trouble": null, "gateway_trouble": null,
    });
    let mut second = server("8f2d000000000000", "alice", "n1", "stopping", json!("ccjn01"), 8);
    second["last_end"] = json!({
        "reason": reason("stopped.user"), "detail": "", "at": "2026-05-11T14:02:50.000000Z",
    });
    let mut bob = server("1a77000000000000", "bob", "", "waiting", Value::Null, 28);
    bob["profile"] = json!("gpu");
    bob["pool"] = json!("gpu");
    bob["decision"] = json!("d2d2d2d2d2d2d2d2");
    bob["waits"] = reason("wait.memory.reserved");
    bob["place"] = json!(2);
    bob["waiting_since"] = json!("2026-05-11T13:20:00.000000Z");
    let mut carol = server("9c01000000000000", "carol", "", "unreachable", json!("ccjngpu3"), 28);
    carol["profile"] = json!("gpu");
    carol["pool"] = json!("gpu");
    carol["gpus"] = json!(1);
    carol["farm"] = json!({
        "clusters": [], "jobs": [],
        "slurm_trouble": "slurm_load_jobs error: Unable to contact slurm controller (connect failure)",
        "gateway_trouble": "Dask Gateway does not answer: no answer within 5 s",
    });
    carol["gpu_unused_since"] = json!("2026-05-11T07:00:00.000000Z");
    carol["ready_at"] = json!("2026-05-09T10:00:00.000000Z");
    carol["last_activity"] = json!("2026-05-11T13:59:00.000000Z");
    let mut dave = server("44de000000000000", "dave", "", "ended", Value::Null, 4);
    dave["last_host"] = json!("ccjn02");
    dave["last_activity"] = json!("2026-05-08T17:12:00.000000Z");
    dave["last_end"] = json!({
        "reason": reason("stopped.oom"), "detail": "Its limit was 4 GB.",
        "at": "2026-05-08T17:12:00.000000Z",
    });
    vec![carol, alice, second, bob, dave]
}

fn profiles(admin: bool) -> Value {
    let profile = |name: &str, title: &str, default: bool, gb: [u64; 2], verdict: Value| {
        json!({
            "name": name, "title": title, "use_case": "analysis of small samples", "pool": name,
            "default": default,
            "memory": { "default": gb[0] * GB, "choices": [2 * GB, gb[0] * GB, gb[1] * GB], "max": gb[1] * GB },
            "images": [{ "name": "base", "title": "Base", "reference": "registry.example.org/base:2026.05" }],
            "declared_at": "profiles.toml:3", "gpus": null, "verdict": verdict,
        })
    };
    let verdict = |decision| if admin { Value::Null } else { seen_by(false, decision) };
    json!([
        profile(
            "cpu",
            "Python and ROOT",
            true,
            [4, 32],
            verdict(placed(
                "alice",
                json!({ "profile": "cpu", "memory": 4 * GB, "image": "base" })
            ))
        ),
        profile(
            "gpu",
            "GPU: deep learning",
            false,
            [28, 28],
            verdict(waits(
                "alice",
                json!({ "profile": "gpu", "memory": 28 * GB, "image": "base" })
            ))
        ),
        profile(
            "school",
            "ROOT school",
            false,
            [3, 3],
            verdict(refused(
                "alice",
                json!({ "profile": "school", "memory": 3 * GB, "image": "base" })
            ))
        ),
    ])
}

fn user(name: &str, uid: u64, admin: bool) -> Value {
    json!({
        "name": name, "uid": uid, "gid": 1000, "groups": [{ "name": "lsst", "gid": 2001 }],
        "home": format!("/home/{name}"), "admin": admin, "created": "2025-11-02T08:00:00.000000Z",
        "last_activity": "2026-05-11T13:20:00.000000Z",
    })
}

fn users() -> Value {
    json!([user("alice", 1001, false), user("erin", 1005, true)])
}

fn add_user(sent: &Value) -> Answer {
    let name = sent["name"].as_str().unwrap();
    if name == "alice" {
        return refusal(409, "User alice already exists.");
    }
    let mut made = user(name, sent["uid"].as_u64().unwrap(), sent["admin"] == true);
    made["groups"] = sent["groups"].clone();
    if let Some(home) = sent["home"].as_str() {
        made["home"] = json!(home);
    }
    let password =
        if sent["password"].is_string() { Value::Null } else { json!("kX3v-9mQ2_rT7wLp") };
    created(json!({ "schema_version": 1, "user": made, "password": password }))
}

fn set_password(name: &str, sent: &Value) -> Answer {
    if name != "alice" {
        return refusal(404, "No access to resources or resources not found");
    }
    let password =
        if sent["password"].is_string() { Value::Null } else { json!("kX3v-9mQ2_rT7wLp") };
    ok(json!({ "schema_version": 1, "user": user(name, 1001, false), "password": password }))
}

fn token(id: &str, note: &str, used: Value, ends: Value) -> Value {
    json!({
        "user": "alice", "id": id, "kind": "api_token", "roles": [],
        "scopes": ["read:servers!user=alice", "tokens!user=alice"],
        "created": "2026-05-04T08:30:00.000000Z", "last_activity": used, "expires_at": ends,
        "note": note, "session_id": null, "oauth_client": "JupyterHub",
    })
}

fn tokens() -> Value {
    json!([
        token("a12", "nightly export", json!("2026-05-11T04:00:00.000000Z"), Value::Null),
        token(
            "a20",
            "berth login",
            json!("2026-05-11T14:02:00.000000Z"),
            json!("2026-08-09T14:03:00.000000Z")
        ),
        token("a31", "evil\u{1b}[2Jnote", Value::Null, json!("2026-05-12T14:03:00.000000Z")),
    ])
}

fn create_token(who: &str, sent: &Value) -> Answer {
    let right = sent["auth"]["password"] == "correct horse";
    if who == "nobody" && !right {
        return refusal(403, "Invalid username or password.");
    }
    if sent["scopes"].as_array().is_some_and(|scopes| scopes.contains(&json!("admin:users"))) {
        return refusal(
            400,
            "Not assigning requested scopes admin:users not held by alice or by the one who asks",
        );
    }
    let ends = match sent["expires_in"].as_u64() {
        Some(2_592_000) => json!("2026-06-10T14:03:00.000000Z"),
        Some(_) => json!("2026-08-09T14:03:00.000000Z"),
        None => Value::Null,
    };
    let mut made =
        token("a32", sent["note"].as_str().unwrap_or("Requested via api"), Value::Null, ends);
    made["token"] = json!(if who == "nobody" { "alice" } else { "berth_pat_s3cr3t" });
    created(made)
}

fn start(user: &str) -> Answer {
    match user {
        "erin" => because(
            refusal(400, "You have 5 servers and may have 5. Stop one of them first."),
            "refused.quota.servers",
        ),
        "frank" => refusal(400, "frank/ is already running"),
        "grace" => because(
            refusal(
                500,
                "Spawn failed: A space that the server needs is not there. /pbs/home does not answer.",
            ),
            "failed.mount",
        ),
        "bob" | "dave" => empty(202),
        _ => empty(201),
    }
}

fn progress(user: &str) -> Answer {
    let event = |progress: u8, message: &str| json!({ "progress": progress, "message": message });
    let ready = |user: &str| {
        json!({
            "progress": 100, "ready": true, "message": format!("Server ready at /user/{user}/"),
            "html_message": "", "url": format!("/user/{user}/"),
        })
    };
    let requested = event(0, "Server requested");
    let events = match user {
        "bob" => vec![
            requested,
            event(
                0,
                "Waits in place 2: All memory is promised to running servers. It starts by itself as soon as somebody stops; asking for less memory may start sooner.",
            ),
            event(10, "Placed on ccjn01: the only host with room."),
            ready(user),
        ],
        "dave" => vec![
            requested,
            event(10, "Placed on ccjn02: the only host with room."),
            json!({
                "progress": 100, "failed": true, "reason": "failed.no_answer",
                "message": "Spawn failed: JupyterLab did not answer in time. It had 60 s.",
            }),
        ],
        "heidi" | "alice" => vec![
            requested,
            event(10, "Placed on ccjn01: image present yes there, no on ccjn02."),
            event(20, "The image is on ccjn01."),
            event(60, "The container is made."),
            event(95, "JupyterLab answers."),
            ready(user),
        ],
        _ => vec![ready(user)],
    };
    let frames: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
    let kind = vec![("content-type", "text/event-stream".into())];
    Answer { status: 200, headers: kind, body: format!("\n\n{frames}") }
}
