//! Local accounts.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use berth_common::Username;
use berth_common::link::{Account, Group};
use berth_process::clock::now;
use berth_store::User;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::audit::Actor;
use crate::auth::password::{self, PasswordError};
use crate::auth::scopes::Scopes;
use crate::auth::{Caller, Gate};
use crate::directory::check_account;
use crate::keys;
use crate::site::Hub;
use crate::web::api::berth::{SCHEMA_VERSION, answer};
use crate::web::api::body::{self, JsonBody};
use crate::web::api::find_user;
use crate::web::api::path::Names;
use crate::web::error::ApiError;

/// Characters of a password that we make: 16 of 64 symbols are 96 bits.
const MADE_LENGTH: usize = 16;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewUser {
    name: String,
    uid: u32,
    gid: u32,
    #[serde(default)]
    groups: Vec<Group>,
    home: Option<String>,
    #[serde(default)]
    admin: bool,
    password: Option<String>,
}

/// `GET users`.
pub async fn list(State(hub): State<Arc<Hub>>, caller: Caller) -> Result<Json<Value>, ApiError> {
    caller.require("list:users")?;
    let users = hub.storage.read(berth_store::Reader::users)?;
    let users: Vec<_> = users
        .iter()
        .filter(|user| caller.scopes.reach_user("list:users", &user.account))
        .map(describe)
        .collect();
    Ok(answer("users", json!(users)))
}

/// `POST users`. A password that was not given is made, and shown once.
pub async fn create(
    State(hub): State<Arc<Hub>>,
    Extension(gate): Extension<Arc<Gate>>,
    caller: Caller,
    body: JsonBody,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    caller.require_for_all("admin:users")?;
    let NewUser { name, uid, gid, groups, home, admin, password } = read(body.or_empty())?;
    // No scope grants a scope that its holder lacks.
    if admin && !caller.scopes.cover(&Scopes::admin(), &[]) {
        return Err(ApiError::forbidden("Only administrators can make administrators."));
    }
    let account = account(&name, uid, gid, groups, home)?;
    let made = password.is_none().then(make_password);
    let password = password.or_else(|| made.clone()).unwrap_or_default();
    let password = password::hash(&gate, password).await.map_err(refused)?;
    let at = now();
    let user = User { account, admin, password, created: at, last_activity: at };
    let saved = user.clone();
    let act = caller.act("user-create").about(user.account.name.as_str());
    let act = if admin { act.on("administrator") } else { act };
    let conflict = hub
        .storage
        .write(move |database| {
            let users = database.reader()?.users()?;
            let taken = conflict(&users, &saved);
            if taken.is_none() {
                database.together(|database| {
                    database.save_user(&saved)?;
                    database.record(&act)
                })?;
            }
            Ok(taken)
        })
        .await?;
    if let Some(message) = conflict {
        return Err(ApiError::new(StatusCode::CONFLICT, message));
    }
    tracing::info!(user = %user.account.name, admin, by = caller.name(), "user created");
    let body = json!({
        "schema_version": SCHEMA_VERSION,
        "user": describe(&user),
        "password": made,
    });
    Ok((StatusCode::CREATED, Json(body)))
}

fn read(body: Map<String, Value>) -> Result<NewUser, ApiError> {
    serde_json::from_value(Value::Object(body))
        .map_err(|error| ApiError::bad_request(error.to_string()))
}

fn account(
    name: &str,
    uid: u32,
    gid: u32,
    groups: Vec<Group>,
    home: Option<String>,
) -> Result<Account, ApiError> {
    let name: Username =
        name.parse().map_err(|error| ApiError::bad_request(format!("name: {error}")))?;
    let home = home.unwrap_or_else(|| format!("/home/{name}"));
    if groups.iter().any(|group| group.gid == 0) {
        return Err(ApiError::bad_request("gids must not be 0: no server runs as root"));
    }
    let account = Account { name, uid, gid, groups, home };
    check_account(&account).map_err(ApiError::bad_request)?;
    Ok(account)
}

fn conflict(users: &[User], new: &User) -> Option<String> {
    let Account { name, uid, .. } = &new.account;
    let same_name = users.iter().find(|user| user.account.name == *name);
    let same_uid = users.iter().find(|user| user.account.uid == *uid);
    match (same_name, same_uid) {
        (Some(_), _) => Some(format!("User {name} already exists.")),
        (None, Some(other)) => Some(format!("uid {uid} belongs to {}.", other.account.name)),
        (None, None) => None,
    }
}

/// `POST users/:name/password` `{password?}`: for administrators, and for people themselves with
/// a session or token that holds everything they may do.
pub async fn set_password(
    State(hub): State<Arc<Hub>>,
    Extension(gate): Extension<Arc<Gate>>,
    caller: Caller,
    Names(name): Names<String>,
    body: JsonBody,
) -> Result<Json<Value>, ApiError> {
    let body = body.or_empty();
    body::only(&body, &["password"])?;
    let user = may_set_password(&hub, &caller, find_user(&hub, &name)?)?;
    let given: Option<String> = body::field(&body, "password")?;
    let made = given.is_none().then(make_password);
    let password = given.or_else(|| made.clone()).unwrap_or_default();
    let password = password::hash(&gate, password).await.map_err(refused)?;
    let name = user.account.name.clone();
    let act = caller.act("password-set").about(name.as_str());
    let saved = hub
        .storage
        .write(move |database| {
            database.together(|database| {
                if !database.set_password(&name, &password)? {
                    return Ok(None);
                }
                database.record(&act)?;
                database.end_sessions_of(&name).map(Some)
            })
        })
        .await?;
    // What was opened with the old password ends too, websockets included.
    hub.forget_tokens(saved.ok_or_else(ApiError::no_resource)?);
    tracing::info!(user = %user.account.name, by = caller.name(), "password set");
    Ok(Json(json!({
        "schema_version": SCHEMA_VERSION,
        "user": describe(&user),
        "password": made,
    })))
}

/// Setting a password is becoming that person, so the caller must hold all that the person holds.
fn may_set_password(hub: &Hub, caller: &Caller, user: Option<User>) -> Result<User, ApiError> {
    let own = user.as_ref().is_some_and(|user| caller.is(user));
    if !own {
        caller.require_for_all("admin:users")?;
    }
    let user = user.ok_or_else(ApiError::no_resource)?;
    if caller
        .scopes
        .cover(&Scopes::of_user(&user, &hub.config().people.roles), &user.account.groups)
    {
        Ok(user)
    } else {
        Err(ApiError::no_scope(&["admin:users"]))
    }
}

fn refused(error: PasswordError) -> ApiError {
    match error {
        PasswordError::TooMany(seconds) => ApiError::too_many(seconds),
        PasswordError::Unsuitable => ApiError::bad_request(error.to_string()),
        PasswordError::Storage(error) => error.into(),
        PasswordError::Wrong
        | PasswordError::Hash
        | PasswordError::Off
        | PasswordError::Account { .. } => {
            ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
        }
    }
}

fn make_password() -> String {
    keys::secret().chars().take(MADE_LENGTH).collect()
}

fn describe(user: &User) -> Value {
    let Account { name, uid, gid, groups, home } = &user.account;
    json!({
        "name": name,
        "uid": uid,
        "gid": gid,
        "groups": groups,
        "home": home,
        "admin": user.admin,
        "created": user.created.to_string(),
        "last_activity": user.last_activity.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_can_never_be_root_or_leave_their_home() {
        let check = |name: &str, uid, gid, home: &str| {
            account(name, uid, gid, Vec::new(), Some(home.to_owned())).is_ok()
        };
        assert!(check("alice", 1000, 1000, "/home/alice"));
        assert!(account("alice", 1000, 1000, Vec::new(), None).unwrap().home == "/home/alice");
        assert!(!check("alice", 0, 1000, "/home/alice"));
        assert!(!check("alice", 1000, 0, "/home/alice"));
        assert!(!check("Alice", 1000, 1000, "/home/alice"));
        for home in
            ["", "home", "/home/../etc", "/home/./a", "//home", "/home/", "/", "/a:b", "/a b"]
        {
            assert!(!check("alice", 1000, 1000, home), "{home}");
        }
    }
}
