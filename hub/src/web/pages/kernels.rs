//! `/hub/kernels`: the kernels that a person's running servers offer, whether one of them starts,
//! those of the person's own that will not, and the commands that make one of an environment.

mod recipe;

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use berth_core::{Fleet, Server};
use berth_proto::link::question::What;
use berth_proto::link::{KernelSpec, KernelTrial};
use futures::future::join_all;
use serde::Deserialize;

use crate::auth::form::query_value;
use crate::auth::{CheckedForm, Visitor};
use crate::site::Hub;
use crate::web::pages::error::PageError;
use crate::web::pages::log::sentence;
use crate::web::pages::shell::{Here, Shell, page};
use crate::web::pages::words;
use crate::web::say;

use recipe::Recipe;

/// More servers of one person are not asked at a time.
const MOST_SERVERS: usize = 5;

/// How a host begins what it says of a kernel that will not start.
const BROKEN: &str = "The kernel \"";

#[derive(Template)]
#[template(path = "kernels.html")]
struct KernelsPage {
    shell: Shell,
    xsrf: String,
    servers: Vec<Offer>,
    /// How a trial went.
    tried: Option<Tried>,
    /// The environment that was asked about, and what to type.
    environment: String,
    recipe: Option<Recipe>,
    /// Whether what was asked about is no path.
    no_path: bool,
}

/// How a trial went.
struct Tried {
    good: bool,
    text: String,
    /// Why not, as the server said it; empty: the text says all.
    detail: String,
}

/// What one server has.
struct Offer {
    id: String,
    title: String,
    path: String,
    kernels: Vec<KernelSpec>,
    /// Why they are not known.
    trouble: Option<String>,
    /// Those that will not start, a sentence each, in the host's language.
    broken: Vec<String>,
}

/// `GET /hub/kernels?environment=`: writes nothing anywhere.
pub async fn show(State(hub): State<Arc<Hub>>, visitor: Visitor, uri: Uri) -> Response {
    let environment = query_value(&uri, "environment").unwrap_or_default();
    answer(&hub, &visitor, None, environment.trim().to_owned()).await
}

/// The fields of a trial.
#[derive(Debug, Deserialize)]
pub struct TrialForm {
    #[serde(default)]
    server: String,
    #[serde(default)]
    kernel: String,
}

/// `POST /hub/kernels`: starts a kernel in the visitor's own server and ends it again.
pub async fn try_one(
    State(hub): State<Arc<Hub>>,
    CheckedForm { visitor, form }: CheckedForm<TrialForm>,
) -> Result<Response, PageError> {
    let fleet = hub.fleet.fleet();
    let mut own = fleet.servers_of(&visitor.user.account.name);
    let server = own.find(|it| it.id.as_str() == form.server && it.is_ready());
    let server = server.ok_or(PageError::NotFound)?;
    let plain = |good, text| Tried { good, text, detail: String::new() };
    let asked = hub.asked.ask(server, What::TryKernel(form.kernel.clone())).await;
    let tried = match asked.map(|answer| answer.tried) {
        Ok(Some(KernelTrial { answered_ms, failed })) if failed.is_empty() => {
            let seconds = format!("{}.{}", answered_ms / 1000, answered_ms % 1000 / 100);
            let said = say::t("kernels-answered").with("kernel", &form.kernel);
            plain(true, said.with("seconds", seconds).to_string())
        }
        Ok(Some(KernelTrial { failed, .. })) => {
            let text = say::t("kernels-failed").with("kernel", &form.kernel).to_string();
            Tried { good: false, text, detail: failed }
        }
        Ok(None) => plain(false, say::t("asked-away").to_string()),
        Err(why) => plain(false, sentence(&why)),
    };
    Ok(answer(&hub, &visitor, Some(tried), String::new()).await)
}

async fn answer(
    hub: &Hub,
    visitor: &Visitor,
    tried: Option<Tried>,
    environment: String,
) -> Response {
    let fleet = hub.fleet.fleet();
    let own = fleet.servers_of(&visitor.user.account.name);
    let running = own.filter(|server| server.is_ready()).take(MOST_SERVERS);
    let servers = join_all(running.map(|server| offer(hub, &fleet, server))).await;
    let recipe = Recipe::of(&environment);
    let view = KernelsPage {
        shell: Shell::of(visitor, say::t("nav-kernels").to_string(), Here::Kernels),
        xsrf: visitor.xsrf.clone(),
        servers,
        tried,
        no_path: !environment.is_empty() && recipe.is_none(),
        environment,
        recipe,
    };
    page(StatusCode::OK, &view)
}

async fn offer(hub: &Hub, fleet: &Fleet, server: &Server) -> Offer {
    let (kernels, trouble) = match hub.asked.ask(server, What::Kernels(true)).await {
        Ok(answer) => (answer.kernels, None),
        Err(why) => (Vec::new(), Some(sentence(&why))),
    };
    Offer {
        id: server.id.to_string(),
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
