//! What people should be told inside JupyterLab: of their servers, and by the administrators.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use berth_common::link::GpuDevice;
use berth_common::{ByteCount, GpuId, GpuPart, Reason, Timestamp};
use berth_core::agenda::Notice;
use berth_core::fleet::Placement;
use berth_core::fleet::leaving::WHAT_TO_DO;
use berth_core::life::outlook;
use berth_core::settings::Channel;
use berth_core::{Fleet, Server};
use berth_process::clock::now;
use serde_json::{Value, json};

use crate::auth::Caller;
use crate::auth::principal::Via;
use crate::site::Hub;
use crate::web::api::berth::{answer, life};
use crate::web::error::ApiError;

/// What a kill of one of its processes means for a server.
const LOST: &str = "What it had computed is lost; the server runs on.";

/// `GET notices`: what the caller should be told inside JupyterLab, about the person's servers; for
/// a server's own token, about that server. An extension of JupyterLab shows them: in the browser
/// the person's session is enough, in the container the server's token is.
pub async fn notices(State(hub): State<Arc<Hub>>, caller: Caller) -> Result<Json<Value>, ApiError> {
    let fleet = hub.fleet.fleet();
    let own: Vec<&Server> = match (&caller.via, &caller.user) {
        (Via::Server(id), _) => fleet.servers.get(id).map(AsRef::as_ref).into_iter().collect(),
        (_, Some(user)) => {
            caller.require("read:servers")?;
            let reaches = |server: &&Server| {
                caller.scopes.reach_server("read:servers", &user.account, &server.name)
            };
            fleet.servers_of(&user.account.name).map(AsRef::as_ref).filter(reaches).collect()
        }
        (_, None) => Vec::new(),
    };
    let mut notices: Vec<_> = own.iter().flat_map(|it| notices_of(&fleet, it, now())).collect();
    let reader = caller.user.as_ref().map(|user| user.account.clone());
    let reader = reader.or_else(|| own.first().and_then(|server| server.account.clone()));
    if let Some(account) = reader {
        let said = hub.agenda.notices_for(&fleet, &account, now());
        notices.extend(said.iter().map(|(id, notice)| said_by_site(*id, notice)));
    }
    Ok(answer("notices", json!(notices)))
}

/// What a server's owner should hear of it inside JupyterLab, the most urgent first.
pub fn notices_of(fleet: &Fleet, server: &Server, now: Timestamp) -> Vec<Value> {
    let by_lab = fleet.settings.lifecycle.warn.channels.contains(&Channel::Lab);
    let leaving = fleet.leaving(server).filter(|_| by_lab);
    let placement = server.placement().filter(|_| server.is_ready() && by_lab);
    let Some(placement) = placement else { return Vec::new() };
    let outlook = outlook(&fleet.settings, server, placement, now);
    let notice = |kind: &str, at: Timestamp, text: String| {
        json!({
            "kind": kind,
            "server": server.id,
            "name": server.name,
            "since": at.to_string(),
            "text": text,
            "stops_at": null,
            "extension": life::extension(&outlook),
        })
    };
    let mut notices = Vec::new();
    if let Some(leaving) = leaving {
        let text = leaving.sentence(Timestamp::to_minute);
        let mut told = notice("drain", leaving.told.newest, format!("{text} {WHAT_TO_DO}"));
        told["stops_at"] = json!(leaving.stops_at().map(|at| at.to_string()));
        notices.push(told);
    }
    // Of the others the stop is no part: it moves with all that goes on, and what is told is not
    // told again for that.
    if let (Some(told), Some((at, why))) = (outlook.warned, outlook.stop) {
        let mut told = notice("stop", told.at, life::why_soon(why).to_owned());
        told["stops_at"] = json!(at.to_string());
        notices.push(told);
    }
    if let Some(kill) = server.kills.last() {
        let text = format!("Out of memory. {} {LOST}", kill.sentence());
        notices.push(notice("memory_killed", kill.at, text));
    }
    // The hub is not told when that was: it has been so at some time of this start.
    let begun = placement.ready_at.unwrap_or(placement.placed_at);
    for (gpu, text) in sick_gpus(fleet, placement) {
        let mut told = notice("gpu_trouble", begun, text);
        told["gpu"] = json!(gpu);
        notices.push(told);
    }
    if let Some(text) = little_left(server, placement, now) {
        notices.push(notice("memory_high", begun, text));
    }
    if let Some(question) = outlook.question.filter(|question| question.offers_cpu) {
        let text = "Its GPU is held and not used. Others wait for it.".to_owned();
        let mut told = notice("gpu_unused", question.unused_since, text);
        let stop = outlook.stop.filter(|(_, why)| *why == Reason::StoppedGpuUnused);
        told["stops_at"] = json!(stop.map(|(at, _)| at.to_string()));
        notices.push(told);
    }
    if let Some(loan) = placement.loan() {
        notices.push(notice("memory_lent", loan.at, loan.sentence()));
    }
    notices
}

/// What the administrators say, beside what is to be said of a server.
fn said_by_site(id: i64, notice: &Notice) -> Value {
    json!({
        "kind": "site",
        "id": id,
        "level": notice.level,
        "since": notice.window.from.to_string(),
        "until": notice.window.to.to_string(),
        "text": notice.en,
        "text_fr": notice.fr,
        "must_read": notice.must_read,
    })
}

/// The GPUs of a server with which something is wrong, a sentence each.
fn sick_gpus<'a>(fleet: &Fleet, placement: &'a Placement) -> Vec<(&'a GpuId, String)> {
    let heard = fleet.hosts.get(&placement.host).and_then(|host| host.heard.as_ref());
    // Without a driver that answers nothing is known of any GPU.
    let Some(heard) = heard.filter(|heard| heard.facts.gpus.trouble.is_empty()) else {
        return Vec::new();
    };
    let sick = |part: &'a GpuPart| {
        let device = heard.gpus.iter().find(|device| device.gpu == part.gpu);
        let (model, why) = match device {
            Some(GpuDevice { model, trouble: Some(why), .. }) => {
                (format!(" {model}"), why.as_str())
            }
            Some(_) => return None,
            None => (String::new(), "its host does not see it any more"),
        };
        let text = format!(
            "Something is wrong with its GPU{model}: {why}. What kernels had there may be lost. \
             Save your work, then stop the server and start it again to get another GPU."
        );
        Some((&part.gpu, text))
    };
    placement.gpus.iter().filter_map(sick).collect()
}

/// That a server has come near its limit, in this start; nothing while memory is lent, which says
/// so itself.
fn little_left(server: &Server, placement: &Placement, now: Timestamp) -> Option<String> {
    let limit = placement.own_limit();
    let highest = server.peaks.as_ref()?.highest(now);
    let near = limit.minus(ByteCount(limit.0 / 10));
    (highest >= near && placement.loan().is_none()).then(|| {
        format!(
            "It has used {highest} of its {limit} of memory. A process that needs more than is left \
             is killed: free some, or give the server more on its card."
        )
    })
}
