//! What the buttons of a server do: stop, start again, forget. Each is a POST and ends on a page.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use berth_common::{ByteCount, Reason, Seconds};
use berth_core::event::Wish;
use berth_core::{Answer, Server};
use serde::Deserialize;

use crate::actions;
use crate::audit;
use crate::auth::{CheckedForm, Next, Right, Visitor};
use crate::site::Hub;
use crate::web::pages::error::{PageError, error_page, error_page_with};
use crate::web::pages::target::{self, Target};
use crate::web::pages::words;
use crate::web::say;

/// The fields of these forms.
#[derive(Debug, Deserialize)]
pub struct ActionForm {
    #[serde(default)]
    next: String,
}

/// `POST /hub/servers/{id}/stop`: also takes a waiting one out of the queue.
pub async fn stop(
    State(hub): State<Arc<Hub>>,
    Path(id): Path<String>,
    CheckedForm { visitor, form }: CheckedForm<ActionForm>,
) -> Result<Response, PageError> {
    let fleet = hub.fleet.fleet();
    let server = target::server(&fleet, &id, &visitor, Right::StopServers)?;
    let own = server.owner == visitor.user.account.name;
    let reason = if own { Reason::StoppedUser } else { Reason::StoppedAdmin };
    note(&hub, &visitor, "server-stop", server).await?;
    actions::stop(&hub, &server.id, reason).await?;
    Ok(back(&hub, &form))
}

/// `POST /hub/servers/{id}/start`: again as last time.
pub async fn start(
    State(hub): State<Arc<Hub>>,
    Path(id): Path<String>,
    CheckedForm { visitor, form }: CheckedForm<ActionForm>,
) -> Result<Response, PageError> {
    let fleet = hub.fleet.fleet();
    let server = target::server(&fleet, &id, &visitor, Right::StartServers)?;
    let account = target::account(&hub, &visitor, &server.owner)?;
    let target = Target { owner: server.owner.clone(), name: server.name.clone() };
    note(&hub, &visitor, "server-start", server).await?;
    let wish = Wish { as_before: true, ..Wish::default() };
    let answer = actions::start(&hub, account, server.name.clone(), wish, None, true).await?;
    let next = Next::parse(&form.next, &hub.config().hub.public_url);
    Ok(after_start(&answer, &target, next.as_ref()))
}

/// `POST /hub/servers/{id}/restart`: if it cannot be started again at once, its page offers that.
pub async fn restart(
    State(hub): State<Arc<Hub>>,
    Path(id): Path<String>,
    CheckedForm { visitor, .. }: CheckedForm<ActionForm>,
) -> Result<Response, PageError> {
    let fleet = hub.fleet.fleet();
    target::server(&fleet, &id, &visitor, Right::StopServers)?;
    let server = target::server(&fleet, &id, &visitor, Right::StartServers)?;
    let target = Target { owner: server.owner.clone(), name: server.name.clone() };
    let account = target::account(&hub, &visitor, &server.owner)?;
    let own = server.owner == visitor.user.account.name;
    let reason = if own { Reason::StoppedUser } else { Reason::StoppedAdmin };
    actions::restart(&hub, account, server, reason, true).await?;
    Ok(Redirect::to(&format!("/hub/spawn-pending/{}", target.path())).into_response())
}

/// `POST /hub/servers/{id}/extend`: puts its stop off by one step.
pub async fn extend(
    State(hub): State<Arc<Hub>>,
    Path(id): Path<String>,
    CheckedForm { visitor, form }: CheckedForm<ActionForm>,
) -> Result<Response, PageError> {
    let fleet = hub.fleet.fleet();
    let server = target::server(&fleet, &id, &visitor, Right::StartServers)?;
    // Administrators keep other people's servers running, whatever their budgets.
    let beyond = server.owner != visitor.user.account.name;
    note(&hub, &visitor, "server-extend", server).await?;
    match actions::extend(&hub, &server.id, 1, beyond).await? {
        Answer::Extended { .. } => Ok(back(&hub, &form)),
        refused => {
            let text = not_extended(&refused, fleet.settings.lifecycle.extend.step);
            let title = say::t("error-not-extended").to_string();
            Ok(error_page(StatusCode::CONFLICT, &title, &text))
        }
    }
}

/// Why a stop was not put off.
fn not_extended(refused: &Answer, step: Seconds) -> String {
    let step = words::long(step);
    let said = match refused {
        Answer::ExtensionsUsedUp { left: 0, of: 0 } => say::t("extension-none"),
        Answer::ExtensionsUsedUp { left: 0, of } => {
            say::t("extension-used-up").with("of", of).with("step", step)
        }
        Answer::ExtensionsUsedUp { left, .. } => {
            say::t("extension-left").with("left", left).with("step", step)
        }
        Answer::StopsForNothing => say::t("extension-nothing"),
        _ => say::t("extension-not-running"),
    };
    said.to_string()
}

/// The fields of the form for another memory limit.
#[derive(Debug, Deserialize)]
pub struct MemoryForm {
    #[serde(default)]
    memory: String,
    #[serde(default)]
    next: String,
}

/// `POST /hub/servers/{id}/memory`: another limit while it runs.
pub async fn resize(
    State(hub): State<Arc<Hub>>,
    Path(id): Path<String>,
    CheckedForm { visitor, form }: CheckedForm<MemoryForm>,
) -> Result<Response, PageError> {
    let fleet = hub.fleet.fleet();
    let server = target::server(&fleet, &id, &visitor, Right::StartServers)?;
    let title = say::t("error-memory-stays").to_string();
    let unchanged = |why: &str| error_page(StatusCode::CONFLICT, &title, why);
    let memory: ByteCount = match form.memory.parse() {
        Ok(memory) => memory,
        Err(_) => {
            let why = say::t("error-memory").with("why", say::t("error-amount"));
            return Ok(unchanged(&format!("{why}.")));
        }
    };
    note(&hub, &visitor, "server-resize", server).await?;
    let by = visitor.user.account.name.as_str();
    Ok(match actions::resize(&hub, &server.id, memory, by).await? {
        Answer::ResizeRefused(refusal) => {
            let (why, detail) = words::told(refusal.reason, &refusal.detail);
            let nearest = refusal.nearest.map(|it| say::t("resize-nearest").with("memory", it));
            let nearest = nearest.map(|it| it.to_string()).unwrap_or_default();
            let all = [why, nearest, say::remedy(refusal.reason)];
            let said: Vec<_> = all.into_iter().filter(|it| !it.is_empty()).collect();
            error_page_with(StatusCode::CONFLICT, &title, &said.join(" "), &detail)
        }
        _ => back(&hub, &ActionForm { next: form.next }),
    })
}

/// `POST /hub/servers/{id}/remove`: forgets one that does not run.
pub async fn remove(
    State(hub): State<Arc<Hub>>,
    Path(id): Path<String>,
    CheckedForm { visitor, form }: CheckedForm<ActionForm>,
) -> Result<Response, PageError> {
    let fleet = hub.fleet.fleet();
    let server = target::server(&fleet, &id, &visitor, Right::StopServers)?;
    note(&hub, &visitor, "server-remove", server).await?;
    match actions::remove(&hub, &server.id).await? {
        Answer::StopUnderWay => Ok(error_page(
            StatusCode::CONFLICT,
            &say::t("error-still-running").to_string(),
            &say::t("error-still-running-text").to_string(),
        )),
        _ => Ok(back(&hub, &form)),
    }
}

/// Records what is about to be done to another person's server.
async fn note(hub: &Hub, by: &Visitor, action: &str, server: &Server) -> Result<(), PageError> {
    audit::on_server(hub, by, action, server.owner.as_str(), server.id.as_str()).await?;
    Ok(())
}

/// Where a start leads: to the server if it runs, else to the page that shows how it goes.
pub fn after_start(answer: &Answer, target: &Target, next: Option<&Next>) -> Response {
    let url = match answer {
        Answer::AlreadyRunning(_) => next.map_or_else(
            || berth_core::fleet::server::prefix(&target.owner, &target.name),
            ToString::to_string,
        ),
        _ => {
            let query = next.map_or_else(String::new, |next| format!("?next={}", next.escaped()));
            format!("/hub/spawn-pending/{}{query}", target.path())
        }
    };
    Redirect::to(&url).into_response()
}

fn back(hub: &Hub, form: &ActionForm) -> Response {
    let next = Next::parse(&form.next, &hub.config().hub.public_url);
    Redirect::to(next.as_ref().map_or("/hub/home", Next::as_str)).into_response()
}
