//! Pages and API for people and programs: the whole route table.

pub mod api;
pub mod assets;
pub mod error;
pub mod live;
pub mod pages;
pub mod response;

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::routing::{any, get, post, put};
use axum::{Extension, Router, middleware};

use crate::auth::Gate;
use crate::site::Hub;
use api::{
    activity, berth, body, groups, hub as about, oauth, progress, servers, tokens, users, whoami,
};

/// Everything that the hub answers over HTTP.
pub fn router(hub: Arc<Hub>) -> Router {
    Router::new()
        .merge(jupyterhub())
        .merge(berth())
        .merge(pages::router())
        .route("/hub/api/{*unknown}", any(response::no_such_endpoint))
        .fallback(pages::outside)
        .method_not_allowed_fallback(response::wrong_method)
        .layer(DefaultBodyLimit::max(body::LARGEST))
        .layer(middleware::from_fn_with_state(Arc::clone(&hub), response::finish))
        .layer(Extension(Arc::new(Gate::default())))
        .with_state(hub)
}

/// JupyterHub's API, its minimal tier.
fn jupyterhub() -> Router<Arc<Hub>> {
    Router::new()
        .route("/hub/health", get(about::health))
        .route("/hub/metrics", get(about::metrics))
        .route("/hub/api", get(about::version))
        .route("/hub/api/", get(about::version))
        .route("/hub/api/health", get(about::health))
        .route("/hub/api/info", get(about::info))
        .route("/hub/api/user", get(whoami::whoami))
        .route("/hub/api/oauth2/authorize", get(oauth::ask).post(oauth::confirm))
        .route("/hub/api/oauth2/token", post(oauth::token))
        .route("/hub/api/users", get(users::list).post(users::create_many))
        .route(
            "/hub/api/users/{user}",
            get(users::show).post(users::create).patch(users::change).delete(users::delete),
        )
        .route("/hub/api/groups", get(groups::list).post(groups::change))
        .route(
            "/hub/api/groups/{group}",
            get(groups::show).post(groups::change).delete(groups::change),
        )
        .route("/hub/api/groups/{group}/users", post(groups::change).delete(groups::change))
        .route("/hub/api/groups/{group}/properties", put(groups::change))
        .route("/hub/api/proxy", get(about::proxy))
        .route("/hub/api/services", get(about::services))
        .route("/hub/api/services/{service}", get(about::service))
        .route("/hub/api/users/{user}/activity", post(activity::report))
        .route("/hub/api/users/{user}/server", servers::default_server())
        .route("/hub/api/users/{user}/server/progress", get(progress::default_server))
        .route("/hub/api/users/{user}/servers/", servers::default_server())
        .route("/hub/api/users/{user}/servers/{server}", servers::named_server())
        .route("/hub/api/users/{user}/servers/{server}/progress", get(progress::named_server))
        .route("/hub/api/users/{user}/tokens", get(tokens::list).post(tokens::create))
        .route("/hub/api/users/{user}/tokens/{id}", get(tokens::show).delete(tokens::delete))
}

/// Our own API: hosts, decisions, accounts.
fn berth() -> Router<Arc<Hub>> {
    Router::new()
        .route("/hub/api/berth/hosts", get(berth::hosts::list))
        .route("/hub/api/berth/hosts/{host}", get(berth::hosts::show))
        .route("/hub/api/berth/hosts/{host}/join-token", post(berth::hosts::join_token))
        .route("/hub/api/berth/hosts/{host}/explain", get(berth::room::of_host))
        .route("/hub/api/berth/hosts/{host}/intent", put(berth::intents::change))
        .route("/hub/api/berth/config", get(berth::config::show))
        .route("/hub/api/berth/config/diff", get(berth::config::diff))
        .route("/hub/api/berth/config/reload", post(berth::config::reload))
        .route("/hub/api/berth/config/rollback", post(berth::config::roll_back))
        .route("/hub/api/berth/config/effective/{user}", get(berth::config::effective))
        .route("/hub/api/berth/doctor", get(berth::doctor::examine))
        .route("/hub/api/berth/drains", get(berth::drains::list))
        .route("/hub/api/berth/floor", get(berth::floor::at))
        .route("/hub/api/berth/queue", get(berth::queue::list))
        .route("/hub/api/berth/plan", post(berth::plans::hosts))
        .route("/hub/api/berth/plan/config", post(berth::plans::config))
        .route(
            "/hub/api/berth/reboots",
            get(berth::reboots::show).post(berth::reboots::begin).delete(berth::reboots::end),
        )
        .route("/hub/api/berth/consolidation", get(berth::reboots::consolidation))
        .route("/hub/api/berth/servers", get(berth::servers::list))
        .route("/hub/api/berth/servers/{id}", get(berth::servers::show))
        .route("/hub/api/berth/servers/{id}/extend", post(berth::life::extend))
        .route("/hub/api/berth/notices", get(berth::life::notices))
        .route("/hub/api/berth/servers/{id}/memory", put(berth::resize::change))
        .route("/hub/api/berth/servers/{id}/decisions", get(berth::decisions::of_server))
        .route("/hub/api/berth/servers/{id}/why-not/{host}", get(berth::why_not::show))
        .route("/hub/api/berth/decisions", get(berth::decisions::list))
        .route("/hub/api/berth/decisions/{id}", get(berth::decisions::show))
        .route("/hub/api/berth/explain", post(berth::decisions::explain))
        .route("/hub/api/berth/usage", get(berth::usage::list))
        .route("/hub/api/berth/profiles", get(berth::profiles::list))
        .route("/hub/api/berth/users", get(berth::users::list).post(berth::users::create))
        .route("/hub/api/berth/users/{user}/account", get(berth::accounts::show))
        .route(
            "/hub/api/berth/users/{user}/identities",
            post(berth::accounts::link).delete(berth::accounts::unlink),
        )
        .route("/hub/api/berth/users/{user}/password", post(berth::users::set_password))
}
