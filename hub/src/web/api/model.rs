//! JupyterHub's models. Fields that the caller's scopes do not cover are absent, not null.

use std::collections::BTreeSet;

use berth_common::ServerName;
use berth_core::{Fleet, Phase, Server};
use berth_process::clock::now;
use berth_store::{Token, TokenKind, User};
use serde::ser::{Serialize, SerializeMap, Serializer};
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
    match serde_json::to_value(UserModel { hub, fleet, caller, user, stopped_too }) {
        Ok(Value::Object(model)) => model,
        _ => Map::new(),
    }
}

/// A user to be written down as JSON at once: lists of thousands are asked for all day.
#[derive(Debug, Clone, Copy)]
pub struct UserModel<'a> {
    /// Where the user is.
    pub hub: &'a Hub,
    /// The servers.
    pub fleet: &'a Fleet,
    /// Who reads it.
    pub caller: &'a Caller,
    /// Who it is.
    pub user: &'a User,
    /// Whether servers that do not run are told too.
    pub stopped_too: bool,
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

impl Serialize for UserModel<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { hub, fleet, caller, user, stopped_too } = *self;
        let account = &user.account;
        let default = fleet.find(&account.name, &ServerName::default_server());
        let url = default.filter(|server| hub.is_open(server)).map(|server| server.prefix());
        let seen = fleet.servers_of(&account.name).map(|server| server.last_activity).max();
        let last_activity = seen.map_or(user.last_activity, |seen| seen.max(user.last_activity));
        let groups: Vec<_> = account.groups.iter().map(|group| group.name.as_str()).collect();
        let held = FIELDS.iter().filter(|(scope, _)| caller.scopes.reach_user(scope, account));
        let mut model = Readable {
            fields: held.map(|(_, fields)| *fields).collect(),
            map: serializer.serialize_map(None)?,
        };
        model.put("kind", "user")?;
        model.put("name", &account.name)?;
        model.put("admin", hub.is_admin(user))?;
        model.put("roles", roles(hub, user))?;
        model.put("groups", groups)?;
        model.put("server", url)?;
        model.put("pending", default.and_then(|server| pending(hub, server)))?;
        model.put("created", user.created.to_string())?;
        model.put("last_activity", last_activity.to_string())?;
        model.put("auth_state", Value::Null)?;
        model.put("user_info", Value::Null)?;
        let mut map = model.map;
        if let Some(servers) = servers(hub, fleet, caller, user, stopped_too) {
            map.serialize_entry("servers", &servers)?;
        }
        map.end()
    }
}

/// A model of which the fields are written that the caller may read.
struct Readable<M> {
    fields: Vec<&'static [&'static str]>,
    map: M,
}

impl<M: SerializeMap> Readable<M> {
    fn put(&mut self, field: &'static str, value: impl Serialize) -> Result<(), M::Error> {
        if self.fields.iter().any(|fields| fields.contains(&field)) {
            self.map.serialize_entry(field, &value)?;
        }
        Ok(())
    }
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
