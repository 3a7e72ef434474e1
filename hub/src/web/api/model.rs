//! JupyterHub's models. Fields that the caller's scopes do not cover are absent, not null.

use std::collections::BTreeSet;

use berth_common::ServerName;
use berth_core::{Fleet, Phase, Server};
use berth_process::clock::now;
use berth_store::{Token, TokenKind, User};
use serde_json::{Map, Value, json};

use crate::auth::Caller;
use crate::auth::principal::scopes_of;
use crate::site::Hub;

/// A user, as much of it as the caller may read.
pub fn user(
    hub: &Hub,
    fleet: &Fleet,
    caller: &Caller,
    user: &User,
    stopped_too: bool,
) -> Map<String, Value> {
    let fields = readable(caller, user);
    let Value::Object(mut model) = whole(hub, fleet, user) else { return Map::new() };
    model.retain(|key, _| fields.contains(key.as_str()));
    if let Some(servers) = servers(hub, fleet, caller, user, stopped_too) {
        model.insert("servers".into(), servers);
    }
    model
}

/// Which scope shows which fields.
const FIELDS: [(&str, &[&str]); 6] = [
    (
        "read:users",
        &[
            "kind",
            "name",
            "admin",
            "roles",
            "groups",
            "server",
            "pending",
            "created",
            "last_activity",
            "user_info",
        ],
    ),
    ("read:users:name", &["kind", "name", "admin", "user_info"]),
    ("read:users:groups", &["kind", "name", "groups"]),
    ("read:users:activity", &["kind", "name", "last_activity"]),
    ("read:roles:users", &["kind", "name", "admin", "roles"]),
    ("admin:auth_state", &["kind", "name", "auth_state"]),
];

/// The scopes of which any shows something of a user.
pub const USER_SCOPES: [&str; 7] = [
    "read:users",
    "read:users:name",
    "read:users:groups",
    "read:users:activity",
    "read:servers",
    "read:roles:users",
    "admin:auth_state",
];

fn readable(caller: &Caller, user: &User) -> BTreeSet<&'static str> {
    let held = FIELDS.iter().filter(|(scope, _)| caller.scopes.reach_user(scope, &user.account));
    held.flat_map(|(_, fields)| *fields).copied().collect()
}

fn whole(hub: &Hub, fleet: &Fleet, user: &User) -> Value {
    let account = &user.account;
    let default = fleet.find(&account.name, &ServerName::default_server());
    let url = default.filter(|server| hub.is_open(server)).map(|server| server.prefix());
    let pending = default.and_then(|server| pending(hub, server));
    let seen = fleet.servers_of(&account.name).map(|server| server.last_activity).max();
    let last_activity = seen.map_or(user.last_activity, |seen| seen.max(user.last_activity));
    let groups: Vec<_> = account.groups.iter().map(|group| group.name.as_str()).collect();
    json!({
        "kind": "user",
        "name": account.name,
        "admin": hub.is_admin(user),
        "roles": roles(hub, user),
        "groups": groups,
        "server": url,
        "pending": pending,
        "created": user.created.to_string(),
        "last_activity": last_activity.to_string(),
        "auth_state": null,
        "user_info": null,
    })
}

/// The names of a person's roles: the site's, and those that are built in.
fn roles(hub: &Hub, user: &User) -> BTreeSet<String> {
    let config = hub.config();
    let of_site = config.people.roles.of(&user.account).map(|(name, _)| name.to_owned());
    let admin = hub.is_admin(user).then(|| "admin".to_owned());
    of_site.chain(admin).chain(["user".to_owned()]).collect()
}

/// The person's servers by name; `None` when the caller may not read any of them.
fn servers(
    hub: &Hub,
    fleet: &Fleet,
    caller: &Caller,
    user: &User,
    stopped_too: bool,
) -> Option<Value> {
    let readable =
        |name: &ServerName| caller.scopes.reach_server("read:servers", &user.account, name);
    let all = caller.scopes.reach_user("read:servers", &user.account);
    let shown: Map<String, Value> = fleet
        .servers_of(&user.account.name)
        .filter(|server| stopped_too || server.is_active())
        .filter(|server| readable(&server.name))
        .map(|record| (record.name.to_string(), server(hub, caller, user, record)))
        .collect();
    (all || !shown.is_empty()).then_some(Value::Object(shown))
}

/// A server of this person. Where it is, is told only to who may know a server's state.
pub fn server(hub: &Hub, caller: &Caller, owner: &User, server: &Server) -> Value {
    let (ready, pending) = (hub.is_open(server), pending(hub, server));
    let (url, progress_url) = (server.prefix(), progress_url(server));
    let site = &hub.config().hub.public_url;
    let started = server.placement().map(|placement| placement.placed_at.to_string());
    let options: Value = serde_json::from_str(&server.user_options).unwrap_or_else(|_| json!({}));
    let mut model = json!({
        "name": server.name,
        "display_name": server.name,
        "full_name": format!("{}/{}", server.owner, server.name),
        "last_activity": server.last_activity.to_string(),
        "started": started,
        "pending": pending,
        "ready": ready,
        "stopped": !ready && pending.is_none(),
        "url": url,
        "user_options": options,
        "progress_url": progress_url,
        "full_url": format!("{site}{url}"),
        "full_progress_url": format!("{site}{progress_url}"),
    });
    if caller.scopes.reach_server("admin:server_state", &owner.account, &server.name) {
        let host = server.placement().map(|placement| &placement.host);
        model["state"] = json!({ "id": server.id, "generation": server.generation, "host": host });
    }
    model
}

/// What a server is about to become, in JupyterHub's words.
pub fn pending(hub: &Hub, server: &Server) -> Option<&'static str> {
    match &server.phase {
        Phase::Idle => None,
        Phase::Waiting { .. } => Some("spawn"),
        Phase::Placed(placement) if placement.stop.is_some() => Some("stop"),
        Phase::Placed(_) => (!hub.is_open(server)).then_some("spawn"),
    }
}

/// Where the event stream of a start is.
pub fn progress_url(server: &Server) -> String {
    let owner = &server.owner;
    if server.name.is_default() {
        format!("/hub/api/users/{owner}/server/progress")
    } else {
        format!("/hub/api/users/{owner}/servers/{}/progress", server.name)
    }
}

/// A token, without its secret.
pub fn token(hub: &Hub, token: &Token, owner: &User) -> Map<String, Value> {
    let client = match token.kind {
        TokenKind::Api => "JupyterHub",
        TokenKind::Oauth => token.client.as_str(),
    };
    let model = json!({
        "user": owner.account.name,
        "id": token_id(token.id),
        "kind": "api_token",
        "roles": [],
        "scopes": scopes_of(token, owner, &hub.config().people.roles).list(),
        "created": token.created.to_string(),
        "last_activity": token.last_used.map(|at| at.to_string()),
        "expires_at": token.expires.map(|at| at.to_string()),
        "note": token.note,
        "session_id": token.session,
        "oauth_client": client,
    });
    match model {
        Value::Object(model) => model,
        _ => Map::new(),
    }
}

/// A token's number as clients see it.
pub fn token_id(id: i64) -> String {
    format!("a{id}")
}

/// Whether a token still opens anything: expired ones are not listed.
pub fn is_listed(token: &Token) -> bool {
    token.expires.is_none_or(|expires| now() < expires)
}
