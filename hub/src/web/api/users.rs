//! Users: list, show, create, delete.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use berth_common::Reason;
use berth_core::{Answer, Fleet};
use berth_store::{User, UserKey, UserOrder};
use serde::Serialize;
use serde_json::Value;

use crate::actions;
use crate::audit::Actor;
use crate::auth::scopes::Scopes;
use crate::auth::{Caller, form};
use crate::site::Hub;
use crate::web::api::body::{self, JsonBody};
use crate::web::api::model::UserModel;
use crate::web::api::page::{self, Page};
use crate::web::api::path::Names;
use crate::web::api::{find_user, model, servers};
use crate::web::error::ApiError;

/// What a list is asked for with.
#[derive(Debug, PartialEq, Eq)]
struct Query {
    state: Option<Wanted>,
    stopped_too: bool,
    sort: UserOrder,
    name_filter: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Active,
    Ready,
    Inactive,
}

/// `GET /users`.
pub async fn list(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    caller.require("list:users")?;
    let page = Page::read(&uri, &headers)?;
    let query = read_query(&uri)?;
    let stopped_too = query.stopped_too;
    let fleet = hub.fleet.fleet();
    let (shown, total) = if query.state.is_none() && caller.scopes.hold_for_all("list:users") {
        // The store itself can tell who is on the page.
        let part = (page.offset, page.limit);
        hub.storage.read(|reader| reader.users_between(&query.name_filter, query.sort, part))?
    } else {
        let mut users = hub.storage.read(berth_store::Reader::users)?;
        users.retain(|user| {
            caller.scopes.reach_user("list:users", &user.account)
                && user.account.name.as_str().contains(&query.name_filter)
                && query.state.is_none_or(|state| is_in(&hub, &fleet, user, state))
        });
        order(&mut users, query.sort);
        let total = users.len();
        (users.into_iter().skip(page.offset).take(page.limit).collect(), total)
    };
    let model = |user| UserModel { hub: &hub, fleet: &fleet, caller: &caller, user, stopped_too };
    let items: Vec<_> = shown.iter().map(model).collect();
    if !page.with_place {
        return Ok(Json(items).into_response());
    }
    let place = page::place(&hub, &headers, &uri, &page, items.len(), total);
    Ok(Json(Listed { items, place }).into_response())
}

/// A part of the users, and where in the whole it is.
#[derive(Serialize)]
struct Listed<'a> {
    items: Vec<UserModel<'a>>,
    #[serde(rename = "_pagination")]
    place: Value,
}

fn read_query(uri: &Uri) -> Result<Query, ApiError> {
    let mut query = Query {
        state: None,
        stopped_too: false,
        sort: UserOrder { by: UserKey::Id, down: false },
        name_filter: String::new(),
    };
    for (key, value) in form::query_pairs(uri) {
        match key.as_str() {
            "state" => query.state = Some(read_state(&value)?),
            "include_stopped_servers" => {
                query.stopped_too = !matches!(value.to_lowercase().as_str(), "0" | "false");
            }
            "sort" => query.sort = read_sort(&value)?,
            "name_filter" => query.name_filter = value.to_lowercase(),
            _ => {}
        }
    }
    Ok(query)
}

fn read_state(value: &str) -> Result<Wanted, ApiError> {
    match value {
        "active" => Ok(Wanted::Active),
        "ready" => Ok(Wanted::Ready),
        "inactive" => Ok(Wanted::Inactive),
        _ => Err(ApiError::bad_request("Unrecognized user state, use active, ready or inactive")),
    }
}

fn read_sort(value: &str) -> Result<UserOrder, ApiError> {
    let (name, down) = match value.strip_prefix('-') {
        Some(name) => (name, true),
        None => (value, false),
    };
    let by = match name {
        "id" => UserKey::Id,
        "name" => UserKey::Name,
        "last_activity" => UserKey::LastActivity,
        _ => return Err(ApiError::bad_request("sort must be id, name or last_activity")),
    };
    Ok(UserOrder { by, down })
}

fn is_in(hub: &Hub, fleet: &Fleet, user: &User, state: Wanted) -> bool {
    let mut servers = fleet.servers_of(&user.account.name);
    match state {
        Wanted::Active => servers.any(|server| server.is_active()),
        Wanted::Inactive => !servers.any(|server| server.is_active()),
        Wanted::Ready => servers.any(|server| hub.is_open(server)),
    }
}

fn order(users: &mut [User], sort: UserOrder) {
    match sort.by {
        // The store gives them in the order in which they were created.
        UserKey::Id => {}
        UserKey::Name => users.sort_by(|a, b| a.account.name.cmp(&b.account.name)),
        UserKey::LastActivity => users.sort_by_key(|user| user.last_activity),
    }
    if sort.down {
        users.reverse();
    }
}

/// `GET /users/:name`.
pub async fn show(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Names(name): Names<String>,
    uri: Uri,
) -> Result<Json<Value>, ApiError> {
    let user = reachable(&hub, &caller, &name)?;
    let stopped_too = form::query_value(&uri, "include_stopped_servers")
        .is_some_and(|value| !matches!(value.to_lowercase().as_str(), "0" | "false"));
    let fleet = hub.fleet.fleet();
    Ok(Json(Value::Object(model::user(&hub, &fleet, &caller, &user, stopped_too))))
}

/// A person of whom the caller may read something. A server's filter reaches its owner's model.
fn reachable(hub: &Hub, caller: &Caller, name: &str) -> Result<User, ApiError> {
    let user = find_user(hub, name)?;
    if let Some(user) = &user {
        let fleet = hub.fleet.fleet();
        let by_server = fleet
            .servers_of(&user.account.name)
            .any(|server| caller.scopes.reach_server("read:servers", &user.account, &server.name));
        if by_server {
            return Ok(user.clone());
        }
    }
    caller.require_user(&model::USER_SCOPES, user)
}

/// `PATCH /users/:name` `{name?, admin?}`: makes administrators, and unmakes them. A name is that of
/// an account on the hosts, so nobody is renamed here.
pub async fn change(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Names(name): Names<String>,
    body: JsonBody,
) -> Result<Json<Value>, ApiError> {
    let user = caller.require_user(&["admin:users"], find_user(&hub, &name)?)?;
    let body = body.or_empty();
    body::only(&body, &["name", "admin", "groups", "roles", "auth_state"])?;
    let name: Option<String> = body::field(&body, "name")?;
    if name.is_some_and(|name| name != user.account.name.as_str()) {
        return Err(ApiError::bad_request(
            "Users are not renamed here: their names are those of accounts on the hosts.",
        ));
    }
    let admin: Option<bool> = body::field(&body, "admin")?;
    if let Some(admin) = admin {
        // No scope grants a scope that its holder lacks.
        if !caller.scopes.cover(&Scopes::admin(), &[]) {
            return Err(ApiError::forbidden("Only administrators can make administrators."));
        }
        let name = user.account.name.clone();
        let action = if admin { "admin-make" } else { "admin-unmake" };
        let act = caller.act(action).about(name.as_str());
        hub.storage
            .write(move |database| {
                database.together(|database| {
                    database.record(&act)?;
                    database.set_admin(&name, admin)
                })
            })
            .await?;
        tracing::info!(user = %user.account.name, admin, by = caller.name(), "user changed");
    }
    let user = find_user(&hub, user.account.name.as_str())?.ok_or_else(ApiError::no_resource)?;
    let fleet = hub.fleet.fleet();
    Ok(Json(Value::Object(model::user(&hub, &fleet, &caller, &user, false))))
}

/// `DELETE /users/:name`: stops and forgets the person's servers first.
pub async fn delete(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Names(name): Names<String>,
) -> Result<StatusCode, ApiError> {
    let user = caller.require_user(&["delete:users"], find_user(&hub, &name)?)?;
    if caller.is(&user) {
        return Err(ApiError::bad_request("Cannot delete yourself!"));
    }
    let name = user.account.name;
    let fleet = hub.fleet.fleet();
    let ids: Vec<_> = fleet.servers_of(&name).map(|server| server.id.clone()).collect();
    for id in &ids {
        actions::stop(&hub, id, Reason::StoppedAdmin).await?;
    }
    for id in &ids {
        if !servers::stop_and_wait(&hub, id, Reason::StoppedAdmin).await? {
            return Err(ApiError::bad_request(format!(
                "a server of {name} is still stopping; delete the user when that is done"
            )));
        }
        if actions::remove(&hub, id).await? == Answer::StopUnderWay {
            return Err(ApiError::bad_request(format!(
                "a server of {name} may be running on a host that has not reported since the \
                 restore; delete the user when it has"
            )));
        }
    }
    let deleted = name.clone();
    let act = caller.act("user-delete").about(name.as_str());
    let hashes = hub
        .storage
        .write(move |database| {
            let tokens = database.reader()?.tokens_of(&name)?;
            let ids: Vec<i64> = tokens.iter().map(|token| token.id).collect();
            database.together(|database| {
                let mut hashes = database.delete_tokens(&ids)?;
                hashes.extend(database.end_sessions_of(&name)?);
                database.delete_user(&name)?;
                database.record(&act)?;
                Ok(hashes)
            })
        })
        .await?;
    hub.forget_tokens(hashes);
    tracing::info!(user = %deleted, by = caller.name(), "user deleted");
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_read_as_jupyterhub_does() {
        let read = |query: &str| read_query(&format!("/hub/api/users?{query}").parse().unwrap());
        let page = |query: &str, pages: bool| {
            let mut headers = HeaderMap::new();
            if pages {
                let accept = "application/jupyterhub-pagination+json";
                headers.insert("accept", accept.parse().unwrap());
            }
            Page::read(&format!("/hub/api/users?{query}").parse().unwrap(), &headers)
        };
        assert_eq!(page("", true).unwrap().limit, 50);
        assert_eq!(page("", false).unwrap().limit, 200);
        assert_eq!(page("limit=0", false).unwrap().limit, 1);
        assert_eq!(page("limit=999", true).unwrap().limit, 200);
        for bad in ["limit=x", "offset=-1"] {
            assert!(page(bad, true).is_err(), "{bad}");
        }
        assert!(read("include_stopped_servers").unwrap().stopped_too);
        assert!(!read("include_stopped_servers=false").unwrap().stopped_too);
        assert_eq!(
            read("sort=-last_activity").unwrap().sort,
            UserOrder { by: UserKey::LastActivity, down: true }
        );
        for bad in ["state=asleep", "sort=shoe_size"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
