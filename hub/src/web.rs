//! Pages and API for people and programs: the whole route table.

pub mod api;
pub mod assets;
pub mod error;
pub mod foretold;
pub mod live;
pub mod pages;
pub mod reader;
pub mod response;
pub mod say;
pub mod spec;
pub(crate) mod table;

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::routing::{any, delete, get, post, put};
use axum::{Extension, Router, middleware};

use crate::auth::Gate;
use crate::farm::dashboard;
use crate::site::Hub;
use api::{
    activity, berth, body, groups, hub as about, new_users, oauth, progress, servers, services,
    sharing, shutdown, tokens, users, whoami,
};
use table::Table;

/// Everything that the hub answers over HTTP.
pub fn router(hub: Arc<Hub>) -> Router {
    Router::new()
        .merge(jupyterhub().router())
        .merge(berth().router())
        .merge(pages::router())
        .merge(dashboard::router())
        .route("/hub/api/{*unknown}", any(response::no_such_endpoint))
        .fallback(pages::outside)
        .method_not_allowed_fallback(response::wrong_method)
        .layer(DefaultBodyLimit::max(body::LARGEST))
        .layer(middleware::from_fn_with_state(Arc::clone(&hub), response::finish))
        .layer(Extension(Arc::new(Gate::default())))
        .with_state(hub)
}

/// The paths of JupyterHub's API, and of ours.
pub fn api_paths() -> (Vec<&'static str>, Vec<&'static str>) {
    (jupyterhub().paths(), berth().paths())
}

/// The paths of the pages, and of what other programs show below our address.
pub fn page_paths() -> Vec<&'static str> {
    [pages::table().paths(), dashboard::table().paths()].concat()
}

/// JupyterHub's API.
fn jupyterhub() -> Table {
    Table::new()
        .route("/hub/api/spec", get(spec::jupyterhub))
        .route("/hub/health", get(about::health))
        .route("/hub/security/csp-report", post(about::csp_report))
        .route("/hub/metrics", get(about::metrics))
        .route("/hub/metrics/gpus", get(about::gpu_metrics))
        .route("/hub/api", get(about::version))
        .route("/hub/api/", get(about::version))
        .route("/hub/api/health", get(about::health))
        .route("/hub/api/info", get(about::info))
        .route("/hub/api/user", get(whoami::whoami))
        .route("/hub/api/oauth2/authorize", get(oauth::ask).post(oauth::confirm))
        .route("/hub/api/oauth2/token", post(oauth::token))
        .route("/hub/api/users", get(users::list).post(new_users::many))
        .route(
            "/hub/api/users/{user}",
            get(users::show).post(new_users::one).patch(users::change).delete(users::delete),
        )
        .route("/hub/api/groups", get(groups::list).post(groups::change::many))
        .route(
            "/hub/api/groups/{group}",
            get(groups::show).post(groups::change::one).delete(groups::change::remove),
        )
        .route(
            "/hub/api/groups/{group}/users",
            post(groups::change::add).delete(groups::change::take_out),
        )
        .route("/hub/api/groups/{group}/properties", put(groups::change::set_properties))
        .route("/hub/api/groups/{group}/shared", get(sharing::with_group))
        .route(
            "/hub/api/proxy",
            get(about::proxy).post(about::check_proxy).patch(about::change_proxy),
        )
        .route("/hub/api/shutdown", post(shutdown::shutdown))
        .route("/hub/api/shares/{owner}", get(sharing::of_owner))
        .route("/hub/api/shares/{owner}/", get(sharing::of_owner))
        .route(
            "/hub/api/shares/{owner}/{server}",
            get(sharing::of_owner)
                .post(sharing::refuse)
                .patch(sharing::refuse)
                .delete(sharing::refuse),
        )
        .route("/hub/api/share-codes/{owner}", get(sharing::of_owner))
        .route(
            "/hub/api/share-codes/{owner}/{server}",
            get(sharing::of_owner).post(sharing::refuse).delete(sharing::refuse),
        )
        .route("/hub/api/services", get(services::list))
        .route(
            "/hub/api/services/{service}",
            get(services::show).post(services::change::make).delete(services::change::remove),
        )
        .route("/hub/api/users/{user}/activity", post(activity::report))
        .route("/hub/api/users/{user}/admin-access", post(about::admin_access))
        .route("/hub/api/users/{user}/shared", get(sharing::with_user))
        .route("/hub/api/users/{user}/server", servers::default_server())
        .route("/hub/api/users/{user}/server/progress", get(progress::default_server))
        .route("/hub/api/users/{user}/servers/", servers::default_server())
        .route("/hub/api/users/{user}/servers/{server}", servers::named_server())
        .route("/hub/api/users/{user}/servers/{server}/progress", get(progress::named_server))
        .route("/hub/api/users/{user}/tokens", get(tokens::list).post(tokens::create))
        .route("/hub/api/users/{user}/tokens/{id}", get(tokens::show).delete(tokens::delete))
}

/// Our own API: hosts, decisions, accounts.
fn berth() -> Table {
    Table::new()
        .route("/hub/api/berth/spec", get(spec::berth))
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
        .route("/hub/api/berth/drains/{id}", get(berth::drains::show))
        .route("/hub/api/berth/floor", get(berth::floor::at))
        .route("/hub/api/berth/queue", get(berth::queue::list))
        .route("/hub/api/berth/queue/{id}", put(berth::queue::change))
        .route("/hub/api/berth/pools", get(berth::pools::list))
        .route("/hub/api/berth/images", get(berth::images::list))
        .route("/hub/api/berth/images/{name}/orders", post(berth::images::order::give))
        .route("/hub/api/berth/access", get(berth::access::show))
        .route("/hub/api/berth/plan", post(berth::plans::hosts))
        .route("/hub/api/berth/plan/config", post(berth::plans::config))
        .route(
            "/hub/api/berth/reboots",
            get(berth::reboots::show).post(berth::reboots::begin).delete(berth::reboots::end),
        )
        .route(
            "/hub/api/berth/maintenance",
            get(berth::maintenance::list).post(berth::maintenance::add),
        )
        .route("/hub/api/berth/maintenance/{id}", delete(berth::maintenance::cancel))
        .route("/hub/api/berth/site-notices", get(berth::notices::list).post(berth::notices::add))
        .route("/hub/api/berth/site-notices/{id}", delete(berth::notices::end))
        .route("/hub/api/berth/trainings", get(berth::trainings::list))
        .route("/hub/api/berth/trainings/{training}", get(berth::trainings::show))
        .route("/hub/api/berth/trainings/{training}/check", get(berth::trainings::check))
        .route("/hub/api/berth/trainings/{training}/rehearsal", post(berth::trainings::rehearsal))
        .route(
            "/hub/api/berth/trainings/{training}/rehearsal/servers",
            get(berth::rehearsals::show)
                .post(berth::rehearsals::begin)
                .delete(berth::rehearsals::end),
        )
        .route("/hub/api/berth/trainings/{training}/orders", post(berth::trainings::order))
        .route(
            "/hub/api/berth/trainings/{training}/participants/{user}/server",
            post(berth::trainings::start).delete(berth::trainings::stop),
        )
        .route("/hub/api/berth/consolidation", get(berth::reboots::consolidation))
        .route("/hub/api/berth/servers", get(berth::servers::list))
        .route("/hub/api/berth/servers/{id}", get(berth::servers::show))
        .route("/hub/api/berth/servers/{id}/extend", post(berth::life::extend))
        .route("/hub/api/berth/notices", get(berth::lab::notices))
        .route(
            "/hub/api/berth/servers/{id}/visits",
            get(berth::visits::list).post(berth::visits::begin).delete(berth::visits::end),
        )
        .route("/hub/api/berth/audit", get(berth::audit::list))
        .route("/hub/api/berth/servers/{id}/log", get(berth::logs::show))
        .route("/hub/api/berth/servers/{id}/memory", put(berth::resize::change))
        .route("/hub/api/berth/servers/{id}/decisions", get(berth::decisions::of_server))
        .route("/hub/api/berth/servers/{id}/why-not/{host}", get(berth::why_not::show))
        .route("/hub/api/berth/decisions", get(berth::decisions::list))
        .route("/hub/api/berth/decisions/{id}", get(berth::decisions::show))
        .route("/hub/api/berth/explain", post(berth::decisions::explain))
        .route("/hub/api/berth/import/jupyterhub", post(berth::import::jupyterhub))
        .route("/hub/api/berth/usage", get(berth::usage::list))
        .route("/hub/api/berth/profiles", get(berth::profiles::list))
        .route("/hub/api/berth/users", get(berth::users::list).post(berth::users::create))
        .route("/hub/api/berth/users/{user}/account", get(berth::accounts::show))
        .route("/hub/api/berth/users/{user}/farm", get(berth::farm::show))
        .route("/hub/api/berth/users/{user}/quota", get(berth::quota::show))
        .route(
            "/hub/api/berth/users/{user}/identities",
            post(berth::accounts::link).delete(berth::accounts::unlink),
        )
        .route("/hub/api/berth/users/{user}/password", post(berth::users::set_password))
}
