//! The pages: server-rendered, one a file, working without scripts. Their texts are in the
//! templates and in [`words`].

pub mod admin;
mod again;
mod audit;
mod bar;
mod board;
mod bulk;
pub mod card;
mod chart;
pub mod columns;
mod configuration;
pub mod consent;
mod decision;
mod details;
mod ending;
pub mod error;
mod everybody;
mod farm;
mod filled;
mod filter;
pub mod floor;
mod forecast;
mod health;
mod help;
pub mod home;
pub mod hosts;
mod images;
mod kernels;
pub mod life;
mod log;
mod login;
mod notices;
mod off;
pub mod pending;
mod people;
mod pools;
pub mod progress;
mod provider;
mod queue;
mod recorded;
pub mod server;
mod servers;
mod sheet;
pub mod shell;
mod spaces;
mod spawn;
mod stopped;
pub mod target;
pub mod ticket;
mod tile;
mod timeline;
mod tokens;
pub mod trainings;
mod usage;
mod usual;
pub mod visits;
pub mod words;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::routing::{any, get, post};
use axum::{Extension, Router};

pub use error::error_page;
pub use stopped::outside;

use crate::site::Hub;
use crate::web::table::Table;
use crate::web::{assets, live, reader};

/// The routes of all pages. [`outside`] answers what nobody serves.
pub fn router() -> Router<Arc<Hub>> {
    table().router().layer(Extension(Arc::new(live::Streams::default())))
}

/// Which they are; whom each is for stands in `web/spec/pages.rs`.
pub(super) fn table() -> Table {
    Table::new()
        .route("/", get(home::entry))
        .route("/hub/", get(home::entry))
        .route("/hub/login", get(login::show).post(login::submit))
        .route("/hub/oauth_login", get(provider::begin))
        .route("/hub/oauth_callback", get(provider::finish))
        .route("/hub/backchannel_logout", post(provider::logout))
        .route("/hub/logout", get(login::leave).post(login::leave_for_sure))
        .route("/hub/home", get(home::show))
        .route("/hub/spawn", get(spawn::show).post(spawn::start))
        .route("/hub/spawn/{user}", get(spawn::show).post(spawn::start))
        .route("/hub/spawn/{user}/{server}", get(spawn::show).post(spawn::start))
        .route("/hub/spawn-pending/{user}", get(pending::show))
        .route("/hub/spawn-pending/{user}/{server}", get(pending::show))
        .route("/hub/servers/{id}", get(server::show))
        .route("/hub/servers/{id}/restart", post(servers::restart))
        .route("/hub/servers/{id}/enter", post(visits::enter))
        .route("/hub/servers/{id}/extend", post(servers::extend))
        .route("/hub/servers/{id}/stop", post(servers::stop))
        .route("/hub/servers/{id}/start", post(servers::start))
        .route("/hub/servers/{id}/memory", post(servers::resize))
        .route("/hub/servers/{id}/remove", post(servers::remove))
        .route("/hub/decisions/{id}", get(decision::show))
        .route("/hub/forecast/{user}", get(forecast::show))
        .route("/hub/forecast/{user}/{server}", get(forecast::show))
        .route("/hub/foreseen/{user}", get(decision::foreseen))
        .route("/hub/foreseen/{user}/{server}", get(decision::foreseen))
        .route("/hub/usage", get(usage::show))
        .route("/hub/usage.csv", get(usage::table))
        .route("/hub/help", get(help::show))
        .route("/hub/help/{code}", get(help::reason))
        .route("/hub/kernels", get(kernels::show).post(kernels::try_one))
        .route("/hub/notices", get(notices::show))
        .route("/hub/notices/{id}", get(notices::one::show))
        .route("/hub/notices/{id}/read", post(notices::read::submit))
        .route("/hub/reader", get(reader::choose))
        .route("/hub/token", get(tokens::show).post(tokens::create))
        .route("/hub/token/{id}/revoke", post(tokens::revoke))
        .route("/hub/trainings", get(trainings::list))
        .route("/hub/trainings/{name}", get(trainings::show))
        .route("/hub/trainings/{name}/orders", post(trainings::order))
        .route("/hub/trainings/{name}/rehearsal", post(trainings::rehearsal::rehearse))
        .route("/hub/trainings/{name}/message", post(trainings::message))
        .route("/hub/trainings/{name}/participants/{user}/start", post(trainings::start))
        .route("/hub/trainings/{name}/participants/{user}/restart", post(trainings::restart))
        .route("/hub/trainings/{name}/participants/{user}/stop", post(trainings::stop))
        .route("/hub/admin", get(admin::show))
        .route("/hub/admin/hosts", get(hosts::show))
        .route("/hub/admin/hosts/{host}", get(hosts::show_one))
        .route("/hub/admin/hosts/{host}/drain", get(hosts::drain::show))
        .route("/hub/admin/hosts/{host}/intent", post(hosts::drain::change))
        .route("/hub/admin/drains/{id}", get(hosts::drained::show))
        .route("/hub/admin/gpus/{gpu}", get(hosts::gpus::find))
        .route("/hub/admin/pools/{pool}", get(pools::show))
        .route("/hub/admin/images/{image}", get(images::show))
        .route("/hub/admin/servers.csv", get(admin::table))
        .route("/hub/admin/servers/{act}", get(bulk::show).post(bulk::act))
        .route("/hub/admin/floor", get(floor::show))
        .route("/hub/admin/floor/hosts/{host}", get(floor::show_host))
        .route("/hub/live/floor", get(floor::live::follow))
        .route("/hub/admin/queue", get(queue::show))
        .route("/hub/admin/notices", get(notices::calendar::show).post(notices::calendar::add))
        .route("/hub/admin/notices/maintenance", post(notices::calendar::plan))
        .route("/hub/admin/notices/{id}/end", post(notices::calendar::end))
        .route("/hub/admin/audit", get(audit::show))
        .route("/hub/admin/audit/{id}", get(audit::show_one))
        .route("/hub/admin/audit.csv", get(audit::table))
        .route("/hub/admin/health", get(health::show))
        .route("/hub/live/health", get(health::follow))
        .route("/hub/admin/usage", get(everybody::show))
        .route("/hub/admin/usage.csv", get(everybody::table))
        .route("/hub/admin/people", get(people::show))
        .route("/hub/admin/people/{user}", get(people::one::show))
        .route("/hub/admin/people/{user}/home", get(people::view_as::show))
        .route("/hub/admin/config", get(configuration::show))
        .route("/hub/admin/config/files/{*name}", get(configuration::file))
        .route("/hub/admin/config/versions/{version}", get(configuration::version::show))
        .route("/hub/admin/config/replay", post(configuration::replay::show))
        .route("/hub/admin/config/reload", post(configuration::take_over))
        .route("/hub/admin/config/rollback", post(configuration::go_back))
        .route("/hub/live/home", get(live::home))
        .route("/hub/live/servers/{id}", get(live::server))
        .route("/hub/live/server/{id}", get(live::server_page))
        .route("/hub/live/log/{id}", get(log::follow))
        .route("/hub/live/admin", get(live::admin))
        .route("/hub/live/hosts", get(live::hosts))
        .route("/hub/live/hosts/{host}", get(hosts::follow_one))
        .route("/hub/live/drains/{id}", get(hosts::drained::follow))
        .route("/hub/live/pools/{pool}", get(pools::follow))
        .route("/hub/live/queue", get(queue::follow))
        .route("/hub/live/trainings/{name}", get(live::training))
        .route("/hub", get(outside))
        .route("/user/{*path}", any(outside))
        .route("/user-redirect/{*path}", get(outside))
        .route("/hub/user/{*path}", any(stopped::at_hub))
        .route("/hub/user-redirect/{*path}", get(spawn::user_redirect))
        .route("/hub/error/{code}", get(error::for_proxy))
        .route("/hub/static/{file}", get(assets::file))
        .route("/hub/logo", get(assets::logo))
        .route("/favicon.ico", get(assets::logo))
}
