//! Who may see and use each page.

use crate::auth::Right;

/// Whom a page is for. Everybody else is sent to the login, or told that there is no such page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// Everybody, also without a login; what they see may depend on it.
    Everybody,
    /// Everybody who has logged in, about themselves.
    Person,
    /// Whoever owns what the path names, administrators, and whoever has the right to see or do just
    /// that with everybody's.
    Owner,
    /// Whoever teaches the training that the path names, and administrators.
    Instructor,
    /// Administrators, and whoever has this right by a role.
    Holder(Right),
    /// Administrators.
    Administrator,
}

use Right::{SeeHealth, SeeHosts, SeePeople, SeeServers, StopServers};
use Who::{Administrator, Everybody, Holder, Instructor, Owner, Person};

/// One path of the pages, and whom it is for however it is asked.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// As the router has it.
    pub path: &'static str,
    /// Whom it is for.
    pub who: Who,
}

const fn page(path: &'static str, who: Who) -> Page {
    Page { path, who }
}

/// All pages.
pub const PAGES: &[Page] = &[
    page("/", Everybody),
    page("/hub", Everybody),
    page("/hub/", Everybody),
    page("/hub/login", Everybody),
    page("/hub/logout", Everybody),
    page("/hub/oauth_login", Everybody),
    page("/hub/oauth_callback", Everybody),
    page("/hub/backchannel_logout", Everybody),
    page("/hub/error/{code}", Everybody),
    page("/hub/help/{code}", Everybody),
    page("/hub/logo", Everybody),
    page("/hub/reader", Everybody),
    page("/hub/static/{file}", Everybody),
    page("/favicon.ico", Everybody),
    page("/user/{*path}", Everybody),
    page("/user-redirect/{*path}", Everybody),
    page("/hub/dask/{service}/clusters/{cluster}/{*rest}", Person),
    page("/hub/help", Person),
    page("/hub/home", Person),
    page("/hub/kernels", Person),
    page("/hub/live/home", Person),
    page("/hub/notices", Person),
    page("/hub/notices/{id}", Person),
    page("/hub/notices/{id}/read", Person),
    page("/hub/spawn", Person),
    page("/hub/token", Person),
    page("/hub/trainings", Person),
    page("/hub/usage", Person),
    page("/hub/usage.csv", Person),
    page("/hub/user-redirect/{*path}", Person),
    page("/hub/decisions/{id}", Owner),
    page("/hub/forecast/{user}", Owner),
    page("/hub/forecast/{user}/{server}", Owner),
    page("/hub/foreseen/{user}", Owner),
    page("/hub/foreseen/{user}/{server}", Owner),
    page("/hub/live/log/{id}", Owner),
    page("/hub/live/server/{id}", Owner),
    page("/hub/live/servers/{id}", Owner),
    page("/hub/servers/{id}", Owner),
    page("/hub/servers/{id}/extend", Owner),
    page("/hub/servers/{id}/memory", Owner),
    page("/hub/servers/{id}/remove", Owner),
    page("/hub/servers/{id}/restart", Owner),
    page("/hub/servers/{id}/start", Owner),
    page("/hub/servers/{id}/stop", Owner),
    page("/hub/spawn/{user}", Owner),
    page("/hub/spawn/{user}/{server}", Owner),
    page("/hub/spawn-pending/{user}", Owner),
    page("/hub/spawn-pending/{user}/{server}", Owner),
    page("/hub/token/{id}/revoke", Owner),
    page("/hub/user/{*path}", Owner),
    page("/hub/live/trainings/{name}", Instructor),
    page("/hub/trainings/{name}", Instructor),
    page("/hub/trainings/{name}/message", Instructor),
    page("/hub/trainings/{name}/orders", Instructor),
    page("/hub/trainings/{name}/rehearsal", Instructor),
    page("/hub/trainings/{name}/participants/{user}/start", Instructor),
    page("/hub/trainings/{name}/participants/{user}/restart", Instructor),
    page("/hub/trainings/{name}/participants/{user}/stop", Instructor),
    page("/hub/admin", Holder(SeeServers)),
    page("/hub/admin/audit", Administrator),
    page("/hub/admin/audit.csv", Administrator),
    page("/hub/admin/audit/{id}", Administrator),
    page("/hub/admin/config", Administrator),
    page("/hub/admin/config/files/{*name}", Administrator),
    page("/hub/admin/config/reload", Administrator),
    page("/hub/admin/config/replay", Administrator),
    page("/hub/admin/config/rollback", Administrator),
    page("/hub/admin/config/versions/{version}", Administrator),
    page("/hub/admin/floor", Administrator),
    page("/hub/admin/floor/hosts/{host}", Administrator),
    page("/hub/admin/drains/{id}", Holder(SeeHosts)),
    page("/hub/admin/gpus/{gpu}", Holder(SeeHosts)),
    page("/hub/admin/health", Holder(SeeHealth)),
    page("/hub/admin/hosts", Holder(SeeHosts)),
    page("/hub/admin/hosts/{host}", Holder(SeeHosts)),
    page("/hub/admin/hosts/{host}/drain", Administrator),
    page("/hub/admin/hosts/{host}/intent", Administrator),
    page("/hub/admin/images/{image}", Holder(SeeHosts)),
    page("/hub/admin/notices", Administrator),
    page("/hub/admin/notices/maintenance", Administrator),
    page("/hub/admin/notices/{id}/end", Administrator),
    page("/hub/admin/people", Holder(SeePeople)),
    page("/hub/admin/people/{user}", Holder(SeePeople)),
    page("/hub/admin/people/{user}/home", Holder(SeePeople)),
    page("/hub/admin/pools/{pool}", Holder(SeeHosts)),
    page("/hub/admin/queue", Holder(SeeServers)),
    page("/hub/admin/servers.csv", Holder(SeeServers)),
    page("/hub/admin/servers/{act}", Holder(StopServers)),
    page("/hub/admin/usage", Administrator),
    page("/hub/admin/usage.csv", Administrator),
    page("/hub/live/admin", Holder(SeeServers)),
    page("/hub/live/floor", Administrator),
    page("/hub/live/health", Holder(SeeHealth)),
    page("/hub/live/drains/{id}", Holder(SeeHosts)),
    page("/hub/live/hosts", Holder(SeeHosts)),
    page("/hub/live/hosts/{host}", Holder(SeeHosts)),
    page("/hub/live/pools/{pool}", Holder(SeeHosts)),
    page("/hub/live/queue", Holder(SeeServers)),
    page("/hub/servers/{id}/enter", Administrator),
];
