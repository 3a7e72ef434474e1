//! `POST /users` and `POST /users/:name`: people whom the account directory knows become users.
//! JupyterHub makes users of names alone, but ours need an account on the hosts.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use berth_common::Username;
use berth_common::link::Account;
use berth_process::clock::now;
use berth_store::User;
use serde_json::{Map, Value};

use crate::auth::Caller;
use crate::auth::scopes::Scopes;
use crate::directory::Standing;
use crate::site::Hub;
use crate::web::api::body::{self, JsonBody};
use crate::web::api::model;
use crate::web::api::path::Names;
use crate::web::error::ApiError;

/// More names than this in one call are a mistake.
const MOST: usize = 1_000;

/// `POST /users` `{usernames, admin}`: makes those who are new, or none at all.
pub async fn many(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    body: JsonBody,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    caller.require("admin:users")?;
    let body = body.or_empty();
    body::only(&body, &["usernames", "admin"])?;
    let names: Vec<String> = body::field(&body, "usernames")?.unwrap_or_default();
    if names.is_empty() || names.len() > MOST {
        return Err(ApiError::bad_request(format!(
            "Must specify at least one user to create, and at most {MOST}"
        )));
    }
    let names = names.iter().map(|name| read_name(name)).collect::<Result<Vec<_>, _>>()?;
    let mut new = Vec::new();
    for name in names {
        if hub.storage.read(|reader| reader.user(&name))?.is_none() && !new.contains(&name) {
            new.push(name);
        }
    }
    if new.is_empty() {
        return Err(ApiError::new(StatusCode::CONFLICT, "All of these users already exist"));
    }
    let made = make(&hub, &caller, &new, wants_admin(&body)?).await?;
    let models = made.iter().map(|user| model_of(&hub, &caller, user)).collect();
    Ok((StatusCode::CREATED, Json(models)))
}

/// `POST /users/:name` `{admin}`.
pub async fn one(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Names(name): Names<String>,
    body: JsonBody,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    caller.require("admin:users")?;
    let name = read_name(&name)?;
    if hub.storage.read(|reader| reader.user(&name))?.is_some() {
        let message = format!("User {name} already exists");
        return Err(ApiError::new(StatusCode::CONFLICT, message));
    }
    let made = make(&hub, &caller, &[name], wants_admin(&body.or_empty())?).await?;
    let model = made.first().map(|user| model_of(&hub, &caller, user));
    Ok((StatusCode::CREATED, Json(model.unwrap_or_default())))
}

fn read_name(name: &str) -> Result<Username, ApiError> {
    let name = name.to_lowercase().parse();
    name.map_err(|error| ApiError::bad_request(format!("Invalid username: {error}")))
}

fn wants_admin(body: &Map<String, Value>) -> Result<bool, ApiError> {
    Ok(body::field(body, "admin")?.unwrap_or(false))
}

fn model_of(hub: &Hub, caller: &Caller, user: &User) -> Value {
    Value::Object(model::user(hub, &hub.fleet.fleet(), caller, user, false))
}

async fn make(
    hub: &Hub,
    caller: &Caller,
    names: &[Username],
    admin: bool,
) -> Result<Vec<User>, ApiError> {
    // Whoever may make some people may not make any, and no scope grants one that its holder lacks.
    caller.require_for_all("admin:users")?;
    if admin && !caller.scopes.cover(&Scopes::admin(), &[]) {
        return Err(ApiError::forbidden("Only administrators can make administrators."));
    }
    let mut accounts = Vec::new();
    for name in names {
        accounts.push(account(hub, name).await?);
    }
    let at = now();
    let user = |account| {
        let password = String::new();
        User { account, admin, password, created: at, last_activity: at }
    };
    let users: Vec<User> = accounts.into_iter().map(user).collect();
    let saved = users.clone();
    let taken = hub
        .storage
        .write(move |database| {
            let reader = database.reader()?;
            for User { account, .. } in &saved {
                let other = reader.user_of_uid(account.uid)?;
                if let Some(other) = other.filter(|other| *other != account.name) {
                    return Ok(Some((account.uid, other)));
                }
            }
            database.together(|database| {
                saved.iter().try_for_each(|user| database.save_directory_user(user))
            })?;
            Ok(None)
        })
        .await?;
    if let Some((uid, other)) = taken {
        let message = format!("uid {uid} belongs to {other}.");
        return Err(ApiError::new(StatusCode::CONFLICT, message));
    }
    for user in &users {
        tracing::info!(user = %user.account.name, admin, by = caller.name(), "user created");
    }
    Ok(users)
}

/// The person's account on the hosts, as the directory has it.
async fn account(hub: &Hub, name: &Username) -> Result<Account, ApiError> {
    match hub.directory.look(hub, name, None).await? {
        Standing::Valid(account) => Ok(account),
        Standing::Unavailable(why) => Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, why)),
        other => {
            let (_, why) = other.refusal(&hub.config().people.directory);
            Err(ApiError::bad_request(format!(
                "{why} To make an account that the directory lacks, use `berth user add`, or \
                 POST /hub/api/berth/users."
            )))
        }
    }
}
