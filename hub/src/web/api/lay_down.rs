//! `PUT` and `PATCH` of a server, as JupyterHub 6 has them: what it will start with, without a start.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use berth_common::{ServerId, ServerName};
use berth_core::event::LayDown;
use berth_core::{Answer, Event};
use berth_store::User;
use serde_json::{Map, Value};

use crate::audit;
use crate::auth::Caller;
use crate::site::Hub;
use crate::web::api::body::{self, JsonBody};
use crate::web::api::options::{self, Options};
use crate::web::api::path::Names;
use crate::web::api::{find_user, model, server_name, servers};
use crate::web::error::ApiError;

/// `PUT /users/:name/server`: everybody has a default server.
pub async fn make_default(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Names(user): Names<String>,
) -> Result<Json<Value>, ApiError> {
    let user = reachable(&hub, &caller, &user, &ServerName::default_server())?;
    let message = format!("User {} already has a default server", user.account.name);
    Err(ApiError::new(StatusCode::CONFLICT, message))
}

/// `PUT /users/:name/servers/:server`: makes a server that nobody has started yet.
pub async fn make_named(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Names((user, server)): Names<(String, String)>,
    body: JsonBody,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    caller.require("start:servers")?;
    let name = server_name(&server)?;
    let user = reachable(&hub, &caller, &user, &name)?;
    let made = lay_down(&hub, &caller, user, name, true, options::read(body.0)?).await?;
    Ok((StatusCode::CREATED, made))
}

/// `PATCH /users/:name/server`.
pub async fn change_default(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Names(user): Names<String>,
    body: JsonBody,
) -> Result<Json<Value>, ApiError> {
    change(&hub, &caller, &user, "", body).await
}

/// `PATCH /users/:name/servers/:server`.
pub async fn change_named(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Names((user, server)): Names<(String, String)>,
    body: JsonBody,
) -> Result<Json<Value>, ApiError> {
    change(&hub, &caller, &user, &server, body).await
}

async fn change(
    hub: &Hub,
    caller: &Caller,
    user: &str,
    server: &str,
    body: JsonBody,
) -> Result<Json<Value>, ApiError> {
    caller.require("start:servers")?;
    let name = server.parse().map_err(|_| ApiError::no_resource())?;
    let user = reachable(hub, caller, user, &name)?;
    let body = body.or_empty();
    if body.is_empty() {
        return Err(ApiError::bad_request("Must specify at least one field to modify."));
    }
    body::only(&body, &["name", "display_name", "user_options"])?;
    for key in ["name", "display_name"] {
        let wanted: Option<String> = body::field(&body, key)?;
        if wanted.is_some_and(|wanted| wanted != name.as_str()) {
            return Err(ApiError::bad_request(
                "Servers are not renamed here: the name is part of the address.",
            ));
        }
    }
    let options = match body.get("user_options") {
        None => None,
        Some(Value::Object(options)) => {
            Some(Map::from_iter([("user_options".to_owned(), Value::Object(options.clone()))]))
        }
        Some(_) => return Err(ApiError::bad_request("user_options must be an object")),
    };
    lay_down(hub, caller, user, name, false, options::read(options)?).await
}

/// Whose server it is, if the caller may start it.
fn reachable(hub: &Hub, caller: &Caller, user: &str, name: &ServerName) -> Result<User, ApiError> {
    caller.require("start:servers")?;
    caller.require_server("start:servers", find_user(hub, user)?, name)
}

async fn lay_down(
    hub: &Hub,
    caller: &Caller,
    user: User,
    name: ServerName,
    new: bool,
    options: Options,
) -> Result<Json<Value>, ApiError> {
    let owner = &user.account.name;
    let full_name = format!("{owner}/{name}");
    let action = if new { "server-make" } else { "server-change" };
    audit::on_server(hub, caller, action, owner.as_str(), &full_name).await?;
    let wanted = LayDown {
        server: ServerId::from_random(rand::random()),
        account: user.account.clone(),
        name: name.clone(),
        new,
        wish: options.wish,
        user_options: options.user_options,
        reply: None,
    };
    match hub.fleet.ask(Event::LayDown(Box::new(wanted))).await? {
        Answer::LaidDown => {}
        Answer::Exists => {
            let message = format!("User {owner} already has server {name}");
            return Err(ApiError::new(StatusCode::CONFLICT, message));
        }
        Answer::AlreadyRunning(_) => {
            return Err(ApiError::bad_request(format!(
                "{full_name} is active. Please stop it before modifying it."
            )));
        }
        Answer::TooMany => {
            return Err(ApiError::bad_request(format!(
                "{owner} has too many servers that do not run. Remove some of them first."
            )));
        }
        _ => return Err(servers::no_server(&user, &name)),
    }
    let fleet = hub.fleet.fleet();
    let server = fleet.find(owner, &name).ok_or_else(|| servers::no_server(&user, &name))?;
    Ok(Json(model::server(hub, caller, &user, server)))
}
