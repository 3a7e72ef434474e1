//! What changes groups: those that this API made. A group of the account directory is the
//! directory's, as in a JupyterHub whose authenticator manages groups.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use berth_common::Username;
use berth_common::link::{Account, Group};
use berth_process::clock::now;
use berth_store::{Act, Database, StoreError, User};
use serde_json::{Map, Value};

use super::{all, model};
use crate::audit::Actor;
use crate::auth::Caller;
use crate::auth::scopes::{self, Scopes};
use crate::config::roles::ADMIN;
use crate::directory::{GroupLookUp, is_group_name};
use crate::site::Hub;
use crate::web::api::body::{self, JsonBody};
use crate::web::api::find_user;
use crate::web::api::path::Names;
use crate::web::error::ApiError;

/// More names than this in one call are a mistake.
const MOST: usize = 1_000;
/// What a body may say, as in JupyterHub.
const KEYS: [&str; 3] = ["name", "users", "roles"];

type Answer = Result<Json<Value>, ApiError>;

/// `POST /groups` `{groups, users}`: makes all of them, with these members, or none.
pub async fn many(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    body: JsonBody,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    caller.require("admin:groups")?;
    let mut body = body.or_empty();
    let names: Vec<String> = body::field(&body, "groups")?.unwrap_or_default();
    if names.is_empty() || names.len() > MOST {
        return Err(ApiError::bad_request(format!(
            "Must specify at least one group to create, and at most {MOST}"
        )));
    }
    body.remove("groups");
    make(&hub, &caller, &names, &body).await?;
    let models = names.iter().map(|name| shown(&hub, &caller, name)).collect::<Result<_, _>>()?;
    Ok((StatusCode::CREATED, Json(Value::Array(models))))
}

/// `POST /groups/:name` `{users}`.
pub async fn one(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Names(name): Names<String>,
    body: JsonBody,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    caller.require("admin:groups")?;
    make(&hub, &caller, std::slice::from_ref(&name), &body.or_empty()).await?;
    Ok((StatusCode::CREATED, Json(shown(&hub, &caller, &name)?)))
}

/// `DELETE /groups/:name`.
pub async fn remove(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Names(name): Names<String>,
) -> Result<StatusCode, ApiError> {
    find(&hub, &caller, "delete:groups", &name)?;
    let act = caller.act("group-remove").on(&name);
    let group = name.clone();
    save(&hub, vec![act], move |database| database.remove_group(&group).map(|_| ())).await?;
    tracing::info!(group = name, by = caller.name(), "group removed");
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /groups/:name/users` `{users}`: puts people into it.
pub async fn add(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Names(name): Names<String>,
    body: JsonBody,
) -> Answer {
    let users = members(&hub, &caller, &name, body, "add")?;
    for user in &users {
        check_grant(&hub, &caller, user, &name)?;
    }
    set_members(&hub, &caller, &name, users, "group-add", Database::add_member).await
}

/// `DELETE /groups/:name/users` `{users}`: takes people out of it.
pub async fn take_out(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Names(name): Names<String>,
    body: JsonBody,
) -> Answer {
    let users = members(&hub, &caller, &name, body, "delete")?;
    set_members(&hub, &caller, &name, users, "group-drop", Database::remove_member).await
}

/// Whom a body names, for a group that the caller may change.
fn members(
    hub: &Hub,
    caller: &Caller,
    name: &str,
    body: JsonBody,
    what: &str,
) -> Result<Vec<User>, ApiError> {
    find(hub, caller, "groups", name)?;
    users(hub, &body.or_empty())?
        .ok_or_else(|| ApiError::bad_request(format!("Must specify users to {what}")))
}

async fn set_members(
    hub: &Hub,
    caller: &Caller,
    name: &str,
    users: Vec<User>,
    action: &str,
    change: fn(&mut Database, &str, &Username) -> Result<bool, StoreError>,
) -> Answer {
    let acts = users.iter().map(|user| member_act(caller, action, user, name)).collect();
    let group = name.to_owned();
    save(hub, acts, move |database| {
        users.iter().try_for_each(|user| change(database, &group, &user.account.name).map(|_| ()))
    })
    .await?;
    Ok(Json(shown(hub, caller, name)?))
}

/// `PUT /groups/:name/properties`: replaces them. They mean nothing here; programs keep what they
/// like in them.
pub async fn set_properties(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Names(name): Names<String>,
    body: JsonBody,
) -> Answer {
    find(&hub, &caller, "groups", &name)?;
    let properties = body.0.ok_or_else(|| ApiError::bad_request("Must specify properties"))?;
    let (group, act) = (name.clone(), caller.act("group-properties").on(&name));
    save(&hub, vec![act], move |database| database.set_properties(&group, &properties).map(|_| ()))
        .await?;
    Ok(Json(shown(&hub, &caller, &name)?))
}

/// Requires a scope over a group that was made here.
fn find(hub: &Hub, caller: &Caller, scope: &str, name: &str) -> Result<(), ApiError> {
    caller.require(scope)?;
    if !caller.scopes.reach_group(scope, name) {
        return Err(ApiError::no_resource());
    }
    if hub.storage.read(berth_store::Reader::made_groups)?.contains_key(name) {
        return Ok(());
    }
    if all(hub)?.contains_key(name) {
        return Err(ApiError::bad_request(format!(
            "Group management via API is disabled for {name}: it comes from {}.",
            whose(hub.storage.read(|reader| reader.source_of_group(name))?.as_deref())
        )));
    }
    Err(ApiError::no_resource())
}

/// A source of the directory, in a sentence.
fn whose(source: Option<&str>) -> String {
    match source {
        None => "the account directory".to_owned(),
        Some("local") => "accounts that administrators made with `berth user add`".to_owned(),
        Some(source) => format!("the source \"{source}\" of the account directory"),
    }
}

async fn make(
    hub: &Hub,
    caller: &Caller,
    names: &[String],
    body: &Map<String, Value>,
) -> Result<(), ApiError> {
    body::only(body, &KEYS)?;
    let roles: Vec<String> = body::field(body, "roles")?.unwrap_or_default();
    if !roles.is_empty() {
        return Err(ApiError::bad_request("Who has a role stands in roles.toml."));
    }
    for (number, name) in names.iter().enumerate() {
        if names.iter().take(number).any(|earlier| earlier == name) {
            return Err(conflict(&format!("Group {name} is to be made twice")));
        }
        if !caller.scopes.reach_group("admin:groups", name) {
            return Err(ApiError::no_resource());
        }
        check_new(hub, name).await?;
    }
    let users = users(hub, body)?.unwrap_or_default();
    let mut acts = Vec::new();
    for name in names {
        acts.push(caller.act("group-make").on(name));
        for user in &users {
            check_grant(hub, caller, user, name)?;
            acts.push(member_act(caller, "group-add", user, name));
        }
    }
    let (made, at) = (names.to_vec(), now());
    let saved = hub.storage.write(move |database| {
        let known = database.reader()?.made_groups()?;
        if made.iter().any(|name| known.contains_key(name)) {
            return Ok(false);
        }
        database.together(|database| {
            acts.iter().try_for_each(|act| database.record(act))?;
            for name in &made {
                database.make_group(name, at)?;
                for user in &users {
                    database.add_member(name, &user.account.name)?;
                }
            }
            Ok(true)
        })
    });
    if !saved.await? {
        return Err(conflict("One of these groups already exists"));
    }
    for group in names {
        tracing::info!(group, by = caller.name(), "group made");
    }
    Ok(())
}

fn conflict(message: &str) -> ApiError {
    ApiError::new(StatusCode::CONFLICT, message)
}

/// Whether a group of this name can be made. The directory's names stay the directory's: rules
/// would take the one for the other.
async fn check_new(hub: &Hub, name: &str) -> Result<(), ApiError> {
    if !is_group_name(name) {
        let shown: String = name.chars().take(40).collect();
        return Err(ApiError::bad_request(format!(
            "Invalid group name '{shown}': 1 to 64 of a-z, A-Z, 0-9, _, - and ."
        )));
    }
    if hub.storage.read(berth_store::Reader::made_groups)?.contains_key(name) {
        return Err(conflict(&format!("Group {name} already exists")));
    }
    match hub.directory.source_of_group(hub, name).await {
        Ok(None) => Ok(()),
        Ok(source) => {
            let whose = whose(source.as_deref());
            Err(conflict(&format!("Group {name} already exists: it comes from {whose}.")))
        }
        Err(GroupLookUp::Store(error)) => Err(error.into()),
        Err(down) => {
            let message = format!("Whether {name} is free cannot be said now: {down}.");
            Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, message))
        }
    }
}

/// The people whom a body names; `None` if it names nobody.
fn users(hub: &Hub, body: &Map<String, Value>) -> Result<Option<Vec<User>>, ApiError> {
    body::only(body, &KEYS)?;
    let Some(names) = body::field::<BTreeSet<String>>(body, "users")? else { return Ok(None) };
    let find = |name: &String| {
        let shown: String = name.chars().take(40).collect();
        find_user(hub, name)?.ok_or_else(|| ApiError::bad_request(format!("No such user: {shown}")))
    };
    names.iter().map(find).collect::<Result<_, _>>().map(Some)
}

/// No scope grants what its holder lacks: neither what the group's roles allow its members, nor
/// power over a new member.
fn check_grant(hub: &Hub, caller: &Caller, user: &User, group: &str) -> Result<(), ApiError> {
    let config = hub.config();
    let roles = &config.people.roles;
    let mut groups = user.account.groups.clone();
    groups.push(Group { name: group.to_owned(), gid: 0 });
    let account = Account { groups, ..user.account.clone() };
    let after = User { account, ..user.clone() };
    let had: BTreeSet<&str> = roles.of(&user.account).map(|(name, _)| name).collect();
    for (name, role) in roles.of(&after.account).filter(|(name, _)| !had.contains(name)) {
        let gained = match name {
            ADMIN => Scopes::admin(),
            _ => Scopes::parse(&role.scopes, &after, roles).unwrap_or_default(),
        };
        if !caller.scopes.cover(&gained, &after.account.groups) {
            return Err(ApiError::forbidden(format!(
                "Members of {group} have the role {name}, which allows more than you may."
            )));
        }
    }
    // A token may do less than its owner, whom its deeds profit.
    let own = caller.user.as_ref().map(|user| Scopes::of_user(user, roles));
    let own = own.as_ref().unwrap_or(&caller.scopes);
    let is_power = |scope: &&str| {
        !(scope.starts_with("read:") || scope.starts_with("list:") || scope.contains("groups"))
    };
    let is_new = |scope: &&str| {
        own.reach_user(scope, &after.account) && !own.reach_user(scope, &user.account)
    };
    match scopes::names().into_iter().filter(is_power).find(is_new) {
        None => Ok(()),
        Some(scope) => Err(ApiError::forbidden(format!(
            "In {group}, {} would be somebody over whom you hold {scope}, which you do not now.",
            user.account.name
        ))),
    }
}

fn member_act(caller: &Caller, action: &str, user: &User, group: &str) -> Act {
    caller.act(action).about(user.account.name.as_str()).on(group)
}

/// Changes the store and records who did it, in one transaction.
async fn save(
    hub: &Hub,
    acts: Vec<Act>,
    change: impl FnOnce(&mut Database) -> Result<(), StoreError> + Send + 'static,
) -> Result<(), ApiError> {
    let saved = hub.storage.write(move |database| {
        database.together(|database| {
            acts.iter().try_for_each(|act| database.record(act))?;
            change(database)
        })
    });
    Ok(saved.await?)
}

fn shown(hub: &Hub, caller: &Caller, name: &str) -> Result<Value, ApiError> {
    let groups = all(hub)?;
    let group = groups.get(name).ok_or_else(ApiError::no_resource)?;
    Ok(Value::Object(model(hub, &caller.scopes, name, group)))
}
