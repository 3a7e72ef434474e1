//! `/hub/kernels`: the kernels that a person's running servers offer, those of the person's own that
//! will not start, and how to make one.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use berth_core::{Fleet, Server};
use berth_proto::link::KernelSpec;
use berth_proto::link::question::What;
use futures::future::join_all;

use crate::auth::Visitor;
use crate::site::Hub;
use crate::web::pages::log::sentence;
use crate::web::pages::shell::{Here, Shell, page};
use crate::web::pages::words;
use crate::web::say;

/// More servers of one person are not asked at a time.
const MOST_SERVERS: usize = 5;

/// How a host begins what it says of a kernel that will not start.
const BROKEN: &str = "The kernel \"";

#[derive(Template)]
#[template(path = "kernels.html")]
struct KernelsPage {
    shell: Shell,
    servers: Vec<Offer>,
}

/// What one server has.
struct Offer {
    title: String,
    path: String,
    kernels: Vec<KernelSpec>,
    /// Why they are not known.
    trouble: Option<String>,
    /// Those that will not start, a sentence each, in the host's language.
    broken: Vec<String>,
}

/// `GET /hub/kernels`
pub async fn show(State(hub): State<Arc<Hub>>, visitor: Visitor) -> Response {
    let fleet = hub.fleet.fleet();
    let own = fleet.servers_of(&visitor.user.account.name);
    let running = own.filter(|server| server.is_ready()).take(MOST_SERVERS);
    let servers = join_all(running.map(|server| offer(&hub, &fleet, server))).await;
    let shell = Shell::of(&visitor, say::t("nav-kernels").to_string(), Here::Kernels);
    page(StatusCode::OK, &KernelsPage { shell, servers })
}

async fn offer(hub: &Hub, fleet: &Fleet, server: &Server) -> Offer {
    let (kernels, trouble) = match hub.asked.ask(server, What::Kernels(true)).await {
        Ok(answer) => (answer.kernels, None),
        Err(why) => (Vec::new(), Some(sentence(&why))),
    };
    Offer {
        title: words::server_title(&server.name),
        path: format!("/hub/servers/{}", server.id),
        kernels,
        trouble,
        broken: broken(fleet, server),
    }
}

/// What its host found when it looked at the owner's kernels, before the server started.
fn broken(fleet: &Fleet, server: &Server) -> Vec<String> {
    let seen = server.placement().and_then(|placement| {
        fleet.hosts.get(&placement.host)?.heard.as_ref()?.observed.get(&server.id)
    });
    let seen = seen.filter(|seen| seen.generation == server.generation);
    let said = seen.map(|seen| seen.left_out.as_slice()).unwrap_or_default();
    said.iter().filter(|line| line.starts_with(BROKEN)).cloned().collect()
}
